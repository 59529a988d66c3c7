"""Pieces one after the other in rows, as words in lines: arrows between them, stages above."""

from __future__ import annotations

__all__ = ["Piece", "flow"]

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from zeroshot.drawing.palette import LINE
from zeroshot.drawing.scene import Curve, Scene, text_width

_GAP: Final = 9.0  # an arrow between pieces
_STAGE_GAP: Final = 13.0
_ROW_GAP: Final = 12.0
_TURN: Final = 7.0  # how far the line from row to row goes out
_HEADING: Final = 6.0
_IN_STAGE: Final = 0.4  # what a break inside a stage costs, in rows that are left empty


@dataclass(frozen=True)
class Piece:
    """Something in a row. It is entered at (0, 0) and left at (width, leave).

    Attributes
    ----------
    scene : Scene
    width : float
    leave : float
    stage : int
        Position in the headings; -1 for none.
    """

    scene: Scene
    width: float
    leave: float = 0.0
    stage: int = -1


def _runs(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Neighbours of one stage."""
    runs: list[list[Piece]] = []
    for piece in pieces:
        if runs and runs[-1][0].stage == piece.stage:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return runs


def _run_width(run: Sequence[Piece], headings: Sequence[tuple[str, ...]]) -> tuple[float, float]:
    """Width of the pieces, and of the heading if that is more."""
    own = sum(piece.width for piece in run) + _GAP * (len(run) - 1)
    lines = headings[run[0].stage] if run[0].stage >= 0 else ()
    return own, max([own, *(text_width(line, _HEADING) for line in lines)])


def _row_width(pieces: Sequence[Piece], headings: Sequence[tuple[str, ...]]) -> float:
    runs = _runs(pieces)
    return sum(_run_width(run, headings)[1] for run in runs) + _STAGE_GAP * (len(runs) - 1)


def _breaks(
    pieces: Sequence[Piece], width: float, headings: Sequence[tuple[str, ...]]
) -> list[int]:
    """Where rows begin: few rows, of like width, broken between stages where that is near."""

    @cache
    def best(start: int) -> tuple[int, float, int]:
        """Rows from a piece on, what they cost, and where the second one begins."""
        if start == len(pieces):
            return 0, 0.0, start
        choices = []
        for end in range(start + 1, len(pieces) + 1):
            free = 1 - _row_width(pieces[start:end], headings) / width
            if free < 0 and end > start + 1:
                break
            rows, cost, _ = best(end)
            inside = end < len(pieces) and pieces[end].stage == pieces[end - 1].stage >= 0
            choices.append((rows + 1, cost + free**2 + _IN_STAGE * inside, end))
        return min(choices)

    for start in reversed(range(len(pieces))):  # so that the depth of calls stays small
        best(start)
    found, at = [], 0
    while at < len(pieces):
        found.append(at)
        at = best(at)[2]
    return found


def flow(pieces: Sequence[Piece], width: float, headings: Sequence[tuple[str, ...]] = ()) -> Scene:
    """All pieces in rows of at most that width, where no piece is wider."""
    starts = _breaks(pieces, width, headings)
    whole, level = Scene(), 0.0
    end: tuple[float, float] | None = None
    for start, stop in zip(starts, [*starts[1:], len(pieces)], strict=True):
        row, leave = _row(pieces[start:stop], headings)
        _, bottom, _, top = row.extents()
        y = level - top
        whole.put(row, 0.0, y)
        if end is not None:
            turn, out = level + _ROW_GAP / 2, end[0] + _TURN
            whole.bent(
                end, (out, end[1]), (out, turn), (-_TURN, turn), (-_TURN, y), (0.0, y), arrow=True
            )
        end = (leave[0], leave[1] + y)
        level = y + bottom - _ROW_GAP
    return whole


def _row(
    pieces: Sequence[Piece], headings: Sequence[tuple[str, ...]]
) -> tuple[Scene, tuple[float, float]]:
    """A row that is entered at (0, 0), and where it is left."""
    row, x = Scene(), 0.0
    leave: tuple[float, float] | None = None
    spans = []
    for run in _runs(pieces):
        own, wide = _run_width(run, headings)
        left = x if leave is None else x + (wide - own) / 2
        spans.append((run[0].stage, left, left + own))
        for piece in run:
            row.put(piece.scene, left, 0.0)
            if leave is not None:
                row.line(leave, (left, 0.0), arrow=True)
            leave = (left + piece.width, piece.leave)
            left += piece.width + _GAP
        x = max(x + wide, left - _GAP) + _STAGE_GAP
    assert leave is not None
    _, _, _, top = row.extents()
    for stage, left, right in spans:
        if stage < 0:
            continue
        lines, y = headings[stage], top + 4.0
        row.curves.append(
            Curve(((left, y), (left, y), (right, y), (right, y)), color=LINE, width=0.6)
        )
        middle = (left + right) / 2
        if left == 0.0:  # the first of a row begins at its edge
            middle = max(middle, max(text_width(line, _HEADING) for line in lines) / 2)
        for i, line in enumerate(reversed(lines)):
            row.text(middle, y + 5.0 + 1.2 * _HEADING * i, line, _HEADING)
    return row, leave
