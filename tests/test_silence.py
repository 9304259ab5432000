"""Stderr at TensorFlow's start: empty where all is well, and whole where it is not."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from fer import silence

START = "import fer, tensorflow, os; os.write(2, b'after\\n')"


def start(folder, stub, program=START, **environment):
    """Run a program to which `stub` is TensorFlow; returns the finished process."""
    (folder / "tensorflow.py").write_text(stub)
    environment = {
        **{key: os.environ[key] for key in os.environ if key[:3] != "TF_"},
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        **environment,
    }
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def write(*lines):
    """The program of a stub that writes lines to file descriptor 2."""
    return "import os\n" + "".join(
        f"os.write(2, {line.encode()!r})\n" for line in lines
    )


def test_the_words_of_a_start_that_aborts_are_shown(tmp_path):
    stub = write(f"{silence.HARMLESS[1]}\n", "F0000 no\n", "half a line")
    process = start(tmp_path, stub + "os.abort()")
    assert process.returncode == -signal.SIGABRT
    assert process.stderr == "F0000 no\nhalf a line"


def test_an_import_that_raises_shows_words_and_traceback(tmp_path):
    process = start(tmp_path, write("E0000 no\n") + "raise ImportError('no AVX')")
    assert process.returncode == 1
    lines = process.stderr.splitlines()
    assert lines[0] == "E0000 no" and lines[-1] == "ImportError: no AVX"


def test_only_harmless_lines_are_left_out(tmp_path):
    lines = [f"I0000 00:00 port.cc:153] {part} More.\n" for part in silence.HARMLESS]
    lines.insert(3, "E0000 failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH\n")
    stub = write(*lines) + "import sys; print('python, too', file=sys.stderr)"
    process = start(tmp_path, stub)
    assert process.stderr == f"{lines[3]}python, too\nafter\n"
    process = start(tmp_path, stub, TF_CPP_MIN_LOG_LEVEL="0")
    assert process.stderr == f"{''.join(lines)}python, too\nafter\n"


def test_what_comes_when_devices_are_looked_for_is_filtered_as_well(tmp_path):
    lines = "failed call to cuInit: UNKNOWN ERROR (303)\n", "GPU 0 is broken\n"
    stub = f"""
class config:
    def list_physical_devices():
        {"; ".join(write(*lines).splitlines())}
        raise RuntimeError
"""
    assert start(tmp_path, stub).stderr == "GPU 0 is broken\nafter\n"


def test_words_are_shown_while_the_import_still_runs(tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        write("a warning\n") + "import sys; sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", START],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr.readline() == "a warning\n"
        process.stdin.close()
        assert process.stderr.read() == "after\n"


def test_without_a_filter_every_line_shows(tmp_path):
    stub = write(f"{silence.HARMLESS[0]}\n")
    program = "import sys; sys.executable = '/nowhere'; " + START
    assert start(tmp_path, stub, program).stderr == f"{silence.HARMLESS[0]}\nafter\n"
    closed = "import os; os.close(2); import fer, tensorflow; print('went on')"
    assert start(tmp_path, "", closed).stdout == "went on\n"


def test_a_filter_that_is_kept_open_does_not_stop_the_start(tmp_path):
    """A process that was started meanwhile holds its end of the pipe for a minute."""
    stub = "import subprocess; sleeping = subprocess.Popen(['sleep', '60'])"
    program = "from fer import silence; silence.PATIENCE = 0.2; "
    program += "import tensorflow; tensorflow.sleeping.kill(); print('went on')"
    started = time.monotonic()
    assert start(tmp_path, stub, program).stdout == "went on\n"
    assert time.monotonic() - started < 30


def test_a_fifth_model_is_no_reason_to_suspect_an_error(tmp_path):
    """Python's logger of TensorFlow: this line is left out, and no other one."""
    stub = "import logging; log = logging.getLogger('tensorflow').warning\n"
    stub += "log('5 of the last 5 calls to %s triggered tf.function retracing', 'x')\n"
    stub += "log('a warning')"
    assert start(tmp_path, stub).stderr == "a warning\nafter\n"


@pytest.mark.parametrize("script", ["train_cnn.py", "predict.py"])
def test_a_whole_run_says_nothing_on_stderr(script, trained, drawn, tmp_path):
    arguments = {
        "train_cnn.py": ["--train", drawn / "train.csv", "--network", "small"],
        "predict.py": [trained / "checkpoints/small_run.keras"],
    }
    arguments["train_cnn.py"] += ["--epochs", 1]
    arguments["predict.py"] += ["--test", drawn / "test.csv", "--tta"]
    command = [sys.executable, ROOT / script, *map(str, arguments[script])]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")


def test_a_backend_that_is_not_there_is_named(tmp_path):
    process = start(tmp_path, "", KERAS_BACKEND="theano")
    assert process.returncode == 2
    assert process.stderr.startswith(
        "error: KERAS_BACKEND=theano: expected the package"
    )
