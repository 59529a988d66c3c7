"""Run a network given as a node list, group by group: logits, losses, gradients of all parameters.

A *group* is a run of consecutive rows of the batch that share batch-norm statistics and one mean
loss: the whole batch, each of N batches, or a single sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .nodes import STATISTICS, Array, MissingWeight, Node, check_nodes, weights_by_node
from .passes import Loss, backward, check_images, check_labels, forward, logit_seed, loss_value

__all__ = ["NetworkResult", "Problem", "central_difference", "run"]

Dead = Literal["compute", "skip"]


@dataclass(frozen=True, eq=False)
class NetworkResult:
    """What one call of `run` found.

    Attributes
    ----------
    logits : ndarray, shape (M, K)
    losses : ndarray, shape (n_groups,)
    gradients : dict of str to ndarray, shape (n_groups, ...)
        Gradient of each group's loss for every parameter (running statistics are none), in node
        order; zeros for a parameter that the loss does not see.
    activations : dict of int to ndarray, shape (M, C, H, W)
        Output of each node by its id; empty unless asked for.
    """

    logits: Array = field(repr=False)
    losses: Array
    gradients: dict[str, Array] = field(repr=False)
    activations: dict[int, Array] = field(repr=False, default_factory=dict)


class Problem(NamedTuple):
    """A network, its weights and a labelled batch: the first four arguments of `run`."""

    nodes: list[dict[str, Any]]
    weights: dict[str, NDArray[Any]]
    x: NDArray[Any]
    y: NDArray[np.int64]


# ---- the whole network ---------------------------------------------------------------------------


def run(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    loss: Loss = "cross_entropy",
    group_size: int | None = None,
    dead: Dead = "compute",
    keep_activations: bool = False,
) -> NetworkResult:
    """Forward, loss and backward of every group of the batch, each from zero gradients.

    Parameters
    ----------
    nodes : sequence of dict
        See the head of `nodes`.
    weights : mapping of str to array_like
        Every tensor that the nodes name; others are ignored.
    x : array_like, shape (M, C, H, W)
    y : array_like of int, shape (M,), optional
        Class labels; only ``sum_logits`` does without.
    loss : {"cross_entropy", "sum_logits"}
        Mean over the group of the softmax cross-entropy, or of the sum of the logits.
    group_size : int, optional
        Rows in a group; must divide M. The whole batch unless given.
    dead : {"compute", "skip"}
        What to do with nodes whose every path to the logits crosses a ``zero``. "compute" runs
        them and multiplies by 0, as PyTorch would, so that a NaN of theirs survives; "skip" leaves
        them out and a ``zero`` just writes zeros. Finite results are the same either way, and dead
        weights have a gradient of exact zeros.
    keep_activations : bool
        Whether to keep the output of every node that ran.

    Returns
    -------
    NetworkResult

    Raises
    ------
    MissingWeight
        If a node names a tensor that is not in `weights`.
    ValueError
        If an op is unknown, or a shape, a label or an argument does not fit.

    Examples
    --------
    >>> fc = {"id": 1, "op": "linear", "name": "fc", "inputs": [0], "shape": (2, 1, 1),
    ...       "attrs": {"out_features": 2, "bias": False}, "weights": {"weight": "fc.weight"}}
    >>> image = {"id": 0, "op": "input", "name": "x", "inputs": [], "shape": (3, 1, 1),
    ...          "attrs": {}, "weights": {}}
    >>> r = run([image, fc], {"fc.weight": np.zeros((2, 3))}, np.ones((4, 3, 1, 1)), [0, 1, 0, 0])
    >>> r.losses.round(6)
    array([0.693147])
    >>> r.gradients["fc.weight"][0]
    array([[-0.25, -0.25, -0.25],
           [ 0.25,  0.25,  0.25]])
    """
    if loss not in ("cross_entropy", "sum_logits"):
        raise ValueError(f"loss: expected 'cross_entropy' or 'sum_logits', got {loss!r}")
    if dead not in ("compute", "skip"):
        raise ValueError(f"dead: expected 'compute' or 'skip', got {dead!r}")
    check_nodes(nodes)
    tensors = weights_by_node(nodes, weights)
    images = check_images(nodes, x)
    m, k = len(images), nodes[-1]["shape"][0]
    group_size = m if group_size is None else group_size
    if group_size < 1 or m % group_size:
        raise ValueError(f"group_size: expected a divisor of the {m} rows of x, got {group_size}")
    labels = check_labels(y, m, k) if loss == "cross_entropy" else None
    skip_dead = dead == "skip"

    gradients = {
        node["weights"][role]: np.zeros((m // group_size, *tensor.shape))
        for node in nodes
        for role, tensor in tensors[node["id"]].items()
        if role not in STATISTICS
    }
    logits, losses = np.empty((m, k)), np.empty(m // group_size)
    kept: dict[int, list[Array]] = {}
    for j in range(m // group_size):
        rows = slice(j * group_size, (j + 1) * group_size)
        passed = forward(nodes, weights, images[rows], skip_dead=skip_dead)
        y_rows = None if labels is None else labels[rows]
        logits[rows] = passed.logits
        losses[j] = loss_value(passed.logits, y_rows, loss=loss)
        seed = logit_seed(passed.logits, y_rows, loss=loss)
        for name, g in backward(passed, seed, skip_dead=skip_dead).weights.items():
            gradients[name][j] = g
        if keep_activations:
            for i, output in passed.outputs.items():
                kept.setdefault(i, []).append(output)
    return NetworkResult(
        logits, losses, gradients, {i: np.concatenate(parts) for i, parts in kept.items()}
    )


def central_difference(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None,
    name: str,
    index: tuple[int, ...],
    *,
    step: float = 1e-6,
    loss: Loss = "cross_entropy",
    group_size: int | None = None,
) -> Array:
    """``(L(w + step) - L(w - step)) / (2 step)`` for one entry of one weight tensor.

    Shares no line of the backward pass, so it can contradict it.

    Parameters
    ----------
    name : str
        A key of `weights`.
    index : tuple of int
        The entry to move.

    Returns
    -------
    ndarray, shape (n_groups,)
        Compares with ``run(...).gradients[name][(slice(None), *index)]``, to about
        ``eps |L| / step + step**2`` where the loss is smooth, and not at all across a kink.
    """
    if name not in weights:
        raise MissingWeight(f"name: expected one of the weights {list(weights)}, got {name!r}")

    def losses(distance: float) -> Array:
        moved = np.array(weights[name], dtype=np.float64)
        moved[index] += distance
        changed = {**weights, name: moved}
        return run(nodes, changed, x, y, loss=loss, group_size=group_size).losses

    return (losses(step) - losses(-step)) / (2 * step)
