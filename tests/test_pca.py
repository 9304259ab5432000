"""Principal components: one report's exercise, exactness, and the script end to end."""

import doctest

import numpy as np
import pytest
from conftest import run_script
from PIL import Image

import plot_pca
from fer import component_figures, data
from fer import principal_components as pca
from fer.command import InputError

EXERCISE = np.array(
    [
        (1, 2, 3),
        (4, 8, 5),
        (3, 12, 9),
        (1, 8, 5),
        (5, 14, 2),
        (7, 4, 1),
        (9, 8, 9),
        (3, 8, 1),
        (11, 5, 6),
        (10, 11, 7),
    ]
)


def test_the_reports_exercise():
    mean, variances, axes = pca.compute_components(EXERCISE)
    np.testing.assert_allclose(mean, [5.4, 8.0, 4.8])
    np.testing.assert_allclose(variances, [15.297, 11.631, 5.472], atol=5e-4)
    rebuilt = pca.reconstruct(EXERCISE, mean, axes[:2])
    np.testing.assert_allclose(
        np.linalg.norm(EXERCISE - rebuilt, axis=1),
        [2.25, 0.73, 3.19, 1.93, 4.25, 2.53, 2.14, 2.28, 0.20, 0.98],
        atol=5e-3,
    )


def test_the_docstrings_example():
    results = doctest.testmod(pca)
    assert results.attempted > 0 and results.failed == 0


def test_axes_are_orthonormal_and_diagonalize_the_covariance():
    rng = np.random.default_rng(0)
    # More rows than one step of the covariance takes, with a mean far from zero.
    rows = pca.ROWS_PER_STEP + 77
    points = rng.integers(100, 256, (rows, 6)).astype("uint8")
    points[:, 1] = points[:, 0] // 2
    mean, variances, axes = pca.compute_components(points)
    np.testing.assert_allclose(axes @ axes.T, np.eye(6), atol=1e-12)
    covariance = np.cov(points.T.astype(float), bias=True)
    np.testing.assert_allclose(
        axes @ covariance @ axes.T, np.diag(variances), atol=1e-8
    )
    assert (np.diff(variances) <= 0).all()
    assert (axes.max(axis=1) == np.abs(axes).max(axis=1)).all()


def test_fewer_points_than_coordinates_are_rebuilt_exactly():
    points = np.random.default_rng(1).integers(0, 256, (4, 9)).astype("uint8")
    mean, variances, axes = pca.compute_components(points)
    assert (variances >= 0).all() and (variances[3:] < 1e-9).all()
    rebuilt = pca.reconstruct(points, mean, axes[:3])
    np.testing.assert_allclose(rebuilt, points, atol=1e-9)


def test_the_error_from_the_variances_is_the_measured_one():
    mean, variances, axes = pca.compute_components(EXERCISE)
    errors = pca.compute_errors(variances)
    measured = [
        np.sqrt(((EXERCISE - pca.reconstruct(EXERCISE, mean, axes[:k])) ** 2).mean())
        for k in range(4)
    ]
    np.testing.assert_allclose(errors, measured, atol=1e-12)
    np.testing.assert_allclose(
        pca.compute_reconstruction_errors(EXERCISE, mean, axes), errors, atol=1e-7
    )
    # Another point: 3 away along the first axis and nothing else.
    other = mean + 3 * axes[:1]
    np.testing.assert_allclose(
        pca.compute_reconstruction_errors(other, mean, axes),
        [np.sqrt(3), 0, 0, 0],
        atol=1e-7,
    )


def test_emotion_share_of_separate_and_of_equal_groups():
    labels = np.array([0, 0, 3, 3])
    coordinates = np.array([[1.0, -1.0], [1.0, 1.0], [5.0, -1.0], [5.0, 1.0]])
    share = pca.compute_emotion_share(coordinates, labels)
    np.testing.assert_allclose(share, [1, 0])


def test_number_of_components_for_a_share():
    explained = np.array([0.5, 0.8, 0.9, 1.0])
    assert pca.count_components(explained, 0.5) == 1
    assert pca.count_components(explained, 0.81) == 3


@pytest.fixture
def points():
    """Sixty faces of noise, two emotions of which differ in brightness."""
    rng = np.random.default_rng(2)
    labels = np.repeat([1, 4], 30)
    return rng.integers(0, 200, (60, 2304)) + 40 * (labels[:, None] == 4), labels


def test_faces_are_analyzed(points):
    faces, labels = points
    found = pca.analyze(faces, labels)
    np.testing.assert_allclose(
        found.coordinates, (faces - found.mean) @ found.axes[:2].T, rtol=1e-3, atol=0.1
    )
    np.testing.assert_array_equal(found.labels, labels)
    assert found.explained[0] == found.variances[0] / found.variances.sum()
    assert found.explained[-1] == pytest.approx(1)
    assert found.errors[0] == pytest.approx((faces - found.mean).std())
    # The first component is the brightness, in which alone the emotions differ.
    assert found.emotion_share[0] > 0.9 and found.emotion_share[1] < 0.2


@pytest.mark.slow
def test_what_the_figure_shows(points, drawn_figures):
    found = pca.analyze(*points)
    counts = component_figures.NUM_COMPONENTS
    rebuilt = pca.rebuild(points[0][:3], found, counts)
    component_figures.plot_components(found, rebuilt, "pca.png")
    figure = drawn_figures.pop()[1]
    panels = figure.axes
    assert len(panels) == 16 + 6 * 3 + 3
    mean, first = panels[:2]
    np.testing.assert_array_equal(
        mean.images[0].get_array(), found.mean.reshape(48, 48)
    )
    np.testing.assert_array_equal(
        first.images[0].get_array(), found.axes[0].reshape(48, 48)
    )
    assert first.get_title() == f"1: {found.explained[0]:.1%}"
    rows = np.reshape(panels[16:34], (6, 3))
    names = [*(f"k = {k}" for k in component_figures.NUM_COMPONENTS), "the face"]
    assert [row[0].get_ylabel() for row in rows] == names
    np.testing.assert_allclose(
        rows[1, 2].images[0].get_array().ravel(),
        pca.reconstruct(points[0][2:3], found.mean, found.axes[:20])[0],
    )
    explained, errors, scattered = panels[34:]
    np.testing.assert_array_equal(explained.lines[0].get_ydata(), found.explained)
    np.testing.assert_array_equal(errors.lines[0].get_ydata(), found.errors[1:])
    assert len(scattered.collections[0].get_offsets()) == 60
    legend = [text.get_text() for text in scattered.get_legend().get_texts()]
    assert legend == ["disgust, mean", "sad, mean"]


@pytest.mark.slow
def test_the_script_end_to_end(drawn, tmp_path):
    train, test = "--train", drawn / "train.csv"
    process = run_script(
        "plot_pca.py", train, test, "--reconstruct", drawn / "test.csv", cwd=tmp_path
    )
    Image.open(tmp_path / "plots/pca.png").verify()
    lines = process.stdout.splitlines()
    assert f"420 faces from {drawn / 'train.csv'}: computing components" in lines
    assert lines[-1] == "wrote plots/pca.png"
    images, labels = data.load_training_faces(drawn / "train.csv")
    found = pca.analyze(images.reshape(420, -1), labels)
    row = next(line.split() for line in lines if line.split()[0] == "20")
    assert row[1:3] == [f"{found.explained[19]:.1%}", f"{found.errors[20]:.1f}"]


@pytest.mark.parametrize("flag", ["--train", "--reconstruct"])
def test_bad_input_is_refused(drawn, tmp_path, monkeypatch, flag):
    monkeypatch.chdir(tmp_path)
    faces = {"--train": drawn / "train.csv", "--reconstruct": drawn / "test.csv"}
    faces[flag] = tmp_path / "nothing.csv"
    with pytest.raises(InputError, match="nothing.csv: "):
        plot_pca.main([str(part) for pair in faces.items() for part in pair])
    assert not list(tmp_path.iterdir())
