"""predict.py on faces as they come: labelled, packed, named, or missing."""

import csv
import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import ROOT, run_script
from PIL import Image

from fer.drawn_faces import draw_faces
from fer.faces import EMOTIONS, compute_fingerprint

IMAGES, LABELS = draw_faces(40, 5)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint that nobody trained, and what it answers about the drawn faces."""
    import keras
    from tiny_network import build_tiny

    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    network = build_tiny()
    network.save(path)
    answers = network.predict(IMAGES.astype("float32"), verbose=0)
    return path, answers.argmax(axis=1)


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_a_labelled_file_is_scored_by_usage_out_of_its_archive(model, tmp_path):
    path, answers = model
    usages = ["train"] * 10 + ["val"] * 12 + ["test"] * 18
    rows = [
        f"{label},{' '.join(map(str, image.ravel()))},{usage}"
        for label, image, usage in zip(LABELS, IMAGES, usages, strict=True)
    ]
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("fer.csv", "\n".join(["emotion,pixels,Usage", *rows]))
    process = run_script("predict.py", path, "--test", "archive.zip", cwd=tmp_path)
    for usage, part in (("PublicTest", slice(10, 22)), ("PrivateTest", slice(22, 40))):
        accuracy = (answers[part] == LABELS[part]).mean()
        expected = f"accuracy {accuracy:.5f} on {len(LABELS[part])} faces ({usage})"
        assert expected in process.stdout
    submission = read_csv(tmp_path / "submission.csv")
    assert submission == [
        ["id", "label"],
        *([str(row), str(label)] for row, label in enumerate(answers[10:])),
    ]


@pytest.mark.parametrize("tta", [False, True])
def test_the_answer_is_the_average_of_networks_and_views(tta, tmp_path):
    import keras
    from tiny_network import build_tiny

    from fer import prediction
    from fer.recognition import Recognizer

    networks, paths = [], [tmp_path / "one.keras", tmp_path / "two.keras"]
    for seed, path in enumerate(paths):
        keras.utils.set_random_seed(seed)
        networks.append(build_tiny())
        networks[-1].save(path)
    views = list(prediction.make_views(IMAGES)) if tta else [IMAGES.astype("float32")]
    assert len(views) == (26 if tta else 1)
    every = [network.predict(view, verbose=0) for network in networks for view in views]
    expected = np.mean(every, axis=0)

    found = Recognizer(paths, tta, whole=True).ask(IMAGES)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    rows = [
        f"{row},{' '.join(map(str, image.ravel()))}" for row, image in enumerate(IMAGES)
    ]
    (tmp_path / "test.csv").write_text("\n".join(["id,feature", *rows]))
    arguments = [*paths, "--test", "test.csv", "--probabilities", "p.csv"]
    run_script("predict.py", *arguments, *["--tta"] * tta, cwd=tmp_path)
    table = read_csv(tmp_path / "p.csv")
    found = np.array([row[-7:] for row in table[1:]], float)
    # With --tta in bfloat16, where the processor has it.
    np.testing.assert_allclose(found, expected, atol=0.01 if tta else 1e-4)
    assert np.abs(every[0] - expected).max() > 0.02


@pytest.mark.slow
def test_pictures_keep_their_names_in_the_submission(model, tmp_path):
    path, answers = model
    folder = tmp_path / "faces"
    folder.mkdir()
    names = ["Ada, Countess.png", 'Bob "B".png', "c.webp"]
    for name, image in zip(names, IMAGES, strict=False):
        Image.fromarray(image[..., 0]).save(folder / name, lossless=True)
    # As the numbers of a submission, in words, and of two faces only.
    known = [["id", "label"], [names[1], EMOTIONS[answers[1]]], [names[0], "6"]]
    with open(tmp_path / "known.csv", "w", newline="") as file:
        csv.writer(file).writerows(known)
    arguments = ["--test", folder, "--labels", "known.csv", "--probabilities", "p.csv"]
    process = run_script("predict.py", path, *arguments, cwd=tmp_path)
    expected = [[name, str(label)] for name, label in zip(names, answers, strict=False)]
    assert read_csv(tmp_path / "submission.csv")[1:] == expected
    accuracy = (1 + (answers[0] == 6)) / 2
    assert f"accuracy {accuracy:.5f} on 2 faces (known labels)" in process.stdout
    header, *rows = read_csv(tmp_path / "p.csv")
    assert header == ["id", *EMOTIONS] and [row[0] for row in rows] == names
    shares = np.array([row[1:] for row in rows], dtype=float)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(shares.argmax(axis=1), answers[:3])


def test_faces_of_the_training_are_called_that(model, tmp_path):
    path, _ = model
    train = tmp_path / "train.csv"
    rows = [
        f"{label},{' '.join(map(str, image.ravel()))}"
        for label, image in zip(LABELS, IMAGES, strict=True)
    ]
    train.write_text("\n".join(["label,feature", *rows]))
    shutil.copy(path, tmp_path / "known.keras")
    record = {"settings": {"faces": compute_fingerprint(IMAGES, LABELS)}}
    (tmp_path / "known.json").write_text(json.dumps(record))
    arguments = ["known.keras", "--test", "train.csv"]
    process = run_script("predict.py", *arguments, cwd=tmp_path)
    assert "warning: known.keras was trained on these faces" in process.stderr


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (
            ["tiny.keras", "--probabilities", "./submission.csv"],
            "--probabilities ./submission.csv: expected another file than --output",
        ),
        (
            ["tiny.keras", "--output", "tiny.keras"],
            "--output tiny.keras: expected another file than tiny.keras",
        ),
        (["tiny.keras", "--output", "/"], "/: expected a file to write"),
        (["tiny.keras", "--test", "nowhere.csv"], "nowhere.csv: expected a CSV file"),
        (["nowhere.keras"], "nowhere.keras: expected a checkpoint, found no such"),
        ([], "no MODEL named"),
    ],
)
def test_what_is_missing_is_named_before_keras_is_imported(
    arguments, expected, tmp_path
):
    (tmp_path / "tiny.keras").write_text("")
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import predict\n"
        f"sys.argv = ['predict.py', *{arguments!r}]\n"
        "try: predict.main()\n"
        "except ValueError as error: print(error)\n"
        "print({'keras', 'sklearn', 'pandas'} & {*sys.modules})"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    message, imported = process.stdout.splitlines()
    assert message.startswith(expected) and imported == "set()"
