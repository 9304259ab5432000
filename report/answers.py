"""What networks answer about faces that they were not trained on, counted and compared.

A measure that was counted for the page has the source "CHECKPOINT on FACES: key".
"""

import dataclasses

import numpy as np

from fer import checkpoints, held_out, measures, prediction
from fer.command import InputError
from fer.faces import EMOTIONS, compute_fingerprint
from report.faces import LabelledFaces
from report.measure import compare, derive, take
from report.page import Missing


@dataclasses.dataclass(frozen=True)
class Answers:
    """The answers of one network about faces.

    Attributes:
        name: of the network.
        source: "CHECKPOINT on FACES".
        identity: the same for the same faces in the same order.
        images: uint8 (n, 48, 48, 1).
        labels: int (n,) in 0..6.
        probabilities: float (n, 7).
    """

    name: str
    source: str
    identity: str
    images: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray

    @property
    def is_right(self):
        return self.probabilities.argmax(axis=1) == self.labels

    def take(self, key, value):
        return take(self.source, key, value)


def find_validation_faces(run, faces):
    """The faces that a run held out, by its record.

    Args:
        run: a `report.runs.Run`.
        faces: the LabelledFaces to train on, or a Missing.

    Returns:
        LabelledFaces, or None.
        reason: why there are none, or None.
    """
    if run.record and run.record.get("validation_faces"):
        source = run.record["validation_faces"]
        try:
            found = held_out.load_recorded_faces(source)
        except InputError as error:
            return None, str(error)
        return LabelledFaces(source["path"], found.images, found.labels), None
    if isinstance(faces, Missing):
        return None, faces.reason
    origin, images, labels = faces
    rows, reason = checkpoints.find_held_out_rows([run.path], images, labels)
    if reason is not None:
        return None, reason
    return LabelledFaces(origin, images[rows], labels[rows]), None


def ask_validation(run, faces):
    """The Answers of a run about the faces that it held out, or a Missing."""
    found, reason = find_validation_faces(run, faces)
    return Missing(f"{reason}.") if found is None else ask(run, found)


def ask(run, faces):
    """The Answers of a run about LabelledFaces."""
    origin, images, labels = faces
    return Answers(
        run.name,
        f"{run.path} on {origin}",
        compute_fingerprint(images, labels),
        images,
        labels,
        prediction.predict(run.model, images),
    )


def average(answers):
    """The Answers of the average of several networks about the same faces."""
    first = answers[0]
    paths = " and ".join(one.source.partition(" on ")[0] for one in answers)
    return dataclasses.replace(
        first,
        name=" + ".join(one.name for one in answers),
        source=f"{paths} on {first.source.partition(' on ')[2]}",
        probabilities=np.mean([one.probabilities for one in answers], axis=0),
    )


def describe_accuracy(answers, kind="validation", rows=slice(None)):
    """The accuracy of Answers on some of their faces, with its standard error.

    Args:
        answers: the Answers.
        kind: of faces, for the keys.
        rows: bool (n,), which faces count.
    """
    right = answers.is_right[rows]
    accuracy = answers.take(f"{kind} accuracy", right.mean() if len(right) else None)
    count = answers.take(f"{kind} faces", len(right))
    error = accuracy and derive("standard error", accuracy, count)
    return {"accuracy": accuracy, "count": count, "error": error}


def compare_accuracy(first, second):
    """The Difference of two Answers; paired where they are about the same faces."""
    if first.identity == second.identity:
        mean, error = measures.compute_paired_difference(
            first.is_right, second.is_right
        )
        both = f"{first.source} and {second.source}"
        size = take(both, "difference of accuracies", mean)
        error = take(both, "paired standard error of the difference", error)
        return compare(first.name, second.name, size, error)
    one, other = describe_accuracy(first), describe_accuracy(second)
    return compare_recorded(
        first.name,
        second.name,
        (one["accuracy"], one["count"]),
        (other["accuracy"], other["count"]),
    )


def compare_recorded(first, second, one, other):
    """The Difference of two accuracies, each with its number of faces (Measures)."""
    size = derive("difference", one[0], other[0])
    error = derive("standard error of the difference", *one, *other)
    return compare(first, second, size, error)


def describe_emotions(answers):
    """Recall, precision and confusions of Answers.

    Returns:
        Dict of counts (int (7, 7)), rows (a dict per emotion), confusions (the notable
        ones, most frequent first), least (the share above which they are), highest and
        lowest (rows by recall), perfect (emotions never taken for another), absent
        (emotions without faces).
    """
    counts = measures.compute_confusion(answers.probabilities, answers.labels)
    recalls = measures.compute_recalls(counts)
    given = counts.sum(axis=0)
    rows = []
    for i, emotion in enumerate(EMOTIONS):
        faces = answers.take(f"faces of {emotion}", counts[i].sum())
        recall = precision = error = None
        if faces.value:
            recall = answers.take(f"recall of {emotion}", recalls[i])
            error = derive("standard error", recall, faces)
        if given[i]:
            precision = answers.take(f"precision of {emotion}", counts[i, i] / given[i])
        rows.append(
            {
                "emotion": emotion,
                "faces": faces,
                "recall": recall,
                "error": error,
                "precision": precision,
            }
        )
    present = sorted(
        (row for row in rows if row["recall"]), key=lambda row: -row["recall"].value
    )
    return {
        "name": answers.name,
        "counts": counts,
        "rows": rows,
        "confusions": list_confusions(answers, counts),
        "least": take("fer/measures.py", "NOTABLE_SHARE", measures.NOTABLE_SHARE),
        "highest": present[0],
        "lowest": present[-1],
        "perfect": [row["emotion"] for row in present if row["recall"].value == 1],
        "absent": [row["emotion"] for row in rows if not row["recall"]],
    }


def list_confusions(answers, counts):
    """The notable confusions, each a dict of true, given and share."""
    return [
        {
            "true": EMOTIONS[true],
            "given": EMOTIONS[given],
            "share": answers.take(
                f"{EMOTIONS[true]} taken for {EMOTIONS[given]}", share
            ),
        }
        for true, given, share in measures.find_confusions(counts)
    ]


def describe_calibration(answers):
    """The expected calibration error, and mean confidence against accuracy."""
    calibration = measures.compute_calibration(answers.probabilities, answers.labels)
    confidences = answers.probabilities.max(axis=1)
    mean, error = measures.compute_paired_difference(confidences, answers.is_right)
    excess = answers.take("confidence above accuracy", mean)
    error = answers.take("standard error of confidence above accuracy", error)
    return {
        "name": answers.name,
        "calibration": calibration,
        "distance": answers.take("calibration error", calibration.error),
        "confidence": answers.take("mean confidence", confidences.mean()),
        "excess": compare("confidence", "accuracy", excess, error),
        **describe_accuracy(answers),
    }
