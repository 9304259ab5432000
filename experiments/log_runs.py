"""Add finished runs to experiments/log.csv and draw accuracy against operations.

    python experiments/log_runs.py cnn quick --remark "the default, and its short run"
    python experiments/log_runs.py                      # redraws the figure alone

A row tells the day, the commit, the command, the seed, the training operations (6 x
multiply-adds x faces seen), the minutes and the accuracy on the validation faces, as
they are and averaged over changed views (what predict.py --tta does). A
run whose command is in the log already replaces its row. The accuracies are measured
on the checkpoint, 15 seconds each; nothing here reads the labels of a test face.

The figure, plots/accuracy_operations.png, shows every row that has operations.
"""

import argparse
import datetime
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import matplotlib.pyplot as plt  # noqa: E402
import pandas as pd  # noqa: E402

from fer import checkpoints, command, data, figures, flags, training  # noqa: E402
from fer.files import replacing  # noqa: E402

LOG = ROOT / "experiments/log.csv"
FIGURE = ROOT / "plots/accuracy_operations.png"


def build_parser():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_train_flag(parser)
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="names under checkpoints/"
    )
    parser.add_argument(
        "--remark", default="", metavar="TEXT", help="what the runs are about"
    )
    return parser


def measure_run(name, images, labels, remark):
    """The row of one run, by column.

    Raises:
        InputError: there is no such run, or it held out no faces.
    """
    path = training.stem_of(name, ".keras")
    model = checkpoints.load_checkpoint(path)
    rows, warning = checkpoints.find_held_out_rows([path], images, labels)
    if warning:
        raise command.InputError(f"{warning}; give a run with a validation part")
    predictions = checkpoints.predict(model, images[rows], tta=True).argmax(axis=1)
    record = checkpoints.load_record(path)
    return {
        "date": datetime.date.fromtimestamp(path.stat().st_mtime),
        "commit": read_commit(),
        "command": record["command"],
        "network": record["settings"]["network"],
        "seed": record["settings"]["seed"],
        "training_operations": f"{record['training_operations']:.3g}",
        "minutes": record["minutes"],
        "val_accuracy": round(record["val_accuracy"], 4),
        "val_accuracy_tta": round((predictions == labels[rows]).mean(), 4),
        "remark": remark,
    }


def read_commit():
    """The short name of the commit that is checked out."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def add_rows(log, rows):
    """The log with the rows added, each in the place of an older one of its command."""
    log = pd.concat([log, pd.DataFrame(rows).astype(str)], ignore_index=True)
    return log.drop_duplicates("command", keep="last")


def plot_operations(log, path):
    """Draw validation accuracy against training operations, a mark per network."""
    log = log[log["training_operations"] != ""]
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
    log = pd.read_csv(LOG, dtype=str, keep_default_na=False)
    if options.runs:
        images, labels = data.load_training_faces(options.train)
        rows = []
        for name in options.runs:
            rows.append(measure_run(name, images, labels, options.remark))
            print(f"{name}: {rows[-1]['val_accuracy_tta']} with --tta", flush=True)
        log = add_rows(log, rows)
        with replacing(LOG) as temporary:
            log.to_csv(temporary, index=False)
        print(f"wrote {LOG}")
    plot_operations(log, FIGURE)
    print(f"wrote {FIGURE}")


if __name__ == "__main__":
    command.run(main)
