"""What a store costs: `zeroshot.run_experiment` against `zeroshot.score_many`.

    python benchmarks/bench_runner.py

The same random architectures of NAS-Bench-201 by the same scores, on the same images, by one
thread: into a fresh store on disk, and into a list. Counting (`params`, `flops`) takes a few
milliseconds an architecture and shows what the runner adds to each; xi-GSNR of two batches of 64
shows what remains of it in real work. Then the same run once more, which finds all it asks for.
The sides take turns; of their ratios the median is told, and the range. Appends to
results/bench_runner.csv.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from record import append, clock, commit, machine, now, starting_load

import zeroshot
from zeroshot.spaces import get_space

HERE = Path(__file__).resolve().parent
# Scores, and how many architectures.
CASES: dict[str, tuple[tuple[str, ...], int]] = {
    "counting": (("params", "flops"), 400),
    "xi_gsnr": (("xi_gsnr",), 8),
}


@dataclass(frozen=True)
class Row:
    """One line of results/bench_runner.csv; seconds are medians, ratios those of turns."""

    date: str
    commit: str
    machine: str
    load: float
    workers: int
    executor: str
    case: str
    archs: int
    repeats: int
    many_s: float
    run_s: float
    again_s: float
    ratio: float
    ratio_low: float
    ratio_high: float
    cpu_ratio: float
    again_ratio: float


def measure(case: str, n_archs: int, repeats: int, executor: str, data: Any) -> tuple[Any, ...]:
    """Seconds of each turn: of the list, of the run, of the run again."""
    scores = CASES[case][0]
    archs = get_space("nasbench201").sample(n_archs, 1)
    experiment = zeroshot.Experiment(scores=scores, archs=archs)
    many, first, again = [], [], []

    def listed() -> None:
        zeroshot.score_many(archs, *data, scores=scores, n_threads=1)

    with tempfile.TemporaryDirectory() as folder:
        for turn in range(repeats):
            path = Path(folder) / f"{turn}.sqlite"

            def run(path: Path = path) -> None:
                zeroshot.run_experiment(experiment, path, data=data, workers=1, executor=executor)

            if turn % 2:
                first.append(clock(run))
                many.append(clock(listed))
            else:
                many.append(clock(listed))
                first.append(clock(run))
            again.append(clock(run))
    return many, first, again


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--executor", choices=("threads", "processes"), default="threads")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    data = rng.standard_normal((128, 3, 32, 32), dtype=np.float32), rng.integers(0, 10, 128)
    load = starting_load()
    for case in args.cases:
        n_archs = CASES[case][1]
        measure(case, 2, 1, args.executor, data)  # imports and first calls
        many, first, again = measure(case, n_archs, args.repeats, args.executor, data)
        ratios = [f[0] / m[0] for f, m in zip(first, many, strict=True)]
        row = Row(
            date=now(),
            commit=commit(),
            machine=machine(),
            load=load,
            workers=1,
            executor=args.executor,
            case=case,
            archs=n_archs,
            repeats=args.repeats,
            many_s=statistics.median(t[0] for t in many),
            run_s=statistics.median(t[0] for t in first),
            again_s=statistics.median(t[0] for t in again),
            ratio=statistics.median(ratios),
            ratio_low=min(ratios),
            ratio_high=max(ratios),
            cpu_ratio=statistics.median(f[1] / m[1] for f, m in zip(first, many, strict=True)),
            again_ratio=statistics.median(a[0] / m[0] for a, m in zip(again, many, strict=True)),
        )
        print(
            f"{case:10} {row.many_s:7.3f} s in a list, {row.run_s:7.3f} s in a store: "
            f"{row.ratio:.3f} x ({row.ratio_low:.3f} to {row.ratio_high:.3f}), processor time "
            f"{row.cpu_ratio:.3f} x; once more {row.again_ratio:.3f} x",
            flush=True,
        )
        append(HERE / "results" / "bench_runner.csv", row)


if __name__ == "__main__":
    main()
