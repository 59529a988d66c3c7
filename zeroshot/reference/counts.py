"""Counts of weights and of operations, from the node list alone: no pass, no data.

Nodes that reach no output count like any other, save in `live_weights`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .nodes import LAYERS, STATISTICS, Node, counted_weights, live_nodes
from .outcome import Scored

__all__ = [
    "live_weights",
    "macs",
    "macs_pool1",
    "macs_poolk2",
    "macs_thop",
    "params_all",
    "params_weights",
]

Weights = Mapping[str, NDArray[Any]]


def _outputs(node: Node) -> int:
    """Numbers that the node writes for one image."""
    return int(np.prod(node["shape"], dtype=np.int64))


def macs(nodes: Sequence[Node], weights: Weights) -> Scored:
    """Multiply-adds of convolutions and linear layers for one image, at all positions; no biases.

    Also the complexity of AZ-NAS. Larger is better as a score.
    """
    total = 0
    for node in nodes:
        if node["op"] in LAYERS:
            per_output = weights[node["weights"]["weight"]][0].size  # C / groups k_h k_w
            total += _outputs(node) * per_output
    return Scored(float(total))


def _pool_outputs(nodes: Sequence[Node], *, times_window: bool) -> int:
    total = 0
    for node in nodes:
        if node["op"] == "avg_pool":
            kh, kw = node["attrs"]["kernel"]
            total += _outputs(node) * (kh * kw if times_window else 1)
    return total


def macs_pool1(nodes: Sequence[Node], weights: Weights) -> Scored:
    """`macs` and 1 for each output of an average pool (not of the global one).

    The convention of the FLOPs rows of the xi-GSNR and Sweetimator tables.
    """
    return Scored(macs(nodes, weights).value + _pool_outputs(nodes, times_window=False))


def macs_poolk2(nodes: Sequence[Node], weights: Weights) -> Scored:
    """`macs` and ``k_h k_w`` for each output of an average pool (not of the global one)."""
    return Scored(macs(nodes, weights).value + _pool_outputs(nodes, times_window=True))


def macs_thop(nodes: Sequence[Node], weights: Weights) -> Scored:
    """`macs_pool1` and 4 for each element of a batch norm, 2 where it has no scale and shift.

    What thop 0.1.1 counts, save for the global average pool.
    """
    norms = sum(
        _outputs(node) * (4 if node["weights"].get("gamma") else 2)
        for node in nodes
        if node["op"] == "batch_norm" and node["attrs"]["mode"] != "identity"
    )
    return Scored(macs_pool1(nodes, weights).value + norms)


def params_weights(nodes: Sequence[Node], weights: Weights) -> Scored:
    """P: how many weights count, those of convolutions and linear layers without biases."""
    return Scored(float(sum(weights[name].size for name in counted_weights(nodes))))


def params_all(nodes: Sequence[Node], weights: Weights) -> Scored:
    """P and biases, batch-norm scales and shifts; running statistics are no parameters."""
    names = {n for node in nodes for role, n in node["weights"].items() if role not in STATISTICS}
    return Scored(float(sum(weights[name].size for name in names)))


def live_weights(nodes: Sequence[Node], weights: Weights) -> Scored:
    """Weights that count on a path from the image to the logits that crosses no ``zero``.

    0 where there is no such path, stem and classifier included.
    """
    fed: set[int] = set()
    for node in nodes:
        if node["op"] == "input" or (node["op"] != "zero" and fed & set(node["inputs"])):
            fed.add(node["id"])
    live = live_nodes(nodes) & fed
    names = counted_weights([node for node in nodes if node["id"] in live])
    return Scored(float(sum(weights[name].size for name in names)))
