"""A run of an earlier version of this project goes on, and counts as finished."""

import json
import shutil

import numpy as np
import pytest
from conftest import ROOT
from tiny_network import RECIPE, build_tiny

import train_cnn
from fer import data, fast_layers, flags, jobs, state
from fer.command import InputError

# Made by the version of 2026-11-25, before runs kept their commit and before the
# augmentations had names of their own: two epochs of the tiny network with
# --augmentation small, in float32, in Keras' own layers, on these faces of noise.
FORMER = ROOT / "tests/former_run"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FORMER, tmp_path / "checkpoints")
    rng = np.random.default_rng(0)
    rows = [
        f"{row % 7}," + " ".join(map(str, rng.integers(0, 256, 48 * 48)))
        for row in range(140)
    ]
    (tmp_path / "train.csv").write_text("\n".join(["label,feature", *rows]))
    return tmp_path


def read_options(epochs, augmentation):
    parser = flags.build_parser(None, "run", ("tiny", "other"), RECIPE)
    arguments = ["--train", "train.csv", "--precision", "float32", "--resume"]
    arguments += ["--no-fast-layers", "--validation", "0.1"]
    arguments += ["--epochs", str(epochs), "--augmentation", augmentation]
    return parser.parse_args(arguments)


@pytest.mark.parametrize("augmentation", ["small", "flip_either_way"])
def test_a_finished_run_is_finished(folder, capsys, augmentation):
    before = (folder / "checkpoints/run.keras").read_bytes()
    record = train_cnn.train(build_tiny, RECIPE, read_options(2, augmentation))
    assert record == json.loads((FORMER / "run.json").read_text())
    assert (folder / "checkpoints/run.keras").read_bytes() == before
    assert "redrew its curves and nothing else" in capsys.readouterr().out
    options = read_options(2, augmentation)
    job = jobs.Job([], build_tiny, RECIPE, options)
    assert job.find_record(data.load_split("train.csv", 0.1)) == record


def test_an_unfinished_run_goes_on(folder, capsys):
    _, before = state.read_state(folder / "checkpoints/run.state")
    record = train_cnn.train(build_tiny, RECIPE, read_options(3, "flip_either_way"))
    assert record["epochs_trained"] == 3 and record["settings"]["epochs"] == 3
    # Nobody knows any more what it was started from.
    assert "commit" not in record
    _, after = state.read_state(folder / "checkpoints/run.state")
    assert after["history"][:2] == before["history"]
    output = capsys.readouterr().out
    assert "epoch 3/3" in output and "epoch 2/3" not in output


@pytest.mark.skipif(not fast_layers.can_quicken(), reason="no layers are faster here")
def test_a_run_in_other_layers_is_another_run(folder):
    options = read_options(3, "flip_either_way")
    options.fast_layers = True
    with pytest.raises(InputError, match="a run with fast_layers True, found one with"):
        train_cnn.train(build_tiny, RECIPE, options)
