"""``zeroshot run``: an experiment into a store, from a file or from flags."""

from __future__ import annotations

__all__ = ["EXAMPLE", "add"]

import argparse
import sys
import textwrap
from typing import TYPE_CHECKING

from zeroshot.cli.archs import read_archs
from zeroshot.cli.arguments import (
    CliError,
    Parser,
    Subparsers,
    add_arch_arguments,
    add_data_arguments,
    add_network_arguments,
    add_run_arguments,
    add_score_arguments,
    integer,
    one_of,
)
from zeroshot.cli.run import make_cli_scores

if TYPE_CHECKING:
    from zeroshot.experiments import Experiment

_USAGE = """\
zeroshot run EXPERIMENT.toml [--store FILE] [run options]
       zeroshot run [ARCH ...] [--sample N | --all | --benchmark FILE] --store FILE
                    [--scores SCORE ...] [options]"""

_DESCRIPTION = """\
Score architectures and keep every value in a store, an SQLite file.

What the store has is not computed again: after Ctrl-C, a crash or a full disk the same
command goes on where it ended, and experiments that overlap share their values. Work is
committed about once a second."""

_EPILOG = """\
examples:
  zeroshot run --sample 1000 --scores xi_gsnr gradsign sweet --store cells.sqlite
      three scores of 1000 random cells of NAS-Bench-201 on digits, on all processors
  zeroshot run experiment.toml --executor processes --workers 8
      as the file says, by eight processes
  zeroshot run experiment.toml --shard 3/16 --store part3.sqlite
      part 3 of the parts 0 to 15; then: zeroshot merge all.sqlite part*.sqlite
  zeroshot store export cells.sqlite scores.csv
      a line for each value

a file with all its tables, of which [archs] and one [[scores]] are needed:

{example}
exit code: 0 if all values are there, 1 if some stand for a failure, 2 if nothing could be
run or the store could not be written, 130 after Ctrl-C, 143 after SIGTERM"""

EXAMPLE = """\
name = "three scores of 1000 cells"   # for people; part of no key

[data]                    # the images that every architecture sees
path = "digits"           # or a folder or file: CIFAR, ImageNet16-120, npz
batch_size = 64
batches = 8
seed = 1                  # of the draw; also: split, preset, mode, crop, flip

[space]
name = "nasbench201"      # see: zeroshot spaces
channels = 16             # these default to the space's own
cells = 5                 # also: classes, builder

[archs]                   # all that is given, each architecture once
sample = 1000             # random ones
seed = 0                  # also: list = [1462, "..."], file = "cells.txt",
                          # benchmark = "FILE", all = true
[[scores]]
name = "xi_gsnr"          # see: zeroshot scores
[[scores]]
name = "gradsign"
n_samples = 64
[[scores]]
name = "sweet"
lo = 1e-4
hi = 5e-4
label = "sweet_cifar"     # tells scores of one name apart

[options]
seeds = [0, 1, 2]         # of the weights; each value is stored by itself
                          # also: init, dtype, canonical, algo, kernels, recompute, max_bytes
[run]                     # what no value depends on
store = "cells.sqlite"
executor = "threads"      # or processes, dask
workers = 2               # default: all processors
"""
"""A file of `zeroshot run` with comments."""

# What may be said beside a file, and changes no value.
_BESIDE = (
    "--store", "--shard", "--executor", "--workers", "--threads", "--retry-failed", "--progress",
    "--no-progress", "--debug",
)  # fmt: skip


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "run", parents=[parent], help="an experiment into a store; goes on where it ended",
        usage=_USAGE, description=_DESCRIPTION,
        epilog=_EPILOG.format(example=textwrap.indent(EXAMPLE, "  ")),
    )  # fmt: skip
    group = parser.add_argument_group("store and workers")
    group.add_argument(
        "--store", metavar="FILE",
        help="where values are kept; made if it is missing; on a local disk",
    )  # fmt: skip
    group.add_argument(
        "--shard", type=shard, default=(0, 1), metavar="I/N",
        help="part I, from 0, of N parts that have no value in common",
    )  # fmt: skip
    group.add_argument(
        "--executor", type=one_of("threads", "processes", "dask"),
        metavar="threads|processes|dask", help="who works (default threads); changes no value",
    )  # fmt: skip
    group.add_argument(
        "--workers", type=integer(1), metavar="N",
        help="architectures at a time (default: all processors)",
    )  # fmt: skip
    group.add_argument(
        "--retry-failed", action="store_true", help="compute what has failed or crashed again"
    )
    group.add_argument(
        "--name", default="", metavar="NAME", help="of the experiment, by which it is exported"
    )
    group.add_argument("--all", action="store_true", help="every architecture of the space")
    group.add_argument("--benchmark", metavar="FILE", help="the architectures of a benchmark")
    add_arch_arguments(parser)
    add_data_arguments(parser)
    add_score_arguments(parser)
    add_network_arguments(parser)
    add_run_arguments(parser)
    parser.set_defaults(run=run)


def shard(text: str) -> tuple[int, int]:
    """An argument type: ``I/N``."""
    part, slash, parts = text.partition("/")
    try:
        i, n = int(part), int(parts)
    except ValueError:
        i, n = -1, 0
    if not slash or not 0 <= i < n:
        raise argparse.ArgumentTypeError(
            f"expected I/N with I from 0 to N - 1, such as 0/4; got {text!r}"
        )
    return i, n


def run(args: argparse.Namespace) -> int:
    from zeroshot.experiments import Experiment, run_experiment

    files = [word for word in args.archs if word.endswith(".toml")]
    if files and len(args.archs) > 1:
        raise CliError(f"EXPERIMENT.toml: expected nothing beside {files[0]}, got {args.archs}")
    if files:
        _check_nothing_else(args)
        experiment = Experiment.load(args.archs[0])
    else:
        experiment = _from_flags(args)
    path = args.store or experiment.store
    if path is None:
        raise CliError("argument --store: expected a file, got none")
    summary = run_experiment(
        experiment,
        path,
        executor=args.executor,
        workers=args.workers or args.threads,
        shard=args.shard,
        retry_failed=args.retry_failed,
        progress=True if args.progress is not False else None,
    )
    print(
        f"zeroshot: {summary.n_values} values of {summary.n_archs} architectures in {path}: "
        f"{summary.n_found} were there, {summary.n_computed} computed in {summary.seconds:.1f} s"
        + (f", {summary.n_failed} failed" if summary.n_failed else "")
        + (f", {summary.n_crashed} crashed" if summary.n_crashed else ""),
        file=sys.stderr,
    )
    return int(summary.n_failed + summary.n_crashed > 0)


def _check_nothing_else(args: argparse.Namespace) -> None:
    """What an experiment is stands in the file, all of it, also what is so by default."""
    for word in args.words:
        option = word.partition("=")[0]
        if option.startswith("--") and option != "--" and option not in _BESIDE:
            raise CliError(
                f"argument {option}: expected in {args.archs[0]}, beside which only "
                f"{', '.join(_BESIDE)} may be given"
            )


def _from_flags(args: argparse.Namespace) -> Experiment:
    from zeroshot.experiments.experiment import Archs, DataSource, Experiment
    from zeroshot.options import Options

    data = DataSource(
        path=args.data,
        split=args.split,
        preset=args.preset,
        batch_size=args.batch_size,
        batches=args.batches,
        seed=args.data_seed,
    )
    files = [path for path in args.arch_file if path != "-"]
    words = argparse.Namespace(
        archs=[*args.archs, *("-" for path in args.arch_file if path == "-")],
        arch_file=[], sample=None, space=args.space,
    )  # fmt: skip
    listed = [entry.text for entry in read_archs(words)] if words.archs else []
    if not (listed or files or args.sample or args.all or args.benchmark):
        raise CliError(
            "ARCH: expected architectures, got none; give EXPERIMENT.toml, ARCH, --arch-file FILE, "
            "--sample N, --benchmark FILE or --all"
        )
    return Experiment(
        name=args.name,
        scores=make_cli_scores(args, args.batches * args.batch_size),
        archs=Archs(
            listed, file=files, benchmark=args.benchmark, sample=args.sample,
            seed=args.sample_seed, all=args.all,
        ),
        data=data,
        classes=args.classes,
        seeds=args.seed,
        options=Options(
            space=args.space, channels=args.channels, cells=args.cells, builder=args.builder,
            canonical=args.canonical, init=args.init, dtype=args.dtype, kernels=args.kernels,
            algo=args.algo, recompute=args.recompute, max_bytes=args.max_bytes,
        ),
    )  # fmt: skip
