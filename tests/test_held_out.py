"""Faces held out: a share, a Usage or other faces, and found again by the record."""

import argparse
import hashlib
import json
import re

import numpy as np
import pytest
from conftest import run_script

from fer import checkpoints, data, evaluation, held_out, prediction
from fer.command import InputError
from fer.drawn_faces import draw_faces

IMAGES, LABELS = draw_faces(140, 3)
OTHERS, OTHER_LABELS = draw_faces(20, 4)


def write_faces(path, images, labels, usages=None):
    rows = [
        f"{label},{' '.join(map(str, image.ravel()))}"
        for image, label in zip(images, labels, strict=True)
    ]
    if usages is None:
        path.write_text("\n".join(["label,feature", *rows]))
    else:
        rows = [f"{row},{usage}" for row, usage in zip(rows, usages, strict=True)]
        path.write_text("\n".join(["emotion,pixels,Usage", *rows]))
    return path


@pytest.fixture
def train(tmp_path):
    return write_faces(tmp_path / "train.csv", IMAGES, LABELS)


def test_a_share_is_drawn_as_ever(train):
    split = data.load_split(train, 0.2)
    train_rows, validation_rows = data.split(IMAGES, LABELS, 0.2, data.SPLIT_SEED)
    np.testing.assert_array_equal(split.train_rows, train_rows)
    np.testing.assert_array_equal(split.validation_rows, validation_rows)
    np.testing.assert_array_equal(split.train_images, IMAGES[train_rows])
    np.testing.assert_array_equal(split.validation_images, IMAGES[validation_rows])
    np.testing.assert_array_equal(split.train_labels, LABELS[train_rows])
    np.testing.assert_array_equal(split.validation_labels, LABELS[validation_rows])
    assert split.describe() == {"validation_rows": validation_rows.tolist()}
    assert split.train_images is split.train_images


@pytest.mark.parametrize("text", ["train", "Training"])
def test_the_faces_to_train_on_validate_nothing(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(argparse.ArgumentTypeError, match="expected a share"):
        held_out.validation_source(text)


def test_the_rows_of_a_split_have_not_changed():
    """The rows that the code before this one drew from these faces."""
    rng = np.random.default_rng(7)
    images = rng.integers(256, size=(70, 48, 48, 1), dtype=np.uint8)
    images[60:] = images[:10]
    _, rows = data.split(images, np.arange(70) % 7, 0.2, data.SPLIT_SEED)
    assert rows.tolist() == [
        0,
        1,
        3,
        5,
        7,
        20,
        22,
        24,
        25,
        39,
        51,
        58,
        60,
        61,
        63,
        65,
        67,
    ]


def test_targets_are_one_hot(train):
    split = data.load_split(train, 0.2)
    assert split.train_targets.dtype == np.float32
    np.testing.assert_array_equal(
        split.train_targets.argmax(axis=1), split.train_labels
    )
    assert (split.validation_targets.sum(axis=1) == 1).all()
    assert split.validation_targets.shape == (len(split.validation_rows), 7)


def test_no_share_keeps_every_face(train):
    split = data.load_split(train, 0)
    assert split.train_images is split.images
    assert len(split.validation_images) == len(split.validation_labels) == 0
    assert split.describe() == {"validation_rows": []}


def test_faces_of_ones_own_are_held_out_and_found_again(train, tmp_path, capsys):
    mixed = np.concatenate([OTHERS, IMAGES[:3], IMAGES[:1]])
    labels = np.concatenate([OTHER_LABELS, LABELS[:3], LABELS[:1]])
    path = write_faces(tmp_path / "mine.csv", mixed, labels)
    split = data.load_split(train, str(path))
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"validate  on 24 faces of {path}, of which 4 are copies of training faces"
    )
    np.testing.assert_array_equal(split.train_images, IMAGES)
    np.testing.assert_array_equal(split.validation_images, mixed)
    np.testing.assert_array_equal(split.validation_labels, labels)
    record = json.loads(json.dumps(split.describe()))
    fingerprint = hashlib.sha256(mixed.tobytes() + labels.tobytes()).hexdigest()
    assert record == {
        "validation_rows": [],
        "validation_faces": {"path": str(path), "fingerprint": fingerprint},
    }
    again = held_out.load_recorded_faces(record["validation_faces"])
    np.testing.assert_array_equal(again.images, mixed)
    np.testing.assert_array_equal(again.labels, labels)
    write_faces(path, mixed[1:], labels[1:])
    with pytest.raises(InputError, match="that the run was validated on, found others"):
        held_out.load_recorded_faces(record["validation_faces"])


def test_one_usage_of_the_file_is_held_out(tmp_path):
    usages = np.array(["Training"] * 100 + ["PublicTest"] * 20 + ["PrivateTest"] * 20)
    path = write_faces(tmp_path / "fer2013.csv", IMAGES, LABELS, usages)
    split = data.load_split(path, "PublicTest")
    np.testing.assert_array_equal(split.train_images, IMAGES[:100])
    np.testing.assert_array_equal(split.validation_images, IMAGES[100:120])
    np.testing.assert_array_equal(split.validation_labels, LABELS[100:120])
    source = split.describe()["validation_faces"]
    assert source["path"] == str(path) and source["usage"] == "PublicTest"
    again = held_out.load_recorded_faces(source)
    np.testing.assert_array_equal(again.images, IMAGES[100:120])


def test_ignored_classes_are_ignored_on_both_sides(train, tmp_path):
    path = write_faces(tmp_path / "mine.csv", OTHERS, OTHER_LABELS)
    split = data.load_split(train, str(path), ["disgust"])
    assert 1 not in split.labels and 1 not in split.validation_labels
    assert len(split.validation_labels) == (OTHER_LABELS != 1).sum()
    again = held_out.load_recorded_faces(split.describe()["validation_faces"])
    np.testing.assert_array_equal(again.labels, split.validation_labels)


def test_a_class_to_ignore_may_stand_on_one_side(train, tmp_path):
    names = ["contempt", *OTHER_LABELS[1:]]
    path = write_faces(tmp_path / "mine.csv", OTHERS, names)
    split = data.load_split(train, str(path), ["contempt"])
    np.testing.assert_array_equal(split.validation_labels, OTHER_LABELS[1:])
    with pytest.raises(InputError, match="train.csv and .*mine.csv: .* no bored"):
        data.load_split(train, str(path), ["contempt", "bored"])


def test_faces_without_labels_validate_nothing(train, tmp_path):
    rows = [" ".join(map(str, image.ravel())) for image in OTHERS]
    path = tmp_path / "test.csv"
    path.write_text("\n".join(["pixels", *rows]))
    with pytest.raises(InputError, match="expected labelled faces to validate on"):
        data.load_split(train, str(path))
    with pytest.raises(InputError, match="whose Usage is PublicTest, found none"):
        data.load_split(train, "PublicTest")


def test_what_validation_may_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert held_out.validation_source("0.25") == 0.25
    assert held_out.validation_source("PublicTest") == "PublicTest"
    assert held_out.validation_source("val") == "PublicTest"
    (tmp_path / "val").mkdir()
    assert held_out.validation_source("val") == "val"
    for text, expected in (
        ("1", r"a share in \[0, 1\), found '1'"),
        ("nan", r"a share in \[0, 1\), found 'nan'"),
        ("nowhere.csv", r"\[0, 1\), a file or folder of faces, a fold such as"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=expected):
            held_out.validation_source(text)


def test_folds_cover_every_face_once_and_keep_copies_together():
    images = np.concatenate([IMAGES, IMAGES[:30]])
    labels = np.concatenate([LABELS, LABELS[:30]])
    parts = [data.split_fold(images, labels, number, 4, 0) for number in range(1, 5)]
    held_out = np.concatenate([validation for _, validation in parts])
    np.testing.assert_array_equal(np.sort(held_out), np.arange(len(images)))
    for train, validation in parts:
        np.testing.assert_array_equal(
            np.sort(np.concatenate([train, validation])), np.arange(len(images))
        )
        of_train, of_validation = (
            data.group_copies(images)[train],
            set(data.group_copies(images)[validation]),
        )
        assert not of_validation & set(of_train)
        for label in range(7):
            share = (labels[validation] == label).sum() / (labels == label).sum()
            assert 0.05 < share < 0.5


def test_a_fold_is_named_by_number_and_count(train):
    assert held_out.validation_source("3/10") == "3/10"
    assert held_out.read_fold("3/10") == (3, 10)
    for text in ("0/10", "11/10", "1/1", "3/", "a/b"):
        assert held_out.read_fold(text) is None
    with pytest.raises(InputError, match="into 99 folds"):
        data.load_split(train, "1/99")


@pytest.fixture
def records(train, tmp_path, monkeypatch):
    """Records by path of runs on the same faces; the Split of a run on others."""
    others = write_faces(tmp_path / "others.csv", OTHERS, OTHER_LABELS)
    mine = write_faces(tmp_path / "mine.csv", IMAGES[:70], LABELS[:70])
    by_share, by_file = data.load_split(train, 0.2), data.load_split(mine, others)
    settings = {"faces": by_share.fingerprint}
    records = {
        "share": {"settings": settings, **by_share.describe()},
        "file": {"settings": {"faces": by_file.fingerprint}, **by_file.describe()},
    }
    monkeypatch.setattr(checkpoints, "load_record", records.get)
    return records, data.load_split(train, others)


def test_each_checkpoint_is_measured_on_what_it_held_out(train, records, capsys):
    options = argparse.Namespace(train=train, ignore=[])
    found = evaluation.load_held_out(options, ["share", "file", "share"])
    shares = [np.array(records[0]["share"]["validation_rows"])] * 2
    for faces, rows in zip(found, [shares[0], np.arange(20), shares[1]], strict=True):
        np.testing.assert_array_equal(faces.rows, rows)
    assert re.findall("measured.*", capsys.readouterr().out) == [
        f"measured  on 20 faces of {records[1].source['path']}, by the record"
    ]
    with pytest.raises(InputError, match="nobody has no record"):
        next(evaluation.load_held_out(options, ["nobody"]))


@pytest.mark.slow
def test_a_run_is_validated_and_measured_on_usages(tmp_path):
    """Trained on one part of a file, validated on another, tested on the third."""
    usages = ["Training"] * 100 + ["PublicTest"] * 25 + ["PrivateTest"] * 15
    write_faces(tmp_path / "all.csv", IMAGES, LABELS, usages)
    arguments = ["--train", "all.csv", "--validation", "PublicTest", "--epochs", 2]
    arguments += ["--network", "small", "--precision", "float32"]
    run_script("train_cnn.py", *arguments, cwd=tmp_path)
    record = json.loads((tmp_path / "checkpoints/cnn.json").read_text())
    assert record["kept"] == "best validation accuracy"
    model = checkpoints.load_checkpoint(tmp_path / "checkpoints/cnn.keras")

    def measure(part):
        right = prediction.predict(model, IMAGES[part]).argmax(axis=1) == LABELS[part]
        return right.mean()

    assert record["val_accuracy"] == pytest.approx(measure(slice(100, 125)), abs=1e-6)
    for flags, part in (
        ([], slice(100, 125)),
        (["--test", "all.csv", "--usage", "PrivateTest"], slice(125, 140)),
    ):
        arguments = ["plot_confusion_matrix.py", "--train", "all.csv", *flags]
        said = run_script(*arguments, cwd=tmp_path).stdout
        accuracy, count = re.search(r"accuracy +(\S+) +(\d+)", said).groups()
        assert float(accuracy) == pytest.approx(measure(part), abs=0.005)
        assert int(count) == part.stop - part.start
