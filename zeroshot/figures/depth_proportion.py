"""Share of gradients in an interval along depth (Sweetimator, Fig. 3, 9, 10)."""

from __future__ import annotations

__all__ = ["depth_proportion", "proportions"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.figures.figure import Figure, as_values
from zeroshot.figures.style import COLOURS, edge_text, grid_of
from zeroshot.sweet import Edges, sweet_edges, sweetness

Array = NDArray[np.float64]
_BAND = (10, 90)  # percent


def proportions(counts: ArrayLike, sizes: ArrayLike) -> Array:
    """Share of each layer's weights whose gradient lies in each interval (Eq. 2).

    Parameters
    ----------
    counts : array_like of int, shape (n_archs, n_layers, n_intervals)
    sizes : array_like of int, shape (n_archs, n_layers)
        All weights of each layer; a layer without any has share 0.

    Returns
    -------
    ndarray, shape (n_archs, n_layers, n_intervals)

    Examples
    --------
    >>> proportions([[[1, 3], [0, 0]]], [[4, 0]]).tolist()
    [[[0.25, 0.75], [0.0, 0.0]]]
    """
    c, s = as_values("counts", counts, 3), as_values("sizes", sizes, 2)
    if c.shape[:2] != s.shape:
        raise ValueError(
            "counts, sizes: expected shapes (n_archs, n_layers, n_intervals) and "
            f"(n_archs, n_layers), got {c.shape} and {s.shape}"
        )
    shares: Array = c / np.maximum(s, 1)[:, :, None]
    return shares


def depth_proportion(
    counts: ArrayLike,
    sizes: ArrayLike,
    *,
    edges: Edges | ArrayLike = "released",
    intervals: Sequence[tuple[float, float]] | None = None,
) -> Figure:
    """Mean share of each layer's gradients in an interval, over architectures, layer by layer.

    Parameters
    ----------
    counts, sizes : array_like
        As for `proportions`, and as `zeroshot.sweet.count_layers` gives them.
    edges : {"released", "paper"} or array_like, shape (n_intervals + 1,)
    intervals : sequence of (lo, hi), optional
        A panel for each; borders are among `edges`. Default: every interval that holds a gradient
        of any architecture.

    Returns
    -------
    Figure
        Line: the mean. Band: from the 10th to the 90th percentile of architectures. Above each
        panel its sweetness: how steadily the share grows, from -1 to 1.
    """
    borders = sweet_edges(edges) if isinstance(edges, str) else as_values("edges", edges)  # type: ignore[arg-type]
    shares = proportions(counts, sizes)
    if shares.shape[2] != len(borders) - 1:
        raise ValueError(
            f"counts: expected {len(borders) - 1} intervals between {len(borders)} edges, "
            f"got {shares.shape[2]}"
        )
    lows, highs = borders[:-1].tolist(), borders[1:].tolist()
    spans = [(i, i + 1) for i in range(len(lows)) if shares[:, :, i].any()]
    if intervals is not None:
        for lo, hi in intervals:
            if lo not in lows or hi not in highs or not lo < hi:
                known = ", ".join(map(edge_text, borders))
                raise ValueError(
                    f"intervals: expected two increasing borders among {known}; got {(lo, hi)}"
                )
        spans = [(lows.index(lo), highs.index(hi) + 1) for lo, hi in intervals]
    if not spans:
        raise ValueError("counts: expected a gradient in some interval, got none")
    whole = np.asarray(counts, dtype=np.int64)
    merged = np.stack([whole[:, :, a:b].sum(axis=2) for a, b in spans], axis=2)
    sweet = sweetness(list(merged), list(np.asarray(sizes, dtype=np.int64)))
    layers = np.arange(1, shares.shape[1] + 1)
    found = [shares[:, :, a:b].sum(axis=2) for a, b in spans]
    names = [f"[{edge_text(lows[a])}, {edge_text(highs[b - 1])})" for a, b in spans]
    data: dict[str, Any] = {
        key: [] for key in ("interval", "lo", "hi", "layer", "mean", "p10", "p90", "sweetness")
    }
    for (a, b), name, share, sweet_one in zip(spans, names, found, sweet, strict=True):
        low, high = np.percentile(share, _BAND, axis=0)
        data["interval"] += [name] * len(layers)
        data["lo"] += [lows[a]] * len(layers)
        data["hi"] += [highs[b - 1]] * len(layers)
        data["layer"] += layers.tolist()
        data["mean"] += share.mean(axis=0).tolist()
        data["p10"] += low.tolist()
        data["p90"] += high.tolist()
        data["sweetness"] += [sweet_one] * len(layers)
    columns = min(4, len(spans))

    def draw(figure: Any) -> None:
        axes, grid = grid_of(figure, len(spans), columns=columns, sharex=True)
        for ax, name, share, sweet_one in zip(axes, names, found, sweet, strict=True):
            low, high = np.percentile(share, _BAND, axis=0)
            ax.fill_between(layers, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
            ax.plot(layers, share.mean(axis=0), color=COLOURS[0], marker="o", markersize=3)
            ax.set_ylim(bottom=0)
            ax.locator_params(axis="y", nbins=4)
            ax.yaxis.set_major_formatter(lambda value, _: _share_text(value))
            ax.set_xticks(layers[:: max(1, -(-len(layers) // 8))])
            ax.tick_params(labelbottom=True)
            ax.set_title(name, fontsize=9)
            ax.set_title(f"sweetness {_signed(sweet_one)}", loc="right", fontsize=7.5)
        for ax in grid[:, 0]:
            ax.set_ylabel("share of weights")
        for ax in axes[-columns:]:
            ax.set_xlabel("layer")

    described = ", ".join(f"{name} {_signed(one)}" for name, one in zip(names, sweet, strict=True))
    return Figure(
        "depth_proportion",
        draw,
        data,
        title="share of gradients in an interval along depth",
        alt=f"Share of each of {len(layers)} layers' weights by size of their gradient, mean over "
        f"{len(shares)} architectures; sweetness by interval: {described}",
        size=(2.35 * columns + 0.3, 1.85 * -(-len(spans) // columns) + 0.3),
    )


def _signed(value: float) -> str:
    """Two digits with a minus sign, which zero has none of."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")


def _share_text(share: float) -> str:
    """A tick, whose axis needs no factor."""
    return edge_text(share) if share < 0.01 else f"{share:.4g}"
