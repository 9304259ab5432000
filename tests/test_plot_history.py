"""Curves of one run and of several, in one style."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors

import plot_history
from fer import figures, logs
from fer.command import InputError
from fer.faces import EMOTIONS

HEADER = "epoch,accuracy,loss,val_accuracy,val_loss,learning_rate,seconds\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the logs of three runs; `every_row` has no validation."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for name, rows in {
        "cnn": "1,0.3,2,0.35,1.9,0.1,9\n2,0.5,1.5,0.55,1.4,0.1,9\n3,0.6,1,0.5,1.6,0,9",
        "dnn": "1,0.2,2,0.25,1.9,0.1,9",
        "every_row": "1,0.3,2,,,0.1,9\n2,0.5,1.5,,,0.1,9",
    }.items():
        (tmp_path / "checkpoints" / f"{name}.csv").write_text(HEADER + rows + "\n")
    return tmp_path


def test_growth_is_the_mean_over_choices(tmp_path, drawn_figures):
    growth = [np.array([0.5, 0.6, 0.7]), np.array([0.6, 0.8]), np.array([0.9])]
    figures.plot_growth(growth, "title", tmp_path / "growth.png")
    panel = drawn_figures[0][1].axes[0]
    *choices, means = values(panel)
    assert choices == [accuracies.tolist() for accuracies in growth]
    np.testing.assert_allclose(means, [0.6, 0.7, 0.9])


def test_the_moments_of_a_film_are_stacked_to_one(tmp_path, drawn_figures):
    moments = np.array([0.0, 0.5, 2.0])
    means = np.random.default_rng(0).dirichlet(np.ones(7), 3)
    figures.plot_moments(moments, means, 0.5, "title", tmp_path / "film.png")
    bars = drawn_figures[0][1].axes[0].containers
    assert [bar.get_label() for bar in bars] == list(EMOTIONS)
    heights = np.array([[patch.get_height() for patch in bar] for bar in bars])
    np.testing.assert_allclose(heights.T, means)
    tops = [patch.get_y() + patch.get_height() for patch in bars[-1]]
    np.testing.assert_allclose(tops, 1)
    places = [(patch.get_x(), patch.get_width()) for patch in bars[0]]
    np.testing.assert_allclose(places, [(0, 0.5), (0.5, 0.5), (2, 0.5)])


def values(panel):
    """What the lines of a panel show, each a list of values."""
    return [line.get_ydata().tolist() for line in panel.lines]


def labels(panel):
    return [text.get_text() for text in panel.get_legend().get_texts()]


def test_a_name_and_a_path_lead_to_the_same_log(folder):
    name, history = logs.load_history("cnn")
    assert name == "cnn"
    assert history["val_accuracy"].tolist() == [0.35, 0.55, 0.5]
    by_path = logs.load_history(str(folder / "checkpoints" / "cnn.csv"))
    assert by_path[0] == "cnn" and by_path[1].equals(history)


def test_runs_side_by_side(folder, drawn_figures):
    plot_history.main(["cnn", "dnn", "every_row"])
    (path, figure) = drawn_figures.pop()
    (panel,) = figure.axes
    assert path.as_posix() == "plots/runs_history.png"
    assert labels(panel) == [
        "cnn: validation, 0.5500 in epoch 2",
        "dnn: validation, 0.2500 in epoch 1",
        "every_row: training",
    ]
    assert values(panel) == [
        *([0.3, 0.5, 0.6], [0.35, 0.55, 0.5]),
        *([0.2], [0.25]),
        [0.3, 0.5],
    ]
    # Training is fainter than validation and marks its last epoch.
    training, validation = panel.lines[:2]
    assert training.get_alpha() < 1 and validation.get_alpha() is None
    assert training.get_color() == validation.get_color()
    assert (training.get_markevery(), validation.get_markevery()) == ([-1], [1])


def test_more_runs_than_styles_are_still_told_apart(folder, drawn_figures):
    plot_history.main(["dnn"] * 9)
    lines = drawn_figures.pop()[1].axes[0].lines[1::2]
    styles = {
        (colors.to_hex(line.get_color()), str(line.get_linestyle()), line.get_marker())
        for line in lines
    }
    assert len(styles) == 9


def test_one_run_has_loss_and_accuracy_in_the_same_style(folder, drawn_figures):
    history = pd.read_csv("checkpoints/cnn.csv")
    figures.plot_history(history, "cnn: tiny", "cnn.png")
    figure = drawn_figures.pop()[1]
    loss, accuracy = figure.axes
    assert figure.get_suptitle() == "cnn: tiny"
    assert values(loss) == [[2, 1.5, 1], [1.9, 1.4, 1.6]]
    assert values(accuracy) == [[0.3, 0.5, 0.6], [0.35, 0.55, 0.5]]
    # The best epoch is that of the accuracy, in both panels.
    assert labels(loss) == ["training", "validation, 1.4000 in epoch 2"]
    assert labels(accuracy) == ["training", "validation, 0.5500 in epoch 2"]
    figures.plot_histories([("cnn", history)], "again.png")
    (again,) = drawn_figures.pop()[1].axes
    for one, other in zip(accuracy.lines, again.lines, strict=True):
        assert one.get_color() == other.get_color()
        assert one.get_linestyle() == other.get_linestyle()


def test_a_picture_is_written(folder):
    plot_history.main(["cnn", "--output", "cnn.svg"])
    assert "<svg" in (folder / "cnn.svg").read_text(encoding="utf-8")
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "found nothing"),
        ("", "expected the columns"),
        ("epoch,accuracy\n1,0.5\n", "val_accuracy"),
        (HEADER + "1,high,2,0.5,2,0.1,9\n", "with numbers"),
        (HEADER, "at least one epoch"),
        (b"\x89PNG\xff\xfe", "expected the columns"),
    ],
)
def test_a_bad_log_is_refused_and_no_picture_written(folder, content, words):
    if content is not None:
        content = content if isinstance(content, bytes) else content.encode()
        (folder / "bad.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        plot_history.main(["cnn", "bad.csv", "--output", "both.png"])
    assert not (folder / "both.png").exists()


def test_names_of_runs_are_no_formulas(folder):
    log = HEADER + "1,0.3,2,0.3,2,0.1,9\n"
    for name in ("$a_$b", "$c"):
        (folder / f"checkpoints/{name}.csv").write_text(log)
    histories = [logs.load_history(name) for name in ("$a_$b", "$c")]
    figures.plot_histories(histories, folder / "names.png", title="$a_$b")
    assert (folder / "names.png").exists()
