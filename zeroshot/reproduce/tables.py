"""What a reproduced table holds, and how it is written."""

from __future__ import annotations

__all__ = ["ReproducedRow", "ReproducedTable"]

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from zeroshot.files import write_text


@dataclass(frozen=True)
class ReproducedRow:
    """A number of ours beside a published one.

    Attributes
    ----------
    space, dataset, metric, method : str
    form : str
        ``paper``, ``released`` or ``trivial``; ``optimal`` and ``random`` of a selection.
    ours : float
    std : float or None
        Over the runs of a selection, over the rows of a mean.
    low, high : float
        Interval over architectures, or of the mean over runs; NaN where there is none.
    n, n_nan, n_tied : int
        Architectures that count, those without a number, those whose score another one has.
    published, published_std : float or None
    difference : float or None
        Ours less published.
    inside : bool or None
        Whether the interval holds the published number.
    settings : str
        The published number's.
    computed : str
        How ours was made.
    note : str
    """

    space: str
    dataset: str
    metric: str
    method: str
    form: str
    ours: float
    std: float | None
    low: float
    high: float
    n: int
    n_nan: int
    n_tied: int
    published: float | None
    published_std: float | None
    difference: float | None
    inside: bool | None
    settings: str
    computed: str
    note: str


@dataclass(frozen=True)
class ReproducedTable:
    """A table of a paper, as far as it could be made.

    Attributes
    ----------
    name, title : str
    rows : tuple of ReproducedRow
    settings : tuple of str
        Architectures, files, images, resampling.
    notes : tuple of str
        Where this differs from the paper.
    missing : mapping of str to tuple of str
        What is missing, or why it is not made, and the rows that need it.
    """

    name: str
    title: str
    rows: tuple[ReproducedRow, ...]
    settings: tuple[str, ...]
    notes: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]]

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """All rows as CSV; also into a file."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["table", *(f.name for f in fields(ReproducedRow))])
        for row in self.rows:
            cells = asdict(row).values()
            writer.writerow([self.name, *("" if _empty(cell) else cell for cell in cells)])
        return _written(stream.getvalue(), path)

    def columns(self) -> dict[str, list[str]]:
        """What the Markdown and the terminal show."""
        marks = {note: f"[{i}]" for i, note in enumerate(self._row_notes(), start=1)}
        columns: dict[str, list[str]] = {}
        for row in self.rows:
            digits = 2 if row.metric.endswith("_acc") else 3
            cells = {
                "data set": row.dataset if row.space == "nasbench201" else row.space,
                "metric": row.metric,
                "method": row.method,
                "form": row.form,
                "ours": (_number(row.ours, digits) or "undefined") + _std(row.std, digits),
                "interval": ""
                if math.isnan(row.low)
                else f"{row.low:.{digits}f} to {row.high:.{digits}f}",
                "n": f"{row.n} ({row.n_nan} left out)" if row.n_nan else str(row.n),
                "published": _number(row.published, digits) + _std(row.published_std, digits),
                "difference": "" if _empty(row.difference) else f"{row.difference:+.{digits}f}",
                "inside": {None: "", True: "yes", False: "no"}[row.inside],
                "note": marks.get(row.note, ""),
            }
            for heading, cell in cells.items():
                columns.setdefault(heading, []).append(cell)
        return columns

    def _row_notes(self) -> list[str]:
        return list(dict.fromkeys(row.note for row in self.rows if row.note))

    def remarks(self) -> list[tuple[str, list[str]]]:
        """Headings and lines that stand below the table."""
        computed: dict[str, list[str]] = {}
        for row in self.rows:
            if row.computed:
                computed.setdefault(row.computed, []).append(f"{row.method} ({row.form})")
        ours = [f"{', '.join(dict.fromkeys(rows))}: {how}" for how, rows in computed.items()]
        printed = list(dict.fromkeys(row.settings for row in self.rows))
        notes = [f"[{i}] {note}" for i, note in enumerate(self._row_notes(), start=1)]
        missing = [f"{why}: {_listed(rows)}" for why, rows in self.missing.items()]
        found = [
            ("notes", notes),
            ("ours", ours),
            ("published with", printed),
            ("other than in the paper", list(self.notes)),
            ("not made", missing),
        ]
        return [(heading, lines) for heading, lines in found if lines]

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """The table with its settings and notes as Markdown; also into a file."""
        lines = [f"# {self.name}: {self.title}", "", *(f"- {s}" for s in self.settings), ""]
        columns = self.columns()
        if columns:
            lines += [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
            lines += [f"| {' | '.join(c)} |" for c in zip(*columns.values(), strict=True)]
        for heading, some in self.remarks():
            lines += ["", f"{heading.capitalize()}:", "", *(f"- {line}" for line in some)]
        return _written("\n".join(lines) + "\n", path)


def _empty(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _number(value: float | None, digits: int) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _std(value: float | None, digits: int) -> str:
    return "" if value is None or math.isnan(value) else f" +- {value:.{digits}f}"


def _listed(rows: Sequence[str]) -> str:
    return ", ".join(rows[:12]) + (f" and {len(rows) - 12} more" if len(rows) > 12 else "")


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        write_text(path, text)
    return text
