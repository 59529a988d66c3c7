"""Best of N: what accuracy a score picks out of N random architectures."""

from __future__ import annotations

__all__ = ["Selection", "best_of_n"]

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.inputs import check_int
from zeroshot.stats._values import Array, as_table, as_values, same_length


@dataclass(frozen=True, eq=False)
class Selection:
    """Accuracies of what was picked, over the runs.

    Attributes
    ----------
    mean, std : mapping of column to float
        Over the runs; `std` is the sample's (divisor one less than the runs).
    n, runs : int
    select : str
    n_undefined : int
        Runs in which no architecture had a number to pick by; they count nowhere else.
    n_missing : mapping of column to int
        Picks without an accuracy in that column; not in its mean.
    values : mapping of column to ndarray, shape (runs,)
        What was picked in each run; NaN where nothing was.
    """

    mean: Mapping[str, float]
    std: Mapping[str, float]
    n: int
    runs: int
    select: str
    n_undefined: int
    n_missing: Mapping[str, int]
    values: Mapping[str, Array]

    def __repr__(self) -> str:
        means = ", ".join(f"{c} {self.mean[c]:.2f} +- {self.std[c]:.2f}" for c in self.mean)
        return f"Selection(n={self.n}, runs={self.runs}, select={self.select!r}: {means})"


def best_of_n(
    scores: ArrayLike,
    columns: Mapping[str, ArrayLike],
    *,
    n: int,
    runs: int = 500,
    select: str = "score",
    replace: bool = True,
    seed: int = 0,
) -> Selection:
    """Draw N architectures, pick the best by `select`, look up its accuracies; many times.

    Each run draws uniformly and takes the first maximum; NaN is never picked. Equal seeds draw the
    same architectures for every score of the same table.

    Parameters
    ----------
    scores : array_like, shape (m,)
        Larger is better.
    columns : mapping of str to array_like, shape (m,)
        Accuracies to report.
    n : int
        Architectures in a run; 1 is random choice.
    runs : int
    select : str
        "score"; the name of a column, whose maximum is picked; or "each", which picks for every
        column its own maximum. The last is how the row "Optimal" of the papers was made.
    replace : bool
        With replacement, as in the papers.
    seed : int

    Returns
    -------
    Selection

    Raises
    ------
    ValueError
        If lengths differ, `select` is unknown, or N exceeds m without replacement.

    Examples
    --------
    >>> best_of_n([1, 2, 3], {"test": [70, 80, 90]}, n=3, replace=False).mean["test"]
    90.0
    """
    s = as_values("scores", scores)
    table = as_table("columns", columns)
    for name, column in table.items():
        same_length({"scores": s, f"columns[{name!r}]": column})
    if taken := {"score", "each"} & set(table):
        raise ValueError(f"columns: {taken.pop()!r} is a word of select, and no column's name")
    if select not in ("score", "each", *table):
        choices = ", ".join(("score", "each", *table))
        raise ValueError(f"select: expected one of {choices}; got {select!r}")
    check_int("n", n, 1, None if replace else len(s))
    check_int("runs", runs, 1)
    check_int("seed", seed, 0)
    if not len(s):
        raise ValueError("scores: expected at least one value")

    rng = np.random.default_rng(seed)
    drawn = [rng.choice(len(s), n, replace=replace) for _ in range(runs)]

    def pick(by: Array) -> list[int | None]:
        best: list[int | None] = []
        for cells in drawn:
            known = cells[~np.isnan(by[cells])]
            best.append(int(known[np.argmax(by[known])]) if len(known) else None)
        return best

    if select == "each":
        picks = {name: pick(column) for name, column in table.items()}
    else:
        picks = dict.fromkeys(table, pick(s if select == "score" else table[select]))
    values = {
        name: np.array([np.nan if i is None else table[name][i] for i in picked])
        for name, picked in picks.items()
    }
    unpicked = {name: sum(i is None for i in picked) for name, picked in picks.items()}
    found = {name: v[~np.isnan(v)] for name, v in values.items()}
    return Selection(
        mean={name: float(v.mean()) if len(v) else np.nan for name, v in found.items()},
        std={name: float(v.std(ddof=1)) if len(v) > 1 else np.nan for name, v in found.items()},
        n=n,
        runs=runs,
        select=select,
        n_undefined=max(unpicked.values(), default=0),
        n_missing={name: runs - len(v) - unpicked[name] for name, v in found.items()},
        values=values,
    )
