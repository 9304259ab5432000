"""Going on from a trained network: its weights as the first ones of a new run."""

import dataclasses

import keras
import numpy as np

from fer import checkpoints, prediction
from fer.command import InputError


def load_start(options):
    """The checkpoint of --start-from as the network of a run.

    Args:
        options: of the run; they get the network and the normalization that the
            checkpoint's record names, or its stem where it has none.

    Returns:
        Function to an uncompiled copy of it, in Keras' current precision; the
        normalization that it is given has no effect, for the copy has its own.

    Raises:
        InputError: the file is missing or no checkpoint of this project.
    """
    trained = checkpoints.load_checkpoint(options.start_from)
    record = checkpoints.load_record(options.start_from) or {}
    settings = record.get("settings", {})
    options.network = settings.get("network", options.start_from.stem)
    options.normalization = settings.get("normalization")

    def build(normalization=None):
        return prediction.copy_model(trained, keras.config.dtype_policy().name)

    return build


def keep_held_out(faces, path):
    """Hold out the faces that a checkpoint has held out, where they are the same ones.

    Args:
        faces: the Split of a run.
        path: of the checkpoint.

    Returns:
        A Split; the one given where the checkpoint was trained on other faces, or the
        run holds out none of them.

    Raises:
        InputError: the checkpoint was trained on all of these faces.
    """
    if not len(faces.validation_rows):
        return faces
    record = checkpoints.load_record(path) or {}
    same_faces = record.get("settings", {}).get("faces") == faces.fingerprint
    if same_faces and not record.get("validation_rows"):
        raise InputError(
            f"--start-from {path}: expected a network that held out some of the faces "
            "of --train, found one that was trained on all of them, and would be "
            "validated on what it knows; take its twin, other faces for --validation, "
            "or --validation 0"
        )
    rows, reason = checkpoints.find_held_out_rows([path], faces.images, faces.labels)
    if reason is not None:
        print(
            f"validate  on {len(faces.validation_rows):,} faces drawn anew: {reason}; "
            "any that it was trained on flatter this run"
        )
        return faces
    print(f"validate  on the {len(rows):,} faces that {path} held out")
    others = np.setdiff1d(np.arange(len(faces.images)), rows)
    return dataclasses.replace(faces, train_rows=others, validation_rows=rows)
