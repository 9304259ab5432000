"""Semi-supervised training: the pieces on literal cases, resuming, the script."""

import dataclasses

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import run_module, run_script
from tiny_network import RECIPE, build_tiny, compile_model

import train_cnn
from experiments import grid, pseudo_labels, semi_supervised
from experiments.pseudo_labels import METHODS, SemiSupervisedRecipe
from experiments.semi_supervised import CEILING, Cell
from fer import data, state
from fer.augmentation import AUGMENTATIONS, AugmentedFaces, FaceGenerator
from fer.command import InputError
from fer.faces import EMOTIONS

TINY = SemiSupervisedRecipe(
    **dataclasses.asdict(dataclasses.replace(RECIPE, batch_size=32)),
    method="supervised",
    labelled=0.3,
    threshold=0.15,
    warmup_epochs=1,
)
PSEUDO_METHODS = [method for method in METHODS if method != "supervised"]


@pytest.fixture(scope="module")
def faces(drawn):
    return data.load_split(drawn / "train.csv", 0.1)


def make_batches(faces, batch_size=32):
    generator = FaceGenerator(**AUGMENTATIONS["flip"])
    targets = faces.train_targets
    return AugmentedFaces(faces.train_images, targets, batch_size, generator, seed=3)


class Steps:
    """Stands in for the callbacks and counts the steps."""

    count = 0

    def on_train_batch_end(self, index, logs):
        self.count += 1


@pytest.fixture(scope="module")
def rows(faces):
    return pseudo_labels.choose_labelled(faces, 0.3, seed=3)


def make_learner(faces, rows, model):
    batches = make_batches(faces)
    return pseudo_labels.Learner(model, batches, faces, *rows, Steps())


def test_labels_are_kept_by_share_emotion_and_seed(faces):
    labelled, unlabelled = pseudo_labels.choose_labelled(faces, 0.3, seed=0)
    both = np.concatenate([labelled, unlabelled])
    np.testing.assert_array_equal(np.sort(both), faces.train_rows)
    assert len(labelled) == pytest.approx(0.3 * len(both), abs=1)
    for label in range(len(EMOTIONS)):
        of_emotion = (faces.labels[both] == label).sum()
        kept = (faces.labels[labelled] == label).sum()
        assert kept == pytest.approx(0.3 * of_emotion, abs=1)
    others, _ = pseudo_labels.choose_labelled(faces, 0.3, seed=1)
    assert set(others) != set(labelled)


def test_copies_of_a_face_keep_or_lose_their_label_together(faces):
    twice = dataclasses.replace(
        faces,
        images=np.concatenate([faces.images, faces.images]),
        labels=np.concatenate([faces.labels, faces.labels]),
        train_rows=np.concatenate(
            [faces.train_rows, faces.train_rows + len(faces.images)]
        ),
    )
    labelled, unlabelled = pseudo_labels.choose_labelled(twice, 0.3, seed=0)
    number = len(faces.images)
    assert not set(labelled % number) & set(unlabelled % number)


def test_all_labels_and_too_few(faces):
    labelled, unlabelled = pseudo_labels.choose_labelled(faces, 1, seed=0)
    np.testing.assert_array_equal(labelled, faces.train_rows)
    assert len(unlabelled) == 0
    with pytest.raises(InputError, match="cannot stratify 1.0%"):
        pseudo_labels.choose_labelled(faces, 0.01, seed=0)


@pytest.mark.parametrize(("num_faces", "size"), [(12, 5), (5, 12), (1, 3)])
def test_places_come_in_passes_over_all_faces(num_faces, size):
    draw = pseudo_labels.draw_places
    places = np.concatenate([draw(num_faces, size, step, 7) for step in range(24)])
    assert len(places) == 24 * size
    passes = places[: len(places) // num_faces * num_faces].reshape(-1, num_faces)
    assert (np.sort(passes) == np.arange(num_faces)).all()
    if num_faces > 1:
        assert (passes != passes[0]).any()
        assert (draw(num_faces, size, 0, 8) != places[:size]).any()


def test_pseudo_labels_need_the_threshold():
    probabilities = np.array([[0.25, 0.75], [0.625, 0.375]])
    labels, sure = pseudo_labels.make_pseudo_labels(probabilities, 0.75)
    np.testing.assert_array_equal(labels, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(sure, [True, False])


def test_precision_counts_the_sure_only():
    measure = pseudo_labels.measure_pseudo_labels
    sure = np.array([True, True, False, True])
    right = np.array([True, False, True, True])
    measures = measure(sure, right)
    assert measures == {"pseudo_share": 0.75, "pseudo_precision": 2 / 3}
    assert measure(np.zeros(4, bool), right) == {"pseudo_share": 0}


def test_the_loss_is_the_mean_of_either_part():
    rng = np.random.default_rng(0)
    faces = rng.uniform(0, 255, (8, 48, 48, 1)).astype("float32")
    targets = keras.utils.to_categorical(rng.integers(7, size=8), 7)
    sure = np.array([True, False, False, True, True, False])
    batch = pseudo_labels.combine(
        (faces[:2], targets[:2]), faces[2:], targets[2:], sure
    )
    probabilities = rng.dirichlet(np.ones(7), 8).astype("float32")
    loss = keras.losses.CategoricalCrossentropy()
    found = loss(batch[1], probabilities, sample_weight=batch[2])
    losses = -np.log((targets * probabilities).sum(axis=1))
    expected = losses[:2].mean() + (sure * losses[2:]).mean()
    assert float(found) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(batch[0], faces)


def test_values_are_computed_in_order_whatever_their_number():
    for number in (1, 2, 5):
        values = pseudo_labels.compute_ahead(lambda x: x * x, range(number))
        assert list(values) == [x * x for x in range(number)]


def train_epochs(faces, rows, method):
    """Two epochs, the second with pseudo-labels; weights, logs and steps."""
    keras.utils.set_random_seed(0)
    model = build_tiny()
    compile_model(model, TINY, 12)
    learner = make_learner(faces, rows, model)
    recipe = dataclasses.replace(TINY, method=method)
    logs = [learner.train_epoch(recipe, epoch) for epoch in range(2)]
    return model.get_weights(), logs, learner.callbacks.count


@pytest.mark.parametrize("method", PSEUDO_METHODS)
def test_hidden_labels_change_nothing_but_the_measured_precision(faces, rows, method):
    weights, logs, steps = train_epochs(faces, rows, method)
    labels = faces.labels.copy()
    labels[rows[1]] = (labels[rows[1]] + 1) % 7
    others, other_logs, other_steps = train_epochs(
        dataclasses.replace(faces, labels=labels), rows, method
    )
    for one, other in zip(weights, others, strict=True):
        assert one.tobytes() == other.tobytes()
    assert logs[0] == other_logs[0] and "pseudo_share" not in logs[0]
    assert 0 < logs[1]["pseudo_share"] == other_logs[1]["pseudo_share"]
    assert logs[1]["pseudo_precision"] != other_logs[1].pop("pseudo_precision")
    # As many steps as with every label.
    assert steps == other_steps == 2 * make_batches(faces).num_batches


@pytest.mark.parametrize("method", METHODS)
def test_every_step_of_every_method_shows_as_many_faces(faces, rows, method):
    class Sure:
        """Is as good as certain that every face is happy."""

        def predict_on_batch(self, faces):
            return np.tile(np.eye(7)[3], (len(faces), 1))

        def predict(self, faces, **_):
            return self.predict_on_batch(faces)

    learner = make_learner(faces, rows, Sure())
    for faces, targets, weights in getattr(learner, f"make_{method}")(range(3), TINY):
        assert faces.shape == (32, 48, 48, 1)
        assert targets.shape == (32, 7) and weights.shape == (32,)
        if method == "fixmatch":
            assert (targets[16:].argmax(axis=1) == 3).all()
            assert (targets[:16].argmax(axis=1) != 3).any()
            # The loss is the sum of two means, each over half of the batch.
            np.testing.assert_array_equal(weights, 2)
        else:
            np.testing.assert_array_equal(weights, 1)


def test_self_training_shows_labelled_and_sure_faces_equally_often(faces, rows):
    labelled, unlabelled = rows

    class SureOfThree:
        """Is certain that the first three faces are happy, and of no other."""

        def predict(self, faces, **_):
            probabilities = np.full((len(faces), 7), 1 / 7)
            probabilities[:3] = np.eye(7)[3]
            return probabilities

        predict_on_batch = predict

    learner = make_learner(faces, rows, SureOfThree())
    num_pool = len(labelled) + 3
    # As many steps as it takes to see each of them 32 times, batch by batch.
    batches = learner.make_self_training(range(num_pool), TINY)
    shown = np.concatenate([targets for _, targets, _ in batches])
    expected = data.make_targets(faces.labels[labelled]).sum(axis=0) + 3 * np.eye(7)[3]
    np.testing.assert_array_equal(shown.sum(axis=0), 32 * expected)


def test_self_training_without_sure_faces_is_supervised(faces, rows):
    class Unsure:
        def predict(self, faces, **_):
            return np.full((len(faces), 7), 1 / 7)

        predict_on_batch = predict

    learner = make_learner(faces, rows, Unsure())
    [batch] = learner.make_self_training([5], TINY)
    [expected] = learner.make_supervised([5], TINY)
    for array, other in zip(batch, expected, strict=True):
        np.testing.assert_array_equal(array, other)


@pytest.mark.slow
@pytest.mark.parametrize("method", PSEUDO_METHODS)
def test_resumed_is_as_if_never_stopped(drawn, tmp_path, monkeypatch, method):
    def train(folder, epochs, *arguments):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        flags = ["--train", drawn / "train.csv", "--name", "run", "--epochs", epochs]
        flags += ["--precision", "float32", *arguments]
        options = train_cnn.read_flags(map(str, flags))[2]
        recipe = dataclasses.replace(TINY, method=method)
        train_cnn.train(build_tiny, recipe, options, pseudo_labels.fit)
        return state.read_state(folder / "checkpoints/run.state")

    whole, document = train(tmp_path / "whole", 4)
    train(tmp_path / "resumed", 2)
    resumed, resumed_document = train(tmp_path / "resumed", 4, "--resume")
    assert list(whole) == list(resumed)
    for name, array in whole.items():
        assert array.tobytes() == resumed[name].tobytes(), name
    for row in document["history"] + resumed_document["history"]:
        del row["seconds"]
    assert document["history"] == resumed_document["history"]
    log = pd.read_csv("checkpoints/run.csv")
    assert log["pseudo_share"].isna().tolist() == [True, False, False, False]
    with pytest.raises(InputError, match="expected a run with threshold 0.5"):
        monkeypatch.setattr(
            "test_semi_supervised.TINY", dataclasses.replace(TINY, threshold=0.5)
        )
        train(tmp_path / "resumed", 4, "--resume")


def test_all_labels_are_one_cell():
    cells = semi_supervised.list_cells(METHODS, [0.1, 1.0])
    assert cells == [Cell(method, 0.1) for method in METHODS] + [CEILING]


def measurement(cell, seed, accuracy):
    numbers = dict.fromkeys(semi_supervised.MEASURES, np.nan)
    return {**cell._asdict(), "seed": seed, **numbers, "last_val_accuracy": accuracy}


def test_gain_is_over_supervised_with_the_same_labels():
    measurements = pd.DataFrame(
        [
            measurement(Cell("supervised", 0.1), 0, 0.5),
            measurement(Cell("supervised", 0.1), 1, 0.25),
            measurement(Cell("fixmatch", 0.1), 0, 0.625),
            measurement(Cell("fixmatch", 0.1), 1, 0.5),
            measurement(Cell("fixmatch", 0.5), 0, 0.75),
        ]
    )
    measurements = semi_supervised.add_gain(measurements)
    np.testing.assert_array_equal(
        measurements["gain"], [np.nan, np.nan, 0.125, 0.25, np.nan]
    )
    measures = semi_supervised.MEASURES
    table = grid.summarize(measurements, Cell._fields, measures)
    header, rule, supervised, fixmatch, _ = semi_supervised.describe(table)
    assert header.count("|") == rule.count("|") == fixmatch.count("|")
    cells = [cell.strip() for cell in supervised.split("|")[1:6]]
    assert cells == ["10 %", "supervised", "", "0.375 ± 0.177", ""]
    cells = [cell.strip() for cell in fixmatch.split("|")[1:6]]
    assert cells == ["10 %", "fixmatch", "", "0.562 ± 0.088", "0.188 ± 0.088"]


@pytest.mark.parametrize("share", ["0", "1.5", "-0.1", "nan"])
def test_a_share_that_is_none(share, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        semi_supervised.build_parser().parse_args([f"--labelled={share}"])
    assert stopped.value.code == 2
    assert "expected a share in (0, 1]" in capsys.readouterr().err


@pytest.mark.slow
def test_the_methods_on_drawn_faces(drawn, tmp_path):
    arguments = ["--train", drawn / "train.csv", "--labelled", 0.2, 1, "--epochs", 3]
    arguments += ["--seeds", 1, "--threshold", 0.15]
    first = run_module("experiments.semi_supervised", *arguments, cwd=tmp_path)
    table = pd.read_csv(tmp_path / "plots/semi_supervised.csv")
    assert list(table["method"]) == [*METHODS, "supervised"]
    assert list(table["labelled"]) == [0.2, 0.2, 0.2, 1]
    assert table["val_accuracy"].between(0, 1).all()
    assert table["pseudo_share"].notna().tolist() == [False, True, True, False]
    assert (tmp_path / "plots/semi_supervised.png").stat().st_size > 10_000

    again = run_module("experiments.semi_supervised", *arguments, cwd=tmp_path)
    assert "4 of 4 runs are finished" in again.stdout
    assert again.stdout.splitlines()[-8:] == first.stdout.splitlines()[-8:]
    checkpoint = "checkpoints/semi_supervised_fixmatch_20_0.keras"
    test = ["--test", drawn / "test.csv", "--output", "submission.csv"]
    run_script("predict.py", checkpoint, *test, cwd=tmp_path)
    assert len(pd.read_csv(tmp_path / "submission.csv")) == 70
