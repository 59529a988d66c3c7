"""Uneven padding in terms of even padding.

`zeroshot.Graph` pads both sides of an axis alike; other programs pad each side by itself, or cut.
Windows from ``-begin`` on can still be had: with ``begin + stride`` on both sides they begin one
output earlier, which ``shift`` takes away; and what no window at the end reaches may be anything.
"""

from __future__ import annotations

__all__ = ["Placing", "place_windows", "same_padding", "window_count"]

from typing import NamedTuple

_MAX_SHIFTS = 4


class Placing(NamedTuple):
    """Shifts of the input, even padding of both axes, shifts of the output."""

    before: int
    padding: tuple[int, int]
    after: int


def window_count(size: int, span: int, stride: int, begin: int, end: int) -> int:
    """Windows along one axis, with one that hangs over the end if it begins inside."""
    count = -(-(size + begin + end - span) // stride) + 1
    return count - 1 if (count - 1) * stride >= size + begin else count


def place_windows(
    size: tuple[int, int],
    span: tuple[int, int],
    stride: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> Placing | None:
    """How to get the windows of ``pads`` (top, left, bottom, right; negative cuts), if at all.

    Parameters
    ----------
    size, span, stride : (int, int)
        Of the input, of a window with its dilation, between windows.
    """
    begins, ends = pads[:2], pads[2:]
    wanted = [(size[i] + begins[i] + ends[i] - span[i]) // stride[i] + 1 for i in (0, 1)]
    if min(wanted) < 1:
        return None
    for after in range(_MAX_SHIFTS + 1):
        for before in range(_MAX_SHIFTS + 1):
            padding = [begins[i] + before + stride[i] * after for i in (0, 1)]
            if min(padding) < 0 or (before and max(padding)):
                continue  # padding would stand where pixels were cut
            counts = [
                (size[i] - before + 2 * padding[i] - span[i]) // stride[i] + 1 - after
                for i in (0, 1)
            ]
            if counts == wanted:
                return Placing(before, (padding[0], padding[1]), after)
    return None


def same_padding(size: int, span: int, stride: int, *, upper: bool) -> tuple[int, int]:
    """Begin and end of a padding that gives ``ceil(size / stride)`` outputs."""
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    small = total // 2
    return (small, total - small) if upper else (total - small, small)
