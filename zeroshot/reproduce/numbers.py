"""What the papers print, typed from their texts into ``published.csv``.

Columns: paper, table, page, method, space, dataset, metric, value, std, settings, note. The texts
that were read have no page breaks, so `page` is empty. Methods are as printed, in ASCII; the five
variants of xi-GSNR have the names of `zeroshot.XiGsnr`. Metrics: spearman, kendall, p_at_5, p_at_10
(from 0 to 1); val_acc, test_acc (per cent, after 200 epochs).
"""

from __future__ import annotations

__all__ = ["DATASETS", "METRICS", "PAPERS", "PublishedRow", "published"]

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

PAPERS: Final = ("xi-gsnr", "sweetimator", "gradsign")
DATASETS: Final = ("cifar10", "cifar100", "ImageNet16-120")
METRICS: Final = ("spearman", "kendall", "p_at_5", "p_at_10", "val_acc", "test_acc")


@dataclass(frozen=True)
class PublishedRow:
    """One printed number.

    Attributes
    ----------
    paper, table : str
        ``xi-gsnr``, ``1``; a figure is ``figure 4``.
    page : str
        Empty where the text does not tell.
    method, space, dataset, metric : str
    value : float or None
        None where a figure shows a curve whose numbers are not printed.
    std : float or None
        As printed behind the value.
    settings, note : str
    """

    paper: str
    table: str
    page: str
    method: str
    space: str
    dataset: str
    metric: str
    value: float | None
    std: float | None
    settings: str
    note: str


@cache
def _all_rows() -> tuple[PublishedRow, ...]:
    text = resources.files("zeroshot.reproduce").joinpath("published.csv").read_text("utf-8")

    def number(field: str) -> float | None:
        return float(field) if field else None

    rows = []
    for row in csv.DictReader(text.splitlines()):
        value, std = number(row.pop("value")), number(row.pop("std"))
        rows.append(PublishedRow(value=value, std=std, **row))
    return tuple(rows)


def published(paper: str | None = None, table: str | int | None = None) -> tuple[PublishedRow, ...]:
    """Numbers that the papers print for rankings, selections and ablations.

    Parameters
    ----------
    paper : str, optional
        ``xi-gsnr``, ``sweetimator`` or ``gradsign``. Default: all.
    table : str or int, optional
        Its number, such as 1, or ``figure 4``.

    Returns
    -------
    tuple of PublishedRow

    Raises
    ------
    ValueError
        If there is no such paper or table; with those that there are.

    Examples
    --------
    >>> [row.value for row in published("xi-gsnr", 2) if row.method == "xi-GSNR"]
    [0.615, 0.434]
    """
    rows = _all_rows()
    if paper is not None:
        if paper not in PAPERS:
            raise ValueError(f"paper: expected one of {', '.join(PAPERS)}; got {paper!r}")
        rows = tuple(row for row in rows if row.paper == paper)
    if table is not None:
        known = dict.fromkeys(row.table for row in rows)
        rows = tuple(row for row in rows if row.table == str(table))
        if not rows:
            raise ValueError(f"table: expected one of {', '.join(known)}; got {table!r}")
    return rows
