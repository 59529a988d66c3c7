"""``zeroshot rank``: the same as ``score``, best first."""

from __future__ import annotations

__all__ = ["add", "number_rows"]

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace

from zeroshot.cli.arguments import CliError, Parser, Subparsers, integer
from zeroshot.cli.output import Row, Rows
from zeroshot.cli.score import add_arguments, score_rows
from zeroshot.results import Counts

_USAGE = """\
zeroshot rank [ARCH ...] [--arch-file FILE] [--sample N] [--scores SCORE ...]
                      [--by NAME] [--top K] [options]"""

_DESCRIPTION = """\
Score untrained networks and print them best first: the largest value of a score has
rank 1, equal values share a rank, those without a number come last and have none.
All options of `zeroshot score` apply."""

_EPILOG = """\
examples:
  zeroshot rank --sample 100 --top 10
      the ten best of 100 random cells by xi-GSNR, on the digits
  zeroshot rank --sample 100 --scores xi_gsnr gradsign --by gradsign --counts
      sorted by GradSign, with xi-GSNR and sizes beside it
  zeroshot rank --sample 100 --by live_weights --counts
      by size, the ranking that a score has to beat
  cat cells.txt | zeroshot rank - --top 5 --json
      cells from another program, results for another program

exit code: as for zeroshot score"""

_COUNTS = tuple(Counts.__annotations__)


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "rank", parents=[parent], help="the same, best first",
        usage=_USAGE, description=_DESCRIPTION, epilog=_EPILOG,
    )  # fmt: skip
    group = parser.add_argument_group("ranking")
    group.add_argument(
        "--by", metavar="NAME",
        help=f"label of a score, or {', '.join(_COUNTS)} (default: the first score)",
    )  # fmt: skip
    group.add_argument("--top", type=integer(1), metavar="K", help="print the K best only")
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    def check(labels: Sequence[str]) -> None:
        if args.by is not None and args.by not in (*labels, *_COUNTS):
            known = ", ".join((*labels, *_COUNTS))
            raise CliError(f"argument --by: expected one of {known}; got {args.by!r}")

    def arrange(rows: Rows, labels: Sequence[str]) -> Rows:
        return number_rows(rows, args.by or labels[0])[: args.top]

    return score_rows(args, arrange, check)


def number_rows(rows: Rows, by: str) -> Rows:
    """Rows by falling value, with ranks; equal values in input order with the smaller rank."""

    def value(row: Row) -> float:
        if by in row.result.scores:
            return row.result[by]
        return math.nan if row.counts is None else getattr(row.counts, by)

    with_value = [row for row in rows if not math.isnan(value(row))]
    ranked: Rows = []
    for i, row in enumerate(sorted(with_value, key=value, reverse=True), start=1):
        same = bool(ranked) and value(ranked[-1]) == value(row)
        ranked.append(replace(row, rank=ranked[-1].rank if same else i))
    return [*ranked, *(row for row in rows if math.isnan(value(row)))]
