"""Many runs on a cluster: submitit's local executor, which starts real processes."""

import argparse
import os
import signal
import subprocess
import sys
import time

import cluster_run
import pandas as pd
import pytest
from conftest import ROOT
from test_jobs import PUBLISH, Script
from test_resume import read_weights

from fer import checkpoints, data, jobs
from fer.command import InputError
from fer.paths import run_file

submitit = pytest.importorskip("submitit")
cluster = pytest.importorskip("fer.cluster")

ON_SLURM = argparse.Namespace(jobs="slurm", slurm="")


@pytest.fixture
def local(tmp_path, monkeypatch):
    """A folder in which runs go to processes of this machine; their handles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    (tmp_path / "checkpoints").mkdir()
    handles, submit = [], cluster.submit

    def make_executor(options):
        folder = cluster.FOLDER.resolve()
        executor = submitit.LocalExecutor(folder, cluster.MOST_REQUEUES)
        executor.update_parameters(timeout_min=10)
        return executor

    def submit_and_note(todo, executor):
        found = submit(todo, executor)
        handles.extend(found.values())
        return found

    def list_queue():
        return {handle.job_id: "RUNNING" for handle in handles if not handle.done()}

    monkeypatch.setattr(cluster, "make_executor", make_executor)
    monkeypatch.setattr(cluster, "submit", submit_and_note)
    monkeypatch.setattr(cluster, "list_queue", list_queue)
    monkeypatch.setattr(cluster, "QUEUE_SECONDS", 0.2)
    monkeypatch.setattr(cluster, "RESULT_SECONDS", 1)
    return handles


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def plan_disturbed(drawn, name, *disturbance):
    """A run of four epochs of which a signal disturbs one."""
    arguments = ["--train", str(drawn / "train.csv"), "--name", name, "--epochs", "4"]
    arguments += ["--precision", "float32", "--validation", "0.1"]
    command = [cluster_run.__file__, *disturbance, *arguments, "--resume"]
    return jobs.Job(command, *cluster_run.read_flags(arguments))


@pytest.mark.slow
def test_a_preempted_and_a_killed_run_go_on_to_the_bit(local, drawn, monkeypatch):
    """As a node would: submitit's signal to its process there, SIGKILL to the run."""
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    todo = [
        plan_disturbed(drawn, "whole", "nobody", "SIGTERM", "1"),
        plan_disturbed(drawn, "preempted", "parent", "SIGUSR2", "2"),
        plan_disturbed(drawn, "killed", "itself", "SIGKILL", "3"),
    ]
    faces = data.load_split(drawn / "train.csv", 0.1)
    with pytest.raises(SystemExit) as stop:
        jobs.run_all(todo, ON_SLURM, faces)
    assert stop.value.code == 128 + signal.SIGKILL
    assert [job.find_record(faces) is not None for job in todo] == [True, True, False]
    log = run_file("preempted", ".log").read_text()
    assert "stopped after epoch 2 of 4" in log and "epoch 4/4" in log
    assert "epoch 4/4" not in run_file("killed", ".log").read_text()

    jobs.run_all(todo, ON_SLURM, faces)
    assert len(local) == 4
    expected = read_weights(run_file("whole", ".keras"))
    history = pd.read_csv(run_file("whole", ".csv")).drop(columns="seconds")
    for name in ("preempted", "killed"):
        weights = read_weights(run_file(name, ".keras"))
        assert list(weights) == list(expected) and len(weights) == 10
        for key, array in weights.items():
            assert array.tobytes() == expected[key].tobytes(), key
        found = pd.read_csv(run_file(name, ".csv")).drop(columns="seconds")
        pd.testing.assert_frame_equal(found, history)
        assert checkpoints.load_record(run_file(name, ".keras"))["threads"] == 1


def test_the_same_command_finds_what_is_in_the_queue(local, capsys):
    wait = "import time, pathlib\nwhile not pathlib.Path('go').exists():\n"
    todo = [Script(name, f"{wait} time.sleep(0.05){PUBLISH}") for name in "ab"]
    first = cluster.Array(todo, "")
    assert set(first.look()) == {"running"}
    second = cluster.Array(todo, "")
    assert len(local) == 2
    assert "handed 0 runs to Slurm; 2 were there already" in capsys.readouterr().out
    open("go", "w").close()
    wait_for(lambda: second.look() == ["done", "done"])
    assert not run_file("a", ".slurm").exists()


def test_a_signal_cancels_the_jobs(local):
    child = """
import signal, sys, time
def leave(number, frame):
    print("kept its epoch", flush=True)
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, leave)
open(f"{name}.ready", "w").close()
time.sleep(60)
"""
    with cluster.Array([Script(name, child) for name in "ab"], "") as group:
        wait_for(lambda: os.path.exists("a.ready") and os.path.exists("b.ready"))
        os.kill(os.getpid(), signal.SIGINT)
        wait_for(lambda: group.look() == ["stopped", "stopped"])
    assert group.signal == signal.SIGINT
    for name in "ab":
        wait_for(lambda name=name: "kept" in run_file(name, ".log").read_text())


def test_a_job_that_vanishes_is_a_failed_run(local, capsys):
    group = cluster.Array([Script("a", "import time\ntime.sleep(60)")], "")
    wait_for(lambda: run_file("a", ".log").exists())
    local[0]._process.kill()
    wait_for(lambda: group.look() == ["failed"])
    assert f"Slurm's job {local[0].job_id} ended" in run_file("a", ".log").read_text()


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A path with programs that are called like Slurm's; sbatch keeps what it gets."""
    monkeypatch.chdir(tmp_path)
    programs = {
        "squeue": "true",
        "srun": "true",
        "sbatch": f"cp $1 {tmp_path}/job.sh; echo Submitted batch job 7",
    }
    for name, line in programs.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_what_slurm_is_asked_for(slurm):
    options = "partition=gpu gpus_per_node=1 time=30"
    group = cluster.Array([Script(name, PUBLISH) for name in "abc"], options)
    lines = (slurm / "job.sh").read_text().splitlines()
    for line in (
        "#SBATCH --array=0-2%3",
        "#SBATCH --partition=gpu",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --time=30",
        "#SBATCH --requeue",
        "#SBATCH --signal=USR2@90",
    ):
        assert line in lines
    assert [handle.job_id for handle in group.handles.values()] == ["7_0", "7_1", "7_2"]
    assert run_file("c", ".slurm").read_text() == "7_2\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("partition", "expected words such as partition=gpu, found 'partition'"),
        ("tim=5", "expected options among .*, found tim"),
        ("comment='a", "No closing quotation; found"),
    ],
)
def test_wrong_options_are_refused(slurm, options, message):
    with pytest.raises(InputError, match=f"--slurm: {message}"):
        cluster.Array([Script("a", PUBLISH)], options)


def test_a_silent_slurm_is_named(slurm):
    (slurm / "squeue").write_text("#!/bin/sh\necho it is busy >&2\nexit 1\n")
    with pytest.raises(InputError, match="expected an answer of squeue, found it is b"):
        cluster.Array([Script("a", PUBLISH)], "")


def test_what_slurm_refuses_is_said(slurm):
    (slurm / "sbatch").write_text("#!/bin/sh\necho no such partition >&2\nexit 1\n")
    with pytest.raises(InputError, match="--slurm: .*no such partition"):
        cluster.Array([Script("a", PUBLISH)], "")


def test_without_slurm_or_submitit_the_flag_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(argparse.ArgumentTypeError, match="expected Slurm's sbatch"):
        jobs.workers("slurm")
    (tmp_path / "sbatch").touch(0o755)
    assert jobs.workers("slurm") == "slurm"
    monkeypatch.setattr(jobs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(argparse.ArgumentTypeError, match="requirements-cluster.txt"):
        jobs.workers("slurm")


def test_a_script_says_in_one_line_that_there_is_no_slurm(tmp_path):
    process = subprocess.run(
        [sys.executable, ROOT / "train_ensemble.py", "--jobs", "slurm"],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    last = process.stderr.splitlines()[-1]
    assert last.startswith("error: argument --jobs: expected Slurm's sbatch")
