"""Draw the accuracy curves of any number of runs into one picture.

    python plot_history.py cnn dnn                     # writes plots/runs_history.png

Validation accuracy is drawn strong, with a mark at the best epoch, training accuracy
faintly in the same style. Training faces are augmented and dropout is on while they
are counted, so the faint curve may lie below the strong one. Takes a second.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from fer import command, figures

CHECKPOINTS = Path("checkpoints")
COLUMNS = ["epoch", "accuracy", "val_accuracy"]
# Okabe & Ito's, which the color-blind tell apart; in grey, style and mark do.
COLORS = ("#0072B2", "#D55E00", "#000000", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINE_STYLES = ("-", "--", "-.", ":", (0, (8, 2, 1, 2, 1, 2)))
MARKERS = "osD^vP"


def load_history(run):
    """Read the log of a run.

    Args:
        run: a name under checkpoints/ or the path of a CSV file.

    Returns:
        The run's name and a data frame with the columns epoch, accuracy and
        val_accuracy, which is NaN where there was no validation part.

    Raises:
        InputError: there is no such run, or the file is no log of a training script.
    """
    path = Path(run) if run.endswith(".csv") else CHECKPOINTS / f"{run}.csv"
    if not path.is_file():
        raise command.InputError(
            f"{path}: expected the log of a finished run, found nothing; give names "
            "under checkpoints/ or paths of .csv files"
        )
    try:
        history = pd.read_csv(path)[COLUMNS].astype(float)
    except (ValueError, KeyError) as error:
        raise command.InputError(
            f"{path}: expected the columns {', '.join(COLUMNS)} with numbers, found "
            f"something else ({error}); give a .csv that a training script wrote"
        ) from error
    if history.empty:
        raise command.InputError(
            f"{path}: expected at least one epoch, found none; train the run again"
        )
    return path.stem, history


def plot_histories(histories, path):
    """Draw the accuracies of several runs.

    Args:
        histories: list of (name, data frame) as `load_history` returns them.
        path: of the PNG.
    """
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for i, (name, history) in enumerate(histories):
        style = {
            "color": COLORS[i % len(COLORS)],
            "linestyle": LINE_STYLES[i % len(LINE_STYLES)],
        }
        validation = history["val_accuracy"]
        has_validation = validation.notna().any()
        axes.plot(
            history["epoch"],
            history["accuracy"],
            alpha=0.4,
            linewidth=1,
            label=None if has_validation else f"{name} (no validation part)",
            **style,
        )
        if has_validation:
            best = validation.idxmax()
            axes.plot(
                history["epoch"],
                validation,
                linewidth=2,
                marker=MARKERS[i % len(MARKERS)],
                markersize=8,
                markevery=[best],
                label=f"{name}: {validation[best]:.4f} in epoch "
                f"{history['epoch'][best]:.0f}",
                **style,
            )
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy (strong: validation, faint: training)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    # Below the curves wherever they go.
    figure.legend(loc="outside lower center", ncols=2, handlelength=4, frameon=False)
    figures.save_figure(figure, path)


def build_parser():
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="names under checkpoints/ or paths of .csv files",
    )
    parser.add_argument(
        "--output",
        default="plots/runs_history.png",
        metavar="FILE",
        help="the figure (default: %(default)s)",
    )
    return parser


def main():
    options = build_parser().parse_args()
    path = figures.check_path(options.output)
    plot_histories([load_history(run) for run in options.runs], path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
