"""Ensembles: averages of literal probabilities, and the script end to end."""

import json
import re

import numpy as np
import pytest
from conftest import run_script

import train_ensemble
from fer import checkpoints, data, ensembles, prediction
from fer.answers import predict_held_out, write_answers
from fer.command import InputError


def one_hot(*predictions):
    return np.eye(7)[list(predictions)]


def test_growth_counts_every_choice_of_members():
    labels = np.array([0, 1, 2, 3])
    probabilities = np.array(
        [one_hot(0, 1, 2, 6), one_hot(0, 1, 6, 3), one_hot(0, 6, 2, 3)]
    )
    single, pairs, all_three = ensembles.compute_growth(probabilities, labels)
    np.testing.assert_allclose(single, [0.75, 0.75, 0.75])
    # Of two that disagree the smaller label wins, here always the right one.
    np.testing.assert_allclose(pairs, [1, 1, 1])
    np.testing.assert_allclose(all_three, [1])


def test_growth_averages_probabilities_and_not_votes():
    labels = np.array([4])
    sure = 0.9 * one_hot(4) + 0.1 * one_hot(5)
    unsure = 0.4 * one_hot(4) + 0.6 * one_hot(5)
    growth = ensembles.compute_growth(np.array([sure, unsure, unsure]), labels)
    np.testing.assert_allclose(growth[0], [1, 0, 0])
    np.testing.assert_allclose(growth[1], [1, 1, 0])
    np.testing.assert_allclose(growth[2], [1])


def test_the_table_names_mean_worst_and_best():
    growth = [np.array([0.5, 0.7]), np.array([0.8])]
    _, one, two = ensembles.describe_growth(growth)
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


def test_folds_become_flags():
    options, rest = train_ensemble.build_parser().parse_known_args(
        ["--folds", "3", "--seed", "5", "--epochs", "2"]
    )
    members = [member.options for member in train_ensemble.plan_members(options, rest)]
    assert [member.validation for member in members] == ["1/3", "2/3", "3/3"]
    assert [member.normalization for member in members] == [None, "image", None]
    assert [member.seed for member in members] == [5, 6, 7]
    assert {(member.keep, member.epochs) for member in members} == {("last", 2)}


@pytest.mark.parametrize(
    "flags",
    [
        ["--folds", "3", "--members", "3"],
        ["--folds", "3", "--validation", "0.2"],
        ["--folds", "3", "--keep", "best"],
        ["--folds", "3", "--start-from", "pretrained/cnn.keras"],
        ["--validation", "0"],
    ],
)
def test_flags_that_members_cannot_follow_are_refused(flags):
    options, rest = train_ensemble.build_parser().parse_known_args(flags)
    with pytest.raises(InputError, match=f"{flags[-2]}.*: expected"):
        train_ensemble.plan_members(options, rest)


def test_members_may_start_from_a_checkpoint():
    flags = ["--start-from", "pretrained/cnn.keras", "--members", "2"]
    options, rest = train_ensemble.build_parser().parse_known_args(flags)
    members = [member.options for member in train_ensemble.plan_members(options, rest)]
    assert [member.name for member in members] == ["ensemble_1", "ensemble_2"]
    assert {member.network for member in members} == {"vgg"}


def test_answers_of_folds_are_kept_and_averaged(tmp_path):
    labels = np.array([2, 0, 6])
    images = np.arange(3, dtype="uint8").repeat(48 * 48).reshape(3, 48, 48, 1)
    answers = one_hot(2, 1, 6)
    write_answers(tmp_path / "all.npz", answers, images, labels)
    some = one_hot(2, 0, 6)
    some[0] = np.nan
    write_answers(tmp_path / "two.npz", some, images, labels)
    paths = [tmp_path / "all.npz", tmp_path / "two.npz"]
    averaged = predict_held_out(paths, images, labels)
    np.testing.assert_array_equal(averaged, (answers + one_hot(2, 0, 6)) / 2)
    np.testing.assert_array_equal(predict_held_out(paths[1:], images, labels), some)

    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "others.npz", something=answers)
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, answers)
    for name, faces, found in (
        ("all", images[:2], "about other faces"),
        ("nowhere", images, "No such file"),
        ("text", images, "text.npz: expected answers that train_ensemble.py --folds"),
        ("others", images, "probabilities"),
        ("array", images, "array.npz: expected answers"),
    ):
        with pytest.raises(InputError, match=found):
            path = tmp_path / f"{name}.npz"
            predict_held_out([path], faces, labels[: len(faces)])


@pytest.mark.slow
def test_every_face_is_answered_by_the_network_that_did_not_see_it(drawn, tmp_path):
    arguments = ["--train", drawn / "train.csv", "--folds", 2, "--epochs", 1]
    arguments += ["--networks", "small", "--jobs", 2]
    process = run_script("train_ensemble.py", *arguments, cwd=tmp_path)
    with np.load(tmp_path / "checkpoints/ensemble_answers.npz") as file:
        answers = file["probabilities"]
    faces = data.load_split(drawn / "train.csv", "1/2")
    for fold, name in (("1/2", "ensemble_1"), ("2/2", "ensemble_2")):
        rows = data.load_split(drawn / "train.csv", fold).validation_rows
        model = checkpoints.load_checkpoint(tmp_path / f"checkpoints/{name}.keras")
        [expected] = prediction.predict_all([model], faces.images[rows], tta=True)
        np.testing.assert_allclose(answers[rows], expected, atol=1e-3)
    right = (answers.argmax(axis=1) == faces.labels).mean()
    [printed] = re.findall(r"cross-validated accuracy ([\d.]+)", process.stdout)
    assert float(printed) == pytest.approx(right, abs=0.005)
