"""What the filters of a model look for: a checkpoint to the inputs they like best.

    python plot_filters.py                # checkpoints/cnn.keras, else the shipped one
    python plot_filters.py checkpoints/cnn.keras --layer logits
    python plot_filters.py checkpoints/cnn.keras --face 17 --train data/train.csv

Every picture starts as grey noise and climbs the gradient of the mean activation of one
filter (Erhan et al. 2009), with steps of the same size whatever the gradient. Decay
towards grey and blurring (Yosinski et al. 2015) keep it from filling with single bright
and dark pixels. Pixels stay in [0, 255] and are drawn as they are; the activation
reached stands above each picture. `--layer logits` draws the seven emotions this way.

With --face the responses of the layers to one face are drawn instead. 32 filters, the
default, take 50 s of processor time (two cores with AVX512_BF16).
"""

from fer import (
    checkpoints,
    command,
    data,
    figures,
    filters,
    gradients,
    paths,
    sheets,
    sources,
)
from fer.faces import EMOTIONS
from fer.progress import Progress

read_count = command.number(
    "a whole number, from 1 up, or all",
    lambda count: count == "all" or count >= 1,
    lambda text: text if text == "all" else int(text),
)


def build_parser():
    parser = command.new_parser(__doc__)
    add = parser.add_argument
    paths.add_model(parser)
    add(
        "--layer",
        nargs="+",
        metavar="NAME",
        help="layers to draw (default: the last convolution; with --face all of them)",
    )
    add(
        "--count",
        type=read_count,
        metavar="NUMBER|all",
        help="draw so many filters of a layer, the most active ones: the mean of the "
        f"positive part of their responses to the first {filters.ACTIVITY_FACES} faces "
        "of --train is highest or, with --face, to that face; all needs no faces "
        f"(default: {filters.FILTERS_PER_LAYER}, or all of a layer that has no more; "
        f"with --face {filters.RESPONSES_PER_LAYER})",
    )
    add(
        "--face",
        type=int,
        metavar="ROW",
        help="draw the responses to this face of --train, counted from 0",
    )
    sources.add_train_flags(parser)
    blur = f"deviation of the blurring every {filters.BLUR_EVERY} steps, in pixels"
    size = "grey levels per step, root mean square"
    decay = "share of the contrast lost in every step"
    for flag, kind, default, text in (
        ("--steps", command.positive_integer, filters.STEPS, "steps of the ascent"),
        ("--step-size", command.positive_number, filters.STEP_SIZE, size),
        ("--decay", command.fraction, filters.DECAY, decay),
        ("--blur", command.number_from_zero, filters.BLUR, blur),
        ("--seed", command.seed_number, 0, "of the noise"),
    ):
        text = f"{text} (default: %(default)s)"
        add(flag, type=kind, default=default, metavar="NUMBER", help=text)
    output = (
        "the figure (default: plots/<model>_filters.png, with --face "
        "plots/<model>_responses.png)"
    )
    add("--output", metavar="FILE", help=output)
    return parser


def compute_layers(parts, options):
    """Climb for the chosen units of every part; a list of Layer."""
    counts = [filters.choose_count(part, options.count) for part in parts]
    faces = None
    if any(counts):
        images, _ = data.load_training_faces(options.train, options.ignore)
        faces = images[: filters.ACTIVITY_FACES]
    layers = []
    for part, count in zip(parts, counts, strict=True):
        units = filters.choose_units(part, count, faces)
        text = f"{part.name}, {len(units)} of {part.output_shape[-1]}"
        layers.append(
            filters.compute_preferred(
                part,
                units,
                steps=options.steps,
                step_size=options.step_size,
                decay=options.decay,
                blur=options.blur,
                seed=options.seed,
                advance=Progress(text, options.steps * len(units)).advance,
            )
        )
    return layers


def load_face(options):
    """The face of --face, uint8 (48, 48, 1), and its label.

    Raises:
        InputError: there is none of that number.
    """
    images, labels = data.load_training_faces(options.train, options.ignore)
    if not 0 <= options.face < len(images):
        raise command.InputError(
            f"--face {options.face}: expected a row of {options.train} from 0 to "
            f"{len(images) - 1}, found none of that number; choose another"
        )
    return images[options.face], labels[options.face]


def main(arguments=None):
    options = build_parser().parse_args(arguments)
    checkpoint = paths.choose_model(options.model)
    kind = "filters" if options.face is None else "responses"
    path = figures.choose_path(options.output, checkpoint, kind)
    gradients.check_backend()
    model = checkpoints.load_checkpoint(checkpoint)
    convolutions = gradients.find_convolutions(model)
    drawn = convolutions[-1:] if options.face is None else convolutions
    layers = options.layer or drawn
    if not layers:
        raise command.InputError(
            f"{checkpoint}: expected a model with convolutions, found none; choose a "
            "layer, such as --layer logits"
        )
    parts = [gradients.build_part(model, layer) for layer in layers]
    name = checkpoint.stem
    if options.face is None:
        title = (
            f"{name}: what excites it most, after {options.steps} steps of "
            f"{options.step_size:g} from grey noise in [0, 255]"
        )
        sheets.plot_filters(compute_layers(parts, options), title, path)
    else:
        face, label = load_face(options)
        count = options.count or filters.RESPONSES_PER_LAYER
        count = None if count == "all" else count
        maps = [filters.compute_responses(part, face, count) for part in parts]
        caption = f"face {options.face}, {EMOTIONS[label]}"
        title = f"{name}: its responses to one face"
        sheets.plot_responses(face, caption, maps, title, path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
