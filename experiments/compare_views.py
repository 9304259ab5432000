"""Measure which views of a face test-time augmentation gains from.

    python -m experiments.compare_views checkpoints/cnn.keras checkpoints/quick.keras

Prints, for every checkpoint, the accuracy on its validation faces when the
probabilities of some of the 26 views of `predict.py --tta` are averaged. A minute a
checkpoint on two cores.
"""

from pathlib import Path

import numpy as np

from fer import checkpoints, command, evaluation, measures, prediction, sources, tables

# Which of fer.prediction.VIEWS are averaged, by what they change, each also mirrored.
SELECTIONS = {
    "and mirrored": (),
    "and shifted": ("tx", "ty"),
    "and turned": ("theta",),
    "and zoomed": ("zx",),
    "all": ("tx", "ty", "theta", "zx"),
}


def build_parser():
    parser = command.new_parser(__doc__)
    sources.add_train_flags(parser)
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", type=Path, help="checkpoints"
    )
    return parser


def compute_accuracies(model, images, labels):
    """Accuracy by the name of the views that are averaged.

    Args:
        model: a loaded checkpoint.
        images: uint8 (n, 48, 48, 1), none of which it was trained on.
        labels: int (n,).
    """
    views = prediction.make_views(images)
    probabilities = np.array([prediction.predict(model, view) for view in views])
    # Every view is followed by its mirror image.
    pairs = probabilities.reshape(len(prediction.VIEWS), 2, *probabilities.shape[1:])
    chosen = {"as it is": probabilities[:1]}
    for name, changes in SELECTIONS.items():
        kept = [not view or bool(set(changes) & set(view)) for view in prediction.VIEWS]
        chosen[name] = np.concatenate(pairs[kept])
    return {
        name: measures.compute_accuracy(of_views.mean(axis=0), labels)
        for name, of_views in chosen.items()
    }


def main():
    options = build_parser().parse_args()
    faces = evaluation.load_held_out(options, options.models)
    lines = []
    for path, found in zip(options.models, faces, strict=True):
        model = checkpoints.load_checkpoint(path)
        images, labels = found.images[found.rows], found.labels[found.rows]
        accuracies = compute_accuracies(model, images, labels)
        lines.append([path.stem, *(f"{share:.4f}" for share in accuracies.values())])
    header = ["checkpoint", "as it is", *SELECTIONS]
    print("", *tables.format_table(header, lines), sep="\n")


if __name__ == "__main__":
    command.run(main)
