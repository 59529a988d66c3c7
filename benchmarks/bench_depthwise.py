"""Backward of dilated depthwise convolutions: the kernels' ladder against PyTorch channels_last.

Both sides run in turns on one thread, for 5x5 and 3x3 filters with dilation 2 on 64 images. Ours is
build/ladders/depthwise (`make ladders`), whose rates are both gradients of the production kernel,
each by itself; PyTorch's are `torch.ops.aten.convolution_backward` with one gradient asked for.

    make ladders && python benchmarks/bench_depthwise.py
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from record import append, commit, machine, now, starting_load

HERE = Path(__file__).parent
SHAPES = ((16, 32, 5), (64, 8, 5), (16, 32, 3), (64, 8, 3))  # channels, size, filter
DIRECTIONS = {"backward-data": 0, "backward-weights": 1}
N = 64


@dataclass(frozen=True)
class Row:
    """One line of results/bench_depthwise.csv: medians over the rounds."""

    date: str
    commit: str
    machine: str
    load: float  # of the machine in the minute before the run
    table: str
    direction: str
    filter: int
    channels: int
    ours_gflops: float
    pytorch_gflops: float
    ratio: float  # ours_gflops / pytorch_gflops


def ladder(program: Path, table: str) -> dict[tuple[str, int, int], float]:
    """GF/s of the last rung that names `table`, by direction, filter and channels; 64 samples."""
    text = subprocess.run(
        [str(program), "full", table], capture_output=True, text=True, check=True
    ).stdout
    found: dict[tuple[str, int, int], float] = {}
    key = None
    for line in text.splitlines():
        title = re.match(r"(\S+) (\d)x\d\b(.*), C(\d+)-\d+ at \d+, N=(\d+)", line)
        if title:
            wanted = "dil" in title[3] and "stride" not in title[3] and title[5] == str(N)
            key = (title[1], int(title[2]), int(title[4])) if wanted else None
        rate = re.match(r"  (.*?) +([\d.]+) GF/s", line)
        if key and rate and table in rate[1]:
            found[key] = float(rate[2])
    return found


def pytorch(direction: str, channels: int, size: int, kernel: int, repeats: int) -> float:
    import torch

    torch.set_num_threads(1)
    last = torch.channels_last
    x = torch.randn(N, channels, size, size).to(memory_format=last)
    w = torch.randn(channels, 1, kernel, kernel)
    g = torch.randn(N, channels, size, size).to(memory_format=last)
    mask = [direction == "backward-data", direction == "backward-weights", False]
    pad = kernel - 1  # of dilation 2, so that the size stays

    def run() -> None:
        torch.ops.aten.convolution_backward(
            g, x, w, None, [1, 1], [pad, pad], [2, 2], False, [0, 0], channels, mask
        )

    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 2 * N * channels * size**2 * kernel**2 / median(times) / 1e9


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", default="avx512")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", type=Path, default=HERE.parent / "build/ladders/depthwise")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "bench_depthwise.csv")
    args = parser.parse_args()
    if not args.program.exists():
        parser.error(f"--program: {args.program} is not there; build it by make ladders")
    load = starting_load()
    ours: dict[tuple[str, int, int], list[float]] = {}
    theirs: dict[tuple[str, int, int], list[float]] = {}
    for _ in range(args.rounds):
        for key, rate in ladder(args.program, args.table).items():
            ours.setdefault(key, []).append(rate)
        for channels, size, kernel in SHAPES:
            for direction in DIRECTIONS:
                rate = pytorch(direction, channels, size, kernel, 5)
                theirs.setdefault((direction, kernel, channels), []).append(rate)
    date = now()
    for (direction, kernel, channels), rates in sorted(theirs.items()):
        a, b = median(ours[direction, kernel, channels]), median(rates)
        row = Row(
            date=date,
            commit=commit(),
            machine=machine(),
            load=load,
            table=args.table,
            direction=direction,
            filter=kernel,
            channels=channels,
            ours_gflops=a,
            pytorch_gflops=b,
            ratio=a / b,
        )
        append(args.out, row)
        name = f"{direction:17} {kernel}x{kernel} C{channels:<3}"
        print(f"{name} {a:7.1f} {b:7.1f} {row.ratio:6.1f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
