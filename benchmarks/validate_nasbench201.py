"""Rank correlation on NAS-Bench-201 cells with their trained accuracies, beside trivial controls.

    python benchmarks/validate_nasbench201.py --images cifar10_sample.npz --table nasbench201.csv.gz

`--images` is an npz file with `train_images` and `train_labels` (uint8 N x 32 x 32 x 3) or what
`zeroshot.data.load` reads; `--table` a CSV file, plain or gzipped, with the columns `index` and
`cifar10_test` (200 epochs, per cent). `--order`, if given, is a CSV file with the columns
`dataset`, `index` and `rank`: the order of published scores, with which the accumulated score is
compared. Needs SciPy (the extra `stats`).

Writes results/validate_nasbench201.csv, one row a score, and the scores themselves beside it.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import zeroshot
from zeroshot import data, stats
from zeroshot.spaces import nasbench201

RESULTS = Path(__file__).resolve().parent / "results"


def read_table(path: Path) -> list[dict[str, str]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    return list(csv.DictReader(io.StringIO(text)))


def read_images(path: Path) -> data.Images:
    if path.suffix == ".npz":
        return data.read_npz(path, images="train_images", labels="train_labels")
    return data.load(path)


def control_scores(archs: Sequence[str]) -> dict[str, list[float]]:
    counts = [zeroshot.count(a) for a in archs]
    return {
        "weights": [float(c.weights) for c in counts],
        "live_weights": [float(c.live_weights) for c in counts],
        "macs": [float(c.macs) for c in counts],
        "thop_flops": [float(c.thop_flops) for c in counts],
    }


def report(
    columns: Mapping[str, Sequence[float]], accuracy: NDArray[np.float64]
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    found = stats.correlate(columns, accuracy, n_resamples=1000, fractions=())
    for row in found:
        rows.append(
            {
                "score": row.label,
                "cells": row.n,
                "spearman": row.spearman,
                "low": row.spearman_low,
                "high": row.spearman_high,
                "kendall": row.kendall,
            }
        )
        print(
            f"{row.label:<22} rho {row.spearman:7.4f} [{row.spearman_low:.3f}, "
            f"{row.spearman_high:.3f}]  tau {row.kendall:7.4f}",
            flush=True,
        )
    return rows


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--order", type=Path)
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--order-cells", type=int, default=100)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()

    table = {int(row["index"]): float(row["cifar10_test"]) for row in read_table(args.table)}
    chosen = np.random.default_rng(1).choice(15625, args.cells, replace=False)
    archs = [nasbench201.from_index(int(i)) for i in chosen]
    accuracy = np.array([table[int(i)] for i in chosen])
    batches = data.draw_batches(
        read_images(args.images), batch_size=64, n_batches=8, seed=1, preset="cifar10"
    )
    x, y = batches.x, batches.y

    begin = time.perf_counter()
    found = zeroshot.find_sweet_interval(archs[:100], x[:64], y[:64], n_threads=args.threads)
    searched = time.perf_counter() - begin
    print(f"Algorithm 1 on 100 cells, {searched:.1f} s: [{found.lo:g}, {found.hi:g})")

    begin = time.perf_counter()
    results = zeroshot.score_many(
        archs,
        x,
        y,
        scores=[
            zeroshot.XiGsnr(),
            zeroshot.XiGsnr(accumulate=True, label="xi_gsnr_accumulated"),
            zeroshot.GradSign(n_samples=64),
            zeroshot.Sweet(found.lo, found.hi, label="sweet_algorithm1"),
            zeroshot.Sweet(1e-4, 5e-4, label="sweet_released"),
        ],
        n_threads=args.threads,
    )
    seconds = time.perf_counter() - begin
    print(f"{len(archs)} cells, all scores: {seconds:.1f} s, {seconds / len(archs):.2f} s a cell")
    columns = {label: [r[label] for r in results] for label in results[0].scores}
    columns |= control_scores(archs)
    write(RESULTS / "validate_nasbench201.csv", report(columns, accuracy))
    write(
        RESULTS / "validate_nasbench201_scores.csv",
        [
            {"index": int(i), "arch": a, "cifar10_test": t} | {k: v[n] for k, v in columns.items()}
            for n, (i, a, t) in enumerate(zip(chosen, archs, accuracy, strict=True))
        ],
    )

    if args.order:
        rows = [r for r in read_table(args.order) if r["dataset"] == "cifar10"][: args.order_cells]
        ordered = [nasbench201.from_index(int(r["index"])) for r in rows]
        accumulated = zeroshot.score_many(
            ordered, x, y, scores=zeroshot.XiGsnr(accumulate=True), n_threads=args.threads
        )
        rho = stats.spearman([r.value for r in accumulated], [float(r["rank"]) for r in rows]).value
        print(f"accumulated score against the published order of {len(rows)} cells: rho {rho:.4f}")


if __name__ == "__main__":
    main()
