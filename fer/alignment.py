"""Cut a face as FER2013's are: five points of it to the places that they have there.

Needs requirements-photos.txt. Places are measured as in fer.detection.
"""

import math

import cv2
import numpy as np

from fer.detection import find_faces
from fer.faces import IMAGE_SIZE
from fer.recognition import Cuts

# x and y, in the 48x48 frame, of the eyes, the tip of the nose and the corners of the
# mouth: the medians that experiments/measure_landmarks.py finds in FER2013.
PLACES = np.array(
    [(15.0, 18.3), (32.4, 18.1), (23.4, 28.5), (17.0, 35.6), (31.1, 35.4)]
)


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
    faces = [cut_face(grey, compute_frame(points)) for points in found.points]
    images = np.array(faces, dtype=np.uint8).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 1)
    return Cuts(found.boxes, found.scores, images)


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


def cut_face(grey, frame):
    """Cut the face under a frame out of a picture, with edges repeated beyond them.

    Args:
        grey: uint8 (height, width).
        frame: of `compute_frame`.

    Returns:
        uint8 (48, 48).
    """
    # First about as many pixels as the picture has there, then the mean over squares of
    # them: nothing of the picture is skipped, so that nothing aliases.
    factor = max(1, math.ceil(np.hypot(*frame[:, 0])))
    matrix = frame / [factor, factor, 1]
    # OpenCV measures from the centre of the first pixel.
    matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    side = factor * IMAGE_SIZE
    turned = cv2.warpAffine(
        grey,
        matrix,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.resize(turned, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA)
