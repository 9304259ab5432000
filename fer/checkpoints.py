"""Checkpoints: raw pixels in, probabilities out, nothing of this project inside."""

import hashlib
import json
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np

from fer import checkpoint_safety
from fer.command import InputError
from fer.faces import EMOTIONS, IMAGE_SIZE, compute_fingerprint

# How far the sum of an answer may be from 1: the digits of bfloat16.
SUM_TOLERANCE = 0.02
# Keys of Keras' configurations that Keras 3.8 does not know, and what it does without
# them. A new version of Keras that adds another one fails a test in tests/.
NEW_KEYS = {
    "input_axes": None,
    "output_axes": None,
    "optional": False,
    "quantization_config": None,
    "ragged": False,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
}


def load_checkpoint(path):
    """Load a checkpoint for prediction, whoever it is from.

    Raises:
        InputError: the file is missing, damaged, holds anything that this project does
            not write, or is no classifier of these faces.
    """
    problem = checkpoint_safety.find_problem(path)
    try:
        problem = problem or checkpoint_safety.find_excess(path)
        if problem is None:
            with warnings.catch_warnings():
                # Keras only warns where it leaves layers without their weights.
                warnings.simplefilter("error", UserWarning)
                model = keras.models.load_model(path, compile=False)
    except Exception as error:
        problem = f"a file that Keras cannot load ({type(error).__name__})"
    if problem is not None:
        raise InputError(
            f"{path}: expected a checkpoint of this project, found {problem}; "
            f"{advise(path)}"
        )
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise InputError(
            f"{path}: expected finite weights, found NaN or infinity; train again with "
            "a lower --learning-rate"
        )
    problem = find_other_answers(model)
    if problem is not None:
        raise InputError(f"{path}: {problem}; train one with train_cnn.py")
    return model


def advise(path):
    """What to do about a checkpoint that cannot be loaded, as the end of a message."""
    version = checkpoint_safety.read_version(path)
    if version in (None, keras.__version__):
        return "train one with train_cnn.py"
    return (
        f"it was written with Keras {version} and this is Keras {keras.__version__}: "
        f"install keras=={version} or have it written with this version"
    )


def find_other_answers(model):
    """Say how a model differs from a classifier of these faces, or None."""
    expected = (None, IMAGE_SIZE, IMAGE_SIZE, 1), (None, len(EMOTIONS))
    if (model.input_shape, model.output_shape) != expected:
        return (
            f"expected a model from {expected[0]} to {expected[1]}, found "
            f"{model.input_shape} to {model.output_shape}"
        )
    # Noise, black and white.
    faces = np.random.default_rng(0).integers(0, 256, (4, *model.input_shape[1:]))
    faces[2:] = [[[[0]]], [[[255]]]]
    try:
        answers = model(faces.astype("float32"))
    # Backends refuse what they cannot compute with a dozen kinds of exceptions.
    except Exception as error:
        return f"expected an answer about four faces, found {type(error).__name__}"
    return find_improbable(keras.ops.convert_to_numpy(answers))


def find_improbable(answers):
    """Say why the answers of a model, (n, 7), are no probabilities, or None."""
    answers = answers.astype("float32")
    sums = answers.sum(axis=1)
    # NaN is neither above nor below anything.
    if (answers >= 0).all() and (np.abs(sums - 1) < SUM_TOLERANCE).all():
        return None
    return (
        "expected probabilities, in [0, 1] and with the sum 1, found numbers from "
        f"{answers.min():.3g} to {answers.max():.3g} and sums from {sums.min():.3g} "
        f"to {sums.max():.3g}: is there no softmax at its end?"
    )


def require_publishable(model):
    """Refuse a model whose checkpoint could not be loaded, before it is trained.

    Raises:
        InputError: it holds a layer or another object that `load_checkpoint` refuses,
            or does not answer with a probability for each emotion.
    """
    found = checkpoint_safety.find_unpublishable(model)
    if found is not None:
        accepted = ", ".join(checkpoint_safety.list_accepted())
        raise InputError(
            f"{model.name}: expected a network of what a checkpoint may hold "
            f"({accepted}), found {found}; build it of these, or add a built-in class "
            "without code or files inside to CLASSES in fer/checkpoint_safety.py"
        )
    problem = find_other_answers(model)
    if problem is not None:
        raise InputError(f"{model.name}: {problem}")


def save(model, path):
    """Write a checkpoint that older versions of Keras can load as well.

    Args:
        model: uncompiled, in float32.
        path: of the file, which ends in .keras; see `fer.files.replacing`.
    """
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in members:
            if info.filename == "config.json":
                config = leave_out_defaults(json.loads(content))
                content = json.dumps(config).encode()
            archive.writestr(info, content)


def leave_out_defaults(node):
    """A configuration without the keys of `NEW_KEYS` that stand at their default."""
    if isinstance(node, list):
        return [leave_out_defaults(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {
        key: leave_out_defaults(child)
        for key, child in node.items()
        if key not in NEW_KEYS or child != NEW_KEYS[key]
    }


def load_record(path):
    """Read the record beside a checkpoint, <name>.json.

    Returns:
        A dict as fer.run writes it, or None where there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    path = Path(path)
    # Such as a folder.
    if not path.name:
        return None
    path = path.with_suffix(".json")
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: expected the record of a training run, found damaged JSON "
            f"({error}); move it away or train anew"
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("settings", {}), dict):
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
        rows: sorted int array; None where the records know of no such faces.
        reason: why they do not, or None.
    """
    fingerprint = compute_fingerprint(images, labels)
    common = np.arange(len(images))
    for path in paths:
        record = load_record(path)
        reason = explain_no_rows(path, record, fingerprint)
        if reason is not None:
            return None, reason
        common = np.intersect1d(common, record["validation_rows"])
    if not len(common):
        return None, "the models hold out no face in common"
    return common, None


def explain_no_rows(path, record, fingerprint):
    """Why a checkpoint's record knows of none of these faces that it held out, or None.

    Args:
        path: of the checkpoint.
        record: its record, or None.
        fingerprint: of the faces.
    """
    if record is None:
        return f"{path} has no record"
    if record.get("settings", {}).get("faces") != fingerprint:
        return f"the record of {path} is about other faces"
    if record.get("validation_rows"):
        return None
    reason = f"{path} was trained on every row"
    if record.get("twin"):
        reason += f", unlike its twin {Path(path).parent / str(record['twin'])}"
    return reason


def require_held_out_rows(paths, images, labels):
    """The rows of `find_held_out_rows`; InputError where the records know of none."""
    rows, reason = find_held_out_rows(paths, images, labels)
    if reason is not None:
        raise InputError(
            f"expected checkpoints that held out some of these faces, found: {reason}; "
            "take some that train_cnn.py made from the same --train"
        )
    return rows


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
