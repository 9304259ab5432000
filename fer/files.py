"""Files that are the whole old or the whole new one, and runs that do not collide."""

import contextlib
import csv
import glob
import hashlib
import os
import tempfile
from pathlib import Path

from fer.command import InputError


@contextlib.contextmanager
def replacing(path):
    """Yield a path beside `path` to write to; rename it over `path` on success.

    The new bytes are on the disk before the name changes, so that after a crash,
    a kill or a full disk the name leads to the complete old or the complete new
    file. Whatever fails leaves no temporary file behind. Of a link the target is
    replaced.

    Raises:
        InputError: the path leads to a folder, a device or a pipe.
    """
    path = Path(path)
    refuse_special(path)
    if path.is_symlink():
        path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        prefix=name_temporary(path), suffix=path.suffix, dir=path.parent
    )
    os.close(handle)
    temporary = Path(temporary)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes files only the owner can read; a result is no secret.
        temporary.chmod(0o666 & ~current_umask())
        os.replace(temporary, path)
    except OSError as error:
        # A write that fails because the disk is full does not say where.
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def name_temporary(path):
    """How the names of files begin that are to become `path`, and of no other."""
    stem = path.stem
    # A name may have 255 bytes, and this one gets longer by ten.
    if len(os.fsencode(path.name)) > 245:
        stem = hashlib.sha256(os.fsencode(stem)).hexdigest()
    return f".{stem}-"


def refuse_special(path):
    """Refuse to write to what exists and is no file."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe"
        raise InputError(
            f"{path}: expected a file to write, found {kind}; name another one"
        )


def check_outputs(outputs, inputs):
    """Refuse, before any work, to write over what is read, or to what is no file.

    Args:
        outputs: dict from a flag to its path, or to None where it is not given.
        inputs: paths of what is read; None counts as none.
    """
    taken = {Path(path).resolve(): str(path) for path in inputs if path is not None}
    for flag, path in outputs.items():
        if path is None:
            continue
        refuse_special(Path(path))
        place = Path(path).resolve()
        if place in taken:
            raise InputError(
                f"{flag} {path}: expected another file than {taken[place]}, found the "
                "same; name two"
            )
        taken[place] = flag


def write_table(path, header, rows):
    """Write a CSV file, whole or not at all."""
    with (
        replacing(path) as temporary,
        open(
            # A name of a file need not be proper text.
            temporary,
            "w",
            encoding="utf-8",
            errors="backslashreplace",
        ) as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def remove_leftovers(path):
    """Delete what `replacing` left of the files of this stem when it was killed.

    Only for who can be sure that nobody else is writing them now.
    """
    path = Path(path)
    # Eight characters is what mkstemp draws.
    prefix = glob.escape(name_temporary(path))
    for temporary in path.parent.glob(f"{prefix}????????.*"):
        temporary.unlink()


def current_umask():
    """The permission bits that new files do not get; to read them is to set them."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


@contextlib.contextmanager
def locked(path):
    """Hold the lock file `path`, released by the kernel even if this process is killed.

    Raises:
        InputError: another living process holds it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        try:
            lock(file)
        # The latter is how Windows says it.
        except (BlockingIOError, PermissionError) as error:
            raise InputError(
                f"{path} is held by a run of the same name that is still going; "
                "wait for it, stop it, or choose another --name"
            ) from error
        yield


def lock(file):
    """Lock an open file exclusively without waiting; OSError if it is taken."""
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
