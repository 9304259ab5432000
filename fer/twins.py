"""Networks that saw every face, and the twins by which they are measured.

A network that held no face out cannot be measured on any face that it was trained with.
Its record names its twin, another network that held some out.
"""

import os
from pathlib import Path

from fer import checkpoints
from fer.command import InputError


def find_twin(path):
    """The checkpoint that held faces out in the place of one that saw all of them.

    Args:
        path: of a checkpoint, whose record may name its twin, seen from its folder.

    Returns:
        The twin's path, or None.

    Raises:
        InputError: the record is damaged or its twin is not there.
    """
    named = (checkpoints.load_record(path) or {}).get("twin")
    if named is None:
        return None
    twin = Path(os.path.normpath(Path(path).parent / str(named)))
    if not twin.is_file():
        raise InputError(
            f"{Path(path).with_suffix('.json')}: expected its twin {twin}, found no "
            'such file; put it back, or take "twin" out of the record'
        )
    return twin


def name_twin(path, twin, images, labels):
    """What the record of a checkpoint says of its twin: where it is, seen from there.

    Args:
        path: of the checkpoint.
        twin: of the other one.
        images, labels: a training file as fer.data.load_training_faces returns it.

    Raises:
        InputError: the twin is no checkpoint, or its record knows of no face that it
            held out.
    """
    checkpoints.load_checkpoint(twin)
    checkpoints.require_held_out_rows([twin], images, labels)
    try:
        return Path(os.path.relpath(twin, Path(path).parent)).as_posix()
    except ValueError:
        # On another drive of Windows.
        return Path(twin).resolve().as_posix()


def find_measured(models, fingerprint=None):
    """The checkpoints whose held-out faces can speak: twins, where some saw all faces.

    Args:
        models: paths of checkpoints.
        fingerprint: of the faces that twins are asked about, or None for those
            that each was trained on.

    Returns:
        As many paths.

    Raises:
        InputError: a record names a twin that is not there.
    """
    measured = []
    for path in models:
        record = checkpoints.load_record(path) or {}
        twin = None
        if fingerprint in (None, record.get("settings", {}).get("faces")):
            twin = find_twin(path)
        if twin is not None:
            print(f"{path} was trained on every face: this is about its twin {twin}")
        measured.append(twin or path)
    return measured
