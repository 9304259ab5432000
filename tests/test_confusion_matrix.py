"""The confusion matrix and its words, and which faces it is measured on."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import ROOT, run_script
from keras import layers
from PIL import Image

import plot_confusion_matrix
from fer import checkpoints, figures, measures, paths
from fer.command import InputError
from fer.faces import EMOTIONS, compute_fingerprint

HAPPY, SAD = EMOTIONS.index("happy"), EMOTIONS.index("sad")


@pytest.fixture
def counts():
    """Ten faces of every emotion but disgust, of which there is none."""
    counts = np.diag([10, 0, 10, 10, 10, 10, 10])
    counts[2, [2, 4, 6]] = 7, 2, 1
    counts[6, [6, 3]] = 5, 5
    return counts


def one_hot(predictions):
    return np.eye(len(EMOTIONS))[predictions]


def test_confusions_in_words(counts):
    # Fear is taken for neutral in exactly 10 %, which is not above 10 %.
    assert measures.describe_confusions(counts) == [
        "neutral is taken for happy 50 %",
        "fear is taken for sad 20 %",
    ]
    assert measures.find_confusions(counts)[-1] == (2, 4, 0.2)
    assert measures.describe_confusions(np.eye(7, dtype=int)) == []


def test_rows_are_true_emotions_and_sum_to_one(counts):
    labels = np.array([SAD, SAD, HAPPY])
    confusion = measures.compute_confusion(one_hot([HAPPY, SAD, HAPPY]), labels)
    assert confusion.shape == (7, 7) and confusion.sum() == 3
    assert confusion[SAD, HAPPY] == 1 and confusion[HAPPY, SAD] == 0

    shares = measures.normalize_rows(counts)
    np.testing.assert_allclose(np.delete(shares, 1, axis=0).sum(axis=1), 1)
    assert np.isnan(shares[1]).all()
    np.testing.assert_allclose(
        measures.compute_recalls(counts), [1, np.nan, 0.7, 1, 1, 1, 0.5]
    )


def test_scores_of_a_hand_made_case():
    """Sad: 1 of 2 found, nothing else called sad. Happy: found, once too often."""
    labels = np.array([SAD, SAD, HAPPY])
    table = measures.describe_scores(one_hot([HAPPY, SAD, HAPPY]), labels)
    rows = {line.split()[0]: line.split() for line in table.splitlines() if line}
    assert rows["sad"][1:] == ["1.000", "0.500", "0.667", "2"]
    assert rows["happy"][1:] == ["0.500", "1.000", "0.667", "1"]
    assert rows["disgust"][1:] == ["nan", "nan", "nan", "0"]
    assert rows["macro"][2:5] == ["0.750", "0.750", "0.667"]


def test_what_the_matrices_show(counts, drawn_figures):
    panels = {"one": counts, "average of 2 models": 2 * counts}
    figures.plot_confusions(panels, "60 faces", "figure.png")
    figure = drawn_figures.pop()[1]
    # The last one is the colour bar.
    one, average, _ = figure.axes
    assert figure.get_suptitle() == "60 faces"
    assert (one.get_title(), average.get_title()) == tuple(panels)
    shares = measures.normalize_rows(counts)
    for panel in (one, average):
        drawn = np.delete(panel.images[0].get_array(), 1, axis=0)
        np.testing.assert_allclose(drawn, np.delete(shares, 1, axis=0))
    texts = np.reshape([text.get_text() for text in average.texts], (7, 7))
    assert texts[2].tolist() == [
        *("0 %\n0", "0 %\n0", "70 %\n14", "0 %\n0", "20 %\n4", "0 %\n0"),
        "10 %\n2",
    ]
    # Of an emotion without faces nothing is known.
    assert set(texts[1]) == {"–"}


def answers(confidences, is_right):
    """Probabilities of happy, and labels that make them right or wrong."""
    probabilities = np.outer(1 - np.array(confidences), np.ones(7)) / 6
    probabilities[:, HAPPY] = confidences
    return probabilities, np.where(is_right, HAPPY, SAD)


def test_calibration_by_hand():
    """Bins of a fifth: 0.5 and 0.56 (one right), 0.9 and 1.0 (both right)."""
    probabilities, labels = answers([0.5, 0.56, 0.9, 1.0], [True, False, True, True])
    found = measures.compute_calibration(probabilities, labels, bins=5)
    assert found.count.tolist() == [0, 0, 2, 0, 2]
    np.testing.assert_allclose(
        found.confidence, [np.nan, np.nan, 0.53, np.nan, 0.95], rtol=1e-6
    )
    np.testing.assert_allclose(found.accuracy, [np.nan, np.nan, 0.5, np.nan, 1])
    assert found.error == pytest.approx(0.04)
    assert len(measures.compute_calibration(probabilities, labels).count) == 15


def test_answers_drawn_from_the_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(7, 0.3), 20_000).astype("float32")
    labels = (rng.random((20_000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    assert measures.compute_calibration(probabilities, labels.clip(0, 6)).error < 0.015
    # Twice as sure of the same answers: always wrong by the difference.
    certain = one_hot(probabilities.argmax(axis=1))
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    found = measures.compute_calibration(certain, labels)
    assert found.error == pytest.approx(1 - accuracy)


def test_what_the_reliability_diagram_shows(drawn_figures):
    probabilities, labels = answers([0.5, 0.56, 0.9, 1.0], [True, False, True, True])
    calibration = measures.compute_calibration(probabilities, labels, bins=5)
    figures.plot_calibration(calibration, "four faces", "figure.png")
    figure = drawn_figures.pop()[1]
    panel, faces = figure.axes
    assert figure.get_suptitle() == "four faces"
    assert panel.get_title() == "expected calibration error 0.040"
    np.testing.assert_array_equal(
        [bar.get_height() for bar in panel.patches], calibration.accuracy
    )
    np.testing.assert_allclose([bar.get_x() for bar in panel.patches], np.arange(5) / 5)
    assert [bar.get_height() for bar in faces.patches] == [0, 0, 2, 0, 2]


def test_standard_error_of_an_accuracy():
    assert measures.compute_standard_error(0.5, 100) == pytest.approx(0.05)
    assert measures.compute_standard_error(1.0, 100) == 0


@pytest.fixture
def faces():
    images = np.arange(10, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, (10, 48, 48, 1)).copy()
    return images, np.arange(10) % 7


def write_record(path, faces, rows):
    settings = {"faces": compute_fingerprint(*faces)}
    record = {"settings": settings, "validation_rows": rows}
    path.with_suffix(".json").write_text(json.dumps(record))
    return path


def test_held_out_rows_are_those_of_the_records(faces, tmp_path):
    one = write_record(tmp_path / "one.keras", faces, [1, 4, 7])
    two = write_record(tmp_path / "two.keras", faces, [4, 7, 9])
    rows, why = checkpoints.find_held_out_rows([one], *faces)
    assert (rows.tolist(), why) == ([1, 4, 7], None)
    rows, why = checkpoints.find_held_out_rows([one, two], *faces)
    assert (rows.tolist(), why) == ([4, 7], None)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [(None, "no record"), ([], "every row"), ([3, 11], "other faces")],
)
def test_why_there_are_no_held_out_faces(rows, reason, faces, tmp_path):
    path = tmp_path / "one.keras"
    if rows is not None:
        other = faces[0][::-1], faces[1]
        write_record(path, other if reason == "other faces" else faces, rows)
    found, why = checkpoints.find_held_out_rows([path], *faces)
    assert found is None and reason in why


@pytest.mark.parametrize("text", ['{"validation_rows": [1,', "[]"])
def test_a_damaged_record_is_refused(text, tmp_path):
    (tmp_path / "one.json").write_text(text)
    with pytest.raises(InputError, match="one.json"):
        checkpoints.load_record(tmp_path / "one.keras")
    assert checkpoints.load_record(tmp_path / "two.keras") is None


def test_the_script_end_to_end(trained, drawn, tmp_path, drawn_figures, capsys):
    """A run of train_cnn.py beside a model without a record."""
    other = tmp_path / "other.keras"
    pixels = keras.Input((48, 48, 1))
    logits = layers.Dense(7, name="logits")(layers.Flatten()(pixels))
    keras.Model(pixels, layers.Softmax()(logits)).save(other)
    run = trained / "checkpoints/small_run.keras"
    process = run_script(
        "plot_confusion_matrix.py", run, "--train", drawn / "train.csv", cwd=tmp_path
    )
    record = json.loads(run.with_suffix(".json").read_text())
    assert f"{len(record['validation_rows'])} faces" in process.stdout
    assert "warning" not in process.stderr
    accuracy = [line for line in process.stdout.splitlines() if "accuracy" in line]
    assert float(accuracy[0].split()[1]) == pytest.approx(
        record["val_accuracy"], abs=0.0005
    )
    Image.open(tmp_path / "plots/small_run_confusion_matrix.png").verify()

    train = "--train", str(drawn / "train.csv")
    plot_confusion_matrix.main([str(run), str(other), *train])
    printed = capsys.readouterr()
    assert "average of 2 models, 420 faces" in printed.out
    assert f"warning: {other} has no record" in printed.err
    path, figure = drawn_figures.pop()
    assert path.name == "small_run_confusion_matrix.png"
    assert figure.get_suptitle() == "420 faces, also those trained on"
    titles = [panel.get_title().split(":")[0] for panel in figure.axes]
    assert titles == ["small_run", "average of 2 models", ""]


def test_without_a_model_the_default_one_is_taken(trained, drawn, monkeypatch):
    """Named by its path, or said to be missing before anything is loaded."""
    monkeypatch.setattr(paths, "DEFAULT_MODELS", (Path("no.keras"), Path("nor.keras")))
    with pytest.raises(InputError, match="neither no.keras nor nor.keras exists"):
        plot_confusion_matrix.main([])
    run = trained / "checkpoints/small_run.keras"
    monkeypatch.setattr(paths, "DEFAULT_MODELS", (Path("no.keras"), run))
    assert paths.find_default_model() == run


def test_a_figure_of_an_unknown_kind_is_refused():
    model = str(ROOT / "pretrained/cnn.keras")
    with pytest.raises(InputError, match="figure.doc: expected .*png"):
        plot_confusion_matrix.main([model, "--output", "figure.doc"])
