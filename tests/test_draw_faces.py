"""Drawn faces: same seed same faces, the contest's format, nothing overwritten."""

import csv

import numpy as np
import pytest
from conftest import run_script

import draw_faces
from fer import drawn_faces
from fer.command import InputError


def read_table(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def draw_small(folder, seed=0):
    draw_faces.write_faces(folder, train_faces=40, test_faces=20, seed=seed)


def test_same_seed_same_faces():
    images, labels = drawn_faces.draw_faces(30, 5)
    again, labels_again = drawn_faces.draw_faces(30, 5)
    others, _ = drawn_faces.draw_faces(30, 6)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, labels_again)
    assert (images != others).any()


def test_shapes_types_and_every_emotion():
    for count in (7, 60):
        images, labels = drawn_faces.draw_faces(count, 0)
        assert images.shape == (count, 48, 48, 1) and images.dtype == np.uint8
        assert labels.shape == (count,) and set(labels) == set(range(7))
    # A face, not an empty sheet: ink, skin and background differ.
    assert images.reshape(count, -1).std(axis=1).min() > 5


def test_emotions_differ_on_the_same_person():
    """One seed is one person: only the features move, and each emotion its own way."""
    for person in range(10):
        faces = np.array(
            [
                drawn_faces.draw_face(emotion, np.random.default_rng(person))
                for emotion in range(7)
            ],
            dtype=int,
        )
        assert (faces[:, :, :3] == faces[0, :, :3]).all()
        for one in range(7):
            for other in range(one):
                assert np.abs(faces[one] - faces[other]).max() > 20


def test_tables_have_the_contest_format(tmp_path):
    folder = tmp_path / "drawn"
    draw_small(folder)
    header, train = read_table(folder / "train.csv")
    assert header == ["label", "feature"] and len(train) == 40
    assert {label for label, _ in train} == set("0123456")
    header, test = read_table(folder / "test.csv")
    assert header == ["id", "feature"]
    assert [number for number, _ in test] == [str(i) for i in range(20)]
    for _, feature in train + test:
        levels = [int(level) for level in feature.split(" ")]
        assert len(levels) == 2304 and min(levels) >= 0 and max(levels) <= 255
    assert not {feature for _, feature in train} & {feature for _, feature in test}
    header, answers = read_table(folder / "test_labels.csv")
    assert header == ["id", "label"]
    assert [number for number, _ in answers] == [number for number, _ in test]


def test_tables_hold_the_drawn_faces(tmp_path):
    draw_small(tmp_path, seed=3)
    for seed, name, answers in (
        ([3, 0], "train.csv", "train.csv"),
        ([3, 1], "test.csv", "test_labels.csv"),
    ):
        _, rows = read_table(tmp_path / name)
        images, labels = drawn_faces.draw_faces(len(rows), seed)
        written = [np.array(row[1].split(), dtype=int) for row in rows]
        np.testing.assert_array_equal(written, images.reshape(len(rows), -1))
        column = 0 if answers == "train.csv" else 1
        _, rows = read_table(tmp_path / answers)
        np.testing.assert_array_equal([int(row[column]) for row in rows], labels)


@pytest.mark.parametrize("name", ["train.csv", "test.csv", "test_labels.csv"])
def test_foreign_tables_stay_untouched(tmp_path, name):
    (tmp_path / name).write_text("label,feature\n3,1 2 3\n")
    with pytest.raises(InputError, match=f"{name} was not drawn by this script"):
        draw_small(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "label,feature\n3,1 2 3\n"


def test_own_folder_may_be_drawn_again(tmp_path):
    draw_small(tmp_path)
    before = (tmp_path / "train.csv").read_text()
    draw_small(tmp_path, seed=1)
    assert (tmp_path / "train.csv").read_text() != before


@pytest.mark.parametrize("flag", ["--train-faces=6", "--test-faces=0", "--seed=-1"])
def test_impossible_numbers_are_refused(tmp_path, flag):
    run_script("draw_faces.py", "--output", tmp_path, flag, cwd=tmp_path, status=2)
    assert not list(tmp_path.iterdir())
