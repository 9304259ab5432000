"""Several networks together: what averaging brings, and what each says of new faces."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from fer import checkpoints, figures


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
                checkpoints.compute_accuracy(np.mean(chosen, axis=0), labels)
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
        paths: of checkpoints, whose records say which faces each held out.
        images, labels: a training file as fer.data.load_training_faces returns it.

    Returns:
        Probabilities, float32 (n, 7), each the average over the networks that held the
        face out; NaN where all of them saw it.

    Raises:
        InputError: the record of one knows of no face that it held out.
    """
    sums = np.zeros((len(images), 7), dtype="float32")
    counts = np.zeros((len(images), 1), dtype="float32")
    # Before the first is asked, which may take minutes.
    networks = [
        (
            path,
            checkpoints.load_checkpoint(path),
            checkpoints.require_held_out_rows([path], images, labels),
        )
        for path in paths
    ]
    for path, model, rows in networks:
        count = f"{len(rows):,} faces that it did not see"
        print(f"asking    {path} about {count}", flush=True)
        [answers] = checkpoints.predict_all([model], images[rows], tta=True)
        sums[rows] += answers
        counts[rows] += 1
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
