"""The figure of principal components: eigenfaces, rebuilt faces, variance, points."""

import matplotlib.pyplot as plt
import numpy as np

from fer import figures
from fer.faces import EMOTIONS, IMAGE_SIZE
from fer.principal_components import count_components

# Numbers of components to rebuild from: each about four times the one before.
NUM_COMPONENTS = (5, 20, 80, 320, 1280)
EXPLAINED_SHARES = (0.9, 0.95, 0.99)
EMOTION_COLORS = plt.get_cmap("Dark2").colors[: len(EMOTIONS)]


def plot_components(components, rebuilt, path):
    """Draw the whole figure.

    Args:
        components: as `fer.principal_components.analyze` returns them.
        rebuilt: faces from NUM_COMPONENTS of them, as `rebuild` there returns them.
        path: of the picture.
    """
    figure = plt.figure(figsize=(10, 9), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(5, 3.6))
    left, right = upper.subfigures(1, 2, width_ratios=(4.2, 5.8))
    draw_eigenfaces(left, components)
    draw_reconstructions(right, rebuilt)
    explained_panel, error_panel, point_panel = lower.subplots(1, 3)
    draw_explained(explained_panel, components.explained)
    draw_errors(error_panel, components.errors, rebuilt.errors)
    draw_points(point_panel, components)
    figures.save_figure(figure, path)


def draw_eigenfaces(figure, components):
    """Draw the mean face and the first eigenfaces, each with its share of variance."""
    axes = components.axes
    shares = components.variances / components.variances.sum()
    figure.suptitle("(a) mean face and first eigenfaces", fontsize="medium")
    panels = figure.subplots(4, 4).ravel()
    show_face(panels[0], components.mean, "mean")
    for i, panel in enumerate(panels[1:]):
        show_face(panel, axes[i], f"{i + 1}: {shares[i]:.1%}")
        # An eigenface has no grey levels of its own: 0 is grey, the extremes are
        # black and white.
        limit = np.abs(axes[i]).max()
        panel.images[0].set_clim(-limit, limit)


def show_face(panel, points, title=""):
    """Show one vector of 2,304 values as a picture."""
    picture = points.reshape(IMAGE_SIZE, IMAGE_SIZE)
    panel.imshow(picture, cmap="gray", vmin=0, vmax=255)
    panel.set_title(title, fontsize="small", pad=2)
    panel.set(xticks=[], yticks=[])


def draw_reconstructions(figure, rebuilt):
    """Draw faces, one a column, rebuilt from more and more components."""
    figure.suptitle("(b) faces rebuilt from k components", fontsize="medium")
    rows = {f"k = {k}": faces for k, faces in rebuilt.nearest.items()}
    rows["the face"] = rebuilt.points
    panels = figure.subplots(len(rows), len(rebuilt.points), squeeze=False)
    for row, (caption, faces) in zip(panels, rows.items(), strict=True):
        row[0].set_ylabel(caption, fontsize="small")
        for panel, face in zip(row, faces, strict=True):
            show_face(panel, face)


def draw_explained(panel, explained):
    """Draw the share of the variance that the first k components explain."""
    numbers = np.arange(1, len(explained) + 1)
    panel.semilogx(numbers, explained, color="black")
    for share in EXPLAINED_SHARES:
        number = count_components(explained, share)
        panel.plot(number, explained[number - 1], "o", color="black", markersize=4)
        panel.annotate(
            f"{share:.0%}: k = {number}",
            (number, explained[number - 1]),
            xytext=(-6, 1),
            textcoords="offset points",
            horizontalalignment="right",
            fontsize="small",
        )
    panel.set_title("(c) variance explained", fontsize="medium")
    panel.set(xlabel="components k", ylabel="share of the variance", ylim=(0, 1.05))
    panel.grid(alpha=0.3)


def draw_errors(panel, errors, rebuilt_errors):
    """Draw the error of the rebuilt faces against the number of components."""
    numbers = np.arange(1, len(errors))
    panel.semilogx(numbers, errors[1:], color="black", label="faces that span them")
    panel.semilogx(
        numbers, rebuilt_errors[1:], "--", color=figures.COLORS[1], label="faces of (b)"
    )
    panel.set_title("(d) error of rebuilt faces", fontsize="medium")
    panel.set(xlabel="components k", ylabel="grey levels per pixel, root mean square")
    panel.set_ylim(bottom=0)
    panel.legend(fontsize="small")
    panel.grid(alpha=0.3)


def draw_points(panel, components):
    """Draw faces as points on two components, and the mean of each emotion."""
    coordinates, labels = components.coordinates, components.labels
    colors = np.array(EMOTION_COLORS)[labels]
    # In random order, or the last emotion would hide the others.
    order = np.random.default_rng(0).permutation(len(labels))
    panel.scatter(
        *coordinates[order].T,
        s=2,
        c=colors[order],
        alpha=0.5,
        linewidths=0,
        # Thirty thousand shapes would make a PDF slow to open.
        rasterized=True,
    )
    for label, emotion in enumerate(EMOTIONS):
        if (labels == label).any():
            panel.plot(
                *coordinates[labels == label].mean(axis=0),
                "o",
                color=EMOTION_COLORS[label],
                markeredgecolor="black",
                label=f"{emotion}, mean",
            )
    panel.set_title("(e) faces on two components", fontsize="medium")
    panel.locator_params(nbins=5)
    for number, (axis, share) in enumerate(
        zip((panel.xaxis, panel.yaxis), components.emotion_share, strict=True), start=1
    ):
        axis.set_label_text(f"component {number} ({share:.1%} due to emotion)")
    panel.legend(fontsize="x-small", markerscale=0.8, loc="lower right")
