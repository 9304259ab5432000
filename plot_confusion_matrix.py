"""Which emotions a model takes for which: checkpoint and faces to a confusion matrix.

    python plot_confusion_matrix.py       # checkpoints/cnn.keras, else the shipped one
    python plot_confusion_matrix.py one.keras two.keras three.keras

Several models are averaged, and the average is drawn beside the first of them. The
faces are those of --train that every model held out of its training, as the record
beside each checkpoint says; without such a record all faces are taken, with a warning
on the terminal and in the figure. Precision, recall and F1 of every emotion and the
frequent confusions in words are printed. Two models of the default network and the
2,875 validation faces of FER2013 take 8 s of processor time (two cores with
AVX512_BF16), once TensorFlow has started.
"""

import sys
from pathlib import Path

import numpy as np

from fer import checkpoints, command, data, figures, flags, measures, paths


def build_parser():
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="checkpoints; several are averaged, the first is drawn beside them "
        f"{paths.DEFAULT_MODELS_HELP}",
    )
    flags.add_train_flag(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="the figure (default: plots/<first model>_confusion_matrix.png)",
    )
    return parser


def main(arguments=None):
    options = build_parser().parse_args(arguments)
    members = options.models or [paths.find_default_model()]
    path = figures.choose_path(options.output, members[0], "confusion_matrix")
    models = [checkpoints.load_checkpoint(member) for member in members]
    images, labels = data.load_training_faces(options.train)
    rows, reason = checkpoints.find_held_out_rows(members, images, labels)
    if reason:
        print(f"warning: {reason}: {figures.ALL_FACES}", file=sys.stderr)
    labels = labels[rows]

    probabilities = [checkpoints.predict(model, images[rows]) for model in models]
    predictions = {Path(members[0]).stem: probabilities[0]}
    if len(models) > 1:
        predictions[f"average of {len(models)} models"] = np.mean(probabilities, axis=0)
    confusions = {}
    for name, given in predictions.items():
        counts = measures.compute_confusion(labels, given)
        accuracy = checkpoints.compute_accuracy(given, labels)
        confusions[f"{name}: accuracy {accuracy:.3f}"] = counts
        print(f"{name}, {len(rows):,} faces\n{measures.describe_scores(labels, given)}")
        print("\n".join(measures.describe_confusions(counts)), end="\n\n")
    kind = "faces, also those trained on" if reason else "validation faces"
    figures.plot_confusions(confusions, f"{len(rows):,} {kind}", path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
