"""A file as it was downloaded -> the one CSV inside, open for reading bytes."""

import bz2
import contextlib
import functools
import gzip
import lzma
import re
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from fer import pictures
from fer.command import InputError
from fer.faces import list_some

HEAD = 512  # bytes by which a file is recognized: a tar archive says so at 257
PACKED = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\0": ("xz", lzma.open),
}
# Archives inside an archive are opened as well; deeper than this it is a trap.
MAX_DEPTH = 3
CLUTTER = {"__macosx", "@eadir", "thumbs.db", "desktop.ini"}
# What a file that is no table begins with, what it is, and what to do about it.
AS_PICTURES = (
    "give the folder of its faces, 48x48 pixels each; recognize.py takes photographs"
)
AS_TABLE = "write its faces as a CSV file or as pictures, as data/README.md says"
KINDS = {
    b"\x89PNG": ("a PNG picture", AS_PICTURES),
    b"\xff\xd8\xff": ("a JPEG picture", AS_PICTURES),
    b"GIF8": ("a GIF picture", AS_PICTURES),
    b"II*\0": ("a TIFF picture", AS_PICTURES),
    b"MM\0*": ("a TIFF picture", AS_PICTURES),
    b"RIFF": ("a WebP picture or a film", AS_PICTURES),
    b"\x93NUMPY": ("a NumPy array", AS_TABLE),
    b"\x89HDF": ("an HDF5 file", AS_TABLE),
    b"PAR1": ("a Parquet table", AS_TABLE),
    b"\x80\x04": ("a Python pickle", AS_TABLE),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "save it as CSV (UTF-8)"),
    b"%PDF": ("a PDF document", "give the CSV file"),
    b"Rar!": ("a RAR archive", "unpack it and give what is inside"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it and give what is inside"),
    b"<!DOCTYPE": ("a web page", "download the file itself"),
    b"<html": ("a web page", "download the file itself"),
}


@contextlib.contextmanager
def open_table(path):
    """Open a CSV file, also one that is packed or the only one in a zip or tar archive.

    Args:
        path: of the file, or of a file inside an archive: "archive.zip/train.csv".

    Yields:
        The path of the table as messages name it, and the table open for reading bytes.

    Raises:
        InputError: the file is damaged, something else, or holds several tables.
    """
    archive, member = split_path(path)
    try:
        with contextlib.ExitStack() as stack:
            if not Path(archive).is_file():
                # Packed files and headers are read twice, which a pipe cannot do.
                raise InputError(
                    f"{archive}: expected a file, found a pipe or a device; save what "
                    "comes out of it first"
                )
            file = stack.enter_context(open(archive, "rb"))
            yield unpack(stack, str(archive), file, member)
    except (
        EOFError,
        zlib.error,
        OSError,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
    ) as error:
        if getattr(error, "errno", None) is not None:
            # The system's; those of gzip and bz2 have no number.
            raise
        raise InputError(
            f"{archive}: expected a complete {name_packing(archive)} file, found a "
            f"damaged one ({error}); download it again"
        ) from error
    except NotImplementedError as error:
        # Such as Deflate64, which Windows takes for large files.
        raise InputError(
            f"{archive}: expected an archive that Python can unpack, found another "
            f"kind ({error}); unpack it and give the CSV file"
        ) from error


def name_packing(path):
    """How a file is packed, by what it begins with."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    names = (name for magic, (name, _) in PACKED.items() if head.startswith(magic))
    return next(names, "zip" if head.startswith(b"PK") else "tar")


def split_path(path):
    """The file of a path, and what is named inside of it, or None."""
    path = Path(path)
    for parent in path.parents:
        if parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return path, None


def unpack(stack, name, file, member, depth=0):
    """Open what an open file holds until it is a table.

    Args:
        stack: of what is to be closed at the end.
        name: of the file in messages.
        file: open for reading bytes.
        member: the path wanted inside of it, or None for the only table.
        depth: how many archives it lies in.

    Returns:
        The name of the table and the table, open.
    """
    head = file.read(HEAD)
    file.seek(0)
    if depth > MAX_DEPTH:
        raise InputError(
            f"{name}: expected a CSV file, found archives in archives; unpack them"
        )
    for magic, (_, opener) in PACKED.items():
        if head.startswith(magic):
            inner = stack.enter_context(opener(file))
            return unpack(stack, name, inner, member, depth + 1)
    if head.startswith(b"PK"):
        members = list_zip(name, stack.enter_context(zipfile.ZipFile(file)))
    elif head[257:262] == b"ustar":
        members = list_tar(stack.enter_context(tarfile.TarFile(fileobj=file)))
    elif member:
        raise InputError(
            f"{name}: expected an archive with {member} inside, found a file that is "
            "none; name the file alone"
        )
    else:
        check_kind(name, head)
        return name, file
    # Without the "./" that many begin with, as paths that users give have none.
    members = {PurePosixPath(path).as_posix(): members[path] for path in members}
    chosen = choose_member(name, members, member)
    inner = stack.enter_context(members[chosen]())
    rest = member and member[len(chosen) + 1 :]
    return unpack(stack, f"{name}/{chosen}", inner, rest, depth + 1)


def list_zip(name, archive):
    """The files of a zip archive: a function that opens each, by path."""
    if "[Content_Types].xml" in archive.namelist():
        raise InputError(
            f"{name}: expected a CSV file, found an Excel workbook; save it as CSV "
            "(UTF-8)"
        )
    if any(member.flag_bits & 1 for member in archive.infolist()):
        raise InputError(
            f"{name}: expected an archive without a password, found one with; unpack it"
        )
    return {
        member.filename: functools.partial(archive.open, member)
        for member in archive.infolist()
        if not member.is_dir()
    }


def list_tar(archive):
    """The files of a tar archive: a function that opens each, by path."""
    return {
        member.name: functools.partial(archive.extractfile, member)
        for member in archive
        if member.isfile()
    }


def choose_member(name, members, wanted):
    """The path of the one table, or of the one archive, among the files of an archive.

    Raises:
        InputError: there is none, or several and none is named.
    """
    members = [path for path in members if not is_clutter(path)]
    if wanted:
        # It may go on inside of an archive in this one.
        tables = [path for path in members if f"{wanted}/".startswith(f"{path}/")]
    else:
        tables = [path for path in members if re.search(r"\.csv(\.gz)?$", path, re.I)]
        if not tables:
            packed = r"\.(zip|tar|tgz|gz)$"
            tables = [path for path in members if re.search(packed, path, re.I)]
    if len(tables) == 1:
        return tables[0]
    if tables:
        raise InputError(
            f"{name}: expected one CSV file, found {list_some(tables)}; name the one "
            f"that you mean, as {name}/{tables[0]}"
        )
    suffixes = pictures.list_suffixes()
    faces = sum(Path(path).suffix.lower() in suffixes for path in members)
    if faces and not wanted:
        raise InputError(
            f"{name}: expected a CSV file, found an archive of {faces:,} pictures; "
            "unpack it and give the folder that holds them"
        )
    raise InputError(
        f"{name}: expected {wanted or 'a CSV file'} inside, found "
        f"{list_some(members) or 'nothing'}; give the CSV file, unpacked"
    )


def is_clutter(path):
    """Whether a path leads to what systems leave behind, such as "__MACOSX/._a.png"."""
    return any(
        part.startswith(".") or part.casefold() in CLUTTER for part in Path(path).parts
    )


def check_kind(name, head):
    """Refuse a file that is no table by what it begins with, saying what it is."""
    for magic, (kind, advice) in KINDS.items():
        if head.startswith(magic):
            raise InputError(f"{name}: expected a CSV file, found {kind}; {advice}")
    suffix, kind = Path(name).suffix.lower(), None
    if head[4:8] == b"ftyp":
        brand = pictures.FOREIGN_BRANDS.get(head[4:12])
        kind = f"a picture in {brand}" if brand else "a film"
    elif suffix not in (".csv", "") and suffix in pictures.list_suffixes():
        kind = f"a picture ({suffix})"
    if kind:
        raise InputError(f"{name}: expected a CSV file, found {kind}; {AS_PICTURES}")
