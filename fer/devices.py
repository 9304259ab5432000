"""One run on several devices or hosts, each with its share of every batch (JAX only).

Keras keeps the weights alike everywhere and adds up what the shares say about them, so
that a run is the same as on one device but for rounding. Of several processes all
compute and the first alone prints and writes; who starts them says by Keras' own
environment variables, or through Slurm's `srun`, how they find each other.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys

import keras
import numpy as np

from fer import command, hosts, state
from fer.command import InputError

PROCESS_LOST = (
    "another process of this run has ended, or this one was; start all of them again "
    "with --resume"
)
# What JAX's errors say of it, on processors and on GPUs.
LOST_WORDS = re.compile(
    "gloo|nccl|unavailable|heartbeat|coordination|socket", re.IGNORECASE
)
# JAX may end a process at once where the first one is gone. Then this one speaks.
SPOKESMAN = "import sys; sys.stdin.read() or sys.exit(f'error: {sys.argv[1]}')"


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices of a run.

    Attributes:
        count: of all processes together.
        process, num_processes: which this one is, from 0, and how many there are.
        kind: "cpu", "gpu" or "tpu".
    """

    count: int = 1
    process: int = 0
    num_processes: int = 1
    kind: str = "cpu"

    @property
    def is_first(self):
        """Whether this process is the one that writes."""
        return self.process == 0

    def __str__(self):
        text = f"{self.count} of kind {self.kind}"
        if self.num_processes > 1:
            text += f" in {self.num_processes} processes"
        return text

    def require_enough(self, num_faces, batch_size):
        """Refuse batches with fewer faces than devices."""
        if min(num_faces, batch_size) < self.count:
            raise InputError(
                f"--devices: expected batches of at least {self.count} faces, one for "
                f"each device, found {min(num_faces, batch_size)}; give a larger "
                "--batch-size or more faces"
            )

    def take_share(self, size):
        """The slice of a batch of `size` faces that this process feeds."""
        share = size // self.num_processes
        return slice(self.process * share, (self.process + 1) * share)

    def share_validation(self, images, targets, batch_size):
        """This process' part of validation faces, and how many it feeds at a time.

        Args:
            images, targets: arrays of n faces, of which n % count are left out.
            batch_size: of all devices together, at most.
        """
        self.require_enough(len(images), batch_size)
        dealt = len(images) - len(images) % self.count
        rows = slice(self.process, dealt, self.num_processes)
        local = self.count // self.num_processes
        return images[rows], targets[rows], batch_size // self.count * local

    def begin(self):
        """Have every model that is built from here on trained on all devices."""
        if self.count > 1:
            # Every process feeds its share by itself.
            parallel = keras.distribution.DataParallel(auto_shard_dataset=False)
            keras.distribution.set_distribution(parallel)

    def end(self):
        """Wait for the other processes, after which each is alone."""
        if self.count > 1:
            keras.distribution.set_distribution(None)
        if self.num_processes > 1:
            import jax

            jax.distributed.shutdown()

    def require_same(self, settings):
        """Refuse processes with different flags, code or faces.

        Args:
            settings: of the run in this process, JSON values.
        """
        if self.num_processes == 1:
            return
        from jax.experimental import multihost_utils

        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).digest()
        mine = np.frombuffer(digest, dtype=np.uint8)
        digests = np.asarray(multihost_utils.process_allgather(mine))
        others = np.flatnonzero((digests != digests[0]).any(axis=1))
        if len(others):
            raise InputError(
                "--devices: expected the same flags, code and faces in every process, "
                f"found others in process {others[0]} than in process 0; start all "
                "with the same"
            )

    def share_state(self, saved):
        """Give every process the state that the first one resumes, arrays and document.

        Args:
            saved: what `fer.state.load_state` returned in the first process.
        """
        if self.num_processes == 1:
            return saved
        from jax.experimental.multihost_utils import broadcast_one_to_all

        content = b"" if saved is None else bytes(state.pack(*saved))
        size = int(broadcast_one_to_all(np.int32(len(content))))
        if size == 0:
            return None
        bytes_here = np.frombuffer(content.ljust(size, b"\0"), dtype=np.uint8)
        everywhere = np.asarray(broadcast_one_to_all(bytes_here)).astype(np.uint8)
        return state.unpack(everywhere.tobytes())

    @contextlib.contextmanager
    def reporting_lost_process(self):
        """If another process of the run dies, say so in one line and exit with code 2.

        They take the place of JAX's errors.
        """
        if self.num_processes == 1:
            yield
            return
        spokesman = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", SPOKESMAN, PROCESS_LOST],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield
        # JAX raises both.
        except (RuntimeError, ValueError) as error:
            if not LOST_WORDS.search(str(error)):
                raise
            # At once, before JAX ends this process in its own way.
            code = command.fail(f"{PROCESS_LOST} ({str(error).splitlines()[0]})")
            spokesman.kill()
            command.leave(code)
        finally:
            spokesman.communicate(b"It is said.")


ONE = Devices()


def find_devices(text):
    """An argparse type: "one" device, or "all" of this process and its fellows.

    Waits for the other processes; to be called before JAX computes anything.
    """
    if text not in ("one", "all"):
        raise argparse.ArgumentTypeError(f"expected one or all, found {text!r}")
    if text == "one":
        return ONE
    backend = keras.config.backend()
    if backend != "jax":
        raise argparse.ArgumentTypeError(
            f"expected KERAS_BACKEND=jax, found {backend}: Keras 3 trains on several "
            "devices with JAX alone, and TensorFlow's own strategies fail with it "
            "(keras-team/keras#20585)"
        )
    import jax

    hosts.find_others()
    found = Devices(
        jax.device_count(),
        jax.process_index(),
        jax.process_count(),
        jax.devices()[0].platform,
    )
    if not found.is_first:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    return found
