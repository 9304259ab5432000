"""Runs of an experiment: which are finished, and how failures and signals travel."""

import dataclasses
import json
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

import networks
from fer import flags, runs


@pytest.fixture
def member(tmp_path, monkeypatch):
    """A record of a run, written by hand, and the flags that belong to it."""
    monkeypatch.chdir(tmp_path)
    arguments = ["--name", "member", "--network", "small", "--epochs", "2"]
    arguments += ["--precision", "float32"]
    recipe = flags.override(networks.load("small").CNN_RECIPE, runs.parse(arguments))
    settings = {
        **dataclasses.asdict(recipe),
        "network": "small",
        "seed": 0,
        "validation": 0.1,
        "faces": "abc",
        "precision": "float32",
        "teachers": {},
    }
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "member.keras").touch()
    (folder / "member.json").write_text(json.dumps({"settings": settings}))
    return arguments


def test_a_finished_run_is_recognized_by_its_settings(member):
    assert runs.is_finished(runs.parse(member), "abc")
    assert not runs.is_finished(runs.parse(member), "other faces")
    for change in (["--seed", "1"], ["--epochs", "3"], ["--name", "other"]):
        assert not runs.is_finished(runs.parse(member + change), "abc"), change
    assert not runs.is_finished(runs.parse([*member, "--class-weights"]), "abc")


def test_a_record_without_its_checkpoint_is_no_finished_run(member, tmp_path):
    (tmp_path / "checkpoints/member.keras").unlink()
    assert not runs.is_finished(runs.parse(member), "abc")


def test_a_finished_run_starts_no_process(member, monkeypatch):
    monkeypatch.setattr(runs, "run", lambda command: pytest.fail("started"))
    assert runs.run_once(member, "abc")["settings"]["faces"] == "abc"


def test_a_failed_run_ends_the_experiment_with_its_exit_code(member, monkeypatch):
    monkeypatch.setattr(runs, "run", lambda command: 2)
    with pytest.raises(SystemExit) as stop:
        runs.run_once([*member, "--seed", 5], "abc")
    assert stop.value.code == 2


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
