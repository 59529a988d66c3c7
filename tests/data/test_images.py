"""Images, their normalisation, the digits of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import data


def test_images_refuse_wrong_arrays() -> None:
    good, labels = np.zeros((2, 4, 4, 3), np.uint8), np.arange(2)
    cases: list[tuple[Any, Any, str]] = [
        (
            good.transpose(0, 3, 1, 2),
            labels,
            r"images: expected shape \(M, H, W, 3\).*\(2, 3, 4, 4",
        ),
        (good.astype(object), labels, "images: expected uint8 or float, got object"),
        (good, labels[:1], r"labels: expected shape \(2,\), got \(1,\)"),
        (good, [0.0, 1.0], "labels: expected integers, got float64"),
        (good, labels - 5, "labels: .* got -5 to -4"),
    ]
    for images, targets, message in cases:
        with pytest.raises(ValueError, match=message):
            data.Images(images, targets)
    with pytest.raises(ValueError, match="expected 0 to 0, got 0 to 1"):
        data.Images(good, labels, class_names=("only",))


def test_images_are_read_only_and_leave_the_callers_arrays_alone() -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    labels: Any = np.arange(2, dtype=np.int32)
    images = data.Images(pixels, labels)
    with pytest.raises(ValueError, match="read-only"):
        images.images[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        images.labels[0] = 1
    pixels[0], labels[0] = 1, 1
    assert images.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("preset", "mean", "std"),
    [
        ("cifar10", (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        ("cifar100", (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
        ("imagenet16-120", (122.68, 116.66, 104.01), (63.22, 61.26, 65.09)),
        ("cifar10_zerocost", (125.307, 122.961, 113.8575), (51.5865, 50.847, 51.255)),
        ("cifar100_zerocost", (125.307, 122.961, 113.8575), (51.5865, 50.847, 51.255)),
        (None, (0, 0, 0), (255, 255, 255)),
    ],
)
def test_normalised_is_pixel_minus_mean_over_std(preset: Any, mean: Any, std: Any) -> None:
    pixels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    images = data.Images(pixels, np.array([0]))
    x = images.normalised(preset)
    expected = (pixels.astype(float) - mean) / std
    assert x.shape == (1, 3, 16, 16)
    assert x.dtype == np.float32
    # five float32 roundings of numbers at most 1 (value, mean, difference) and 1/0.1994 (result)
    atol = 5 * float(np.finfo(np.float32).eps) / 0.1994
    np.testing.assert_allclose(x.transpose(0, 2, 3, 1), expected, rtol=0, atol=atol)
    as_float = data.Images(pixels.astype(np.float32) / np.float32(255), np.array([0]))
    np.testing.assert_array_equal(as_float.normalised(preset), x)


def test_normalised_has_the_bits_of_to_tensor_and_normalize(some_images: data.Images) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = torch.from_numpy(some_images.images.copy()).permute(0, 3, 1, 2).contiguous()
    x = x.to(dtype=torch.float32).div(255)
    mean = torch.tensor([v / 255 for v in (125.3, 123.0, 113.9)]).view(-1, 1, 1)
    std = torch.tensor([v / 255 for v in (63.0, 62.1, 66.7)]).view(-1, 1, 1)
    expected = x.sub_(mean).div_(std).numpy()
    np.testing.assert_array_equal(some_images.normalised("cifar10"), expected)


def test_unknown_preset_lists_the_known(some_images: data.Images) -> None:
    with pytest.raises(ValueError, match=r"preset: expected one of cifar10, .* got 'cifar'"):
        some_images.normalised("cifar")


# Digits.


def test_load_digits_is_scikit_learns_set_enlarged() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    source = datasets.load_digits()
    images = data.load_digits()
    assert images.images.shape == (1797, 32, 32, 3)
    assert images.labels.tolist() == source.target.tolist()
    assert (images.images == images.images[..., :1]).all()
    assert repr(data.load("digits")) == repr(images)
    x = images.normalised("digits")
    # the preset has three decimals
    assert abs(x.mean(dtype=np.float64)) < 0.5e-3 / 0.324
    assert abs(x.std(dtype=np.float64) - 1) < 0.5e-3 / 0.324

    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    grey = torch.from_numpy(source.images[:, None] * (255 / 16))
    large = torch.nn.functional.interpolate(grey, size=(32, 32), mode="bilinear").numpy()
    difference = images.images[..., 0].astype(float) - large[:, 0]
    # rounding to uint8, and the same sums in another order
    assert abs(difference).max() <= 0.5 + 255 * 8 * np.finfo(float).eps


def test_load_digits_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"zeroshot\[demo\]"):
        data.load_digits()
