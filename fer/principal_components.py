"""Principal components of points such as faces, and what they explain.

Points are (n, d) of any numeric type; a face is a point of 2,304 pixels.
"""

import dataclasses

import numpy as np

# To centre all 28,709 faces at once, as float64, would take another 0.5 GB.
ROWS_PER_STEP = 4096


@dataclasses.dataclass
class Components:
    """Principal components, and where they put the points that span them.

    Attributes:
        mean: (d,).
        variances: (d,), in falling order.
        axes: (d, d), whose rows are unit vectors.
        coordinates: (n, 2), the points along the first two axes.
        labels: int (n,), the emotions of the points.
    """

    mean: np.ndarray
    variances: np.ndarray
    axes: np.ndarray
    coordinates: np.ndarray
    labels: np.ndarray

    @property
    def explained(self):
        """The share of the variance that the first 1..d components explain, (d,)."""
        return self.variances.cumsum() / self.variances.sum()

    @property
    def errors(self):
        """As `compute_errors` of the spanning points, (d + 1,)."""
        return compute_errors(self.variances)

    @property
    def emotion_share(self):
        """As `compute_emotion_share` of the coordinates, (2,)."""
        return compute_emotion_share(self.coordinates, self.labels)


@dataclasses.dataclass
class Rebuilt:
    """Points, and what is left of them in the span of the first components.

    Attributes:
        points: (n, d), as they are.
        nearest: dict from a number of components to points (n, d).
        errors: as `compute_reconstruction_errors`, (d + 1,).
    """

    points: np.ndarray
    nearest: dict
    errors: np.ndarray


def analyze(points, labels):
    """The Components of labelled points (n, d)."""
    mean, variances, axes = compute_components(points)
    coordinates = (points - mean.astype("float32")) @ axes[:2].T.astype("float32")
    return Components(mean, variances, axes, coordinates, labels)


def rebuild(points, components, counts):
    """Points (n, d) Rebuilt from the first k Components, for each k of counts."""
    mean, axes = components.mean, components.axes
    return Rebuilt(
        points,
        {k: reconstruct(points, mean, axes[:k]) for k in counts},
        compute_reconstruction_errors(points, mean, axes),
    )


def compute_components(points):
    """Principal components of points, exactly, from their covariance over n.

    Args:
        points: (n, d), of any numeric type.

    Returns:
        mean (d,), variances (d,) in falling order, and axes (d, d), whose rows are
        unit vectors; the entry of largest size of each is positive.

    Example:
        >>> points = np.array([(1, 2, 3), (4, 8, 5), (3, 12, 9), (1, 8, 5), (5, 14, 2),
        ...     (7, 4, 1), (9, 8, 9), (3, 8, 1), (11, 5, 6), (10, 11, 7)])
        >>> mean, variances, axes = compute_components(points)
        >>> print(variances.round(3))
        [15.297 11.631  5.472]
        >>> print(axes.round(3))
        [[ 0.617  0.589  0.523]
         [-0.678  0.734 -0.027]
         [-0.4   -0.338  0.852]]
        >>> rebuilt = reconstruct(points, mean, axes[:2])
        >>> print(np.linalg.norm(points - rebuilt, axis=1).round(2))
        [2.25 0.73 3.19 1.93 4.25 2.53 2.14 2.28 0.2  0.98]
    """
    mean = points.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((len(mean), len(mean)))
    for start in range(0, len(points), ROWS_PER_STEP):
        centred = points[start : start + ROWS_PER_STEP] - mean
        covariance += centred.T @ centred
    variances, columns = np.linalg.eigh(covariance / len(points))
    axes = columns.T[::-1]
    largest = np.abs(axes).argmax(axis=1)
    signs = np.sign(axes[np.arange(len(axes)), largest])
    # Rounding makes a variance of 0 slightly negative.
    return mean, variances[::-1].clip(min=0), axes * signs[:, None]


def reconstruct(points, mean, axes):
    """The nearest points, float64 (n, d), in the span of k axes (k, d) at the mean."""
    return mean + (points - mean) @ axes.T @ axes


def compute_errors(variances):
    """Error of the spanning points for k = 0..d components, (d + 1,).

    The squared error that is left is the variance that is left; given as root mean
    square per coordinate, which for faces means grey levels per pixel.
    """
    left = np.append(np.cumsum(variances[::-1])[::-1], 0)
    return np.sqrt(left / len(variances))


def compute_reconstruction_errors(points, mean, axes):
    """As `compute_errors`, for points (n, d) that need not span the axes."""
    squares = ((points - mean) @ axes.T) ** 2
    return compute_errors(squares.mean(axis=0))


def compute_emotion_share(coordinates, labels):
    """Share of the variance of each coordinate, (k,), that lies between emotions.

    0 where every emotion has the same mean, 1 where an emotion is a single point
    (the correlation ratio).

    Args:
        coordinates: (n, k).
        labels: int (n,).
    """
    means = np.zeros_like(coordinates)
    for label in np.unique(labels):
        means[labels == label] = coordinates[labels == label].mean(axis=0)
    return means.var(axis=0) / coordinates.var(axis=0)


def count_components(explained, share):
    """The smallest number of components that explain a share of the variance."""
    return int(np.searchsorted(explained, share)) + 1
