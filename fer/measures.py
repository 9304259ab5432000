"""How good answers are: arrays of probabilities and labels in, measures out.

Probabilities are float (n, 7), labels int (n,) in 0..6, counts int (7, 7).
"""

from typing import NamedTuple

import numpy as np

from fer.faces import EMOTIONS

# Rarer confusions are not put into words.
NOTABLE_SHARE = 0.1


class Calibration(NamedTuple):
    """How far the probabilities of the likeliest emotions can be believed.

    Attributes:
        confidence: float (bins,), the mean of these probabilities in each bin of equal
            width over [0, 1]; NaN in an empty one.
        accuracy: float (bins,), the share of right answers; NaN in an empty bin.
        count: int (bins,), faces.
        error: the expected calibration error, the mean over all faces of the distance
            between the accuracy and the confidence of their bin.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray
    error: float


def compute_accuracy(probabilities, labels):
    """Share of the faces whose likeliest emotion is their label."""
    return float((probabilities.argmax(axis=1) == labels).mean())


def compute_calibration(probabilities, labels, bins=15):
    """Compare probabilities with the share of right answers (Guo et al. 2017).

    A probability on the edge of two bins counts in the upper one.
    """
    confidences = probabilities.max(axis=1).astype("float64")
    is_right = probabilities.argmax(axis=1) == labels
    # A probability of 1 belongs to the last bin.
    bin_of = np.minimum((confidences * bins).astype(int), bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    totals = [np.bincount(bin_of, values, bins) for values in (confidences, is_right)]
    gaps = np.abs(np.subtract(*totals))
    means = [divide(total, count) for total in totals]
    return Calibration(*means, count, float(gaps.sum() / len(labels)))


def compute_confusion(probabilities, labels):
    """Count, for every true emotion (row), the faces given each emotion (column).

    Returns:
        int (7, 7), also where an emotion has no faces.
    """
    # Takes a second to import, which training can do without.
    from sklearn import metrics

    return metrics.confusion_matrix(
        labels, probabilities.argmax(axis=1), labels=range(len(EMOTIONS))
    )


def title_confusions(confusions):
    """What `fer.figures.plot_confusions` draws: counts by name, the accuracy beside it.

    Args:
        confusions: dict from names to counts.
    """
    return {
        f"{name}: accuracy {np.trace(counts) / counts.sum():.3f}": counts
        for name, counts in confusions.items()
    }


def normalize_rows(counts):
    """The shares of every true emotion, float (7, 7); NaN where it has no faces."""
    return divide(counts, counts.sum(axis=1, keepdims=True))


def compute_recalls(counts):
    """Of each emotion the share that was found, float (7,); NaN without faces."""
    return np.diag(normalize_rows(counts))


def compute_standard_error(accuracy, count):
    """How far an accuracy on `count` faces may be off by chance (one deviation)."""
    return float(np.sqrt(accuracy * (1 - accuracy) / count))


def compute_paired_difference(values, others):
    """How far values of the same faces differ, (n,) each: the mean, its standard error.

    Far less noisy than the difference of two accuracies on different faces.
    """
    gains = np.asarray(values, "float64") - others
    return gains.mean(), gains.std(ddof=1) / np.sqrt(len(gains))


def describe_scores(probabilities, labels):
    """Precision, recall and F1 per emotion as a table; nan where nothing is known."""
    from sklearn import metrics

    return metrics.classification_report(
        labels,
        probabilities.argmax(axis=1),
        labels=range(len(EMOTIONS)),
        target_names=EMOTIONS,
        digits=3,
        zero_division=np.nan,
    )


def describe_confusions(counts):
    """The confusions above `NOTABLE_SHARE` in words, the most frequent first."""
    return [
        f"{EMOTIONS[true]} is taken for {EMOTIONS[given]} {100 * share:.0f} %"
        for true, given, share in find_confusions(counts)
    ]


def find_confusions(counts):
    """The confusions above `NOTABLE_SHARE`, the most frequent first.

    Returns:
        A list of (true emotion, emotion given, share).
    """
    shares = np.nan_to_num(normalize_rows(counts))
    np.fill_diagonal(shares, 0)
    pairs = [
        (*map(int, pair), shares[*pair]) for pair in np.argwhere(shares > NOTABLE_SHARE)
    ]
    return sorted(pairs, key=lambda pair: -pair[-1])


def divide(totals, counts):
    """The quotients as float; NaN where the count is 0."""
    shape = np.broadcast_shapes(totals.shape, counts.shape)
    return np.divide(totals, counts, out=np.full(shape, np.nan), where=counts > 0)
