"""Ablations: cells, table and recall on literal cases, and the script end to end."""

import numpy as np
import pandas as pd
import pytest
from conftest import run_script

import train_ablations
from fer import runs
from fer.augmentation import AUGMENTATIONS
from fer.normalization import NORMALIZATIONS
from train_ablations import BOTH, NEITHER, Cell


def test_every_cell_can_be_trained_and_stands_once():
    cells = train_ablations.list_cells(
        train_ablations.MAIN | train_ablations.INGREDIENTS
    )
    assert len(cells) == len(set(cells)) == 13
    assert {cell.augmentation for cell in cells} <= set(AUGMENTATIONS)
    assert {cell.normalization for cell in cells} == set(NORMALIZATIONS)
    for cell in cells:
        # argparse ends the test where a change is no flag of train_cnn.py.
        train_ablations.runs.parse(cell.changes.split())


def test_a_cell_becomes_flags(monkeypatch):
    given = []
    monkeypatch.setattr(
        train_ablations.runs, "run_once", lambda arguments, _: given.append(arguments)
    )
    options = train_ablations.build_parser().parse_args(["--name", "a"])
    train_ablations.train_cell(BOTH, 1, options, "faces")
    train_ablations.train_cell(
        BOTH._replace(changes="--class-weights"), 1, options, "faces"
    )
    plain, weighted = (train_ablations.runs.parse(map(str, each)) for each in given)
    assert plain.name == "a_geometric_standard_1" and plain.seed == 1
    assert plain.augmentation == "geometric" and plain.normalization == "standard"
    assert plain.class_weights is None and plain.epochs == 15
    assert plain.network == "small" and plain.recipe == "vgg"
    assert weighted.name == "a_geometric_standard_classweights_1"
    assert weighted.class_weights is True


def test_recall():
    labels = np.array([1, 1, 1, 1, 0])
    predictions = np.array([1, 0, 1, 1, 1])
    assert train_ablations.compute_recall(labels, predictions, 1) == 0.75
    assert train_ablations.compute_recall(labels, predictions, 0) == 0
    assert np.isnan(train_ablations.compute_recall(labels, predictions, 5))


def measurement(cell, seed, accuracy):
    numbers = dict.fromkeys(train_ablations.MEASURES, 0.5)
    return {**cell._asdict(), "seed": seed, **numbers, "val_accuracy": accuracy}


def summarize(measurements):
    return runs.summarize(measurements, Cell._fields, train_ablations.MEASURES)


def test_mean_and_sample_deviation_over_the_seeds():
    accuracies = {BOTH: (0.5, 0.6, 0.7), NEITHER: (0.25, 0.25, 0.25)}
    table = summarize(
        pd.DataFrame(
            measurement(cell, seed, accuracy)
            for cell, values in accuracies.items()
            for seed, accuracy in enumerate(values)
        )
    )
    # In order of appearance, not of the alphabet.
    assert list(table["augmentation"]) == ["geometric", "none"]
    assert list(table["seeds"]) == [3, 3]
    np.testing.assert_allclose(table["val_accuracy"], [0.6, 0.25])
    np.testing.assert_allclose(table["val_accuracy_deviation"], [0.1, 0])
    header, rule, both, _ = train_ablations.describe(table)
    assert header.count("|") == rule.count("|") == both.count("|")
    cells = [cell.strip() for cell in both.split("|")]
    assert cells[1:6] == ["geometric", "standard", "", "0.600 ± 0.100", "0.5 ± 0.0"]


def test_one_seed_has_no_deviation():
    table = summarize(pd.DataFrame([measurement(BOTH, 0, 0.5)]))
    assert table["val_accuracy_deviation"].isna().all()
    assert "±" not in "".join(train_ablations.describe(table))


def test_every_experiment_gets_a_panel(tmp_path):
    experiments = train_ablations.MAIN | train_ablations.INGREDIENTS
    history = pd.DataFrame(
        {"epoch": [1, 2], "accuracy": [0.2, 0.3], "val_accuracy": [0.2, 0.25]}
    )
    histories = {
        cell: [history, history] for cell in train_ablations.list_cells(experiments)
    }
    path = tmp_path / "ablations.png"
    train_ablations.plot_curves(experiments, histories, "title", path)
    assert path.stat().st_size > 10_000


@pytest.mark.slow
def test_the_four_cells_on_drawn_faces(drawn, tmp_path):
    arguments = ["--train", drawn / "train.csv", "--epochs", 1, "--seeds", 1]
    first = run_script("train_ablations.py", *arguments, cwd=tmp_path)
    table = pd.read_csv(tmp_path / "plots/ablations.csv", keep_default_na=False)
    cells = list(zip(table["augmentation"], table["normalization"], strict=True))
    assert cells == [
        ("none", "none"),
        ("none", "standard"),
        ("geometric", "none"),
        ("geometric", "standard"),
    ]
    assert table["val_accuracy"].between(0, 1).all()
    assert (tmp_path / "plots/ablations.png").stat().st_size > 10_000
    assert first.stdout.count("\n| ") == 1 + len(cells)

    again = run_script("train_ablations.py", *arguments, cwd=tmp_path)
    assert again.stdout.count("is finished") == len(cells)
    assert again.stdout.splitlines()[-10:] == first.stdout.splitlines()[-10:]
