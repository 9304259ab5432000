"""What every script must agree on: data, training, checkpoints, figures."""

import os

# TensorFlow greets with pages of notes about the processor; warnings still show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
