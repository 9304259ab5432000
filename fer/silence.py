"""TensorFlow's start without the lines that mean nothing.

TensorFlow 2.21 greets with up to seven lines on stderr, among them one that reads like
a failure on every machine without a GPU. They are written by C++ code to the file
descriptor, before anything in Python could ask for fewer of them. So while TensorFlow
is imported and looks for devices, a small process of its own reads what comes out there
and hands on at once whatever is not known to be harmless: being another process, it
still does where TensorFlow aborts.

TF_CPP_MIN_LOG_LEVEL=0 shows every line.
"""

import contextlib
import importlib.util
import logging
import os
import subprocess
import sys

# Parts of lines that a machine without a GPU gets at every start. The number is what
# CUDA's stand-in answers where there is no driver; another one is worth reading.
HARMLESS = (
    "All log messages before absl::InitializeLog() is called are written to STDERR",
    "oneDNN custom operations are on.",
    "Could not find cuda drivers on your machine, GPU will not be used.",
    "failed call to cuInit: UNKNOWN ERROR (303)",
    "Failed call to cuInit: UNKNOWN ERROR (303)",
    "This TensorFlow binary is optimized to use available CPU instructions",
    "To enable the following instructions:",
)
FILTER = """
import os, sys
harmless = [part.encode() for part in sys.argv[1:]]
for line in sys.stdin.buffer:
    if not any(part in line for part in harmless):
        os.write(2, line)
"""
# Seconds for the filter to end once nothing is left to read.
PATIENCE = 5


def install():
    """Have the first import of TensorFlow, whoever it is that imports it, be silent."""
    wanted = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") != "0"
    if wanted and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, TensorFlowFinder())
        # TensorFlow suspects an error where the fifth model of an ensemble is asked.
        logging.getLogger("tensorflow").addFilter(
            lambda record: "tf.function retracing" not in record.getMessage()
        )


class TensorFlowFinder:
    """Stands before Python's finders until TensorFlow is asked for; see `install`."""

    def find_spec(self, name, path=None, target=None):
        """TensorFlow's spec with a loader that is silent; None for everything else."""
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = silence(spec.loader.exec_module)
        return spec


def silence(execute):
    """A loader's `exec_module` that also looks for devices, harmless lines left out."""

    def execute_silently(module):
        with filtering_stderr():
            execute(module)
            # The first look is when the last of the lines comes, and whoever looks
            # again gets the same answer. A failure will meet who needs the devices.
            with contextlib.suppress(Exception):
                module.config.list_physical_devices()

    return execute_silently


@contextlib.contextmanager
def filtering_stderr():
    """Leave `HARMLESS` out of what comes out of file descriptor 2 meanwhile."""
    try:
        kept = os.dup(2)
        filtering = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", FILTER, *HARMLESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # Ctrl-C is for this process; the other ends with what it reads.
            start_new_session=True,
        )
    except OSError:
        # No stderr or no process to be had: every line shows, or none.
        yield
        return
    try:
        os.dup2(filtering.stdin.fileno(), 2)
        yield
    finally:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        filtering.stdin.close()
        # It ends now, unless a process that was started meanwhile still writes to it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            filtering.wait(PATIENCE)
