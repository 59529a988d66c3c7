"""How well a score ranks architectures: correlations, top-K, selection, intervals, comparisons.

Plain arrays in, frozen dataclasses out. What was left out or ambiguous is counted in the result:
NaN, ties, duplicates, resamples without a value.

- `correlation`: Spearman, Kendall tau-b, within the top, given a third quantity
- `top`: precision at the top K
- `selection`: best of N
- `resampling`: bootstrap intervals, comparison of two scores
- `noise`: how far any score could get
- `table`: all of it for many scores at once

Needs SciPy: ``pip install 'zeroshot[stats]'``.
"""

from __future__ import annotations

__all__ = [
    "Ceiling",
    "Comparison",
    "Correlation",
    "CorrelationRow",
    "Interval",
    "Selection",
    "TopPrecision",
    "best_of_n",
    "bootstrap",
    "compare",
    "correlate",
    "kendall",
    "noise_ceiling",
    "partial_spearman",
    "precision_at_top",
    "spearman",
    "top_correlation",
]

try:
    import scipy  # noqa: F401
except ImportError as error:
    raise ImportError(
        "zeroshot.stats: needs SciPy, which is not installed; pip install 'zeroshot[stats]'"
    ) from error

from zeroshot.stats.correlation import (
    Correlation,
    kendall,
    partial_spearman,
    spearman,
    top_correlation,
)
from zeroshot.stats.noise import Ceiling, noise_ceiling
from zeroshot.stats.resampling import Comparison, Interval, bootstrap, compare
from zeroshot.stats.selection import Selection, best_of_n
from zeroshot.stats.table import CorrelationRow, correlate
from zeroshot.stats.top import TopPrecision, precision_at_top
