"""Studies of many runs, found by the tables and checkpoints that they left."""

import re

from experiments.ablations import INGREDIENTS, MAIN, Cell
from fer import ensembles, figures, paths
from report.answers import average, compare_accuracy, describe_accuracy
from report.measure import compare, derive
from report.page import Missing
from report.runs import load_runs
from report.table import Table

# By which the runs are compared: the last epoch was chosen by nobody.
ACCURACY = "last_val_accuracy"
METHODS = {"self_training": "self-training", "fixmatch": "FixMatch"}
ENSEMBLE = re.compile(r"ensemble_(\d+)")


def describe_ablations(pictures):
    """Normalization and augmentation, each alone and both, and every ingredient.

    Returns:
        Dict of groups (see `describe_group`), effects (Differences), picture and path,
        or a Missing.
    """
    path = paths.PLOTS / "ablations.csv"
    if not path.is_file():
        return Missing(f"{path} is not there.", "python -m experiments.ablations")
    table = Table(path, Cell._fields, (ACCURACY, "gap"))
    groups = []
    for heading, cells in (MAIN | INGREDIENTS).items():
        found = {
            label: cell for label, cell in cells.items() if table.find(cell, ACCURACY)
        }
        if len(found) > 1:
            groups.append(describe_group(table, heading, found))
    return {
        "groups": groups,
        "effects": list(compare_main(table)),
        "picture": inline_beside(path, pictures),
        "path": path,
    }


def compare_main(table):
    """Yield what augmentation and normalization add to nothing and to each other."""
    neither, normalized, augmented, both = next(iter(MAIN.values())).values()
    for names, cells in (
        (("augmentation alone", "training without either"), (augmented, neither)),
        (("normalization alone", "training without either"), (normalized, neither)),
        (("training with both", "normalization alone"), (both, normalized)),
        (("training with both", "augmentation alone"), (both, augmented)),
    ):
        difference = table.compare(*names, cells, ACCURACY)
        if difference is not None:
            yield difference


def describe_group(table, heading, cells):
    """One group of cells, each compared with the first.

    Args:
        table: the Table.
        heading: of the group.
        cells: dict from labels to cells that are in the table.

    Returns:
        Dict of heading, base (the first label) and rows, each a dict of label,
        accuracy, deviation, seeds, gap and difference (None for the first).
    """
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


def describe_semi_supervised(pictures):
    """What faces without labels add to few labels.

    Returns:
        Dict of rows (dicts of labelled, method, accuracy, deviation, seeds, gain: a
        Difference to training on the labelled faces alone, precision), picture and
        path, or a Missing.
    """
    path = paths.PLOTS / "semi_supervised.csv"
    if not path.is_file():
        return Missing(f"{path} is not there.", "python -m experiments.semi_supervised")
    measures = (ACCURACY, "gain", "pseudo_precision")
    table = Table(path, ("labelled", "method"), measures)
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
    picture = inline_beside(path, pictures)
    return {"rows": rows, "picture": picture, "path": path}


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


def inline_beside(path, pictures):
    """The figure that a study drew beside its table, inlined, or None."""
    picture = path.with_suffix(".png")
    return pictures.inline(picture) if picture.is_file() else None


def find_members(runs):
    """The networks to average: train_ensemble.py's, else the CNNs among the runs."""
    found = {}
    for path in paths.CHECKPOINTS.glob("ensemble_*.keras"):
        if match := ENSEMBLE.fullmatch(path.stem):
            found[int(match[1])] = path
    if len(found) > 1:
        return load_runs([found[number] for number in sorted(found)])
    return [run for run in runs if run.is_convolutional]


def describe_ensemble(runs, ask, pictures):
    """How much the average of networks gains over one.

    Args:
        runs: the networks of the page.
        ask: function from a run to its Answers about validation faces, or a Missing.
        pictures: to draw with.

    Returns:
        Dict of names, rows (dicts of members, choices, mean, worst and best), gain (a
        Difference to the best member) and picture; of apart (rows of name, accuracy,
        error and count) where they did not hold out the same faces; or a Missing.
    """
    members = find_members(runs)[: ensembles.MOST_MEMBERS]
    if len(members) < 2:
        return Missing("There are no networks to average.", "python train_ensemble.py")
    found = [ask(run) for run in members]
    missing = [one for one in found if isinstance(one, Missing)]
    if missing:
        return missing[0]
    if len({one.identity for one in found}) > 1:
        # The folds of --folds, say: nobody may be asked about faces that it has seen.
        return {
            "apart": [{"name": one.name, **describe_accuracy(one)} for one in found]
        }
    labels = found[0].labels
    whole = average(found)
    growth = ensembles.compute_growth([one.probabilities for one in found], labels)
    best = max(found, key=lambda one: one.is_right.sum())
    gain = compare_accuracy(whole, best)
    title = f"{len(labels):,} validation faces"
    return {
        "apart": None,
        "names": [one.name for one in found],
        "rows": list(describe_growth(whole, growth)),
        "gain": gain._replace(first="the average", second=f"{best.name} alone"),
        "picture": pictures.draw(figures.plot_growth, growth, title),
    }


def describe_growth(whole, growth):
    """Yield a row for every number of members.

    Args:
        whole: the Answers of the average of all.
        growth: as `ensembles.compute_growth` returns it.
    """
    for number, accuracies in enumerate(growth, start=1):
        values = {
            "members": number,
            "choices": len(accuracies),
            "mean": accuracies.mean(),
            "worst": accuracies.min(),
            "best": accuracies.max(),
        }
        yield {
            key: whole.take(f"{key} of {number} averaged", value)
            for key, value in values.items()
        }
