"""Checkpoints from strangers: refused by name, and nothing of theirs has run."""

import io
import json
import os
import pickle
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from conftest import ROOT
from keras import layers
from tiny_network import build_tiny

from fer import checkpoint_safety, checkpoints, prediction
from fer.command import InputError
from networks import NETWORKS


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The members of a whole checkpoint: bytes by name."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("whole") / "tiny.keras"
    build_tiny().save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_archive(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_config(path, members, change):
    """A checkpoint with right checksums whose configuration was changed."""
    config = json.loads(members["config.json"])
    change(config)
    return write_archive(path, {**members, "config.json": json.dumps(config)})


def assert_refused(path, *fragments):
    with pytest.raises(InputError) as refusal:
        checkpoints.load_checkpoint(path)
    message = str(refusal.value)
    assert str(path) in message and "\n" not in message and len(message) < 400
    for fragment in fragments:
        assert fragment in message


def put_layer(**layer):
    """A change of a configuration: the dropout layer becomes another object."""

    def change(config):
        node = next(n for n in config["config"]["layers"] if n["name"] == "dropout")
        node.update(layer)

    return change


def test_a_lambda_is_refused(tmp_path):
    """A real one, as Keras itself writes it, with code that leaves a trace."""
    trace = tmp_path / "trace"
    place = str(trace)
    run = lambda x: (open(place, "w").close(), x)[1]  # noqa: E731
    pixels = keras.Input((48, 48, 1))
    x = layers.Lambda(run, output_shape=(48, 48, 1))(pixels)
    x = layers.Dense(7)(layers.Flatten()(x))
    path = tmp_path / "lambda.keras"
    keras.Model(pixels, x).save(path)
    trace.unlink(missing_ok=True)
    assert_refused(path, "'Lambda' of module 'keras.layers'")
    assert not trace.exists()
    # The payload is a live one: Keras runs it where nobody guards.
    keras.models.load_model(path, safe_mode=False)(np.zeros((1, 48, 48, 1)))
    assert trace.exists()


class Payload:
    """Pickles to a call that leaves a trace when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def make_strange_layers(trace):
    function = {
        "class_name": "function",
        "registered_name": "system",
        "config": "system",
    }
    return {
        "TFSMLayer": {
            "module": "keras.layers",
            "class_name": "TFSMLayer",
            "config": {"filepath": str(trace.parent), "name": "dropout"},
        },
        "TorchModuleWrapper": {
            "module": "keras.layers",
            "class_name": "TorchModuleWrapper",
            "config": {"module": pickle.dumps(Payload(trace)).decode("latin-1")},
        },
        "system": {"module": "os", "class_name": "system"},
        "MyLayer": {"module": "stranger", "class_name": "MyLayer"},
        "Conv2D": {"module": "stranger", "class_name": "Conv2D"},
        "mine>Dropout": {"registered_name": "mine>Dropout"},
        "__lambda__": {"module": "builtins", "class_name": "__lambda__"},
        "__typespec__": {"class_name": "__typespec__", "spec_name": "TensorSpec"},
        "Dropout": {"module": None},
        "function": {"config": {"activation": {"module": "os", **function}}},
        "get_file": {"module": "keras.utils", "class_name": "get_file"},
        "StringLookup": {
            "module": "keras.layers",
            "class_name": "StringLookup",
            "config": {"vocabulary": "/etc/passwd"},
        },
    }


@pytest.mark.parametrize("name", make_strange_layers(Path()))
def test_strange_objects_are_refused(tmp_path, members, name):
    """Where the payload would run it makes a folder; nothing may have run."""
    trace = tmp_path / "trace"
    layer = make_strange_layers(trace)[name]
    path = write_config(tmp_path / "strange.keras", members, put_layer(**layer))
    assert_refused(path, "found the object", name)
    assert not trace.exists()


def test_objects_are_refused_however_deep(tmp_path, members):
    def change(config):
        config["config"]["layers"][3]["build_config"]["x"] = [
            [{"class_name": "Lambda"}]
        ]

    path = write_config(tmp_path / "deep.keras", members, change)
    assert_refused(path, "'Lambda'")


def test_foreign_members_are_refused(tmp_path, members):
    for name in (
        "../outside",
        "/etc/passwd",
        "assets/x",
        "model.weights.npz",
        "a" * 999,
    ):
        path = write_archive(tmp_path / "foreign.keras", {**members, name: b"payload"})
        assert_refused(path, "the foreign member", name[:20])
    assert not (tmp_path.parent / "outside").exists()
    for name in members:
        fewer = {other: members[other] for other in members if other != name}
        assert_refused(write_archive(tmp_path / "fewer.keras", fewer), "the members")
    with pytest.warns(UserWarning), zipfile.ZipFile(path, "w") as archive:
        for name in [*members, "config.json"]:
            archive.writestr(name, members[name])
    assert_refused(path, "the members config.json, config.json")


def test_zip_bombs_are_refused(tmp_path, members):
    """Ten gigabytes of zeros would come out of ten megabytes; here, one of one."""
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", members["metadata.json"])
        archive.writestr("config.json", members["config.json"])
        with archive.open("model.weights.h5", "w") as file:
            for _ in range(64):
                file.write(bytes(2**20))
    assert path.stat().st_size < 200_000
    assert_refused(path, "metadata.json compressed, which Keras never does")


def test_sizes_are_bounded(tmp_path, members):
    large = {**members, "config.json": b" " * (2**22 + 1)}
    path = write_archive(tmp_path / "large.keras", large)
    assert_refused(path, "4,194,305 bytes in config.json, more than")
    # The directory lies about the size of what is stored.
    path = write_archive(tmp_path / "lie.keras", members)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2")
    content[entry + 24 : entry + 28] = (2**29).to_bytes(4, "little")
    path.write_bytes(content)
    assert_refused(path, "two sizes for model.weights.h5")


def test_hdf5_files_are_refused_whatever_the_name(tmp_path):
    for name in ("model.h5", "model.keras"):
        with h5py.File(tmp_path / name, "w") as file:
            file.attrs["model_config"] = json.dumps({"class_name": "Lambda"})
        assert_refused(tmp_path / name, "an HDF5 file (.h5)")


def test_other_files_are_refused(tmp_path, members):
    whole = write_archive(tmp_path / "whole.zip", members)
    assert_refused(whole, "whose name ends in .zip, not .keras")
    assert_refused(tmp_path / "nowhere.keras", "found nothing")
    (tmp_path / "folder.keras").mkdir()
    assert_refused(tmp_path / "folder.keras", "found no file")
    for name, content in (("empty", b""), ("text", b"label,feature\n"), ("zip", b"PK")):
        path = tmp_path / f"{name}.keras"
        path.write_bytes(content)
        assert_refused(path, "a damaged or foreign archive")
    nested = {**members, "config.json": b"[" * 100_000}
    assert_refused(write_archive(tmp_path / "deep.keras", nested), "a damaged or fo")


def test_a_damaged_weight_is_refused(tmp_path, members):
    path = write_archive(tmp_path / "flipped.keras", members)
    with h5py.File(io.BytesIO(members["model.weights.h5"])) as file:
        offset = file["layers/dense/vars/0"].id.get_offset()
    weights = members["model.weights.h5"]
    content = path.read_bytes()
    place = content.index(weights) + offset + 3
    path.write_bytes(content[:place] + b"\x40" + content[place + 1 :])
    assert_refused(path, "a wrong checksum in model.weights.h5")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    for value in (np.nan, np.inf):
        model = build_tiny()
        model.get_layer("logits").bias.assign(np.full(7, value))
        path = tmp_path / "infinite.keras"
        model.save(path)
        assert_refused(path, "expected finite weights")


def test_other_shapes_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((48, 48, 1)), layers.Flatten()])
    model.save(tmp_path / "flat.keras")
    assert_refused(tmp_path / "flat.keras", "(None, 2304)")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_of_this_project_passes(name):
    """Also `wide` with its 426 MB, whose weights are not allocated for this."""
    network = NETWORKS[name]
    builders = [network.build_cnn, getattr(network, "build_dnn", None)]
    for build in filter(None, builders):
        with keras.StatelessScope(initialize_variables=False):
            config = keras.saving.serialize_keras_object(build())
            assert checkpoint_safety.find_unpublishable(build()) is None
        assert checkpoint_safety.find_foreign_object(config) is None
    keras.utils.clear_session()
    assert checkpoint_safety.MEMBERS["model.weights.h5"] > 427_000_000


def test_a_compiled_model_passes(tmp_path):
    model = build_tiny()
    model.compile("adam", "mse")
    path = tmp_path / "compiled.keras"
    model.save(path)
    faces = np.random.default_rng(0).random((2, 48, 48, 1), dtype=np.float32)
    loaded = checkpoints.load_checkpoint(path)
    np.testing.assert_array_equal(np.asarray(loaded(faces)), np.asarray(model(faces)))


def test_a_model_that_does_not_answer_with_probabilities_is_refused(tmp_path):
    pixels = keras.Input((48, 48, 1))
    logits = layers.Dense(7)(layers.Flatten()(pixels))
    path = tmp_path / "odd.keras"
    for activation in (None, "sigmoid", "relu", "tanh"):
        answers = layers.Activation(activation)(logits)
        checkpoints.save(keras.Model(pixels, answers), path)
        assert_refused(path, "expected probabilities", "no softmax at its end?")
    checkpoints.save(keras.Model(pixels, layers.Softmax()(logits)), path)
    checkpoints.load_checkpoint(path)


@pytest.mark.parametrize(
    ("answers", "improbable"),
    [
        ([[0.5, 0.5], [0, 1]], False),
        ([[0.996, 0], [1.004, 0]], False),
        ([[0.5, 0.5], [0.5, 0.6]], True),
        ([[1.5, -0.5]], True),
        ([[np.nan, 1]], True),
    ],
)
def test_probabilities_lie_between_0_and_1_and_sum_to_1(answers, improbable):
    assert (checkpoints.find_improbable(np.array(answers)) is not None) == improbable


def test_more_weights_than_the_file_holds_are_refused(tmp_path, members):
    """Ten million units would take 80 megabytes here, but gigabytes in a larger net."""

    def widen(config):
        [head] = [n for n in config["config"]["layers"] if n["name"] == "logits"]
        head["config"]["units"] = 10_000_000

    path = write_config(tmp_path / "wide.keras", members, widen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            keras.models, "load_model", lambda *_, **__: pytest.fail("loaded")
        )
        assert_refused(path, "360,0", "bytes of weights in a file of")

    def pad(config):
        [padding] = [n for n in config["config"]["layers"] if n["name"] == "padding"]
        padding["config"]["padding"] = [[9_999, 9_999], [9_999, 9_999]]

    path = write_config(tmp_path / "padded.keras", members, pad)
    assert_refused(path, "layers that turn a face into")


def test_what_was_laid_out_to_be_measured_leaves_nothing_behind(members):
    num_bytes, _ = checkpoint_safety.measure(json.loads(members["config.json"]))
    assert num_bytes == 4 * build_tiny().count_params()
    left = keras.src.backend.common.global_state.get_global_attribute(
        "uninitialized_variables"
    )
    assert not left
    random.seed(3)
    expected = random.random()
    random.seed(3)
    checkpoint_safety.measure(json.loads(members["config.json"]))
    assert random.random() == expected


class Own(layers.Layer):
    """A layer of a student's own."""

    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        (layers.ELU(name="mine"), "'ELU' of module 'keras.layers'"),
        (layers.GaussianNoise(0.1, name="mine"), "'GaussianNoise'"),
        (layers.GroupNormalization(1, name="mine"), "'GroupNormalization'"),
        (Own(name="mine"), "'Own'"),
        (
            layers.Conv2D(1, 3, name="mine", kernel_initializer="orthogonal"),
            "'Orthogonal' of module 'keras.initializers'",
        ),
        (
            keras.Sequential([keras.Input((48, 48, 1)), layers.ELU()], name="mine"),
            "'ELU'",
        ),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_model_that_could_not_be_loaded_again_is_refused_by_its_layer(layer, found):
    """Before it is trained; in one line that names the classes that are accepted."""
    pixels = keras.Input((48, 48, 1))
    x = layers.Dense(7)(layers.Flatten()(layer(pixels)))
    model = keras.Model(pixels, layers.Softmax()(x), name="odd")
    with pytest.raises(InputError) as refusal:
        checkpoints.require_publishable(model)
    message = str(refusal.value)
    assert message.startswith("odd: expected") and "in layer 'mine'" in message
    assert found in message and "LeakyReLU" in message and "\n" not in message


def test_functions_of_ones_own_are_refused_before_training_as_well():
    pixels = keras.Input((48, 48, 1))
    x = layers.Flatten()(pixels)
    for head, found in (
        (layers.Dense(7, activation=lambda x: keras.ops.softmax(x)), "load again"),
        (layers.Dense(7), "no softmax at its end"),
        (layers.Dense(8, activation="softmax"), "(None, 8)"),
    ):
        with pytest.raises(InputError, match="expected") as refusal:
            checkpoints.require_publishable(keras.Model(pixels, head(x)))
        assert found in str(refusal.value)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_what_is_trained_here_may_be_published_and_draws_nothing(policy):
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(0)
    model = build_tiny()
    drawn = random.getstate()
    keras.config.set_dtype_policy("float32")
    checkpoints.require_publishable(model)
    assert random.getstate() == drawn


def test_a_checkpoint_is_written_without_what_older_versions_do_not_know(tmp_path):
    model = build_tiny()
    described = model.to_json()
    path = tmp_path / "tiny.keras"
    checkpoints.save(model, path)
    assert model.to_json() == described and "renorm" in described
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
        assert json.loads(archive.read("metadata.json"))["keras_version"]
    assert not any(f'"{key}"' in config for key in checkpoints.NEW_KEYS)
    loaded = checkpoints.load_checkpoint(path)
    assert loaded.to_json() == described
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_what_does_not_stand_at_its_default_is_kept():
    config = {"renorm": True, "renorm_momentum": 0.9, "layers": [{"optional": False}]}
    assert checkpoints.leave_out_defaults(config) == {
        "renorm": True,
        "renorm_momentum": 0.9,
        "layers": [{}],
    }


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ("3.99.0", f"with Keras 3.99.0 and this is Keras {keras.__version__}"),
        (keras.__version__, "train one with train_cnn.py"),
        ("3.99\n" * 99, "train one with train_cnn.py"),
        ([3], "train one with train_cnn.py"),
    ],
)
def test_another_version_of_keras_is_named(tmp_path, members, version, advice):
    def change(config):
        config["config"]["layers"][1]["config"]["unknown"] = None

    metadata = json.dumps({"keras_version": version})
    path = write_config(
        tmp_path / "new.keras", {**members, "metadata.json": metadata}, change
    )
    assert_refused(path, "found a file that Keras cannot load", advice)


def test_shipped_checkpoints_lack_what_older_versions_of_keras_do_not_know():
    for path in (ROOT / "pretrained").rglob("*.keras"):
        with zipfile.ZipFile(path) as archive:
            config = archive.read("config.json").decode()
        assert not any(f'"{key}"' in config for key in checkpoints.NEW_KEYS)


# The oldest version of Keras that README.md names, and one in between.
@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.8.0", "3.12.0"])
def test_older_versions_of_keras_load_what_is_shipped(tmp_path, version):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    requirement = f"keras=={version}"
    subprocess.run([*pip, "--target", tmp_path / "old", requirement], check=True)
    faces = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1))
    faces = faces.astype("float32")
    np.save(tmp_path / "faces.npy", faces)
    paths = sorted((ROOT / "pretrained").rglob("*.keras"))
    checkpoints.save(build_tiny(), tmp_path / "tiny.keras")
    paths.append(tmp_path / "tiny.keras")
    program = (
        "import sys, keras, numpy\n"
        f"assert keras.__version__ == {version!r}\n"
        "faces = numpy.load('faces.npy')\n"
        "models = [keras.models.load_model(path) for path in sys.argv[1:]]\n"
        "numpy.save('answers.npy', [model.predict(faces) for model in models])"
    )
    subprocess.run(
        [sys.executable, "-c", program, *paths],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "old")},
        check=True,
    )
    for path, answers in zip(paths, np.load(tmp_path / "answers.npy"), strict=True):
        ours = prediction.predict(checkpoints.load_checkpoint(path), faces)
        np.testing.assert_allclose(answers, ours, atol=1e-6)


def test_views_are_the_face_and_small_changes_of_it_each_with_its_mirror():
    images = np.zeros((2, 48, 48, 1), "uint8")
    images[:, 20, 10] = 200
    views = list(prediction.make_views(images))
    assert len(views) == 26 and all(view.dtype == "float32" for view in views)
    np.testing.assert_array_equal(views[0], images)
    for view, mirror in zip(views[::2], views[1::2], strict=True):
        np.testing.assert_array_equal(mirror, view[:, :, ::-1])
    centers = [np.unravel_index(view[0, ..., 0].argmax(), (48, 48)) for view in views]
    # Two pixels up, down, left and right.
    assert set(centers[2:10:2]) == {(18, 10), (22, 10), (20, 8), (20, 12)}
    # Turned and zoomed faces are others, but all near the first.
    assert len({view.tobytes() for view in views}) == 26
    assert all(np.hypot(row - 20, column - 10) <= 5 for row, column in centers[::2])


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_all_models_answer_about_views_that_are_made_once(precision, monkeypatch):
    monkeypatch.setattr(prediction, "choose_precision", lambda _: (precision, ""))
    made = []
    make_views = prediction.make_views
    monkeypatch.setattr(
        prediction, "make_views", lambda images: made.append(1) or make_views(images)
    )
    models = []
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        models.append(build_tiny())
    images = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1), np.uint8)
    told = []
    answers = prediction.predict_all(models, images, tta=True, advance=told.append)
    assert len(made) == 1 and told == [5] * 26
    expected = [prediction.predict(model, images, tta=True) for model in models]
    same = np.array_equal(answers, expected)
    assert same == (precision == "float32")
    np.testing.assert_allclose(answers, expected, atol=0.01)
    assert answers.dtype == "float32"
    np.testing.assert_array_equal(
        prediction.predict_all(models, images),
        [prediction.predict(model, images) for model in models],
    )
    # In parts, for more faces than can be held in float32 at a time.
    monkeypatch.setattr(prediction, "PART_SIZE", 2)
    in_parts = prediction.predict_all(models, images, tta=True)
    np.testing.assert_allclose(in_parts, answers, atol=0.01)


def test_a_copy_in_bfloat16_keeps_pixels_and_probabilities_in_float32():
    model = build_tiny()
    copied = prediction.copy_model(model, "mixed_bfloat16")
    policies = {layer.name: layer.dtype_policy.name for layer in copied.layers}
    assert policies.pop("normalization") == policies.pop("probabilities") == "float32"
    assert policies.pop("pixels") == "float32"
    assert set(policies.values()) == {"mixed_bfloat16"}
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    for ours, theirs in zip(model.get_weights(), copied.get_weights(), strict=True):
        assert ours.tobytes() == theirs.tobytes()
