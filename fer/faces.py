"""What a face is here: 48x48 grey levels, one of seven emotions, an id, a Usage."""

import dataclasses
import hashlib
import re
from collections import Counter

import numpy as np

from fer.command import InputError

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
IMAGE_SIZE = 48
NUM_PIXELS = IMAGE_SIZE * IMAGE_SIZE
# What fer2013.csv writes into its Usage column; only the first may train.
USAGES = ("Training", "PublicTest", "PrivateTest")
# Words that name an emotion beyond doubt, as other data sets write them.
WORDS = {
    "angry": ("angry", "anger"),
    "disgust": ("disgust", "disgusted"),
    "fear": ("fear", "fearful", "afraid", "scared"),
    "happy": ("happy", "happiness", "joy", "joyful"),
    "sad": ("sad", "sadness"),
    "surprise": ("surprise", "surprised"),
    "neutral": ("neutral", "neutrality"),
}
NUMBERS = {
    word: EMOTIONS.index(emotion) for emotion, words in WORDS.items() for word in words
}
# How many faces of FER2013 show each emotion, by which its labels are recognized: the
# part that trains, the public and the private part of the test, both, and all three.
KNOWN_COUNTS = (
    (3995, 436, 4097, 7215, 4830, 3171, 4965),
    (467, 56, 496, 895, 653, 415, 607),
    (491, 55, 528, 879, 594, 416, 626),
    (958, 111, 1024, 1774, 1247, 831, 1233),
    (4953, 547, 5121, 8989, 6077, 4002, 6198),
)
# Other words for the three parts, in any case.
USAGE_WORDS = {
    "Training": ("training", "train"),
    "PublicTest": ("publictest", "public", "validation", "valid", "val", "dev"),
    "PrivateTest": ("privatetest", "private", "test", "testing"),
}
# How many of the things that are left out or wrong a message names.
NUM_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Faces:
    """The faces of one file or folder, in its order.

    Attributes:
        images: uint8 (n, 48, 48, 1) in [0, 255], or None in a file of labels alone.
        labels: int64 (n,) in 0..6, -1 where unknown, or None where there are none.
        ids: n strings, or None where the source has none.
        usages: n strings out of `USAGES`, or None where the source has none.
    """

    images: np.ndarray | None
    labels: np.ndarray | None
    ids: list | None = None
    usages: list | None = None

    def take(self, rows):
        """The faces of the chosen rows, a list or an int array."""
        return Faces(
            None if self.images is None else self.images[rows],
            None if self.labels is None else self.labels[rows],
            None if self.ids is None else [self.ids[row] for row in rows],
            None if self.usages is None else [self.usages[row] for row in rows],
        )

    def find_usages(self, usages):
        """The rows whose Usage is one of these, as a list."""
        return [row for row, usage in enumerate(self.usages) if usage in usages]

    def list_labelled(self):
        """Which faces have a label, bool (n,): a dict by Usage, or under one name."""
        known = self.labels >= 0
        if self.usages is None:
            return {"known labels": known}
        usages = np.array(self.usages)
        named = sorted(set(self.usages) - {None})
        return {usage: known & (usages == usage) for usage in named}


def shape_images(levels):
    """The bytes of many faces, 2,304 grey levels each -> uint8 (n, 48, 48, 1)."""
    images = np.frombuffer(levels, dtype=np.uint8)
    return images.reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 1)


def compute_fingerprint(images, labels):
    """The sha256 by which a record names its faces: pixels, then labels."""
    digest = hashlib.sha256(np.ascontiguousarray(images))
    digest.update(np.ascontiguousarray(labels))
    return digest.hexdigest()


def find_emotion(name):
    """The label 0..6 that a word names, in any case, with digits in front; else None.

    A number by itself is no name: what it stands for differs between data sets.
    """
    word = re.sub(r"^\d+[\s_.-]*", "", name.strip()).casefold()
    return NUMBERS.get(word)


def find_usage(word):
    """The Usage out of `USAGES` that a word means, in any case; else None."""
    folded = word.strip().casefold()
    matches = (usage for usage, words in USAGE_WORDS.items() if folded in words)
    return next(matches, None)


def check_unique(where, ids, rows):
    """Refuse a source that names one id twice.

    Args:
        where: its path.
        ids: n strings.
        rows: n numbers or names by which the message calls them.
    """
    seen = {}
    for row, identity in zip(rows, ids, strict=True):
        if identity in seen:
            raise InputError(
                f"{where}, row {row}: expected every id once, found {identity} again "
                f"(first in row {seen[identity]}); delete one of the rows"
            )
        seen[identity] = row


class Classes:
    """The names of classes that a source uses: emotions, ignored ones and foreign ones.

    Args:
        ignore: names of classes to leave out, emotions or not.
    """

    def __init__(self, ignore=()):
        self.ignored_keys = {self.find_key(name): name for name in ignore}
        self.ignored = Counter()
        self.foreign = Counter()

    @staticmethod
    def find_key(name):
        """What two spellings of a class share: the label, else the folded name."""
        label = find_emotion(name)
        return name.strip().casefold() if label is None else label

    def find_label(self, name, faces=1):
        """The label of a class of so many faces; None if it is ignored or foreign."""
        key = self.find_key(name)
        if key in self.ignored_keys:
            self.ignored[self.ignored_keys[key]] += faces
        elif isinstance(key, int):
            return key
        else:
            self.foreign[name.strip()] += faces
        return None

    def check_met(self, where):
        """Refuse to ignore what is not there, which is a typing error."""
        for name in self.ignored_keys.values():
            if name not in self.ignored:
                raise InputError(
                    f"{where}: expected a class of its own for --ignore, found no "
                    f"{name}; name one that is there"
                )

    def check(self, where):
        """Refuse foreign classes, all at once; say which ones were ignored."""
        if self.foreign:
            raise InputError(
                f"{where}: expected the emotions {', '.join(EMOTIONS)}, found also "
                f"{list_counts(self.foreign)}; rename what means one of the seven, "
                f"leave out the others with --ignore {' '.join(self.foreign)}"
            )
        if self.ignored:
            print(f"{where}: ignored {list_counts(self.ignored)}")


def list_counts(counts):
    """Names with numbers of faces, as text."""
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items())


def list_some(names):
    """The first few of many names, as text."""
    names = list(names)
    listed = ", ".join(map(str, names[:NUM_NAMED]))
    more = len(names) - NUM_NAMED
    return f"{listed} and {more:,} more" if more > 0 else listed


def describe_emotions(labels):
    """Say how many faces show which emotion, and what is strange about it.

    Args:
        labels: int (n,) in 0..6, or -1 where unknown.

    Returns:
        Lines for the terminal.
    """
    counts = np.bincount(labels[labels >= 0], minlength=len(EMOTIONS)).tolist()
    numbers = zip(EMOTIONS, counts, strict=True)
    lines = [f"emotions  {', '.join(f'{name} {n:,}' for name, n in numbers)}"]
    for known in KNOWN_COUNTS:
        if counts != list(known) and sorted(counts) == sorted(known):
            moved = ", ".join(
                f"{label} counts as {EMOTIONS[known.index(count)]}"
                for label, count in enumerate(counts)
                if count != known[label]
            )
            lines.append(
                f"warning: these are FER2013's counts in another order ({moved}); "
                "here 0 to 6 mean " + ", ".join(EMOTIONS)
            )
    return lines
