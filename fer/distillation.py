"""Learning from other networks' answers besides the labels (Hinton et al. 2015)."""

import numpy as np

from fer import checkpoints
from fer.command import InputError


def soften(targets, teachers, faces):
    """Move targets halfway to the average answer of trained networks.

    Args:
        targets: one-hot float32 (n, 7) of the training part.
        teachers: paths of checkpoints.
        faces: the Split of the run.

    Returns:
        Targets of the same shape.

    Raises:
        InputError: a teacher was trained on faces that are held out here, so that
            validation would be no test of its student.
    """
    models = [checkpoints.load_checkpoint(path) for path in teachers]
    if faces.source:
        for path in teachers:
            require_strange_faces(path, faces)
    elif len(faces.validation_rows):
        held_out = checkpoints.require_held_out_rows(
            teachers, faces.images, faces.labels
        )
        if not np.isin(faces.validation_rows, held_out).all():
            raise InputError(
                "--teachers: expected checkpoints that never saw the validation faces, "
                "found that they held out others; take some that were trained with the "
                "same --validation"
            )
    answers = []
    for path, model in zip(teachers, models, strict=True):
        print(f"asking    {path} about every training face", flush=True)
        answers.append(checkpoints.predict(model, faces.train_images))
    return (targets + np.mean(answers, axis=0)) / 2


def require_strange_faces(path, faces):
    """Refuse a teacher that may know the validation faces that come from elsewhere.

    It does not where it was trained on the same faces as its student will be, or was
    validated on the same ones.
    """
    record = checkpoints.load_record(path) or {}
    same_training = record.get("settings", {}).get("faces") == faces.fingerprint
    if not same_training and record.get("validation_faces") != faces.source:
        raise InputError(
            f"--teachers: expected checkpoints that never saw the faces of "
            f"{faces.source['path']}, found no word about them in the record of "
            f"{path}; take some that were trained with the same --train or --validation"
        )
