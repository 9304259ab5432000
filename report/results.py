"""The parts of the page about what networks are, cost and reach.

Each is what its template needs, or a Missing that says why not.
"""

import numpy as np

from fer import figures
from report import answers as asked
from report import operations
from report.drawing import draw_network
from report.faces import LabelledFaces
from report.measure import derive, take
from report.page import Missing

# Of which faces and by what network the page tells elsewhere; and the share that was
# asked for, for a run that goes on from another holds out what that one did.
SETTINGS_LEFT_OUT = ("faces", "layers", "network", "validation")


def choose_main(runs):
    """The network to look into: the first convolutional one, else the first."""
    return next((run for run in runs if run.is_convolutional), runs[0])


def choose_kinds(runs):
    """The first convolutional and the first dense network among the runs."""
    kinds = {}
    for run in runs:
        kinds.setdefault(run.is_convolutional, run)
    return [kinds[kind] for kind in (True, False) if kind in kinds]


def describe_networks(runs):
    """The networks: layers and a drawing of each kind."""
    models = {run.name: run.model for run in runs}
    networks = [operations.describe_network(run) for run in runs]
    groups = operations.group_networks(networks)
    for group in groups:
        group["drawing"] = draw_network(models[group["name"]], group["name"])
    return groups


def describe_training(runs, pictures):
    """How each network was trained: recipe, commit, minutes and curves."""
    keys = []
    for run in runs:
        settings = (run.record or {}).get("settings", {})
        keys += [key for key in settings if key not in (*keys, *SETTINGS_LEFT_OUT)]
    missing = {}
    for run in runs:
        lacking = tuple(run.list_missing())
        missing.setdefault(lacking, []).append(run.path.with_suffix(".json"))
    missing.pop((), None)
    return {
        "settings": keys,
        "missing": missing.items(),
        "continued": any(is_continued(run) for run in runs),
        "runs": [describe_run(run, pictures) for run in runs],
    }


def is_continued(run):
    """Whether a run needed other networks: one to go on from, or teachers."""
    found = [run.find(f"settings.{key}") for key in ("start_from", "teachers")]
    return any(measure and measure.value for measure in found)


def describe_run(run, pictures):
    """The training of one network."""
    curves = last = lowest = None
    if run.history is not None:
        log = run.path.with_suffix(".csv")
        curves = pictures.draw(figures.plot_history, run.history, run.name)
        row = run.history.iloc[-1]
        last = {
            key: take(log, f"{key} where epoch={row['epoch']:.0f}", row[key])
            if np.isfinite(row[key])
            else None
            for key in ("epoch", "accuracy", "val_accuracy")
        }
        if run.history["val_loss"].notna().any():
            row = run.history.loc[run.history["val_loss"].idxmin()]
            epoch = int(row["epoch"])
            lowest = take(log, "epoch where val_loss is lowest", epoch)
    return {
        "run": run,
        "log": run.path.with_suffix(".csv"),
        "json": run.path.with_suffix(".json"),
        "count": find_count(run),
        "curves": curves,
        "last": last,
        "lowest": lowest,
    }


def describe_accuracies(runs, chosen, ask, test):
    """Accuracies of all networks, as recorded, counted here and on test faces.

    Args:
        runs: of the networks.
        chosen: the runs to ask about test faces, which are strange to each of them.
        ask: function from a run to its Answers about validation faces, or a Missing.
        test: the Test, or a Missing.
    """
    rows = []
    for run in runs:
        recorded, count = run.find("val_accuracy"), find_count(run)
        found = ask(run)
        row = {
            "run": run,
            "recorded": recorded,
            "error": recorded and count and derive("standard error", recorded, count),
            "count": count,
            "counted": None,
            "reason": None,
        }
        if isinstance(found, Missing):
            row["reason"] = found.reason
        else:
            row["counted"] = asked.describe_accuracy(found)
        rows.append(row)
    tested = [] if isinstance(test, Missing) else chosen
    tested = [{"run": run, "kinds": describe_test(run, test)} for run in tested]
    return {"rows": rows, "test": test, "tested": tested}


def find_count(run):
    """How many faces a run was validated on, a Measure, or None."""
    rows = (run.record or {}).get("validation_rows")
    file = run.path.with_suffix(".json")
    return take(file, "length of validation_rows", len(rows)) if rows else None


def describe_test(run, test):
    """The accuracies of a run on test faces, with and without copies."""
    answers = asked.ask(run, LabelledFaces(test.path, test.images, test.labels))
    described = []
    for name, rows in test.kinds.items():
        kind = {"name": name, **asked.describe_accuracy(answers, name, rows)}
        if test.is_copy is not None:
            kind["new"] = asked.describe_accuracy(
                answers, f"{name} without copies", rows & ~test.is_copy
            )
        described.append(kind)
    return described


def compare_kinds(runs, ask, pictures):
    """The convolutional against the dense network."""
    kinds = choose_kinds(runs)
    if len(kinds) < 2:
        present = kinds[0]
        other = "train_dnn.py" if present.is_convolutional else "train_cnn.py"
        option = f" --match {present.path}" if present.is_convolutional else ""
        kind = "dense" if present.is_convolutional else "convolutional"
        return Missing(
            f"No {kind} network is among the checkpoints.", f"python {other}{option}"
        )
    cnn, dnn = kinds
    networks = [operations.measure_size(run) for run in kinds]
    ratios = {
        key: networks[0][key]
        and networks[1][key]
        and derive("ratio", networks[0][key], networks[1][key])
        for key in ("parameters", "multiply_adds")
    }
    found = [ask(run) for run in kinds]
    difference, paired = None, False
    if not any(isinstance(one, Missing) for one in found):
        difference = asked.compare_accuracy(*found)
        paired = found[0].identity == found[1].identity
    elif all(run.find("val_accuracy") and find_count(run) for run in kinds):
        pairs = [(run.find("val_accuracy"), find_count(run)) for run in kinds]
        difference = asked.compare_recorded(cnn.name, dnn.name, *pairs)
    curves = None
    if cnn.history is not None and dnn.history is not None:
        histories = [(run.name, run.history) for run in kinds]
        curves = pictures.draw(figures.plot_histories, histories)
    return {
        "cnn": cnn,
        "dnn": dnn,
        "totals": networks,
        "ratios": ratios,
        "difference": difference,
        "paired": paired,
        "curves": curves,
    }


def describe_kinds(runs, ask, describe):
    """What `describe` says of each network shown and its answers, or what it lacks."""
    described = []
    for run in choose_kinds(runs):
        found = ask(run)
        if isinstance(found, Missing):
            described.append({"name": run.name, "missing": found})
        else:
            described.append({"missing": None, **describe(run, found)})
    return described


def describe_confusions(runs, ask, pictures):
    """Confusion matrix, confusions in words and recalls of the networks shown."""

    def describe(run, found):
        emotions = asked.describe_emotions(found)
        title = f"{len(found.labels):,} validation faces"
        matrix = {run.name: emotions["counts"]}
        picture = pictures.draw(figures.plot_confusions, matrix, title)
        return {**emotions, "picture": picture}

    return describe_kinds(runs, ask, describe)


def describe_calibrations(runs, ask, pictures):
    """Calibration of the networks shown."""

    def describe(run, found):
        calibration = asked.describe_calibration(found)
        picture = pictures.draw(
            figures.plot_calibration, calibration["calibration"], run.name
        )
        return {**calibration, "picture": picture}

    return describe_kinds(runs, ask, describe)
