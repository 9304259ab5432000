"""Many runs on one machine: which are finished, side by side, failures, signals."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from tiny_network import build_tiny

import train_cnn
from experiments import grid
from experiments.ablations import Cell
from fer import flags, jobs
from fer.command import InputError
from fer.run import describe_settings


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


def plan(arguments):
    return jobs.plan(train_cnn, arguments)


def test_a_run_becomes_a_command_that_resumes(member):
    job = plan([*member, "--seed", 3])
    assert job.command == [train_cnn.__file__, *member, "--seed", "3", "--resume"]
    assert job.name == "member" and job.options.seed == 3


def test_a_finished_run_is_recognized_by_its_settings(member):
    assert plan(member).find_record(split("abc"))["settings"]["faces"] == "abc"
    assert plan(member).find_record(split("other faces")) is None
    for change in (["--seed", "1"], ["--epochs", "3"], ["--name", "other"]):
        assert plan(member + change).find_record(split("abc")) is None, change
    assert plan([*member, "--class-weights"]).find_record(split("abc")) is None
    _, recipe, options = train_cnn.read_flags(member)
    assert jobs.Job([], build_tiny, recipe, options).find_record(split("abc")) is None


def test_a_record_without_its_checkpoint_is_no_finished_run(member, tmp_path):
    (tmp_path / "checkpoints/member.keras").unlink()
    assert plan(member).find_record(split("abc")) is None


def test_a_finished_run_starts_no_process(member, monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    [record] = jobs.run_all([plan(member)], 1, split("abc"))
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
    records = jobs.run_all(todo, 2, None)
    assert [record["name"] for record in records] == ["a", "b", "c"]
    assert {record["threads"] for record in records} == {"3"}
    assert jobs.read_last_line("checkpoints/a.log") == "epoch 7/7"


def test_a_single_run_keeps_all_cores(folder):
    [record] = jobs.run_all([Script("a", PUBLISH)], 1, None)
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
        jobs.run_all(todo, 2, None)
    assert time.monotonic() - started < 30
    if code == 2:
        assert str(stop.value) == "no such faces"
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
from test_jobs import Script
from fer import command, jobs
todo = [Script(name, {child!r}) for name in "abc"]
command.run(lambda: jobs.run_all(todo, 2, None))
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


def test_the_table_names_what_runs(folder):
    (folder / "checkpoints/b.log").write_text("epoch 1/9\rbar\repoch 2/9  3 min left")
    todo = [Script(name, "") for name in "abcd"]

    class Future:
        def __init__(self, state):
            self.state = state

        def done(self):
            return self.state == "done"

        def running(self):
            return self.state == "running"

    states = ["done", "running", "waiting", "waiting"]
    table = jobs.draw_table(todo, list(map(Future, states)))
    cells = [list(column.cells) for column in table.columns]
    assert cells == [["b"], ["epoch 2/9  3 min left"]]
    assert table.caption == "2 waiting, 1 running, 1 done"


def test_cells_are_trained_seed_by_seed_and_then_measured(folder, monkeypatch):
    done = []

    def run_all(planned, num_workers, faces):
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
        lambda cell, seed: f"{cell.augmentation}_{seed}",
        measure,
        2,
        "abc",
    )
    names = ["flip_4", "zoom_4", "flip_5", "zoom_5"]
    assert done == names + names
    assert list(measurements["augmentation"]) == ["flip", "zoom", "flip", "zoom"]
    assert list(measurements["seed"]) == list(measurements["last_loss"]) == [4, 4, 5, 5]
    assert [list(each["loss"]) for each in histories[cells[1]]] == [[4], [5]]
