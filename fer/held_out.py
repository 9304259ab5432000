"""Faces held out for validation that are no share of the training faces.

A validation set of one's own, or one Usage of a file; a record names them by path and
fingerprint, so that every later script finds them again.
"""

import argparse
import contextlib
import re

import numpy as np

from fer.archives import split_path
from fer.command import InputError, fraction
from fer.faces import USAGES, Classes, compute_fingerprint, find_usage
from fer.sources import choose_test, read

# What `read_fold` reads.
MOST_FOLDS = 999


def validation_source(text):
    """An argparse type: a share in [0, 1), a fold, a Usage, or the path of faces."""
    if read_fold(text) is not None:
        return text
    with contextlib.suppress(ValueError):
        float(text)
        return fraction(text)
    usage, exists = find_usage(text), split_path(text)[0].exists()
    if usage in USAGES[1:] and (text == usage or not exists):
        return usage
    if exists:
        return text
    raise argparse.ArgumentTypeError(
        "expected a share in [0, 1), a file or folder of faces, a fold such as "
        f"1/10, or a Usage such as PublicTest, found {text!r}"
    )


def read_fold(validation):
    """Number and count of a fold such as "3/10", or None where it is none."""
    match = re.fullmatch(r"(\d{1,3})/(\d{1,3})", str(validation))
    if match is None:
        return None
    number, count = map(int, match.groups())
    return (number, count) if 1 <= number <= count >= 2 else None


def load_source(path, everything, validation, classes):
    """The validation faces of another source, and what a record says about it.

    Args:
        path: of the training faces.
        everything: all faces there.
        validation: a Usage of theirs, or the path of others.
        classes: the Classes of the training faces, which learn what was ignored here.
    """
    source = {"path": str(path), "usage": validation}
    ignore = list(classes.ignored_keys.values())
    if validation not in USAGES[1:]:
        source = {"path": str(validation)}
        others = Classes(ignore)
        everything = read(validation, others)
        classes.ignored += others.ignored
    if ignore:
        source["ignore"] = ignore
    held_out = choose_held_out(everything, source["path"], source.get("usage"))
    source["fingerprint"] = compute_fingerprint(held_out.images, held_out.labels)
    return held_out, source


def load_recorded_faces(source):
    """Load the validation faces that a record names by path and fingerprint.

    Args:
        source: "validation_faces" of the record, as `Split.describe` writes it.

    Returns:
        Faces with labels.

    Raises:
        InputError: they are not there, or others than those of the run.
    """
    everything = read(source["path"], Classes(source.get("ignore", ())))
    held_out = choose_held_out(everything, source["path"], source.get("usage"))
    if compute_fingerprint(held_out.images, held_out.labels) != source["fingerprint"]:
        raise InputError(
            f"{source['path']}: expected the faces that the run was validated on, "
            "found others; put the old ones back, or train anew"
        )
    return held_out


def choose_held_out(faces, path, usage=None):
    """Of a source's faces those to validate on: of one Usage, or as for a test."""
    if faces.labels is None:
        raise InputError(
            f"{path}: expected labelled faces to validate on, found no labels; give "
            "others to --validation"
        )
    if usage is None:
        return choose_test(path, faces)
    rows = faces.find_usages([usage]) if faces.usages is not None else []
    if not rows:
        raise InputError(
            f"{path}: expected rows whose Usage is {usage}, found none; give a share "
            "or a file to --validation"
        )
    return faces.take(rows)


def find_copies(images, others):
    """Which of the images stand among the others, pixel by pixel: bool (n,)."""
    wanted = {image.tobytes() for image in images}
    found = wanted.intersection(image.tobytes() for image in others)
    return np.array([image.tobytes() in found for image in images], dtype=bool)
