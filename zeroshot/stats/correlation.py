"""Rank correlation of a score with accuracy."""

from __future__ import annotations

__all__ = ["Correlation", "Method", "kendall", "partial_spearman", "spearman", "top_correlation"]

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from zeroshot.inputs import check_real
from zeroshot.stats._values import Array, Nan, as_values, count_tied, same_length, without_nan

Method: TypeAlias = Literal["spearman", "kendall"]


@dataclass(frozen=True)
class Correlation:
    """A correlation and what it was taken over.

    Attributes
    ----------
    value : float
        NaN where it is undefined: fewer than two pairs, or one side constant.
    n : int
        Pairs that count.
    n_nan : int
        Pairs that hold a NaN: not among `n` if they were omitted.
    n_tied_scores, n_tied_accuracy : int
        How many of the n values are equal to another one.
    method : str
    """

    value: float
    n: int
    n_nan: int
    n_tied_scores: int
    n_tied_accuracy: int
    method: str

    def __float__(self) -> float:
        return self.value


def pearson(a: Array, b: Array) -> float:
    """NaN where a side is constant; rounding never leads out of [-1, 1]."""
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return min(1.0, max(-1.0, float((a * b).sum()) / scale)) if scale > 0 else math.nan


def rho(scores: Array, accuracy: Array) -> float:
    """Spearman's rho of arrays without NaN: Pearson of average ranks."""
    if len(scores) < 2:
        return math.nan
    return pearson(stats.rankdata(scores), stats.rankdata(accuracy))


def tau_b(scores: Array, accuracy: Array) -> float:
    """Kendall's tau-b of arrays without NaN."""
    return float(stats.kendalltau(scores, accuracy).statistic) if len(scores) > 1 else math.nan


STATISTICS: dict[Method, Callable[[Array, Array], float]] = {"spearman": rho, "kendall": tau_b}


def check_method(method: object) -> Method:
    if method not in STATISTICS:
        raise ValueError(f"method: expected one of {', '.join(STATISTICS)}; got {method!r}")
    return method


def correlation(
    scores: ArrayLike, accuracy: ArrayLike, method: Method, absolute: bool, nan: Nan
) -> Correlation:
    s, a = as_values("scores", scores), as_values("accuracy", accuracy)
    same_length({"scores": s, "accuracy": a})
    s, a, n_nan = without_nan(s, a, nan)
    value = STATISTICS[check_method(method)](s, a)
    return Correlation(
        value=abs(value) if absolute else value,
        n=len(s),
        n_nan=n_nan,
        n_tied_scores=count_tied(s),
        n_tied_accuracy=count_tied(a),
        method=f"|{method}|" if absolute else method,
    )


def spearman(
    scores: ArrayLike, accuracy: ArrayLike, *, absolute: bool = False, nan: Nan = "omit"
) -> Correlation:
    """Spearman's rank correlation: Pearson's of the ranks, where equal values share their mean.

    Parameters
    ----------
    scores, accuracy : array_like, shape (n,)
        One of each per architecture, larger is better. Infinities rank as the largest and smallest.
    absolute : bool
        Without its sign, as the released code of xi-GSNR and GradSign prints it.
    nan : {"omit", "lowest", "raise"}
        Pairs with a NaN: dropped; a NaN score ranked below all others (pairs without an accuracy
        are dropped still); an error.

    Returns
    -------
    Correlation

    Raises
    ------
    ValueError
        If the lengths differ.

    Examples
    --------
    >>> spearman([1, 2, 3, 4, None], [10, 30, 20, 40, 50])
    Correlation(value=0.8, n=4, n_nan=1, n_tied_scores=0, n_tied_accuracy=0, method='spearman')
    """
    return correlation(scores, accuracy, "spearman", absolute, nan)


def kendall(
    scores: ArrayLike, accuracy: ArrayLike, *, absolute: bool = False, nan: Nan = "omit"
) -> Correlation:
    """Kendall's tau-b: pairs in the same order less pairs in the other, corrected for ties.

    Parameters
    ----------
    scores, accuracy, absolute, nan
        As for `spearman`.

    Returns
    -------
    Correlation

    Examples
    --------
    >>> round(kendall([1, 2, 2, 3], [10, 20, 30, 40]).value, 4)
    0.9129
    """
    return correlation(scores, accuracy, "kendall", absolute, nan)


def top_correlation(
    scores: ArrayLike,
    accuracy: ArrayLike,
    *,
    fraction: float = 0.1,
    method: Method = "spearman",
    nan: Nan = "omit",
) -> Correlation:
    """Correlation within the best architectures by accuracy: does the score tell good from better?

    Parameters
    ----------
    scores, accuracy : array_like, shape (n,)
    fraction : float
        Share of architectures, 0.1 for the top decile; rounded up to whole ones. Those that are as
        accurate as the last of them belong to it, so no tie is broken: `n` of the result says how
        many there are.
    method : {"spearman", "kendall"}
    nan : {"omit", "lowest", "raise"}
        As in `spearman`; done before the best are taken.

    Returns
    -------
    Correlation
        Of the top alone; `n_nan` is that of all pairs.

    Examples
    --------
    >>> top_correlation([5, 1, 2, 3], [1, 2, 3, 4], fraction=0.75).value
    1.0
    """
    s, a = as_values("scores", scores), as_values("accuracy", accuracy)
    same_length({"scores": s, "accuracy": a})
    wanted = "a number above 0 and up to 1"
    share = check_real("fraction", fraction, wanted)
    if not 0 < share <= 1:
        raise ValueError(f"fraction: expected {wanted}, got {share}")
    s, a, n_nan = without_nan(s, a, nan)
    if len(a):
        k = math.ceil(share * len(a) - 1e-9)  # 0.1 of 70 is 7, not 8
        last = np.sort(a)[len(a) - k]
        s, a = s[a >= last], a[a >= last]
    found = correlation(s, a, method, False, "raise")
    return Correlation(
        found.value, found.n, n_nan, found.n_tied_scores, found.n_tied_accuracy, method
    )


def partial_spearman(
    scores: ArrayLike,
    accuracy: ArrayLike,
    given: ArrayLike | Sequence[ArrayLike],
    *,
    nan: Nan = "omit",
) -> Correlation:
    """Partial rank correlation: what a score tells beyond live weights, say, or parameters.

    Ranks of `scores` and of `accuracy` are each fitted by least squares to the ranks of `given` and
    a constant; the value is Pearson's correlation of what is left. For one array it equals
    ``(r_sa - r_sg r_ag) / sqrt((1 - r_sg^2) (1 - r_ag^2))``.

    Parameters
    ----------
    scores, accuracy : array_like, shape (n,)
    given : array_like, shape (n,) or (m, n)
        One quantity or several at once.
    nan : {"omit", "raise"}
        What to do where any of the arrays is NaN.

    Returns
    -------
    Correlation
        Its value is NaN where `given` determines the ranks of either side.

    Examples
    --------
    >>> found = partial_spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], [1, 1, 2, 2, 2])
    >>> round(found.value, 4)
    0.2
    """
    if nan not in ("omit", "raise"):
        raise ValueError(f'nan: expected "omit" or "raise", got {nan!r}')
    s, a = as_values("scores", scores), as_values("accuracy", accuracy)
    try:
        several = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"given: expected numbers of shape (n,) or (m, n), got {error}") from None
    if several.ndim not in (1, 2):
        raise ValueError(f"given: expected shape (n,) or (m, n), got {several.shape}")
    several = np.atleast_2d(several)
    same_length({"scores": s, "accuracy": a, "given": several[0] if len(several) else s})
    missing = np.isnan(s) | np.isnan(a) | np.isnan(several).any(axis=0)
    n_nan = int(missing.sum())
    if n_nan and nan == "raise":
        raise ValueError(f"scores, accuracy, given: {n_nan} of {len(s)} rows hold a NaN")
    s, a, several = s[~missing], a[~missing], several[:, ~missing]
    return Correlation(
        value=_partial(s, a, several),
        n=len(s),
        n_nan=n_nan,
        n_tied_scores=count_tied(s),
        n_tied_accuracy=count_tied(a),
        method="partial spearman",
    )


def _partial(s: Array, a: Array, given: Array) -> float:
    if len(s) < 2:
        return math.nan
    ranks = np.stack([stats.rankdata(v) for v in (s, a, *given)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    both, known = ranks[:2].T, ranks[2:].T
    left = both - known @ np.linalg.lstsq(known, both, rcond=None)[0]
    unexplained = (left**2).sum(axis=0)
    # Rounding leaves about n eps of a rank that is fully explained.
    if (unexplained <= 1e-12 * (both**2).sum(axis=0)).any():
        return math.nan
    return pearson(left[:, 0], left[:, 1])
