"""Faces as they are met in the wild: read with the right values, or sent the right way.

Every case is a file or folder as other people write, export, pack or name it.
"""

import bz2
import gzip
import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from fer import data, faces
from fer.command import InputError
from fer.faces import NUM_PIXELS

LABELS = [3, 0, 6, 3, 1, 2, 4, 5]
# Distinct faces with all levels from 0 to 255.
LEVELS = np.array(
    [(np.arange(NUM_PIXELS) * 7 + row) % 256 for row in range(8)], dtype=np.uint8
)
TEXTS = [" ".join(map(str, face)) for face in LEVELS]
USAGES = ["Training"] * 4 + ["PublicTest"] * 2 + ["PrivateTest"] * 2


def write_csv(header, *columns, separator=",", first=""):
    """A CSV file as text."""
    rows = [separator.join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([*([first] if first else []), header, *rows]) + "\n"


PLAIN = write_csv("label,feature", LABELS, TEXTS)
FER2013 = write_csv("emotion,pixels,Usage", LABELS, TEXTS, USAGES)
WORDS = ["Happy", "anger", "NEUTRAL", "happiness", "Disgusted", "fearful", "sadness"]
WORDS += ["surprised"]
QUOTED = [f'"[{text.replace(" ", ", ")}]"' for text in TEXTS]
SINGLE = [text.replace(" ", ",") for text in TEXTS]
NUMBERS = range(NUM_PIXELS)


def name_pixels(pattern):
    return ",".join(pattern.format(number) for number in NUMBERS)


def shuffle_pixels():
    """Columns sorted as text, as some tools write them: pixel0, pixel1, pixel10, ..."""
    order = sorted(NUMBERS, key=str)
    header = "label," + ",".join(f"pixel{number}" for number in order)
    return write_csv(header, LABELS, [",".join(map(str, f[order])) for f in LEVELS])


ARRAYS = [
    '"' + np.array2string(face, threshold=9999).replace("\n", "\r\n") + '"'
    for face in LEVELS
]
READ_CSV = {
    "an index column of pandas": write_csv(
        "Unnamed: 0,label,feature", range(8), LABELS, TEXTS
    ),
    "an index column without a name": write_csv(
        ",label,feature", range(8), LABELS, TEXTS
    ),
    "a column nobody asked for": write_csv(
        "label,feature,subject", LABELS, TEXTS, "abcdefgh"
    ),
    "empty columns at the end": write_csv(
        "label,feature,,", LABELS, TEXTS, [""] * 8, [""] * 8
    ),
    "Excel's semicolons": "\ufeff"
    + write_csv("label;feature", LABELS, TEXTS, separator=";"),
    "tabs": write_csv("label\tfeature", LABELS, TEXTS, separator="\t"),
    "bars": write_csv("label|feature", LABELS, TEXTS, separator="|"),
    "sep=;": write_csv("label;feature", LABELS, TEXTS, separator=";", first="sep=;"),
    "sep=,": "sep=,\r\n" + PLAIN.replace("\n", "\r\n"),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16 of the other kind": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "UTF-16 with tabs": write_csv(
        "label\tfeature", LABELS, TEXTS, separator="\t"
    ).encode("utf-16"),
    "UTF-32": PLAIN.encode("utf-32"),
    "whole floats": write_csv(
        "label,feature", LABELS, [" ".join(f"{level}.0" for level in f) for f in LEVELS]
    ),
    "floats with a point alone": write_csv(
        "label,feature", LABELS, [" ".join(f"{level}." for level in f) for f in LEVELS]
    ),
    "NumPy's own floats": write_csv(
        "label,feature",
        LABELS,
        [" ".join(f"{level:.18e}" for level in f) for f in LEVELS],
    ),
    "labels as floats": write_csv(
        "label,feature", [f"{label:.1f}" for label in LABELS], TEXTS
    ),
    "lists": write_csv("label,feature", LABELS, QUOTED),
    "lists, unquoted, with semicolons": write_csv(
        "label;feature", LABELS, [text.strip('"') for text in QUOTED], separator=";"
    ),
    "brackets with blanks": write_csv(
        "label,feature", LABELS, [f"[{t}]" for t in TEXTS]
    ),
    "NumPy's arrays over several lines": write_csv("label,feature", LABELS, ARRAYS),
    "pixel0 to pixel2303": write_csv("label," + name_pixels("pixel{}"), LABELS, SINGLE),
    "0 to 2303, label last": write_csv(name_pixels("{}") + ",emotion", SINGLE, LABELS),
    "p_1 to p_2304 with an index": write_csv(
        ",label," + ",".join(f"p_{number + 1}" for number in NUMBERS),
        range(8),
        LABELS,
        SINGLE,
    ),
    "pixels in the order of text": shuffle_pixels(),
    "single pixels as floats": write_csv(
        "label," + name_pixels("pixel{}"),
        LABELS,
        [",".join(f"{level}.0" for level in face) for face in LEVELS],
    ),
    "words": write_csv("emotion,pixels", WORDS, TEXTS),
    "words with digits in front": write_csv(
        "emotion,pixels", [f"{n} {word}" for n, word in enumerate(WORDS)], TEXTS
    ),
    "words and numbers": write_csv("label,feature", [*WORDS[:4], *LABELS[4:]], TEXTS),
    "pixels called image": write_csv("image,label", TEXTS, LABELS),
    "capitals and an s": write_csv("Labels,Features", LABELS, TEXTS),
}


def put(folder, content, name="faces.csv"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def assert_levels(images, expected):
    assert images.dtype == np.uint8 and images.shape == (len(expected), 48, 48, 1)
    np.testing.assert_array_equal(images.reshape(len(images), -1), expected)


@pytest.mark.parametrize("name", READ_CSV)
def test_dialects_that_are_beyond_doubt(name, tmp_path, capsys):
    images, labels = data.load_training_faces(put(tmp_path, READ_CSV[name]))
    assert_levels(images, LEVELS)
    assert labels.tolist() == LABELS and labels.dtype == np.int64
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == (
        "emotions  angry 1, disgust 1, fear 1, happy 2, sad 1, surprise 1, neutral 1"
    )
    if "column" in name:
        assert "left out the columns" in lines[-2]


ID_COLUMNS = ("ids", "filename", "image", "Id", "image_id", "ID ")


@pytest.mark.parametrize("column", ID_COLUMNS)
def test_other_names_for_the_id(column, tmp_path):
    names = [f"face {number}.jpg" for number in range(8)]
    path = put(tmp_path, write_csv(f"{column},pixels", names, TEXTS))
    test = data.load_test_faces(path)
    assert_levels(test.images, LEVELS)
    assert test.ids == names


def test_the_first_of_several_ids_counts(tmp_path, capsys):
    content = write_csv("filename,id,pixels", "stuvwxyz", range(10, 18), TEXTS)
    test = data.load_test_faces(put(tmp_path, content))
    assert test.ids == [str(number) for number in range(10, 18)]
    assert "left out the columns 'filename'" in capsys.readouterr().out


USAGE_WORDS = {
    "train, val, test": ["train"] * 4 + ["val"] * 2 + ["test"] * 2,
    "capitals": ["TRAIN"] * 4 + ["Validation"] * 2 + ["Test"] * 2,
    "Kaggle's solutions": ["Training"] * 4 + ["Public"] * 2 + ["Private"] * 2,
    "lower case": ["training"] * 4 + ["publictest"] * 2 + ["privatetest"] * 2,
}


@pytest.mark.parametrize("name", USAGE_WORDS)
@pytest.mark.parametrize("column", ["Usage", "split"])
def test_other_words_for_the_usage(name, column, tmp_path, capsys):
    words = USAGE_WORDS[name]
    path = put(tmp_path, write_csv(f"emotion,pixels,{column}", LABELS, TEXTS, words))
    images, labels = data.load_training_faces(path)
    assert_levels(images, LEVELS[:4])
    assert labels.tolist() == LABELS[:4]
    test = data.load_test_faces(path)
    assert_levels(test.images, LEVELS[4:])
    assert test.usages == USAGES[4:]
    assert f"takes the Usage {words[0]} as" in capsys.readouterr().out or (
        name == "Kaggle's solutions"
    )


def zip_files(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def tar_files(files, mode="w:gz"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


CLUTTER = {"__MACOSX/._fer2013.csv": b"\0\5", ".DS_Store": b"\0", "README": "fer"}
ARCHIVES = {
    "fer2013.tar.gz": tar_files({"fer2013/fer2013.csv": FER2013, "fer2013/README": ""}),
    "fer2013.tar": tar_files({"./fer2013/fer2013.csv": FER2013}, "w"),
    "fer2013.tar.bz2": tar_files({"fer2013.csv": FER2013}, "w:bz2"),
    "fer2013.tar.xz": tar_files({"fer2013.csv": FER2013}, "w:xz"),
    "archive.zip": zip_files({"fer2013.csv": FER2013, **CLUTTER}),
    "packed twice.zip": zip_files(
        {"fer2013.tar.gz": tar_files({"fer2013/fer2013.csv": FER2013})}
    ),
    "fer2013.csv.zip": zip_files({"fer2013.csv": FER2013}),
    "csv.gz in a zip": zip_files({"fer2013.csv.gz": gzip.compress(FER2013.encode())}),
    "named wrongly.csv": tar_files({"fer2013/fer2013.csv": FER2013}),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_one_table_of_an_archive(name, tmp_path):
    path = put(tmp_path, ARCHIVES[name], name)
    images, labels = data.load_training_faces(path)
    assert_levels(images, LEVELS[:4])
    assert labels.tolist() == LABELS[:4]
    test = data.load_test_faces(path)
    assert_levels(test.images, LEVELS[4:])
    assert test.labels.tolist() == LABELS[4:]


def test_one_of_several_tables_is_named(tmp_path):
    files = {"train.csv": PLAIN, "fer/icml_face_data.csv": FER2013}
    path = put(tmp_path, zip_files(files), "kaggle.zip")
    with pytest.raises(InputError) as refusal:
        data.load_training_faces(path)
    assert str(refusal.value) == (
        f"{path}: expected one CSV file, found train.csv, fer/icml_face_data.csv; name "
        f"the one that you mean, as {path}/train.csv"
    )
    assert_levels(data.load_training_faces(path / "train.csv")[0], LEVELS)
    images, _ = data.load_training_faces(path / "fer/icml_face_data.csv")
    assert_levels(images, LEVELS[:4])
    with pytest.raises(InputError, match="expected test.csv inside, found train.csv"):
        data.load_test_faces(path / "test.csv")


@pytest.mark.parametrize("packing", ["tar", "zip"])
def test_the_path_that_a_refusal_advises_is_read(packing, tmp_path):
    """Also where names begin with "./", and inside of an archive in an archive."""
    content = tar_files({"./a/train.csv": PLAIN, "./a/test.csv": PLAIN})
    name = "faces.tar.gz"
    if packing == "zip":
        name, content = "outer.zip", zip_files({"in.tar.gz": content, "b.txt": ""})
    path = put(tmp_path, content, name)
    with pytest.raises(InputError) as refusal:
        data.load_training_faces(path)
    advised = str(refusal.value).partition("that you mean, as ")[2]
    assert advised.endswith("a/train.csv")
    assert_levels(data.load_training_faces(advised)[0], LEVELS)
    with pytest.raises(InputError, match="an archive with b.csv inside"):
        data.load_training_faces(f"{advised}/b.csv")


def draw_picture(row, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(LEVELS[row].reshape(48, 48)).save(file, kind)
    return file.getvalue()


def put_pictures(folder, names):
    """Write one face a name into a folder, in the order of the faces."""
    for row, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        kind = Image.registered_extensions()[(folder / name).suffix.lower()]
        (folder / name).write_bytes(draw_picture(row, kind))
    return folder


# Names of pictures in the order of the faces -> ids, and the order of the rows.
NAMES = {
    "numbers with a beginning": (
        ["im0.png", "im1.png", "im10.png", "im11.png", "im2.png"],
        ["0", "1", "2", "10", "11"],
        [0, 1, 4, 2, 3],
    ),
    "numbers": (["7.png", "10.png", "9.bmp"], ["7", "9", "10"], [0, 2, 1]),
    "numbers with zeros": (["im007.png", "im010.png"], ["7", "10"], [0, 1]),
    "numbers in one folder deeper": (
        ["test/im10.png", "test/im9.png"],
        ["9", "10"],
        [1, 0],
    ),
    "two beginnings": (["a1.png", "b1.png"], ["a1.png", "b1.png"], [0, 1]),
    "words": (["Ada.png", "Bob, Jr.png"], ["Ada.png", "Bob, Jr.png"], [0, 1]),
    "several folders": (
        ["one/im1.png", "two/im1.png", "im1.png"],
        ["im1.png", "one/im1.png", "two/im1.png"],
        [2, 0, 1],
    ),
    "other formats": (
        ["a.bmp", "b.TIF", "c.tiff", "d.gif", "e.pgm", "f.png"],
        ["a.bmp", "b.TIF", "c.tiff", "d.gif", "e.pgm", "f.png"],
        range(6),
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_pictures_keep_their_names_or_numbers(name, tmp_path):
    names, ids, order = NAMES[name]
    test = data.load_test_faces(put_pictures(tmp_path / "faces", names))
    assert test.ids == ids
    assert_levels(test.images, LEVELS[list(order)])
    assert test.labels is None


def test_one_number_twice_is_refused(tmp_path):
    put_pictures(tmp_path, ["7.png", "07.png"])
    with pytest.raises(InputError, match=r"found 7 in 07\.png and 7\.png; rename"):
        data.load_test_faces(tmp_path)


def test_jpeg_under_its_other_name(tmp_path):
    put_pictures(tmp_path, ["a.jfif", "b.JPE", "c.webp"])
    test = data.load_test_faces(tmp_path)
    assert test.ids == ["a.jfif", "b.JPE", "c.webp"]
    reread = np.asarray(Image.open(tmp_path / "a.jfif")).ravel()
    np.testing.assert_array_equal(test.images[0].ravel(), reread)


def test_what_is_left_out_is_named_and_clutter_is_not(tmp_path, capsys):
    names = ["happy/a.png", "sad/deep/down/b.png", "c.png"]
    put_pictures(tmp_path, names)
    for name in ("happy/._a.png", "@eaDir/x.png", "__MACOSX/y.png", ".hidden/z.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"clutter")
    for name in ("happy/Thumbs.db", "sad/desktop.ini"):
        (tmp_path / name).write_bytes(b"clutter")
    for name in ("happy/notes.txt", "happy/phone.heic", "sad/x.npy"):
        (tmp_path / name).write_bytes(b"something else")
    images, labels = data.load_training_faces(tmp_path)
    assert_levels(images, LEVELS[:2])
    assert labels.tolist() == [3, 4]
    assert capsys.readouterr().out.splitlines()[0] == (
        f"{tmp_path}: left out 3 files that Pillow does not read as pictures "
        "(happy/notes.txt, happy/phone.heic, sad/x.npy), 1 file outside the folders "
        "of the emotions (c.png)"
    )


def test_a_link_in_a_circle_ends(tmp_path):
    put_pictures(tmp_path, ["happy/a.png", "sad/b.png"])
    (tmp_path / "sad/again").symlink_to(tmp_path)
    _, labels = data.load_training_faces(tmp_path)
    assert labels.tolist() == [3, 4]


FOLDERS = {
    "CK+": ["anger", "disgust", "fear", "happy", "sadness", "surprise"],
    "capitals": ["Angry", "Disgust", "FEAR", "Happy", "Sad", "Surprise"],
    "adjectives": ["angry", "disgusted", "fearful", "happy", "sad", "surprised"],
    "digits in front": [
        "0 angry",
        "1_disgust",
        "2-fear",
        "3.happy",
        "4 sad",
        "05 Surprise",
    ],
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_of_other_names(name, tmp_path):
    put_pictures(tmp_path, [f"{folder}/im0.png" for folder in FOLDERS[name]])
    images, labels = data.load_training_faces(tmp_path)
    found = {
        tuple(image.ravel()): label for image, label in zip(images, labels, strict=True)
    }
    expected = {tuple(face): label for label, face in enumerate(LEVELS[:6])}
    assert found == expected


def test_foreign_classes_are_named_at_once_and_can_be_ignored(tmp_path, capsys):
    names = [
        "anger/1.png",
        "happy/1.png",
        "contempt/1.png",
        "contempt/2.png",
        "bored/1.png",
    ]
    put_pictures(tmp_path, names)
    for load in (data.load_training_faces, data.load_test_faces):
        with pytest.raises(InputError) as refusal:
            load(tmp_path)
        assert str(refusal.value).endswith(
            "found also bored (1), contempt (2); rename what means one of the seven, "
            "leave out the others with --ignore bored contempt"
        )
    images, labels = data.load_training_faces(tmp_path, ["Contempt", "bored"])
    assert_levels(images, LEVELS[:2])
    assert labels.tolist() == [0, 3]
    out = capsys.readouterr().out
    assert f"{tmp_path}: ignored bored (1), Contempt (2)" in out
    with pytest.raises(InputError, match="for --ignore, found no contemt"):
        data.load_training_faces(tmp_path, ["contempt", "bored", "contemt"])


def test_foreign_words_in_a_table_can_be_ignored(tmp_path):
    words = [*WORDS[:5], "contempt", "uncertain", "contempt"]
    path = put(tmp_path, write_csv("emotion,pixels", words, TEXTS))
    with pytest.raises(InputError, match=r"contempt \(2\), uncertain \(1\); rename"):
        data.load_training_faces(path)
    images, labels = data.load_training_faces(path, ["contempt", "uncertain", "joy"])
    assert_levels(images, LEVELS[[1, 2, 4]])
    assert labels.tolist() == [0, 6, 1]


def test_a_foreign_number_can_be_ignored(tmp_path):
    path = put(tmp_path, write_csv("label,feature", [*LABELS[:7], 7], TEXTS))
    images, labels = data.load_training_faces(path, ["7"])
    assert_levels(images, LEVELS[:7])
    assert labels.tolist() == LABELS[:7]


def test_an_ignored_7_does_not_hide_another_order(tmp_path):
    """RAF-DB counts from 1 to 7: without its 7 the others are still in its order."""
    path = put(tmp_path, write_csv("label,feature", [1, 2, 3, 4, 5, 6, 7], TEXTS[:7]))
    with pytest.raises(InputError, match="found them from 1 to 7, another order"):
        data.load_training_faces(path, ["7"])
    path = put(tmp_path, write_csv("label,feature", range(8), TEXTS))
    _, labels = data.load_training_faces(path, ["angry", "7"])
    assert labels.tolist() == [1, 2, 3, 4, 5, 6]


def test_folders_of_which_nothing_is_left_are_refused(tmp_path):
    put_pictures(tmp_path, ["happy/a.png"])
    with pytest.raises(InputError, match="found none; ignore fewer"):
        data.load_training_faces(tmp_path, ["happy"])
    (tmp_path / "happy/a.png").rename(tmp_path / "a.png")
    with pytest.raises(InputError, match="found none there; move them"):
        data.load_training_faces(tmp_path)


def test_three_emotions_are_trained_with_a_word_about_the_others(tmp_path, capsys):
    put_pictures(tmp_path, ["happy/a.png", "sad/b.png", "neutral/c.png"])
    data.load_training_faces(tmp_path)
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .startswith(
            "warning: no face shows angry, disgust, fear, surprise; the network "
            "answers with seven emotions all the same"
        )
    )


def describe(counts):
    labels = np.repeat(np.arange(7), counts)
    return faces.describe_emotions(labels)


def test_the_counts_of_fer2013_in_another_order_are_recognized():
    counts = [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert len(describe(counts)) == 1
    alphabetical = [3995, 436, 4097, 7215, 4965, 4830, 3171]
    assert describe(alphabetical)[1] == (
        "warning: these are FER2013's counts in another order (4 counts as neutral, 5 "
        "counts as sad, 6 counts as surprise); here 0 to 6 mean angry, disgust, fear, "
        "happy, sad, surprise, neutral"
    )
    assert len(describe([467, 56, 496, 895, 607, 653, 415])) == 2
    assert len(describe([958, 111, 1024, 1774, 1233, 1247, 831])) == 2
    assert len(describe([3995, 436, 4097, 7215, 4965, 4830, 3170])) == 1


FRACTIONS = [" ".join(f"{level / 255:.4f}" for level in face) for face in LEVELS]
HALVES = [" ".join(f"{level / 127.5 - 1:.4f}" for level in face) for face in LEVELS]
FLAWED = [*TEXTS[:2], TEXTS[2][2:], *TEXTS[3:5], "7 8", "x", TEXTS[7]]
MANY_FLAWED = ["7 8", "7 8 9", *TEXTS[2:6], "x", "y"]
REFUSED = {
    "no header": (
        PLAIN.split("\n", 1)[1],
        "expected the header label,feature or id,feature (or Kaggle's "
        "emotion,pixels,Usage), found a row of numbers; write the names",
    ),
    "no header, single pixels": (
        write_csv("3," + SINGLE[0], LABELS, SINGLE),
        "found a row of numbers; write the names",
    ),
    "pixels in 0..1": (
        write_csv("label,feature", LABELS, FRACTIONS),
        "and faults in 8 of 8 rows; multiply the pixels by 255 and round them",
    ),
    "pixels in -1..1": (
        write_csv("label,feature", LABELS, HALVES),
        "and faults in 8 of 8 rows; add 1 to the pixels, multiply them by 127.5",
    ),
    "pixels of 0 and 1": (
        write_csv("label,feature", LABELS, ["0 1 " * 1152] * 8),
        "expected pixels from 0 to 255, found none above 1; multiply them by 255",
    ),
    "abbreviated arrays": (
        write_csv("label,feature", LABELS, ["[ 7 8 9 ... 3 2 1]"] * 8),
        "found some left out (...), and faults in 8 of 8 rows; write every pixel",
    ),
    "names of pictures": (
        write_csv("label,image", LABELS, [f"im{row}.png" for row in range(8)]),
        "found 'im0.png', and faults in 8 of 8 rows; write the pixels as 0 to 255 "
        "with spaces between; pictures go into folders",
    ),
    "lists without quotes": (
        write_csv("label,feature", LABELS, [text.strip('"') for text in QUOTED]),
        "expected 2 columns, found 2305, and faults in 8 of 8 rows; give every column",
    ),
    "faces of another size": (
        write_csv("label,feature", LABELS, ["7 " * 4096] * 8),
        "expected 2304 pixels, found 4096, and faults in 8 of 8 rows; cut the faces",
    ),
    "every row in quotes": (
        "\n".join(f'"{row}"' for row in PLAIN.splitlines()),
        'found "label,feature" in quotes, as one column',
    ),
    "columns of pixels by row and column": (
        write_csv(
            "label," + ",".join(f"p{n // 48}_{n % 48}" for n in NUMBERS), LABELS, SINGLE
        ),
        "found 2,305 columns from 'label' on",
    ),
    "2,303 columns": (
        write_csv("label," + name_pixels("p{}").rsplit(",", 1)[0], LABELS, SINGLE),
        "expected the header label,feature",
    ),
    "two columns of labels": (
        write_csv("label,emotion,feature", LABELS, LABELS, TEXTS),
        "found label,emotion,feature, two columns for the label",
    ),
    "a misspelled Usage": (
        write_csv("emotion,pixels,Usag", LABELS, TEXTS, USAGES),
        "expected a column usage, found 'Usag'; correct its name",
    ),
    "a Usage of another name": (
        write_csv("emotion,pixels,part", LABELS, TEXTS, USAGES),
        "expected the column 'part' to be called Usage, found 'Training' in it",
    ),
    "a Usage of another name among other words": (
        write_csv(
            "emotion,pixels,part", LABELS, TEXTS, ["a", "b", "c", "d", "e", *USAGES[5:]]
        ),
        "expected the column 'part' to be called Usage, found 'PublicTest' in it",
    ),
    "a Usage of another name and other words": (
        write_csv("emotion,pixels,type", LABELS, TEXTS, ["train"] * 6 + ["test"] * 2),
        "expected the column 'type' to be called Usage, found test, train in it",
    ),
    "labels from 1 to 7": (
        write_csv("label,feature", [1, 2, 3, 4, 5, 6, 7, 1], TEXTS),
        "expected labels from 0 to 6, found them from 1 to 7, another order such as "
        "RAF-DB's (1 surprise, 2 fear",
    ),
    "labels from 0 to 7": (
        write_csv("label,feature", range(8), TEXTS),
        "found them from 0 to 7, another order such as AffectNet's (0 neutral, 1 happy",
    ),
    "three rows with faults": (
        write_csv("label,feature", LABELS, FLAWED),
        "row 3 (line 4): expected 2304 pixels, found 2303; fix or delete the row, and "
        "2 more with faults: 6, 7",
    ),
    "four rows with faults": (
        write_csv(
            "label,feature", [*LABELS, *LABELS], [*MANY_FLAWED, *TEXTS[:4], *"abcd"]
        ),
        "row 1 (line 2): expected 2304 pixels, found 2; fix or delete the row, and 7 "
        "more with faults: 2, 7, 8, 13, 14 and 2 more",
    ),
    "UTF-16 without its mark": (PLAIN.encode("utf-16-le"), "save it as CSV (UTF-8)"),
    "UTF-16 cut": (PLAIN.encode("utf-16")[:-1], "expected text in UTF-16, found other"),
    "two megabytes in a line": (
        gzip.compress(b"label,feature\n" + b"7 " * 10**6),
        "expected lines below 131,072 bytes, found a longer one",
    ),
    "old Macintosh lines": (PLAIN.replace("\n", "\r"), "save it as CSV (UTF-8)"),
    "a NumPy array": (
        b"\x93NUMPY\1\0",
        "found a NumPy array; write its faces as a CSV",
    ),
    "a JPEG picture": (b"\xff\xd8\xff\xe0", "found a JPEG picture; give the folder"),
    "a film": (b"\0\0\0\x20ftypisom", "found a film; "),
    "a photograph of a phone": (b"\0\0\0\x20ftypheic", "found a picture in HEIC; give"),
    "a workbook": (
        zip_files({"[Content_Types].xml": "", "xl/workbook.xml": ""}),
        "found an Excel workbook; save it as CSV (UTF-8)",
    ),
    "a zip of pictures": (
        zip_files({f"train/happy/{row}.png": draw_picture(row) for row in range(3)}),
        "found an archive of 3 pictures; unpack it and give the folder that holds them",
    ),
    "a zip of something": (zip_files({"a.txt": ""}), "a CSV file inside, found a.txt"),
    "an empty zip": (zip_files({}), "a CSV file inside, found nothing"),
    "a zip in Deflate64, as Windows packs large files": (
        ARCHIVES["fer2013.csv.zip"].replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x09\0"),
        "an archive that Python can unpack, found another kind (That compression",
    ),
    "a cut tar archive": (ARCHIVES["fer2013.tar.gz"][:-200], "a complete gzip file"),
    "a cut zip archive": (ARCHIVES["archive.zip"][:-200], "a complete zip file"),
    "archives in archives": (
        gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"label")))),
        "found archives in archives",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_ambiguous_is_named_for_what_it_is(name, tmp_path):
    content, expected = REFUSED[name]
    path = put(tmp_path, content)
    for load in (data.load_training_faces, data.load_test_faces):
        with pytest.raises(InputError) as refusal:
            load(path)
        message = str(refusal.value)
        assert message.startswith(str(path)) and expected in message
        assert "\n" not in message and len(message) < 500 and ";" in message


def test_folders_that_are_refused_say_why(tmp_path):
    numbers = put_pictures(tmp_path / "numbers", ["0/a.png", "1/b.png", "6/c.png"])
    outer = put_pictures(tmp_path / "outer", ["train/happy/a.png", "test/sad/b.png"])
    other = put_pictures(tmp_path / "other", ["freude/a.png", "wut/b.png"])
    tables = tmp_path / "tables"
    tables.mkdir()
    put(tables, PLAIN, "train.csv")
    for load, folder, expected in (
        (data.load_training_faces, numbers, "found 0, 1, 6: which number is which emo"),
        (data.load_test_faces, numbers, "1 to 7 from surprise to neutral in RAF-DB"),
        (data.load_training_faces, outer, f"such as {outer}/test"),
        (data.load_test_faces, outer, "found test, train; give the folder that holds"),
        (data.load_training_faces, other, "found freude, wut"),
        (data.load_training_faces, tables, "found only train.csv; give the CSV file"),
    ):
        with pytest.raises(InputError) as refusal:
            load(folder)
        assert expected in str(refusal.value)
    assert data.load_test_faces(other).ids == ["freude/a.png", "wut/b.png"]


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "faces.csv")
    with pytest.raises(InputError, match="expected a file, found a pipe or a device"):
        data.load_test_faces(tmp_path / "faces.csv")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "WEBP", "TGA"])
def test_a_picture_is_no_table(kind, tmp_path):
    suffix = {"PPM": "pgm"}.get(kind, kind.lower())
    path = put(tmp_path, draw_picture(0, kind), f"face.{suffix}")
    for load in (data.load_training_faces, data.load_test_faces):
        with pytest.raises(
            InputError, match="found a .*pict.*; give the folder of its"
        ):
            load(path)


def test_pictures_of_a_phone_alone(tmp_path):
    put(tmp_path, b"\0\0\0\x20ftypheic", "im1.heic")
    with pytest.raises(InputError, match=r"found only im1\.heic; data/README\.md"):
        data.load_test_faces(tmp_path)


def test_pictures_of_0_and_1_are_refused(tmp_path):
    for name in ("happy/a.png", "sad/b.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(LEVELS[0].reshape(48, 48) % 2).save(tmp_path / name)
    with pytest.raises(InputError, match="from 0 to 255, found none above 1; multiply"):
        data.load_training_faces(tmp_path)


def test_one_damaged_picture_does_not_hide_the_next(tmp_path):
    put_pictures(tmp_path, [f"sad/{row}.png" for row in range(8)])
    put_pictures(tmp_path, ["happy/0.png"])
    for number in (1, 3, 4, 5, 6, 7):
        (tmp_path / f"sad/{number}.png").write_bytes(b"damaged")
    Image.new("L", (96, 96)).save(tmp_path / "sad/2.png")
    with pytest.raises(InputError) as refusal:
        data.load_training_faces(tmp_path)
    assert str(refusal.value) == (
        f"{tmp_path}/sad/1.png: expected a picture, found a damaged file; replace or "
        "delete it; 6 more have faults: sad/2.png, sad/3.png, sad/4.png, sad/5.png, "
        "sad/6.png and 1 more"
    )


def test_a_damaged_packing_is_named(tmp_path):
    for pack, name in ((bz2.compress, "bzip2"), (gzip.compress, "gzip")):
        # The first bytes behind the one by which a packing is known.
        content = pack(PLAIN.encode())[:4] + bytes(20)
        path = put(tmp_path, content)
        with pytest.raises(InputError, match=f"{path}: .* complete {name} file"):
            data.load_training_faces(path)


def test_a_labelled_table_is_predicted_and_scored(tmp_path):
    test = data.load_test_faces(put(tmp_path, PLAIN))
    assert test.labels.tolist() == LABELS
    assert test.ids == [str(row) for row in range(8)] and test.usages is None


TEST = write_csv("id,feature", range(8), TEXTS)
KNOWN = {
    "id,label": write_csv("id,label", range(8), LABELS),
    "Id,Label": write_csv("Id,Label", range(8), LABELS),
    "ids,labels": write_csv("ids,labels", range(8), LABELS),
    "id;emotion": write_csv("id;emotion", range(8), LABELS, separator=";"),
    "words": write_csv("id,label", range(8), WORDS),
    "another order": write_csv("label,id", reversed(LABELS), reversed(range(8))),
    "an index": write_csv(",id,label", range(8), range(8), LABELS),
    "packed": gzip.compress(write_csv("id,label", range(8), LABELS).encode()),
    "faces without ids": PLAIN,
    "faces with ids": write_csv("id,label,feature", range(8), LABELS, TEXTS),
}


@pytest.mark.parametrize("name", KNOWN)
def test_labels_in_every_form_that_faces_have(name, tmp_path):
    test = data.load_test_faces(put(tmp_path, TEST))
    known = data.load_labels(put(tmp_path, KNOWN[name], "labels.csv"), test)
    assert known.labels.tolist() == LABELS
    assert known.ids == test.ids and known.images is test.images


def test_labels_of_some_faces_with_a_usage(tmp_path):
    test = data.load_test_faces(put(tmp_path, TEST))
    content = write_csv(
        "id,label,Usage", [7, 2, 5], [5, 6, 2], ["Private", "Public", "Public"]
    )
    known = data.load_labels(put(tmp_path, content, "labels.csv"), test)
    assert known.labels.tolist() == [-1, -1, 6, -1, -1, 2, -1, 5]
    public, private = "PublicTest", "PrivateTest"
    expected = [None, None, public, None, None, public, None, private]
    assert known.usages == expected


def test_labels_of_a_folder_by_the_names_of_its_pictures(tmp_path):
    folder = put_pictures(tmp_path / "test", ["Ada, B.png", "Eve.png"])
    test = data.load_test_faces(folder)
    content = 'id,label\n"Ada, B.png",happy\nEve.png,0\n'
    known = data.load_labels(put(tmp_path, content, "labels.csv"), test)
    assert known.labels.tolist() == [3, 0]


def test_a_class_that_only_the_labels_name_can_be_ignored(tmp_path):
    test = put(tmp_path, TEST)
    content = "id,label\n3,happy\n5,contempt\n"
    labels = put(tmp_path, content, "labels.csv")
    with pytest.raises(InputError, match="leave out the others with --ignore contempt"):
        data.load_test_faces(test, (), labels)
    known = data.load_test_faces(test, ["contempt"], labels)
    assert known.labels.tolist() == [-1, -1, -1, 3, -1, -1, -1, -1]
    with pytest.raises(InputError, match="labels.csv: expected a class .* no contemt"):
        data.load_test_faces(test, ["contempt", "contemt"], labels)


WRONG_LABELS = {
    "no labels": (TEST, "expected the header id,label (a Usage beside it is"),
    "no ids": ("label\n3\n", "expected the columns id,label, found no ids"),
    "other faces": (
        write_csv("id,label,feature", range(8), LABELS, TEXTS[::-1]),
        "expected the test faces, found others under the same ids",
    ),
    "other ids": (
        "id,label\n3,0\n9,0\n8,1\n",
        "found '9' and 1 others; give the label",
    ),
    "an id twice": ("id,label\n3,0\n3,0\n", "row 2: expected every id once, found 3"),
    "label 7": ("id,label\n3,7\n2,1\n1,1\n", "row 1 (line 2): expected a label from 0"),
    "three fields": ("id,label\n3,0,1\n2,1,1\n", "expected 2 columns, found 3"),
    "no header": ("3,0\n2,1\n", "expected the header id,label (a Usage beside it is"),
    "nothing": ("", "found an empty one"),
}


@pytest.mark.parametrize("name", WRONG_LABELS)
def test_labels_that_cannot_be_those_of_the_test_are_refused(name, tmp_path):
    content, expected = WRONG_LABELS[name]
    test = data.load_test_faces(put(tmp_path, TEST))
    path = put(tmp_path, content, "labels.csv")
    with pytest.raises(InputError) as refusal:
        data.load_labels(path, test)
    assert str(refusal.value).startswith(str(path)) and expected in str(refusal.value)


def test_what_lies_in_place_of_the_default_is_used_and_said(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    with pytest.raises(InputError, match=r"data/train\.csv: expected a CSV file or a"):
        data.load_training_faces("data/train.csv")
    put_pictures(folder / "train", ["happy/a.png", "sad/b.png"])
    assert len(data.load_training_faces("data/train.csv")[0]) == 2
    assert capsys.readouterr().out.startswith("reading   data/train\n")
    put(folder, FER2013, "fer2013.csv")
    assert len(data.load_training_faces("data/train.csv")[0]) == 4
    assert capsys.readouterr().out.startswith(
        "reading   data/fer2013.csv, not data/train beside it\n"
    )
    assert len(data.load_test_faces("data/test.csv").images) == 4
    assert capsys.readouterr().out.startswith("reading   data/fer2013.csv\n")
    put(folder, PLAIN, "train.csv")
    assert len(data.load_training_faces("data/train.csv")[0]) == 8
    assert capsys.readouterr().out.startswith(
        "reading   data/train.csv, not data/fer2013.csv, data/train beside it\n"
    )
    # Whoever names another file gets that one, or none.
    with pytest.raises(InputError, match="found nothing"):
        data.load_training_faces("data/training.csv")
