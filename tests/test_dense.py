"""Dense networks of a given size: the arithmetic, and the flags that ask for it."""

import json

import keras
import numpy as np
import pytest
from conftest import run_script
from keras import layers
from tiny_network import build_tiny

from fer.command import InputError
from fer.complexity import count_weighted_layers
from networks import NETWORKS, dense


def test_count_by_hand():
    # 2304 x 5 + 4 x 5, 5 x 3 + 4 x 3, (3 + 1) x 7
    assert dense.count_parameters([5, 3]) == 11_540 + 27 + 28


def test_any_target_is_met():
    rng = np.random.default_rng(0)
    targets = (10 ** rng.uniform(5, np.log10(2e8), size=300)).astype(int).tolist()
    # The small end is the hardest: one unit more costs 2,304 parameters.
    targets += rng.integers(100_000, 200_000, size=300).tolist()
    cases = list(zip(targets, rng.integers(3, 31, size=600).tolist(), strict=True))
    cases += [(end, layers) for end in (100_000, 200_000_000) for layers in (3, 60)]
    for target, num_layers in cases:
        widths = dense.compute_widths(target, num_layers)
        error = abs(dense.count_parameters(widths) - target)
        assert error <= max(50, 1e-4 * target), (target, num_layers, widths)
        assert len(widths) == num_layers - 1
        assert widths == sorted(widths, reverse=True) and widths[-1] > 0


@pytest.mark.parametrize(("target", "num_layers"), [(100_000, 3), (157_063, 8)])
def test_the_model_has_the_counted_parameters(target, num_layers):
    model = dense.build_dnn(target, num_layers)
    widths = dense.compute_widths(target, num_layers)
    assert model.count_params() == dense.count_parameters(widths)
    assert count_weighted_layers(model) == num_layers
    assert model.output_shape == (None, 7)


@pytest.mark.parametrize(
    ("target", "num_layers", "words"),
    [
        (99_999, 8, "from 100,000 to 200,000,000"),
        (200_000_001, 8, "found 200,000,001"),
        (1_000_000, 2, "at least 3 layers"),
    ],
)
def test_what_cannot_be_built_is_refused(target, num_layers, words):
    with pytest.raises(InputError, match=words):
        dense.compute_widths(target, num_layers)


def test_targets(tmp_path):
    tiny = build_tiny()
    tiny.save(tmp_path / "tiny.keras")
    assert dense.read_target("2,636,487") == (2_636_487, 8)
    assert dense.read_target("small")[1] == 6
    assert dense.read_target(str(tmp_path / "tiny.keras")) == (tiny.count_params(), 3)
    (tmp_path / "notes.txt").write_text("no checkpoint")
    for wrong in ("medium", "-5", "1e6", str(tmp_path / "notes.txt")):
        with pytest.raises(InputError, match="expected a checkpoint"):
            dense.read_target(wrong)


def test_every_layer_with_products_of_weights_counts():
    pixels = keras.Input((48, 48, 1))
    model = keras.Model(
        pixels,
        layers.Dense(7)(
            layers.Flatten()(layers.SeparableConv2D(4, 3)(layers.Conv2D(2, 3)(pixels)))
        ),
    )
    assert count_weighted_layers(model) == 3


def test_a_pair_without_a_dense_network_is_matched_to_its_cnn():
    build, description = dense.find_dnn("vgg")
    cnn = NETWORKS["vgg"].build_cnn()
    model = build()
    assert abs(model.count_params() - cnn.count_params()) <= cnn.count_params() * 1e-4
    weighted = count_weighted_layers(cnn)
    assert count_weighted_layers(model) == weighted
    assert description == f"dense {cnn.count_params():,} in {weighted} layers"
    # A pair with one of its own keeps it, unless --match asks for another.
    assert dense.find_dnn("small")[0] is NETWORKS["small"].build_dnn
    assert dense.find_dnn("small", "100000")[1] == "dense 100,000 in 8 layers"


def test_train_dnn(drawn, tmp_path):
    """A matched run, then --resume with another target, which is another network."""
    arguments = ["--train", drawn / "train.csv", "--epochs", 1, "--name", "matched"]
    run_script("train_dnn.py", *arguments, "--match", 100_000, cwd=tmp_path)
    checkpoint = tmp_path / "checkpoints" / "matched.keras"
    record = json.loads(checkpoint.with_suffix(".json").read_text())
    assert abs(record["parameters"] - 100_000) <= 50

    before = checkpoint.read_bytes()
    arguments += ["--match", 120_000, "--resume"]
    process = run_script("train_dnn.py", *arguments, cwd=tmp_path, status=2)
    assert "120,000" in process.stderr and "100,000" in process.stderr
    assert "Traceback" not in process.stderr
    assert checkpoint.read_bytes() == before
