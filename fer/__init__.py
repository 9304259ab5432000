"""What every script must agree on: data, training, checkpoints, figures."""

import os

from fer import silence

silence.install()
# Of a GPU's memory only what is needed: an experiment and its runs share the GPU.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
