"""A recipe: everything about a training that is not the network, as data."""

import math
from dataclasses import dataclass, replace

import keras
import numpy as np
from keras import layers
from sklearn.utils.class_weight import compute_class_weight

NORMALIZATIONS = ("none", "unit", "standard", "image")

# The parameters that batch normalization and biases learn stay small by themselves;
# pulling them to zero only disturbs (He et al. 2019, arXiv 1812.01187, section 3.1).
NOT_DECAYED = ["bias", "gamma", "beta", "alpha"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained where no flag says otherwise.

    Attributes:
        epochs: passes over the training faces.
        batch_size: faces per step.
        learning_rate: the highest rate of the schedule.
        optimizer: "sgd" (with Nesterov momentum 0.9) or "adam".
        schedule: "cosine" (linear warm-up over the first 5 % of the steps, then one
            half cosine to zero), "constant", "inverse_time" (1 / (1 + decay x step))
            or a dict {first epoch: factor on the learning rate}.
        decay: the decay per step of "inverse_time".
        weight_decay: share of each kernel taken off per step and unit of learning
            rate (decoupled; SGD coupled with momentum 0.9 needs a tenth of it).
        label_smoothing: share of the target spread over all emotions, in [0, 1).
        mixup: how strongly faces are blended in pairs, 0 for not at all; see
            `fer.augmentation.AugmentedFaces`.
        teachers: paths of checkpoints that answer for half of the target of a face
            that they held out; see `fer.distillation`.
        augmentation: a name of `fer.augmentation.AUGMENTATIONS`.
        normalization: a name of `NORMALIZATIONS`, see `build_normalization`.
        class_weights: whether the loss weighs every emotion the same in all.
        patience: epochs without better validation accuracy before stopping, or None;
            without effect where the last epoch is kept or a finish follows.
        keep: "best" for the epoch of the best validation accuracy, or "last".
        finish: epochs that follow, from the weights kept until then and trained as
            `finishing` says; the mean of the weights before and after is kept
            (Wortsman et al. 2022, arXiv 2109.01903).
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.1
    optimizer: str = "sgd"
    schedule: str | dict = "cosine"
    decay: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    teachers: tuple = ()
    augmentation: str = "geometric"
    normalization: str = "standard"
    class_weights: bool = False
    patience: int | None = None
    keep: str = "best"
    finish: int = 0

    @property
    def depends_on_epochs(self):
        """Whether more epochs would have changed those that were trained."""
        return self.schedule == "cosine" or self.finish > 0

    @property
    def all_epochs(self):
        """How many epochs there are, the finish included."""
        return self.epochs + self.finish

    @property
    def finishing(self):
        """The recipe of the finish: slow, on labels and on faces hardly changed."""
        return replace(
            self,
            epochs=self.finish,
            finish=0,
            learning_rate=self.learning_rate / 10,
            schedule="cosine",
            augmentation="flip",
            mixup=0.0,
            teachers=(),
        )


def build_schedule(recipe, steps_per_epoch):
    """The learning rate as a function of the step: a number or a Keras schedule."""
    schedules = keras.optimizers.schedules
    steps = recipe.epochs * steps_per_epoch
    if recipe.finish:
        return Consecutive(
            build_schedule(replace(recipe, finish=0), steps_per_epoch),
            build_schedule(recipe.finishing, steps_per_epoch),
            steps,
        )
    if recipe.schedule == "cosine":
        # A share of the whole, so that one epoch is a complete short run too.
        warmup_steps = math.ceil(0.05 * steps)
        return schedules.CosineDecay(
            initial_learning_rate=0.0,
            decay_steps=max(1, steps - warmup_steps),
            warmup_target=recipe.learning_rate,
            warmup_steps=warmup_steps,
        )
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "inverse_time":
        return schedules.InverseTimeDecay(recipe.learning_rate, 1, recipe.decay)
    starts = sorted(recipe.schedule)
    return schedules.PiecewiseConstantDecay(
        # A boundary is the last step of the rate before it.
        [start * steps_per_epoch - 1 for start in starts[1:]],
        [recipe.learning_rate * recipe.schedule[start] for start in starts],
    )


class Consecutive(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate, a number or a schedule, and from a step on another schedule."""

    def __init__(self, first, second, num_steps):
        self.first = first if callable(first) else lambda step: first
        self.second = second
        self.num_steps = num_steps

    def __call__(self, step):
        return keras.ops.where(
            step < self.num_steps,
            self.first(step),
            self.second(step - self.num_steps),
        )


def build_optimizer(recipe, steps_per_epoch):
    """The optimizer of a recipe, its schedule laid out over the steps of the run."""
    learning_rate = build_schedule(recipe, steps_per_epoch)
    weight_decay = recipe.weight_decay or None
    if recipe.optimizer == "adam":
        optimizer = keras.optimizers.Adam(learning_rate, weight_decay=weight_decay)
    else:
        optimizer = keras.optimizers.SGD(
            learning_rate, momentum=0.9, nesterov=True, weight_decay=weight_decay
        )
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return optimizer


def build_normalization(name, images):
    """The layer without parameters that scales raw pixels at the head of a model.

    It lies inside the model, so that training and prediction cannot differ and a
    checkpoint takes raw pixels.

    Args:
        name: "none" (the pixels as they are), "unit" (to [0, 1]), "standard" (mean 0
            and deviation 1 over the training part) or "image" (the same per image).
        images: uint8 (n, 48, 48, 1), the training part.
    """
    # Always in float32: bfloat16 has 8 bits, too few for differences of grey levels.
    same = {"name": "normalization", "dtype": "float32"}
    if name == "image":
        return layers.LayerNormalization(
            axis=[1, 2, 3], center=False, scale=False, **same
        )
    if name == "standard":
        mean, deviation = compute_statistics(images)
        scale = max(deviation, 1.0)
        return layers.Rescaling(1 / scale, offset=-mean / scale, **same)
    return layers.Rescaling(1 / 255 if name == "unit" else 1.0, **same)


def compute_statistics(images):
    """Mean and standard deviation of all pixels of uint8 images, two floats.

    From how often each grey level occurs: numpy's own would hold every pixel in eight
    bytes at once.
    """
    counts = sum(np.bincount(image.ravel(), minlength=256) for image in images)
    levels, total = np.arange(256), counts.sum()
    mean = float(levels @ counts / total)
    return mean, float(np.sqrt((levels - mean) ** 2 @ counts / total))


def weigh_classes(labels):
    """Weights of the loss under which every emotion counts the same, by label."""
    present = np.unique(labels)
    weights = compute_class_weight("balanced", classes=present, y=labels)
    return dict(zip(present.tolist(), weights.tolist(), strict=True))
