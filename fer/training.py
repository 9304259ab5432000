"""One training run, from the flags to the checkpoint, for every training script."""

import argparse
import dataclasses
import hashlib
import json
import math
import platform
import random
import signal
import sys
import time
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import layers

from fer import checkpoints, data, figures
from fer.augmentation import AUGMENTATIONS, AugmentedFaces, FaceGenerator
from fer.command import InputError
from fer.files import locked, replacing
from fer.precision import choose_precision
from fer.recipes import compile_model
from fer.state import load_state, save_state

CHECKPOINTS = Path("checkpoints")
PLOTS = Path("plots")
NORMALIZATIONS = ("none", "unit", "standard", "image")
PRECISIONS = ("auto", "float32", "mixed_bfloat16")
HISTORY_COLUMNS = [
    "epoch",
    "accuracy",
    "loss",
    "val_accuracy",
    "val_loss",
    "learning_rate",
    "seconds",
]
# Packages whose version can change what a run computes.
RECORDED_PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy")
BAR_WIDTH = 20


def build_parser(description, name, network_names, recipe):
    """The flags that every training script shares.

    Args:
        description: the script's docstring.
        name: of the run, unless --name says otherwise.
        network_names: what --network accepts; the first is the default.
        recipe: of the default network; its values stand in --help.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--train",
        default="data/train.csv",
        metavar="PATH",
        help="labelled faces: a CSV file or a folder (default: %(default)s)",
    )
    add(
        "--network",
        default=network_names[0],
        choices=network_names,
        help="a file of networks/ (default: %(default)s)",
    )
    add(
        "--name",
        default=name,
        help="stem of checkpoints/NAME.* and plots/NAME_history.png "
        "(default: %(default)s)",
    )
    for flag, kind, text in (
        ("epochs", positive_integer, "passes over the training faces"),
        ("batch_size", positive_integer, "faces per step"),
        ("learning_rate", positive_number, "highest rate of the schedule"),
    ):
        add(
            f"--{flag.replace('_', '-')}",
            type=kind,
            metavar="NUMBER",
            help=f"{text} (default: of the recipe, {getattr(recipe, flag)})",
        )
    for flag, choices, text in (
        ("augmentation", AUGMENTATIONS, "random changes of the training faces"),
        ("normalization", NORMALIZATIONS, "scaling of the pixels inside the model"),
    ):
        add(
            f"--{flag}",
            choices=list(choices),
            help=f"{text} (default: of the recipe, {getattr(recipe, flag)})",
        )
    add(
        "--validation",
        type=fraction,
        default=0.1,
        metavar="FRACTION",
        help="share of the faces held out to choose the best epoch; 0 trains on every "
        "row and keeps the last epoch (default: %(default)s)",
    )
    add(
        "--precision",
        default="auto",
        choices=PRECISIONS,
        help="auto takes bfloat16 where the hardware has it (default: %(default)s)",
    )
    add(
        "--seed", type=int, default=0, help="of everything drawn (default: %(default)s)"
    )
    add(
        "--resume",
        action="store_true",
        help="continue this run after its last finished epoch",
    )
    return parser


def positive_integer(text):
    """An argparse type: a whole number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return number


def positive_number(text):
    """An argparse type: a finite number above zero."""
    number = float(text)
    if not (0 < number < math.inf):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return number


def fraction(text):
    """An argparse type: a share from 0 to below 1."""
    number = float(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"expected a share in [0, 1), found {text}")
    return number


def override(recipe, options):
    """The recipe with every value that a flag gives."""
    given = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(recipe)
        if getattr(options, field.name, None) is not None
    }
    return dataclasses.replace(recipe, **given)


def build_normalization(name, images):
    """The layer without parameters that scales raw pixels at the head of a model.

    Args:
        name: "none" (the pixels as they are), "unit" (to [0, 1]), "standard" (mean 0
            and deviation 1 over the training part) or "image" (the same per image).
        images: uint8 (n, 48, 48, 1), the training part.
    """
    # Always in float32: bfloat16 has 8 bits, too few for differences of grey levels.
    same = {"name": "normalization", "dtype": "float32"}
    if name == "image":
        return layers.LayerNormalization(
            axis=[1, 2, 3], center=False, scale=False, **same
        )
    if name == "standard":
        mean = float(images.mean(dtype=np.float64))
        deviation = max(float(images.std(dtype=np.float64)), 1.0)
        return layers.Rescaling(1 / deviation, offset=-mean / deviation, **same)
    return layers.Rescaling(1 / 255 if name == "unit" else 1.0, **same)


def train(build, recipe, options):
    """Train a network as the flags say and write the files of the run.

    Writes checkpoints/<name>.keras, .csv and .json and plots/<name>_history.png, all
    at the end; until then the run lives in checkpoints/<name>.state, from which
    --resume continues.

    Args:
        build: function from a normalization layer to an uncompiled model.
        recipe: of the network, for what the flags do not say.
        options: the parsed flags of `build_parser`.

    Returns:
        The record that was written to checkpoints/<name>.json.

    Raises:
        InputError: something the user gave is wrong.
    """
    recipe = override(recipe, options)
    with locked(stem_of(options.name, ".lock")):
        return train_locked(build, recipe, options)


def train_locked(build, recipe, options):
    """`train`, once no other run of the name can interfere."""
    images, labels = data.load_training_faces(options.train)
    train_rows, validation_rows = data.split(
        images, labels, options.validation, options.seed
    )
    precision, reason = choose_precision(options.precision)
    settings = {
        "network": options.network,
        "seed": options.seed,
        "validation": options.validation,
        "precision": precision,
        **dataclasses.asdict(recipe),
        "faces": hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest(),
    }
    saved = find_state(options, recipe, settings)

    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(precision)
    normalization = build_normalization(recipe.normalization, images[train_rows])
    model = build(normalization)
    targets = keras.utils.to_categorical(labels, len(data.EMOTIONS))
    faces = AugmentedFaces(
        images[train_rows],
        targets[train_rows],
        recipe.batch_size,
        FaceGenerator(**AUGMENTATIONS[recipe.augmentation]),
        options.seed,
    )
    compile_model(model, recipe, faces.num_batches)
    print_header(model, recipe, options, train_rows, validation_rows, reason)

    keeper = StateKeeper(
        stem_of(options.name, ".state"), settings, recipe, faces, saved
    )
    if not keeper.is_finished():
        validation = None
        if len(validation_rows):
            validation = (
                images[validation_rows].astype("float32"),
                targets[validation_rows],
            )
        fit(model, faces, validation, keeper)

    keras.config.set_dtype_policy("float32")
    trained = build(build_normalization(recipe.normalization, images[train_rows]))
    trained.set_weights(keeper.best_weights)
    record = {
        "name": options.name,
        "settings": settings,
        "train": str(options.train),
        **count_parameters(trained),
        "epochs_trained": len(keeper.history),
        "best_epoch": keeper.best_epoch(),
        "val_accuracy": None,
        "kept": "best validation accuracy" if len(validation_rows) else "last epoch",
        **measure_speed(keeper.history, len(train_rows)),
        "versions": read_versions(),
        "validation_rows": validation_rows.tolist(),
    }
    publish(trained, record, keeper.history, images, labels)
    return record


def stem_of(name, suffix):
    """The path of one file of a run."""
    return CHECKPOINTS / f"{name}{suffix}"


def find_state(options, recipe, settings):
    """The state to resume from, or None for a new run; says which on the terminal.

    Raises:
        InputError: the state belongs to a run with other settings.
    """
    path = stem_of(options.name, ".state")
    if not options.resume:
        if path.exists():
            print(f"{path} holds an earlier run; --resume would continue it")
        return None
    saved = load_state(path)
    if saved is None:
        print(f"nothing to resume at {path}: starting anew")
        return None
    _, document = saved
    started = dict(document["settings"])
    # JSON knows only text as keys of an object; compare what a file would hold.
    wanted = json.loads(json.dumps(settings))
    if not recipe.depends_on_epochs and wanted["epochs"] >= len(document["history"]):
        started["epochs"] = wanted["epochs"]
    for key in wanted:
        if started.get(key) != wanted[key]:
            raise InputError(
                f"{path}: expected a run with {key} {wanted[key]}, found one with "
                f"{started.get(key)}; resume with the options it was started with, or "
                "choose another --name"
            )
    return saved


def print_header(model, recipe, options, train_rows, validation_rows, reason):
    """Say what is about to be trained on what, before the first epoch."""
    counts = count_parameters(model)
    lines = {
        "run": f"{options.name} -> {stem_of(options.name, '.keras')}",
        "network": f"{options.network}, {counts['parameters']:,} parameters "
        f"({counts['trainable_parameters']:,} trainable)",
        "faces": f"{len(train_rows):,} to train on, {len(validation_rows):,} to "
        f"validate on, from {options.train}",
        "recipe": f"{recipe.epochs} epochs, batch size {recipe.batch_size}, "
        f"{recipe.optimizer} {recipe.learning_rate:g} {recipe.schedule}, "
        f"augmentation {recipe.augmentation}, normalization {recipe.normalization}",
        "precision": f"{keras.config.dtype_policy().name}: {reason}",
        "backend": f"Keras {keras.__version__} on {keras.config.backend()}, "
        f"seed {options.seed}",
    }
    for key, value in lines.items():
        print(f"{key:9} {value}")


def count_parameters(model):
    """Total and trainable parameters of a model, by name."""
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    return {"parameters": model.count_params(), "trainable_parameters": trainable}


def fit(model, faces, validation, keeper):
    """Run the epochs that are left, stopping cleanly on Ctrl-C, SIGTERM and NaN."""
    progress = Progress(keeper)
    with StopOnSignal(keeper) as stop:
        model.fit(
            faces,
            validation_data=validation,
            validation_batch_size=checkpoints.PREDICTION_BATCH_SIZE,
            initial_epoch=len(keeper.history),
            epochs=keeper.recipe.epochs,
            shuffle=False,
            verbose=0,
            callbacks=[keeper, StopOnNaN(), progress, stop],
        )


class StateKeeper(keras.callbacks.Callback):
    """Keeps everything that decides how a run goes on, and writes it every epoch.

    Early stopping and the choice of the best epoch are functions of the history, so
    they resume with it.

    Args:
        path: of the state file.
        settings: of the run, JSON values; a resumed run must have the same.
        recipe: of the run.
        faces: the AugmentedFaces to be told the epoch.
        saved: what `load_state` returned, or None.
    """

    def __init__(self, path, settings, recipe, faces, saved):
        super().__init__()
        self.path = path
        self.settings = settings
        self.recipe = recipe
        self.faces = faces
        self.history = []
        self.best_weights = None
        self.pending = saved
        if saved is not None:
            arrays, document = saved
            self.history = document["history"]
            self.best_weights = select(arrays, "best")

    def best_epoch(self):
        """The epoch of the highest validation accuracy, else the last; from 1."""
        if self.history[-1]["val_accuracy"] is None:
            return self.history[-1]["epoch"]
        return max(self.history, key=lambda row: row["val_accuracy"])["epoch"]

    def is_finished(self):
        """Whether every epoch was trained or patience has run out."""
        if not self.history:
            return False
        waited = len(self.history) - self.best_epoch()
        patience = self.recipe.patience
        return len(self.history) >= self.recipe.epochs or (
            patience is not None and waited >= patience
        )

    def variables(self):
        """Weights, batch statistics, dropout's seeds; metrics start every epoch anew."""
        metrics = {id(variable) for variable in self.model.metrics_variables}
        return [v for v in self.model.variables if id(v) not in metrics]

    def on_epoch_begin(self, epoch, logs=None):
        self.faces.epoch = epoch
        # Not earlier: fit itself draws random numbers before its first epoch.
        if self.pending is not None:
            self.restore(*self.pending)
            self.pending = None
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        row = {
            "epoch": epoch + 1,
            "accuracy": float(logs["accuracy"]),
            "loss": float(logs["loss"]),
            "val_accuracy": None,
            "val_loss": None,
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": round(time.perf_counter() - self.started, 2),
        }
        if "val_accuracy" in logs:
            row["val_accuracy"] = float(logs["val_accuracy"])
            row["val_loss"] = float(logs["val_loss"])
        self.history.append(row)
        if self.best_epoch() == row["epoch"]:
            self.best_weights = self.model.get_weights()
        self.save()
        if self.is_finished():
            self.model.stop_training = True

    def save(self):
        """Write the state after the epoch that has just ended."""
        kind, keys, *rest = np.random.get_state()
        arrays = {
            **number("variable", [v.numpy() for v in self.variables()]),
            **number("optimizer", [v.numpy() for v in self.model.optimizer.variables]),
            **number("best", self.best_weights),
            "numpy_random": keys,
        }
        document = {
            "settings": self.settings,
            "history": self.history,
            "numpy_random": [kind, *rest],
            "python_random": random.getstate(),
        }
        save_state(self.path, arrays, document)

    def restore(self, arrays, document):
        """Put model, optimizer and random numbers where the saved epoch left them."""
        for prefix, variables in (
            ("variable", self.variables()),
            ("optimizer", self.model.optimizer.variables),
        ):
            for variable, value in zip(variables, select(arrays, prefix), strict=True):
                variable.assign(value)
        kind, *rest = document["numpy_random"]
        np.random.set_state((kind, arrays["numpy_random"], *rest))
        version, keys, gauss = document["python_random"]
        random.setstate((version, tuple(keys), gauss))


def number(prefix, values):
    """Name a list of arrays for a state file."""
    return {f"{prefix}_{i}": value for i, value in enumerate(values)}


def select(arrays, prefix):
    """The list of arrays that `number` named, in its order."""
    count = sum(name.startswith(f"{prefix}_") for name in arrays)
    return [arrays[f"{prefix}_{i}"] for i in range(count)]


class StopOnNaN(keras.callbacks.Callback):
    """Ends a run whose loss is no longer finite, before its epoch is kept."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss became {float(logs['loss'])} in epoch {self.epoch}; try a "
                "lower --learning-rate or --precision float32; existing files are "
                "as they were"
            )


class StopOnSignal(keras.callbacks.Callback):
    """Ctrl-C and SIGTERM stop the run after the running batch, with 130 and 143.

    A signal that arrives while the state is written waits for the write to end.
    """

    def __init__(self, keeper):
        super().__init__()
        self.keeper = keeper
        self.number = None

    def __enter__(self):
        self.previous = {
            number: signal.signal(number, self.note)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *error):
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def note(self, number, frame):
        """The signal handler: remember, and let the batch end."""
        self.number = number

    def stop_if_noted(self, batch, logs=None):
        """Leave the run if a signal has come."""
        if self.number is not None:
            print(
                f"\nstopped after epoch {len(self.keeper.history)} of "
                f"{self.keeper.recipe.epochs}; the same command with --resume continues"
            )
            sys.exit(128 + self.number)

    on_train_batch_end = on_test_batch_end = stop_if_noted


class Progress(keras.callbacks.Callback):
    """A bar with the time left for the whole run; a plain line an epoch in a log."""

    def __init__(self, keeper):
        super().__init__()
        self.keeper = keeper
        self.on_terminal = sys.stdout.isatty()
        self.steps_done = 0

    def on_train_begin(self, logs=None):
        self.started = time.perf_counter()
        self.steps = self.keeper.faces.num_batches
        self.first_epoch = len(self.keeper.history)

    def on_train_batch_end(self, batch, logs=None):
        self.steps_done += 1
        if self.on_terminal:
            done = (batch + 1) / self.steps
            bar = "#" * round(BAR_WIDTH * done)
            epoch = self.first_epoch + math.ceil(self.steps_done / self.steps)
            line = (
                f"epoch {epoch}/{self.keeper.recipe.epochs} [{bar:.<{BAR_WIDTH}}] "
                f"accuracy {float(logs['accuracy']):.3f}  {self.time_left()}"
            )
            print(f"\r{line:79}", end="", flush=True)

    def on_epoch_end(self, epoch, logs=None):
        row = self.keeper.history[-1]
        line = (
            f"epoch {row['epoch']}/{self.keeper.recipe.epochs}  "
            f"accuracy {row['accuracy']:.4f}  loss {row['loss']:.4f}  "
        )
        if row["val_accuracy"] is not None:
            line += (
                f"val_accuracy {row['val_accuracy']:.4f}  "
                f"val_loss {row['val_loss']:.4f}  "
            )
        line += f"{row['seconds']:.1f} s  {self.time_left()}"
        print(f"\r{line}" if self.on_terminal else line, flush=True)

    def time_left(self):
        """How long the rest of the run takes at the pace so far."""
        total = (self.keeper.recipe.epochs - self.first_epoch) * self.steps
        elapsed = time.perf_counter() - self.started
        seconds = elapsed / self.steps_done * (total - self.steps_done)
        if seconds < 100:
            return f"{seconds:.0f} s left"
        return f"{seconds / 60:.0f} min left"


def measure_speed(history, num_faces):
    """Minutes of a run and training faces per second over its whole epochs."""
    seconds = sum(row["seconds"] for row in history)
    return {
        "minutes": round(seconds / 60, 2),
        "images_per_second": round(num_faces * len(history) / seconds, 1),
    }


def read_versions():
    """Python's, the processor's and the packages' versions, for the record."""
    versions = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "backend": keras.config.backend(),
    }
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def publish(model, record, history, images, labels):
    """Write the files of a finished run, each beside its old one and then renamed.

    The accuracy in the record is measured on the checkpoint as it was reloaded.
    """
    name = record["name"]
    checkpoint = stem_of(name, ".keras")
    replaced = checkpoint.exists()
    table = pd.DataFrame(history).astype(float).astype({"epoch": int})
    rows = record["validation_rows"]
    with replacing(checkpoint) as temporary:
        model.save(temporary)
        if rows:
            reloaded = checkpoints.load_checkpoint(temporary)
            predictions = checkpoints.predict(reloaded, images[rows]).argmax(axis=1)
            record["val_accuracy"] = float((predictions == labels[rows]).mean())
    with replacing(stem_of(name, ".csv")) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    with replacing(stem_of(name, ".json")) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    title = (
        f"{name}: {record['settings']['network']}, {record['parameters']:,} parameters"
    )
    figures.plot_history(table, title, PLOTS / f"{name}_history.png")

    result = f"epoch {record['best_epoch']} ({record['kept']})"
    if rows:
        result += f", validation accuracy {record['val_accuracy']:.4f}"
    print(f"{result}, {record['minutes']:.1f} minutes")
    print(f"{'replaced' if replaced else 'wrote'} {checkpoint}; next:")
    print(f"python predict.py {checkpoint}")
