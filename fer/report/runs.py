"""What a run left behind: its checkpoint, its record and its log, none of it guessed."""

import dataclasses
from pathlib import Path

import pandas as pd

import plot_history
from fer import checkpoints, gradients
from fer.command import InputError
from fer.report.measure import take

# What the page takes from a record, and the kinds of values that stand there. Words
# after a point are keys of an object within.
NUMBERS = (
    "parameters",
    "trainable_parameters",
    "multiply_adds",
    "training_operations",
    "epochs_trained",
    "best_epoch",
    "val_accuracy",
    "minutes",
    "images_per_second",
    "threads",
)
WORDS = (
    "command",
    "commit",
    "train",
    "kept",
    "settings.network",
    "versions.python",
    "versions.backend",
    "versions.keras",
    "versions.numpy",
)
# Of a run without git, a validation part or a formula for its operations.
NULLABLE = ("commit", "changed", "val_accuracy", "multiply_adds", "training_operations")
HISTORY_COLUMNS = ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]


@dataclasses.dataclass(frozen=True)
class Run:
    """A checkpoint and what lies beside it.

    Attributes:
        path: of the checkpoint.
        model: as it was loaded.
        record: the content of <name>.json, or None where there is none.
        history: the data frame of <name>.csv, or None where there is none.
    """

    path: Path
    model: object
    record: dict | None
    history: pd.DataFrame | None

    @property
    def name(self):
        return self.path.stem

    @property
    def is_convolutional(self):
        return bool(gradients.find_convolutions(self.model))

    @property
    def script(self):
        """What trains a network of this kind."""
        return "train_cnn.py" if self.is_convolutional else "train_dnn.py"

    def find(self, key):
        """A value of the record as a Measure, or None where it is not recorded."""
        value = self.record
        for word in key.split("."):
            value = value.get(word) if isinstance(value, dict) else None
        return take(self.path.with_suffix(".json"), key, value)

    def list_missing(self):
        """The keys that the page would take from the record and that it lacks."""
        keys = (*NUMBERS, *WORDS, "changed") if self.record is not None else ()
        return [
            key
            for key in keys
            if self.find(key) is None and not (key in NULLABLE and key in self.record)
        ]


def load_run(path):
    """Load a checkpoint with its record and its log.

    Raises:
        InputError: the checkpoint is no sound one, or what lies beside it is damaged
            or belongs to another.
    """
    path = Path(path)
    model = checkpoints.load_checkpoint(path)
    record = checkpoints.load_record(path)
    history = None
    if path.with_suffix(".csv").is_file():
        log = str(path.with_suffix(".csv"))
        _, history = plot_history.load_history(log, HISTORY_COLUMNS)
    run = Run(path, model, record, history)
    if record is not None:
        check_record(run)
    return run


def check_record(run):
    """Refuse a record with values of another kind, or one of another checkpoint."""
    kinds = dict.fromkeys(NUMBERS, (int, float)) | dict.fromkeys(WORDS, str)
    for key, kind in kinds.items():
        found = run.find(key)
        if found is not None and (
            not isinstance(found.value, kind) or isinstance(found.value, bool)
        ):
            expected = "a word" if kind is str else "a number"
            raise InputError(
                f"{run.path.with_suffix('.json')}: expected {key} to be {expected}, "
                f"found {found.value!r}; put the record of the run back or move it away"
            )
    parameters = run.find("parameters")
    if parameters is not None and parameters.value != run.model.count_params():
        raise InputError(
            f"{run.path.with_suffix('.json')}: expected the record of {run.path}, "
            f"which has {run.model.count_params():,} parameters, found one of "
            f"{parameters.value:,}; put the right record beside it or move it away"
        )
