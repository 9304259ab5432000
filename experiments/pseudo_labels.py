"""Epochs of training on few labels and on pseudo-labels for the other faces.

The head of experiments/semi_supervised.py tells what the methods do.
"""

import concurrent.futures
import dataclasses
import math

import keras
import numpy as np

from fer import data, prediction
from fer.augmentation import AUGMENTATIONS, FaceGenerator
from fer.command import InputError
from fer.recipes import Recipe

# Share of the epochs before the first pseudo-labels. Self-training needs a good network
# to begin with: it learns its own mistakes and soon makes more of them. FixMatch mends
# them, and begins once batch normalization knows its running means.
WARMUPS = {"supervised": 0, "self_training": 1 / 2, "fixmatch": 1 / 15}
METHODS = tuple(WARMUPS)
WEAK = FaceGenerator(**AUGMENTATIONS["flip"], **AUGMENTATIONS["shift"])
STRONG = FaceGenerator(**AUGMENTATIONS["strong"])
# Of a batch of FixMatch. The paper has an eighth, and half a million steps or more; in
# some thousand steps half did better than a quarter (experiments/README.md).
LABELLED_PART = 0.5
# What a step changes; part of the seed of its random numbers.
LABELLED, WEAKLY, STRONGLY = range(3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SemiSupervisedRecipe(Recipe):
    """The recipe of a network and what is done with the faces without a label.

    Attributes:
        method: one of `METHODS`.
        labelled: share of the training part that keeps its labels, in (0, 1].
        threshold: the least probability that makes a pseudo-label.
        warmup_epochs: epochs without pseudo-labels.
    """

    method: str
    labelled: float
    threshold: float
    warmup_epochs: int


def choose_labelled(faces, share, seed):
    """Choose which faces of the training part keep their labels.

    Args:
        faces: the Split of a run.
        share: of the training part, in (0, 1].
        seed: the same seed gives the same faces.

    Returns:
        Two int arrays of rows of `faces.images`, labelled and not.

    Raises:
        InputError: too few faces to leave some labels.
    """
    rows = faces.train_rows
    if share == 1:
        return rows, rows[:0]
    try:
        others, chosen = data.split(faces.train_images, faces.labels[rows], share, seed)
    except InputError as error:
        raise InputError(
            f"cannot stratify {share:.1%} of {len(rows):,} training faces by emotion; "
            "give more faces or a larger --labelled"
        ) from error
    return rows[chosen], rows[others]


def fit(model, batches, faces, run):
    """Run the epochs that are left; takes the place of `train_cnn.fit_epochs`.

    Args:
        model: compiled.
        batches: the AugmentedFaces of the whole training part, whose own batches are
            not used.
        faces: the Split of the run.
        run: the Run, with a SemiSupervisedRecipe.
    """
    recipe = run.recipe
    labelled, unlabelled = choose_labelled(faces, recipe.labelled, batches.seed)
    print(f"labels    of {len(labelled):,} faces, {recipe.method}")
    with run.callbacks(batches) as around:
        callbacks = keras.callbacks.CallbackList(around, model=model)
        learner = Learner(model, batches, faces, labelled, unlabelled, callbacks)
        callbacks.on_train_begin()
        while not run.is_finished():
            epoch = len(run.history)
            callbacks.on_epoch_begin(epoch)
            logs = learner.train_epoch(recipe, epoch)
            scores = model.evaluate(
                faces.validation_images,
                faces.validation_targets,
                batch_size=prediction.BATCH_SIZE,
                verbose=0,
                callbacks=around[-1:],
                return_dict=True,
            )
            logs |= {f"val_{name}": score for name, score in scores.items()}
            callbacks.on_epoch_end(epoch, logs)
            if "pseudo_share" in logs:
                print(describe_pseudo_labels(logs), flush=True)


class Learner:
    """Trains a model for one epoch after another, with any of the methods.

    What a step shows is a function of the seed, the step and, where there are
    pseudo-labels, the model: so a resumed run is the same as one that was never
    stopped. Labels of `unlabelled` are read by `note` alone.

    Args:
        model, batches, faces: as `fit` has them.
        labelled, unlabelled: rows of faces.images.
        callbacks: a CallbackList, told of every step.
    """

    def __init__(self, model, batches, faces, labelled, unlabelled, callbacks):
        self.model = model
        self.batches = batches
        self.faces = faces
        self.labelled = labelled
        self.unlabelled = unlabelled
        self.callbacks = callbacks
        self.notes = []
        self.num_labelled = math.ceil(LABELLED_PART * batches.batch_size)
        self.num_others = batches.batch_size - self.num_labelled

    def train_epoch(self, recipe, epoch):
        """Run the steps of an epoch, counted from 0; returns its logs."""
        num_steps = self.batches.num_batches
        steps = range(epoch * num_steps, (epoch + 1) * num_steps)
        is_supervised = epoch < recipe.warmup_epochs or not len(self.unlabelled)
        make = {
            "supervised": self.make_supervised,
            "self_training": self.make_self_training,
            "fixmatch": self.make_fixmatch,
        }["supervised" if is_supervised else recipe.method]
        batches = make(steps, recipe)
        sums = dict.fromkeys(("accuracy", "loss"), 0.0)
        for index, batch in enumerate(batches):
            step_logs = self.model.train_on_batch(*batch, return_dict=True)
            sums = {name: total + step_logs[name] for name, total in sums.items()}
            logs = {name: total / (index + 1) for name, total in sums.items()}
            self.callbacks.on_train_batch_end(index, logs)
        if self.notes:
            logs |= measure_pseudo_labels(*np.concatenate(self.notes, axis=1))
            self.notes = []
        return logs

    def make_supervised(self, steps, recipe):
        """The batches of faces with labels: faces, targets and weights."""
        targets = self.make_targets(self.labelled)
        return self.make_batches(self.labelled, targets, steps)

    def make_self_training(self, steps, recipe):
        """Label every face as the network is now; batches with the sure as well."""
        pseudo_labels, sure = make_pseudo_labels(
            prediction.predict(self.model, self.faces.images[self.unlabelled]),
            recipe.threshold,
        )
        self.note(self.unlabelled, pseudo_labels, sure)
        targets = [self.make_targets(self.labelled), pseudo_labels[sure]]
        rows = np.concatenate([self.labelled, self.unlabelled[sure]])
        return self.make_batches(rows, np.concatenate(targets), steps)

    def make_fixmatch(self, steps, recipe):
        """Yield batches with strongly changed faces, labelled by the weakly changed."""

        def draw(step):
            rows = self.unlabelled[
                self.draw_places(self.unlabelled, self.num_others, step)
            ]
            labelled = self.labelled[
                self.draw_places(self.labelled, self.num_labelled, step)
            ]
            weak = self.change(WEAK, rows, step, WEAKLY)
            strong = self.change(STRONG, rows, step, STRONGLY)
            faces = self.change(self.batches.generator, labelled, step, LABELLED)
            return (faces, self.make_targets(labelled)), rows, weak, strong

        for labelled, rows, weak, strong in compute_ahead(draw, steps):
            # Not `predict`, which would set up a data pipeline for every step.
            pseudo_labels, sure = make_pseudo_labels(
                self.model.predict_on_batch(weak), recipe.threshold
            )
            self.note(rows, pseudo_labels, sure)
            yield combine(labelled, strong, pseudo_labels, sure)

    def make_batches(self, rows, targets, steps):
        """Batches of some faces, each of which counts the same."""

        def draw(step):
            places = self.draw_places(rows, self.batches.batch_size, step)
            faces = self.change(self.batches.generator, rows[places], step, LABELLED)
            return faces, targets[places], np.ones(len(places), "float32")

        return compute_ahead(draw, steps)

    def make_targets(self, rows):
        """One-hot labels of some rows."""
        return data.make_targets(self.faces.labels[rows])

    def draw_places(self, rows, size, step):
        """Which of the rows a step takes."""
        return draw_places(len(rows), size, step, self.batches.seed)

    def change(self, generator, rows, step, stream):
        """Change the faces of some rows; float32."""
        rng = np.random.default_rng((self.batches.seed, step, stream))
        return generator.change(self.faces.images[rows], rng)

    def note(self, rows, pseudo_labels, sure):
        """Remember which faces got a pseudo-label and whether it is right."""
        right = pseudo_labels.argmax(axis=1) == self.faces.labels[rows]
        self.notes.append((sure, right))


def draw_places(num_faces, size, step, seed):
    """Draw the faces of one step, in passes over all faces, each in a new order.

    Steps count from 0, and `size` may exceed `num_faces`. Returns an int array
    (size,) in [0, num_faces).
    """
    first, start = divmod(step * size, num_faces)
    orders = [
        np.random.default_rng((seed, number)).permutation(num_faces)
        for number in range(first, first + math.ceil((start + size) / num_faces))
    ]
    return np.concatenate(orders)[start : start + size]


def make_pseudo_labels(probabilities, threshold):
    """The likeliest emotion of each face, and whether the threshold is reached.

    Probabilities (n, 7) become one-hot float32 (n, 7) and bool (n,).
    """
    pseudo_labels = keras.utils.to_categorical(
        probabilities.argmax(axis=1), probabilities.shape[1]
    )
    return pseudo_labels.astype("float32"), probabilities.max(axis=1) >= threshold


def combine(labelled, faces, targets, sure):
    """One batch whose loss is the mean over the labelled plus that over the others.

    Args:
        labelled: faces and targets of the part with labels.
        faces, targets: of the part with pseudo-labels.
        sure: bool (len(faces),); where it is False a face adds 0 to its part's mean.

    Returns:
        Faces, targets and weights, under which Keras' mean over the batch is that sum.
    """
    labelled_faces, labelled_targets = labelled
    num_labelled, num_others = len(labelled_faces), len(faces)
    size = num_labelled + num_others
    weights = [np.full(num_labelled, size / num_labelled), sure * size / num_others]
    return (
        np.concatenate([labelled_faces, faces]),
        np.concatenate([labelled_targets, targets]),
        np.concatenate(weights).astype("float32"),
    )


def measure_pseudo_labels(sure, right):
    """Share of the faces that got a pseudo-label, and precision where there is any."""
    measures = {"pseudo_share": sure.mean()}
    if sure.any():
        measures["pseudo_precision"] = right[sure].mean()
    return measures


def describe_pseudo_labels(logs):
    """What became of the faces without a label in one epoch, as a line of text."""
    line = f"  pseudo-labels for {logs['pseudo_share']:.1%} of the other faces"
    if "pseudo_precision" in logs:
        line += f", {logs['pseudo_precision']:.1%} of them right"
    return line


def compute_ahead(function, arguments):
    """Yield the function's value for each argument, the next one computed meanwhile.

    The generator of changed faces keeps one core busy while a step waits for the other.
    """
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        upcoming = pool.submit(function, arguments[0])
        for argument in arguments[1:]:
            current, upcoming = upcoming, pool.submit(function, argument)
            yield current.result()
        yield upcoming.result()
