"""Every score on NAS-Bench-201 cells: rank correlation with accuracy, and with published scores.

    python benchmarks/validate_scores.py accuracy  --images I.npz --table nasbench201.csv.gz
    python benchmarks/validate_scores.py published --images I.npz --table nasbench201.csv.gz \\
        --scores nasbench201_reference_scores_large.csv.gz

`accuracy` draws random cells and sets each score beside the test accuracy after 200 epochs:
Spearman's rho with a 95 % bootstrap interval over cells, Kendall's tau-b, the published rho, and
the partial rank correlation given live weights: what is left of it once the number of weights on a
path to the logits is known. `published` makes the scores of zero-cost-nas, with its own builder of
networks and with the usual one, and compares them, cell by cell, with values that others computed
(columns `dataset`, `index` and one a score).

Scores are kept in a file of JSON lines (`--keep`), so a run that was stopped goes on. Writes
results/validate_scores_<mode>.csv. Needs SciPy (the extra `stats`).
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import commit, machine
from validate_nasbench201 import RESULTS, read_images, read_table

import zeroshot
from zeroshot import data, stats
from zeroshot.scores import SCORES, Score
from zeroshot.spaces import nasbench201

Array = NDArray[np.float64]

# Name in a result: the score, its arguments, the method's name in the published tables.
ACCURACY: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "xi_gsnr": ("xi_gsnr", {}, None),
    "xi_gsnr_accumulated": ("xi_gsnr", {"accumulate": True}, "xi-GSNR"),
    "gradsign": ("gradsign", {}, "GradSign"),
    "sweet": ("sweet", {}, "Sweetimator"),
    "snip": ("snip", {}, "SNIP"),
    "grasp": ("grasp", {}, "GraSP"),
    "grad_norm": ("grad_norm", {}, "GradNorm"),
    "plain": ("plain", {}, None),
    "l2_norm": ("l2_norm", {}, None),
    "fisher": ("fisher", {}, "Fisher"),
    "synflow": ("synflow", {}, "SynFlow"),
    "synflow_bn": ("synflow", {"bn": "batch"}, None),
    "logsynflow": ("synflow", {"variant": "log"}, None),
    "syncflow": ("syncflow", {}, None),
    "naswot": ("naswot", {}, None),
    "naswot_wrappers": ("naswot", {"which": "wrappers"}, None),
    "jacob_cov": ("jacob_cov", {}, "NASWOT"),  # of its first version: the row's values are its
    "epe_nas": ("epe_nas", {}, None),
    "ntk_condition": ("ntk_condition", {"batch_size": 16}, None),
    "linear_regions": ("linear_regions", {}, None),
    "swap": ("swap", {"batch_size": 16}, None),
    "zen": ("zen", {}, "Zen-Score"),
    "zico": ("zico", {"n_batches": 2}, "ZiCo"),
    "knas": ("knas", {}, None),
    "az_expressivity": ("az_expressivity", {}, None),
    "az_progressivity": ("az_progressivity", {}, None),
    "az_trainability": ("az_trainability", {}, None),
    "meco": ("meco", {}, None),
    "flops": ("flops", {"convention": "thop"}, "FLOPs"),
    "params": ("params", {}, "Parameters"),
    "live_weights": ("live_weights", {}, None),
}
# Those that zero-cost-nas and NASLib computed; name there, score, arguments.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "params": ("params", {}),
    "flops": ("flops", {"convention": "macs"}),
    "synflow": ("synflow", {}),
    "snip": ("snip", {}),
    "grad_norm": ("grad_norm", {}),
    "fisher": ("fisher", {}),
    "nwot": ("naswot", {"which": "wrappers"}),
    "grasp": ("grasp", {}),
    "plain": ("plain", {}),
    "l2_norm": ("l2_norm", {}),
    "jacov": ("jacob_cov", {}),
    "epe_nas": ("epe_nas", {}),
    "zen": ("zen", {}),
}
BUILDERS = ("zerocost", "autodl")
# Spearman between two independent runs of others (both half tables of the published scores).
REPEATABILITY = {
    "params": 1.0, "flops": 1.0, "synflow": 0.9998, "nwot": 0.992, "snip": 0.990,
    "grad_norm": 0.990, "fisher": 0.983, "l2_norm": 0.947, "jacov": 0.929, "grasp": 0.692,
    "plain": 0.177, "epe_nas": 0.017,
}  # fmt: skip
WANTED = {
    "params": 0.97, "synflow": 0.97, "snip": 0.97, "grad_norm": 0.97, "nwot": 0.95, "fisher": 0.95,
}  # fmt: skip
# Spearman's rho on CIFAR-10, all 15,625 cells; of xi-GSNR's table where both have a method.
PAPER = {
    row.method: row.value
    for paper in ("sweetimator", "xi-gsnr")
    for row in zeroshot.published(paper, 1)
    if (row.space, row.dataset, row.metric) == ("nasbench201", "cifar10", "spearman")
}


@dataclass(frozen=True)
class AccuracyRow:
    """A score beside accuracy."""

    score: str
    cells: int
    undefined: int
    spearman: float
    low: float
    high: float
    kendall: float
    published: float | None
    given_live_weights: float
    machine: str
    commit: str


@dataclass(frozen=True)
class PublishedRow:
    """A score beside values that others computed, with one way to build the networks."""

    score: str
    builder: str
    cells: int
    undefined: int
    spearman: float
    low: float
    high: float
    wanted: float | None
    repeatability: float | None
    machine: str
    commit: str


def make(label: str, name: str, arguments: dict[str, Any]) -> Score:
    return SCORES[name](label=label, **arguments)


def finite(values: Sequence[float]) -> Array:
    """NaN in place of what is no number to rank by."""
    v = np.array(values, dtype=np.float64)
    return np.where(np.isfinite(v), v, np.nan)


def kept(path: Path) -> dict[int, dict[str, float]]:
    """Values by cell of what was done before; a line that was cut short counts as not done."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[int(record["index"])] = {k: float(v) for k, v in record["values"].items()}
    return found


def values_of(result: zeroshot.ScoreResult) -> dict[str, float]:
    """Values by label; what is undefined or not finite is NaN."""
    return {
        label: math.nan if one.status in ("undefined", "nonfinite") else one.value
        for label, one in result.scores.items()
    }


def score_cells(
    path: Path, cells: Sequence[int], x: Any, y: Any, scores: list[Score], **options: Any
) -> dict[int, dict[str, float]]:
    """Values of all cells, from the file where they are there."""
    done = kept(path)
    todo: dict[tuple[str, ...], list[int]] = {}
    for i in cells:
        missing = tuple(one.label for one in scores if one.label not in done.get(i, {}))
        if missing:
            todo.setdefault(missing, []).append(i)
    for labels, left in todo.items():
        wanted = [one for one in scores if one.label in labels]
        archs = [nasbench201.from_index(i) for i in left]
        begin = time.perf_counter()
        stream = zeroshot.score_iter(archs, x, y, scores=wanted, **options)
        with path.open("a") as file:
            for number, (position, result) in enumerate(stream, start=1):
                index = left[position]
                if result.status == "failed":
                    raise RuntimeError(f"cell {index}: {result.reason}")
                done[index] = done.get(index, {}) | values_of(result)
                file.write(json.dumps({"index": index, "values": done[index]}) + "\n")
                file.flush()
                if number % 20 == 0:
                    rate = (time.perf_counter() - begin) / number
                    print(f"{number} of {len(left)} cells, {rate:.2f} s each", flush=True)
    return {i: done[i] for i in cells}


def write(path: Path, rows: Sequence[AccuracyRow] | Sequence[PublishedRow]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, asdict(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in asdict(row).items()}
            for row in rows
        )


def markdown(rows: Sequence[AccuracyRow]) -> str:
    """The table of docs/correlations.md, best first."""
    lines = [
        "| score | paper | needs | better is | Spearman (95 %) | published | given live weights |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in sorted(rows, key=lambda row: -row.spearman):
        name, options, _ = ACCURACY[row.score]
        with_options = ", ".join(f"{k}={v}" for k, v in options.items())
        cells = (
            f"`{name}`" + (f" ({with_options})" if with_options else ""),
            SCORES[name].reference,
            SCORES[name].needs,
            SCORES[name].direction.split()[0],
            f"{row.spearman:.3f} ({row.low:.3f} to {row.high:.3f})",
            "" if row.published is None else f"{row.published:.3f}",
            "" if math.isnan(row.given_live_weights) else f"{row.given_live_weights:.3f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def accuracy(args: argparse.Namespace) -> None:
    table = {int(row["index"]): float(row["cifar10_test"]) for row in read_table(args.table)}
    drawn = np.random.default_rng(1).choice(15625, args.cells, replace=False)
    cells = [int(i) for i in drawn]
    if args.done:
        done_before = kept(args.keep)
        cells = [i for i in cells if set(ACCURACY) <= set(done_before.get(i, {}))]
    x, y = images(args, n_batches=8)
    wanted = {label: known for label, known in ACCURACY.items() if known[0] in SCORES}
    scores = [make(label, name, options) for label, (name, options, _) in wanted.items()]
    done = score_cells(args.keep, cells, x, y, scores, n_threads=args.threads)
    target = np.array([table[i] for i in cells])
    live = np.array([done[i]["live_weights"] for i in cells])
    rows = []
    for label, (name, _, method) in wanted.items():
        sign = -1.0 if SCORES[name].direction.startswith("smaller") else 1.0
        values = sign * finite([done[i][label] for i in cells])
        [row] = stats.correlate(
            {label: values}, target, given={"live_weights": live}, n_resamples=1000, fractions=()
        )
        rows.append(
            AccuracyRow(
                score=label,
                cells=row.n,
                undefined=row.n_nan,
                spearman=row.spearman,
                low=row.spearman_low,
                high=row.spearman_high,
                kendall=row.kendall,
                published=PAPER[method] if method else None,
                given_live_weights=row.given["live_weights"],
                machine=machine(),
                commit=commit(),
            )
        )
        print(rows[-1], flush=True)
    write(RESULTS / "validate_scores_accuracy.csv", rows)
    print(markdown(rows))


def published(args: argparse.Namespace) -> None:
    others = {
        int(row["index"]): row for row in read_table(args.scores) if row["dataset"] == "cifar10"
    }
    drawn = np.random.default_rng(2).choice(sorted(others), args.cells, replace=False)
    cells = [int(i) for i in drawn]
    x, y = images(args, n_batches=1)
    wanted = {label: known for label, known in PUBLISHED.items() if known[0] in SCORES}
    scores = [make(label, name, options) for label, (name, options) in wanted.items()]
    values = {}
    for builder in BUILDERS:
        path = args.keep.with_suffix(f".{builder}.jsonl")
        values[builder] = score_cells(
            path, cells, x, y, scores, n_threads=args.threads, builder=builder
        )
    rows = []
    for builder, label in itertools.product(BUILDERS, wanted):
        done = values[builder]
        ours = finite([done[i][label] for i in cells])
        theirs = finite([float(others[i][label] or "nan") for i in cells])
        rho = stats.spearman(ours, theirs)
        interval = stats.bootstrap("spearman", ours, theirs, n_resamples=1000)
        rows.append(
            PublishedRow(
                score=label,
                builder=builder,
                cells=rho.n,
                undefined=rho.n_nan,
                spearman=rho.value,
                low=interval.low,
                high=interval.high,
                wanted=WANTED.get(label),
                repeatability=REPEATABILITY.get(label),
                machine=machine(),
                commit=commit(),
            )
        )
        print(rows[-1], flush=True)
    write(RESULTS / "validate_scores_published.csv", rows)


def images(args: argparse.Namespace, n_batches: int) -> tuple[Any, Any]:
    drawn = data.draw_batches(
        read_images(args.images), batch_size=64, n_batches=n_batches, seed=1, preset="cifar10"
    )
    return drawn.x, drawn.y


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = parser.add_subparsers(required=True, metavar="accuracy | published")
    for run, cells in ((accuracy, 1000), (published, 200)):
        mode = modes.add_parser(run.__name__)
        mode.set_defaults(run=run)
        mode.add_argument("--images", type=Path, required=True)
        mode.add_argument("--table", type=Path, required=True)
        mode.add_argument("--scores", type=Path, required=run is published)
        mode.add_argument("--cells", type=int, default=cells)
        mode.add_argument("--threads", type=int, default=os.cpu_count())
        mode.add_argument(
            "--done", action="store_true", help="report on the cells that are done, score none"
        )
        mode.add_argument("--keep", type=Path, default=Path(f"validate_{run.__name__}.jsonl"))
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
