"""Going on from a trained network: its weights as the first ones of a new run."""

import dataclasses

import keras
import numpy as np

from fer import checkpoints, prediction
from fer.command import InputError


def load_start(options):
    """The checkpoints of --start-from as the network of a run.

    Args:
        options: of the run; they get the network and the normalization that the
            first checkpoint's record names, or its stem where it has none.

    Returns:
        Function to an uncompiled copy of it, in Keras' current precision; the
        normalization that it is given has no effect, for the copy has its own.

    Raises:
        InputError: a file is missing, no checkpoint of this project, or of another
            shape than the first.
    """
    first = options.start_from[0]
    trained = average_weights(
        {path: checkpoints.load_checkpoint(path) for path in options.start_from}
    )
    record = checkpoints.load_record(first) or {}
    settings = record.get("settings", {})
    options.network = settings.get("network", first.stem)
    options.normalization = settings.get("normalization")

    def build(normalization=None):
        return prediction.copy_model(trained, keras.config.dtype_policy().name)

    return build


def average_weights(models):
    """Give the first model the mean of the weights of all.

    One network with the mean of the weights of several that went on from the same one
    is often better than each of them (Wortsman et al. 2022, arXiv 2203.05482); of
    networks that began with random weights of their own, the mean is no network.

    Args:
        models: dict of checkpoint paths to models.

    Returns:
        The first of them.

    Raises:
        InputError: another has weights of another shape.
    """
    (first, kept), *others = models.items()
    weights = [np.asarray(value, "float64") for value in kept.get_weights()]
    for path, model in others:
        added = model.get_weights()
        if [value.shape for value in added] != [value.shape for value in weights]:
            raise InputError(
                f"--start-from {path}: expected a network of the same layers as "
                f"{first}, for the mean of their weights, found another; name "
                "networks that went on from the same one"
            )
        weights = [one + other for one, other in zip(weights, added, strict=True)]
    kept.set_weights([value / len(models) for value in weights])
    return kept


def keep_held_out(faces, paths):
    """Hold out the faces that checkpoints have held out, where they are the same ones.

    Args:
        faces: the Split of a run.
        paths: of the checkpoints.

    Returns:
        A Split, whose faces were held out by all of them; the one given where one was
        trained on other faces, or the run holds out none of them.

    Raises:
        InputError: a checkpoint was trained on all of these faces.
    """
    if not len(faces.validation_rows):
        return faces
    for path in paths:
        record = checkpoints.load_record(path) or {}
        same_faces = record.get("settings", {}).get("faces") == faces.fingerprint
        if same_faces and not record.get("validation_rows"):
            raise InputError(
                f"--start-from {path}: expected a network that held out some of the "
                "faces of --train, found one that was trained on all of them, and "
                "would be validated on what it knows; take its twin, other faces for "
                "--validation, or --validation 0"
            )
    rows, reason = checkpoints.find_held_out_rows(paths, faces.images, faces.labels)
    if reason is not None:
        print(
            f"validate  on {len(faces.validation_rows):,} faces drawn anew: {reason}; "
            "any that were trained on flatter this run"
        )
        return faces
    names = " and ".join(map(str, paths))
    print(f"validate  on the {len(rows):,} faces that {names} held out")
    others = np.setdiff1d(np.arange(len(faces.images)), rows)
    return dataclasses.replace(faces, train_rows=others, validation_rows=rows)
