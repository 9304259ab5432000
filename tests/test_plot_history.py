"""Curves of several runs in one picture."""

import numpy as np
import pytest
from PIL import Image

import plot_history
from fer.command import InputError

HEADER = "epoch,accuracy,loss,val_accuracy,val_loss,learning_rate,seconds\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the logs of three runs; `every_row` has no validation."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for name, rows in {
        "cnn": "1,0.3,2,0.35,1.9,0.1,9\n2,0.5,1.5,0.55,1.4,0.1,9\n3,0.6,1,0.5,1.6,0,9",
        "dnn": "1,0.2,2,0.25,1.9,0.1,9",
        "every_row": "1,0.3,2,,,0.1,9\n2,0.5,1.5,,,0.1,9",
    }.items():
        (tmp_path / "checkpoints" / f"{name}.csv").write_text(HEADER + rows + "\n")
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["plot_history.py", *arguments])
    plot_history.main()


def test_a_name_and_a_path_lead_to_the_same_log(folder):
    name, history = plot_history.load_history("cnn")
    assert name == "cnn"
    assert history["val_accuracy"].tolist() == [0.35, 0.55, 0.5]
    by_path = plot_history.load_history(str(folder / "checkpoints" / "cnn.csv"))
    assert by_path[0] == "cnn" and by_path[1].equals(history)


def test_any_number_of_runs(folder, monkeypatch):
    run(monkeypatch, "cnn")
    one = np.asarray(Image.open(folder / "plots" / "runs_history.png"))
    run(monkeypatch, "cnn", "dnn", "every_row", "cnn", "cnn", "cnn", "cnn", "cnn")
    many = np.asarray(Image.open(folder / "plots" / "runs_history.png"))
    assert one.shape == many.shape and (one != many).any()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "found nothing"),
        ("", "expected the columns"),
        ("epoch,accuracy\n1,0.5\n", "val_accuracy"),
        (HEADER + "1,high,2,0.5,2,0.1,9\n", "with numbers"),
        (HEADER, "at least one epoch"),
        (b"\x89PNG\xff\xfe", "expected the columns"),
    ],
)
def test_a_bad_log_is_refused_and_no_picture_written(
    folder, monkeypatch, content, words
):
    if content is not None:
        content = content if isinstance(content, bytes) else content.encode()
        (folder / "bad.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        run(monkeypatch, "cnn", "bad.csv", "--output", "both.png")
    assert not (folder / "both.png").exists()
