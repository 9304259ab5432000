"""What networks say of the faces that they did not see, and the files that keep it."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from fer import checkpoints, prediction
from fer.command import InputError
from fer.faces import EMOTIONS, compute_fingerprint
from fer.files import replacing

SUFFIX = ".npz"


def predict_held_out(paths, images, labels):
    """What networks say of the faces that they did not see, as `predict.py --tta`.

    Args:
        paths: of checkpoints, whose records say which faces each held out, or of
            answers that `write_answers` wrote.
        images, labels: a training file as fer.data.load_training_faces returns it.

    Returns:
        Probabilities, float32 (n, 7), each the average over the paths that answer for
        the face; NaN where none does.

    Raises:
        InputError: the record of a checkpoint knows of no face that it held out, or
            answers are damaged or about other faces.
    """
    sums = np.zeros((len(images), len(EMOTIONS)), dtype="float32")
    counts = np.zeros((len(images), 1), dtype="float32")

    def add(rows, answers):
        sums[rows] += answers
        counts[rows] += 1

    networks = []
    for path in paths:
        if Path(path).suffix == SUFFIX:
            answers = read_answers(path, images, labels)
            rows = np.flatnonzero(~np.isnan(answers[:, 0]))
            add(rows, answers[rows])
        else:
            model = checkpoints.load_checkpoint(path)
            rows = checkpoints.require_held_out_rows([path], images, labels)
            networks.append((path, model, rows))
    # After every path was looked at, for this may take minutes.
    for path, model, rows in networks:
        count = f"{len(rows):,} faces that it did not see"
        print(f"asking    {path} about {count}", flush=True)
        [answers] = prediction.predict_all([model], images[rows], tta=True)
        add(rows, answers)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def write_answers(path, answers, images, labels):
    """Keep answers about faces by networks that did not see them, as float16.

    Args:
        path: of the file, which `predict_held_out` reads.
        answers: float (n, 7), probabilities; NaN for faces without an answer.
        images, labels: the faces, as for `predict_held_out`.
    """
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary,
            probabilities=answers.astype("float16"),
            faces=compute_fingerprint(images, labels),
        )


def read_answers(path, images, labels):
    """The answers that `write_answers` kept, float32 (n, 7).

    Raises:
        InputError: the file is missing, damaged or about other faces.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            answers, faces = archive["probabilities"], str(archive["faces"])
    # A lone array, as np.save writes it, is no archive: a TypeError.
    except (OSError, EOFError, TypeError, ValueError, KeyError, BadZipFile) as error:
        raise InputError(
            f"{path}: expected answers that train_ensemble.py --folds wrote, found "
            f"{error}"
        ) from error
    if faces != compute_fingerprint(images, labels):
        raise InputError(
            f"{path}: expected answers about the faces of --train, found some about "
            "other faces; name the file that its folds were trained on"
        )
    return answers.astype("float32")
