"""Seconds per architecture of every search space: xi-GSNR of two batches, ours against PyTorch.

PyTorch runs the module that `zeroshot.to_torch_source` writes, with the weights that we draw: as
released (NCHW, every operation, gradients to NumPy) and as best we know (channels_last, no dead
operation, Welford's moments in torch). Before the clock runs, gradients of one batch have to be the
same; a network where they are not is left out, and said so. The sides take turns, architecture by
architecture. Parsing, building and drawing of weights are inside the time of each side, the writing
of the source and the copying of our weights outside.

    python benchmarks/bench_spaces.py --spaces darts mbconv --repeats 1

See README.md in this folder for the columns of results/bench_spaces.csv.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from statistics import geometric_mean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import append, busy_seconds, commit, machine, now, starting_load

import zeroshot

__all__ = ["CASES", "Case", "Mismatch", "Problem", "Row", "check", "main"]

SEED = 0  # of samples, images and weights
BATCHES = 2
SIDES = ("ours", "released", "best")
MOBILE = {"input_size": 64, "batch_size": 16, "num_classes": 1000}
NDS_SMALL = ("w=16;d=4;", "w=16;d=8;")
LARGEST = "skeleton=19;act=relu6;se=none;" + " ".join(["k7e6"] * 19)


@dataclass(frozen=True)
class Case:
    """A space, and the size at which it is measured."""

    space: str
    input_size: int = 32
    batch_size: int = 32
    num_classes: int = 10
    channels: int | None = None
    cells: int | None = None
    starts: tuple[str, ...] = ("",)  # of the architectures that are taken

    def archs(self, n: int) -> list[str]:
        """The first n of those drawn that have the size wanted."""
        space = zeroshot.spaces.get_space(self.space)
        rng = np.random.default_rng(SEED)
        drawn: Iterator[str] = (space.sample(1, rng)[0] for _ in range(10000))
        return list(islice((a for a in drawn if a.startswith(self.starts)), n))

    @property
    def network(self) -> dict[str, Any]:
        return {
            "space": self.space,
            "channels": self.channels,
            "cells": self.cells,
            "num_classes": self.num_classes,
        }


CASES = (
    Case("nasbench201"),
    Case("nats_sss"),
    Case("nasbench101"),
    Case("darts", channels=16, cells=8),
    Case("nasbench301", channels=16, cells=8),
    Case("nds_darts", starts=NDS_SMALL),
    Case("nds_enas", starts=NDS_SMALL),
    Case("nds_pnas", starts=NDS_SMALL),
    Case("nds_nasnet", starts=NDS_SMALL),
    Case("nds_amoeba", starts=NDS_SMALL),
    Case("proxylessnas", **MOBILE),
    Case("proxylessnas", input_size=224, batch_size=8, num_classes=1000),
    Case("mbconv", **MOBILE),
    Case("burgerformer", **MOBILE),
    Case("transnas_micro", input_size=64, batch_size=16),
    Case("super_nasbench201", batch_size=16),
    Case("super_darts", batch_size=16, channels=8, cells=1),
)


@dataclass(frozen=True)
class Row:
    """One line of results/bench_spaces.csv: a space at a size, over its architectures."""

    date: str
    commit: str
    machine: str
    load: float  # of the machine in the minute before the run
    others_busy: float  # processors that other processes kept busy while this was measured
    threads: int
    space: str
    input_size: int
    channels: int  # 0: said by the space or the architecture
    cells: int
    num_classes: int
    batches: int
    batch_size: int
    archs: int
    left_out: int  # gradients differ
    repeats: int
    macs: float  # of one image, mean over the architectures
    peak_bytes: int  # largest
    ours_s: float  # mean over the architectures of the fastest turn
    ours_median_s: float  # ... of the median turn
    ours_cpu_s: float  # ... of the least processor time
    released_s: float
    released_median_s: float
    released_cpu_s: float
    best_s: float
    best_median_s: float
    best_cpu_s: float
    ratio_released: float  # geometric mean of ratios of the fastest turns
    released_low: float
    released_high: float
    released_cpu_ratio: float  # the same of processor times
    released_cpu_low: float
    released_cpu_high: float
    ratio_best: float  # the faster of the two PyTorch sides over ours
    best_low: float
    best_high: float
    best_cpu_ratio: float
    best_cpu_low: float
    best_cpu_high: float
    off: float  # largest relative difference of the float32 gradients
    allowed: float  # what it might have been


# ---------------------------------------------------------------------------------------------
# One architecture


class Mismatch(ValueError):
    """The two sides do not compute the same gradients."""


class Problem:
    """An architecture with images for two batches, and PyTorch's networks for it."""

    def __init__(self, case: Case, arch: str, threads: int = 1) -> None:
        import torch
        from torch_yardstick import exported

        self.case, self.arch, self.threads = case, arch, threads
        rng, size = np.random.default_rng(SEED), case.input_size
        self.x = rng.standard_normal((BATCHES * case.batch_size, 3, size, size), dtype=np.float32)
        self.y = rng.integers(0, case.num_classes, len(self.x))
        with TemporaryDirectory() as folder:
            path = Path(folder) / "net.py"
            source = zeroshot.to_torch_source(
                arch, path, weights=True, seed=SEED, input_size=size, **case.network
            )
            with np.load(path.with_suffix(".npz")) as file:
                self.state = {name: torch.from_numpy(file[name]) for name in file}
        self.classes: dict[str, Callable[[], Any]] = {
            "released": exported.compile_network(source),
            "best": exported.compile_network(exported.trim(source)),
        }

    def gradients(self, n: int, dtype: Any) -> dict[str, NDArray[np.float64]]:
        """Ours of the first n images, by PyTorch's names."""
        found = zeroshot.gradients(
            self.arch, self.x[:n], self.y[:n], batch_size=n, all_params=True, seed=SEED,
            dtype=dtype, n_threads=self.threads, **self.case.network,
        ).gradients  # fmt: skip
        size = self.case.input_size
        return {
            name: g.astype(np.float64)
            for name, g in zeroshot.torch_state(
                self.arch, {name: g[0] for name, g in found.items()}, input_size=size,
                **self.case.network,
            ).items()
        }  # fmt: skip

    def network(self, side: str) -> Any:
        """PyTorch's, as it draws it, in the layout of the side."""
        import torch

        net = self.classes[side]()
        net.prune_dead, net.per_image = side == "best", False  # what the yardstick asks for
        return net.to(memory_format=torch.channels_last) if net.prune_dead else net

    def with_weights(self, net: Any) -> Any:
        """The same with ours; statistics of batch norm stay, and are not used."""
        unknown = net.load_state_dict(
            {name: self.state[name] for name, _ in net.named_parameters()}, strict=False
        ).unexpected_keys
        assert not unknown, unknown
        return net

    def ours(self) -> float:
        return zeroshot.xi_gsnr(
            self.arch, self.x, self.y, batch_size=self.case.batch_size, seed=SEED,
            n_threads=self.threads, **self.case.network,
        )  # fmt: skip

    def torch(self, side: str, net: Any) -> float:
        from torch_yardstick import best_xi_gsnr, released_xi_gsnr

        run = best_xi_gsnr if side == "best" else released_xi_gsnr
        return run(net, self.x, self.y, batch_size=self.case.batch_size)


ALIKE = 1e-9  # of float64 gradients, to the largest of a parameter, as in tests/interchange
TIMES_F4 = 10  # the rounding of F(4x4, 3x3) over that of a direct sum
MARGIN = 4  # both sides round, which is 2, and few signs change by chance, another 2
MEANS_NOTHING = 1.0  # an allowance in which zero would pass
FEW = 4  # images in float64, where rounding needs no batch to average


def distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, str]:
    """Largest relative difference in the 2-norm over parameters, and whose it is.

    A parameter whose gradient is zero but for rounding (a bias before batch norm) is held to the
    largest norm of all; one that a trimmed network lacks has the gradient zero.
    """
    norms = {name: float(np.linalg.norm(g)) for name, g in other.items()}
    largest = max(norms.values())
    scale = {name: norm if norm > 1e-5 * largest else largest for name, norm in norms.items()}
    return max(
        (float(np.linalg.norm(one.get(name, 0.0) - other[name])) / scale[name], name)
        for name in scale
    )


def check(problem: Problem) -> tuple[float, float]:
    """Hold float32 gradients of one batch to PyTorch's: how far they are off, and may be.

    First the network: in float64 a few images have to give the same gradients each way. Then what
    is timed: float32 gradients of the first batch, ours and PyTorch's each way. How far rounding
    may move them is found from PyTorch alone: by its own other way, and by noise at each layer, of
    the size that float32 has in a sum of that length and, where it may be used, F(4x4, 3x3).

    Raises
    ------
    Mismatch
        If another number of weights is counted, if more lies between gradients than is allowed, or
        if so much is allowed that it would say nothing.
    """
    import torch
    from torch_yardstick import exported

    case, n = problem.case, problem.case.batch_size
    nets = {side: problem.with_weights(problem.network(side)) for side in problem.classes}
    layers = [
        m for m in nets["released"].modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)
    ]
    theirs = sum(layer.weight.numel() for layer in layers)
    counted = zeroshot.count(problem.arch, input_size=case.input_size, **case.network).weights
    if counted != theirs:
        raise Mismatch(f"we count {counted} weights, PyTorch {theirs}")

    x, y = problem.x[:n], problem.y[:n]
    found = {side: exported.gradients(net, x, y) for side, net in nets.items()}
    found["ours"] = problem.gradients(n, "float32")
    hooks = exported.add_noise(layers, TIMES_F4)
    found["noisy"] = exported.gradients(nets["released"], x, y)
    for hook in hooks:
        hook.remove()
    for net in nets.values():
        net.double()
    few = {side: exported.gradients(net, x[:FEW], y[:FEW]) for side, net in nets.items()}
    few["ours"] = problem.gradients(FEW, "float64")
    # behind what no image reaches, a trimmed network lacks shifts that have a gradient
    weights = {f"{name}.weight" for name, m in nets["released"].named_modules() if m in layers}

    def gap_of(side: str, some: Mapping[str, Mapping[str, Any]]) -> tuple[float, str]:
        names = some["released"] if side != "best" else weights.union(some["best"])
        return distance(some[side], {name: some["released"][name] for name in names})

    for side in ("ours", "best"):
        gap, name = gap_of(side, few)
        if not gap <= ALIKE:
            raise Mismatch(f"{side}: float64 gradients of {name} are {gap:.2g} off")

    gaps = {side: gap_of(side, found) for side in ("ours", "best", "noisy")}
    allowed = MARGIN * max(gaps["noisy"][0], gaps["best"][0])
    if not allowed < MEANS_NOTHING:
        raise Mismatch(f"rounding moves gradients by {allowed / MARGIN:.2g}: nothing to compare")
    gap, name = gaps["ours"]
    if not gap <= allowed:
        raise Mismatch(f"float32 gradients of {name} are {gap:.2g} off, {allowed:.2g} is allowed")
    return gap, allowed


# ---------------------------------------------------------------------------------------------
# Measuring

Times = dict[tuple[str, str], list[tuple[float, float]]]  # (side, architecture): wall, processor


def clock() -> NDArray[np.float64]:
    return np.array([time.perf_counter(), time.process_time()])


def turn(problem: Problem, side: str) -> tuple[float, float]:
    """Wall and processor time of one side."""
    start = clock()
    if side == "ours":
        problem.ours()
        wall, cpu = clock() - start
        return wall, cpu
    net = problem.network(side)
    built = clock() - start
    problem.with_weights(net)
    start = clock()
    problem.torch(side, net)
    wall, cpu = built + (clock() - start)
    return wall, cpu


def measure(problems: Sequence[Problem], repeats: int) -> Times:
    times: Times = {}
    for _ in range(repeats):
        for problem in problems:
            for side in SIDES:
                times.setdefault((side, problem.arch), []).append(turn(problem, side))
    return times


def costs(times: Times, archs: Sequence[str]) -> dict[str, float]:
    """The columns that are times and ratios."""
    of = {
        (side, what): [choose(t[kind] for t in times[side, a]) for a in archs]
        for side in SIDES
        for what, kind, choose in (("", 0, min), ("median_", 0, median), ("cpu_", 1, min))
    }
    columns = {f"{side}_{what}s": float(np.mean(found)) for (side, what), found in of.items()}
    for side in SIDES[1:]:
        for what, ratio in (("", f"ratio_{side}"), ("cpu_", f"{side}_cpu_ratio")):
            theirs = of[side, what]
            if side == "best":
                theirs = list(map(min, theirs, of["released", what]))
            ratios = [a / b for a, b in zip(theirs, of["ours", what], strict=True)]
            columns[ratio] = geometric_mean(ratios)
            columns[f"{side}_{what}low"], columns[f"{side}_{what}high"] = min(ratios), max(ratios)
    return columns


def plan(case: Case, arch: str, threads: int) -> Any:
    return zeroshot.plan(
        arch, scores=zeroshot.XiGsnr(batch_size=case.batch_size), n_threads=threads,
        n_rows=BATCHES * case.batch_size, input_size=case.input_size, **case.network,
    )  # fmt: skip


def row_of(case: Case, args: argparse.Namespace, load: float) -> Row:
    archs, left_out, gaps = case.archs(args.archs), 0, []
    problems = []
    for arch in archs:
        problem = Problem(case, arch, args.threads)
        try:
            gaps.append(check(problem))
            problem.ours()  # takes the memory that it keeps
            problems.append(problem)
        except Mismatch as error:
            left_out += 1
            print(f"LEFT OUT, {case.space} {arch}: {error}", file=sys.stderr)
    busy, (wall, cpu) = busy_seconds(), clock()
    times = measure(problems, args.repeats)
    busy, (wall, cpu) = busy_seconds() - busy, clock() - (wall, cpu)
    kept = [problem.arch for problem in problems]
    plans = [plan(case, arch, args.threads) for arch in kept]
    return Row(
        load=load,
        others_busy=max(0.0, (busy - cpu) / wall),
        archs=len(kept),
        left_out=left_out,
        repeats=args.repeats,
        macs=float(np.mean([p.macs for p in plans])) if plans else float("nan"),
        peak_bytes=max((p.peak_bytes for p in plans), default=0),
        off=max((gap for gap, _ in gaps), default=float("nan")),
        allowed=max((allowed for _, allowed in gaps), default=float("nan")),
        **(costs(times, kept) if kept else NOT_MEASURED),
        **fixed(case, args),
    )


def fixed(case: Case, args: argparse.Namespace) -> dict[str, Any]:
    return {
        "date": now(),
        "commit": commit(),
        "machine": machine(),
        "threads": args.threads,
        "space": case.space,
        "input_size": case.input_size,
        "channels": case.channels or 0,
        "cells": case.cells or 0,
        "num_classes": case.num_classes,
        "batches": BATCHES,
        "batch_size": case.batch_size,
    }


NOT_MEASURED = dict.fromkeys(
    (f.name for f in fields(Row) if f.name.startswith(SIDES) or f.name.startswith("ratio_")),
    float("nan"),
)


def memory_row(args: argparse.Namespace, load: float) -> Row:
    """What the largest chain of ProxylessNAS takes at 224x224 and a batch of 64; nothing is run."""
    case = Case("proxylessnas", input_size=224, batch_size=64, num_classes=1000)
    found = plan(case, LARGEST, args.threads)
    nan = float("nan")
    return Row(
        load=load, others_busy=nan, archs=1, left_out=0, repeats=0, macs=found.macs,
        peak_bytes=found.peak_bytes, off=nan, allowed=nan, **NOT_MEASURED, **fixed(case, args),
    )  # fmt: skip


def line(row: Row) -> str:
    """The row in words."""
    return (
        f"{row.space:18} {row.input_size:3} x {row.batch_size:2} {row.ours_s:7.3f} s; as released "
        f"{row.released_s:7.3f} s {row.ratio_released:5.2f} x ({row.released_low:.2f} to "
        f"{row.released_high:.2f}); best {row.best_s:7.3f} s {row.ratio_best:5.2f} x "
        f"({row.best_low:.2f} to {row.best_high:.2f}); processor time "
        f"{row.released_cpu_ratio:.2f} and {row.best_cpu_ratio:.2f} x; {row.peak_bytes / 1e6:.0f} "
        f"MB; gradients {row.off:.0e} off, {row.allowed:.0e} allowed; others {row.others_busy:.1f}"
    )


# ---------------------------------------------------------------------------------------------
# Command line


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spaces", nargs="+", choices=zeroshot.list_spaces(), metavar="SPACE")
    parser.add_argument("--archs", type=int, default=3, metavar="N", help="of each space (3)")
    parser.add_argument("--repeats", type=int, default=2, metavar="R", help="turns per side (2)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, help="in place of each space's own")
    parser.add_argument("--input-size", type=int, help="in place of each space's own")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args(argv)
    if min(args.archs, args.repeats, args.threads) < 1:
        parser.error("--archs, --repeats, --threads: expected at least 1")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, append to ``bench_spaces.csv``; 1 where a network was left out."""
    args = parse_args(argv)
    import torch

    torch.set_num_threads(args.threads)
    load, out, left_out = starting_load(), args.out / "bench_spaces.csv", 0
    for case in CASES:
        if args.spaces and case.space not in args.spaces:
            continue
        if args.batch_size:
            case = replace(case, batch_size=args.batch_size)
        if args.input_size:
            case = replace(case, input_size=args.input_size)
        row = row_of(case, args, load)
        left_out += row.left_out
        append(out, row)
        print(line(row), flush=True)
    if not args.spaces or "proxylessnas" in args.spaces:
        row = memory_row(args, load)
        append(out, row)
        print(f"proxylessnas all k7e6, {row.input_size} x {row.batch_size}: {row.peak_bytes} bytes")
    return 1 if left_out else 0


if __name__ == "__main__":
    sys.exit(main())
