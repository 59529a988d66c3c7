"""Rank correlation against one setting of a score (xi-GSNR, Fig. 3)."""

from __future__ import annotations

__all__ = ["Sweep", "ablation_curves"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.drawing.palette import PAPER
from zeroshot.figures.figure import Figure, as_values
from zeroshot.figures.style import COLOURS, MARKERS, grid_of

_DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)))


@dataclass(frozen=True)
class Sweep:
    """One setting and what came of each of its values: a panel of `ablation_curves`.

    Attributes
    ----------
    parameter : str
        The x axis.
    values : sequence of float
    lines : mapping of label to array_like, shape (n_values,)
        The y axis; NaN where there is no number.
    scale : {"linear", "log2", "log10"}
        Of the x axis. A value of 0 stands left of a logarithmic one, apart.
    bands : mapping of label to (low, high), optional
        Intervals of the lines of the same labels.
    """

    parameter: str
    values: Sequence[float]
    lines: Mapping[str, ArrayLike]
    scale: Literal["linear", "log2", "log10"] = "linear"
    bands: Mapping[str, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)


def ablation_curves(
    sweeps: Sequence[Sweep], *, ylabel: str = "Spearman's ρ with test accuracy"
) -> Figure:
    """Lines of what a setting does to a rank correlation, a panel for each setting.

    Parameters
    ----------
    sweeps : sequence of Sweep
        Lines of one label look the same in all panels. Of a label with a comma the first part gives
        the colour, the second the dashes.
    ylabel : str

    Returns
    -------
    Figure

    Examples
    --------
    >>> from zeroshot import figures
    >>> sweep = figures.Sweep("batch size", [8, 16], {"CIFAR-10": [0.7, 0.8]}, "log2")
    >>> figures.ablation_curves([sweep])  # doctest: +SKIP
    """
    panels = list(sweeps)
    if not panels:
        raise ValueError("sweeps: expected at least one, got none")
    data: dict[str, Any] = {key: [] for key in ("parameter", "value", "line", "y", "low", "high")}
    for sweep in panels:
        if sweep.scale not in ("linear", "log2", "log10"):
            raise ValueError(f"scale: expected linear, log2 or log10; got {sweep.scale!r}")
        n = len(sweep.values)
        for label, line in sweep.lines.items():
            columns = [as_values(f"lines[{label!r}]", line)]
            for bound in sweep.bands.get(label, (np.full(n, np.nan),) * 2):
                columns.append(as_values(f"bands[{label!r}]", bound))
            if any(len(column) != n for column in columns):
                raise ValueError(
                    f"lines[{label!r}]: expected {n} values, one per value of "
                    f"{sweep.parameter}, got {len(columns[0])}"
                )
            data["parameter"] += [sweep.parameter] * n
            data["value"] += [float(v) for v in sweep.values]
            data["line"] += [label] * n
            for key, column in zip(("y", "low", "high"), columns, strict=True):
                data[key] += column.tolist()
    labels = list(dict.fromkeys(label for sweep in panels for label in sweep.lines))
    groups = list(dict.fromkeys(label.partition(", ")[0] for label in labels))
    kinds = list(dict.fromkeys(label.partition(", ")[2] for label in labels))

    def draw(figure: Any) -> None:
        axes, _ = grid_of(figure, len(panels), columns=3, sharey=True)
        handles: dict[str, Any] = {}
        for ax, sweep in zip(axes, panels, strict=True):
            x, ticks = _positions(sweep)
            for label, line in sweep.lines.items():
                group, _, kind = label.partition(", ")
                i, k = groups.index(group), kinds.index(kind)
                colour = COLOURS[i % len(COLOURS)]
                if label in sweep.bands:
                    low, high = (np.asarray(b, dtype=np.float64) for b in sweep.bands[label])
                    ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
                (handles[label],) = ax.plot(
                    x, np.asarray(line, dtype=np.float64), color=colour,
                    marker=MARKERS[i % len(MARKERS)], linestyle=_DASHES[k % len(_DASHES)],
                    markerfacecolor=colour if k == 0 else PAPER,
                )  # fmt: skip
            ax.set_xticks(*ticks)
            ax.set_xlabel(sweep.parameter)
            if ax.get_subplotspec().is_first_col():
                ax.set_ylabel(ylabel)
        if len(labels) > 1:
            figure.legend(
                handles.values(),
                handles.keys(),
                loc="outside upper left",
                ncols=len(groups) if len(groups) <= 4 else 4,
            )

    best = "; ".join(
        f"{sweep.parameter}: {label} from {np.nanmin(y):.3f} to {np.nanmax(y):.3f}"
        for sweep in panels
        for label, line in sweep.lines.items()
        if not np.isnan(y := np.asarray(line, dtype=np.float64)).all()
    )
    return Figure(
        "ablation_curves",
        draw,
        data,
        title="rank correlation by setting",
        alt=f"{ylabel} against {', '.join(s.parameter for s in panels)}; {best}",
        size=(2.6 * min(3, len(panels)) + 0.4, 2.6 * -(-len(panels) // 3) + 0.5),
    )


def _positions(sweep: Sweep) -> tuple[Any, tuple[Any, list[str]]]:
    """Where values stand on a linear axis, and ticks there."""
    values = np.asarray(sweep.values, dtype=np.float64)
    if sweep.scale == "linear":
        x = values
    else:
        log = np.log2 if sweep.scale == "log2" else np.log10
        some = values > 0
        if not some.any() or (values < 0).any():
            raise ValueError(f"values: expected numbers above 0, and 0, got {sweep.values}")
        x = np.zeros(len(values))
        x[some] = log(values[some])
        x[~some] = x[some].min() - 1
    step = max(1, -(-len(x) // 9))
    order = np.argsort(x)[::step]
    return x, (x[order], [_value_text(values[i], sweep.scale) for i in order])


def _value_text(value: float, scale: str) -> str:
    if scale == "log10" and value > 0:
        exponent = round(float(np.log10(value)))
        if np.isclose(value, 10.0**exponent):
            return f"$10^{{{exponent}}}$"
    return f"{value:g}"
