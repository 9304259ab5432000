"""Networks that saw every face, and the twins by which they are measured."""

import json

import numpy as np
import pytest
from conftest import run_script

from fer import checkpoints, data, evaluation
from fer.command import InputError


@pytest.fixture
def faces(tmp_path):
    """A Split, and the record of a twin that held its validation part out."""
    images = np.random.default_rng(0).integers(0, 256, (210, 48, 48, 1), "uint8")
    labels = np.arange(210) % 7
    faces = data.Split(tmp_path, images, labels, *data.split(images, labels, 0.1, 0))
    (tmp_path / "twins").mkdir()
    record = {"settings": {"faces": faces.fingerprint}, **faces.describe()}
    (tmp_path / "twins/one_twin.json").write_text(json.dumps(record))
    return faces


def test_a_record_names_its_twin_seen_from_its_folder(tmp_path, faces, monkeypatch):
    path, twin = tmp_path / "one.keras", tmp_path / "twins/one_twin.keras"
    named = checkpoints.name_twin(path, twin, faces.images, faces.labels)
    assert named == "twins/one_twin.keras"
    assert checkpoints.find_twin(path) is None
    (tmp_path / "one.json").write_text(json.dumps({"twin": named}))
    with pytest.raises(InputError, match="expected its twin .*twins.one_twin.keras"):
        checkpoints.find_twin(path)
    twin.touch()
    assert checkpoints.find_twin(path) == twin
    # From wherever it is asked.
    monkeypatch.chdir(tmp_path / "twins")
    assert checkpoints.find_twin("../one.keras").samefile(twin)


def test_a_twin_has_held_out_some_of_the_same_faces(tmp_path, faces):
    path, twin = tmp_path / "one.keras", tmp_path / "twins/one_twin.keras"
    with pytest.raises(InputError, match="is about other faces"):
        checkpoints.name_twin(path, twin, faces.images[1:], faces.labels[1:])
    with pytest.raises(InputError, match="has no record"):
        checkpoints.name_twin(path, path, faces.images, faces.labels)


def test_the_twin_is_measured_and_named(tmp_path, faces, capsys):
    paths = [tmp_path / "one.keras", tmp_path / "two.keras"]
    twin = tmp_path / "twins/one_twin.keras"
    twin.touch()
    (tmp_path / "one.json").write_text(json.dumps({"twin": "twins/one_twin.keras"}))
    assert evaluation.find_measured(paths) == [twin, paths[1]]
    [line] = capsys.readouterr().out.splitlines()
    assert str(paths[0]) in line and str(twin) in line


@pytest.mark.slow
def test_a_network_that_saw_every_face_is_measured_by_its_twin(
    trained, drawn, tmp_path
):
    twin = trained / "checkpoints/small_run.keras"
    train = ["--train", drawn / "train.csv"]
    run = ["train_cnn.py", *train, "--network", "small", "--epochs", 1, "--twin", twin]
    process = run_script(*run, cwd=tmp_path, status=2)
    assert "--twin: expected --validation 0 beside it" in process.stderr
    run_script(*run, "--validation", 0, cwd=tmp_path)
    final = tmp_path / "checkpoints/cnn.keras"
    assert checkpoints.find_twin(final).samefile(twin)

    process = run_script("plot_confusion_matrix.py", *train, cwd=tmp_path)
    assert "checkpoints/cnn.keras was trained on every face" in process.stdout
    assert "small_run, 70 faces" in process.stdout
    process = run_script(
        "write_report.py", final, *train, "--faces", "none", cwd=tmp_path
    )
    page = (tmp_path / "report.html").read_text()
    assert "On this page stands its twin" in page
    # A test is strange to both.
    test = ["--test", drawn / "test.csv", "--labels", drawn / "test_labels.csv"]
    process = run_script("plot_confusion_matrix.py", *train, *test, cwd=tmp_path)
    assert "twin" not in process.stdout
