"""What networks cost, against counts made by hand."""

import keras
import pandas as pd
import pytest
from keras import layers
from tiny_network import build_tiny

import table_models
from fer import complexity
from fer.command import InputError


def apply(layer, *shape):
    """A layer, built by use on an input of a shape."""
    layer(keras.Input(shape))
    return layer


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        # Places x filters x weights of a kernel; one addition fewer without a bias.
        (
            layers.Conv2D(8, 5, strides=2, padding="same", use_bias=False),
            (48, 48, 1),
            (24 * 24 * 8 * 25, 24 * 24 * 8 * 24),
        ),
        (layers.Conv2D(4, 3), (5, 5, 2), (3 * 3 * 4 * 18, 3 * 3 * 4 * 18)),
        # floor((7 - 3) / 2) + 1 = 3 places a side, but ceil(7 / 2) = 4 with padding.
        (layers.Conv2D(1, 3, strides=2), (7, 7, 1), (9 * 9, 9 * 9)),
        (layers.Conv2D(1, 3, strides=2, padding="same"), (7, 7, 1), (16 * 9, 16 * 9)),
        (layers.Dense(4), (10,), (40, 40)),
        (layers.Dense(4, use_bias=False), (10,), (40, 36)),
        (layers.BatchNormalization(), (6, 6, 2), (72, 72)),
        (layers.Rescaling(1 / 255), (6, 6, 1), (36, 36)),
        (layers.LayerNormalization(axis=[1, 2, 3]), (2, 2, 1), (10, 10)),
        (layers.LeakyReLU(0.1), (6, 6, 2), (72, 0)),
        (layers.PReLU(), (6, 6, 2), (72, 0)),
        (layers.GlobalAveragePooling2D(), (3, 3, 5), (5, 8 * 5)),
        (layers.Softmax(), (7,), (7, 6)),
        # 2 kernels of 9 for each of 3 values at 4 x 4 places.
        (layers.DepthwiseConv2D(3, depth_multiplier=2), (6, 6, 3), (864, 864)),
        (
            layers.DepthwiseConv2D(3, strides=2, use_bias=False, padding="same"),
            (5, 5, 3),
            (9 * 3 * 9, 9 * 3 * 8),
        ),
        # The same, then 5 kernels of 6 at as many places.
        (
            layers.SeparableConv2D(5, 3, depth_multiplier=2),
            (6, 6, 3),
            (864 + 16 * 5 * 6, 16 * 6 * 8 + 16 * 5 * 6),
        ),
        (
            layers.SeparableConv2D(5, 3, use_bias=False),
            (6, 6, 3),
            (16 * 3 * 9 + 16 * 5 * 3, 16 * 3 * 8 + 16 * 5 * 2),
        ),
        # A filter sees half of the four values.
        (layers.Conv2D(4, 3, groups=2), (5, 5, 4), (9 * 4 * 18, 9 * 4 * 18)),
        (layers.Conv2DTranspose(2, 3), (6, 6, 1), (None, None)),
        (layers.ReLU(), (6, 6, 2), (0, 0)),
        (layers.MaxPooling2D(), (6, 6, 2), (0, 0)),
        (layers.ZeroPadding2D(2), (6, 6, 2), (0, 0)),
    ],
)
def test_operations_by_hand(layer, shape, expected):
    assert complexity.count_operations(apply(layer, *shape)) == expected


def put_before_the_head(layer):
    """A classifier of faces with one layer in its middle."""
    pixels = keras.Input((48, 48, 1))
    x = layer(layers.MaxPooling2D(8)(pixels))
    return keras.Model(pixels, layers.Dense(7)(layers.Flatten()(x)))


def test_what_cannot_be_counted_is_unknown_and_not_free():
    assert (
        complexity.count_multiply_adds(
            put_before_the_head(layers.SeparableConv2D(2, 3))
        )
        == 16 * (9 + 2 * 1) + 32 * 7
    )
    for layer in (layers.Conv2DTranspose(2, 3), layers.GroupNormalization(1)):
        assert complexity.count_multiply_adds(put_before_the_head(layer)) is None
    # Without weights there are no products with weights.
    assert complexity.count_multiply_adds(put_before_the_head(layers.ELU())) == 36 * 7


def test_a_table_has_dashes_where_operations_are_unknown():
    model = put_before_the_head(layers.GroupNormalization(1))
    rows = table_models.describe_layers("odd", model)
    total = table_models.describe_model("odd", model, None, rows)
    assert total["multiply_adds"] is None and total["additions"] is None
    assert total["parameters"] == model.count_params() == 2 + 37 * 7
    [*_, line] = table_models.describe([total], table_models.SUMMARY_COLUMNS)
    assert line.count("—") == 5


def test_multiply_adds_are_those_of_kernels():
    # 15 x 15 places with 8 kernels of 25, pooled and padded to 9 x 9, then 7 x 7 with
    # 8 kernels of 72, then 8 x 7 of the head.
    expected = 225 * 8 * 25 + 49 * 8 * 72 + 56
    assert complexity.count_multiply_adds(build_tiny()) == expected


def test_the_table_of_a_checkpoint(tmp_path, monkeypatch, capsys):
    tiny = build_tiny()
    tiny.save(tmp_path / "tiny.keras")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "sys.argv", ["table_models.py", "tiny.keras", "small", "--output", "tiny.csv"]
    )
    table_models.main()
    printed = capsys.readouterr().out
    assert "| tiny " in printed and "| small CNN " in printed and "—" in printed
    # Every line of a Markdown table has as many cells as its header.
    for block in printed.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1

    table = pd.read_csv(tmp_path / "tiny.csv").set_index(["model", "layer"])
    total, rows = table.loc["tiny", "total"], table.loc["tiny"].drop("total")
    for column in ("parameters", "multiplications", "additions"):
        assert total[column] == rows[column].sum()
    assert total["parameters"] == tiny.count_params()
    assert total["checkpoint_bytes"] == (tmp_path / "tiny.keras").stat().st_size
    assert total["images_per_second"] > 0
    assert rows.loc["conv", "output_shape"] == "15x15x8"
    # The DNN of the report: 156,679 trainable ones and 384 statistics.
    assert table.loc[("small DNN", "total"), "parameters"] == 157_063


def test_what_is_neither_network_nor_checkpoint_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["table_models.py", "medium", "--output", "medium.csv"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(InputError, match="medium: expected a checkpoint or a network"):
        table_models.main()
    assert not (tmp_path / "medium.csv").exists()
