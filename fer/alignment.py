"""Cut a face as FER2013's are: in a square of its size and place, its eyes level.

Needs requirements-photos.txt. Places are measured as in fer.detection.
"""

import math

import cv2
import numpy as np

from fer.detection import find_faces
from fer.faces import IMAGE_SIZE
from fer.recognition import Cuts

# Of the 48x48 frame, x and y.
CENTRE = np.array([IMAGE_SIZE / 2, IMAGE_SIZE / 2])
# x and y, in that frame, of the eyes, the tip of the nose and the corners of the
# mouth: the medians that experiments/measure_landmarks.py finds in FER2013.
PLACES = np.array(
    [(15.0, 18.3), (32.4, 18.1), (23.4, 28.5), (17.0, 35.6), (31.1, 35.4)]
)
# How many times the longer side of YuNet's box that frame is wide, in the same median.
BOXES_WIDE = 0.995
# A mean over squares of more pixels than this takes memory and shows no difference.
FINEST = 64


def cut_faces(detector, picture):
    """Find the faces of a picture and cut them out.

    Args:
        detector: of fer.detection.load_detector.
        picture: uint8 (height, width, 3), RGB.

    Returns:
        `Cuts`, the largest face first.
    """
    found = find_faces(detector, picture)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    faces = []
    for box, points in zip(found.boxes, found.points, strict=True):
        faces.append(straighten(grey, compute_frame(box, points)))
    images = np.array(faces, dtype=np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 1)
    return Cuts(found.boxes, found.scores, images)


def compute_frame(box, points):
    """Lay FER2013's frame over a face: where its box is, turned as its points are.

    The points alone would say where and how large it is as well, and err by more: they
    move when the head turns or the mouth opens.

    Args:
        box: float (4,), x, y, width and height.
        points: float (5, 2), of fer.detection.

    Returns:
        A frame, as of `build_frame`.
    """
    turn = np.angle(fit_places(points))
    return build_frame(box[:2] + box[2:] / 2, BOXES_WIDE * max(box[2:]), turn)


def fit_places(points):
    """Turn and scale the five places so that they come closest to points.

    Args:
        points: float (5, 2).

    Returns:
        A complex number: with x + iy for a place, to turn and to scale is to multiply
        by it. The least squares leave a shift between the two means.
    """
    places, targets = PLACES @ [1, 1j], points @ [1, 1j]
    centred = places - places.mean()
    return (centred.conj() @ targets) / (centred.conj() @ centred)


def build_frame(centre, side, turn=0.0):
    """A square in a picture, as a matrix from places in the 48x48 frame to its own.

    Args:
        centre: x and y in the picture.
        side: of the square, in pixels of the picture.
        turn: clockwise, in radians.

    Returns:
        float (2, 3), takes a place (x, y, 1) of the frame to one of the picture.
    """
    cosine, sine = np.cos(turn), np.sin(turn)
    matrix = side / IMAGE_SIZE * np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([matrix, centre - matrix @ CENTRE])


def crop(picture, frame):
    """The part of a picture around a frame, and the frame in the part.

    OpenCV turns no picture with a side of more than 32,766 pixels, as stitched
    photographs have.
    """
    side = IMAGE_SIZE
    corners = frame @ [[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]]
    limits = np.array(picture.shape[1::-1])
    start = np.clip(np.floor(corners.min(axis=1)).astype(int) - 2, 0, limits - 1)
    end = np.clip(np.ceil(corners.max(axis=1)).astype(int) + 2, start + 1, limits)
    part = picture[start[1] : end[1], start[0] : end[0]]
    return part, np.column_stack([frame[:, :2], frame[:, 2] - start])


def straighten(picture, frame):
    """Cut what lies under a frame out of a picture, its edges repeated beyond them.

    Args:
        picture: uint8 (height, width).
        frame: of `build_frame`.

    Returns:
        uint8 (48, 48).
    """
    picture, frame = crop(picture, frame)
    # First about as many pixels as the picture has there, then the mean over squares of
    # them: nothing of the picture is skipped, so that nothing aliases.
    finer = math.ceil(np.clip(np.hypot(*frame[:, 0]), 1, FINEST))
    matrix = frame / [finer, finer, 1]
    turned = cv2.warpAffine(
        picture,
        convert_for_opencv(matrix),
        (IMAGE_SIZE * finer, IMAGE_SIZE * finer),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    sides = (IMAGE_SIZE, IMAGE_SIZE)
    return cv2.resize(turned, sides, interpolation=cv2.INTER_AREA)


def convert_for_opencv(matrix):
    """A map, (2, 3), as OpenCV takes it: measured from the first pixel's centre.

    Here points are measured from its corner.
    """
    shift = matrix[:, :2].sum(axis=1) / 2 - 0.5
    return np.column_stack([matrix[:, :2], matrix[:, 2] + shift])
