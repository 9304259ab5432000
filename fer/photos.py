"""Photographs and films on disk: which there are, and where their copies go."""

from pathlib import Path

from fer import command, folder_faces, pictures
from fer.command import InputError
from fer.face_table import COLUMNS
from fer.files import write_table

FILM_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}
# Cameras write them; fer.pictures says that it cannot read them.
UNREADABLE_SUFFIXES = {".avif", ".heic", ".heif"}
TABLE = "faces.csv"
# What one of many can be without stopping the others.
UNREADABLE = (InputError, FileNotFoundError, PermissionError)


def is_film(path):
    """Whether a file is a film, by its name."""
    return path.suffix.lower() in FILM_SUFFIXES


def list_sources(paths, output):
    """List the pictures and films that paths lead to.

    Args:
        paths: of files and folders; of a folder everything below it counts.
        output: the folder of the copies, which are not taken for sources.

    Returns:
        Dict from the path of a file to the name of its copy, without suffix and
        relative to `output`: where it lies below its folder, numbered if taken.

    Raises:
        InputError: a path does not exist, or a folder holds no picture and no film.
    """
    if not paths:
        raise InputError("expected PHOTO or --page, found neither; see --help")
    sources, taken = {}, set()
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: expected a picture or a folder, found nothing")
        if path.is_file() and output.resolve() in path.resolve().parents:
            raise InputError(
                f"{path}: expected pictures outside of {output}, where the copies go; "
                "choose another --output"
            )
        files = list_files(path, output) if path.is_dir() else [path]
        for file in files:
            name = file.relative_to(path) if path.is_dir() else Path(file.name)
            if file not in sources:
                sources[file] = make_unique(name.with_suffix(""), taken)
    return sources


def visit(sources, work):
    """Do a piece of work with every source, past those that cannot be read.

    Args:
        sources: as `list_sources` returns them.
        work: a function of a path and a name.

    Returns:
        How many could not be read.

    Raises:
        InputError: none of them could.
    """
    failures = 0
    for source, name in sources.items():
        try:
            work(source, name)
        except UNREADABLE as error:
            command.fail(error)
            failures += 1
    if failures == len(sources):
        raise InputError("expected pictures or films, found none that can be read")
    return failures


def list_files(folder, output):
    """The pictures and films below a folder, in order, without clutter."""
    suffixes = FILM_SUFFIXES | UNREADABLE_SUFFIXES | pictures.list_suffixes()
    files = [
        file
        for file in map(folder.joinpath, folder_faces.list_files(folder))
        if file.suffix.lower() in suffixes
        and output.resolve() not in file.resolve().parents
    ]
    if not files:
        raise InputError(f"{folder}: expected pictures or films in it, found none")
    return files


def make_unique(name, taken):
    """Number a name until it is none of those taken, and take it."""
    unique, number = name, 1
    # Some file systems do not tell A from a.
    while str(unique).casefold() in taken:
        number += 1
        unique = name.with_name(f"{name.name}-{number}")
    taken.add(str(unique).casefold())
    return unique


def check_output(folder):
    """Refuse a folder for copies and a table that holds files of others.

    Raises:
        InputError: it is a file, or neither empty nor of an earlier run.
    """
    table = folder / TABLE
    is_ours = table.is_file() and read_first_line(table) == ",".join(COLUMNS)
    check_empty(folder, "--output", is_ours)


def open_output(folder):
    """Make a folder known as one of ours, also where this run is stopped."""
    if not (folder / TABLE).exists():
        write_table(folder / TABLE, COLUMNS, [])


def check_empty(folder, flag, is_ours=False):
    """Refuse a folder with files in it, unless it is ours."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{flag} {folder}: expected a folder, found a file")
    if folder.is_dir() and any(folder.iterdir()) and not is_ours:
        raise InputError(
            f"{flag} {folder}: expected a new or empty folder, found other files in "
            "it; choose another"
        )


def read_first_line(path):
    """The first line of a text, whatever its bytes."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline().rstrip("\n")
