"""How far many runs are: a table on the terminal, a line per start and end in a log."""

import os
import re
import time

from rich.live import Live
from rich.table import Table

from fer.job_group import ENDED, STATES
from fer.paths import run_file

# A finished epoch as `fer.callbacks.EpochProgress` prints it to a log.
EPOCH = re.compile(
    r"epoch (?P<epoch>\d+/\d+)(?:.*val_accuracy (?P<accuracy>[\d.]+))?"
    r"(?:.*  (?P<left>\d+ (?:s|min)) left)?"
)
# How `fer.run` ends the line that says there is no run to go on with.
NEW_RUN = ": starting anew"


def watch(names, look):
    """Show how far runs are until all have ended.

    Args:
        names: of the runs.
        look: function without arguments to the states of the runs, out of `STATES`,
            in the same order.
    """
    states, started = ["waiting"] * len(names), {}
    with Live(auto_refresh=False) as live:
        while not ENDED.issuperset(states):
            time.sleep(0.2)
            before, states = states, look()
            for name, old, new in zip(names, before, states, strict=True):
                if new == "running":
                    started.setdefault(name, time.monotonic())
                if new != old:
                    line = describe_change(name, new, started.get(name))
                    live.console.print(line, highlight=False, soft_wrap=True)
            if live.console.is_terminal:
                live.update(draw_table(names, states), refresh=True)


def describe_change(name, state, started):
    """The line about a run that has just begun or ended.

    Args:
        name: of the run.
        state: the new one.
        started: `time.monotonic` when it began, or None.
    """
    line = f"{state:9} {name}"
    if state in ENDED and started is not None:
        found = read_epoch(name)
        line += f"  epoch {found['epoch'] or 'none'}"
        if found["accuracy"]:
            line += f"  val_accuracy {found['accuracy']}"
        line += f"  {(time.monotonic() - started) / 60:.1f} min"
    return line


def draw_table(names, states):
    """The runs that are going, with their last epoch, below how many are in a state."""
    counts = [f"{states.count(state)} {state}" for state in STATES if state in states]
    table = Table(
        "run", "epoch", "val_accuracy", "left", box=None, title_justify="left"
    )
    table.title = f"runs: {', '.join(counts)}"
    table.show_header = "running" in states
    for name, state in zip(names, states, strict=True):
        if state == "running":
            table.add_row(name, *(text or "" for text in read_epoch(name).values()))
    return table


def read_epoch(name):
    """The last epoch in the log of a run, its validation accuracy and the time left.

    Returns:
        A dict of texts by "epoch", "accuracy" and "left", None where there is none.
    """
    for line in reversed(read_last_lines(run_file(name, ".log"))):
        if match := EPOCH.match(line):
            return match.groupdict()
        if line.endswith(NEW_RUN):
            # What comes before is an earlier run's, to whose log this one's is added.
            break
    return dict.fromkeys(EPOCH.groupindex)


def read_last_lines(path):
    """The last lines of a run's log; none where there is no log."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 4000))
            return file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
