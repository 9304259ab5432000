"""A run as a process of its own with a log, here or on a node of a cluster.

Imports nothing but the standard library: on a cluster one of these waits beside every
run, and Keras would take a second half a gigabyte there.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

# Seconds that Slurm has, after SIGTERM, to end or requeue what it wants to end.
GRACE = 600
# How a run ends that was told to: by itself, or before it could.
STOPPED = frozenset(
    code
    for number in (signal.SIGINT, signal.SIGTERM)
    for code in (128 + number, -number)
)


def start(command, log, environment=None, **options):
    """Start a run, whose output is added to its log; returns the Popen.

    Args:
        command: what follows `python`.
        log: path.
        environment: dict of variables, or None for those of this process.
        options: of Popen.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            **options,
        )


@contextlib.contextmanager
def handling_signals(handler):
    """Have Ctrl-C and SIGTERM call a function (number, frame) for a while."""
    previous = {
        number: signal.signal(number, handler)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, former in previous.items():
            signal.signal(number, former)


class Task:
    """What a node of a cluster does for one run; submitit calls it there.

    Args:
        command: what follows `python`, --resume included.
        log: path of the log of the run.
        threads_variable: by which a run is told how many threads it has.
    """

    def __init__(self, command, log, threads_variable):
        self.arguments = command, log, threads_variable

    def __call__(self):
        """Make the run to its end; returns its exit code."""
        command, log, threads_variable = self.arguments
        environment = dict(os.environ)
        if "SLURM_CPUS_ON_NODE" in environment:
            # Clusters that do not bind processes to cores would show all of them.
            cores = environment["SLURM_CPUS_ON_NODE"]
            environment.setdefault(threads_variable, cores)
        # Slurm signals every process of a job, and this signal is for this one.
        self.process = start(command, log, environment, preexec_fn=ignore_requeue)
        try:
            code = self.process.wait()
        except KeyboardInterrupt:
            self.process.terminate()
            raise
        if code in STOPPED and "SLURM_JOB_ID" in environment:
            # Slurm has told every process, and requeues or ends this one presently.
            time.sleep(GRACE)
        return code

    def checkpoint(self):
        """Stop the run after its batch and say what continues it; submitit requeues.

        Called in a signal handler in the midst of `wait`, which holds a lock: hence
        not by another `wait`.
        """
        from submitit.helpers import DelayedSubmission

        self.process.terminate()
        # Unless it had ended already.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(Task(*self.arguments))


def ignore_requeue():
    """Let submitit's signal pass by; called in a new process before its program."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
