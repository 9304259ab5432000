"""The real train.csv and test.csv, where FER2013_DATA names their folder."""

import time

import numpy as np
import pandas as pd
import pytest

from fer import data
from fer.faces import NUM_PIXELS


@pytest.mark.slow
def test_the_real_files_are_read_as_they_are(real_faces):
    """Against pandas and a split per row, in at most half of its time and exactly."""
    started = time.perf_counter()
    images, labels = data.load_training_faces(real_faces / "train.csv")
    seconds = time.perf_counter() - started

    started = time.perf_counter()
    table = pd.read_csv(real_faces / "train.csv")
    plain = np.array([row.split() for row in table["feature"]], dtype=np.uint8)
    plain_seconds = time.perf_counter() - started

    assert np.bincount(labels).tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    assert np.array_equal(labels, table["label"])
    assert np.array_equal(images.reshape(-1, NUM_PIXELS), plain)
    # A third on an idle machine; a busy one gets some slack.
    assert seconds < plain_seconds / 2

    faces = data.load_test_faces(real_faces / "test.csv")
    assert faces.images.shape == (7178, 48, 48, 1)
    assert faces.ids == [str(number) for number in range(7178)]


@pytest.mark.slow
def test_no_real_copy_stands_on_both_sides(real_faces):
    images, labels = data.load_training_faces(real_faces / "train.csv")
    groups = data.group_copies(images)
    assert (np.bincount(groups) > 1).sum() == 1035
    train_rows, validation_rows = data.split(images, labels, 0.1, seed=0)
    assert not set(groups[train_rows]) & set(groups[validation_rows])
    assert len(train_rows) + len(validation_rows) == len(images)
    shares = np.bincount(labels[validation_rows]) / np.bincount(labels)
    assert np.abs(shares - 0.1).max() < 0.01
