"""Seeded draws of mini-batches, with the augmentations of the released pipelines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zeroshot.data.images import PRESETS, Images, normalise

__all__ = ["Batches", "draw_batches"]


@dataclass(frozen=True, eq=False, repr=False)
class Batches:
    """Mini-batches one after another: batch i is rows ``i * batch_size`` and following.

    Attributes
    ----------
    x : ndarray, shape (n_batches * batch_size, 3, H, W), float32
        Normalised images.
    y : ndarray, shape (n_batches * batch_size,), int64
        Their labels.
    indices : ndarray, shape (n_batches * batch_size,), int64
        Where each image stands in the data set.
    batch_size : int
        Images in one batch.
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]
    indices: NDArray[np.int64]
    batch_size: int

    @property
    def n_batches(self) -> int:
        """Number of batches."""
        return len(self.y) // self.batch_size

    def __repr__(self) -> str:
        return f"Batches({self.n_batches} of {self.batch_size}, images {self.x.shape[1:]})"


def draw_batches(
    images: Images,
    *,
    batch_size: int = 64,
    n_batches: int = 8,
    seed: int | np.random.Generator = 1,
    mode: Literal["disjoint", "independent"] = "disjoint",
    preset: str | None = "auto",
    crop: int = 0,
    flip: bool = False,
) -> Batches:
    """Draw mini-batches at random.

    Parameters
    ----------
    images : Images
        Where to draw from.
    batch_size, n_batches : int
        64 and 8 are the settings of xi-GSNR on NAS-Bench-201.
    seed : int or Generator
        The same seed gives the same draw. Indices are drawn first, then crops, then flips, so the
        indices do not depend on the augmentation.
    mode : {"disjoint", "independent"}
        "disjoint" cuts one permutation, so no image occurs twice. "independent" draws every batch
        afresh, without repeats inside a batch: the released xi-GSNR code, which makes a new
        iterator of its shuffled loader for each batch.
    preset : str or None
        Normalisation, one of `list_presets`; None only scales to 0..1. "auto" takes the preset
        named like the data set, and None where there is none.
    crop : int
        Surround each image with that many rows and columns of 0, before normalisation, and cut the
        original size out at random (released: 4 for CIFAR, 2 for ImageNet16-120).
    flip : bool
        Mirror each image left to right with probability 1/2.

    Returns
    -------
    Batches

    Raises
    ------
    ValueError
        If a size is not positive or there are too few images.

    Examples
    --------
    >>> data = Images(np.zeros((20, 8, 8, 3), np.uint8), np.arange(20) % 10)
    >>> batches = draw_batches(data, batch_size=5, n_batches=4)
    >>> batches
    Batches(4 of 5, images (3, 8, 8))
    >>> len(set(batches.indices.tolist()))
    20
    """
    if batch_size < 1 or n_batches < 1 or crop < 0:
        raise ValueError(
            "batch_size, n_batches, crop: expected at least 1, 1 and 0, "
            f"got {batch_size}, {n_batches} and {crop}"
        )
    if mode not in ("disjoint", "independent"):
        raise ValueError(f'mode: expected "disjoint" or "independent", got {mode!r}')
    n_needed = batch_size * n_batches if mode == "disjoint" else batch_size
    if n_needed > len(images):
        hint = ', or mode="independent"' if mode == "disjoint" else ""
        raise ValueError(
            f"images: {n_batches} {mode} batches of {batch_size} need {n_needed} images, "
            f"got {len(images)}; use smaller or fewer batches{hint}"
        )
    rng = np.random.default_rng(seed)
    if mode == "disjoint":
        indices = rng.permutation(len(images))[:n_needed]
    else:
        indices = np.concatenate(
            [rng.choice(len(images), batch_size, replace=False) for _ in range(n_batches)]
        )
    indices = indices.astype(np.int64)
    pixels = images.images[indices]
    if crop:
        pixels = random_crop(pixels, crop, rng)
    if flip:
        mirrored = rng.random(len(pixels)) < 0.5
        pixels[mirrored] = pixels[mirrored, :, ::-1]
    if preset == "auto":
        preset = images.name if images.name in PRESETS else None
    return Batches(normalise(pixels, preset), images.labels[indices], indices, batch_size)


def random_crop(pixels: NDArray[Any], margin: int, rng: np.random.Generator) -> NDArray[Any]:
    """Each image of `pixels` (M, H, W, 3), shifted by -margin..margin rows and columns."""
    m, h, w, _ = pixels.shape
    padded = np.pad(pixels, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    top, left = rng.integers(0, 2 * margin + 1, size=(2, m, 1))
    rows, columns = top + np.arange(h), left + np.arange(w)
    cropped: NDArray[Any] = padded[
        np.arange(m)[:, None, None], rows[:, :, None], columns[:, None, :]
    ]
    return cropped
