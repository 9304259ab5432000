"""The three main scripts, end to end on drawn faces, as a user runs them."""

import hashlib
import importlib
import json
import pkgutil
import runpy
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, run_script

import experiments
from fer import checkpoints, data, distillation, flags, prediction
from fer.command import InputError
from fer.faces import EMOTIONS
from networks import NETWORKS

SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
EXPERIMENTS = [
    module.name
    for module in pkgutil.iter_modules(experiments.__path__)
    if hasattr(importlib.import_module(f"experiments.{module.name}"), "main")
]


def test_a_run_writes_its_four_files(trained):
    checkpoints = trained / "checkpoints"
    for file in ("small_run.keras", "small_run.csv", "small_run.json"):
        assert (checkpoints / file).stat().st_size > 0
    assert (trained / "plots/small_run_history.png").stat().st_size > 10_000

    history = pd.read_csv(checkpoints / "small_run.csv")
    assert list(history.columns) == [
        "epoch",
        "accuracy",
        "loss",
        "val_accuracy",
        "val_loss",
        "learning_rate",
        "seconds",
    ]
    assert list(history["epoch"]) == [1, 2]

    record = json.loads((checkpoints / "small_run.json").read_text())
    best = history.loc[history["val_accuracy"].idxmax()]
    assert record["best_epoch"] == best["epoch"]
    # Re-measured in float32 on the reloaded file; training may have used bfloat16.
    assert record["val_accuracy"] == pytest.approx(best["val_accuracy"], abs=0.05)
    assert len(record["validation_rows"]) == 42


@pytest.mark.slow
def test_the_checkpoint_needs_nothing_of_this_project(trained, drawn, tmp_path):
    """A process elsewhere with keras alone predicts what predict.py predicts."""
    checkpoint = trained / "checkpoints/small_run.keras"
    run_script(
        "predict.py",
        checkpoint,
        "--test",
        drawn / "test.csv",
        "--probabilities",
        tmp_path / "probabilities.csv",
        cwd=tmp_path,
    )
    images = data.load_test_faces(drawn / "test.csv").images
    np.save(tmp_path / "images.npy", images)
    program = (
        "import sys, keras, numpy\n"
        f"model = keras.models.load_model({str(checkpoint)!r})\n"
        "assert model.dtype_policy.name == 'float32' and not model.compiled\n"
        "images = numpy.load('images.npy').astype('float32')\n"
        "numpy.save('elsewhere.npy', model.predict(images, verbose=0))\n"
        "imported = {name.split('.')[0] for name in sys.modules}\n"
        "assert not imported & {'fer', 'networks'}"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    elsewhere = np.load(tmp_path / "elsewhere.npy")
    ours = pd.read_csv(tmp_path / "probabilities.csv")[list(EMOTIONS)].to_numpy()
    assert np.abs(elsewhere - ours).max() < 1e-5
    assert np.allclose(elsewhere.sum(axis=1), 1, atol=1e-5)


def test_the_submission_has_the_ids_of_the_test_file_in_its_order(
    trained, drawn, tmp_path
):
    lines = (drawn / "test.csv").read_text().splitlines()
    shuffled = tmp_path / "test.csv"
    shuffled.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    process = run_script(
        "predict.py",
        trained / "checkpoints/small_run.keras",
        "--test",
        shuffled,
        "--labels",
        drawn / "test_labels.csv",
        "--output",
        "any name.txt",
        "--tta",
        cwd=tmp_path,
    )
    table = pd.read_csv(tmp_path / "any name.txt")
    assert list(table.columns) == ["id", "label"]
    assert list(table["id"]) == list(range(69, -1, -1))
    assert table["label"].between(0, 6).all()

    known = pd.read_csv(drawn / "test_labels.csv").set_index("id")["label"]
    accuracy = (table["label"] == known.loc[table["id"]].to_numpy()).mean()
    assert f"accuracy {accuracy:.5f} on 70 faces" in process.stdout


def test_validation_zero_trains_on_every_row_and_keeps_the_last_epoch(drawn, tmp_path):
    arguments = ["--train", drawn / "train.csv", "--epochs", 1, "--validation", 0]
    arguments += ["--finish", 1]
    process = run_script("train_cnn.py", *arguments, cwd=tmp_path)
    record = json.loads((tmp_path / "checkpoints/cnn.json").read_text())
    assert record["kept"] == "last epoch, then the mean with epoch 2"
    assert record["validation_rows"] == []
    assert record["val_accuracy"] is None
    assert "420 to train on, 0 to validate on" in process.stdout
    assert process.stdout.splitlines()[-1] == "python predict.py checkpoints/cnn.keras"


@pytest.mark.parametrize(
    ("file", "command"),
    [(script, script) for script in SCRIPTS]
    + [(f"experiments/{name}.py", f"-m experiments.{name}") for name in EXPERIMENTS],
)
def test_help_teaches(file, command, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [file, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(ROOT / file, run_name="__main__")
    assert not end.value.code
    assert f"python {command}" in capsys.readouterr().out


def test_bad_input_is_one_line_and_touches_nothing(trained, drawn, tmp_path):
    """The last line of stderr names file and row; the old submission stays."""
    broken = tmp_path / "broken.csv"
    lines = (drawn / "test.csv").read_text().splitlines()
    lines[3] = lines[3] + " 17"
    broken.write_text("\n".join(lines))
    submission = tmp_path / "submission.csv"
    submission.write_text("the old one")
    checkpoint = trained / "checkpoints/small_run.keras"
    truncated = tmp_path / "truncated.keras"
    truncated.write_bytes(checkpoint.read_bytes()[:5000])

    for arguments, expected in (
        ([checkpoint, "--test", broken], "broken.csv, row 3 (line 4): expected 2304"),
        ([checkpoint, "--test", "nowhere.csv"], "nowhere.csv: expected a CSV file"),
        ([truncated, "--test", drawn / "test.csv"], "truncated.keras: expected"),
        (["--test", drawn / "test.csv"], "no MODEL named"),
    ):
        process = run_script("predict.py", *arguments, cwd=tmp_path, status=2)
        assert expected in process.stderr.splitlines()[-1]
        assert "Traceback" not in process.stderr
        assert submission.read_text() == "the old one"


@pytest.mark.parametrize(
    "flag, value, expected",
    [
        ("--name", "", "a name for files"),
        ("--name", ".", "a name for files"),
        ("--name", "runs/", "a name for files"),
        ("--name", "../cnn", "a name for files"),
        ("--epochs", "-1", "a whole number, from 0 up"),
        ("--epochs", "1.5", "a whole number, from 0 up"),
        ("--learning-rate", "0", "a number above 0"),
        ("--learning-rate", "nan", "a number above 0"),
        ("--mixup", "x", "a number, 0 or more"),
        ("--validation", "1", "a share in [0, 1)"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused_in_one_line(
    flag, value, expected, capsys
):
    recipe = NETWORKS["vgg"].CNN_RECIPE
    parser = flags.build_parser(None, "cnn", list(NETWORKS), recipe)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args([flag, value])
    assert stop.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: argument {flag}: expected {expected}")
    assert f"found {value!r}" in line


def test_a_failing_training_touches_nothing(trained, drawn, tmp_path):
    one_class = tmp_path / "one_class.csv"
    lines = (drawn / "train.csv").read_text().splitlines()
    one_class.write_text(
        "\n".join([lines[0]] + [line for line in lines[1:] if line.startswith("3,")])
    )
    for path, expected in (
        (one_class, "one_class.csv: expected faces of at least two emotions"),
        (drawn / "test.csv", "test.csv: expected a training file"),
    ):
        process = run_script("train_cnn.py", "--train", path, cwd=tmp_path, status=2)
        assert expected in process.stderr.splitlines()[-1]
        assert not list(tmp_path.glob("checkpoints/*.keras"))
        assert not list(tmp_path.glob("plots/*"))


@pytest.mark.slow
def test_a_student_learns_from_teachers_that_held_faces_out(trained, drawn, tmp_path):
    teacher = trained / "checkpoints/small_run.keras"
    arguments = ["--train", drawn / "train.csv", "--epochs", 1, "--teachers", teacher]
    process = run_script("train_cnn.py", *arguments, "--validation", 0, cwd=tmp_path)
    assert f"asking    {teacher} about" in process.stdout
    record = json.loads((tmp_path / "checkpoints/cnn.json").read_text())
    digest = hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert record["settings"]["teachers"] == [digest]
    assert record["settings"]["answers"] == "held out"

    # With the same faces held out the teacher knows every face to train on.
    arguments += ["--name", "refused", "--validation", 0.1]
    process = run_script("train_cnn.py", *arguments, cwd=tmp_path, status=2)
    assert "held out some of the faces to train on" in process.stderr
    assert not (tmp_path / "checkpoints/refused.keras").exists()
    for path, found in (("nowhere.keras", "No such file"), (ROOT / "README.md", ".md")):
        arguments = ["--train", drawn / "train.csv", "--teachers", path]
        process = run_script("train_cnn.py", *arguments, cwd=tmp_path, status=2)
        assert str(path) in process.stderr and found in process.stderr
    before = (tmp_path / "checkpoints/cnn.keras").read_bytes()
    arguments = ["--train", drawn / "train.csv", "--teachers", "checkpoints/cnn.keras"]
    process = run_script("train_cnn.py", *arguments, cwd=tmp_path, status=2)
    assert "choose another --name" in process.stderr
    assert (tmp_path / "checkpoints/cnn.keras").read_bytes() == before


def test_half_of_a_target_is_the_average_of_teachers_that_held_the_face_out(
    monkeypatch, capsys
):
    labels = np.array([2, 0, 6, 1, 5])
    images = np.arange(5, dtype="uint8").repeat(48 * 48).reshape(5, 48, 48, 1)
    faces = data.Split("", images, labels, np.array([0, 1, 2, 4]), np.array([3]))
    held_out = {"a": [0, 1, 3], "b": [1, 4], "c": [3]}

    def answer(models, images, tta):
        # Always anger by "a", and by "b" the emotion that the pixels count.
        assert tta
        emotions = images[:, 0, 0, 0] if models == ["b"] else np.zeros(len(images), int)
        return [np.eye(7)[emotions]]

    for module, name, stand_in in (
        (checkpoints, "load_checkpoint", lambda path: path),
        (checkpoints, "require_held_out_rows", lambda paths, *_: held_out[paths[0]]),
        (prediction, "predict_all", answer),
    ):
        monkeypatch.setattr(module, name, stand_in)
    targets = distillation.soften(faces.train_targets, ["a", "b", "c"], faces)
    expected = np.zeros((4, 7))
    for row, emotion, share in (
        (0, 2, 1 / 2),
        (0, 0, 1 / 2),
        (1, 0, 3 / 4),
        (1, 1, 1 / 4),
        (2, 6, 1),
        (3, 5, 1 / 2),
        (3, 4, 1 / 2),
    ):
        expected[row, emotion] = share
    np.testing.assert_array_equal(targets, expected)
    assert "half of the target of 3 training faces" in capsys.readouterr().out
    with pytest.raises(InputError, match="held out some of the faces to train on"):
        distillation.soften(faces.train_targets, ["c"], faces)


@pytest.mark.slow
def test_a_network_can_be_trained_as_another_one_is(drawn, tmp_path):
    arguments = ["--train", drawn / "train.csv", "--epochs", 1]
    arguments += ["--network", "small", "--recipe", "vgg", "--mixup", 0.2]
    run_script("train_cnn.py", *arguments, cwd=tmp_path)
    settings = json.loads((tmp_path / "checkpoints/cnn.json").read_text())["settings"]
    assert settings["network"] == "small"
    assert settings["mixup"] == 0.2
    vgg = NETWORKS["vgg"].CNN_RECIPE
    assert settings["optimizer"] == vgg.optimizer == "sgd"
    assert settings["weight_decay"] == vgg.weight_decay
