"""What filters look for: gradient ascent, how active they are, and their responses.

A part is a model of `fer.gradients.build_part`; its units are the filters or neurons
of its last layer.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from fer import gradients
from fer.command import InputError
from fer.faces import IMAGE_SIZE

# Noise around the middle of [0, 255], weak enough to leave no trace in the picture.
GREY = 127.5
NOISE_DEVIATION = 10
# Of the ascent: grey levels, share of the contrast, pixels.
STEPS = 150
STEP_SIZE = 8.0
DECAY = 0.01
BLUR = 0.6
# Blurring seldom but more is cheaper than every step (Yosinski et al. 2015).
BLUR_EVERY = 4
# Shown of a layer unless more are asked for: what takes less than a minute.
FILTERS_PER_LAYER = 32
RESPONSES_PER_LAYER = 16
# Faces over which is measured how active a filter is.
ACTIVITY_FACES = 512
# Pictures that climb at the same time.
BATCH_SIZE = 64


class Layer(NamedTuple):
    """Pictures of some units of a layer.

    Attributes:
        name: of the layer.
        size: how many units it has.
        units: int (n,), those in the pictures.
        pictures: float32 (n, height, width).
        strengths: float32 (n,), the mean activation reached on the picture or, of a
            response, the mean of its positive part.
    """

    name: str
    size: int
    units: np.ndarray
    pictures: np.ndarray
    strengths: np.ndarray


def choose_count(part, count=None):
    """How many units of a part to show.

    Args:
        part: a model.
        count: a number, "all", or None for FILTERS_PER_LAYER where there are more.

    Returns:
        The number, or None for all.
    """
    if count is None and part.output_shape[-1] > FILTERS_PER_LAYER:
        return FILTERS_PER_LAYER
    return None if count == "all" else count


def compute_preferred(part, units, **settings):
    """Find pictures in [0, 255] that excite units: `climb` in batches; a Layer.

    Args:
        part: a model.
        units: int (n,).
        settings: steps, step_size, decay, blur, seed and advance of `climb`.
    """
    batches = [
        climb(part, units[start : start + BATCH_SIZE], **settings)
        for start in range(0, len(units), BATCH_SIZE)
    ]
    images, activations = map(np.concatenate, zip(*batches, strict=True))
    return Layer(part.name, part.output_shape[-1], units, images[..., 0], activations)


def climb(
    part,
    units,
    steps=STEPS,
    step_size=STEP_SIZE,
    decay=DECAY,
    blur=BLUR,
    seed=0,
    advance=None,
):
    """Find pictures that excite units, by gradient ascent from the same grey noise.

    Args:
        part: a model.
        units: int (n,).
        steps: number of steps.
        step_size: root mean square of the change of a picture in one step.
        decay: share of the distance to the middle grey that every step takes away.
        blur: deviation in pixels of a Gaussian, applied every `BLUR_EVERY` steps.
        seed: of the noise.
        advance: called with n after every step.

    Returns:
        images: float32 (n, 48, 48, 1) in [0, 255].
        activations: float32 (n,), the mean activation of each unit on its picture.
    """
    size = (IMAGE_SIZE, IMAGE_SIZE, 1)
    noise = np.random.default_rng(seed).normal(GREY, NOISE_DEVIATION, size)
    images = np.repeat(noise[None].astype("float32"), len(units), axis=0)
    for step in range(1, steps + 1):
        slopes = gradients.compute_pixel_gradients(part, images, units)[1]
        rms = np.sqrt(np.mean(slopes**2, axis=(1, 2, 3), keepdims=True))
        # A filter that is silent has no slope, and its picture stays.
        images = images + step_size * slopes / np.where(rms > 0, rms, 1)
        images = GREY + (1 - decay) * (images - GREY)
        if step % BLUR_EVERY == 0:
            images = ndimage.gaussian_filter(images, (0, blur, blur, 0))
        images = np.clip(images, 0, 255)
        if advance is not None:
            advance(len(images))
    return images, gradients.compute_pixel_gradients(part, images, units)[0]


def compute_activities(part, images):
    """How active every unit is on faces: the mean of the positive part, (n_units,).

    Args:
        part: a model.
        images: uint8 (n, 48, 48, 1).
    """
    total = 0
    for start in range(0, len(images), BATCH_SIZE):
        outputs = np.maximum(respond(part, images[start : start + BATCH_SIZE]), 0)
        total += outputs.mean(axis=tuple(range(1, outputs.ndim - 1))).sum(axis=0)
    return total / len(images)


def choose_units(part, count, images):
    """The `count` most active units on faces, the most active first: int (count,).

    Args:
        part: a model.
        count: how many; None for all, in their own order.
        images: uint8 (n, 48, 48, 1), not needed for all.
    """
    if count is None:
        return np.arange(part.output_shape[-1])
    return np.argsort(-compute_activities(part, images), kind="stable")[:count]


def compute_responses(part, face, count):
    """The maps of a layer on one face, the `count` most active ones or all: a Layer.

    Args:
        part: a model.
        face: uint8 (48, 48, 1).
        count: as for `choose_units`.

    Raises:
        InputError: the layer has no maps.
    """
    size = part.output_shape[-1]
    if len(part.output_shape) != 4:
        raise InputError(
            f"layer {part.name}: expected one with maps for its responses, found "
            f"{size} numbers; choose a convolution"
        )
    units = choose_units(part, count, face[None])
    maps = respond(part, face[None])[0].transpose(2, 0, 1)[units]
    return Layer(part.name, size, units, maps, np.maximum(maps, 0).mean(axis=(1, 2)))


def respond(part, images):
    """The output of a part on a batch of faces, uint8 (n, 48, 48, 1)."""
    # Called directly: `predict` would compile anew for every layer, and say so.
    return np.asarray(part(images.astype("float32"), training=False))
