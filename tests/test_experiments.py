"""The log of the experiments: one row per run, and what a row says."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import run_module

from experiments import (
    compare_networks,
    compare_views,
    label_issues,
    log_runs,
    throughput,
)
from fer import checkpoints, data, evaluation, prediction
from fer.command import InputError
from fer.faces import EMOTIONS


def test_a_row_replaces_the_older_one_of_its_run():
    old = ["a", "3.5", ""], ["a", "1.0", ""], ["b", "3.5", ""]
    log = pd.DataFrame(old, columns=["command", "minutes", "remark"])
    log = log_runs.add_rows(log, [{"command": "a", "minutes": 3.5, "remark": "again"}])
    assert log.values.tolist() == [*old[1:], ["a", "3.5", "again"]]


def test_a_run_becomes_a_row(trained, drawn, tmp_path, monkeypatch, drawn_figures):
    monkeypatch.chdir(trained)
    path = trained / "checkpoints/small_run.keras"
    arguments = ["--train", str(drawn / "train.csv")]
    options = log_runs.build_parser().parse_args(arguments)
    (faces,) = evaluation.load_held_out(options, [path])
    assert len(faces.rows) == 42
    row = log_runs.measure_run(path, faces, options)
    assert tuple(row) == log_runs.COLUMNS
    assert row["command"].startswith("train_cnn.py --train ")
    assert row["network"] == "vgg" and row["seed"] == 0
    # 116,382,336 multiply-adds, 378 training faces, 2 epochs.
    assert float(row["training_operations"]) == 5.28e11
    model, rows = checkpoints.load_checkpoint(path), faces.rows
    answers = prediction.predict(model, faces.images[rows], tta=True)
    accuracy = (answers.argmax(axis=1) == faces.labels[rows]).mean()
    assert row["val_accuracy_tta"] == pytest.approx(accuracy, abs=1e-4)
    options = log_runs.build_parser().parse_args(["--without-tta"])
    without = log_runs.measure_run(path, faces, options)
    assert without == {**row, "val_accuracy_tta": ""}
    taught = {**row, "command": "train_cnn.py --teachers a.npz"}
    log = pd.DataFrame([row, without, taught]).astype(str)
    log_runs.plot_operations(log, tmp_path / "operations.png")
    [(saved, figure)] = drawn_figures
    assert saved == tmp_path / "operations.png"
    [line] = figure.axes[0].lines
    assert line.get_label() == "vgg" and line.get_xdata().tolist() == [5.28e11]
    assert line.get_ydata().tolist() == [row["val_accuracy_tta"]]


def test_a_damaged_log_is_refused(tmp_path):
    for text in ("", "date,commit\n", "<<<<<<< HEAD\na,b\n1,2,3,4\n"):
        (tmp_path / "log.csv").write_text(text)
        with pytest.raises(InputError, match="log.csv: expected the"):
            log_runs.load_log(tmp_path / "log.csv")
    assert len(log_runs.load_log(log_runs.LOG).columns) == 10


@pytest.mark.slow
def test_views_are_compared(trained, drawn):
    images, labels = data.load_training_faces(drawn / "train.csv")
    path = trained / "checkpoints/small_run.keras"
    model = checkpoints.load_checkpoint(path)
    accuracies = compare_views.compute_accuracies(model, images[:70], labels[:70])
    for name, tta in (("as it is", False), ("all", True)):
        predictions = prediction.predict(model, images[:70], tta).argmax(axis=1)
        assert accuracies[name] == (predictions == labels[:70]).mean()
    assert len(accuracies) == 6


def test_how_sharp_probabilities_are_does_not_matter():
    rng = np.random.default_rng(0)
    answers = rng.dirichlet(np.ones(7), 500)
    labels = np.array([rng.choice(7, p=answer) for answer in answers])
    modest = answers**0.4 / (answers**0.4).sum(axis=1, keepdims=True)
    losses = compare_networks.compute_losses(answers, labels)
    np.testing.assert_allclose(
        compare_networks.compute_losses(modest, labels), losses, rtol=1e-3
    )
    # These labels were drawn from the answers, which thus are sharp enough.
    plain = -np.log(answers[np.arange(500), labels])
    assert plain.mean() - 0.01 < losses.mean() <= plain.mean()


def test_networks_are_compared_face_by_face():
    labels = np.array([0, 1, 2, 3])
    right = np.eye(7)[labels] * 0.3 + 0.1
    wrong = right[:, [1, 0, 2, 3, 4, 5, 6]]
    first = compare_networks.score(wrong, wrong, right[:2], labels, labels[:2])
    other = compare_networks.score(right, wrong, wrong[1:3], labels, labels[1:3])
    assert first.net == pytest.approx(0.92 * 0.5 + 0.08)
    assert other.net == pytest.approx(0.92 * 0.5 + 0.08 * 0.5)
    # Two of four faces gained, none lost: 50 points, a deviation of 57.7 over root 4.
    assert compare_networks.describe_difference(other, first) == [
        "+50.0 ± 28.9",
        "+0.0 ± 0.0",
        "+0.0000 ± 0.0000",
    ]


def test_known_faces_are_none_that_were_held_out():
    held_out = [np.arange(0, 100, 2), np.arange(0, 100, 5)]
    known = compare_networks.choose_known(held_out, 100, 20)
    assert len(set(known)) == 20 and not set(known) & set(np.concatenate(held_out))
    assert len(compare_networks.choose_known(held_out, 100, 1500)) == 40


def test_the_answers_of_several_networks_are_averaged(monkeypatch):
    """One is right about faces 0 to 2, the other, surer, about 3; the rest is known."""
    labels = np.array([0, 1, 2, 3, 4, 6])
    one, other = np.full((2, 6, 7), 0.1)
    one[range(3), labels[:3]] = 0.4
    one[3:, 6] = 0.4
    other[3, 3] = 0.9
    other[[0, 1, 2, 4, 5], 6] = 0.2
    plain = {"one": one, "other": other}
    images = np.arange(6)

    def predict_all(models, images, tta=False, advance=None):
        # With views the first network knows nothing.
        return np.array(
            [
                np.full((len(images), 7), 0.1) if tta and model == "one" else answers
                for model in models
                for answers in [plain[model][images]]
            ]
        )

    monkeypatch.setattr(prediction, "predict_all", predict_all)
    scores = compare_networks.score_all(
        [("one",), ("other",), ("one", "other")],
        {"one": "one", "other": "other"},
        images,
        labels,
        np.arange(4),
        np.array([4, 5]),
    )
    right = [one.is_right.tolist() for one in scores]
    assert right == [[1, 1, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1]]
    right = [one.is_right_tta.tolist() for one in scores]
    assert right == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    assert [one.known for one in scores] == [0, 0.5, 0.5]


@pytest.mark.slow
def test_a_network_is_compared_with_an_average(trained, drawn):
    path = trained / "checkpoints/small_run.keras"
    process = run_module(
        "experiments.compare_networks",
        path,
        f"{path}+{path}",
        "--train",
        drawn / "train.csv",
        "--known",
        20,
        cwd=trained,
    )
    assert "42 faces that all held out, 20 known ones" in process.stdout
    assert re.search(
        r"\| small_run \+ small_run \| small_run \| +\+0.0 ± 0.0", process.stdout
    )


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_matrix_products_are_timed(precision, monkeypatch):
    monkeypatch.setattr(throughput, "MATRIX_SIZE", 8)
    monkeypatch.setattr(throughput, "choose_precision", lambda _: (precision, ""))
    seconds = throughput.time_matrix()
    assert len(seconds) == throughput.MATRIX_PRODUCTS and min(seconds) > 0


def test_a_measurement_is_read_past_what_the_faces_print(monkeypatch):
    options = throughput.build_parser().parse_args(["--epochs", "1"])
    program = "print('emotions  angry 1')\nprint([2.5])"
    run, commands = subprocess.run, []

    def run_program(command, **given):
        commands.append(command)
        return run([sys.executable, "-c", program], **given)

    monkeypatch.setattr(throughput.subprocess, "run", run_program)
    assert throughput.run_measurement("plain", options) == [2.5]
    again = throughput.build_parser().parse_args(commands[0][3:])
    assert (again.measure, again.epochs) == ("plain", 1)


def test_contradicted_labels_are_listed_the_surest_first():
    rng = np.random.default_rng(0)
    truth = np.arange(700) % 7
    answers = 0.4 * np.eye(7)[truth] + 0.6 * rng.dirichlet(np.ones(7), 700)
    labels = truth.copy()
    labels[[10, 20, 30]] = (truth[[10, 20, 30]] + 1) % 7
    answers[[10, 30]] = 0.7 * np.eye(7)[truth[[10, 30]]] + 0.3 / 7
    answers[20] = np.eye(7)[truth[20]]
    # A face that nobody answered for is no issue.
    labels[40] = (truth[40] + 1) % 7
    answers[40] = np.nan
    issues = label_issues.find_issues(answers, labels)
    assert issues["row"][0] == 20 and {10, 20, 30} <= set(issues["row"])
    assert 40 not in set(issues["row"])
    for _, row, label, answer, probability in issues.itertuples():
        assert label == EMOTIONS[labels[row]]
        assert answer == EMOTIONS[answers[row].argmax()] != label
        assert abs(probability - answers[row].max()) < 1e-3
    lines = list(label_issues.count_issues(issues, labels[:100]))
    assert [line[0] for line in lines] == list(EMOTIONS)
    assert sum(int(line[2]) for line in lines) == len(issues)
