"""Measure what normalization, augmentation and the rest of a recipe each contribute.

    python -m experiments.ablations                  # neither, each alone, both
    python -m experiments.ablations --ingredients    # and every ingredient by itself

Trains --network once for every cell and seed, as `train_cnn.py --recipe` does, in 12
runs or, with --ingredients, 39. All hold out the same validation faces. The same
command again continues where it was stopped and trains no finished run a second time;
more --seeds add to what is there.

Writes plots/ablations.csv and plots/ablations.png and prints the table, each number as
mean and standard deviation over the seeds: accuracy of the best epoch (measured on the
reloaded checkpoint) and of the last one, which epoch was best, how far the accuracy
in training lay above that in validation in the last epoch, and the recall of disgust
of the best epoch. Training accuracy is that of the log, on augmented faces and with
dropout, so that the gap may be negative. FER2013's validation part has 43 faces of
disgust: one of them is two points of recall.

All 39 runs take 75 minutes on two AVX512_BF16 cores, two or three at a time.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt

import train_cnn
from experiments import grid
from fer import (
    checkpoints,
    command,
    figures,
    jobs,
    measures,
    paths,
    prediction,
    tables,
)
from fer.faces import EMOTIONS

DISGUST = EMOTIONS.index("disgust")
MEASURES = {
    "val_accuracy": "best epoch",
    "best_epoch": "which",
    "last_val_accuracy": "last epoch",
    "gap": "training above validation",
    "disgust_recall": "recall of disgust",
}


class Cell(NamedTuple):
    """What differs between the runs; other changes are flags of train_cnn.py."""

    augmentation: str
    normalization: str
    changes: str = ""


# What the reports call augmentation is flip, rotation, shift and zoom: `geometric`.
NEITHER = Cell("none", "none")
NORMALIZED = Cell("none", "standard")
AUGMENTED = Cell("geometric", "none")
BOTH = Cell("geometric", "standard")
MAIN = {
    "normalization and augmentation": {
        "neither": NEITHER,
        "normalization only": NORMALIZED,
        "augmentation only": AUGMENTED,
        "both": BOTH,
    }
}
INGREDIENTS = {
    "augmentation (normalized)": {
        "none": NORMALIZED,
        "flip": Cell("flip", "standard"),
        "rotation": Cell("rotation", "standard"),
        "shift": Cell("shift", "standard"),
        "zoom": Cell("zoom", "standard"),
        "all four": BOTH,
        "and erasing": Cell("erasing", "standard"),
    },
    "normalization (augmented)": {
        "none": AUGMENTED,
        "divided by 255": Cell("geometric", "unit"),
        "mean and deviation of the data set": BOTH,
        "mean and deviation of each face": Cell("geometric", "image"),
    },
    "loss (both)": {
        "as the recipe has it": BOTH,
        "no label smoothing": BOTH._replace(changes="--label-smoothing 0"),
        "class weights": BOTH._replace(changes="--class-weights"),
    },
}


def build_parser():
    parser = grid.build_parser(__doc__, "ablations")
    parser.add_argument(
        "--ingredients",
        action="store_true",
        help="also each augmentation and normalization alone, and other losses",
    )
    return parser


def list_cells(experiments):
    """The cells of all experiments, each once, in their order."""
    return list(
        dict.fromkeys(cell for cells in experiments.values() for cell in cells.values())
    )


def plan_run(cell, seed, options):
    """The run of a cell and a seed, through train_cnn.py."""
    words = [options.name, cell.augmentation, cell.normalization]
    words += cell.changes.replace("-", "").split()
    arguments = grid.list_flags(options)
    arguments += ["--recipe", options.recipe, "--epochs", options.epochs]
    arguments += ["--name", "_".join([*words, str(seed)]), "--seed", seed]
    arguments += ["--augmentation", cell.augmentation]
    arguments += ["--normalization", cell.normalization, *cell.changes.split()]
    return jobs.plan(train_cnn, arguments)


def measure_run(record, history, faces):
    """The numbers of one run, by the names of `MEASURES`.

    Args:
        record: of the run.
        history: its data frame, one row per epoch.
        faces: the Split of all runs.
    """
    model = checkpoints.load_checkpoint(paths.run_file(record["name"], ".keras"))
    probabilities = prediction.predict(model, faces.validation_images)
    confusion = measures.compute_confusion(probabilities, faces.validation_labels)
    last = history.iloc[-1]
    return {
        "val_accuracy": record["val_accuracy"],
        "best_epoch": record["best_epoch"],
        "last_val_accuracy": last["val_accuracy"],
        "gap": last["accuracy"] - last["val_accuracy"],
        "disgust_recall": measures.compute_recalls(confusion)[DISGUST],
    }


def describe(table):
    """The table in Markdown, as lines of text."""
    header = [*Cell._fields, *MEASURES.values()]
    rows = []
    for row in table.to_dict("records"):
        means = [
            grid.format_mean(row, measure, digits=1 if measure == "best_epoch" else 3)
            for measure in MEASURES
        ]
        rows.append([*(row[field] for field in Cell._fields), *means])
    return tables.format_table(header, rows)


def plot_curves(experiments, histories, title, path):
    """Draw accuracy over the epochs, a panel per experiment and a colour per cell.

    Args:
        experiments: as `MAIN`.
        histories: dict from a cell to a list of data frames, one per seed.
        title: of the figure.
        path: of the picture.
    """
    columns = min(2, len(experiments))
    rows = -(-len(experiments) // columns)
    figure, panels = plt.subplots(
        rows,
        columns,
        figsize=(1 + 5 * columns, 0.5 + 4 * rows),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for panel in panels.flat[len(experiments) :]:
        panel.remove()
    for panel, (experiment, cells) in zip(
        panels.flat, experiments.items(), strict=False
    ):
        for i, (label, cell) in enumerate(cells.items()):
            figures.plot_band(
                panel, histories[cell], "val_accuracy", f"C{i}", "-", label
            )
            figures.plot_band(panel, histories[cell], "accuracy", f"C{i}", ":", None)
        panel.set(title=experiment, xlabel="epoch")
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
    for panel in panels[:, 0]:
        panel.set_ylabel("accuracy: validation (lines), training (dots)")
    figure.suptitle(title)
    figures.save_figure(figure, path)


def main():
    options = build_parser().parse_args()
    faces = grid.load_faces(options)
    experiments = MAIN | (INGREDIENTS if options.ingredients else {})
    measurements, histories = grid.run_cells(
        list_cells(experiments),
        range(options.seeds),
        plan_run,
        lambda record, history: measure_run(record, history, faces),
        options,
        faces,
    )

    table = grid.summarize(measurements, Cell._fields, MEASURES)
    grid.publish_table(table, describe(table), options.name)
    path = paths.PLOTS / f"{options.name}.png"
    title = (
        f"{options.network}: mean (line) and range (band) over {options.seeds} seeds"
    )
    plot_curves(experiments, histories, title, path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
