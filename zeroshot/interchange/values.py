"""Tensors of another program's network, by what their axes are of a map of a `zeroshot.Graph`."""

from __future__ import annotations

__all__ = ["NO_PADS", "Pads", "Unsupported", "Value", "curve_from", "letters_of", "parts_of"]

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from zeroshot.graph import Handle
from zeroshot.interchange.curves import PROBES, Curve

Pads: TypeAlias = tuple[int, int, int, int]  # top, left, bottom, right
NO_PADS: Pads = (0, 0, 0, 0)


class Unsupported(Exception):
    """An operator has no counterpart.

    Parameters
    ----------
    reason : str
    culprit : str, optional
        Name of the node that is meant, where it is not the one that was being read.
    """

    def __init__(self, reason: str, culprit: str | None = None) -> None:
        super().__init__(reason)
        self.culprit = culprit


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor that depends on the image.

    Attributes
    ----------
    base : Handle
    groups : tuple of str
        For each axis after the batch the letters of ``chw`` that it runs over, the slowest first;
        letters of size 1 are left out. ``("c", "h", "w")`` is an image, ``("c",)`` a vector,
        ``("hw", "c")`` a list of tokens.
    curve : ndarray or None
        What is applied to each element of `base`, by its values at `PROBES`; None is nothing.
    function, sources : callable, tuple of Value
        What gives the curve from those of others, to fall back on if it is not known.
    op : str or None
        ``add`` or ``multiply`` of two sources.
    pads : tuple of int
        Padding that waits for a window; negative cuts.
    fill : float
        What is padded.
    name : str
        For the op that computes the curve.
    """

    base: Handle
    groups: tuple[str, ...]
    curve: Curve | None = field(default=None, repr=False)
    function: Callable[..., Curve] | None = field(default=None, repr=False)
    sources: tuple[Value, ...] = field(default=(), repr=False)
    op: str | None = None
    pads: Pads = NO_PADS
    fill: float = 0.0
    name: str = ""
    depth: int = 0
    done: list[Handle] = field(default_factory=list, repr=False)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the axes after the batch."""
        size = dict(zip("chw", self.base.shape, strict=True))
        size["h"] += self.pads[0] + self.pads[2]
        size["w"] += self.pads[1] + self.pads[3]
        return tuple(int(np.prod([size[c] for c in g], dtype=np.int64)) for g in self.groups)

    @property
    def is_image(self) -> bool:
        """Whether the axes are channels, height, width."""
        return len(self.groups) == 3 and all(
            g in (letter, "") for g, letter in zip(self.groups, "chw", strict=True)
        )


def letters_of(handle: Handle, text: str) -> str:
    size = dict(zip("chw", handle.shape, strict=True))
    return "".join(c for c in text if size[c] > 1)


def parts_of(x: Value) -> list[Value | None]:
    """None for the tensor that an expression reads, then its parts, the first computed first."""
    found: list[Value | None] = [None]

    def visit(v: Value) -> None:
        for source in v.sources:
            if source.curve is not None and not any(source is f for f in found):
                visit(source)
                found.append(source)

    visit(x)
    return found


def curve_from(x: Value, start: Value) -> Curve:
    """Values of `x` where those of `start` are `PROBES`; NaN if it is no function of `start`."""
    known: dict[int, Curve] = {id(start): PROBES}

    def values(v: Value) -> Curve:
        if id(v) not in known:
            nothing = np.full_like(PROBES, np.nan)
            known[id(v)] = v.function(*map(values, v.sources)) if v.function else nothing
        return known[id(v)]

    with np.errstate(all="ignore"):
        return np.asarray(values(x), np.float64)
