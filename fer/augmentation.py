"""Batches of randomly changed faces, through Keras' ImageDataGenerator.

The generator knows how to rotate, shift, shear, zoom and mirror; what it draws is
decided here, as a function of the seed, the epoch and the batch. So worker threads
cannot change the result, and a run that is resumed sees the very faces that it
would have seen.
"""

import functools
import math

import keras
import numpy as np

try:
    from tensorflow.keras.preprocessing.image import ImageDataGenerator
except ImportError:
    # Without TensorFlow (KERAS_BACKEND=jax or torch) the same class lives here only.
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

from fer.command import InputError
from fer.devices import ONE

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
    # Half of the faces mirrored, each left-right or up-down: the report of `small`.
    "flip_either_way": {"mirrored": 0.5},
    # A little more turned and less zoomed than `geometric`: that of `large_kernel`.
    "geometric_15": {
        "horizontal_flip": True,
        "rotation_range": 15,
        "width_shift_range": 0.1,
        "height_shift_range": 0.1,
        "zoom_range": 0.1,
    },
    # By up to a fifth of the picture, and turned by up to 20 degrees: that of `wide`.
    "shift_far": {
        "horizontal_flip": True,
        "rotation_range": 20,
        "width_shift_range": 0.2,
        "height_shift_range": 0.2,
        "shear_range": 0.001,
        "zoom_range": 0.001,
    },
}
# The same under the names of networks, as flags, states and records have long said;
# `settings` still do, so that a run of then and a run of now are the same run.
RECORDED_NAMES = {
    "flip_either_way": "small",
    "geometric_15": "large_kernel",
    "shift_far": "wide",
}
AUGMENTATIONS |= {old: AUGMENTATIONS[new] for new, old in RECORDED_NAMES.items()}
# What a FaceGenerator does with the options of ImageDataGenerator; the others are
# refused, for a training that drops one without a word measures something else.
DRAWN_OPTIONS = (
    "rotation_range",
    "width_shift_range",
    "height_shift_range",
    "shear_range",
    "zoom_range",
    "horizontal_flip",
    "vertical_flip",
    "fill_mode",
    "cval",
    "interpolation_order",
)
# Sides of an erased rectangle in pixels, the second one excluded: from an eye to a
# sixth of the picture.
ERASED_SIDES = (6, 20)


class FaceGenerator(ImageDataGenerator):
    """Keras' generator with random erasing and with randomness handed in.

    Args:
        erasing: share of the faces that lose a rectangle, in [0, 1].
        mirrored: share of the faces that are flipped left-right or up-down, in [0, 1].
        options: those of `DRAWN_OPTIONS`, as ImageDataGenerator takes them; shifts only
            as a share of the picture, below 1.

    Raises:
        InputError: an option that would not be drawn.
    """

    def __init__(self, erasing=0.0, mirrored=0.0, **options):
        check_options(options)
        super().__init__(data_format="channels_last", **options)
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

    def change(self, images, rng, share=slice(None)):
        """Change faces as `rng` draws.

        Args:
            images: uint8 (n, 48, 48, 1).
            rng: a numpy Generator, which draws for all n.
            share: slice of those to return, each as without a share.

        Returns:
            float32 (m, 48, 48, 1).
        """
        size = images.shape[1]
        transforms = [self.draw_transform(rng, size) for _ in images][share]
        faces = images[share].astype("float32")
        for i, transform in enumerate(transforms):
            faces[i] = self.apply_transform(faces[i], transform)
        return faces


def check_options(options):
    """Refuse what a FaceGenerator would not draw; InputError with its name."""
    for name in sorted(options.keys() - set(DRAWN_OPTIONS)):
        raise InputError(
            f"augmentation: expected options among {', '.join(DRAWN_OPTIONS)}, erasing "
            f"and mirrored, found {name}, which is not drawn here; a model scales its "
            "pixels itself, see --normalization"
        )
    for name in ("width_shift_range", "height_shift_range"):
        shift = options.get(name, 0.0)
        if not isinstance(shift, (int, float)) or not 0 <= shift < 1:
            raise InputError(
                f"augmentation: expected {name} as a share of the picture in [0, 1), "
                f"found {shift!r}; divide pixels by 48"
            )


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
        devices: that divide every batch; where their number does not divide that of
            the faces, an epoch leaves out the last ones of its order.
    """

    def __init__(
        self, images, targets, batch_size, generator, seed, mixup=0.0, devices=ONE
    ):
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
        self.devices = devices
        self.epoch = 0
        devices.require_enough(len(images), batch_size)

    @property
    def num_batches(self):
        count = self.devices.count
        return math.ceil(len(self.images) // count / (self.batch_size // count))

    def __getitem__(self, index):
        num_faces, count = len(self.images), self.devices.count
        rows = deal(num_faces, self.num_batches, self.seed, self.epoch, count)[index]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        share = self.devices.take_share(len(rows))
        if self.mixup:
            # A partner may be in another share.
            faces = self.generator.change(self.images[rows], rng)
            mixed = mix(faces, self.targets[rows], self.mixup, rng)
            return tuple(values[share] for values in mixed)
        faces = self.generator.change(self.images[rows], rng, share)
        return faces, self.targets[rows[share]]


# Asked for by every batch. Two epochs, since threads may still be at the one before;
# where two ask for the same at once, both compute it and get the same.
@functools.lru_cache(maxsize=2)
def deal(num_faces, num_batches, seed, epoch, num_devices=1):
    """Deal out all faces, in the order of an epoch; a list of arrays of rows.

    Each has a multiple of `num_devices` rows, for which the last ones may be left out.
    """
    # The same numbers as those of batch 0, to which NumPy adds only zeros; they are put
    # to another use, and others would change every run.
    order = np.random.default_rng((seed, epoch)).permutation(num_faces)
    order = order[: num_faces - num_faces % num_devices].reshape(-1, num_devices)
    return [rows.ravel() for rows in np.array_split(order, num_batches)]


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
