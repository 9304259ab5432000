"""What was found in pictures, as rows of faces.csv and in words."""

from collections import Counter

import numpy as np

from fer.faces import EMOTIONS

PLACE = ("x", "y", "width", "height")
COLUMNS = ("picture", "second", "face", *PLACE, "score", "emotion", *EMOTIONS)
TOO_SMALL = "too small"
# More faces than this are counted, not listed.
NUM_LISTED = 4


def list_rows(picture, second, cuts, probabilities):
    """Build the rows of one picture.

    Args:
        picture: what the first column says.
        second: of a film, or None.
        cuts: fer.recognition.Cuts.
        probabilities: float (n, 7), NaN where a face is too small.

    Returns:
        n lists of as many values as `COLUMNS`; what is not known is None.
    """
    rows = []
    numbers = zip(cuts.boxes, cuts.scores, probabilities, strict=True)
    for face, (box, score, shares) in enumerate(numbers, start=1):
        is_known = np.isfinite(shares[0])
        rows.append(
            [
                picture,
                None if second is None else f"{second:.2f}",
                face,
                *(round(value) for value in box),
                f"{score:.3f}" if np.isfinite(score) else None,
                EMOTIONS[shares.argmax()] if is_known else None,
                *(f"{share:.4f}" if is_known else None for share in shares),
            ]
        )
    return rows


def name_face(shares):
    """The likeliest emotion of a face, or that it is too small."""
    return EMOTIONS[shares.argmax()] if np.isfinite(shares[0]) else TOO_SMALL


def describe_face(shares):
    """The likeliest emotion of a face and its probability, as "happy 0.93"."""
    name = name_face(shares)
    return name if name == TOO_SMALL else f"{name} {shares.max():.2f}"


def describe_faces(probabilities):
    """What a picture holds, as "2 faces: happy 0.93, sad 0.41"."""
    if len(probabilities) > NUM_LISTED:
        return describe_names(map(name_face, probabilities))
    words = ", ".join(map(describe_face, probabilities))
    return f"{count_faces(len(probabilities))}{': ' if words else ''}{words}"


def describe_rows(rows):
    """What the rows of a table hold, as "5 faces: 3 sad, 1 happy, 1 too small"."""
    column = COLUMNS.index("emotion")
    return describe_names(row[column] or TOO_SMALL for row in rows)


def describe_names(names):
    """How many faces got which name, the most frequent first."""
    counts = Counter(names)
    words = ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
    return f"{count_faces(counts.total())}{': ' if words else ''}{words}"


def count_faces(count):
    """A number of faces in words."""
    return {0: "no face", 1: "1 face"}.get(count, f"{count:,} faces")
