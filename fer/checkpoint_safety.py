"""What a checkpoint may hold, checked before Keras turns any of it into objects.

A checkpoint from a stranger can name layers that run code of the stranger's. So only
the members that Keras writes, as it writes them, and only built-in classes of which
networks for pictures are made, none with code or files inside, are let through.
"""

import concurrent.futures
import json
import math
import random
import re
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np

from fer.command import shorten

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# The members of every checkpoint and the most bytes each may have. The largest
# networks have 107 million parameters (`wide`) and 200 million (a matched DNN).
MEMBERS = {
    "metadata.json": 2**12,
    "config.json": 2**22,
    "model.weights.h5": 2**30,
}
# By module as Keras writes it. A network with another built-in layer adds it here;
# layers that hold code or files (Lambda, TFSMLayer, TorchModuleWrapper) never come in.
CLASSES = {
    None: ["__keras_tensor__"],
    "keras": ["DTypePolicy", "Sequential"],
    "keras.src.models.functional": ["Functional"],
    "keras.layers": [
        "Activation",
        "Add",
        "AveragePooling2D",
        "BatchNormalization",
        "Concatenate",
        "Conv2D",
        "Dense",
        "DepthwiseConv2D",
        "Dropout",
        "Flatten",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling2D",
        "InputLayer",
        "LayerNormalization",
        "LeakyReLU",
        "MaxPooling2D",
        "Multiply",
        "PReLU",
        "ReLU",
        "Rescaling",
        "Reshape",
        "SeparableConv2D",
        "Softmax",
        "SpatialDropout2D",
        "ZeroPadding2D",
    ],
    "keras.initializers": [
        "Constant",
        "GlorotNormal",
        "GlorotUniform",
        "HeNormal",
        "HeUniform",
        "Ones",
        "RandomNormal",
        "TruncatedNormal",
        "Zeros",
    ],
    "keras.regularizers": ["L1", "L1L2", "L2"],
    "keras.constraints": ["MaxNorm"],
}
# The most values that all layers together may turn a face into: half a gigabyte, twenty
# times as many as in any network here.
MOST_VALUES = 2**27
KNOWN = {(module, name) for module, names in CLASSES.items() for name in names}


def find_problem(path):
    """Say what keeps a file from being a checkpoint of this project.

    Nothing in the file is executed, extracted or turned into a Keras object.

    Args:
        path: of the file.

    Returns:
        A phrase that completes "found ...", or None where all is well.
    """
    path = Path(path)
    if not path.is_file():
        return "nothing" if not path.exists() else "no file"
    with open(path, "rb") as file:
        if file.read(len(HDF5_MAGIC)) == HDF5_MAGIC:
            return "an HDF5 file (.h5), an older format that may carry code"
    if path.suffix != ".keras":
        return f"a file whose name ends in {path.suffix or 'nothing'}, not .keras"
    try:
        with zipfile.ZipFile(path) as archive:
            return find_foreign_member(archive) or find_damage(archive)
    # zipfile and json answer damaged bytes with a dozen kinds of exceptions.
    except Exception as error:
        return f"a damaged or foreign archive ({type(error).__name__}: {error})"


def find_excess(path):
    """Say what of a checkpoint that passed `find_problem` needs far too much memory.

    Returns:
        A phrase that completes "found ...", or None where all is well.

    Raises:
        Exception: of whatever kind, where Keras cannot make a network of it.
    """
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        held = archive.getinfo("model.weights.h5").file_size
    config.pop("compile_config", None)
    num_bytes, num_values = measure(config)
    if num_bytes > held:
        return f"layers with {num_bytes:,} bytes of weights in a file of {held:,}"
    if num_values > MOST_VALUES:
        return f"layers that turn a face into {num_values:,} values"
    return None


def measure(config):
    """Lay a network out, without allocating any of its weights.

    Args:
        config: of a Keras model, in which every object is known; Keras uses it up.

    Returns:
        The bytes of the weights and the number of values that all layers together
        turn a face into.
    """

    def lay_out():
        with keras.StatelessScope(initialize_variables=False):
            return keras.saving.deserialize_keras_object(config)

    # Initializers and dropout draw their seeds from here, and a run its own after them.
    drawn = random.getstate()
    # Keras remembers variables without a value, by thread, and allocates them as soon
    # as it makes another layer. Those of a thread of their own it forgets.
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        model = pool.submit(lay_out).result()
    random.setstate(drawn)
    num_bytes = sum(
        math.prod(weight.shape) * np.dtype(weight.dtype).itemsize
        for weight in model.weights
    )
    return num_bytes, sum(math.prod(layer.output.shape[1:]) for layer in model.layers)


def find_unpublishable(model):
    """Say what keeps the checkpoint of a built model from being loaded again.

    Returns:
        A phrase that completes "found ...", or None where all is well.
    """
    try:
        with warnings.catch_warnings():
            # Of functions without a name, which are refused in one line here.
            warnings.simplefilter("ignore", UserWarning)
            config = keras.saving.serialize_keras_object(model)
        # What it is trained with is not published.
        config.pop("compile_config", None)
        for layer in [*config["config"].get("layers", []), config]:
            found = find_foreign_object(layer)
            if found is not None:
                return f"{found}, in layer {shorten(layer['config'].get('name'))}"
        num_bytes, num_values = measure(config)
    # Whatever a layer of one's own may raise on the way.
    except Exception as error:
        return f"one that Keras cannot load again ({type(error).__name__})"
    if num_bytes > MEMBERS["model.weights.h5"] or num_values > MOST_VALUES:
        return f"{num_bytes:,} bytes of weights and {num_values:,} values a face"
    return None


def find_foreign_member(archive):
    """The first member that Keras does not write or not like this, or None."""
    infos = archive.infolist()
    for info in infos:
        if info.filename not in MEMBERS:
            return f"the foreign member {shorten(info.filename)} in the archive"
        if info.compress_type != zipfile.ZIP_STORED:
            return f"{info.filename} compressed, which Keras never does"
        if info.file_size != info.compress_size:
            return f"two sizes for {info.filename}"
        if info.file_size > MEMBERS[info.filename]:
            return (
                f"{info.file_size:,} bytes in {info.filename}, more than the "
                f"{MEMBERS[info.filename]:,} that a network here can need"
            )
    names = sorted(info.filename for info in infos)
    if names != sorted(MEMBERS):
        return f"the members {', '.join(names) or 'none'}"
    return None


def find_damage(archive):
    """A member whose checksum fails or an object that is not known, or None."""
    damaged = archive.testzip()
    if damaged is not None:
        return f"a wrong checksum in {damaged}"
    config = json.loads(archive.read("config.json"))
    # The optimizer of a compiled model; load_checkpoint does not restore it.
    config.pop("compile_config", None)
    return find_foreign_object(config)


def find_foreign_object(node):
    """The first object in a configuration that is not in `CLASSES`, or None."""
    if isinstance(node, list):
        children = node
    elif isinstance(node, dict):
        children = node.values()
        named = node.keys() & {"class_name", "module", "registered_name"}
        if named and not is_known(node):
            return (
                f"the object {shorten(node.get('class_name'))} of module "
                f"{shorten(node.get('module'))}, registered as "
                f"{shorten(node.get('registered_name'))}"
            )
    else:
        return None
    return next(filter(None, map(find_foreign_object, children)), None)


def list_accepted():
    """The names of the layers and other objects that a network may be built of."""
    modules = ("keras.layers", "keras.initializers", "keras.regularizers")
    return [name for module in modules for name in CLASSES[module]]


def read_version(path):
    """The version of Keras that wrote a checkpoint, or None where it does not say."""
    try:
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json"))["keras_version"]
        return version if re.fullmatch(r"[\d.]{1,20}\w{0,9}", version) else None
    # Whatever a damaged or foreign archive leads to.
    except Exception:
        return None


def is_known(node):
    """Whether a node of a configuration names a class of `CLASSES` and nothing else."""
    name = node.get("class_name")
    registered = node.get("registered_name")
    return (node.get("module"), name) in KNOWN and registered in (None, name)
