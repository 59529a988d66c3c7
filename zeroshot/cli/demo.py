"""``zeroshot demo``: what the scores are and how they agree, on real images, in under a minute."""

from __future__ import annotations

__all__ = ["add", "average_ranks", "spearman"]

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.cli.archs import Entry
from zeroshot.cli.arguments import (
    Parser,
    Subparsers,
    add_network_arguments,
    add_run_arguments,
    integer,
)
from zeroshot.cli.output import Row, show_table, tell_problems
from zeroshot.cli.rank import number_rows
from zeroshot.cli.run import collect, count_all, draw, network_options, run_options
from zeroshot.cli.score import INTERRUPTED
from zeroshot.options import Options
from zeroshot.scores import GradSign, Score, Sweet, XiGsnr
from zeroshot.spaces import nasbench201

_DESCRIPTION = """\
Score 24 random cells of NAS-Bench-201 at initialisation by three scores, on
scikit-learn's handwritten digits (embedded, enlarged to 3x32x32; no download), and
show how the scores agree with each other and with mere size."""

_EPILOG = """\
examples:
  zeroshot demo
  zeroshot demo --archs 8 --channels 8 --cells 1
      fewer and much smaller networks
  zeroshot demo --seed 1
      other initial weights: which ranks move?"""

_CONTROLS = ("weights", "live_weights")
_TWINS = " Cells that share a rank compute the same function."


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "demo", parents=[parent], help="24 cells, three scores, real images, under a minute",
        description=_DESCRIPTION, epilog=_EPILOG,
    )  # fmt: skip
    group = parser.add_argument_group("demo")
    group.add_argument(
        "--archs", type=integer(2), default=24, metavar="N", help="random cells (default 24)"
    )
    group.add_argument(
        "--batch-size", type=integer(1), default=32, metavar="K", help="images (default 32)"
    )
    group.add_argument(
        "--batches", type=integer(2), default=4, metavar="N", help="of xi-GSNR (default 4)"
    )
    add_network_arguments(parser)
    add_run_arguments(parser)
    parser.set_defaults(
        run=run, data="digits", split="train", preset="auto", data_seed=1, space=nasbench201.NAME
    )


def run(args: argparse.Namespace) -> int:
    start = time.perf_counter()
    images, batches = draw(args)
    # the cells of default_rng(0).integers(0, 5, (24, 6))
    cells = nasbench201.sample(args.archs, 0, replace=True)
    entries = [Entry(arch, f"cell {i}", arch) for i, arch in enumerate(cells)]
    size = args.batch_size
    scores: list[Score] = [
        XiGsnr(batch_size=size),
        XiGsnr(batch_size=size, accumulate=True, label="accumulated"),
        GradSign(n_samples=size),
        Sweet(batch_size=size),
    ]
    options = run_options(args, images)
    channels, cells_per_stage = Options(**options).network_size
    print(
        f"{args.archs} random NAS-Bench-201 cells (C={channels}, N={cells_per_stage}), untrained, "
        f"on {len(batches.y)} handwritten digits of 3x32x32\n",
        flush=True,
    )
    results, complete = collect(entries, batches, scores, args, options)
    seconds = time.perf_counter() - start
    done = sorted(results)
    counts = count_all([entries[i] for i in done], network_options(args, images), (32, 32))
    rows = [Row(i, entries[i], results[i], c) for i, c in zip(done, counts, strict=True)]
    rows = number_rows(rows, "xi_gsnr")
    if rows:
        print(show_table(_columns(rows, [score.label for score in scores])))
    tell_problems(rows)
    if not complete:
        print(f"zeroshot: interrupted after {len(rows)} of {len(entries)} cells", file=sys.stderr)
        return INTERRUPTED
    if all(row.rank is None for row in rows):
        return 1
    _print_agreement(rows, [*(score.label for score in scores), *_CONTROLS])
    _print_lesson(rows, scores, seconds)
    return int(any(row.result.status in ("failed", "nonfinite") for row in rows))


def _columns(rows: Sequence[Row], labels: Sequence[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "rank": [row.rank for row in rows],
        "index": [nasbench201.to_index(row.entry.text) for row in rows],
        "cell": [_short(row) for row in rows],
    }
    for label in labels:
        columns[label] = [row.result[label] for row in rows]
    for name in _CONTROLS:
        columns[name] = [row.counts and getattr(row.counts, name) for row in rows]
    columns["MMACs"] = [row.counts and f"{row.counts.macs / 1e6:.1f}" for row in rows]
    columns["seconds"] = [f"{row.result.seconds:.2f}" for row in rows]
    if any(row.result.status != "ok" for row in rows):
        columns["status"] = [row.result.status for row in rows]
    return columns


def _short(row: Row) -> str:
    return ",".join(map(str, nasbench201.parse(row.entry.text)))


def _print_agreement(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Rank correlations of all pairs of columns, over the cells that have all numbers."""
    table = np.array(
        [
            [getattr(row.counts, n) if n in _CONTROLS else row.result[n] for n in names]
            for row in rows
            if row.counts is not None
        ],
        dtype=np.float64,
    ).reshape(-1, len(names))
    table = table[np.isfinite(table).all(axis=1)]
    print(f"\nSpearman rank correlation over {len(table)} cells")
    columns: dict[str, list[Any]] = {"": list(names)}
    for j, name in enumerate(names):
        columns[name] = [
            "" if i < j else f"{spearman(table[:, i], table[:, j]):.2f}" for i in range(len(names))
        ]
    print(show_table(columns))


def _print_lesson(rows: Sequence[Row], scores: Sequence[Score], seconds: float) -> None:
    ops = ", ".join(f"{i} {op}" for i, op in enumerate(nasbench201.OPS))
    edges = " ".join(f"{j}>{i}" for j, i in nasbench201.EDGES)
    sweet = next(f"{s.lo:g}, {s.hi:g}" for s in scores if isinstance(s, Sweet))
    print(
        f"""
{len(rows)} cells in {seconds:.1f} s, all with the same images and seed. A cell is six operations,
{ops},
on the edges {edges}. Every score guesses from gradients alone which cell would
train best: larger is better. xi_gsnr is Eq. 10, accumulated its form with running sums; sweet
counts gradients in [{sweet}). What they have to beat is size: live_weights, those on a
path from image to logits.{_TWINS if _has_twins(rows) else ""}

next: zeroshot score {_short(rows[0])} --scores xi_gsnr gradsign sweet --counts
      zeroshot rank --sample 100 --top 10
      zeroshot scores"""
    )


def _has_twins(rows: Sequence[Row]) -> bool:
    return any(
        a.rank == b.rank is not None
        and a.entry.text != b.entry.text
        and nasbench201.canonical(a.entry.text) == nasbench201.canonical(b.entry.text)
        for a, b in itertools.pairwise(rows)
    )


# --- rank correlation --------------------------------------------------------------------------


def average_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs.

    Examples
    --------
    >>> average_ranks([10, 30, 20, 20]).tolist()
    [1.0, 4.0, 2.5, 2.5]
    """
    _, group, sizes = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return np.asarray((last - (sizes - 1) / 2)[group], dtype=np.float64)


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Spearman's rank correlation, with average ranks of ties; NaN where one side is constant.

    Examples
    --------
    >>> spearman([1, 2, 3, 4], [10, 20, 30, 25])
    0.8
    """
    x, y = average_ranks(a), average_ranks(b)
    x, y = x - x.mean() if len(x) else x, y - y.mean() if len(y) else y
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else float("nan")
