"""Which emotions a model takes for which: checkpoint and faces to a confusion matrix.

    python plot_confusion_matrix.py checkpoints/cnn.keras
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

import matplotlib.pyplot as plt
import numpy as np
from sklearn import metrics

from fer import checkpoints, command, data, figures, flags

# Rarer confusions are not put into words.
NOTABLE_SHARE = 0.1


def build_parser():
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="checkpoints; several are averaged, the first is drawn beside them",
    )
    flags.add_train_flag(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="the figure (default: plots/<first model>_confusion_matrix.png)",
    )
    return parser


def compute_confusion(labels, probabilities):
    """Count, for every true emotion (row), the faces given each emotion (column).

    Args:
        labels: int (n,) in 0..6.
        probabilities: float (n, 7).

    Returns:
        int (7, 7), also where an emotion has no faces.
    """
    return metrics.confusion_matrix(
        labels, probabilities.argmax(axis=1), labels=range(len(data.EMOTIONS))
    )


def normalize_rows(counts):
    """The shares of every true emotion, float (7, 7); NaN where it has no faces."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(
        counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0
    )


def describe_scores(labels, probabilities):
    """Precision, recall and F1 per emotion as a table; nan where nothing is known."""
    return metrics.classification_report(
        labels,
        probabilities.argmax(axis=1),
        labels=range(len(data.EMOTIONS)),
        target_names=data.EMOTIONS,
        digits=3,
        zero_division=np.nan,
    )


def describe_confusions(counts):
    """The confusions above `NOTABLE_SHARE` in words, the most frequent first."""
    shares = np.nan_to_num(normalize_rows(counts))
    np.fill_diagonal(shares, 0)
    pairs = np.argwhere(shares > NOTABLE_SHARE)
    order = np.argsort([-shares[true, given] for true, given in pairs], kind="stable")
    return [
        f"{data.EMOTIONS[true]} is taken for {data.EMOTIONS[given]} "
        f"{100 * shares[true, given]:.0f} %"
        for true, given in pairs[order]
    ]


def plot_confusions(confusions, title, path):
    """Draw confusion matrices side by side, shares of the row with counts below.

    Args:
        confusions: dict from the title of a panel to int (7, 7).
        title: of the figure.
        path: of the picture.
    """
    figure, panels = plt.subplots(
        1,
        len(confusions),
        figsize=(5.2 * len(confusions) + 0.8, 5.4),
        layout="constrained",
        squeeze=False,
    )
    for panel, (name, counts) in zip(panels[0], confusions.items(), strict=True):
        display = metrics.ConfusionMatrixDisplay(
            normalize_rows(counts), display_labels=data.EMOTIONS
        ).plot(
            ax=panel,
            cmap="Blues",
            colorbar=False,
            im_kw={"vmin": 0, "vmax": 1},
            text_kw={"fontsize": 8},
        )
        for text, share, count in zip(
            display.text_.flat, display.confusion_matrix.flat, counts.flat, strict=True
        ):
            text.set_color("white" if share > 0.6 else "black")
            text.set_text("–" if np.isnan(share) else f"{100 * share:.0f} %\n{count:,}")
        panel.set(title=name, xlabel="emotion given by the model", ylabel="")
        plt.setp(
            panel.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor"
        )
    panels[0, 0].set_ylabel("true emotion")
    figure.colorbar(
        display.im_, ax=panels, label="share of the true emotion", shrink=0.8
    )
    figure.suptitle(title)
    figures.save_figure(figure, path)


def main():
    options = build_parser().parse_args()
    path = figures.choose_path(options.output, options.models[0], "confusion_matrix")
    models = [checkpoints.load_checkpoint(model) for model in options.models]
    images, labels = data.load_training_faces(options.train)
    rows, reason = checkpoints.find_held_out_rows(options.models, images, labels)
    if reason:
        print(f"warning: {reason}: {figures.ALL_FACES}", file=sys.stderr)
    labels = labels[rows]

    probabilities = [checkpoints.predict(model, images[rows]) for model in models]
    predictions = {Path(options.models[0]).stem: probabilities[0]}
    if len(models) > 1:
        predictions[f"average of {len(models)} models"] = np.mean(probabilities, axis=0)
    confusions = {}
    for name, given in predictions.items():
        counts = compute_confusion(labels, given)
        accuracy = np.trace(counts) / counts.sum()
        confusions[f"{name}: accuracy {accuracy:.3f}"] = counts
        print(f"{name}, {len(rows):,} faces\n{describe_scores(labels, given)}")
        print("\n".join(describe_confusions(counts)), end="\n\n")
    kind = "faces, also those trained on" if reason else "validation faces"
    plot_confusions(confusions, f"{len(rows):,} {kind}", path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
