"""Many runs on a real Slurm cluster: one node, this machine, started for the test."""

import os
import shutil
import socket
import subprocess
import sys
import time

import pytest
from conftest import ROOT
from test_cluster import wait_for
from test_jobs import PUBLISH

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SchedulerParameters=sched_interval=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/node
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def find_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Slurm cluster of this machine alone, to which this process then belongs."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.getuid() != 0:
        pytest.skip(f"needs root and Slurm (slurm-wlm, munge), lacks {missing}")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("node", "state"):
        (folder / name).mkdir()
    text = CONFIGURATION.format(
        host=socket.gethostname().split(".")[0],
        controller_port=find_port(),
        node_port=find_port(),
        folder=folder,
        cores=len(os.sched_getaffinity(0)),
    )
    (folder / "slurm.conf").write_text(text)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    munge = ["munged", "--foreground", "--force", f"--key-file={key}"]
    munge += [f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge.pid"]
    munge += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    started = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", environment["SLURM_CONF"])
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
            with open(folder / f"{command[0]}.out", "wb") as output:
                started.append(
                    subprocess.Popen(
                        command, env=environment, stdout=output, stderr=output
                    )
                )
            if command is munge:
                wait_for((folder / "munge.socket").exists)
        wait_for(lambda: "idle" in ask("sinfo", "--noheader", "--format=%T"))
        yield folder
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=60)


def ask(*command):
    """What a program of Slurm answers."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


# Ends as a run does that was told to, and the second time by itself.
TWICE = f"""
import pathlib, signal, sys, time
def leave(number, frame):
    print("epoch 1/7  1 s left", flush=True)
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, leave)
if not pathlib.Path("once").exists():
    pathlib.Path("once").touch()
    time.sleep(300)
{PUBLISH}
"""


@pytest.mark.slow
def test_an_array_job_of_which_one_run_is_requeued(cluster, tmp_path):
    """Slurm sends the signal that it sends before the time of a job is over."""
    (tmp_path / "checkpoints").mkdir()
    parent = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from test_cluster import ON_SLURM
from test_jobs import PUBLISH, Script
from test_slurm import TWICE
from fer import jobs
records = jobs.run_all([Script("a", PUBLISH), Script("b", TWICE)], ON_SLURM, None)
print([(record["name"], record["threads"]) for record in records])
"""
    with subprocess.Popen(
        [sys.executable, "-c", parent],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for((tmp_path / "once").exists, 120)
        number = (tmp_path / "checkpoints/b.slurm").read_text().strip()
        time.sleep(1)
        ask("scancel", "--signal=USR2", number)
        wait_for(lambda: "BeginTime" in ask("squeue", "--format=%r"), 60)
        # Slurm would wait for two minutes; within the second in which the first start
        # was ended, a node refuses the second one for the first one's credential.
        ask("scontrol", "update", f"JobId={number}", "StartTime=now+5")
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert output.splitlines()[-1] == "[('a', '1'), ('b', '1')]"
    log = (tmp_path / "checkpoints/b.log").read_text().splitlines()
    assert log == ["epoch 1/7  1 s left", "epoch 7/7"]
