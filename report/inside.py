"""What is seen inside a network, and in the faces themselves, drawn and measured.

Everything here goes the way of the plot scripts; what is chosen is which faces are
shown, since those of FER2013 are not ours to publish.
"""

import numpy as np

from fer import (
    component_figures,
    drawn_faces,
    filters,
    gradients,
    measures,
    prediction,
    saliency,
    sheets,
)
from fer import principal_components as pca
from fer.command import InputError
from fer.faces import EMOTIONS
from fer.progress import Progress
from report.measure import compare, take
from report.page import Missing


def plot_saliency_maps(run, shown, path):
    """Draw the surest right and wrong answer of every emotion, and its saliency."""
    layout = saliency.choose_faces(
        np.arange(len(shown.images)),
        shown.labels,
        prediction.predict(run.model, shown.images),
        EMOTIONS,
        count=1,
    )
    rows = layout[layout >= 0]
    layer = saliency.find_grad_cam_layer(run.model, None)
    images, labels = shown.images[rows], shown.labels[rows]
    explanation = explain(run, images, layer)
    title = f"{run.name}: what the predicted emotion depends on"
    sheets.plot_faces(images, labels, explanation, layout >= 0, title, path)


def explain(run, images, layer=None):
    """The `saliency.Explanation` of faces, with its progress shown."""
    progress = Progress("saliency", saliency.SAMPLES * len(images))
    return saliency.explain(run.model, images, layer, advance=progress.advance)


def describe_saliency(run, answers):
    """What the most salient pixels are worth, against as many random ones.

    Args:
        run: of the network.
        answers: of it, about faces that it was not trained on.

    Returns:
        Dict of the count of faces, the share of the pixels, the mean probability with
        all of them, rows (kind, kept, removed), and two Differences, kept and removed.
    """
    rng = np.random.default_rng(0)
    faces = rng.permutation(len(answers.images))[: saliency.SCORED_FACES]
    images = answers.images[faces]
    explanation = explain(run, images)
    classes = explanation.probabilities.argmax(axis=1)
    scores = saliency.compute_score(run.model, images, classes, explanation.saliency)

    def measure(key, value):
        return answers.take(f"saliency, {key}", value)

    differences = {}
    for i, (kind, verb) in enumerate((("kept", "keeping"), ("removed", "removing"))):
        gain, error = measures.compute_paired_difference(
            scores["most salient"][i], scores["random"][i]
        )
        differences[kind] = compare(
            f"{verb} the most salient pixels",
            f"{verb} as many random ones",
            measure(f"{kind}, salient above random", gain),
            measure(f"{kind}, standard error", error),
        )
    return {
        "name": run.name,
        "count": measure("faces", len(faces)),
        "share": take("fer/saliency.py", "KEPT_SHARE", saliency.KEPT_SHARE),
        "whole": measure(
            "all pixels", explanation.probabilities.max(axis=1).mean(dtype=float)
        ),
        "rows": [
            {
                "kind": kind,
                "kept": measure(f"kept, {kind}", kept.mean(dtype=float)),
                "removed": measure(f"removed, {kind}", removed.mean(dtype=float)),
            }
            for kind, (kept, removed) in scores.items()
        ],
        **differences,
    }


def plot_preferred(run, layer, faces, path):
    """Draw what excites the units of a layer: all, or those most active on faces."""
    part = gradients.build_part(run.model, layer)
    units = filters.choose_units(part, filters.choose_count(part), faces)
    text = f"{layer}, {len(units)} of {part.output_shape[-1]}"
    progress = Progress(text, filters.STEPS * len(units))
    preferred = filters.compute_preferred(part, units, advance=progress.advance)
    title = f"{run.name}: what excites it most, climbing from grey noise"
    sheets.plot_filters([preferred], title, path)


def plot_responses(run, shown, path):
    """Draw what every convolution answers to the first face that is shown."""
    face, label = shown.images[0], shown.labels[0]
    maps = [
        filters.compute_responses(
            gradients.build_part(run.model, name),
            face,
            filters.RESPONSES_PER_LAYER,
        )
        for name in gradients.find_convolutions(run.model)
    ]
    title = f"{run.name}: its responses to one face"
    sheets.plot_responses(face, EMOTIONS[label], maps, title, path)


def analyze_faces(faces):
    """The principal components of LabelledFaces to train on.

    Returns:
        The `fer.principal_components.Components`.
        Dict of the count of faces, rows (share of the variance and the components that
        explain it) and the emotions' share of the first two components.
    """
    origin, images, labels = faces
    found = pca.analyze(images.reshape(len(images), -1), labels)
    rows = [
        {
            "share": take("fer/component_figures.py", "EXPLAINED_SHARES", share),
            "count": take(
                origin,
                f"components that explain {share}",
                pca.count_components(found.explained, share),
            ),
        }
        for share in component_figures.EXPLAINED_SHARES
    ]
    emotions = [
        take(origin, f"share of emotion in component {number}", share)
        for number, share in enumerate(found.emotion_share, start=1)
    ]
    return found, {
        "count": take(origin, "faces", len(images)),
        "pixels": take(origin, "pixels of a face", images[0].size),
        "rows": rows,
        "emotions": emotions,
    }


def plot_components(found, path):
    """Draw principal components, and drawn faces rebuilt from them."""
    faces = drawn_faces.draw_emotions()
    faces = faces.reshape(len(faces), -1)
    rebuilt = pca.rebuild(faces, found, component_figures.NUM_COMPONENTS)
    component_figures.plot_components(found, rebuilt, path)


def describe_looks(run, ask, shown, pictures):
    """Saliency maps of faces that may be shown, and what salient pixels are worth."""
    try:
        gradients.check_backend()
        gradients.build_part(run.model, gradients.LOGITS)
    except InputError as error:
        return Missing(str(error))
    picture = None
    if shown is not None:
        picture = pictures.draw(plot_saliency_maps, run, shown, suffix=".png")
    found = ask(run)
    score = found
    if not isinstance(found, Missing):
        score = describe_saliency(run, found)
    return {"name": run.name, "picture": picture, "shown": shown, "score": score}


def describe_filters(run, activity, shown, pictures):
    """What filters and emotions look like to a network, and its responses to a face.

    Args:
        run: of the network.
        activity: the LabelledFaces on which active filters are found.
        shown: faces that may be shown, or None.
        pictures: to draw with.
    """
    try:
        gradients.check_backend()
        convolutions = gradients.find_convolutions(run.model)
        gradients.build_part(run.model, gradients.LOGITS)
    except InputError as error:
        return Missing(str(error))
    if not convolutions:
        return Missing(f"{run.name} has no convolutions.", "python train_cnn.py")
    described = {"name": run.name, "layer": convolutions[-1], "origin": activity.origin}
    for key, layer in (("filters", convolutions[-1]), ("emotions", gradients.LOGITS)):
        described[key] = pictures.draw(
            plot_preferred, run, layer, activity.images, suffix=".png"
        )
    described["responses"] = None
    if shown is not None:
        described["responses"] = pictures.draw(
            plot_responses, run, shown, suffix=".png"
        )
    return described


def describe_components(faces, shown, pictures):
    """Principal components of the training faces."""
    if isinstance(faces, Missing):
        return faces
    found, described = analyze_faces(faces)
    described["picture"] = None
    if shown is not None:
        described["picture"] = pictures.draw(plot_components, found, suffix=".png")
    return described
