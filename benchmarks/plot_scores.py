"""Draw results/bench_scores.csv: how many times faster each cell is, how near the peak.

The last one-thread row of each score and cell is shown. The right panel is a roofline for direct
sums: a score that makes every multiply-add of the definition cannot pass the line of the peak; fast
convolutions need fewer.

    python benchmarks/plot_scores.py            # writes results/bench_scores.png
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
NAMES = {"xi_gsnr": "xi-GSNR", "gradsign": "GradSign", "sweet": "Sweetimator"}
COLOURS = {"xi_gsnr": "#0b6e99", "gradsign": "#c75b12", "sweet": "#5c8a3a"}


def last_rows(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    """By score and cell, the last row that one thread measured on all three sides."""
    found: dict[str, dict[str, dict[str, str]]] = {name: {} for name in NAMES}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            complete = "nan" not in (row["ratio_released"], row["ratio_best"])
            if row["threads"] == "1" and complete and not row["arch"].startswith("list"):
                found[row["score"]][row["arch"]] = row
    return found


def draw(path: Path, out: Path) -> None:
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("the plot needs matplotlib: pip install 'zeroshot[plot]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    rows = last_rows(path)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    peak = 0.0
    for score, cells in rows.items():
        ordered = sorted(cells.values(), key=lambda row: float(row["live_gmacs"]))
        work = [1e3 * float(row["live_gmacs"]) for row in ordered]
        style = {"color": COLOURS[score], "s": 26, "linewidths": 1.2}
        for side, marker, fill in (("released", "o", COLOURS[score]), ("best", "o", "none")):
            ratios = [float(row[f"ratio_{side}"]) for row in ordered]
            left.scatter(work, ratios, marker=marker, **{**style, "facecolors": fill})
        rates = [float(row["ours_gflops"]) for row in ordered]
        right.scatter(work, rates, label=NAMES[score], **style)
        peak = max([peak, *(float(row["peak_gflops"]) for row in ordered)])
    left.axhline(1, color="0.6", linewidth=0.8)
    left.set_yscale("log")
    ticks = [0.5, 1, 2, 4, 8, 16, 32]
    left.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    left.minorticks_off()
    left.set_ylabel("time of PyTorch / time of zeroshot")
    left.set_title("filled: as released; open: the best PyTorch", fontsize=10)
    right.axhline(peak, color="0.3", linewidth=0.8)
    right.annotate(f"FP32 peak,\n{peak:.0f} GF/s", (0.11, peak), fontsize=8, va="bottom",
                   xycoords=("axes fraction", "data"))  # fmt: skip
    right.set_ylim(bottom=0)
    right.set_ylabel("GF/s (6 FLOP a live multiply-add and image)")
    right.legend(frameon=False, loc="lower right")
    for axes in (left, right):
        axes.set_xlabel("million live multiply-adds of an image")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=150)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS / "bench_scores.csv")
    parser.add_argument("--out", type=Path, default=RESULTS / "bench_scores.png")
    args = parser.parse_args()
    draw(args.results, args.out)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
