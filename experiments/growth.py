"""Measure how time and memory grow with the number of faces.

    python -m experiments.growth                          # 28,709 to 287,090 faces

Repeats the faces of --train as often as it takes, then reads them, trains the second
of two epochs on them and predicts them, each in a process of its own. The larger files
have 2.4 GB and lie in a temporary folder, which TMPDIR moves.

Prints for each of the three the seconds on the clock, those of all processors together
(which other programs disturb less), microseconds of those a face, and the peak of
resident memory, as a table in Markdown.
"""

import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import train_cnn
from fer import checkpoints, command, data, flags
from fer.tables import format_table
from networks import NETWORKS

SIZES = (28_709, 100_000, 287_090)
EPOCHS = 2


def build_parser():
    parser = command.new_parser(__doc__)
    flags.add_train_flag(parser)
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=command.positive_integer,
        default=SIZES,
        metavar="FACES",
        help=f"how many faces (default: {' '.join(map(str, SIZES))})",
    )
    parser.add_argument(
        "--network",
        default="small",
        choices=NETWORKS,
        help="a file of networks/ (default: %(default)s)",
    )
    # Set by this script for the measurements that it runs.
    parser.add_argument("--measure", choices=MEASURES, help="one of them, in a process")
    return parser


def measure_reading(options):
    """Read the faces and hold some out."""
    clock = Clock()
    data.load_split(options.train, 0.1)
    return clock.read()


def measure_epoch(options):
    """Train two epochs, the first of which also builds the graph; half of both."""
    arguments = ["--train", str(options.train), "--network", options.network]
    arguments += ["--epochs", str(EPOCHS), "--name", f"growth_{os.getpid()}"]
    measured = {}

    def fit(*whole):
        clock = Clock()
        train_cnn.fit_epochs(*whole)
        measured.update({key: value / EPOCHS for key, value in clock.read().items()})

    train_cnn.train(*train_cnn.read_flags(arguments), fit)
    return measured


def measure_prediction(options):
    """Predict faces that were read, the building of the graph included."""
    images, _ = data.load_training_faces(options.train)
    model = NETWORKS[options.network].build_cnn()
    clock = Clock()
    checkpoints.predict(model, images)
    return clock.read()


MEASURES = {
    "reading": measure_reading,
    "epoch": measure_epoch,
    "prediction": measure_prediction,
}


class Clock:
    """Seconds since it was made, on the clock and of all processors together."""

    def __init__(self):
        self.start = time.perf_counter(), time.process_time()

    def read(self):
        return {
            "seconds": time.perf_counter() - self.start[0],
            "processor_seconds": time.process_time() - self.start[1],
        }


def repeat_faces(source, size, target):
    """Write a CSV file with so many faces, those of another over and over."""
    with open(source, "rb") as file:
        header, *rows = file.read().splitlines()
    with open(target, "wb") as file:
        for row in itertools.chain(
            [header], itertools.islice(itertools.cycle(rows), size)
        ):
            file.write(row + b"\n")


def run_measurement(name, options, train, folder):
    """Run one measurement in a process of its own; returns its numbers."""
    arguments = ["--measure", name, "--train", train, "--network", options.network]
    result = subprocess.run(
        [sys.executable, "-m", "experiments.growth", *map(str, arguments)],
        stdout=subprocess.PIPE,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
        check=False,
    )
    if result.returncode:
        sys.exit(result.returncode)
    return json.loads(result.stdout.splitlines()[-1])


def main():
    options = build_parser().parse_args()
    options.train = Path(options.train).resolve()
    if options.measure:
        measured = MEASURES[options.measure](options)
        # In KiB on Linux.
        measured["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(measured))
        return
    rows = []
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            train = Path(folder) / "train.csv"
            repeat_faces(options.train, size, train)
            for name in MEASURES:
                found = run_measurement(name, options, train, folder)
                row = [
                    name,
                    f"{size:,}",
                    f"{found['seconds']:.1f}",
                    f"{found['processor_seconds']:.1f}",
                    f"{found['processor_seconds'] / size * 1e6:.0f}",
                    f"{found['memory'] / 2**30:.2f}",
                ]
                print(*row, sep="  ", flush=True)
                rows.append(row)
    header = ["what", "faces", "seconds", "of processors", "us a face", "GiB"]
    print("", *format_table(header, rows), sep="\n")


if __name__ == "__main__":
    command.run(main)
