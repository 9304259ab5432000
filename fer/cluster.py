"""Many runs on a cluster: an array job of Slurm, handed over by submitit.

A node makes a run as this machine would, into the same files, so that a folder that
all nodes see is all that is needed. Where the time of a job is over or another one
comes first, the run keeps its last epoch, its job is queued again and resumes it. A
lost connection ends nothing: the numbers of the jobs stay in checkpoints/<name>.slurm,
and the same command finds them there.
"""

import contextlib
import logging
import os
import pickle
import shlex
import subprocess
import time

import submitit

from fer.command import InputError
from fer.job_group import ENDED, Group
from fer.paths import CHECKPOINTS, run_file
from fer.processes import Task
from fer.provenance import ROOT, THREADS_VARIABLE

# Where submitit puts what it hands over, and what the jobs print themselves.
FOLDER = CHECKPOINTS / "slurm"
# How often a job may run out of time and go on in another one.
MOST_REQUEUES = 1000
# Seconds between two questions to Slurm, and those in which a job's result may be on
# its way through the file system after the job has left the queue.
QUEUE_SECONDS = 5
RESULT_SECONDS = 30


def make_executor(options):
    """The submitit executor of a cluster.

    Args:
        options: text of words key=value, named as Slurm's own with _ instead of -.

    Raises:
        InputError: an option that there is not.
    """
    # It warns every few seconds where a cluster keeps no accounts.
    logging.getLogger("submitit").setLevel(logging.ERROR)
    parameters = {"time": 60, "job_name": "fer"}
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise InputError(f"--slurm: {error}; found {options!r}") from error
    for word in words:
        key, _, value = word.partition("=")
        if not value:
            raise InputError(
                f"--slurm: expected words such as partition=gpu, found {word!r}"
            )
        parameters[key] = int(value) if value.isdecimal() else value
    executor = submitit.SlurmExecutor(FOLDER.resolve(), max_num_timeout=MOST_REQUEUES)
    known = executor._valid_parameters()
    for key in sorted(parameters.keys() - known):
        raise InputError(
            f"--slurm: expected options among {', '.join(sorted(known))}, found {key}"
        )
    # Also where the cluster does not requeue by itself.
    parameters["additional_parameters"] = {"requeue": True}
    try:
        executor.update_parameters(**parameters)
    except (TypeError, ValueError) as error:
        raise InputError(f"--slurm: {error}; found {options!r}") from error
    return executor


def list_queue():
    """What of this user's jobs Slurm has not ended: a dict from number to state.

    Unlike `sacct`, which submitit asks, it answers on clusters without accounts too.
    """
    command = ["squeue", "--noheader", "--array", "--format=%i %T"]
    command.append(f"--user={os.getuid()}")
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in answer.splitlines())


class Array(Group):
    """Runs that a cluster makes; one that fails leaves the others alone.

    Args:
        jobs: list of `fer.jobs.Job`.
        options: text, as for `make_executor`.

    Raises:
        InputError: an option that there is not, or Slurm does not answer, or what it
            answered to a request that it refuses.
    """

    def __init__(self, jobs, options):
        super().__init__()
        self.names = [job.name for job in jobs]
        executor = make_executor(options)
        try:
            self.queue = list_queue()
        except subprocess.CalledProcessError as error:
            raise InputError(
                f"--jobs slurm: expected an answer of squeue, found "
                f"{error.stderr.strip() or error}; give the same command again when "
                "Slurm answers"
            ) from error
        self.handles = {}
        for name in self.names:
            number = read_number(name)
            if number in self.queue:
                self.handles[name] = executor.job_class(FOLDER.resolve(), number)
        new = [job for job in jobs if job.name not in self.handles]
        if new:
            self.handles |= submit(new, executor)
        again = len(jobs) - len(new)
        print(f"handed {len(new)} runs to Slurm; {again} were there already")
        self.ask()
        self.states = dict.fromkeys(self.names, "waiting")
        self.last_seen = dict.fromkeys(self.names, time.monotonic())

    def ask(self):
        """Ask Slurm what is in its queue."""
        self.asked = time.monotonic()
        # Busy or restarting it does not answer, and is asked again.
        with contextlib.suppress(subprocess.CalledProcessError):
            self.queue = list_queue()

    def stop(self, number):
        for name, handle in self.handles.items():
            if self.states[name] not in ENDED:
                handle.cancel(check=False)

    def look(self):
        if time.monotonic() - self.asked > QUEUE_SECONDS:
            self.ask()
        for name in self.names:
            if self.states[name] not in ENDED:
                self.states[name] = self.find_state(name, self.handles[name])
        return list(self.states.values())

    def find_state(self, name, handle):
        """The state of a run that had not ended when it was last looked at."""
        # In this order, since a job has its result before it leaves the queue.
        state = self.queue.get(handle.job_id)
        code = read_code(handle)
        if code is None and state is not None:
            self.last_seen[name] = time.monotonic()
            return "waiting" if state == "PENDING" else "running"
        if code is None and self.signal is not None:
            return "stopped"
        if code is None and time.monotonic() - self.last_seen[name] < RESULT_SECONDS:
            return self.states[name]
        self.codes[name] = self.note_lost_job(name, handle) if code is None else code
        run_file(name, ".slurm").unlink(missing_ok=True)
        return self.describe_end(name)

    def note_lost_job(self, name, handle):
        """Say in the log of a run that its job ended without it; returns a code."""
        with open(run_file(name, ".log"), "a") as file:
            file.write(
                f"error: Slurm's job {handle.job_id} ended before the run, such as for "
                f"its memory; see {handle.paths.stderr}\n"
            )
        return 1


def submit(jobs, executor):
    """Hand runs to a cluster; returns submitit's handle of each by its name.

    Raises:
        InputError: what Slurm answered to a request that it refuses.
    """
    # The nodes find this project where this process did.
    folders = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    handles = {}
    try:
        with executor.batch():
            for job in jobs:
                log = run_file(job.name, ".log").resolve()
                task = Task(job.command, log, THREADS_VARIABLE)
                handles[job.name] = executor.submit(task)
    except submitit.core.utils.FailedJobError as error:
        answer = str(error).strip().splitlines()[-1]
        raise InputError(f"--slurm: {answer}") from error
    for name, handle in handles.items():
        run_file(name, ".slurm").write_text(f"{handle.job_id}\n")
    return handles


def read_number(name):
    """The number of the job that was to make a run, or None."""
    try:
        return run_file(name, ".slurm").read_text().strip()
    except FileNotFoundError:
        return None


def read_code(handle):
    """The exit code of the run of a job, or None as long as there is none."""
    try:
        outcome, result = pickle.loads(handle.paths.result_pickle.read_bytes())
    except FileNotFoundError:
        return None
    return result if outcome == "success" else 1
