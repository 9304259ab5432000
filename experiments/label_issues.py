"""List the faces whose label networks contradict that did not see them.

    python -m experiments.label_issues checkpoints/ensemble_answers.npz
    python -m experiments.label_issues pretrained/starts/*.keras

Each checkpoint is asked, with --tta, about the faces that it held out; where several
did, their answers are averaged. A face is listed where its label is not what they think
likeliest, and they give another emotion at least the probability that they give it, on
average, where it is the label (confident learning, Northcutt et al. 2021, arXiv
1911.00068, by cleanlab). Prints how many of each emotion, and writes their rows,
counted from 0 in --train, the surest first, with the emotion that was answered and its
probability. `train_ensemble.py --folds` has already asked about every face. Training
keeps all of them, for the test has such labels too. Needs cleanlab, which
requirements-test.txt names.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from fer import command, data, sources
from fer.answers import predict_held_out
from fer.faces import EMOTIONS
from fer.files import replacing
from fer.tables import format_table


def build_parser():
    parser = command.new_parser(__doc__)
    sources.add_train_flags(parser)
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        type=Path,
        help="checkpoints, or NAME_answers.npz of train_ensemble.py --folds",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default="label_issues.csv",
        metavar="CSV",
        help="the rows (default: %(default)s)",
    )
    return parser


def load_cleanlab():
    """cleanlab's filters; InputError where it is not installed."""
    try:
        from cleanlab import filter as filters
    except ImportError as error:
        raise command.InputError(
            f"expected the package cleanlab, found none ({error}); install it by pip "
            "install -r requirements-test.txt"
        ) from error
    return filters


def find_issues(answers, labels):
    """The faces whose label is contradicted, the surest contradiction first.

    Args:
        answers: float (n, 7), probabilities; NaN for faces without an answer.
        labels: int (n,).

    Returns:
        A data frame with row, label, answer and the answer's probability.
    """
    filters = load_cleanlab()
    rows = np.flatnonzero(~np.isnan(answers[:, 0]))
    known, given = answers[rows], labels[rows]
    found = filters.find_label_issues(
        given,
        known / known.sum(axis=1, keepdims=True),
        filter_by="confident_learning",
        return_indices_ranked_by="normalized_margin",
    )
    return pd.DataFrame(
        {
            "row": rows[found],
            "label": np.array(EMOTIONS)[given[found]],
            "answer": np.array(EMOTIONS)[known[found].argmax(axis=1)],
            "probability": known[found].max(axis=1).round(3),
        }
    )


def count_issues(issues, labels):
    """Yield a line for each emotion: faces asked about, contradicted, mostly as what.

    Args:
        issues: of `find_issues`.
        labels: int (n,) of the faces that were asked about.
    """
    for number, emotion in enumerate(EMOTIONS):
        asked, listed = (labels == number).sum(), issues[issues["label"] == emotion]
        answers = listed["answer"].value_counts().head(2)
        yield (
            emotion,
            f"{asked:,}",
            f"{len(listed):,}",
            f"{100 * len(listed) / asked:.0f} %" if asked else "",
            ", ".join(f"{count} {name}" for name, count in answers.items()),
        )


def main(arguments=None):
    options = build_parser().parse_args(arguments)
    # Before the networks are asked, which takes minutes.
    load_cleanlab()
    images, labels = data.load_training_faces(options.train, options.ignore)
    answers = predict_held_out(options.models, images, labels)
    issues = find_issues(answers, labels)
    asked = labels[~np.isnan(answers[:, 0])]
    header = ("label", "faces", "contradicted", "share", "most often by")
    print(*format_table(header, list(count_issues(issues, asked))), sep="\n")
    print(f"{len(issues):,} of {len(asked):,} faces")
    with replacing(options.output) as temporary:
        issues.to_csv(temporary, index=False)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    command.run(main)
