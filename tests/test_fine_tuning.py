"""Going on from a checkpoint: first weights, held-out faces, the script, refusals."""

import json
import shutil

import keras
import numpy as np
import pytest
from conftest import run_script
from tiny_network import build_tiny

import train_cnn
import train_dnn
from fer import checkpoints, data, fine_tuning
from fer.command import InputError
from networks import NETWORKS


@pytest.fixture
def precision():
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def test_the_copy_answers_as_the_checkpoint_does(tmp_path, precision):
    model = build_tiny()
    checkpoints.save(model, tmp_path / "some.keras")
    arguments = ["--start-from", str(tmp_path / "some.keras")]
    build, _, options = train_cnn.read_flags(arguments)
    assert options.network == "some"
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1)).astype("float32")
    # Whatever normalization the run would have.
    copy = build(keras.layers.Rescaling(7.0))
    expected = model.predict(faces, verbose=0)
    np.testing.assert_array_equal(copy.predict(faces, verbose=0), expected)

    precision("mixed_bfloat16")
    policies = {layer.name: layer.dtype_policy.name for layer in build().layers}
    assert policies["conv"] == policies["norm"] == "mixed_bfloat16"
    assert policies["normalization"] == policies["probabilities"] == "float32"


@pytest.mark.parametrize("flag", [["--network", "small"], ["--normalization", "unit"]])
def test_the_checkpoint_decides_network_and_normalization(flag, capsys):
    with pytest.raises(SystemExit) as stop:
        train_cnn.read_flags(["--start-from", "pretrained/cnn.keras", *flag])
    assert stop.value.code == 2
    assert f"argument {flag[0]}: not allowed with --start" in capsys.readouterr().err


def test_its_own_network_leaves_no_choice_of_size(monkeypatch, capsys):
    flags = ["--start-from", "pretrained/cnn.keras", "--match", "small"]
    monkeypatch.setattr("sys.argv", ["train_dnn.py", *flags])
    with pytest.raises(SystemExit):
        train_dnn.main()
    assert "argument --match: not allowed with --start" in capsys.readouterr().err


def test_a_dense_network_goes_on_by_the_recipe_of_its_pair(monkeypatch):
    def load_start(options):
        options.network = "small DNN"
        return NETWORKS["small"].build_dnn

    trained = []
    monkeypatch.setattr(fine_tuning, "load_start", load_start)
    monkeypatch.setattr(train_dnn, "train", lambda *given: trained.append(given))
    monkeypatch.setattr("sys.argv", ["train_dnn.py", "--start-from", "some.keras"])
    train_dnn.main()
    assert trained[0][1] is NETWORKS["small"].DNN_RECIPE


def test_its_validation_faces_stay_held_out(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (210, 48, 48, 1), "uint8")
    labels = np.arange(210) % 7
    rows = data.split(images, labels, 0.1, 0)
    faces = data.Split(tmp_path, images, labels, *rows)
    others = dict(enumerate(data.split(images, labels, 0.2, 5)))
    record = {"settings": {"faces": faces.fingerprint}}
    record["validation_rows"] = others[1].tolist()
    (tmp_path / "some.json").write_text(json.dumps(record))
    kept = fine_tuning.keep_held_out(faces, tmp_path / "some.keras")
    np.testing.assert_array_equal(kept.validation_rows, others[1])
    np.testing.assert_array_equal(kept.train_rows, others[0])
    assert "validate  on the 42 faces that " in capsys.readouterr().out

    record["settings"]["faces"] = "others"
    (tmp_path / "some.json").write_text(json.dumps(record))
    assert fine_tuning.keep_held_out(faces, tmp_path / "some.keras") is faces
    assert "is about other faces" in capsys.readouterr().out
    # Nobody can hold out what the start has seen.
    record = {"settings": {"faces": faces.fingerprint}, "validation_rows": []}
    (tmp_path / "some.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="some.keras: expected a network that"):
        fine_tuning.keep_held_out(faces, tmp_path / "some.keras")
    everything = data.Split(tmp_path, images, labels, np.arange(210), np.arange(0))
    assert fine_tuning.keep_held_out(everything, tmp_path / "some.keras") is everything


def test_a_finish_alone_is_the_mean_of_the_start_and_mild_epochs(
    drawn, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    checkpoints.save(build_tiny(), tmp_path / "start.keras")
    arguments = ["--train", str(drawn / "train.csv"), "--start-from", "start.keras"]
    arguments += ["--precision", "float32"]
    mild = ["--epochs", "1", "--augmentation", "flip", "--learning-rate", "0.01"]
    kept = {}
    for name, flags in (
        ("last", [*mild, "--keep", "last"]),
        # What a finish leaves out.
        ("mean", ["--epochs", "0", "--finish", "1", "--mixup", "0.3"]),
    ):
        flags = train_cnn.read_flags([*arguments, *flags, "--name", name])
        kept[name] = train_cnn.train(*flags)["kept"]
    assert kept["mean"] == "as it began, then the mean with epoch 1"
    start, last, mean = (
        checkpoints.load_checkpoint(path).get_weights()
        for path in ("start.keras", "checkpoints/last.keras", "checkpoints/mean.keras")
    )
    for first, second, middle in zip(start, last, mean, strict=True):
        np.testing.assert_allclose(middle, (first + second) / 2, rtol=1e-6)
    assert any((a != b).any() for a, b in zip(start, last, strict=True))


def test_a_run_that_goes_on_has_no_finish_by_itself(tmp_path):
    checkpoints.save(build_tiny(), tmp_path / "start.keras")
    _, recipe, options = train_cnn.read_flags(
        ["--start-from", f"{tmp_path}/start.keras"]
    )
    assert recipe.finish and options.finish == 0


@pytest.mark.parametrize("given", [[], ["--finish", "2"], ["--start-from", "a.keras"]])
def test_no_epochs_go_with_a_start_and_a_finish_alone(given, capsys):
    with pytest.raises(SystemExit) as stop:
        train_cnn.read_flags(["--epochs", "0", *given])
    assert stop.value.code == 2
    assert "--epochs: expected 1 or more, found 0" in capsys.readouterr().err


@pytest.mark.slow
def test_training_goes_on_from_a_checkpoint(trained, drawn, tmp_path):
    start = tmp_path / "start.keras"
    for suffix in (".keras", ".json"):
        shutil.copy(
            trained / f"checkpoints/small_run{suffix}", tmp_path / f"start{suffix}"
        )
    # As if it had held out others than a new run would.
    record = json.loads(start.with_suffix(".json").read_text())
    held_out = sorted(set(range(420)) - set(record["validation_rows"]))[::9]
    record["validation_rows"] = held_out
    start.with_suffix(".json").write_text(json.dumps(record))
    arguments = ["--train", drawn / "train.csv", "--epochs", 1, "--start-from", start]
    arguments += ["--learning-rate", 1e-12, "--keep", "last"]
    run_script("train_cnn.py", *arguments, cwd=tmp_path)
    record = json.loads((tmp_path / "checkpoints/cnn.json").read_text())
    settings = record["settings"]
    assert settings["start_from"] == checkpoints.compute_digest(start)
    assert settings["network"] == "vgg" and settings["keep"] == "last"
    assert record["kept"] == "last epoch"
    assert record["validation_rows"] == held_out
    # With so low a rate only the batch statistics move.
    first, last = (
        checkpoints.load_checkpoint(path)
        for path in (start, tmp_path / "checkpoints/cnn.keras")
    )
    for one, other in zip(first.trainable_weights, last.trainable_weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)

    # Without the flag it is another run.
    alone = [*arguments[:4], "--keep", "last", "--resume"]
    process = run_script("train_cnn.py", *alone, cwd=tmp_path, status=2)
    assert "cnn.state: expected a run with" in process.stderr
    arguments = [*arguments[:4], "--start-from", "checkpoints/cnn.keras"]
    process = run_script("train_cnn.py", *arguments, cwd=tmp_path, status=2)
    assert "choose another --name" in process.stderr
