"""Turn checkpoints and test faces into a Kaggle submission (id,label).

Averages the probabilities of the named checkpoints, with --tta also over 26 views of
every face: as it is, shifted, turned and zoomed a little, and all that mirrored. The
7,178 test faces of the contest take about 10 s on two cores with the default network,
three minutes with --tta. Labelled faces are scored, for each Usage where there is one.

    python predict.py                       # checkpoints/cnn.keras, else a shipped one
    python predict.py pretrained/*.keras --tta --labels labels.csv
"""

import sys
from pathlib import Path

import numpy as np

from fer import command, data, sources
from fer.faces import EMOTIONS, compute_fingerprint
from fer.files import check_outputs, write_table
from fer.paths import DEFAULT_MODELS_HELP, TEST_FACES, choose_models
from fer.progress import Progress


def build_parser():
    parser = command.new_parser(__doc__)
    add = parser.add_argument
    add(
        "models",
        nargs="*",
        metavar="MODEL",
        type=Path,
        help=f"checkpoints to average {DEFAULT_MODELS_HELP}",
    )
    add(
        "--test",
        default=TEST_FACES,
        metavar="PATH",
        help="faces to predict: a CSV file or a folder (default: %(default)s)",
    )
    add(
        "--output",
        default="submission.csv",
        metavar="CSV",
        help="the submission (default: %(default)s)",
    )
    add(
        "--tta",
        action="store_true",
        help="average over 26 views of every face: shifted, turned, zoomed, mirrored",
    )
    add(
        "--labels",
        metavar="PATH",
        help="known labels of some or all test faces, for the accuracy: id,label, or "
        "anything that --test takes",
    )
    add(
        "--probabilities",
        metavar="CSV",
        help="also write the probability of each emotion",
    )
    sources.add_ignore_flag(parser)
    return parser


def predict(paths, images, tta):
    """The average answer of some checkpoints: probabilities, float32 (n, 7)."""
    # Importing Keras takes seconds, in which a mistake in the faces is already said.
    from fer import checkpoints, prediction

    models = [checkpoints.load_checkpoint(path) for path in paths]
    names = ", ".join(map(str, paths))
    print(f"predicting {len(images):,} faces with {names}", flush=True)
    advance = Progress("views of --tta", prediction.NUM_VIEWS * len(images)).advance
    return prediction.predict_all(models, images, tta, advance).mean(axis=0)


def print_counts(predictions):
    """Say how many faces got which emotion."""
    counts = np.bincount(predictions, minlength=len(EMOTIONS))
    for emotion, count in zip(EMOTIONS, counts, strict=True):
        print(f"{emotion:8} {count:6,} {count / len(predictions):6.1%}")


def warn_of_known_faces(paths, faces):
    """Say which checkpoints were trained on the file of these labelled faces."""
    from fer.checkpoints import load_record

    fingerprint = compute_fingerprint(faces.images, faces.labels)
    for path in paths:
        settings = (load_record(path) or {}).get("settings", {})
        if settings.get("faces") == fingerprint:
            print(
                f"warning: {path} was trained on these faces; what it knows of others, "
                "plot_confusion_matrix.py says",
                file=sys.stderr,
            )


def print_accuracy(predictions, faces):
    """Say how many of the known labels were met, for each part of the file."""
    for part, rows in faces.list_labelled().items():
        if rows.any():
            accuracy = (predictions[rows] == faces.labels[rows]).mean()
            print(f"accuracy {accuracy:.5f} on {rows.sum():,} faces ({part})")


def main():
    options = build_parser().parse_args()
    paths = choose_models(options.models)
    outputs = {"--output": options.output, "--probabilities": options.probabilities}
    check_outputs(outputs, [*paths, options.test, options.labels])
    faces = data.load_test_faces(options.test, options.ignore, options.labels)
    probabilities = predict(paths, faces.images, options.tta)
    predictions = probabilities.argmax(axis=1)

    write_table(
        options.output, ["id", "label"], zip(faces.ids, predictions, strict=True)
    )
    if options.probabilities:
        rows = (
            [identity, *(f"{share:.6f}" for share in face)]
            for identity, face in zip(faces.ids, probabilities, strict=True)
        )
        write_table(options.probabilities, ["id", *EMOTIONS], rows)
        print(f"wrote {options.probabilities}")
    print_counts(predictions)
    if faces.labels is not None:
        warn_of_known_faces(paths, faces)
        print_accuracy(predictions, faces)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    command.run(main)
