"""Folders of pictures -> faces: labelled by the folders' names, or not at all."""

import itertools
import os
import re
from pathlib import Path

import numpy as np

from fer import pictures
from fer.archives import is_clutter
from fer.command import InputError
from fer.faces import (
    EMOTIONS,
    IMAGE_SIZE,
    Faces,
    find_emotion,
    list_some,
    shape_images,
)


def read_folder(path, classes, unique=False):
    """Read `path/<emotion>/**/*.png`, or unlabelled pictures anywhere below `path`.

    Args:
        path: of the folder.
        classes: `fer.faces.Classes`, which knows what to leave out.
        unique: whether every id may stand there only once.

    Returns:
        Faces in the order of their paths, or of their numbers where those are the ids.

    Raises:
        InputError: naming what was expected, found and how to fix it.
    """
    files = list_files(path)
    suffixes = pictures.list_suffixes()
    faces = [file for file in files if file.suffix.lower() in suffixes]
    others = [file for file in files if file.suffix.lower() not in suffixes]
    if not faces:
        raise refuse_empty(path, others)
    folders = find_class_folders(path, faces)
    loose = [file for file in faces if folders and len(file.parts) == 1]
    say_left_out(path, others, loose)
    labels = {
        folder: classes.find_label(folder, sum(folder == f.parts[0] for f in faces))
        for folder in folders
    }
    classes.check(path)
    if folders:
        faces = [file for file in faces if labels.get(file.parts[0]) is not None]
        if not faces and classes.ignored:
            raise InputError(
                f"{path}: expected faces in folders that --ignore does not leave out, "
                "found none; ignore fewer"
            )
        if not faces:
            raise InputError(
                f"{path}: expected faces in the folders of the emotions, found none "
                "there; move them into these"
            )
    ids, faces = name_faces(path, faces, unique)
    return Faces(
        read_pictures(path, faces),
        np.array([labels[file.parts[0]] for file in faces]) if folders else None,
        ids,
    )


def list_files(path):
    """The files below a folder, as sorted paths inside of it, without clutter."""
    files, seen = [], set()
    for folder, names, members in os.walk(path, followlinks=True):
        # A link may lead to a folder above, and round in circles.
        if (real := os.path.realpath(folder)) in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = [name for name in names if not is_clutter(name)]
        inside = Path(folder).relative_to(path)
        files += [inside / member for member in members if not is_clutter(member)]
    return sorted(files)


def refuse_empty(path, others):
    """The refusal of a folder without pictures, which may hold tables instead."""
    has_table = any(file.suffix.lower() == ".csv" for file in others)
    found = f"only {list_some(others)}" if others else "none"
    advice = (
        "give the CSV file" if has_table else "data/README.md shows the folder form"
    )
    return InputError(
        f"{path}: expected pictures in folders named {', '.join(EMOTIONS)}, found "
        f"{found}; {advice}"
    )


def find_class_folders(path, faces):
    """The folders that name classes: all at the top if one of them is an emotion.

    Args:
        path: of the whole folder.
        faces: the pictures below, as paths inside of it.

    Returns:
        Their names, sorted; none where the pictures are unlabelled.

    Raises:
        InputError: the emotions lie deeper, or the folders are plain numbers.
    """
    folders = sorted(
        entry.name
        for entry in path.iterdir()
        if entry.is_dir() and not is_clutter(entry.name)
    )
    if any(find_emotion(folder) is not None for folder in folders):
        return folders
    expected = f"{path}: expected folders named {', '.join(EMOTIONS)}, found"
    numbers = [folder for folder in folders if folder.isdigit()]
    if numbers:
        raise InputError(
            f"{expected} {list_some(numbers)}: which number is which emotion differs "
            "between data sets (0 to 6 from angry to neutral here, 1 to 7 from "
            "surprise to neutral in RAF-DB); rename them to the emotions"
        )
    for file in faces:
        for depth, part in enumerate(file.parts[1:-1], start=1):
            if find_emotion(part) is not None:
                inner = path.joinpath(*file.parts[:depth])
                raise InputError(
                    f"{expected} {list_some(folders)}; give the folder that holds the "
                    f"emotions, such as {inner}"
                )
    return []


def say_left_out(path, others, loose):
    """Say in one line which files are not read, by reason."""
    reasons = (
        (others, "that Pillow does not read as pictures"),
        (loose, "outside the folders of the emotions"),
    )
    parts = [
        f"{len(files):,} file{'s' * (len(files) > 1)} {reason} ({list_some(files)})"
        for files, reason in reasons
        if files
    ]
    if parts:
        print(f"{path}: left out {', '.join(parts)}")


def name_faces(path, faces, unique):
    """Give every picture its id: its number, or its path inside the folder.

    Numbers count where all paths are one beginning and a number, such as im7.png.

    Args:
        path: of the folder.
        faces: sorted paths inside of it.
        unique: whether every id may stand there only once.

    Returns:
        ids: n strings.
        faces: the same paths, in numeric order where the ids are numbers.
    """
    for face in faces:
        if not str(face).isprintable():
            raise InputError(
                f"{path}: expected names of letters that can be printed, found "
                f"{ascii(str(face))}; rename the picture"
            )
    stems = [face.with_suffix("").as_posix() for face in faces]
    matches = [re.fullmatch(r"(.*?)([0-9]+)", stem) for stem in stems]
    if None in matches or len({match[1] for match in matches}) > 1:
        return [face.as_posix() for face in faces], faces
    numbered = [(int(match[2]), f) for match, f in zip(matches, faces, strict=True)]
    numbered.sort()
    for (number, face), (other_number, other) in itertools.pairwise(numbered):
        if unique and number == other_number:
            raise InputError(
                f"{path}: expected every number once, found {number} in {face} and "
                f"{other}; rename or delete one of them"
            )
    return [str(number) for number, _ in numbered], [face for _, face in numbered]


def read_pictures(path, faces):
    """Read pictures as grey levels, uint8 (n, 48, 48, 1).

    Raises:
        InputError: the first fault, and how many more pictures have one.
    """
    levels, faults = bytearray(), []
    for face in faces:
        try:
            levels += read_face(path / face).tobytes()
        except InputError as error:
            faults.append((face, str(error)))
    if faults:
        message = faults[0][1]
        if len(faults) > 1:
            others = list_some(face for face, _ in faults[1:])
            message += f"; {len(faults) - 1:,} more have faults: {others}"
        raise InputError(message)
    return shape_images(levels)


def read_face(path):
    """Read one picture of a face as grey levels, uint8 (48, 48)."""
    face = pictures.read_grey(path)
    if face.shape != (IMAGE_SIZE, IMAGE_SIZE):
        height, width = face.shape
        raise InputError(
            f"{path}: expected {IMAGE_SIZE}x{IMAGE_SIZE} pixels, found "
            f"{width}x{height}; cut the face out and resize it"
        )
    return face
