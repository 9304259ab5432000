"""Where everything lies, relative to the folder in which a script is started."""

from pathlib import Path

TRAIN_FACES = Path("data/train.csv")
TEST_FACES = Path("data/test.csv")
CHECKPOINTS = Path("checkpoints")
PLOTS = Path("plots")
# What a script takes that is given no checkpoint: the first of these that exists.
DEFAULT_MODELS = (CHECKPOINTS / "cnn.keras", Path("pretrained/cnn.keras"))


def run_file(name, suffix):
    """The path of one file of a run, such as its ".keras", ".json" or ".state"."""
    return CHECKPOINTS / f"{name}{suffix}"
