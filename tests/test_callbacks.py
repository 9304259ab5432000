"""The line of progress: what it says on a terminal and in a log."""

import dataclasses
import types

import pytest
from tiny_network import RECIPE

from fer import callbacks


@pytest.mark.parametrize(
    ("changes", "accuracies", "kept", "is_finished"),
    [
        ({}, [0.3, 0.5, 0.4], 2, False),
        ({"epochs": 3}, [0.3, 0.5, 0.4], 2, True),
        # The first of equals.
        ({}, [0.3, 0.5, 0.5], 2, False),
        ({"keep": "last"}, [0.3, 0.5, 0.4], 3, False),
        ({"keep": "last", "patience": 1}, [0.3, 0.5, 0.4], 3, False),
        ({"patience": 2}, [0.3, 0.5, 0.4], 2, False),
        ({"patience": 1}, [0.3, 0.5, 0.4], 2, True),
        ({"epochs": 4}, [None, None, None], 3, False),
    ],
)
def test_which_epoch_is_kept_and_when_a_run_ends(
    changes, accuracies, kept, is_finished
):
    recipe = dataclasses.replace(RECIPE, **changes)
    keeper = callbacks.StateKeeper(None, {}, {}, recipe, None)
    assert not keeper.is_finished()
    weights = iter(range(1, 4))
    model = types.SimpleNamespace(
        optimizer=types.SimpleNamespace(learning_rate=0.1),
        get_weights=lambda: weights_now,
        stop_training=False,
    )
    keeper.set_model(model)
    keeper.started = 0.0
    for epoch, accuracy in enumerate(accuracies):
        weights_now = next(weights)
        logs = {"accuracy": 0.9, "loss": 1.0}
        if accuracy is not None:
            logs |= {"val_accuracy": accuracy, "val_loss": 1.0}
        keeper.on_epoch_end(epoch, logs)
    assert keeper.best_epoch() == keeper.best_weights == kept
    assert keeper.is_finished() == model.stop_training == is_finished


def test_after_the_finish_the_mean_is_kept():
    recipe = dataclasses.replace(RECIPE, epochs=2, finish=2, patience=1)
    keeper = callbacks.StateKeeper(None, {}, {}, recipe, None)
    keeper.batches = types.SimpleNamespace(epoch=0)
    finish = callbacks.Finish(keeper, "labels")
    model = types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=0.1))
    model.get_weights = lambda: list(model.weights)
    model.set_weights = lambda weights: setattr(model, "weights", weights)
    keeper.set_model(model)
    finish.set_model(model)
    kept = []
    for epoch, accuracy in enumerate([0.5, 0.4, 0.6, 0.3]):
        assert not keeper.is_finished()
        keeper.on_epoch_begin(epoch)
        finish.on_epoch_begin(epoch)
        if epoch == 2:
            # From the best epoch on, not from the last one.
            assert model.weights == [1.0]
        model.weights = [epoch + 1.0]
        logs = {"accuracy": 0.9, "loss": 1.0, "val_accuracy": accuracy, "val_loss": 1}
        keeper.on_epoch_end(epoch, logs)
        assert keeper.best_epoch() == 1
        kept += keeper.kept_weights
    assert kept == [1, 1, (1 + 3) / 2, (1 + 4) / 2]
    assert keeper.is_finished() and model.stop_training
    batches = keeper.batches
    assert (batches.targets, batches.mixup) == ("labels", 0)
    assert batches.generator.horizontal_flip and not batches.generator.rotation_range


@pytest.fixture
def progress(monkeypatch):
    """Of a run of 4 epochs of 10 batches, one of which was resumed."""
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: clock.now)
    row = {"epoch": 1, "accuracy": 0.25, "loss": 1.5, "seconds": 20.0}
    row |= {"val_accuracy": 0.5, "val_loss": 1.25}
    keeper = types.SimpleNamespace(
        recipe=dataclasses.replace(RECIPE, epochs=4),
        batches=types.SimpleNamespace(num_batches=10),
        history=[row],
    )
    progress = callbacks.EpochProgress(keeper)
    progress.clock = clock
    progress.on_train_begin()
    return progress


def run_batches(progress, count, seconds):
    for batch in range(count):
        progress.clock.now += seconds
        progress.on_train_batch_end(batch % 10, {"accuracy": 0.125})


def test_a_terminal_shows_a_bar_and_the_time_left(progress, capsys):
    progress.on_terminal = True
    run_batches(progress, 5, seconds=2)
    line = capsys.readouterr().out.split("\r")[-1]
    # 25 of 30 batches are left.
    assert line.startswith("epoch 2/4 [##########..........] accuracy 0.125  50 s left")
    assert len(line) == 79
    run_batches(progress, 5, seconds=20)
    assert "4 min left" in capsys.readouterr().out.split("\r")[-1]


def test_a_log_has_a_line_an_epoch(progress, capsys):
    progress.on_terminal = False
    run_batches(progress, 10, seconds=2)
    progress.on_epoch_end(1)
    assert capsys.readouterr().out == (
        "epoch 1/4  accuracy 0.2500  loss 1.5000  val_accuracy 0.5000  "
        "val_loss 1.2500  20.0 s  40 s left\n"
    )


def test_a_run_without_validation_says_nothing_of_it(progress, capsys):
    progress.on_terminal = False
    progress.keeper.history[-1]["val_accuracy"] = None
    run_batches(progress, 1, seconds=1)
    progress.on_epoch_end(1)
    assert "val" not in capsys.readouterr().out
