"""Train several networks that differ in seed or design, and average them.

    python train_ensemble.py --members 5
    python train_ensemble.py --networks vgg small --recipe vgg --epochs 20
    python train_ensemble.py --folds 10 --jobs 2

Member i is what `train_cnn.py --name ensemble_i` with a seed of its own trains: a
checkpoint that can be used alone. The networks take turns, and flags of train_cnn.py
that are not listed here, such as --recipe or --epochs, go to every member. All members
hold out the same validation faces. The same command again continues where it was
stopped and trains no finished member a second time.

Printed and drawn (plots/ensemble_members.png): the validation accuracy of the averaged
probabilities for every number of members k, as the mean over all choices of k among
the members, with the worst and the best choice; so no order of the members flatters
the curve. plots/ensemble_confusion_matrix.png shows the first member against all.

With --folds member k holds out fold k, takes its last epoch, which these faces then did
not choose, and scales each face by itself if k is even. Out comes an answer about every
face by the network that did not see it, with --tta (checkpoints/ensemble_answers.npz,
which --teachers of train_cnn.py takes), and from these the cross-validated accuracy of
one network over all faces.

Four small networks and a default one of 15 epochs take 47 minutes in sum, two or three
at a time on two AVX512_BF16 cores, and reach 65.3 % of a tenth of the faces, held out
(--validation 0.1 --finish 0), 63.0 % one by one.
"""

import shlex

import numpy as np

import train_cnn
from fer import (
    checkpoints,
    command,
    data,
    ensembles,
    figures,
    fine_tuning,
    held_out,
    jobs,
    measures,
    paths,
    prediction,
    sources,
)
from fer.answers import predict_held_out, write_answers
from networks import DEFAULT_NETWORK, NETWORKS

MEMBERS = 5


def build_parser():
    parser = command.new_parser(__doc__)
    add = parser.add_argument
    sources.add_train_flags(parser)
    add(
        "--members",
        type=command.whole_number(1, ensembles.MOST_MEMBERS),
        metavar="NUMBER",
        help=f"networks to train and average (default: {MEMBERS})",
    )
    add(
        "--folds",
        type=command.whole_number(2, held_out.MOST_FOLDS),
        metavar="NUMBER",
        help="one member a fold of the faces instead, each scored on its own fold "
        "(default: all members hold out the same faces)",
    )
    add(
        "--networks",
        nargs="+",
        choices=NETWORKS,
        metavar="NETWORK",
        help="files of networks/ that the members take turns in, of "
        f"{', '.join(NETWORKS)} (default: {DEFAULT_NETWORK}, or that of --start-from)",
    )
    add(
        "--name",
        type=command.file_stem,
        default="ensemble",
        help="stem of checkpoints/NAME_1.* and so on (default: %(default)s)",
    )
    add(
        "--seed",
        type=command.seed_number,
        default=0,
        help="of the first member; each later one has the next (default: %(default)s)",
    )
    jobs.add_jobs_flags(parser)
    return parser


def plan_members(options, recipe_flags):
    """The runs of the members, each by itself a run of train_cnn.py.

    Args:
        options: of this script.
        recipe_flags: for train_cnn.py, a list of texts.

    Raises:
        InputError: these flags leave nothing to compare the members on.
    """
    members = []
    for i in range(options.folds or options.members or MEMBERS):
        arguments = sources.list_train_flags(options)
        if options.networks:
            arguments += ["--network", options.networks[i % len(options.networks)]]
        arguments += ["--name", f"{options.name}_{i + 1}", "--seed", options.seed + i]
        if options.folds:
            arguments += ["--validation", f"{i + 1}/{options.folds}", "--keep", "last"]
        if options.folds and i % 2:
            arguments += ["--normalization", "image"]
        members.append(jobs.plan(train_cnn, arguments + recipe_flags))
        check(options, i, members[i].options)
    return members


def check(options, i, member):
    """Refuse flags of `plan_members` under which member i could not be compared.

    Args:
        options: of this script.
        i: from 0 up.
        member: the options of its run.
    """
    if member.validation == 0:
        raise command.InputError(
            "--validation: expected a share above 0, found 0; the members are compared "
            "on the faces that they hold out"
        )
    if not options.folds:
        return
    if options.members:
        raise command.InputError(
            "--members: expected none beside --folds, which trains one a fold; leave "
            "one of the two out"
        )
    if (member.validation, member.keep) != (f"{i + 1}/{options.folds}", "last"):
        raise command.InputError(
            "--validation and --keep: expected none beside --folds, where each member "
            "holds out its fold and takes its last epoch; leave them out"
        )
    if member.start_from:
        raise command.InputError(
            "--start-from: expected none beside --folds, for a network that has seen "
            "the faces of a fold cannot hold them out; leave one of the two out"
        )


def compare(models, faces, options):
    """Print and draw what averaging brings on the faces that all members held out."""
    labels = faces.validation_labels
    probabilities = np.array(
        [
            prediction.predict(
                checkpoints.load_checkpoint(path), faces.validation_images
            )
            for path in models
        ]
    )
    growth = ensembles.compute_growth(probabilities, labels)
    print("", *ensembles.describe_growth(growth), sep="\n")
    title = f"{options.name}: {len(labels):,} validation faces"
    path = paths.PLOTS / f"{options.name}_members.png"
    figures.plot_growth(growth, title, path)
    print(f"wrote {path}")
    draw_confusions(
        {
            models[0].stem: probabilities[0],
            f"average of {len(models)}": np.mean(probabilities, axis=0),
        },
        labels,
        title,
        options,
    )


def cross_validate(models, faces, options):
    """Print the accuracy on faces that were not seen; keep the answers about them."""
    answers = predict_held_out(models, faces.images, faces.labels)
    for path in models:
        fold = checkpoints.load_record(path)["validation_rows"]
        accuracy = measures.compute_accuracy(answers[fold], faces.labels[fold])
        print(f"{path}: {accuracy:.4f} of the {len(fold):,} faces of its fold")
    accuracy = measures.compute_accuracy(answers, faces.labels)
    error = measures.compute_standard_error(accuracy, len(answers))
    print(f"cross-validated accuracy {accuracy:.4f}, standard error {error:.4f}")
    path = paths.run_file(options.name, "_answers.npz")
    write_answers(path, answers, faces.images, faces.labels)
    print(f"wrote {path}")
    title = f"{options.name}: {len(answers):,} faces by networks that did not see them"
    draw_confusions({"cross-validated": answers}, faces.labels, title, options)


def draw_confusions(answers, labels, title, options):
    """Draw the confusion matrix of each named array of probabilities."""
    path = paths.PLOTS / f"{options.name}_confusion_matrix.png"
    confusions = {
        name: measures.compute_confusion(given, labels)
        for name, given in answers.items()
    }
    figures.plot_confusions(measures.title_confusions(confusions), title, path)
    print(f"wrote {path}")


def main():
    options, recipe_flags = build_parser().parse_known_args()
    # Ends the script at once where they are no flags of train_cnn.py either.
    members = plan_members(options, recipe_flags)
    faces = data.load_split(
        options.train, members[0].options.validation, options.ignore
    )
    if members[0].options.start_from:
        faces = fine_tuning.keep_held_out(faces, members[0].options.start_from)
    jobs.run_all(members, options, faces)

    models = [paths.run_file(member.name, ".keras") for member in members]
    if options.folds:
        cross_validate(models, faces, options)
    else:
        compare(models, faces, options)
    print("next:", shlex.join(["python", "predict.py", *map(str, models)]), sep="\n")


if __name__ == "__main__":
    command.run(main)
