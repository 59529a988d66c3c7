"""A row's number, with its interval and with what was left out."""

from __future__ import annotations

__all__ = ["Measured", "measure", "select"]

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_RUNS = 500


@dataclass(frozen=True)
class Measured:
    """A number and what it was made of."""

    value: float
    std: float | None
    low: float
    high: float
    n: int
    n_nan: int
    n_tied: int


def measure(
    metric: str, scores: Values, accuracy: Values, *, n_resamples: int, level: float, seed: int
) -> Measured:
    """A correlation or a precision at the top, with a bootstrap interval over architectures."""
    from zeroshot import stats

    if metric in ("spearman", "kendall"):
        found = (stats.spearman if metric == "spearman" else stats.kendall)(scores, accuracy)
        value, statistic = found.value, metric
        n, n_nan, n_tied = found.n, found.n_nan, found.n_tied_scores
        interval = stats.bootstrap(
            statistic, scores, accuracy, n_resamples=n_resamples, level=level, seed=seed
        )
        return Measured(value, None, interval.low, interval.high, n, n_nan, n_tied)
    share = {"p_at_5": 0.05, "p_at_10": 0.1}[metric]
    known = ~(np.isnan(scores) | np.isnan(accuracy))
    if math.floor(share * known.sum() + 1e-9) < 1:  # not one architecture
        n = int(known.sum())
        return Measured(math.nan, None, math.nan, math.nan, n, len(scores) - n, 0)

    def precision(s: Values, a: Values) -> float:
        return stats.precision_at_top(s, a, fraction=share).value

    top = stats.precision_at_top(scores, accuracy, fraction=share)
    interval = stats.bootstrap(
        precision, scores, accuracy, n_resamples=n_resamples, level=level, seed=seed
    )
    return Measured(
        top.value, None, interval.low, interval.high, top.n, top.n_nan, top.n_tied_scores
    )


def drawn_of(method: str) -> int:
    """How many architectures a run of the selection draws: N of ``... (N=100)``, else 1."""
    found = re.search(r"\(N=(\d+)\)", method)
    return int(found[1]) if found else 1


def select(
    method: str, scores: Values | None, accuracy: Values, *, level: float, seed: int
) -> Measured:
    """Best of N by the scores, or by the accuracy itself if there are none (Optimal).

    The interval is that of the mean over runs.
    """
    from scipy.stats import norm

    from zeroshot import stats

    by = accuracy if scores is None else scores
    found = stats.best_of_n(by, {"accuracy": accuracy}, n=drawn_of(method), runs=_RUNS, seed=seed)
    n_runs = _RUNS - found.n_undefined - found.n_missing["accuracy"]
    mean, std = found.mean["accuracy"], found.std["accuracy"]
    half = float(norm.ppf((1 + level) / 2)) * std / math.sqrt(n_runs) if n_runs else math.nan
    n_nan = int((np.isnan(by) | np.isnan(accuracy)).sum())
    tied = by[~np.isnan(by)]
    _, counts = np.unique(tied, return_counts=True)
    return Measured(
        mean, std, mean - half, mean + half, len(by) - n_nan, n_nan, int(counts[counts > 1].sum())
    )
