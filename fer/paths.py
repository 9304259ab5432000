"""Where everything lies, relative to the folder in which a script is started."""

from pathlib import Path

from fer.command import InputError

TRAIN_FACES = Path("data/train.csv")
TEST_FACES = Path("data/test.csv")
CHECKPOINTS = Path("checkpoints")
PLOTS = Path("plots")
# What a script takes that is given no checkpoint: the first of these that exists.
DEFAULT_MODELS = (CHECKPOINTS / "cnn.keras", Path("pretrained/cnn.keras"))
# How --help says so.
DEFAULT_MODELS_HELP = (
    f"(default: {DEFAULT_MODELS[0]} if it exists, else {DEFAULT_MODELS[1]})"
)


def run_file(name, suffix):
    """The path of one file of a run, such as its ".keras", ".json" or ".state"."""
    return CHECKPOINTS / f"{name}{suffix}"


def find_default_model():
    """The checkpoint of a script that is given none.

    Raises:
        InputError: there is none.
    """
    for model in DEFAULT_MODELS:
        if model.exists():
            return model
    raise InputError(
        f"no MODEL named, and neither {DEFAULT_MODELS[0]} nor {DEFAULT_MODELS[1]} "
        "exists; train one with train_cnn.py"
    )


def add_model(parser):
    """Add the argument of a script that takes one checkpoint, for `choose_model`."""
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help=f"checkpoint {DEFAULT_MODELS_HELP}",
    )


def choose_model(model):
    """The checkpoint named, or for None the default one, as `choose_models`."""
    [chosen] = choose_models([] if model is None else [model])
    return chosen


def choose_models(models):
    """The checkpoints named, or the default one; refuses what is not there."""
    for model in models:
        if not model.is_file():
            raise InputError(
                f"{model}: expected a checkpoint, found no such file; train one with "
                "train_cnn.py"
            )
    return models or [find_default_model()]
