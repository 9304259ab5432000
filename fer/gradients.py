"""Gradients with respect to pixels and maps: all that needs TensorFlow itself.

The loaded model is never changed: what is differentiated is a new model over the
same layers, and the training mode is off.
"""

import keras
from keras import layers

try:
    import tensorflow as tf
except ImportError:
    # `check_backend` then says so before anything here is used.
    tf = None

from fer.command import InputError

LOGITS = "logits"
CONVOLUTIONS = (layers.Conv2D, layers.SeparableConv2D, layers.DepthwiseConv2D)
# They only shrink or thin out the maps that they are given.
REDUCTIONS = (layers.MaxPooling2D, layers.AveragePooling2D, layers.Dropout)


def check_backend():
    """Refuse to go on without TensorFlow's automatic differentiation.

    Raises:
        InputError: Keras runs on another backend.
    """
    if keras.config.backend() != "tensorflow":
        raise InputError(
            "expected Keras on tensorflow, which computes the gradients here, found "
            f"{keras.config.backend()}; set KERAS_BACKEND=tensorflow"
        )


def build_part(model, name):
    """A new model from the pixels to the output of the layer `name`.

    Raises:
        InputError: there is no such layer; names those that are.
    """
    names = [
        layer.name for layer in model.layers if not isinstance(layer, layers.InputLayer)
    ]
    if name not in names:
        raise InputError(
            f"layer {name}: expected one of this model's layers, found none of that "
            f"name; choose from {', '.join(names)}"
        )
    return keras.Model(model.inputs[0], model.get_layer(name).output, name=name)


def find_convolutions(model):
    """The names of the convolutions of a model, from the pixels on; may be empty."""
    return [layer.name for layer in model.layers if isinstance(layer, CONVOLUTIONS)]


def compute_pixel_gradients(part, images, units):
    """The mean activation of one unit per image, and its gradient.

    A unit is a filter of a convolution or a neuron of a dense layer.

    Args:
        part: a model of `build_part` with n_units maps or n_units neurons.
        images: float32 (n, 48, 48, 1), raw pixels.
        units: int (n,); image i is asked for unit units[i].

    Returns:
        activations: float32 (n,), averaged over a filter's map.
        gradients: float32 (n, 48, 48, 1), per grey level.
    """
    images = tf.convert_to_tensor(images, "float32")
    with tf.GradientTape() as tape:
        tape.watch(images)
        activations = pick_units(part(images, training=False), units)
    return activations.numpy(), tape.gradient(activations, images).numpy()


def compute_map_gradients(model, images, name, units):
    """The maps of a layer, and the gradient of one logit per image by them.

    Args:
        model: a classifier with a layer "logits".
        images: float32 (n, 48, 48, 1), raw pixels.
        name: of the layer whose maps are meant, float32 (n, height, width, channels).
        units: int (n,); image i is asked for logit units[i].

    Returns:
        maps, gradients: float32 (n, height, width, channels) each.
    """
    maps, logits = build_part(model, name).output, build_part(model, LOGITS).output
    both = keras.Model(model.inputs[0], [maps, logits])
    images = tf.convert_to_tensor(images, "float32")
    with tf.GradientTape() as tape:
        # The tape records only what depends on something watched, also the maps.
        tape.watch(images)
        maps, logits = both(images, training=False)
        activations = pick_units(logits, units)
    return maps.numpy(), tape.gradient(activations, maps).numpy()


def pick_units(output, units):
    """Of every image its own unit, averaged over height and width: a tensor (n,)."""
    if len(output.shape) == 4:
        output = tf.reduce_mean(output, axis=(1, 2))
    return tf.gather(output, units, axis=1, batch_dims=1)
