"""The table of a report: every score of a run beside one accuracy."""

from __future__ import annotations

__all__ = ["CorrelationRow", "correlate"]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.stats._values import Array, Nan, as_table, as_values, same_length, without_nan
from zeroshot.stats.correlation import kendall, partial_spearman, spearman, top_correlation
from zeroshot.stats.resampling import IntervalMethod, bootstrap
from zeroshot.stats.top import precision_at_top


@dataclass(frozen=True)
class CorrelationRow:
    """One score.

    Attributes
    ----------
    label : str
    n, n_nan, n_tied_scores, n_tied_accuracy : int
        As in `Correlation`.
    n_duplicates : int
        Rows whose architecture stands in an earlier row; kept or not, as asked for. 0 if no
        architectures were given.
    spearman, spearman_low, spearman_high : float
    kendall, kendall_low, kendall_high : float
    top : float
        Spearman's rho within the best by accuracy.
    precision : mapping of float to float
        Precision at each share that was asked for.
    given : mapping of str to float
        Partial rank correlation given each quantity.
    """

    label: str
    n: int
    n_nan: int
    n_tied_scores: int
    n_tied_accuracy: int
    n_duplicates: int
    spearman: float
    spearman_low: float
    spearman_high: float
    kendall: float
    kendall_low: float
    kendall_high: float
    top: float
    precision: Mapping[float, float] = field(default_factory=dict)
    given: Mapping[str, float] = field(default_factory=dict)


def correlate(
    scores: Mapping[str, ArrayLike],
    accuracy: ArrayLike,
    *,
    given: Mapping[str, ArrayLike] | None = None,
    archs: Sequence[str] | None = None,
    keep_duplicates: bool = True,
    nan: Nan = "omit",
    fractions: Sequence[float] = (0.05, 0.1),
    top: float = 0.1,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    interval: IntervalMethod = "percentile",
) -> tuple[CorrelationRow, ...]:
    """Everything about several scores and one accuracy.

    Parameters
    ----------
    scores : mapping of label to array_like, shape (n,)
        Larger is better; turn the sign of others round first.
    accuracy : array_like, shape (n,)
    given : mapping of name to array_like, shape (n,), optional
        What to take out of partial correlations, each by itself: live weights, parameters.
    archs : sequence of str, optional
        Names of the rows, by which duplicates are counted.
    keep_duplicates : bool
        Whether rows of an architecture after its first one count.
    nan : {"omit", "lowest", "raise"}
        As in `spearman`. Partial correlations omit with "lowest", too.
    fractions : sequence of float
        Shares for `precision_at_top`; one that is less than one architecture gives NaN.
    top : float
        Share for `top_correlation`.
    n_resamples : int
        For the intervals; 0 makes none.
    level, seed, interval
        As in `bootstrap`.

    Returns
    -------
    tuple of CorrelationRow
        In the order of `scores`.

    Examples
    --------
    >>> accuracy = [10, 40, 30, 20]
    >>> [row] = correlate({"params": [1, 4, 3, 2]}, accuracy, fractions=(0.5,), n_resamples=0)
    >>> row.spearman, row.precision
    (1.0, {0.5: 1.0})
    """
    a = as_values("accuracy", accuracy)
    table, known = as_table("scores", scores), as_table("given", {} if given is None else given)
    for argument, columns in (("scores", table), ("given", known)):
        for name, column in columns.items():
            same_length({"accuracy": a, f"{argument}[{name!r}]": column})
    duplicate = _duplicates(archs, len(a))
    if not keep_duplicates:
        a = a[~duplicate]
        table = {label: s[~duplicate] for label, s in table.items()}
        known = {name: g[~duplicate] for name, g in known.items()}

    def row(label: str, s: Array) -> CorrelationRow:
        rho, tau = spearman(s, a, nan=nan), kendall(s, a, nan=nan)
        pairs = without_nan(s, a, nan)[:2]
        bounds = [math.nan] * 4
        if n_resamples:
            both = [
                bootstrap(
                    by, *pairs, n_resamples=n_resamples, level=level, seed=seed, method=interval
                )
                for by in ("spearman", "kendall")
            ]
            bounds = [edge for one in both for edge in (one.low, one.high)]
        return CorrelationRow(
            label=label,
            n=rho.n,
            n_nan=rho.n_nan,
            n_tied_scores=rho.n_tied_scores,
            n_tied_accuracy=rho.n_tied_accuracy,
            n_duplicates=int(duplicate.sum()),
            spearman=rho.value,
            spearman_low=bounds[0],
            spearman_high=bounds[1],
            kendall=tau.value,
            kendall_low=bounds[2],
            kendall_high=bounds[3],
            top=top_correlation(*pairs, fraction=top).value,
            precision={share: _precision(*pairs, share) for share in fractions},
            given={name: partial_spearman(s, a, g).value for name, g in known.items()},
        )

    return tuple(row(label, s) for label, s in table.items())


def _duplicates(archs: Sequence[str] | None, n: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether a row's architecture stands in an earlier row."""
    if archs is None:
        return np.zeros(n, dtype=np.bool_)
    if len(archs) != n:
        raise ValueError(f"archs: expected {n} names, one per accuracy, got {len(archs)}")
    again = np.ones(n, dtype=np.bool_)
    again[list({arch: i for i, arch in reversed(list(enumerate(archs)))}.values())] = False
    return again


def _precision(s: Array, a: Array, share: float) -> float:
    enough = math.floor(share * len(s) + 1e-9) >= 1
    return precision_at_top(s, a, fraction=share).value if enough else math.nan
