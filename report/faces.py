"""The faces of the page: trained on, tested with, and those that may be shown."""

from typing import NamedTuple

import numpy as np

from fer import data, drawn_faces, filters, held_out, paths, sources
from fer.command import InputError
from report.page import Missing

# Drawn faces among which the surest right and wrong answers are looked for.
DRAWN_FACES = 350


class Test(NamedTuple):
    """Test faces with known labels.

    Attributes:
        path: of the labels, or of the faces that bring them.
        images, labels: uint8 (n, 48, 48, 1) and int (n,) in 0..6.
        kinds: dict from a name to bool (n,): all, and parts of the file.
        is_copy: bool (n,), which stand among the training faces, or None.
    """

    path: str
    images: np.ndarray
    labels: np.ndarray
    kinds: dict
    is_copy: np.ndarray | None


class LabelledFaces(NamedTuple):
    """Faces and where they are from.

    Attributes:
        origin: a path, or a few words.
        images: uint8 (n, 48, 48, 1).
        labels: int (n,).
    """

    origin: str
    images: np.ndarray
    labels: np.ndarray


def load_training_faces(options, runs):
    """The LabelledFaces to train on; a Missing where there are none."""
    recorded = runs[0].find("train")
    path = options.train or (recorded and recorded.value) or paths.TRAIN_FACES
    try:
        sources.locate(path)
    except InputError as error:
        if options.train:
            raise
        return Missing(str(error))
    return LabelledFaces(str(path), *data.load_training_faces(path, options.ignore))


def load_test(options, faces):
    """The Test of --labels and --test, or a Missing."""
    if not options.labels and not options.test:
        return Missing(
            "No labels of test faces were given.", "python write_report.py --labels CSV"
        )
    path = options.test or paths.TEST_FACES
    test = data.load_labelled_test_faces(path, options.ignore, options.labels)
    test = test.take(np.flatnonzero(test.labels >= 0))
    is_copy = None
    if not isinstance(faces, Missing):
        is_copy = held_out.find_copies(test.images, faces.images)
    where, kinds = options.labels or path, test.list_labelled()
    return Test(where, test.images, test.labels, kinds, is_copy)


def choose_shown(which, answers):
    """The LabelledFaces that the page may show, or None.

    Args:
        which: "drawn", "own" or "none".
        answers: of the first network about the faces that it held out, or a Missing.

    Raises:
        InputError: its own are asked for and not there.
    """
    if which == "none":
        return None
    if which == "drawn":
        return draw_shown()
    if isinstance(answers, Missing):
        raise InputError(
            f"--faces own: expected the faces that a network held out, found "
            f"none ({answers.reason}); leave --faces out or give --train"
        )
    return LabelledFaces("the faces that it held out", answers.images, answers.labels)


def draw_shown():
    """Drawn faces, the same every time."""
    return LabelledFaces("drawn faces", *drawn_faces.draw_faces(DRAWN_FACES, seed=0))


def choose_active(faces, shown):
    """Faces on which filters are found to be active: training faces, else drawn ones.

    Args:
        faces: to train on, or a Missing.
        shown: LabelledFaces that the page may show, or None.
    """
    if isinstance(faces, Missing):
        return shown or draw_shown()
    rows = slice(filters.ACTIVITY_FACES)
    return LabelledFaces(faces.origin, faces.images[rows], faces.labels[rows])
