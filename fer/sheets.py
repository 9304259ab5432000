"""Sheets of small pictures: saliency maps, what filters look for, layers' responses."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np

from fer import figures, gradients, saliency
from fer.faces import EMOTIONS

THRESHOLDS = (0.3, 0.7)
# The percentile that counts as 1: single pixels would set the scale (Smilkov et al.).
HEAT_PERCENTILE = 99
HEAT_COLORS = "inferno"
RESPONSE_COLORS = "viridis"
# Measures of a sheet of tiles in inches, and tiles of a line.
SHEET_WIDTH = 10.5
MOST_COLUMNS = 16
LARGEST_TILE = 1.4
TILE_GAP = 0.06
BLOCK_GAP = 0.3
CAPTION_HEIGHT = 0.17
HEADING_HEIGHT = 0.36
TITLE_HEIGHT = 0.4
MARGIN = 0.15
BAR_WIDTH = 0.6


@dataclasses.dataclass
class Tiles:
    """Pictures beside one another under a heading, wrapped where they do not fit.

    Attributes:
        heading: a text.
        pictures: numbers (n, height, width), or RGB (n, height, width, 3) in [0, 1].
        captions: n texts above the pictures, or None.
        colors: the colour map of numbers.
        limits: the numbers that get its first and its last colour.
        bar: the label of the colour bar; None for no bar.
    """

    heading: str
    pictures: np.ndarray
    captions: list | None = None
    colors: str = "gray"
    limits: tuple = (0, 255)
    bar: str | None = None

    def measure(self, width):
        """Columns, and the distance of tiles across and down, to fill a width."""
        columns = min(len(self.pictures), MOST_COLUMNS)
        across = min(width / columns, LARGEST_TILE)
        return columns, across, across + (CAPTION_HEIGHT if self.captions else 0)

    def measure_size(self, width):
        """The width and the height that are filled."""
        columns, across, down = self.measure(width)
        lines = -(-len(self.pictures) // columns)
        return columns * across, HEADING_HEIGHT + lines * down


def plot_tiles(sections, title, path, blocks=1):
    """Draw sections of tiles in reading order.

    Args:
        sections: list of Tiles.
        title: of the figure.
        path: of the picture.
        blocks: how many sections stand beside one another.
    """
    width = (SHEET_WIDTH - (blocks - 1) * BLOCK_GAP) / blocks
    sizes = np.array([section.measure_size(width) for section in sections])
    block_width = sizes[:, 0].max() + BLOCK_GAP
    heights = [sizes[i : i + blocks, 1].max() for i in range(0, len(sizes), blocks)]
    tops = TITLE_HEIGHT + np.append(0, np.cumsum(heights))
    has_bar = any(section.bar is not None for section in sections)
    size = (
        2 * MARGIN + blocks * block_width - BLOCK_GAP + has_bar * BAR_WIDTH,
        tops[-1] + MARGIN,
    )
    figure = plt.figure(figsize=size)
    # One panel for everything, measured in inches from the upper left corner.
    panel = figure.add_axes((0, 0, 1, 1))
    panel.set_axis_off()
    panel.set(xlim=(0, size[0]), ylim=(size[1], 0), autoscale_on=False)
    figure.suptitle(title, y=1 - 0.15 / size[1], va="top")
    for i, section in enumerate(sections):
        left = MARGIN + i % blocks * block_width
        draw_tiles(panel, section, left, tops[i // blocks], width)
    figures.save_figure(figure, path)


def draw_tiles(panel, section, left, top, width):
    """Draw one section of tiles into a panel in inches, from its upper left corner."""
    columns, across, down = section.measure(width)
    side = across - TILE_GAP
    panel.text(left, top + HEADING_HEIGHT - 0.06, section.heading, fontsize=9)
    for i, picture in enumerate(section.pictures):
        x = left + i % columns * across
        bottom = top + HEADING_HEIGHT + i // columns * down + down - TILE_GAP
        panel.imshow(
            picture,
            cmap=section.colors,
            vmin=section.limits[0],
            vmax=section.limits[1],
            extent=(x, x + side, bottom, bottom - side),
            interpolation="nearest",
        )
        if section.captions:
            middle = x + side / 2, bottom - side - 0.04
            panel.text(*middle, section.captions[i], fontsize=7, ha="center")
    if section.bar is not None:
        size = panel.figure.get_size_inches()
        bottom = top + HEADING_HEIGHT + down - TILE_GAP
        corner = np.array([left + columns * across + 0.03, size[1] - bottom]) / size
        bar = panel.figure.colorbar(
            plt.cm.ScalarMappable(plt.Normalize(*section.limits), section.colors),
            cax=panel.figure.add_axes((*corner, *(np.array([0.1, side]) / size))),
            ticks=section.limits,
            format="%.2g",
        )
        bar.set_label(section.bar, fontsize=7)
        bar.ax.tick_params(labelsize=7)


def scale_heat(maps, percentile):
    """Scale maps (n, 48, 48) to [0, 1], each so that its percentile becomes 1."""
    peaks = np.percentile(maps, percentile, axis=(1, 2), keepdims=True)
    return np.clip(maps / np.where(peaks > 0, peaks, 1), 0, 1)


def describe_prediction(probabilities, label):
    """The title of a face: what the model says and what is true."""
    predicted = probabilities.argmax()
    return (
        f"predicted {EMOTIONS[predicted]} {probabilities[predicted]:.2f}, "
        f"true {EMOTIONS[label]} {probabilities[label]:.2f}"
    )


def build_columns(images, explanation):
    """The pictures of the figure.

    Args:
        images: uint8 (n, 48, 48, 1).
        explanation: of them, as `saliency.explain` returns it.

    Returns:
        Dict from the heading of a column to RGB pictures (n, 48, 48, 3) in [0, 1].
    """
    colors = plt.get_cmap(HEAT_COLORS)
    faces = np.repeat(images / 255, 3, axis=-1)
    heat = scale_heat(explanation.saliency, HEAT_PERCENTILE)
    columns = {"face": faces, "saliency": colors(heat)[..., :3]}
    for threshold in THRESHOLDS:
        above = heat[..., None] > threshold
        columns[f"above {threshold}"] = np.where(above, colors(heat)[..., :3], faces)
    kept = saliency.find_most_salient(explanation.saliency)
    columns[f"top {100 * saliency.KEPT_SHARE:.0f} %"] = np.repeat(
        saliency.mask_faces(images, kept) / 255, 3, axis=-1
    )
    if explanation.grad_cam is not None:
        # Half face, half heat, so that both stay visible.
        cam = colors(scale_heat(explanation.grad_cam, 100))[..., :3]
        columns["Grad-CAM"] = (faces + cam) / 2
    return columns


def plot_faces(images, labels, explanation, is_shown, title, path):
    """Draw a sheet of faces, each a line of pictures under what the model says.

    Args:
        images: uint8 (n, 48, 48, 1).
        labels: int (n,).
        explanation: of them, as `saliency.explain` returns it.
        is_shown: bool (lines, blocks), where the n faces stand, in the order in which
            one reads; elsewhere is a gap.
        title: of the figure.
        path: of the picture.
    """
    columns = build_columns(images, explanation)
    pictures = np.stack(list(columns.values()), axis=1)
    titles = list(map(describe_prediction, explanation.probabilities, labels))
    faces = np.cumsum(is_shown) - 1
    sections = [
        Tiles(titles[face], pictures[face])
        if shown
        else Tiles("none among these faces", np.ones_like(pictures[0]))
        for face, shown in zip(faces, is_shown.flat, strict=True)
    ]
    blocks = is_shown.shape[1]
    for section in sections[:blocks]:
        section.captions = list(columns)
    # One bar, at the right of the first line, for the colours of all.
    bar = {"bar": "share of the peak", "limits": (0, 1), "colors": HEAT_COLORS}
    sections[blocks - 1] = dataclasses.replace(sections[blocks - 1], **bar)
    plot_tiles(sections, title, path, blocks)


def plot_filters(layers, title, path):
    """Draw the pictures that excite the units of layers, in grey levels [0, 255].

    Args:
        layers: list of the `fer.filters.Layer` of `compute_preferred`.
        title: of the figure.
        path: of the picture.
    """
    sections = []
    for layer in layers:
        names = EMOTIONS if layer.name == gradients.LOGITS else range(layer.size)
        heading = (
            f"{layer.name}, {len(layer.units)} of {layer.size}, with the mean "
            "activation reached"
        )
        captions = [
            f"{names[unit]}: {activation:.3g}"
            for unit, activation in zip(layer.units, layer.strengths, strict=True)
        ]
        sections.append(Tiles(heading, layer.pictures, captions))
    plot_tiles(sections, title, path)


def plot_responses(face, name, layers, title, path):
    """Draw a face and the maps of layers on it.

    Args:
        face: uint8 (48, 48, 1).
        name: what stands above it.
        layers: list of the `fer.filters.Layer` of `compute_responses`.
        title: of the figure.
        path: of the picture.
    """
    sections = [Tiles(name, face[None, ..., 0])]
    for layer in layers:
        height, width = layer.pictures.shape[1:]
        heading = (
            f"{layer.name}, {len(layer.units)} of {layer.size} maps of "
            f"{height}x{width}, with their mean positive part"
        )
        captions = [
            f"{unit}: {strength:.2f}"
            for unit, strength in zip(layer.units, layer.strengths, strict=True)
        ]
        # A few extreme values would leave the rest in one colour.
        limits = tuple(np.percentile(layer.pictures, (1, 99)))
        sections.append(
            Tiles(heading, layer.pictures, captions, RESPONSE_COLORS, limits, bar="")
        )
    plot_tiles(sections, title, path)
