"""The skeletons of ProxylessNAS: what their networks share."""

from __future__ import annotations

__all__ = ["SKELETONS", "Skeleton", "find_skeleton"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Skeleton:
    """What all networks of one skeleton share.

    Attributes
    ----------
    stem, first, last : int
        Widths of the stem, of the fixed block behind it, and of the last convolution.
    stages : tuple of (width, layers, stride)
    """

    stem: int
    first: int
    last: int
    stages: tuple[tuple[int, int, int], ...]

    @property
    def n_layers(self) -> int:
        """Layers that have a choice."""
        return sum(n for _, n, _ in self.stages)


def _skeleton(stem: int, first: int, last: int, widths: str, layers: str) -> Skeleton:
    sizes = zip(map(int, widths.split()), map(int, layers.split()), (2, 2, 2, 1, 2, 1), strict=True)
    return Skeleton(stem, first, last, tuple(sizes))


SKELETONS: Final[Mapping[str, Skeleton]] = {
    "19": _skeleton(32, 16, 1280, "32 40 80 96 192 320", "2 4 4 4 4 1"),
    "21": _skeleton(32, 16, 1280, "24 40 80 96 192 320", "4 4 4 4 4 1"),
    "21wide": _skeleton(40, 24, 1728, "32 56 112 128 256 432", "4 4 4 4 4 1"),
}


def find_skeleton(skeleton: str) -> Skeleton:
    """A skeleton by its name; ValueError if there is none."""
    if skeleton not in SKELETONS:
        raise ValueError(f"skeleton: expected one of {', '.join(SKELETONS)}; got {skeleton!r}")
    return SKELETONS[skeleton]
