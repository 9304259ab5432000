"""A pair with 5x5 kernels: a CNN of 3,258,379 parameters and a DNN of 3,258,363.

The report, after 100 epochs:

|     | validation, best | validation, last | public  | private |
|-----|------------------|------------------|---------|---------|
| CNN | 0.68234 (ep. 90) | 0.6813           | 0.67205 | 0.67344 |
| DNN | 0.4528 (ep. 90)  | 0.4500           | 0.44441 | 0.44692 |

The report also added mirrored copies of the faces by hand; here every epoch mirrors
half of them anew.

ours: the optimizer, its learning rate and schedule, the batch size, and the DNN's
dropout rates between its first layer and its last hidden one.
"""

import keras
from keras import layers

from fer.recipes import Recipe
from networks.blocks import emotion_output, face_input

FILTERS = (64, 128, 256, 256)
DENSE_UNITS = 256
DNN_FIRST_UNITS = 1152
DNN_NORMALIZED_UNITS = (432, 180, 90)
DNN_LAST_UNITS = 44
SLOPE = 0.2
DROPOUT_RATE = 0.4
LAST_DROPOUT_RATE = 0.5

CNN_RECIPE = Recipe(
    epochs=100,
    batch_size=128,
    optimizer="adam",
    learning_rate=0.001,
    schedule="cosine",
    augmentation="geometric_15",
    normalization="unit",
)
DNN_RECIPE = CNN_RECIPE


def build_cnn(normalization=None):
    """Four normalized 5x5 convolutions, each pooled, then one dense layer."""
    pixels, x = face_input(normalization)
    for block, filters in enumerate(FILTERS, start=1):
        x = layers.BatchNormalization(name=f"norm{block}")(x)
        x = layers.Conv2D(filters, 5, padding="same", name=f"conv{block}")(x)
        x = layers.LeakyReLU(SLOPE, name=f"leaky_relu{block}")(x)
        x = layers.MaxPooling2D(name=f"pool{block}")(x)
        x = layers.Dropout(DROPOUT_RATE, name=f"dropout{block}")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(DENSE_UNITS, name="dense5")(x)
    x = layers.LeakyReLU(SLOPE, name="leaky_relu5")(x)
    x = layers.Dropout(LAST_DROPOUT_RATE, name="dropout5")(x)
    return keras.Model(pixels, emotion_output(x), name="large_kernel_cnn")


def build_dnn(normalization=None):
    """Six dense layers that narrow from 1,152 to 7 units."""
    pixels, x = face_input(normalization)
    x = layers.BatchNormalization(name="norm1")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(DNN_FIRST_UNITS, name="dense1")(x)
    x = drop_and_activate(x, DROPOUT_RATE, 1)
    for number, units in enumerate(DNN_NORMALIZED_UNITS, start=2):
        x = layers.BatchNormalization(name=f"norm{number}")(x)
        x = layers.Dense(units, use_bias=False, name=f"dense{number}")(x)
        x = drop_and_activate(x, DROPOUT_RATE, number)
    x = layers.Dense(DNN_LAST_UNITS, name="dense5")(x)
    x = drop_and_activate(x, LAST_DROPOUT_RATE, 5)
    return keras.Model(pixels, emotion_output(x), name="large_kernel_dnn")


def drop_and_activate(x, rate, number):
    """Dropout, then LeakyReLU."""
    x = layers.Dropout(rate, name=f"dropout{number}")(x)
    return layers.LeakyReLU(SLOPE, name=f"leaky_relu{number}")(x)
