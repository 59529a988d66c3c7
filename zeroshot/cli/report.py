"""``zeroshot report``: a store against a benchmark, as one HTML page."""

from __future__ import annotations

__all__ = ["add"]

import argparse
import sys
from pathlib import Path

from zeroshot.cli.arguments import CliError, Parser, Subparsers, integer

_DESCRIPTION = """\
Write one HTML page about the scores in a store: rank correlations with intervals beside
trivial scores, scatter plots, the best of N, times, what has no number, settings and
provenance. The page needs no network, and no script to be read."""

_EPILOG = """\
examples:
  zeroshot report cells.sqlite --benchmark nasbench201.csv --target cifar10/test@200:mean
      writes report.html
  zeroshot report cells.sqlite --benchmark NATS-tss-v1_0-3ffb9-simple -o out.html \\
      --target cifar10/test@200:mean --target cifar100/test@200:mean
      two targets; curves and picks are those of the first

needs zeroshot[plot,stats]"""


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "report", parents=[parent], help="an experiment as one HTML page",
        description=_DESCRIPTION, epilog=_EPILOG,
    )  # fmt: skip
    parser.add_argument("store", metavar="STORE", help="of zeroshot run")
    add_benchmark_arguments(parser, required=True)
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="report.html",
        help="is replaced (default report.html)",
    )  # fmt: skip
    parser.add_argument(
        "--experiment", metavar="NAME", help="name or first digits of the hash (default: all)"
    )
    parser.add_argument("--title", metavar="TEXT", help="(default: the name of the experiment)")
    parser.add_argument(
        "--resamples", type=integer(0), default=2000, metavar="N",
        help="of the intervals; 0: none (default 2000)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def add_benchmark_arguments(parser: Parser, *, required: bool) -> None:
    parser.add_argument(
        "--benchmark", metavar="FILE", required=required,
        help="accuracies: any file that zeroshot reads",
    )  # fmt: skip
    parser.add_argument(
        "--target", metavar="T", action="append", default=[],
        help="DATASET/SPLIT@EPOCHS:TRIALS or the name of a column; may be given again; a wrong one "
        "lists what there is",
    )  # fmt: skip


def check_output(path: str) -> None:
    """CliError unless a file can be put there: before anything is computed."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise CliError(f"argument --output: expected a file in a folder that is there, got {path}")
    if Path(path).is_dir():
        raise CliError(f"argument --output: expected a file, got the folder {path}")


def run(args: argparse.Namespace) -> int:
    check_output(args.output)
    from zeroshot.benchmarks import read_benchmark
    from zeroshot.experiments import Store
    from zeroshot.report import write_stored_report

    with Store(args.store, create=False) as store:
        table = store.scores(experiment=args.experiment)
    names = [e.get("name") or e.get("added") or "" for e in table.meta["experiments"]]
    title = args.title or ", ".join(filter(None, names)) or "Scores of untrained networks"
    benchmark = read_benchmark(args.benchmark)
    write_stored_report(
        args.output, table, benchmark, args.target, title=title, n_resamples=args.resamples
    )
    print(f"{len(table)} architectures, {len(table.values)} scores: {args.output}", file=sys.stderr)
    return 0
