"""zeroshot convert: architectures in another notation, notations of a space, benchmark files."""

from __future__ import annotations

__all__ = ["add", "read_value"]

import argparse
import ast
import contextlib
import json
import os
import re
import sys
import textwrap
from typing import Any

from zeroshot.cli.archs import explain
from zeroshot.cli.arguments import CliError, Parser, Subparsers, add_space_argument, integer
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import notations

_EXAMPLES = """\
examples:
  zeroshot convert                                       the notations of NAS-Bench-201, with traps
  zeroshot convert 1462 --to text                        the string of an index
  zeroshot convert 0,2,3,2,3,1 --from naslib --to index  NASLib's integers
  zeroshot convert DARTS_V2 --space darts --to compact
  zeroshot convert DARTS_V2 --space darts --to nasbench301:config
  zeroshot convert - --space nasbench101 --to hash < modules.txt
  zeroshot convert NATS-tss-v1_0-3ffb9-simple nats.parquet
  zeroshot convert nasbench_only108.tfrecord nasbench101.csv.gz

With two arguments of which the second ends in .csv, .csv.gz or .parquet, the first one is a
benchmark file, which is read once and written as a table; zeroshot.read_benchmark says which. What
is not text is read and written as JSON."""


_TABLES = (".csv", ".csv.gz", ".parquet")


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the command."""
    about = (
        "write architectures in another notation, or a benchmark file as a table; without ARCH, "
        "list the notations"
    )
    parser = subparsers.add_parser(
        "convert", parents=[parent], help=about, description=about, epilog=_EXAMPLES
    )
    parser.add_argument(
        "archs", metavar="ARCH", nargs="*",
        help="in any notation; - reads lines of standard input; or FILE OUT",
    )  # fmt: skip
    add_space_argument(parser)
    parser.add_argument(
        "--from", dest="notation", metavar="NOTATION",
        help="what ARCH is written in (default: what it looks like)",
    )  # fmt: skip
    parser.add_argument(
        "--to", metavar="NOTATION", help="or SPACE, or SPACE:NOTATION (default: text)"
    )
    parser.add_argument(
        "--format", metavar="FORMAT", help="of a benchmark file (default: what its content is)"
    )
    parser.add_argument(
        "--max-bytes", type=integer(1), metavar="N",
        help="of a benchmark file, the most that is read after inflating",
    )  # fmt: skip
    parser.add_argument(
        "--progress", action=argparse.BooleanOptionalAction,
        help="of a benchmark file, on standard error (default: if that is a terminal)",
    )  # fmt: skip
    parser.set_defaults(run=run, space=None)


def run(args: argparse.Namespace) -> int:
    if len(args.archs) == 2 and args.archs[1].endswith(_TABLES):
        path, out = args.archs
        _convert_file(path, out, args)
        return 0
    args.space = args.space or "nasbench201"
    if args.format is not None or args.max_bytes is not None:
        raise CliError(
            "--format, --max-bytes: expected FILE OUT, where OUT ends in .csv, .csv.gz or .parquet"
        )
    if not args.archs:
        if args.to is not None or args.notation is not None:
            raise CliError("ARCH: expected at least one architecture, got none")
        _show(args.space)
        return 0
    for i, text in enumerate(args.archs, start=1):
        if text != "-":
            _convert(text, f"ARCH {i}", args)
            continue
        for line, written in enumerate(sys.stdin, start=1):
            if written.strip():
                _convert(written.strip(), f"standard input, line {line}", args)
    return 0


def _convert_file(path: str, out: str, args: argparse.Namespace) -> None:
    """Read a benchmark file and write it as a table."""
    if args.to is not None or args.notation is not None:
        raise CliError("--from, --to: expected architectures, got a benchmark file")
    from zeroshot.benchmarks.reading import MAX_BYTES, read_benchmark
    from zeroshot.benchmarks.writing import check_path

    check_path(out)  # before an hour of reading
    if os.path.exists(out) and os.path.samefile(path, out):
        raise CliError(f"OUT: expected another file than FILE, got {out}")
    shown = sys.stderr.isatty() if args.progress is None else args.progress
    with _Progress() if shown else contextlib.nullcontext() as progress:
        benchmark = read_benchmark(
            path,
            format=args.format,
            space=args.space,
            max_bytes=args.max_bytes or MAX_BYTES,
            progress=progress,
        )
    benchmark.save(out)
    print(f"{benchmark}; sha256 {benchmark.sha256}", file=sys.stderr)
    if benchmark.left_out:
        print(f"left out, as no numbers: {', '.join(benchmark.left_out)}", file=sys.stderr)


class _Progress:
    """A line on standard error with the share that was read."""

    def __enter__(self) -> _Progress:
        self.shown = -1
        return self

    def __call__(self, done: int, total: int) -> None:
        share = 1000 * done // max(total, 1)
        if share != self.shown:
            self.shown = share
            print(f"\rread {share / 10:.1f} %", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.shown >= 0:
            print(file=sys.stderr)


def _convert(text: str, where: str, args: argparse.Namespace) -> None:
    arch = text if args.notation in ("text", "json") else read_value(text)
    try:
        value = notations.convert(arch, args.to or "text", space=args.space, notation=args.notation)
    except ArchitectureError as error:
        if os.path.exists(text):
            raise CliError(
                f"{where}: {text} is a file or folder; expected FILE OUT to write a table, where "
                f"OUT ends in {', '.join(_TABLES)}"
            ) from None
        raise CliError(f"{where}: {explain(error, text)}") from error
    except TypeError as error:
        raise CliError(f"{where}: {error}") from error
    try:
        print(value if isinstance(value, str) else json.dumps(value))
    except TypeError:
        raise CliError(f"--to: expected a notation that can be printed, got {args.to}") from None


def read_value(text: str) -> Any:
    """What a text stands for: an integer, JSON or a Python literal, words with commas, or itself.

    Examples
    --------
    >>> read_value("1462"), read_value("0,2,3"), read_value("none,none"), read_value("|none~0|+")
    (1462, [0, 2, 3], ['none', 'none'], '|none~0|+')
    """
    if re.fullmatch(r"[+-]?\d{1,40}", text):
        return int(text)
    for read in (json.loads, ast.literal_eval) if text[:1] in ("[", "{", "(") else ():
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    if re.fullmatch(r"[\w-]+(, *[\w-]+)+", text):
        words = [word.strip() for word in text.split(",")]
        return [int(w) if re.fullmatch(r"-?\d{1,18}", w) else w for w in words]
    return text


def _show(space: str) -> None:
    for row in notations.notations(space):
        print(f"{row.name:10}{row.looks}")
        example = row.example if isinstance(row.example, str) else None
        if example is None and row.example is not None and "networkx" not in row.name:
            example = json.dumps(row.example)
        if example is not None and example != row.looks:
            print(f"{'':10}{example if len(example) <= 110 else example[:107] + '...'}")
        if row.trap:
            print(
                textwrap.fill(
                    f"! {row.trap}", 98, initial_indent=" " * 10, subsequent_indent=" " * 12
                )
            )
    others = [target for source, target in notations.BRIDGES if source == space]
    if others:
        print(f"\nalso to {', '.join(f'{name}:NOTATION' for name in others)}")
