"""The whole package again in float64 NumPy, slow and obvious: the oracle of the tests.

`ops` has every op forward and backward, `run` puts them together over a node list, and the scores
turn gradients into one number.  Needs NumPy only, and nothing of the compiled core.

Examples
--------
>>> import numpy as np
>>> from zeroshot import reference
>>> reference.xi_gsnr(np.array([[1.0], [3.0]]), xi=1.0)
2.0
"""

from . import ops
from .network import (
    Golden,
    MissingWeight,
    NetworkResult,
    Problem,
    central_difference,
    counted_weights,
    from_golden,
    live_nodes,
    load_golden,
    run,
)
from .scores import (
    SweetInterval,
    find_sweet_interval,
    gradsign,
    sweet_count,
    sweet_edges,
    sweet_histogram,
    sweetness,
    xi_gsnr,
)

__all__ = [
    "Golden",
    "MissingWeight",
    "NetworkResult",
    "Problem",
    "SweetInterval",
    "central_difference",
    "counted_weights",
    "find_sweet_interval",
    "from_golden",
    "gradsign",
    "live_nodes",
    "load_golden",
    "ops",
    "run",
    "sweet_count",
    "sweet_edges",
    "sweet_histogram",
    "sweetness",
    "xi_gsnr",
]
