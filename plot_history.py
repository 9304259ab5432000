"""Draw the accuracy curves of any number of runs into one picture.

    python plot_history.py cnn dnn                     # writes plots/runs_history.png

Validation accuracy is drawn strong, with a mark where it is highest, training accuracy
faintly in the same style. Training faces are augmented, less so in a finish, and
dropout is on while they are counted, so the faint curve may lie below the strong one.
After a finish a mean of weights is kept, which is on no curve. Takes a second.
"""

from fer import command, figures, logs, paths


def build_parser():
    parser = command.new_parser(__doc__)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="names under checkpoints/ or paths of .csv files",
    )
    parser.add_argument(
        "--output",
        default=paths.PLOTS / "runs_history.png",
        metavar="FILE",
        help="the figure (default: %(default)s)",
    )
    return parser


def main(arguments=None):
    options = build_parser().parse_args(arguments)
    path = figures.check_path(options.output)
    figures.plot_histories([logs.load_history(run) for run in options.runs], path)
    print(f"wrote {path}")


if __name__ == "__main__":
    command.run(main)
