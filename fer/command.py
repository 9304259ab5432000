"""How every script begins and ends: its flags, and one clear line for mistakes."""

import argparse
import contextlib
import glob
import math
import os
import sys
import threading
from pathlib import Path


class InputError(ValueError):
    """What the user gave is wrong; the message says what, where and how to fix it."""


class Parser(argparse.ArgumentParser):
    """A parser of flags that says what is wrong in one line, as scripts do."""

    def parse_known_args(self, args=None, namespace=None):
        if args is None and sys.platform == "win32":
            args = expand(sys.argv[1:])
        return super().parse_known_args(args, namespace)

    def error(self, message):
        sys.exit(fail(f"{message}; --help explains every flag"))


def expand(arguments):
    """The files that patterns such as `pretrained/*.keras` name, in their places.

    Unix shells do this, those of Windows leave it to the program.
    """
    expanded = []
    for argument in arguments:
        files = sorted(glob.glob(argument)) if "*" in argument else []
        expanded += files or [argument]
    return expanded


def new_parser(description):
    """A parser of flags whose --help shows a script's docstring as it is written."""
    return Parser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def number(expected, accepts, kind=float):
    """An argparse type: a number that `accepts` holds for, as `expected` says."""

    def read(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not accepts(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")
        return value

    return read


def whole_number(lowest, highest=math.inf):
    """An argparse type: a whole number in [lowest, highest]."""
    limits = f"from {lowest} up" if highest == math.inf else f"{lowest} to {highest}"
    return number(f"a whole number, {limits}", lambda n: lowest <= n <= highest, int)


positive_integer = whole_number(1)
integer_from_zero = whole_number(0)
# What numpy takes.
seed_number = whole_number(0, 2**32 - 1)
positive_number = number("a number above 0", lambda x: 0 < x < math.inf)
number_from_zero = number("a number, 0 or more", lambda x: 0 <= x < math.inf)
fraction = number("a share in [0, 1)", lambda x: 0 <= x < 1)
positive_share = number("a share in (0, 1]", lambda x: 0 < x <= 1)


def file_stem(text):
    """An argparse type: a name that files can have, before their suffix."""
    if not text or Path(text).name != text or text.startswith("."):
        raise argparse.ArgumentTypeError(
            f"expected a name for files, without a folder, found {text!r}"
        )
    return text


def hush_interrupts():
    """Have Ctrl-C show no traceback either while a script still imports."""
    report = sys.excepthook

    def report_others(kind, error, traceback):
        if not issubclass(kind, KeyboardInterrupt):
            report(kind, error, traceback)

    sys.excepthook = report_others


def run(main):
    """Run the `main` of a script; a user's mistake becomes one line and exit code 2.

    A full disk, a missing file or a folder without permission are the user's to
    fix as well, and Ctrl-C is what the user wants; every other exception is ours and
    keeps its traceback.
    """
    if hasattr(sys.stdout, "reconfigure"):
        # A name of a file need not be proper text.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()
        return
    except InputError as error:
        code = fail(error)
    except SystemExit as stop:
        code = stop.code
    except KeyboardInterrupt:
        # 128 and the number of the signal, as shells and the training scripts say it.
        code = 130
    except BrokenPipeError:
        # Whoever read what is printed, such as `head`, has had enough: signal 13.
        code = 128 + 13
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        code = fail(f"{where}{error.strerror or error}")
    finally:
        if not owns_process():
            end_batch_threads()
    leave(code)


def leave(code):
    """End the process at once, or the script alone where its interpreter lives on.

    A training that is left halfway leaves the threads that make its batches alive, and
    Python's orderly end would now and then abort because of them.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if not owns_process():
        sys.exit(code)
    os._exit(code)


def owns_process():
    """Whether Python was started for this script, and ends with it.

    In a notebook (%run), under runpy and in an interactive session it does not: there
    the outermost module that is being executed is not the one that is __main__ now.
    """
    if sys.flags.interactive or hasattr(sys, "ps1"):
        return False
    outermost, frame = None, sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            outermost = frame.f_globals
        frame = frame.f_back
    return outermost is vars(sys.modules["__main__"])


def end_batch_threads():
    """End the threads that still make batches for an epoch that was left halfway.

    Keras ends them with the epoch and keeps them to itself, so they are found by what
    they run.
    """
    for thread in threading.enumerate():
        enqueuer = getattr(getattr(thread, "_target", None), "__self__", None)
        if type(enqueuer).__name__ == "OrderedEnqueuer":
            # What a batch that nobody will see raises is no matter any more.
            with contextlib.suppress(Exception):
                enqueuer.stop()


def fail(message):
    """Print the message as the last line of stderr and return the exit code 2."""
    sys.stdout.flush()
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    return 2


def shorten(value, length=60):
    """A value that the user gave as it can stand in a one-line message."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 4]}...'"
