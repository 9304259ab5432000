"""How a CSV file is written: its encoding, its separator, and what its columns are."""

import codecs
import csv
import dataclasses
import difflib
import functools
import io
import re

from fer.command import InputError, shorten
from fer.faces import NUM_PIXELS, list_some

# The contest says label and feature, Kaggle's two other files emotion and pixels. Of
# several columns for an id the first name here counts.
ROLES = {
    "label": ("label", "labels", "emotion", "emotions"),
    "pixels": ("pixels", "pixel", "feature", "features"),
    "usage": ("usage", "split", "set", "subset", "partition"),
    "id": ("id", "ids", "image_id", "filename", "file", "path", "image"),
}
SEPARATORS = ",;\t|"
# The longest line of any form: 2,304 levels of twenty characters, an id and a label.
MAX_LINE = 2**17
EXPECTED = {
    "pixels": "label,feature or id,feature (or Kaggle's emotion,pixels,Usage)",
    "label": "id,label (a Usage beside it is read as well)",
}


@dataclasses.dataclass(frozen=True)
class Header:
    """What the first line of a CSV file says about the others.

    Attributes:
        separator: of the fields of a line, one character.
        names: of the columns, as they are written.
        columns: the number of the column, by role where the file has it: "label",
            "pixels", "usage", "id".
        pixel_columns: 2,304 numbers of columns where every pixel has its own, or None.
    """

    separator: str
    names: list
    columns: dict
    pixel_columns: list | None


def read_lines(name, file):
    """Yield the lines of an open file in UTF-8, whatever Unicode it is written in."""
    head = file.read(4)
    file.seek(0)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        wide = head.startswith(codecs.BOM_UTF32_LE)
        text = io.TextIOWrapper(file, "utf-32" if wide else "utf-16", newline="\n")
        read_text = functools.partial(text.readline, MAX_LINE)
        lines = (line.encode() for line in iter(read_text, ""))
    elif b"\0" in head:
        raise InputError(
            f"{name}: expected text in UTF-8, found UTF-16 without its mark or no text "
            "at all; save it as CSV (UTF-8)"
        )
    else:
        if head.startswith(codecs.BOM_UTF8):
            file.read(len(codecs.BOM_UTF8))
        lines = iter(functools.partial(file.readline, MAX_LINE), b"")
    try:
        for line in lines:
            if len(line) >= MAX_LINE:
                raise InputError(
                    f"{name}: expected lines below {MAX_LINE:,} bytes, found a longer "
                    "one; give a CSV file of one face a line"
                )
            yield line
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: expected text in UTF-16, found other bytes inside; save it as "
            "CSV (UTF-8)"
        ) from error


def read_header(name, lines, needed):
    """Read the first line, after one that only names the separator, as Excel's does.

    Args:
        name: of the file in messages.
        lines: iterator over its lines, bytes.
        needed: the role without which it is another file, "pixels" or "label".

    Returns:
        The header, and how many lines it took.

    Raises:
        InputError: there is none, or it names two columns for one role.
    """
    line, num_lines, separators = next(lines, b""), 1, SEPARATORS
    if not line:
        raise InputError(
            f"{name}: expected a CSV file, found an empty one; download it again"
        )
    said = re.fullmatch(rb'"?sep=(.)"?', line.strip(b"\r\n"), re.I)
    if said:
        line, num_lines, separators = next(lines, b""), 2, said[1].decode("latin-1")
    text = decode(name, line, needed)
    candidates = [split_names(text, separator) for separator in separators]
    for separator, names in zip(separators, candidates, strict=True):
        columns, pixel_columns = find_columns(name, names, needed)
        if needed in columns or (needed == "pixels" and pixel_columns):
            used = {*columns.values(), *(pixel_columns or ())}
            say_left_out(name, names, columns, used)
            header = Header(separator, names, columns, pixel_columns)
            return header, num_lines
    raise refuse_header(name, max(candidates, key=len), needed)


def decode(name, line, needed):
    """The first line as text."""
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: expected the header {EXPECTED[needed]}, found bytes that are no "
            "text; give the CSV file, saved in UTF-8"
        ) from error
    if "\r" in text:
        raise InputError(
            f"{name}: expected the header {EXPECTED[needed]} in a line of its own, "
            "found the line ends of old Macintosh files; save it as CSV (UTF-8)"
        )
    return text


def split_names(text, separator):
    """The names of the columns under one separator, one name where it cannot be."""
    try:
        [names] = csv.reader(
            [text], delimiter=separator, skipinitialspace=True, strict=True
        )
    except (ValueError, csv.Error):
        return [text]
    return [name.strip() for name in names]


def find_columns(name, names, needed):
    """Which column has which role: a dict of numbers, and the columns of single pixels.

    Raises:
        InputError: two columns claim one role.
    """
    folded = [column.casefold() for column in names]
    columns = {}
    for role, known in ROLES.items():
        found = [folded.index(column) for column in known if column in folded]
        twice = [column for column in known if folded.count(column) > 1]
        if twice or (len(found) > 1 and role != "id"):
            raise refuse_header(name, names, needed, f", two columns for the {role}")
        if found:
            columns[role] = found[0]
    pixel_columns = None if "pixels" in columns else find_pixel_columns(folded)
    has_pixels = "pixels" in columns or pixel_columns
    if needed == "pixels" and not has_pixels and "image" in folded:
        # Some call the pixels so.
        columns["pixels"] = folded.index("image")
        if columns["id"] == columns["pixels"]:
            del columns["id"]
    return columns, pixel_columns


def find_pixel_columns(names):
    """The columns of single pixels in their order, such as pixel0 to pixel2303."""
    groups = {}
    for column, name in enumerate(names):
        numbered = re.fullmatch(r"(.*?)(\d{1,4})", name)
        if numbered:
            group = groups.setdefault(numbered[1], {})
            group[int(numbered[2])] = column
    for group in groups.values():
        numbers = sorted(group)
        first = numbers[0]
        if first in (0, 1) and numbers == list(range(first, first + NUM_PIXELS)):
            return [group[number] for number in numbers]
    return None


def say_left_out(name, names, columns, used):
    """Say in one line which columns nobody asked for.

    Raises:
        InputError: one of them is nearly called like one that is missing.
    """
    missing = [known for role in ROLES.keys() - columns.keys() for known in ROLES[role]]
    others = [names[i] for i in range(len(names)) if i not in used]
    for other in others:
        close = difflib.get_close_matches(other.casefold(), missing, 1, cutoff=0.85)
        if close:
            raise InputError(
                f"{name}: expected a column {close[0]}, found {shorten(other)}; "
                "correct its name, or delete it"
            )
    if others:
        others = [shorten(other) if other else "without a name" for other in others]
        print(f"{name}: left out the columns {list_some(others)}")


def refuse_header(name, names, needed, what=""):
    """The refusal of a first line."""
    counts = [len(field.split()) for field in names]
    numbers = all(re.fullmatch(r"[\d\s.,\[\]]+", field) for field in names)
    if numbers or max(counts, default=0) >= NUM_PIXELS:
        return InputError(
            f"{name}: expected the header {EXPECTED[needed]}, found a row of numbers; "
            "write the names of the columns into a first line"
        )
    found = ",".join(names)
    if len(found) > 60 or not found.isprintable():
        found = f"{len(names):,} columns from {shorten(names[0], 24)} on"
    elif len(names) == 1 and "," in found:
        found = f'"{found}" in quotes, as one column'
    return InputError(
        f"{name}: expected the header {EXPECTED[needed]}, found {found}{what}; "
        "add or fix the first line"
    )
