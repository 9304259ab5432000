"""Measure how time and memory grow with the number of faces.

    python -m experiments.growth

Repeats the faces of --train as often as it takes, then reads them, trains an epoch on
them and predicts them, each in a process of its own. The files lie in a temporary
folder, which TMPDIR moves; the largest has 2.4 GB.

Prints the seconds on the clock, those of all cores together (which other programs
disturb less), microseconds of those a face, and the peak of resident memory. Imports
and the building of graphs are left out of the times.
"""

import argparse
import contextlib
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fer import command, data, paths
from fer.tables import format_table

SIZES = (28_709, 100_000, 287_090)
NETWORK = "small"


def build_parser():
    parser = command.new_parser(__doc__)
    add, number = parser.add_argument, command.positive_integer
    add("--train", default=paths.TRAIN_FACES, help="a CSV file (default: %(default)s)")
    add("--sizes", nargs="+", type=number, default=SIZES, help="how many faces")
    # In a folder of its own, which `run_measurement` makes: it trains a `cnn` there.
    add("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    return parser


def read_clocks():
    """Seconds, on the clock and of all cores together, since some moment."""
    return np.array([time.perf_counter(), time.process_time()])


def measure_reading(train):
    """Read the faces and hold some out."""
    # What `load_split` imports when it needs it.
    import sklearn.model_selection  # noqa: F401

    start = read_clocks()
    data.load_split(train)
    return read_clocks() - start


def measure_epoch(train):
    """Train two epochs, validation included, of which the second one counts."""
    # Not at the top: reading does without Keras, and without its memory.
    import keras

    import train_cnn

    clocks = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: clocks.append(read_clocks()),
        on_epoch_end=lambda epoch, logs: clocks.append(read_clocks()),
    )

    def fit(model, batches, faces, run):
        whole = run.callbacks

        @contextlib.contextmanager
        def callbacks(batches):
            with whole(batches) as found:
                yield [*found, watch]

        run.callbacks = callbacks
        train_cnn.fit_epochs(model, batches, faces, run)

    arguments = ["--train", train, "--network", NETWORK, "--epochs", "2"]
    train_cnn.train(*train_cnn.read_flags(arguments), fit)
    return clocks[-1] - clocks[-2]


def measure_prediction(train):
    """Predict faces that were read."""
    from fer import prediction
    from networks import NETWORKS

    images, _ = data.load_training_faces(train)
    model = NETWORKS[NETWORK].build_cnn()
    prediction.predict(model, images[:1000])
    start = read_clocks()
    prediction.predict(model, images)
    return read_clocks() - start


MEASURES = dict(
    reading=measure_reading, epoch=measure_epoch, prediction=measure_prediction
)


def repeat_faces(source, size, target):
    """Write a CSV file with so many faces, those of another over and over."""
    with open(source, "rb") as file:
        header, *rows = file.read().splitlines(keepends=True)
    with open(target, "wb") as file:
        file.write(header)
        file.writelines(itertools.islice(itertools.cycle(rows), size))


def run_measurement(name, folder):
    """Run one measurement in a process of its own; returns its numbers."""
    root = Path(__file__).resolve().parent.parent
    words = f"-m {__spec__.name} --measure {name} --train train.csv".split()
    result = subprocess.run(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    if result.returncode:
        sys.exit(result.returncode)
    return map(float, result.stdout.splitlines()[-1].split())


def main():
    options = build_parser().parse_args()
    if options.measure:
        print(*MEASURES[options.measure](options.train), end=" ")
        # In KiB on Linux.
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    rows = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            repeat_faces(options.train, size, Path(folder) / "train.csv")
            for name in MEASURES:
                seconds, cores, peak = run_measurement(name, folder)
                row = [name, f"{size:,}", f"{seconds:.1f}", f"{cores:.1f}"]
                rows.append([*row, f"{cores / size * 1e6:.0f}", f"{peak:.2f}"])
                print(*rows[-1], sep="  ", flush=True)
    header = ["what", "faces", "seconds", "of all cores", "µs a face", "GiB"]
    print("", *format_table(header, rows), sep="\n")


if __name__ == "__main__":
    command.run(main)
