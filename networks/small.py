"""A pair of small networks: a CNN of a million parameters and a DNN of 157,063.

The report: CNN 63 % on validation faces and in the contest after about 30 epochs,
DNN 39.5 % on validation faces after 35.

ours: the layers of the CNN, of which the report prints only how many parameters they
have, and the normalization.
"""

import keras
from keras import layers

from fer.recipes import Recipe
from networks.blocks import emotion_output, face_input

# ours: few multiplications for experiments of many runs; four fifths of the
# 999,835 parameters are those of the dense layer. The pictures are 24, 12, 6 and 3
# pixels a side.
STEM_FILTERS = 16
FILTERS = (32, 96, 192)
UNITS = 460
DROPOUT_RATE = 0.5

DNN_UNITS = (64, 64, 64)
DNN_DROPOUT_RATES = (0.1, 0.2, 0.7)

CNN_RECIPE = Recipe(
    epochs=30,
    batch_size=128,
    optimizer="adam",
    learning_rate=0.01,
    # 0.01 for ten epochs, then 0.002.
    schedule={0: 1.0, 10: 0.2},
    augmentation="flip_either_way",
    normalization="standard",
)
DNN_RECIPE = Recipe(
    epochs=35,
    batch_size=128,
    optimizer="adam",
    learning_rate=0.002,
    schedule="constant",
    augmentation="flip_either_way",
    normalization="standard",
)


def build_cnn(normalization=None):
    """A strided 5x5 convolution, three pooled 3x3 ones and a dense layer."""
    pixels, x = face_input(normalization)
    x = convolution(x, STEM_FILTERS, 5, "stem", strides=2)
    x = normalize_and_rectify(x, "_stem")
    for number, filters in enumerate(FILTERS, start=1):
        x = convolution(x, filters, 3, f"conv{number}")
        x = layers.MaxPooling2D(name=f"pool{number}")(x)
        x = normalize_and_rectify(x, number)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(
        UNITS, use_bias=False, kernel_initializer="he_normal", name="dense1"
    )(x)
    x = normalize_and_rectify(x, "_dense1")
    x = layers.Dropout(DROPOUT_RATE, name="dropout")(x)
    return keras.Model(pixels, emotion_output(x), name="small_cnn")


def convolution(x, filters, kernel_size, name, strides=1):
    """A convolution whose bias batch normalization makes up for."""
    return layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def normalize_and_rectify(x, suffix):
    """Batch normalization and ReLU."""
    x = layers.BatchNormalization(momentum=0.9, name=f"norm{suffix}")(x)
    return layers.ReLU(name=f"relu{suffix}")(x)


def build_dnn(normalization=None):
    """Three dense layers of 64 units, the last one thinned out by seven tenths."""
    pixels, x = face_input(normalization)
    x = layers.Flatten(name="flat")(x)
    for number, (units, rate) in enumerate(
        zip(DNN_UNITS, DNN_DROPOUT_RATES, strict=True), start=1
    ):
        x = layers.Dense(units, name=f"dense{number}")(x)
        x = layers.BatchNormalization(name=f"norm{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        x = layers.Dropout(rate, name=f"dropout{number}")(x)
    return keras.Model(pixels, emotion_output(x), name="small_dnn")
