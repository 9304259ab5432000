"""Hide most labels, train with pseudo-labels, and measure what the hidden faces add.

    python -m experiments.semi_supervised                  # 5, 10, 25, 50, 100 % labels
    python -m experiments.semi_supervised --labelled 0.1   # 10 % only

Of the training part, the same as in every grid, a share of the faces keeps its labels:
stratified, drawn anew for every seed, copies of a face together. On them --network is
trained with each --method:

supervised      on the labelled faces alone; with all labels this is the ceiling.
self_training   Lee 2013: before each epoch, a round, the network labels the other faces
                as they are; those it is sure of are trained on with these labels.
fixmatch        Sohn et al. 2020 (arXiv 2001.07685): at each step the network labels
                faces that are flipped and shifted a little, and is trained to say the
                same of these faces strongly changed, where it was sure.

Sure means a probability of --threshold or more. The labels of the other faces serve to
hide labels of every emotion alike and to measure how many pseudo-labels are right, and
nothing else. Labelled faces and those of self-training are changed as `geometric` in
fer/augmentation.py says.

Every method takes the same number of optimizer steps, each with the same number of
faces: an epoch has as many steps as a pass over the whole training part, however few
labels there are. A step of `supervised` shows a batch of labelled faces, and one of
self-training of labelled and sure faces alike. A step of FixMatch shows half a batch
with labels and half without, and its loss is the mean over the former plus the mean
over the latter, where faces it is not sure of count zero. The first epochs are
supervised for every method: a fifteenth of them with FixMatch, half of them with
self-training, rounded up.

All train as --recipe says, without label smoothing and mixup, under which no network
is ever sure.

The best epoch is chosen with the whole validation part, which has more labels than 5
or 10 % of the training part; the accuracy of the last epoch needs no such choice, and
is what the figure shows and the methods are compared by.

Each run has a process of its own and leaves what `train_cnn.py` leaves, in
checkpoints/NAME_METHOD_PERCENT_SEED.keras and beside it, usable alone. Its .csv tells
for every epoch which share of the pseudo-labels was right (pseudo_precision) and which
share of the other faces got one (pseudo_share); its training accuracy counts labels and
pseudo-labels alike, with FixMatch also those it is not sure of. The same command again
(with --resume, where it is a single run) continues where it was stopped and trains no
finished run a second time.

Writes plots/NAME.csv and plots/NAME.png and prints the table, each number as mean and
standard deviation over the seeds; a single run (one share, method and seed) prints no
table.

All 39 runs with --epochs 8 take 47 minutes on two AVX512_BF16 cores, two or three at a
time; with 10 % of the labels FixMatch reaches 51.5 % of the validation faces.
"""

import dataclasses
import math
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, NullLocator

from experiments import grid
from experiments.pseudo_labels import METHODS, WARMUPS, SemiSupervisedRecipe, fit
from fer import command, figures, jobs, paths, sources, tables
from networks import NETWORKS
from train_cnn import read_flags, train

# Name, colour and line of the methods; the lines tell them apart in grey.
STYLES = {
    "supervised": ("supervised", "C0", ":"),
    "self_training": ("self-training", "C1", "--"),
    "fixmatch": ("FixMatch", "C2", "-"),
}
MEASURES = {
    "val_accuracy": "best epoch",
    "last_val_accuracy": "last epoch",
    "gain": "last epoch above supervised",
    "pseudo_precision": "right pseudo-labels",
    "pseudo_share": "faces with one",
}


class Cell(NamedTuple):
    """What differs between the runs: the method and the share of labels, in (0, 1]."""

    method: str
    labelled: float


# Without faces to label all methods are this one.
CEILING = Cell("supervised", 1.0)


def build_parser():
    parser = grid.build_parser(__doc__, "semi_supervised")
    add = parser.add_argument
    add(
        "--labelled",
        nargs="+",
        type=command.positive_share,
        default=[0.05, 0.1, 0.25, 0.5, 1.0],
        metavar="FRACTION",
        help="shares of the training faces that keep their labels "
        "(default: 0.05 0.1 0.25 0.5 1)",
    )
    add(
        "--method",
        nargs="+",
        default=METHODS,
        choices=METHODS,
        metavar="METHOD",
        help=f"ways to train: {', '.join(METHODS)} (default: all)",
    )
    add(
        "--threshold",
        type=command.positive_share,
        default=0.95,
        metavar="PROBABILITY",
        help="the least that makes a pseudo-label (default: %(default)s)",
    )
    add(
        "--seed",
        type=command.seed_number,
        default=0,
        help="of the first run of each kind (default: %(default)s)",
    )
    add(
        "--resume",
        action="store_true",
        help="continue an unfinished run after its last finished epoch; several runs "
        "(of more than one share, method or seed) always do",
    )
    return parser


def list_cells(methods, shares):
    """The cells of an experiment, each once, in the order of the shares."""
    return list(
        dict.fromkeys(
            Cell(method, share) if share < 1 else CEILING
            for share in shares
            for method in methods
        )
    )


def plan_run(cell, seed, options):
    """The run of a cell and a seed, through this script with a single one of each."""
    arguments = [*sources.list_train_flags(options), "--network", options.network]
    arguments += ["--recipe", options.recipe, "--name", options.name]
    arguments += ["--labelled", cell.labelled, "--method", cell.method]
    arguments += ["--threshold", options.threshold, "--epochs", options.epochs]
    arguments += ["--seed", seed, "--seeds", 1, "--resume"]
    return jobs.Job(
        ["-m", "experiments.semi_supervised", *arguments],
        *read_run(cell, seed, options),
    )


def read_run(cell, seed, options, resume=False):
    """What `train_cnn.train` is given for one run: build, recipe and options.

    To resume takes the threads of the run, for this process and all that it starts.
    """
    name = f"{options.name}_{cell.method}_{100 * cell.labelled:g}_{seed}"
    recipe = dataclasses.replace(
        NETWORKS[options.recipe].CNN_RECIPE,
        epochs=options.epochs,
        augmentation="geometric",
        label_smoothing=0.0,
        mixup=0.0,
    )
    recipe = SemiSupervisedRecipe(
        **dataclasses.asdict(recipe),
        **cell._asdict(),
        threshold=options.threshold,
        warmup_epochs=math.ceil(WARMUPS[cell.method] * options.epochs),
    )
    arguments = [*grid.list_flags(options), "--name", name, "--seed", str(seed)]
    build, _, run_options = read_flags(arguments + ["--resume"] * resume)
    return build, recipe, run_options


def measure_run(record, history):
    """The numbers of one run that need no other run, by the names of `MEASURES`."""
    last = history.iloc[-1]
    return {
        "val_accuracy": record["val_accuracy"],
        "last_val_accuracy": last["val_accuracy"],
        "pseudo_precision": last.get("pseudo_precision", np.nan),
        "pseudo_share": last.get("pseudo_share", np.nan),
    }


def add_gain(measurements):
    """Add by how much each run is better than `supervised` with the same labels.

    The seeds choose the labelled faces, so that only runs of one seed are comparable.

    Args:
        measurements: data frame with the columns of `Cell`, seed and
            last_val_accuracy.
    """
    keys = ["labelled", "seed"]
    is_supervised = measurements["method"] == "supervised"
    baseline = measurements[is_supervised].set_index(keys)["last_val_accuracy"]
    joined = measurements.join(baseline.rename("baseline"), on=keys)
    gain = joined["last_val_accuracy"] - joined["baseline"]
    return measurements.assign(gain=gain.where(~is_supervised))


def describe(table):
    """The table in Markdown, as lines of text."""
    rows = []
    for row in table.to_dict("records"):
        means = [
            "" if np.isnan(row[measure]) else grid.format_mean(row, measure)
            for measure in MEASURES
        ]
        rows.append([f"{100 * row['labelled']:g} %", row["method"], *means])
    return tables.format_table(["labels", "method", *MEASURES.values()], rows)


def plot_results(measurements, histories, title, path):
    """Draw accuracy against labels, and the precision of the pseudo-labels over epochs.

    Args:
        measurements: data frame with the columns of `Cell`, seed and
            last_val_accuracy.
        histories: dict from a cell to a list of data frames, one per seed.
        title: of the figure.
        path: of the picture.
    """
    figure, (accuracies, precisions) = plt.subplots(
        1, 2, figsize=(11, 4.5), layout="constrained"
    )
    plot_accuracy(accuracies, measurements)
    plot_precision(precisions, histories)
    for panel in (accuracies, precisions):
        panel.grid(alpha=0.3)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize="small")
    figure.suptitle(title)
    figures.save_figure(figure, path)


def plot_accuracy(panel, measurements):
    """Draw the last epoch's accuracy against the share of labels, a line per method."""
    is_ceiling = measurements["labelled"] == CEILING.labelled
    ceiling = measurements[is_ceiling]["last_val_accuracy"]
    if len(ceiling):
        panel.axhline(ceiling.mean(), color="0.4", label="all labels")
        panel.axhspan(ceiling.min(), ceiling.max(), color="0.4", alpha=0.15, lw=0)
    rows = measurements[~is_ceiling]
    for method in rows["method"].unique():
        runs_of_method = rows[rows["method"] == method]
        shares = runs_of_method.groupby("labelled")["last_val_accuracy"]
        means = shares.mean()
        name, color, line_style = STYLES[method]
        spread = [means - shares.min(), shares.max() - means]
        style = {"color": color, "label": name, "markersize": 4, "capsize": 3}
        panel.errorbar(means.index, means, spread, fmt=f"o{line_style}", **style)
    ticks = sorted(rows["labelled"].unique())
    panel.set_xscale("log")
    panel.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set(
        xlabel="training faces with a label", ylabel="validation accuracy, last epoch"
    )


def plot_precision(panel, histories):
    """Draw the precision of the pseudo-labels over the epochs, a line per cell."""
    named = set()
    for cell, seeds in histories.items():
        if not any("pseudo_precision" in history for history in seeds):
            continue
        name, color, line_style = STYLES[cell.method]
        label = None if cell.method in named else name
        named.add(cell.method)
        figures.plot_band(panel, seeds, "pseudo_precision", color, line_style, label)
        means = pd.concat(seeds).groupby("epoch")["pseudo_precision"].mean().dropna()
        panel.annotate(
            f"{100 * cell.labelled:g} %",
            (means.index[-1], means.iloc[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize="small",
            color=color,
        )
    # Room for the percentages.
    panel.margins(x=0.1)
    panel.set(xlabel="epoch (round)", ylabel="precision of the pseudo-labels")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def main():
    options = build_parser().parse_args()
    cells = list_cells(options.method, options.labelled)
    if len(cells) == options.seeds == options.jobs == 1 and not options.slurm:
        train(*read_run(cells[0], options.seed, options, options.resume), fit)
        return

    faces = grid.load_faces(options)
    measurements, histories = grid.run_cells(
        cells,
        range(options.seed, options.seed + options.seeds),
        plan_run,
        measure_run,
        options,
        faces,
    )
    table = grid.summarize(add_gain(measurements), Cell._fields, MEASURES)
    grid.publish_table(table, describe(table), options.name)
    path = paths.PLOTS / f"{options.name}.png"
    title = f"{options.network}: mean and range over {options.seeds} seeds"
    plot_results(measurements, histories, title, path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
