"""The whole package again in float64 NumPy, slow and obvious: the oracle of the tests.

`ops` has every op forward and backward. `run` puts them together over a node list, batch by batch;
`forward` and `backward` do so for one batch and keep the outputs and gradients of all nodes;
The scores turn gradients into one
number. Needs NumPy only, and nothing of the compiled core.

Examples
--------
>>> import numpy as np
>>> from zeroshot import reference
>>> reference.xi_gsnr(np.array([[1.0], [3.0]]), xi=1.0)
2.0
"""

from . import ops
from .golden import (
    Golden,
    from_golden,
    load_golden,
)
from .network import (
    NetworkResult,
    Problem,
    central_difference,
    run,
)
from .nodes import (
    MissingWeight,
    counted_weights,
    live_nodes,
    without_batch_norm,
)
from .passes import (
    Backward,
    BatchStatistics,
    Forward,
    backward,
    batch_statistics,
    forward,
    logit_seed,
    loss_backward,
    loss_value,
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
    "Backward",
    "BatchStatistics",
    "Forward",
    "Golden",
    "MissingWeight",
    "NetworkResult",
    "Problem",
    "SweetInterval",
    "backward",
    "batch_statistics",
    "central_difference",
    "counted_weights",
    "find_sweet_interval",
    "forward",
    "from_golden",
    "gradsign",
    "live_nodes",
    "load_golden",
    "logit_seed",
    "loss_backward",
    "loss_value",
    "ops",
    "run",
    "sweet_count",
    "sweet_edges",
    "sweet_histogram",
    "sweetness",
    "without_batch_norm",
    "xi_gsnr",
]
