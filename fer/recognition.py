"""Pictures -> faces as the networks know them, and what the networks say of them.

The packages of requirements-photos.txt are needed only to find faces in a picture.
"""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from fer.command import InputError
from fer.faces import EMOTIONS, IMAGE_SIZE

# Of smaller faces, in pixels of the longer side of their box, too little is left to
# read: 24 pixels cost 17 points of accuracy, 20 cost 27 (experiments/measure_cut.py).
SMALLEST_FACE = 24


class Cuts(NamedTuple):
    """The faces of one picture, cut out.

    Attributes:
        boxes: float (n, 4), x, y, width and height in pixels of the picture.
        scores: float (n,) in [0, 1], how sure the detector is; NaN without one.
        images: uint8 (n, 48, 48, 1).
    """

    boxes: np.ndarray
    scores: np.ndarray
    images: np.ndarray

    def find_readable(self):
        """Which faces are large enough: bool (n,)."""
        return self.boxes[:, 2:].max(axis=1, initial=0) >= SMALLEST_FACE


def load_cutter(whole=False):
    """Load what cuts the faces out of a picture.

    Args:
        whole: whether a picture is one face, which needs no detector.

    Returns:
        A function from uint8 (height, width, 3), RGB, to `Cuts`.

    Raises:
        InputError: the packages of the detector are not there.
    """
    if whole:
        return cut_whole
    try:
        from fer import alignment, detection
    except ImportError as error:
        raise explain_missing(error) from error
    return functools.partial(alignment.cut_faces, detection.load_detector())


def explain_missing(error):
    """The InputError that says how to get a package that could not be imported."""
    return InputError(
        f"expected the package {error.name} for photographs and films, found none that "
        "fits; run python -m pip install -r requirements-photos.txt, or give pictures "
        "of one face each with --whole"
    )


def cut_whole(picture):
    """Take the square in the middle of a picture as its one face: `Cuts`."""
    height, width = picture.shape[:2]
    face = ImageOps.fit(
        Image.fromarray(picture).convert("L"),
        (IMAGE_SIZE, IMAGE_SIZE),
        Image.Resampling.BILINEAR,
    )
    side = min(height, width)
    box = (width - side) // 2, (height - side) // 2, side, side
    return Cuts(
        np.array([box], dtype=float),
        np.array([np.nan]),
        np.asarray(face)[None, ..., None],
    )


class Recognizer:
    """Finds the faces of a picture and asks models for their emotions.

    Args:
        models: paths of checkpoints, whose answers are averaged.
        tta: as for fer.prediction.predict.
        whole: as for `load_cutter`.
    """

    def __init__(self, models, tta=False, whole=False):
        # Before Keras, which takes seconds to start.
        self.cut = load_cutter(whole)
        from fer import checkpoints, prediction

        self.models = [checkpoints.load_checkpoint(path) for path in models]
        self.predict = functools.partial(prediction.predict, tta=tta)

    def recognize(self, picture):
        """Recognize the faces of a picture, uint8 (height, width, 3), RGB.

        Returns:
            cuts: `Cuts` of n faces.
            probabilities: float (n, 7), NaN where a face is too small.
        """
        cuts = self.cut(picture)
        readable = cuts.find_readable()
        probabilities = np.full((len(readable), len(EMOTIONS)), np.nan)
        if readable.any():
            probabilities[readable] = self.ask(cuts.images[readable])
        return cuts, probabilities

    def ask(self, faces):
        """What the models say of faces, uint8 (n, 48, 48, 1): probabilities (n, 7)."""
        return np.mean([self.predict(model, faces) for model in self.models], axis=0)
