"""What every script must agree on: data, training, checkpoints, figures."""

import os

# TensorFlow greets with pages of notes about the processor; warnings still show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Of a GPU's memory only what is needed: an experiment and its runs share the GPU.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
