"""How scripts end: as processes of their own, under runpy and in a notebook."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from conftest import ROOT

from fer import files
from fer.command import InputError, new_parser

# Runs a script as a notebook does, tells how it ended and which threads are left.
HOST = """
import json, runpy, signal, sys, threading, time
sys.path.insert(0, {root!r})
sys.argv = {arguments!r}
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
    code = "returned"
except SystemExit as stop:
    code = stop.code
stop_by = time.monotonic() + 10
while len(threading.enumerate()) > 1 and time.monotonic() < stop_by:
    time.sleep(0.1)
names = [thread.name for thread in threading.enumerate()]
print(json.dumps([code, names]))
"""


def run_in_host(arguments, cwd):
    """The exit code that a host saw, the threads that were left, and stderr."""
    arguments = [str(ROOT / arguments[0]), *map(str, arguments[1:])]
    program = HOST.format(root=str(ROOT), arguments=arguments)
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    return *json.loads(process.stdout.splitlines()[-1]), process.stderr


def write_script(folder, body):
    """A script of the project with a `main` of its own."""
    script = folder / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from fer import command\n"
        f"def main():\n{textwrap.indent(body, '    ')}\n"
        "if __name__ == '__main__':\n    command.run(main)\n"
    )
    return script


ENDS = [
    ("raise command.InputError('too short')", 2, "error: too short"),
    ("open('nowhere.csv')", 2, "error: nowhere.csv: No such file or directory"),
    ("raise KeyboardInterrupt", 130, None),
    ("sys.exit(143)", 143, None),
]


@pytest.mark.parametrize(("body", "code", "line"), ENDS)
def test_a_script_ends_alike_with_and_without_a_process_of_its_own(
    tmp_path, body, code, line
):
    script = write_script(tmp_path, body)
    for command in (
        [sys.executable, script],
        [sys.executable, "-m", "script"],
    ):
        process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert process.returncode == code
        assert process.stderr.splitlines() == ([line] if line else [])
    assert run_in_host([script], tmp_path)[0] == code


@pytest.mark.parametrize(
    ("stop", "says"), [("KeyboardInterrupt", ""), ("ValueError('of ours')", "of ours")]
)
def test_ctrl_c_shows_no_traceback_while_a_script_imports(tmp_path, stop, says):
    (tmp_path / "slow_import.py").write_text(f"raise {stop}")
    script = write_script(tmp_path, "pass")
    lines = script.read_text().replace("def main", "import slow_import\ndef main")
    script.write_text(lines)
    process = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert process.returncode == (1 if says else -signal.SIGINT)
    assert says in process.stderr and bool(says) == ("Traceback" in process.stderr)


def test_a_process_of_its_own_does_not_wait_for_threads(tmp_path):
    body = (
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "raise command.InputError('over')"
    )
    script = write_script(tmp_path, body)
    started = time.monotonic()
    process = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert process.returncode == 2 and process.stderr == "error: over\n"
    assert time.monotonic() - started < 30


def test_help_and_mistakes_leave_the_host_alive(tmp_path):
    assert run_in_host(["predict.py", "--help"], tmp_path)[0] == 0
    code, _, stderr = run_in_host(["predict.py", "--depth"], tmp_path)
    assert code == 2 and stderr.splitlines()[-1].startswith("error: unrecognized")


def test_who_reads_the_output_may_leave(tmp_path):
    """Within the work, and where all of it is still to be written."""
    for body in ("while True: print('x' * 1000)", "print('x')"):
        script = write_script(tmp_path, f"sys.stdin.read()\n{body}")
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen([sys.executable, script], **pipes) as process:
            process.stdout.close()
            process.stdin.close()
            assert process.stderr.read() == b""
        assert process.returncode == 141


def test_a_name_of_a_file_that_is_no_text_is_printed(tmp_path):
    script = write_script(tmp_path, "print('a\\udcff')")
    process = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert process.stdout == b"a\\udcff\n" and process.returncode == 0


def test_what_a_script_does_not_expect_keeps_its_traceback(tmp_path):
    script = write_script(tmp_path, "1 / 0")
    process = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_a_training_that_is_stopped_leaves_no_threads_in_its_host(tmp_path, drawn):
    """By SIGTERM within an epoch, when Keras' threads are at work on batches ahead."""
    script = tmp_path / "stopped.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "import os, signal\n"
        "from fer.augmentation import AugmentedFaces\n"
        "make_batch = AugmentedFaces.__getitem__\n"
        "def stop(self, index):\n"
        "    if self.epoch == 1 and index == 9:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return make_batch(self, index)\n"
        "AugmentedFaces.__getitem__ = stop\n"
        f"sys.argv[0] = {str(ROOT / 'train_cnn.py')!r}\n"
        "exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))\n"
    )
    arguments = ["--train", drawn / "train.csv", "--network", "small"]
    code, threads, stderr = run_in_host(
        [script, *arguments, "--batch-size", 16], tmp_path
    )
    assert (code, threads) == (143, ["MainThread"]), stderr


# What the notebook's "stop" button does, once an epoch is over.
SIGINT_ONCE_THERE_IS_A_STATE = """
import os, pathlib, signal, threading, time
def interrupt():
    while not pathlib.Path("checkpoints/cnn.state").exists():
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.slow
def test_a_notebook_survives_its_scripts(tmp_path, drawn):
    """With a real kernel: help, mistakes, and a training that is interrupted."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(tmp_path))
    printed = []

    def note(message):
        content = message["content"]
        printed.append(content.get("text") or content.get("evalue") or "")

    def run(cell):
        printed.clear()
        client.execute_interactive(cell, timeout=300, output_hook=note)
        return "".join(printed)

    try:
        train = f"%run {ROOT}/train_cnn.py --train {drawn}/train.csv --network small"
        run(SIGINT_ONCE_THERE_IS_A_STATE + "kept = 7")
        assert "--learning-rate" in run(f"%run {ROOT}/train_cnn.py --help")
        assert "error: unrecognized arguments: --depth" in run(train + " --depth 3")
        predict = f"%run {ROOT}/predict.py {ROOT}/pretrained/cnn.keras"
        assert "nowhere.csv: expected" in run(f"{predict} --test nowhere.csv")
        run("threading.Thread(target=interrupt).start()")
        output = run(f"{train} --epochs 1000 --precision mixed_bfloat16")
        assert "stopped after epoch" in output and "130" in output
        # Or --resume would find other layers than those of the state.
        policy = run("import keras; print(keras.config.dtype_policy().name)")
        assert policy == "float32\n"
        time.sleep(5)
        names = run("print([thread.name for thread in threading.enumerate()])")
        assert "Worker_" not in names and "pool" not in names.lower()
        assert run("print(kept)") == "7\n"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_link_keeps_leading_to_the_file_that_is_written(tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    (tmp_path / "target.csv").write_text("old")
    files.write_table(tmp_path / "link.csv", ["id"], [[1]])
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text() == "id\n1\n"


def test_a_file_may_have_the_longest_name(tmp_path):
    path = tmp_path / f"{251 * 'a'}.csv"
    files.write_table(path, ["id"], [[1]])
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / f"{files.name_temporary(path)}12345678.csv").touch()
    files.remove_leftovers(path)
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path, "a folder"), (tmp_path / "pipe", "a device or a")):
        with pytest.raises(InputError, match=f"to write, found {kind}"):
            files.write_table(path, ["id"], [])
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_patterns_become_files_where_no_shell_does_it(tmp_path, monkeypatch):
    for name in ("b.keras", "a.keras", "c.json"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    parser = new_parser("")
    parser.add_argument("models", nargs="*")
    monkeypatch.setattr(sys, "argv", ["predict.py", "*.keras", "none*", "[a].keras"])
    monkeypatch.setattr(sys, "platform", "win32")
    expected = ["a.keras", "b.keras", "none*", "[a].keras"]
    assert parser.parse_args().models == expected
    # A list of arguments is taken as it is: what a script gives another has no shell.
    assert parser.parse_args(["*.keras"]).models == ["*.keras"]
