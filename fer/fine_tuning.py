"""Going on from trained networks: their weights as the first ones of a new run."""

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
        models: dict of checkpoint paths to models, of which the first is changed.

    Returns:
        The first of them.

    Raises:
        InputError: another has other layers, or began with other random weights.
    """
    (first, kept), *others = models.items()
    for path, model in others:
        if not have_common_origin(kept, model):
            raise InputError(
                f"--start-from {path}: expected a network that went on from the same "
                f"one as {first}, for the mean of their weights, found one that has "
                "other layers or began with other weights; leave it out"
            )
    weights = zip(*(model.get_weights() for model in models.values()), strict=True)
    kept.set_weights([np.mean(values, axis=0, dtype="float64") for values in weights])
    return kept


def have_common_origin(one, other):
    """Whether two models have the same layers, and weights that went on from the same.

    Networks of equal layers that began apart have a cosine of 0.03 between their
    kernels, one and its student or its finish of 0.97 and more.
    """
    kinds = [[type(layer) for layer in model.layers] for model in (one, other)]
    shapes = [[value.shape for value in model.get_weights()] for model in (one, other)]
    if kinds[0] != kinds[1] or shapes[0] != shapes[1]:
        return False
    first, second = (
        np.concatenate(
            [np.ravel(value) for value in model.get_weights() if value.ndim > 1]
        )
        for model in (one, other)
    )
    return first @ second > 0.5 * np.linalg.norm(first) * np.linalg.norm(second)


def keep_held_out(faces, paths):
    """Hold out the faces that checkpoints have held out, where they are the same ones.

    Args:
        faces: the Split of a run.
        paths: of the checkpoints.

    Returns:
        A Split, whose validation faces all of them held out that were trained on these
        faces; the one given where none was, or the run holds out none of them.

    Raises:
        InputError: there are none that all of them held out.
    """
    if not len(faces.validation_rows):
        return faces
    records = {path: checkpoints.load_record(path) or {} for path in paths}
    trained_on_these = [
        path
        for path, record in records.items()
        if record.get("settings", {}).get("faces") == faces.fingerprint
    ]
    rows, reason = checkpoints.find_held_out_rows(
        trained_on_these or paths, faces.images, faces.labels
    )
    if trained_on_these and reason is not None:
        raise InputError(
            "--start-from: expected a network that held out some of the faces of "
            f"--train, to be validated on these, found that {reason}; take its twin, "
            "other faces for --validation, or --validation 0"
        )
    if reason is not None:
        print(
            f"validate  on {len(faces.validation_rows):,} faces drawn anew: {reason}; "
            "any that were trained on flatter this run"
        )
        return faces
    names = " and ".join(map(str, trained_on_these))
    print(f"validate  on the {len(rows):,} faces that {names} held out")
    others = np.setdiff1d(np.arange(len(faces.images)), rows)
    return dataclasses.replace(faces, train_rows=others, validation_rows=rows)
