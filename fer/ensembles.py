"""Several networks together: what averaging brings, and what each says of new faces."""

import itertools
from pathlib import Path
from zipfile import BadZipFile

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from fer import checkpoints, figures, prediction
from fer.command import InputError
from fer.files import replacing

ANSWERS_SUFFIX = ".npz"
# All choices among them are averaged: 4,095.
MOST_MEMBERS = 12


def compute_growth(probabilities, labels):
    """Accuracy of the average of every choice of members.

    Args:
        probabilities: float (members, n, 7).
        labels: int (n,).

    Returns:
        A list whose entry k - 1 holds the accuracies of all choices of k members.
    """
    return [
        np.array(
            [
                prediction.compute_accuracy(np.mean(chosen, axis=0), labels)
                for chosen in itertools.combinations(probabilities, k)
            ]
        )
        for k in range(1, len(probabilities) + 1)
    ]


def describe_growth(growth):
    """The accuracies by number of members, as lines of text."""
    yield "members  choices  validation accuracy: mean  worst   best"
    for k, accuracies in enumerate(growth, start=1):
        yield (
            f"{k:7}  {len(accuracies):7,}  {accuracies.mean():25.4f}  "
            f"{accuracies.min():.4f}  {accuracies.max():.4f}"
        )


def plot_growth(growth, title, path):
    """Draw the accuracy against the number of members, mean and range of choices."""
    numbers = np.arange(1, len(growth) + 1)
    figure, panel = plt.subplots(figsize=(5, 4), layout="constrained")
    color = figures.COLORS[1]
    for number, accuracies in zip(numbers, growth, strict=True):
        panel.plot(
            np.full(len(accuracies), number),
            accuracies,
            "o",
            color="0.6",
            markersize=3,
            label="one choice of members" if number == 1 else None,
        )
    means = [accuracies.mean() for accuracies in growth]
    panel.plot(numbers, means, "o-", color=color, label="mean of all choices")
    panel.set(xlabel="members averaged", ylabel="validation accuracy", title=title)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right")
    figures.save_figure(figure, path)


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
    sums = np.zeros((len(images), 7), dtype="float32")
    counts = np.zeros((len(images), 1), dtype="float32")

    def add(rows, answers):
        sums[rows] += answers
        counts[rows] += 1

    networks = []
    for path in paths:
        if Path(path).suffix == ANSWERS_SUFFIX:
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
            faces=checkpoints.compute_fingerprint(images, labels),
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
    if faces != checkpoints.compute_fingerprint(images, labels):
        raise InputError(
            f"{path}: expected answers about the faces of --train, found some about "
            "other faces; name the file that its folds were trained on"
        )
    return answers.astype("float32")
