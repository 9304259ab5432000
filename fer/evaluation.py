"""The faces that checkpoints are measured on: held out from training, or of a test."""

import functools
import sys
from typing import NamedTuple

import numpy as np

from fer import checkpoints, data, sources, twins
from fer.command import InputError
from fer.faces import USAGES, compute_fingerprint
from fer.held_out import load_recorded_faces


class Evaluation(NamedTuple):
    """Labelled faces, and which of them to measure on.

    Attributes:
        source: where they come from, for messages.
        images: uint8 (n, 48, 48, 1).
        labels: int (n,) in 0..6.
        rows: sorted int array.
        kind: what the faces of these rows are, in a few words.
    """

    source: str
    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray
    kind: str


def add_flags(parser):
    """The flags by which a script is told the faces to measure on."""
    sources.add_train_flags(parser)
    parser.add_argument(
        "--test",
        metavar="PATH",
        help="labelled test faces to take instead of those of --train that were held "
        "out of training",
    )
    parser.add_argument(
        "--labels",
        metavar="PATH",
        help="labels of the faces of --test, where these bring none",
    )
    parser.add_argument(
        "--usage", choices=USAGES[1:], help="of --test only the faces of this Usage"
    )


def load(options, models):
    """Load the faces that the flags of `add_flags` name.

    Args:
        options: of the script.
        models: paths of the checkpoints.

    Returns:
        An Evaluation, and the checkpoints to measure on it: twins that held faces out
        in the place of those that saw all of them. Where the records know of no faces
        held out, it holds all of --train, with a warning.
    """
    if options.test:
        return load_test(options), models
    if options.labels or options.usage:
        raise InputError(
            "--labels and --usage: expected --test beside them, found none"
        )
    source = find_recorded_source(models)
    if source is not None:
        return load_recorded(source), models
    images, labels = data.load_training_faces(options.train, options.ignore)
    models = twins.find_measured(models, compute_fingerprint(images, labels))
    rows, reason = checkpoints.find_held_out_rows(models, images, labels)
    kind = "validation faces"
    if reason:
        rows, kind = np.arange(len(images)), "faces, also those trained on"
        print(f"warning: {reason}: all {kind}", file=sys.stderr)
    return Evaluation(options.train, images, labels, rows, kind), models


def load_held_out(options, models):
    """Load, for each of some checkpoints, the faces that it held out.

    Args:
        options: those of `sources.add_train_flags`.
        models: paths of the checkpoints.

    Yields:
        An Evaluation a checkpoint.

    Raises:
        InputError: the record of one knows of no such faces.
    """
    read_training_faces = functools.cache(data.load_training_faces)
    for path in models:
        source = find_recorded_source([path])
        if source is not None:
            yield load_recorded(source)
            continue
        images, labels = read_training_faces(options.train, tuple(options.ignore))
        rows = checkpoints.require_held_out_rows([path], images, labels)
        yield Evaluation(options.train, images, labels, rows, "validation faces")


def load_recorded(source):
    """The validation faces from elsewhere that a record names; --train is not asked."""
    faces = load_recorded_faces(source)
    print(
        f"measured  on {len(faces.images):,} faces of {source['path']}, by the record"
    )
    rows = np.arange(len(faces.images))
    return Evaluation(
        source["path"], faces.images, faces.labels, rows, "validation faces"
    )


def load_test(options):
    """The labelled test faces that the flags name."""
    faces = data.load_labelled_test_faces(options.test, options.ignore, options.labels)
    known = faces.labels >= 0
    if options.usage:
        known = faces.list_labelled().get(options.usage, np.zeros_like(known))
    if not known.any():
        raise InputError(
            f"{options.test}: expected labelled faces of Usage {options.usage}, found "
            "none; leave --usage out"
        )
    rows = np.flatnonzero(known)
    kind = f"test faces ({options.usage})" if options.usage else "test faces"
    return Evaluation(options.test, faces.images, faces.labels, rows, kind)


def find_recorded_source(models):
    """What the records say of validation faces from elsewhere; None if they differ."""
    records = [checkpoints.load_record(path) or {} for path in models]
    sources = [record.get("validation_faces") for record in records]
    return sources[0] if all(source == sources[0] for source in sources) else None
