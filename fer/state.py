"""The state of a run after its last finished epoch, in one file that cannot be half.

A state is a dict of arrays and a JSON document. It is written beside, checksummed,
synced and renamed; the one before stays as `<path>.previous`, so that a damaged file
costs one epoch and not the run. No pickle is involved.
"""

import hashlib
import io
import json
import os
import sys
from pathlib import Path

import numpy as np

from fer.command import InputError
from fer.files import replacing

DIGEST_BYTES = hashlib.sha256().digest_size


def previous_of(path):
    """Where the state before the newest one is kept."""
    return Path(f"{path}.previous")


def list_states(path):
    """The files that there are of a state, the newest first."""
    return [file for file in (Path(path), previous_of(path)) if file.exists()]


def save_state(path, arrays, document):
    """Write a state; the newest one so far becomes the previous one."""
    payload = pack(arrays, document)
    with replacing(path) as temporary:
        with open(temporary, "wb") as file:
            file.write(hashlib.sha256(payload).digest())
            file.write(payload)
        if Path(path).exists():
            os.replace(path, previous_of(path))


def pack(arrays, document):
    """A state as a view of bytes."""
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(document).encode(), dtype=np.uint8)
    np.savez(buffer, document=text, **arrays)
    return buffer.getbuffer()


def unpack(payload):
    """The arrays and the document of the bytes of a state."""
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return arrays, json.loads(arrays.pop("document").tobytes())


def load_state(path):
    """Read the newest state that is whole.

    Returns:
        The arrays and the document, or None where no state was ever written.

    Raises:
        InputError: there are states and each is damaged.
    """
    candidates = list_states(path)
    for file in candidates:
        try:
            saved = read_state(file)
        except (ValueError, OSError) as error:
            print(f"warning: {file} is damaged ({error})", file=sys.stderr)
            continue
        # As the newest one again, or the next write would replace it, the only whole
        # one, by the damaged one.
        os.replace(file, path)
        return saved
    if candidates:
        raise InputError(
            f"{path}: expected a whole state to resume from, found only damaged ones; "
            "start anew without --resume"
        )
    return None


def read_state(file):
    """Read one state file; ValueError if its checksum does not hold."""
    content = file.read_bytes()
    payload = content[DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != content[:DIGEST_BYTES]:
        raise ValueError("its checksum does not match its content")
    return unpack(payload)
