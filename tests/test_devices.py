"""One run on several devices: virtual ones, and processes on loopback, one killed."""

import argparse
import concurrent.futures
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, run_script
from test_resume import read_weights

from fer import augmentation, data, devices, hosts
from fer.augmentation import AUGMENTATIONS, AugmentedFaces, FaceGenerator
from fer.command import InputError
from fer.devices import ONE, Devices

HAS_JAX = importlib.util.find_spec("jax") is not None
needs_jax = pytest.mark.skipif(not HAS_JAX, reason="JAX is not installed")
RUNNER = ROOT / "tests/cluster_run.py"


def deal_batches(found, num_faces=103, mixup=0.0):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num_faces, 48, 48, 1), dtype=np.uint8)
    targets = data.make_targets(np.arange(num_faces) % 7)
    generator = FaceGenerator(**AUGMENTATIONS["strong"])
    return AugmentedFaces(images, targets, 32, generator, 5, mixup, found)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_the_shares_of_a_batch_are_what_one_process_sees(mixup):
    whole = deal_batches(Devices(4), mixup=mixup)
    shares = [deal_batches(Devices(4, i, 2), mixup=mixup) for i in range(2)]
    for index in range(whole.num_batches):
        parts = [batches[index] for batches in shares]
        for expected, first, second in zip(whole[index], *parts, strict=True):
            assert len(first) == len(second) and len(expected) % 4 == 0
            np.testing.assert_array_equal(expected, np.concatenate([first, second]))


@pytest.mark.parametrize("num_devices", [1, 2, 3, 8, 32])
def test_devices_divide_every_batch_and_see_all_faces_but_a_few(num_devices):
    batches = deal_batches(Devices(num_devices))
    dealt = augmentation.deal(103, batches.num_batches, 5, 0, num_devices)
    assert all(0 < len(rows) <= 32 and len(rows) % num_devices == 0 for rows in dealt)
    rows = np.concatenate(dealt)
    assert len(set(rows)) == len(rows) == 103 - 103 % num_devices


def test_where_devices_divide_all_they_deal_as_one():
    for one, four in zip(
        augmentation.deal(1152, 9, 0, 1),
        augmentation.deal(1152, 9, 0, 1, 4),
        strict=True,
    ):
        np.testing.assert_array_equal(one, four)


def test_validation_faces_are_shared_out_but_for_a_few():
    images, targets = np.arange(103), np.arange(103)
    parts = [Devices(4, i, 2).share_validation(images, targets, 30) for i in range(2)]
    # Two devices a process, and seven faces a device.
    assert [size for _, _, size in parts] == [14, 14]
    assert [len(faces) for faces, _, _ in parts] == [50, 50]
    assert sorted(np.concatenate([faces for faces, _, _ in parts])) == list(range(100))
    faces, _, size = ONE.share_validation(images, targets, 30)
    assert size == 30 and len(faces) == 103


def test_fewer_faces_than_devices_are_refused():
    with pytest.raises(InputError, match="at least 64 faces, .*found 32"):
        deal_batches(Devices(64))


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_other_backends_are_refused(backend, monkeypatch):
    monkeypatch.setattr(devices.keras.config, "backend", lambda: backend)
    with pytest.raises(argparse.ArgumentTypeError, match=f"found {backend}: .*#20585"):
        devices.find_devices("all")


def test_a_script_refuses_them_in_one_line(drawn, tmp_path):
    arguments = ["--train", drawn / "train.csv", "--devices", "all"]
    process = run_script("train_cnn.py", *arguments, cwd=tmp_path, status=2)
    last = process.stderr.splitlines()[-1]
    assert last.startswith("error: argument --devices: expected KERAS_BACKEND=jax")
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["10.0.0.1", "2", "0"], "expected the address HOST:PORT"),
        (["10.0.0.1:http", "2", "0"], "expected the address HOST:PORT"),
        (["10.0.0.1:80", "two", "0"], "two whole numbers"),
        (["10.0.0.1:80", "2", ""], "two whole numbers"),
        (["10.0.0.1:80", "2", "2"], "from 0 to 1, found 2"),
    ],
)
def test_wrong_variables_are_refused(values, message, monkeypatch):
    for variable, value in zip(hosts.VARIABLES, values, strict=True):
        monkeypatch.setenv(variable, value)
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        hosts.read_variables()


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """1,280 drawn faces, of which 1,152 are trained on: nine batches of 128."""
    folder = tmp_path_factory.mktemp("devices") / "drawn"
    arguments = ["--output", folder, "--train-faces", 1280, "--test-faces", 70]
    run_script("draw_faces.py", *arguments, cwd=folder.parent)
    return folder / "train.csv"


def start(
    faces, folder, *arguments, disturbance=("nobody", "SIGTERM", "1"), **variables
):
    """Start a run of two epochs in float32 on JAX."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, RUNNER, *disturbance, "--train", faces, "--epochs", "2"]
    command += ["--validation", "0.1", "--precision", "float32", "--resume", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}
    return subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env={**environment, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_pair(faces, folders, disturbances=({}, {}), arguments=((), ())):
    """Start two processes of one run on loopback, each in its folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [
        start(
            faces,
            folders[i],
            "--devices",
            "all",
            *arguments[i],
            **disturbances[i],
            KERAS_DISTRIBUTION_JOB_ADDRESSES=address,
            KERAS_DISTRIBUTION_NUM_PROCESSES="2",
            KERAS_DISTRIBUTION_PROCESS_ID=str(i),
        )
        for i in range(2)
    ]


def finish(process, status=0):
    """Wait for a process; returns what it printed, and on stderr."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == status, errors[-3000:]
    return output, errors


@pytest.fixture(scope="module")
def one(faces, tmp_path_factory):
    """The folder of a run on one device."""
    folder = tmp_path_factory.mktemp("one")
    finish(start(faces, folder))
    return folder


def assert_close(folder, one):
    """Weights within 1e-4 and the log within rounding."""
    weights, expected = (
        read_weights(place / "checkpoints/run.keras") for place in (folder, one)
    )
    assert list(weights) == list(expected) and len(weights) == 10
    for name, array in weights.items():
        np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-4)
    log, expected = (
        pd.read_csv(place / "checkpoints/run.csv").drop(columns="seconds")
        for place in (folder, one)
    )
    pd.testing.assert_frame_equal(log, expected, rtol=0, atol=1e-3)


@needs_jax
@pytest.mark.slow
def test_two_devices_compute_what_one_does(faces, one, tmp_path):
    flag = "--xla_force_host_platform_device_count=2"
    output, _ = finish(start(faces, tmp_path, "--devices", "all", XLA_FLAGS=flag))
    assert "devices   2 of kind cpu\n" in output
    assert_close(tmp_path, one)
    record = json.loads((tmp_path / "checkpoints/run.json").read_text())
    assert record["devices"] == 2
    expected = json.loads((one / "checkpoints/run.json").read_text())
    assert "devices" not in expected and record["settings"] == expected["settings"]


def find_fault(errors):
    """The one line of stderr that is ours; JAX's threads log before and after it."""
    (fault,) = (line for line in errors.splitlines() if line.startswith("error: "))
    return fault


def kill(i):
    """Kill one of two processes after the first epoch."""
    disturbances = [{}, {}]
    disturbances[i] = {"disturbance": ("itself", "SIGKILL", "1")}
    return disturbances


@needs_jax
@pytest.mark.slow
def test_where_one_of_two_processes_is_killed_both_resume(faces, one, tmp_path):
    folders = tmp_path / "first", tmp_path / "second"
    first, second = start_pair(faces, folders, kill(1))
    finish(second, -signal.SIGKILL)
    killed = time.monotonic()
    _, errors = finish(first, 2)
    assert time.monotonic() - killed < 30
    assert find_fault(errors).startswith(f"error: {devices.PROCESS_LOST}")
    assert (folders[0] / "checkpoints/run.state").exists()

    first, second = start_pair(faces, folders)
    output, _ = finish(first)
    assert "devices   2 of kind cpu in 2 processes\n" in output
    assert "epoch 2/2" in output and "epoch 1/2" not in output
    silent, _ = finish(second)
    assert "epoch" not in silent
    assert_close(folders[0], one)
    # Only the first writes.
    assert not (folders[1] / "checkpoints").exists()


@needs_jax
@pytest.mark.slow
def test_where_the_first_process_is_killed_one_device_resumes(faces, one, tmp_path):
    folders = tmp_path / "first", tmp_path / "second"
    first, second = start_pair(faces, folders, kill(0))
    finish(first, -signal.SIGKILL)
    killed = time.monotonic()
    _, errors = second.communicate(timeout=60)
    assert time.monotonic() - killed < 30 and second.returncode != 0
    assert find_fault(errors).startswith(f"error: {devices.PROCESS_LOST}")

    output, _ = finish(start(faces, folders[0]))
    assert "epoch 2/2" in output and "epoch 1/2" not in output
    assert_close(folders[0], one)


@needs_jax
@pytest.mark.slow
def test_processes_with_different_flags_are_refused(faces, tmp_path):
    folders = tmp_path / "first", tmp_path / "second"
    arguments = ((), ("--learning-rate", "0.01"))
    for process in start_pair(faces, folders, arguments=arguments):
        _, errors = finish(process, 2)
        fault = find_fault(errors)
        assert "found others in process 1 than in process 0" in fault
    assert not (folders[0] / "checkpoints/run.state").exists()


def test_processes_meet_once_all_are_there(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        early = [pool.submit(hosts.meet, address, 3, process) for process in (2, 0)]
        assert not concurrent.futures.wait(early, 1).done
        hosts.meet(address, 3, 1)
        assert all(future.result() is None for future in early)

        # Of three, one never comes: each of the others says so.
        monkeypatch.setattr(hosts, "CONNECT_SECONDS", 1)
        for future in [pool.submit(hosts.meet, address, 3, i) for i in (0, 1)]:
            with pytest.raises(
                argparse.ArgumentTypeError, match="expected 3 processes"
            ):
                future.result()


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize("process", [0, 1])
def test_a_host_that_never_comes_is_not_waited_for(process, tmp_path):
    lines = """
from fer import command, devices, hosts
hosts.CONNECT_SECONDS = 1
parser = command.new_parser("")
parser.add_argument("--devices", type=devices.find_devices)
command.run(lambda: parser.parse_args(["--devices", "all"]))
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    values = [address, "2", str(process)]
    environment |= dict(zip(hosts.VARIABLES, values, strict=True))
    found = subprocess.run(
        [sys.executable, "-c", lines],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert found.returncode == 2
    fault = find_fault(found.stderr)
    assert fault.startswith("error: argument --devices: expected 2 processes to meet")
