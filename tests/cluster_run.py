"""Trains the tiny network and sends a signal once, after an epoch.

    python tests/cluster_run.py WHOM SIGNAL EPOCH FLAGS...

WHOM is parent, itself or nobody. The signal comes the first time that this epoch ends
in a run of this name, so that a run that goes on gets none.
"""

import os
import signal
import sys
from pathlib import Path

from tiny_network import RECIPE, build_tiny

import train_cnn
from fer import callbacks, command, flags


def read_flags(arguments):
    """What `train_cnn.train` is given for some flags."""
    parser = flags.build_parser(__doc__, "run", ("tiny", "other"), RECIPE)
    return build_tiny, RECIPE, flags.parse_run(parser, arguments)


def send_after(epoch, whom, number, name):
    """Have the signal sent after the epoch is in the state file."""
    receiver = {"parent": os.getppid(), "itself": os.getpid()}.get(whom)
    sent = Path(f"{name}.sent")
    keeper = callbacks.StateKeeper
    end = keeper.on_epoch_end

    def on_epoch_end(self, index, logs=None):
        end(self, index, logs)
        if receiver is not None and index + 1 == epoch and not sent.exists():
            sent.touch()
            os.kill(receiver, signal.Signals[number])

    keeper.on_epoch_end = on_epoch_end


if __name__ == "__main__":
    whom, number, epoch, *arguments = sys.argv[1:]
    run = read_flags(arguments)
    send_after(int(epoch), whom, number, run[2].name)
    command.run(lambda: train_cnn.train(*run))
