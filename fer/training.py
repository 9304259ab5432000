"""One training run, from the flags to the checkpoint, for every training script."""

import dataclasses
import hashlib
import json
import math
import platform
import shlex
import sys
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.utils.class_weight import compute_class_weight

from fer import checkpoints, complexity, data, figures, flags
from fer.augmentation import AUGMENTATIONS, AugmentedFaces, FaceGenerator
from fer.callbacks import Progress, StateKeeper, StopOnNaN, StopOnSignal
from fer.command import InputError
from fer.files import locked, remove_leftovers, replacing
from fer.normalization import build_normalization
from fer.precision import choose_precision
from fer.recipes import compile_model
from fer.state import load_state

CHECKPOINTS = Path("checkpoints")
PLOTS = Path("plots")
# Packages whose version can change what a run computes.
RECORDED_PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy")
# The validation part is the same for every --seed, so that runs can be compared and
# averaged.
SPLIT_SEED = 0


def train(build, recipe, options, run_epochs=None):
    """Train a network as the flags say and write the files of the run.

    Writes checkpoints/<name>.keras, .csv and .json and plots/<name>_history.png, all
    at the end; until then the run lives in checkpoints/<name>.state, from which
    --resume continues.

    Args:
        build: function from a normalization layer to an uncompiled model.
        recipe: of the network, for what the flags do not say.
        options: the parsed flags of `fer.flags.build_parser`.
        run_epochs: function with the arguments of `fit` to take its place, or None.

    Returns:
        The record that was written to checkpoints/<name>.json.

    Raises:
        InputError: something the user gave is wrong.
    """
    recipe = flags.override(recipe, options)
    checkpoint = stem_of(options.name, ".keras")
    if checkpoint.resolve() in {Path(path).resolve() for path in recipe.teachers}:
        raise InputError(
            f"{checkpoint}: expected another file than a teacher's, found one of "
            "--teachers, which this run would replace; choose another --name"
        )
    with locked(stem_of(options.name, ".lock")):
        remove_leftovers(stem_of(options.name, ".state"))
        return train_locked(build, recipe, options, run_epochs or fit)


def train_locked(build, recipe, options, run_epochs):
    """`train`, once no other run of the name can interfere."""
    parts = load_parts(options)
    precision, reason = choose_precision(options.precision)
    fingerprint = checkpoints.compute_fingerprint(parts.images, parts.labels)
    settings = describe_settings(build, recipe, options, fingerprint, precision)
    saved = find_state(options, recipe, settings)

    # Before the seed is set: loading teachers draws random numbers.
    batches = make_batches(parts, recipe, options.seed)
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(precision)
    model = build(build_normalization(recipe.normalization, parts.train_images))
    compile_model(model, recipe, batches.num_batches)
    print_header(model, recipe, options, parts, reason)

    state_path = stem_of(options.name, ".state")
    keeper = StateKeeper(state_path, settings, recipe, batches, saved)
    if not keeper.is_finished():
        run_epochs(model, batches, parts, keeper)
    else:
        record = load_finished_record(options.name, settings)
        if record is not None:
            draw_history(record, keeper.history)
            print(f"{options.name} is finished: redrew its curves and nothing else")
            return record

    keras.config.set_dtype_policy("float32")
    trained = build(build_normalization(recipe.normalization, parts.train_images))
    trained.set_weights(keeper.best_weights)
    record = make_record(trained, settings, options, parts, keeper)
    publish(trained, record, keeper.history, parts)
    return record


def make_record(model, settings, options, parts, keeper):
    """What is to be known about a finished run; its accuracy is measured later."""
    num_faces, history = len(parts.train_rows), keeper.history
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    size = measure_size(model)
    return {
        "name": options.name,
        "settings": settings,
        "command": shlex.join([Path(sys.argv[0]).name, *arguments]),
        "train": str(options.train),
        **size,
        # A multiply-add is two operations, and the gradients of the inputs and of the
        # weights cost a forward pass each. Teachers and pseudo-labels come on top.
        "training_operations": 6 * size["multiply_adds"] * num_faces * len(history),
        "epochs_trained": len(history),
        "best_epoch": keeper.best_epoch(),
        "val_accuracy": None,
        "kept": "best validation accuracy" if options.validation else "last epoch",
        **measure_speed(history, num_faces),
        "versions": read_versions(),
        "validation_rows": parts.validation_rows.tolist(),
    }


def describe_settings(build, recipe, options, fingerprint, precision):
    """All that decides what a run computes, as JSON gives it back."""
    settings = {
        "network": options.network,
        "seed": options.seed,
        "validation": options.validation,
        "faces": fingerprint,
        "precision": precision,
        # What the name of the network stands for, until somebody edits its file.
        "layers": hashlib.sha256(build().to_json().encode()).hexdigest(),
        **dataclasses.asdict(recipe),
        "teachers": [checkpoints.compute_digest(path) for path in recipe.teachers],
    }
    # JSON knows only text as keys of an object, and no tuples.
    return json.loads(json.dumps(settings))


@dataclasses.dataclass(frozen=True)
class Parts:
    """The faces of a run: images uint8 (n, 48, 48, 1), labels int (n,), two rows."""

    images: np.ndarray
    labels: np.ndarray
    train_rows: np.ndarray
    validation_rows: np.ndarray

    @property
    def train_images(self):
        return self.images[self.train_rows]

    def targets(self, rows):
        """One-hot labels of some rows, float32 (n, 7)."""
        return keras.utils.to_categorical(self.labels[rows], len(data.EMOTIONS))


def load_parts(options):
    """Load the faces that the flags name and hold out the validation part."""
    images, labels = data.load_training_faces(options.train)
    rows = data.split(images, labels, options.validation, SPLIT_SEED)
    return Parts(images, labels, *rows)


def make_batches(parts, recipe, seed):
    """The augmented batches of the training part."""
    return AugmentedFaces(
        parts.train_images,
        make_targets(parts, recipe.teachers),
        recipe.batch_size,
        FaceGenerator(**AUGMENTATIONS[recipe.augmentation]),
        seed,
        recipe.mixup,
    )


def make_targets(parts, teachers):
    """The targets of the training part: its labels, or halfway to the teachers' answer.

    Raises:
        InputError: a teacher was trained on faces that are held out here, so that
            validation would be no test of its student.
    """
    targets = parts.targets(parts.train_rows)
    if not teachers:
        return targets
    models = [checkpoints.load_checkpoint(path) for path in teachers]
    if len(parts.validation_rows):
        held_out = checkpoints.require_held_out_rows(
            teachers, parts.images, parts.labels
        )
        if not np.isin(parts.validation_rows, held_out).all():
            raise InputError(
                "--teachers: expected checkpoints that never saw the validation faces, "
                "found that they held out others; take some that were trained with the "
                "same --validation"
            )
    answers = []
    for path, model in zip(teachers, models, strict=True):
        print(f"asking    {path} about every training face", flush=True)
        answers.append(checkpoints.predict(model, parts.train_images))
    return (targets + np.mean(answers, axis=0)) / 2


def stem_of(name, suffix):
    """The path of one file of a run."""
    return CHECKPOINTS / f"{name}{suffix}"


def load_finished_record(name, settings):
    """The record of exactly this run, or None if it or its checkpoint is missing."""
    path = stem_of(name, ".keras")
    record = checkpoints.load_record(path)
    if record is None or record.get("settings") != settings or not path.is_file():
        return None
    return record


def find_state(options, recipe, settings):
    """The state to resume from, or None for a new run; says which on the terminal.

    Raises:
        InputError: the state belongs to a run with other settings.
    """
    path = stem_of(options.name, ".state")
    if not options.resume:
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
    for key, value in settings.items():
        if started.get(key) != value:
            raise InputError(
                f"{path}: expected a run with {key} {value}, found one with "
                f"{started.get(key)}; resume with the options and the code it was "
                "started with, or choose another --name"
            )
    return saved


def print_header(model, recipe, options, parts, reason):
    """Say what is about to be trained on what, before the first epoch."""
    size = measure_size(model)
    lines = {
        "run": f"{options.name} -> {stem_of(options.name, '.keras')}",
        "network": f"{options.network}, {size['parameters']:,} parameters "
        f"({size['trainable_parameters']:,} trainable), {size['multiply_adds']:,} "
        "multiply-adds a face",
        "faces": f"{len(parts.train_rows):,} to train on, "
        f"{len(parts.validation_rows):,} to validate on, from {options.train}",
        "recipe": ", ".join(
            f"{key} {value}"
            for key, value in dataclasses.asdict(recipe).items()
            if value
        ),
        "precision": f"{keras.config.dtype_policy().name}: {reason}",
        "backend": f"Keras {keras.__version__} on {keras.config.backend()}, "
        f"seed {options.seed}",
    }
    for key, value in lines.items():
        print(f"{key:9} {value}")


def measure_size(model):
    """Total and trainable parameters and multiply-adds a face, by name."""
    return {
        "parameters": model.count_params(),
        "trainable_parameters": sum(
            math.prod(weight.shape) for weight in model.trainable_weights
        ),
        "multiply_adds": complexity.count_multiply_adds(model),
    }


def weigh_classes(labels):
    """Weights of the loss under which every emotion counts the same, by label."""
    present = np.unique(labels)
    weights = compute_class_weight("balanced", classes=present, y=labels)
    return dict(zip(present.tolist(), weights.tolist(), strict=True))


def fit(model, batches, parts, keeper):
    """Run the epochs that are left, stopping cleanly on Ctrl-C, SIGTERM and NaN."""
    recipe, rows = keeper.recipe, parts.validation_rows
    validation = (parts.images[rows], parts.targets(rows)) if len(rows) else None
    class_weight = None
    if recipe.class_weights:
        class_weight = weigh_classes(parts.labels[parts.train_rows])
    with StopOnSignal(keeper) as stop:
        model.fit(
            batches,
            validation_data=validation,
            validation_batch_size=checkpoints.PREDICTION_BATCH_SIZE,
            class_weight=class_weight,
            initial_epoch=len(keeper.history),
            epochs=recipe.epochs,
            shuffle=False,
            verbose=0,
            callbacks=[StopOnNaN(), keeper, Progress(keeper), stop],
        )


def measure_speed(history, num_faces):
    """Minutes of a run and training faces per second over its whole epochs."""
    seconds = sum(row["seconds"] for row in history)
    return {
        "minutes": round(seconds / 60, 2),
        "images_per_second": round(num_faces * len(history) / seconds, 1),
    }


def read_versions():
    """Python's and the packages' versions and the kind of machine, for the record."""
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


def publish(model, record, history, parts):
    """Write the files of a finished run, each beside its old one and then renamed.

    The accuracy in the record is measured on the checkpoint as it was reloaded.
    """
    name, rows = record["name"], record["validation_rows"]
    checkpoint = stem_of(name, ".keras")
    replaced = checkpoint.exists()
    with replacing(checkpoint) as temporary:
        model.save(temporary)
        if rows:
            reloaded = checkpoints.load_checkpoint(temporary)
            probabilities = checkpoints.predict(reloaded, parts.images[rows])
            record["val_accuracy"] = checkpoints.compute_accuracy(
                probabilities, parts.labels[rows]
            )
    with replacing(stem_of(name, ".csv")) as temporary:
        tabulate(history).to_csv(temporary, index=False, float_format="%.6g")
    with replacing(stem_of(name, ".json")) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    draw_history(record, history)

    result = f"epoch {record['best_epoch']} ({record['kept']})"
    if rows:
        result += f", validation accuracy {record['val_accuracy']:.4f}"
    print(f"{result}, {record['minutes']:.1f} minutes")
    print(f"{'replaced' if replaced else 'wrote'} {checkpoint}; next:")
    print(f"python predict.py {checkpoint}")


def tabulate(history):
    """The rows of a history as a data frame, NaN where there was no validation."""
    return pd.DataFrame(history).astype(float).astype({"epoch": int})


def draw_history(record, history):
    """Draw the curves of a run to plots/<name>_history.png."""
    name, network = record["name"], record["settings"]["network"]
    title = f"{name}: {network}, {record['parameters']:,} parameters"
    figures.plot_history(tabulate(history), title, PLOTS / f"{name}_history.png")
