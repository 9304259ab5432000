"""Augmented batches: a function of seed, epoch and batch, and what each change does."""

import keras
import numpy as np
import pytest

from fer import augmentation
from fer.augmentation import AUGMENTATIONS, AugmentedFaces, FaceGenerator, mix
from fer.command import InputError


def make_faces(augmentation, seed=0, batch_size=4, count=10):
    images = np.random.default_rng(1).integers(0, 256, (count, 48, 48, 1), np.uint8)
    targets = np.eye(count, dtype="float32")
    generator = FaceGenerator(**AUGMENTATIONS[augmentation])
    return AugmentedFaces(images, targets, batch_size, generator, seed)


def test_an_epoch_shows_every_face_once():
    faces = make_faces("none")
    batches = [faces[index] for index in range(faces.num_batches)]
    assert sorted(len(images) for images, _ in batches) == [3, 3, 4]
    shown = np.concatenate([targets.argmax(axis=1) for _, targets in batches])
    assert sorted(shown) == list(range(10))
    for images, targets in batches:
        assert np.array_equal(images, faces.images[targets.argmax(axis=1)])


def test_batches_do_not_depend_on_what_was_asked_before():
    first, second = make_faces("erasing"), make_faces("erasing")
    for index in (2, 0, 1):
        second[index]
    second.epoch = first.epoch = 3
    for index in range(3):
        for a, b in zip(first[index], second[index], strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_threads_that_work_ahead_of_the_epoch_are_for_tensorflow(backend, monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: backend)
    assert (make_faces("none").workers > 1) == (backend == "tensorflow")


def test_epochs_and_seeds_differ():
    faces, other = make_faces("geometric"), make_faces("geometric", seed=1)
    before = faces[0][0]
    assert not np.array_equal(before, other[0][0])
    faces.epoch = 1
    assert not np.array_equal(before, faces[0][0])


def test_changes_fill_their_ranges():
    settings = AUGMENTATIONS["strong"]
    generator, rng = FaceGenerator(**settings), np.random.default_rng(0)
    drawn = [generator.draw_transform(rng, 48) for _ in range(2000)]
    for name, low, high in (
        ("theta", -15, 15),
        ("tx", -0.12 * 48, 0.12 * 48),
        ("ty", -0.12 * 48, 0.12 * 48),
        ("shear", -8, 8),
        ("zx", 0.85, 1.15),
    ):
        values = np.array([transform[name] for transform in drawn])
        assert values.min() == pytest.approx(low, abs=0.01 * (high - low))
        assert values.max() == pytest.approx(high, abs=0.01 * (high - low))
        assert low <= values.min() and values.max() <= high
    assert all(transform["zx"] == transform["zy"] for transform in drawn)
    for name, share in (("erase", 0.75), ("flip_horizontal", 0.5)):
        count = sum(bool(transform.get(name)) for transform in drawn)
        assert count / 2000 == pytest.approx(share, abs=0.04)
    sides = np.array([t["erase"][2:4] for t in drawn if "erase" in t])
    assert sides.min() == 6 and sides.max() == 19


def test_flip_is_the_picture_or_its_mirror():
    faces = make_faces("flip", count=64, batch_size=64)
    images, targets = faces[0]
    originals = faces.images[targets.argmax(axis=1)].astype("float32")
    same = (images == originals).all(axis=(1, 2, 3))
    mirrored = (images == originals[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all()
    assert 16 < same.sum() < 48


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rescale", 1 / 255),
        ("preprocessing_function", np.sqrt),
        ("samplewise_center", True),
        ("samplewise_std_normalization", True),
        ("featurewise_center", True),
        ("zca_whitening", True),
        ("data_format", "channels_first"),
        ("rotation", 10),
        ("width_shift_range", 5),
        ("height_shift_range", 2.5),
        ("width_shift_range", 1),
        ("width_shift_range", [-4, 0, 4]),
        ("height_shift_range", -0.1),
        ("brightness_range", (0.5, 1.5)),
        ("channel_shift_range", 30),
    ],
)
def test_options_that_would_not_be_drawn_are_refused(option, value):
    with pytest.raises(InputError, match=f"{option}"):
        FaceGenerator(**{option: value})


def test_names_of_networks_stay_valid_and_mean_the_same():
    for new, old in augmentation.RECORDED_NAMES.items():
        assert AUGMENTATIONS[old] is AUGMENTATIONS[new]
        for a, b in zip(make_faces(old)[0], make_faces(new)[0], strict=True):
            assert np.array_equal(a, b)
    assert AUGMENTATIONS["small"] == {"mirrored": 0.5}


def test_the_order_of_an_epoch_is_computed_once():
    """And is the permutation that it has always been."""
    faces = make_faces("none", seed=5)
    expected = np.random.default_rng((5, 2)).permutation(10)
    faces.epoch = 2
    shown = np.concatenate([faces[i][1].argmax(axis=1) for i in range(3)])
    assert np.array_equal(shown, expected)
    before = augmentation.deal.cache_info()
    faces[1]
    after = augmentation.deal.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


def test_erasing_puts_one_rectangle_of_one_level():
    generator = FaceGenerator(erasing=1.0)
    face = np.full((48, 48, 1), -1.0)
    transform = generator.draw_transform(np.random.default_rng(0), size=48)
    erased = generator.apply_transform(face, transform)
    top, left, height, width, level = transform["erase"]
    assert (face == -1).all()
    assert (erased != -1).sum() == height * width
    assert (erased[top : top + height, left : left + width] == level).all()


def test_mixup_blends_a_face_and_its_target_alike():
    """Faces that are constant and say so in their target stay on that line."""
    targets = np.eye(7, dtype="float32")[np.arange(64) % 7]
    levels = np.arange(7, dtype="float32") * 40
    faces = np.broadcast_to(
        (targets @ levels)[:, None, None, None], (64, 48, 48, 1)
    ).astype("float32")
    mixed, mixed_targets = mix(faces, targets, 0.5, np.random.default_rng(0))
    assert np.allclose(mixed[:, 0, 0, 0], mixed_targets @ levels, atol=1e-3)
    assert np.allclose(mixed_targets.sum(axis=1), 1)
    assert (mixed_targets.argmax(axis=1) == targets.argmax(axis=1)).all()
    assert 0.55 < mixed_targets.max(axis=1).mean() < 0.95


def test_mixup_changes_nothing_that_was_drawn_before_it():
    plain, mixed = make_faces("geometric"), make_faces("geometric")
    mixed.mixup = 0.3
    (faces, targets), (blends, blend_targets) = plain[1], mixed[1]
    first = blend_targets @ targets.T
    assert np.allclose(np.tensordot(first, faces, axes=1), blends, atol=1e-2)
