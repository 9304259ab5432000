"""Time whole epochs: a plain Keras script, this project, and what the processor can do.

    python -m experiments.throughput

Four measurements in one go, each in a process of its own and on every face of --train:

plain      `large_kernel` as a Keras tutorial trains it: float32, `model.fit` over
           `ImageDataGenerator.flow`; oneDNN is on, as the scripts have it.
ours       the same network, batch size and augmentation through train_cnn.py.
default    the default network through train_cnn.py.
matrix     products of two 4096 x 4096 matrices in train_cnn.py's precision.

All epochs end with the validation faces. Of --epochs the fastest counts, so that
neither the start of the process nor a busy moment of the machine does. Operations are
6 x multiply-adds x training faces: forward, and two gradients. Prints the times, the
speed-up of ours over plain and the share of the matrix rate that the default network
reaches. Writes nothing. With --epochs 1 it takes six minutes on two AVX512_BF16 cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import pandas as pd

import train_cnn
from fer import command, complexity, data, paths, sources
from fer.augmentation import AUGMENTATIONS, ImageDataGenerator
from fer.precision import choose_precision
from networks import DEFAULT_NETWORK, NETWORKS

NETWORK = "large_kernel"
MATRIX_SIZE = 4096
MATRIX_PRODUCTS = 20


def build_parser():
    parser = command.new_parser(__doc__)
    add = parser.add_argument
    sources.add_train_flags(parser)
    add(
        "--epochs",
        type=command.positive_integer,
        default=3,
        metavar="NUMBER",
        help="of each training, the fastest of which counts (default: %(default)s)",
    )
    add("--measure", choices=["plain", "matrix"], help=argparse.SUPPRESS)
    return parser


def time_plain(options):
    """Seconds of every epoch of the plain script."""
    faces = data.load_split(options.train, ignore=options.ignore)
    network = NETWORKS[NETWORK]
    model = network.build_cnn()
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    generator = ImageDataGenerator(**AUGMENTATIONS[network.CNN_RECIPE.augmentation])
    clock = Clock()
    model.fit(
        generator.flow(
            faces.train_images,
            faces.train_targets,
            batch_size=network.CNN_RECIPE.batch_size,
        ),
        validation_data=(faces.validation_images, faces.validation_targets),
        epochs=options.epochs,
        verbose=0,
        callbacks=[clock],
    )
    return clock.seconds


class Clock(keras.callbacks.Callback):
    """Takes the time of every epoch, validation included."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def time_matrix():
    """Seconds of every product of two square matrices."""
    precision, _ = choose_precision("auto")
    dtype = precision.removeprefix("mixed_")
    shape = (MATRIX_SIZE, MATRIX_SIZE)
    matrix = keras.random.normal(shape, dtype=dtype, seed=0)
    seconds = []
    for _ in range(MATRIX_PRODUCTS):
        start = time.perf_counter()
        product = keras.ops.matmul(matrix, matrix)
        # Brings the result here, and so waits for it; numpy knows no bfloat16.
        float(keras.ops.cast(product[0, 0], "float32"))
        seconds.append(time.perf_counter() - start)
    return seconds


def run_measurement(name, options):
    """Run one of the measurements in a process of its own; returns its seconds."""
    arguments = ["--measure", name, "--epochs", str(options.epochs)]
    arguments += sources.list_train_flags(options)
    result = subprocess.run(
        [sys.executable, "-m", "experiments.throughput", *arguments],
        stdout=subprocess.PIPE,
        check=False,
    )
    if result.returncode:
        sys.exit(result.returncode)
    # What loading the faces prints stands above.
    return json.loads(result.stdout.splitlines()[-1])


def run_ours(network, options):
    """Train through train_cnn.py in a folder of its own; returns seconds per epoch."""
    arguments = ["--network", network, "--epochs", str(options.epochs)]
    arguments += ["--finish", "0", *sources.list_train_flags(options)]
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [sys.executable, train_cnn.__file__, *arguments],
            cwd=folder,
            stdout=sys.stderr,
            check=False,
        )
        if result.returncode:
            sys.exit(result.returncode)
        return pd.read_csv(Path(folder) / paths.run_file("cnn", ".csv"))["seconds"]


def count_operations(network, num_faces):
    """Operations of one epoch."""
    model = NETWORKS[network].build_cnn()
    return complexity.count_training_operations(
        complexity.count_multiply_adds(model), num_faces
    )


def main():
    options = build_parser().parse_args()
    options.train = str(sources.locate(options.train).resolve())
    if options.measure == "plain":
        print(json.dumps(time_plain(options)))
        return
    if options.measure == "matrix":
        print(json.dumps(time_matrix()))
        return
    num_faces = len(data.load_split(options.train, ignore=options.ignore).train_rows)
    rates = {}
    for name, network, measure in (
        ("plain", NETWORK, lambda: run_measurement("plain", options)),
        ("ours", NETWORK, lambda: run_ours(NETWORK, options)),
        ("default", DEFAULT_NETWORK, lambda: run_ours(DEFAULT_NETWORK, options)),
    ):
        seconds = min(measure())
        rates[name] = count_operations(network, num_faces) / seconds
        print(
            f"{name:8} {network:13} {seconds:6.1f} s an epoch, "
            f"{num_faces / seconds:6,.0f} faces a second, "
            f"{rates[name] / 1e9:5.0f} GFLOP/s",
            flush=True,
        )
    matrix_seconds = min(run_measurement("matrix", options))
    matrix_rate = 2 * MATRIX_SIZE**3 / matrix_seconds
    print(f"matrix   {MATRIX_SIZE} x {MATRIX_SIZE} {matrix_rate / 1e9:45.0f} GFLOP/s")
    print(f"\nours / plain      {rates['ours'] / rates['plain']:.2f}")
    print(f"default / matrix  {rates['default'] / matrix_rate:.0%}")


if __name__ == "__main__":
    command.run(main)
