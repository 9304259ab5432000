"""CSV files in the dialects that are met -> faces, every row checked."""

import contextlib
import csv
import re
from array import array
from collections import deque

import numpy as np

from fer import csv_header
from fer.command import InputError, shorten
from fer.faces import (
    EMOTIONS,
    NUM_PIXELS,
    USAGES,
    Faces,
    check_unique,
    find_emotion,
    find_usage,
    list_some,
    shape_images,
)

LABELS = {str(label): label for label in range(len(EMOTIONS))}
# A word that may name a class of another data set, such as contempt.
CLASS_NAME = re.compile(r"(?:\d+[\s_.-]*)?[^\W\d_][\w -]{1,30}")
NO_CLASSES = {"nan", "none", "null", *csv_header.ROLES["label"]}
# The orders of other data sets, by their lowest and highest number.
OTHER_ORDERS = {
    "1 to 7": "RAF-DB's (1 surprise, 2 fear, 3 disgust, 4 happy, 5 sad, 6 angry, "
    "7 neutral)",
    "0 to 7": "AffectNet's (0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, "
    "6 angry, 7 contempt) or FER+'s",
}
DELETE = "fix or delete the row"
ANY_NUMBERS = b"0123456789. \t\n\r+-eE"
# As pandas writes the numbers of a column that has gaps.
WHOLE_NUMBER = re.compile(r"[0-9]\.0+")


class Fault(ValueError):
    """What is wrong with a row, and what to do where most of the rows have it."""

    def __init__(self, message, advice="write the file anew, or download it again"):
        super().__init__(message)
        self.advice = advice


def read_csv(name, file, classes, needed="pixels", unique=False):
    """Read the rows of an open CSV file, checking each one.

    Args:
        name: of the file in messages.
        file: open for reading bytes.
        classes: `fer.faces.Classes`, which knows what to leave out.
        needed: "pixels", or "label" where a file of labels alone will do.
        unique: whether every id may stand there only once.

    Raises:
        InputError: naming file, row, what was expected, found and how to fix it.
    """
    lines = csv_header.read_lines(name, file)
    header, num_lines = csv_header.read_header(name, lines, needed)
    columns, faults, row = Columns(header, classes), [], 0
    for line_number, line in join_quoted(lines, num_lines + 1):
        line = line.rstrip(b"\r\n")
        if not line:
            continue
        row += 1
        try:
            columns.add(row, split_fields(line, header))
        except Fault as fault:
            # Without its traceback, which would keep the row in memory.
            faults.append((row, line_number, str(fault), fault.advice))
    if row == 0:
        raise InputError(
            f"{name}: expected faces below the header, found none; download it again"
        )
    columns.check_numbers(name)
    classes.check(name)
    if faults:
        raise refuse_rows(name, faults, row)
    columns.check_others(name)
    return columns.make_faces(name, unique)


def join_quoted(lines, line_number):
    """Yield the rows of a file, each with the number of its first line.

    A quoted field may go over several lines, as NumPy's arrays do.
    """
    waiting = deque()
    while line := waiting.popleft() if waiting else next(lines, b""):
        row, taken = line, []
        while row.count(b'"') % 2 and len(row) < csv_header.MAX_LINE:
            taken.append(waiting.popleft() if waiting else next(lines, b""))
            if not taken[-1]:
                break
            row += taken[-1]
        if row.count(b'"') % 2:
            # Nothing closes the quote: only this line is at fault.
            waiting.extendleft(reversed([more for more in taken if more]))
            row, taken = line, []
        yield line_number, row
        line_number += 1 + len(taken)


def split_fields(line, header):
    """Split a line at its separators; only quotes need the slow csv module."""
    # A blank to NumPy, the end of the row to every other reader of CSV.
    if b"\r" in line and b"\r" in line.replace(b"\r\n", b"\n"):
        raise Fault("expected one row, found a carriage return inside")
    if b'"' in line:
        try:
            # Latin-1 maps every byte to one character and back.
            text, mark = line.decode("latin-1"), header.separator
            [fields] = csv.reader([text], delimiter=mark, strict=True)
        except (ValueError, csv.Error) as error:
            raise Fault(f"expected balanced quotes, found {error}") from error
        fields = [field.encode("latin-1") for field in fields]
    else:
        fields = line.split(header.separator.encode())
    if len(fields) != len(header.names):
        raise Fault(
            f"expected {len(header.names)} columns, found {len(fields)}",
            "give every column its name, and put quotes around a field with commas",
        )
    return fields


class Columns:
    """The values of a file, grown row by row, so that no face is held twice."""

    def __init__(self, header, classes):
        self.header, self.classes = header, classes
        self.rows, self.levels, self.labels = array("q"), bytearray(), array("q")
        self.ids, self.usages, self.renamed = [], [], {}
        self.sevens = 0
        used = {*header.columns.values(), *(header.pixel_columns or ())}
        # The first words of every column that is left out.
        self.others = {i: set() for i in range(len(header.names)) if i not in used}

    def add(self, row, fields):
        """Add a row of the file, unless its class is left out.

        Raises:
            Fault: a field is not what its column promises.
        """
        columns = self.header.columns
        for column, words in self.others.items():
            word = fields[column].strip().decode("latin-1")
            if word in USAGES:
                # Left out it would train on the faces that it keeps for the test.
                raise Fault(
                    f"expected the column {shorten(self.header.names[column])} to be "
                    f"called Usage, found {quote(fields[column])} in it",
                    "correct its name, or delete it",
                )
            if len(words) <= len(USAGES):
                words.add(word)
        label = None
        if "label" in columns:
            label = self.find_label(fields[columns["label"]])
            if label is None:
                return
        identity = parse_id(fields[columns["id"]]) if "id" in columns else None
        usage = (
            self.find_usage(fields[columns["usage"]]) if "usage" in columns else None
        )
        if "pixels" in columns:
            self.levels += parse_pixels(fields[columns["pixels"]])
        elif self.header.pixel_columns:
            single = [fields[column] for column in self.header.pixel_columns]
            self.levels += parse_pixels(b" ".join(single))
        self.rows.append(row)
        if label is not None:
            self.labels.append(label)
        self.ids.append(identity)
        self.usages.append(usage)

    def find_label(self, field):
        """One label, 0..6, from a number or a word; None where it is left out."""
        word = field.strip().decode("latin-1")
        if word in LABELS and not self.classes.ignored_keys:
            return LABELS[word]
        with contextlib.suppress(UnicodeDecodeError):
            word = field.strip().decode("utf-8")
        if WHOLE_NUMBER.fullmatch(word):
            word = word[0]
        if word in LABELS:
            return self.classes.find_label(EMOTIONS[LABELS[word]])
        self.sevens += word == "7"
        if (
            word.casefold() in self.classes.ignored_keys
            or find_emotion(word) is not None
            or (CLASS_NAME.fullmatch(word) and word.casefold() not in NO_CLASSES)
        ):
            return self.classes.find_label(word)
        raise Fault(
            f"expected a label from 0 to {len(EMOTIONS) - 1}, found {quote(field)}",
            "write the names of the emotions, or number them as data/README.md does",
        )

    def find_usage(self, field):
        """One entry of the Usage column, in FER2013's words."""
        word = field.strip().decode("latin-1")
        usage = find_usage(word)
        if usage is None:
            raise Fault(
                "expected a Usage of Training, PublicTest, PrivateTest, found "
                f"{quote(field)}",
                "write Training, PublicTest or PrivateTest",
            )
        if usage != word:
            self.renamed[word] = usage
        return usage

    def check_numbers(self, name):
        """Refuse labels whose numbers are those of another data set.

        A single 7 is an error in its row; where there are more, their order is not the
        one here, and leaving those rows out would not mend the others. From 0 to 7 it
        can also be that of here and one class more, which --ignore 7 says.
        """
        zeros_ignored = self.classes.ignored[self.classes.ignored_keys.get(0)]
        numbers = "0 to 7" if 0 in self.labels or zeros_ignored else "1 to 7"
        if numbers == "0 to 7" and "7" in self.classes.ignored_keys:
            return
        if len(set(self.labels)) >= 6 and self.sevens > len(self.labels) / 100:
            raise InputError(
                f"{name}: expected labels from 0 to 6, found them from {numbers}, "
                f"another order such as {OTHER_ORDERS[numbers]}; write the emotions' "
                "names instead"
            )

    def check_others(self, name):
        """Refuse a Usage under another name and in other words, as `add` in FER2013's.

        A word such as "test" says so only where all others are such words too.
        """
        for column, words in self.others.items():
            usages = set(map(find_usage, words))
            if usages and None not in usages and usages != {"Training"}:
                raise InputError(
                    f"{name}: expected the column {shorten(self.header.names[column])} "
                    f"to be called Usage, found {', '.join(sorted(words))} in it; "
                    "correct its name, or delete it"
                )

    def make_faces(self, name, unique):
        """The faces of all rows, checked as a whole."""
        if not self.rows:
            raise InputError(
                f"{name}: expected faces beside those that --ignore leaves out, found "
                "none; ignore fewer"
            )
        columns = self.header.columns
        if self.renamed:
            words = ", ".join(f"{old} as {new}" for old, new in self.renamed.items())
            print(f"{name}: takes the Usage {words}")
        if unique and "id" in columns:
            check_unique(name, self.ids, self.rows)
        return Faces(
            shape_images(self.levels) if self.levels else None,
            np.array(self.labels) if "label" in columns else None,
            self.ids if "id" in columns else None,
            self.usages if "usage" in columns else None,
        )


def parse_id(field):
    """One id, kept as it is written: it goes into the submission."""
    try:
        identity = field.strip().decode("utf-8")
    except UnicodeDecodeError:
        identity = ""
    if not identity or not identity.isprintable():
        raise Fault(f"expected an id, found {quote(field)}", "give every face an id")
    return identity


def parse_pixels(field):
    """2,304 grey levels separated by spaces -> their bytes."""
    try:
        # As int64: a narrower type would silently wrap 300 to 44.
        pixels = np.fromstring(field, dtype=np.int64, sep=" ")
    except ValueError:
        pixels = parse_unusual_pixels(field)
    if len(pixels) != NUM_PIXELS:
        raise Fault(
            f"expected {NUM_PIXELS} pixels, found {len(pixels)}",
            f"cut the faces out and resize them to 48x48 = {NUM_PIXELS} pixels",
        )
    # Read without its sign a negative number is an enormous one.
    if pixels.view(np.uint64).max() > 255:
        wrong = pixels[(pixels < 0) | (pixels > 255)][0]
        raise Fault(
            f"expected pixels from 0 to 255, found {wrong}",
            "scale the pixels to 0..255",
        )
    return pixels.astype(np.uint8).tobytes()


def parse_unusual_pixels(field):
    """Grey levels written as 154.0, 1.54e+02 or a list in brackets -> int64 (n,)."""
    text = field.strip()
    if text.startswith(b"[") and text.endswith(b"]"):
        text = text[1:-1].replace(b",", b" ")
    values = None
    if not text.translate(None, ANY_NUMBERS):
        try:
            values = np.fromstring(text, dtype=np.float64, sep=" ")
        except ValueError:
            values = None
    if values is not None and len(values) and np.isfinite(values).all():
        if (values % 1 == 0).all() and np.abs(values).max() < 1e9:
            return values.astype(np.int64)
        fractions = values[values % 1 != 0]
        if len(fractions):
            raise refuse_fractions(values, fractions[0])
    if b"..." in text:
        raise Fault(
            f"expected whole numbers, {NUM_PIXELS} of them, found some left out (...)",
            "write every pixel, as ' '.join(map(str, pixels)) does",
        )
    raise Fault(
        "expected whole numbers separated by spaces, found "
        f"{quote(find_foreign(text))}",
        "write the pixels as 0 to 255 with spaces between; pictures go into folders",
    )


def refuse_fractions(values, example):
    """The fault of pixels that were scaled, and how to undo it."""
    if values.min() >= 0 and values.max() <= 1:
        advice = "multiply the pixels by 255 and round them"
    elif values.min() >= -1 and values.max() <= 1:
        advice = "add 1 to the pixels, multiply them by 127.5 and round them"
    else:
        advice = "scale the pixels to 0..255 and round them"
    return Fault(
        "expected whole numbers from 0 to 255, found fractions from "
        f"{values.min():.4g} to {values.max():.4g} such as {example:.4g}",
        advice,
    )


def find_foreign(field):
    """The first word of a field that is no whole number."""
    words = field.split()
    return next((word for word in words if not word.isdigit()), field)


def quote(field):
    """A field as it can stand in a one-line message."""
    return shorten(field.decode("latin-1"), 24)


def refuse_rows(name, faults, num_rows):
    """The refusal of a file for its rows, after all of them were looked at.

    Args:
        name: of the file.
        faults: (row, line number, message, advice where most rows have it) of each.
        num_rows: how many rows the file has.
    """
    row, line_number, message, advice = faults[0]
    where = f"{name}, row {row} (line {line_number}): {message}"
    if len(faults) == 1:
        # Where it is the only row, it speaks for the file.
        return InputError(f"{where}; {advice if num_rows == 1 else DELETE}")
    if len(faults) > num_rows / 2:
        return InputError(
            f"{where}, and faults in {len(faults):,} of {num_rows:,} rows; {advice}"
        )
    return InputError(
        f"{where}; {DELETE}, and {len(faults) - 1:,} more with faults: "
        f"{list_some(other for other, *_ in faults[1:])}"
    )
