"""Checkpoints: raw pixels in, probabilities out, nothing of this project inside."""

import hashlib
import json
import warnings
from pathlib import Path

import keras
import numpy as np

from fer import checkpoint_safety
from fer.augmentation import FaceGenerator
from fer.command import InputError
from fer.data import EMOTIONS, IMAGE_SIZE

# Faces per step of a prediction: enough to keep two cores busy, 100 MB of activations.
PREDICTION_BATCH_SIZE = 256
# What test-time augmentation does to a face, in pixels, degrees and factors: no more
# than the augmentation `strong` did to it.
VIEWS = (
    {},
    *({axis: shift} for axis in ("tx", "ty") for shift in (-2, 2)),
    *({"theta": angle} for angle in (-10, -5, 5, 10)),
    *({"zx": zoom, "zy": zoom} for zoom in (0.85, 0.92, 1.08, 1.15)),
)


def load_checkpoint(path):
    """Load a checkpoint for prediction, whoever it is from.

    Raises:
        InputError: the file is missing, damaged, holds anything that this project does
            not write, or is no classifier of these faces.
    """
    problem = checkpoint_safety.find_problem(path)
    if problem is not None:
        raise InputError(
            f"{path}: expected a checkpoint of this project, found {problem}; "
            "train one with train_cnn.py"
        )
    try:
        with warnings.catch_warnings():
            # Keras only warns where it leaves layers without their weights.
            warnings.simplefilter("error", UserWarning)
            model = keras.models.load_model(path, compile=False)
    except Exception as error:
        raise InputError(
            f"{path}: expected a checkpoint of this project, found a file that Keras "
            f"cannot load ({type(error).__name__}); train one with train_cnn.py"
        ) from error
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise InputError(
            f"{path}: expected finite weights, found NaN or infinity; train again with "
            "a lower --learning-rate"
        )
    expected = (None, IMAGE_SIZE, IMAGE_SIZE, 1), (None, len(EMOTIONS))
    if (model.input_shape, model.output_shape) != expected:
        raise InputError(
            f"{path}: expected a model from {expected[0]} to {expected[1]}, found "
            f"{model.input_shape} to {model.output_shape}; train one with train_cnn.py"
        )
    return model


def load_record(path):
    """Read the record beside a checkpoint, <name>.json.

    Returns:
        A dict as fer.run writes it, or None where there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    path = Path(path).with_suffix(".json")
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: expected the record of a training run, found damaged JSON "
            f"({error}); move it away or train anew"
        ) from error
    if not isinstance(record, dict):
        raise InputError(
            f"{path}: expected the record of a training run, found JSON of another "
            "kind; move it away or train anew"
        )
    return record


def find_held_out_rows(paths, images, labels):
    """Find the faces that none of the checkpoints was trained on.

    Args:
        paths: of the checkpoints, whose records say which rows they held out.
        images, labels: a training file as fer.data.load_training_faces returns it.

    Returns:
        rows: sorted int array; every row where the records know of no such faces.
        reason: why every row was taken, or None.
    """
    faces = compute_fingerprint(images, labels)
    common = np.arange(len(images))
    for path in paths:
        record = load_record(path)
        if record is None:
            reason = f"{path} has no record"
        elif record.get("settings", {}).get("faces") != faces:
            reason = f"the record of {path} is about other faces"
        elif not record.get("validation_rows"):
            reason = f"{path} was trained on every row"
        else:
            common = np.intersect1d(common, record["validation_rows"])
            if len(common):
                continue
            reason = "the models hold out no face in common"
        return np.arange(len(images)), reason
    return common, None


def require_held_out_rows(paths, images, labels):
    """The rows of `find_held_out_rows`; InputError where the records know of none."""
    rows, reason = find_held_out_rows(paths, images, labels)
    if reason is not None:
        raise InputError(
            f"expected checkpoints that held out some of these faces, found: {reason}; "
            "take some that train_cnn.py made from the same --train"
        )
    return rows


def compute_fingerprint(images, labels):
    """The sha256 by which a record names its faces: pixels, then labels."""
    return hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()


def compute_digest(path):
    """The sha256 of a file.

    Raises:
        InputError: there is no such file.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"{path}: expected a checkpoint, found {error.strerror}; train one with "
            "train_cnn.py"
        ) from error


def predict(model, images, tta=False):
    """Predict the emotions of faces.

    Args:
        model: a loaded checkpoint.
        images: uint8 (n, 48, 48, 1).
        tta: whether to average over `make_views` (test-time augmentation).

    Returns:
        Probabilities, float32 (n, 7).
    """
    views = make_views(images) if tta else [images.astype("float32")]
    return np.mean(
        [
            model.predict(view, batch_size=PREDICTION_BATCH_SIZE, verbose=0)
            for view in views
        ],
        axis=0,
    )


def compute_accuracy(probabilities, labels):
    """Share of the faces whose likeliest emotion is their label."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def make_views(images):
    """Yield each face as it is, shifted, turned and zoomed, and all that mirrored.

    Twenty-six float32 arrays like `images`. The edge is repeated where a change
    uncovers pixels, as in training.
    """
    generator = FaceGenerator()
    for change in VIEWS:
        view = images.astype("float32")
        if change:
            view = np.stack([generator.apply_transform(face, change) for face in view])
        yield view
        yield view[:, :, ::-1]
