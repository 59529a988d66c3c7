"""Batches drawn from images: seeds, repeats, crops and flips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import data


@pytest.mark.parametrize("mode", ["disjoint", "independent"])
def test_draw_is_fixed_by_its_seed(mode: Any, some_images: data.Images) -> None:
    def draw(seed: Any) -> data.Batches:
        return data.draw_batches(
            some_images, batch_size=5, n_batches=4, seed=seed, mode=mode, crop=2, flip=True
        )

    first, second, other = draw(3), draw(np.random.default_rng(3)), draw(4)
    for a, b in ((first.x, second.x), (first.y, second.y), (first.indices, second.indices)):
        np.testing.assert_array_equal(a, b)
    assert (first.indices != other.indices).any()
    assert (first.batch_size, first.n_batches) == (5, 4)
    assert [a.dtype.name for a in (first.x, first.y, first.indices)] == [
        "float32",
        "int64",
        "int64",
    ]
    assert first.x.shape == (20, 3, 6, 7)
    assert first.x.flags.c_contiguous


def test_disjoint_batches_share_no_image(some_images: data.Images) -> None:
    batches = data.draw_batches(some_images, batch_size=10, n_batches=4)
    assert sorted(batches.indices) == list(range(40))


def test_independent_batches_repeat_only_between_batches(some_images: data.Images) -> None:
    batches = data.draw_batches(some_images, batch_size=30, n_batches=8, mode="independent")
    rows = batches.indices.reshape(8, 30)
    assert all(len(set(row)) == 30 for row in rows.tolist())
    assert len({tuple(row) for row in rows.tolist()}) == 8
    # 8 x 30 of 40 images: on average each occurs 6 times, so the batches overlap
    assert np.bincount(rows.ravel()).max() > 1


def test_independent_draws_are_uniform(some_images: data.Images) -> None:
    n = 4000
    rows = data.draw_batches(
        some_images, batch_size=10, n_batches=n, mode="independent", seed=0
    ).indices.reshape(n, 10)
    # each image is in a batch, and first in one, a binomial number of times: 6 deviations
    for p, counts in ((10 / 40, np.bincount(rows.ravel())), (1 / 40, np.bincount(rows[:, 0]))):
        assert abs(counts - n * p).max() < 6 * np.sqrt(n * p * (1 - p))


def test_draw_without_augmentation_takes_the_rows(some_images: data.Images) -> None:
    batches = data.draw_batches(some_images, batch_size=5, n_batches=2, preset="cifar10")
    expected = some_images.normalised("cifar10")[batches.indices]
    np.testing.assert_array_equal(batches.x, expected)
    np.testing.assert_array_equal(batches.y, some_images.labels[batches.indices])


def test_auto_preset_is_the_one_named_like_the_data_set(some_images: data.Images) -> None:
    named = data.Images(some_images.images, some_images.labels, "cifar100")
    for images, preset in ((some_images, None), (named, "cifar100")):
        auto = data.draw_batches(images, batch_size=5, n_batches=2)
        given = data.draw_batches(images, batch_size=5, n_batches=2, preset=preset)
        np.testing.assert_array_equal(auto.x, given.x)
        assert (images.normalised(preset)[auto.indices] == auto.x).all()


def test_crop_and_flip_are_a_window_of_the_image_padded_before_normalisation(
    some_images: data.Images,
) -> None:
    batches = data.draw_batches(
        some_images, batch_size=40, n_batches=50, mode="independent", crop=1, flip=True,
        preset="cifar10",
    )  # fmt: skip
    padded = np.zeros((40, 8, 9, 3), np.uint8)
    padded[:, 1:7, 1:8] = some_images.images
    windows = {}
    for top in range(3):
        for left in range(3):
            window = padded[:, top : top + 6, left : left + 7]
            for flip in (False, True):
                pixels = window[:, :, ::-1] if flip else window
                images = data.Images(pixels, some_images.labels)
                windows[top, left, flip] = images.normalised("cifar10")[batches.indices]
    is_window = {key: (x == batches.x).all(axis=(1, 2, 3)) for key, x in windows.items()}
    assert (np.sum(list(is_window.values()), axis=0) == 1).all()
    # 2,000 draws of 18 equally likely windows: 6 deviations of a binomial number
    n, p = len(batches.y), 1 / 18
    for key, hits in is_window.items():
        assert abs(hits.sum() - n * p) < 6 * np.sqrt(n * p * (1 - p)), key
    plain = data.draw_batches(some_images, batch_size=40, n_batches=50, mode="independent")
    np.testing.assert_array_equal(plain.indices, batches.indices)


def test_draw_refuses_wrong_arguments(some_images: data.Images) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"batch_size": 6, "n_batches": 7}, "7 disjoint batches of 6 need 42 images, got 40"),
        ({"batch_size": 41, "n_batches": 1, "mode": "independent"}, "need 41 images"),
        ({"batch_size": 0}, "batch_size"),
        ({"n_batches": 0}, "n_batches"),
        ({"batch_size": 2, "crop": -1}, "crop"),
        ({"batch_size": 2, "mode": "random"}, "mode: expected"),
        ({"batch_size": 2, "preset": "none"}, "preset: expected"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            data.draw_batches(some_images, **arguments)
