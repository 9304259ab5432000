"""The default pair: a VGG-style CNN made for two cores, and its dense match.

The CNN begins to overfit halfway through, where training overtakes validation, the
dense network in its 60th epoch of 200; both go on to improve all the same.
"""

import keras
from keras import layers

from fer.recipes import Recipe
from networks.blocks import emotion_output, face_input

STEM_FILTERS = 64
# Filters of the three groups; each halves the picture: 24, 12, 6, 3 pixels a side.
FILTERS = (96, 192, 384)
DROPOUT_RATE = 0.3

CNN_RECIPE = Recipe(
    epochs=100,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    schedule="cosine",
    weight_decay=5e-3,
    label_smoothing=0.1,
    augmentation="strong",
    normalization="standard",
    finish=4,
)
# A dense network has to learn every shift and turn anew, which takes twice the epochs
# and less restraint.
DNN_RECIPE = Recipe(
    epochs=200,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    schedule="cosine",
    weight_decay=1e-3,
    label_smoothing=0.1,
    augmentation="geometric",
    normalization="standard",
)


def build_cnn(normalization=None):
    """A strided 5x5 stem, then three groups of two 3x3 convolutions.

    The order convolution, pooling, batch normalization, activation normalizes a
    quarter of the values that the usual order does (Page 2018, "How to train your
    ResNet").
    """
    pixels, x = face_input(normalization)
    x = layers.Conv2D(
        STEM_FILTERS, 5, strides=2, padding="same", use_bias=False, name="stem"
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name="stem_norm")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for group, filters in enumerate(FILTERS, start=1):
        x = convolution(x, filters, f"{group}_1", pool=True)
        x = convolution(x, filters, f"{group}_2")
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    x = layers.Dropout(DROPOUT_RATE, name="dropout")(x)
    return keras.Model(pixels, emotion_output(x), name="vgg_cnn")


def convolution(x, filters, suffix, pool=False):
    """A 3x3 convolution, pooled or not, normalized and rectified."""
    x = layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"conv{suffix}",
    )(x)
    if pool:
        x = layers.MaxPooling2D(name=f"pool{suffix}")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"norm{suffix}")(x)
    return layers.ReLU(name=f"relu{suffix}")(x)
