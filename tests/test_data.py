"""Reading faces: every dialect rightly, every broken file refused by row and name."""

import gzip
import io

import numpy as np
import pytest
from conftest import run_script
from PIL import Image

from fer import data
from fer.command import InputError
from fer.faces import EMOTIONS, NUM_PIXELS


def make_face(number):
    """A distinct flat array of 2,304 grey levels with 0 and 255 among them."""
    levels = (np.arange(NUM_PIXELS) * 7 + number) % 256
    return levels.astype(np.uint8)


def write_pixels(face):
    return " ".join(map(str, face)).encode()


FACES = [make_face(number) for number in range(4)]
LABELS = [3, 0, 6, 3]
A, B, C, D = map(write_pixels, FACES)
TRAIN = b"label,feature\n3,%b\n0,%b\n6,%b\n3,%b\n" % (A, B, C, D)
TEST = b"id,feature\n7,%b\nb,%b\n007,%b\n1,%b\n" % (A, B, C, D)
USAGE = (
    b"emotion,pixels,Usage\n3,%b,Training\n0,%b,PublicTest\n"
    b"6,%b,PrivateTest\n3,%b,Training\n" % (A, B, C, D)
)
BOM = b"\xef\xbb\xbf"


def put(folder, content, name="faces.csv"):
    path = folder / name
    path.write_bytes(content)
    return path


def assert_faces(images, expected):
    assert images.dtype == np.uint8
    assert images.shape == (len(expected), 48, 48, 1)
    np.testing.assert_array_equal(images.reshape(len(images), -1), expected)


VALID_TRAINING_FILES = {
    "the contest's": TRAIN,
    "CRLF": TRAIN.replace(b"\n", b"\r\n"),
    "byte-order mark": BOM + TRAIN,
    "byte-order mark and CRLF": BOM + TRAIN.replace(b"\n", b"\r\n"),
    "no newline at the end": TRAIN.rstrip(b"\n"),
    "blank lines": TRAIN.replace(b"\n", b"\n\n") + b"\n\r\n",
    "quoted feature": TRAIN.replace(A, b'"%b"' % A),
    "all quoted": b'"label","feature"\n'
    + b"".join(
        b'"%d","%b"\n' % pair for pair in zip(LABELS, (A, B, C, D), strict=True)
    ),
    "swapped columns": b"feature,label\n%b,3\n%b,0\n%b,6\n%b,3\n" % (A, B, C, D),
    "emotion,pixels": TRAIN.replace(b"label,feature", b"emotion,pixels"),
    "capitals and blanks": TRAIN.replace(b"label,feature", b" Label , FEATURE "),
    "two blanks between pixels": TRAIN.replace(b" ", b"  "),
    "blanks around the fields": TRAIN.replace(b"\n3,", b"\n 3 , "),
    "an id column": b"id,label,feature\n9,3,%b\n8,0,%b\n7,6,%b\n6,3,%b\n"
    % (A, B, C, D),
}


@pytest.mark.parametrize("variant", VALID_TRAINING_FILES)
def test_valid_training_files_read_the_same(tmp_path, variant):
    path = put(tmp_path, VALID_TRAINING_FILES[variant])
    images, labels = data.load_training_faces(path)
    assert_faces(images, FACES)
    assert labels.tolist() == LABELS and labels.dtype == np.int64


@pytest.mark.parametrize("name", ["faces.csv.gz", "faces.csv"])
def test_gzip_is_unpacked_whatever_the_name(tmp_path, name):
    images, labels = data.load_training_faces(put(tmp_path, gzip.compress(TRAIN), name))
    assert_faces(images, FACES)
    assert labels.tolist() == LABELS


def test_test_files_keep_ids_as_written(tmp_path):
    faces = data.load_test_faces(put(tmp_path, TEST))
    assert_faces(faces.images, FACES)
    assert faces.ids == ["7", "b", "007", "1"]
    assert faces.labels is None and faces.usages is None


def test_pixels_alone_are_numbered_from_zero(tmp_path):
    faces = data.load_test_faces(put(tmp_path, b"pixels\n%b\n%b\n" % (A, B)))
    assert_faces(faces.images, FACES[:2])
    assert faces.ids == ["0", "1"] and faces.labels is None


USAGE_FILES = {
    "fer2013.csv": USAGE,
    "icml_face_data.csv": b"emotion, Usage, pixels\n3, Training, %b\n"
    b"0, PublicTest, %b\n6, PrivateTest, %b\n3, Training, %b\n" % (A, B, C, D),
}


@pytest.mark.parametrize("dialect", USAGE_FILES)
def test_usage_says_what_trains_and_what_tests(tmp_path, dialect):
    # The last row's emotion must differ from the first's for there to be a task.
    head, _, tail = USAGE_FILES[dialect].rpartition(b"\n3")
    path = put(tmp_path, head + b"\n1" + tail)
    images, labels = data.load_training_faces(path)
    assert_faces(images, [FACES[0], FACES[3]])
    assert labels.tolist() == [3, 1]
    faces = data.load_test_faces(path)
    assert_faces(faces.images, FACES[1:3])
    assert faces.ids == ["0", "1"]
    assert faces.usages == ["PublicTest", "PrivateTest"]
    assert faces.labels.tolist() == [0, 6]


def test_ids_stay_with_their_faces_where_usage_chooses(tmp_path):
    content = b"id,Usage,emotion,pixels\n7,Training,3,%b\n901,PublicTest,0,%b\n"
    faces = data.load_test_faces(put(tmp_path, content % (A, B)))
    assert_faces(faces.images, [FACES[1]])
    assert faces.ids == ["901"]


def draw_folder(folder):
    for label, face in zip(LABELS, FACES, strict=True):
        place = folder / EMOTIONS[label]
        place.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(face.reshape(48, 48))
        picture.save(place / f"{len(list(place.iterdir()))}.png")
    return folder


def test_folders_of_pictures(tmp_path):
    folder = draw_folder(tmp_path / "train")
    (folder / "happy/notes.txt").write_text("no picture")
    hidden = folder / ".thumbnails"
    hidden.mkdir()
    Image.new("L", (48, 48)).save(hidden / "0.png")
    images, labels = data.load_training_faces(folder)
    assert_faces(images, [FACES[i] for i in (1, 0, 3, 2)])
    assert labels.tolist() == [0, 3, 3, 6]


def test_a_folder_of_unlabelled_pictures(tmp_path):
    for number, face in enumerate(FACES[:2]):
        colored = np.stack([face.reshape(48, 48)] * 3, axis=-1)
        Image.fromarray(colored).save(tmp_path / f"face{number}.PNG", format="png")
    faces = data.load_test_faces(tmp_path)
    assert_faces(faces.images, FACES[:2])
    assert faces.labels is None and faces.ids == ["0", "1"]


# Loader, content and what the message must say after the file's name.
BROKEN_ROWS = {
    "label 7": (b"7,%b" % B, "row 2 (line 3): expected a label from 0 to 6, found '7'"),
    "label -1": (b"-1,%b" % B, "row 2 (line 3): expected a label from 0 to 6"),
    "label 3.5": (b"3.5,%b" % B, "row 2 (line 3): expected a label"),
    "label 7.0": (b"7.0,%b" % B, "row 2 (line 3): expected a label"),
    "label 03": (b"03,%b" % B, "row 2 (line 3): expected a label"),
    "label missing": (b",%b" % B, "row 2 (line 3): expected a label"),
    "label NaN": (b"nan,%b" % B, "row 2 (line 3): expected a label"),
    "label in another alphabet": ("٣,".encode() + B, "row 2 (line 3): expected a la"),
    "long label": (b"x" * 9999 + b"," + B, "row 2 (line 3): expected a label"),
    "pixel missing": (
        b"0," + B[2:],
        "row 2 (line 3): expected 2304 pixels, found 2303",
    ),
    "pixel too many": (b"0,%b 1" % B, "row 2 (line 3): expected 2304 pixels, found 23"),
    "no pixels": (b"0,", "row 2 (line 3): expected 2304 pixels, found 0"),
    "pixel 256": (b"0,256" + B[1:], "row 2 (line 3): expected pixels from 0 to 255, "),
    "pixel -1": (b"0,-" + B, "row 2 (line 3): expected pixels from 0 to 255, found -1"),
    "pixel 300": (b"0,300" + B[1:], "row 2 (line 3): expected pixels from 0 to 255"),
    "enormous pixel": (b"0,9999999999999999999999" + B[1:], "row 2 (line 3): expected"),
    "pixel 1.5": (b"0,1.5" + B[1:], "row 2 (line 3): expected whole numbers"),
    "pixel 1e3": (b"0,1e3" + B[1:], "row 2 (line 3): expected pixels from 0 to 255"),
    "pixel 1e-1": (b"0,1e-1" + B[1:], "row 2 (line 3): expected whole numbers"),
    "hexadecimal pixel": (b"0,0x1" + B[1:], "row 2 (line 3): expected whole numbers"),
    "pixel word": (b"0,x" + B[1:], "row 2 (line 3): expected whole numbers"),
    "pixel NaN": (b"0,nan" + B[1:], "row 2 (line 3): expected whole numbers"),
    "pixels with semicolons": (b"0," + B.replace(b" ", b";"), "row 2 (line 3): expect"),
    "pixels with commas": (b"0," + B.replace(b" ", b","), "found 2305"),
    "zero byte at the end": (b"0,%b\x00" % B, "row 2 (line 3): expected whole numbers"),
    "zero byte inside": (b"0," + B.replace(b" ", b"\x00", 1), "row 2 (line 3): expec"),
    "carriage return inside": (b"0," + B.replace(b" ", b"\r", 1), "row 2 (line 3): e"),
    "not UTF-8": (b"0,\xff" + B, "row 2 (line 3): expected whole numbers"),
    "one column": (B, "row 2 (line 3): expected 2 columns, found 1"),
    "three columns": (b"0,%b,Training" % B, "expected 2 columns, found 3"),
    "open quote": (b'0,"%b' % B, "row 2 (line 3): expected balanced quotes"),
    "text after the quote": (b'0,"%b"1' % B, "row 2 (line 3): expected balanced quo"),
    "only blanks": (b"   ", "row 2 (line 3): expected 2 columns, found 1"),
    "the header again": (b"label,feature", "row 2 (line 3): expected a label"),
}
BROKEN_TRAINING_FILES = {
    **{
        name: (TRAIN.replace(b"0,%b" % B, row), expected)
        for name, (row, expected) in BROKEN_ROWS.items()
    },
    "empty": (b"", "expected a CSV file, found an empty one"),
    "blank first line": (b"\n" + TRAIN, "expected the header label,feature"),
    "header only": (b"label,feature\n", "expected faces below the header, found none"),
    "no header": (TRAIN[14:], "expected the header label,feature"),
    "header twice the label": (b"label,emotion" + TRAIN[13:], "expected the header"),
    "header without pixels": (b"label,id\n3,4\n", "expected the header"),
    "header misspelled": (TRAIN.replace(b"feature", b"featrue"), "found label,featrue"),
    "header with a stray quote": (b'"' + TRAIN, "expected the header"),
    "old Macintosh lines": (TRAIN.replace(b"\n", b"\r"), "expected the header"),
    "cut in a row": (TRAIN[:-100], "row 4 (line 5): expected 2304 pixels, found 22"),
    "gzip cut": (gzip.compress(TRAIN)[:-20], "expected a complete gzip file"),
    "gzip checksum": (
        gzip.compress(TRAIN)[:-8] + bytes(8),
        "expected a complete gzip file",
    ),
    "gzip flipped": (b"\x1f\x8b\x08\x00" + bytes(20), "expected a complete gzip file"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "found a PNG picture"),
    "a zip archive": (b"PK\x03\x04" + bytes(range(256)), "expected a complete zip fil"),
    "a submission": (b"id,label\n0,3\n1,4\n", "expected the header"),
    "a web page": (b"<!DOCTYPE html>\n<html>", "found a web page; download the file"),
    "Usage misspelled": (
        USAGE.replace(b"PublicTest", b"publictset"),
        "row 2 (line 3): expected a Usage of Training, PublicTest, PrivateTest",
    ),
    "a test file": (TEST, "expected a training file with the columns label,feature"),
    "one emotion only": (b"label,feature\n3,%b\n3,%b\n" % (A, B), "found only happy"),
    "no Training rows": (
        USAGE.replace(b"Training", b"PublicTest"),
        "expected rows whose Usage is Training",
    ),
    "Usage missing": (
        USAGE.replace(b",PublicTest", b""),
        "expected 3 columns, found 2",
    ),
}
BROKEN_TEST_FILES = {
    "id twice": (TEST.replace(b"\n1,", b"\n7,"), "row 4: expected every id once, foun"),
    "id missing": (TEST.replace(b"\n1,", b"\n,"), "row 4 (line 5): expected an id"),
    "id of blanks": (TEST.replace(b"\n1,", b"\n  ,"), "row 4 (line 5): expected an id"),
    "id not UTF-8": (TEST.replace(b"\n1,", b"\n\xff,"), "row 4 (line 5): expected an "),
    "id with a zero byte": (TEST.replace(b"\n1,", b"\n1\0,"), "row 4 (line 5): expect"),
    "Training rows only": (
        USAGE.replace(b"PublicTest", b"Training").replace(b"PrivateTest", b"Training"),
        "found only Training",
    ),
}


def assert_refused(load, path, expected):
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(InputError) as refusal:
        load(path)
    message = str(refusal.value)
    assert str(path) in message and expected in message
    assert ";" in message and "\n" not in message and len(message) < 400
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize("name", BROKEN_TRAINING_FILES)
def test_broken_training_files_are_refused(tmp_path, name):
    content, expected = BROKEN_TRAINING_FILES[name]
    assert_refused(data.load_training_faces, put(tmp_path, content), expected)


@pytest.mark.parametrize("name", BROKEN_TEST_FILES)
def test_broken_test_files_are_refused(tmp_path, name):
    content, expected = BROKEN_TEST_FILES[name]
    assert_refused(data.load_test_faces, put(tmp_path, content), expected)


def test_at_least_forty_broken_files():
    contents = [content for content, _ in BROKEN_TRAINING_FILES.values()]
    assert len(set(contents)) == len(contents) >= 40
    assert TRAIN not in contents


def test_nothing_there(tmp_path):
    for load in (data.load_training_faces, data.load_test_faces):
        with pytest.raises(InputError, match="expected a CSV file or a folder"):
            load(tmp_path / "nowhere.csv")


def picture_bytes(size, kind="png"):
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, format=kind)
    return buffer.getvalue()


BROKEN_PICTURES = {
    "too small": (picture_bytes((47, 48)), "expected 48x48 pixels, found 47x48"),
    "too large": (picture_bytes((96, 96)), "expected 48x48 pixels, found 96x96"),
    "empty": (b"", "expected a picture, found a damaged file"),
    "cut": (picture_bytes((48, 48))[:-30], "expected a picture, found a damaged file"),
    "text": (b"no picture", "expected a picture, found a damaged file"),
    "a CSV": (TRAIN, "expected a picture, found a damaged file"),
}


@pytest.mark.parametrize("name", BROKEN_PICTURES)
def test_broken_pictures_are_refused(tmp_path, name):
    content, expected = BROKEN_PICTURES[name]
    folder = draw_folder(tmp_path / "train")
    (folder / "sad").mkdir()
    broken = put(folder / "sad", content, "broken.png")
    with pytest.raises(InputError) as refusal:
        data.load_training_faces(folder)
    assert f"{broken}: {expected}" in str(refusal.value)


def test_broken_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected pictures in folders"):
        data.load_training_faces(tmp_path)
    draw_folder(tmp_path)
    (tmp_path / "contempt").mkdir()
    with pytest.raises(
        InputError, match=r"found also contempt \(0\); .*--ignore contempt"
    ):
        data.load_training_faces(tmp_path)


def test_the_split_is_stratified_and_seeded():
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(700, 48, 48, 1), dtype=np.uint8)
    labels = np.repeat(np.arange(7), [40, 60, 80, 100, 120, 140, 160])
    train, validation = data.split(images, labels, 0.1, seed=5)
    assert sorted([*train, *validation]) == list(range(700))
    assert (np.diff(train) > 0).all() and (np.diff(validation) > 0).all()
    counts = np.bincount(labels[validation])
    np.testing.assert_array_equal(counts, [4, 6, 8, 10, 12, 14, 16])
    again = data.split(images, labels, 0.1, seed=5)
    np.testing.assert_array_equal(again[1], validation)
    other = data.split(images, labels, 0.1, seed=6)
    assert set(other[1]) != set(validation)


def test_copies_stay_together():
    rng = np.random.default_rng(1)
    distinct = rng.integers(256, size=(140, 48, 48, 1), dtype=np.uint8)
    rows = np.concatenate([np.arange(140), np.arange(140), np.arange(70)])
    labels = np.tile(np.arange(7), 20)[rows]
    train, validation = data.split(distinct[rows], labels, 0.2, seed=0)
    assert not set(rows[train]) & set(rows[validation])
    assert len(train) + len(validation) == len(rows)
    assert len(set(rows[validation])) == 28


def test_fraction_zero_keeps_every_row():
    train, validation = data.split(np.zeros((5, 48, 48, 1)), np.zeros(5), 0, seed=0)
    assert train.tolist() == [0, 1, 2, 3, 4] and len(validation) == 0


def test_too_few_faces_to_split():
    images = np.stack(FACES).reshape(-1, 48, 48, 1)
    with pytest.raises(InputError, match="cannot hold out 0.1 of 4 distinct faces"):
        data.split(images, np.array(LABELS), 0.1, seed=0)


SCRIPT_CASES = [
    "label 7",
    "pixel missing",
    "pixel 256",
    "pixel word",
    "open quote",
    "empty",
    "no header",
    "gzip cut",
    "a picture",
    "a test file",
    "one emotion only",
    "a submission",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPT_CASES)
def test_training_scripts_refuse_broken_files(tmp_path, name):
    content, expected = BROKEN_TRAINING_FILES[name]
    put(tmp_path, content)
    (tmp_path / "checkpoints").mkdir()
    old = put(tmp_path / "checkpoints", b"the old one", "cnn.keras")
    arguments = ["--train", "faces.csv"]
    process = run_script("train_cnn.py", *arguments, cwd=tmp_path, status=2)
    assert f"faces.csv{':' if 'row' not in expected else ','}" in process.stderr
    assert expected in process.stderr.splitlines()[-1]
    assert "Traceback" not in process.stderr
    assert old.read_bytes() == b"the old one"
    assert not (tmp_path / "plots").exists()


def test_a_read_only_folder_is_no_obstacle(tmp_path):
    """Root may write anywhere, so what is shown is that nothing is written at all."""
    folder = tmp_path / "data"
    folder.mkdir()
    path = put(folder, gzip.compress(TRAIN), "faces.csv.gz")
    folder.chmod(0o555)
    try:
        before = folder.stat().st_mtime_ns
        data.load_training_faces(path)
        assert folder.stat().st_mtime_ns == before
    finally:
        folder.chmod(0o755)
