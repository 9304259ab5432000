"""Figures: finished arrays and a path in, a PNG out; nothing here knows Keras."""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from fer import measures, paths
from fer.command import InputError
from fer.faces import EMOTIONS
from fer.files import replacing

# Pictures are written, never shown: no screen is needed.
matplotlib.use("Agg")

# Okabe & Ito's, which the color-blind tell apart; in grey, style and mark do.
COLORS = ("#0072B2", "#D55E00", "#000000", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINE_STYLES = ("-", "--", "-.", ":", (0, (8, 2, 1, 2, 1, 2)))
MARKERS = "osD^vP"
# 150 dots per inch stay sharp in print at the figures' sizes of 5 to 10 inches.
DPI = 150
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
    return check_path(output or paths.PLOTS / f"{Path(checkpoint).stem}_{figure}.png")


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
    # The name of a run or of a file is no formula.
    for text in figure.findobj(Text):
        if "$" in text.get_text():
            text.set_parse_math(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DPI)
    plt.close(figure)


def plot_history(history, title, path):
    """Draw loss and accuracy of one run over its epochs.

    Args:
        history: data frame with the columns epoch, accuracy, loss and, where there
            was a validation part, val_accuracy and val_loss.
        title: of the figure.
        path: of the picture.
    """
    plot_histories([("", history)], path, ("loss", "accuracy"), title)


def plot_histories(histories, path, quantities=("accuracy",), title=None):
    """Draw the curves of runs: validation strong, with a mark at the highest.

    Training is drawn faintly in the same style. Its faces are augmented and dropout
    is on while they are counted, so that it may lie below validation.

    Args:
        histories: list of (name of a run, data frame with the columns epoch,
            val_accuracy, NaN without a validation part, and, for every quantity Q, Q
            and val_Q).
        path: of the picture.
        quantities: what to draw, a panel each.
        title: of the figure.
    """
    width = 8 if len(quantities) == 1 else 5 * len(quantities)
    figure, panels = plt.subplots(
        1, len(quantities), figsize=(width, 5), layout="constrained", squeeze=False
    )
    is_alone = len(histories) == 1
    for panel, quantity in zip(panels.flat, quantities, strict=True):
        for i, (name, history) in enumerate(histories):
            draw_run(panel, history, quantity, name, i, is_alone)
        hint = "" if is_alone else " (strong: validation, faint: training)"
        panel.set(xlabel="epoch", ylabel=f"{quantity}{hint}")
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        panel.grid(alpha=0.3)
        # Below the curves wherever they go.
        panel.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.12),
            ncols=2,
            handlelength=4,
            frameon=False,
        )
    figure.suptitle(title)
    save_figure(figure, path)


def draw_run(panel, history, quantity, name, number, is_alone):
    """Draw one quantity of one run, in the style that belongs to its number."""
    prefix = f"{name}: " if name else ""
    style = {
        "color": COLORS[number % len(COLORS)],
        "linestyle": LINE_STYLES[number % len(LINE_STYLES)],
        "marker": MARKERS[number % len(MARKERS)],
    }
    has_validation = history["val_accuracy"].notna().any()
    panel.plot(
        history["epoch"],
        history[quantity],
        alpha=0.4,
        linewidth=1,
        # Keeps a run of one epoch visible.
        markevery=[-1],
        markersize=3,
        # Of several runs the axis says so for all.
        label=f"{prefix}training" if is_alone or not has_validation else None,
        **style,
    )
    if has_validation:
        best = history["val_accuracy"].argmax()
        value = history[f"val_{quantity}"].iloc[best]
        panel.plot(
            history["epoch"],
            history[f"val_{quantity}"],
            linewidth=2,
            markevery=[best],
            markersize=8,
            label=f"{prefix}validation, {value:.4f} in epoch "
            f"{history['epoch'].iloc[best]:.0f}",
            **style,
        )


def plot_band(panel, histories, quantity, color, line_style, label):
    """Draw the mean over seeds, and the range of the seeds as a band."""
    seeds = pd.concat(histories).groupby("epoch")[quantity]
    means = seeds.mean()
    # Markers keep short runs visible.
    style = {"color": color, "linestyle": line_style, "marker": "o", "markersize": 2}
    panel.plot(means.index, means, label=label, **style)
    panel.fill_between(means.index, seeds.min(), seeds.max(), color=color, alpha=0.15)


def plot_confusions(confusions, title, path):
    """Draw confusion matrices side by side, shares of the row with counts below.

    Args:
        confusions: dict from the title of a panel to int (7, 7), as
            `fer.measures.compute_confusion` counts them.
        title: of the figure.
        path: of the picture.
    """
    number = len(confusions)
    figure, panels = plt.subplots(
        1,
        number,
        figsize=(5.2 * number + 0.8, 5.4),
        layout="constrained",
        squeeze=False,
    )
    for panel, (name, counts) in zip(panels[0], confusions.items(), strict=True):
        image = draw_confusion(panel, counts)
        panel.set(title=name, xlabel="emotion given by the model")
    panels[0, 0].set_ylabel("true emotion")
    figure.colorbar(image, ax=panels, label="share of the true emotion", shrink=0.8)
    figure.suptitle(title)
    save_figure(figure, path)


def draw_confusion(panel, counts):
    """Draw one confusion matrix; returns its image, for the colour bar."""
    shares = np.nan_to_num(measures.normalize_rows(counts))
    image = panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (true, given), share in np.ndenumerate(shares):
        text = f"{100 * share:.0f} %\n{counts[true, given]:,}"
        panel.text(
            given,
            true,
            # Of an emotion without faces no share is known.
            text if counts[true].any() else "–",
            color="white" if share > 0.6 else "black",
            fontsize=8,
            ha="center",
            va="center",
        )
    ticks = range(len(EMOTIONS))
    panel.set_xticks(ticks, EMOTIONS, rotation=45, ha="right", rotation_mode="anchor")
    panel.set_yticks(ticks, EMOTIONS)
    return image


def plot_calibration(calibration, title, path):
    """Draw how often answers of each probability are right (a reliability diagram).

    Args:
        calibration: as `fer.measures.compute_calibration` returns it.
        title: of the figure.
        path: of the picture.
    """
    figure, (panel, faces) = plt.subplots(
        2,
        1,
        figsize=(5, 6),
        layout="constrained",
        sharex=True,
        height_ratios=(3, 1),
    )
    edges = np.linspace(0, 1, len(calibration.count) + 1)
    place = {"x": edges[:-1], "width": edges[1], "align": "edge", "edgecolor": "white"}
    panel.plot((0, 1), (0, 1), "--", color="0.4", label="as often as it says")
    panel.bar(
        height=calibration.accuracy, color=COLORS[0], label="right answers", **place
    )
    panel.plot(
        calibration.confidence,
        calibration.accuracy,
        "o",
        color=COLORS[1],
        label="at the mean probability of a bin",
    )
    panel.set(ylabel="share of right answers", ylim=(0, 1), xlim=(0, 1))
    panel.set_title(f"expected calibration error {calibration.error:.3f}", fontsize=10)
    panel.legend(loc="upper left", fontsize="small")
    faces.bar(height=calibration.count, color="0.6", **place)
    faces.set(xlabel="probability of the likeliest emotion", ylabel="faces")
    for axes in (panel, faces):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    figure.suptitle(title)
    save_figure(figure, path)


def plot_growth(growth, title, path):
    """Draw the accuracy against the number of members, mean and range of choices."""
    numbers = np.arange(1, len(growth) + 1)
    figure, panel = plt.subplots(figsize=(5, 4), layout="constrained")
    color = COLORS[1]
    for number, accuracies in zip(numbers, growth, strict=True):
        panel.plot(
            np.full(len(accuracies), number),
            accuracies,
            "o",
            color="0.6",
            markersize=3,
            label="one choice of members" if number == 1 else None,
        )
    means = [accuracies.mean() for accuracies in growth]
    panel.plot(numbers, means, "o-", color=color, label="mean of all choices")
    panel.set(xlabel="members averaged", ylabel="validation accuracy", title=title)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right")
    save_figure(figure, path)


def plot_moments(moments, means, every, title, path):
    """Stack the mean probabilities of each moment, with a gap where no face was.

    Args:
        moments: float (m,), in seconds.
        means: float (m, 7).
        every: width of a bar in seconds.
        title: of the figure.
        path: of the PNG.
    """
    figure, panel = plt.subplots(figsize=(9, 4), layout="constrained")
    bottom = np.zeros(len(moments))
    for emotion, means_of_emotion in zip(EMOTIONS, means.T, strict=True):
        panel.bar(moments, means_of_emotion, every, bottom, align="edge", label=emotion)
        bottom += means_of_emotion
    panel.set(xlabel="second", ylabel="mean probability", ylim=(0, 1))
    panel.set_title(title)
    # In the order in which they are stacked.
    handles, labels = panel.get_legend_handles_labels()
    panel.legend(
        handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5)
    )
    save_figure(figure, path)
