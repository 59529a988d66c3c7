"""Pieces of a page that needs nothing but itself: no network, and no script to be read."""

from __future__ import annotations

__all__ = ["Cell", "Table", "download", "figure", "page", "paragraph", "section", "text"]

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

from zeroshot.figures.figure import Figure

# What a browser may load: nothing. Styles, the script and pictures are in the page.
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
)


def text(value: object) -> str:
    """Anything as text of a page, escaped; characters that HTML has no place for are shown.

    Examples
    --------
    >>> text("<b> & 'c'")
    '&lt;b&gt; &amp; &#x27;c&#x27;'
    """
    plain = "".join(
        c
        if c in "\n\t" or (c.isprintable() and not "\ud800" <= c <= "\udfff")
        else f"\\x{ord(c):02x}"
        for c in str(value)
    )
    return html.escape(plain)


@dataclass(frozen=True)
class Cell:
    """A cell of a table: a number with so many digits, or a text.

    Attributes
    ----------
    value : object
        NaN and None are a dash.
    digits : int
        Behind the point, of a float; three fewer from 1,000 on.
    bounds : (float, float), optional
        An interval behind it.
    """

    value: Any
    digits: int = 3
    bounds: tuple[float, float] | None = None

    def shown(self) -> str:
        if self.value is None or (isinstance(self.value, float) and math.isnan(self.value)):
            return '<span class="none" title="no number">&ndash;</span>'
        if isinstance(self.value, float):
            found = text(_number(self.value, self.digits))
        elif isinstance(self.value, int) and not isinstance(self.value, bool):
            found = f"{self.value:,}"
        else:
            found = text(self.value)
        if self.bounds is not None and not any(map(math.isnan, self.bounds)):
            low, high = (_number(b, self.digits) for b in self.bounds)
            found += f' <span class="interval">{low} to {high}</span>'
        return found

    @property
    def is_number(self) -> bool:
        return isinstance(self.value, int | float) and not isinstance(self.value, bool)

    @property
    def kind(self) -> str:
        """Class of the cell."""
        return "n" if self.is_number else "long" if len(str(self.value)) > 40 else ""

    def key(self) -> str:
        """What rows are sorted by."""
        if not self.is_number:
            return text(self.value if self.value is not None else "")
        return "" if isinstance(self.value, float) and math.isnan(self.value) else repr(self.value)


def _number(value: float, digits: int) -> str:
    if value and math.isfinite(value) and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits}g}"
    behind = digits if abs(value) < 1e3 else max(0, digits - 3)
    return f"{value:,.{behind}f}".replace("-", "\N{MINUS SIGN}")


@dataclass
class Table:
    """A table with a caption; its columns can be sorted where there is a script.

    Attributes
    ----------
    caption : str
    columns : sequence of (str, str)
        Heading, and what it means (shown on a touch of the mouse, and below the table).
    rows : list of (tuple of Cell, str)
        Cells, the first of which names the row, and a class of the row.
    """

    caption: str
    columns: Sequence[tuple[str, str]]
    rows: list[tuple[Sequence[Cell], str]] = field(default_factory=list)

    def add(self, *cells: object, kind: str = "") -> None:
        self.rows.append(([c if isinstance(c, Cell) else Cell(c) for c in cells], kind))

    def shown(self, sortable: bool = True) -> str:
        head = "".join(
            f'<th scope="col"{_title(about)}>{text(name)}</th>' for name, about in self.columns
        )
        body = "".join(
            f"<tr{_class(kind)}>"
            + "".join(
                f"<{'th scope=row' if i == 0 else 'td'}{_class(c.kind)} "
                f'data-key="{c.key()}">{c.shown()}</{"th" if i == 0 else "td"}>'
                for i, c in enumerate(cells)
            )
            + "</tr>\n"
            for cells, kind in self.rows
        )
        notes = [(name, about) for name, about in self.columns if about]
        legend = "".join(f"<dt>{text(n)}</dt><dd>{text(a)}</dd>" for n, a in notes)
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{text(self.caption)}">'
            f"<table{_class('sortable' if sortable else '')}>"
            f"<caption>{text(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
            + (f"<details><summary>What the columns are</summary><dl>{legend}</dl></details>\n"
               if legend else "")
        )  # fmt: skip


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _title(about: str) -> str:
    return f' title="{text(about)}"' if about else ""


def paragraph(words: str, kind: str = "") -> str:
    return f"<p{_class(kind)}>{text(words)}</p>\n"


def figure(drawn: Figure, caption: str, prefix: str, *, data: bool = True) -> str:
    """A picture, with its numbers to be kept unless the page has them elsewhere.

    It shrinks to two thirds of its width; in a narrower window it is scrolled.
    """
    width = round(96 * drawn.size[0])
    kept = f" {download(drawn.csv(), f'{prefix}.csv')}" if data else ""
    return (
        f'<figure style="max-width:{width}px"><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{text(caption)}"><div style="min-width:{round(width / 1.5)}px">'
        f"{drawn.inline_svg(prefix)}</div></div>"
        f"<figcaption>{text(caption)}{kept}</figcaption></figure>\n"
    )


def download(csv: str, name: str) -> str:
    """A link that holds a file."""
    data = base64.b64encode(csv.encode("utf-8", "backslashreplace")).decode()
    return (
        f'<a class="data" download="{text(name)}" href="data:text/csv;base64,{data}">'
        f'data<span class="hidden"> of {text(name)} as CSV</span></a>'
    )


def section(title: str, anchor: str, parts: Iterable[str]) -> str:
    body = "".join(parts)
    return (
        f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">{text(title)}</h2>\n'
        f"{body}</section>\n"
        if body
        else ""
    )


def page(title: str, lead: str, sections: Mapping[str, str], foot: str) -> str:
    """A whole page.

    Parameters
    ----------
    title : str
        Plain text.
    lead, foot : str
        Parts of a page.
    sections : mapping of (anchor, title) to part
        As `section` gives them; empty ones are left out.
    """
    style = (files("zeroshot.report") / "style.css").read_text(encoding="utf-8")
    script = (files("zeroshot.report") / "sort.js").read_text(encoding="utf-8")
    present = {name: body for name, body in sections.items() if body}
    links = "".join(
        f'<li><a href="#{name.lower().replace(" ", "-")}">{text(name)}</a></li>' for name in present
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>{text(title)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#main">To the results</a>
<header>
<h1>{text(title)}</h1>
{lead}</header>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main id="main">
{"".join(present.values())}</main>
<footer>{foot}</footer>
<script>
{script}</script>
</body>
</html>
"""
