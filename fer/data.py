"""Faces on disk -> arrays, and the seeded split into training and validation.

Images are always uint8 of shape (n, 48, 48, 1) in [0, 255]; labels are integers
0..6 that index `EMOTIONS`. What the files may look like stands in data/README.md;
`fer.sources` reads them.
"""

import dataclasses
import functools
import itertools
from pathlib import Path

import numpy as np

from fer.command import InputError
from fer.faces import EMOTIONS, Classes, Faces, compute_fingerprint
from fer.held_out import find_copies, load_source, read_fold
from fer.sources import choose_test, choose_training, locate, print_emotions, read

# Of the training faces, unless --validation says otherwise. Faces are worth more than a
# surer choice of the epoch (experiments/README.md, a ninth of the faces less).
VALIDATION_SHARE = 0.05
# The validation part is the same for every --seed, so that runs can be compared and
# averaged.
SPLIT_SEED = 0


def load_training_faces(path, ignore=()):
    """Load labelled faces: `label,feature`, Kaggle's two files, or `<emotion>/*.png`.

    Of a file with a Usage column only the rows marked Training are returned. Prints
    the faces per emotion.

    Args:
        path: of a CSV file, an archive with one, or a folder.
        ignore: names of classes to leave out.

    Returns:
        images: uint8 (n, 48, 48, 1).
        labels: int64 (n,) in 0..6.

    Raises:
        InputError: naming file, row, what was expected, found and how to fix it.
    """
    faces = load_split(path, 0, ignore)
    return faces.images, faces.labels


def load_test_faces(path, ignore=(), labels=None):
    """Load the faces to predict, from all that `load_training_faces` takes and more.

    Of a file with a Usage column the rows that are not Training are returned. Where
    the source brings no ids they count from 0 in its order. Prints the faces per
    emotion where it brings labels.

    Args:
        path: of a CSV file, an archive with one, or a folder.
        ignore: names of classes to leave out.
        labels: path of another source that knows labels, as for `load_labels`.

    Returns:
        Faces with unique ids, and with labels and usages where the source has them.

    Raises:
        InputError: naming file, row, what was expected, found and how to fix it.
    """
    path, classes = locate(path), Classes(ignore)
    faces = choose_test(path, read(path, classes, unique=True))
    if faces.labels is not None:
        print_emotions(faces.labels)
    where = path
    if labels:
        classes_of_labels = Classes(ignore)
        faces = load_labels(labels, faces, classes_of_labels)
        classes.ignored += classes_of_labels.ignored
        where = f"{path} and {labels}"
    classes.check_met(where)
    return faces


def load_labelled_test_faces(path, ignore=(), labels=None):
    """As `load_test_faces`, but refuses faces of which no label is known."""
    faces = load_test_faces(path, ignore, labels)
    if faces.labels is None:
        raise InputError(
            f"{path}: expected labelled faces, found none with a label; name their "
            "labels with --labels"
        )
    return faces


def load_labels(path, faces, classes=None):
    """Give test faces the labels that another source knows: id,label, or faces as well.

    Args:
        path: of the labels, in any form that the faces may have.
        faces: as `load_test_faces` returns them.
        classes: `fer.faces.Classes`, by default the seven emotions alone.

    Returns:
        The faces with labels, -1 where the source names none, and with its usages
        (None where it names none) if they had none of their own.

    Raises:
        InputError: the source has no labels, an id that is not among the faces, or
            another face under an id.
    """
    known = read(path, classes, needed="label", unique=True)
    if known.labels is None or (known.ids is None and known.images is None):
        raise InputError(
            f"{path}: expected the columns id,label, found no "
            f"{'labels' if known.labels is None else 'ids'}; add them"
        )
    known = choose_test(path, known)
    rows = find_rows(path, known, faces)
    print_emotions(known.labels)
    labels, usages = np.full(len(faces.ids), -1), faces.usages
    labels[rows] = known.labels
    if usages is None and known.usages is not None:
        found = dict(zip(rows, known.usages, strict=True))
        usages = [found.get(row) for row in range(len(faces.ids))]
    return dataclasses.replace(faces, labels=labels, usages=usages)


def find_rows(path, known, faces):
    """The rows of the test faces that another source is about, found by their ids."""
    rows = {identity: row for row, identity in enumerate(faces.ids)}
    strange = [identity for identity in known.ids if identity not in rows]
    if strange:
        raise InputError(
            f"{path}: expected an id of the test faces, found {strange[0]!r} and "
            f"{len(strange) - 1:,} others; give the labels that belong to --test"
        )
    rows = [rows[identity] for identity in known.ids]
    if known.images is not None and (known.images != faces.images[rows]).any():
        raise InputError(
            f"{path}: expected the test faces, found others under the same ids; give "
            "the labels that belong to --test"
        )
    return rows


@dataclasses.dataclass(frozen=True)
class Split:
    """Faces to train on and faces held out, wherever those come from.

    Attributes:
        path: of the training faces.
        images: uint8 (n, 48, 48, 1), the faces that training may use.
        labels: int64 (n,) in 0..6.
        train_rows, validation_rows: sorted int arrays, which of them are for what.
        held_out: faces from elsewhere that take the place of `validation_rows`, or
            None.
        source: where those come from, with their fingerprint, or None.
    """

    path: Path
    images: np.ndarray
    labels: np.ndarray
    train_rows: np.ndarray
    validation_rows: np.ndarray
    held_out: Faces | None = None
    source: dict | None = None

    # Each is computed once, since choosing rows copies them.
    @functools.cached_property
    def train_images(self):
        whole = len(self.train_rows) == len(self.images)
        return self.images if whole else self.images[self.train_rows]

    @functools.cached_property
    def validation_images(self):
        if self.held_out is not None:
            return self.held_out.images
        return self.images[self.validation_rows]

    @property
    def train_labels(self):
        return self.labels[self.train_rows]

    @property
    def validation_labels(self):
        if self.held_out is not None:
            return self.held_out.labels
        return self.labels[self.validation_rows]

    @property
    def train_targets(self):
        return make_targets(self.train_labels)

    @property
    def validation_targets(self):
        return make_targets(self.validation_labels)

    @functools.cached_property
    def fingerprint(self):
        """The sha256 by which a record names its faces."""
        return compute_fingerprint(self.images, self.labels)

    def describe(self):
        """What a record says about the validation faces, for `load_recorded_faces`."""
        rows = {"validation_rows": self.validation_rows.tolist()}
        return (
            rows if self.source is None else {**rows, "validation_faces": self.source}
        )


def load_split(train, validation=VALIDATION_SHARE, ignore=()):
    """Load the faces to train on and those to hold out.

    Args:
        train: path of the training faces, as for `load_training_faces`.
        validation: a share in [0, 1) of them, a fold such as "3/10", a Usage of the
            same file out of `USAGES`, or the path of other labelled faces.
        ignore: names of classes to leave out.

    Raises:
        InputError: naming file, row, what was expected, found and how to fix it.
    """
    path, classes = locate(train), Classes(ignore)
    everything = read(path, classes)
    images, labels = choose_training(path, everything)
    fold, held_out, source = read_fold(validation), None, None
    if fold is not None:
        rows = split_fold(images, labels, *fold, SPLIT_SEED)
    elif isinstance(validation, str | Path):
        held_out, source = load_source(path, everything, validation, classes)
        copies = find_copies(held_out.images, images).sum()
        print(
            f"validate  on {len(held_out.images):,} faces of {validation}, of which "
            f"{copies:,} are copies of training faces"
        )
        rows = split(images, labels, 0, SPLIT_SEED)
    else:
        rows = split(images, labels, validation, SPLIT_SEED)
    classes.check_met(path if source is None else f"{path} and {validation}")
    return Split(path, images, labels, *rows, held_out, source)


def make_targets(labels):
    """One-hot labels, float32 (n, 7)."""
    return np.eye(len(EMOTIONS), dtype="float32")[labels]


def group_copies(images):
    """Number the distinct images: int64 (n,), equal where the pixels are equal.

    As `np.unique` does, without its copies of all images.
    """
    rows = np.ascontiguousarray(images.reshape(len(images), -1))
    order = np.argsort(rows.view(np.dtype((np.void, rows.shape[1]))).ravel())
    neighbours = itertools.pairwise(order)
    is_new = [(rows[row] != rows[other]).any() for row, other in neighbours]
    groups = np.zeros(len(rows), dtype=np.int64)
    groups[order[1:]] = np.cumsum(is_new)
    return groups


def split(images, labels, fraction, seed):
    """Split rows into a training and a validation part, stratified and seeded.

    Of FER2013's training faces 1,236 are copies; identical images stay on one side,
    or the validation part would reward remembering. The draw is among distinct
    images, each with the label of its first copy. Of a rare emotion the smaller part
    may get none.

    Args:
        images: uint8 (n, 48, 48, 1).
        labels: int (n,).
        fraction: share of the validation part, in [0, 1); 0 keeps every row.
        seed: the same seed gives the same rows.

    Returns:
        Two sorted int arrays of row numbers, training and validation.

    Raises:
        InputError: too few distinct faces to stratify them by emotion.
    """
    if fraction == 0:
        return np.arange(len(images)), np.arange(0)
    # Takes a second to import, in which a missing file is to be named.
    from sklearn.model_selection import train_test_split

    groups = group_copies(images)
    distinct, first_rows = np.unique(groups, return_index=True)
    try:
        _, held_out = train_test_split(
            distinct, test_size=fraction, stratify=labels[first_rows], random_state=seed
        )
    except ValueError as error:
        raise InputError(
            f"cannot hold out {fraction:g} of {len(distinct)} distinct faces with each "
            f"emotion's share of them ({error}); give more faces or hold out more, as "
            "--validation 0.2 does"
        ) from error
    is_validation = np.isin(groups, held_out)
    return np.flatnonzero(~is_validation), np.flatnonzero(is_validation)


def split_fold(images, labels, number, count, seed):
    """Split rows as `split` does, so that `count` validation parts cover every row.

    Args:
        images: uint8 (n, 48, 48, 1).
        labels: int (n,).
        number: of the fold to hold out, from 1 to count.
        count: of folds, at least 2.
        seed: the same seed gives the same folds.

    Raises:
        InputError: too few distinct faces to have some of each emotion in every fold.
    """
    from sklearn.model_selection import StratifiedKFold

    groups = group_copies(images)
    distinct, first_rows = np.unique(groups, return_index=True)
    fewest = np.unique(labels[first_rows], return_counts=True)[1].min()
    if fewest < count:
        raise InputError(
            f"cannot deal out {len(distinct)} distinct faces into {count} folds with "
            f"every emotion in each: of one there are {fewest}; give more faces or "
            "fewer folds"
        )
    folds = StratifiedKFold(count, shuffle=True, random_state=seed)
    parts = list(folds.split(distinct, labels[first_rows]))
    is_validation = np.isin(groups, distinct[parts[number - 1][1]])
    return np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
