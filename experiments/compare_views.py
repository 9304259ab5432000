"""Measure which views of a face test-time augmentation gains from.

    python -m experiments.compare_views checkpoints/cnn.keras checkpoints/quick.keras

Prints, for every checkpoint, the accuracy on its validation faces and, in brackets,
their cross-entropy after temperature scaling (Guo et al. 2017, arXiv 1706.04599), when
the probabilities of some views are averaged: of the first of those of `predict.py
--tta`, which shift, turn, zoom and shear a face at once, or of as many views that
change one of these at a time. Three minutes a checkpoint on two cores.
"""

import itertools
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from fer import checkpoints, command, evaluation, sources

# Views of `predict.py --tta`, each with its mirror image.
COUNTS = (2, 6, 14, checkpoints.NUM_VIEWS)
# What `--tta` did to a face until November 2026, in pixels, degrees and factors.
ONE_CHANGE = (
    {},
    *({axis: shift} for axis in ("tx", "ty") for shift in (-2, 2)),
    *({"theta": angle} for angle in (-10, -5, 5, 10)),
    *({"zx": zoom, "zy": zoom} for zoom in (0.85, 0.92, 1.08, 1.15)),
)
SELECTIONS = (
    "as it is",
    *(f"{count} views" for count in COUNTS),
    f"{2 * len(ONE_CHANGE)} views of one change",
)


def build_parser():
    parser = command.new_parser(__doc__)
    sources.add_train_flags(parser)
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", type=Path, help="checkpoints"
    )
    return parser


def compute_averages(model, images):
    """Yield the average answer about each of `SELECTIONS`, float32 (n, 7).

    Args:
        model: a loaded checkpoint.
        images: uint8 (n, 48, 48, 1), none of which it was trained on.
    """
    views = checkpoints.make_views(images)
    sums = itertools.accumulate(checkpoints.predict(model, view) for view in views)
    for count, total in enumerate(sums, start=1):
        if count in (1, *COUNTS):
            yield total / count
    views = checkpoints.make_views(images, ONE_CHANGE)
    yield np.mean([checkpoints.predict(model, view) for view in views], axis=0)


def compute_cross_entropy(probabilities, labels):
    """Mean cross-entropy after temperature scaling, which is fitted to these answers.

    Args:
        probabilities: float (n, 7).
        labels: int (n,).
    """
    logits = np.log(np.maximum(probabilities, 1e-9))

    def compute_loss(temperature):
        scaled = logits / temperature
        shares = np.log(np.exp(scaled).sum(axis=1))
        return (shares - scaled[np.arange(len(labels)), labels]).mean()

    return minimize_scalar(compute_loss, bounds=(0.2, 5), method="bounded").fun


def main():
    options = build_parser().parse_args()
    faces = evaluation.load_held_out(options, options.models)
    print(f"| checkpoint | {' | '.join(SELECTIONS)} |")
    print("|---" + "|--:" * len(SELECTIONS) + "|")
    for path, (_, images, labels, rows, _) in zip(options.models, faces, strict=True):
        model, labels = checkpoints.load_checkpoint(path), labels[rows]
        texts = []
        for average in compute_averages(model, images[rows]):
            accuracy = checkpoints.compute_accuracy(average, labels)
            entropy = compute_cross_entropy(average, labels)
            texts.append(f"{accuracy:.4f} ({entropy:.4f})")
        print(f"| {path.stem} | {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    command.run(main)
