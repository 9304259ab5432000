"""Hide most labels, train with pseudo-labels, and measure what the hidden faces add.

    python train_semi_supervised.py                   # 5, 10, 25, 50 and 100 % labels
    python train_semi_supervised.py --labelled 0.1    # 10 % only
    python train_semi_supervised.py --resume          # goes on after an interruption

Of the training part, the same as everywhere, a share of the faces keeps its labels:
stratified, drawn anew for every seed, copies of a face together. On them --network is
trained with each --method:

supervised      on the labelled faces alone; with all labels this is the ceiling.
self_training   Lee 2013: before each epoch, a round, the network labels the other faces
                as they are; those it is sure of are trained on with these labels.
fixmatch        Sohn et al. 2020 (arXiv 2001.07685): at each step the network labels
                faces that are flipped and shifted a little, and is trained to say the
                same of these faces strongly changed, where it was sure.

Sure means a probability of --threshold or more. The labels of the other faces are used
to measure how many pseudo-labels are right, and for nothing else. Labelled faces and
those of self-training are changed as `geometric` in fer/augmentation.py says.

Every method takes the same number of optimizer steps, each with the same number of
faces: an epoch has as many steps as a pass over the whole training part, however few
labels there are. A step of `supervised` shows a batch of labelled faces. A step with
pseudo-labels shows a quarter of a batch with labels and three quarters without, and its
loss is the mean over the former plus the mean over the latter. The first epochs are
supervised for every method: a fifteenth of them with FixMatch, two thirds with
self-training.

The best epoch is chosen with the whole validation part, which has more labels than 5
or 10 % of the training part; the accuracy of the last epoch needs no such choice.

Each run has a process of its own and leaves what `train_cnn.py` leaves, in
checkpoints/NAME_METHOD_PERCENT_SEED.keras and beside it, usable alone. Its .csv tells
for every epoch which share of the pseudo-labels was right (pseudo_precision) and which
share of the other faces got one (pseudo_share); its training accuracy counts labels
and pseudo-labels alike. A finished run is not trained a second time. Writes
plots/NAME.csv and plots/NAME.png and prints the table, each number as mean and standard
deviation over the seeds; a single run (one share, method and seed) prints no table.
"""

import argparse
import concurrent.futures
import dataclasses
import math
import sys
from typing import NamedTuple

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator, NullLocator

import networks
from fer import checkpoints, command, data, figures, flags, runs, training
from fer.augmentation import AUGMENTATIONS, FaceGenerator
from fer.callbacks import Progress, StopOnNaN, StopOnSignal
from fer.command import InputError
from fer.files import replacing
from fer.precision import choose_precision
from fer.recipes import Recipe

NAMES = {
    "supervised": "supervised",
    "self_training": "self-training",
    "fixmatch": "FixMatch",
}
METHODS = tuple(NAMES)
# Colour and line; the lines tell the methods apart in grey.
STYLES = {
    "supervised": ("C0", ":"),
    "self_training": ("C1", "--"),
    "fixmatch": ("C2", "-"),
}
AUGMENTATION = "geometric"
WEAK = {**AUGMENTATIONS["flip"], **AUGMENTATIONS["shift"]}
STRONG = AUGMENTATIONS["strong"]
# Of a batch with pseudo-labels. FixMatch has an eighth; a quarter is less noisy in
# batches as small as these.
LABELLED_PART = 0.25
# Share of the epochs before the first pseudo-labels. Self-training needs a good network
# to begin with: it learns its own mistakes and soon makes more of them. FixMatch mends
# them, and begins once batch normalization knows its running means.
WARMUPS = {"supervised": 0, "self_training": 2 / 3, "fixmatch": 1 / 15}
# What a step changes, each with random numbers of its own.
LABELLED, SURE, WEAKLY, STRONGLY = range(4)
MEASURES = {
    "val_accuracy": "best epoch",
    "last_val_accuracy": "last epoch",
    "gain": "above supervised",
    "pseudo_precision": "right pseudo-labels",
    "pseudo_share": "faces with one",
}


class Cell(NamedTuple):
    """What differs between the runs: the method and the share of labels, in (0, 1]."""

    method: str
    labelled: float


# Without faces to label all methods are this one.
CEILING = Cell("supervised", 1.0)


@dataclasses.dataclass(frozen=True)
class SemiSupervisedRecipe(Recipe):
    """The recipe of a network and what is done with the faces without a label.

    Attributes:
        method: one of `METHODS`.
        labelled: share of the training part that keeps its labels, in (0, 1].
        threshold: the least probability that makes a pseudo-label.
        warmup_epochs: epochs without pseudo-labels.
    """

    method: str = METHODS[0]
    labelled: float = 1.0
    threshold: float = 0.95
    warmup_epochs: int = 0


def build_parser():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    flags.add_train_flag(parser)
    add(
        "--network",
        default="small",
        choices=networks.NAMES,
        help="a file of networks/ (default: %(default)s)",
    )
    add(
        "--name",
        default="semi_supervised",
        help="stem of all files written (default: %(default)s)",
    )
    add(
        "--labelled",
        nargs="+",
        type=share,
        default=[0.05, 0.1, 0.25, 0.5, 1.0],
        metavar="FRACTION",
        help="shares of the training faces that keep their labels "
        "(default: 0.05 0.1 0.25 0.5 1)",
    )
    add(
        "--method",
        nargs="+",
        default=METHODS,
        choices=METHODS,
        metavar="METHOD",
        help=f"of {', '.join(METHODS)} (default: all)",
    )
    add(
        "--threshold",
        type=share,
        default=0.95,
        metavar="PROBABILITY",
        help="the least that makes a pseudo-label (default: %(default)s)",
    )
    add(
        "--epochs",
        type=flags.positive_integer,
        default=15,
        metavar="NUMBER",
        help="passes over as many faces as the training part has (default: "
        "%(default)s)",
    )
    add(
        "--seed",
        type=int,
        default=0,
        help="of the first run of each kind (default: %(default)s)",
    )
    add(
        "--seeds",
        type=flags.positive_integer,
        default=3,
        metavar="NUMBER",
        help="runs of each kind, each with the next seed (default: %(default)s)",
    )
    add(
        "--resume",
        action="store_true",
        help="continue an unfinished run after its last finished epoch",
    )
    return parser


def share(text):
    """An argparse type: a share above 0, at most 1."""
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"expected a share in (0, 1], found {text}")
    return number


def list_cells(methods, shares):
    """The cells of an experiment, each once, in the order of the shares."""
    return list(
        dict.fromkeys(
            Cell(method, share) if share < 1 else CEILING
            for share in shares
            for method in methods
        )
    )


def plan_run(cell, seed, options):
    """The options and the recipe with which `fer.training.train` makes one run."""
    name = f"{options.name}_{cell.method}_{100 * cell.labelled:g}_{seed}"
    arguments = ["--train", options.train, "--network", options.network]
    arguments += ["--name", name, "--epochs", str(options.epochs), "--seed", str(seed)]
    arguments += ["--augmentation", AUGMENTATION]
    run_options = runs.parse(arguments + ["--resume"] * options.resume)
    recipe = SemiSupervisedRecipe(
        **dataclasses.asdict(networks.load(options.network).CNN_RECIPE),
        **cell._asdict(),
        threshold=options.threshold,
        warmup_epochs=math.ceil(WARMUPS[cell.method] * options.epochs),
    )
    return run_options, flags.override(recipe, run_options)


def train_cell(cell, seed, options, fingerprint, single):
    """Train one run unless that has been done; returns its record.

    Args:
        cell, seed: of the run.
        options: of this script.
        fingerprint: of the faces, as `fer.checkpoints.compute_fingerprint` gives it.
        single: whether to train in this process.
    """
    run_options, recipe = plan_run(cell, seed, options)
    precision, _ = choose_precision(run_options.precision)
    settings = training.describe_settings(run_options, recipe, fingerprint, precision)
    path = training.stem_of(run_options.name, ".keras")
    record = training.load_finished_record(run_options.name, settings)
    if record is not None:
        print(f"{path} is finished", flush=True)
        return record
    if single:
        build = networks.load(options.network).build_cnn
        return training.train(build, recipe, run_options, fit)
    status = runs.run([sys.executable, __file__, *single_flags(cell, seed, options)])
    if status != 0:
        sys.exit(status)
    return checkpoints.load_record(path)


def single_flags(cell, seed, options):
    """The flags with which this script trains a single run."""
    arguments = ["--train", options.train, "--network", options.network]
    arguments += ["--name", options.name, "--labelled", cell.labelled]
    arguments += ["--method", cell.method, "--threshold", options.threshold]
    arguments += ["--epochs", options.epochs, "--seed", seed, "--seeds", 1]
    return [str(argument) for argument in arguments] + ["--resume"] * options.resume


def choose_labelled(parts, share, seed):
    """Choose which faces of the training part keep their labels.

    Args:
        parts: the `fer.training.Parts` of a run.
        share: of the training part, in (0, 1].
        seed: the same seed gives the same faces.

    Returns:
        Two int arrays of rows of `parts.images`, labelled and not.

    Raises:
        InputError: too few faces to leave some labels.
    """
    rows = parts.train_rows
    if share == 1:
        return rows, rows[:0]
    try:
        others, chosen = data.split(parts.train_images, parts.labels[rows], share, seed)
    except InputError as error:
        raise InputError(
            f"cannot stratify {share:.1%} of {len(rows):,} training faces by emotion; "
            "give more faces or a larger --labelled"
        ) from error
    return rows[chosen], rows[others]


def fit(model, batches, parts, keeper):
    """Run the epochs that are left; takes the place of `fer.training.fit`.

    Args:
        model: compiled.
        batches: the AugmentedFaces of the whole training part, of which only the
            number of batches, the generator and the seed are used.
        parts: the `fer.training.Parts` of the run.
        keeper: the StateKeeper, with a SemiSupervisedRecipe.
    """
    recipe, rows = keeper.recipe, parts.validation_rows
    labelled, unlabelled = choose_labelled(parts, recipe.labelled, batches.seed)
    print(f"labels    of {len(labelled):,} faces, {recipe.method}")
    with StopOnSignal(keeper) as stop:
        callbacks = keras.callbacks.CallbackList(
            [StopOnNaN(), keeper, Progress(keeper), stop], model=model
        )
        learner = Learner(model, batches, parts, labelled, unlabelled, callbacks)
        callbacks.on_train_begin()
        while not keeper.is_finished():
            epoch = len(keeper.history)
            callbacks.on_epoch_begin(epoch)
            logs = learner.train_epoch(recipe, epoch)
            scores = model.evaluate(
                parts.images[rows],
                parts.targets(rows),
                batch_size=checkpoints.PREDICTION_BATCH_SIZE,
                verbose=0,
                callbacks=[stop],
                return_dict=True,
            )
            logs |= {f"val_{name}": score for name, score in scores.items()}
            callbacks.on_epoch_end(epoch, logs)
            if "pseudo_share" in logs:
                print(describe_pseudo_labels(logs), flush=True)


class Learner:
    """Trains a model for one epoch after another, with any of the methods.

    What a step shows is a function of the seed, the step and, where there are
    pseudo-labels, the model: so a resumed run is the same as one that was never
    stopped. Labels of `unlabelled` are read by `note` alone.

    Args:
        model, batches, parts: as `fit` has them.
        labelled, unlabelled: rows of parts.images.
        callbacks: a CallbackList, told of every step.
    """

    def __init__(self, model, batches, parts, labelled, unlabelled, callbacks):
        self.model = model
        self.batches = batches
        self.parts = parts
        self.labelled = labelled
        self.unlabelled = unlabelled
        self.callbacks = callbacks
        self.num_labelled = math.ceil(LABELLED_PART * batches.batch_size)
        self.num_others = batches.batch_size - self.num_labelled
        self.weak = FaceGenerator(**WEAK)
        self.strong = FaceGenerator(**STRONG)

    def train_epoch(self, recipe, epoch):
        """Run the steps of an epoch, counted from 0; returns its logs."""
        num_steps = self.batches.num_batches
        steps = range(epoch * num_steps, (epoch + 1) * num_steps)
        self.notes = []
        if epoch < recipe.warmup_epochs or not len(self.unlabelled):
            batches = self.make_supervised(steps, recipe)
        else:
            batches = getattr(self, f"make_{recipe.method}")(steps, recipe)
        sums = dict.fromkeys(("accuracy", "loss"), 0.0)
        for index, (faces, targets, weights) in enumerate(batches):
            step_logs = self.model.train_on_batch(
                faces, targets, weights, return_dict=True
            )
            sums = {name: total + step_logs[name] for name, total in sums.items()}
            logs = {name: total / (index + 1) for name, total in sums.items()}
            self.callbacks.on_train_batch_end(index, logs)
        if self.notes:
            sure, right = np.concatenate(self.notes, axis=1)
            logs |= measure_pseudo_labels(sure, right)
        return logs

    def make_supervised(self, steps, recipe):
        """Yield batches of faces with labels: faces, targets and weights."""
        for faces, targets in compute_ahead(
            lambda step: self.draw_labelled(step, self.batches.batch_size), steps
        ):
            yield faces, targets, np.ones(len(faces), "float32")

    def make_self_training(self, steps, recipe):
        """Label every face as the network is now, then yield batches of the sure."""
        probabilities = checkpoints.predict(
            self.model, self.parts.images[self.unlabelled]
        )
        pseudo_labels, sure = make_pseudo_labels(probabilities, recipe.threshold)
        self.note(self.unlabelled, pseudo_labels, sure)
        if not sure.any():
            yield from self.make_supervised(steps, recipe)
            return
        rows, pseudo_labels = self.unlabelled[sure], pseudo_labels[sure]

        def draw(step):
            places = draw_places(len(rows), self.num_others, step, self.batches.seed)
            faces = self.change(self.batches.generator, rows[places], step, SURE)
            labelled = self.draw_labelled(step, self.num_labelled)
            return labelled, faces, pseudo_labels[places]

        for labelled, faces, targets in compute_ahead(draw, steps):
            yield combine(labelled, faces, targets, np.ones(len(faces)))

    def make_fixmatch(self, steps, recipe):
        """Yield batches with strongly changed faces, labelled by the weakly changed."""

        def draw(step):
            rows = self.unlabelled[
                draw_places(
                    len(self.unlabelled), self.num_others, step, self.batches.seed
                )
            ]
            labelled = self.draw_labelled(step, self.num_labelled)
            weak = self.change(self.weak, rows, step, WEAKLY)
            return labelled, rows, weak, self.change(self.strong, rows, step, STRONGLY)

        for labelled, rows, weak, strong in compute_ahead(draw, steps):
            # Not `predict`, which would set up a data pipeline for every step.
            pseudo_labels, sure = make_pseudo_labels(
                self.model.predict_on_batch(weak), recipe.threshold
            )
            self.note(rows, pseudo_labels, sure)
            yield combine(labelled, strong, pseudo_labels, sure)

    def draw_labelled(self, step, size):
        """The changed faces with a label of a step and their targets."""
        rows = self.labelled[
            draw_places(len(self.labelled), size, step, self.batches.seed)
        ]
        faces = self.change(self.batches.generator, rows, step, LABELLED)
        return faces, self.parts.targets(rows)

    def change(self, generator, rows, step, stream):
        """Change the faces of some rows; float32."""
        rng = np.random.default_rng((self.batches.seed, step, stream))
        return generator.change(self.parts.images[rows], rng)

    def note(self, rows, pseudo_labels, sure):
        """Remember which faces got a pseudo-label and whether it is right."""
        right = pseudo_labels.argmax(axis=1) == self.parts.labels[rows]
        self.notes.append((sure, right))


def draw_places(num_faces, size, step, seed):
    """Draw the faces of one step, in passes over all faces, each in a new order.

    Args:
        num_faces: how many there are; may be fewer than `size`.
        size: how many a step takes.
        step: counted from 0.
        seed: of the orders.

    Returns:
        Int array (size,) in [0, num_faces).
    """
    passes, places = np.divmod(np.arange(step * size, (step + 1) * size), num_faces)
    orders = {
        number: np.random.default_rng((seed, number)).permutation(num_faces)
        for number in np.unique(passes)
    }
    return np.array(
        [orders[number][place] for number, place in zip(passes, places, strict=True)]
    )


def make_pseudo_labels(probabilities, threshold):
    """The likeliest emotion of each face, and whether the network is sure of it.

    Args:
        probabilities: (n, 7).
        threshold: the least probability of a sure one.

    Returns:
        One-hot float32 (n, 7) and bool (n,).
    """
    pseudo_labels = keras.utils.to_categorical(
        probabilities.argmax(axis=1), probabilities.shape[1]
    )
    return pseudo_labels.astype("float32"), probabilities.max(axis=1) >= threshold


def combine(labelled, faces, targets, sure):
    """One batch whose loss is the mean over the labelled plus that over the others.

    Args:
        labelled: faces and targets of the part with labels.
        faces, targets: of the part with pseudo-labels.
        sure: bool (len(faces),); where it is False a face adds 0 to its part's mean.

    Returns:
        Faces, targets and weights, under which Keras' mean over the batch is that sum.
    """
    labelled_faces, labelled_targets = labelled
    size = len(labelled_faces) + len(faces)
    weights = np.concatenate(
        [
            np.full(len(labelled_faces), size / len(labelled_faces)),
            sure * size / len(faces),
        ]
    )
    return (
        np.concatenate([labelled_faces, faces]),
        np.concatenate([labelled_targets, targets]),
        weights.astype("float32"),
    )


def measure_pseudo_labels(sure, right):
    """Share of the faces that got a pseudo-label, and precision where there is any."""
    measures = {"pseudo_share": sure.mean()}
    if sure.any():
        measures["pseudo_precision"] = right[sure].mean()
    return measures


def compute_ahead(function, arguments):
    """Yield the function's value for each argument, the next one computed meanwhile.

    The generator of changed faces keeps one core busy while a step waits for the other.
    """
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        upcoming = None
        for argument in arguments:
            current, upcoming = upcoming, pool.submit(function, argument)
            if current is not None:
                yield current.result()
        yield upcoming.result()


def describe_pseudo_labels(logs):
    """What became of the faces without a label in one epoch, as a line of text."""
    line = f"  pseudo-labels for {logs['pseudo_share']:.1%} of the other faces"
    if "pseudo_precision" in logs:
        line += f", {logs['pseudo_precision']:.1%} of them right"
    return line


def measure_run(record, history):
    """The numbers of one run that need no other run, by the names of `MEASURES`."""
    last = history.iloc[-1]
    return {
        "val_accuracy": record["val_accuracy"],
        "last_val_accuracy": last["val_accuracy"],
        "pseudo_precision": last.get("pseudo_precision", np.nan),
        "pseudo_share": last.get("pseudo_share", np.nan),
    }


def add_gain(measurements):
    """Add by how much each run is better than `supervised` with the same labels.

    The seeds choose the labelled faces, so that only runs of one seed are comparable.

    Args:
        measurements: data frame with the columns of `Cell`, seed and val_accuracy.
    """
    keys = ["labelled", "seed"]
    supervised = measurements[measurements["method"] == "supervised"]
    baseline = supervised.set_index(keys)["val_accuracy"].rename("baseline")
    joined = measurements.join(baseline, on=keys)
    gain = joined["val_accuracy"] - joined["baseline"]
    return measurements.assign(gain=gain.where(joined["method"] != "supervised"))


def describe(table):
    """The table in Markdown, as lines of text."""
    columns = ["labels", "method", *MEASURES.values()]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for row in table.to_dict("records"):
        fields = [f"{100 * row['labelled']:g} %", row["method"]]
        for measure in MEASURES:
            text = "" if np.isnan(row[measure]) else f"{row[measure]:.3f}"
            if text and row["seeds"] > 1:
                text += f" ± {row[f'{measure}_deviation']:.3f}"
            fields.append(text)
        yield f"| {' | '.join(fields)} |"


def plot_results(measurements, histories, title, path):
    """Draw accuracy against labels, and the precision of the pseudo-labels over epochs.

    Args:
        measurements: data frame with the columns of `Cell`, seed and val_accuracy.
        histories: dict from a cell to a list of data frames, one per seed.
        title: of the figure.
        path: of the picture.
    """
    figure, (accuracies, precisions) = plt.subplots(
        1, 2, figsize=(11, 4.5), layout="constrained"
    )
    plot_accuracy(accuracies, measurements)
    plot_precision(precisions, histories)
    for panel in (accuracies, precisions):
        panel.grid(alpha=0.3)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize="small")
    figure.suptitle(title)
    figures.save_figure(figure, path)


def plot_accuracy(panel, measurements):
    """Draw validation accuracy against the share of labels, a line per method."""
    is_ceiling = measurements["labelled"] == CEILING.labelled
    ceiling = measurements[is_ceiling]["val_accuracy"]
    if len(ceiling):
        panel.axhline(ceiling.mean(), color="0.4", label="all labels")
        panel.axhspan(ceiling.min(), ceiling.max(), color="0.4", alpha=0.15, lw=0)
    rows = measurements[~is_ceiling]
    for method in rows["method"].unique():
        shares = rows[rows["method"] == method].groupby("labelled")["val_accuracy"]
        means = shares.mean()
        color, line_style = STYLES[method]
        style = {"color": color, "linestyle": line_style, "label": NAMES[method]}
        spread = [means - shares.min(), shares.max() - means]
        panel.errorbar(
            means.index, means, spread, marker="o", markersize=4, capsize=3, **style
        )
    ticks = sorted(rows["labelled"].unique())
    panel.set_xscale("log")
    panel.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set(xlabel="training faces with a label", ylabel="validation accuracy")


def plot_precision(panel, histories):
    """Draw the precision of the pseudo-labels over the epochs, a line per cell."""
    named = set()
    for cell, seeds in histories.items():
        if not any("pseudo_precision" in history for history in seeds):
            continue
        color, line_style = STYLES[cell.method]
        label = None if cell.method in named else NAMES[cell.method]
        named.add(cell.method)
        figures.plot_band(panel, seeds, "pseudo_precision", color, line_style, label)
        means = pd.concat(seeds).groupby("epoch")["pseudo_precision"].mean().dropna()
        panel.annotate(
            f"{100 * cell.labelled:g} %",
            (means.index[-1], means.iloc[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="center",
            fontsize="small",
            color=color,
        )
    # Room for the percentages.
    panel.margins(x=0.1)
    panel.set(xlabel="epoch (round)", ylabel="precision of the pseudo-labels")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def main():
    options = build_parser().parse_args()
    images, labels = data.load_training_faces(options.train)
    fingerprint = checkpoints.compute_fingerprint(images, labels)
    cells = list_cells(options.method, options.labelled)
    seeds = range(options.seed, options.seed + options.seeds)

    # Seed by seed, so that an unfinished experiment has every cell before the spread.
    todo = [(seed, cell) for seed in seeds for cell in cells]
    single = len(todo) == 1
    measurements = []
    histories = {cell: [] for cell in cells}
    for number, (seed, cell) in enumerate(todo, start=1):
        if not single:
            print(f"\nrun {number} of {len(todo)}: {cell}, seed {seed}", flush=True)
        record = train_cell(cell, seed, options, fingerprint, single)
        history = pd.read_csv(training.stem_of(record["name"], ".csv"))
        histories[cell].append(history)
        numbers = measure_run(record, history)
        measurements.append({**cell._asdict(), "seed": seed, **numbers})
    if single:
        return

    measurements = add_gain(pd.DataFrame(measurements))
    table = runs.summarize(measurements, Cell._fields, MEASURES)
    print("", *describe(table), sep="\n")
    path = training.PLOTS / f"{options.name}.csv"
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.5g")
    print(f"\nwrote {path}")
    path = training.PLOTS / f"{options.name}.png"
    title = f"{options.network}: mean and range over {options.seeds} seeds"
    plot_results(measurements, histories, title, path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
