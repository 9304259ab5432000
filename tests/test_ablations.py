"""Ablations: cells, table and recall on literal cases, and the script end to end."""

import numpy as np
import pandas as pd
import pytest
from conftest import run_module

import train_cnn
from experiments import ablations, grid
from experiments.ablations import BOTH, NEITHER, Cell
from fer.augmentation import AUGMENTATIONS
from fer.recipes import NORMALIZATIONS


def test_every_cell_can_be_trained_and_stands_once():
    cells = ablations.list_cells(ablations.MAIN | ablations.INGREDIENTS)
    assert len(cells) == len(set(cells)) == 13
    assert {cell.augmentation for cell in cells} <= set(AUGMENTATIONS)
    assert {cell.normalization for cell in cells} == set(NORMALIZATIONS)
    for cell in cells:
        # argparse ends the test where a change is no flag of train_cnn.py.
        train_cnn.read_flags(cell.changes.split())


def test_a_cell_becomes_flags():
    options = ablations.build_parser().parse_args(["--name", "a"])
    plain, weighted = (
        ablations.plan_run(cell, 1, options).options
        for cell in (BOTH, BOTH._replace(changes="--class-weights"))
    )
    assert plain.name == "a_geometric_standard_1" and plain.seed == 1
    assert plain.augmentation == "geometric" and plain.normalization == "standard"
    assert plain.class_weights is None and plain.epochs == 15
    assert plain.network == "small" and plain.recipe == "vgg"
    # The share of the faces that main() measures on, not that of a single training.
    assert plain.validation == grid.VALIDATION_SHARE
    assert weighted.name == "a_geometric_standard_classweights_1"
    assert weighted.class_weights is True


def measurement(cell, seed, accuracy):
    numbers = dict.fromkeys(ablations.MEASURES, 0.5)
    return {**cell._asdict(), "seed": seed, **numbers, "val_accuracy": accuracy}


def summarize(measurements):
    return grid.summarize(measurements, Cell._fields, ablations.MEASURES)


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
    header, rule, both, _ = ablations.describe(table)
    assert header.count("|") == rule.count("|") == both.count("|")
    cells = [cell.strip() for cell in both.split("|")]
    assert cells[1:6] == ["geometric", "standard", "", "0.600 ± 0.100", "0.5 ± 0.0"]


def test_one_seed_has_no_deviation():
    table = summarize(pd.DataFrame([measurement(BOTH, 0, 0.5)]))
    assert table["val_accuracy_deviation"].isna().all()
    assert "±" not in "".join(ablations.describe(table))


def test_every_experiment_gets_a_panel(tmp_path, drawn_figures):
    experiments = ablations.MAIN | ablations.INGREDIENTS
    history = pd.DataFrame(
        {"epoch": [1, 2], "accuracy": [0.2, 0.3], "val_accuracy": [0.2, 0.25]}
    )
    other = history.assign(accuracy=[0.4, 0.7], val_accuracy=[0.2, 0.35])
    histories = {cell: [history, other] for cell in ablations.list_cells(experiments)}
    path = tmp_path / "ablations.png"
    ablations.plot_curves(experiments, histories, "title", path)
    [(saved, figure)] = drawn_figures
    assert saved == path and len(figure.axes) == len(experiments)
    for panel, cells in zip(figure.axes, experiments.values(), strict=True):
        # Of every cell the mean over seeds, and a band from the lowest to the highest.
        lines = [line.get_ydata() for line in panel.lines]
        np.testing.assert_allclose(lines, [[0.2, 0.3], [0.3, 0.5]] * len(cells))
        bands = [band.get_paths()[0].vertices[:, 1] for band in panel.collections]
        ranges = [(band.min(), band.max()) for band in bands]
        np.testing.assert_allclose(ranges, [[0.2, 0.35], [0.2, 0.7]] * len(cells))


@pytest.mark.slow
def test_the_four_cells_on_drawn_faces(drawn, tmp_path):
    arguments = ["--train", drawn / "train.csv", "--epochs", 1, "--seeds", 1]
    first = run_module("experiments.ablations", *arguments, cwd=tmp_path)
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
    # Header, rule and a row per cell.
    assert first.stdout.count("\n| ") == 2 + len(cells)

    again = run_module("experiments.ablations", *arguments, cwd=tmp_path)
    assert f"{len(cells)} of {len(cells)} runs are finished" in again.stdout
    assert again.stdout.splitlines()[-10:] == first.stdout.splitlines()[-10:]
