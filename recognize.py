"""Find the faces of your own pictures and films, and say what each expresses.

    python recognize.py portrait.jpg
    python recognize.py holidays/ film.mp4 --output holidays_recognized
    python recognize.py --page                 # drop photos, or use the camera
    python recognize.py labelled/ --cut faces  # <emotion>/*.jpg, for --train

Writes each picture once more with boxes and emotions, of each film a figure of its
emotions over time, and faces.csv with every face. The faces are cut as those were that
the network was trained on. Nothing leaves this machine. Needs requirements-photos.txt,
except with --whole.
"""

import sys
from pathlib import Path

from PIL import Image

from fer import command, face_table, files, marks, paths, photos, pictures
from fer.command import InputError
from fer.recognition import Recognizer, load_cutter

PORT = 8048


def build_parser():
    parser = command.new_parser(__doc__)
    add, folder = parser.add_argument, {"type": Path, "metavar": "FOLDER"}
    text = "pictures, films, and folders of them"
    add("photos", nargs="*", metavar="PHOTO", type=Path, help=text)
    text = "checkpoints to average (default: as for predict.py)"
    add("--model", nargs="+", default=[], type=Path, metavar="CHECKPOINT", help=text)
    add("--tta", action="store_true", help="average over 26 views of every face")
    text = "where copies go, and faces.csv of this run's faces (default: %(default)s)"
    add("--output", default=Path("recognized"), **folder, help=text)
    text = "each picture is one face (the square in its middle): no detector"
    add("--whole", action="store_true", help=text)
    text = (
        "only cut out the largest face of each picture, as 48x48 grey PNG files in a "
        "new FOLDER that is laid out like that of the pictures"
    )
    add("--cut", **folder, help=text)
    text = "from one picture of a film to the next (default: %(default)s)"
    seconds = {"type": command.positive_number, "metavar": "SECONDS"}
    add("--every", default=1, **seconds, help=text)
    add("--page", action="store_true", help="serve a page for the browser instead")
    text = "of the page on 127.0.0.1; 0 takes a free one (default: %(default)s)"
    add("--port", type=command.whole_number(0, 65535), default=PORT, help=text)
    return parser


def recognize_picture(recognizer, source, copy, rows):
    """Mark the faces of a picture in a copy of it; adds the rows of the table."""
    picture = pictures.read_color(source)
    cuts, probabilities = recognizer.recognize(picture)
    texts = map(face_table.describe_face, probabilities)
    is_photo = source.suffix.lower() in (".jpg", ".jpeg")
    with files.replacing(f"{copy}{'.jpg' if is_photo else '.png'}") as temporary:
        marks.mark_faces(picture, cuts.boxes, texts).save(temporary, quality=90)
    print(f"{source}: {face_table.describe_faces(probabilities)}", flush=True)
    rows += face_table.list_rows(source, None, cuts, probabilities)


def recognize_film(recognizer, source, copy, every, rows):
    """Draw the emotions of a film over time; adds the rows of the table."""
    from fer import figures, films

    seconds, probabilities = films.recognize(recognizer, source, every, rows)
    moments, means = films.compute_means(seconds, probabilities)
    if len(moments):
        figures.plot_moments(moments, means, every, source.name, f"{copy}.png")
    print(f"{source}: {face_table.describe_faces(probabilities)}", flush=True)


def recognize_all(options, sources):
    """Recognize every source; returns how many could not be read."""
    photos.check_output(options.output)
    models = paths.choose_models(options.model)
    recognizer = Recognizer(models, options.tta, options.whole)
    table, rows = options.output / photos.TABLE, []
    wrote = "replaced" if table.exists() else "wrote"
    photos.open_output(options.output)

    def recognize(source, name):
        copy = options.output / name
        if photos.is_film(source):
            recognize_film(recognizer, source, copy, options.every, rows)
        else:
            recognize_picture(recognizer, source, copy, rows)

    failures = None
    try:
        failures = photos.visit(sources, recognize)
    finally:
        # Also what was found until Ctrl-C or a full disk, unless that is nothing.
        if rows or failures is not None:
            files.write_table(table, face_table.COLUMNS, rows)
    print(f"in all: {face_table.describe_rows(rows)}")
    print(f"{wrote} {table}")
    return failures


def cut_all(options, sources):
    """Cut a face out of every picture; returns how many could not be read."""
    photos.check_empty(options.cut, "--cut")
    cut = load_cutter(options.whole)

    def cut_largest(source, name):
        if photos.is_film(source):
            print(f"{source}: a film, which --cut leaves out", flush=True)
            return
        cuts = cut(pictures.read_color(source))
        if not cuts.find_readable().any():
            print(f"{source}: no face that is large enough", flush=True)
            return
        with files.replacing(options.cut / f"{name}.png") as temporary:
            Image.fromarray(cuts.images[0, ..., 0]).save(temporary)

    failures = photos.visit(sources, cut_largest)
    count = len(list(options.cut.rglob("*.png")))
    print(f"wrote {count:,} {'face' if count == 1 else 'faces'} to {options.cut}")
    return failures


def main():
    options = build_parser().parse_args()
    if options.page:
        from fer import page

        if options.photos or options.cut or options.whole:
            raise InputError("--page: expected no PHOTO, --cut or --whole beside it")
        models = paths.choose_models(options.model)
        page.serve(Recognizer(models, options.tta), options.port)
        return
    sources = photos.list_sources(options.photos, options.cut or options.output)
    failures = (cut_all if options.cut else recognize_all)(options, sources)
    if failures:
        print(f"left out {failures:,} that could not be read", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    command.run(main)
