"""Principal components: one report's exercise, exactness, and the script end to end."""

import doctest

import numpy as np
import pytest
from conftest import run_script

import plot_pca

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
    mean, variances, axes = plot_pca.compute_components(EXERCISE)
    np.testing.assert_allclose(mean, [5.4, 8.0, 4.8])
    np.testing.assert_allclose(variances, [15.297, 11.631, 5.472], atol=5e-4)
    rebuilt = plot_pca.reconstruct(EXERCISE, mean, axes[:2])
    np.testing.assert_allclose(
        np.linalg.norm(EXERCISE - rebuilt, axis=1),
        [2.25, 0.73, 3.19, 1.93, 4.25, 2.53, 2.14, 2.28, 0.20, 0.98],
        atol=5e-3,
    )


def test_the_docstrings_example():
    results = doctest.testmod(plot_pca)
    assert results.attempted > 0 and results.failed == 0


def test_axes_are_orthonormal_and_diagonalize_the_covariance():
    rng = np.random.default_rng(0)
    # More rows than one step of the covariance takes, with a mean far from zero.
    rows = plot_pca.ROWS_PER_STEP + 77
    points = rng.integers(100, 256, (rows, 6)).astype("uint8")
    points[:, 1] = points[:, 0] // 2
    mean, variances, axes = plot_pca.compute_components(points)
    np.testing.assert_allclose(axes @ axes.T, np.eye(6), atol=1e-12)
    covariance = np.cov(points.T.astype(float), bias=True)
    np.testing.assert_allclose(
        axes @ covariance @ axes.T, np.diag(variances), atol=1e-8
    )
    assert (np.diff(variances) <= 0).all()
    assert (axes.max(axis=1) == np.abs(axes).max(axis=1)).all()


def test_fewer_points_than_coordinates_are_rebuilt_exactly():
    points = np.random.default_rng(1).integers(0, 256, (4, 9)).astype("uint8")
    mean, variances, axes = plot_pca.compute_components(points)
    assert (variances >= 0).all() and (variances[3:] < 1e-9).all()
    rebuilt = plot_pca.reconstruct(points, mean, axes[:3])
    np.testing.assert_allclose(rebuilt, points, atol=1e-9)


def test_the_error_from_the_variances_is_the_measured_one():
    mean, variances, axes = plot_pca.compute_components(EXERCISE)
    errors = plot_pca.compute_errors(variances)
    measured = [
        np.sqrt(
            ((EXERCISE - plot_pca.reconstruct(EXERCISE, mean, axes[:k])) ** 2).mean()
        )
        for k in range(4)
    ]
    np.testing.assert_allclose(errors, measured, atol=1e-12)
    np.testing.assert_allclose(
        plot_pca.compute_reconstruction_errors(EXERCISE, mean, axes), errors, atol=1e-7
    )
    # Another point: 3 away along the first axis and nothing else.
    other = mean + 3 * axes[:1]
    np.testing.assert_allclose(
        plot_pca.compute_reconstruction_errors(other, mean, axes),
        [np.sqrt(3), 0, 0, 0],
        atol=1e-7,
    )


def test_emotion_share_of_separate_and_of_equal_groups():
    labels = np.array([0, 0, 3, 3])
    coordinates = np.array([[1.0, -1.0], [1.0, 1.0], [5.0, -1.0], [5.0, 1.0]])
    share = plot_pca.compute_emotion_share(coordinates, labels)
    np.testing.assert_allclose(share, [1, 0])


def test_number_of_components_for_a_share():
    explained = np.array([0.5, 0.8, 0.9, 1.0])
    assert plot_pca.count_components(explained, 0.5) == 1
    assert plot_pca.count_components(explained, 0.81) == 3


def test_figure_of_drawn_faces(drawn, tmp_path):
    process = run_script(
        "plot_pca.py",
        "--train",
        drawn / "train.csv",
        "--reconstruct",
        drawn / "test.csv",
        cwd=tmp_path,
    )
    assert (tmp_path / "plots/pca.png").stat().st_size > 50_000
    assert "wrote plots/pca.png" in process.stdout
    assert "420 faces" in process.stdout


@pytest.mark.parametrize("flag", ["--train", "--reconstruct"])
def test_bad_input_is_one_line(drawn, tmp_path, flag):
    faces = {"--train": drawn / "train.csv", "--reconstruct": drawn / "test.csv"}
    faces[flag] = tmp_path / "nothing.csv"
    arguments = [part for pair in faces.items() for part in pair]
    process = run_script("plot_pca.py", *arguments, cwd=tmp_path, status=2)
    assert "nothing.csv" in process.stderr and "Traceback" not in process.stderr
    assert not list(tmp_path.iterdir())
