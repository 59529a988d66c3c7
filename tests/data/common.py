"""Files of data sets, written here as their makers wrote them."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np


def batch(n: int, n_columns: int, n_classes: int, seed: int = 0) -> tuple[Any, list[int]]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, n_columns), dtype=np.uint8)
    return pixels, rng.integers(0, n_classes, n).tolist()


def py2_pickle(value: object, numpy_core: str = "numpy.core") -> bytes:
    """`value` as Python 2's cPickle writes it with protocol 2, without the memo."""

    def string(s: bytes) -> bytes:
        return b"U" + bytes([len(s)]) + s if len(s) < 256 else b"T" + struct.pack("<i", len(s)) + s

    def write(v: Any) -> bytes:
        if isinstance(v, int):
            return b"K" + bytes([v]) if 0 <= v < 256 else b"J" + struct.pack("<i", v)
        if isinstance(v, bytes):
            return string(v)
        if isinstance(v, list):
            return b"](" + b"".join(map(write, v)) + b"e"
        if isinstance(v, dict):
            return b"}(" + b"".join(write(k) + write(x) for k, x in v.items()) + b"u"
        assert isinstance(v, np.ndarray)
        empty = (
            b"c"
            + numpy_core.encode()
            + b".multiarray\n_reconstruct\n"
            + (b"cnumpy\nndarray\nK\0\x85U\x01b\x87R")
        )
        order = v.dtype.str[:1].encode()
        dtype = (
            b"cnumpy\ndtype\n"
            + string(v.dtype.str[1:].encode())
            + b"K\0K\x01\x87R"
            + (b"(K\x03" + string(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb")
        )
        shape = b"(" + b"".join(map(write, v.shape)) + b"t"
        return empty + b"(K\x01" + shape + dtype + b"\x89" + string(v.tobytes()) + b"tb"

    return b"\x80\x02" + write(value) + b"."


def cifar10_python(n: int = 4, seed: int = 0) -> bytes:
    pixels, labels = batch(n, 3072, 10, seed)
    names = [b"a_%d.png" % i for i in range(n)]
    return py2_pickle({b"data": pixels, b"labels": labels, b"filenames": names})


def cifar100_python(n: int = 4) -> bytes:
    pixels, labels = batch(n, 3072, 100)
    content = {"data": pixels, "fine_labels": labels, "coarse_labels": [0] * n}
    return pickle.dumps(content, protocol=4)


def cifar_binary(n: int, n_labels: int, seed: int = 0) -> bytes:
    pixels, labels = batch(n, 3072, 10 if n_labels == 1 else 100, seed)
    coarse = [[19]] * n if n_labels == 2 else [[]] * n
    return b"".join(
        bytes([*c, y]) + x.tobytes() for c, y, x in zip(coarse, labels, pixels, strict=True)
    )


def imagenet16(n: int = 6, seed: int = 0, labels: list[int] | None = None) -> bytes:
    pixels, _ = batch(n, 768, 10, seed)
    return py2_pickle(
        {b"data": pixels, b"labels": labels or [1, 120, 121, 2, 1000, 3][:n],
         b"mean": np.zeros(768)}
    )  # fmt: skip


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def small_npz() -> bytes:
    pixels, labels = batch(4, 192, 3)
    return npz(images=pixels.reshape(4, 8, 8, 3), labels=np.array(labels))


def to_hwc(pixels: Any, side: int) -> Any:
    """Pixel [row, column, colour] from the flat layout, index by index."""
    planes = pixels.reshape(len(pixels), 3, side, side)
    return np.stack([planes[:, 0], planes[:, 1], planes[:, 2]], axis=3)


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
