"""The reports' networks: every parameter count they print, and a step of training."""

import dataclasses
import functools
import re

import numpy as np
import pytest
from keras import layers
from tiny_network import compile_model

from fer import complexity, drawn_faces
from fer.augmentation import AUGMENTATIONS, FaceGenerator
from fer.recipes import NORMALIZATIONS, build_schedule
from networks import NETWORKS

# Total and trainable parameters; None where no report prints the number.
COUNTS = {
    ("wide", "cnn"): (106_536_711, 106_524_935),
    ("small", "dnn"): (None, 156_679),
    ("deep", "cnn"): (6_040_327, 6_036_871),
    ("deep", "dnn"): (6_036_839, None),
    ("large_kernel", "cnn"): (3_258_379, 3_257_481),
    ("large_kernel", "dnn"): (3_258_363, 3_254_833),
    ("valid_padding", "cnn"): (1_896_757, 1_894_873),
    ("valid_padding", "dnn"): (1_896_167, 1_891_879),
}
# Networks whose step takes long.
SLOW = ("deep", "wide")
MODELS = [("vgg", "cnn"), ("small", "cnn"), *COUNTS]


@functools.cache
def build(name, kind):
    """A network, built once: `wide` takes 426 MB."""
    return getattr(NETWORKS[name], f"build_{kind}")()


def collect(model, kind, attribute):
    """One attribute of every layer of a kind."""
    return [getattr(x, attribute) for x in model.layers if isinstance(x, kind)]


@pytest.mark.parametrize(("name", "kind"), COUNTS)
def test_parameters_are_those_of_the_report(name, kind):
    parameters, trainable = COUNTS[name, kind]
    found = complexity.measure_size(build(name, kind))
    assert parameters in (None, found["parameters"])
    assert trainable in (None, found["trainable_parameters"])


def test_small_has_a_million_parameters():
    parameters = build("small", "cnn").count_params()
    assert abs(parameters - 1_000_000) <= 20_000


def test_layers_of_wide():
    wide = build("wide", "cnn")
    counts = [layer.count_params() for layer in wide.layers]
    assert [count for count in counts if count] == [
        4_352,
        589_824,
        1_024,
        2_097_664,
        2_048,
        8_389_632,
        4_096,
        18_876_416,
        8_192,
        75_498_496,
        4_096,
        1_049_600,
        4_096,
        7_175,
    ]
    assert wide.get_layer("pool4").output.shape == (None, 6, 6, 2048)
    assert wide.get_layer("flat").output.shape == (None, 73_728)
    # By hand, block by block: places x filters x weights of a kernel.
    assert complexity.count_multiply_adds(wide) == (
        48**2 * 256 * 16
        + 28**2 * 512 * 16 * 256
        + 16**2 * 1024 * 16 * 512
        + 10**2 * 2048 * 9 * 1024
        + 73_728 * 1024
        + 1024 * 1024
        + 1024 * 7
    )


def test_layers_of_the_dense_networks():
    def units(name):
        return collect(build(name, "dnn"), layers.Dense, "units")

    assert units("small") == [64, 64, 64, 7]
    assert collect(build("small", "dnn"), layers.Dropout, "rate") == [0.1, 0.2, 0.7]
    assert len(units("deep")) == 23
    assert units("large_kernel") == [1152, 432, 180, 90, 44, 7]
    assert units("valid_padding") == [128, 256, 512, 1248, 512, 256, 64, 7]


def test_sizes_of_the_pictures():
    def shape(name, layer):
        return build(name, "cnn").get_layer(layer).output.shape[1:]

    assert shape("deep", "flat") == (9216,)
    assert shape("large_kernel", "pool4") == (3, 3, 256)
    assert shape("valid_padding", "pool4") == (1, 1, 500)


@pytest.mark.parametrize(("name", "kind"), MODELS)
def test_every_layer_has_a_name_and_every_dropout_a_rate(name, kind):
    model = build(name, kind)
    assert (model.input_shape, model.output_shape) == ((None, 48, 48, 1), (None, 7))
    assert not model.compiled
    for layer in model.layers:
        # What Keras would have called it: Conv2D becomes conv2d_3.
        automatic = re.sub("([a-z0-9])([A-Z])", r"\1_\2", type(layer).__name__).lower()
        assert not re.fullmatch(rf"{automatic}(_\d+)?", layer.name) or (
            layer.name == "dropout"
        )
    assert [layer.name for layer in model.layers[-2:]] == ["logits", "probabilities"]
    assert all(0 < rate < 1 for rate in collect(model, layers.Dropout, "rate"))


@pytest.mark.parametrize("name", NETWORKS)
def test_recipes_name_what_exists(name):
    for recipe in (NETWORKS[name].CNN_RECIPE, NETWORKS[name].DNN_RECIPE):
        assert recipe.augmentation in AUGMENTATIONS
        assert recipe.normalization in NORMALIZATIONS


def test_small_slows_down_after_ten_epochs():
    schedule = build_schedule(NETWORKS["small"].CNN_RECIPE, steps_per_epoch=7)
    rates = np.array([float(schedule(step)) for step in range(30 * 7)])
    np.testing.assert_allclose(rates[: 10 * 7], 0.01)
    np.testing.assert_allclose(rates[10 * 7 + 1 :], 0.002, rtol=1e-6)


def test_small_mirrors_half_of_the_faces_one_way_or_the_other():
    generator = FaceGenerator(**AUGMENTATIONS["small"])
    rng = np.random.default_rng(0)
    drawn = [generator.draw_transform(rng, 48) for _ in range(4000)]
    flips = np.array([[t["flip_horizontal"], t["flip_vertical"]] for t in drawn])
    # Four deviations of a share of a quarter among 4,000 are 0.027.
    np.testing.assert_allclose(flips.mean(axis=0), 0.25, atol=0.027)
    assert not flips.all(axis=1).any()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=pytest.mark.slow if name in SLOW else ())
        for name, kind in MODELS
    ],
)
def test_a_step_of_training(name, kind):
    """A step under the network's own recipe changes every kernel, by finite numbers."""
    module = NETWORKS[name]
    recipe = getattr(module, f"{kind.upper()}_RECIPE")
    # Without warm-up, which would make the first step one of length zero.
    recipe = dataclasses.replace(recipe, schedule="constant")
    # Not the shared model, whose weights other tests may look at.
    model = getattr(module, f"build_{kind}")()
    compile_model(model, recipe, steps_per_epoch=1)
    images, labels = drawn_faces.draw_faces(8, seed=0)
    before = [kernel.numpy() for kernel in collect_kernels(model)]
    loss, _ = model.train_on_batch(images.astype("float32"), np.eye(7)[labels])
    assert np.isfinite(loss)
    for kernel, old in zip(collect_kernels(model), before, strict=True):
        assert np.isfinite(kernel.numpy()).all()
        assert (kernel.numpy() != old).any()


def collect_kernels(model):
    return [layer.kernel for layer in model.layers if hasattr(layer, "kernel")]
