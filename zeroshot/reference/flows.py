"""Scores made of one pass of ones through the network with absolute weights: no data, no labels.

Every tensor is made absolute: weights, biases, batch-norm scales and shifts, running statistics. R
is the sum of the logits for one image of ones. Nodes whose batch norm is in mode ``identity``
already stay without it, so a network that keeps some of its norms is described by its nodes (the
zero-cost-nas NAS-Bench-201 network keeps those of its two residual blocks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .nodes import Array, Node, counted_weights, without_batch_norm
from .outcome import Scored, judge, undefined
from .passes import forward, loss_backward

__all__ = ["logsynflow", "syncflow", "synflow"]

BatchNorm = Literal["identity", "batch"]


def _flow(
    nodes: Sequence[Node], weights: Mapping[str, ArrayLike], bn: BatchNorm
) -> list[tuple[Array, Array]]:
    """(|w|, dR/d|w|) of every tensor of W, in node order."""
    if bn not in ("identity", "batch"):
        raise ValueError(f"bn: expected 'identity' or 'batch', got {bn!r}")
    kept = without_batch_norm(nodes) if bn == "identity" else nodes
    absolute = {name: np.abs(np.asarray(w, dtype=np.float64)) for name, w in weights.items()}
    ones = np.ones((1, *nodes[0]["shape"]))
    gradients = loss_backward(forward(kept, absolute, ones), loss="sum_logits").weights
    return [(absolute[name], gradients[name]) for name in counted_weights(nodes)]


def synflow(
    nodes: Sequence[Node], weights: Mapping[str, ArrayLike], *, bn: BatchNorm = "identity"
) -> Scored:
    """Synaptic flow ``sum_W |w dR/dw|`` (Tanaka et al., NeurIPS 2020).

    Parameters
    ----------
    bn : {"identity", "batch"}
        Batch norm switched off (zero-cost-nas ``synflow``), or left as the nodes say, which is
        training mode on this one image (``synflow_bn``).

    Returns
    -------
    Scored
        Larger is better. Without batch norm it grows like a product over the layers: NASLib takes
        the logarithm of the total, which ranks the same.
    """
    pairs = _flow(nodes, weights, bn)
    return judge(sum(float(np.abs(w * g).sum()) for w, g in pairs), [g for _, g in pairs])


def logsynflow(nodes: Sequence[Node], weights: Mapping[str, ArrayLike]) -> Scored:
    """``sum_W |w log(dR/dw + 1)|``, batch norm switched off (FreeREA, Cavagnero et al., WACV 2023).

    Larger is better; other ranks than `synflow`, since the logarithm is inside. Undefined where a
    gradient is -1 or less, which takes a sum with a negative coefficient.
    """
    pairs = _flow(nodes, weights, "identity")
    if any((g <= -1.0).any() for _, g in pairs):
        return undefined("log_of_negative")
    value = sum(float(np.abs(w * np.log(g + 1.0)).sum()) for w, g in pairs)
    return judge(value, [g for _, g in pairs])


def syncflow(
    nodes: Sequence[Node], weights: Mapping[str, ArrayLike], *, bn: BatchNorm = "batch"
) -> Scored:
    """``-sum_l mean_c sum |w dR/dw|`` over the output channels c of layer l (ZenNAS ``syncflow``).

    Larger is better by the sign that ZenNAS gives it. There the weights are drawn from N(0, 1) and
    batch norm stays.
    """
    pairs = _flow(nodes, weights, bn)
    value = -sum(float(np.abs(w * g).sum()) / len(w) for w, g in pairs)
    return judge(value, [g for _, g in pairs])
