"""Add finished runs to experiments/log.csv and draw accuracy against operations.

    python -m experiments.log_runs checkpoints/cnn.keras --remark "the default"
    python -m experiments.log_runs checkpoints/ablations_*.keras --without-tta
    python -m experiments.log_runs                      # redraws the figure alone

A row tells the day the checkpoint was written, the commit it was started from, the
command, the seed, the training operations (6 x multiply-adds x faces seen), the minutes
and the accuracy on the validation faces, as they are and averaged over the 26 views of
predict.py --tta, in float32. A run that is measured again, which has the same command
and minutes, takes the place of its older row. A minute a checkpoint on two cores, with
--without-tta nothing.

The figure, plots/accuracy_operations.png, shows every run with --tta but those with
teachers or a trained start, whose operations are not among their own.
"""

import datetime
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from fer import (
    checkpoints,
    command,
    evaluation,
    figures,
    measures,
    paths,
    prediction,
    sources,
)
from fer.files import replacing

LOG = Path(__file__).resolve().parent / "log.csv"
COLUMNS = (
    "date",
    "commit",
    "command",
    "network",
    "seed",
    "training_operations",
    "minutes",
    "val_accuracy",
    "val_accuracy_tta",
    "remark",
)
FIGURE = paths.PLOTS / "accuracy_operations.png"


def build_parser():
    parser = command.new_parser(__doc__)
    sources.add_train_flags(parser)
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", type=Path, help="checkpoints to add"
    )
    parser.add_argument(
        "--remark", default="", metavar="TEXT", help="what the runs are about"
    )
    parser.add_argument(
        "--without-tta",
        action="store_true",
        help="leave the accuracy over 26 views empty",
    )
    return parser


def load_log(path):
    """The log as a data frame of texts.

    Raises:
        InputError: it is damaged or has other columns.
    """
    try:
        log = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise command.InputError(
            f"{path}: expected the log of the experiments, found none ({error}); "
            "restore it from git"
        ) from error
    if tuple(log.columns) != COLUMNS:
        raise command.InputError(
            f"{path}: expected the header {','.join(COLUMNS)}, found "
            f"{','.join(log.columns)}; restore it from git"
        )
    return log


def measure_run(path, faces, options):
    """The row of one run, by column.

    Args:
        path: of its checkpoint.
        faces: the Evaluation of those that it held out.
        options: of this script.

    Raises:
        InputError: there is no such run, it held out no faces, or its record is of a
            time when records did not hold the command.
    """
    record = checkpoints.load_record(path)
    if "command" not in record:
        raise command.InputError(
            f"{path}: expected a record with its command, found an older one; train it "
            "again"
        )
    accuracy = ""
    if not options.without_tta:
        model = checkpoints.load_checkpoint(path)
        images, labels = faces.images[faces.rows], faces.labels[faces.rows]
        probabilities = prediction.predict(model, images, tta=True)
        accuracy = round(measures.compute_accuracy(probabilities, labels), 4)
    return {
        "date": datetime.date.fromtimestamp(path.stat().st_mtime).isoformat(),
        "commit": format_commit(record),
        "command": record["command"],
        "network": record["settings"]["network"],
        "seed": record["settings"]["seed"],
        "training_operations": format_operations(record["training_operations"]),
        "minutes": record["minutes"],
        "val_accuracy": round(record["val_accuracy"], 4),
        "val_accuracy_tta": accuracy,
        "remark": options.remark,
    }


def format_commit(record):
    """The commit that a run was started from, in short; empty where none is known."""
    commit = (record.get("commit") or "")[:7]
    return f"{commit} changed" if record.get("changed") else commit


def format_operations(number):
    """A number of operations to three digits; empty where they cannot be counted."""
    return "" if number is None else f"{number:.3g}"


def add_rows(log, rows):
    """The log with the rows at its end and without older ones of the same runs."""
    log = pd.concat([log, pd.DataFrame(rows).astype(str)], ignore_index=True)
    # A command alone is no run: what it does changes with the code.
    return log.drop_duplicates(["command", "minutes"], keep="last")


def plot_operations(log, path):
    """Draw validation accuracy against training operations, a mark per network."""
    has_others = log["command"].str.contains("--teachers|--start-from")
    is_counted = log["training_operations"] != ""
    log = log[~has_others & is_counted & (log["val_accuracy_tta"] != "")]
    figure, panel = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for i, (network, runs) in enumerate(log.groupby("network", sort=False)):
        panel.plot(
            runs["training_operations"].astype(float),
            runs["val_accuracy_tta"].astype(float),
            "osD^vP*X"[i % 8],
            color=f"C{i}",
            alpha=0.7,
            label=network,
        )
    panel.set_xscale("log")
    panel.set_xlabel("training operations (6 x multiply-adds x faces seen)")
    panel.set_ylabel("validation accuracy with --tta")
    panel.grid(alpha=0.3)
    panel.legend()
    figures.save_figure(figure, path)


def main():
    options = build_parser().parse_args()
    rows = []
    held_out = evaluation.load_held_out(options, options.models)
    for path, faces in zip(options.models, held_out, strict=True):
        rows.append(measure_run(path, faces, options))
        print(f"{path}: {rows[-1]['val_accuracy']}", flush=True)
    # Only now: another process may have added rows meanwhile.
    log = load_log(LOG)
    if rows:
        log = add_rows(log, rows)
        with replacing(LOG) as temporary:
            log.to_csv(temporary, index=False)
        print(f"wrote {LOG}")
    if len(log):
        plot_operations(log, FIGURE)
        print(f"wrote {FIGURE}")


if __name__ == "__main__":
    command.run(main)
