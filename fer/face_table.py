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


def describe_face(shares):
    """The likeliest emotion of a face and its probability, as "happy 0.93"."""
    if not np.isfinite(shares[0]):
        return TOO_SMALL
    return f"{EMOTIONS[shares.argmax()]} {shares.max():.2f}"


def describe_faces(probabilities):
    """What a picture holds, as "2 faces: happy 0.93, sad 0.41"."""
    count = len(probabilities)
    if count == 0:
        return "no face"
    heading = f"{count:,} face{'s' if count > 1 else ''}"
    if count > NUM_LISTED:
        return f"{heading}: {describe_counts(probabilities)}"
    return f"{heading}: {', '.join(map(describe_face, probabilities))}"


def describe_counts(probabilities):
    """How many faces got which emotion, as "12 happy, 3 sad, 1 too small"."""
    known = probabilities[np.isfinite(probabilities[:, 0])]
    counts = Counter(EMOTIONS[emotion] for emotion in known.argmax(axis=1))
    counts[TOO_SMALL] = len(probabilities) - len(known)
    return ", ".join(
        f"{count:,} {name}" for name, count in counts.most_common() if count
    )
