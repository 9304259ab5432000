"""Saliency and Grad-CAM: known cases, a planted one, and a second opinion."""

import keras
import numpy as np
import pytest
from conftest import run_script
from keras import layers
from PIL import Image

import plot_saliency
from fer import command, data, gradients, prediction, saliency, sheets
from fer.faces import EMOTIONS


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
        found = saliency.compute_saliency(
            linear, images, CLASSES, samples, noise, seed=0
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_saliency_lies_where_a_model_looks(images):
    """A planted model sees the mouth only: rows 30 to 41, columns 14 to 33."""
    keras.utils.set_random_seed(2)
    pixels = keras.Input((48, 48, 1))
    mouth = layers.Cropping2D(((30, 6), (14, 14)))(pixels)
    x = layers.Conv2D(4, 3, activation="relu")(mouth)
    model = close(pixels, layers.Flatten()(x))
    found = saliency.compute_saliency(model, images, CLASSES, 4, 0.2, seed=0)
    inside = np.zeros((48, 48), dtype=bool)
    inside[30:42, 14:34] = True
    assert (found[:, ~inside] == 0).all()
    assert (found[:, inside] > 0).mean() > 0.9


def test_grad_cam_by_hand(images):
    """One 1x1 convolution and an average: every weight is known."""
    pixels = keras.Input((48, 48, 1))
    maps = layers.Conv2D(2, 1, use_bias=False, name="conv")(pixels)
    model = close(pixels, layers.GlobalAveragePooling2D()(maps))
    model.get_layer("conv").set_weights([np.array([1.0, -2]).reshape(1, 1, 1, 2)])
    kernel = np.random.default_rng(3).normal(size=(2, 7)).astype("float32")
    model.get_layer("logits").set_weights([kernel, np.zeros(7)])
    cam = saliency.compute_grad_cam(model, images, CLASSES, "conv")
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
        ours = saliency.compute_saliency(
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
        ours = saliency.compute_grad_cam(convolutional, images, CLASSES, layer)
        expected = np.asarray(expected)
        assert expected.max() > 0
        assert np.abs(ours - expected).max() < 1e-3 * expected.max()


def test_the_model_is_left_as_it_is(convolutional, images):
    config, weights = convolutional.get_config(), convolutional.get_weights()
    outputs = convolutional.predict(images.astype("float32"), verbose=0)
    saliency.compute_saliency(convolutional, images, CLASSES, 2, 0.1, seed=0)
    saliency.compute_grad_cam(convolutional, images, CLASSES, "relu2")
    assert convolutional.get_config() == config
    for before, after in zip(weights, convolutional.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    again = convolutional.predict(images.astype("float32"), verbose=0)
    np.testing.assert_array_equal(outputs, again)


def test_progress_counts_every_copy(linear, images, monkeypatch):
    monkeypatch.setattr(saliency, "BATCH_SIZE", 2)
    counts = []
    saliency.compute_saliency(linear, images, CLASSES, 4, advance=counts.append)
    assert counts == [2, 1] * 4


def test_an_explanation_is_about_the_predicted_emotion(convolutional, images):
    found = saliency.explain(convolutional, images, "relu2", samples=2, seed=3)
    expected = prediction.predict(convolutional, images)
    classes = expected.argmax(axis=1)
    np.testing.assert_array_equal(found.probabilities, expected)
    np.testing.assert_allclose(
        found.saliency,
        saliency.compute_saliency(convolutional, images, classes, 2, seed=3),
        rtol=1e-4,
    )
    cam = saliency.compute_grad_cam(convolutional, images, classes, "relu2")
    assert cam.shape == (3, 24, 24) and found.grad_cam.shape == (3, 48, 48)
    # Linear interpolation adds no extremes, and keeps the mean but for the edge.
    assert found.grad_cam.max() <= cam.max() * 1.0001
    np.testing.assert_allclose(found.grad_cam.mean(), cam.mean(), rtol=0.05)
    assert saliency.explain(convolutional, images, samples=1).grad_cam is None


def test_heat_is_scaled_per_face():
    maps = np.arange(2 * 48 * 48, dtype="float32").reshape(2, 48, 48)
    maps[1] *= 1000
    for percentile in (99, 100):
        heat = sheets.scale_heat(maps, percentile)
        assert heat.min() >= 0
        np.testing.assert_array_equal(heat.max(axis=(1, 2)), 1)
    assert (sheets.scale_heat(np.zeros((1, 48, 48)), 99) == 0).all()


def test_masks_keep_the_most_salient_pixels(images, rng):
    values = rng.random((3, 48, 48))
    kept = saliency.find_most_salient(values)
    assert (kept.sum(axis=(1, 2)) == round(0.3 * 48 * 48)).all()
    assert values[0][kept[0]].min() > values[0][~kept[0]].max()
    tenth = saliency.find_most_salient(values, share=0.1)
    assert tenth[0].sum() == 230 and (tenth <= kept).all()
    masked = saliency.mask_faces(images, kept)
    np.testing.assert_array_equal(masked[kept], images[kept])
    assert np.unique(masked[1][~kept[1]]).tolist() == [round(images[1].mean())]


def test_the_score_favours_the_pixels_that_a_model_uses(linear, images):
    """Of a linear model the kept pixels alone decide, so true saliency wins."""
    kernel, bias = linear.get_layer("logits").get_weights()
    kernel[np.random.default_rng(4).random(len(kernel)) < 0.8] = 0
    linear.get_layer("logits").set_weights([0.02 * kernel, bias])
    faces = images.astype("float32")
    classes = linear.predict(faces, verbose=0).argmax(axis=1)
    found = saliency.compute_saliency(linear, images, classes, 1, 0)
    scores = saliency.compute_score(linear, images, classes, found)
    (kept, removed), (random_kept, random_removed) = scores.values()
    assert kept.mean() > random_kept.mean()
    assert removed.mean() < random_removed.mean()


def test_default_faces_are_the_surest_right_and_wrong_ones():
    labels = np.array([3, 3, 3, 3, 4])
    probabilities = np.full((5, 7), 0.01)
    probabilities[[0, 1, 2, 3, 4], [3, 3, 4, 4, 4]] = 0.6, 0.9, 0.7, 0.8, 0.5
    rows = np.array([10, 11, 12, 13, 14])
    chosen = saliency.choose_faces(
        rows, labels, probabilities, ("happy", "sad"), count=2
    )
    assert chosen.tolist() == [[11, 13], [10, 12], [14, -1], [-1, -1]]


def test_grad_cam_takes_the_rectified_maps_of_the_last_convolution(
    convolutional, linear
):
    assert saliency.find_grad_cam_layer(convolutional, None) == "relu2"
    assert saliency.find_grad_cam_layer(convolutional, "conv1") == "conv1"
    assert saliency.find_grad_cam_layer(linear, None) is None
    with pytest.raises(command.InputError, match="found none"):
        saliency.find_grad_cam_layer(linear, "conv1")
    with pytest.raises(command.InputError, match="choose from conv1, .*pool2"):
        saliency.find_grad_cam_layer(convolutional, "logits")


@pytest.mark.slow
def test_the_script_end_to_end(trained, drawn, tmp_path):
    checkpoint = trained / "checkpoints/small_run.keras"
    before = checkpoint.read_bytes()
    process = run_script(
        "plot_saliency.py",
        *(checkpoint, "--train", drawn / "train.csv", "--samples", "3", "--score"),
        cwd=tmp_path,
    )
    assert "warning" not in process.stderr
    lines = process.stdout.splitlines()[-4:]
    assert lines[0] == "wrote plots/small_run_saliency.png"
    # Of 420 drawn faces a tenth is held out.
    assert lines[1].startswith("probability of the predicted emotion over 42 faces: ")
    assert [line.split(",")[1].split()[0] for line in lines[2:]] == ["most", "random"]
    Image.open(tmp_path / "plots/small_run_saliency.png").verify()
    assert checkpoint.read_bytes() == before


@pytest.fixture
def dense(linear, tmp_path):
    """What calls the script on a saved model without convolutions."""
    linear.save(tmp_path / "dnn.keras")

    def run(*arguments):
        plot_saliency.main([str(tmp_path / "dnn.keras"), *map(str, arguments)])

    return run


def texts(figure):
    """What a sheet of tiles says, without its title."""
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_dnn_has_no_grad_cam(dense, drawn, drawn_figures, capsys):
    dense("--rows", 0, 5, "--train", drawn / "train.csv", "--samples", 1)
    assert "no Grad-CAM: " in capsys.readouterr().out
    path, figure = drawn_figures.pop()
    assert path.as_posix() == "plots/dnn_saliency.png"
    assert "Grad-CAM" not in texts(figure)
    images, labels = data.load_training_faces(drawn / "train.csv")
    pictures = [image.get_array() for image in figure.axes[0].images]
    assert len(pictures) == 2 * 5
    for picture, row in ((pictures[0], 0), (pictures[5], 5)):
        np.testing.assert_allclose(picture[..., 1], images[row, ..., 0] / 255)
    headings = [text for text in texts(figure) if text.startswith("predicted")]
    for heading, row in zip(headings, (0, 5), strict=True):
        assert f", true {EMOTIONS[labels[row]]} " in heading


def test_bad_input_is_refused(dense, drawn, tmp_path):
    train = "--train", drawn / "train.csv"
    with pytest.raises(command.InputError, match="expected a model with convolutions"):
        dense("--grad-cam", "conv1", *train)
    with pytest.raises(command.InputError, match="--rows 420: expected .* 0 to 419"):
        dense("--rows", 0, 420, *train)
    answers = (drawn / "test_labels.csv").read_text().splitlines()
    (tmp_path / "some.csv").write_text("\n".join(answers[:10]))
    some = "--test", drawn / "test.csv", "--labels", tmp_path / "some.csv"
    with pytest.raises(command.InputError, match="--rows 20: expected .* is known"):
        dense("--rows", 8, 20, *some)
    fearless = tmp_path / "fearless.csv"
    lines = (drawn / "train.csv").read_text().splitlines()
    fearless.write_text("\n".join(line for line in lines if not line.startswith("2,")))
    with pytest.raises(command.InputError, match="that are fear, found none"):
        dense("--emotion", "fear", "--train", fearless)
    assert not list(tmp_path.glob("plots/*"))


def test_a_missing_model_is_said_at_once(tmp_path):
    with pytest.raises(command.InputError, match="no.keras: expected a checkpoint"):
        plot_saliency.main([str(tmp_path / "no.keras"), "--train", "no.csv"])


def test_columns_follow_the_heat():
    """Below a threshold the face shows, above it the colour of the heat."""
    heat = np.zeros((1, 48, 48))
    heat[0, :10] = 0.5
    heat[0, 10:20] = 1
    images = np.full((1, 48, 48, 1), 102, dtype=np.uint8)
    explanation = saliency.Explanation(np.eye(7)[:1], heat, None)
    columns = sheets.build_columns(images, explanation)
    assert list(columns) == ["face", "saliency", "above 0.3", "above 0.7", "top 30 %"]
    is_face = (np.abs(columns["above 0.3"] - 102 / 255) < 1e-6).all(axis=-1)[0]
    assert not is_face[:20].any() and is_face[20:].all()
    is_face = (np.abs(columns["above 0.7"] - 102 / 255) < 1e-6).all(axis=-1)[0]
    assert is_face[:10].all() and not is_face[10:20].any()


def test_what_a_sheet_of_faces_shows(images, drawn_figures):
    """Three faces in two blocks; in the place of the fourth there is a gap."""
    probabilities = np.eye(7)[[3, 4, 5]] * 0.9
    maps = np.random.default_rng(7).random((2, 3, 48, 48))
    explanation = saliency.Explanation(probabilities, *maps)
    is_shown = np.array([[False, True], [True, True]])
    sheets.plot_faces(images, [3, 0, 5], explanation, is_shown, "title", "faces.png")
    figure = drawn_figures.pop()[1]
    panel, bar = figure.axes
    columns = sheets.build_columns(images, explanation)
    assert texts(figure) == [
        "none among these faces",
        *columns,
        "predicted happy 0.90, true happy 0.90",
        *columns,
        "predicted sad 0.90, true angry 0.00",
        "predicted surprise 0.90, true surprise 0.90",
    ]
    assert list(columns)[-1] == "Grad-CAM" and len(panel.images) == 4 * 6
    tiles = np.reshape([image.get_array() for image in panel.images], (4, 6, 48, 48, 3))
    assert (tiles[0] == 1).all()
    for face in range(3):
        for tile, pictures in zip(tiles[face + 1], columns.values(), strict=True):
            np.testing.assert_array_equal(tile, pictures[face])
    assert (bar.get_ylabel(), bar.get_ylim()) == ("share of the peak", (0, 1))
    # The blocks stand beside one another, the lines below one another.
    left, _, _, top = np.array([image.get_extent() for image in panel.images]).T
    assert left[6] > left[5] and top[6] == top[0] and top[12] > top[0]
    assert left[12] == left[0] and left[18] == left[6]
