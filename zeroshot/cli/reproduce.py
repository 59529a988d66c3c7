"""``zeroshot reproduce``: a table of the papers, ours beside the published numbers."""

from __future__ import annotations

__all__ = ["add"]

import argparse
import sys
from pathlib import Path

from zeroshot.cli.arguments import CliError, Parser, Subparsers, integer
from zeroshot.cli.output import show_table

_USAGE = """\
zeroshot reproduce [--list] [PAPER/TABLE --data DIR [--sample N | --all] [options]]"""

_DESCRIPTION = """\
Make a ranking, selection or ablation table of a paper: each row as the paper says and, where
that differs, as its released code does, beside the published number, with an interval, above
the trivial rows (weights, live weights). Rows whose files are missing are named with the file
to bring; those that can be made are made.

Scores are kept in a store, so that the same command goes on after a stop, and a larger
--sample computes only what is new to it. Needs: pip install 'zeroshot[stats]'"""

_EPILOG = """\
examples:
  zeroshot reproduce --list
      the tables, and what they are of
  zeroshot reproduce xi-gsnr/table1 --data bench --sample 500
      500 random cells of NAS-Bench-201; bench holds nasbench201.csv.gz and the images
  zeroshot reproduce xi-gsnr/table1 --data bench --methods xi-GSNR --datasets cifar10 --all
      one row, of all cells

exit code: 0, also where rows are missing; 1 if no row could be made; 2 if nothing could be
run; 130 after Ctrl-C"""


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "reproduce", parents=[parent], help="a table of the papers, beside its published numbers",
        usage=_USAGE, description=_DESCRIPTION, epilog=_EPILOG,
    )  # fmt: skip
    parser.add_argument("table", nargs="?", metavar="PAPER/TABLE", help="such as xi-gsnr/table1")
    parser.add_argument("--list", action="store_true", help="the tables")
    parser.add_argument(
        "--data", metavar="DIR", help="folder with benchmark files and images, or one such file"
    )
    parser.add_argument(
        "--images", nargs="+", type=named_path, default=[], metavar="DATASET=PATH",
        help="images of cifar10, cifar100 or ImageNet16-120 that are elsewhere",
    )  # fmt: skip
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--sample", type=integer(2), default=100, metavar="N",
        help="random architectures of each benchmark (default 100)",
    )  # fmt: skip
    size.add_argument("--all", action="store_true", help="all architectures of the benchmark")
    parser.add_argument(
        "--sample-seed", type=integer(0), default=0, metavar="SEED",
        help="of the sample, the resamples and the runs of a selection (default 0)",
    )  # fmt: skip
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="only these rows")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="only these data sets")
    for name in ("channels", "cells"):
        parser.add_argument(
            f"--{name}", type=integer(1), metavar="N",
            help="of smaller networks than the paper's, for a quick look",
        )  # fmt: skip
    parser.add_argument(
        "--resamples", type=integer(1), default=2000, metavar="N", help="of the intervals"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("zeroshot-reproduction"), metavar="DIR",
        help="where the table goes, as CSV and Markdown (default zeroshot-reproduction)",
    )  # fmt: skip
    parser.add_argument(
        "--store", metavar="FILE", help="where scores are kept (default: scores.sqlite in --out)"
    )
    parser.add_argument(
        "--workers", type=integer(1), metavar="N",
        help="architectures at a time (default: all processors)",
    )  # fmt: skip
    parser.add_argument(
        "--progress", action=argparse.BooleanOptionalAction,
        help="tell on standard error how far it is (default: on a terminal)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def named_path(text: str) -> tuple[str, str]:
    """An argument type: ``DATASET=PATH``."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"expected DATASET=PATH, got {text!r}")
    return name, path


def run(args: argparse.Namespace) -> int:
    from zeroshot.reproduce import reproduce_table
    from zeroshot.reproduce.recipes import find_recipe

    if args.list:
        print(_listing())
        return 0
    if args.table is None:
        raise CliError("PAPER/TABLE: expected a table, got none; zeroshot reproduce --list")
    if args.data is None:
        raise CliError("argument --data: expected a folder, got none")
    find_recipe(args.table)  # before a folder is made
    if not Path(args.data).exists():
        raise CliError(f"argument --data: expected a folder, got {args.data}, which is missing")
    args.out.mkdir(parents=True, exist_ok=True)
    table = reproduce_table(
        args.table,
        data=args.data,
        images=dict(args.images),
        sample=None if args.all else args.sample,
        seed=args.sample_seed,
        methods=args.methods,
        datasets=args.datasets,
        channels=args.channels,
        cells=args.cells,
        store=args.store or args.out / "scores.sqlite",
        n_resamples=args.resamples,
        workers=args.workers,
        progress=True if _progress(args) else None,
        tell=lambda line: print(f"zeroshot: {line}", file=sys.stderr, flush=True),
    )
    print(f"{table.name}: {table.title}")
    for line in table.settings:
        print(f"  {line}")
    if table.rows:
        print(f"\n{show_table(table.columns())}")
    for heading, lines in table.remarks():
        print(f"\n{heading}:")
        for line in lines:
            print(f"  {line}")
    stem = args.out / args.table.replace("/", "-")
    table.to_csv(f"{stem}.csv")
    table.to_markdown(f"{stem}.md")
    print(f"\nwritten: {stem}.csv, {stem}.md")
    return 0 if table.rows else 1


def _progress(args: argparse.Namespace) -> bool:
    return sys.stderr.isatty() if args.progress is None else bool(args.progress)


def _listing() -> str:
    from zeroshot.reproduce import list_tables

    tables = list_tables()
    reason = {"search": "not made: search", "training": "not made: training",
              "other": "not made"}  # fmt: skip
    return show_table(
        {
            "table": [info.name for info in tables],
            "kind": [reason.get(info.kind, info.kind) for info in tables],
            "numbers": ["" if info.kind in reason else str(info.n_rows) for info in tables],
            "what": [info.title for info in tables],
            "spaces": [", ".join(info.spaces) for info in tables],
        }
    )
