"""What a convolution algorithm costs a score: `algo=` against the default, in one run.

    python benchmarks/bench_algo.py

Ours alone, one thread, the cells and sizes of `bench_scores.py`. The algorithms take turns, and a
cell's time is its least processor time; a line has the geometric mean and range over cells of
that time by the default's. Appends to results/bench_algo.csv.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_scores import Data, bench_archs, make_data
from record import append, clock, commit, machine, now, starting_load

import zeroshot
from zeroshot import scores

HERE = Path(__file__).resolve().parent
ALGOS = ("auto", "direct", "f2", "f4")
SCORES = {
    "xi_gsnr": scores.XiGsnr(batch_size=64),
    "gradsign": scores.GradSign(n_samples=64),
    "sweet": scores.Sweet(lo=1e-4, hi=5e-4),
}


@dataclass(frozen=True)
class Row:
    """One line of results/bench_algo.csv: an algorithm against the default."""

    date: str
    commit: str
    machine: str
    load: float
    score: str
    algo: str
    cells: int
    repeats: int
    cpu_s: float
    by_default: float
    low: float
    high: float


def ours(name: str, arch: str, data: Data, algo: Any) -> None:
    zeroshot.score(arch, data.x, data.y, scores=SCORES[name], n_threads=1, algo=algo)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archs", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scores", nargs="+", choices=SCORES, default=list(SCORES))
    args = parser.parse_args()
    archs = bench_archs(args.archs)
    data = make_data(8, 64)
    load = starting_load()
    for name in args.scores:
        for arch in archs[:2]:  # first calls, and memory that later ones have
            ours(name, arch, data, "auto")
        least = {(algo, arch): np.inf for algo in ALGOS for arch in archs}
        for _ in range(args.repeats):
            for arch in archs:
                for algo in ALGOS:
                    run = partial(ours, name, arch, data, algo)
                    least[algo, arch] = min(least[algo, arch], clock(run)[1])
        for algo in ALGOS:
            ratio = np.array([least[algo, arch] / least["auto", arch] for arch in archs])
            row = Row(
                date=now(),
                commit=commit(),
                machine=machine(),
                load=load,
                score=name,
                algo=algo,
                cells=len(archs),
                repeats=args.repeats,
                cpu_s=sum(least[algo, arch] for arch in archs),
                by_default=float(np.exp(np.log(ratio).mean())),
                low=float(ratio.min()),
                high=float(ratio.max()),
            )
            print(
                f"{name:10} {algo:7} {row.cpu_s:8.3f} s  {row.by_default:.3f} "
                f"({row.low:.3f} to {row.high:.3f}) of the default's",
                flush=True,
            )
            append(HERE / "results" / "bench_algo.csv", row)


if __name__ == "__main__":
    main()
