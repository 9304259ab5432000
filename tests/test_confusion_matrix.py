"""The confusion matrix and its words, and which faces it is measured on."""

import json
import sys

import keras
import numpy as np
import pytest
from conftest import run_script
from keras import layers

import plot_confusion_matrix
from fer import checkpoints, data
from fer.command import InputError

HAPPY, SAD = data.EMOTIONS.index("happy"), data.EMOTIONS.index("sad")


@pytest.fixture
def counts():
    """Ten faces of every emotion but disgust, of which there is none."""
    counts = np.diag([10, 0, 10, 10, 10, 10, 10])
    counts[2, [2, 4, 6]] = 7, 2, 1
    counts[6, [6, 3]] = 5, 5
    return counts


def one_hot(predictions):
    return np.eye(len(data.EMOTIONS))[predictions]


def test_confusions_in_words(counts):
    # Fear is taken for neutral in exactly 10 %, which is not above 10 %.
    assert plot_confusion_matrix.describe_confusions(counts) == [
        "neutral is taken for happy 50 %",
        "fear is taken for sad 20 %",
    ]
    assert plot_confusion_matrix.describe_confusions(np.eye(7, dtype=int)) == []


def test_rows_are_true_emotions_and_sum_to_one(counts):
    labels = np.array([SAD, SAD, HAPPY])
    confusion = plot_confusion_matrix.compute_confusion(
        labels, one_hot([HAPPY, SAD, HAPPY])
    )
    assert confusion.shape == (7, 7) and confusion.sum() == 3
    assert confusion[SAD, HAPPY] == 1 and confusion[HAPPY, SAD] == 0

    shares = plot_confusion_matrix.normalize_rows(counts)
    np.testing.assert_allclose(np.delete(shares, 1, axis=0).sum(axis=1), 1)
    assert np.isnan(shares[1]).all()


def test_scores_of_a_hand_made_case():
    """Sad: 1 of 2 found, nothing else called sad. Happy: found, once too often."""
    labels = np.array([SAD, SAD, HAPPY])
    table = plot_confusion_matrix.describe_scores(labels, one_hot([HAPPY, SAD, HAPPY]))
    rows = {line.split()[0]: line.split() for line in table.splitlines() if line}
    assert rows["sad"][1:] == ["1.000", "0.500", "0.667", "2"]
    assert rows["happy"][1:] == ["0.500", "1.000", "0.667", "1"]
    assert rows["disgust"][1:] == ["nan", "nan", "nan", "0"]
    assert rows["macro"][2:5] == ["0.750", "0.750", "0.667"]


def test_an_emotion_without_faces_is_drawn(counts, tmp_path):
    path = tmp_path / "figure.png"
    panels = {"one": counts, "average of 2 models": counts}
    plot_confusion_matrix.plot_confusions(panels, "faces", path)
    assert path.stat().st_size > 10_000


@pytest.fixture
def faces():
    images = np.arange(10, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, (10, 48, 48, 1)).copy()
    return images, np.arange(10) % 7


def write_record(path, faces, rows):
    settings = {"faces": checkpoints.compute_fingerprint(*faces)}
    record = {"settings": settings, "validation_rows": rows}
    path.with_suffix(".json").write_text(json.dumps(record))
    return path


def test_held_out_rows_are_those_of_the_records(faces, tmp_path):
    one = write_record(tmp_path / "one.keras", faces, [1, 4, 7])
    two = write_record(tmp_path / "two.keras", faces, [4, 7, 9])
    rows, warning = checkpoints.find_held_out_rows([one], *faces)
    assert (rows.tolist(), warning) == ([1, 4, 7], None)
    rows, warning = checkpoints.find_held_out_rows([one, two], *faces)
    assert (rows.tolist(), warning) == ([4, 7], None)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [(None, "no record"), ([], "every row"), ([3, 11], "other faces")],
)
def test_without_held_out_faces_all_are_taken_with_a_warning(
    rows, reason, faces, tmp_path
):
    path = tmp_path / "one.keras"
    if rows is not None:
        other = faces[0][::-1], faces[1]
        write_record(path, other if reason == "other faces" else faces, rows)
    found, warning = checkpoints.find_held_out_rows([path], *faces)
    assert found.tolist() == list(range(10)) and reason in warning


@pytest.mark.parametrize("text", ['{"validation_rows": [1,', "[]"])
def test_a_damaged_record_is_refused(text, tmp_path):
    (tmp_path / "one.json").write_text(text)
    with pytest.raises(InputError, match="one.json"):
        checkpoints.load_record(tmp_path / "one.keras")
    assert checkpoints.load_record(tmp_path / "two.keras") is None


def test_the_script_end_to_end(trained, drawn, tmp_path):
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
    figure = tmp_path / "plots/small_run_confusion_matrix.png"
    assert figure.stat().st_size > 10_000

    process = run_script(
        "plot_confusion_matrix.py",
        run,
        other,
        *("--train", drawn / "train.csv", "--output", "both.png"),
        cwd=tmp_path,
    )
    assert "average of 2 models, 420 faces" in process.stdout
    assert f"warning: {other} has no record" in process.stderr
    assert (tmp_path / "both.png").stat().st_size > 10_000


def test_a_figure_of_an_unknown_kind_is_refused(monkeypatch):
    arguments = ["plot_confusion_matrix.py", "one.keras", "--output", "figure.doc"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(InputError, match="figure.doc: expected .*png"):
        plot_confusion_matrix.main()
