"""Figures: finished arrays and a path in, a PNG out; nothing here knows Keras."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import pandas as pd  # noqa: E402

from fer.command import InputError  # noqa: E402
from fer.files import replacing  # noqa: E402

TRAINING_COLOR = "tab:blue"
VALIDATION_COLOR = "tab:red"
# 150 dots per inch stay sharp in print at the figures' sizes of 5 to 10 inches.
DPI = 150
# What a figure counts where no face is known to be new to the model.
ALL_FACES = "all faces, also those trained on"
SUFFIXES = (".png", ".pdf", ".svg")


def choose_path(output, checkpoint, figure):
    """Where a figure of a checkpoint goes.

    Args:
        output: what --output says, or None for plots/<checkpoint's name>_<figure>.png.
        checkpoint: path of the model.
        figure: what the figure is called.

    Raises:
        InputError: matplotlib cannot write files of that kind.
    """
    return check_path(output or f"plots/{Path(checkpoint).stem}_{figure}.png")


def check_path(path):
    """The path of a figure, if it is one that matplotlib can write; else InputError."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: expected a figure named {', '.join(SUFFIXES)}, found "
            f"{path.suffix or 'no suffix'}; choose another --output"
        )
    return path


def save_figure(figure, path):
    """Write a figure, or leave the old file as it is, and free its memory."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DPI)
    plt.close(figure)


def plot_history(history, title, path):
    """Draw loss and accuracy of one run over its epochs.

    Args:
        history: data frame with the columns epoch, accuracy, loss and, where there
            was a validation part, val_accuracy and val_loss.
        title: of the figure.
        path: of the PNG.
    """
    has_validation = history["val_accuracy"].notna().any()
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for panel, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        # Markers keep short runs visible; the line styles tell the two apart in grey.
        style = {"marker": "o", "markersize": 3}
        panel.plot(
            history["epoch"],
            history[quantity],
            color=TRAINING_COLOR,
            label="training (augmented faces)",
            **style,
        )
        if has_validation:
            panel.plot(
                history["epoch"],
                history[f"val_{quantity}"],
                color=VALIDATION_COLOR,
                linestyle="--",
                label="validation",
                **style,
            )
            best = history.loc[history["val_accuracy"].idxmax()]
            panel.axvline(best["epoch"], color="0.6", linewidth=1, linestyle=":")
            panel.annotate(
                f"best epoch {best['epoch']:.0f}\n{best[f'val_{quantity}']:.3f}",
                (best["epoch"], best[f"val_{quantity}"]),
                xytext=(-8, -55 if quantity == "accuracy" else 25),
                textcoords="offset points",
                horizontalalignment="right",
            )
        panel.set_xlabel("epoch")
        panel.set_ylabel(quantity)
        panel.grid(alpha=0.3)
        panel.legend()
    figure.suptitle(title)
    save_figure(figure, path)


def plot_band(panel, histories, quantity, color, line_style, label):
    """Draw the mean over seeds, and the range of the seeds as a band."""
    seeds = pd.concat(histories).groupby("epoch")[quantity]
    means = seeds.mean()
    # Markers keep short runs visible.
    style = {"color": color, "linestyle": line_style, "marker": "o", "markersize": 2}
    panel.plot(means.index, means, label=label, **style)
    panel.fill_between(means.index, seeds.min(), seeds.max(), color=color, alpha=0.15)
