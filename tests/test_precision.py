"""Which precision is taken where, and that each of them trains and resumes."""

import json

import keras
import numpy as np
import pytest
from conftest import run_script
from test_resume import read_weights
from tiny_network import build_tiny, compile_model

from fer import precision
from fer.flags import PRECISIONS
from fer.recipes import Recipe


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A function that makes this a machine with a GPU, or with a processor's flags."""

    def become(capability=None, flags="", has_gpu=False, backend="tensorflow"):
        cpuinfo = tmp_path / "cpuinfo"
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\nbogomips: 1\n")
        monkeypatch.setattr(precision, "CPUINFO", cpuinfo)
        monkeypatch.setattr(precision, "has_gpu", lambda: has_gpu)
        monkeypatch.setattr(keras.config, "backend", lambda: backend)
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho '{capability}'\n")
        program.chmod(0o755 if capability else 0o644)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return become


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ("9.0", "mixed_bfloat16"),
        ("8.0", "mixed_bfloat16"),
        ("7.5", "mixed_float16"),
        ("7.0", "mixed_float16"),
        ("6.1", "float32"),
        # Of two GPUs the first is the one that trains.
        ("7.5\n8.9", "mixed_float16"),
        ("12.0", "mixed_bfloat16"),
        ("[N/A]", "float32"),
        (None, "float32"),
    ],
)
def test_a_gpu_is_asked_what_it_multiplies(machine, capability, expected):
    # Whatever the processor has: it does not train.
    machine(capability, flags="avx512_bf16", has_gpu=True)
    chosen, reason = precision.choose_precision("auto")
    assert chosen == expected and "GPU" in reason


@pytest.mark.parametrize(
    ("flags", "backend", "expected"),
    [
        ("avx2 avx512f avx512_bf16", "tensorflow", "mixed_bfloat16"),
        ("amx_bf16 amx_tile", "tensorflow", "mixed_bfloat16"),
        ("avx2 avx512f avx512_fp16", "tensorflow", "float32"),
        ("avx512_bf16", "jax", "float32"),
        ("avx512_bf16", "torch", "float32"),
    ],
)
def test_a_processor_is_asked_for_bfloat16(machine, flags, backend, expected):
    machine(flags=flags, backend=backend)
    assert precision.choose_precision("auto")[0] == expected


def test_elsewhere_than_on_linux_nothing_is_known_of_the_processor(machine, tmp_path):
    machine()
    (tmp_path / "cpuinfo").unlink()
    assert precision.choose_precision("auto")[0] == "float32"


@pytest.mark.parametrize("wanted", PRECISIONS[1:])
def test_what_is_asked_for_is_taken(machine, wanted):
    machine("9.0", has_gpu=True)
    assert precision.choose_precision(wanted) == (wanted, "as asked for")


def test_float16_scales_the_loss_and_keeps_rate_and_decay(monkeypatch):
    """The optimizer of a recipe with Keras' own around it."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build_tiny()
        recipe = Recipe(epochs=3, optimizer="adam", weight_decay=0.1, schedule="cosine")
        compile_model(model, recipe, steps_per_epoch=100)
    finally:
        keras.config.set_dtype_policy("float32")
    optimizer = model.optimizer
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    faces = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1)).astype("float32")
    targets = np.eye(7, dtype="float32")[np.arange(8) % 7]
    # The warm-up lasts 15 of the 300 steps.
    assert float(optimizer.learning_rate) == 0
    for _ in range(3):
        model.train_on_batch(faces, targets)
    assert float(optimizer.learning_rate) == pytest.approx(0.1 * 3 / 15)
    assert float(optimizer.dynamic_scale) >= 1
    decayed = {
        variable.name
        for variable in model.trainable_variables
        if optimizer.inner_optimizer._use_weight_decay(variable)
    }
    assert decayed == {"kernel"}


@pytest.mark.slow
@pytest.mark.parametrize("wanted", PRECISIONS[1:])
def test_each_precision_trains_and_resumes_to_the_bit(wanted, drawn, tmp_path):
    # Few faces: a processor takes half a second for each in float16.
    lines = (drawn / "train.csv").read_text().splitlines()
    (tmp_path / "train.csv").write_text("\n".join([lines[0], *lines[1::6]]))
    arguments = ["--train", tmp_path / "train.csv", "--network", "small"]
    arguments += ["--validation", 0.1]
    arguments += [
        "--batch-size",
        32,
        "--precision",
        wanted,
        "--name",
        "run",
        "--resume",
    ]
    for folder, epochs in (("whole", [2]), ("resumed", [1, 2])):
        (tmp_path / folder).mkdir()
        for number in epochs:
            run_script(
                "train_cnn.py", *arguments, "--epochs", number, cwd=tmp_path / folder
            )
    whole, resumed = (
        read_weights(tmp_path / folder / "checkpoints/run.keras")
        for folder in ("whole", "resumed")
    )
    assert whole.keys() == resumed.keys() and len(whole) > 20
    for name, array in whole.items():
        assert array.tobytes() == resumed[name].tobytes(), name
    record = json.loads((tmp_path / "resumed/checkpoints/run.json").read_text())
    assert record["settings"]["precision"] == wanted
    assert record["epochs_trained"] == 2
