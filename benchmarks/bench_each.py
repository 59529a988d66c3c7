"""Each score that a zero-cost benchmark knows, alone, against plain PyTorch in float32.

    python benchmarks/bench_each.py

PyTorch's side is `tests/scores/torch_scores.py`, which the tests hold to 1e-8 of ours in float64:
the definition by autograd on an NCHW network, without tricks, as a script would have it. The six
scores with a released way of their own are in `bench_joint.py`. Full-size NAS-Bench-201 networks,
64 images (the condition number takes 16), one thread; ours and PyTorch take turns. Appends to
results/bench_each.csv.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from record import append, clock, commit, machine, now, starting_load

import zeroshot
from zeroshot.scores import SCORES

HERE = Path(__file__).resolve().parent
SEED = 0
IMAGES = 64
# One of many 3x3, one of each operation, one of pools and 1x1.
CELLS = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_1x1~2|",
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_1x1~2|",
)
OWN: dict[str, Any] = {"input": "data", "init": None}


@dataclass(frozen=True)
class Row:
    """One line of results/bench_each.csv: a score, over the cells."""

    date: str
    commit: str
    machine: str
    load: float
    threads: int
    score: str
    images: int
    cells: int
    repeats: int
    ours_s: float
    torch_s: float
    ratio: float
    ratio_low: float
    ratio_high: float
    cpu_ratio: float


def torch_ways() -> dict[str, tuple[Callable[[Any], Any], dict[str, Any], int]]:
    """PyTorch's function, our parameters, and the images that both take."""
    sys.path.insert(0, str(HERE.parent))
    ts = importlib.import_module("tests.scores.torch_scores")
    return {
        "plain": (ts.plain, {}, IMAGES),
        "fisher": (partial(ts.fisher, per_channel=False), {}, IMAGES),
        "grasp": (ts.grasp, {}, IMAGES),
        "jacob_cov": (ts.jacob_cov, {}, IMAGES),
        "epe_nas": (partial(ts.epe_nas, many=False), {}, IMAGES),
        "linear_regions": (ts.linear_regions, {}, IMAGES),
        "swap": (ts.swap, {"init": None}, 16),
        "zen": (ts.zen, {**OWN, "batch_size": IMAGES // 2}, IMAGES),
        "zico": (partial(ts.zico, n_batches=2), {"n_batches": 2, "batch_size": 32}, IMAGES),
        "meco": (ts.meco, {}, IMAGES),
        "az_expressivity": (ts.az_expressivity, OWN, IMAGES),
        "ntk_condition": (ts.ntk_condition, {}, 16),
    }


def torch_score(function: Callable[[Any], Any], arch: str, x: Any, y: Any) -> object:
    from torch_yardstick.network import build

    case = sys.modules["tests.scores.torch_scores"].Case
    return function(case(build(arch, SEED), x, y))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--scores", nargs="+", default=None)
    args = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    ways = torch_ways()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((IMAGES, 3, 32, 32), dtype=np.float32)
    y = rng.integers(0, 10, IMAGES)
    load = starting_load()
    for name in args.scores or ways:
        function, parameters, images = ways[name]
        wanted = SCORES[name](**{"batch_size": images, **parameters})
        ours: dict[str, list[tuple[float, float]]] = {arch: [] for arch in CELLS}
        theirs: dict[str, list[tuple[float, float]]] = {arch: [] for arch in CELLS}
        for _ in range(args.repeats):
            for arch in CELLS:
                one = partial(zeroshot.score, arch, x, y, scores=wanted, n_threads=1, seed=SEED)
                ours[arch].append(clock(one))
                other = partial(torch_score, function, arch, x[:images], y[:images])
                theirs[arch].append(clock(other))
        wall, cpu = (
            [min(t[k] for t in theirs[a]) / min(t[k] for t in ours[a]) for a in CELLS]
            for k in (0, 1)
        )
        row = Row(
            date=now(),
            commit=commit(),
            machine=machine(),
            load=load,
            threads=1,
            score=name,
            images=images,
            cells=len(CELLS),
            repeats=args.repeats,
            ours_s=sum(min(t[0] for t in ours[a]) for a in CELLS),
            torch_s=sum(min(t[0] for t in theirs[a]) for a in CELLS),
            ratio=float(np.exp(np.mean(np.log(wall)))),
            ratio_low=min(wall),
            ratio_high=max(wall),
            cpu_ratio=float(np.exp(np.mean(np.log(cpu)))),
        )
        print(
            f"{name:16} {row.ours_s:7.3f} s {row.torch_s:8.3f} s {row.ratio:6.2f} x "
            f"({row.ratio_low:.2f} to {row.ratio_high:.2f}); processor time {row.cpu_ratio:.2f} x",
            flush=True,
        )
        append(HERE / "results" / "bench_each.csv", row)


if __name__ == "__main__":
    main()
