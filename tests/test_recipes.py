"""Recipes become numbers: schedules, optimizers, normalization, class weights."""

import dataclasses

import keras
import numpy as np
import pytest
from tiny_network import RECIPE, build_tiny

from fer import recipes

IMAGES = np.random.default_rng(0).integers(20, 240, (30, 48, 48, 1), "uint8")


def compute_rates(schedule, steps):
    return np.array([float(schedule(step)) for step in range(steps)])


def test_cosine_warms_up_over_a_twentieth_and_ends_at_zero():
    recipe = dataclasses.replace(
        RECIPE, schedule="cosine", epochs=20, learning_rate=0.5
    )
    rates = compute_rates(recipes.build_schedule(recipe, steps_per_epoch=10), 201)
    # 200 steps, of which 10 lead up in a straight line.
    np.testing.assert_allclose(rates[:11], 0.05 * np.arange(11), rtol=1e-5)
    assert rates.argmax() == 10
    # Halfway down the half cosine, after 95 of its 190 steps.
    assert rates[105] == pytest.approx(0.25, rel=1e-4)
    assert rates[200] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_finish_is_a_cosine_of_its_own_from_a_tenth(schedule):
    plain = dataclasses.replace(RECIPE, schedule=schedule, epochs=3, learning_rate=0.5)
    finished = dataclasses.replace(plain, finish=2)
    short = dataclasses.replace(
        plain, schedule="cosine", epochs=2, learning_rate=0.05, augmentation="flip"
    )
    assert finished.finishing == short and finished.all_epochs == 5
    rates = compute_rates(recipes.build_schedule(finished, steps_per_epoch=10), 50)
    expected = 30 * [0.5]
    if schedule == "cosine":
        expected = compute_rates(recipes.build_schedule(plain, 10), 30)
    np.testing.assert_allclose(rates[:30], expected, rtol=1e-5)
    expected = compute_rates(recipes.build_schedule(short, 10), 20)
    np.testing.assert_allclose(rates[30:], expected, rtol=1e-5)


def test_one_epoch_is_a_complete_short_run():
    recipe = dataclasses.replace(RECIPE, schedule="cosine", epochs=1, learning_rate=0.5)
    rates = compute_rates(recipes.build_schedule(recipe, steps_per_epoch=1), 2)
    np.testing.assert_allclose(rates, [0, 0.5], atol=1e-7)


def test_inverse_time_decays_by_the_step():
    recipe = dataclasses.replace(
        RECIPE, schedule="inverse_time", learning_rate=0.1, decay=0.5
    )
    rates = compute_rates(recipes.build_schedule(recipe, 10), 3)
    np.testing.assert_allclose(rates, [0.1, 0.1 / 1.5, 0.1 / 2], rtol=1e-6)


def test_sgd_has_nesterov_momentum():
    optimizer = recipes.build_optimizer(RECIPE, 10)
    assert (optimizer.momentum, optimizer.nesterov) == (0.9, True)


def test_weight_decay_spares_what_batch_normalization_learns():
    recipe = dataclasses.replace(RECIPE, weight_decay=0.5, learning_rate=0.1)
    model = build_tiny()
    optimizer = recipes.build_optimizer(recipe, 10)
    optimizer.build(model.trainable_variables)
    before = {v.path: v.numpy() for v in model.trainable_variables}
    zeros = [keras.ops.zeros_like(v) for v in model.trainable_variables]
    optimizer.apply_gradients(zip(zeros, model.trainable_variables, strict=True))
    for variable in model.trainable_variables:
        kept = 0.95 if variable.path.endswith("kernel") else 1
        np.testing.assert_allclose(variable, kept * before[variable.path], rtol=1e-5)


@pytest.mark.parametrize("name", recipes.NORMALIZATIONS)
def test_normalization(name):
    layer = recipes.build_normalization(name, IMAGES)
    pixels = IMAGES.astype("float32")
    found = keras.ops.convert_to_numpy(layer(pixels))
    each = pixels.mean(axis=(1, 2, 3), keepdims=True)
    expected = {
        "none": pixels,
        "unit": pixels / 255,
        "standard": (pixels - pixels.mean()) / pixels.std(),
        "image": (pixels - each) / pixels.std(axis=(1, 2, 3), keepdims=True),
    }[name]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert found.dtype == np.float32 and not layer.weights


def test_statistics_are_those_of_numpy():
    mean, deviation = recipes.compute_statistics(IMAGES)
    assert mean == pytest.approx(IMAGES.mean(dtype="float64"), rel=1e-14)
    assert deviation == pytest.approx(IMAGES.std(dtype="float64"), rel=1e-12)


def test_faces_of_one_grey_level_are_not_divided_by_zero():
    grey = np.full((2, 48, 48, 1), 7, "uint8")
    layer = recipes.build_normalization("standard", grey)
    assert not keras.ops.convert_to_numpy(layer(grey.astype("float32"))).any()


def test_classes_weigh_the_same_in_all():
    labels = np.array([0, 0, 0, 3])
    weights = recipes.weigh_classes(labels)
    assert weights == {0: pytest.approx(2 / 3), 3: pytest.approx(2)}
