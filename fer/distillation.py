"""Learning from other networks' answers besides the labels (Hinton et al. 2015).

A network that was trained on a face repeats its label, right or wrong, and has nothing
to teach about it. So only teachers that held a face out answer for it (cross-fitting,
Dao et al. 2021, arXiv 2104.09732).
"""

import numpy as np

from fer.answers import predict_held_out
from fer.command import InputError


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
