"""How far long work has come: one line on a terminal, a few plain ones in a log."""

import sys
import time

# Seconds from one line to the next. In a log, work of a few seconds says nothing.
TERMINAL_INTERVAL = 0.2
LOG_INTERVAL = 10


class Progress:
    """Prints the share of some work that is done and the time that the rest takes.

    Args:
        text: what is being done.
        total: how much of it there is, in any unit.
    """

    def __init__(self, text, total):
        self.text = text
        self.total = total
        self.done = 0
        self.on_terminal = sys.stdout.isatty()
        self.interval = TERMINAL_INTERVAL if self.on_terminal else LOG_INTERVAL
        self.started = self.shown = time.monotonic()

    def advance(self, amount):
        """Count some more of the work as done, and say so now and then."""
        self.done += amount
        now = time.monotonic()
        ends_line = self.on_terminal and self.done >= self.total
        if now - self.shown < self.interval and not ends_line:
            return
        self.shown = now
        left = (now - self.started) / self.done * (self.total - self.done)
        line = f"{self.text}: {self.done / self.total:.0%}, {left:.0f} s left"
        if self.on_terminal:
            print(f"\r{line:79}", end="\n" if ends_line else "", flush=True)
        else:
            print(line, flush=True)
