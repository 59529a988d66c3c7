"""How all figures look: one style, colours that the colour-blind tell apart, and texts of edges."""

from __future__ import annotations

__all__ = ["COLOURS", "GRID", "MARKERS", "MUTED", "SEQUENTIAL", "STYLE", "edge_text", "grid_of"]

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zeroshot.drawing.palette import INK, LINE
from zeroshot.drawing.scene import FONT

COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
"""Of series, by Okabe and Ito."""

MARKERS: Final = ("o", "s", "^", "D", "v", "P")
"""Of series, so that they differ in grey, too."""

MUTED: Final = "#8c8c8c"
GRID: Final = "#dddddd"
SEQUENTIAL: Final = "viridis"

STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "zeroshot",
    "font.family": FONT,
    "font.size": 9,
    "text.hinting": "none",
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "patch.linewidth": 0.6,
    "figure.dpi": 100,
}


def edge_text(edge: float) -> str:
    """An interval's border as short as it goes.

    Examples
    --------
    >>> [edge_text(e) for e in (0, 5e-10, 1e-4, 0.05, 1, 5)]
    ['0', '5e-10', '1e-4', '0.05', '1', '5']
    """
    if edge == 0 or 0.01 <= edge < 1e4 or not np.isfinite(edge):
        return f"{edge:g}"
    mantissa, exponent = f"{edge:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def grid_of(
    figure: Any, n: int, *, columns: int, sharex: bool = False, sharey: bool = False
) -> tuple[list[Any], NDArray[Any]]:
    """`n` axes, row by row, and the grid that they stand in; what is left over is empty."""
    n_columns = min(n, columns)
    n_rows = -(-n // n_columns)
    grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=sharex, sharey=sharey)
    for spare in grid.flat[n:]:
        spare.set_axis_off()
    return list(grid.flat[:n]), grid
