"""Gradient ascent on known filters, the choice of filters, and the responses."""

import keras
import numpy as np
import pytest
from conftest import run_script
from keras import layers
from PIL import Image

import plot_filters
from fer import data, filters, gradients, sheets
from fer.command import InputError
from fer.faces import EMOTIONS

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
    images, activations = filters.climb(
        part, np.array([0, 1]), steps=20, step_size=2, **PLAIN
    )
    for unit in (0, 1):
        wanted = kernel[..., unit]
        found = images[unit] - filters.GREY
        assert cosine(found, wanted) > 0.95
        assert abs(cosine(found, kernel[..., 1 - unit])) < 0.3
        assert activations[unit] == pytest.approx((images[unit] * wanted).sum(), 1e-3)


def test_more_steps_reach_more_and_stay_in_range(model):
    part = gradients.build_part(model, "logits")
    units = np.arange(7)
    reached = [
        filters.climb(part, units, steps, step_size=10, **PLAIN)
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
        filters.climb(part, np.array([0]), steps, step_size=3, **PLAIN)[0]
        for steps in (1, 2)
    )
    assert np.sqrt(np.mean((two - one) ** 2)) == pytest.approx(3, rel=1e-3)


def test_regularizers_calm_the_picture(model):
    part = gradients.build_part(model, "conv")
    options = {"steps": 20, "step_size": 3, "seed": 0}
    free, decayed, blurred = (
        filters.climb(part, np.array([0]), decay=decay, blur=blur, **options)[0]
        for decay, blur in ((0, 0), (0.1, 0), (0, 1))
    )
    assert decayed.std() < 0.7 * free.std()
    assert np.abs(np.diff(blurred, axis=1)).mean() < (
        0.5 * np.abs(np.diff(free, axis=1)).mean()
    )


def test_a_silent_filter_keeps_its_noise():
    pixels = keras.Input((48, 48, 1))
    maps = layers.Conv2D(1, 3, kernel_initializer="zeros", name="conv")(pixels)
    images, activations = filters.climb(
        keras.Model(pixels, maps), np.array([0]), steps=3, step_size=2, **PLAIN
    )
    assert np.isfinite(images).all() and activations.tolist() == [0]
    assert images.std() == pytest.approx(filters.NOISE_DEVIATION, rel=0.1)


def test_a_sequential_model_has_parts_as_well():
    model = keras.Sequential(
        [
            keras.Input((48, 48, 1)),
            layers.Conv2D(2, 5, name="conv"),
            layers.Flatten(),
            layers.Dense(7, "softmax"),
        ]
    )
    part = gradients.build_part(model, "conv")
    assert part.output_shape == (None, 44, 44, 2)


def test_the_most_active_filters_are_chosen():
    """Filter k of this layer multiplies by its weight; negative ones are silent."""
    pixels = keras.Input((48, 48, 1))
    maps = layers.Conv2D(4, 1, use_bias=False, name="conv")
    part = keras.Model(pixels, maps(pixels))
    maps.set_weights([np.array([0.5, -3, 2, 1]).reshape(1, 1, 1, 4)])
    faces = np.full((5, 48, 48, 1), 10, dtype=np.uint8)
    np.testing.assert_allclose(
        filters.compute_activities(part, faces), [5, 0, 20, 10], rtol=1e-5
    )
    assert filters.choose_units(part, 2, faces).tolist() == [2, 3]
    assert filters.choose_units(part, None, None).tolist() == [0, 1, 2, 3]
    responses = filters.compute_responses(part, faces[0], 3)
    assert (responses.name, responses.size) == (part.name, 4)
    assert responses.units.tolist() == [2, 3, 0]
    assert responses.pictures.shape == (3, 48, 48)
    np.testing.assert_allclose(responses.pictures[:, 5, 7], [20, 10, 5])
    np.testing.assert_allclose(responses.strengths, [20, 10, 5])


def test_the_loaded_model_is_left_as_it_is(model):
    config, weights = model.get_config(), model.get_weights()
    part = gradients.build_part(model, "logits")
    filters.climb(part, np.arange(7), steps=2, step_size=3, **PLAIN)
    assert model.get_config() == config
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_batches_and_progress_change_nothing(model, monkeypatch):
    part = gradients.build_part(model, "logits")
    units = np.array([6, 0, 3])
    steps = []
    whole = filters.compute_preferred(part, units, steps=4, advance=steps.append)
    monkeypatch.setattr(filters, "BATCH_SIZE", 2)
    halves = filters.compute_preferred(part, units, steps=4)
    assert steps == [3] * 4
    assert (whole.name, whole.size, whole.units.tolist()) == ("logits", 7, [6, 0, 3])
    assert whole.pictures.shape == (3, 48, 48)
    np.testing.assert_allclose(whole.pictures, halves.pictures, atol=0.1)
    np.testing.assert_allclose(whole.strengths, halves.strengths, rtol=1e-3)


def texts(figure):
    """What a sheet of tiles says, without its title."""
    return [text.get_text() for text in figure.axes[0].texts]


def test_what_a_sheet_of_filters_shows(drawn_figures):
    pictures = np.random.default_rng(0).uniform(0, 255, (20, 48, 48))
    layer = filters.Layer("conv", 64, np.arange(20), pictures, np.arange(20) / 3)
    logits = filters.Layer("logits", 7, np.array([3]), pictures[:1], np.array([5.5]))
    sheets.plot_filters([layer, logits], "cnn: filters", "filters.png")
    figure = drawn_figures.pop()[1]
    (panel,) = figure.axes
    assert figure.get_suptitle() == "cnn: filters"
    assert texts(figure)[:3] == [
        "conv, 20 of 64, with the mean activation reached",
        "0: 0",
        "1: 0.333",
    ]
    assert texts(figure)[-2:] == [
        "logits, 1 of 7, with the mean activation reached",
        "happy: 5.5",
    ]
    assert len(panel.images) == 21
    np.testing.assert_array_equal(panel.images[17].get_array(), pictures[17])
    assert {image.get_clim() for image in panel.images} == {(0, 255)}
    # Sixteen to a line, all of one size, none over another and all on the sheet.
    places = np.array([image.get_extent() for image in panel.images])
    left, right, bottom, top = places.T
    assert len(set(top[:16])) == 1 and top[16] > bottom[0]
    np.testing.assert_allclose(right[:20] - left[:20], right[0] - left[0])
    np.testing.assert_allclose(bottom - top, right - left)
    assert (left[1:16] > right[:15]).all() and top[20] > bottom[16]
    width, height = figure.get_size_inches()
    assert left.min() > 0 and right.max() < width and bottom.max() < height


def test_what_a_sheet_of_responses_shows(drawn_figures):
    face = np.full((48, 48, 1), 9, dtype=np.uint8)
    maps = np.linspace(-2, 3, 2 * 6 * 6).reshape(2, 6, 6)
    layer = filters.Layer("conv", 8, np.array([5, 1]), maps, np.array([0.25, 0.125]))
    sheets.plot_responses(face, "face 3, sad", [layer], "title", "responses.png")
    figure = drawn_figures.pop()[1]
    assert texts(figure) == [
        "face 3, sad",
        "conv, 2 of 8 maps of 6x6, with their mean positive part",
        "5: 0.25",
        "1: 0.12",
    ]
    panel, bar = figure.axes
    assert (panel.images[0].get_array() == 9).all()
    np.testing.assert_array_equal(panel.images[2].get_array(), maps[1])
    limits = np.percentile(maps, (1, 99))
    np.testing.assert_allclose(panel.images[2].get_clim(), limits)
    np.testing.assert_allclose(bar.get_yticks(), limits)


@pytest.fixture
def saved(model, tmp_path):
    model.save(tmp_path / "model.keras")
    return str(tmp_path / "model.keras")


def test_bad_input_is_refused(saved, drawn, tmp_path):
    faces = ["--train", str(drawn / "train.csv")]
    for arguments, words in (
        (["--layer", "nose"], "layer nose: .*conv, .*logits"),
        (["--face", "420", *faces], "--face 420: .* from 0 to 419"),
        (["--face", "4", *faces, "--layer", "logits"], "logits: expected one with map"),
    ):
        with pytest.raises(InputError, match=words):
            plot_filters.main([saved, *arguments])
    pixels = keras.Input((48, 48, 1))
    dense = layers.Dense(7, activation="softmax")(layers.Flatten()(pixels))
    keras.Model(pixels, dense).save(saved)
    with pytest.raises(InputError, match="convolutions, found none"):
        plot_filters.main([saved])
    assert [file.name for file in tmp_path.iterdir()] == ["model.keras"]


def test_count(monkeypatch, capsys):
    """Small layers are drawn whole, without faces; large ones only when asked."""
    for size, count, expected in (
        (7, None, None),
        (7, 7, 7),
        (filters.FILTERS_PER_LAYER, None, None),
        (384, None, filters.FILTERS_PER_LAYER),
        (384, 64, 64),
        (384, "all", None),
    ):
        pixels = keras.Input((48, 48, 1))
        part = keras.Model(pixels, layers.Conv2D(size, 1)(pixels))
        assert filters.choose_count(part, count) == expected
    parser = plot_filters.build_parser()
    assert parser.parse_args(["--count", "all"]).count == "all"
    assert parser.parse_args(["--count", "3"]).count == 3
    for bad in ("0", "none", "1.5"):
        with pytest.raises(SystemExit) as stop:
            parser.parse_args(["--count", bad])
        assert stop.value.code == 2
        assert "or all" in capsys.readouterr().err


def test_the_flags_reach_the_sheet(saved, drawn, drawn_figures):
    faces = ["--train", str(drawn / "train.csv")]
    plot_filters.main([saved, "--layer", "logits", "--steps", "2"])
    path, figure = drawn_figures.pop()
    assert path.as_posix() == "plots/model_filters.png"
    assert figure.get_suptitle().startswith("model: ") and "2 steps" in (
        figure.get_suptitle()
    )
    captions = [text.split(":")[0] for text in texts(figure)[1:]]
    assert captions == list(EMOTIONS)

    plot_filters.main([saved, "--face", "3", *faces, "--count", "1"])
    path, figure = drawn_figures.pop()
    images, labels = data.load_training_faces(drawn / "train.csv")
    assert path.as_posix() == "plots/model_responses.png"
    assert texts(figure)[0] == f"face 3, {EMOTIONS[labels[3]]}"
    assert texts(figure)[1].startswith("conv, 1 of 2 maps of 1x1")
    np.testing.assert_array_equal(
        figure.axes[0].images[0].get_array(), images[3, ..., 0]
    )


@pytest.mark.slow
def test_the_script_end_to_end(trained, drawn, tmp_path):
    checkpoint = trained / "checkpoints/small_run.keras"
    before = checkpoint.read_bytes()
    process = run_script(
        "plot_filters.py",
        *(checkpoint, "--count", 20, "--train", drawn / "train.csv", "--steps", 2),
        cwd=tmp_path,
    )
    assert process.stdout.endswith("\nwrote plots/small_run_filters.png\n")
    Image.open(tmp_path / "plots/small_run_filters.png").verify()
    assert checkpoint.read_bytes() == before
