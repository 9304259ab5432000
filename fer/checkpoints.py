"""Checkpoints: raw pixels in, probabilities out, nothing of this project inside."""

import keras

from fer.command import InputError
from fer.data import EMOTIONS, IMAGE_SIZE
from fer.files import replacing

# Faces per step of a prediction: enough to keep two cores busy, 100 MB of activations.
PREDICTION_BATCH_SIZE = 256


def save_checkpoint(model, path):
    """Write a model as a .keras file, or leave the old file as it is."""
    with replacing(path) as temporary:
        model.save(temporary)


def load_checkpoint(path):
    """Load a checkpoint for prediction.

    Raises:
        InputError: the file is missing, damaged or no classifier of these faces.
    """
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:
        raise InputError(
            f"{path}: expected a checkpoint of this project, found a file that Keras "
            f"cannot load ({type(error).__name__}); train one with train_cnn.py"
        ) from error
    expected = (None, IMAGE_SIZE, IMAGE_SIZE, 1), (None, len(EMOTIONS))
    if (model.input_shape, model.output_shape) != expected:
        raise InputError(
            f"{path}: expected a model from {expected[0]} to {expected[1]}, found "
            f"{model.input_shape} to {model.output_shape}; train one with train_cnn.py"
        )
    return model


def predict(model, images):
    """Probabilities, float32 (n, 7), of the faces in uint8 images (n, 48, 48, 1)."""
    return model.predict(
        images.astype("float32"), batch_size=PREDICTION_BATCH_SIZE, verbose=0
    )
