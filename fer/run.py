"""What surrounds a training: its lock, saved state, record and whole files.

A run goes by its name. It lives in checkpoints/<name>.state, which is written after
every epoch and from which --resume continues to the bit; at the end come
checkpoints/<name>.keras, .csv and .json and plots/<name>_history.png, and the state may
be deleted. The story itself, from faces to `fit`, stands in train_cnn.py.
"""

import contextlib
import dataclasses
import json
import shlex
import sys
from pathlib import Path

import keras
import pandas as pd

from fer import checkpoints, complexity, figures, measures, paths, prediction, twins
from fer.callbacks import EpochProgress, StateKeeper, StopOnNaN, StopOnSignal
from fer.command import InputError
from fer.files import locked, remove_leftovers, replacing
from fer.paths import run_file
from fer.precision import choose_precision
from fer.processes import handling_signals
from fer.provenance import (
    describe_origin,
    describe_script,
    describe_settings,
    measure_speed,
    read_versions,
)
from fer.recipes import build_normalization
from fer.state import load_state


@contextlib.contextmanager
def open_run(build, recipe, options, faces):
    """Hold the name of a run and find what --resume continues.

    Args:
        build: function from a normalization layer to an uncompiled model.
        recipe: of the run, flags included.
        options: the parsed flags of `fer.flags.build_parser`.
        faces: the Split of the run.

    Yields:
        The Run.

    Raises:
        InputError: another process holds the name, or the state of that name belongs
            to a run with other settings.
    """
    checkpoint = run_file(options.name, ".keras")
    sources = [*recipe.teachers, *filter(None, [options.start_from, options.twin])]
    if checkpoint.resolve() in {Path(path).resolve() for path in sources}:
        raise InputError(
            f"{checkpoint}: expected another file than those that flags name, found "
            "one of them, which this run would replace; choose another --name"
        )
    devices, lock = options.devices, contextlib.nullcontext()
    if devices.is_first:
        lock = locked(run_file(options.name, ".lock"))
    with devices.reporting_lost_process(), lock:
        if devices.is_first:
            remove_leftovers(run_file(options.name, ".state"))
        policy = keras.config.dtype_policy()
        try:
            yield Run(build, recipe, options, faces)
        finally:
            # In a notebook the next run would otherwise describe other layers.
            keras.config.set_dtype_policy(policy)


class Run:
    """One run of a name.

    Attributes:
        recipe: a `fer.recipes.Recipe`, flags included.
        precision: the Keras dtype policy to train in.
        devices: the `fer.devices.Devices` that share the batches.
        history: a dict per finished epoch.
    """

    def __init__(self, build, recipe, options, faces):
        self.recipe = recipe
        self.name = options.name
        self.devices = options.devices
        self.precision, reason = choose_precision(options.precision)
        self.settings = describe_settings(build, recipe, options, faces, self.precision)
        self.devices.require_same(self.settings)
        saved = None
        if self.devices.is_first:
            saved = find_state(self.name, self.settings, recipe, options.resume)
        saved = self.devices.share_state(saved)
        # Not among the settings: they tell how a run was made, not what it computes.
        origin = saved[1].get("origin", {}) if saved else describe_origin()
        path = run_file(self.name, ".state") if self.devices.is_first else None
        self.keeper = StateKeeper(path, self.settings, origin, recipe, saved)
        self.was_finished = self.is_finished()
        self.header = {
            "run": f"{self.name} -> {run_file(self.name, '.keras')}",
            "network": options.network,
            "faces": f"{len(faces.train_rows):,} to train on, "
            f"{len(faces.validation_labels):,} to validate on, from {faces.path}",
            "recipe": ", ".join(
                f"{key} {value}"
                for key, value in dataclasses.asdict(recipe).items()
                if value
            ),
            "precision": f"{self.precision}: {reason}",
            "backend": f"Keras {keras.__version__} on {keras.config.backend()}, "
            f"seed {options.seed}",
        }
        if self.devices.count > 1:
            self.header["devices"] = str(self.devices)
        self.twin = None
        if options.twin is not None:
            self.twin = twins.name_twin(
                run_file(self.name, ".keras"), options.twin, faces.images, faces.labels
            )

    @property
    def history(self):
        return self.keeper.history

    def is_finished(self):
        """Whether every epoch was trained or patience has run out."""
        return self.keeper.is_finished()

    def announce(self, model):
        """Say what is about to be trained on what, before the first epoch.

        Raises:
            InputError: `predict.py` would refuse the checkpoint of this model.
        """
        checkpoints.require_publishable(model)
        size = complexity.measure_size(model)
        operations = size["multiply_adds"]
        operations = "unknown" if operations is None else f"{operations:,}"
        self.header["network"] += (
            f", {size['parameters']:,} parameters ({size['trainable_parameters']:,} "
            f"trainable), {operations} multiply-adds a face"
        )
        for key, value in self.header.items():
            print(f"{key:9} {value}")

    @contextlib.contextmanager
    def callbacks(self, batches):
        """What stands around the epochs: checks, the state, a bar, Ctrl-C.

        Args:
            batches: the AugmentedFaces, to be told the epoch.

        Yields:
            A list of Keras callbacks.
        """
        self.keeper.batches = batches
        stop = StopOnSignal(self.keeper)
        with handling_signals(stop.note):
            yield [StopOnNaN(), self.keeper, EpochProgress(self.keeper), stop]

    def publish(self, build, faces):
        """Write the files of the finished run; returns its record.

        The weights kept go into a model in float32, and the accuracy in
        the record is measured on its checkpoint as it was reloaded. Of a run that was
        published before, only the curves are drawn again. Of several processes the
        first does it, and the others have no record.
        """
        self.devices.end()
        if not self.devices.is_first:
            return None
        if self.was_finished:
            record = load_finished_record(self.name, self.settings)
            if record is not None and self.twin in (None, record.get("twin")):
                draw_history(record, self.history)
                print(f"{self.name} is finished: redrew its curves and nothing else")
                return record
        keras.config.set_dtype_policy("float32")
        model = build(
            build_normalization(self.recipe.normalization, faces.train_images)
        )
        model.set_weights(self.keeper.kept_weights)
        record = self.make_record(model, faces)
        write_run(model, record, self.history, faces)
        return record

    def make_record(self, model, faces):
        """What is to be known about the run; its accuracy is measured later."""
        history, num_faces = self.history, len(faces.train_rows)
        arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
        size = complexity.measure_size(model)
        return {
            "name": self.name,
            "settings": self.settings,
            "command": shlex.join([*describe_script(), *arguments]),
            **self.keeper.origin,
            "train": str(faces.path),
            **size,
            "training_operations": complexity.count_training_operations(
                size["multiply_adds"], num_faces * len(history)
            ),
            "epochs_trained": len(history),
            "best_epoch": self.keeper.best_epoch(),
            "val_accuracy": None,
            "kept": self.describe_kept(faces),
            **measure_speed(history, num_faces),
            "versions": read_versions(),
            **({"devices": self.devices.count} if self.devices.count > 1 else {}),
            **({"twin": self.twin} if self.twin else {}),
            **faces.describe(),
        }

    def describe_kept(self, faces):
        """Which weights the checkpoint has."""
        is_last = self.recipe.keep == "last" or not len(faces.validation_labels)
        kept = "last epoch" if is_last else "best validation accuracy"
        if not self.recipe.epochs:
            kept = "as it began"
        if self.recipe.finish:
            kept += f", then the mean with epoch {self.history[-1]['epoch']}"
        return kept


def find_state(name, settings, recipe, resume):
    """The state to resume from, or None for a new run; says which on the terminal.

    Raises:
        InputError: the state belongs to a run with other settings.
    """
    path = run_file(name, ".state")
    if not resume:
        if path.exists():
            print(
                f"{path} holds an earlier run, which the first epoch here replaces; to "
                "continue it instead, stop now and add --resume"
            )
        return None
    saved = load_state(path)
    if saved is None:
        print(f"nothing to resume at {path}: starting anew")
        return None
    _, document = saved
    started = dict(document["settings"])
    if not recipe.depends_on_epochs and recipe.epochs >= len(document["history"]):
        started["epochs"] = recipe.epochs
    for key in settings | started:
        if started.get(key) != settings.get(key):
            raise InputError(
                f"{path}: expected a run with {key} {settings.get(key)}, found one "
                f"with {started.get(key)}; resume with the options and the code it was "
                "started with, or choose another --name"
            )
    return saved


def load_finished_record(name, settings):
    """The record of exactly this run, or None if it or its checkpoint is missing."""
    path = run_file(name, ".keras")
    record = checkpoints.load_record(path)
    if record is None or record.get("settings") != settings or not path.is_file():
        return None
    return record


def write_run(model, record, history, faces):
    """Write the files of a finished run, each beside its old one and then renamed."""
    name, has_validation = record["name"], len(faces.validation_labels)
    checkpoint = run_file(name, ".keras")
    replaced = checkpoint.exists()
    with replacing(checkpoint) as temporary:
        checkpoints.save(model, temporary)
        if has_validation:
            reloaded = checkpoints.load_checkpoint(temporary)
            probabilities = prediction.predict(reloaded, faces.validation_images)
            record["val_accuracy"] = measures.compute_accuracy(
                probabilities, faces.validation_labels
            )
    with replacing(run_file(name, ".csv")) as temporary:
        tabulate(history).to_csv(temporary, index=False, float_format="%.6g")
    with replacing(run_file(name, ".json")) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    draw_history(record, history)

    result = f"epoch {record['best_epoch']} ({record['kept']})"
    if has_validation:
        result += f", validation accuracy {record['val_accuracy']:.4f}"
    print(f"{result}, {record['minutes']:.1f} minutes")
    print(f"{'replaced' if replaced else 'wrote'} {checkpoint}; next:")
    print(shlex.join(["python", "predict.py", str(checkpoint)]))


def tabulate(history):
    """The rows of a history as a data frame, NaN where there was no validation."""
    return pd.DataFrame(history).astype(float).astype({"epoch": int})


def draw_history(record, history):
    """Draw the curves of a run to plots/<name>_history.png."""
    name, network = record["name"], record["settings"]["network"]
    title = f"{name}: {network}, {record['parameters']:,} parameters"
    figures.plot_history(tabulate(history), title, paths.PLOTS / f"{name}_history.png")
