"""Several networks together: what averaging brings."""

import itertools

import numpy as np

from fer import measures

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
                measures.compute_accuracy(np.mean(chosen, axis=0), labels)
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
