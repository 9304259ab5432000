"""A wide CNN of 106,536,711 parameters, the largest of the reports; it has no DNN.

The report, accuracy on the contest's public and private half:

| training                 | public  | private |
|--------------------------|---------|---------|
| final                    | 0.70130 | 0.69155 |
| normalized and augmented | 0.69378 | 0.68626 |
| normalized only          | 0.67205 | 0.66174 |
| neither                  | 0.65645 | 0.64697 |

The last two rows are `--augmentation none`, the last also `--normalization unit`.

A forward pass takes 5.8 G multiply-adds a face, fifty times those of the default
network: a machine with a GPU is the place to train it.

ours: the rates of the dropout layers and the strength of the L2 penalty; mean and
deviation are those of the training part and lie inside the model, in place of the
report's centering per face and over all faces.
"""

import keras
from keras import layers

from fer.recipes import Recipe
from networks.blocks import emotion_output, face_input

# ours: light where a layer still has a picture, strong between the dense ones.
CONVOLUTION_DROPOUT_RATE = 0.25
DENSE_DROPOUT_RATE = 0.5
L2_PENALTY = 1e-4

CNN_RECIPE = Recipe(
    epochs=1500,
    batch_size=128,
    optimizer="adam",
    learning_rate=0.015,
    schedule="inverse_time",
    decay=1e-6,
    augmentation="shift_far",
    normalization="standard",
    patience=100,
)
DNN_RECIPE = CNN_RECIPE


def build_cnn(normalization=None):
    """Four wide convolutions, padded so that 6x6x2048 values are left, and two layers.

    The zeros around the pictures keep them large: the convolutions see 48, 28, 16 and
    10 pixels a side, and 6 are left.
    """
    pixels, x = face_input(normalization)
    x = convolution(x, 256, 4, "1")
    x = layers.PReLU(name="prelu1")(x)
    x = layers.ZeroPadding2D(2, name="padding1_1")(x)
    x = layers.BatchNormalization(name="norm1")(x)
    x = layers.MaxPooling2D(name="pool1")(x)
    x = layers.ZeroPadding2D(1, name="padding1_2")(x)
    x = layers.Dropout(CONVOLUTION_DROPOUT_RATE, name="dropout1")(x)
    for block, filters in ((2, 512), (3, 1024)):
        x = convolution(x, filters, 4, block)
        x = layers.LeakyReLU(0.05, name=f"leaky_relu{block}")(x)
        x = layers.BatchNormalization(name=f"norm{block}")(x)
        x = layers.MaxPooling2D(name=f"pool{block}")(x)
        x = layers.ZeroPadding2D(1, name=f"padding{block}")(x)
        x = layers.Dropout(CONVOLUTION_DROPOUT_RATE, name=f"dropout{block}")(x)
    x = convolution(x, 2048, 3, "4")
    x = layers.LeakyReLU(0.05, name="leaky_relu4")(x)
    x = layers.ZeroPadding2D(1, name="padding4")(x)
    x = layers.BatchNormalization(name="norm4")(x)
    x = layers.MaxPooling2D(name="pool4")(x)
    x = layers.Dropout(CONVOLUTION_DROPOUT_RATE, name="dropout4")(x)

    x = layers.Flatten(name="flat")(x)
    x = dense(x, "5")
    x = layers.Activation("softplus", name="softplus5")(x)
    x = layers.BatchNormalization(name="norm5")(x)
    x = layers.Dropout(DENSE_DROPOUT_RATE, name="dropout5")(x)
    x = dense(x, "6")
    x = layers.BatchNormalization(name="norm6")(x)
    x = layers.Activation("softplus", name="softplus6")(x)
    x = layers.Dropout(DENSE_DROPOUT_RATE, name="dropout6")(x)
    return keras.Model(pixels, emotion_output(x), name="wide_cnn")


def convolution(x, filters, kernel_size, suffix):
    """A convolution that keeps the size of the picture."""
    return layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        kernel_initializer="glorot_normal",
        name=f"conv{suffix}",
    )(x)


def dense(x, suffix):
    """1,024 units with an L2 penalty."""
    return layers.Dense(
        1024,
        kernel_initializer="glorot_normal",
        kernel_regularizer=keras.regularizers.L2(L2_PENALTY),
        name=f"dense{suffix}",
    )(x)
