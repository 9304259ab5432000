"""Studies of many runs, found by the tables and checkpoints that they left.

A value of a table has the source "FILE: column where column=value, ...".
"""

import csv
import re

import train_ensemble
from experiments.ablations import INGREDIENTS, MAIN, Cell
from fer import checkpoints, paths
from fer.command import InputError
from fer.report import answers
from fer.report.measure import compare, compare_means, derive, take

# By which the runs are compared: the last epoch was chosen by nobody.
ACCURACY = "last_val_accuracy"
METHODS = {"self_training": "self-training", "fixmatch": "FixMatch"}
ABLATIONS, SEMI_SUPERVISED = "ablations", "semi_supervised"


class Table:
    """The table that a study left in plots/<name>.csv.

    Args:
        path: of the file.
        cell: names of the columns that tell its rows apart.
        measures: names of columns with numbers, each beside <name>_deviation.

    Raises:
        InputError: it is no such table.
    """

    def __init__(self, path, cell, measures):
        self.path, self.cell = path, cell
        self.columns = ["seeds", *measures]
        self.columns += [f"{measure}_deviation" for measure in measures]
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        try:
            self.rows = {tuple(row[key] for key in cell): row for row in rows}
            for cell in self.rows:
                for column in self.columns:
                    self.find(cell, column)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: expected a table with the columns {', '.join(self.cell)} and "
                f"numbers in {', '.join(self.columns)}, found something else "
                f"({error}); make it again or move it away"
            ) from error

    def find(self, cell, column):
        """A number as a Measure; None where the cell or the number is not there."""
        row = self.rows.get(tuple(cell))
        if row is None or not row[column]:
            return None
        where = ", ".join(f"{key}={row[key]}" for key in self.cell)
        return take(self.path, f"{column} where {where}", float(row[column]))

    def find_mean(self, cell, measure):
        """The mean, its deviation over the seeds (or None) and their number."""
        deviation = self.find(cell, f"{measure}_deviation")
        return self.find(cell, measure), deviation, self.find(cell, "seeds")

    def compare(self, first, second, cells, measure):
        """The Difference of two cells; None where one of them is not there."""
        means, deviations, counts = zip(
            *(self.find_mean(cell, measure) for cell in cells), strict=True
        )
        if None in means:
            return None
        if None in deviations:
            return compare(first, second, derive("difference", *means), None)
        return compare_means(first, second, means, deviations, counts)


def open_table(name, cell, measures):
    """The Table of a study, or None where it was not made."""
    path = paths.PLOTS / f"{name}.csv"
    return Table(path, cell, measures) if path.is_file() else None


def find_picture(name):
    """The figure that a study drew, or None."""
    path = paths.PLOTS / f"{name}.png"
    return path if path.is_file() else None


def describe_ablations():
    """Normalization and augmentation, each alone and both, and every ingredient.

    Returns:
        Dict of groups (heading and rows, each a dict of label, accuracy, deviation,
        gap and difference to the first row of the group) and effects (Differences), or
        None where no table is there.
    """
    table = open_table(ABLATIONS, Cell._fields, (ACCURACY, "gap"))
    if table is None:
        return None
    groups = []
    for heading, cells in (MAIN | INGREDIENTS).items():
        found = {
            label: cell for label, cell in cells.items() if table.find(cell, ACCURACY)
        }
        if len(found) > 1:
            groups.append(describe_group(table, heading, found))
    cells = MAIN["normalization and augmentation"]
    neither, normalized, augmented, both = cells.values()
    effects = [
        table.compare(*names, pair, ACCURACY)
        for names, pair in (
            (
                ("augmentation and normalization", "normalization alone"),
                (both, normalized),
            ),
            (("augmentation alone", "neither"), (augmented, neither)),
            (
                ("normalization and augmentation", "augmentation alone"),
                (both, augmented),
            ),
            (("normalization alone", "neither"), (normalized, neither)),
        )
    ]
    return {
        "groups": groups,
        "effects": [effect for effect in effects if effect is not None],
        "picture": find_picture(ABLATIONS),
        "path": table.path,
    }


def describe_group(table, heading, cells):
    """One group of cells, each compared with the first."""
    (first, base), *_ = cells.items()
    rows = []
    for label, cell in cells.items():
        accuracy, deviation, seeds = table.find_mean(cell, ACCURACY)
        difference = None
        if cell != base:
            difference = table.compare(label, first, (cell, base), ACCURACY)
        rows.append(
            {
                "label": label,
                "accuracy": accuracy,
                "deviation": deviation,
                "seeds": seeds,
                "gap": table.find(cell, "gap"),
                "difference": difference,
            }
        )
    return {"heading": heading, "base": first, "rows": rows}


def describe_semi_supervised():
    """What faces without labels add to few labels.

    Returns:
        Dict of rows (labelled, method, accuracy, deviation, gain: a Difference to
        training on the labelled faces alone, precision), or None.
    """
    columns = ("labelled", "method")
    measures = (ACCURACY, "gain", "pseudo_precision")
    table = open_table(SEMI_SUPERVISED, columns, measures)
    if table is None:
        return None
    rows = []
    for cell in table.rows:
        accuracy, deviation, seeds = table.find_mean(cell, ACCURACY)
        rows.append(
            {
                "labelled": table.find(cell, "labelled"),
                "method": METHODS.get(cell[1], cell[1]),
                "accuracy": accuracy,
                "deviation": deviation,
                "seeds": seeds,
                "gain": find_gain(table, cell),
                "precision": table.find(cell, "pseudo_precision"),
            }
        )
    return {"rows": rows, "picture": find_picture(SEMI_SUPERVISED), "path": table.path}


def find_gain(table, cell):
    """By how much a method is above the labels alone, the same seeds paired."""
    size, deviation, seeds = table.find_mean(cell, "gain")
    if size is None:
        return None
    method = METHODS.get(cell[1], cell[1])
    error = None
    if deviation is not None:
        error = derive("standard error of the mean", deviation, seeds)
    return compare(method, "the labels alone", size, error, max(seeds.value - 1, 1))


def find_members(runs):
    """The paths of an ensemble: train_ensemble.py's, else the CNNs among the runs."""
    pattern = re.compile(r"ensemble_(\d+)\.keras")
    found = {}
    for path in paths.CHECKPOINTS.glob("ensemble_*.keras"):
        if match := pattern.fullmatch(path.name):
            found[int(match[1])] = path
    members = [found[number] for number in sorted(found)]
    if len(members) < 2:
        members = [run.path for run in runs if run.is_convolutional]
    return members[: train_ensemble.MOST_MEMBERS] if len(members) > 1 else []


def describe_ensemble(members):
    """How much the average of networks gains over one.

    Args:
        members: the `fer.report.answers.Answers` of each about the same faces.

    Returns:
        Dict of growth (as `train_ensemble.compute_growth` returns it), rows (members,
        choices, mean, worst, best), gain (a Difference to the best single member),
        best and whole (Answers).
    """
    labels = members[0].labels
    growth = train_ensemble.compute_growth(
        [member.probabilities for member in members], labels
    )
    whole = answers.average(members)
    rows = []
    for number, accuracies in enumerate(growth, start=1):
        values = {
            "members": number,
            "choices": len(accuracies),
            "mean": accuracies.mean(),
            "worst": accuracies.min(),
            "best": accuracies.max(),
        }
        rows.append(
            {
                key: whole.take(f"{key} of {number} averaged", value)
                for key, value in values.items()
            }
        )
    best = max(
        members,
        key=lambda one: checkpoints.compute_accuracy(one.probabilities, labels),
    )
    gain = answers.compare_accuracy(whole, best)
    return {
        "names": [member.name for member in members],
        "growth": growth,
        "rows": rows,
        "best": best.name,
        "gain": gain._replace(first="the average", second=f"{best.name} alone"),
        "first": members[0],
        "whole": whole,
    }
