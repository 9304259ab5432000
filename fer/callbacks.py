"""What happens around the batches of a run: keeping its state, stopping, progress."""

import math
import random
import sys
import time

import keras
import numpy as np

from fer.augmentation import AUGMENTATIONS, FaceGenerator
from fer.command import InputError
from fer.state import save_state

# Characters of the progress bar.
BAR_WIDTH = 20


class StateKeeper(keras.callbacks.Callback):
    """Keeps everything that decides how a run goes on, and writes it every epoch.

    Early stopping and the choice of the best epoch are functions of the history, so
    they resume with it.

    Args:
        path: of the state file, or None where another process writes it.
        settings: of the run, JSON values; a resumed run must have the same.
        origin: what the run was started with, JSON values by name.
        recipe: of the run.
        saved: what `load_state` returned, or None.

    Set `batches` to the AugmentedFaces before the first epoch.
    """

    def __init__(self, path, settings, origin, recipe, saved):
        super().__init__()
        self.path = path
        self.settings = settings
        self.origin = origin
        self.recipe = recipe
        self.history = []
        self.best_weights = None
        self.mean_weights = None
        self.pending = saved
        if saved is not None:
            arrays, document = saved
            self.history = document["history"]
            self.best_weights = pick_arrays(arrays, "best")
            self.mean_weights = pick_arrays(arrays, "mean") or None

    @property
    def kept_weights(self):
        """Those of the best epoch or, after a finish, the mean of both."""
        return self.mean_weights or self.best_weights

    def best_epoch(self):
        """The epoch whose weights are kept, or finished from, counted from 1.

        It is 0 where a run has no epochs but its finish.
        """
        rows = self.history[: self.recipe.epochs]
        if not rows:
            return 0
        has_validation = rows[-1]["val_accuracy"] is not None
        if self.recipe.keep != "best" or not has_validation:
            return rows[-1]["epoch"]
        return max(rows, key=lambda row: row["val_accuracy"])["epoch"]

    def is_finished(self):
        """Whether every epoch was trained or patience has run out."""
        if not self.history:
            return False
        if len(self.history) >= self.recipe.all_epochs:
            return True
        waited = len(self.history) - self.best_epoch()
        patience = self.recipe.patience
        return patience is not None and not self.recipe.finish and waited >= patience

    def variables(self):
        """Weights, batch statistics, dropout's seeds; metrics begin anew anyway."""
        metrics = {id(variable) for variable in self.model.metrics_variables}
        return [v for v in self.model.variables if id(v) not in metrics]

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch
        # Not earlier: fit itself draws random numbers before its first epoch.
        if self.pending is not None:
            self.restore(*self.pending)
            self.pending = None
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        row = {
            "epoch": epoch + 1,
            "accuracy": float(logs["accuracy"]),
            "loss": float(logs["loss"]),
            "val_accuracy": None,
            "val_loss": None,
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": round(time.perf_counter() - self.started, 2),
        }
        if "val_accuracy" in logs:
            row["val_accuracy"] = float(logs["val_accuracy"])
            row["val_loss"] = float(logs["val_loss"])
        # What else a script measures, such as the precision of pseudo-labels.
        row |= {name: float(logs[name]) for name in logs if name not in row}
        self.history.append(row)
        if len(self.history) > self.recipe.epochs:
            pairs = zip(self.best_weights, self.model.get_weights(), strict=True)
            self.mean_weights = [(before + after) / 2 for before, after in pairs]
        elif self.best_epoch() == row["epoch"]:
            self.best_weights = self.model.get_weights()
        self.save()
        if self.is_finished():
            self.model.stop_training = True

    def save(self):
        """Write the state after the epoch that has just ended."""
        if self.path is None:
            return
        kind, keys, *rest = np.random.get_state()
        arrays = {
            **name_arrays("variable", [v.numpy() for v in self.variables()]),
            **name_arrays(
                "optimizer", [v.numpy() for v in self.model.optimizer.variables]
            ),
            **name_arrays("best", self.best_weights),
            **name_arrays("mean", self.mean_weights or []),
            "numpy_random": keys,
        }
        document = {
            "settings": self.settings,
            "origin": self.origin,
            "history": self.history,
            "numpy_random": [kind, *rest],
            "python_random": random.getstate(),
        }
        save_state(self.path, arrays, document)

    def restore(self, arrays, document):
        """Put model, optimizer and random numbers where the saved epoch left them."""
        # On TensorFlow it would have no moments before the first batch; where it has
        # them, a second set is what float16's optimizer would make.
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        for prefix, variables in (
            ("variable", self.variables()),
            ("optimizer", self.model.optimizer.variables),
        ):
            for variable, value in zip(
                variables, pick_arrays(arrays, prefix), strict=True
            ):
                variable.assign(value)
        kind, *rest = document["numpy_random"]
        np.random.set_state((kind, arrays["numpy_random"], *rest))
        version, keys, gauss = document["python_random"]
        random.setstate((version, tuple(keys), gauss))


def name_arrays(prefix, values):
    """Name a list of arrays for a state file."""
    return {f"{prefix}_{i}": value for i, value in enumerate(values)}


def pick_arrays(arrays, prefix):
    """The list of arrays that `name_arrays` named, in its order."""
    count = sum(name.startswith(f"{prefix}_") for name in arrays)
    return [arrays[f"{prefix}_{i}"] for i in range(count)]


class Finish(keras.callbacks.Callback):
    """Trains the last epochs of a recipe as its `finishing` says.

    Args:
        keeper: the StateKeeper, behind which this callback stands.
        labels: float32 (n, num_classes), the targets of these epochs.
    """

    def __init__(self, keeper, labels):
        super().__init__()
        self.keeper = keeper
        self.labels = labels

    def on_epoch_begin(self, epoch, logs=None):
        recipe, batches = self.keeper.recipe, self.keeper.batches
        if epoch < recipe.epochs:
            return
        if self.keeper.best_weights is None:
            self.keeper.best_weights = self.model.get_weights()
        if epoch == recipe.epochs:
            self.model.set_weights(self.keeper.best_weights)
        finishing = recipe.finishing
        batches.generator = FaceGenerator(**AUGMENTATIONS[finishing.augmentation])
        batches.mixup = finishing.mixup
        batches.targets = self.labels


class StopOnNaN(keras.callbacks.Callback):
    """Ends a run that is no longer finite; stands before the StateKeeper."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        self.check([logs["loss"]])

    def on_epoch_end(self, epoch, logs=None):
        # What the last step did shows in the weights before it shows in a loss.
        self.check([*logs.values(), *self.model.get_weights()])

    def check(self, values):
        """Leave the run if any value or array is not finite."""
        if not all(np.isfinite(value).all() for value in values):
            print()
            raise InputError(
                f"the loss or the weights became infinite in epoch {self.epoch}; try a "
                "lower --learning-rate or --precision float32; existing files are "
                "as they were"
            )


class StopOnSignal(keras.callbacks.Callback):
    """Ctrl-C and SIGTERM stop the run after the running batch, with 130 and 143.

    Its `note` is to handle them, see `fer.processes.handling_signals`.
    A signal that arrives while the state is written waits for the write to end.
    """

    def __init__(self, keeper):
        super().__init__()
        self.keeper = keeper
        self.number = None

    def note(self, number, frame):
        """The signal handler: remember, and let the batch end."""
        self.number = number

    def stop_if_noted(self, batch, logs=None):
        """Leave the run if a signal has come."""
        if self.number is not None:
            print(
                f"\nstopped after epoch {len(self.keeper.history)} of "
                f"{self.keeper.recipe.all_epochs}; the same command continues, that of "
                "a single run with --resume"
            )
            sys.exit(128 + self.number)

    on_train_batch_end = on_test_batch_end = stop_if_noted


class EpochProgress(keras.callbacks.Callback):
    """A bar with the time left for the whole run; a plain line an epoch in a log."""

    def __init__(self, keeper):
        super().__init__()
        self.keeper = keeper
        self.on_terminal = sys.stdout.isatty()
        self.steps_done = 0

    def on_train_begin(self, logs=None):
        self.started = time.perf_counter()
        self.steps = self.keeper.batches.num_batches
        self.first_epoch = len(self.keeper.history)

    def on_train_batch_end(self, batch, logs=None):
        self.steps_done += 1
        if self.on_terminal:
            done = (batch + 1) / self.steps
            bar = "#" * round(BAR_WIDTH * done)
            epoch = self.first_epoch + math.ceil(self.steps_done / self.steps)
            line = (
                f"epoch {epoch}/{self.keeper.recipe.all_epochs} [{bar:.<{BAR_WIDTH}}] "
                f"accuracy {float(logs['accuracy']):.3f}  {self.time_left()}"
            )
            print(f"\r{line:79}", end="", flush=True)

    def on_epoch_end(self, epoch, logs=None):
        row = self.keeper.history[-1]
        line = (
            f"epoch {row['epoch']}/{self.keeper.recipe.all_epochs}  "
            f"accuracy {row['accuracy']:.4f}  loss {row['loss']:.4f}  "
        )
        if row["val_accuracy"] is not None:
            line += (
                f"val_accuracy {row['val_accuracy']:.4f}  "
                f"val_loss {row['val_loss']:.4f}  "
            )
        line += f"{row['seconds']:.1f} s  {self.time_left()}"
        print(f"\r{line:79}" if self.on_terminal else line, flush=True)

    def time_left(self):
        """How long the rest of the run takes at the pace so far."""
        total = (self.keeper.recipe.all_epochs - self.first_epoch) * self.steps
        elapsed = time.perf_counter() - self.started
        seconds = elapsed / self.steps_done * (total - self.steps_done)
        if seconds < 100:
            return f"{seconds:.0f} s left"
        return f"{seconds / 60:.0f} min left"
