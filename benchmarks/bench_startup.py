"""Time from the start of a process to its first score, against ``import torch`` alone.

Each time is the wall clock of a fresh process, from its start until it has ended. The sides take
turns (ours, numpy, torch, ours, ...), so that a drift of the machine meets all of them. Ours draws
the images, imports `zeroshot` and computes xi-GSNR of one cell of NAS-Bench-201 (16 channels, one
cell a stage) on two batches of 8 images of 32x32; the others import one module and do nothing. A
first turn, which is not counted, writes the bytecode and fills the page cache.

    python benchmarks/bench_startup.py

See README.md in this folder for the columns of results/bench_startup.csv.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench_scores import bench_archs
from record import append, commit, machine, now, starting_load

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Row", "main"]

OURS = """\
import sys
import numpy as np
import zeroshot
x = np.random.default_rng(0).standard_normal((16, 3, 32, 32), dtype=np.float32)
y = np.arange(16) % 10
assert zeroshot.xi_gsnr(sys.argv[1], x, y, batch_size=8, cells=1) > 0
"""
SIDES = {
    "ours": OURS,
    "import_zeroshot": "import zeroshot",
    "numpy": "import numpy",
    "torch": "import torch",
}


@dataclass(frozen=True)
class Row:
    """One line of results/bench_startup.csv; what was not measured is nan."""

    date: str
    commit: str
    machine: str
    load: float  # of the machine in the minute before the run
    arch: str
    repeats: int
    ours_median_s: float
    ours_min_s: float
    ours_max_s: float
    import_zeroshot_median_s: float
    numpy_median_s: float
    torch_median_s: float
    torch_min_s: float
    torch_max_s: float
    ratio: float  # ours_median_s / torch_median_s


def seconds(code: str, arch: str) -> float:
    """Wall clock of a fresh Python that runs `code`."""
    root = Path(__file__).resolve().parents[1]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if list(root.glob("zeroshot/_core.*.so")):  # built in place: that one, else the installed one
        environment["PYTHONPATH"] = str(root)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, arch], cwd=root.anchor, env=environment, check=True)
    return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, append to ``bench_startup.csv``; see ``--help``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=9, metavar="R", help="turns, at least 1")
    parser.add_argument("--arch", default=bench_archs(1)[0], help="the cell, as a string")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error("--repeats: expected at least 1")
    load = starting_load()
    sides = dict(SIDES)
    if importlib.util.find_spec("torch") is None:
        del sides["torch"]
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for turn in range(1 + args.repeats):
        for side, code in sides.items():
            took = seconds(code, args.arch)
            if turn > 0:
                times[side].append(took)
    middle = {side: median(took) if took else float("nan") for side, took in times.items()}
    least = {side: min(took, default=float("nan")) for side, took in times.items()}
    most = {side: max(took, default=float("nan")) for side, took in times.items()}
    for side in sides:
        print(f"{side:16} {middle[side]:.3f} s ({least[side]:.3f} to {most[side]:.3f})")
    row = Row(
        date=now(),
        commit=commit(),
        machine=machine(),
        load=load,
        arch=args.arch,
        repeats=args.repeats,
        ours_median_s=middle["ours"],
        ours_min_s=least["ours"],
        ours_max_s=most["ours"],
        import_zeroshot_median_s=middle["import_zeroshot"],
        numpy_median_s=middle["numpy"],
        torch_median_s=middle["torch"],
        torch_min_s=least["torch"],
        torch_max_s=most["torch"],
        ratio=middle["ours"] / middle["torch"],
    )
    append(args.out / "bench_startup.csv", row)
    print(f"process start to first score / import torch: {row.ratio:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
