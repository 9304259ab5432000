"""Trains the tiny network in a child process per job and interferes at a moment.

Importing Keras takes longer than the runs that test_resume.py needs by the dozen. So
this process imports it once, reads jobs from stdin, one JSON object a line, and forks
a child for each: a process of its own that may be killed. It answers with the child's
exit status, which is -9 after SIGKILL. What the child prints goes to log.txt in the
folder of the job.

A job names the folder, the arguments of a training script, changes of the recipe and,
in `at`, an event, its count from 1, an action and the action's argument. Events are
batch, validation, write (a quarter of what is written to a state file), fsync,
"replace .state" before and "replaced .state" after a file of that suffix is renamed.
"""

import collections
import dataclasses
import io
import json
import os
import resource
import sys
import time

from tiny_network import RECIPE, build_tiny

import train_cnn as training
from fer import callbacks, command, flags, state

ACTIONS = {
    "signal": lambda number: os.kill(os.getpid(), number),
    "limit": lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
}


def serve():
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            return run_job(job)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run_job(job):
    os.chdir(job["folder"])
    log = os.open("log.txt", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(log, sys.stdout.fileno())
    os.dup2(log, sys.stderr.fileno())
    recipe = dataclasses.replace(RECIPE, **job["recipe"])
    if isinstance(recipe.schedule, dict):
        # JSON knows only text as keys.
        schedule = {int(epoch): factor for epoch, factor in recipe.schedule.items()}
        recipe = dataclasses.replace(recipe, schedule=schedule)
    parser = flags.build_parser(__doc__, "run", ("tiny", "other"), recipe)
    options = parser.parse_args(job["arguments"])
    watch(job["at"])
    command.run(lambda: training.train(build_tiny, recipe, options))


def watch(at):
    """Count the events and act once on the one that `at` names."""
    counts = collections.Counter()

    def tick(event):
        counts[event] += 1
        if at and [event, counts[event]] == at[:2]:
            # The signal's moment, from which the test counts the seconds to the end.
            with open("moment.txt", "w") as file:
                file.write(str(time.time()))
            ACTIONS[at[2]](at[3])

    class SlowFile(io.FileIO):
        def write(self, content):
            rest = memoryview(content)
            quarter = len(rest) // 4
            while rest:
                tick("write")
                rest = rest[super().write(rest[:quarter]) :]

    def fsync_watched(descriptor, fsync=os.fsync):
        tick("fsync")
        fsync(descriptor)

    def replace_watched(source, target, replace=os.replace):
        suffix = os.path.splitext(target)[1]
        tick(f"replace {suffix}")
        replace(source, target)
        tick(f"replaced {suffix}")

    state.open = SlowFile
    os.fsync = fsync_watched
    os.replace = replace_watched
    keeper = callbacks.StateKeeper
    keeper.on_train_batch_end = lambda self, batch, logs=None: tick("batch")
    keeper.on_test_batch_end = lambda self, batch, logs=None: tick("validation")


if __name__ == "__main__":
    serve()
