"""Which emotions a model takes for which: checkpoint and faces to a confusion matrix.

    python plot_confusion_matrix.py       # checkpoints/cnn.keras, else the shipped one
    python plot_confusion_matrix.py one.keras two.keras three.keras

Several models are averaged, and the average is drawn beside the first of them. The
faces are those of --train that every model held out of its training, as the record
beside each checkpoint says, or those of --test. Without such a record all faces are
taken, with a warning on the terminal and in the figure. In the place of a model that
was trained on every face of --train stands the twin that its record names; on those of
--test it is measured itself. Precision, recall and F1 of every emotion, the frequent
confusions in words and the expected calibration error are printed; --calibration also
draws how far the probabilities can be believed.
"""

from pathlib import Path

import numpy as np

from fer import checkpoints, command, evaluation, figures, measures, paths, prediction


def build_parser():
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="checkpoints; several are averaged, the first is drawn beside them "
        f"{paths.DEFAULT_MODELS_HELP}",
    )
    evaluation.add_flags(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="the figure (default: plots/<first model>_confusion_matrix.png)",
    )
    parser.add_argument(
        "--calibration",
        action="store_true",
        help="also draw plots/<first model>_calibration.png: the share of right "
        "answers against their probability",
    )
    return parser


def main(arguments=None):
    options = build_parser().parse_args(arguments)
    members = options.models or [paths.find_default_model()]
    path = figures.choose_path(options.output, members[0], "confusion_matrix")
    calibration_path = figures.choose_path(None, members[0], "calibration")
    faces, members = evaluation.load(options, members)
    models = [checkpoints.load_checkpoint(member) for member in members]
    images, labels = faces.images[faces.rows], faces.labels[faces.rows]

    probabilities = [prediction.predict(model, images) for model in models]
    predictions = {Path(members[0]).stem: probabilities[0]}
    if len(models) > 1:
        predictions[f"average of {len(models)} models"] = np.mean(probabilities, axis=0)
    confusions = {}
    for name, given in predictions.items():
        counts = confusions[name] = measures.compute_confusion(labels, given)
        calibration = measures.compute_calibration(given, labels)
        print(f"{name}, {len(labels):,} faces")
        print(measures.describe_scores(labels, given))
        print(*measures.describe_confusions(counts), sep="\n")
        print(f"expected calibration error {calibration.error:.3f}\n")
    confusions = measures.title_confusions(confusions)
    figures.plot_confusions(confusions, f"{len(labels):,} {faces.kind}", path)
    print(f"wrote {path}")
    if options.calibration:
        # Of the last one, which is the average where there are several.
        title = f"{name}: {len(labels):,} {faces.kind}"
        figures.plot_calibration(calibration, title, calibration_path)
        print(f"wrote {calibration_path}")


if __name__ == "__main__":
    command.run(main)
