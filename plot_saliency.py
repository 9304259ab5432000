"""What a model looks at: checkpoint and faces to saliency maps and Grad-CAM.

    python plot_saliency.py checkpoints/cnn.keras
    python plot_saliency.py checkpoints/cnn.keras --emotion happy fear
    python plot_saliency.py checkpoints/cnn.keras --rows 17 4 --score

Per face, from left to right: the face; the size of the gradient of the predicted
emotion's logit by the pixels (Simonyan et al. 2014), averaged over noisy copies of the
face (SmoothGrad, Smilkov et al. 2017) and scaled so that its 99th percentile is 1; the
pixels above 0.3 and above 0.7 of that; the face with all but its 30 % most salient
pixels greyed out; Grad-CAM (Selvaraju et al. 2017) of the last convolution, scaled so
that its maximum is 1. A model without convolutions has no Grad-CAM.

By default the figure shows, of every emotion, the face that the model gets right and
the one that it gets wrong with the highest probability, among the faces of --train that
were held out of training (see plot_confusion_matrix.py). That takes about 10 s of
processor time once TensorFlow has started, --score another minute (two cores with
AVX512_BF16).

With pretrained/cnn.keras, --score gave on 2026-11-25, over 200 validation faces, a
probability of 0.76 on whole faces, 0.26 with only the 30 % most salient pixels (0.15
with random ones) and 0.17 without them (0.29).
"""

import sys
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np

from fer import checkpoints, command, data, figures, flags, gradients

THRESHOLDS = (0.3, 0.7)
# The percentile that counts as 1: single pixels would set the scale (Smilkov et al.).
HEAT_PERCENTILE = 99
KEPT_SHARE = 0.3
SCORED_FACES = 200
# Right and wrong faces of each emotion that is asked for by name.
FACES_PER_NAMED_EMOTION = 3
BATCH_SIZE = 64
HEAT_COLORS = "inferno"
# Measures of the figure in inches.
PANEL_SIZE = 0.85
PANEL_GAP = 0.05
TITLE_HEIGHT = 0.27
HEADER_HEIGHT = 0.8
BLOCK_GAP = 0.3
COLORBAR_WIDTH = 0.75


def build_parser():
    parser = command.new_parser(__doc__)
    add = parser.add_argument
    add("model", metavar="MODEL", help="checkpoint")
    flags.add_train_flag(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--rows",
        nargs="+",
        type=int,
        metavar="ROW",
        help="faces of --train, counted from 0 (default: one right and one wrong face "
        "of every emotion)",
    )
    which.add_argument(
        "--emotion",
        nargs="+",
        choices=data.EMOTIONS,
        metavar="NAME",
        help=f"{FACES_PER_NAMED_EMOTION} right and as many wrong faces of each of "
        "these emotions (default: one of every emotion)",
    )
    add(
        "--samples",
        type=command.positive_integer,
        default=50,
        metavar="NUMBER",
        help="noisy copies of a face that are averaged (default: %(default)s)",
    )
    add(
        "--noise",
        type=command.fraction,
        default=0.1,
        metavar="SHARE",
        help="standard deviation of the noise, as a share of the face's range of grey "
        "levels; 0 with --samples 1 is the plain gradient (default: %(default)s)",
    )
    add(
        "--grad-cam",
        metavar="LAYER",
        help="layer whose maps Grad-CAM weighs (default: the last convolution, after "
        "its normalization and activation)",
    )
    add(
        "--score",
        action="store_true",
        help="also print what the salient pixels are worth: the probability of the "
        f"predicted emotion when only they are kept and when they are removed, over "
        f"{SCORED_FACES} faces, against random pixels",
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
        help="the figure (default: plots/<model>_saliency.png)",
    )
    return parser


def compute_saliency(model, images, classes, samples, noise, seed):
    """Average the gradient of one logit per face over noisy copies of the face.

    Args:
        model: a checkpoint; it is left as it is.
        images: uint8 (n, 48, 48, 1).
        classes: int (n,), the emotion whose logit is asked of each face.
        samples: number of noisy copies.
        noise: their standard deviation, as a share of the face's range.
        seed: of the noise.

    Returns:
        float32 (n, 48, 48): absolute value of the average gradient, logit per grey
        level.
    """
    part = gradients.build_part(model, gradients.LOGITS)
    rng = np.random.default_rng(seed)
    images = images.astype("float32")
    spread = noise * np.ptp(images, axis=(1, 2, 3), keepdims=True)
    total = np.zeros(images.shape)
    for _ in range(samples):
        noisy = images + rng.normal(0, spread, images.shape)
        for start in range(0, len(images), BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            total[batch] += gradients.compute_pixel_gradients(
                part, noisy[batch], classes[batch]
            )[1]
    return np.abs(total[..., 0] / samples).astype("float32")


def compute_grad_cam(model, images, classes, name):
    """Weigh the maps of a layer by what they add to one logit per face.

    Args:
        model, images, classes: as for `compute_saliency`.
        name: of a layer with maps.

    Returns:
        float32 (n, height, width), not negative, in the size of the maps.
    """
    maps, slopes = gradients.compute_map_gradients(
        model, images.astype("float32"), name, classes
    )
    weights = slopes.mean(axis=(1, 2), keepdims=True)
    return np.maximum((weights * maps).sum(axis=-1), 0)


def enlarge(maps):
    """Interpolate maps (n, height, width) linearly to the faces' (n, 48, 48)."""
    size = (data.IMAGE_SIZE, data.IMAGE_SIZE)
    return np.asarray(keras.ops.image.resize(maps[..., None], size))[..., 0]


def scale_heat(maps, percentile):
    """Scale maps (n, 48, 48) to [0, 1], each so that its percentile becomes 1."""
    peaks = np.percentile(maps, percentile, axis=(1, 2), keepdims=True)
    return np.clip(maps / np.where(peaks > 0, peaks, 1), 0, 1)


def find_most_salient(saliency):
    """Mark the `KEPT_SHARE` highest pixels of each map: bool (n, 48, 48)."""
    flat = saliency.reshape(len(saliency), -1)
    ranks = flat.argsort(axis=1, kind="stable").argsort(axis=1)
    kept = ranks >= flat.shape[1] - round(KEPT_SHARE * flat.shape[1])
    return kept.reshape(saliency.shape)


def mask_faces(images, kept):
    """Grey out the pixels that are not kept, each face with its own mean.

    Args:
        images: uint8 (n, 48, 48, 1).
        kept: bool (n, 48, 48).
    """
    grey = images.mean(axis=(1, 2, 3), keepdims=True)
    return np.where(kept[..., None], images, grey.round()).astype("uint8")


def compute_score(model, images, classes, saliency, seed):
    """Mean probability of `classes` on faces of which 30 % are kept or removed.

    Returns:
        Dict from the kind of mask to the two probabilities (kept, removed).
    """
    noise = np.random.default_rng(seed).random(saliency.shape)
    scores = {}
    for name, ranking in (("most salient", saliency), ("random", noise)):
        kept = find_most_salient(ranking)
        scores[name] = [
            checkpoints.predict(model, mask_faces(images, mask))[
                np.arange(len(images)), classes
            ].mean()
            for mask in (kept, ~kept)
        ]
    return scores


def choose_faces(rows, labels, probabilities, emotions, count):
    """Choose the `count` surest right and surest wrong faces of each emotion.

    Args:
        rows: int (n,), the numbers of the faces.
        labels: int (n,).
        probabilities: float (n, 7).
        emotions: names, in the order of the result.
        count: faces of each kind and emotion.

    Returns:
        int (len(emotions) * count, 2): rows of right and of wrong faces; -1 where
        there are not enough.
    """
    predicted = probabilities.argmax(axis=1)
    by_certainty = np.argsort(-probabilities.max(axis=1), kind="stable")
    chosen = np.full((len(emotions), count, 2), -1)
    for i, emotion in enumerate(emotions):
        true = labels[by_certainty] == data.EMOTIONS.index(emotion)
        right = predicted[by_certainty] == labels[by_certainty]
        for j, hits in enumerate((right, ~right)):
            faces = rows[by_certainty[true & hits][:count]]
            chosen[i, : len(faces), j] = faces
    return chosen.reshape(-1, 2)


def find_grad_cam_layer(model, name):
    """The layer for Grad-CAM: the one asked for, the last suitable one, or None.

    Raises:
        InputError: the layer asked for has no maps; names those that have.
    """
    convolutions = gradients.find_convolutions(model)
    if not convolutions:
        if name is None:
            return None
        raise command.InputError(
            f"--grad-cam {name}: expected a model with convolutions, found none in "
            f"{model.name}; leave --grad-cam out"
        )
    names = [layer.name for layer in model.layers]
    maps = [
        layer
        for layer in model.layers[names.index(convolutions[0]) :]
        if len(layer.output.shape) == 4
    ]
    if name is None:
        # The last convolution passes here, but its normalized and rectified maps are
        # what the rest of the network sees.
        kept = [layer for layer in maps if not isinstance(layer, gradients.REDUCTIONS)]
        return kept[-1].name
    names = [layer.name for layer in maps]
    if name not in names:
        raise command.InputError(
            f"--grad-cam {name}: expected a layer with maps, found none of that name; "
            f"choose from {', '.join(names)}"
        )
    return name


def describe_prediction(probabilities, label):
    """The title of a face: what the model says and what is true."""
    predicted = probabilities.argmax()
    return (
        f"predicted {data.EMOTIONS[predicted]} {probabilities[predicted]:.2f}, "
        f"true {data.EMOTIONS[label]} {probabilities[label]:.2f}"
    )


def build_columns(images, saliency, grad_cam):
    """Colour the pictures of the figure.

    Args:
        images: uint8 (n, 48, 48, 1).
        saliency: float (n, 48, 48), as computed.
        grad_cam: float (n, 48, 48), as computed and enlarged, or None.

    Returns:
        Dict from the heading of a column to RGB pictures (n, 48, 48, 3) in [0, 1].
    """
    colors = plt.get_cmap(HEAT_COLORS)
    faces = np.repeat(images / 255, 3, axis=-1)
    heat = scale_heat(saliency, HEAT_PERCENTILE)
    columns = {"face": faces, "saliency": colors(heat)[..., :3]}
    for threshold in THRESHOLDS:
        above = heat[..., None] > threshold
        columns[f"above {threshold}"] = np.where(above, colors(heat)[..., :3], faces)
    kept = mask_faces(images, find_most_salient(saliency))
    columns[f"top {100 * KEPT_SHARE:.0f} %"] = np.repeat(kept / 255, 3, axis=-1)
    if grad_cam is not None:
        # Half face, half heat, so that both stay visible.
        cam = colors(scale_heat(grad_cam, 100))[..., :3]
        columns["Grad-CAM"] = (faces + cam) / 2
    return columns


def plot_faces(columns, titles, layout, title, path):
    """Draw a sheet of faces, each a line of pictures under its title.

    Args:
        columns: dict from heading to RGB pictures (n, 48, 48, 3) in [0, 1].
        titles: of the n faces.
        layout: int (lines, blocks), which face stands where; -1 leaves a gap.
        title: of the figure.
        path: of the picture.
    """
    lines, blocks = layout.shape
    pitch = PANEL_SIZE + PANEL_GAP
    block_width = len(columns) * pitch + BLOCK_GAP
    size = np.array(
        [
            blocks * block_width + COLORBAR_WIDTH,
            HEADER_HEIGHT + lines * (PANEL_SIZE + TITLE_HEIGHT),
        ]
    )
    figure = plt.figure(figsize=size)

    def place(left, top, width, height):
        """A panel whose place is given in inches from the upper left corner."""
        corner = np.array([left, size[1] - top - height]) / size
        return figure.add_axes([*corner, *np.array([width, height]) / size])

    for line, block in np.ndindex(lines, blocks):
        left = BLOCK_GAP / 2 + block * block_width
        top = HEADER_HEIGHT + line * (PANEL_SIZE + TITLE_HEIGHT)
        for i, (heading, pictures) in enumerate(columns.items()):
            panel = place(left + i * pitch, top, PANEL_SIZE, PANEL_SIZE)
            panel.set_axis_off()
            if line == 0:
                panel.text(
                    0.5,
                    1.3,
                    heading,
                    fontsize=9,
                    ha="center",
                    transform=panel.transAxes,
                )
            face = layout[line, block]
            if face >= 0:
                panel.imshow(pictures[face], interpolation="nearest")
            if i == 0:
                text = titles[face] if face >= 0 else "none among these faces"
                panel.set_title(text, fontsize=8, loc="left", pad=3)
    bar = figure.colorbar(
        plt.cm.ScalarMappable(cmap=HEAT_COLORS),
        cax=place(
            size[0] - COLORBAR_WIDTH, HEADER_HEIGHT, 0.12, min(lines, 3) * PANEL_SIZE
        ),
        label="share of the peak",
        ticks=[0, 0.5, 1],
    )
    bar.outline.set_visible(False)
    figure.suptitle(title, y=1 - 0.15 / size[1], va="top")
    figures.save_figure(figure, path)


def check_rows(rows, path, count):
    """Refuse rows of --rows that the file at `path` with `count` faces has not."""
    for row in rows:
        if not 0 <= row < count:
            raise command.InputError(
                f"--rows {row}: expected a row of {path} from 0 to {count - 1}, found "
                "none of that number; choose another"
            )


def print_score(model, images, options):
    """Say what the salient pixels of the scored faces are worth."""
    probabilities = checkpoints.predict(model, images)
    classes = probabilities.argmax(axis=1)
    saliency = compute_saliency(
        model, images, classes, options.samples, options.noise, options.seed
    )
    print(
        f"probability of the predicted emotion over {len(images)} faces: "
        f"{probabilities.max(axis=1).mean():.3f}"
    )
    scores = compute_score(model, images, classes, saliency, options.seed)
    for name, (kept, removed) in scores.items():
        print(
            f"{100 * KEPT_SHARE:.0f} % of the pixels, {name:12}  "
            f"kept {kept:.3f}  removed {removed:.3f}"
        )


def choose_layout(model, images, labels, held_out, options):
    """Which face stands where: row numbers (lines, blocks), -1 for a gap.

    Raises:
        InputError: a row of --rows or an emotion of --emotion is not there.
    """
    if options.rows:
        check_rows(options.rows, options.train, len(images))
        return np.array(options.rows)[:, None]
    layout = choose_faces(
        held_out,
        labels[held_out],
        checkpoints.predict(model, images[held_out]),
        options.emotion or data.EMOTIONS,
        FACES_PER_NAMED_EMOTION if options.emotion else 1,
    )
    if (layout < 0).all():
        raise command.InputError(
            f"{options.train}: expected faces that are {' or '.join(options.emotion)}, "
            "found none that were held out of training; choose another --emotion"
        )
    return layout


def draw(model, layer, images, labels, layout, options, path):
    """Compute the pictures of the chosen faces and draw them.

    Args:
        model: a checkpoint.
        layer: for Grad-CAM, or None.
        images, labels: of --train.
        layout: as `choose_layout` returns it.
        options: the parsed flags.
        path: of the figure.
    """
    rows = layout[layout >= 0]
    faces = images[rows]
    probabilities = checkpoints.predict(model, faces)
    classes = probabilities.argmax(axis=1)
    saliency = compute_saliency(
        model, faces, classes, options.samples, options.noise, options.seed
    )
    grad_cam = None
    if layer is not None:
        grad_cam = enlarge(compute_grad_cam(model, faces, classes, layer))
    places = np.full(layout.shape, -1)
    places[layout >= 0] = np.arange(len(rows))
    plot_faces(
        build_columns(faces, saliency, grad_cam),
        list(map(describe_prediction, probabilities, labels[rows])),
        places,
        f"{Path(options.model).stem}: what speaks for the predicted emotion",
        path,
    )


def main():
    options = build_parser().parse_args()
    path = figures.choose_path(options.output, options.model, "saliency")
    gradients.check_backend()
    model = checkpoints.load_checkpoint(options.model)
    layer = find_grad_cam_layer(model, options.grad_cam)
    if layer is None:
        print("no Grad-CAM: the model has no convolution whose maps it could weigh")
    images, labels = data.load_training_faces(options.train)
    held_out, reason = checkpoints.find_held_out_rows([options.model], images, labels)
    if reason and (options.score or not options.rows):
        print(f"warning: {reason}: {figures.ALL_FACES}", file=sys.stderr)

    layout = choose_layout(model, images, labels, held_out, options)
    draw(model, layer, images, labels, layout, options, path)
    print(f"wrote {path}")
    if options.score:
        rng = np.random.default_rng(options.seed)
        scored = rng.permutation(held_out)[:SCORED_FACES]
        print_score(model, images[scored], options)


if __name__ == "__main__":
    command.run(main)
