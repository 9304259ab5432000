"""A run survives whatever stops it: real processes, killed, resumed and compared."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, run_script

import train_cnn
from fer import fine_tuning, job_table, state
from fer.command import InputError
from fer.files import locked
from fer.provenance import THREADS_VARIABLE

KILL = ["signal", signal.SIGKILL]
# One run of ten epochs, three batches each, is killed at every one of these moments in
# turn and resumed; the counts start anew in every process.
MOMENTS = [
    ["batch", 1],
    ["write", 2],
    ["write", 7],
    ["fsync", 1],
    ["replace .state", 1],
    ["replaced .state", 1],
    ["batch", 2],
    ["validation", 1],
    ["write", 5],
    ["replace .previous", 1],
    # The newest state has no name at this moment, only the one before has.
    ["replace .state", 1],
    ["replaced .state", 1],
    ["batch", 5],
    ["write", 14],
    ["fsync", 3],
    ["replace .state", 2],
    ["validation", 2],
    ["batch", 7],
    ["replace .keras", 1],
    ["replace .csv", 1],
    ["replace .json", 1],
    ["replace .png", 1],
]
QUICK_MOMENTS = [["write", 7], ["batch", 5], ["replace .state", 2]]


class Runner:
    """Runs jobs of resume_runner.py; see there."""

    def __init__(self, process, train):
        self.process = process
        self.train = train

    def run(self, folder, *arguments, at=None, status=0, train=None, **recipe):
        folder.mkdir(exist_ok=True)
        job = {
            "folder": str(folder),
            "arguments": [
                *("--train", str(train or self.train), "--validation", "0.1"),
                *arguments,
            ],
            "recipe": recipe,
            "at": at,
        }
        print(json.dumps(job), file=self.process.stdin, flush=True)
        found = int(self.process.stdout.readline())
        output = (folder / "log.txt").read_text()
        assert found == status, output
        assert "Traceback" not in output
        return output


@pytest.fixture(scope="module")
def runner(drawn):
    command = [sys.executable, ROOT / "tests/resume_runner.py"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        yield Runner(process, drawn / "train.csv")
        process.stdin.close()


@pytest.fixture(scope="module")
def whole(runner, tmp_path_factory):
    """The folder of an uninterrupted run in float32."""
    folder = tmp_path_factory.mktemp("whole")
    runner.run(folder, "--precision", "float32")
    return folder


def read_weights(checkpoint):
    """Every array of a .keras file by its path inside."""
    arrays = {}

    def note(name, node):
        if isinstance(node, h5py.Dataset):
            arrays[name] = node[()]

    with (
        zipfile.ZipFile(checkpoint) as archive,
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file,
    ):
        file.visititems(note)
    return arrays


def read_run(folder):
    """All that a run computed: arrays, and texts without what the clock decides."""
    files = folder / "checkpoints"
    arrays, document = state.read_state(files / "run.state")
    arrays |= read_weights(files / "run.keras")
    for row in document["history"]:
        del row["seconds"]
    record = json.loads((files / "run.json").read_text())
    del record["minutes"], record["images_per_second"]
    history = pd.read_csv(files / "run.csv").drop(columns="seconds")
    return arrays, {"state": document, "record": record, "csv": history.to_dict()}


def assert_same_run(folder, whole):
    """Equal to the bit, which assert_array_equal would not see in -0.0 and NaN."""
    arrays, texts = read_run(folder)
    expected_arrays, expected_texts = read_run(whole)
    assert list(arrays) == list(expected_arrays) and len(arrays) > 30
    for name, array in arrays.items():
        expected = expected_arrays[name]
        assert array.dtype == expected.dtype and array.shape == expected.shape
        assert array.tobytes() == expected.tobytes(), name
    assert texts == expected_texts


def finished_epochs(folder):
    saved = state.load_state(folder / "checkpoints/run.state")
    return 0 if saved is None else len(saved[1]["history"])


def kill_and_resume(runner, folder, moments, *arguments):
    for moment in moments:
        at = moment + KILL
        runner.run(folder, "--resume", *arguments, at=at, status=-signal.SIGKILL)
    return runner.run(folder, "--resume", *arguments)


def test_killed_and_resumed_is_as_if_never_killed(runner, whole, tmp_path):
    output = kill_and_resume(runner, tmp_path, QUICK_MOMENTS, "--precision", "float32")
    assert "epoch 10/10" in output and "epoch 1/10" not in output
    assert_same_run(tmp_path, whole)
    leftovers = [file.name for file in (tmp_path / "checkpoints").glob(".*")]
    assert leftovers == []


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_killed_at_twenty_moments(runner, tmp_path, precision):
    whole = tmp_path / "whole"
    runner.run(whole, "--precision", precision)
    killed = tmp_path / "killed"
    assert len(MOMENTS) >= 20
    kill_and_resume(runner, killed, MOMENTS, "--precision", precision)
    assert_same_run(killed, whole)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_same_command_twice(runner, tmp_path, precision):
    for name in ("one", "two"):
        runner.run(tmp_path / name, "--epochs", "3", "--precision", precision)
    assert_same_run(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "adam", "schedule": "cosine", "weight_decay": 1e-3},
        {"schedule": {0: 1.0, 2: 0.1}, "augmentation": "erasing"},
        {"patience": 1, "label_smoothing": 0.1},
        {"class_weights": True, "normalization": "image"},
        {"mixup": 0.2},
    ],
    ids=["adam", "steps", "patience", "class weights", "mixup"],
)
def test_every_kind_of_recipe_resumes(runner, tmp_path, recipe):
    recipe["epochs"] = 5
    runner.run(tmp_path / "whole", **recipe)
    killed = tmp_path / "killed"
    runner.run(killed, at=["batch", 5] + KILL, status=-signal.SIGKILL, **recipe)
    runner.run(killed, "--resume", **recipe)
    assert_same_run(killed, tmp_path / "whole")


def test_killed_around_the_finish(runner, tmp_path):
    recipe = {"epochs": 2, "finish": 3, "mixup": 0.2, "augmentation": "erasing"}
    runner.run(tmp_path / "whole", **recipe)
    killed = tmp_path / "killed"
    # In the second epoch, in the first one of the finish and in the last.
    for batch in (5, 5, 8):
        at = ["batch", batch, *KILL]
        runner.run(killed, "--resume", at=at, status=-signal.SIGKILL, **recipe)
    output = runner.run(killed, "--resume", **recipe)
    assert "epoch 5/5" in output and "epoch 4/5" not in output
    assert "then the mean with epoch 5" in output
    assert_same_run(killed, tmp_path / "whole")


def test_every_part_of_a_recipe_reaches_the_training(runner, whole, tmp_path):
    """Each alone ends in other weights than the plain run."""
    lines = runner.train.read_text().splitlines()
    # A third of the angry ones, or weights of classes would all be one.
    angry = [line for line in lines if line.startswith("0,")]
    uneven = tmp_path / "uneven.csv"
    uneven.write_text("\n".join([line for line in lines if line not in angry[20:]]))

    def train(name, *arguments, train=uneven, **recipe):
        folder, epoch = tmp_path / name, ["--epochs", "1", "--precision", "float32"]
        runner.run(folder, *epoch, *arguments, train=train, **recipe)
        return read_weights(folder / "checkpoints/run.keras")["layers/conv2d/vars/0"]

    plain = train("plain", augmentation="none")
    for name, value in (
        ("label_smoothing", 0.5),
        ("class_weights", True),
        ("mixup", 0.5),
        ("augmentation", "flip"),
        ("normalization", "unit"),
        ("learning_rate", 0.1),
        ("optimizer", "adam"),
        ("weight_decay", 0.5),
        ("batch_size", 64),
    ):
        changed = train(name, **{"augmentation": "none", name: value})
        assert np.abs(changed - plain).max() > 1e-5, name

    every = ["--validation", "0"]
    teachers = ["--teachers", str(whole / "checkpoints/run.keras")]
    alone = train("alone", *every, train=runner.train)
    taught = train("taught", *every, *teachers, train=runner.train)
    assert np.abs(taught - alone).max() > 1e-5


@pytest.mark.parametrize(
    ("number", "status", "moment", "epochs"),
    [
        (signal.SIGTERM, 143, ["batch", 5], 1),
        # A write that has begun is finished first.
        (signal.SIGINT, 130, ["write", 6], 1),
    ],
)
def test_signals_stop_a_run_in_order(
    runner, whole, tmp_path, number, status, moment, epochs
):
    arguments = ["--precision", "float32"]
    at = [*moment, "signal", number]
    output = runner.run(tmp_path, *arguments, at=at, status=status)
    moment = float((tmp_path / "moment.txt").read_text())
    assert (tmp_path / "log.txt").stat().st_mtime - moment < 10
    assert f"stopped after epoch {epochs} of 10" in output
    assert finished_epochs(tmp_path) == epochs
    assert "epoch 2/10" in runner.run(tmp_path, "--resume", *arguments)
    assert_same_run(tmp_path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [["replaced .state", 3], ["replaced .state", 10]])
def test_a_full_disk_leaves_the_old_files(runner, whole, tmp_path, moment):
    """No file may grow beyond 4,000 bytes once the state was renamed so often."""
    files = tmp_path / "checkpoints"
    files.mkdir()
    (files / "run.keras").write_bytes(b"the old one")
    arguments = ["--precision", "float32"]
    at = [*moment, "limit", 4_000]
    output = runner.run(tmp_path, *arguments, at=at, status=2)
    last_line = output.splitlines()[-1]
    assert last_line.startswith("error: ") and "File too large" in last_line
    assert ".state" in last_line or ".keras" in last_line
    assert (files / "run.keras").read_bytes() == b"the old one"
    assert finished_epochs(tmp_path) == moment[1]
    assert not list(files.glob(".*"))
    runner.run(tmp_path, "--resume", *arguments)
    assert_same_run(tmp_path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", ["128", "1000"])
def test_a_loss_that_is_not_finite_stops_the_run(runner, tmp_path, batch_size):
    """With one batch an epoch the loss is finite, and what it leads to is not."""
    recipe = {"schedule": {0: 1.0, 2: 1e38}, "epochs": 5}
    files = tmp_path / "checkpoints"
    files.mkdir()
    (files / "run.keras").write_bytes(b"the old one")
    arguments = ["--batch-size", batch_size, "--precision", "float32"]
    output = runner.run(tmp_path, *arguments, status=2, **recipe)
    message = output.splitlines()[-1]
    assert "try a lower --learning-rate" in message
    epoch = int(re.search(r"in epoch (\d)", message).group(1))
    assert (files / "run.keras").read_bytes() == b"the old one"
    arrays, document = state.read_state(files / "run.state")
    assert len(document["history"]) == epoch - 1 >= 2
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_a_finished_run_only_redraws(runner, whole):
    curves = whole / "plots/run_history.png"
    before = read_run(whole)
    saved = (whole / "checkpoints/run.state").read_bytes()
    picture = curves.read_bytes()
    curves.unlink()
    output = runner.run(whole, "--resume", "--precision", "float32")
    assert "epoch 1/10" not in output and "epoch 10/10" not in output
    assert (whole / "checkpoints/run.state").read_bytes() == saved
    assert curves.read_bytes() == picture
    arrays, texts = read_run(whole)
    assert texts == before[1]
    assert all((arrays[name] == before[0][name]).all() for name in arrays)


def test_resuming_something_else_is_refused(runner, whole, drawn):
    other_faces = whole / "other.csv"
    other_faces.write_text((drawn / "train.csv").read_text().replace(" 9", " 8"))
    before = (whole / "checkpoints/run.state").read_bytes()
    start = ["--resume", "--precision", "float32"]
    for arguments, train, difference in (
        (["--seed", "1"], None, "with seed 1, found one with 0"),
        (["--network", "other"], None, "with network other, found one with tiny"),
        (["--batch-size", "64"], None, "with batch_size 64, found one with 128"),
        (["--precision", "mixed_bfloat16"], None, "with precision mixed_bfloat16"),
        (["--epochs", "9"], None, "with epochs 9, found one with 10"),
        ([], other_faces, "with faces "),
    ):
        output = runner.run(whole, *start, *arguments, train=train, status=2)
        assert f"run.state: expected a run {difference}" in output.splitlines()[-1]
    assert (whole / "checkpoints/run.state").read_bytes() == before


@pytest.mark.slow
def test_more_epochs_where_the_schedule_permits(runner, whole, tmp_path):
    arguments = ["--precision", "float32"]
    runner.run(tmp_path / "a", "--epochs", "6", *arguments)
    runner.run(tmp_path / "a", "--epochs", "10", "--resume", *arguments)
    assert_same_run(tmp_path / "a", whole)
    runner.run(tmp_path / "b", "--epochs", "1", *arguments, schedule="cosine")
    output = runner.run(
        tmp_path / "b",
        "--epochs",
        "2",
        "--resume",
        *arguments,
        schedule="cosine",
        status=2,
    )
    assert "expected a run with epochs 2, found one with 1" in output


def test_one_name_one_run(runner, tmp_path):
    with locked(tmp_path / "checkpoints/run.lock"):
        output = runner.run(tmp_path, status=2)
    assert "held by a run of the same name" in output.splitlines()[-1]
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == ["run.lock"]


def test_nothing_to_resume_starts_anew(runner, tmp_path):
    output = runner.run(tmp_path, "--resume", "--epochs", "1")
    assert "nothing to resume" in output
    # The table of --jobs looks for it.
    assert any(line.endswith(job_table.NEW_RUN) for line in output.splitlines())
    assert finished_epochs(tmp_path) == 1


ARRAYS = {"variable_0": np.arange(60, dtype=np.float32)}


def save_two(folder):
    path = folder / "run.state"
    for epochs in (1, 2):
        state.save_state(path, ARRAYS, {"history": [0] * epochs})
    return path


def damage(path, how):
    content = path.read_bytes()
    cuts = {"at 0": 0, "at 1": 1, "in half": len(content) // 2, "by 1": -1}
    if how in cuts:
        path.write_bytes(content[: cuts[how]])
        return
    flipped = bytearray(content)
    flipped[{"digest": 3, "middle": len(content) // 2, "end": -1}[how]] ^= 1
    path.write_bytes(flipped)


DAMAGES = ["at 0", "at 1", "in half", "by 1", "digest", "middle", "end"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_state_falls_back_to_the_one_before(tmp_path, capsys, how):
    path = save_two(tmp_path)
    damage(path, how)
    arrays, document = state.load_state(path)
    assert document == {"history": [0]}
    np.testing.assert_array_equal(arrays["variable_0"], ARRAYS["variable_0"])
    assert f"warning: {path} is damaged" in capsys.readouterr().err
    # The next write must not put the damaged file in the place of the good one.
    with contextlib.suppress(OSError), pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "replacing", fail_before_renaming)
        state.save_state(path, ARRAYS, {"history": [0, 0]})
    assert state.load_state(path)[1] == {"history": [0]}


@contextlib.contextmanager
def fail_before_renaming(path):
    yield path.with_suffix(".temporary")
    raise OSError


@pytest.mark.parametrize("how", DAMAGES)
def test_two_damaged_states_are_an_error(tmp_path, how):
    path = save_two(tmp_path)
    damage(path, how)
    damage(state.previous_of(path), how)
    before = path.read_bytes()
    with pytest.raises(InputError, match="found only damaged ones"):
        state.load_state(path)
    assert path.read_bytes() == before


def test_the_threads_of_the_start_are_taken_before_tensorflow_makes_its_own(
    tmp_path, monkeypatch
):
    """It does so when it looks for devices, as loading a checkpoint has it do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    found = []

    def load_start(options):
        found.append(os.environ.get(THREADS_VARIABLE))

    monkeypatch.setattr(fine_tuning, "load_start", load_start)
    arguments = ["--start-from", "some.keras", "--name", "run"]
    train_cnn.read_flags([*arguments, "--resume"])
    (tmp_path / "checkpoints").mkdir()
    for threads in (3, 4):
        document = {"origin": {"threads": threads}}
        state.save_state(tmp_path / "checkpoints/run.state", {}, document)
    train_cnn.read_flags(arguments)
    train_cnn.read_flags([*arguments, "--resume"])
    (tmp_path / "checkpoints/run.state").write_bytes(b"half a state")
    train_cnn.read_flags([*arguments, "--resume"])
    assert found == [None, None, "4", "3"]


@pytest.mark.slow
def test_damaged_states_through_a_run(runner, whole, tmp_path):
    arguments = ["--precision", "float32"]
    at = ["batch", 14] + KILL
    runner.run(tmp_path, *arguments, at=at, status=-signal.SIGKILL)
    path = tmp_path / "checkpoints/run.state"
    damage(path, "middle")
    output = runner.run(tmp_path, "--resume", *arguments)
    assert "run.state is damaged" in output and "epoch 4/10" in output
    assert_same_run(tmp_path, whole)
    damage(path, "by 1")
    damage(state.previous_of(path), "digest")
    output = runner.run(tmp_path, "--resume", *arguments, status=2)
    assert "found only damaged ones" in output.splitlines()[-1]


@pytest.mark.slow
def test_the_training_script_itself(drawn, tmp_path):
    """Without the runner: a process of its own, killed by the clock."""
    arguments = ["--train", drawn / "train.csv", "--epochs", 2, "--precision", "auto"]
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    run_script("train_cnn.py", *arguments, "--name", "run", cwd=tmp_path / "whole")
    command = [sys.executable, ROOT / "train_cnn.py", *map(str, arguments)]
    for _ in range(2):
        with subprocess.Popen(
            [*command, "--name", "run", "--resume"],
            cwd=tmp_path / "killed",
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            for line in process.stdout:
                if line.startswith("epoch "):
                    process.kill()
    arguments += ["--name", "run", "--resume"]
    run_script("train_cnn.py", *arguments, cwd=tmp_path / "killed")
    assert_same_run(tmp_path / "killed", tmp_path / "whole")
