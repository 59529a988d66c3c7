"""Sweetness of every interval (Sweetimator, released code)."""

from __future__ import annotations

__all__ = ["sweetness_bars"]

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.drawing.palette import INK, LINE
from zeroshot.figures.figure import Figure, as_values, by_title
from zeroshot.figures.style import COLOURS, edge_text, grid_of
from zeroshot.sweet import Edges, SweetInterval, sweet_edges


def sweetness_bars(
    values: SweetInterval | ArrayLike | Mapping[str, ArrayLike],
    *,
    edges: Edges | ArrayLike = "paper",
) -> Figure:
    """Sweetness by interval: a bar each, and a line with stars through their tops.

    Parameters
    ----------
    values : SweetInterval, array_like of shape (n_intervals,), or mapping of title to such
        What `zeroshot.find_sweet_interval` returns has its own edges.
    edges : {"paper", "released"} or array_like, shape (n_intervals + 1,)

    Returns
    -------
    Figure
        The sweetest interval has a dark outline; of equal ones the lowest, as Algorithm 1 has it.
    """
    if isinstance(values, SweetInterval):
        edges, values = values.edges, values.sweetness
    borders = sweet_edges(edges) if isinstance(edges, str) else as_values("edges", edges)  # type: ignore[arg-type]
    panels = {title: as_values("values", v) for title, v in by_title(values).items()}
    n = len(borders) - 1
    for v in panels.values():
        if len(v) != n:
            raise ValueError(f"values: expected {n} intervals between {n + 1} edges, got {len(v)}")
    data: dict[str, Any] = {
        "panel": [title for title in panels for _ in range(n)],
        "lo": np.tile(borders[:-1], len(panels)),
        "hi": np.tile(borders[1:], len(panels)),
        "sweetness": np.concatenate(list(panels.values())),
    }

    def draw(figure: Any) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import Normalize

        axes, _ = grid_of(figure, len(panels), columns=1, sharex=True)
        for ax, (title, v) in zip(axes, panels.items(), strict=True):
            shade = colormaps["YlGnBu"](Normalize(v.min() - 0.15 * np.ptp(v), v.max())(v))
            at, best = np.arange(n), int(v.argmax())
            bars = ax.bar(at + 0.5, v, width=0.86, color=shade, edgecolor=LINE)
            bars[best].set(linewidth=1.8, edgecolor=INK)
            ax.plot(
                at + 0.5, v, color=COLOURS[3], linestyle=(0, (4, 2)), marker="*", markersize=6,
                linewidth=1.2,
            )  # fmt: skip
            ax.axhline(0, color=LINE, linewidth=0.8)
            ax.set_xticks(range(n + 1), map(edge_text, borders), rotation=45, ha="right")
            ax.tick_params(axis="x", labelbottom=True)
            ax.grid(axis="x", visible=False)
            ax.set_xlim(0, n)
            ax.margins(y=0.1)
            ax.set_ylabel("sweetness")
            ax.set_title(title)
        axes[-1].set_xlabel("size of the gradient")

    best = {title: int(v.argmax()) for title, v in panels.items()}
    described = "; ".join(
        f"{title or 'sweetest'}: {edge_text(borders[i])} to {edge_text(borders[i + 1])}, "
        f"{panels[title][i]:.3f}"
        for title, i in best.items()
    )
    return Figure(
        "sweetness_bars",
        draw,
        data,
        title="sweetness by interval",
        alt=f"Sweetness of {n} intervals of the size of gradients; {described}",
        size=(7.0, 2.7 * len(panels) + 0.3),
    )
