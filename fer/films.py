"""Films: one picture every so many seconds, and the emotions over time.

Needs requirements-photos.txt.
"""

import os
import time

import numpy as np

from fer import face_table, recognition
from fer.command import InputError
from fer.faces import EMOTIONS

try:
    import cv2
except ImportError as error:
    raise recognition.explain_missing(error) from error

# Seconds from one word on a long film to the next.
INTERVAL = 10
# By which moments of a film may be off, in seconds.
TOLERANCE = 1e-6


def read_moments(path, every):
    """Yield (second, uint8 RGB picture) of a film, the first and then `every` seconds.

    Raises:
        InputError: the film cannot be opened, or not one picture of it be read.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        # It ends the process.
        raise InputError(
            f"{path}: expected a name in UTF-8 for OpenCV, found another; rename the "
            "film"
        ) from error
    # What is wrong with a film is said below, in one line.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    # Only its decoder of films: others would take a name for a pattern or a camera.
    film = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    following = 0.0
    while film.grab():
        second = film.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if second + TOLERANCE < following:
            continue
        is_read, picture = film.retrieve()
        if is_read:
            yield second, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            # With a tolerance, for 0.6 // 0.2 is 2.
            following = ((second + TOLERANCE) // every + 1) * every
    film.release()
    if following == 0:
        raise InputError(
            f"{path}: expected a film, found a file that OpenCV cannot read; save it "
            "as MP4 with H.264"
        )


def recognize(recognizer, path, every, rows):
    """Recognize the faces of a film, and say now and then how far that is.

    Args:
        recognizer: fer.recognition.Recognizer.
        path: of the film.
        every: seconds from one picture to the next.
        rows: list, which gets those of fer.face_table.list_rows moment by moment.

    Returns:
        seconds: float (n,), when each of the faces was seen.
        probabilities: float (n, 7), NaN where a face is too small.

    Raises:
        InputError: the film cannot be read.
    """
    seconds, answers, shown = [], [], time.monotonic()
    for second, picture in read_moments(path, every):
        cuts, probabilities = recognizer.recognize(picture)
        rows += face_table.list_rows(path, second, cuts, probabilities)
        seconds += [second] * len(probabilities)
        answers.append(probabilities)
        if time.monotonic() - shown > INTERVAL:
            shown = time.monotonic()
            print(f"{path}: {second:,.0f} s so far, {len(seconds):,} faces", flush=True)
    return np.array(seconds), np.concatenate(answers)


def compute_means(seconds, probabilities):
    """Average the faces of each moment.

    Args:
        seconds: float (n,), of each face.
        probabilities: float (n, 7); NaN of a face that is too small counts nowhere.

    Returns:
        moments: float (m,), sorted, those with a face.
        means: float (m, 7).
    """
    readable = np.isfinite(probabilities[:, 0])
    moments, rows = np.unique(seconds[readable], return_inverse=True)
    sums = np.zeros((len(moments), len(EMOTIONS)))
    np.add.at(sums, rows, probabilities[readable])
    return moments, sums / np.bincount(rows, minlength=len(moments))[:, None]
