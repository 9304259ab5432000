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
        type=Path,
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
    named = paths.choose_models(options.models)
    path = figures.choose_path(options.output, named[0], "confusion_matrix")
    calibration_path = figures.choose_path(None, named[0], "calibration")
    faces, measured = evaluation.load(options, named)
    models = [checkpoints.load_checkpoint(checkpoint) for checkpoint in measured]
    images, labels = faces.images[faces.rows], faces.labels[faces.rows]

    probabilities = [prediction.predict(model, images) for model in models]
    predictions = {Path(measured[0]).stem: probabilities[0]}
    if len(models) > 1:
        predictions[f"average of {len(models)} models"] = np.mean(probabilities, axis=0)
    confusions, calibrations = {}, {}
    for name, given in predictions.items():
        confusions[name] = measures.compute_confusion(given, labels)
        calibrations[name] = measures.compute_calibration(given, labels)
        print(f"{name}, {len(labels):,} faces")
        print(measures.describe_scores(given, labels))
        print(*measures.describe_confusions(confusions[name]), sep="\n")
        print(f"expected calibration error {calibrations[name].error:.3f}\n")
    confusions = measures.title_confusions(confusions)
    figures.plot_confusions(confusions, f"{len(labels):,} {faces.kind}", path)
    print(f"wrote {path}")
    if options.calibration:
        # The last one is the average where there are several.
        name, calibration = list(calibrations.items())[-1]
        title = f"{name}: {len(labels):,} {faces.kind}"
        figures.plot_calibration(calibration, title, calibration_path)
        print(f"wrote {calibration_path}")


if __name__ == "__main__":
    command.run(main)
