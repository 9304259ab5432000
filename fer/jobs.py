"""Many runs, some side by side, each in a process of its own: here or on a cluster.

A process of its own frees all memory, and its seeds and precision are its own. What a
run prints goes to checkpoints/<name>.log; a run that was stopped is resumed, and one
that is finished is not made again.
"""

import argparse
import concurrent.futures
import dataclasses
import importlib.util
import os
import shutil
import signal
import sys

from fer import checkpoints, flags, job_table
from fer.command import InputError, positive_integer
from fer.job_group import Group
from fer.paths import run_file
from fer.processes import start
from fer.provenance import THREADS_VARIABLE, count_cores, describe_settings


@dataclasses.dataclass(frozen=True)
class Job:
    """A run to be made.

    Attributes:
        command: what follows `python` to make it, --resume included.
        build, recipe, options: what that script gives to `train_cnn.train`.
    """

    command: list
    build: object
    recipe: object
    options: object

    @property
    def name(self):
        return self.options.name

    def find_record(self, faces):
        """The record of exactly this run on these faces, or None if it is unfinished.

        Where --precision is "auto", the record may be of any, and where the fast layers
        are allowed also of Keras' own: another machine of a cluster took what is fast
        there.

        Args:
            faces: the Split of all runs.
        """
        path = run_file(self.name, ".keras")
        record = checkpoints.load_record(path)
        if record is None or not path.is_file():
            return None
        options, found = self.options, dict(record.get("settings", {}))
        recipe = flags.override(self.recipe, options)
        wanted = describe_settings(
            self.build, recipe, options, faces, options.precision
        )
        if options.precision == "auto":
            found["precision"] = "auto"
        if options.fast_layers:
            for settings in (found, wanted):
                settings.pop("fast_layers", None)
        return record if found == wanted else None


def plan(script, arguments):
    """The run that a training script makes of some flags.

    Args:
        script: the module of the script, with `read_flags`.
        arguments: the flags, --name among them.
    """
    # A job is resumed anyway.
    arguments = [str(argument) for argument in arguments if argument != "--resume"]
    return Job([script.__file__, *arguments, "--resume"], *script.read_flags(arguments))


def add_jobs_flags(parser):
    """The flags by which a script of many runs is told where to make them."""
    parser.add_argument(
        "--jobs",
        type=workers,
        default=1,
        metavar="NUMBER|slurm",
        help="runs at a time, among which the cores are shared out: on two cores two "
        "runs of one thread each take less time than one after the other; slurm hands "
        "all to a cluster (default: %(default)s)",
    )
    parser.add_argument(
        "--slurm",
        default="",
        metavar="OPTIONS",
        help="what --jobs slurm asks for, such as 'partition=gpu gpus_per_node=1 "
        "time=60' with the time in minutes (default: one task of an hour)",
    )


def workers(text):
    """An argparse type: a number of runs at a time, or slurm where there is one."""
    if text != "slurm":
        return positive_integer(text)
    if shutil.which("sbatch") is None:
        raise argparse.ArgumentTypeError(
            "expected Slurm's sbatch on the path, found none; use a login node of a "
            "cluster, or give a number"
        )
    if importlib.util.find_spec("submitit") is None:
        raise argparse.ArgumentTypeError(
            "expected the package submitit, found none; install it with pip install "
            "-r requirements-cluster.txt"
        )
    return text


def run_all(jobs, options, faces):
    """Make every run that is not finished.

    A signal stops all of them as it would stop one; this process then ends with the
    exit code, and the same command continues.

    Args:
        jobs: list of Job.
        options: those of `add_jobs_flags`.
        faces: the Split of all runs.

    Returns:
        The records of the runs, in the order of `jobs`.

    Raises:
        InputError: a run refused its input.
    """
    if options.slurm and options.jobs != "slurm":
        raise InputError(
            "--slurm: expected --jobs slurm beside it, found none; add that or leave "
            "it out"
        )
    unfinished = [job for job in jobs if job.find_record(faces) is None]
    print(f"{len(jobs) - len(unfinished)} of {len(jobs)} runs are finished", flush=True)
    if options.jobs == "slurm":
        # Most have no Slurm, and do without the package.
        from fer import cluster

        group = cluster.Array(unfinished, options.slurm)
    else:
        group = Processes(unfinished, options.jobs)
    with group:
        job_table.watch([job.name for job in unfinished], group.look)
    check(unfinished, group)
    return [checkpoints.load_record(run_file(job.name, ".keras")) for job in jobs]


class Processes(Group):
    """Runs on this machine, some at a time; a failure stops the others.

    Args:
        jobs: list of Job.
        num_workers: runs at a time, which share the cores.
    """

    def __init__(self, jobs, num_workers):
        super().__init__()
        self.jobs, self.num_workers = jobs, num_workers
        self.living = {}
        self.stopping = None
        self.environment = dict(os.environ)
        if num_workers > count_cores():
            print(f"warning: {num_workers} jobs share {count_cores()} cores")
        if num_workers > 1:
            threads = str(max(1, count_cores() // num_workers))
            # PyTorch is told by the other one.
            for variable in (THREADS_VARIABLE, "OMP_NUM_THREADS"):
                self.environment.setdefault(variable, threads)

    def __enter__(self):
        self.pool = concurrent.futures.ThreadPoolExecutor(self.num_workers)
        self.futures = [self.pool.submit(self.run, job) for job in self.jobs]
        return super().__enter__()

    def wait(self):
        self.pool.shutdown()

    def stop(self, number):
        self.stopping = number
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in list(self.living.values()):
            process.send_signal(number)

    def run(self, job):
        """Make one run to its end; called in a thread of the pool."""
        process = start(job.command, run_file(job.name, ".log"), self.environment)
        self.living[job.name] = process
        if self.stopping is not None:
            # It came before there was a process to hand it to.
            process.send_signal(self.stopping)
        self.codes[job.name] = process.wait()
        del self.living[job.name]
        if self.codes[job.name] != 0 and self.stopping is None:
            self.stop(signal.SIGTERM)

    def look(self):
        return [
            self.find_state(job.name, future)
            for job, future in zip(self.jobs, self.futures, strict=True)
        ]

    def find_state(self, name, future):
        """The state of one run."""
        if future.cancelled():
            return "not begun"
        if future.done():
            # Raises what went wrong outside of the run, such as a full disk.
            future.result()
        if name in self.codes:
            return self.describe_end(name)
        return "running" if name in self.living else "waiting"


def check(jobs, group):
    """End this process where a signal came or a run failed.

    Args:
        jobs: those that were to be made.
        group: the Group that made them.
    """
    if group.signal is not None:
        done = sum(code == 0 for code in group.codes.values())
        print(f"stopped after {done} of {len(jobs)} runs; the same command continues")
        sys.exit(128 + group.signal)
    for name, code in group.codes.items():
        if code == 0:
            continue
        log = run_file(name, ".log")
        lines = job_table.read_last_lines(log)
        last = lines[-1].removeprefix("error: ") if lines else "it printed nothing"
        if code == 2:
            raise InputError(f"{name}: {last}")
        print(
            f"error: {name} ended with {code}: {last}; {log} has the rest",
            file=sys.stderr,
        )
        # A process that a signal ended reports it as a negative number.
        sys.exit(code if code > 0 else 128 - code)
