"""What runs left behind: checkpoints, records and logs, none of it guessed."""

import dataclasses
from pathlib import Path

import pandas as pd

from fer import checkpoints, gradients, logs
from fer.command import InputError
from report.measure import take

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
        name: what the page calls it.
        path: of the checkpoint.
        model: as it was loaded.
        record: the content of <name>.json, or None where there is none.
        history: the data frame of <name>.csv, or None where there is none.
    """

    name: str
    path: Path
    model: object
    record: dict | None
    history: pd.DataFrame | None

    @property
    def is_convolutional(self):
        return bool(gradients.find_convolutions(self.model))

    @property
    def command(self):
        """What trained the network or, where that is not recorded, one of its kind."""
        recorded = (self.record or {}).get("command")
        if recorded:
            return f"python {recorded}"
        script = "train_cnn.py" if self.is_convolutional else "train_dnn.py"
        return f"python {script} --name {self.path.stem}"

    def find(self, key):
        """A value of the record as a Measure, or None where it is not recorded."""
        *groups, word = key.split(".")
        value = self.find_group(groups).get(word)
        return take(self.path.with_suffix(".json"), key, value)

    def holds(self, key):
        """Whether a key stands in the record, be it without a value."""
        *groups, word = key.split(".")
        return word in self.find_group(groups)

    def find_group(self, names):
        """An object within the record, empty where there is none."""
        value = self.record
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else {}

    def list_missing(self):
        """The keys that the page would take from the record and that it lacks."""
        keys = (*NUMBERS, *WORDS, "changed") if self.record is not None else ()
        return [
            key
            for key in keys
            if self.find(key) is None and not (key in NULLABLE and self.holds(key))
        ]


def load_runs(paths):
    """Load checkpoints, each once, with their records and logs.

    Args:
        paths: of the checkpoints; each run goes by the stem of its file or, where two
            would share it, by the whole path.

    Raises:
        InputError: the checkpoint is no sound one, or what lies beside it is damaged
            or belongs to another.
    """
    paths = list(dict.fromkeys(map(Path, paths)))
    stems = [path.stem for path in paths]
    return [
        load_run(path, path.stem if stems.count(path.stem) == 1 else str(path))
        for path in paths
    ]


def load_run(path, name):
    """Load one checkpoint with what lies beside it."""
    model = checkpoints.load_checkpoint(path)
    record = checkpoints.load_record(path)
    history = None
    if path.with_suffix(".csv").is_file():
        log = str(path.with_suffix(".csv"))
        _, history = logs.load_history(log, HISTORY_COLUMNS)
    run = Run(name, path, model, record, history)
    if record is not None:
        check_record(run)
    return run


def check_record(run):
    """Refuse a record with values of another kind, or one of another checkpoint."""
    kinds = dict.fromkeys(NUMBERS, (int, float)) | dict.fromkeys(WORDS, str)
    for key, kind in kinds.items():
        found = run.find(key)
        if found is None:
            continue
        is_sound = isinstance(found.value, kind) and not isinstance(found.value, bool)
        if key == "val_accuracy" and is_sound:
            is_sound = 0 <= found.value <= 1
        if not is_sound:
            expected = "a word" if kind is str else "a number of a run"
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
