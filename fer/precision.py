"""Which precision trains fastest here: 16 bits where the hardware multiplies them."""

import subprocess
from pathlib import Path

import keras

BFLOAT16_PROCESSOR_FLAGS = ("amx_bf16", "avx512_bf16")
# NVIDIA's GPUs multiply bfloat16 from compute capability 8.0 (Ampere, 2020) on, and
# float16 fast from 7.0 (Volta, 2017) on, such as Colab's T4 with 7.5.
BFLOAT16_COMPUTE_CAPABILITY = 8.0
FLOAT16_COMPUTE_CAPABILITY = 7.0
CPUINFO = Path("/proc/cpuinfo")


def choose_precision(wanted):
    """Turn "auto" into a precision that is fast on this machine.

    bfloat16 without instructions for it is many times slower than float32. float16 has
    fewer exponents, so that small gradients would become zero: Keras multiplies the
    loss for it and divides the gradients again (LossScaleOptimizer).

    Args:
        wanted: "auto", "float32", "mixed_bfloat16" or "mixed_float16".

    Returns:
        The name of a Keras dtype policy and the reason, one phrase.
    """
    if wanted != "auto":
        return wanted, "as asked for"
    if has_gpu():
        capability = read_compute_capability()
        if capability is None:
            return "float32", "the GPU does not say what it multiplies fast"
        reason = f"the GPU has compute capability {capability}"
        if capability >= BFLOAT16_COMPUTE_CAPABILITY:
            return "mixed_bfloat16", reason
        if capability >= FLOAT16_COMPUTE_CAPABILITY:
            return "mixed_float16", reason
        return "float32", reason
    if keras.config.backend() != "tensorflow":
        # JAX 0.10 was seen to evaluate to NaN in bfloat16 on a processor.
        return "float32", "only TensorFlow is known to be right with bfloat16 here"
    flags = read_processor_flags()
    for flag in BFLOAT16_PROCESSOR_FLAGS:
        if flag in flags:
            return "mixed_bfloat16", f"the processor has {flag}"
    return "float32", "the processor is not known to multiply bfloat16"


def has_gpu():
    """Whether the Keras backend lists a GPU; on PyTorch Keras lists none."""
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except (RuntimeError, NotImplementedError, AttributeError):
        return False


def read_compute_capability():
    """The first NVIDIA GPU's compute capability, or None."""
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True)
        return float(answer.stdout.split()[0])
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return None


def read_processor_flags():
    """The instruction sets that Linux reports; an empty set elsewhere."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}
