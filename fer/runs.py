"""Runs that are parts of an experiment: each in its own process, none of them twice.

A process of its own frees all memory, and its seeds and precision are its own.
"""

import signal
import subprocess
import sys
from pathlib import Path

import networks
from fer import checkpoints, flags, training
from fer.precision import choose_precision

TRAIN_CNN = Path(__file__).resolve().parent.parent / "train_cnn.py"


def run_once(arguments, fingerprint):
    """Train one CNN through train_cnn.py, unless that has been done.

    An unfinished run of the name is resumed; one with other settings is refused.
    If the run fails or is stopped, this process ends with its exit code.

    Args:
        arguments: flags of train_cnn.py, --name and --network among them.
        fingerprint: of the faces, as `fer.checkpoints.compute_fingerprint` gives it.

    Returns:
        The record of the finished run.
    """
    arguments = [str(argument) for argument in arguments]
    options = parse(arguments)
    path = training.stem_of(options.name, ".keras")
    if is_finished(options, fingerprint):
        print(f"{path} is finished", flush=True)
    else:
        status = run([sys.executable, str(TRAIN_CNN), *arguments, "--resume"])
        if status != 0:
            sys.exit(status)
    return checkpoints.load_record(path)


def parse(arguments):
    """The options that train_cnn.py makes of its arguments."""
    recipe = networks.load(networks.NAMES[0]).CNN_RECIPE
    parser = flags.build_parser(None, "cnn", networks.NAMES, recipe)
    return parser.parse_args(arguments)


def is_finished(options, fingerprint):
    """Whether checkpoint and record of exactly this run are there."""
    recipe = networks.load(options.recipe or options.network).CNN_RECIPE
    recipe = flags.override(recipe, options)
    precision, _ = choose_precision(options.precision)
    settings = training.describe_settings(options, recipe, fingerprint, precision)
    return training.load_finished_record(options.name, settings) is not None


def run(command):
    """Run a command to its end, handing Ctrl-C and SIGTERM on; returns its exit code.

    The run then keeps its last epoch, where a killed one would lose what it writes.
    """
    process = subprocess.Popen(command)
    previous = {
        number: signal.signal(number, lambda number, _: process.send_signal(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    status = process.wait()
    for number, handler in previous.items():
        signal.signal(number, handler)
    # A process that a signal ended reports it as a negative number.
    return status if status >= 0 else 128 - status


def summarize(measurements, cell_columns, measures):
    """Mean and sample standard deviation over the seeds, one row per cell.

    Args:
        measurements: data frame with the columns of a cell, seed and the measures.
        cell_columns: names of the columns that tell the cells apart.
        measures: names of the columns of numbers.

    Returns:
        Data frame in the order of the cells' first appearance, with the columns of
        a cell, seeds, and for each measure itself and <measure>_deviation (NaN for a
        single seed).
    """
    cells = measurements.groupby(list(cell_columns), sort=False)
    table = cells.size().rename("seeds").to_frame()
    for measure in measures:
        table[measure] = cells[measure].mean()
        table[f"{measure}_deviation"] = cells[measure].std()
    return table.reset_index()
