"""The architectures, one CNN/DNN pair and its recipes per file.

Each file has `build_cnn(normalization=None)`, `CNN_RECIPE` and `DNN_RECIPE`; where a
report describes its dense network there is `build_dnn(normalization=None)` too, and
elsewhere `networks.dense` matches one to the CNN.
"""

import importlib

# The first is the default of the training scripts.
NAMES = ("vgg", "wide", "small", "deep", "large_kernel", "valid_padding")


def load(name):
    """The module of a pair."""
    return importlib.import_module(f"networks.{name}")
