"""``zeroshot merge`` and ``zeroshot store``: stores into one, what is in one, and out of it."""

from __future__ import annotations

__all__ = ["add"]

import argparse
import json
import sys
from typing import Any

from zeroshot.cli.arguments import CliError, Parser, Subparsers

_MERGE = """\
Take over everything that other stores have: the shards of an experiment, say.

What is in both stays as it is in STORE; a failure gives way to a value. Each PART is taken
over as a whole or not at all, and is only read."""

_MERGE_EXAMPLES = """\
examples:
  zeroshot merge all.sqlite part0.sqlite part1.sqlite
      all.sqlite is made if it is missing"""

_STORE = "What is in a store, and its values as CSV or Parquet."

_STORE_EXAMPLES = """\
examples:
  zeroshot store status cells.sqlite
      its experiments, and how much of each is there; also while a run is writing
  zeroshot store export cells.sqlite scores.csv
      a line for each value: architecture, label, seed, value, status, key
  zeroshot store export cells.sqlite scores.parquet --experiment mine
      the same as Parquet, of one experiment"""


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the commands."""
    merge = subparsers.add_parser(
        "merge", parents=[parent], help="stores into one", description=_MERGE,
        epilog=_MERGE_EXAMPLES,
    )  # fmt: skip
    merge.add_argument("store", metavar="STORE", help="where everything goes")
    merge.add_argument("parts", metavar="PART", nargs="+", help="a store to take over")
    merge.set_defaults(run=run_merge)
    store = subparsers.add_parser(
        "store", parents=[parent], help="what is in a store; CSV and Parquet of it",
        description=_STORE, epilog=_STORE_EXAMPLES,
    )  # fmt: skip
    commands = store.add_subparsers(title="what to do", metavar="WHAT", required=True)
    status = commands.add_parser("status", parents=[parent], help="its experiments")
    status.add_argument("store", metavar="STORE")
    status.add_argument("--json", action="store_true", help="everything, for programs")
    status.set_defaults(run=run_status)
    export = commands.add_parser("export", parents=[parent], help="its values in a file")
    export.add_argument("store", metavar="STORE")
    export.add_argument("file", metavar="FILE", help="NAME.csv or NAME.parquet; is replaced")
    export.add_argument(
        "--experiment", metavar="NAME", help="name or first digits of the hash (default: all)"
    )
    export.add_argument(
        "--no-timing", dest="timing", action="store_false",
        help="without seconds, bytes and kernel table: equal experiments give equal files",
    )  # fmt: skip
    export.set_defaults(run=run_export)


def run_merge(args: argparse.Namespace) -> int:
    from zeroshot.experiments import Store

    with Store(args.store) as store:
        for part in args.parts:
            done = store.merge(part)
            print(
                f"{part}: {done.n_new} new values, {done.n_known} known, "
                f"{done.n_different} known with other bits, {done.n_retried} failures replaced"
            )
    return 0


def run_status(args: argparse.Namespace) -> int:
    from zeroshot.experiments import Store

    with Store(args.store, create=False) as store:
        infos = store.experiments()
        if args.json:
            whole: list[dict[str, Any]] = [{**vars(info)} for info in infos]
            print(json.dumps({"values": len(store), "experiments": whole}, indent=1))
            return 0
        print(f"{args.store}: {len(store)} values, {len(infos)} experiments")
        for info in infos:
            wanted = info.n_archs * len(info.labels) * info.n_seeds or info.n_asked
            statuses = ", ".join(f"{count} {status}" for status, count in info.statuses.items())
            print(
                f"{info.hash[:8]}  {info.name or '(no name)'}: {info.space}, {info.n_archs} "
                f"architectures, {info.n_seeds} seeds, {', '.join(info.labels)}: "
                f"{info.n_values}/{wanted} values ({statuses or 'none'})"
            )
    return 0


def run_export(args: argparse.Namespace) -> int:
    from zeroshot.experiments import Store

    with Store(args.store, create=False) as store:
        if args.file.endswith(".parquet"):
            write = store.to_parquet
        elif args.file.endswith(".csv"):
            write = store.to_csv
        else:
            raise CliError(f"FILE: expected NAME.csv or NAME.parquet, got {args.file!r}")
        count = write(args.file, experiment=args.experiment, timing=args.timing)
    print(f"{count} values in {args.file}", file=sys.stderr)
    return 0
