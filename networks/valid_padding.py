"""A pair without padding: a CNN of 1,896,757 parameters and a DNN of 1,896,167.

The report, accuracy on the contest's public half after 1,800 epochs: CNN 0.65896,
DNN 0.38702. It held a fifth of the faces out for validation (`--validation 0.2`).

ours: the activation, the dropout rates, the batch size, Nesterov's momentum and the
normalization; no augmentation.
"""

import keras
from keras import layers

from fer.recipes import Recipe
from networks.blocks import emotion_output, face_input

FILTERS = (64, 128, 250, 500)
UNITS = (512, 256, 64)
DNN_NORMALIZED_UNITS = (128, 256, 512, 1248)
# ours: light where a layer still has a picture, strong between the dense ones.
CONVOLUTION_DROPOUT_RATE = 0.2
DENSE_DROPOUT_RATE = 0.4

CNN_RECIPE = Recipe(
    epochs=1800,
    batch_size=128,
    optimizer="sgd",
    learning_rate=1e-5,
    schedule="constant",
    augmentation="none",
    normalization="standard",
)
DNN_RECIPE = CNN_RECIPE


def build_cnn(normalization=None):
    """Four 3x3 convolutions without padding, pooled to 1x1x500, and dense layers.

    The sides shrink by the kernel and by half: 48, 23, 10, 4 and 1 pixels.
    """
    pixels, x = face_input(normalization)
    for block, filters in enumerate(FILTERS, start=1):
        x = layers.Conv2D(filters, 3, padding="valid", name=f"conv{block}")(x)
        x = layers.BatchNormalization(name=f"norm{block}")(x)
        x = layers.ReLU(name=f"relu{block}")(x)
        x = layers.MaxPooling2D(name=f"pool{block}")(x)
        x = layers.Dropout(CONVOLUTION_DROPOUT_RATE, name=f"dropout{block}")(x)
    x = layers.Flatten(name="flat")(x)
    for number, units in enumerate(UNITS, start=len(FILTERS) + 1):
        x = layers.Dense(units, name=f"dense{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        x = layers.Dropout(DENSE_DROPOUT_RATE, name=f"dropout{number}")(x)
    return keras.Model(pixels, emotion_output(x), name="valid_padding_cnn")


def build_dnn(normalization=None):
    """Dense layers that widen from 128 to 1,248 units, then narrow to 7."""
    pixels, x = face_input(normalization)
    x = layers.Flatten(name="flat")(x)
    for number, units in enumerate(DNN_NORMALIZED_UNITS, start=1):
        x = layers.Dense(units, name=f"dense{number}")(x)
        x = layers.BatchNormalization(name=f"norm{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        x = layers.Dropout(DENSE_DROPOUT_RATE, name=f"dropout{number}")(x)
    for number, units in enumerate(UNITS, start=len(DNN_NORMALIZED_UNITS) + 1):
        x = layers.Dense(units, name=f"dense{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        if units != UNITS[-1]:
            x = layers.Dropout(DENSE_DROPOUT_RATE, name=f"dropout{number}")(x)
    return keras.Model(pixels, emotion_output(x), name="valid_padding_dnn")
