"""Many runs on one machine: which are finished, side by side, failures, signals."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, run_script
from tiny_network import build_tiny

import train_cnn
from experiments import grid
from experiments.ablations import Cell
from fer import flags, job_table, jobs
from fer.command import InputError
from fer.provenance import describe_settings, measure_speed


@pytest.fixture
def member(tmp_path, monkeypatch):
    """A record of a run, written by hand, and the flags that belong to it."""
    monkeypatch.chdir(tmp_path)
    arguments = ["--name", "member", "--network", "small", "--epochs", "2"]
    arguments += ["--precision", "float32"]
    build, recipe, options = train_cnn.read_flags(arguments)
    recipe = flags.override(recipe, options)
    settings = describe_settings(build, recipe, options, split("abc"), "float32")
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "member.keras").touch()
    (folder / "member.json").write_text(json.dumps({"settings": settings}))
    return arguments


def split(fingerprint):
    """What a run is told about faces, without any."""
    return argparse.Namespace(fingerprint=fingerprint, source=None)


def on(number):
    """The flags for so many runs at a time."""
    return argparse.Namespace(jobs=number, slurm="")


def plan(arguments):
    return jobs.plan(train_cnn, arguments)


def test_a_run_becomes_a_command_that_resumes(member):
    job = plan([*member, "--resume", "--seed", 3])
    assert job.command == [train_cnn.__file__, *member, "--seed", "3", "--resume"]
    assert job.name == "member" and job.options.seed == 3


def test_a_finished_run_is_recognized_by_its_settings(member):
    assert plan(member).find_record(split("abc"))["settings"]["faces"] == "abc"
    assert plan(member).find_record(split("other faces")) is None
    for change in (["--seed", "1"], ["--epochs", "3"], ["--name", "other"]):
        assert plan(member + change).find_record(split("abc")) is None, change
    assert plan([*member, "--precision", "auto"]).find_record(split("abc"))
    other = [*member, "--precision", "mixed_bfloat16"]
    assert plan(other).find_record(split("abc")) is None
    assert plan([*member, "--class-weights"]).find_record(split("abc")) is None
    _, recipe, options = train_cnn.read_flags(member)
    assert jobs.Job([], build_tiny, recipe, options).find_record(split("abc")) is None


def test_a_run_that_a_gpu_made_in_keras_own_layers_is_finished(member, tmp_path):
    """The login node of a cluster would take the fast ones."""
    path = tmp_path / "checkpoints/member.json"
    settings = json.loads(path.read_text())["settings"]
    assert settings.pop("fast_layers")
    assert plan([*member, "--no-fast-layers"]).find_record(split("abc")) is None
    path.write_text(json.dumps({"settings": settings}))
    assert plan(member).find_record(split("abc"))
    assert plan([*member, "--no-fast-layers"]).find_record(split("abc"))


def test_what_slurm_is_asked_for_is_not_dropped(member):
    options = argparse.Namespace(jobs=1, slurm="partition=gpu")
    with pytest.raises(InputError, match="--slurm: expected --jobs slurm beside it"):
        jobs.run_all([plan(member)], options, split("abc"))


def test_a_record_without_its_checkpoint_is_no_finished_run(member, tmp_path):
    (tmp_path / "checkpoints/member.keras").unlink()
    assert plan(member).find_record(split("abc")) is None


def test_a_finished_run_starts_no_process(member, monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    [record] = jobs.run_all([plan(member)], on(1), split("abc"))
    assert record["settings"]["faces"] == "abc"
    assert "1 of 1 runs are finished" in capsys.readouterr().out


class Script(jobs.Job):
    """A run that is a few lines of Python, told its own name."""

    def __init__(self, name, lines):
        command = ["-c", f"name = {name!r}\n{lines}"]
        super().__init__(command, None, None, argparse.Namespace(name=name))

    def find_record(self, faces):
        return None


# Writes the record, after what stands before it.
PUBLISH = """
import json, os, pathlib
files = pathlib.Path("checkpoints")
record = {"name": name, "threads": os.environ.get("TF_NUM_INTRAOP_THREADS")}
(files / f"{name}.json").write_text(json.dumps(record))
print("epoch 7/7")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


def test_two_runs_at_a_time_share_the_cores(folder, monkeypatch):
    """Each waits for a file of the other, so that one by one they would fail."""
    monkeypatch.setattr(jobs, "count_cores", lambda: 6)
    wait = """
import pathlib, time
pathlib.Path(name).touch()
other = pathlib.Path({"a": "b", "b": "a", "c": "a"}[name])
end = time.monotonic() + 20
while not other.exists():
    assert time.monotonic() < end
    time.sleep(0.01)
"""
    todo = [Script(name, wait + PUBLISH) for name in "abc"]
    records = jobs.run_all(todo, on(2), None)
    assert [record["name"] for record in records] == ["a", "b", "c"]
    assert {record["threads"] for record in records} == {"3"}
    assert job_table.read_epoch("a")["epoch"] == "7/7"


def test_a_single_run_keeps_all_cores(folder):
    [record] = jobs.run_all([Script("a", PUBLISH)], on(1), None)
    assert record["threads"] is None


@pytest.mark.parametrize(
    ("code", "error"), [(2, InputError), (1, SystemExit), (7, SystemExit)]
)
def test_a_failed_run_stops_the_others(folder, code, error, capsys):
    fail = f"import sys\nprint('error: no such faces')\nsys.exit({code})"
    long = "import time\ntime.sleep(60)"
    todo = [Script("slow", long), Script("bad", fail), Script("never", PUBLISH)]
    started = time.monotonic()
    with pytest.raises(error) as stop:
        jobs.run_all(todo, on(2), None)
    assert time.monotonic() - started < 30
    if code == 2:
        assert str(stop.value) == "bad: no such faces"
    else:
        assert stop.value.code == code
        assert "no such faces" in capsys.readouterr().err
    assert not (folder / "checkpoints/never.log").exists()


def test_jobs_are_counted_from_one(capsys):
    parser = grid.build_parser(None, "name")
    assert parser.parse_args(["--jobs", "3"]).jobs == 3
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--jobs", "0"])
    assert stop.value.code == 2
    assert "argument --jobs: expected a whole number" in capsys.readouterr().err


def test_more_jobs_than_cores_are_warned_of(folder, monkeypatch, capsys):
    monkeypatch.setattr(jobs, "count_cores", lambda: 2)
    [record] = jobs.run_all([Script("a", PUBLISH)], on(3), None)
    assert record["threads"] == "1"
    assert "warning: 3 jobs share 2 cores" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_every_run(folder, number):
    """Each run ends as it does by itself, and the experiment with the signal's code."""
    child = """
import signal, sys, time
def leave(number, frame):
    print("kept its epoch", flush=True)
    sys.exit(128 + number)
signal.signal(signal.SIGINT, leave)
signal.signal(signal.SIGTERM, leave)
open(f"{name}.ready", "w").close()
time.sleep(60)
"""
    parent = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from test_jobs import Script, on
from fer import command, jobs
todo = [Script(name, {child!r}) for name in "abc"]
command.run(lambda: jobs.run_all(todo, on(2), None))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=folder, env=environment
    ) as process:
        end = time.monotonic() + 60
        while not all((folder / f"{name}.ready").exists() for name in "ab"):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
    for name in "ab":
        log = (folder / f"checkpoints/{name}.log").read_text()
        assert log == "kept its epoch\n"
    assert not (folder / "checkpoints/c.log").exists()


LOG = """noise of TensorFlow
epoch 1/9  accuracy 0.3012  loss 1.7  val_accuracy 0.3912  val_loss 1.6  9 s  72 s left
epoch 2/9  accuracy 0.4012  loss 1.5  val_accuracy 0.4100  val_loss 1.5  9 s  2 min left
warning: more noise
"""


def test_the_table_tells_how_far_each_run_is(folder):
    (folder / "checkpoints/b.log").write_text(LOG)
    (folder / "checkpoints/c.log").write_text(
        "epoch 3/4  accuracy 0.5  9.0 s  9 s left"
    )
    states = ["done", "running", "running", "running", "waiting", "waiting"]
    table = job_table.draw_table(list("abcdef"), states)
    cells = [list(column.cells) for column in table.columns]
    assert cells == [
        ["b", "c", "d"],
        ["2/9", "3/4", ""],
        ["0.4100", "", ""],
        ["2 min", "9 s", ""],
    ]
    assert table.title == "runs: 2 waiting, 3 running, 1 done"
    assert table.show_header
    assert not job_table.draw_table(["a"], ["done"]).show_header


def test_the_epochs_of_an_earlier_run_in_the_same_log_do_not_count(folder):
    log = folder / "checkpoints/b.log"
    log.write_text(LOG + "nothing to resume at checkpoints/b.state: starting anew\n")
    assert job_table.read_epoch("b") == dict.fromkeys(("epoch", "accuracy", "left"))
    with open(log, "a") as file:
        file.write("epoch 1/4  accuracy 0.5  9.0 s  27 s left\n")
    assert job_table.read_epoch("b")["epoch"] == "1/4"


@pytest.mark.slow
def test_the_epochs_of_a_real_run_are_found(trained, monkeypatch, drawn):
    monkeypatch.chdir(trained)
    arguments = ["--train", drawn / "train.csv", "--epochs", 2, "--network", "small"]
    output = run_script(
        "train_cnn.py", *arguments, "--name", "read", cwd=trained
    ).stdout
    (trained / "checkpoints/read.log").write_text(output)
    found = job_table.read_epoch("read")
    assert found["epoch"] == "2/2" and 0 <= float(found["accuracy"]) <= 1
    assert found["left"] == "0 s"


def test_a_log_has_a_line_for_each_start_and_end(folder, capsys):
    (folder / "checkpoints/a.log").write_text(LOG)
    looks = iter(
        [
            ["running", "waiting", "waiting"],
            ["running", "waiting", "waiting"],
            ["done", "running", "waiting"],
            ["done", "failed", "not begun"],
        ]
    )
    job_table.watch(list("abc"), lambda: next(looks))
    assert capsys.readouterr().out.splitlines() == [
        "running   a",
        "done      a  epoch 2/9  val_accuracy 0.4100  0.0 min",
        "running   b",
        "failed    b  epoch none  0.0 min",
        "not begun c",
    ]


def test_cells_are_trained_seed_by_seed_and_then_measured(folder, monkeypatch):
    done = []

    def run_all(planned, options, faces):
        done.extend(planned)
        for name in planned:
            loss = f"epoch,loss\n1,{name[-1]}\n"
            (folder / f"checkpoints/{name}.csv").write_text(loss)
        return [{"name": name} for name in planned]

    def measure(record, history):
        done.append(record["name"])
        return {"last_loss": history["loss"].iloc[-1]}

    monkeypatch.setattr(grid.jobs, "run_all", run_all)
    cells = [Cell("flip", "none"), Cell("zoom", "none")]
    measurements, histories = grid.run_cells(
        cells,
        range(4, 6),
        lambda cell, seed, options: f"{cell.augmentation}_{seed}",
        measure,
        2,
        "abc",
    )
    names = ["flip_4", "zoom_4", "flip_5", "zoom_5"]
    assert done == names + names
    assert list(measurements["augmentation"]) == ["flip", "zoom", "flip", "zoom"]
    assert list(measurements["seed"]) == list(measurements["last_loss"]) == [4, 4, 5, 5]
    assert [list(each["loss"]) for each in histories[cells[1]]] == [[4], [5]]


def test_speed_is_of_all_epochs():
    history = [{"seconds": 20.0}, {"seconds": 40.0}]
    expected = {"minutes": 1.0, "images_per_second": 3.0}
    assert measure_speed(history, num_faces=90) == expected
