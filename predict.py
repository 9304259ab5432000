"""Turn checkpoints and test faces into a Kaggle submission (id,label).

Averages the probabilities of the named checkpoints, with --tta also over 26 views of
every face: as it is, shifted, turned and zoomed a little, and all that mirrored. The
7,178 test faces of the contest take about 10 s on two cores with the default network,
two minutes with --tta.

    python predict.py                       # checkpoints/cnn.keras, else a shipped one
    python predict.py pretrained/*.keras --tta --labels public_labels.csv
"""

from pathlib import Path

import numpy as np
import pandas as pd

from fer import checkpoints, command, data
from fer.command import InputError
from fer.files import replacing

DEFAULT_MODELS = (Path("checkpoints/cnn.keras"), Path("pretrained/cnn.keras"))


def build_parser():
    parser = command.new_parser(__doc__)
    add = parser.add_argument
    add(
        "models",
        nargs="*",
        metavar="MODEL",
        type=Path,
        help="checkpoints to average (default: "
        f"{DEFAULT_MODELS[0]} if it exists, else {DEFAULT_MODELS[1]})",
    )
    add(
        "--test",
        default="data/test.csv",
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
        metavar="CSV",
        help="known labels of some or all test faces (id,label), for the accuracy",
    )
    add(
        "--probabilities",
        metavar="CSV",
        help="also write the probability of each emotion",
    )
    return parser


def choose_models(models):
    """The checkpoints named, or the default one."""
    if models:
        return models
    for model in DEFAULT_MODELS:
        if model.exists():
            return [model]
    raise InputError(
        f"no MODEL named, and neither {DEFAULT_MODELS[0]} nor {DEFAULT_MODELS[1]} "
        "exists; train one with train_cnn.py"
    )


def load_labels(path, ids):
    """Known labels of the test faces: int (n,), -1 where the file names none.

    Raises:
        InputError: the columns are not id,label, an id stands there twice or not in the
            test file, or a label is none of 0 to 6.
    """
    try:
        # As a row like the others: under two names pandas takes three fields for an
        # index and two columns.
        table = pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
    except ValueError as error:
        raise InputError(
            f"{path}: expected a CSV file with the columns id,label, found none "
            f"({str(error).strip()}); fix the file"
        ) from error
    header, table = list(table.iloc[0]), table.iloc[1:]
    if header != ["id", "label"]:
        raise InputError(
            f"{path}: expected the header id,label, found {','.join(header)}; fix the "
            "first line"
        )
    data.check_unique(path, table[0])
    rows = {identity: row for row, identity in enumerate(ids)}
    labels = np.full(len(ids), -1)
    for number, (identity, label) in enumerate(table.itertuples(index=False), start=1):
        where = f"{path}, row {number} (line {number + 1})"
        if identity not in rows:
            raise InputError(
                f"{where}: expected an id of the test file, found {identity!r}; "
                "give the labels that belong to --test"
            )
        labels[rows[identity]] = data.parse_label(where, label.encode())
    return labels


def print_counts(predictions):
    """Say how many faces got which emotion."""
    counts = np.bincount(predictions, minlength=len(data.EMOTIONS))
    for emotion, count in zip(data.EMOTIONS, counts, strict=True):
        print(f"{emotion:8} {count:6,} {count / len(predictions):6.1%}")


def print_accuracy(predictions, labels, usages):
    """Say how many of the known labels were met, for each part of the file."""
    known = labels >= 0
    parts = {"known labels": known}
    if usages is not None:
        parts = {
            usage: known & (np.array(usages) == usage) for usage in sorted(set(usages))
        }
    for part, rows in parts.items():
        if rows.any():
            accuracy = (predictions[rows] == labels[rows]).mean()
            print(f"accuracy {accuracy:.5f} on {rows.sum():,} faces ({part})")


def main():
    options = build_parser().parse_args()
    faces = data.load_test_faces(options.test)
    labels = faces.labels
    if options.labels:
        labels = load_labels(options.labels, faces.ids)
    paths = choose_models(options.models)
    models = [checkpoints.load_checkpoint(path) for path in paths]

    members = []
    for path, model in zip(paths, models, strict=True):
        print(f"predicting {len(faces.images):,} faces with {path}", flush=True)
        members.append(checkpoints.predict(model, faces.images, options.tta))
    probabilities = np.mean(members, axis=0)
    predictions = probabilities.argmax(axis=1)

    table = pd.DataFrame({"id": faces.ids, "label": predictions})
    with replacing(options.output) as temporary:
        table.to_csv(temporary, index=False)
    if options.probabilities:
        table = pd.DataFrame(probabilities, columns=list(data.EMOTIONS))
        table.insert(0, "id", faces.ids)
        with replacing(options.probabilities) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6f")
        print(f"wrote {options.probabilities}")
    print_counts(predictions)
    if labels is not None:
        print_accuracy(predictions, labels, faces.usages)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    command.run(main)
