"""``zeroshot figure``: a figure of the papers, of a store or of networks that are run for it."""

from __future__ import annotations

__all__ = ["add"]

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroshot.cli.archs import read_archs
from zeroshot.cli.arguments import (
    CliError,
    Parser,
    Subparsers,
    add_arch_arguments,
    add_data_arguments,
    add_network_arguments,
    add_run_arguments,
    integer,
    one_of,
)
from zeroshot.cli.report import add_benchmark_arguments, check_output
from zeroshot.cli.run import draw as draw_images
from zeroshot.cli.run import run_options

if TYPE_CHECKING:
    from zeroshot.figures import Figure

_USAGE = """\
zeroshot figure NAME [ARCH ...] [--sample N] -o FILE [options]
       zeroshot figure NAME --store STORE --benchmark FILE --target T -o FILE"""

_DESCRIPTION = """\
Draw a figure into an SVG or a PNG, and write its numbers as CSV beside it.

from networks that are run on the images of --data (30 random ones unless others are asked
for):
  gradients    how large gradients are
  activations  how large activations are
  sweetness    how steadily each size of gradient grows with depth (nasbench201)
  depth        share of each size of gradient along depth (nasbench201)
  heatmap      which sizes of gradient rank best; needs --benchmark and --target
  ablation     what batch size, batches and xi do to xi-GSNR; needs them, too
from a store, with --benchmark and --target:
  scatter      a score against accuracy
  ranks        ranks by a score and by accuracy
  bars         rank correlations of all scores"""

_EPILOG = """\
examples:
  zeroshot figure gradients --sample 30 -o gradients.svg
  zeroshot figure heatmap --sample 100 --data cifar-10-batches-py --batch-size 128 \\
      --benchmark nasbench201.csv --target cifar10/test@200:mean -o heatmap.png
  zeroshot figure scatter --store cells.sqlite --label xi_gsnr \\
      --benchmark nasbench201.csv --target cifar10/test@200:mean -o scatter.svg

needs zeroshot[plot], and zeroshot[stats] for correlations"""

_SAMPLE = 30


def add(subparsers: Subparsers, parent: Parser) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "figure", parents=[parent], help="a figure of the papers, and its numbers as CSV",
        usage=_USAGE, description=_DESCRIPTION, epilog=_EPILOG,
    )  # fmt: skip
    parser.add_argument("name", type=one_of(*_FIGURES), metavar="NAME", help=", ".join(_FIGURES))
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="its name ends in .svg or .png"
    )
    parser.add_argument("--no-data", dest="table", action="store_false", help="no CSV beside it")
    parser.add_argument(
        "--dpi", type=integer(10), default=200, metavar="N", help="of a PNG (default 200)"
    )
    add_benchmark_arguments(parser, required=False)
    group = parser.add_argument_group("what is drawn")
    group.add_argument("--store", metavar="STORE", help="of zeroshot run: scatter, ranks, bars")
    group.add_argument(
        "--experiment", metavar="NAME", help="name or first digits of the hash (default: all)"
    )
    group.add_argument("--label", metavar="NAME", help="of a score: scatter, ranks")
    group.add_argument("--log", action="store_true", help="logarithmic scores: scatter")
    group.add_argument(
        "--edges", type=one_of("released", "paper"), default="released", metavar="released|paper",
        help="borders of the intervals of sizes (default released)",
    )  # fmt: skip
    group.add_argument(
        "--layers", type=one_of("15", "17"), default="15", metavar="15|17",
        help="the cells (15, default) or the residual blocks, too: depth, sweetness",
    )  # fmt: skip
    group.add_argument(
        "--which", type=one_of("relu", "conv"), default="relu", metavar="relu|conv",
        help="outputs of activation functions (default) or of convolutions: activations",
    )  # fmt: skip
    add_arch_arguments(parser)
    add_data_arguments(parser)
    add_network_arguments(parser)
    add_run_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from zeroshot.drawing.scene import check_path

    check_path(args.output)  # before anything is computed
    check_output(args.output)
    _check_source(args)
    figure = _FIGURES[args.name](args)
    figure.save(args.output, dpi=args.dpi, data=args.table)
    print(figure.alt, file=sys.stderr)
    return 0


def _check_source(args: argparse.Namespace) -> None:
    """CliError where a store and networks are both given, of which a figure reads one."""
    networks = {"ARCH": args.archs, "--arch-file": args.arch_file, "--sample": args.sample}
    store = {"--store": args.store, "--label": args.label, "--experiment": args.experiment,
             "--log": args.log}  # fmt: skip
    of_store = args.name in _OF_STORE
    for flag, value in (networks if of_store else store).items():
        if value:
            source = "a store" if of_store else "networks that are run for it"
            raise CliError(f"argument {flag}: {args.name} is drawn from {source}, expected none")


# --- from a store ---------------------------------------------------------------------------------


def _table(args: argparse.Namespace) -> Any:
    from zeroshot.experiments import Store

    if args.store is None:
        raise CliError(f"argument --store: {args.name} is drawn from a store, expected one")
    with Store(args.store, create=False) as store:
        return store.scores(experiment=args.experiment)


def _accuracy(args: argparse.Namespace, archs: Any, space: str | None) -> dict[str, Any]:
    from zeroshot.benchmarks import read_benchmark
    from zeroshot.report.stored import join

    if args.benchmark is None:
        raise CliError(f"argument --benchmark: {args.name} needs accuracies, expected a file")
    return join(archs, read_benchmark(args.benchmark), args.target, space)


def _label(args: argparse.Namespace, table: Any) -> str:
    known: list[str] = list(table.values)
    if args.label is None and len(known) == 1:
        return known[0]
    if args.label not in known:
        raise CliError(f"argument --label: expected one of {', '.join(known)}; got {args.label}")
    return str(args.label)


def _scatter(args: argparse.Namespace) -> Figure:
    from zeroshot import figures

    table = _table(args)
    label = _label(args, table)
    accuracy = _accuracy(args, table.archs, table.meta["space"])
    return figures.scatter(
        table[label], accuracy, label=label, archs=table.archs, log_x=args.log
    )  # fmt: skip


def _ranks(args: argparse.Namespace) -> Figure:
    from zeroshot import figures
    from zeroshot.report.stored import smaller_is_better

    table = _table(args)
    label = _label(args, table)
    accuracy = _accuracy(args, table.archs, table.meta["space"])
    if len(accuracy) != 1:
        raise CliError(f"argument --target: expected one for ranks, got {len(accuracy)}")
    (one,) = accuracy.values()
    return figures.rank_hexbin(
        table[label], one, label=label, archs=table.archs,
        smaller_is_better=label in smaller_is_better(table),
    )  # fmt: skip


def _bars(args: argparse.Namespace) -> Figure:
    from zeroshot import figures
    from zeroshot.report.stored import smaller_is_better, trivial
    from zeroshot.stats import correlate

    table = _table(args)
    accuracy = _accuracy(args, table.archs, table.meta["space"])
    smaller = smaller_is_better(table)
    scores = {k: -v if k in smaller else v for k, v in table.values.items()}
    values: dict[str, dict[str, float]] = {}
    bounds: dict[str, dict[str, tuple[float, float]]] = {}
    for target, a in accuracy.items():
        rows = correlate(scores, a)
        values[target] = {row.label: row.spearman for row in rows}
        bounds[target] = {row.label: (row.spearman_low, row.spearman_high) for row in rows}
    return figures.correlation_bars(values, intervals=bounds, baselines=trivial(table))


# --- from networks --------------------------------------------------------------------------------


def _networks(args: argparse.Namespace) -> tuple[list[str], Any, dict[str, Any]]:
    """Architectures, batches and options."""
    if not args.archs and not args.arch_file and args.sample is None:
        args.sample = _SAMPLE
    entries = read_archs(args)
    for entry in entries:
        if entry.fault is not None:
            raise CliError(f"{entry.where}: {entry.fault}")
    if len(args.seed) != 1:
        raise CliError(f"argument --seed: expected one, got {len(args.seed)}")
    images, batches = draw_images(args)
    options: dict[str, Any] = {**run_options(args, images), "seed": args.seed[0]}
    shown = sys.stderr.isatty() if args.progress is None else args.progress
    options["progress"] = True if shown else None
    return [entry.text for entry in entries], batches, options


def _counts(args: argparse.Namespace, layers: Any, networks: Any = None) -> Any:
    from zeroshot import figures

    if layers != () and args.space != "nasbench201":
        raise CliError(f"argument --space: {args.name} knows the layers of nasbench201 alone")
    archs, batches, options = networks or _networks(args)
    return figures.count_gradients(
        archs, batches.x, batches.y, edges=args.edges, layers=layers, batch_size=args.batch_size,
        **options,
    )  # fmt: skip


def _gradients(args: argparse.Namespace) -> Figure:
    from zeroshot import figures

    found = _counts(args, ())
    return figures.gradient_histogram(found.total, edges=args.edges)


def _activations(args: argparse.Namespace) -> Figure:
    from zeroshot import figures

    archs, batches, options = _networks(args)
    counts = figures.count_activations(
        archs, batches.x, edges=args.edges, which=args.which, batch_size=args.batch_size, **options
    )
    return figures.activation_histogram(counts, edges=args.edges, which=args.which)


def _depth(args: argparse.Namespace) -> Figure:
    from zeroshot import figures

    found = _counts(args, int(args.layers))
    return figures.depth_proportion(found.counts, found.sizes, edges=args.edges)


def _sweetness(args: argparse.Namespace) -> Figure:
    from zeroshot import figures
    from zeroshot.sweet import sweetness

    found = _counts(args, int(args.layers))
    values = sweetness(list(found.counts), list(found.sizes))
    return figures.sweetness_bars(np.array(values), edges=args.edges)


def _heatmap(args: argparse.Namespace) -> Figure:
    from zeroshot import figures

    networks = _networks(args)
    accuracy = _accuracy(args, networks[0], args.space)  # before anything runs
    found = _counts(args, (), networks)
    return figures.sweet_heatmap(found.total, accuracy, edges=args.edges)


def _ablation(args: argparse.Namespace) -> Figure:
    from zeroshot import figures

    archs, batches, options = _networks(args)
    accuracy = _accuracy(args, archs, args.space)
    k, n = args.batch_size, args.batches
    sweeps = figures.sweep_xi_gsnr(
        archs, batches.x, batches.y, accuracy,
        batch_sizes=[size for size in (8, 16, 32, 64, 128, 256, 512) if size <= k] or [k],
        n_batches=[m for m in (2, 4, 6, 8, 10, 12, 14) if m <= n] or [n],
        batch_size=k, n=n, **options,
    )  # fmt: skip
    return figures.ablation_curves(sweeps)


_FIGURES: dict[str, Callable[[argparse.Namespace], Figure]] = {
    "gradients": _gradients,
    "activations": _activations,
    "sweetness": _sweetness,
    "depth": _depth,
    "heatmap": _heatmap,
    "ablation": _ablation,
    "scatter": _scatter,
    "ranks": _ranks,
    "bars": _bars,
}
_OF_STORE = ("scatter", "ranks", "bars")
