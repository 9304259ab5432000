"""Loaded checkpoints and faces -> probabilities, also with test-time augmentation."""

import functools

import keras
import numpy as np

from fer.augmentation import FaceGenerator
from fer.precision import choose_precision

# Faces per step of a prediction: enough to keep two cores busy, 100 MB of activations.
BATCH_SIZE = 256
# Faces that are held in float32 at a time, 75 MB: whole steps, so that it changes none.
PART_SIZE = 32 * BATCH_SIZE
# What test-time augmentation does to a face, in pixels, degrees and factors: no more
# than the augmentation `strong` did to it.
VIEWS = (
    {},
    *({axis: shift} for axis in ("tx", "ty") for shift in (-2, 2)),
    *({"theta": angle} for angle in (-10, -5, 5, 10)),
    *({"zx": zoom, "zy": zoom} for zoom in (0.85, 0.92, 1.08, 1.15)),
)
# With the mirror image of each.
NUM_VIEWS = 2 * len(VIEWS)
IN_FLOAT32 = (
    keras.layers.InputLayer,
    keras.layers.LayerNormalization,
    keras.layers.Rescaling,
    keras.layers.Softmax,
)


def predict(model, images, tta=False):
    """Predict the emotions of faces.

    Args:
        model: a loaded checkpoint.
        images: uint8 (n, 48, 48, 1).
        tta: whether to average over `make_views` (test-time augmentation).

    Returns:
        Probabilities, float32 (n, 7).
    """
    parts = split_parts(images)
    return np.concatenate([predict_part(model, part, tta) for part in parts])


def split_parts(images):
    """Images in the parts of which all views can be held in float32, one at least."""
    starts = range(0, max(1, len(images)), PART_SIZE)
    return [images[start : start + PART_SIZE] for start in starts]


def predict_part(model, images, tta):
    """Predict the faces of one part, as `predict` does."""
    views = make_views(images) if tta else [images.astype("float32")]
    ask = functools.partial(model.predict, batch_size=BATCH_SIZE, verbose=0)
    if len(images) <= BATCH_SIZE:
        # Of few faces, most of the time would go into Keras' own preparations.
        ask = model.predict_on_batch
    return np.mean([ask(view) for view in views], axis=0)


def predict_all(models, images, tta=False, advance=None):
    """Predict the emotions of faces with several models, as fast as this machine can.

    With `tta` the views are made once for all models, and the models compute in
    bfloat16 where the processor or GPU has it: an answer then differs from that of
    `predict`, by which accuracies in records are measured, in the third decimal.

    Args:
        models: loaded checkpoints.
        images: uint8 (n, 48, 48, 1).
        tta: whether to average over `make_views` (test-time augmentation).
        advance: function that is told of how many faces a view was asked about, or
            None.

    Returns:
        Probabilities, float32 (models, n, 7).
    """
    if not tta:
        return np.array([predict(model, images) for model in models])
    if choose_precision("auto")[0] == "mixed_bfloat16":
        models = [copy_model(model, "mixed_bfloat16") for model in models]
    parts = []
    for part in split_parts(images):
        answers = []
        for view in make_views(part):
            answers.append([predict(model, view) for model in models])
            if advance is not None:
                advance(len(part))
        parts.append(np.mean(answers, axis=0))
    return np.concatenate(parts, axis=1)


def copy_model(model, policy):
    """A new model like another one, with its weights, that computes in a precision.

    Args:
        model: uncompiled.
        policy: the name of a Keras dtype policy.
    """

    def copy(layer):
        config = layer.get_config()
        # What scales pixels, normalizes or takes exponentials needs more than 8 bits.
        if not isinstance(layer, IN_FLOAT32):
            config["dtype"] = policy
        return layer.__class__.from_config(config)

    copied = keras.models.clone_model(model, clone_function=copy)
    copied.set_weights(model.get_weights())
    return copied


def make_views(images):
    """Yield each face as it is, shifted, turned and zoomed, and all that mirrored.

    Twenty-six float32 arrays like `images`. The edge is repeated where a change
    uncovers pixels, as in training.
    """
    generator = FaceGenerator()
    for change in VIEWS:
        view = images.astype("float32")
        if change:
            view = np.stack([generator.apply_transform(face, change) for face in view])
        yield view
        yield view[:, :, ::-1]
