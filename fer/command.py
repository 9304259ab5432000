"""How every script begins and ends: its flags, and one clear line for mistakes."""

import argparse
import sys


class InputError(ValueError):
    """What the user gave is wrong; the message says what, where and how to mend it."""


def new_parser(description):
    """A parser of flags whose --help shows a script's docstring as it is written."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def run(main):
    """Run the `main` of a script; a user's mistake becomes one line and exit code 2.

    A full disk, a missing file or a folder without permission are the user's to
    mend as well, and Ctrl-C is what the user wants; every other exception is ours and
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
