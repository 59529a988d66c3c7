"""A report of what a store holds, against a benchmark's accuracies."""

from __future__ import annotations

__all__ = ["join", "trivial", "write_stored_report"]

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.report.content import BASELINES, write_report
from zeroshot.scores import SCORES

if TYPE_CHECKING:
    from zeroshot.benchmarks import Benchmark, Target
    from zeroshot.experiments import ScoreTable

_TRIVIAL = (*BASELINES, "flops")  # scores that need no pass


def join(
    archs: Sequence[str], benchmark: Benchmark, targets: Sequence[Target | str], space: str | None
) -> dict[str, NDArray[np.float64]]:
    """Accuracies of some architectures by target; NaN where the benchmark has none.

    Raises
    ------
    ValueError
        If the benchmark is of another space, has none of the architectures, or no such target.
    """
    if space is not None and benchmark.space != space:
        raise ValueError(
            f"benchmark: expected one of {space}, got {benchmark.source} of "
            f"{benchmark.space or 'no space'}"
        )
    if not targets:
        benchmark.accuracy("")  # which says what there is
    rows = [benchmark.lookup(arch) for arch in archs]
    if all(row is None for row in rows):
        raise ValueError(f"benchmark: {benchmark.source} has none of the architectures")
    found = {}
    for target in targets:
        column = benchmark.accuracy(target)
        found[str(target)] = np.array(
            [np.nan if row is None else column[row] for row in rows], dtype=np.float64
        )
    return found


def trivial(table: ScoreTable) -> tuple[str, ...]:
    """Labels of a table's scores that need no pass through a network."""
    return tuple(label for label in table.values if _score_of(table, label) in _TRIVIAL)


def _score_of(table: ScoreTable, label: str) -> str:
    settings: Mapping[str, Any] = table.meta.get("settings", {}).get(label, {})
    return str(settings.get("score", label))


def write_stored_report(
    path: str | os.PathLike[str],
    table: ScoreTable,
    benchmark: Benchmark,
    targets: Sequence[Target | str],
    **options: Any,
) -> None:
    """Write a report of the scores of a store.

    Parameters
    ----------
    path : path
    table : ScoreTable
        Of `Store.scores`.
    benchmark : Benchmark
        Of `read_benchmark`.
    targets : sequence of Target or str
        As `Benchmark.accuracy` takes them; curves and picks are those of the first.
    **options
        As for `write_report`; what it can be told of the scores is taken from the table.
    """
    accuracy = join(table.archs, benchmark, targets, table.meta.get("space"))
    smaller = [
        label
        for label in table.values
        if (score := SCORES.get(_score_of(table, label))) is not None
        and score.direction.startswith("smaller")
    ]
    meta = dict(table.meta)
    told: dict[str, Any] = {
        "status": table.status,
        "seconds": {k: s for k, s in table.seconds.items() if np.isfinite(s).any()},
        "smaller_is_better": smaller,
        "baselines": trivial(table),
        "settings": {
            "space": meta.get("space"),
            "seeds": meta.get("seeds"),
            **{label: _readable(of) for label, of in meta.get("settings", {}).items()},
        },
        "provenance": {
            "benchmark": {
                "file": os.path.basename(benchmark.source),
                "sha256": benchmark.sha256,
                "architectures": len(benchmark),
                "targets": [str(target) for target in targets],
            },
            "images": {
                label: {key: of[key] for key in ("x", "y") if key in of}
                for label, of in meta.get("settings", {}).items()
            },
            "experiments": {str(i): e for i, e in enumerate(meta.get("experiments", ()))},
        },
    }
    write_report(path, table.archs, table.values, accuracy, **{**told, **options})


def _readable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is under other headings."""
    return {k: v for k, v in settings.items() if k not in ("x", "y", "space") and v is not None}
