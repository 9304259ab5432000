"""--imitate: a network whose targets are what others answer about the same pictures."""

import json

import numpy as np
import pytest
from conftest import run_script
from tiny_network import build_tiny

import train_cnn
from fer import checkpoints, data, distillation
from fer.augmentation import AUGMENTATIONS, AugmentedFaces, FaceGenerator
from fer.command import InputError


@pytest.fixture
def faces():
    images = np.random.default_rng(0).integers(0, 256, (210, 48, 48, 1), "uint8")
    labels = np.arange(210) % 7
    return data.Split("train.csv", images, labels, *data.split(images, labels, 0.1, 0))


@pytest.fixture
def networks(faces, tmp_path):
    """Two networks that held out the faces that the run is validated on."""
    paths = [tmp_path / "one.keras", tmp_path / "two.keras"]
    record = {
        "settings": {"faces": faces.fingerprint},
        "validation_rows": faces.validation_rows.tolist(),
    }
    for path in paths:
        checkpoints.save(build_tiny(), path)
        path.with_suffix(".json").write_text(json.dumps(record))
    return paths


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_the_target_is_the_average_answer_about_the_changed_face(
    faces, networks, mixup
):
    batches = AugmentedFaces(
        faces.train_images,
        faces.train_targets,
        64,
        FaceGenerator(**AUGMENTATIONS["strong"]),
        seed=0,
        mixup=mixup,
        answer=distillation.build_imitated(networks, faces, "float32"),
    )
    images, targets = batches[1]
    models = [checkpoints.load_checkpoint(path) for path in networks]
    expected = [model.predict(images, verbose=0) for model in models]
    np.testing.assert_allclose(targets, np.mean(expected, axis=0), atol=1e-5)
    assert not np.allclose(expected[0], expected[1], atol=1e-3)


def test_validation_faces_must_be_new_to_those_that_are_imitated(faces, networks):
    record = networks[1].with_suffix(".json")
    known = json.loads(record.read_text())
    known["validation_rows"] = known["validation_rows"][:-3]
    record.write_text(json.dumps(known))
    with pytest.raises(InputError, match="found that 3 of 21 were seen"):
        distillation.build_imitated(networks, faces, "float32")
    everything = np.arange(210), np.arange(0)
    faces = data.Split("train.csv", faces.images, faces.labels, *everything)
    distillation.build_imitated(networks, faces, "float32")


@pytest.mark.parametrize(
    "flag",
    [["--teachers", "a"], ["--label-smoothing", "0.1"], ["--class-weights"]],
    ids=lambda flag: flag[0],
)
def test_what_acts_on_labels_is_refused_beside_it(flag, capsys):
    with pytest.raises(SystemExit) as stop:
        train_cnn.read_flags(["--imitate", "pretrained/cnn.keras", *flag])
    assert stop.value.code == 2
    assert f"argument {flag[0]}: not allowed with --imit" in capsys.readouterr().err


def test_a_network_imitates_another_one(trained, drawn, tmp_path):
    one = trained / "checkpoints/small_run.keras"
    arguments = ["--train", drawn / "train.csv", "--epochs", 2, "--imitate", one]
    run_script("train_cnn.py", *arguments, cwd=tmp_path)
    record = json.loads((tmp_path / "checkpoints/cnn.json").read_text())
    assert record["settings"]["imitate"] == [checkpoints.compute_digest(one)]
    assert record["settings"]["label_smoothing"] == 0

    arguments += ["--validation", "1/5", "--name", "refused"]
    process = run_script("train_cnn.py", *arguments, cwd=tmp_path, status=2)
    assert "held out the faces to validate on" in process.stderr.splitlines()[-1]
    assert not (tmp_path / "checkpoints/refused.keras").exists()


def test_a_run_that_imitates_none_has_the_settings_of_before(trained):
    record = json.loads((trained / "checkpoints/small_run.json").read_text())
    assert "imitate" not in record["settings"]
