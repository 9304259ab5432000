"""A drawing of a network from its layers: an inline SVG in the colours of the page."""

import math

from keras import layers
from markupsafe import Markup, escape

# What changes the shape of the numbers; everything else is left out of the drawing.
DRAWN = (
    layers.InputLayer,
    layers.Conv2D,
    layers.SeparableConv2D,
    layers.DepthwiseConv2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.Dense,
)
# In pixels of the drawing: the baseline, the gap between two steps and its text, how
# far the sheets of a stack lie apart, the least that is still seen.
GROUND = 98
STEP_GAP = 26
SHEET_OFFSET = 4
SMALLEST = 10
LINE = 15
CHARACTER = 6.4


def draw_network(model, name):
    """The layers of a model from left to right, maps as stacks and units as bars.

    Args:
        model: a loaded checkpoint.
        name: of it, for those who cannot see the drawing.
    """
    steps, left = [], STEP_GAP / 2
    for layer in model.layers:
        if isinstance(layer, DRAWN):
            text, width = draw_step(layer, left)
            steps.append(text)
            left += width + STEP_GAP
    height = GROUND + 3 * LINE + 6
    title = f"The layers of {name} from the pixels to the emotions"
    return Markup(
        f'<svg class="network" viewBox="0 0 {left:.0f} {height}" width="{left:.0f}" '
        f'height="{height}" role="img" aria-label="{escape(title)}">'
        + "".join(steps)
        + "</svg>"
    )


def draw_step(layer, left):
    """One layer as text of an SVG, and its width."""
    shape = layer.output.shape[1:]
    lines = [describe_layer(layer), "×".join(map(str, shape))]
    has_maps = len(shape) == 3
    least = sum(measure_maps(shape)[:2]) if has_maps else SMALLEST
    width = max(CHARACTER * max(map(len, lines)), least)
    middle = left + width / 2
    picture = (draw_maps if has_maps else draw_bar)(shape, middle)
    kind = "pixels" if isinstance(layer, layers.InputLayer) else "weights"
    if not layer.weights and kind == "weights":
        kind = "pooling"
    labels = "".join(
        f'<text x="{middle:.1f}" y="{GROUND + LINE * i + 3}">{escape(line)}</text>'
        for i, line in enumerate(lines, start=1)
    )
    name = f"<title>{escape(layer.name)}</title>"
    return f'<g class="{kind}">{name}{picture}{labels}</g>', width


def draw_maps(shape, middle):
    """A stack of maps: the side as it is, a sheet more for four times the maps."""
    side, reach, sheets = measure_maps(shape)
    left, top = middle - (side + reach) / 2, GROUND - side
    return "".join(
        f'<rect x="{left + SHEET_OFFSET * i:.1f}" y="{top - SHEET_OFFSET * i:.1f}" '
        f'width="{side:.1f}" height="{side:.1f}" rx="1.5"/>'
        for i in reversed(range(sheets))
    )


def measure_maps(shape):
    """The side of a map, how far its stack reaches beyond it, and its sheets."""
    sheets = 1 + round(math.log2(shape[2]) / 2)
    return max(1.5 * shape[0], SMALLEST), SHEET_OFFSET * (sheets - 1), sheets


def draw_bar(shape, middle):
    """A bar as high as the logarithm of the units."""
    height = min(12 * math.log2(shape[0] + 1), GROUND - SMALLEST)
    return (
        f'<rect x="{middle - SMALLEST / 2:.1f}" y="{GROUND - height:.1f}" '
        f'width="{SMALLEST}" height="{height:.1f}" rx="2"/>'
    )


def describe_layer(layer):
    """What a layer does, in a word or two."""
    if isinstance(layer, layers.InputLayer):
        return "pixels"
    if isinstance(layer, layers.Dense):
        return "dense"
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if size is None:
        return "mean" if "Average" in type(layer).__name__ else "maximum"
    word = "pool" if hasattr(layer, "pool_size") else "conv"
    stride = layer.strides[0]
    step = f" / {stride}" if word == "conv" and stride > 1 else ""
    return f"{word} {size[0]}×{size[1]}{step}"
