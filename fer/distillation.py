"""Learning from other networks' answers besides the labels (Hinton et al. 2015).

A network that was trained on a face repeats its label, right or wrong, and has nothing
to teach about it. So only teachers that held a face out answer for it (cross-fitting,
Dao et al. 2021, arXiv 2104.09732). What it can teach is how it answers about faces that
are changed and blended anew in every batch: those are imitated (Beyer et al. 2022,
arXiv 2106.05237).
"""

import numpy as np

from fer import checkpoints, prediction
from fer.answers import predict_held_out
from fer.command import InputError
from fer.fast_layers import quicken


def soften(targets, teachers, faces):
    """Move targets halfway to the answers of networks that never saw the faces.

    A face that every teacher saw keeps its label. Teachers may have seen validation
    faces of their student, which learns of those by their answers about other faces
    only.

    Args:
        targets: one-hot float32 (n, 7) of the training part.
        teachers: paths of checkpoints or of the answers of folds; several that held
            a face out are averaged.
        faces: the Split of the run.

    Returns:
        Targets of the same shape.

    Raises:
        InputError: `predict_held_out` refuses a teacher, or none of them held out a
            training face.
    """
    answers = predict_held_out(teachers, faces.images, faces.labels)
    answers = answers[faces.train_rows]
    known = ~np.isnan(answers[:, :1])
    if not known.any():
        raise InputError(
            "--teachers: expected checkpoints that held out some of the faces to train "
            "on, found none; take the folds of train_ensemble.py --folds, or train "
            "with another --validation than theirs"
        )
    print(f"teachers  say half of the target of {known.sum():,} training faces")
    return np.where(known, (targets + answers) / 2, targets)


def build_imitated(paths, faces, precision):
    """What an average of networks answers about a batch of changed faces.

    Args:
        paths: of checkpoints.
        faces: the Split of the run.
        precision: the Keras dtype policy in which they compute.

    Returns:
        Function from float32 (n, 48, 48, 1) to probabilities, float32 (n, 7).

    Raises:
        InputError: a path is no checkpoint of this project, or one of a network that
            has seen faces on which the run is validated.
    """
    models = [checkpoints.load_checkpoint(path) for path in paths]
    if len(faces.validation_rows):
        rows = checkpoints.require_held_out_rows(paths, faces.images, faces.labels)
        seen = np.setdiff1d(faces.validation_rows, rows)
        if len(seen):
            raise InputError(
                "--imitate: expected networks that held out the faces to validate on, "
                f"found that {len(seen):,} of {len(faces.validation_rows):,} were "
                "seen; take their twins, the same --validation as theirs, or "
                "--validation 0"
            )
    copies = [quicken(prediction.copy_model(model, precision)) for model in models]

    def answer(images):
        return np.mean([copy.predict_on_batch(images) for copy in copies], axis=0)

    return answer
