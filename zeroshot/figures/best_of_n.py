"""What picking the best of N by a score gives."""

from __future__ import annotations

__all__ = ["best_of_n_curves"]

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.figures.figure import Figure, as_values
from zeroshot.figures.style import COLOURS, MARKERS, MUTED


def best_of_n_curves(
    ns: Sequence[int],
    means: Mapping[str, ArrayLike],
    *,
    stds: Mapping[str, ArrayLike] | None = None,
    ylabel: str = "mean test accuracy of the pick (%)",
    references: Sequence[str] = ("optimal", "random"),
) -> Figure:
    """Mean accuracy of the architecture that a score picks from N random ones, against N.

    Parameters
    ----------
    ns : sequence of int
    means : mapping of label to array_like, shape (n_ns,)
        As `zeroshot.stats.best_of_n` gives them for each N.
    stds : mapping of label to array_like, optional
        Bands of one standard deviation over runs, of the labels that are here.
    ylabel : str
    references : sequence of str
        Labels that are no scores, in grey: what the best and a random pick give.

    Returns
    -------
    Figure
    """
    x = as_values("ns", ns)
    lines = {label: as_values(f"means[{label!r}]", m) for label, m in means.items()}
    bands = {label: as_values(f"stds[{label!r}]", s) for label, s in (stds or {}).items()}
    for label, line in (*lines.items(), *bands.items()):
        if len(line) != len(x):
            raise ValueError(f"{label!r}: expected {len(x)} values, one per N, got {len(line)}")
    if not lines:
        raise ValueError("means: expected at least one score, got none")
    missing = np.full(len(x), np.nan)
    data: dict[str, Any] = {
        "n": np.tile(x.astype(np.int64), len(lines)),
        "label": [label for label in lines for _ in x],
        "mean": np.concatenate(list(lines.values())),
        "std": np.concatenate([bands.get(label, missing) for label in lines]),
    }

    def draw(figure: Any) -> None:
        ax = figure.subplots()
        handles: list[tuple[float, Any]] = []
        i = 0
        for label, line in lines.items():
            plain = label in references
            colour = MUTED if plain else COLOURS[i % len(COLOURS)]
            dash = (0, (1, 1.5)) if plain else ("-", (0, (4, 2)))[i // len(COLOURS) % 2]
            marker = "" if plain else MARKERS[i % len(MARKERS)]
            i += not plain
            if label in bands:
                ax.fill_between(
                    x, line - bands[label], line + bands[label], color=colour, alpha=0.12,
                    linewidth=0,
                )  # fmt: skip
            (handle,) = ax.plot(x, line, color=colour, linestyle=dash, marker=marker, label=label)
            handles.append((float(line[-1]), handle))
        ax.set_xscale("log")
        ax.set_xticks(x, [f"{int(n):,}" for n in x])
        ax.minorticks_off()
        ax.set(xlabel="N", ylabel=ylabel)
        ordered = [handle for _, handle in sorted(handles, key=lambda pair: -pair[0])]
        figure.legend(handles=ordered, loc="outside right upper")

    described = ", ".join(f"{label} {line[-1]:.2f}" for label, line in lines.items())
    return Figure(
        "best_of_n_curves",
        draw,
        data,
        title="accuracy of the best of N",
        alt=f"{ylabel} against N from {int(x[0])} to {int(x[-1])}; at the last: {described}",
        size=(5.4, 3.0),
    )
