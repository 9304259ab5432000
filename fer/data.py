"""Faces on disk -> arrays: three CSV dialects, folders of pictures, the seeded split.

Images are always uint8 of shape (n, 48, 48, 1) in [0, 255]; labels are integers
0..6 that index `EMOTIONS`.
"""

import csv
import dataclasses
import functools
import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split

from fer.command import InputError

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
IMAGE_SIZE = 48
NUM_PIXELS = IMAGE_SIZE * IMAGE_SIZE
# What fer2013.csv writes into its Usage column; only the first may train.
USAGES = ("Training", "PublicTest", "PrivateTest")
# The contest says label and feature, Kaggle's two other files emotion and pixels.
COLUMNS = {
    "label": "label",
    "emotion": "label",
    "feature": "pixels",
    "pixels": "pixels",
    "id": "id",
    "usage": "usage",
}
LABELS = {str(label).encode(): label for label in range(len(EMOTIONS))}
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
GZIP_MAGIC = b"\x1f\x8b"


@dataclasses.dataclass(frozen=True)
class Faces:
    """The faces of one file or folder, in its order.

    Attributes:
        images: uint8 (n, 48, 48, 1) in [0, 255].
        labels: int64 (n,) in 0..6, or None where the source has none.
        ids: n unique strings, or None where the source has none.
        usages: n strings out of `USAGES`, or None where the source has none.
    """

    images: np.ndarray
    labels: np.ndarray | None
    ids: list | None = None
    usages: list | None = None

    def take(self, rows):
        """The faces of the chosen rows."""
        return Faces(
            self.images[rows],
            None if self.labels is None else self.labels[rows],
            None if self.ids is None else [self.ids[row] for row in rows],
            None if self.usages is None else [self.usages[row] for row in rows],
        )


def load_training_faces(path):
    """Load labelled faces: `label,feature`, Kaggle's two files, or `<emotion>/*.png`.

    Of a file with a Usage column only the rows marked Training are returned.

    Returns:
        images: uint8 (n, 48, 48, 1).
        labels: int64 (n,) in 0..6.

    Raises:
        InputError: naming file, row, what was expected, found and how to fix it.
    """
    faces = read(path)
    if faces.labels is None:
        raise InputError(
            f"{path}: expected a training file with the columns label,feature, found "
            "no labels; a test file goes to predict.py --test"
        )
    if faces.usages is not None:
        rows = [row for row, usage in enumerate(faces.usages) if usage == USAGES[0]]
        if not rows:
            raise InputError(
                f"{path}: expected rows whose Usage is {USAGES[0]}, found none; "
                "get the complete fer2013.csv"
            )
        faces = faces.take(rows)
    if len(np.unique(faces.labels)) < 2:
        emotion = EMOTIONS[faces.labels[0]]
        raise InputError(
            f"{path}: expected faces of at least two emotions, found only {emotion}; "
            "there is nothing to learn to tell apart"
        )
    return faces.images, faces.labels


def load_test_faces(path):
    """Load the faces to predict: `id,feature`, Kaggle's two files, or a folder.

    Of a file with a Usage column the rows that are not Training are returned.
    Where the source brings no ids they count from 0 in its order.

    Returns:
        Faces with ids, and with labels and usages where the source has them.

    Raises:
        InputError: naming file, row, what was expected, found and how to fix it.
    """
    faces = read(path)
    if faces.usages is not None:
        rows = [row for row, usage in enumerate(faces.usages) if usage != USAGES[0]]
        if not rows:
            raise InputError(
                f"{path}: expected rows whose Usage is {' or '.join(USAGES[1:])}, "
                f"found only {USAGES[0]}; get the complete fer2013.csv"
            )
        faces = faces.take(rows)
    elif faces.labels is not None and Path(path).is_file():
        raise InputError(
            f"{path}: expected a test file with the columns id,feature, found labels; "
            "a training file goes to --train of a training script"
        )
    if faces.ids is None:
        numbers = [str(number) for number in range(len(faces.images))]
        faces = dataclasses.replace(faces, ids=numbers)
    return faces


def read(path):
    """Read every face of a CSV file or a folder of pictures into `Faces`."""
    path = Path(path)
    if path.is_dir():
        return read_folder(path)
    if not path.is_file():
        raise InputError(
            f"{path}: expected a CSV file or a folder of pictures, found nothing; "
            "data/README.md says where to get it, draw_faces.py draws a stand-in"
        )
    try:
        with open_plain(path) as file:
            return read_csv(path, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: expected a complete gzip file, found a damaged one ({error}); "
            "download it again"
        ) from error


def open_plain(path):
    """Open a file for reading bytes, unpacking gzip whatever the file is called."""
    with open(path, "rb") as file:
        packed = file.read(2) == GZIP_MAGIC
    return gzip.open(path, "rb") if packed else open(path, "rb")


def read_csv(path, file):
    """Read the rows of an open CSV file, checking each one."""
    columns = read_header(path, file.readline())
    values = {column: [] for column in columns}
    row = 0
    for line_number, line in enumerate(file, start=2):
        line = line.rstrip(b"\r\n")
        if not line:
            continue
        row += 1
        where = f"{path}, row {row} (line {line_number})"
        # A blank to NumPy, the end of the row to every other reader of CSV.
        if b"\r" in line:
            raise InputError(
                f"{where}: expected one row, found a carriage return inside; "
                "fix or delete the row"
            )
        fields = split_fields(where, line)
        if len(fields) != len(columns):
            raise InputError(
                f"{where}: expected {len(columns)} columns, found {len(fields)}; "
                "fix or delete the row"
            )
        for column, field in zip(columns, fields, strict=True):
            values[column].append(PARSERS[column](where, field))
    if row == 0:
        raise InputError(
            f"{path}: expected faces below the header, found none; download it again"
        )
    if "id" in values:
        check_unique(path, values["id"])
    return Faces(
        images=np.stack(values["pixels"]).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 1),
        labels=np.array(values["label"]) if "label" in values else None,
        ids=values.get("id"),
        usages=values.get("usage"),
    )


def read_header(path, line):
    """Turn the first line of a CSV file into this project's column names."""
    if not line:
        raise InputError(
            f"{path}: expected a CSV file, found an empty one; download it again"
        )
    expected = "label,feature or id,feature (or Kaggle's emotion,pixels,Usage)"
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
        [names] = csv.reader([text], skipinitialspace=True, strict=True)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: expected the header {expected}, found bytes that are no text; "
            "give the CSV file, unpacked"
        ) from error
    columns = [COLUMNS.get(name.strip().lower()) for name in names]
    complete = "pixels" in columns and None not in columns
    if not complete or len(set(columns)) < len(columns):
        found = ",".join(names).strip()
        found = found if len(found) <= 60 and found.isprintable() else "something else"
        raise InputError(
            f"{path}: expected the header {expected}, found {found}; "
            "add or fix the first line"
        )
    return columns


def split_fields(where, line):
    """Split a line at its commas; only one with quotes needs the slow csv module."""
    if b'"' not in line:
        return line.split(b",")
    try:
        # Latin-1 maps every byte to one character and back; digits need no more.
        [fields] = csv.reader([line.decode("latin-1")], strict=True)
    except csv.Error as error:
        raise InputError(
            f"{where}: expected balanced quotes, found {error}; fix or delete the row"
        ) from error
    return [field.encode("latin-1") for field in fields]


def parse_label(where, field):
    """One label, 0..6."""
    label = LABELS.get(field.strip())
    if label is None:
        raise InputError(
            f"{where}: expected a label from 0 to {len(EMOTIONS) - 1}, found "
            f"{shorten(field)}; fix or delete the row"
        )
    return label


def parse_pixels(where, field):
    """2,304 grey levels separated by spaces -> uint8 (2304,)."""
    try:
        # As int64: a narrower type would silently wrap 300 to 44.
        pixels = np.fromstring(field, dtype=np.int64, sep=" ")
    except ValueError as error:
        raise InputError(
            f"{where}: expected whole numbers separated by spaces, found "
            f"{shorten(first_foreign(field))}; fix or delete the row"
        ) from error
    if len(pixels) != NUM_PIXELS:
        raise InputError(
            f"{where}: expected {NUM_PIXELS} pixels, found {len(pixels)}; "
            "fix or delete the row"
        )
    if pixels.min() < 0 or pixels.max() > 255:
        wrong = pixels[(pixels < 0) | (pixels > 255)][0]
        raise InputError(
            f"{where}: expected pixels from 0 to 255, found {wrong}; "
            "fix or delete the row"
        )
    return pixels.astype(np.uint8)


def parse_id(where, field):
    """One id, kept as it is written: it goes into the submission."""
    try:
        identity = field.strip().decode("utf-8")
    except UnicodeDecodeError:
        identity = ""
    if not identity or not identity.isprintable() or set(identity) & set(',"'):
        raise InputError(
            f"{where}: expected an id, found {shorten(field)}; fix or delete the row"
        )
    return identity


def parse_usage(where, field):
    """One entry of the Usage column."""
    usage = field.strip().decode("latin-1")
    if usage not in USAGES:
        raise InputError(
            f"{where}: expected a Usage of {', '.join(USAGES)}, found "
            f"{shorten(field)}; fix or delete the row"
        )
    return usage


PARSERS = {
    "label": parse_label,
    "pixels": parse_pixels,
    "id": parse_id,
    "usage": parse_usage,
}


def first_foreign(field):
    """The first word of a field that is no whole number."""
    words = field.split()
    return next((word for word in words if not word.isdigit()), field)


def shorten(field):
    """A field as it can stand in a one-line message."""
    text = repr(field.decode("latin-1"))
    return text if len(text) <= 24 else f"{text[:20]}...'"


def check_unique(path, ids):
    """Refuse a file that names one id twice."""
    seen = {}
    for row, identity in enumerate(ids, start=1):
        if identity in seen:
            raise InputError(
                f"{path}, row {row}: expected every id once, found {identity} again "
                f"(first in row {seen[identity]}); delete one of the rows"
            )
        seen[identity] = row


def read_folder(path):
    """Read `path/<emotion>/*.jpg|png`, or unlabelled pictures straight in `path`."""
    folders = sorted(
        entry.name
        for entry in path.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    )
    unknown = [name for name in folders if name.lower() not in EMOTIONS]
    if unknown:
        raise InputError(
            f"{path}: expected folders named {', '.join(EMOTIONS)}, found "
            f"{unknown[0]}; give the folder that holds the emotions, such as data/train"
        )
    pictures = sorted(
        picture
        for folder in [path / name for name in folders] or [path]
        for picture in folder.iterdir()
        if picture.suffix.lower() in PICTURE_SUFFIXES
    )
    if not pictures:
        raise InputError(
            f"{path}: expected pictures in folders named {', '.join(EMOTIONS)}, found "
            "none; data/README.md shows the folder form"
        )
    labels = None
    if folders:
        names = [picture.parent.name.lower() for picture in pictures]
        labels = np.array([EMOTIONS.index(name) for name in names])
    return Faces(
        images=np.stack([read_picture(picture) for picture in pictures])[..., None],
        labels=labels,
    )


def read_picture(path):
    """Read one picture as grey levels, uint8 (48, 48)."""
    try:
        with Image.open(path) as picture:
            size, face = picture.size, np.asarray(picture.convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: expected a picture, found a damaged file; replace or delete it"
        ) from error
    if size != (IMAGE_SIZE, IMAGE_SIZE):
        raise InputError(
            f"{path}: expected {IMAGE_SIZE}x{IMAGE_SIZE} pixels, found "
            f"{size[0]}x{size[1]}; cut the face out and resize it"
        )
    return face


def group_copies(images):
    """Number the distinct images: int64 (n,), equal where the pixels are equal."""
    rows = np.ascontiguousarray(images.reshape(len(images), -1))
    keys = rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
    return np.unique(keys, return_inverse=True)[1]


def split(images, labels, fraction, seed):
    """Split rows into a training and a validation part, stratified and seeded.

    FER2013 holds 1,853 surplus exact copies; identical images stay on one side,
    or the validation part would reward remembering. The draw is among distinct
    images, each with the label of its first copy.

    Args:
        images: uint8 (n, 48, 48, 1).
        labels: int (n,).
        fraction: share of the validation part, in [0, 1); 0 keeps every row.
        seed: the same seed gives the same rows.

    Returns:
        Two sorted int arrays of row numbers, training and validation.

    Raises:
        InputError: too few distinct faces to leave some of each emotion on both sides.
    """
    if fraction == 0:
        return np.arange(len(images)), np.arange(0)
    groups = group_copies(images)
    distinct, first_rows = np.unique(groups, return_index=True)
    try:
        _, held_out = train_test_split(
            distinct, test_size=fraction, stratify=labels[first_rows], random_state=seed
        )
    except ValueError as error:
        raise InputError(
            f"cannot hold out {fraction:.0%} of {len(distinct)} distinct faces with "
            f"every emotion on both sides ({error}); give more faces or --validation 0"
        ) from error
    is_validation = np.isin(groups, held_out)
    return np.flatnonzero(~is_validation), np.flatnonzero(is_validation)


# The validation part is the same for every --seed, so that runs can be compared and
# averaged.
SPLIT_SEED = 0


@dataclasses.dataclass(frozen=True)
class Split:
    """The faces of a run, some of them held out.

    Attributes:
        images: uint8 (n, 48, 48, 1).
        labels: int (n,).
        train_rows, validation_rows: sorted int arrays that share no row.
    """

    images: np.ndarray
    labels: np.ndarray
    train_rows: np.ndarray
    validation_rows: np.ndarray

    @functools.cached_property
    def train_images(self):
        return self.images[self.train_rows]

    def targets(self, rows):
        """One-hot labels of some rows, float32 (n, 7)."""
        return np.eye(len(EMOTIONS), dtype="float32")[self.labels[rows]]

    @property
    def fingerprint(self):
        """The sha256 by which a record names its faces: pixels, then labels."""
        return hashlib.sha256(self.images.tobytes() + self.labels.tobytes()).hexdigest()


def load_split(path, validation):
    """Load labelled faces and hold out a share of them as the validation part."""
    images, labels = load_training_faces(path)
    return Split(images, labels, *split(images, labels, validation, SPLIT_SEED))
