"""How results are shown: aligned tables for people, CSV and JSON for programs.

Tables and CSV hold nothing that changes from run to run. JSON has all that a `ScoreResult` has,
so it tells the seconds too; NaN is null there, and infinity the text ``inf``.
"""

from __future__ import annotations

__all__ = [
    "Row",
    "Rows",
    "add_output_arguments",
    "check_out",
    "emit",
    "format_column",
    "show_json",
    "show_rows",
    "show_table",
    "tell_problems",
]

import argparse
import csv
import io
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from zeroshot.cli.archs import Entry
from zeroshot.cli.arguments import CliError, Parser
from zeroshot.config import VERSION
from zeroshot.results import Counts, ScoreResult
from zeroshot.spaces import get_space

_DIGITS = 6  # significant digits of the largest number in a column
_MIN_DIGITS = 3  # and of the smallest; below, the column is in scientific notation
_EXACT = 2.0**53  # integers up to here are floats without loss
_NUMBER = re.compile(r"[-+.\de]*|-?inf|nan")
_MAX_PROBLEMS = 5
_MAX_TEXT = 100


def add_output_arguments(parser: Parser) -> None:
    group = parser.add_argument_group("output")
    form = group.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true",
        help="everything: values, status, sizes, parameters, provenance keys, seconds",
    )  # fmt: skip
    form.add_argument(
        "--csv", action="store_true", help="one line per architecture, full precision"
    )
    group.add_argument(
        "--layers", action="store_true",
        help="with --json: what each weight tensor adds to a score",
    )  # fmt: skip
    group.add_argument(
        "--counts", action="store_true",
        help="columns with params, weights, macs, thop_flops, live_weights, live_macs; "
        "a score is worth its time if it beats these (JSON has them anyway)",
    )  # fmt: skip
    group.add_argument(
        "--out", metavar="FILE", help="write there and not to standard output; replaces FILE"
    )


@dataclass(frozen=True)
class Row:
    """One architecture and all that is known of it."""

    position: int
    entry: Entry
    result: ScoreResult
    counts: Counts | None
    rank: int | None = None


Rows = list[Row]


# --- tables ------------------------------------------------------------------------------------


def format_column(values: Sequence[object]) -> list[str]:
    """Cells of one column: integers as they are, other numbers with the same decimals.

    Examples
    --------
    >>> format_column([1234.5678, 2.0, math.nan])
    ['1234.57', '2.00', 'nan']
    >>> format_column([3.0, 12345678.0]), format_column([1e9, 0.5])
    (['3', '12345678'], ['1.00000e+09', '5.00000e-01'])
    >>> format_column(["ok", None])
    ['ok', '']
    """
    numbers = [abs(v) for v in values if isinstance(v, float) and math.isfinite(v) and v]
    if all(v.is_integer() and v < _EXACT for v in numbers):
        decimals: int | None = 0
    else:
        fixed = min(max(_DIGITS - 1 - math.floor(math.log10(max(numbers))), 0), 12)
        least = math.floor(math.log10(min(numbers))) + fixed + 1
        decimals = fixed if least >= _MIN_DIGITS else None

    def text(value: object) -> str:
        if isinstance(value, float):
            return f"{value:.{_DIGITS - 1}e}" if decimals is None else f"{value:.{decimals}f}"
        return "" if value is None else str(value)

    return [text(value) for value in values]


def show_table(columns: Mapping[str, Sequence[object]]) -> str:
    """Columns with their headings; numbers and texts of numbers to the right, others to the left.

    Examples
    --------
    >>> print(show_table({"n": [1, 20], "name": ["a", "bcd"]}))
     n  name
     1  a
    20  bcd
    """
    shown = []
    for heading, values in columns.items():
        cells = [heading, *format_column(values)]
        width = max(map(len, cells))
        to_left = not all(_NUMBER.fullmatch(cell) for cell in cells[1:])
        shown.append([cell.ljust(width) if to_left else cell.rjust(width) for cell in cells])
    return "\n".join("  ".join(line).rstrip() for line in zip(*shown, strict=True))


# --- results -----------------------------------------------------------------------------------


def columns_of(rows: Rows, labels: Sequence[str], args: argparse.Namespace) -> dict[str, list[Any]]:
    """What tables and CSV show, column by column."""
    columns: dict[str, list[Any]] = {}
    if any(row.rank is not None for row in rows):
        columns["rank"] = [row.rank for row in rows]
    columns["position"] = [row.position for row in rows]
    if (to_index := getattr(get_space(args.space), "to_index", None)) is not None:
        columns["index"] = [
            None if row.entry.fault is not None else to_index(row.entry.text) for row in rows
        ]
    for label in labels:
        columns[label] = [row.result[label] for row in rows]
        if len(args.seed) > 1:
            columns[f"{label}_std"] = [row.result.scores[label].std for row in rows]
    if args.counts:
        for name in Counts.__annotations__:
            columns[name] = [row.counts and getattr(row.counts, name) for row in rows]
    columns["status"] = [row.result.status for row in rows]
    columns["arch"] = [row.entry.text for row in rows]
    return columns


def show_rows(
    rows: Rows, labels: Sequence[str], args: argparse.Namespace, about: Mapping[str, Any]
) -> str:
    """The results in the form that was asked for, ending in a newline."""
    if args.json:
        results = [_json_row(row, args) for row in rows]
        return show_json({"zeroshot": VERSION, **about, "results": results})
    columns = columns_of(rows, labels, args)
    if args.csv:
        columns["reason"] = [row.result.reason for row in rows]
        if args.canonical:
            columns["scored_as"] = [row.result.scored_as for row in rows]
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(
            [_csv_cell(v) for v in line] for line in zip(*columns.values(), strict=True)
        )
        return file.getvalue()
    columns["arch"] = [
        text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..." for text in columns["arch"]
    ]
    return show_table(columns) + "\n"


def _csv_cell(value: object) -> str:
    """Shortest text that reads back as the same number."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return "" if value is None else str(value)


def _json_row(row: Row, args: argparse.Namespace) -> dict[str, Any]:
    result = row.result
    if not args.layers:
        bare = {k: replace(v, layers={}, histogram=None) for k, v in result.scores.items()}
        result = replace(result, scores=bare)
    plain = result.to_dict()
    if not args.layers:
        for score in plain["scores"].values():
            del score["layers"], score["histogram"]
    for label, score in result.scores.items():
        plain["scores"][label]["std"] = score.std
    head: dict[str, Any] = {} if row.rank is None else {"rank": row.rank}
    head["position"] = row.position
    if row.entry.fault is None and hasattr(space := get_space(args.space), "to_index"):
        head["index"] = space.to_index(row.entry.text)
    head["arch"] = row.entry.text
    counts = None if row.counts is None else asdict(row.counts)
    return {**head, "values": result.values, **{**plain, **head}, "counts": counts}


def show_json(value: object) -> str:
    """JSON that every reader takes: without NaN and Infinity, which are no JSON.

    Examples
    --------
    >>> show_json([1.5, math.nan, -math.inf]).split()
    ['[', '1.5,', 'null,', '"-inf"', ']']
    """
    return json.dumps(_jsonable(value), indent=1, allow_nan=False) + "\n"


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else repr(value)
    return value


def tell_problems(rows: Rows) -> None:
    """On standard error: where a number is missing, and why."""
    wrong = [row for row in rows if row.result.status in ("failed", "nonfinite", "undefined")]
    for row in wrong[:_MAX_PROBLEMS]:
        reason = row.entry.fault or row.result.reason
        print(f"zeroshot: {row.entry.where}: {row.result.status}: {reason}", file=sys.stderr)
    if len(wrong) > _MAX_PROBLEMS:
        rest = len(wrong) - _MAX_PROBLEMS
        print(f"zeroshot: {rest} more; --csv and --json tell each reason", file=sys.stderr)


# --- where it goes -----------------------------------------------------------------------------


def check_out(args: argparse.Namespace) -> None:
    """CliError if ``--out`` cannot be written: now, and not after an hour of work."""
    if args.layers and not args.json:
        raise CliError("argument --layers: expected together with --json")
    if args.out is not None:
        try:
            open(args.out, "a").close()
        except OSError as error:
            raise CliError(f"argument --out: {args.out}: {error.strerror}") from error


def emit(text: str, args: argparse.Namespace) -> None:
    if args.out is None:
        sys.stdout.write(text)
    else:
        with open(args.out, "w", encoding="utf-8", newline="") as file:
            file.write(text)
