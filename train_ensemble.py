"""Train several networks that differ in seed or design, and average them.

    python train_ensemble.py --members 5
    python train_ensemble.py --networks vgg small --recipe vgg --epochs 20

Member i is what `train_cnn.py --name ensemble_i` with a seed of its own trains: a
checkpoint that can be used alone. The networks take turns, and flags of train_cnn.py
that are not listed here, such as --recipe or --epochs, go to every member. All members
hold out the same validation faces. The same command again continues where it was
stopped and trains no finished member a second time.

Printed and drawn (plots/ensemble_members.png): the validation accuracy of the averaged
probabilities for every number of members k, as the mean over all choices of k among
the members, with the worst and the best choice; so no order of the members flatters
the curve. plots/ensemble_confusion_matrix.png shows the first member against all.

Four small networks and a default one of 15 epochs take 47 minutes on two AVX512_BF16
cores and reach 65.3 % of the validation faces, 63.0 % one by one.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

import train_cnn
from fer import checkpoints, command, data, figures, flags, jobs, measures, paths
from networks import DEFAULT_NETWORK, NETWORKS

# All choices among them are averaged: 4,095.
MOST_MEMBERS = 12


def build_parser():
    parser = command.new_parser(__doc__)
    add = parser.add_argument
    flags.add_train_flag(parser)
    add(
        "--members",
        type=command.whole_number(1, MOST_MEMBERS),
        default=5,
        metavar="NUMBER",
        help="networks to train and average (default: %(default)s)",
    )
    add(
        "--networks",
        nargs="+",
        default=[DEFAULT_NETWORK],
        choices=NETWORKS,
        metavar="NETWORK",
        help="files of networks/ that the members take turns in, of "
        f"{', '.join(NETWORKS)} (default: {DEFAULT_NETWORK})",
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
    jobs.add_jobs_flag(parser)
    return parser


def plan_members(options, recipe_flags):
    """The runs of the members, each by itself a run of train_cnn.py.

    Args:
        options: of this script.
        recipe_flags: for train_cnn.py, a list of texts.
    """
    members = []
    for i, network in zip(
        range(options.members), itertools.cycle(options.networks), strict=False
    ):
        arguments = ["--train", options.train, "--network", network]
        arguments += ["--name", f"{options.name}_{i + 1}", "--seed", options.seed + i]
        members.append(jobs.plan(train_cnn, arguments + recipe_flags))
    return members


def compute_growth(probabilities, labels):
    """Accuracy of the average of every choice of members.

    Args:
        probabilities: float (members, n, 7).
        labels: int (n,).

    Returns:
        A list whose entry k - 1 holds the accuracies of all choices of k members.
    """
    return [
        np.array(
            [
                checkpoints.compute_accuracy(np.mean(chosen, axis=0), labels)
                for chosen in itertools.combinations(probabilities, k)
            ]
        )
        for k in range(1, len(probabilities) + 1)
    ]


def describe_growth(growth):
    """The accuracies by number of members, as lines of text."""
    yield "members  choices  validation accuracy: mean  worst   best"
    for k, accuracies in enumerate(growth, start=1):
        yield (
            f"{k:7}  {len(accuracies):7,}  {accuracies.mean():25.4f}  "
            f"{accuracies.min():.4f}  {accuracies.max():.4f}"
        )


def plot_growth(growth, title, path):
    """Draw the accuracy against the number of members, mean and range of choices."""
    numbers = np.arange(1, len(growth) + 1)
    figure, panel = plt.subplots(figsize=(5, 4), layout="constrained")
    color = figures.COLORS[1]
    for number, accuracies in zip(numbers, growth, strict=True):
        panel.plot(
            np.full(len(accuracies), number),
            accuracies,
            "o",
            color="0.6",
            markersize=3,
            label="one choice of members" if number == 1 else None,
        )
    means = [accuracies.mean() for accuracies in growth]
    panel.plot(numbers, means, "o-", color=color, label="mean of all choices")
    panel.set(xlabel="members averaged", ylabel="validation accuracy", title=title)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right")
    figures.save_figure(figure, path)


def main():
    options, recipe_flags = build_parser().parse_known_args()
    # Ends the script at once where they are no flags of train_cnn.py either.
    members = plan_members(options, recipe_flags)
    if members[0].options.validation == 0:
        raise command.InputError(
            "--validation: expected a share above 0, found 0; the members are compared "
            "on the faces that they hold out"
        )
    faces = data.load_split(options.train, members[0].options.validation)
    jobs.run_all(members, options.jobs, faces)

    models = [paths.run_file(member.name, ".keras") for member in members]
    labels = faces.validation_labels
    probabilities = np.array(
        [
            checkpoints.predict(
                checkpoints.load_checkpoint(path), faces.validation_images
            )
            for path in models
        ]
    )
    growth = compute_growth(probabilities, labels)
    print("", *describe_growth(growth), sep="\n")

    title = f"{options.name}: {len(labels):,} validation faces"
    path = paths.PLOTS / f"{options.name}_members.png"
    plot_growth(growth, title, path)
    print(f"wrote {path}")
    confusions = {
        f"{caption}: accuracy {accuracies[0]:.3f}": (
            measures.compute_confusion(labels, given)
        )
        for caption, accuracies, given in (
            (models[0].stem, growth[0], probabilities[0]),
            (f"average of {len(models)}", growth[-1], probabilities.mean(axis=0)),
        )
    }
    path = paths.PLOTS / f"{options.name}_confusion_matrix.png"
    figures.plot_confusions(confusions, title, path)
    print(f"wrote {path}; next:")
    print(f"python predict.py {' '.join(map(str, models))}")


if __name__ == "__main__":
    command.run(main)
