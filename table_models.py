"""Tabulate what networks cost: parameters, operations, bytes and speed.

    python table_models.py                         # every network, CNN and DNN
    python table_models.py checkpoints/cnn.keras small --output plots/models.csv

Prints one table over all models, then one per model with the output shape, the
parameters and the multiplications and additions of every layer, all in Markdown.
How the operations are counted stands at the head of fer/complexity.py; multiply-adds
are the products of weights and values in convolutional and dense layers. A dash stands
for what cannot be counted, since a layer's formula is not known there.
"""

import time
from pathlib import Path

import numpy as np
import pandas as pd

from fer import checkpoints, command, complexity, tables
from fer.faces import IMAGE_SIZE
from fer.files import check_outputs, replacing
from networks import NETWORKS, dense

# Enough to keep two cores busy; the widest network then takes 300 MB of activations.
SPEED_BATCH_SIZE = 64
SPEED_SECONDS = 2
SUMMARY_COLUMNS = [
    "model",
    "weighted_layers",
    "parameters",
    "trainable_parameters",
    "multiply_adds",
    "multiplications",
    "additions",
    "checkpoint_bytes",
    "images_per_second",
]
LAYER_COLUMNS = [
    "layer",
    "type",
    "output_shape",
    "parameters",
    "multiplications",
    "additions",
]


def load_models(name):
    """Yield (label, model, checkpoint bytes or None) for a network or a checkpoint."""
    if name in NETWORKS:
        yield f"{name} CNN", NETWORKS[name].build_cnn(), None
        build, _ = dense.find_dnn(name)
        yield f"{name} DNN", build(), None
    elif Path(name).exists():
        model = checkpoints.load_checkpoint(name)
        yield Path(name).stem, model, Path(name).stat().st_size
    else:
        raise command.InputError(
            f"{name}: expected a checkpoint or a network "
            f"({', '.join(NETWORKS)}), found neither"
        )


def describe_layers(label, model):
    """One row per layer: a list of dicts."""
    rows = []
    for layer in model.layers:
        multiplications, additions = complexity.count_operations(layer)
        rows.append(
            {
                "model": label,
                "layer": layer.name,
                "type": type(layer).__name__,
                "output_shape": "x".join(map(str, layer.output.shape[1:])),
                "parameters": layer.count_params(),
                "multiplications": multiplications,
                "additions": additions,
            }
        )
    return rows


def describe_model(label, model, checkpoint_bytes, rows):
    """The row of totals over the rows of `describe_layers`."""
    return {
        "model": label,
        "layer": "total",
        "weighted_layers": complexity.count_weighted_layers(model),
        **complexity.measure_size(model),
        "multiplications": complexity.add_known(row["multiplications"] for row in rows),
        "additions": complexity.add_known(row["additions"] for row in rows),
        "checkpoint_bytes": checkpoint_bytes,
    }


def measure_speed(model):
    """Images per second that the model predicts on this machine."""
    shape = (SPEED_BATCH_SIZE, IMAGE_SIZE, IMAGE_SIZE, 1)
    images = np.random.default_rng(0).integers(0, 256, shape).astype("float32")
    # The first batch also builds the graph.
    model.predict_on_batch(images)
    batches, started = 0, time.perf_counter()
    while time.perf_counter() - started < SPEED_SECONDS:
        model.predict_on_batch(images)
        batches += 1
    return batches * SPEED_BATCH_SIZE / (time.perf_counter() - started)


def describe(rows, columns):
    """Some columns of rows (dicts) as a Markdown table, as lines of text."""
    header = [column.replace("_", " ") for column in columns]
    cells = [[format_cell(row.get(column)) for column in columns] for row in rows]
    return tables.format_table(header, cells)


def format_cell(value):
    """A value as it stands in a table."""
    if value is None:
        return "—"
    if isinstance(value, str):
        return value
    # A tenth of an image per second matters only to the slowest networks.
    decimals = 1 if isinstance(value, float) and value < 100 else 0
    return f"{value:,.{decimals}f}"


def build_parser():
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "models",
        nargs="*",
        default=list(NETWORKS),
        metavar="CHECKPOINT|NETWORK",
        help=f"what to count (default: {' '.join(NETWORKS)})",
    )
    parser.add_argument(
        "--skip-speed",
        action="store_true",
        help="do not measure images per second (default: measure)",
    )
    parser.add_argument(
        "--output", metavar="PATH", help="also write a CSV file (default: none)"
    )
    return parser


def main():
    options = build_parser().parse_args()
    check_outputs({"--output": options.output}, options.models)

    totals, layer_tables = [], []
    for name in options.models:
        for label, model, checkpoint_bytes in load_models(name):
            rows = describe_layers(label, model)
            total = describe_model(label, model, checkpoint_bytes, rows)
            if not options.skip_speed:
                total["images_per_second"] = round(measure_speed(model), 1)
            totals.append(total)
            layer_tables.append([*rows, total])

    print(*describe(totals, SUMMARY_COLUMNS), sep="\n")
    for rows in layer_tables:
        print("", rows[0]["model"], "", *describe(rows, LAYER_COLUMNS), sep="\n")
    if options.output:
        table = pd.DataFrame([row for rows in layer_tables for row in rows])
        with replacing(options.output) as temporary:
            # Without it, a column with gaps would turn its whole numbers to floats.
            table.convert_dtypes().to_csv(temporary, index=False)
        print(f"\nwrote {options.output}")


if __name__ == "__main__":
    command.run(main)
