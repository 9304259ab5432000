"""Runs that are going at the same time, wherever that is."""

import contextlib
import signal

from fer.processes import STOPPED, handling_signals

# What a run can be; from the third on it has ended.
STATES = ("waiting", "running", "done", "failed", "stopped", "not begun")
ENDED = frozenset(STATES[2:])


class Group:
    """Runs that are going at the same time, which a signal stops together.

    Attributes:
        signal: the number of the signal that came, or None.
        codes: the exit codes of the runs that have ended, by name.
    """

    def __init__(self):
        self.signal = None
        self.codes = {}

    def __enter__(self):
        self.handlers = contextlib.ExitStack()
        self.handlers.enter_context(handling_signals(self.note))
        return self

    def __exit__(self, kind, *error):
        if kind is not None:
            self.stop(signal.SIGTERM)
        # Before the old handlers are back, every run has ended.
        self.wait()
        self.handlers.close()

    def note(self, number, frame):
        """The signal handler: hand it on, so that every run keeps its last epoch."""
        self.signal = number
        self.stop(number)

    def stop(self, number):
        """Begin no further run and send a signal to those that are going."""
        raise NotImplementedError

    def look(self):
        """The state of every run, out of `STATES`."""
        raise NotImplementedError

    def wait(self):
        """Wait for what `look` does not show to have ended."""

    def describe_end(self, name):
        """The state of a run that has ended."""
        code = self.codes[name]
        if code == 0:
            return "done"
        return "stopped" if code in STOPPED else "failed"
