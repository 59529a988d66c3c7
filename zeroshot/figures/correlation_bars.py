"""Rank correlations of scores beside each other (Sweetimator, Fig. 1), and what they cost."""

from __future__ import annotations

__all__ = ["correlation_bars", "correlation_by_time"]

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.drawing.palette import INK, LINE, PAPER
from zeroshot.figures.figure import Figure, as_values, by_title
from zeroshot.figures.style import COLOURS, MUTED, grid_of, log_ticks

_RHO = "Spearman's ρ with test accuracy"


def correlation_bars(
    values: Mapping[str, float] | Mapping[str, Mapping[str, float]],
    *,
    intervals: Mapping[str, Any] | None = None,
    baselines: Sequence[str] = ("params", "live_weights"),
    xlabel: str = _RHO,
) -> Figure:
    """A bar for each score, the best on top, and dotted lines where trivial scores stand.

    Parameters
    ----------
    values : mapping of label to float, or mapping of title to such
        A panel for each title: a benchmark, say. NaN is a bar of no length that says so.
    intervals : mapping of label to (low, high), or mapping of title to such, optional
        Whiskers.
    baselines : sequence of str
        Labels of trivial scores: grey, with a dotted line across.
    xlabel : str

    Returns
    -------
    Figure
        The order is that of the first panel in all of them.
    """
    nested = any(isinstance(v, Mapping) for v in values.values())
    panels: dict[str, dict[str, float]] = {
        title: {str(k): float(v) for k, v in one.items()}
        for title, one in by_title(values if nested else {"": values}).items()
    }
    if not all(panels.values()):
        raise ValueError("values: expected at least one score, got none")
    bounds: dict[str, Any] = dict(intervals or {})
    bounds = bounds if nested else {"": bounds}
    first = next(iter(panels.values()))
    labels = sorted(first, key=lambda k: -math.inf if math.isnan(first[k]) else first[k])
    labels += [k for k in dict.fromkeys(k for p in panels.values() for k in p) if k not in first]
    data: dict[str, Any] = {k: [] for k in ("panel", "score", "value", "low", "high", "baseline")}
    for title, panel in panels.items():
        for label in reversed(labels):
            low, high = bounds.get(title, {}).get(label, (math.nan, math.nan))
            row = (title, label, panel.get(label, math.nan), float(low), float(high))
            for key, cell in zip(data, (*row, label in baselines), strict=True):
                data[key].append(cell)

    def draw(figure: Any) -> None:
        from matplotlib.legend_handler import HandlerTuple
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        axes, _ = grid_of(figure, len(panels), columns=3, sharey=True)
        for ax, (title, panel) in zip(axes, panels.items(), strict=True):
            at = np.arange(len(labels))
            length = np.array([panel.get(label, math.nan) for label in labels])
            colours = [MUTED if label in baselines else COLOURS[0] for label in labels]
            ax.barh(at, np.nan_to_num(length), height=0.68, color=colours)
            for i, label in enumerate(labels):
                low, high = bounds.get(title, {}).get(label, (math.nan, math.nan))
                end = length[i]
                if math.isnan(length[i]):
                    ax.text(0.01, i, "no number", va="center", fontsize=7)
                    continue
                if not math.isnan(low):
                    ax.plot([low, high], [i, i], color=INK, linewidth=1)
                    end = max(end, high) if end >= 0 else min(end, low)
                ax.annotate(
                    f"{length[i]:.3f}".replace("-", "\N{MINUS SIGN}"),
                    (end, i), (4 if length[i] >= 0 else -4, 0),
                    textcoords="offset points", va="center",
                    ha="left" if length[i] >= 0 else "right", fontsize=7.5, zorder=4,
                    bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
                )  # fmt: skip
            for label in baselines:
                if not math.isnan(panel.get(label, math.nan)):
                    ax.axvline(panel[label], color=INK, linewidth=0.9, linestyle=":", zorder=2.5)
            ax.axvline(0, color=LINE, linewidth=0.8)
            ax.set_yticks(at, labels)
            ax.tick_params(axis="y", length=0)
            ax.grid(axis="y", visible=False)
            ends = [v for v in (*panel.values(), *np.ravel(list(bounds.get(title, {}).values())))
                    if not math.isnan(v)]  # fmt: skip
            low, high = min([0.0, *ends]), max([0.0, *ends])
            room = 0.17 * (high - low or 1.0)
            ax.set_xlim(low - (room if low < 0 else 0), high + room)
            ax.set_ylim(-0.6, len(labels) - 0.4)
            ax.set_title(title)
            ax.set_xlabel(xlabel)

        if any(label in baselines for label in labels):
            dotted = Line2D([], [], color=INK, linewidth=0.9, linestyle=":")
            figure.legend(
                [(Patch(facecolor=MUTED), dotted)], ["trivial scores"], loc="outside upper right",
                handler_map={tuple: HandlerTuple(ndivide=None)}, handlelength=3,
            )  # fmt: skip

    described = "; ".join(
        f"{title or 'all'}: " + ", ".join(f"{k} {panel[k]:.3f}" for k in labels[::-1] if k in panel)
        for title, panel in panels.items()
    )
    longest = max(map(len, labels))
    width = 2.9 if len(panels) > 1 else 4.2
    return Figure(
        "correlation_bars",
        draw,
        data,
        title="rank correlation by score",
        alt=f"{xlabel}; {described}",
        size=(
            width * min(3, len(panels)) + 0.075 * longest + 0.2,
            (0.235 * len(labels) + 0.75) * -(-len(panels) // 3) + 0.25,
        ),
    )


def correlation_by_time(
    seconds: Mapping[str, float],
    values: Mapping[str, float],
    *,
    baselines: Sequence[str] = ("params", "live_weights"),
    ylabel: str = _RHO,
) -> Figure:
    """What a score's rank correlation costs: correlation against time per architecture.

    Parameters
    ----------
    seconds, values : mapping of label to float
        Scores that are in both and have both numbers.
    baselines : sequence of str
        Labels of trivial scores: grey.
    ylabel : str

    Returns
    -------
    Figure
    """
    labels = [k for k in values if k in seconds and seconds[k] > 0 and not math.isnan(values[k])]
    if not labels:
        raise ValueError("seconds, values: expected a score in both with both numbers, got none")
    labels.sort(key=lambda k: values[k])
    y = as_values("values", [values[k] for k in labels])
    x = as_values("seconds", [seconds[k] for k in labels])

    def draw(figure: Any) -> None:
        ax = figure.subplots()
        colours = [MUTED if k in baselines else COLOURS[0] for k in labels]
        ax.scatter(x, y, s=22, color=colours, zorder=3)
        ax.set_xscale("log")
        ax.margins(x=0.08, y=0.08)
        log_ticks(ax.xaxis, x.min(), x.max())
        low, high = ax.get_ylim()
        # texts at the right edge, no nearer to each other than a line is high, led to their points
        line = (high - low) / 17
        places = _spread(y, line)
        for k, px, py, place in zip(labels, x, y, places, strict=True):
            ax.annotate(
                k, (px, py), (1.03, (place - low) / (high - low)), textcoords="axes fraction",
                fontsize=7.5, va="center", ha="left",
                arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.4,
                            "shrinkA": 1, "shrinkB": 3},
            )  # fmt: skip
        ax.set_ylim(low, high)
        ax.set(xlabel="seconds per architecture", ylabel=ylabel)

    described = ", ".join(f"{k} {values[k]:.3f} in {seconds[k]:.3g} s" for k in reversed(labels))
    return Figure(
        "correlation_by_time",
        draw,
        {"score": labels, "seconds": x, "value": y, "baseline": [k in baselines for k in labels]},
        title="rank correlation against time",
        alt=f"{ylabel} against seconds per architecture: {described}",
        size=(5.2, max(3.0, 0.2 * len(labels))),
    )


def _spread(y: ArrayLike, least: float) -> list[float]:
    """Increasing places as near to increasing `y` as can be, none nearer than `least` to the next:
    groups that would overlap share their room around the middle."""
    groups: list[list[float]] = []  # sum of (y - i least), count
    for i, v in enumerate(np.asarray(y, dtype=np.float64)):
        groups.append([float(v) - i * least, 1.0])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, count = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += count
    starts = [total / count for total, count in groups for _ in range(int(count))]
    return [start + i * least for i, start in enumerate(starts)]
