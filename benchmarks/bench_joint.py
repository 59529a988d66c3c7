"""Six scores of a cell in one call of `zeroshot.score`, against one after another in PyTorch.

PyTorch runs each score as it was released (`torch_yardstick/zero_cost.py`): xi-GSNR on 8 batches of
64, GradSign, Sweetimator, SNIP, GradNorm and NASWOT on the first. The sides take turns cell by cell
(joint call; each score alone, ours and PyTorch's; the next cell), from the same weights and images.
Each time includes parsing, building and drawing the weights. PyTorch's time for the joint call is
the sum of its six. A score that `zeroshot` does not have is left out on both sides, and said so.

    python benchmarks/bench_joint.py --subset 4 --threads 1 --repeats 1

See README.md in this folder for the columns of results/bench_joint.csv.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from bench_scores import SWEET, Data, bench_archs, difference, make_data
from record import append, busy_seconds, commit, machine, now, starting_load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["JOINT", "Row", "main"]

JOINT = "joint"
SCORES = ("xi_gsnr", "gradsign", "sweet", "snip", "grad_norm", "naswot")
FIRST_PASS = {"sweet", "snip", "grad_norm"}  # of the gradients of xi_gsnr's first batch
SEED = 0  # of the weights
QUIET = 0.1  # processors that others may keep busy


class Timed(NamedTuple):
    """What one run took and gave."""

    wall: float
    cpu: float  # of all threads of this process
    values: list[float]


Times = dict[tuple[str, str, str], list[Timed]]  # (side, score, cell): one per turn


@dataclass(frozen=True)
class Row:
    """One line of results/bench_joint.csv: a score, or all in one call, over the cells."""

    date: str
    commit: str
    machine: str
    load: float  # of the machine in the minute before the run
    others_busy: float  # processors that other processes kept busy while this was measured
    threads: int
    score: str  # or "joint"
    scores: str  # what the joint call has
    left_out: str  # what it ought to have
    archs: str  # places in the yardstick list, or the cells
    batches: int
    batch_size: int
    repeats: int
    ours_s: float  # sum over the cells of the fastest turn
    released_s: float
    ratio: float  # geometric mean over the cells of released / ours
    ratio_low: float
    ratio_high: float
    cpu_ratio: float  # the same of processor times
    shared_ratio: float  # of times, if PyTorch had the scores of one gradient for nothing
    ours_vs_released: float  # largest relative difference of values


# ---------------------------------------------------------------------------------------------
# The two sides


def ours(score: str, names: Sequence[str], arch: str, data: Data, threads: int) -> list[float]:
    """Values of `names` by one call, or of one score by a call of its own."""
    import zeroshot
    from zeroshot.scores import SCORES as known

    parameters: dict[str, dict[str, Any]] = {
        "xi_gsnr": {"batch_size": data.batch_size},
        "gradsign": {"n_samples": data.batch_size},
        "sweet": {**SWEET, "batch_size": data.batch_size},
        "naswot": {"which": "wrappers", "batch_size": data.batch_size},
    }
    usual = {"batch_size": data.batch_size}
    wanted = [
        known[name](**parameters.get(name, usual))
        for name in (names if score == JOINT else [score])
    ]
    result = zeroshot.score(arch, data.x, data.y, scores=wanted, n_threads=threads, seed=SEED)
    return [float(value) for value in result.values.values()]


def released(score: str, arch: str, data: Data, threads: int) -> list[float]:
    import torch
    from torch_yardstick import zero_cost

    torch.set_num_threads(threads)
    size = {"batch_size": data.batch_size, "seed": SEED}
    return [zero_cost.released_score(score, arch, data.x, data.y, **size)]


def known_scores() -> tuple[list[str], list[str]]:
    """Those of `SCORES` that `zeroshot` has, and those that it lacks."""
    try:
        from zeroshot.scores import SCORES as known
    except ImportError as error:
        raise ImportError("needs the built package: pip install -e .") from error

    return [s for s in SCORES if s in known], [s for s in SCORES if s not in known]


# ---------------------------------------------------------------------------------------------
# Measuring


def timed(run: Callable[[], list[float]]) -> Timed:
    cpu, wall = time.process_time(), time.perf_counter()
    values = run()
    return Timed(time.perf_counter() - wall, time.process_time() - cpu, values)


def together(parts: Sequence[Timed]) -> Timed:
    """One after another."""
    values = [value for part in parts for value in part.values]
    return Timed(sum(part.wall for part in parts), sum(part.cpu for part in parts), values)


def measure(
    archs: Sequence[str], names: Sequence[str], data: Data, threads: int, repeats: int
) -> Times:
    """Let the sides take turns, `repeats` times over all cells."""
    times: Times = {}
    for _ in range(repeats):
        for arch in archs:
            runs: dict[tuple[str, str], Callable[[], list[float]]] = {
                ("ours", JOINT): partial(ours, JOINT, names, arch, data, threads)
            }
            for name in names:
                runs["ours", name] = partial(ours, name, names, arch, data, threads)
                runs["released", name] = partial(released, name, arch, data, threads)
            turn = {key: timed(run) for key, run in runs.items()}
            turn["released", JOINT] = together([turn["released", name] for name in names])
            kept = [name for name in names if name not in FIRST_PASS]
            turn["shared", JOINT] = together([turn["released", name] for name in kept])
            turn.update({("shared", name): turn["released", name] for name in names})
            for (side, name), result in turn.items():
                times.setdefault((side, name, arch), []).append(result)
            one, other = turn["ours", JOINT].wall, turn["released", JOINT].wall
            print(f"  {threads} {one:7.3f} s {other:7.3f} s {other / one:6.2f} x  {arch}")
            sys.stdout.flush()
    return times


def rows_of(
    times: Times, archs: Sequence[str], names: Sequence[str], fixed: dict[str, Any]
) -> list[Row]:
    def of(side: str, score: str, cost: str) -> list[float]:
        """Fastest turns, by cell."""
        return [min(map(attrgetter(cost), times[side, score, arch])) for arch in archs]

    def over(side: str, score: str, cost: str) -> list[float]:
        pairs = zip(of(side, score, cost), of("ours", score, cost), strict=True)
        return [theirs / mine for theirs, mine in pairs]

    rows = []
    for score in (JOINT, *names):
        ratio = over("released", score, "wall")
        gaps = [
            difference(times["ours", score, a][-1].values, times["released", score, a][-1].values)
            for a in archs
        ]
        row = Row(
            score=score,
            ours_s=sum(of("ours", score, "wall")),
            released_s=sum(of("released", score, "wall")),
            ratio=geometric_mean(ratio),
            ratio_low=min(ratio),
            ratio_high=max(ratio),
            cpu_ratio=geometric_mean(over("released", score, "cpu")),
            shared_ratio=geometric_mean(over("shared", score, "wall")),
            ours_vs_released=max(gaps),
            **fixed,
        )
        rows.append(row)
    return rows


def line(row: Row) -> str:
    """The row in words."""
    return (
        f"{row.score:10} {row.threads} thread(s) {row.ours_s:8.3f} s {row.released_s:8.3f} s "
        f"{row.ratio:6.2f} x ({row.ratio_low:.2f} to {row.ratio_high:.2f}); processor time "
        f"{row.cpu_ratio:.2f} x; passes shared {row.shared_ratio:.2f} x; "
        f"values differ by {row.ours_vs_released:.0e}"
    )


# ---------------------------------------------------------------------------------------------
# Command line


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", nargs="*", metavar="ARCH", help="cells, in place of the list")
    parser.add_argument(
        "--subset", type=int, default=8, metavar="K", help="K of the list of 24, evenly spread (8)"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=2, metavar="R")
    parser.add_argument("--batches", type=int, default=8, help="batches of xi_gsnr, at least 2")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args(argv)
    if min(args.subset, args.repeats, args.batch_size, *args.threads) < 1:
        parser.error("--subset, --repeats, --batch-size, --threads: expected at least 1")
    if args.batches < 2:
        parser.error("--batches: expected at least 2, xi-GSNR needs a variance")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, append to ``bench_joint.csv``; see ``--help``."""
    args = parse_args(argv)
    archs, text = list(args.cells), " ".join(args.cells)
    if not archs:
        every = bench_archs()
        picks = np.linspace(0, len(every) - 1, min(args.subset, len(every))).round().astype(int)
        archs, text = [every[i] for i in picks], " ".join(map(str, picks))
    data = make_data(args.batches, args.batch_size)
    names, left_out = known_scores()
    if left_out:
        print(f"LEFT OUT, not in zeroshot: {', '.join(left_out)}", file=sys.stderr)
    load = starting_load()
    print(f"all of {', '.join(names)}: threads, one call, one after another, ratio, cell")
    summary = []
    for threads in args.threads:
        few = Data(data.x[: 2 * args.batch_size], data.y[: 2 * args.batch_size], args.batch_size)
        for name in names:  # imports, thread pools, oneDNN's code
            ours(name, names, archs[0], few, threads)
            released(name, archs[0], few, threads)
        busy, cpu, wall = busy_seconds(), time.process_time(), time.perf_counter()
        times = measure(archs, names, data, threads, args.repeats)
        busy, cpu = busy_seconds() - busy, time.process_time() - cpu
        fixed = {
            "date": now(),
            "commit": commit(),
            "machine": machine(),
            "load": load,
            "others_busy": max(0.0, (busy - cpu) / (time.perf_counter() - wall)),
            "threads": threads,
            "scores": " ".join(names),
            "left_out": " ".join(left_out),
            "archs": text,
            "batches": args.batches,
            "batch_size": args.batch_size,
            "repeats": args.repeats,
        }
        for row in rows_of(times, archs, names, fixed):
            append(args.out / "bench_joint.csv", row)
            summary.append(line(row))
        if not fixed["others_busy"] <= QUIET:
            summary.append(
                f"WARNING: other processes kept {fixed['others_busy']:.2f} processors busy; "
                f"the rows of {threads} thread(s) are no evidence"
            )
    print(f"== {len(archs)} cells, load {load:.2f} at the start", *summary, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
