"""Batches of randomly changed faces, through Keras' ImageDataGenerator.

The generator knows how to rotate, shift, shear, zoom and mirror; what it draws is
decided here, as a function of the seed, the epoch and the batch. So worker threads
cannot change the result, and a run that is resumed sees the very faces that it
would have seen.
"""

import math

import keras
import numpy as np

try:
    from tensorflow.keras.preprocessing.image import ImageDataGenerator
except ImportError:
    # Without TensorFlow (KERAS_BACKEND=jax or torch) the same class lives here only.
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

# Settings of the generator by name; ranges as Keras defines them, plus `erasing`,
# the share of faces that lose a rectangle (Zhong et al. 2020, arXiv 1708.04896), and
# `mirrored`, the share that is flipped one way or the other, but never both.
GEOMETRIC = {
    "horizontal_flip": True,
    "rotation_range": 12,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "zoom_range": 0.12,
}
AUGMENTATIONS = {
    "none": {},
    "flip": {"horizontal_flip": True},
    "rotation": {"rotation_range": 12},
    "shift": {"width_shift_range": 0.1, "height_shift_range": 0.1},
    "zoom": {"zoom_range": 0.12},
    "geometric": GEOMETRIC,
    "erasing": {**GEOMETRIC, "erasing": 0.5},
    # For runs long enough to overfit.
    "strong": {
        "horizontal_flip": True,
        "rotation_range": 15,
        "width_shift_range": 0.12,
        "height_shift_range": 0.12,
        "zoom_range": 0.15,
        "shear_range": 8,
        "erasing": 0.75,
    },
    # The last three are those of the reports with the same networks.
    "small": {"mirrored": 0.5},
    "large_kernel": {
        "horizontal_flip": True,
        "rotation_range": 15,
        "width_shift_range": 0.1,
        "height_shift_range": 0.1,
        "zoom_range": 0.1,
    },
    "wide": {
        "horizontal_flip": True,
        "rotation_range": 20,
        "width_shift_range": 0.2,
        "height_shift_range": 0.2,
        "shear_range": 0.001,
        "zoom_range": 0.001,
    },
}
# Sides of an erased rectangle in pixels: from an eye to a third of the face.
ERASED_SIDES = (6, 20)


class FaceGenerator(ImageDataGenerator):
    """Keras' generator with random erasing and with randomness handed in.

    Args:
        erasing: share of the faces that lose a rectangle, in [0, 1].
        mirrored: share of the faces that are flipped left-right or up-down, in [0, 1].
        options: those of ImageDataGenerator.
    """

    def __init__(self, erasing=0.0, mirrored=0.0, **options):
        super().__init__(fill_mode="nearest", **options)
        self.erasing = erasing
        self.mirrored = mirrored

    def draw_transform(self, rng, size):
        """Draw what happens to one face of `size` pixels a side, for `apply_transform`.

        The distributions are those of ImageDataGenerator.get_random_transform, but for
        zoom, which here keeps the face's proportions.
        """
        zoom = rng.uniform(*self.zoom_range)
        transform = {
            "theta": rng.uniform(-self.rotation_range, self.rotation_range),
            "tx": size * rng.uniform(-1, 1) * self.height_shift_range,
            "ty": size * rng.uniform(-1, 1) * self.width_shift_range,
            "shear": rng.uniform(-self.shear_range, self.shear_range),
            "zx": zoom,
            "zy": zoom,
            "flip_horizontal": self.horizontal_flip and rng.random() < 0.5,
            "flip_vertical": self.vertical_flip and rng.random() < 0.5,
        }
        if self.mirrored and rng.random() < self.mirrored:
            transform[rng.choice(["flip_horizontal", "flip_vertical"])] = True
        if rng.random() < self.erasing:
            height, width = rng.integers(*ERASED_SIDES, size=2)
            transform["erase"] = (
                rng.integers(size - height + 1),
                rng.integers(size - width + 1),
                height,
                width,
                rng.uniform(0, 255),
            )
        return transform

    def apply_transform(self, x, transform_parameters):
        """Keras' transforms, then the erased rectangle; returns a new array."""
        x = super().apply_transform(x, transform_parameters)
        if "erase" in transform_parameters:
            top, left, height, width, level = transform_parameters["erase"]
            x = x.copy()
            x[top : top + height, left : left + width] = level
        return x

    def change(self, images, rng):
        """Change each face of uint8 (n, 48, 48, 1) as `rng` draws; float32."""
        faces = images.astype("float32")
        for i, face in enumerate(faces):
            transform = self.draw_transform(rng, size=face.shape[0])
            faces[i] = self.apply_transform(face, transform)
        return faces


class AugmentedFaces(keras.utils.PyDataset):
    """The training batches of one epoch after another.

    Every epoch shows every face once (with mixup once more as a partner), in a new
    order and newly changed. Set `epoch` before an epoch begins: batch `index` is a
    function of (seed, epoch, index).

    Args:
        images: uint8 (n, 48, 48, 1).
        targets: float32 (n, num_classes).
        batch_size: the largest batch; the faces are dealt out evenly.
        generator: a FaceGenerator.
        seed: of order and changes.
        mixup: how strongly faces are blended in pairs, targets alike: the parameter of
            a beta distribution (Zhang et al. 2018, arXiv 1710.09412); 0 for not at all.
    """

    def __init__(self, images, targets, batch_size, generator, seed, mixup=0.0):
        # With a single worker Keras hands the queue to tf.data, which then idles up to
        # a minute at the end of an epoch; two threads keep it out. On other backends
        # they would start before the first epoch and leave its batches to the next.
        workers = 2 if keras.config.backend() == "tensorflow" else 1
        super().__init__(workers=workers, max_queue_size=8)
        self.images = images
        self.targets = targets
        self.batch_size = batch_size
        self.generator = generator
        self.seed = seed
        self.mixup = mixup
        self.epoch = 0

    @property
    def num_batches(self):
        return math.ceil(len(self.images) / self.batch_size)

    def __getitem__(self, index):
        order = np.random.default_rng((self.seed, self.epoch)).permutation(
            len(self.images)
        )
        rows = np.array_split(order, self.num_batches)[index]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        faces = self.generator.change(self.images[rows], rng)
        targets = self.targets[rows]
        return mix(faces, targets, self.mixup, rng) if self.mixup else (faces, targets)


def mix(faces, targets, mixup, rng):
    """Blend each face, and its target, with another one of the batch.

    Args:
        faces: float32 (n, 48, 48, 1).
        targets: float32 (n, num_classes).
        mixup: both parameters of the beta distribution of the shares.
        rng: a numpy Generator.

    Returns:
        Faces and targets of the same shapes; every face outweighs its partner.
    """
    shares = rng.beta(mixup, mixup, len(faces)).astype("float32")
    shares = np.maximum(shares, 1 - shares)
    partners = rng.permutation(len(faces))
    return tuple(
        blend * values + (1 - blend) * values[partners]
        for blend, values in (
            (shares[:, None, None, None], faces),
            (shares[:, None], targets),
        )
    )
