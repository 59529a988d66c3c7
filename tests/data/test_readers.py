"""Files of CIFAR, ImageNet16 and npz: what is read, what is refused and why."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeroshot import data, errors
from zeroshot.errors import BenchmarkFileError

from .common import (
    batch,
    cifar10_python,
    cifar100_python,
    cifar_binary,
    imagenet16,
    npz,
    put,
    py2_pickle,
    to_hwc,
)


def test_errors_keep_their_attributes_through_pickle() -> None:
    a = pickle.loads(pickle.dumps(errors.ArchitectureError("bad op", 7)))
    n = pickle.loads(pickle.dumps(errors.NonFiniteError("nan", {"status": "nonfinite"})))
    assert (str(a), a.position) == ("bad op", 7)
    assert (str(n), n.result) == ("nan", {"status": "nonfinite"})
    assert issubclass(errors.ArchitectureError, ValueError)
    assert issubclass(BenchmarkFileError, ValueError)


@pytest.mark.parametrize(
    ("written", "name", "n_classes"),
    [
        (cifar10_python(), "cifar10", 10),
        (cifar_binary(4, 1), "cifar10", 10),
        (cifar100_python(), "cifar100", 100),
        (cifar_binary(4, 2), "cifar100", 100),
    ],
    ids=["python 10", "binary 10", "python 100", "binary 100"],
)
def test_read_cifar_file(written: bytes, name: str, n_classes: int, tmp_path: Path) -> None:
    pixels, labels = batch(4, 3072, n_classes)
    for read in (data.read_cifar, data.load):
        images = read(put(tmp_path / "file", written))
        np.testing.assert_array_equal(images.images, to_hwc(pixels, 32))
        assert images.images.dtype == np.uint8
        assert images.labels.tolist() == labels
        assert images.labels.dtype == np.int64
        assert (images.name, images.n_classes) == (name, n_classes)
    if name == "cifar10":
        assert images.class_names[3] == "cat"


@pytest.mark.parametrize("suffix", ["", ".bin"])
def test_read_cifar_directory_takes_batches_in_order_of_number(suffix: str, tmp_path: Path) -> None:
    write: Callable[[int], bytes] = (
        (lambda seed: cifar_binary(2, 1, seed))
        if suffix
        else (lambda seed: cifar10_python(2, seed))
    )
    for number in (10, 2, 1):
        put(tmp_path / f"data_batch_{number}{suffix}", write(number))
    put(tmp_path / f"test_batch{suffix}", write(99))
    names = [f"class {i}" for i in range(10)]
    if suffix:
        names = [name.replace(" ", "_") for name in names]
        (tmp_path / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    else:
        put(tmp_path / "batches.meta", py2_pickle({b"label_names": [n.encode() for n in names]}))
    expected = np.concatenate([to_hwc(batch(2, 3072, 10, seed)[0], 32) for seed in (1, 2, 10)])
    images = data.read_cifar(tmp_path)
    np.testing.assert_array_equal(images.images, expected)
    assert images.class_names == tuple(names)
    np.testing.assert_array_equal(data.load(tmp_path).images, expected)
    test = data.read_cifar(tmp_path, "test")
    np.testing.assert_array_equal(test.images, to_hwc(batch(2, 3072, 10, 99)[0], 32))


def test_read_cifar_prefers_one_version_of_the_same_images(tmp_path: Path) -> None:
    put(tmp_path / "data_batch_1", cifar10_python(2))
    put(tmp_path / "data_batch_1.bin", cifar_binary(2, 1))
    assert len(data.read_cifar(tmp_path)) == 2


def test_read_cifar_refuses_what_does_not_fit(tmp_path: Path) -> None:
    pixels, labels = batch(4, 3072, 10)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"labels": labels}, "expected an entry 'data'"),
        ({"data": pixels.astype(np.float32), "labels": labels}, "uint8"),
        ({"data": pixels[:, :3000], "labels": labels}, "3072 or 768 columns"),
        ({"data": pixels.reshape(4, 3, 32, 32), "labels": labels}, "uint8"),
        ({"data": pixels, "labels": labels[:3]}, "4 images but 3 labels"),
        ({"data": pixels}, "list of integer labels"),
        ({"data": pixels, "labels": [0.0, 1.0, 2.0, 3.0]}, "list of integer labels"),
        ({"data": pixels, "labels": [True] * 4}, "list of integer labels"),
        ({"data": pixels, "labels": [0, 1, 2, 10]}, "expected 0 to 9, got 0 to 10"),
        ({"data": pixels, "labels": [0, 1, 2, -1]}, "not in 0..1000"),
        ({"data": pixels, "labels": [0, 1, 2, 2**63 - 1]}, "not in 0..1000"),
    ]
    for content, message in cases:
        with pytest.raises(BenchmarkFileError, match=message):
            data.read_cifar(put(tmp_path / "file", pickle.dumps(content)))
    with pytest.raises(BenchmarkFileError, match="no whole number"):
        data.read_cifar(put(tmp_path / "file", cifar_binary(4, 1)[:-1]))
    with pytest.raises(BenchmarkFileError, match="valid labels"):
        data.read_cifar(put(tmp_path / "file", b"\x0b" + cifar_binary(4, 1)[1:]))
    with pytest.raises(BenchmarkFileError, match="read_imagenet16"):
        data.read_cifar(put(tmp_path / "file", imagenet16()))
    with pytest.raises(ValueError, match="split"):
        data.read_cifar(tmp_path / "file", "val")  # type: ignore[arg-type]


def test_read_cifar_refuses_mixed_batches_and_empty_directories(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFileError, match="found none"):
        data.read_cifar(tmp_path)
    put(tmp_path / "data_batch_1", cifar10_python())
    put(tmp_path / "data_batch_2", cifar100_python())
    with pytest.raises(BenchmarkFileError, match="data_batch_2: expected cifar10"):
        data.read_cifar(tmp_path)
    with pytest.raises(FileNotFoundError):
        data.read_cifar(tmp_path / "absent")


@pytest.mark.parametrize("meta", [["x"] * 9, ["x"] * 9 + [1], "x" * 10])
def test_read_cifar_refuses_wrong_class_names(meta: object, tmp_path: Path) -> None:
    put(tmp_path / "batches.meta", pickle.dumps({"label_names": meta}))
    with pytest.raises(BenchmarkFileError, match=r"batches\.meta: label_names"):
        data.read_cifar(put(tmp_path / "data_batch_1", cifar10_python()))


def test_max_bytes_limits_the_sum_of_the_files(tmp_path: Path) -> None:
    sizes = []
    for number in (1, 2):
        content = cifar10_python(2, number)
        put(tmp_path / f"data_batch_{number}", content)
        sizes.append(len(content))
    assert len(data.read_cifar(tmp_path, max_bytes=sum(sizes))) == 4
    with pytest.raises(BenchmarkFileError, match="raise max_bytes"):
        data.read_cifar(tmp_path, max_bytes=sum(sizes) - 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this platform")
def test_read_of_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BenchmarkFileError, match="regular file"):
        data.read_cifar(tmp_path / "pipe")


def test_read_imagenet16_keeps_the_first_classes_and_starts_at_zero(tmp_path: Path) -> None:
    for number in (2, 1):
        put(tmp_path / f"train_data_batch_{number}", imagenet16(seed=number))
    put(tmp_path / "val_data", imagenet16(2, seed=7, labels=[120, 121]))
    kept = [0, 1, 3, 5]  # of the labels 1, 120, 121, 2, 1000, 3
    expected = np.concatenate([to_hwc(batch(6, 768, 10, s)[0], 16)[kept] for s in (1, 2)])
    for images in (data.read_imagenet16(tmp_path), data.load(tmp_path)):
        np.testing.assert_array_equal(images.images, expected)
        assert images.labels.tolist() == [0, 119, 1, 2] * 2
        assert (images.name, images.n_classes) == ("imagenet16-120", 120)
    assert data.read_imagenet16(tmp_path, 1000).labels.max() == 999
    assert data.read_imagenet16(tmp_path, 120, "test").labels.tolist() == [119]


def test_read_imagenet16_refuses_what_does_not_fit(tmp_path: Path) -> None:
    cases = [
        (imagenet16(2, labels=[0, 5]), "from 1 to 1000"),
        (imagenet16(2, labels=[500, 501]), "images: expected"),  # none of the first 120
        (cifar10_python(), "read_cifar"),
    ]
    for content, message in cases:
        with pytest.raises(BenchmarkFileError, match=message):
            data.read_imagenet16(put(tmp_path / "file", content))
    with pytest.raises(ValueError, match="num_classes"):
        data.read_imagenet16(tmp_path / "file", 0)


@pytest.mark.parametrize("pair", [("images", "labels"), ("train_images", "train_labels")])
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f8"])
def test_read_npz(pair: tuple[str, str], dtype: str, tmp_path: Path) -> None:
    pixels = np.asfortranarray(np.random.default_rng(0).random((5, 4, 6, 3)) * 200).astype(dtype)
    labels = np.array([[0], [1], [2], [1], [0]], dtype=">i2")
    content = npz(**dict(zip(pair, (pixels, labels), strict=True)), other=np.zeros(3))
    path = put(tmp_path / "mine.npz", content)
    for images in (data.read_npz(path), data.read_npz(path, *pair), data.load(path)):
        np.testing.assert_array_equal(images.images, pixels)
        assert images.images.dtype.isnative
        assert images.labels.tolist() == [0, 1, 2, 1, 0]
        assert (images.name, images.class_names) == ("mine", ("0", "1", "2"))


def test_read_npz_takes_class_names(tmp_path: Path) -> None:
    content = npz(
        images=np.zeros((2, 4, 4, 3), np.uint8), labels=np.arange(2), class_names=["a", "b", "c"]
    )
    assert data.read_npz(put(tmp_path / "f.npz", content)).class_names == ("a", "b", "c")


def test_read_npz_refuses_what_does_not_fit(tmp_path: Path) -> None:
    good, labels = np.zeros((2, 4, 4, 3), np.uint8), np.arange(2)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"a": good, "b": labels}, "expected arrays images, .* it has a, b"),
        ({"images": good[..., 0], "labels": labels}, "expected shape"),
        ({"images": good[:0], "labels": labels[:0]}, "none 0"),
        ({"images": good.astype(np.int16), "labels": labels}, "uint8 or float"),
        ({"images": good, "labels": labels.astype(float)}, "expected integers"),
        ({"images": good, "labels": labels - 1}, "got -1 to 0"),
        ({"images": good, "labels": labels + 10**12}, "got 1000000000000"),
        ({"images": good, "labels": np.array(["a", "b"])}, "expected integers"),
        ({"images": good, "labels": np.array([None, 1], dtype=object)}, "numbers or text"),
        ({"images": good, "labels": np.array(3)}, "len|shape"),
        ({"images": good, "labels": labels, "class_names": ["one"]}, "expected 0 to 0"),
    ]
    for arrays, message in cases:
        with pytest.raises(BenchmarkFileError, match=message):
            data.read_npz(put(tmp_path / "f.npz", npz(**arrays)))
    with pytest.raises(BenchmarkFileError, match="not a zip file"):
        data.read_npz(put(tmp_path / "f.npz", b"PK\x03\x04"))
    with pytest.raises(ValueError, match="both names or neither"):
        data.read_npz(tmp_path / "f.npz", "images")


def test_shared_cifar10_sample_is_readable(shared: Path) -> None:
    path = shared / "data" / "cifar10_sample.npz"
    if not path.is_file():
        pytest.skip(f"cifar10_sample.npz is not in {path.parent}; set ZEROSHOT_SHARED")
    images = data.read_npz(path, "train_images", "train_labels")
    assert repr(images) == "Images('cifar10_sample', 5120 images 32x32 uint8, 10 classes)"
    assert images.class_names[:3] == ("airplane", "automobile", "bird")
    assert np.bincount(images.labels).tolist() == [512] * 10
    mean = images.images.mean(axis=(0, 1, 2)) / 255
    # its README gives the means to four decimals
    np.testing.assert_allclose(mean, [0.4895, 0.4795, 0.4432], rtol=0, atol=0.5e-4)
    np.testing.assert_array_equal(data.load(path).images, images.images)
