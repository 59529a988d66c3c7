"""One forward of one batch and everything that can be asked of it backwards.

`forward` keeps the output of every node. `backward` starts from any gradient at any node and finds
the gradient with respect to every node's output, the images included (node 0), and every parameter:

* gradients of a loss: `backward` from `logit_seed`, or `loss_backward` for both in one;
* gradients of one image's logits in a joint batch: a seed with a single row that is not 0;
* a vector-Jacobian product from node t to node s: ``backward(f, {t: v}).outputs[s]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import ops
from .nodes import (
    STATISTICS,
    Array,
    Node,
    backward_node,
    check_nodes,
    forward_node,
    label,
    live_nodes,
    weights_by_node,
)

__all__ = [
    "Backward",
    "BatchStatistics",
    "Forward",
    "Loss",
    "backward",
    "batch_statistics",
    "check_images",
    "check_labels",
    "forward",
    "logit_seed",
    "loss_backward",
    "loss_value",
]

Loss = Literal["cross_entropy", "sum_logits"]


@dataclass(frozen=True, eq=False)
class Forward:
    """A batch on its way through a network.

    Attributes
    ----------
    nodes : sequence of dict
    weights : dict of int to dict of str to ndarray
        Tensors of each node by role, in float64.
    outputs : dict of int to ndarray, shape (M, C, H, W)
        Output of each node by its id; node 0 holds the images.
    """

    nodes: Sequence[Node] = field(repr=False)
    weights: dict[int, dict[str, Array]] = field(repr=False)
    outputs: dict[int, Array] = field(repr=False)

    @property
    def logits(self) -> Array:
        """Output of the last node, shape (M, K)."""
        return self.outputs[self.nodes[-1]["id"]][:, :, 0, 0]

    def inputs_of(self, node: Node) -> list[Array]:
        """What `node` reads."""
        return [self.outputs[source] for source in node["inputs"]]


@dataclass(frozen=True, eq=False)
class Backward:
    """What one walk backwards found.

    Attributes
    ----------
    outputs : dict of int to ndarray, shape (M, C, H, W)
        Gradient with respect to each node's output; zeros where no path leads to a seed.
    weights : dict of str to ndarray
        Gradient of every parameter (running statistics are none), in node order.
    """

    outputs: dict[int, Array] = field(repr=False)
    weights: dict[str, Array] = field(repr=False)


class BatchStatistics(NamedTuple):
    """Mean and biased variance of each channel over batch and positions, shape (C,) each."""

    mean: Array
    var: Array


def forward(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    *,
    given: Mapping[int, ArrayLike] | None = None,
    skip_dead: bool = False,
) -> Forward:
    """Run the whole batch as one group.

    Parameters
    ----------
    nodes : sequence of dict
    weights : mapping of str to array_like
        Every tensor that the nodes name; others are ignored.
    x : array_like, shape (M, C, H, W)
    given : mapping of int to array_like, optional
        Outputs to use in place of what the node would compute: cuts the network there.
    skip_dead : bool
        Leave out nodes whose every path to the logits crosses a ``zero``, and let ``zero`` write
        zeros; otherwise they run and are multiplied by 0.

    Raises
    ------
    MissingWeight
        If a node names a tensor that is not in `weights`.
    ValueError
        If an op is unknown or a shape does not fit.
    """
    check_nodes(nodes)
    w = weights_by_node(nodes, weights)
    images = check_images(nodes, x)
    runs = live_nodes(nodes) if skip_dead else {node["id"] for node in nodes}
    instead = {} if given is None else given
    outputs: dict[int, Array] = {}
    with np.errstate(all="ignore"):  # NaN and infinity are results here, not accidents
        for node in nodes:
            i, shape = node["id"], (len(images), *node["shape"])
            if i not in runs:
                continue
            if i in instead:
                outputs[i] = np.asarray(instead[i], dtype=np.float64)
            elif node["op"] == "input":
                outputs[i] = images
            elif node["op"] == "zero" and skip_dead:
                outputs[i] = np.zeros(shape)
            else:
                outputs[i] = forward_node(node, [outputs[s] for s in node["inputs"]], w[i])
            if outputs[i].shape != shape:
                raise ValueError(f"nodes: {label(node)} says {shape}, comes out {outputs[i].shape}")
    return Forward(nodes, w, outputs)


def backward(
    passed: Forward, seeds: Mapping[int, ArrayLike] | ArrayLike, *, skip_dead: bool = False
) -> Backward:
    """Gradients of ``sum_i <seeds[i], output of node i>``.

    Parameters
    ----------
    passed : Forward
    seeds : mapping of int to array_like, or array_like of shape (M, K)
        Where to start: for each node a gradient of its output's shape; an array is for the logits.
        A seed counts on top of what comes back from readers of the node.
    skip_dead : bool
        As the forward was told: nothing goes through a ``zero``.
    """
    nodes, w, outputs = passed.nodes, passed.weights, passed.outputs
    if isinstance(seeds, Mapping):
        start = {i: np.asarray(seed, dtype=np.float64) for i, seed in seeds.items()}
    else:
        start = {nodes[-1]["id"]: np.asarray(seeds, dtype=np.float64)[:, :, None, None]}
    for i, seed in start.items():
        if i not in outputs or seed.shape != outputs[i].shape:
            expected = outputs[i].shape if i in outputs else f"a node out of {list(outputs)}"
            raise ValueError(f"seeds: node {i} expects {expected}, got {seed.shape}")
    d_outputs = {i: np.zeros_like(output) for i, output in outputs.items()}
    d_weights = {
        node["weights"][role]: np.zeros_like(tensor)
        for node in nodes
        for role, tensor in w[node["id"]].items()
        if role not in STATISTICS
    }
    seen = set(start)  # only these: 0 times infinity must not come up where no gradient goes
    for i, seed in start.items():
        d_outputs[i] = seed
    with np.errstate(all="ignore"):
        for node in reversed(nodes):
            i = node["id"]
            if i not in seen or node["op"] == "input" or (node["op"] == "zero" and skip_dead):
                continue
            d_inputs, d_tensors = backward_node(node, passed.inputs_of(node), w[i], d_outputs[i])
            for source, dx in zip(node["inputs"], d_inputs, strict=True):
                d_outputs[source] = d_outputs[source] + dx if source in seen else dx
                seen.add(source)
            for role, dw in d_tensors.items():
                if role in w[i]:
                    d_weights[node["weights"][role]] += dw
    return Backward(d_outputs, d_weights)


# ---- where gradients start -----------------------------------------------------------------------


def loss_value(
    logits: ArrayLike, y: ArrayLike | None = None, *, loss: Loss = "cross_entropy"
) -> float:
    """Mean loss of the batch: softmax cross-entropy, or the sum of the logits."""
    values = np.asarray(logits, dtype=np.float64)
    with np.errstate(all="ignore"):
        if loss == "sum_logits":
            return ops.sum_logits(values)
        return ops.cross_entropy(values, check_labels(y, len(values), values.shape[1]))


def logit_seed(
    logits: ArrayLike, y: ArrayLike | None = None, *, loss: Loss = "cross_entropy"
) -> Array:
    """Gradient of the mean loss with respect to the logits, shape (M, K).

    >>> logit_seed(np.zeros((1, 2)), [1])
    array([[ 0.5, -0.5]])
    """
    values = np.asarray(logits, dtype=np.float64)
    if loss == "sum_logits":
        return ops.sum_logits_backward(values)
    if loss != "cross_entropy":
        raise ValueError(f"loss: expected 'cross_entropy' or 'sum_logits', got {loss!r}")
    labels = check_labels(y, len(values), values.shape[1])
    with np.errstate(all="ignore"):
        return ops.cross_entropy_backward(values, labels)


def loss_backward(
    passed: Forward, y: ArrayLike | None = None, *, loss: Loss = "cross_entropy"
) -> Backward:
    """`backward` from the mean loss of the batch."""
    return backward(passed, logit_seed(passed.logits, y, loss=loss))


def check_images(nodes: Sequence[Node], x: ArrayLike) -> Array:
    """`x` in float64, or a ValueError where it is no batch for node 0."""
    images = np.asarray(x, dtype=np.float64)
    if images.ndim != 4 or not len(images) or images.shape[1:] != tuple(nodes[0]["shape"]):
        raise ValueError(f"x: expected shape (M, *{nodes[0]['shape']}), M > 0, got {images.shape}")
    return images


def check_labels(y: ArrayLike | None, m: int, k: int) -> NDArray[np.int64]:
    """`y` as an array of `m` class numbers below `k`, or a ValueError that says what is wrong."""
    if y is None:
        raise ValueError("y: expected labels for the cross-entropy, got None")
    labels: NDArray[Any] = np.asarray(y)
    if labels.shape != (m,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"y: expected {m} integers, got {labels.dtype} of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"y: expected labels in [0, {k}), got {labels.min()}..{labels.max()}")
    return labels.astype(np.int64)


# ---- batch normalisation -------------------------------------------------------------------------


def batch_statistics(passed: Forward) -> dict[int, BatchStatistics]:
    """Statistics of the input of every ``batch_norm`` in batch mode that ran, by its id."""
    found: dict[int, BatchStatistics] = {}
    with np.errstate(all="ignore"):
        for node in passed.nodes:
            if node["op"] != "batch_norm" or node["attrs"]["mode"] != "batch":
                continue
            if node["id"] not in passed.outputs:
                continue
            (x,) = passed.inputs_of(node)
            mean = x.mean(axis=(0, 2, 3))
            var = ((x - mean[:, None, None]) ** 2).mean(axis=(0, 2, 3))
            found[node["id"]] = BatchStatistics(mean, var)
    return found
