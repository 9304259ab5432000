"""What a model looks at: checkpoint and faces to saliency maps and Grad-CAM.

    python plot_saliency.py               # checkpoints/cnn.keras, else the shipped one
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
"""

import numpy as np

from fer import (
    checkpoints,
    command,
    evaluation,
    figures,
    gradients,
    paths,
    prediction,
    saliency,
    sheets,
)
from fer.faces import EMOTIONS
from fer.progress import Progress

# Right and wrong faces of each emotion that is asked for by name.
FACES_PER_NAMED_EMOTION = 3


def build_parser():
    parser = command.new_parser(__doc__)
    add = parser.add_argument
    paths.add_model(parser)
    evaluation.add_flags(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--rows",
        nargs="+",
        type=int,
        metavar="ROW",
        help="faces of --train or --test, counted from 0, or of the other source that "
        "the network was validated on (default: one right and one wrong face of every "
        "emotion)",
    )
    which.add_argument(
        "--emotion",
        nargs="+",
        choices=EMOTIONS,
        metavar="NAME",
        help=f"{FACES_PER_NAMED_EMOTION} right and as many wrong faces of each of "
        "these emotions (default: one of every emotion)",
    )
    samples = "noisy copies of a face that are averaged"
    noise = (
        "standard deviation of the noise, as a share of the face's range of grey "
        "levels; 0 with --samples 1 is the plain gradient"
    )
    for flag, kind, default, text in (
        ("--samples", command.positive_integer, saliency.SAMPLES, samples),
        ("--noise", command.fraction, saliency.NOISE, noise),
        ("--seed", command.seed_number, 0, "of the noise"),
    ):
        text = f"{text} (default: %(default)s)"
        add(flag, type=kind, default=default, metavar="NUMBER", help=text)
    add(
        "--grad-cam",
        metavar="LAYER",
        help="layer whose maps Grad-CAM weighs (default: the last convolution, after "
        "its normalization and activation)",
    )
    score = (
        "also print what the salient pixels are worth: the probability of the "
        "predicted emotion when only they are kept and when they are removed, over "
        f"{saliency.SCORED_FACES} faces, against random pixels"
    )
    add("--score", action="store_true", help=score)
    output = "the figure (default: plots/<model>_saliency.png)"
    add("--output", metavar="FILE", help=output)
    return parser


def choose_layout(model, faces, options):
    """Which face stands where: row numbers (lines, blocks), -1 for a gap.

    Raises:
        InputError: a row of --rows or an emotion of --emotion is not there.
    """
    for row in options.rows or ():
        if not 0 <= row < len(faces.images):
            raise command.InputError(
                f"--rows {row}: expected a row of {faces.source} from 0 to "
                f"{len(faces.images) - 1}, found none of that number; choose another"
            )
        if faces.labels[row] < 0:
            raise command.InputError(
                f"--rows {row}: expected a row of {faces.source} whose label is known, "
                "found one without; choose another"
            )
    if options.rows:
        return np.array(options.rows)[:, None]
    layout = saliency.choose_faces(
        faces.rows,
        faces.labels[faces.rows],
        prediction.predict(model, faces.images[faces.rows]),
        options.emotion or EMOTIONS,
        FACES_PER_NAMED_EMOTION if options.emotion else 1,
    )
    if (layout < 0).all():
        raise command.InputError(
            f"{faces.source}: expected {faces.kind} that are "
            f"{' or '.join(options.emotion)}, found none; choose another --emotion"
        )
    return layout


def score(model, images, explanation, seed):
    """What the salient pixels of explained faces are worth, as lines of text."""
    probabilities = explanation.probabilities
    classes = probabilities.argmax(axis=1)
    yield (
        f"probability of the predicted emotion over {len(images)} faces: "
        f"{probabilities.max(axis=1).mean():.3f}"
    )
    scores = saliency.compute_score(
        model, images, classes, explanation.saliency, seed=seed
    )
    for name, (kept, removed) in scores.items():
        yield (
            f"{100 * saliency.KEPT_SHARE:.0f} % of the pixels, {name:12}  "
            f"kept {kept.mean():.3f}  removed {removed.mean():.3f}"
        )


def main(arguments=None):
    options = build_parser().parse_args(arguments)
    checkpoint = paths.choose_model(options.model)
    path = figures.choose_path(options.output, checkpoint, "saliency")
    gradients.check_backend()
    faces, [checkpoint] = evaluation.load(options, [checkpoint])
    model = checkpoints.load_checkpoint(checkpoint)
    layer = saliency.find_grad_cam_layer(model, options.grad_cam)
    if layer is None:
        print("no Grad-CAM: the model has no convolution whose maps it could weigh")

    def explain(images, layer):
        return saliency.explain(
            model,
            images,
            layer,
            samples=options.samples,
            noise=options.noise,
            seed=options.seed,
            advance=Progress("saliency", options.samples * len(images)).advance,
        )

    layout = choose_layout(model, faces, options)
    rows = layout[layout >= 0]
    images, labels = faces.images[rows], faces.labels[rows]
    explanation = explain(images, layer)
    title = f"{checkpoint.stem}: what the predicted emotion depends on"
    sheets.plot_faces(images, labels, explanation, layout >= 0, title, path)
    print(f"wrote {path}")

    if options.score:
        rng = np.random.default_rng(options.seed)
        images = faces.images[rng.permutation(faces.rows)[: saliency.SCORED_FACES]]
        print(*score(model, images, explain(images, None), options.seed), sep="\n")


if __name__ == "__main__":
    command.run(main)
