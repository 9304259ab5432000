"""A deep pair: a CNN of 6,040,327 parameters and a DNN of 23 layers and 6,036,839.

ours: the dropout rates, the slope of the LeakyReLUs (Keras' default), the first
weights of the DNN and the whole recipe.
"""

import keras
from keras import layers

from fer.recipes import Recipe
from networks.blocks import emotion_output, face_input

# Filters of the convolutions, group by group; each group ends in a pooling.
FILTERS = ((64, 64, 64), (128, 128), (256, 256))
UNITS = (512, 256)
DNN_UNITS = (
    *[1024] * 3,
    *[512] * 4,
    *[256] * 2,
    *[128] * 2,
    *[64] * 2,
    *[32] * 3,
    *[16] * 3,
    *[8] * 3,
)
# ours: light where a layer still has a picture, strong between the dense ones.
CONVOLUTION_DROPOUT_RATE = 0.25
DENSE_DROPOUT_RATE = 0.5
# ours: a steep slope lets the gradient through 22 layers without normalization.
SLOPE = 0.3

CNN_RECIPE = Recipe(
    epochs=30,
    batch_size=128,
    optimizer="adam",
    learning_rate=0.001,
    schedule="cosine",
    augmentation="geometric",
    normalization="standard",
)
DNN_RECIPE = CNN_RECIPE


def build_cnn(normalization=None):
    """Three groups of 3x3 convolutions, then two dense layers."""
    pixels, x = face_input(normalization)
    for group, group_filters in enumerate(FILTERS, start=1):
        for number, filters in enumerate(group_filters, start=1):
            suffix = f"{group}_{number}"
            x = layers.Conv2D(filters, 3, padding="same", name=f"conv{suffix}")(x)
            x = normalize_and_activate(x, suffix)
        x = layers.MaxPooling2D(name=f"pool{group}")(x)
        x = layers.Dropout(CONVOLUTION_DROPOUT_RATE, name=f"dropout{group}")(x)
    x = layers.Flatten(name="flat")(x)
    for number, units in enumerate(UNITS, start=len(FILTERS) + 1):
        x = layers.Dense(units, name=f"dense{number}")(x)
        x = normalize_and_activate(x, number)
        x = layers.Dropout(DENSE_DROPOUT_RATE, name=f"dropout{number}")(x)
    return keras.Model(pixels, emotion_output(x), name="deep_cnn")


def normalize_and_activate(x, suffix):
    """Batch normalization and LeakyReLU."""
    x = layers.BatchNormalization(name=f"norm{suffix}")(x)
    return layers.LeakyReLU(SLOPE, name=f"leaky_relu{suffix}")(x)


def build_dnn(normalization=None):
    """23 dense layers that narrow from 1,024 to 8 units, without normalization."""
    pixels, x = face_input(normalization)
    x = layers.Flatten(name="flat")(x)
    for number, units in enumerate(DNN_UNITS, start=1):
        x = layers.Dense(units, kernel_initializer="he_normal", name=f"dense{number}")(
            x
        )
        x = layers.LeakyReLU(SLOPE, name=f"leaky_relu{number}")(x)
    return keras.Model(pixels, emotion_output(x), name="deep_dnn")
