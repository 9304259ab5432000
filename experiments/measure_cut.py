"""Measure what the way from a photograph to a 48x48 face costs in accuracy.

    python -m experiments.measure_cut pretrained/twins/cnn_twin.keras

Lays each validation face of the checkpoint into a picture of 800x600 pixels: enlarged
2.5 to 6 times, turned by up to 20 degrees, brightened or darkened by up to 40 %, at a
random place, its edges repeated to those of the picture. Then finds it as recognize.py
does, cuts it out in several ways and prints the accuracy of each on the faces found,
the difference to the faces as they are, and its paired standard error. Prints as well
what is left of faces that are shrunk to few pixels. Five minutes on two cores; needs
requirements-photos.txt.
"""

from pathlib import Path

import cv2
import numpy as np

from fer import checkpoints, command, evaluation, measures, prediction, sources, tables
from fer.alignment import (
    CENTRE,
    PLACES,
    build_frame,
    compute_frame,
    convert_for_opencv,
    fit_places,
    straighten,
)
from fer.detection import find_faces, load_detector
from fer.faces import IMAGE_SIZE

WIDTH, HEIGHT = 800, 600
ZOOMS = (2.5, 6)
TURN = 20
BRIGHTNESS = (0.6, 1.4)
BOX_WIDTHS = (1, 1.1, 1.25, 1.5)
SMALL_SIZES = (8, 12, 16, 20, 24, 32, 48)


def build_parser():
    parser = command.new_parser(__doc__)
    sources.add_train_flags(parser)
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="checkpoint")
    add(
        "--faces",
        type=command.positive_integer,
        metavar="NUMBER",
        help="take so many of the validation faces (default: all)",
    )
    add("--seed", type=command.seed_number, default=0, help="of the pictures")
    return parser


def draw_picture(face, rng):
    """Lay a face, uint8 (48, 48), into a picture, uint8 (600, 800), and its frame."""
    side = IMAGE_SIZE * rng.uniform(*ZOOMS)
    angle = rng.uniform(-TURN, TURN)
    # A turned face still fits in.
    reach = min(0.65 * side, HEIGHT / 2)
    centre = rng.uniform(reach, [WIDTH - reach, HEIGHT - reach])
    frame = build_frame(centre, side, np.deg2rad(angle))
    picture = cv2.warpAffine(
        face,
        convert_for_opencv(frame),
        (WIDTH, HEIGHT),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    bright = picture * rng.uniform(*BRIGHTNESS)
    return np.clip(bright, 0, 255).round().astype(np.uint8), frame


def find_face(detector, picture, frame):
    """The surest face over the middle of a frame, or None.

    Returns:
        Its box (4,) and its points (5, 2).
    """
    color = np.repeat(picture[..., None], 3, axis=-1)
    found = find_faces(detector, color)
    centre = frame @ [*CENTRE, 1]
    distances = np.abs(found.boxes[:, :2] + found.boxes[:, 2:] / 2 - centre)
    near = distances.max(axis=1, initial=0) < np.hypot(*frame[:, 0]) * IMAGE_SIZE / 2
    if not near.any():
        return None
    surest = np.where(near, found.scores, -1).argmax()
    return found.boxes[surest], found.points[surest]


def fit_frame(points):
    """The frame whose five places come closest to the points, by least squares."""
    factor = fit_places(points)
    shift = factor * ((CENTRE - PLACES.mean(axis=0)) @ [1, 1j])
    centre = points.mean(axis=0) + [shift.real, shift.imag]
    return build_frame(centre, IMAGE_SIZE * np.abs(factor), np.angle(factor))


def cut_ways(picture, frame, box, points):
    """Cut a face out in every way that is compared: dict from its name to the face."""
    centre, side = box[:2] + box[2:] / 2, max(box[2:])
    frames = {
        "the place known": frame,
        "box and turn, as recognize.py": compute_frame(box, points),
        "five points": fit_frame(points),
        **{
            f"box, {width:g} times as wide": build_frame(centre, width * side)
            for width in BOX_WIDTHS
        },
    }
    return {way: straighten(picture, frame) for way, frame in frames.items()}


def cut_all(images, seed):
    """Lay faces into pictures, find them and cut them out again.

    Args:
        images: uint8 (n, 48, 48, 1).
        seed: of the pictures.

    Returns:
        is_found: bool (n,).
        faces: dict from the name of a way to uint8 (m, 48, 48, 1), the m found.
    """
    rng = np.random.default_rng(seed)
    detector = load_detector()
    is_found, faces = [], []
    for image in images[..., 0]:
        picture, frame = draw_picture(image, rng)
        found = find_face(detector, picture, frame)
        is_found.append(found is not None)
        if found is not None:
            faces.append(cut_ways(picture, frame, *found))
    if not faces:
        raise command.InputError(
            f"expected a face to be found in one of {len(images)} pictures, found "
            "none; take more --faces"
        )
    ways = {way: np.array([cut[way] for cut in faces])[..., None] for way in faces[0]}
    return np.array(is_found), ways


def compare(model, faces, labels):
    """Rows of accuracy, difference to the first of `faces` and its standard error."""
    rows, direct = [], None
    for way, images in faces.items():
        is_right = prediction.predict(model, images).argmax(axis=1) == labels
        direct = is_right if direct is None else direct
        gain, error = measures.compute_paired_difference(is_right, direct)
        rows.append([way, f"{is_right.mean():.3f}", f"{gain:+.3f}", f"{error:.3f}"])
    return rows


def shrink(images, size):
    """Shrink faces to `size` pixels and enlarge them again, as a small face is cut."""
    frame = build_frame(np.array([size / 2, size / 2]), size)
    area = {"dsize": (size, size), "interpolation": cv2.INTER_AREA}
    small = [cv2.resize(image, **area) for image in images[..., 0]]
    return np.array([straighten(image, frame) for image in small])[..., None]


def main():
    options = build_parser().parse_args()
    faces = next(evaluation.load_held_out(options, [options.model]))
    model, rows = checkpoints.load_checkpoint(options.model), faces.rows
    if options.faces and options.faces < len(rows):
        rng = np.random.default_rng(options.seed)
        rows = np.sort(rng.choice(rows, options.faces, replace=False))
    images, labels = faces.images[rows], faces.labels[rows]

    is_found, cuts = cut_all(images, options.seed)
    print(f"found {is_found.sum():,} of {len(rows):,} faces ({is_found.mean():.1%})\n")
    header = ["cut", "accuracy", "difference", "standard error"]
    cuts = {"as it is": images[is_found], **cuts}
    lines = compare(model, cuts, labels[is_found])
    print(*tables.format_table(header, lines), "", sep="\n")
    small = {f"{size} pixels": shrink(images, size) for size in SMALL_SIZES}
    lines = compare(model, {"48 pixels": images, **small}, labels)
    print(*tables.format_table(["size", *header[1:]], lines), sep="\n")


if __name__ == "__main__":
    command.run(main)
