"""Boxes, lines and texts at places in points (1/72 inch, y upwards), and how they become a file.

Layouts put things into a `Scene`; `Drawing` turns it into a figure of Matplotlib, whose size is
what the things need. No style of the user's changes that, and nothing in a file depends on when or
where it is written.
"""

from __future__ import annotations

__all__ = ["Box", "Curve", "Drawing", "Scene", "Text", "need_matplotlib", "text_width"]

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from zeroshot.drawing.palette import DEAD, INK, KINDS, LINE, PAPER
from zeroshot.files import replacing
from zeroshot.inputs import check_real

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point: TypeAlias = tuple[float, float]
Anchor: TypeAlias = Literal["left", "center", "right"]

SUFFIXES: Final = (".svg", ".png")
FONT: Final = "DejaVu Sans"  # comes with Matplotlib
CAP: Final = 0.729  # height of its capitals, in sizes
_LEAST_DPI, _MOST_DPI = 10, 2400
_MARGIN = 4.0
_SPARE = 1.02  # of widths, for renderers that round those of letters
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "zeroshot",
    "font.family": FONT,
    "text.hinting": "none",  # which would make texts of a PNG wider
}
_ARROW = (4.2, 1.6)  # length and half width
_ARC = 0.5523  # handles of a cubic that is a quarter of a circle, in radii


@dataclass(frozen=True)
class Box:
    """A rectangle with rounded corners about (x, y)."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    edge: str
    dashed: bool = False
    radius: float = 2.5

    def extents(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top."""
        w, h = self.width / 2, self.height / 2
        return self.x - w, self.y - h, self.x + w, self.y + h


@dataclass(frozen=True)
class Curve:
    """Cubic pieces, end to end: 3n + 1 points."""

    points: tuple[Point, ...]
    color: str = LINE
    width: float = 0.9
    dashed: bool = False
    arrow: bool = False

    def sampled(self, n: int = 16) -> NDArray[np.float64]:
        """Points on the curve, `n` + 1 of each piece; shape (pieces * (n + 1), 2)."""
        t = np.linspace(0, 1, n + 1)[:, None]
        p = np.asarray(self.points)
        pieces = [
            (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
            for a, b, c, d in zip(p[0:-1:3], p[1::3], p[2::3], p[3::3], strict=True)
        ]
        return np.concatenate(pieces)


@dataclass(frozen=True)
class Text:
    """One line of text whose capitals are centred at y."""

    x: float
    y: float
    text: str
    size: float
    color: str = INK
    anchor: Anchor = "center"
    bold: bool = False

    def extents(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top; by the font's widths and the height of capitals."""
        width = text_width(self.text, self.size, self.bold)
        left = self.x - {"left": 0.0, "center": 0.5, "right": 1.0}[self.anchor] * width
        half = CAP * self.size / 2
        return left, self.y - half, left + width, self.y + half


@cache
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of a line of text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
    return _SPARE * float(TextToPath().get_text_width_height_descent(text, font, ismath=False)[0])


def need_matplotlib() -> None:
    """ImportError with what to install, unless Matplotlib is there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "draw: needs Matplotlib, which is not installed; pip install 'zeroshot[plot]'"
        ) from error


@dataclass
class Scene:
    """What is to be drawn: frames below curves below boxes below texts."""

    frames: list[Box] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        kind: str,
        *lines: str,
        size: float = 7.0,
        dead: bool = False,
        radius: float = 2.5,
    ) -> None:
        """A box in the colours of a kind of operation, with lines of text in it."""
        fill, edge = KINDS[kind]
        if dead:
            fill, edge = PAPER, DEAD
        self.boxes.append(Box(x, y, width, height, fill, edge, kind == "none", radius))
        pitch = 1.2 * size
        color = "#8a8a8a" if dead or kind == "none" else INK
        for i, line in enumerate(lines):
            self.text(x, y + ((len(lines) - 1) / 2 - i) * pitch, line, size, color)

    def text(
        self, x: float, y: float, text: str, size: float = 7.0, color: str = INK,
        anchor: Anchor = "center", bold: bool = False,
    ) -> None:  # fmt: skip
        """A line of text."""
        self.texts.append(Text(x, y, text, size, color, anchor, bold))

    def line(
        self, *points: Point, color: str = LINE, dashed: bool = False, arrow: bool = False
    ) -> None:
        """A curve through points that it passes horizontally, straight between equal heights."""
        path = [points[0]]
        for (x0, y0), (x1, y1) in pairwise(points):
            bend = (x1 - x0) / 2
            path += [(x0 + bend, y0), (x1 - bend, y1), (x1, y1)]
        self.curves.append(Curve(tuple(path), color, dashed=dashed, arrow=arrow))

    def frame(self, left: float, bottom: float, right: float, top: float) -> None:
        """A light frame about other things."""
        x, y = (left + right) / 2, (bottom + top) / 2
        self.frames.append(Box(x, y, right - left, top - bottom, "#f7f7f7", "#cccccc"))

    def bent(self, *points: Point, radius: float = 4.0, arrow: bool = False) -> None:
        """Straight pieces with round corners."""
        path = [points[0]]

        def straight(to: Point) -> None:
            (x, y), (u, v) = path[-1], to
            path.extend(
                [(x + (u - x) / 3, y + (v - y) / 3), (u - (u - x) / 3, v - (v - y) / 3), to]
            )

        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            ends = []
            for other in (before, after):
                dx, dy = other[0] - corner[0], other[1] - corner[1]
                share = min(radius / max(abs(dx) + abs(dy), 1e-9), 0.5)
                ends.append((corner[0] + share * dx, corner[1] + share * dy))
            straight(ends[0])
            handles = [(x + _ARC * (corner[0] - x), y + _ARC * (corner[1] - y)) for x, y in ends]
            path.extend([*handles, ends[1]])
        straight(points[-1])
        self.curves.append(Curve(tuple(path), arrow=arrow))

    def extents(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top of all things."""
        sides = [box.extents() for box in (*self.frames, *self.boxes)]
        sides += [text.extents() for text in self.texts]
        for curve in self.curves:
            p = curve.sampled()
            sides.append((*p.min(axis=0).tolist(), *p.max(axis=0).tolist()))
        low, high = np.min(sides, axis=0), np.max(sides, axis=0)
        return float(low[0]), float(low[1]), float(high[2]), float(high[3])

    def put(self, other: Scene, dx: float, dy: float) -> None:
        """Add all things of another scene, moved."""
        for mine, boxes in ((self.frames, other.frames), (self.boxes, other.boxes)):
            mine += [Box(**{**vars(box), "x": box.x + dx, "y": box.y + dy}) for box in boxes]
        for curve in other.curves:
            points = tuple((x + dx, y + dy) for x, y in curve.points)
            self.curves.append(Curve(**{**vars(curve), "points": points}))
        for text in other.texts:
            self.texts.append(Text(**{**vars(text), "x": text.x + dx, "y": text.y + dy}))


def stacked(scenes: Sequence[Scene], gap: float = 12.0) -> Scene:
    """Scenes one below the other, their left sides in line."""
    whole, top = Scene(), 0.0
    for scene in scenes:
        left, bottom, _, high = scene.extents()
        whole.put(scene, -left, top - high)
        top -= high - bottom + gap
    return whole


class Drawing:
    """A drawn architecture; notebooks show it.

    Attributes
    ----------
    scene : Scene
        What is in it.
    title : str
        Of a file's metadata: the space and the architecture.
    """

    def __init__(self, scene: Scene, title: str) -> None:
        self.scene = scene
        self.title = title

    @property
    def size(self) -> Point:
        """Width and height in points, whole ones."""
        left, bottom, right, top = self.scene.extents()
        return (
            float(np.ceil(right - left + 2 * _MARGIN)),
            float(np.ceil(top - bottom + 2 * _MARGIN)),
        )

    def __repr__(self) -> str:
        width, height = self.size
        return f"Drawing({self.title!r}, {width:.0f} x {height:.0f} points)"

    def figure(self) -> Figure:
        """A figure of Matplotlib, in its default style."""
        import matplotlib.style
        from matplotlib.figure import Figure

        with matplotlib.style.context(["default", _STYLE]):
            width, height = self.size
            left, bottom = (round(side - _MARGIN, 2) for side in self.scene.extents()[:2])
            figure = Figure(figsize=(width / 72, height / 72))
            axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
            axes.set_axis_off()
            axes.set_xlim(left, left + width)
            axes.set_ylim(bottom, bottom + height)
            _draw_shapes(axes, self.scene)
            for text in self.scene.texts:
                axes.text(
                    round(text.x, 2), round(text.y - CAP * text.size / 2, 2), text.text,
                    size=text.size,
                    color=text.color, ha=text.anchor, va="baseline",
                    weight="bold" if text.bold else "normal", parse_math=False,
                )  # fmt: skip
        return figure

    def save(self, path: str | os.PathLike[str], *, dpi: float = 300) -> None:
        """Write an SVG, whose texts are text, or a PNG.

        Parameters
        ----------
        path : path
            Ending in ``.svg`` or ``.png``.
        dpi : float
            Pixels per inch of a PNG.

        Raises
        ------
        ValueError
            If it ends otherwise, or `dpi` is not within 10 and 2400.
        """
        check_path(path)
        wanted = f"{_LEAST_DPI} to {_MOST_DPI} pixels per inch"
        if not _LEAST_DPI <= check_real("dpi", dpi, wanted) <= _MOST_DPI:
            raise ValueError(f"dpi: expected {wanted}, got {dpi!r}")
        with replacing(path) as part:
            part.write_bytes(self._bytes(Path(path).suffix.lower()[1:], dpi))

    def _bytes(self, kind: str, dpi: float = 300) -> bytes:
        import matplotlib.style

        about: dict[str, Any] = {"Title": self.title}
        if kind == "svg":
            about |= {"Date": None}
        with matplotlib.style.context(["default", _STYLE]):
            file = io.BytesIO()
            self.figure().savefig(file, format=kind, dpi=dpi, metadata=about)
        found = file.getvalue()
        if kind == "svg":  # for viewers without the font
            found = found.replace(f"'{FONT}'".encode(), f"'{FONT}', Verdana, sans-serif".encode())
        return found

    def _repr_svg_(self) -> str:
        return self._bytes("svg").decode()


def check_path(path: str | os.PathLike[str]) -> None:
    """ValueError unless its suffix is one that can be written."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"path: expected a name that ends in {' or '.join(SUFFIXES)}, got {os.fspath(path)!r}"
        )


def _outline(box: Box) -> Any:
    from matplotlib.path import Path as Outline

    left, bottom, right, top = box.extents()
    r = min(box.radius, box.height / 2, box.width / 2)
    h = r * (1 - _ARC)
    points = [
        (left + r, bottom), (right - r, bottom),
        (right - h, bottom), (right, bottom + h), (right, bottom + r), (right, top - r),
        (right, top - h), (right - h, top), (right - r, top), (left + r, top),
        (left + h, top), (left, top - h), (left, top - r), (left, bottom + r),
        (left, bottom + h), (left + h, bottom), (left + r, bottom),
    ]  # fmt: skip
    corner = [Outline.CURVE4] * 3
    return Outline(np.round(points, 2), [Outline.MOVETO, *[Outline.LINETO, *corner] * 4])


def _line_and_head(curve: Curve) -> tuple[Any, Any]:
    """Outlines of a curve and of the head of its arrow; the line ends inside its head."""
    from matplotlib.path import Path as Outline

    points, head = np.asarray(curve.points), None
    if curve.arrow:
        tip = points[-1]
        along = curve.sampled()[-1] - curve.sampled()[-3]
        along /= np.hypot(*along)
        across = np.array([-along[1], along[0]])
        length, half = _ARROW
        back = tip - length * along
        corners = np.round([tip, back + half * across, back - half * across, tip], 2)
        head = Outline(corners, [Outline.MOVETO, *[Outline.LINETO] * 2, Outline.CLOSEPOLY])
        points = np.vstack([points[:-1], tip - 0.6 * length * along])
    codes = [Outline.MOVETO, *[Outline.CURVE4] * (len(points) - 1)]
    return Outline(np.round(points, 2), codes), head


def _draw_shapes(axes: Any, scene: Scene) -> None:
    """All of one style at once: a file is a third of the size."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    styles: dict[tuple[Any, ...], list[Any]] = {}
    for box in scene.frames:
        styles.setdefault((box.fill, box.edge, 0.7, box.dashed), []).append(_outline(box))
    for curve in scene.curves:
        line, head = _line_and_head(curve)
        styles.setdefault(("none", curve.color, curve.width, curve.dashed), []).append(line)
        if head is not None:
            styles.setdefault((curve.color, "none", 0, False), []).append(head)
    for box in scene.boxes:
        styles.setdefault((box.fill, box.edge, 0.7, box.dashed), []).append(_outline(box))
    for (fill, edge, width, dashed), outlines in styles.items():
        axes.add_patch(
            PathPatch(
                Outline.make_compound_path(*outlines), facecolor=fill, edgecolor=edge,
                linewidth=width, linestyle=(0, (3, 2)) if dashed else "solid",
                capstyle="butt", clip_on=False,
            )
        )  # fmt: skip
