"""A finished figure: drawn when it is asked for, with its numbers as a table beside it."""

from __future__ import annotations

__all__ = ["Column", "Figure", "as_values", "by_title"]

import csv
import io
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.drawing.palette import INK, LINE, PAPER
from zeroshot.drawing.scene import FONT, check_path, need_matplotlib
from zeroshot.figures.style import COLOURS, GRID, STYLE
from zeroshot.files import replacing, write_text
from zeroshot.inputs import check_real

if TYPE_CHECKING:
    import matplotlib.figure

Column: TypeAlias = "Sequence[Any] | NDArray[Any]"

_DPI: Final = "10 to 2400 pixels per inch"
_FONTS: Final = f"'{FONT}', Verdana, sans-serif"
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# What follows a page's colours, light or dark: variables of its style sheet, with the same default.
_THEMED: Final = {
    INK: "--ink",
    LINE: "--line",
    GRID: "--grid",
    PAPER: "--paper",
    COLOURS[0]: "--blue",
}


class Figure:
    """A figure of the papers, with its data; notebooks show it.

    Attributes
    ----------
    name : str
        Which figure it is.
    title : str
        Of the file's metadata.
    alt : str
        What there is to see, for those who do not.
    data : dict of str to sequence
        The numbers that are drawn, as columns of equal length.
    size : (float, float)
        Width and height in inches.
    """

    def __init__(
        self,
        name: str,
        draw: Callable[[Any], None],
        data: Mapping[str, Column],
        *,
        title: str,
        alt: str,
        size: tuple[float, float],
    ) -> None:
        need_matplotlib()
        lengths = {len(column) for column in data.values()}
        assert len(lengths) == 1, f"{name}: columns of unequal length"
        self.name = name
        self.title = title
        self.alt = alt
        self.data = dict(data)
        self.size = size
        self._draw = draw

    def __repr__(self) -> str:
        n_rows = len(next(iter(self.data.values())))
        return f"Figure({self.name!r}, {self.title!r}, {n_rows} rows of data)"

    def figure(self) -> matplotlib.figure.Figure:
        """A figure of Matplotlib, in the style of the project."""
        import matplotlib.style
        from matplotlib.figure import Figure as Canvas

        with matplotlib.style.context(["default", STYLE]):
            made = Canvas(figsize=self.size, layout="constrained")
            self._draw(made)
        return made

    def save(self, path: str | os.PathLike[str], *, dpi: float = 200, data: bool = True) -> None:
        """Write an SVG, whose texts are text, or a PNG, and the data beside it.

        The same data and version of Matplotlib give the same bytes.

        Parameters
        ----------
        path : path
            Ending in ``.svg`` or ``.png``.
        dpi : float
            Pixels per inch of a PNG, and of points that an SVG holds as a picture.
        data : bool
            Write the numbers, too: the same name with ``.csv``.

        Raises
        ------
        ValueError
            If the name ends otherwise, or `dpi` is not within 10 and 2400.
        """
        check_path(path)
        if not 10 <= check_real("dpi", dpi, _DPI) <= 2400:
            raise ValueError(f"dpi: expected {_DPI}, got {dpi!r}")
        target = Path(path)
        with replacing(target) as part:
            part.write_bytes(self._bytes(target.suffix.lower()[1:], dpi))
        if data:
            self.save_data(target.with_suffix(".csv"))

    def save_data(self, path: str | os.PathLike[str]) -> None:
        """Write the numbers as CSV; an empty cell stands for what is not known."""
        write_text(path, self.csv())

    def csv(self) -> str:
        """The numbers as CSV, floats with all their digits."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.data)
        writer.writerows(
            map(_cell, row) for row in zip(*map(_plain, self.data.values()), strict=True)
        )
        return text.getvalue()

    def inline_svg(self, prefix: str) -> str:
        """The picture for an HTML page, in its style sheet's colours where there are such.

        Ids start with `prefix`, so that several pictures of one page do not meet; ``--ink``,
        ``--line``, ``--grid``, ``--paper`` and ``--blue`` are the variables that are looked at.
        """
        svg = self._bytes("svg", 150, transparent=True).decode()
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
        svg = re.sub(r"<title>.*?</title>\s*", "", svg, count=1, flags=re.S)
        svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
        svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", svg)
        for colour, variable in _THEMED.items():
            svg = re.sub(rf"(fill|stroke): {colour}\b", rf"\g<1>: var({variable}, {colour})", svg)
        return re.sub(
            r"<svg ", f'<svg role="img" aria-label="{_attribute(self.alt)}" ', svg, count=1
        )

    def _bytes(self, kind: str, dpi: float = 200, transparent: bool = False) -> bytes:
        import matplotlib.style

        about: dict[str, Any] = {"Title": self.title}
        if kind == "svg":
            about |= {"Date": None}
        with matplotlib.style.context(["default", STYLE]):
            file = io.BytesIO()
            self.figure().savefig(
                file, format=kind, dpi=dpi, metadata=about, transparent=transparent
            )
        found = file.getvalue()
        if kind == "svg":  # for viewers without the font
            found = found.replace(f"'{FONT}'".encode(), _FONTS.encode())
            found = _CONTROL.sub(b"?", found)  # which XML has no place for
        return found

    def _repr_svg_(self) -> str:
        return self._bytes("svg").decode()


def _attribute(text: str) -> str:
    text = re.sub(r"[\x00-\x1f\x7f]", "?", text)
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(sign, name)
    return text


def _plain(column: Column) -> Sequence[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else column


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else value


# --- what figures are given -----------------------------------------------------------------------


def as_values(name: str, values: ArrayLike, ndim: int = 1) -> NDArray[np.float64]:
    """An array of so many axes with something in it; None is NaN."""
    axes = "one axis" if ndim == 1 else f"{ndim} axes"
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name}: expected numbers on {axes}, got {error}") from None
    if array.ndim != ndim or array.size == 0:
        raise ValueError(f"{name}: expected values on {axes}, got shape {array.shape}")
    return array


def by_title(values: Any, default: str = "") -> dict[str, Any]:
    """Several of something by the titles of their panels; one has no title."""
    if not isinstance(values, Mapping):
        return {default: values}
    if not values:
        raise ValueError("expected at least one panel, got none")
    return {str(title): value for title, value in values.items()}
