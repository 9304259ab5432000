"""Measure where FER2013's faces have their eyes, nose and mouth.

    python -m experiments.measure_landmarks

Asks YuNet for the five points of 3,000 faces of --train, enlarged four times with their
edges repeated, and prints their medians, in pixels of the 48x48 frame from its upper
left corner; fer/alignment.py holds them as PLACES, and beside them how many of YuNet's
boxes the frame is wide. Draws the points into the mean of the faces. A minute on two
cores; needs requirements-photos.txt.
"""

from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np

from fer import command, data, figures, sources
from fer.detection import SCORE, load_detector
from fer.faces import IMAGE_SIZE
from fer.paths import PLOTS

NAMES = ("eye", "eye", "tip of the nose", "corner of the mouth", "corner of the mouth")
COUNT = 3000
# How faces are shown to YuNet: so many times as large, and with so many pixels of the
# frame around them.
ZOOM = 4
MARGIN = 24


def build_parser():
    parser = command.new_parser(__doc__)
    sources.add_train_flags(parser)
    parser.add_argument(
        "--seed", type=command.seed_number, default=0, help="of the draw of the faces"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=PLOTS / "landmarks.png",
        help="the figure (default: %(default)s)",
    )
    return parser


def find_points(images):
    """Find the surest face of each picture, in pixels of its frame.

    Args:
        images: uint8 (n, 48, 48, 1).

    Returns:
        points: float (m, 5, 2) of the m <= n pictures with a face.
        sides: float (m,), the longer sides of the boxes.
    """
    detector = load_detector()
    points, sides = [], []
    for image in images[..., 0]:
        framed = np.pad(image, MARGIN, mode="edge")
        enlarged = cv2.resize(
            framed, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC
        )
        rows = detector.detect(cv2.cvtColor(enlarged, cv2.COLOR_GRAY2BGR), details=True)
        if len(rows):
            surest = rows[rows[:, SCORE].argmax()] / ZOOM
            points.append(surest[4:SCORE].reshape(5, 2) - MARGIN)
            sides.append(surest[2:4].max())
    return np.array(points), np.array(sides)


def plot_points(mean_face, points, path):
    """Draw the medians of the points, and the middle half of them, into a face.

    Args:
        mean_face: float (48, 48).
        points: float (n, 5, 2), in pixels of the frame.
        path: of the PNG.
    """
    low, middle, high = np.percentile(points, [25, 50, 75], axis=0)
    figure, panel = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
    size = IMAGE_SIZE
    panel.imshow(mean_face, cmap="gray", extent=(0, size, size, 0))
    panel.errorbar(
        *middle.T,
        xerr=[(middle - low)[:, 0], (high - middle)[:, 0]],
        yerr=[(middle - low)[:, 1], (high - middle)[:, 1]],
        fmt="o",
        color="tab:orange",
        markersize=4,
    )
    for x, y in middle:
        panel.annotate(
            f"{x:.1f}, {y:.1f}",
            (x, y),
            xytext=(0, -14),
            textcoords="offset points",
            horizontalalignment="center",
            color="white",
            fontsize=8,
            bbox={"color": "black", "boxstyle": "square,pad=0.15"},
        )
    panel.set_title(f"mean face and five points of {len(points):,} faces", fontsize=10)
    panel.set_xlabel("pixels; bars: the middle half of the faces")
    figures.save_figure(figure, path)


def main():
    options = build_parser().parse_args()
    path = figures.check_path(options.output)
    images, _ = data.load_training_faces(options.train, options.ignore)
    rng = np.random.default_rng(options.seed)
    rows = rng.choice(len(images), min(COUNT, len(images)), replace=False)
    points, sides = find_points(images[rows])
    print(f"found a face in {len(points):,} of {len(rows):,} pictures")
    if not len(points):
        return
    for name, (x, y) in zip(NAMES, np.median(points, axis=0), strict=True):
        print(f"{name:20} {x:5.1f} {y:5.1f}")
    eyes = np.hypot(*(points[:, 1] - points[:, 0]).T)
    print(f"the frame is {IMAGE_SIZE / np.median(sides):.3f} boxes wide")
    print(f"and {IMAGE_SIZE / np.median(eyes):.2f} distances of the eyes")
    plot_points(images[rows].mean(axis=0)[..., 0], points, path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
