"""Ensembles: averages of literal probabilities, and the script end to end."""

import json

import numpy as np
import pytest
from conftest import run_script

import train_ensemble


def one_hot(*predictions):
    return np.eye(7)[list(predictions)]


def test_growth_counts_every_choice_of_members():
    labels = np.array([0, 1, 2, 3])
    probabilities = np.array(
        [one_hot(0, 1, 2, 6), one_hot(0, 1, 6, 3), one_hot(0, 6, 2, 3)]
    )
    single, pairs, all_three = train_ensemble.compute_growth(probabilities, labels)
    np.testing.assert_allclose(single, [0.75, 0.75, 0.75])
    # Of two that disagree the smaller label wins, here always the right one.
    np.testing.assert_allclose(pairs, [1, 1, 1])
    np.testing.assert_allclose(all_three, [1])


def test_growth_averages_probabilities_and_not_votes():
    labels = np.array([4])
    sure = 0.9 * one_hot(4) + 0.1 * one_hot(5)
    unsure = 0.4 * one_hot(4) + 0.6 * one_hot(5)
    growth = train_ensemble.compute_growth(np.array([sure, unsure, unsure]), labels)
    np.testing.assert_allclose(growth[0], [1, 0, 0])
    np.testing.assert_allclose(growth[1], [1, 1, 0])
    np.testing.assert_allclose(growth[2], [1])


def test_the_table_names_mean_worst_and_best():
    growth = [np.array([0.5, 0.7]), np.array([0.8])]
    _, one, two = train_ensemble.describe_growth(growth)
    assert one.split() == ["1", "2", "0.6000", "0.5000", "0.7000"]
    assert two.split() == ["2", "1", "0.8000", "0.8000", "0.8000"]


@pytest.mark.slow
def test_two_members_of_two_networks(drawn, tmp_path):
    arguments = ["--train", drawn / "train.csv", "--members", 2, "--epochs", 1]
    arguments += ["--networks", "small", "vgg", "--name", "pair"]
    first = run_script("train_ensemble.py", *arguments, cwd=tmp_path)
    records = [
        json.loads((tmp_path / f"checkpoints/pair_{i}.json").read_text())
        for i in (1, 2)
    ]
    assert [record["settings"]["network"] for record in records] == ["small", "vgg"]
    assert [record["settings"]["seed"] for record in records] == [0, 1]
    assert records[0]["validation_rows"] == records[1]["validation_rows"]
    for figure in ("members", "confusion_matrix"):
        assert (tmp_path / f"plots/pair_{figure}.png").stat().st_size > 10_000
    # The first line of the growth holds both members' own accuracies.
    table = next(
        line for line in first.stdout.splitlines() if line.startswith("      1")
    )
    accuracies = sorted(record["val_accuracy"] for record in records)
    assert [float(word) for word in table.split()[-2:]] == pytest.approx(
        accuracies, abs=1e-4
    )

    written = (tmp_path / "checkpoints/pair_1.keras").stat().st_mtime_ns
    # As if the second had been killed after its last epoch, before its files.
    for suffix in ("keras", "csv", "json"):
        (tmp_path / f"checkpoints/pair_2.{suffix}").unlink()
    again = run_script("train_ensemble.py", *arguments, cwd=tmp_path)
    assert "1 of 2 runs are finished" in again.stdout
    assert (tmp_path / "checkpoints/pair_1.keras").stat().st_mtime_ns == written
    assert (tmp_path / "checkpoints/pair_2.keras").exists()
    assert again.stdout.splitlines()[-5:] == first.stdout.splitlines()[-5:]

    changed = run_script(
        "train_ensemble.py", *arguments, "--seed", 9, cwd=tmp_path, status=2
    )
    assert "seed" in changed.stderr.splitlines()[-1]
    assert (tmp_path / "checkpoints/pair_1.keras").stat().st_mtime_ns == written
