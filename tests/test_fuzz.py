"""Mutated files are refused in one line, or mean what a plain reader says they mean."""

import csv
import io
import json
import zipfile

import numpy as np
import pytest

from fer import checkpoints, data
from fer.command import InputError
from fer.faces import NUM_PIXELS

# The quick run takes a tenth; the slow one takes all.
CSV_CASES = [200, pytest.param(2_000, marks=pytest.mark.slow)]
CHECKPOINT_CASES = [100, pytest.param(1_000, marks=pytest.mark.slow)]
CONFIG_CASES = [50, pytest.param(500, marks=pytest.mark.slow)]

FACES = [
    " ".join(str((step * level) % 256) for level in range(NUM_PIXELS)).encode()
    for step in (1, 7, 11)
]
WHOLE_FILES = [
    b"label,feature\n3,%b\n0,%b\n6,%b\n",
    b"label,feature\r\n3,%b\r\n0,%b\r\n6,%b\r\n",
    b'id,feature\n17,"%b"\n4,%b\nx9,"%b"',
    b"\xef\xbb\xbfemotion,pixels,Usage\n3,%b,Training\n0,%b,PublicTest\n6,%b,Training\n",
    b"emotion, Usage, pixels\n3, Training, %b\n0, PublicTest, %b\n6, PrivateTest, %b\n",
    b"pixels\n%b\n%b\n%b\n",
]
# What a file may go wrong by: what means something to one of the readers.
WORDS = [b"", b",", b'"', b"\n", b"\r", b"\r\n", b"\0", b" ", b"  ", b"\t", b"\x0b"]
WORDS += [b";", b"-", b"+", b".", b"0", b"256", b"-1", b"1e1", b"0x1", b"1_0", b"\xa0"]
WORDS += [
    b"nan",
    b"18446744073709551617",
    b"9" * 400,
    b"\xef\xbb\xbf",
    b"\xd9\xa3",
    b"#",
]
WORDS += [b"label", b"feature", b"pixels", b"id", b"Usage", b"Training", b"'", b"\\"]


def draw_place(rng, content):
    """A position, in half of the cases near the header or the border of a row."""
    if rng.random() < 0.5:
        borders = [0] + [i for i, byte in enumerate(content) if byte in b",\n"]
        near = int(rng.choice(borders)) + int(rng.integers(-3, 8))
        return min(max(near, 0), len(content))
    return int(rng.integers(len(content) + 1))


def mutate(rng, content):
    """Change bytes by one of the ways in which files break."""
    place, other = draw_place(rng, content), draw_place(rng, content)
    word = WORDS[rng.integers(len(WORDS))]
    kind = rng.integers(9)
    if kind == 0:
        return content[:place] + rng.bytes(1) + content[place + 1 :]
    if kind == 1:
        return content[:place] + word + content[place + 1 :]
    if kind == 2:
        return content[:place] + word + content[place:]
    if kind == 3:
        return content[:place] + content[place + int(rng.integers(1, 9)) :]
    if kind == 4:
        return content[: max(place, other)] + content[min(place, other) :]
    if kind == 5:
        return content[:place]
    if kind >= 7:
        # What may well leave a valid file: another digit, another blank.
        digit = content[place : place + 1].isdigit()
        word = b"%d" % rng.integers(10) if digit else b" "
        return content[:place] + word + content[place + digit :]
    lines = content.split(b"\n")
    lines[rng.integers(len(lines))] = lines[rng.integers(len(lines))]
    return b"\n".join(lines)


NAMES = {"label": "label", "emotion": "label", "feature": "pixels", "pixels": "pixels"}
NAMES |= {"id": "id", "usage": "usage"}


def read_plainly(content):
    """The columns of a file as the csv module and float read them; others left out."""
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    header, *rows = csv.reader(text, skipinitialspace=True, strict=True)
    columns = [NAMES.get(name.strip().lower(), "other") for name in header]
    table = {column: [] for column in columns}
    for row in rows:
        if row:
            for column, field in zip(columns, row, strict=True):
                table[column].append(field)
    pixels = [[float(word) for word in field.split()] for field in table["pixels"]]
    return (
        pixels,
        [int(field) for field in table["label"]] if "label" in table else None,
        [field.strip() for field in table["id"]] if "id" in table else None,
        [field.strip() for field in table["usage"]] if "usage" in table else None,
    )


@pytest.mark.parametrize("cases", CSV_CASES)
def test_mutated_tables(tmp_path, cases):
    path = tmp_path / "mutated.csv"
    read = 0
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        content = WHOLE_FILES[seed % len(WHOLE_FILES)] % tuple(FACES)
        for _ in range(rng.integers(1, 3)):
            content = mutate(rng, content)
        path.write_bytes(content)
        try:
            faces = data.read(path)
        except InputError as refusal:
            assert_one_line(refusal, path)
            continue
        read += 1
        pixels, labels, ids, usages = read_plainly(content)
        images = faces.images.reshape(len(faces.images), -1)
        np.testing.assert_array_equal(images, pixels, err_msg=f"seed {seed}")
        assert (None if labels is None else faces.labels.tolist()) == labels, seed
        assert faces.ids == ids, seed
        # Public alone means PublicTest.
        usages = usages and [usage.removesuffix("Test") for usage in usages]
        found = faces.usages and [usage.removesuffix("Test") for usage in faces.usages]
        assert found == usages, seed
    assert cases / 10 < read < cases


def assert_one_line(refusal, path):
    message = str(refusal)
    assert str(path) in message
    assert len(message) < 500 and "\n" not in message and message.isprintable()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The bytes of a whole checkpoint of every kind of layer."""
    import keras
    from tiny_network import build_tiny

    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("whole") / "tiny.keras"
    build_tiny().save(path)
    return path.read_bytes()


def answer(path):
    """What a checkpoint predicts for some faces: float32 (4, 7)."""
    rng = np.random.default_rng(0)
    faces = rng.integers(256, size=(4, 48, 48, 1)).astype("float32")
    return np.asarray(checkpoints.load_checkpoint(path)(faces))


def mutate_archive(rng, content):
    """Change an archive, in half of the cases where its directory is written."""
    size = len(content)
    place = int(rng.integers(size))
    if rng.random() < 0.5:
        headers = [
            i
            for i in range(size)
            if content.startswith((b"PK\1\2", b"PK\3\4", b"PK\5\6"), i)
        ]
        place = min(int(rng.choice(headers)) + int(rng.integers(60)), size - 1)
    length = int(rng.integers(1, 200))
    kind = rng.integers(8)
    if kind <= 2:
        flipped = bytes([content[place] ^ (1 << int(rng.integers(8)))])
        return content[:place] + flipped + content[place + 1 :]
    if kind == 3:
        return content[:place] + rng.bytes(1) + content[place + 1 :]
    if kind == 4:
        return content[:place]
    if kind == 5:
        return content[:place] + content[place + length :]
    if kind == 6:
        return content[:place] + bytes(length) + content[place + length :]
    return content + rng.bytes(length) if place % 2 else rng.bytes(length) + content


@pytest.mark.parametrize("cases", CHECKPOINT_CASES)
def test_mutated_checkpoints(tmp_path, checkpoint, cases):
    path = tmp_path / "mutated.keras"
    path.write_bytes(checkpoint)
    expected = answer(path)
    read = 0
    for seed in range(cases):
        path.write_bytes(mutate_archive(np.random.default_rng(seed), checkpoint))
        try:
            found = answer(path)
        except InputError as refusal:
            assert_one_line(refusal, path)
            continue
        read += 1
        np.testing.assert_array_equal(found, expected, err_msg=f"seed {seed}")
    assert 0 < read < cases / 2


VALUES = [None, -1, 0, 3, 1.5, True, "", "relu", "Lambda", [], {}, [None], 1e30, "é"]


def mutate_config(rng, config):
    """Replace, delete or move something anywhere in a configuration."""
    places = []

    def walk(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(config)
    node, key = places[rng.integers(len(places))]
    kind = rng.integers(3)
    if kind == 0 and isinstance(node, dict):
        del node[key]
    elif kind == 1:
        other, other_key = places[rng.integers(len(places))]
        node[key] = json.loads(json.dumps(other[other_key]))
    else:
        node[key] = VALUES[rng.integers(len(VALUES))]


# Keras warns of what a mutated configuration makes it skip.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cases", CONFIG_CASES)
def test_mutated_configurations(tmp_path, checkpoint, cases):
    """With the checksums right: a refusal or a model, never another exception."""
    path = tmp_path / "mutated.keras"
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    refused = 0
    for seed in range(cases):
        config = json.loads(members["config.json"])
        mutate_config(np.random.default_rng(seed), config)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                if name == "config.json":
                    content = json.dumps(config)
                archive.writestr(name, content)
        try:
            model = checkpoints.load_checkpoint(path)
        except InputError as refusal:
            assert_one_line(refusal, path)
            refused += 1
            continue
        assert model.output_shape == (None, 7), seed
    assert cases / 10 < refused < cases
