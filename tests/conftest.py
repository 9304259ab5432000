"""What the tests share: drawn faces and a way to run a script as a user does."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from fer import figures

# Names the folder with the real train.csv and test.csv.
REAL_FACES = "FER2013_DATA"
ROOT = Path(__file__).resolve().parent.parent


def pytest_sessionfinish(session):
    """Where everything must be there, a test that misses something has failed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    # The real faces are not ours to give.
    missing = [test for test in skipped if REAL_FACES not in test.longreprtext]
    if missing and os.environ.get("NOTHING_MAY_BE_MISSING"):
        print(f"\n{len(missing)} tests were skipped: -rs says for what")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def own_environment():
    """What a test leaves in the environment, as a run its threads, ends with it."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """A folder with train.csv (420 faces), test.csv (70) and test_labels.csv."""
    folder = tmp_path_factory.mktemp("data") / "drawn"
    arguments = ["--output", folder, "--train-faces", 420, "--test-faces", 70]
    run_script("draw_faces.py", *arguments, cwd=folder.parent)
    return folder


@pytest.fixture(scope="session")
def trained(drawn, tmp_path_factory):
    """A folder in which train_cnn.py has run for two epochs as `small_run`."""
    folder = tmp_path_factory.mktemp("trained")
    arguments = ["--train", drawn / "train.csv", "--epochs", 2, "--name", "small_run"]
    arguments += ["--validation", 0.1, "--finish", 0]
    run_script("train_cnn.py", *arguments, cwd=folder)
    return folder


@pytest.fixture(scope="session")
def real_faces():
    """The folder with the real train.csv and test.csv; skips where there is none."""
    folder = os.environ.get(REAL_FACES)
    if not folder:
        pytest.skip(
            f"{REAL_FACES} names no folder with the real train.csv and test.csv"
        )
    return Path(folder)


@pytest.fixture
def drawn_figures(monkeypatch):
    """A list that gets (path, figure) of what would be saved, to look into it."""
    saved = []
    monkeypatch.setattr(
        figures, "save_figure", lambda figure, path: saved.append((path, figure))
    )
    yield saved
    figures.plt.close("all")


def run_module(module, *arguments, cwd, status=0):
    """Run an experiment, `python -m MODULE`, in a folder; as `run_script` does."""
    return run_command(["-m", module, *arguments], cwd, status)


def run_script(script, *arguments, cwd, status=0):
    """Run a script of the project in a folder; returns the finished process."""
    return run_command([ROOT / script, *arguments], cwd, status)


def run_command(arguments, cwd, status):
    """Run python with arguments and the project on its path."""
    process = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.returncode == status, process.stderr[-2000:]
    return process
