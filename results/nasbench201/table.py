"""The table of this folder: every score of a store beside the published numbers.

    python table.py all.sqlite nasbench201.csv.gz

Writes scores.csv.gz (an architecture a row), table.csv and table.md. With a second argument alone,
the table is made of the scores.csv.gz that is there. Needs SciPy (the extra `stats`).
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import zeroshot
from zeroshot import stats

HERE = Path(__file__).parent
TARGET = "cifar10_test"

# Label: what it is, and the method's name in the papers.
SCORES = {
    "xi_gsnr": ("xi-GSNR, as in the paper", "xi-GSNR"),
    "xi_gsnr_accumulated": ("xi-GSNR, as released (`accumulate=True`)", "xi-GSNR"),
    "sweet": ("Sweetimator, released interval", "Sweetimator"),
    "gradsign": ("GradSign", "GradSign"),
    "zico": ("ZiCo, two batches", "ZiCo"),
    "naswot": ("NASWOT, plain ReLUs", None),
    "jacob_cov": ("jacob_cov, NASWOT's first version", "NASWOT"),
    "synflow": ("SynFlow", "SynFlow"),
    "snip": ("SNIP", "SNIP"),
    "grad_norm": ("GradNorm", "GradNorm"),
    "meco": ("MeCo", None),
    "params": ("weights", "Parameters"),
    "flops": ("multiply-adds, as thop counts", "FLOPs"),
    "live_weights": ("live weights", None),
}
COLUMNS = (
    "label", "score", "n", "spearman", "low", "high", "published_spearman", "kendall",
    "kendall_low", "kendall_high", "published_kendall", "precision_at_10_percent",
    "top_decile_spearman", "given_live_weights", "given_weights", "no_number",
)  # fmt: skip

Columns = dict[str, NDArray[np.float64]]


def write_scores(store: Path) -> None:
    with zeroshot.Store(store, create=False) as opened:
        table = opened.scores()
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["arch", *table.values])
    for i, arch in enumerate(table.archs):
        row = [table.values[label][i] for label in table.values]
        out.writerow([arch, *("" if math.isnan(v) else repr(float(v)) for v in row)])
    # without a name and a time, equal scores give equal files
    packed = gzip.compress(text.getvalue().encode(), mtime=0)
    (HERE / "scores.csv.gz").write_bytes(packed)


def read_scores() -> tuple[list[str], Columns]:
    with gzip.open(HERE / "scores.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = [label for label in rows[0] if label != "arch"]
    values = {label: np.array([float(r[label] or "nan") for r in rows]) for label in labels}
    return [row["arch"] for row in rows], values


def published_value(method: str | None, metric: str) -> float | None:
    for paper in ("xi-gsnr", "sweetimator"):
        for row in zeroshot.published(paper, 1):
            if (row.method, row.space, row.dataset, row.metric) == (
                method, "nasbench201", "cifar10", metric
            ):  # fmt: skip
                return row.value
    return None


def make_rows(values: Columns, accuracy: NDArray[np.float64]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    known = {"live": values["live_weights"], "weights": values["params"]}
    for label, (text, method) in SCORES.items():
        (row,) = stats.correlate({label: values[label]}, accuracy, given=known, fractions=(0.1,))
        given = dict(row.given)
        if label == "live_weights":
            given["live"] = math.nan
        if label == "params":
            given["weights"] = math.nan
        found = (
            label, text, row.n, row.spearman, row.spearman_low, row.spearman_high,
            published_value(method, "spearman"), row.kendall, row.kendall_low, row.kendall_high,
            published_value(method, "kendall"), row.precision[0.1], row.top, given["live"],
            given["weights"], row.n_nan,
        )  # fmt: skip
        rows.append(dict(zip(COLUMNS, found, strict=True)))
    return sorted(rows, key=lambda row: -float(row["spearman"]))  # type: ignore[arg-type]


def show(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write_table(rows: list[dict[str, object]]) -> None:
    with (HERE / "table.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        out.writeheader()
        out.writerows({k: "" if show(v) == "" else v for k, v in row.items()} for row in rows)
    lines = [
        "| score | cells | Spearman (95 %) | published | Kendall (95 %) | published "
        "| P@10 % | given live weights | given weights |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = {name: show(row[name]) for name in COLUMNS}
        lines.append(
            "| {score} | {n} | {spearman} ({low} to {high}) | {published_spearman} "
            "| {kendall} ({kendall_low} to {kendall_high}) | {published_kendall} "
            "| {precision_at_10_percent} | {given_live_weights} | {given_weights} |".format(**cells)
        )
    (HERE / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    *store, accuracies = map(Path, sys.argv[1:])
    if store:
        write_scores(store[0])
    archs, values = read_scores()
    benchmark = zeroshot.read_benchmark(accuracies, space="nasbench201")
    rows_of = [benchmark.lookup(arch) for arch in archs]
    every = benchmark.accuracy(TARGET)
    accuracy = np.array([math.nan if row is None else every[row] for row in rows_of])
    write_table(make_rows(values, accuracy))


if __name__ == "__main__":
    main()
