"""The log of the experiments: one row per command, and what a row says."""

import pandas as pd
from conftest import run_script

from experiments import log_runs


def test_a_row_replaces_the_older_one_of_its_command():
    log = pd.DataFrame({"command": ["a", "b"], "minutes": ["1", "2"]})
    log = log_runs.add_rows(log, [{"command": "a", "minutes": 3.5}])
    assert log.values.tolist() == [["b", "2"], ["a", "3.5"]]


def test_a_run_becomes_a_row(trained, drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(trained)
    images, labels = log_runs.data.load_training_faces(drawn / "train.csv")
    row = log_runs.measure_run("small_run", images, labels, "a remark")
    assert row["command"].startswith("train_cnn.py --train ")
    assert row["network"] == "vgg" and row["seed"] == 0
    # 116,382,336 multiply-adds, 378 training faces, 2 epochs.
    assert float(row["training_operations"]) == 5.28e11
    assert 0 <= row["val_accuracy_tta"] <= 1
    log_runs.plot_operations(
        pd.DataFrame([row]).astype(str), tmp_path / "operations.png"
    )
    assert (tmp_path / "operations.png").stat().st_size > 5_000


def test_the_benchmark_explains_itself(tmp_path):
    assert (
        "--epochs"
        in run_script("benchmarks/throughput.py", "--help", cwd=tmp_path).stdout
    )
