"""How every script begins and ends: its flags, and one clear line for mistakes."""

import argparse
import sys
from pathlib import Path


class InputError(ValueError):
    """What the user gave is wrong; the message says what, where and how to fix it."""


def new_parser(description):
    """A parser of flags whose --help shows a script's docstring as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def whole_number(lowest, highest=None):
    """An argparse type: a whole number in [lowest, highest]."""

    def read(text):
        number = int(text)
        if number < lowest or (highest is not None and number > highest):
            limits = (
                f"{lowest} or more" if highest is None else f"{lowest} to {highest}"
            )
            raise argparse.ArgumentTypeError(f"expected {limits}, found {text}")
        return number

    # argparse names it where the text is no number.
    read.__name__ = "whole number"
    return read


positive_integer = whole_number(1)
# What numpy takes.
seed_number = whole_number(0, 2**32 - 1)


def file_stem(text):
    """An argparse type: a name that files can have, before their suffix."""
    if not text or Path(text).name != text or text.startswith("."):
        raise argparse.ArgumentTypeError(
            f"expected a name for files, without a folder, found {text!r}"
        )
    return text


def run(main):
    """Run the `main` of a script; a user's mistake becomes one line and exit code 2.

    A full disk, a missing file or a folder without permission are the user's to
    fix as well, and Ctrl-C is what the user wants; every other exception is ours and
    keeps its traceback.
    """
    try:
        main()
    except InputError as error:
        sys.exit(fail(error))
    except KeyboardInterrupt:
        # 128 and the number of the signal, as shells and the training scripts say it.
        sys.exit(130)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(fail(f"{where}{error.strerror or error}"))


def fail(message):
    """Print the message as the last line of stderr and return the exit code 2."""
    sys.stdout.flush()
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    return 2
