"""A network of 1,000 parameters with every kind of layer that a run must remember."""

import keras
from keras import layers

from fer.recipes import Recipe, build_optimizer
from networks.blocks import emotion_output, face_input

# A constant rate may be resumed with more epochs; a cosine could not.
RECIPE = Recipe(epochs=10, batch_size=128, learning_rate=0.05, schedule="constant")


def build_tiny(normalization=None):
    """Convolution, batch normalization, dropout and a head; (48, 48, 1) to 7."""
    pixels, x = face_input(normalization)
    x = layers.Conv2D(8, 5, strides=3, use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.ZeroPadding2D(1, name="padding")(x)
    x = layers.Conv2D(8, 3, kernel_regularizer="l2", name="conv2")(x)
    x = layers.LeakyReLU(0.05, name="leaky")(x)
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    x = layers.PReLU(name="prelu")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    return keras.Model(pixels, emotion_output(x), name="tiny")


def compile_model(model, recipe, steps_per_epoch):
    """Compile a model as train_cnn.py does."""
    model.compile(
        build_optimizer(recipe, steps_per_epoch),
        keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )
