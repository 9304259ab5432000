"""What the filters of a model look for: a checkpoint to the inputs they like best.

    python plot_filters.py checkpoints/cnn.keras --count 64
    python plot_filters.py checkpoints/cnn.keras --layer logits
    python plot_filters.py checkpoints/cnn.keras --face 17 --train data/train.csv

Every picture starts as grey noise and climbs the gradient of the mean activation of one
filter (Erhan et al. 2009), with steps of the same size whatever the gradient. Decay
towards grey and blurring (Yosinski et al. 2015) keep it from filling with single bright
and dark pixels. Pixels stay in [0, 255] and are drawn as they are; the activation
reached stands under each picture. `--layer logits` draws the seven emotions this way.

With --face the responses of the layers to one face are drawn instead. 64 filters of the
default network's conv2_1 take 30 s of processor time once TensorFlow has started (two
cores with AVX512_BF16).
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

from fer import checkpoints, command, data, figures, flags, gradients

# Noise around the middle of [0, 255], weak enough to leave no trace in the picture.
GREY = 127.5
NOISE_DEVIATION = 10
# Blurring seldom but more is cheaper than every step (Yosinski et al. 2015).
BLUR_EVERY = 4
# Pictures that climb at the same time.
BATCH_SIZE = 64
# Faces over which --count measures how active a filter is.
ACTIVITY_FACES = 512
RESPONSES_PER_LAYER = 16
GREY_COLORS = "gray"
RESPONSE_COLORS = "viridis"
# Measures of the figure in inches.
SHEET_WIDTH = 10.5
MOST_COLUMNS = 16
LARGEST_TILE = 1.4
TILE_GAP = 0.06
CAPTION_HEIGHT = 0.17
HEADING_HEIGHT = 0.35
TITLE_HEIGHT = 0.45
MARGIN = 0.15
COLORBAR_WIDTH = 0.4


def build_parser():
    parser = command.new_parser(__doc__)
    add = parser.add_argument
    add("model", metavar="MODEL", help="checkpoint")
    add(
        "--layer",
        nargs="+",
        metavar="NAME",
        help="layers to draw (default: the last convolution; with --face all of them)",
    )
    add(
        "--count",
        type=command.positive_integer,
        metavar="NUMBER",
        help="draw only so many filters of a layer, the most active ones: the mean of "
        f"the positive part of their responses to the first {ACTIVITY_FACES} faces of "
        "--train is highest or, with --face, to that face (default: all; with --face "
        f"{RESPONSES_PER_LAYER})",
    )
    add(
        "--face",
        type=int,
        metavar="ROW",
        help="draw the responses to this face of --train, counted from 0",
    )
    flags.add_train_flag(parser)
    for flag, kind, default, text in (
        ("--steps", command.positive_integer, 150, "steps of the ascent"),
        ("--step-size", command.positive_number, 8.0, "grey levels per step, rms"),
        ("--decay", command.fraction, 0.01, "share of the contrast lost in every step"),
        (
            "--blur",
            command.number_from_zero,
            0.6,
            f"deviation of the blurring every {BLUR_EVERY} steps, in pixels",
        ),
    ):
        add(
            flag,
            type=kind,
            default=default,
            metavar="NUMBER",
            help=f"{text} (default: %(default)s)",
        )
    add(
        "--seed",
        type=command.seed_number,
        default=0,
        help="of the noise (default: %(default)s)",
    )
    add(
        "--output",
        metavar="FILE",
        help="the figure (default: plots/<model>_filters.png, with --face "
        "plots/<model>_responses.png)",
    )
    return parser


def climb(part, units, steps, step_size, decay, blur, seed):
    """Find pictures that excite units, by gradient ascent from the same grey noise.

    Args:
        part: a model of `fer.gradients.build_part`.
        units: int (n,), filters or neurons of its last layer.
        steps: number of steps.
        step_size: root mean square of the change of a picture in one step.
        decay: share of the distance to the middle grey that every step takes away.
        blur: deviation in pixels of a Gaussian, applied every `BLUR_EVERY` steps.
        seed: of the noise.

    Returns:
        images: float32 (n, 48, 48, 1) in [0, 255].
        activations: float32 (n,), the mean activation of each unit on its picture.
    """
    size = (data.IMAGE_SIZE, data.IMAGE_SIZE, 1)
    noise = np.random.default_rng(seed).normal(GREY, NOISE_DEVIATION, size)
    images = np.repeat(noise[None].astype("float32"), len(units), axis=0)
    for step in range(1, steps + 1):
        slopes = gradients.compute_pixel_gradients(part, images, units)[1]
        rms = np.sqrt(np.mean(slopes**2, axis=(1, 2, 3), keepdims=True))
        # A filter that is silent has no slope, and its picture stays.
        images = images + step_size * slopes / np.where(rms > 0, rms, 1)
        images = GREY + (1 - decay) * (images - GREY)
        if step % BLUR_EVERY == 0:
            images = ndimage.gaussian_filter(images, (0, blur, blur, 0))
        images = np.clip(images, 0, 255)
    return images, gradients.compute_pixel_gradients(part, images, units)[0]


def compute_activities(part, images):
    """How active every unit is on faces: float32 (n_units,), not negative.

    That is the mean of the positive part, which is what a rectifier lets through.

    Args:
        part: a model of `fer.gradients.build_part`.
        images: uint8 (n, 48, 48, 1).
    """
    total = 0
    for start in range(0, len(images), BATCH_SIZE):
        outputs = np.maximum(respond(part, images[start : start + BATCH_SIZE]), 0)
        total += outputs.mean(axis=tuple(range(1, outputs.ndim - 1))).sum(axis=0)
    return total / len(images)


def choose_units(part, count, images):
    """The `count` most active units on faces, the most active first, or all of them.

    Args:
        part: a model of `fer.gradients.build_part`.
        count: how many, or None for all in their own order.
        images: uint8 (n, 48, 48, 1), not needed for all.
    """
    if count is None:
        return np.arange(part.output_shape[-1])
    return np.argsort(-compute_activities(part, images), kind="stable")[:count]


def compute_preferred(part, units, options):
    """`climb` in batches: pictures (n, 48, 48) and the activations reached, (n,)."""
    batches = [
        climb(
            part,
            units[start : start + BATCH_SIZE],
            options.steps,
            options.step_size,
            options.decay,
            options.blur,
            options.seed,
        )
        for start in range(0, len(units), BATCH_SIZE)
    ]
    images, activations = map(np.concatenate, zip(*batches, strict=True))
    return images[..., 0], activations


def compute_responses(part, face):
    """The maps of a layer on one face uint8 (48, 48, 1): float32 (n_units, h, w).

    Raises:
        InputError: the layer has no maps.
    """
    if len(part.output_shape) != 4:
        raise command.InputError(
            f"--layer {part.name}: expected layers with maps for --face, found "
            f"{part.output_shape[-1]} numbers; choose a convolution"
        )
    return respond(part, face[None])[0].transpose(2, 0, 1)


def respond(part, images):
    """The output of a part on a batch of faces, uint8 (n, 48, 48, 1)."""
    # Called directly: `predict` would compile anew for every layer, and say so.
    return np.asarray(part(images.astype("float32"), training=False))


def plot_sheet(sections, title, path):
    """Draw sections of tiles below one another, each with its heading.

    Args:
        sections: list of dicts: heading, tiles (n, h, w), captions (n strings), cmap
            and limits (of the colours). Colours other than grey get a colour bar.
        title: of the figure.
        path: of the picture.
    """
    layouts = []
    top = TITLE_HEIGHT
    for section in sections:
        columns = min(len(section["tiles"]), MOST_COLUMNS)
        pitch = min(SHEET_WIDTH / columns, LARGEST_TILE)
        lines = -(-len(section["tiles"]) // columns)
        layouts.append((top, columns, pitch))
        top += HEADING_HEIGHT + lines * (pitch + CAPTION_HEIGHT)
    widest = max(columns * pitch for _, columns, pitch in layouts)
    has_bar = any(section["cmap"] != GREY_COLORS for section in sections)
    size = np.array([widest + 2 * MARGIN + has_bar * COLORBAR_WIDTH, top + MARGIN])

    figure = plt.figure(figsize=size)
    # One panel for everything, measured in inches from the upper left corner.
    panel = figure.add_axes((0, 0, 1, 1))
    panel.set_axis_off()
    panel.set(xlim=(0, size[0]), ylim=(size[1], 0), autoscale_on=False)
    figure.suptitle(title, y=1 - 0.15 / size[1], va="top")
    for section, (top, columns, pitch) in zip(sections, layouts, strict=True):
        draw_section(panel, section, top + HEADING_HEIGHT, columns, pitch)
    figures.save_figure(figure, path)


def draw_section(panel, section, top, columns, pitch):
    """Draw the tiles of one section, `columns` to a line, into a panel in inches."""
    low, high = section["limits"]
    side = pitch - TILE_GAP
    panel.text(MARGIN, top - 0.08, section["heading"])
    for i, (tile, caption) in enumerate(
        zip(section["tiles"], section["captions"], strict=True)
    ):
        left = MARGIN + i % columns * pitch
        upper = top + i // columns * (pitch + CAPTION_HEIGHT)
        image = panel.imshow(
            tile,
            cmap=section["cmap"],
            vmin=low,
            vmax=high,
            extent=(left, left + side, upper + side, upper),
            interpolation="nearest",
        )
        panel.text(
            left + side / 2, upper + side + 0.13, caption, fontsize=7, ha="center"
        )
    if section["cmap"] != GREY_COLORS:
        width, height = panel.figure.get_size_inches()
        place = (
            (MARGIN + columns * pitch) / width,
            1 - (top + side) / height,
            0.1 / width,
            side / height,
        )
        bar = panel.figure.add_axes(place)
        panel.figure.colorbar(image, cax=bar, ticks=[low, high], format="%.2g")
        bar.tick_params(labelsize=7)


def build_preferred_sections(parts, options):
    """Climb for the units of each layer; the sections of the figure."""
    images = None
    if options.count:
        images = data.load_training_faces(options.train)[0][:ACTIVITY_FACES]
    sections = []
    for part in parts:
        num_units = part.output_shape[-1]
        units = choose_units(part, options.count, images)
        pictures, activations = compute_preferred(part, units, options)
        names = range(num_units) if part.name != gradients.LOGITS else data.EMOTIONS
        sections.append(
            {
                "heading": f"{part.name}, {len(units)} of {num_units}, with the mean "
                "activation reached",
                "tiles": pictures,
                "captions": [
                    f"{names[unit]}: {activation:.3g}"
                    for unit, activation in zip(units, activations, strict=True)
                ],
                "cmap": GREY_COLORS,
                "limits": (0, 255),
            }
        )
    return sections


def build_response_sections(parts, options):
    """The face and the maps of each layer on it; the sections of the figure."""
    images, labels = data.load_training_faces(options.train)
    if not 0 <= options.face < len(images):
        raise command.InputError(
            f"--face {options.face}: expected a row of {options.train} from 0 to "
            f"{len(images) - 1}, found none of that number; choose another"
        )
    face = images[options.face]
    sections = [
        {
            "heading": f"face {options.face}",
            "tiles": [face[..., 0]],
            "captions": [data.EMOTIONS[labels[options.face]]],
            "cmap": GREY_COLORS,
            "limits": (0, 255),
        }
    ]
    for part in parts:
        maps = compute_responses(part, face)
        units = choose_units(part, options.count or RESPONSES_PER_LAYER, face[None])
        height, width = maps.shape[1:]
        sections.append(
            {
                "heading": f"{part.name}, {len(units)} of {len(maps)} maps of "
                f"{height}x{width}, with their mean positive part",
                "tiles": maps[units],
                "captions": [
                    f"{unit}: {np.maximum(maps[unit], 0).mean():.2f}" for unit in units
                ],
                "cmap": RESPONSE_COLORS,
                # A few extreme values would leave the rest in one colour.
                "limits": np.percentile(maps[units], (1, 99)),
            }
        )
    return sections


def main():
    options = build_parser().parse_args()
    kind = "filters" if options.face is None else "responses"
    path = figures.choose_path(options.output, options.model, kind)
    gradients.check_backend()
    model = checkpoints.load_checkpoint(options.model)
    convolutions = gradients.find_convolutions(model)
    drawn = convolutions[-1:] if options.face is None else convolutions
    layers = options.layer or drawn
    if not layers:
        raise command.InputError(
            f"{options.model}: expected a model with convolutions, found none; choose "
            "a layer, such as --layer logits"
        )
    parts = [gradients.build_part(model, layer) for layer in layers]
    name = Path(options.model).stem
    if options.face is None:
        sections = build_preferred_sections(parts, options)
        title = (
            f"{name}: what excites it most, after {options.steps} steps of "
            f"{options.step_size:g} from grey noise in [0, 255]"
        )
    else:
        sections = build_response_sections(parts, options)
        title = f"{name}: its responses to one face"
    plot_sheet(sections, title, path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
