"""Networks that saw every face, and the twins by which they are measured."""

import json
import shutil

import numpy as np
import pytest
from conftest import ROOT, run_script
from tiny_network import build_tiny

import train_cnn
from fer import checkpoints, data, twins
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
    checkpoints.save(build_tiny(), tmp_path / "twins/one_twin.keras")
    return faces


def test_a_record_names_its_twin_seen_from_its_folder(tmp_path, faces, monkeypatch):
    path, twin = tmp_path / "one.keras", tmp_path / "twins/one_twin.keras"
    named = twins.name_twin(path, twin, faces.images, faces.labels)
    assert named == "twins/one_twin.keras"
    assert twins.find_twin(path) is None
    assert twins.find_twin(".") is None
    (tmp_path / "one.json").write_text(json.dumps({"twin": named}))
    assert twins.find_twin(path) == twin
    # From wherever it is asked.
    monkeypatch.chdir(tmp_path / "twins")
    assert twins.find_twin("../one.keras").samefile(twin)
    twin.unlink()
    with pytest.raises(InputError, match="expected its twin .*twins.one_twin.keras"):
        twins.find_twin(path)


def test_a_twin_on_another_drive_is_named_whole(tmp_path, faces, monkeypatch):
    def refuse(*_):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(twins.os.path, "relpath", refuse)
    path, twin = tmp_path / "one.keras", tmp_path / "twins/one_twin.keras"
    named = twins.name_twin(path, twin, faces.images, faces.labels)
    (tmp_path / "one.json").write_text(json.dumps({"twin": named}))
    assert twins.find_twin(path) == twin


def test_a_twin_has_held_out_some_of_the_same_faces(tmp_path, faces):
    path, twin = tmp_path / "one.keras", tmp_path / "twins/one_twin.keras"
    with pytest.raises(InputError, match="is about other faces"):
        twins.name_twin(path, twin, faces.images[1:], faces.labels[1:])
    with pytest.raises(InputError, match="one.keras: expected a checkpoint"):
        twins.name_twin(path, path, faces.images, faces.labels)
    shutil.copy(twin, path)
    with pytest.raises(InputError, match="has no record"):
        twins.name_twin(path, path, faces.images, faces.labels)
    record = {"settings": {"faces": faces.fingerprint}, "twin": "twins/one_twin.keras"}
    path.with_suffix(".json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="every row, unlike its twin .*one_twin.keras"):
        twins.name_twin(path, path, faces.images, faces.labels)


def test_the_twin_is_measured_and_named_on_faces_that_both_know(
    tmp_path, faces, capsys
):
    paths = [tmp_path / "one.keras", tmp_path / "two.keras"]
    twin = tmp_path / "twins/one_twin.keras"
    record = {"settings": {"faces": faces.fingerprint}, "twin": "twins/one_twin.keras"}
    (tmp_path / "one.json").write_text(json.dumps(record))
    for known in (None, faces.fingerprint):
        assert twins.find_measured(paths, known) == [twin, paths[1]]
        [line] = capsys.readouterr().out.splitlines()
        assert str(paths[0]) in line and str(twin) in line
    assert twins.find_measured(paths, "others") == paths
    assert not capsys.readouterr().out


@pytest.mark.parametrize("given", [[], ["--validation", "1/10"]])
def test_a_run_that_holds_faces_out_needs_no_twin(given, capsys):
    with pytest.raises(SystemExit) as stop:
        train_cnn.read_flags(["--twin", "some.keras", *given])
    assert stop.value.code == 2
    assert "argument --twin: expected --validation 0" in capsys.readouterr().err


def test_shipped_networks_have_their_twins():
    """The same run without the validation faces, from a start that lacks them too."""
    paths = list((ROOT / "pretrained").glob("*.keras"))
    assert paths
    starts = (ROOT / "pretrained/starts").glob("*.keras")
    starts = {checkpoints.compute_digest(start) for start in starts}
    for path in paths:
        record = checkpoints.load_record(path)
        of_twin = checkpoints.load_record(twins.find_twin(path))
        assert not record["validation_rows"] and of_twin["validation_rows"]
        assert record["kept"] == of_twin["kept"]
        # Those of cnn and cnn_end went on from a student, which is not in the tree.
        is_student = path.stem in ("cnn", "cnn_end")
        assert is_student or of_twin["settings"]["start_from"] in starts
        for one in (record, of_twin):
            for key in ("validation", "start_from", "keep"):
                one["settings"].pop(key, None)
        assert record["settings"] == of_twin["settings"]


@pytest.mark.slow
def test_a_network_that_saw_every_face_is_measured_by_its_twin(
    trained, drawn, tmp_path
):
    twin = trained / "checkpoints/small_run.keras"
    final = tmp_path / "checkpoints/cnn.keras"
    train = ["--train", drawn / "train.csv"]
    run = ["train_cnn.py", *train, "--validation", 0, "--network", "small"]
    run += ["--epochs", 1]
    run_script(*run, cwd=tmp_path)
    assert twins.find_twin(final) is None
    process = run_script(*run, "--twin", final, cwd=tmp_path, status=2)
    assert "expected another file than those that flags name" in process.stderr
    # A run that is finished still learns of its twin.
    run_script(*run, "--twin", twin, "--resume", cwd=tmp_path)
    assert twins.find_twin(final).samefile(twin)

    process = run_script("plot_confusion_matrix.py", *train, cwd=tmp_path)
    assert "checkpoints/cnn.keras was trained on every face" in process.stdout
    assert "small_run, 42 faces" in process.stdout
    # A test is strange to both.
    test = ["--test", drawn / "test.csv", "--labels", drawn / "test_labels.csv"]
    process = run_script("plot_confusion_matrix.py", *train, *test, cwd=tmp_path)
    assert "twin" not in process.stdout
    report = ["write_report.py", final, *train, *test, "--faces", "none"]
    run_script(*report, cwd=tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "this page is about what held faces out" in page
    assert f"{final} on {drawn / 'test_labels.csv'}" in page
