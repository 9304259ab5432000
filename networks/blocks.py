"""What the networks share: the way in and the way out."""

import keras
from keras import layers

from fer.faces import EMOTIONS, IMAGE_SIZE

# Whatever keras.json says.
keras.config.set_image_data_format("channels_last")


def face_input(normalization=None):
    """The raw pixels and the normalized ones.

    Args:
        normalization: a layer without parameters; None scales to [0, 1].

    Returns:
        Two tensors, (None, 48, 48, 1): the model's input and what to go on with.
    """
    if normalization is None:
        normalization = layers.Rescaling(1 / 255, name="normalization")
    pixels = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="pixels")
    return pixels, normalization(pixels)


def emotion_output(x):
    """Probabilities of the seven emotions, (None, 7), from features (None, n)."""
    x = layers.Dense(len(EMOTIONS), name="logits")(x)
    # In float32 also under mixed_bfloat16: the loss takes their logarithm.
    return layers.Softmax(name="probabilities", dtype="float32")(x)
