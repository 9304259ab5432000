"""Learning from other networks' answers besides the labels (Hinton et al. 2015).

A network that was trained on a face repeats its label, right or wrong, and has nothing
to teach about it. So only teachers that held a face out answer for it (cross-fitting,
Dao et al. 2021, arXiv 2104.09732).
"""

import numpy as np

from fer import checkpoints
from fer.command import InputError


def soften(targets, teachers, faces):
    """Move targets halfway to the answers of networks that never saw the faces.

    A face that no teacher held out keeps its label. Teachers may have seen validation
    faces of their student, which then knows of their labels through other faces'
    answers only; a line says so.

    Args:
        targets: one-hot float32 (n, 7) of the training part.
        teachers: paths of checkpoints; each answers with test-time augmentation.
        faces: the Split of the run.

    Returns:
        Targets of the same shape.

    Raises:
        InputError: the record of a teacher knows of no face that it held out, or none
            of them held out a training face.
    """
    sums, counts = np.zeros_like(targets), np.zeros(len(targets), int)
    for path in teachers:
        model = checkpoints.load_checkpoint(path)
        rows = checkpoints.require_held_out_rows([path], faces.images, faces.labels)
        answered = np.isin(faces.train_rows, rows)
        count = f"{answered.sum():,} training faces that it held out"
        print(f"asking    {path} about {count}", flush=True)
        if not np.isin(faces.validation_rows, rows).all():
            print(f"note      {path} was trained on validation faces of this run")
        if answered.any():
            asked = faces.train_images[answered]
            [answers] = checkpoints.predict_all([model], asked, tta=True)
            sums[answered] += answers
            counts += answered
    known = counts > 0
    if not known.any():
        raise InputError(
            "--teachers: expected checkpoints that held out some of the faces to train "
            "on, found none; take the folds of train_ensemble.py --folds, or train "
            "with another --validation than theirs"
        )
    targets = targets.copy()
    targets[known] = (targets[known] + sums[known] / counts[known, None]) / 2
    return targets
