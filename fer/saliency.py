"""What a model's answer depends on: saliency maps, Grad-CAM, and what they are worth.

Images are uint8 (n, 48, 48, 1), classes int (n,): the emotion asked of each face.
"""

from typing import NamedTuple

import keras
import numpy as np

from fer import gradients, prediction
from fer.command import InputError
from fer.faces import EMOTIONS, IMAGE_SIZE

# Noisy copies of a face, and their deviation as a share of the face's range.
SAMPLES = 50
NOISE = 0.1
KEPT_SHARE = 0.3
# Faces over which the worth of salient pixels is averaged.
SCORED_FACES = 200
BATCH_SIZE = 64


class Explanation(NamedTuple):
    """What a model says of faces, and on which pixels that depends.

    Attributes:
        probabilities: float (n, 7).
        saliency: float (n, 48, 48), as `compute_saliency` returns it.
        grad_cam: float (n, 48, 48), not negative, or None.
    """

    probabilities: np.ndarray
    saliency: np.ndarray
    grad_cam: np.ndarray | None


def explain(model, images, layer=None, **settings):
    """Ask for the predicted emotion of faces.

    Args:
        model: a checkpoint; it is left as it is.
        images: uint8 (n, 48, 48, 1).
        layer: whose maps Grad-CAM weighs, or None for no Grad-CAM.
        settings: samples, noise, seed and advance of `compute_saliency`.
    """
    probabilities = prediction.predict(model, images)
    classes = probabilities.argmax(axis=1)
    saliency = compute_saliency(model, images, classes, **settings)
    grad_cam = None
    if layer is not None:
        grad_cam = enlarge(compute_grad_cam(model, images, classes, layer))
    return Explanation(probabilities, saliency, grad_cam)


def compute_saliency(
    model, images, classes, samples=SAMPLES, noise=NOISE, seed=0, advance=None
):
    """Average the gradient of one logit per face over noisy copies (SmoothGrad).

    Args:
        model: a checkpoint; it is left as it is.
        images: uint8 (n, 48, 48, 1).
        classes: int (n,), the emotion whose logit is asked of each face.
        samples: number of noisy copies.
        noise: their standard deviation, as a share of the face's range.
        seed: of the noise.
        advance: called with a number of copies whenever so many are done; the total
            is samples * n.

    Returns:
        float32 (n, 48, 48): absolute value of the average gradient, logit per grey
        level.
    """
    part = gradients.build_part(model, gradients.LOGITS)
    rng = np.random.default_rng(seed)
    images = images.astype("float32")
    spread = noise * np.ptp(images, axis=(1, 2, 3), keepdims=True)
    total = np.zeros(images.shape)
    for _ in range(samples):
        noisy = images + rng.normal(0, spread, images.shape)
        for start in range(0, len(images), BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            total[batch] += gradients.compute_pixel_gradients(
                part, noisy[batch], classes[batch]
            )[1]
            if advance is not None:
                advance(len(noisy[batch]))
    return np.abs(total[..., 0] / samples).astype("float32")


def compute_grad_cam(model, images, classes, name):
    """Weigh the maps of a layer by what they add to one logit per face.

    Args:
        model, images, classes: as for `compute_saliency`.
        name: of a layer with maps.

    Returns:
        float32 (n, height, width), not negative, in the size of the maps.
    """
    maps, slopes = gradients.compute_map_gradients(
        model, images.astype("float32"), name, classes
    )
    weights = slopes.mean(axis=(1, 2), keepdims=True)
    return np.maximum((weights * maps).sum(axis=-1), 0)


def enlarge(maps):
    """Interpolate maps (n, height, width) linearly to the faces' (n, 48, 48)."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return np.asarray(keras.ops.image.resize(maps[..., None], size))[..., 0]


def find_most_salient(saliency, share=KEPT_SHARE):
    """Mark the share of the pixels of each map that is highest: bool (n, 48, 48)."""
    flat = saliency.reshape(len(saliency), -1)
    ranks = flat.argsort(axis=1, kind="stable").argsort(axis=1)
    kept = ranks >= flat.shape[1] - round(share * flat.shape[1])
    return kept.reshape(saliency.shape)


def mask_faces(images, kept):
    """Grey out the pixels that are not kept, each face with its own mean.

    Args:
        images: uint8 (n, 48, 48, 1).
        kept: bool (n, 48, 48).
    """
    grey = images.mean(axis=(1, 2, 3), keepdims=True)
    return np.where(kept[..., None], images, grey.round()).astype("uint8")


def compute_score(model, images, classes, saliency, seed=0):
    """What the most salient pixels are worth, against as many random ones.

    Args:
        model, images, classes: as for `compute_saliency`.
        saliency: float (n, 48, 48).
        seed: of the random pixels.

    Returns:
        Dict from the kind of pixels to two arrays, float (n,): the probability of
        `classes` with only a share KEPT_SHARE of the pixels kept, the others greyed
        out, and with these removed.
    """
    noise = np.random.default_rng(seed).random(saliency.shape)
    scores = {}
    for name, ranking in (("most salient", saliency), ("random", noise)):
        kept = find_most_salient(ranking, KEPT_SHARE)
        scores[name] = [
            prediction.predict(model, mask_faces(images, mask))[
                np.arange(len(images)), classes
            ]
            for mask in (kept, ~kept)
        ]
    return scores


def choose_faces(rows, labels, probabilities, emotions, count):
    """Choose the `count` surest right and surest wrong faces of each emotion.

    Args:
        rows: int (n,), the numbers of the faces.
        labels: int (n,).
        probabilities: float (n, 7).
        emotions: names, in the order of the result.
        count: faces of each kind and emotion.

    Returns:
        int (len(emotions) * count, 2): rows of right and of wrong faces; -1 where
        there are not enough.
    """
    predicted = probabilities.argmax(axis=1)
    by_certainty = np.argsort(-probabilities.max(axis=1), kind="stable")
    chosen = np.full((len(emotions), count, 2), -1)
    for i, emotion in enumerate(emotions):
        true = labels[by_certainty] == EMOTIONS.index(emotion)
        right = predicted[by_certainty] == labels[by_certainty]
        for j, hits in enumerate((right, ~right)):
            faces = rows[by_certainty[true & hits][:count]]
            chosen[i, : len(faces), j] = faces
    return chosen.reshape(-1, 2)


def find_grad_cam_layer(model, name):
    """The layer for Grad-CAM: the one asked for or, without a name, the last suitable.

    Returns:
        Its name, or None for a model without convolutions.

    Raises:
        InputError: the layer asked for has no maps; names those that have.
    """
    convolutions = gradients.find_convolutions(model)
    if not convolutions:
        if name is None:
            return None
        raise InputError(
            f"layer {name}: expected a model with convolutions for Grad-CAM, found "
            f"none in {model.name}; leave the layer out"
        )
    names = [layer.name for layer in model.layers]
    maps = [
        layer
        for layer in model.layers[names.index(convolutions[0]) :]
        if len(layer.output.shape) == 4
    ]
    if name is None:
        # The last convolution passes here, but its normalized and rectified maps are
        # what the rest of the network sees.
        kept = [layer for layer in maps if not isinstance(layer, gradients.REDUCTIONS)]
        return kept[-1].name
    names = [layer.name for layer in maps]
    if name not in names:
        raise InputError(
            f"layer {name}: expected one with maps for Grad-CAM, found none of that "
            f"name; choose from {', '.join(names)}"
        )
    return name
