"""A grid of runs: the same network trained in several ways, each with several seeds.

A cell is one way: a named tuple of what differs. Every cell is trained with every seed,
measured, and becomes a row of means and deviations.
"""

import math

import pandas as pd

from fer import data, jobs, paths, sources
from fer.command import file_stem, new_parser, positive_integer
from fer.files import replacing
from networks import DEFAULT_NETWORK, NETWORKS

# More than a single training holds out: to compare runs takes validation faces.
VALIDATION_SHARE = 0.1


def build_parser(description, name):
    """The flags of such an experiment.

    Args:
        description: the script's docstring.
        name: of the experiment, unless --name says otherwise.
    """
    parser = new_parser(description)
    sources.add_train_flags(parser)
    parser.add_argument(
        "--network",
        default="small",
        choices=NETWORKS,
        help="a file of networks/ (default: %(default)s)",
    )
    # Its schedule fits any number of epochs.
    parser.add_argument(
        "--recipe",
        default=DEFAULT_NETWORK,
        choices=NETWORKS,
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
    jobs.add_jobs_flags(parser)
    return parser


def load_faces(options):
    """The Split of all runs."""
    return data.load_split(options.train, VALIDATION_SHARE, options.ignore)


def list_flags(options):
    """The flags of train_cnn.py, a list of texts, that all runs have in common."""
    arguments = [*sources.list_train_flags(options), "--network", options.network]
    # What is compared is an epoch, without the mean that a finish would take.
    return [*arguments, "--validation", str(VALIDATION_SHARE), "--finish", "0"]


def run_cells(cells, seeds, plan, measure, options, faces):
    """Train every cell with every seed, then measure every run.

    Args:
        cells: list of named tuples.
        seeds: sequence of integers.
        plan: function from a cell, a seed and the options to the `fer.jobs.Job`.
        measure: function from a record and a history, a data frame with a row per
            epoch, to a dict of numbers.
        options: those of `build_parser` that `plan` reads, and `jobs.add_jobs_flags`'.
        faces: the Split of all runs.

    Returns:
        Data frame with the columns of a cell, seed and those numbers, a row per run,
        and a dict from a cell to its histories, one per seed.
    """
    # Seed by seed, so that an unfinished experiment has every cell before the spread.
    todo = [(cell, seed) for seed in seeds for cell in cells]
    plans = [plan(cell, seed, options) for cell, seed in todo]
    records = jobs.run_all(plans, options, faces)
    measurements = []
    histories = {cell: [] for cell in cells}
    for (cell, seed), record in zip(todo, records, strict=True):
        history = pd.read_csv(paths.run_file(record["name"], ".csv"))
        histories[cell].append(history)
        numbers = measure(record, history)
        measurements.append({**cell._asdict(), "seed": seed, **numbers})
    return pd.DataFrame(measurements), histories


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
    path = paths.PLOTS / f"{name}.csv"
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.5g")
    print(f"\nwrote {path}")
