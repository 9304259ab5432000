"""The layers for training against the plain ones: answers, gradients and weights."""

import os
import platform
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT
from keras import layers

from fer.precision import BFLOAT16_PROCESSOR_FLAGS, has_gpu, read_processor_flags
from fer.recipes import build_optimizer
from networks import small, vgg

tf = pytest.importorskip("tensorflow")
if keras.config.backend() != "tensorflow" or has_gpu():
    pytest.skip("made for TensorFlow on a processor", allow_module_level=True)

from fer import fast_layers  # noqa: E402
from fer.fast_layers import (  # noqa: E402
    FlippedConv2D,
    FusedBatchNormalization,
    SideBySideConv2D,
)

RNG = np.random.default_rng(0)
# A processor without bfloat16 rounds sums too, of up to 288 products, to 8 bits.
HAS_BFLOAT16 = not read_processor_flags().isdisjoint(BFLOAT16_PROCESSOR_FLAGS)
BFLOAT16_TOLERANCE = 4e-2 if HAS_BFLOAT16 else 8e-2


def clone(layer, kind, inputs):
    """A layer of another kind with the same configuration and weights."""
    if not layer.built:
        layer.build(inputs.shape)
    other = kind.from_config(layer.get_config())
    other.build(inputs.shape)
    other.set_weights(layer.get_weights())
    return other


def differentiate(layer, inputs, seed):
    """Answer and gradients of inputs and weights under a random loss, float64."""
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        factors = np.random.default_rng(seed).normal(size=outputs.shape)
        loss = tf.reduce_sum(tf.cast(outputs, "float32") * factors)
    sources = [inputs, *(weight.value for weight in layer.trainable_weights)]
    gradients = tape.gradient(loss, sources)
    return [np.array(tf.cast(x, "float64")) for x in (outputs, *gradients)]


def assert_same(plain, fast, inputs, tolerance):
    """Compare by the largest value of each array."""
    for expected, found in zip(
        differentiate(plain, inputs, 1), differentiate(fast, inputs, 1), strict=True
    ):
        scale = abs(expected).max()
        np.testing.assert_allclose(found / scale, expected / scale, atol=tolerance)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", BFLOAT16_TOLERANCE)]
)
# 7 faces fill no row; kernels of 3 and 5 need gaps of 1 and 2; 9 pixels are too wide.
@pytest.mark.parametrize(
    ("count", "width", "kernel", "options"),
    [
        (16, 3, 3, {}),
        (7, 6, 3, {"use_bias": False}),
        (7, 4, 5, {"activation": "relu"}),
        (7, 3, (3, 1), {}),
        (7, 9, 3, {}),
        (7, 6, 3, {"padding": "valid"}),
        (7, 6, 3, {"strides": 2}),
        (7, 6, 2, {}),
        (7, 6, 3, {"groups": 2}),
    ],
)
@pytest.mark.parametrize("kind", [SideBySideConv2D, FlippedConv2D])
def test_convolution(kind, dtype, tolerance, count, width, kernel, options):
    inputs = RNG.normal(size=(count, 6, width, 16)).astype("float32")
    plain = layers.Conv2D(32, kernel, **{"padding": "same", "dtype": dtype} | options)
    assert_same(plain, clone(plain, kind, inputs), inputs, tolerance)


def test_side_by_side_and_back():
    pictures = RNG.normal(size=(7, 2, 3, 4)).astype("float32")
    rows = fast_layers.lay_side_by_side(pictures, 4, 1)
    assert rows.shape == (2, 2, 16, 4)
    np.testing.assert_array_equal(rows[1, :, 4:7], pictures[5])
    assert not np.any(rows[:, :, 3::4])
    assert not np.any(rows[1, :, 12:])
    back = fast_layers.take_apart(rows, 7, 4, 1)
    np.testing.assert_array_equal(back, pictures)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float32", 1e-4), ("mixed_bfloat16", 2e-2), ("mixed_float16", 5e-3)],
)
# Features of dense layers, and a layer without its factor or its summand, are left to
# Keras.
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((5, 4, 6, 16), {}),
        ((64, 16), {}),
        ((5, 4, 6, 16), {"scale": False}),
        ((5, 4, 6, 16), {"center": False}),
    ],
)
def test_batch_normalization(dtype, tolerance, shape, options):
    inputs = RNG.normal(3, 2, size=shape).astype("float32")
    plain = layers.BatchNormalization(momentum=0.9, dtype=dtype, **options)
    plain.build(shape)
    num_weights = len(plain.weights)
    plain.set_weights(list(RNG.uniform(0.5, 2, size=(num_weights, 16))))
    fast = clone(plain, FusedBatchNormalization, inputs)
    assert_same(plain, fast, inputs, tolerance)
    for expected, found in zip(plain.get_weights(), fast.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    fast.set_weights(plain.get_weights())
    answer, expected = (np.array(tf.cast(x(inputs), "float32")) for x in (fast, plain))
    np.testing.assert_allclose(answer, expected, atol=tolerance * abs(expected).max())


@pytest.fixture
def bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.slow
def test_quicken_takes_the_same_steps(bfloat16, monkeypatch):
    monkeypatch.setattr(fast_layers, "read_processor_flags", lambda: {"amx_bf16"})
    plain = vgg.build_cnn()
    fast = fast_layers.quicken(plain)
    kinds = [type(layer) for layer in fast.layers]
    assert kinds.count(FusedBatchNormalization) == 7
    assert kinds.count(SideBySideConv2D) == 7
    assert [w.path for w in fast.weights] == [w.path for w in plain.weights]

    # Batches of two sizes, so that TensorFlow does not know them beforehand.
    faces = RNG.uniform(0, 255, size=(62, 48, 48, 1))
    targets = np.eye(7)[RNG.integers(0, 7, 62)]
    losses = []
    for model in (plain, fast):
        model.compile(build_optimizer(vgg.CNN_RECIPE, 100), "categorical_crossentropy")
        history = model.fit(
            faces, targets, batch_size=33, epochs=4, shuffle=False, verbose=0
        )
        losses.append(history.history["loss"])
    # The same dropout as well: its seed is one of the variables.
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.01)
    assert losses[0][3] < losses[0][0]


def test_quicken_leaves_convolutions_alone_with_onednn_and_without_amx(monkeypatch):
    monkeypatch.setattr(fast_layers, "read_processor_flags", lambda: {"avx512_bf16"})
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    fast = fast_layers.quicken(small.build_cnn())
    kinds = {type(layer) for layer in fast.layers}
    assert not {SideBySideConv2D, FlippedConv2D} & kinds
    assert FusedBatchNormalization in kinds
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    fast = fast_layers.quicken(small.build_cnn())
    assert FlippedConv2D in {type(layer) for layer in fast.layers}


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [(fast_layers, "has_gpu", True), (keras.config, "backend", "jax")],
)
def test_quicken_changes_nothing_elsewhere(monkeypatch, where, name, value):
    monkeypatch.setattr(where, name, lambda: value)
    plain = small.build_cnn()
    assert not fast_layers.can_quicken()
    assert fast_layers.quicken(plain) is plain


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="of x86")
@pytest.mark.parametrize("choice", [None, "0"])
def test_onednn_convolves_unless_somebody_turns_it_off(choice):
    program = """
import fer, keras
keras.ops.conv(keras.ops.ones((1, 8, 8, 8)), keras.ops.ones((3, 3, 8, 8)))
"""
    environment = {**os.environ, "ONEDNN_VERBOSE": "1"}
    environment.pop("TF_ENABLE_ONEDNN_OPTS", None)
    if choice is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = choice
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("exec,cpu,convolution" in process.stdout) == (choice is None)
