"""Draw faces with seven emotions: a stand-in for the contest's data, made of ink.

Draws grey 48x48 faces with Pillow and writes them in the contest's own format:
train.csv (`label,feature`), test.csv (`id,feature`) and, for scoring the demo,
test_labels.csv (`id,label`). No photograph of a person is involved, so tests, demo
and README figures can run the real path anywhere.

    python draw_faces.py                 # writes data/drawn/, about 10 s on one core

In `make demo` a CNN names some 90 % of the drawn test faces right, a dense network 28 %
of them. That says the pipeline works; it says nothing about photographs.

The script refuses a folder that holds a train.csv or test.csv it did not write: it
knows its own folders by the file drawn_faces.txt, which it puts there first.
"""

from pathlib import Path

from fer import command, drawn_faces
from fer.command import InputError
from fer.faces import EMOTIONS
from fer.files import write_table

MARKER = "drawn_faces.txt"


def claim_folder(folder):
    """Make the folder and mark it as drawn; refuse one with other people's tables."""
    marker = folder / MARKER
    for name in ("train.csv", "test.csv", "test_labels.csv"):
        if (folder / name).exists() and not marker.exists():
            raise InputError(
                f"{folder / name} was not drawn by this script ({folder} holds no "
                f"{MARKER}); choose another --output"
            )
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text("The tables here are drawn; draw_faces.py may replace them.\n")


def list_levels(images):
    """The grey levels of each face as the contest writes them, a list of texts."""
    return [" ".join(map(str, image.ravel())) for image in images]


def write_faces(folder, train_faces, test_faces, seed):
    """Write train.csv, test.csv and test_labels.csv into the folder."""
    claim_folder(folder)
    images, labels = drawn_faces.draw_faces(train_faces, [seed, 0])
    labelled = zip(labels, list_levels(images), strict=True)
    write_table(folder / "train.csv", ["label", "feature"], labelled)
    # Another stream of the same seed: no test face is a training face.
    images, labels = drawn_faces.draw_faces(test_faces, [seed, 1])
    rows = enumerate(list_levels(images))
    write_table(folder / "test.csv", ["id", "feature"], rows)
    write_table(folder / "test_labels.csv", ["id", "label"], enumerate(labels))


def build_parser():
    parser = command.new_parser(__doc__)
    count = command.whole_number(len(EMOTIONS))
    add = parser.add_argument
    add(
        "--output",
        type=Path,
        default=Path("data/drawn"),
        help="folder to write (default: %(default)s)",
    )
    add(
        "--train-faces",
        type=count,
        default=4000,
        help="faces in train.csv (default: %(default)s)",
    )
    add(
        "--test-faces",
        type=count,
        default=700,
        help="faces in test.csv (default: %(default)s)",
    )
    add(
        "--seed",
        type=command.seed_number,
        default=0,
        help="same seed, same faces (default: %(default)s)",
    )
    return parser


def main():
    options = build_parser().parse_args()
    write_faces(options.output, options.train_faces, options.test_faces, options.seed)
    print(
        f"drew {options.train_faces:,} training and {options.test_faces:,} test faces "
        f"into {options.output}"
    )


if __name__ == "__main__":
    command.run(main)
