"""The architectures, one CNN/DNN pair and its recipes per file."""

import importlib

# The first is the default of the training scripts.
NAMES = ("vgg",)


def load(name):
    """The module of a pair: `build_cnn`, `CNN_RECIPE` and, mostly, the DNN's two."""
    return importlib.import_module(f"networks.{name}")
