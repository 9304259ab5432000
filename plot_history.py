"""Draw the accuracy curves of any number of runs into one picture.

    python plot_history.py cnn dnn                     # writes plots/runs_history.png

Validation accuracy is drawn strong, with a mark at the best epoch, training accuracy
faintly in the same style. Training faces are augmented and dropout is on while they
are counted, so the faint curve may lie below the strong one. Takes a second.
"""

from pathlib import Path

import pandas as pd

from fer import command, figures, paths

COLUMNS = ["epoch", "accuracy", "val_accuracy"]


def load_history(run, columns=COLUMNS):
    """Read the log of a run.

    Args:
        run: a name under checkpoints/ or the path of a CSV file.
        columns: those to read, epoch among them.

    Returns:
        The run's name and a data frame with these columns; val_accuracy is NaN where
        there was no validation part.

    Raises:
        InputError: there is no such run, or the file is no log of a training script.
    """
    path = Path(run) if run.endswith(".csv") else paths.run_file(run, ".csv")
    if not path.is_file():
        raise command.InputError(
            f"{path}: expected the log of a finished run, found nothing; give names "
            "under checkpoints/ or paths of .csv files"
        )
    try:
        history = pd.read_csv(path)[columns].astype(float)
    except (ValueError, KeyError) as error:
        raise command.InputError(
            f"{path}: expected the columns {', '.join(columns)} with numbers, found "
            f"something else ({error}); give a .csv that a training script wrote"
        ) from error
    if history.empty:
        raise command.InputError(
            f"{path}: expected at least one epoch, found none; train the run again"
        )
    return path.stem, history


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
        default=paths.PLOTS / "runs_history.png",
        metavar="FILE",
        help="the figure (default: %(default)s)",
    )
    return parser


def main(arguments=None):
    options = build_parser().parse_args(arguments)
    path = figures.check_path(options.output)
    figures.plot_histories([load_history(run) for run in options.runs], path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
