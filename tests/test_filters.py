"""Gradient ascent on known filters, the choice of filters, and the responses."""

import sys

import keras
import numpy as np
import pytest
from conftest import run_script
from keras import layers

import plot_filters
from fer import command, gradients

PLAIN = {"decay": 0.0, "blur": 0.0, "seed": 0}


@pytest.fixture
def model():
    """Two filters as large as the face, then the seven logits."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((48, 48, 1))
    x = layers.Conv2D(2, 48, use_bias=False, name="conv")(pixels)
    logits = layers.Dense(7, name="logits")(layers.Flatten()(x))
    return keras.Model(pixels, layers.Softmax(name="probabilities")(logits))


def cosine(a, b):
    return np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)


def test_ascent_converges_to_the_direction_of_a_linear_filter(model):
    part = gradients.build_part(model, "conv")
    kernel = part.layers[-1].kernel.numpy()
    images, activations = plot_filters.climb(
        part, np.array([0, 1]), steps=20, step_size=2, **PLAIN
    )
    for unit in (0, 1):
        wanted = kernel[..., unit]
        found = images[unit] - plot_filters.GREY
        assert cosine(found, wanted) > 0.95
        assert abs(cosine(found, kernel[..., 1 - unit])) < 0.3
        assert activations[unit] == pytest.approx((images[unit] * wanted).sum(), 1e-3)


def test_more_steps_reach_more_and_stay_in_range(model):
    part = gradients.build_part(model, "logits")
    units = np.arange(7)
    reached = [
        plot_filters.climb(part, units, steps, step_size=10, **PLAIN)
        for steps in (1, 10, 40)
    ]
    assert (reached[0][1] < reached[1][1]).all()
    assert (reached[1][1] < reached[2][1]).all()
    for images, _ in reached:
        assert images.shape == (7, 48, 48, 1)
        assert images.min() >= 0 and images.max() <= 255
    # Ten grey levels a step, forty times: some pixels must have met the ends.
    assert reached[2][0].min() == 0 and reached[2][0].max() == 255


def test_steps_have_the_stated_size(model):
    part = gradients.build_part(model, "conv")
    one, two = (
        plot_filters.climb(part, np.array([0]), steps, step_size=3, **PLAIN)[0]
        for steps in (1, 2)
    )
    assert np.sqrt(np.mean((two - one) ** 2)) == pytest.approx(3, rel=1e-3)


def test_regularizers_calm_the_picture(model):
    part = gradients.build_part(model, "conv")
    options = {"steps": 20, "step_size": 3, "seed": 0}
    free, decayed, blurred = (
        plot_filters.climb(part, np.array([0]), decay=decay, blur=blur, **options)[0]
        for decay, blur in ((0, 0), (0.1, 0), (0, 1))
    )
    assert decayed.std() < 0.7 * free.std()
    assert np.abs(np.diff(blurred, axis=1)).mean() < (
        0.5 * np.abs(np.diff(free, axis=1)).mean()
    )


def test_a_silent_filter_keeps_its_noise():
    pixels = keras.Input((48, 48, 1))
    maps = layers.Conv2D(1, 3, kernel_initializer="zeros", name="conv")(pixels)
    images, activations = plot_filters.climb(
        keras.Model(pixels, maps), np.array([0]), steps=3, step_size=2, **PLAIN
    )
    assert np.isfinite(images).all() and activations.tolist() == [0]
    assert images.std() == pytest.approx(plot_filters.NOISE_DEVIATION, rel=0.1)


def test_the_most_active_filters_are_chosen():
    """Filter k of this layer multiplies by its weight; negative ones are silent."""
    pixels = keras.Input((48, 48, 1))
    maps = layers.Conv2D(4, 1, use_bias=False, name="conv")
    part = keras.Model(pixels, maps(pixels))
    maps.set_weights([np.array([0.5, -3, 2, 1]).reshape(1, 1, 1, 4)])
    faces = np.full((5, 48, 48, 1), 10, dtype=np.uint8)
    np.testing.assert_allclose(
        plot_filters.compute_activities(part, faces), [5, 0, 20, 10], rtol=1e-5
    )
    assert plot_filters.choose_units(part, 2, faces).tolist() == [2, 3]
    assert plot_filters.choose_units(part, None, None).tolist() == [0, 1, 2, 3]
    responses = plot_filters.compute_responses(part, faces[0])
    assert responses.shape == (4, 48, 48) and (responses[2] == 20).all()


def test_the_loaded_model_is_left_as_it_is(model):
    config, weights = model.get_config(), model.get_weights()
    part = gradients.build_part(model, "logits")
    plot_filters.climb(part, np.arange(7), steps=2, step_size=3, **PLAIN)
    assert model.get_config() == config
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.fixture
def run_main(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["plot_filters.py", *map(str, arguments)])
        plot_filters.main()

    return run


def test_bad_input_is_one_line(model, drawn, tmp_path, run_main):
    path = tmp_path / "model.keras"
    model.save(path)
    with pytest.raises(command.InputError, match="layer nose: .*conv, .*logits"):
        run_main(path, "--layer", "nose", "--output", tmp_path / "figure.png")
    with pytest.raises(command.InputError, match="--face 420: .* from 0 to 419"):
        run_main(path, "--face", 420, "--train", drawn / "train.csv")
    with pytest.raises(command.InputError, match="logits: expected layers with maps"):
        run_main(
            *(path, "--face", 4, "--train", drawn / "train.csv", "--layer", "logits")
        )
    pixels = keras.Input((48, 48, 1))
    dense = layers.Dense(7, activation="softmax")(layers.Flatten()(pixels))
    keras.Model(pixels, dense).save(path)
    with pytest.raises(command.InputError, match="convolutions, found none"):
        run_main(path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]


def test_the_script_end_to_end(trained, drawn, tmp_path, run_main):
    checkpoint = trained / "checkpoints/small_run.keras"
    figure = tmp_path / "plots/small_run_filters.png"
    before = checkpoint.read_bytes()
    train = ["--train", drawn / "train.csv"]
    steps = ["--steps", 2]
    run_script(
        "plot_filters.py", checkpoint, "--count", 20, *train, *steps, cwd=tmp_path
    )
    assert figure.stat().st_size > 10_000
    emotions = tmp_path / "emotions.png"
    run_main(checkpoint, "--layer", "logits", *steps, "--output", emotions)
    responses = tmp_path / "responses.png"
    run_main(checkpoint, "--face", 3, *train, "--output", responses)
    assert emotions.stat().st_size > 10_000 and responses.stat().st_size > 10_000
    assert checkpoint.read_bytes() == before
