"""Labelled images in memory, and the normalisations of the released pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PRESETS", "Images", "Normalisation", "list_presets", "normalise"]

MAX_CLASSES = 100_000


@dataclass(frozen=True)
class Normalisation:
    """How pixels are normalised: ``(pixel / 255 - mean) / std``, channel by channel.

    Parameters
    ----------
    mean, std : tuple of three floats
        Of red, green and blue, of pixels scaled to 0..1.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def of_255(mean: tuple[float, float, float], std: tuple[float, float, float]) -> Normalisation:
    (a, b, c), (d, e, f) = mean, std
    return Normalisation((a / 255, b / 255, c / 255), (d / 255, e / 255, f / 255))


_CIFAR10 = of_255((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))
_ZEROCOST = Normalisation((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))

PRESETS: Mapping[str, Normalisation] = MappingProxyType(
    {
        # NASWOT and xi-GSNR. Sweetimator uses "cifar10" for CIFAR-100 as well: its test for
        # CIFAR-10 is true for "cifar100" too.
        "cifar10": _CIFAR10,
        "cifar100": of_255((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
        "imagenet16-120": of_255((122.68, 116.66, 104.01), (63.22, 61.26, 65.09)),
        # zero-cost-nas and GradSign, the same numbers for both data sets.
        "cifar10_zerocost": _ZEROCOST,
        "cifar100_zerocost": _ZEROCOST,
        # Ours: mean and deviation of `load_digits`, rounded.
        "digits": Normalisation((0.305, 0.305, 0.305), (0.324, 0.324, 0.324)),
    }
)


def list_presets() -> list[str]:
    """Names of the known normalisations.

    Examples
    --------
    >>> list_presets()
    ['cifar10', 'cifar100', 'cifar100_zerocost', 'cifar10_zerocost', 'digits', 'imagenet16-120']
    """
    return sorted(PRESETS)


def normalise(pixels: NDArray[Any], preset: str | None) -> NDArray[np.float32]:
    """Pixels (M, H, W, 3), uint8 or float in 0..1, to normalised float32 (M, 3, H, W).

    The arithmetic is that of torchvision's ``ToTensor`` and ``Normalize``, float32 throughout, so
    the bits are the same too. With `preset` None, only the scale changes to 0..1.
    """
    if preset is not None and preset not in PRESETS:
        known = ", ".join(list_presets())
        raise ValueError(f"preset: expected one of {known} or None, got {preset!r}")
    x = np.array(pixels.transpose(0, 3, 1, 2), dtype=np.float32, order="C")
    if pixels.dtype == np.uint8:
        x /= np.float32(255)
    if preset is not None:
        channel = (3, 1, 1)
        x -= np.array(PRESETS[preset].mean, np.float32).reshape(channel)
        x /= np.array(PRESETS[preset].std, np.float32).reshape(channel)
    return x


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """Labelled colour images, checked once and then read-only.

    Parameters
    ----------
    images : ndarray, shape (M, H, W, 3), uint8 or float
        Red, green, blue; uint8 in 0..255, float in 0..1. Not copied, never written.
    labels : ndarray, shape (M,), any integer dtype
        Kept as int64.
    name : str
        Name of the data set; where a preset has the same name, it is the default for draws.
    class_names : tuple of str
        One per class. Left empty, classes are called ``"0"``, ``"1"``, ... up to the largest label.

    Raises
    ------
    ValueError
        If a shape, a dtype or a label does not fit.

    Examples
    --------
    >>> data = Images(np.full((4, 8, 8, 3), 255, np.uint8), np.array([0, 1, 2, 1]))
    >>> data
    Images('images', 4 images 8x8 uint8, 3 classes)
    >>> data.normalised(None).shape
    (4, 3, 8, 8)
    """

    images: NDArray[Any]
    labels: NDArray[np.int64]
    name: str = "images"
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.ndim != 4 or images.shape[3] != 3 or images.size == 0:
            raise ValueError(f"images: expected shape (M, H, W, 3), none 0, got {images.shape}")
        if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
            raise ValueError(f"images: expected uint8 or float, got {images.dtype}")
        if labels.shape != images.shape[:1]:
            raise ValueError(f"labels: expected shape {images.shape[:1]}, got {labels.shape}")
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels: expected integers, got {labels.dtype}")
        n_classes = len(self.class_names) or min(max(int(labels.max()), 0) + 1, MAX_CLASSES)
        if labels.min() < 0 or labels.max() >= n_classes:
            raise ValueError(
                f"labels: expected 0 to {n_classes - 1}, got {labels.min()} to {labels.max()}"
            )
        class_names = tuple(self.class_names) or tuple(str(i) for i in range(n_classes))
        for field, value in (("images", images.view()), ("labels", labels.astype(np.int64))):
            value.flags.writeable = False
            object.__setattr__(self, field, value)
        object.__setattr__(self, "class_names", class_names)

    @property
    def n_classes(self) -> int:
        """Number of classes, whether or not all occur."""
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        m, h, w, _ = self.images.shape
        what = f"{m} images {h}x{w} {self.images.dtype}, {self.n_classes} classes"
        return f"Images({self.name!r}, {what})"

    def normalised(self, preset: str | None) -> NDArray[np.float32]:
        """All images as the network sees them.

        Parameters
        ----------
        preset : str or None
            One of `list_presets`; None only scales uint8 to 0..1.

        Returns
        -------
        ndarray, shape (M, 3, H, W), float32
        """
        return normalise(self.images, preset)
