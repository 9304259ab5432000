"""Compare networks face by face: accuracy and cross-entropy, differences with errors.

    python -m experiments.compare_networks pretrained/starts/cnn_start.keras \\
        pretrained/twins/cnn_twin.keras

Each argument is a checkpoint, or several joined by "+", whose answers are averaged. All
are asked about the faces that all of them held out, once in float32 and once with the
views of `predict.py --tta`, and each is compared with those before it. As all see the
same faces, a difference is far less noisy than the accuracies it is made of.

- The cross-entropy is that with the views, after temperature scaling (Guo et al. 2017):
  every probability to the power that is best on these faces, and the sum 1.
- Known are faces that all were trained on, with the views. A twelfth of the test faces
  are copies of training faces, so that the net accuracy counts these for 8 %.

Two minutes a network on two AVX512_BF16 cores.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import optimize

from fer import checkpoints, command, data, measures, prediction, sources, tables
from fer.progress import Progress

KNOWN_FACES = 1500
# Of the test faces: 280 of the 3,589 public ones.
KNOWN_SHARE = 0.08
# Powers of the probabilities among which the best is looked for.
POWERS = (0.2, 5)


class Score(NamedTuple):
    """How good answers are, face by face where a difference is asked for.

    Attributes:
        is_right, is_right_tta: bool (n,), of held-out faces, without and with views.
        losses: float (n,), the cross-entropy of each of these, with views.
        error: the expected calibration error, without views.
        known: the accuracy on known faces, with views.
    """

    is_right: np.ndarray
    is_right_tta: np.ndarray
    losses: np.ndarray
    error: float
    known: float

    @property
    def net(self):
        """The accuracy that is to be expected where some faces are known."""
        return (1 - KNOWN_SHARE) * self.is_right_tta.mean() + KNOWN_SHARE * self.known


def build_parser():
    parser = command.new_parser(__doc__)
    sources.add_train_flags(parser)
    parser.add_argument(
        "networks",
        nargs="+",
        metavar="MODEL[+MODEL]",
        type=read_members,
        help="a checkpoint, or several to average",
    )
    parser.add_argument(
        "--known",
        type=command.positive_integer,
        default=KNOWN_FACES,
        metavar="NUMBER",
        help="training faces that are asked about (default: %(default)s)",
    )
    return parser


def read_members(text):
    """An argparse type: the paths of the checkpoints of one network or average."""
    members = (text,) if Path(text).exists() else tuple(text.split("+"))
    for path in members:
        if not Path(path).is_file():
            raise argparse.ArgumentTypeError(f"expected a checkpoint, found {path!r}")
    return members


def choose_known(held_out, count, number):
    """Of faces 0..count - 1 some that no network held out, the same every time.

    Args:
        held_out: for each network an array of the rows that it held out.
    """
    others = np.setdiff1d(np.arange(count), np.concatenate(held_out))
    return np.random.default_rng(0).choice(others, min(number, len(others)), False)


def compute_losses(probabilities, labels):
    """The cross-entropy of each face, (n,), after temperature scaling on all of them.

    Args:
        probabilities: float (n, 7).
        labels: int (n,).
    """
    logs = np.log(probabilities.astype("float64").clip(min=1e-12))

    def compute(power):
        scaled = power * logs
        return (
            np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(labels)), labels]
        )

    best = optimize.minimize_scalar(
        lambda power: compute(power).mean(), bounds=POWERS, method="bounded"
    )
    return compute(best.x)


def score(plain, tta, known, labels, known_labels):
    """The Score of answers: without views, with them, and about known faces."""
    return Score(
        plain.argmax(axis=1) == labels,
        tta.argmax(axis=1) == labels,
        compute_losses(tta, labels),
        measures.compute_calibration(plain, labels).error,
        measures.compute_accuracy(known, known_labels),
    )


def score_all(networks, models, images, labels, rows, known):
    """The Score of every network.

    Args:
        networks: tuples of keys of `models`, whose answers are averaged.
        models: dict of loaded checkpoints.
        images, labels: as fer.data.load_training_faces returns them.
        rows: int (n,), the faces that all of them held out.
        known: int (m,), faces that all of them were trained on.
    """
    paths, models = list(models), list(models.values())
    asked = np.concatenate([rows, known])
    plain = prediction.predict_all(models, images[rows])
    advance = Progress("views", prediction.NUM_VIEWS * len(asked)).advance
    tta = prediction.predict_all(models, images[asked], tta=True, advance=advance)
    scores = []
    for members in networks:
        chosen = [paths.index(path) for path in members]
        averaged = tta[chosen].mean(axis=0)
        scores.append(
            score(
                plain[chosen].mean(axis=0),
                averaged[: len(rows)],
                averaged[len(rows) :],
                labels[rows],
                labels[known],
            )
        )
    return scores


def describe(one):
    """The cells of a row: how good a Score is."""
    return [
        f"{one.is_right.mean():.4f}",
        f"{one.is_right_tta.mean():.4f}",
        f"{one.losses.mean():.4f}",
        f"{one.error:.3f}",
        f"{one.known:.3f}",
        f"{one.net:.4f}",
    ]


def describe_difference(one, other):
    """The cells of a row: how a Score differs from another, ± standard error."""

    def pair(values, others, factor, digits):
        gain, error = measures.compute_paired_difference(values, others)
        return f"{factor * gain:+.{digits}f} ± {factor * error:.{digits}f}"

    return [
        pair(one.is_right, other.is_right, 100, 1),
        pair(one.is_right_tta, other.is_right_tta, 100, 1),
        pair(one.losses, other.losses, 1, 4),
    ]


def main():
    options = build_parser().parse_args()
    paths = list(dict.fromkeys(sum(options.networks, ())))
    models = {path: checkpoints.load_checkpoint(path) for path in paths}
    images, labels = data.load_training_faces(options.train, options.ignore)
    rows = checkpoints.require_held_out_rows(paths, images, labels)
    held_out = [checkpoints.load_record(path)["validation_rows"] for path in paths]
    known = choose_known(held_out, len(images), options.known)
    print(f"{len(rows):,} faces that all held out, {len(known):,} known ones")
    scores = score_all(options.networks, models, images, labels, rows, known)

    stems = {path: Path(path).stem for path in paths}
    if len(set(stems.values())) < len(paths):
        stems = {path: path for path in paths}
    names = [" + ".join(stems[path] for path in one) for one in options.networks]
    header = ["", "one look", "--tta", "cross-entropy", "calibration", "known", "net"]
    lines = [[name, *describe(one)] for name, one in zip(names, scores, strict=True)]
    print("", *tables.format_table(header, lines), sep="\n")
    if len(scores) > 1:
        header = ["", "against", "one look, points", "--tta, points", header[3]]
        lines = [
            [names[i], names[j], *describe_difference(scores[i], scores[j])]
            for i in range(len(scores))
            for j in range(i)
        ]
        print("", *tables.format_table(header, lines), sep="\n")


if __name__ == "__main__":
    command.run(main)
