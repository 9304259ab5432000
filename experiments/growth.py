"""Measure how time and memory grow with the number of faces.

    python -m experiments.growth                          # 28,709 to 287,090 faces

Repeats the faces of --train as often as it takes, then reads them, trains an epoch on
them and predicts them, each in a process of its own. The largest file has 2.4 GB and
lies in a temporary folder, which TMPDIR moves.

Prints for each of the three the seconds on the clock, those of all cores together
(which other programs disturb less), microseconds of those a face, and the peak of
resident memory, as a table in Markdown. What is done once, whatever the number of
faces, is left out of the times: imports and the building of graphs.
"""

import contextlib
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fer import command, data, paths
from fer.tables import format_table

SIZES = (28_709, 100_000, 287_090)
NETWORK = "small"


def build_parser():
    parser = command.new_parser(__doc__)
    add, number = parser.add_argument, command.positive_integer
    add("--train", default=paths.TRAIN_FACES, help="a CSV file (default: %(default)s)")
    add("--sizes", nargs="+", type=number, default=SIZES, help="how many faces")
    # Set by this script for the measurements that it runs.
    add("--measure", choices=MEASURES, help="one of them, in this process")
    return parser


class Clock:
    """Seconds since it was made, on the clock and of all cores together."""

    def __init__(self):
        self.start = time.perf_counter(), time.process_time()

    def read(self):
        return {
            "seconds": time.perf_counter() - self.start[0],
            "core_seconds": time.process_time() - self.start[1],
        }


def measure_reading(train):
    """Read the faces and hold some out."""
    # What `load_split` imports when it needs it.
    import sklearn.model_selection  # noqa: F401

    clock = Clock()
    data.load_split(train, 0.1)
    return clock.read()


def measure_epoch(train):
    """Train two epochs, validation included, of which the second one counts."""
    # Not at the top: reading does without Keras, and without its memory.
    import keras

    import train_cnn

    clocks, measured = [], {}
    watch = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: clocks.append(Clock()),
        on_epoch_end=lambda epoch, logs: measured.update(clocks[-1].read()),
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
    return measured


def measure_prediction(train):
    """Predict faces that were read."""
    from fer import checkpoints
    from networks import NETWORKS

    images, _ = data.load_training_faces(train)
    model = NETWORKS[NETWORK].build_cnn()
    checkpoints.predict(model, images[:1000])
    clock = Clock()
    checkpoints.predict(model, images)
    return clock.read()


MEASURES = {
    "reading": measure_reading,
    "epoch": measure_epoch,
    "prediction": measure_prediction,
}


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
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            __spec__.name,
            "--measure",
            name,
            "--train",
            "train.csv",
        ],
        stdout=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    if result.returncode:
        sys.exit(result.returncode)
    return json.loads(result.stdout.splitlines()[-1])


def main():
    options = build_parser().parse_args()
    if options.measure:
        measured = MEASURES[options.measure](options.train)
        # In KiB on Linux.
        measured["bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(measured))
        return
    rows = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            repeat_faces(options.train, size, Path(folder) / "train.csv")
            for name in MEASURES:
                found = run_measurement(name, folder)
                seconds, cores = found["seconds"], found["core_seconds"]
                rows.append([name, f"{size:,}", f"{seconds:.1f}", f"{cores:.1f}"])
                rows[-1].append(f"{cores / size * 1e6:.0f}")
                rows[-1].append(f"{found['bytes'] / 2**30:.2f}")
                print(*rows[-1], sep="  ", flush=True)
    header = ["what", "faces", "seconds", "of all cores", "µs a face", "GiB"]
    print("", *format_table(header, rows), sep="\n")


if __name__ == "__main__":
    command.run(main)
