"""What decides and what explains a run: its settings, its code, its size, its speed."""

import contextlib
import dataclasses
import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import keras

from fer import checkpoints
from fer.augmentation import RECORDED_NAMES
from fer.command import InputError
from fer.fast_layers import can_quicken
from fer.state import list_states, read_state

# Packages whose version can change what a run computes.
RECORDED_PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy")
# By which TensorFlow, where it looks for devices, is told how many threads share one.
THREADS_VARIABLE = "TF_NUM_INTRAOP_THREADS"
# Settings that runs from before do not have; at their default a run has none of them.
LATER_SETTINGS = {"keep": "best", "finish": 0}
ROOT = Path(__file__).resolve().parent.parent


def describe_settings(build, recipe, options, faces, precision):
    """All that decides what a run computes, as JSON gives it back.

    Args:
        build, recipe, options: as `open_run` has them.
        faces: the Split of the run.
        precision: a Keras dtype policy.
    """
    settings = {
        "network": options.network,
        "seed": options.seed,
        "validation": faces.source["fingerprint"]
        if faces.source
        else options.validation,
        "faces": faces.fingerprint,
        "precision": precision,
        # What the name of the network stands for, until somebody edits its file.
        "layers": hashlib.sha256(build().to_json().encode()).hexdigest(),
        **dataclasses.asdict(recipe),
        "augmentation": RECORDED_NAMES.get(recipe.augmentation, recipe.augmentation),
        "teachers": [checkpoints.compute_digest(path) for path in recipe.teachers],
    }
    if recipe.teachers:
        # They once answered for every face, those too that they were trained on.
        settings["answers"] = "held out"
    if options.start_from:
        settings["start_from"] = checkpoints.compute_digest(options.start_from)
    if options.fast_layers and can_quicken():
        # A run without this key has Keras' own, as all had before these were default.
        settings["fast_layers"] = True
    for key, default in LATER_SETTINGS.items():
        if settings[key] == default:
            del settings[key]
    # JSON knows only text as keys of an object, and no tuples.
    return json.loads(json.dumps(settings))


def keep_threads(state):
    """Let TensorFlow take as many threads as a run that is resumed was started with.

    To be called before anything asks TensorFlow what this machine has: that is when it
    makes its threads, once for the process.

    Args:
        state: the path of the run's state; nothing is done where there is none.
    """
    for path in list_states(state):
        with contextlib.suppress(OSError, ValueError):
            _, document = read_state(path)
            origin = document.get("origin", {})
            if "threads" in origin:
                os.environ[THREADS_VARIABLE] = str(origin["threads"])
            return


def describe_origin():
    """Which code and how many threads a run is started with.

    Returns:
        commit: the one checked out, None without git.
        changed: whether tracked files differ from it, None without git.
        threads: of one operation; another number sums in another order.
    """
    git = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(
            git, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        answer = None
    threads = os.environ.get(THREADS_VARIABLE) or str(count_cores())
    if not threads.isdecimal():
        raise InputError(
            f"{THREADS_VARIABLE}: expected a number of threads, found {threads!r}; "
            "correct it, or leave it out"
        )
    return {
        "commit": answer and answer.removesuffix("-dirty"),
        "changed": answer and answer.endswith("-dirty"),
        "threads": int(threads),
    }


def count_cores():
    """The cores that this process may use, as TensorFlow counts them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def measure_speed(history, num_faces):
    """Minutes of a run and training faces per second over its whole epochs."""
    seconds = sum(row["seconds"] for row in history)
    return {
        "minutes": round(seconds / 60, 2),
        "images_per_second": round(num_faces * len(history) / seconds, 1),
    }


def describe_script():
    """The words after `python` that start the running script."""
    spec = sys.modules["__main__"].__spec__
    return [Path(sys.argv[0]).name] if spec is None else ["-m", spec.name]


def read_versions():
    """Python's and the packages' versions and the kind of machine, for the record."""
    versions = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "backend": keras.config.backend(),
    }
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
