"""The whole package again in float64 NumPy, slow and obvious: the oracle of the tests.

`ops` has every op forward and backward. `run` puts them together over a node list, batch by batch;
`forward` and `backward` do so for one batch and keep the outputs and gradients of all nodes;
`hessian_vector_product` differentiates once more. Every score is a function: `xi_gsnr`, `gradsign`
and the Sweetimator counts take gradients and return a number, the others take a network (nodes,
weights, images, labels) and return it with a status, as a `Scored`. Needs NumPy only, and nothing
of the compiled core.

Examples
--------
>>> import numpy as np
>>> from zeroshot import reference
>>> reference.xi_gsnr(np.array([[1.0], [3.0]]), xi=1.0)
2.0
"""

from . import ops, pointwise, tangents, token_ops, token_tangents
from .activations import (
    activation_count,
    activation_sizes,
    agreement,
    linear_regions,
    meco,
    meco_of_output,
    naswot,
    naswot_of_agreement,
    relu_bits,
    relu_nodes,
    swap,
    zen,
)
from .az_nas import (
    az_expressivity,
    az_progressivity,
    az_trainability,
    feature_entropy,
)
from .counts import (
    live_weights,
    macs,
    macs_pool1,
    macs_poolk2,
    macs_thop,
    params_all,
    params_weights,
)
from .flows import (
    logsynflow,
    syncflow,
    synflow,
)
from .golden import (
    Golden,
    from_golden,
    load_golden,
)
from .gradients import (
    fisher,
    grad_norm,
    grasp,
    knas,
    knas_of_gradients,
    l2_norm,
    plain,
    snip,
    zico,
    zico_of_gradients,
)
from .hessian import (
    hessian_vector_product,
    output_tangents,
)
from .jacobians import (
    correlation,
    epe_nas,
    epe_nas_of_jacobian,
    input_jacobian,
    jacob_cov,
    jacob_cov_of_jacobian,
    ntk,
    ntk_condition,
    ntk_condition_of_gram,
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
from .outcome import (
    Scored,
)
from .passes import (
    Backward,
    BatchStatistics,
    Forward,
    Loss,
    backward,
    batch_statistics,
    forward,
    logit_seed,
    loss_backward,
    loss_value,
)
from .ranks import (
    average_ranks,
    az_nas_rank,
    te_nas_rank,
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
    "Loss",
    "MissingWeight",
    "NetworkResult",
    "Problem",
    "Scored",
    "SweetInterval",
    "activation_count",
    "activation_sizes",
    "agreement",
    "average_ranks",
    "az_expressivity",
    "az_nas_rank",
    "az_progressivity",
    "az_trainability",
    "backward",
    "batch_statistics",
    "central_difference",
    "correlation",
    "counted_weights",
    "epe_nas",
    "epe_nas_of_jacobian",
    "feature_entropy",
    "find_sweet_interval",
    "fisher",
    "forward",
    "from_golden",
    "grad_norm",
    "gradsign",
    "grasp",
    "hessian_vector_product",
    "input_jacobian",
    "jacob_cov",
    "jacob_cov_of_jacobian",
    "knas",
    "knas_of_gradients",
    "l2_norm",
    "linear_regions",
    "live_nodes",
    "live_weights",
    "load_golden",
    "logit_seed",
    "logsynflow",
    "loss_backward",
    "loss_value",
    "macs",
    "macs_pool1",
    "macs_poolk2",
    "macs_thop",
    "meco",
    "meco_of_output",
    "naswot",
    "naswot_of_agreement",
    "ntk",
    "ntk_condition",
    "ntk_condition_of_gram",
    "ops",
    "output_tangents",
    "params_all",
    "params_weights",
    "plain",
    "pointwise",
    "relu_bits",
    "relu_nodes",
    "run",
    "snip",
    "swap",
    "sweet_count",
    "sweet_edges",
    "sweet_histogram",
    "sweetness",
    "syncflow",
    "synflow",
    "tangents",
    "te_nas_rank",
    "token_ops",
    "token_tangents",
    "without_batch_norm",
    "xi_gsnr",
    "zen",
    "zico",
    "zico_of_gradients",
]
