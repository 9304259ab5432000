"""Cut a face as FER2013's are: five points of it to the places that they have there.

Needs requirements-photos.txt. Places are measured as in fer.detection.
"""

import math

import cv2
import numpy as np

from fer.detection import SCORE, find_faces
from fer.faces import IMAGE_SIZE
from fer.recognition import Cuts

# x and y, in the 48x48 frame, of the eyes, the tip of the nose and the corners of the
# mouth: the medians that experiments/measure_landmarks.py finds in FER2013.
PLACES = np.array(
    [(15.0, 18.3), (32.4, 18.1), (23.4, 28.5), (17.0, 35.6), (31.1, 35.4)]
)
# How experiments/measure_landmarks.py shows faces to YuNet: so many times as large, and
# with so many pixels of the frame around them.
ZOOM = 4
MARGIN = 24
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
    for points in found.points:
        points = improve_points(detector, picture, points)
        faces.append(straighten(grey, compute_frame(points)))
    images = np.array(faces, dtype=np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 1)
    return Cuts(found.boxes, found.scores, images)


def improve_points(detector, picture, points):
    """Average the points of a face with those that YuNet finds in it laid straight.

    YuNet errs by a few degrees and pixels, at every size and turn of a face in another
    way, and here the face is as large as those in which `PLACES` were measured.

    Args:
        detector, picture: as for `cut_faces`.
        points: float (5, 2).

    Returns:
        float (5, 2).
    """
    frame = compute_frame(points)
    straight = straighten(picture, frame, ZOOM, MARGIN)
    rows = detector.detect(cv2.cvtColor(straight, cv2.COLOR_RGB2BGR), details=True)
    if not len(rows):
        return points
    surest = rows[rows[:, SCORE].argmax(), 4:SCORE].reshape(5, 2) / ZOOM - MARGIN
    if np.abs(surest - PLACES).max() > MARGIN / 2:
        # Another face, beside this one.
        return points
    return (points + surest @ frame[:, :2].T + frame[:, 2]) / 2


def compute_frame(points):
    """Lay FER2013's frame over a face: turned, scaled and shifted, never sheared.

    The five places in the frame come as close to the points as they can, by least
    squares.

    Args:
        points: float (5, 2), of fer.detection.

    Returns:
        float (2, 3), takes a place (x, y, 1) of the frame to one of the picture.
    """
    # With x + iy for a place, to turn and to scale is to multiply by one number.
    places, targets = PLACES @ [1, 1j], points @ [1, 1j]
    centred = places - places.mean()
    factor = (centred.conj() @ targets) / (centred.conj() @ centred)
    shift = targets.mean() - factor * places.mean()
    return np.array(
        [
            [factor.real, -factor.imag, shift.real],
            [factor.imag, factor.real, shift.imag],
        ]
    )


def straighten(picture, frame, zoom=1, margin=0):
    """Cut what lies under a frame out of a picture, with edges repeated beyond them.

    Args:
        picture: uint8 (height, width) or (height, width, 3).
        frame: of `compute_frame`.
        zoom: pixels of the result for one of the frame.
        margin: pixels of the frame that are added on each side.

    Returns:
        uint8 (side, side) or (side, side, 3), side = (48 + 2 * margin) * zoom.
    """
    # First about as many pixels as the picture has there, then the mean over squares of
    # them: nothing of the picture is skipped, so that nothing aliases.
    finer = zoom * math.ceil(np.clip(np.hypot(*frame[:, 0]), 1, FINEST) / zoom)
    matrix = frame / [finer, finer, 1]
    # OpenCV measures from the centre of the first pixel.
    matrix[:, 2] += matrix[:, :2].sum(axis=1) * (0.5 - finer * margin) - 0.5
    size = IMAGE_SIZE + 2 * margin
    turned = cv2.warpAffine(
        picture,
        matrix,
        (size * finer, size * finer),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    sides = (size * zoom, size * zoom)
    return cv2.resize(turned, sides, interpolation=cv2.INTER_AREA)
