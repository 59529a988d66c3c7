"""Checks and converts what users pass: images, labels, sizes.

Every message names the argument, what was expected and what came; below this module arrays are
C-contiguous, native and of the one dtype that the core takes. Nothing of the caller's is written.
"""

from __future__ import annotations

__all__ = ["Data", "as_array", "check_int", "check_pair", "check_real", "hash_array", "make_data"]

import math
import numbers
import operator
import reprlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FLOATS = (np.float16, np.float32, np.float64)


def check_int(name: str, value: object, low: int, high: int | None = None) -> int:
    """`value` as an int from `low` to `high`, both included; a bool is none."""
    wanted = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected {wanted}, got {reprlib.repr(value)}")
    number = operator.index(value)
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name}: expected {wanted}, got {reprlib.repr(number)}")
    return number


def check_pair(name: str, value: object, low: int, high: int | None = None) -> tuple[int, int]:
    """Height and width from a pair of integers, or from one for both."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{name}: expected an integer or a pair (height, width), got {value}")
        return check_int(f"{name}[0]", value[0], low, high), check_int(
            f"{name}[1]", value[1], low, high
        )
    number = check_int(name, value, low, high)
    return number, number


def check_real(name: str, value: object, wanted: str) -> float:
    """`value` as a float; NaN, bool and complex are none. The range is the caller's to check."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected {wanted}, got {reprlib.repr(value)}")
    if math.isnan(value):
        raise ValueError(f"{name}: expected {wanted}, got nan")
    return float(value)


@dataclass(frozen=True, eq=False)
class Data:
    """Images and labels as the core takes them; made by `make_data`.

    Attributes
    ----------
    x : ndarray, shape (M, C, H, W), float32 or float64, C-contiguous
    y : ndarray, shape (M,), int64
    """

    x: NDArray[Any] = field(repr=False)
    y: NDArray[np.int64] = field(repr=False)
    _hashes: dict[int, tuple[str, str]] = field(repr=False, default_factory=dict)

    @property
    def n_rows(self) -> int:
        return len(self.x)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.x.shape
        return channels, height, width

    def hashes(self, n_rows: int) -> tuple[str, str]:
        """SHA-256 of dtype, shape and bytes of the first rows of x and of y; computed once."""
        if n_rows not in self._hashes:
            self._hashes[n_rows] = (hash_array(self.x[:n_rows]), hash_array(self.y[:n_rows]))
        return self._hashes[n_rows]

    def check_fits(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        """ValueError unless a network of that input and output can take every row."""
        if self.image_shape != image_shape:
            raise ValueError(
                f"x: expected images of shape {image_shape}, got {self.image_shape} "
                f"(x has shape {self.x.shape})"
            )
        wrong = np.flatnonzero((self.y < 0) | (self.y >= num_classes))
        if wrong.size:
            raise ValueError(
                f"y: expected labels from 0 to {num_classes - 1}, got {self.y[wrong[0]]} "
                f"at position {wrong[0]}"
            )


def as_array(value: ArrayLike) -> NDArray[Any]:
    """`value` as an array of whatever dtype it has; also of a tensor that records gradients."""
    detach = getattr(value, "detach", None)
    return np.asarray(detach() if callable(detach) else value)


def hash_array(array: NDArray[Any]) -> str:
    """SHA-256 of dtype, shape and values of a C-contiguous native array."""
    import hashlib  # loads OpenSSL: not before it is needed

    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.data)
    return digest.hexdigest()


def make_data(x: ArrayLike, y: ArrayLike, dtype: str) -> Data:
    """Check x and y by themselves and convert them, with a copy only where one is needed.

    Parameters
    ----------
    x : array_like, shape (M, C, H, W), float16, float32 or float64
        Anything with ``__array__`` (tensors too), in any memory layout and byte order.
    y : array_like, shape (M,), integers
    dtype : {"float32", "float64"}
        Of the computation. For "float32", float64 images are rounded; for "float64", float32
        images stay as they are and are widened where they are read.

    Raises
    ------
    TypeError
        If a dtype is of the wrong kind.
    ValueError
        If a shape does not fit, or nothing is in it.
    """
    images, labels = as_array(x), as_array(y)
    if images.dtype.type not in _FLOATS:
        raise TypeError(f"x: expected float16, float32 or float64, got {images.dtype}")
    if images.ndim != 4:
        raise ValueError(f"x: expected shape (M, C, H, W), got {images.shape}")
    if images.size == 0:
        raise ValueError(f"x: expected at least one image and no axis of 0, got {images.shape}")
    if labels.ndim != 1:
        raise ValueError(f"y: expected shape ({len(images)},), got {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"y: expected integer class labels, got {labels.dtype}")
    if len(labels) != len(images):
        raise ValueError(f"y: expected one label per image, {len(images)}, got {len(labels)}")
    if labels.dtype == np.uint64 and labels.max() > np.iinfo(np.int64).max:
        at = int(labels.argmax())
        raise ValueError(f"y: expected class labels, got {labels[at]} at position {at}")
    keep64 = dtype == "float64" and images.dtype.type is np.float64
    with np.errstate(over="ignore"):  # becomes infinity, and the result says so
        images = np.require(images, np.float64 if keep64 else np.float32, ["C", "A", "E"])
    return Data(images, np.require(labels, np.int64, ["C", "A", "E"]))
