"""Which interval of gradients ranks best: the sweet-gradient heatmap (Sweetimator, Fig. 2, 4-8)."""

from __future__ import annotations

__all__ = ["interval_correlations", "sweet_heatmap"]

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.figures.figure import Figure, as_values, by_title
from zeroshot.figures.style import COLOURS, edge_text, grid_of
from zeroshot.sweet import Edges, sweet_edges

Array = NDArray[np.float64]


def interval_correlations(counts: ArrayLike, accuracy: ArrayLike) -> Array:
    """Spearman's rho of Score(thr1, thr2) with accuracy, for all pairs of borders.

    Parameters
    ----------
    counts : array_like, shape (n_archs, n_intervals)
        Weights of each architecture whose gradient lies in each interval. Every score is a sum of
        neighbouring intervals: a difference of cumulative counts.
    accuracy : array_like, shape (n_archs,)

    Returns
    -------
    ndarray, shape (n_intervals, n_intervals)
        Row i, column j: from border i to border j + 1. NaN below the diagonal, and where all
        architectures have the same count.
    """
    from zeroshot.stats import spearman

    c, a = as_values("counts", counts, 2), as_values("accuracy", accuracy)
    if len(c) != len(a):
        raise ValueError(f"counts: expected {len(a)} rows, one per accuracy, got {len(c)}")
    below = np.cumsum(np.pad(c, ((0, 0), (1, 0))), axis=1)
    n = c.shape[1]
    found = np.full((n, n), np.nan)
    for i in range(n):
        for j in range(i, n):
            found[i, j] = spearman(below[:, j + 1] - below[:, i], a).value
    return found


def sweet_heatmap(
    counts: ArrayLike | Mapping[str, ArrayLike],
    accuracy: ArrayLike | Mapping[str, ArrayLike],
    *,
    edges: Edges | ArrayLike = "released",
) -> Figure:
    """Spearman's rho of every Score(thr1, thr2): sweet are the cells above that of Parameters.

    Parameters
    ----------
    counts : array_like, shape (n_archs, n_intervals), or mapping of title to such
        As for `interval_correlations`; the paper takes 100 architectures and batches of 128.
    accuracy : array_like, shape (n_archs,), or mapping of title to such
        Titles are those of `counts` where both have some; one array goes with every panel.
    edges : {"released", "paper"} or array_like, shape (n_intervals + 1,)

    Returns
    -------
    Figure
        thr1 grows downwards from 0, thr2 to the right: the upper right corner counts all weights
        with a gradient below the last border, which are Parameters but for a few. Darker is higher;
        dots mark what ranks strictly better than that corner.
    """
    borders = sweet_edges(edges) if isinstance(edges, str) else as_values("edges", edges)  # type: ignore[arg-type]
    hists, accuracies = by_title(counts), by_title(accuracy)
    titles = list(hists) if isinstance(counts, Mapping) else list(accuracies)
    values: dict[str, Array] = {}
    n_archs: dict[str, int] = {}
    for title in titles:
        c = hists.get(title, next(iter(hists.values())) if len(hists) == 1 else None)
        a = accuracies.get(title, next(iter(accuracies.values())) if len(accuracies) == 1 else None)
        if c is None or a is None:
            raise ValueError(
                f"accuracy: expected the titles of counts, {', '.join(hists)}; "
                f"got {', '.join(accuracies)}"
            )
        c = as_values("counts", c, 2)
        if c.shape[1] != len(borders) - 1:
            raise ValueError(
                f"counts: expected {len(borders) - 1} intervals between {len(borders)} edges, "
                f"got {c.shape[1]}"
            )
        values[title], n_archs[title] = interval_correlations(c, a), len(c)
        if np.isnan(values[title]).all():
            raise ValueError(
                "counts, accuracy: expected architectures that differ in both, "
                f"got none among {len(c)}{f' of {title}' if title else ''}"
            )
    n = len(borders) - 1
    rows, columns = np.triu_indices(n)
    data: dict[str, Any] = {"panel": [], "thr1": [], "thr2": [], "spearman": [], "sweet": []}
    for title, table in values.items():
        data["panel"] += [title] * len(rows)
        data["thr1"] += borders[rows].tolist()
        data["thr2"] += borders[columns + 1].tolist()
        data["spearman"] += table[rows, columns].tolist()
        data["sweet"] += (table[rows, columns] > table[0, -1]).tolist()

    def draw(figure: Any) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import ListedColormap

        figure.set_layout_engine("compressed")  # squares leave room, which goes to nobody
        axes, grid = grid_of(figure, len(titles), columns=3, sharex=True, sharey=True)
        low = min(float(np.nanmin(t)) for t in values.values())
        high = max(float(np.nanmax(t)) for t in values.values())
        image = None
        # white is no value: the lightest blue is not
        blues = ListedColormap(colormaps["Blues"](np.linspace(0.12, 1, 256)))
        for ax, (title, table) in zip(axes, values.items(), strict=True):
            image = ax.imshow(table, cmap=blues, vmin=low, vmax=high, interpolation="nearest")
            i, j = np.nonzero(table > table[0, -1])
            ax.plot(j, i, linestyle="none", marker="o", markersize=2.2, color=COLOURS[1])
            ax.grid(False)
            for side in ("left", "bottom"):
                ax.spines[side].set_visible(False)
            ax.set_xticks(range(n), [edge_text(e) for e in borders[1:]], rotation=90, fontsize=7)
            ax.set_yticks(range(n), [edge_text(e) for e in borders[:-1]], fontsize=7)
            ax.tick_params(length=2)
            ax.set_title(title)
            told = [
                f"above Parameters ({table[0, -1]:.3f}): {len(i)} cells",
                f"best ρ {np.nanmax(table):.3f}",
                f"{n_archs[title]} architectures",
            ]
            place: dict[str, Any] = {"xycoords": "axes fraction", "fontsize": 7.5, "va": "bottom"}
            ax.annotate("●\n\n", (0.015, 0.03), color=COLOURS[1], **place)
            ax.annotate("\n".join(told).replace("-", "\N{MINUS SIGN}"), (0.055, 0.03), **place)
        for ax in grid[-1]:
            ax.set_xlabel("thr2")
        for ax in grid[:, 0]:
            ax.set_ylabel("thr1")
        figure.colorbar(image, ax=axes, label="Spearman's ρ with accuracy", shrink=0.8)

    described = "; ".join(
        f"{title or 'all'}: Parameters {t[0, -1]:.3f}, "
        f"{int((t > t[0, -1]).sum())} of {len(rows)} intervals above it"
        for title, t in values.items()
    )
    width = min(3, len(titles))
    return Figure(
        "sweet_heatmap",
        draw,
        data,
        title="rank correlation of gradient counts by interval",
        alt=f"Spearman correlation of the count of gradients from thr1 to thr2; {described}",
        size=(3.6 * width + 1.1, 4.1 * -(-len(titles) // 3)),
    )
