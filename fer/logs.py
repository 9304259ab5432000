"""The log of a run, checkpoints/NAME.csv: a row an epoch."""

from pathlib import Path

import pandas as pd

from fer import paths
from fer.command import InputError

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
        raise InputError(
            f"{path}: expected the log of a finished run, found nothing; give names "
            "under checkpoints/ or paths of .csv files"
        )
    try:
        history = pd.read_csv(path)[columns].astype(float)
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{path}: expected the columns {', '.join(columns)} with numbers, found "
            f"something else ({error}); give a .csv that a training script wrote"
        ) from error
    if history.empty:
        raise InputError(
            f"{path}: expected at least one epoch, found none; train the run again"
        )
    return path.stem, history
