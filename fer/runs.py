"""Runs that are parts of an experiment: each in its own process, none of them twice.

A process of its own frees all memory, and its seeds and precision are its own. The
same experiment may be started several times at once: each takes runs that none of the
others has begun.
"""

import contextlib
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

import networks
from fer import checkpoints, flags, training
from fer.command import file_stem, new_parser, positive_integer
from fer.files import Locked, locked, replacing
from fer.precision import choose_precision

TRAIN_CNN = Path(__file__).resolve().parent.parent / "train_cnn.py"
# Seconds until the next look at runs that other processes train.
WAIT = 5


def build_parser(description, name):
    """The flags that the experiments with cells share.

    Args:
        description: the script's docstring.
        name: of the experiment, unless --name says otherwise.
    """
    parser = new_parser(description)
    flags.add_train_flag(parser)
    parser.add_argument(
        "--network",
        default="small",
        choices=networks.NAMES,
        help="a file of networks/ (default: %(default)s)",
    )
    # Its schedule fits any number of epochs.
    parser.add_argument(
        "--recipe",
        default=networks.NAMES[0],
        choices=networks.NAMES,
        metavar="NETWORK",
        help="train as this network is trained (default: %(default)s)",
    )
    parser.add_argument(
        "--name",
        type=file_stem,
        default=name,
        help="stem of all files written (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=positive_integer,
        default=15,
        metavar="NUMBER",
        help="passes over as many faces as the training part has (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--seeds",
        type=positive_integer,
        default=3,
        metavar="NUMBER",
        help="runs of each kind, each with the next seed (default: %(default)s)",
    )
    return parser


def run_cells(cells, seeds, train, measure):
    """Train every cell with every seed, then measure every run.

    Args:
        cells: what differs between the runs, as named tuples.
        seeds: sequence of integers.
        train: function from a cell and a seed to the record of the finished run.
        measure: function from a record and a history, a data frame with a row per
            epoch, to a dict of numbers.

    Returns:
        Data frame with the columns of a cell, seed and those numbers, a row per run,
        and a dict from a cell to its histories, one per seed.
    """
    # Seed by seed, so that an unfinished experiment has every cell before the spread.
    todo = [(cell, seed) for seed in seeds for cell in cells]
    records = run_all(todo, train)

    measurements = []
    histories = {cell: [] for cell in cells}
    for (cell, seed), record in zip(todo, records, strict=True):
        history = pd.read_csv(training.stem_of(record["name"], ".csv"))
        histories[cell].append(history)
        numbers = measure(record, history)
        measurements.append({**cell._asdict(), "seed": seed, **numbers})
    return pd.DataFrame(measurements), histories


def run_all(todo, train):
    """Train every run; those that another process has begun are left to it.

    Args:
        todo: list of tuples, the arguments of `train`.
        train: function to the record of the finished run.

    Returns:
        The records, in the order of `todo`.
    """
    records = {}
    for number, arguments in enumerate(todo, start=1):
        words = ", ".join(map(str, arguments))
        print(f"\nrun {number} of {len(todo)}: {words}", flush=True)
        try:
            records[arguments] = train(*arguments)
        except Locked:
            print("another process trains it", flush=True)
    while len(records) < len(todo):
        # What the others stop halfway is continued here.
        time.sleep(WAIT)
        for arguments in todo:
            if arguments not in records:
                with contextlib.suppress(Locked):
                    records[arguments] = train(*arguments)
    return [records[arguments] for arguments in todo]


def run_once(arguments, fingerprint):
    """Train one CNN through train_cnn.py, unless that has been done.

    An unfinished run of the name is resumed; one with other settings is refused.

    Args:
        arguments: flags of train_cnn.py, --name and --network among them.
        fingerprint: of the faces, as `fer.checkpoints.compute_fingerprint` gives it.

    Returns:
        The record of the finished run.
    """
    arguments = [str(argument) for argument in arguments]
    options = parse(arguments)
    build = networks.load(options.network).build_cnn
    recipe = networks.load(options.recipe or options.network).CNN_RECIPE
    command = [str(TRAIN_CNN), *arguments, "--resume"]
    return run_unless_finished(command, build, recipe, options, fingerprint)


def parse(arguments):
    """The options that train_cnn.py makes of its arguments."""
    recipe = networks.load(networks.NAMES[0]).CNN_RECIPE
    parser = flags.build_parser(None, "cnn", networks.NAMES, recipe)
    return parser.parse_args(arguments)


def run_unless_finished(command, build, recipe, options, fingerprint):
    """Let a training script make a run, unless that has been done; returns its record.

    If the run fails or is stopped, this process ends with its exit code.

    Args:
        command: path and flags of the script.
        build, recipe, options: what it gives to `fer.training.train`.
        fingerprint: of the faces.

    Raises:
        Locked: another experiment makes the run.
    """
    with locked(training.stem_of(options.name, ".claim")):
        if not is_finished(build, recipe, options, fingerprint):
            status = run([sys.executable, *command])
            if status != 0:
                sys.exit(status)
    return checkpoints.load_record(training.stem_of(options.name, ".keras"))


def is_finished(build, recipe, options, fingerprint):
    """Whether checkpoint and record of exactly this run are there; says if so."""
    recipe = flags.override(recipe, options)
    precision, _ = choose_precision(options.precision)
    settings = training.describe_settings(
        build, recipe, options, fingerprint, precision
    )
    if training.load_finished_record(options.name, settings) is None:
        return False
    print(f"{training.stem_of(options.name, '.keras')} is finished", flush=True)
    return True


def run(command):
    """Run a command to its end, handing Ctrl-C and SIGTERM on; returns its exit code.

    The run then keeps its last epoch, where a killed one would lose what it writes.
    """
    process, noted = None, []

    def hand_on(number, _):
        noted.append(number)
        if process is not None:
            process.send_signal(number)

    previous = {
        number: signal.signal(number, hand_on)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    process = subprocess.Popen(command)
    if noted:
        # It came before there was a process to hand it to.
        process.send_signal(noted[-1])
    status = process.wait()
    for number, handler in previous.items():
        signal.signal(number, handler)
    if noted:
        # Also where the run was past its last step and ended well all the same.
        return 128 + noted[-1]
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


def format_mean(row, measure, digits=3):
    """A measure of one row of `summarize`: mean ± deviation, or the only value."""
    text = f"{row[measure]:.{digits}f}"
    deviation = row[f"{measure}_deviation"]
    if not math.isnan(deviation):
        text += f" ± {deviation:.{digits}f}"
    return text


def publish_table(table, lines, name):
    """Print the lines that describe a table and write it to plots/<name>.csv."""
    print("", *lines, sep="\n")
    path = training.PLOTS / f"{name}.csv"
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.5g")
    print(f"\nwrote {path}")
