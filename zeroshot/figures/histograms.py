"""How large gradients and activations are (Sweetimator, Fig. 11)."""

from __future__ import annotations

__all__ = ["activation_histogram", "gradient_histogram"]

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.drawing.palette import INK, PAPER
from zeroshot.figures.figure import Figure, as_values, by_title
from zeroshot.figures.style import COLOURS, edge_text, grid_of
from zeroshot.sweet import Edges, sweet_edges


def gradient_histogram(
    counts: ArrayLike | Mapping[str, ArrayLike], *, edges: Edges | ArrayLike = "released"
) -> Figure:
    """Share of weights by the size of their gradient, mean over architectures.

    Parameters
    ----------
    counts : array_like, shape (n_archs, n_intervals), or mapping of title to such
        Of each architecture, as `figures.count_gradients` gives them: a panel for each title.
    edges : {"released", "paper"} or array_like, shape (n_intervals + 1,)

    Returns
    -------
    Figure
        Shares are of those below the last border: larger ones are not among `counts`. Whiskers go
        from the 10th to the 90th percentile of architectures. The first interval holds the zeros:
        weights that no path joins to image and logits.
    """
    return _histogram("gradient_histogram", counts, edges, "gradient", "weights")


def activation_histogram(
    counts: ArrayLike | Mapping[str, ArrayLike],
    *,
    edges: Edges | ArrayLike = "released",
    which: str = "relu",
) -> Figure:
    """Share of outputs by their size, mean over architectures.

    Parameters
    ----------
    counts : array_like, shape (n_archs, n_intervals), or mapping of title to such
        Of each architecture, as `figures.count_activations` gives them: a panel for each title.
    edges : {"released", "paper"} or array_like, shape (n_intervals + 1,)
    which : str
        Whose outputs they are, as in `zeroshot.Activations`; the paper does not say.

    Returns
    -------
    Figure
        Shares and whiskers as in `gradient_histogram`: up to a few per cent of activations are
        above 5, where `edges` end; one more border, infinity, counts them, too. With "relu" the
        first interval holds all units that are off.
    """
    of = {"relu": "outputs of activation functions", "conv": "outputs of convolutions"}
    return _histogram("activation_histogram", counts, edges, "activation", of.get(which, which))


def _histogram(name: str, counts: Any, edges: Any, what: str, of: str) -> Figure:
    borders = sweet_edges(edges) if isinstance(edges, str) else as_values("edges", edges)  # type: ignore[arg-type]
    panels = {title: as_values("counts", c, 2) for title, c in by_title(counts).items()}
    n = len(borders) - 1
    shares = {}
    for title, c in panels.items():
        if c.shape[1] != n:
            raise ValueError(
                f"counts: expected {n} intervals between {n + 1} edges, got {c.shape[1]}"
            )
        if not c.sum(axis=1).all():
            raise ValueError("counts: expected counts in every row, got a row of zeros")
        shares[title] = c / c.sum(axis=1, keepdims=True)
    means = {title: share.mean(axis=0) for title, share in shares.items()}
    spread = {title: np.percentile(share, (10, 90), axis=0) for title, share in shares.items()}
    data: dict[str, Any] = {
        "panel": [title for title in shares for _ in range(n)],
        "lo": np.tile(borders[:-1], len(shares)),
        "hi": np.tile(borders[1:], len(shares)),
        "share": np.concatenate(list(means.values())),
        "p10": np.concatenate([s[0] for s in spread.values()]),
        "p90": np.concatenate([s[1] for s in spread.values()]),
        "count": np.concatenate([c.sum(axis=0).astype(np.int64) for c in panels.values()]),
    }

    below = f" below {edge_text(borders[-1])}" if np.isfinite(borders[-1]) else ""

    def draw(figure: Any) -> None:
        axes, _ = grid_of(figure, len(shares), columns=2, sharey=True)
        colour = COLOURS[0] if what == "gradient" else COLOURS[2]
        for ax, (title, mean) in zip(axes, means.items(), strict=True):
            low, high = spread[title]
            at = np.arange(n) + 0.5
            ax.bar(at, 100 * mean, width=1, color=colour, alpha=0.75, edgecolor=PAPER)
            ax.vlines(at, 100 * low, 100 * high, color=INK, linewidth=0.9)
            ax.set_xticks(range(n + 1), map(edge_text, borders), rotation=90)
            ax.grid(axis="x", visible=False)
            ax.set_xlim(0, n)
            ax.set_ylim(bottom=0)
            ax.set_title(title)
            ax.set_xlabel(f"|{what}|" if of == "weights" else f"|{what}|, {of}")
            if ax.get_subplotspec().is_first_col():
                ax.set_ylabel(f"% of {of if of == 'weights' else 'values'}{below}")

    top = {title: int(mean.argmax()) for title, mean in means.items()}
    described = "; ".join(
        f"{title or 'most'}: {edge_text(borders[i])} to {edge_text(borders[i + 1])} with "
        f"{100 * means[title][i]:.0f} %"
        for title, i in top.items()
    )
    return Figure(
        name,
        draw,
        data,
        title=f"{of} by size of the {what}",
        alt=f"Share of {of}{below} by size of the {what}, mean over "
        f"{' and '.join(str(len(s)) for s in shares.values())} architectures; {described}",
        size=(4.4 * min(2, len(shares)) + 0.3, 2.9 * -(-len(shares) // 2)),
    )
