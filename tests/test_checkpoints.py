"""Checkpoints from strangers: refused by name, and nothing of theirs has run."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from tiny_network import build_tiny

from fer import checkpoint_safety, checkpoints
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


def test_views_are_the_face_and_small_changes_of_it_each_with_its_mirror():
    images = np.zeros((2, 48, 48, 1), "uint8")
    images[:, 20, 10] = 200
    views = list(checkpoints.make_views(images))
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
