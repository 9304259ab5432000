"""Saliency and Grad-CAM: known cases, a planted one, and a second opinion."""

import sys

import keras
import numpy as np
import pytest
from conftest import run_script
from keras import layers

import plot_saliency
from fer import command, gradients


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (3, 48, 48, 1), dtype=np.uint8)


CLASSES = np.array([2, 0, 6])


def close(model_input, features):
    """A classifier that ends as the project's networks do."""
    logits = layers.Dense(7, name="logits")(features)
    probabilities = layers.Softmax(name="probabilities")(logits)
    return keras.Model(model_input, probabilities)


@pytest.fixture
def linear():
    keras.utils.set_random_seed(0)
    pixels = keras.Input((48, 48, 1))
    return close(pixels, layers.Flatten()(pixels))


@pytest.fixture
def convolutional():
    """Convolution, normalization, rectifier, pooling: twice, with a dense end."""
    keras.utils.set_random_seed(1)
    pixels = keras.Input((48, 48, 1))
    x = layers.Rescaling(1 / 255)(pixels)
    for group in (1, 2):
        x = layers.Conv2D(8, 3, padding="same", name=f"conv{group}")(x)
        x = layers.BatchNormalization(name=f"norm{group}")(x)
        x = layers.ReLU(name=f"relu{group}")(x)
        x = layers.MaxPooling2D(name=f"pool{group}")(x)
    return close(pixels, layers.Flatten()(layers.Dropout(0.5)(x)))


def test_saliency_of_a_linear_model_is_its_weights(linear, images):
    kernel = linear.get_layer("logits").kernel.numpy().reshape(48, 48, 7)
    expected = np.abs(kernel[..., CLASSES]).transpose(2, 0, 1)
    for samples, noise in ((1, 0.0), (5, 0.3)):
        saliency = plot_saliency.compute_saliency(
            linear, images, CLASSES, samples, noise, seed=0
        )
        np.testing.assert_allclose(saliency, expected, rtol=1e-5)


def test_saliency_lies_where_a_model_looks(images):
    """A planted model sees the mouth only: rows 30 to 41, columns 14 to 33."""
    keras.utils.set_random_seed(2)
    pixels = keras.Input((48, 48, 1))
    mouth = layers.Cropping2D(((30, 6), (14, 14)))(pixels)
    x = layers.Conv2D(4, 3, activation="relu")(mouth)
    model = close(pixels, layers.Flatten()(x))
    saliency = plot_saliency.compute_saliency(model, images, CLASSES, 4, 0.2, seed=0)
    inside = np.zeros((48, 48), dtype=bool)
    inside[30:42, 14:34] = True
    assert (saliency[:, ~inside] == 0).all()
    assert (saliency[:, inside] > 0).mean() > 0.9


def test_grad_cam_by_hand(images):
    """One 1x1 convolution and an average: every weight is known."""
    pixels = keras.Input((48, 48, 1))
    maps = layers.Conv2D(2, 1, use_bias=False, name="conv")(pixels)
    model = close(pixels, layers.GlobalAveragePooling2D()(maps))
    model.get_layer("conv").set_weights([np.array([1.0, -2]).reshape(1, 1, 1, 2)])
    kernel = np.random.default_rng(3).normal(size=(2, 7)).astype("float32")
    model.get_layer("logits").set_weights([kernel, np.zeros(7)])
    cam = plot_saliency.compute_grad_cam(model, images, CLASSES, "conv")
    slopes = (kernel[0] - 2 * kernel[1])[CLASSES][:, None, None] / 48**2
    np.testing.assert_allclose(
        cam, np.maximum(slopes * images[..., 0], 0), rtol=1e-4, atol=1e-6
    )


def test_agrees_with_tf_keras_vis(convolutional, images, monkeypatch):
    """To a thousandth of the peak of each map, on the same noise."""
    saliency_module = pytest.importorskip("tf_keras_vis.saliency")
    grad_cam_module = pytest.importorskip("tf_keras_vis.gradcam")
    scores = pytest.importorskip("tf_keras_vis.utils.scores")
    score = scores.CategoricalScore(CLASSES.tolist())
    faces = images.astype("float32")
    logits = gradients.build_part(convolutional, "logits")

    theirs = saliency_module.Saliency(logits, clone=False)
    monkeypatch.setattr(np.random, "normal", np.random.default_rng(5).normal)
    for samples, noise in ((0, 0.0), (6, 0.15)):
        expected = theirs(
            score,
            faces,
            smooth_samples=samples,
            smooth_noise=noise,
            gradient_modifier=None,
            keepdims=True,
            normalize_map=False,
        )
        ours = plot_saliency.compute_saliency(
            convolutional, images, CLASSES, max(samples, 1), noise, seed=5
        )
        expected = np.abs(expected[..., 0])
        assert np.abs(ours - expected).max() < 1e-3 * expected.max()

    theirs = grad_cam_module.Gradcam(logits, clone=False)
    for layer in ("conv2", "relu2"):
        expected = theirs(
            score,
            faces,
            penultimate_layer=layer,
            seek_penultimate_conv_layer=False,
            expand_cam=False,
            normalize_cam=False,
        )
        ours = plot_saliency.compute_grad_cam(convolutional, images, CLASSES, layer)
        expected = np.asarray(expected)
        assert expected.max() > 0
        assert np.abs(ours - expected).max() < 1e-3 * expected.max()


def test_the_model_is_left_as_it_is(convolutional, images):
    config, weights = convolutional.get_config(), convolutional.get_weights()
    outputs = convolutional.predict(images.astype("float32"), verbose=0)
    plot_saliency.compute_saliency(convolutional, images, CLASSES, 2, 0.1, seed=0)
    plot_saliency.compute_grad_cam(convolutional, images, CLASSES, "relu2")
    assert convolutional.get_config() == config
    for before, after in zip(weights, convolutional.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    again = convolutional.predict(images.astype("float32"), verbose=0)
    np.testing.assert_array_equal(outputs, again)


def test_heat_is_scaled_per_face():
    maps = np.arange(2 * 48 * 48, dtype="float32").reshape(2, 48, 48)
    maps[1] *= 1000
    for percentile in (99, 100):
        heat = plot_saliency.scale_heat(maps, percentile)
        assert heat.min() >= 0
        np.testing.assert_array_equal(heat.max(axis=(1, 2)), 1)
    assert (plot_saliency.scale_heat(np.zeros((1, 48, 48)), 99) == 0).all()


def test_masks_keep_the_most_salient_pixels(images, rng):
    saliency = rng.random((3, 48, 48))
    kept = plot_saliency.find_most_salient(saliency)
    assert (kept.sum(axis=(1, 2)) == round(0.3 * 48 * 48)).all()
    assert saliency[0][kept[0]].min() > saliency[0][~kept[0]].max()
    masked = plot_saliency.mask_faces(images, kept)
    np.testing.assert_array_equal(masked[kept], images[kept])
    assert np.unique(masked[1][~kept[1]]).tolist() == [round(images[1].mean())]


def test_the_score_favours_the_pixels_that_a_model_uses(linear, images):
    """Of a linear model the kept pixels alone decide, so true saliency wins."""
    kernel, bias = linear.get_layer("logits").get_weights()
    kernel[np.random.default_rng(4).random(len(kernel)) < 0.8] = 0
    linear.get_layer("logits").set_weights([0.02 * kernel, bias])
    faces = images.astype("float32")
    classes = linear.predict(faces, verbose=0).argmax(axis=1)
    saliency = plot_saliency.compute_saliency(linear, images, classes, 1, 0, seed=0)
    scores = plot_saliency.compute_score(linear, images, classes, saliency, seed=0)
    (kept, removed), (random_kept, random_removed) = scores.values()
    assert kept > random_kept and removed < random_removed


def test_default_faces_are_the_surest_right_and_wrong_ones():
    labels = np.array([3, 3, 3, 3, 4])
    probabilities = np.full((5, 7), 0.01)
    probabilities[[0, 1, 2, 3, 4], [3, 3, 4, 4, 4]] = 0.6, 0.9, 0.7, 0.8, 0.5
    rows = np.array([10, 11, 12, 13, 14])
    chosen = plot_saliency.choose_faces(
        rows, labels, probabilities, ("happy", "sad"), count=2
    )
    assert chosen.tolist() == [[11, 13], [10, 12], [14, -1], [-1, -1]]


def test_grad_cam_takes_the_rectified_maps_of_the_last_convolution(
    convolutional, linear
):
    assert plot_saliency.find_grad_cam_layer(convolutional, None) == "relu2"
    assert plot_saliency.find_grad_cam_layer(convolutional, "conv1") == "conv1"
    assert plot_saliency.find_grad_cam_layer(linear, None) is None
    with pytest.raises(command.InputError, match="found none"):
        plot_saliency.find_grad_cam_layer(linear, "conv1")
    with pytest.raises(command.InputError, match="choose from conv1, .*pool2"):
        plot_saliency.find_grad_cam_layer(convolutional, "logits")


def test_the_script_end_to_end(trained, drawn, tmp_path):
    arguments = ["--train", drawn / "train.csv", "--samples", "3"]
    checkpoint = trained / "checkpoints/small_run.keras"
    before = checkpoint.read_bytes()
    process = run_script(
        "plot_saliency.py", checkpoint, *arguments, "--score", cwd=tmp_path
    )
    assert "warning" not in process.stderr
    assert "most salient" in process.stdout and "random" in process.stdout
    assert (tmp_path / "plots/small_run_saliency.png").stat().st_size > 50_000
    assert checkpoint.read_bytes() == before

    process = run_script(
        "plot_saliency.py",
        *(checkpoint, *arguments, "--rows", "0", "420", "--output", "no.png"),
        cwd=tmp_path,
        status=2,
    )
    assert process.stderr.splitlines()[-1].startswith("error: --rows 420: expected")
    assert not (tmp_path / "no.png").exists()


def test_a_dnn_has_no_grad_cam(linear, drawn, tmp_path, monkeypatch, capsys):
    linear.save(tmp_path / "dnn.keras")
    arguments = ["plot_saliency.py", tmp_path / "dnn.keras", "--rows", "0", "5"]
    arguments += ["--train", drawn / "train.csv", "--output", tmp_path / "dnn.png"]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    plot_saliency.main()
    assert "no Grad-CAM: " in capsys.readouterr().out
    assert (tmp_path / "dnn.png").stat().st_size > 10_000

    monkeypatch.setattr(sys, "argv", [*sys.argv, "--grad-cam", "conv1"])
    with pytest.raises(command.InputError, match="expected a model with convolutions"):
        plot_saliency.main()


def test_columns_follow_the_heat():
    """Below a threshold the face shows, above it the colour of the heat."""
    saliency = np.zeros((1, 48, 48))
    saliency[0, :10] = 0.5
    saliency[0, 10:20] = 1
    images = np.full((1, 48, 48, 1), 102, dtype=np.uint8)
    columns = plot_saliency.build_columns(images, saliency, None)
    assert list(columns) == ["face", "saliency", "above 0.3", "above 0.7", "top 30 %"]
    is_face = (np.abs(columns["above 0.3"] - 102 / 255) < 1e-6).all(axis=-1)[0]
    assert not is_face[:20].any() and is_face[20:].all()
    is_face = (np.abs(columns["above 0.7"] - 102 / 255) < 1e-6).all(axis=-1)[0]
    assert is_face[:10].all() and not is_face[10:20].any()
