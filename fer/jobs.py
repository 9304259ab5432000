"""Many runs on one machine: some side by side, each in a process of its own.

A process of its own frees all memory, and its seeds and precision are its own. What a
run prints goes to checkpoints/<name>.log; a run that was stopped is resumed, and one
that is finished is not made again.
"""

import concurrent.futures
import dataclasses
import os
import signal
import subprocess
import sys

from rich.live import Live
from rich.table import Table

from fer import checkpoints, flags
from fer.command import InputError, positive_integer
from fer.paths import run_file
from fer.precision import choose_precision
from fer.run import (
    THREADS_VARIABLE,
    count_cores,
    describe_settings,
    load_finished_record,
)


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

        Args:
            faces: the Split of all runs.
        """
        settings = describe_settings(
            self.build,
            flags.override(self.recipe, self.options),
            self.options,
            faces,
            choose_precision(self.options.precision)[0],
        )
        return load_finished_record(self.name, settings)


def plan(script, arguments):
    """The run that a training script makes of some flags.

    Args:
        script: the module of the script, with `read_flags`.
        arguments: the flags, --name among them.
    """
    arguments = [str(argument) for argument in arguments]
    return Job([script.__file__, *arguments, "--resume"], *script.read_flags(arguments))


def add_jobs_flag(parser):
    """The flag by which a script of many runs is told how many to make at a time."""
    parser.add_argument(
        "--jobs",
        type=positive_integer,
        default=1,
        metavar="NUMBER",
        help="runs at a time, among which the cores are shared out; on two cores two "
        "runs of one thread each take less time than one after the other (default: "
        "%(default)s)",
    )


def run_all(jobs, num_workers, faces):
    """Make every run that is not finished, `num_workers` at a time.

    A signal stops all of them as it would stop one, and a run that fails the others;
    this process then ends with the exit code, and the same command continues.

    Returns:
        The records of the runs, in the order of `jobs`.

    Raises:
        InputError: a run refused its input.
    """
    unfinished = [job for job in jobs if job.find_record(faces) is None]
    print(f"{len(jobs) - len(unfinished)} of {len(jobs)} runs are finished", flush=True)
    if num_workers > count_cores():
        print(f"warning: {num_workers} jobs share {count_cores()} cores")
    with (
        concurrent.futures.ThreadPoolExecutor(num_workers) as pool,
        Processes(pool, num_workers) as processes,
    ):
        futures = [pool.submit(processes.run, job) for job in unfinished]
        watch(unfinished, futures)
    processes.check()
    return [checkpoints.load_record(run_file(job.name, ".keras")) for job in jobs]


class Processes:
    """The processes of the runs, which a signal or a failure stops together.

    Args:
        pool: the executor whose waiting runs are then given up.
        num_workers: runs at a time, which share the cores.
    """

    def __init__(self, pool, num_workers):
        self.pool = pool
        self.living = {}
        self.signal = None
        self.failure = None
        self.environment = dict(os.environ)
        if num_workers > 1:
            threads = str(max(1, count_cores() // num_workers))
            # PyTorch is told by the other one.
            for variable in (THREADS_VARIABLE, "OMP_NUM_THREADS"):
                self.environment.setdefault(variable, threads)

    def __enter__(self):
        self.previous = {
            number: signal.signal(number, self.note)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *error):
        # Before the old handlers are back, every run has ended.
        self.pool.shutdown()
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def note(self, number, frame):
        """The signal handler: hand it on, so that every run keeps its last epoch."""
        self.signal = number
        self.stop(number)

    def stop(self, number):
        """Begin no further run and send a signal to those that are going."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        for process in list(self.living.values()):
            process.send_signal(number)

    def run(self, job):
        """Make one run to its end; called in a thread of the pool."""
        log = run_file(job.name, ".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as file:
            process = subprocess.Popen(
                [sys.executable, *map(str, job.command)],
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.living[job.name] = process
        if self.signal is not None:
            # It came before there was a process to hand it to.
            process.send_signal(self.signal)
        code = process.wait()
        del self.living[job.name]
        if code != 0 and self.signal is None and self.failure is None:
            self.failure = job, code
            self.stop(signal.SIGTERM)

    def check(self):
        """End this process where a signal came or a run failed."""
        if self.signal is not None:
            sys.exit(128 + self.signal)
        if self.failure is not None:
            job, code = self.failure
            log = run_file(job.name, ".log")
            last = read_last_line(log).removeprefix("error: ")
            if code == 2:
                raise InputError(last)
            print(
                f"error: {job.name} ended with {code}: {last}; {log} has the rest",
                file=sys.stderr,
            )
            # A process that a signal ended reports it as a negative number.
            sys.exit(code if code > 0 else 128 - code)


def watch(jobs, futures):
    """Show how far the runs are until all have ended or are given up."""
    with Live(auto_refresh=False) as live:
        while going := [future for future in futures if not future.done()]:
            concurrent.futures.wait(going, timeout=1)
            live.update(draw_table(jobs, futures), refresh=live.console.is_terminal)


def draw_table(jobs, futures):
    """The runs that are going, each with its last line, and how many wait."""
    states = [
        "done" if future.done() else "running" if future.running() else "waiting"
        for future in futures
    ]
    table = Table("run", "last line", box=None, caption_justify="left")
    for job, state in zip(jobs, states, strict=True):
        if state == "running":
            table.add_row(job.name, read_last_line(run_file(job.name, ".log")))
    table.caption = ", ".join(
        f"{states.count(state)} {state}" for state in ("waiting", "running", "done")
    )
    return table


def read_last_line(path):
    """The last line of a run's log; empty where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 1000))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return lines[-1] if lines else ""
