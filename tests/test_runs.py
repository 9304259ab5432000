"""Runs of an experiment: which are finished, and how failures and signals travel."""

import json
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from tiny_network import build_tiny

import networks
from fer import flags, runs, training
from fer.files import Locked, locked
from train_ablations import Cell

RECIPE = networks.load("small").CNN_RECIPE
BUILD = networks.load("small").build_cnn


@pytest.fixture
def member(tmp_path, monkeypatch):
    """A record of a run, written by hand, and the flags that belong to it."""
    monkeypatch.chdir(tmp_path)
    arguments = ["--name", "member", "--network", "small", "--epochs", "2"]
    arguments += ["--precision", "float32"]
    options = runs.parse(arguments)
    recipe = flags.override(RECIPE, options)
    settings = training.describe_settings(BUILD, recipe, options, "abc", "float32")
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "member.keras").touch()
    (folder / "member.json").write_text(json.dumps({"settings": settings}))
    return arguments


def is_finished(arguments, fingerprint="abc", build=BUILD):
    return runs.is_finished(build, RECIPE, runs.parse(arguments), fingerprint)


def test_a_finished_run_is_recognized_by_its_settings(member, capsys):
    assert is_finished(member)
    assert capsys.readouterr().out == "checkpoints/member.keras is finished\n"
    assert not is_finished(member, "other faces")
    for change in (["--seed", "1"], ["--epochs", "3"], ["--name", "other"]):
        assert not is_finished(member + change), change
    assert not is_finished([*member, "--class-weights"])
    assert not is_finished(member, build=build_tiny)
    assert not capsys.readouterr().out


def test_a_record_without_its_checkpoint_is_no_finished_run(member, tmp_path):
    (tmp_path / "checkpoints/member.keras").unlink()
    assert not is_finished(member)


def test_a_finished_run_starts_no_process(member, monkeypatch):
    monkeypatch.setattr(runs, "run", lambda command: pytest.fail("started"))
    assert runs.run_once(member, "abc")["settings"]["faces"] == "abc"


def test_a_failed_run_ends_the_experiment_with_its_exit_code(member, monkeypatch):
    monkeypatch.setattr(runs, "run", lambda command: 2)
    with pytest.raises(SystemExit) as stop:
        runs.run_once([*member, "--seed", 5], "abc")
    assert stop.value.code == 2


def test_cells_are_trained_seed_by_seed_and_then_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    done = []

    def train(cell, seed):
        name = f"{cell.augmentation}_{seed}"
        done.append(name)
        (tmp_path / f"checkpoints/{name}.csv").write_text(f"epoch,loss\n1,{seed}\n")
        return {"name": name}

    def measure(record, history):
        done.append(record["name"])
        return {"last_loss": history["loss"].iloc[-1]}

    cells = [Cell("flip", "none"), Cell("zoom", "none")]
    measurements, histories = runs.run_cells(cells, range(4, 6), train, measure)
    names = ["flip_4", "zoom_4", "flip_5", "zoom_5"]
    assert done == names + names
    assert list(measurements["augmentation"]) == ["flip", "zoom", "flip", "zoom"]
    assert list(measurements["seed"]) == list(measurements["last_loss"]) == [4, 4, 5, 5]
    assert [list(each["loss"]) for each in histories[cells[1]]] == [[4], [5]]


def test_a_run_that_another_process_makes_is_left_to_it(member, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "run", lambda command: pytest.fail("started"))
    with locked(tmp_path / "checkpoints/member.claim"), pytest.raises(Locked):
        runs.run_once([*member, "--seed", 5], "abc")


def test_runs_of_others_are_waited_for_and_come_back_in_order(monkeypatch, capsys):
    monkeypatch.setattr(runs, "WAIT", 0)
    refusals = {("b", 1): 3, ("c", 2): 1}
    trained = []

    def train(*run):
        if refusals.get(run):
            refusals[run] -= 1
            raise Locked("taken")
        trained.append(run)
        return f"record of {run[0]}"

    todo = [("a", 0), ("b", 1), ("c", 2), ("d", 3)]
    records = runs.run_all(todo, train)
    assert records == [f"record of {name}" for name in "abcd"]
    assert [name for name, _ in trained] == ["a", "d", "c", "b"]
    printed = capsys.readouterr().out
    assert printed.count("another process trains it") == 2
    assert "run 2 of 4: b, 1\n" in printed


def test_sigterm_reaches_the_run():
    child = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(143));"
    child += "print('ready', flush=True); time.sleep(60)"
    parent = "import sys; from fer import runs;"
    parent += f"sys.exit(runs.run([sys.executable, '-c', {child!r}]))"
    with subprocess.Popen(
        [sys.executable, "-c", parent], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    assert time.monotonic() - started < 50
