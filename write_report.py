"""Write the page of results: checkpoints and what lies beside them to one HTML file.

    python write_report.py                          # writes report.html
    python write_report.py pretrained/*.keras --labels labels.csv

The page holds the networks, how they were trained, what they get right and take for
what, how far their probabilities can be believed, what they look at, what they compute,
and the studies whose tables lie in plots/. Every number on it comes from a record, a
log, a table or a count made here, and names its source; every sentence is chosen by
these numbers, and a difference that chance would make is called that. A part whose
runs do not exist names the command that makes them. In the place of a network that was
trained on every face stands the twin that its record names, except on test faces.

The file needs nothing else and opens from the disk. Faces shown are drawn ones: those
of FER2013 are not to be published, and only --faces own shows them. One checkpoint
takes two and a half minutes on two cores with AVX512_BF16.
"""

import datetime
import shlex
import sys

# Before Keras, which it has start in silence.
from fer import command, paths, sources, twins
from fer.command import InputError
from report import inside, results, studies
from report.answers import ask_validation
from report.faces import choose_active, choose_shown, load_test, load_training_faces
from report.page import Pictures, write_page
from report.runs import load_runs

import keras


def build_parser():
    parser = command.new_parser(__doc__)
    add = parser.add_argument
    add(
        "models",
        nargs="*",
        metavar="CHECKPOINT",
        help="the networks of the page (default: checkpoints/cnn.keras, else the "
        "shipped one, and checkpoints/dnn.keras if it exists)",
    )
    add(
        "--train",
        metavar="PATH",
        help="the faces that they were trained on (default: where the record of the "
        "first says)",
    )
    add(
        "--labels",
        metavar="PATH",
        help="known labels of some or all test faces, as for predict.py "
        "(default: none)",
    )
    add(
        "--test",
        metavar="PATH",
        help="test faces that bring their labels, or that --labels is about (default: "
        f"{paths.TEST_FACES} beside --labels)",
    )
    add(
        "--faces",
        default="drawn",
        choices=("drawn", "own", "none"),
        help="faces to show: drawn ones, those of --train that the first network held "
        "out, or none (default: %(default)s)",
    )
    sources.add_ignore_flag(parser)
    add(
        "--output",
        default="report.html",
        metavar="HTML",
        help="the page (default: %(default)s)",
    )
    return parser


def choose_checkpoints(models):
    """The checkpoints named, or those that a user has most likely made."""
    if models:
        return models
    dense = paths.run_file("dnn", ".keras")
    return [paths.find_default_model(), *([dense] if dense.exists() else [])]


def describe_making():
    """When, how and with what the page is made."""
    return {
        "date": datetime.date.today().isoformat(),
        "command": shlex.join(["python", "write_report.py", *sys.argv[1:]]),
        "keras": keras.__version__,
        "backend": keras.config.backend(),
    }


def describe(options):
    """All parts of the page, by the names that the template has for them.

    Raises:
        InputError: something the user gave is wrong.
    """
    named = choose_checkpoints(options.models)
    measured = twins.find_measured(named)
    runs = load_runs(measured)
    chosen = runs if measured == named else load_runs(named)
    faces = load_training_faces(options, runs)
    test = load_test(options, faces)
    main_run = results.choose_main(runs)
    answers = {}

    def ask(run):
        if run.path not in answers:
            print(f"validation faces: {run.path}", flush=True)
            answers[run.path] = ask_validation(run, faces)
        return answers[run.path]

    shown = choose_shown(options.faces, ask(main_run))
    with Pictures() as pictures:
        return {
            "making": describe_making(),
            "runs": runs,
            "twins": [
                (path, twin)
                for path, twin in zip(named, measured, strict=True)
                if path != twin
            ],
            "networks": results.describe_networks(runs),
            "training": results.describe_training(runs, pictures),
            "accuracy": results.describe_accuracies(runs, chosen, ask, test),
            "kinds": results.compare_kinds(runs, ask, pictures),
            "ablations": studies.describe_ablations(pictures),
            "confusions": results.describe_confusions(runs, ask, pictures),
            "calibration": results.describe_calibrations(runs, ask, pictures),
            "saliency": inside.describe_looks(main_run, ask, shown, pictures),
            "filters": inside.describe_filters(
                main_run, choose_active(faces, shown), shown, pictures
            ),
            "components": inside.describe_components(faces, shown, pictures),
            "semi_supervised": studies.describe_semi_supervised(pictures),
            "ensemble": studies.describe_ensemble(runs, ask, pictures),
        }


def main(arguments=None):
    options = build_parser().parse_args(arguments)
    if not options.output.endswith((".html", ".htm")):
        raise InputError(
            f"--output {options.output}: expected a file named .html, found another "
            "suffix; choose another"
        )
    write_page(describe(options), options.output)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    command.run(main)
