"""zeroshot rank: order, ties, how many."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import zeroshot
from zeroshot.cli.archs import Entry
from zeroshot.cli.output import Row
from zeroshot.cli.rank import number_rows

from .common import CELLS, THREE_SCORES, Run, api, read_csv


def test_rank_sorts_by_value(run: Run, images: Path) -> None:
    code, out, _ = run("rank", *CELLS, "0,0,0,0,0,0", "--csv")
    rows = read_csv(out)
    values = sorted((api(images, cell).value for cell in CELLS), reverse=True)
    assert code == 0
    assert [float(row["xi_gsnr"]) for row in rows] == [*values, 0.0]
    assert [int(row["rank"]) for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize("by", ["gradsign", "live_weights", "macs"])
def test_rank_by_another_column(run: Run, by: str) -> None:
    _, out, _ = run("rank", "--sample", 8, *THREE_SCORES, "--by", by, "--counts", "--csv")
    rows = read_csv(out)
    values = [float(row[by]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 1
    assert [int(row["rank"]) for row in rows] == [1 + sum(w > v for w in values) for v in values]


def test_rank_keeps_the_best(run: Run) -> None:
    _, everything, _ = run("rank", "--sample", 6, "--csv")
    _, best, _ = run("rank", "--sample", 6, "--top", 2, "--csv")
    assert best == "".join(everything.splitlines(keepends=True)[:3])


def test_equal_values_share_a_rank_and_missing_ones_have_none() -> None:
    def row(position: int, value: float) -> Row:
        score = zeroshot.ScoreValue("a", "a", value, "ok")
        result = zeroshot.ScoreResult("arch", {"a": score}, "ok")
        return Row(position, Entry("arch", "ARCH", "arch"), result, None)

    values = [2.0, math.nan, 3.0, 2.0, -math.inf, 3.0, 1.0]
    ranked = number_rows([row(i, v) for i, v in enumerate(values)], "a")
    assert [(r.position, r.rank) for r in ranked] == [
        (2, 1), (5, 1), (0, 3), (3, 3), (6, 5), (4, 6), (1, None),
    ]  # fmt: skip
