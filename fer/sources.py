"""A path, whatever lies there -> faces: those that train, or those that test."""

import dataclasses
from pathlib import Path

import numpy as np

from fer import paths
from fer.archives import open_table, split_path
from fer.command import InputError
from fer.csv_faces import read_csv
from fer.faces import EMOTIONS, USAGES, Classes, describe_emotions, list_some
from fer.folder_faces import read_folder

# What is taken where a default file is missing: the same faces as others publish them.
STAND_INS = {
    paths.TRAIN_FACES: ("fer2013.csv", "icml_face_data.csv", "fer2013.tar.gz", "train"),
    paths.TEST_FACES: ("fer2013.csv", "icml_face_data.csv", "fer2013.tar.gz", "test"),
}


def locate(path):
    """The path that is read: the one given, or what lies in a default's place.

    Raises:
        InputError: nothing is there.
    """
    path = Path(path)
    others = [path.parent / name for name in STAND_INS.get(path, ())]
    found = [place for place in (path, *others) if split_path(place)[0].exists()]
    if not found:
        raise InputError(
            f"{path}: expected a CSV file or a folder of pictures, found nothing; "
            "data/README.md says where to get it, draw_faces.py draws a stand-in"
        )
    if found != [path]:
        beside = ", ".join(map(str, found[1:]))
        print(f"reading   {found[0]}{f', not {beside} beside it' if beside else ''}")
    return found[0]


def read(path, classes=None, needed="pixels", unique=False):
    """Read every face of a CSV file, an archive with one, or a folder of pictures.

    Args:
        path: of any of them.
        classes: `fer.faces.Classes`, by default the seven emotions alone.
        needed: "pixels", or "label" where a file of labels alone will do.
        unique: whether every id may stand there only once.

    Returns:
        Faces.
    """
    path, classes = locate(path), classes or Classes()
    if path.is_dir():
        faces = read_folder(path, classes, unique)
    else:
        with open_table(path) as (name, file):
            faces = read_csv(name, file, classes, needed, unique)
    if faces.images is not None and faces.images.max() == 1:
        raise InputError(
            f"{path}: expected pixels from 0 to 255, found none above 1; multiply them "
            "by 255 before they are rounded"
        )
    return faces


def choose_training(path, faces):
    """The images and labels of what may train; prints the faces per emotion."""
    if faces.labels is None:
        kind, found = "a training file with the columns label,feature", "no labels"
        if path.is_dir():
            kind = f"folders named {', '.join(EMOTIONS)}"
            folders = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
            found = list_some(folders) or "pictures outside of any"
        raise InputError(
            f"{path}: expected {kind}, found {found}; faces without labels go to "
            "predict.py --test"
        )
    if faces.usages is not None:
        rows = faces.find_usages(USAGES[:1])
        if not rows:
            raise InputError(
                f"{path}: expected rows whose Usage is {USAGES[0]}, found none; "
                "get the complete fer2013.csv"
            )
        faces = faces.take(rows)
    print_emotions(faces.labels)
    missing = np.setdiff1d(np.arange(len(EMOTIONS)), faces.labels)
    if len(missing) == len(EMOTIONS) - 1:
        raise InputError(
            f"{path}: expected faces of at least two emotions, found only "
            f"{EMOTIONS[faces.labels[0]]}; there is nothing to learn to tell apart"
        )
    if len(missing):
        names = ", ".join(EMOTIONS[label] for label in missing)
        print(
            f"warning: no face shows {names}; the network answers with seven emotions "
            "all the same, and hardly ever with these"
        )
    return faces.images, faces.labels


def choose_test(path, faces):
    """Of a source's faces those that are no training faces, each with an id."""
    if faces.usages is not None:
        rows = faces.find_usages(USAGES[1:])
        if not rows:
            raise InputError(
                f"{path}: expected rows whose Usage is {' or '.join(USAGES[1:])}, "
                f"found only {USAGES[0]}; get the complete fer2013.csv"
            )
        faces = faces.take(rows)
    if faces.ids is None:
        numbers = map(str, range(len(faces.images)))
        faces = dataclasses.replace(faces, ids=list(numbers))
    return faces


def print_emotions(labels):
    """Print the faces per emotion, which shows labels in another order."""
    for line in describe_emotions(labels):
        print(line)


def add_train_flags(parser):
    """The flags by which every script is told its labelled faces."""
    parser.add_argument(
        "--train",
        default=paths.TRAIN_FACES,
        metavar="PATH",
        help="labelled faces: a CSV file or a folder (default: %(default)s)",
    )
    add_ignore_flag(parser)


def list_train_flags(options):
    """The flags of `add_train_flags` as another script is given them, as texts."""
    ignore = ["--ignore", *options.ignore] if options.ignore else []
    return ["--train", str(options.train), *ignore]


def add_ignore_flag(parser):
    """The flag by which a script is told which classes to leave out."""
    parser.add_argument(
        "--ignore",
        nargs="+",
        default=(),
        metavar="NAME",
        help="leave out the faces of these classes, such as contempt (default: none)",
    )
