"""A number of the page, the file and the key that it comes from, and what it makes.

The source of a measure is a text "FILE: key". FILE is a record, a table, a checkpoint,
or "CHECKPOINT on FACES" for what was counted for this page.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from fer import measures

# Differences that chance makes more often than this are called noise.
CHANCE = 0.05


class Measure(NamedTuple):
    """A value and where it comes from.

    Attributes:
        value: a number or a word.
        sources: a "FILE: key" of the value itself or, with a formula, of each operand.
        formula: the name of what makes the value of the operands, or None.
    """

    value: Any
    sources: tuple
    formula: str | None = None


FORMULAS = {
    "difference": lambda one, other: one - other,
    "ratio": lambda one, other: one / other,
    "standard error": measures.compute_standard_error,
    "standard error of the difference": lambda one, many, other, others: math.sqrt(
        one * (1 - one) / many + other * (1 - other) / others
    ),
    "standard error of the difference of two means": (
        lambda one, many, other, others: math.sqrt(one**2 / many + other**2 / others)
    ),
    "standard error of the mean": lambda deviation, count: deviation / math.sqrt(count),
}


class Difference(NamedTuple):
    """By how much one thing is above another, and whether chance would do.

    Attributes:
        first, second: their names.
        size: a Measure, first minus second.
        error: its standard error, a Measure, or None where that is not known.
        verdict: "first" or "second", whichever is higher; "noise" where the difference
            is below it; "unknown" without an error.
    """

    first: str
    second: str
    size: Measure
    error: Measure | None
    verdict: str


def take(file, key, value):
    """The Measure of a value that stands in a file under a key; None for None."""
    if value is None:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    return Measure(value, (f"{file}: {key}",))


def derive(formula, *operands):
    """The Measure that a formula of `FORMULAS` makes of others."""
    value = FORMULAS[formula](*(operand.value for operand in operands))
    sources = tuple(source for operand in operands for source in operand.sources)
    return Measure(value, sources, formula)


def compare(first, second, size, error, degrees=math.inf):
    """The Difference of two things.

    Args:
        first, second: their names.
        size: a Measure, first minus second.
        error: its standard error, a Measure, or None.
        degrees: of freedom of that error.
    """
    if error is None or not math.isfinite(error.value):
        return Difference(first, second, size, None, "unknown")
    limit = stats.t.ppf(1 - CHANCE / 2, degrees) * error.value
    verdict = "first" if size.value > 0 else "second"
    if abs(size.value) <= limit:
        verdict = "noise"
    return Difference(first, second, size, error, verdict)


def compare_means(first, second, sizes, deviations, counts):
    """The Difference of the means of two groups of runs (Welch 1947).

    Args:
        first, second: the names of the groups.
        sizes, deviations, counts: two Measures each: the mean, its sample deviation
            and the number of runs of either group.
    """
    size = derive("difference", *sizes)
    parts = [d.value**2 / n.value for d, n in zip(deviations, counts, strict=True)]
    if min(n.value for n in counts) < 2 or not math.isfinite(sum(parts)):
        return compare(first, second, size, None)
    operands = deviations[0], counts[0], deviations[1], counts[1]
    error = derive("standard error of the difference of two means", *operands)
    scale = sum(p**2 / (n.value - 1) for p, n in zip(parts, counts, strict=True))
    degrees = sum(parts) ** 2 / scale if scale else math.inf
    return compare(first, second, size, error, degrees)
