"""Score against accuracy (xi-GSNR, supplement, Fig. 4; GradSign, Fig. 2; Sweetimator, Fig. 12)."""

from __future__ import annotations

__all__ = ["rank_hexbin", "scatter"]

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.drawing.palette import LINE
from zeroshot.figures.figure import Column, Figure, as_values, by_title
from zeroshot.figures.style import COLOURS, MARKERS, SEQUENTIAL, grid_of, log_ticks

Array = NDArray[np.float64]
_MANY = 1000  # points that an SVG holds one by one: 120 bytes each


class _Panel(NamedTuple):
    title: str
    accuracy: Array
    shown: NDArray[np.bool_]
    note: str
    limits: tuple[float, float]


def _panels(
    score: Array, accuracy: ArrayLike | Mapping[str, ArrayLike], log: bool, correlations: bool
) -> list[_Panel]:
    found = []
    for title, values in by_title(accuracy).items():
        a = as_values(f"accuracy[{title!r}]" if title else "accuracy", values)
        if len(a) != len(score):
            raise ValueError(f"accuracy: expected {len(score)} values, one per score, got {len(a)}")
        paired = ~(np.isnan(score) | np.isnan(a))
        known = np.isfinite(score) & np.isfinite(a)
        shown = known & (score > 0) if log else known
        parts = []
        if correlations:
            from zeroshot.stats import kendall, spearman

            rho, tau = spearman(score[paired], a[paired]), kendall(score[paired], a[paired])
            numbers = f"ρ {rho.value:.3f}, τ {tau.value:.3f}"
            parts.append(numbers.replace("-", "\N{MINUS SIGN}"))
        parts.append(f"n = {int(paired.sum()):,}")
        left = []
        if log and (n := int((known & ~shown).sum())):
            left.append(f"{n:,} not above 0")
        if n := int((paired & ~known).sum()):
            left.append(f"{n:,} infinite")
        if n := int((~paired).sum()):
            left.append(f"{n:,} without a number")
        if not shown.any():
            raise ValueError("score, accuracy: expected a pair with both numbers, got none")
        low, high = (-np.inf, np.inf) if log else _limits(score[shown])
        if n := int((shown & ((score < low) | (score > high))).sum()):
            left.append(f"{n:,} outside, at the edge")
        note = ", ".join(parts) + ("\n" + ", ".join(left) if left else "")
        found.append(_Panel(title, a, shown, note, (low, high)))
    return found


def _limits(x: Array) -> tuple[float, float]:
    """Where an axis ends for a few values far from all others: three widths of 98 % of them."""
    low, high = np.percentile(x, (1, 99))
    width = float(high - low)
    near = x[(x >= low - width) & (x <= high + width)]
    if width == 0 or np.ptp(x) <= 6 * np.ptp(near):
        return -np.inf, np.inf
    margin = 0.06 * float(np.ptp(near))
    return float(near.min()) - margin, float(near.max()) + margin


def scatter(
    score: ArrayLike,
    accuracy: ArrayLike | Mapping[str, ArrayLike],
    *,
    label: str = "score",
    archs: Sequence[str] | None = None,
    colour: ArrayLike | None = None,
    colour_label: str = "colour",
    log_x: bool = False,
    correlations: bool = True,
) -> Figure:
    """Score against test accuracy, a panel for each data set.

    Parameters
    ----------
    score : array_like, shape (n,)
    accuracy : array_like, shape (n,), or mapping of title to such
        In percent. Pairs with a NaN are left out, infinite scores are not drawn; both are counted.
    label : str
        Of the score: the x axis, and a column of the data.
    archs : sequence of str, optional
        For the data.
    colour : array_like, shape (n,), optional
        A third quantity, as live weights: viridis from low to high.
    colour_label : str
    log_x : bool
        Scores that are not above 0 are left out and counted.
    correlations : bool
        Write Spearman's rho and Kendall's tau-b above each panel: needs ``zeroshot[stats]``.

    Returns
    -------
    Figure
        A few scores far from all others are drawn at the edge, and counted; `Figure.data` and the
        correlations have them as they are.

    Examples
    --------
    >>> from zeroshot import figures
    >>> figures.scatter([1, 2, 3], [90, 91, 94], label="snip")  # doctest: +SKIP
    Figure('scatter', 'snip against accuracy', 3 rows of data)
    """
    x = as_values("score", score)
    c = None if colour is None else as_values("colour", colour)
    if c is not None and len(c) != len(x):
        raise ValueError(f"colour: expected {len(x)} values, one per score, got {len(c)}")
    if archs is not None and len(archs) != len(x):
        raise ValueError(f"archs: expected {len(x)}, one per score, got {len(archs)}")
    panels = _panels(x, accuracy, log_x, correlations)
    data: dict[str, Column] = {} if archs is None else {"arch": list(archs)}
    data[label] = x
    data |= {panel.title or "accuracy": panel.accuracy for panel in panels}
    if c is not None:
        data[colour_label] = c

    def draw(figure: Any) -> None:
        axes, _ = grid_of(figure, len(panels), columns=3)
        points = None
        for i, (ax, panel) in enumerate(zip(axes, panels, strict=True)):
            n = int(panel.shown.sum())
            size, alpha = (16, 0.8) if n <= 300 else (7, 0.45) if n <= 3000 else (3, 0.2)
            which = {"c": c[panel.shown], "cmap": SEQUENTIAL} if c is not None else {}
            points = ax.scatter(
                np.clip(x[panel.shown], *panel.limits), panel.accuracy[panel.shown],
                s=size, linewidths=0,
                alpha=alpha if c is None else min(1.0, 2 * alpha),
                color=None if which else COLOURS[i % len(COLOURS)],
                marker="o" if which else MARKERS[i % len(MARKERS)],
                rasterized=n > _MANY, **which,
            )  # fmt: skip
            if log_x:
                ax.set_xscale("log")
                log_ticks(ax.xaxis, x[panel.shown].min(), x[panel.shown].max())
            else:
                ax.ticklabel_format(axis="x", style="sci", scilimits=(-3, 5))
                ax.locator_params(axis="x", nbins=5)
            head(ax, panel.title, panel.note)
            ax.set_xlabel(label)
            if i == 0 or ax.get_subplotspec().is_first_col():
                ax.set_ylabel("test accuracy (%)")
        if c is not None and points is not None:
            figure.colorbar(points, ax=axes, label=colour_label, shrink=0.9).solids.set_alpha(1)

    titles = [panel.title for panel in panels if panel.title]
    return Figure(
        "scatter",
        draw,
        data,
        title=f"{label} against accuracy",
        alt=f"Test accuracy against {label}"
        + "".join(f"; {p.title or 'all'}: {_line(p.note)}" for p in panels),
        size=(
            min(3, len(panels)) * 2.9 + 0.4 + (0.8 if c is not None else 0),
            (2.9 if titles else 2.8) * -(-len(panels) // 3),
        ),
    )


def _line(note: str) -> str:
    return note.replace("\n", ", ")


def head(ax: Any, title: str, note: str) -> None:
    """A panel's title, and what it is about in small below."""
    ax.set_title(title, pad=6 + 10 * len(note.splitlines()))
    if note:
        ax.annotate(
            note, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points",
            fontsize=8, va="bottom", ha="left", color=LINE,
        )  # fmt: skip


def rank_hexbin(
    score: ArrayLike,
    accuracy: ArrayLike,
    *,
    label: str = "score",
    archs: Sequence[str] | None = None,
    correlations: bool = True,
    smaller_is_better: bool = False,
) -> Figure:
    """Rank by score against rank by accuracy, as counts in hexagons: 1 is the best.

    Parameters
    ----------
    score, accuracy : array_like, shape (n,)
        Pairs with a NaN are left out; equal values share the mean of their ranks.
    label, archs, correlations
        As in `scatter`.
    smaller_is_better : bool
        Of the score: rank 1 is the smallest, and correlations are those of the negative.

    Returns
    -------
    Figure
    """
    s, a = as_values("score", score), as_values("accuracy", accuracy)
    turned = -s if smaller_is_better else s
    (panel,) = _panels(turned, a, False, correlations)
    known = panel.shown
    ranks = [_rank_from_best(v[known]) for v in (turned, a)]
    data: dict[str, Column] = {}
    if archs is not None:
        data["arch"] = [arch for arch, one in zip(archs, known, strict=True) if one]
    data |= {label: s[known], "accuracy": a[known]}
    data |= {f"rank by {label}": ranks[0], "rank by accuracy": ranks[1]}

    def draw(figure: Any) -> None:
        ax = figure.subplots()
        n = int(known.sum())
        bins = int(np.clip(np.sqrt(n) / 2.2, 8, 40))
        drawn = ax.hexbin(
            ranks[0], ranks[1], gridsize=bins, mincnt=1, cmap=SEQUENTIAL, linewidths=0.1
        )
        ax.set(xlabel=f"rank by {label} (1 is best)", ylabel="rank by accuracy")
        ax.grid(False)
        ax.margins(0.03)  # whole hexagons at the edges
        head(ax, "", panel.note)
        figure.colorbar(drawn, ax=ax, label="architectures")

    return Figure(
        "rank_hexbin",
        draw,
        data,
        title=f"ranks by {label} and by accuracy",
        alt=f"Rank by accuracy against rank by {label}; {_line(panel.note)}",
        size=(3.9, 3.2),
    )


def _rank_from_best(values: Array) -> Array:
    """1 for the largest; equal values share the mean of their ranks."""
    _, group, count = np.unique(-values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(count) - (count - 1) / 2)[group]
    return ranks
