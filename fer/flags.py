"""The flags that every training script shares."""

import argparse
import dataclasses
from pathlib import Path

from fer.augmentation import AUGMENTATIONS
from fer.command import (
    file_stem,
    fraction,
    integer_from_zero,
    new_parser,
    number_from_zero,
    positive_integer,
    positive_number,
    seed_number,
)
from fer.data import VALIDATION_SHARE
from fer.devices import ONE, find_devices
from fer.held_out import validation_source
from fer.paths import run_file
from fer.provenance import keep_threads
from fer.recipes import NORMALIZATIONS
from fer.sources import add_train_flags

SCHEDULES = ("cosine", "constant")
OPTIMIZERS = ("sgd", "adam")
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


def build_parser(description, name, network_names, recipe):
    """The flags that every training script shares.

    Args:
        description: the script's docstring.
        name: of the run, unless --name says otherwise.
        network_names: what --network accepts; the first is the default.
        recipe: of the default network; its values stand in --help.
    """
    parser = new_parser(description)
    add_faces_flags(parser.add_argument_group("faces"))
    add_network_flags(parser.add_argument_group("network"), network_names)
    add_recipe_flags(parser.add_argument_group("recipe"), network_names[0], recipe)
    add_run_flags(parser.add_argument_group("run"), name)
    return parser


def add_faces_flags(group):
    """Which faces to train on, and by which to measure."""
    add_train_flags(group)
    add = group.add_argument
    add(
        "--validation",
        type=validation_source,
        default=VALIDATION_SHARE,
        metavar="SHARE|FOLD|USAGE|PATH",
        help="faces that choose the best epoch: a share of --train that is held out, a "
        "fold of it such as 1/10, a Usage of the file such as PublicTest, or other "
        "labelled faces; 0 keeps the last epoch of a training on every row "
        "(default: %(default)s)",
    )
    add(
        "--keep",
        choices=("best", "last"),
        help="the epoch whose weights are kept, or go into --finish: the best on the "
        "validation faces, or the last, which these then did not choose and before "
        "which no patience stops the run (default: best)",
    )
    add(
        "--twin",
        metavar="CHECKPOINT",
        help="beside --validation 0: a network that held faces out, by which later "
        "scripts measure this one (default: none)",
    )


def add_network_flags(group, network_names):
    """What to train."""
    add = group.add_argument
    add(
        "--network",
        default=network_names[0],
        choices=network_names,
        help=f"a file of networks/ (default: {network_names[0]})",
    )
    add(
        "--start-from",
        metavar="CHECKPOINT",
        type=Path,
        help="go on from a trained network, whose layers and normalization are kept, "
        "and which faces of --train it held out (default: a new network)",
    )
    add(
        "--recipe",
        choices=network_names,
        metavar="NETWORK",
        help="train as this network is trained (default: as --network is)",
    )


def add_recipe_flags(group, network_name, recipe):
    """How to train it, where the recipe of the network is not wanted.

    Args:
        group: of a parser.
        network_name: the default one.
        recipe: of that.
    """

    def name_default(value):
        return f"(default: the recipe's; {value} for {network_name})"

    add = group.add_argument
    for flag, kind, text in (
        ("epochs", integer_from_zero, "passes over the training faces"),
        (
            "finish",
            integer_from_zero,
            "epochs after these, from a tenth of the rate in a cosine, on labels and "
            "faces that are only mirrored; the mean of the weights before and after is "
            "kept, and no patience stops the run; 0 beside --start-from where nothing "
            "else is said",
        ),
        ("batch_size", positive_integer, "faces per step"),
        ("learning_rate", positive_number, "peak of the schedule"),
        (
            "weight_decay",
            number_from_zero,
            "share of a kernel taken off per step, times the learning rate",
        ),
        ("label_smoothing", fraction, "share of a target spread over all emotions"),
        ("mixup", number_from_zero, "beta parameter of blending faces in pairs"),
    ):
        add(
            f"--{flag.replace('_', '-')}",
            type=kind,
            metavar="NUMBER",
            help=f"{text} {name_default(getattr(recipe, flag))}",
        )
    for flag, choices, text in (
        ("optimizer", OPTIMIZERS, "sgd has Nesterov momentum 0.9"),
        ("schedule", SCHEDULES, "of the learning rate; cosine falls to zero"),
        ("augmentation", AUGMENTATIONS, "random changes of the training faces"),
        ("normalization", NORMALIZATIONS, "scaling of the pixels inside the model"),
    ):
        add(
            f"--{flag}",
            choices=list(choices),
            help=f"{text} {name_default(getattr(recipe, flag))}",
        )
    add(
        "--class-weights",
        action="store_const",
        const=True,
        help="give every emotion the same weight in the loss "
        f"{name_default('on' if recipe.class_weights else 'off')}",
    )
    add(
        "--teachers",
        nargs="+",
        metavar="CHECKPOINT",
        help="distil: half of a face's target is the average answer, with test-time "
        "augmentation, of those checkpoints that held the face out; faces that none "
        "held out keep their label. Each must have held out some; NAME_answers.npz of "
        "train_ensemble.py --folds works too (default: none)",
    )


def add_run_flags(group, name):
    """What the run is called, and how the machine computes it.

    Args:
        group: of a parser.
        name: of the run, unless --name says otherwise.
    """
    add = group.add_argument
    add(
        "--name",
        type=file_stem,
        default=name,
        help="stem of checkpoints/NAME.* and plots/NAME_history.png "
        "(default: %(default)s)",
    )
    add(
        "--seed",
        type=seed_number,
        default=0,
        help="of all random numbers but the draw of the validation faces, which every "
        "seed has in common (default: %(default)s)",
    )
    add(
        "--resume",
        action="store_true",
        help="continue this run after its last finished epoch",
    )
    add(
        "--devices",
        type=find_devices,
        default=ONE,
        metavar="one|all",
        help="all shares every batch among the devices that KERAS_BACKEND=jax finds, "
        "of several processes too, see experiments/machines.md (default: one)",
    )
    add(
        "--precision",
        default="auto",
        choices=PRECISIONS,
        help="auto takes 16 bits where the hardware is fast with them "
        "(default: %(default)s)",
    )
    add(
        "--fast-layers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="train in layers that compute the same as Keras' own in less time, on a "
        "processor with TensorFlow; other sums, so that single bits differ, and a run "
        "that was started with Keras' own goes on with --no-fast-layers "
        "(default: fast)",
    )


def parse_run(parser, arguments=None):
    """The options of a run, where a checkpoint to start from brings its network.

    Args:
        parser: of `build_parser`.
        arguments: list of texts, or None for those of the command line.
    """
    # By None the default is told from a network that was asked for.
    options = parser.parse_args(arguments, argparse.Namespace(network=None))
    if options.resume:
        keep_threads(run_file(options.name, ".state"))
    if options.twin is not None and options.validation != 0:
        parser.error(
            "argument --twin: expected --validation 0 beside it, for a run that holds "
            "faces out is measured itself; add that or leave --twin out"
        )
    if options.epochs == 0 and not (options.start_from and options.finish):
        parser.error(
            "argument --epochs: expected 1 or more, found 0, which goes with "
            "--start-from and --finish alone; add both or train for some"
        )
    if options.start_from is None:
        options.network = options.network or parser.get_default("network")
        return options
    # The last one is a flag of train_dnn.py alone.
    for flag in ("network", "normalization", "match"):
        if getattr(options, flag, None) is not None:
            parser.error(
                f"argument --{flag}: not allowed with --start-from, whose checkpoint "
                "brings its own"
            )
    if options.finish is None:
        # To go on is part of something longer, which may have had its finish.
        options.finish = 0
    return options


def override(recipe, options):
    """The recipe with every value that a flag gives."""
    given = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(recipe)
        if getattr(options, field.name, None) is not None
    }
    return dataclasses.replace(recipe, **given)
