"""Time from architecture string to score: `zeroshot`, PyTorch as released, the best PyTorch.

The three sides take turns within one run (ours, released, best, ours, ...), on the same cells, the
same images and the same initial weights, so that a drift of the machine meets all of them. Each
time includes parsing, building and drawing the weights. With one thread the unit is one cell; with
more it is the whole list, which `zeroshot.score_many` spreads over the threads and PyTorch takes
cell by cell with as many threads inside its operators.

    python benchmarks/bench_scores.py --subset 4 --scores xi_gsnr --threads 1

See README.md in this folder for the columns of results/bench_scores.csv.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, geometric_mean, median
from typing import TYPE_CHECKING, Any

import numpy as np
from record import append, commit, machine, now, starting_load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["Row", "bench_archs", "live_macs", "main"]

SIDES = ("ours", "released", "best")
SCORES = ("xi_gsnr", "gradsign", "sweet")
SWEET = {"lo": 1e-4, "hi": 5e-4}  # the interval of the released NAS-Bench-201 script
SEED = 0  # of the weights
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))  # in the order of the string
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


# ---------------------------------------------------------------------------------------------
# Architectures and their work


def bench_archs(n: int = 24) -> list[str]:
    """The first n cells of the yardstick list: ``default_rng(0).integers(0, 5, (n, 6))``.

    >>> bench_archs(1)
    ['|avg_pool_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|skip_connect~1|none~2|']
    """
    archs = []
    for row in np.random.default_rng(0).integers(0, 5, (n, 6)):
        text = [f"|{OPS[op]}~{source}" for op, (source, _) in zip(row, EDGES, strict=True)]
        archs.append(f"{text[0]}|+{''.join(text[1:3])}|+{''.join(text[3:])}|")
    return archs


def live_macs(arch: str) -> int:
    """Multiply-adds of one 3x32x32 image in what lies on a path from input to output.

    Convolutions and classifier of the network with 16 channels, 5 cells a stage and 10 classes.
    A stage has twice the channels and a quarter of the pixels of the one before: c * c * h * w is
    the same in all 15 cells, and with it the cost of a 1x1 convolution.

    >>> live_macs("|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")
    0
    >>> live_macs("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    7783040
    """
    ops = [
        term.split("~")[0]
        for term in arch.replace("+", "").strip("|").replace("||", "|").split("|")
    ]
    edges = [(*edge, op) for edge, op in zip(EDGES, ops, strict=True) if op != "none"]
    fed, used = {0}, {3}
    for source, target, _ in edges:
        fed |= {target} if source in fed else set()
    for source, target, _ in reversed(edges):
        used |= {source} if target in used else set()
    live = [op for source, target, op in edges if source in fed and target in used]
    skeleton = 7_783_040 if live else 0  # stem, two residual blocks, classifier
    taps = 9 * live.count("nor_conv_3x3") + live.count("nor_conv_1x1")
    return skeleton + 15 * (16 * 32) ** 2 * taps


# ---------------------------------------------------------------------------------------------
# The three sides: (score, architectures) -> one value each


@dataclass(frozen=True)
class Data:
    """Random images, the same for all sides: they cost what real ones cost."""

    x: NDArray[np.float32]  # (n_batches * batch_size, 3, 32, 32)
    y: NDArray[np.int64]
    batch_size: int

    def samples(self, score: str) -> int:
        """Images that one architecture's score looks at: all batches, or the first."""
        return len(self.x) if score == "xi_gsnr" else self.batch_size


def make_data(n_batches: int, batch_size: int) -> Data:
    rng = np.random.default_rng(1)
    n = n_batches * batch_size
    x = rng.standard_normal((n, 3, 32, 32), dtype=np.float32)
    return Data(x, rng.integers(0, 10, n), batch_size)


def ours(score: str, archs: Sequence[str], data: Data, threads: int) -> list[float]:
    try:
        zeroshot = importlib.import_module("zeroshot")
    except ImportError as error:
        raise ImportError(
            "side 'ours' needs the built package: pip install -e ., or pass --sides released best"
        ) from error
    n = data.samples(score)
    scores = {
        "xi_gsnr": zeroshot.XiGsnr(batch_size=data.batch_size),
        "gradsign": zeroshot.GradSign(n_samples=n),
        "sweet": zeroshot.Sweet(**SWEET, batch_size=data.batch_size),
    }
    results = zeroshot.score_many(
        archs, data.x[:n], data.y[:n], scores=scores[score], n_threads=threads, seed=SEED
    )
    return [float(result.value) for result in results]


def released(score: str, archs: Sequence[str], data: Data, threads: int) -> list[float]:
    return _pytorch(score, archs, data, threads, best=False)


def best(score: str, archs: Sequence[str], data: Data, threads: int) -> list[float]:
    return _pytorch(score, archs, data, threads, best=True)


def _pytorch(
    score: str, archs: Sequence[str], data: Data, threads: int, *, best: bool
) -> list[float]:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "sides 'released' and 'best' need PyTorch: pip install torch, or pass --sides ours"
        ) from error
    import torch_yardstick as yardstick

    torch.set_num_threads(threads)
    n = data.samples(score)
    x, y = data.x[:n], data.y[:n]
    values: list[float] = []
    for arch in archs:
        net = yardstick.build(arch, SEED, prune_dead=best, per_image=best and score == "gradsign")
        if score == "xi_gsnr":
            run = yardstick.best_xi_gsnr if best else yardstick.released_xi_gsnr
            values.append(run(net, x, y, batch_size=data.batch_size))
        elif score == "gradsign":
            values.append(
                (yardstick.best_gradsign if best else yardstick.released_gradsign)(net, x, y)
            )
        else:
            values.append(yardstick.sweet_count(net, x, y, **SWEET))
    return values


RUN: dict[str, Any] = {"ours": ours, "released": released, "best": best}


# ---------------------------------------------------------------------------------------------
# The machine


def fp32_peak(kernels: str) -> tuple[float, str]:
    """GF/s of one thread and how it was found: a loop of FMAs, else a 1024^3 matrix product.

    The product is a few per cent below the true peak, and needs PyTorch.
    """
    try:
        testing = importlib.import_module("zeroshot._testing")
        return float(testing.fma_peak(kernels, 0.1)), "fma"
    except (ImportError, AttributeError):
        pass
    try:
        import torch
    except ImportError:
        return float("nan"), "none"
    torch.set_num_threads(1)
    a, b = torch.randn(2, 1024, 1024)
    times = [timed(lambda: a @ b)[0] for _ in range(4)]
    return 2 * 1024**3 / min(times) / 1e9, "sgemm"


# ---------------------------------------------------------------------------------------------
# Measuring


@dataclass(frozen=True)
class Row:
    """One line of results/bench_scores.csv; what was not measured is nan."""

    date: str
    commit: str
    machine: str
    load: float  # of the machine in the minute before the run; see README.md
    threads: int
    score: str
    arch: str  # or "list of N"
    samples: int  # images per architecture
    repeats: int
    ours_min_s: float
    ours_median_s: float
    released_min_s: float
    released_median_s: float
    best_min_s: float
    best_median_s: float
    ratio_released: float  # released_min_s / ours_min_s
    ratio_best: float
    live_gmacs: float  # forward, one image, summed over the list
    ours_gflops: float  # 6 FLOP per live MAC and image
    peak_gflops: float  # of all threads together
    peak_source: str
    peak_share: float
    ours_vs_released: float  # largest relative difference of the scores
    best_vs_released: float


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def difference(a: Sequence[float] | None, b: Sequence[float] | None) -> float:
    """Largest |a - b| / |b|; nan without both sides, inf where only b is 0."""
    if a is None or b is None:
        return float("nan")
    pairs = [(abs(p - q), abs(q)) for p, q in zip(a, b, strict=True)]
    return max(gap / size if size else (float("inf") if gap else 0.0) for gap, size in pairs)


def measure(
    score: str, archs: Sequence[str], data: Data, args: argparse.Namespace, threads: int
) -> Row:
    """Let the wanted sides take turns on `archs`, `args.repeats` times."""
    peak, source = fp32_peak(args.kernels)
    times: dict[str, list[float]] = {side: [] for side in args.sides}
    values: dict[str, list[float]] = {}
    for _ in range(args.repeats):
        for side in args.sides:
            seconds, values[side] = timed(partial(RUN[side], score, archs, data, threads))
            times[side].append(seconds)
    nan = float("nan")
    low = {side: min(times.get(side, [nan])) for side in SIDES}
    middle = {side: median(times.get(side, [nan])) for side in SIDES}
    macs = sum(map(live_macs, archs))
    gflops = 6 * macs * data.samples(score) / low["ours"] / 1e9
    return Row(
        date=now(),
        commit=commit(),
        machine=machine(),
        load=args.load,
        threads=threads,
        score=score,
        arch=archs[0] if len(archs) == 1 else f"list of {len(archs)}",
        samples=data.samples(score),
        repeats=args.repeats,
        ours_min_s=low["ours"],
        ours_median_s=middle["ours"],
        released_min_s=low["released"],
        released_median_s=middle["released"],
        best_min_s=low["best"],
        best_median_s=middle["best"],
        ratio_released=low["released"] / low["ours"],
        ratio_best=low["best"] / low["ours"],
        live_gmacs=macs / 1e9,
        ours_gflops=gflops,
        peak_gflops=peak * threads,
        peak_source=source,
        peak_share=gflops / (peak * threads),
        ours_vs_released=difference(values.get("ours"), values.get("released")),
        best_vs_released=difference(values.get("best"), values.get("released")),
    )


def warm_up(score: str, data: Data, args: argparse.Namespace, threads: int) -> None:
    """Pay first calls (imports, thread pools, oneDNN's code) before the clock runs."""
    few = Data(data.x[: 2 * data.batch_size], data.y[: 2 * data.batch_size], data.batch_size)
    for side in args.sides:
        RUN[side](score, bench_archs(1), few, threads)


# ---------------------------------------------------------------------------------------------
# Reporting


SHORT = {"nor_conv_": "", "avg_pool_3x3": "avg", "skip_connect": "skip"}
HEADER = (
    "score    th   ours s  rel. s  best s  rel/our best/our   GF/s of peak  our~rel best~rel  cell"
)


def line(row: Row) -> str:
    """The row under `HEADER`; ratios are of minima, the last two differences of scores."""
    arch = row.arch
    for long, short in SHORT.items():
        arch = arch.replace(long, short)
    return (
        f"{row.score:8} {row.threads:2} {row.ours_min_s:8.3f} {row.released_min_s:7.3f} "
        f"{row.best_min_s:7.3f} {row.ratio_released:8.2f} {row.ratio_best:8.2f} "
        f"{row.ours_gflops:6.1f} {100 * row.peak_share:5.0f} % {row.ours_vs_released:8.0e} "
        f"{row.best_vs_released:8.0e}  {arch}"
    )


def summary(rows: Sequence[Row]) -> str:
    """Geometric means with range, and the share of peak of the whole list (total work / time)."""
    text = []
    for top, bottom in (("released", "ours"), ("best", "ours"), ("released", "best")):
        over = [getattr(row, f"{top}_min_s") / getattr(row, f"{bottom}_min_s") for row in rows]
        if np.isfinite(over).all():
            span = f"({min(over):.2f}-{max(over):.2f})"
            text.append(f"{top}/{bottom} {geometric_mean(over):.2f} {span}")
    work = sum(6 * row.live_gmacs * row.samples for row in rows)
    rate = work / sum(row.ours_min_s for row in rows)
    share = rate / fmean(row.peak_gflops for row in rows)
    if np.isfinite(share):
        text.append(f"ours {rate:.0f} GF/s, {100 * share:.0f} % of peak ({rows[0].peak_source})")
    title = f"== {rows[0].score}, {rows[0].threads} thread(s), {len(rows)} row(s): "
    return title + "; ".join(text)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archs", type=int, default=24, metavar="N", help="cells in the list")
    parser.add_argument(
        "--subset", type=int, metavar="K", help="only K of them, evenly spread over the list"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3, metavar="R")
    parser.add_argument("--scores", nargs="+", choices=SCORES, default=list(SCORES))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--batches", type=int, default=8, help="batches of xi_gsnr, at least 2")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--kernels", default="auto", help="kernel table whose peak is measured")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args(argv)
    for name in (
        "archs",
        "repeats",
        "batch_size",
        *(["subset"] if args.subset is not None else []),
    ):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected at least 1")
    if args.batches < 2:
        parser.error("--batches: expected at least 2, xi-GSNR needs a variance")
    if min(args.threads) < 1:
        parser.error("--threads: expected at least 1")
    args.sides = [side for side in SIDES if side in args.sides]
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, append to ``bench_scores.csv``; see ``--help``."""
    args = parse_args(argv)
    archs = bench_archs(args.archs)
    if args.subset is not None:
        picks = np.linspace(0, len(archs) - 1, min(args.subset, len(archs))).round().astype(int)
        archs = [archs[i] for i in picks]
    data = make_data(args.batches, args.batch_size)
    args.load = starting_load()
    summaries = []
    print(HEADER)
    for threads in args.threads:
        for score in args.scores:
            warm_up(score, data, args, threads)
            rows = []
            for unit in [archs] if threads > 1 else [[arch] for arch in archs]:
                rows.append(measure(score, unit, data, args, threads))
                append(args.out / "bench_scores.csv", rows[-1])
                print(line(rows[-1]), flush=True)
            summaries.append(summary(rows))
    print(*summaries, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
