"""Figures of the papers that need no training, from arrays or from stored experiments.

Each function returns a `Figure`: ``save("x.svg")`` or ``save("x.png")`` writes it, with its numbers
as CSV beside it. Colours are told apart by the colour-blind and in grey; files do not depend on
when or where they are written. Needs Matplotlib, ``pip install 'zeroshot[plot]'``, and SciPy for
correlations, ``zeroshot[stats]``.

- `scatter`, `rank_hexbin`: score against accuracy
- `sweet_heatmap`, `depth_proportion`, `sweetness_bars`: which gradients are sweet
- `gradient_histogram`, `activation_histogram`: how large gradients and activations are
- `ablation_curves`: what settings do
- `correlation_bars`, `correlation_by_time`, `best_of_n_curves`: scores beside each other
- `count_gradients`, `count_activations`, `sweep_xi_gsnr`: what some of these draw, by the engine
"""

from __future__ import annotations

__all__ = [
    "Figure",
    "GradientCounts",
    "Sweep",
    "ablation_curves",
    "activation_histogram",
    "best_of_n_curves",
    "correlation_bars",
    "correlation_by_time",
    "count_activations",
    "count_gradients",
    "depth_proportion",
    "gradient_histogram",
    "interval_correlations",
    "proportions",
    "rank_hexbin",
    "scatter",
    "sweep_xi_gsnr",
    "sweet_heatmap",
    "sweetness_bars",
]

from zeroshot.figures.ablation_curves import Sweep, ablation_curves
from zeroshot.figures.best_of_n import best_of_n_curves
from zeroshot.figures.correlation_bars import correlation_bars, correlation_by_time
from zeroshot.figures.depth_proportion import depth_proportion, proportions
from zeroshot.figures.figure import Figure
from zeroshot.figures.histograms import activation_histogram, gradient_histogram
from zeroshot.figures.measure import (
    GradientCounts,
    count_activations,
    count_gradients,
    sweep_xi_gsnr,
)
from zeroshot.figures.scatter import rank_hexbin, scatter
from zeroshot.figures.sweet_heatmap import interval_correlations, sweet_heatmap
from zeroshot.figures.sweetness_bars import sweetness_bars
