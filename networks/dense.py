"""Dense networks of a given size: the fair comparison for any CNN.

The reports tuned their dense networks by hand until they had "about the same size" as
the CNN. `compute_widths` finds one whose total parameter count lies within 0.01 % or
50 parameters, whichever is more, of any target from 100,000 to 200,000,000.
"""

import bisect
import functools
from pathlib import Path

import keras
from keras import layers

from fer import checkpoints
from fer.command import InputError
from fer.complexity import count_weighted_layers
from fer.faces import EMOTIONS, NUM_PIXELS
from networks import NETWORKS
from networks.blocks import emotion_output, face_input

FEWEST_PARAMETERS, MOST_PARAMETERS = 100_000, 200_000_000
# With two layers only multiples of about 2,300 parameters can be had.
FEWEST_LAYERS = 3
# Of a network that has to match a bare number.
DEFAULT_LAYERS = 8


def find_dnn(name, match=None):
    """The dense network of a pair, or one matched to something else.

    Args:
        name: of the pair, a key of `NETWORKS`.
        match: what `read_target` reads, or None for the pair's own `build_dnn`;
            where it has none, for one matched to its CNN.

    Returns:
        build: function from a normalization layer to an uncompiled model.
        description: a few words that tell this network from others.
    """
    network = NETWORKS[name]
    if match is None and hasattr(network, "build_dnn"):
        return network.build_dnn, f"{name} DNN"
    num_parameters, num_layers = read_target(match or name)
    return (
        functools.partial(build_dnn, num_parameters, num_layers),
        f"dense {num_parameters:,} in {num_layers} layers",
    )


def read_target(text):
    """The parameters and layers that a dense network has to match.

    Args:
        text: a number of parameters (2636487 or 2,636,487), a pair's name, which
            stands for its CNN, or the path of a checkpoint.

    Returns:
        num_parameters: in all.
        num_layers: as many as the model has weighted ones; 8 for a number.

    Raises:
        InputError: the text is none of these, or the checkpoint is not sound.
    """
    digits = text.replace(",", "")
    if digits.isdecimal():
        return int(digits), DEFAULT_LAYERS
    if text in NETWORKS:
        model = NETWORKS[text].build_cnn()
    elif Path(text).exists():
        model = checkpoints.load_checkpoint(text)
    else:
        raise InputError(
            "--match: expected a checkpoint, a number of parameters or a network "
            f"({', '.join(NETWORKS)}), found {text}"
        )
    return model.count_params(), count_weighted_layers(model)


def build_dnn(num_parameters, num_layers, normalization=None):
    """A dense network of a given number of parameters.

    Every hidden layer is normalized, which takes the place of its bias, and rectified.
    Without dropout, which cost the default one 2 points (experiments/README.md).

    Args:
        num_parameters: in all, also those that are not trained.
        num_layers: dense layers in all, also the last one.
        normalization: as in `face_input`.

    Raises:
        InputError: no such network can be built.
    """
    pixels, x = face_input(normalization)
    x = layers.Flatten(name="flat")(x)
    widths = compute_widths(num_parameters, num_layers)
    for number, units in enumerate(widths, start=1):
        x = layers.Dense(
            units,
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"dense{number}",
        )(x)
        x = layers.BatchNormalization(name=f"norm{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
    return keras.Model(pixels, emotion_output(x), name="dense")


def compute_widths(num_parameters, num_layers):
    """Units of the hidden layers, none wider than the one before it.

    Equal widths come close to the target: let w be the least with which they reach
    it. Then every first layer from w - 1 to a quarter above w is tried. The other
    hidden layers share a number of units as evenly as whole numbers allow, the wider
    ones first; the parameters grow with that number, so bisection finds its best
    value. Of all those networks the nearest to the target wins, the narrowest first
    layer among equals.

    Args:
        num_parameters: the target, in [100,000, 200,000,000].
        num_layers: dense layers in all, at least 3.

    Returns:
        A list of num_layers - 1 whole numbers.

    Raises:
        InputError: the target or the number of layers is out of range.
    """
    if not FEWEST_PARAMETERS <= num_parameters <= MOST_PARAMETERS:
        raise InputError(
            f"expected a target from {FEWEST_PARAMETERS:,} to {MOST_PARAMETERS:,} "
            f"parameters for a dense network, found {num_parameters:,}"
        )
    if num_layers < FEWEST_LAYERS:
        raise InputError(
            f"expected at least {FEWEST_LAYERS} layers for a dense network of a given "
            f"size, found {num_layers}"
        )
    num_hidden = num_layers - 1
    narrowest = bisect.bisect_left(
        range(num_parameters // NUM_PIXELS + 1),
        num_parameters,
        key=lambda width: count_parameters([width] * num_hidden),
    )
    return min(
        (
            fill_widths(first, num_hidden, num_parameters)
            for first in range(narrowest - 1, narrowest + narrowest // 4 + 1)
        ),
        key=lambda widths: abs(count_parameters(widths) - num_parameters),
    )


def fill_widths(first, num_hidden, num_parameters):
    """The widths nearest to the target for a given first one."""
    others = num_hidden - 1

    def share(units):
        width, left = divmod(units, others)
        return [first] + [width + 1] * left + [width] * (others - left)

    above = bisect.bisect_left(
        range(others * first),
        num_parameters,
        lo=others,
        key=lambda units: count_parameters(share(units)),
    )
    return min(
        (share(units) for units in (max(others, above - 1), above)),
        key=lambda widths: abs(count_parameters(widths) - num_parameters),
    )


def count_parameters(widths):
    """Parameters of the network with these hidden widths, as Keras counts them."""
    parameters, inputs = 0, NUM_PIXELS
    for units in widths:
        # A kernel without bias, and the four numbers of batch normalization per unit.
        parameters += inputs * units + 4 * units
        inputs = units
    return parameters + (inputs + 1) * len(EMOTIONS)
