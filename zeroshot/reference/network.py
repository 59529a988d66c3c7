"""Run a network given as a node list, group by group: logits, losses, gradients of all parameters.

A node is the dict that describes one step of a network everywhere in this package::

    {"id": 4, "op": "conv2d", "name": "stem.conv", "inputs": [0], "shape": (16, 32, 32),
     "attrs": {"out_channels": 16, "kernel": (3, 3), "stride": (1, 1), "padding": (1, 1),
               "dilation": (1, 1), "groups": 1, "bias": False},
     "weights": {"weight": "stem.conv.weight"}}

Node 0 is the image (op ``input``), inputs come before their readers, the last node is the logits.
A *group* is a run of consecutive rows of the batch that share batch-norm statistics and one mean
loss: the whole batch, each of N batches, or a single sample.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import ops

__all__ = [
    "Golden",
    "MissingWeight",
    "NetworkResult",
    "Problem",
    "central_difference",
    "counted_weights",
    "from_golden",
    "live_nodes",
    "load_golden",
    "run",
]

Array = NDArray[np.float64]
Node = Mapping[str, Any]
Loss = Literal["cross_entropy", "sum_logits"]
Dead = Literal["compute", "skip"]

# What is no parameter gets no gradient.
_STATISTICS = ("running_mean", "running_var")


class MissingWeight(ValueError):
    """A node names a weight tensor that was not given."""


@dataclass(frozen=True, eq=False)
class NetworkResult:
    """What one call of `run` found.

    Attributes
    ----------
    logits : ndarray, shape (M, K)
    losses : ndarray, shape (n_groups,)
    gradients : dict of str to ndarray, shape (n_groups, *shape of the tensor)
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


@dataclass(frozen=True, eq=False)
class Golden:
    """A stored problem together with its stored answer.

    Attributes
    ----------
    problem : Problem
    loss : str
    group_size : int
    result : NetworkResult
        Logits, losses and gradients of the batch in groups of `group_size`.
    sample_gradients : dict of str to ndarray, shape (n_samples, *shape)
        The first rows of the batch, each alone; counted weights only, rounded to float32.
    scores : dict of str to float
    """

    problem: Problem = field(repr=False)
    loss: Loss
    group_size: int
    result: NetworkResult = field(repr=False)
    sample_gradients: dict[str, NDArray[np.float32]] = field(repr=False)
    scores: dict[str, float]


# ---- one node ------------------------------------------------------------------------------------


def _forward(node: Node, xs: Sequence[Array], w: Mapping[str, Array]) -> Array:
    a = node["attrs"]
    match node["op"]:
        case "conv2d":
            return ops.conv2d(xs[0], w["weight"], w.get("bias"), **_geometry(a))
        case "linear":
            return ops.linear(xs[0], w["weight"], w.get("bias"))
        case "batch_norm" if a["mode"] == "batch":
            return ops.batch_norm(xs[0], w.get("gamma"), w.get("beta"), eps=a["eps"])
        case "batch_norm" if a["mode"] == "running":
            mean, var, gamma, beta = (
                w["running_mean"],
                w["running_var"],
                w.get("gamma"),
                w.get("beta"),
            )
            return ops.batch_norm_running(xs[0], mean, var, gamma=gamma, beta=beta, eps=a["eps"])
        case "batch_norm" if a["mode"] == "identity":
            return ops.identity(xs[0])
        case "relu":
            return ops.relu(xs[0])
        case "max_pool":
            return ops.max_pool(xs[0], **_window(a))
        case "avg_pool":
            include = a["count_include_pad"]
            return ops.avg_pool(xs[0], **_window(a), count_include_pad=include)
        case "global_avg_pool":
            return ops.global_avg_pool(xs[0])
        case "add":
            return ops.add(xs, a["coef"])
        case "concat":
            return ops.concat(xs)
        case "zero":
            return ops.zero(xs[0], stride=a["stride"])
        case "identity":
            return ops.identity(xs[0])
        case "shift":
            return ops.shift(xs[0])
        case _:
            raise ValueError(f"nodes: {_label(node)} has an unknown op or mode: {dict(a)}")


def _backward(
    node: Node, xs: Sequence[Array], w: Mapping[str, Array], dy: Array
) -> tuple[list[Array], dict[str, Array]]:
    """Gradients of the inputs, one each, and of the weights, by role."""
    a = node["attrs"]
    match node["op"]:
        case "conv2d":
            dx, dw, db = ops.conv2d_backward(xs[0], w["weight"], dy, **_geometry(a))
            return [dx], {"weight": dw, "bias": db}
        case "linear":
            dx, dw, db = ops.linear_backward(xs[0], w["weight"], dy)
            return [dx], {"weight": dw, "bias": db}
        case "batch_norm" if a["mode"] == "batch":
            dx, dg, db = ops.batch_norm_backward(xs[0], w.get("gamma"), dy, eps=a["eps"])
            return [dx], {"gamma": dg, "beta": db}
        case "batch_norm" if a["mode"] == "running":
            mean, var, gamma = w["running_mean"], w["running_var"], w.get("gamma")
            dx, dg, db = ops.batch_norm_running_backward(
                xs[0], mean, var, gamma=gamma, dy=dy, eps=a["eps"]
            )
            return [dx], {"gamma": dg, "beta": db}
        case "relu":
            return [ops.relu_backward(xs[0], dy)], {}
        case "max_pool":
            return [ops.max_pool_backward(xs[0], dy, **_window(a))], {}
        case "avg_pool":
            include = a["count_include_pad"]
            return [ops.avg_pool_backward(xs[0], dy, **_window(a), count_include_pad=include)], {}
        case "global_avg_pool":
            return [ops.global_avg_pool_backward(xs[0], dy)], {}
        case "add":
            return ops.add_backward(dy, a["coef"]), {}
        case "concat":
            return ops.concat_backward(xs, dy), {}
        case "zero":
            return [ops.zero_backward(xs[0], dy, stride=a["stride"])], {}
        case "shift":
            return [ops.shift_backward(xs[0], dy)], {}
        case _:  # identity, and batch norm that has been switched off
            return [ops.identity_backward(dy)], {}


def _geometry(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: attrs[key] for key in ("stride", "padding", "dilation", "groups")}


def _window(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: attrs[key] for key in ("kernel", "stride", "padding")}


def _label(node: Node) -> str:
    return f"node {node['id']} ({node['name']!r}, {node['op']})"


# ---- the whole network ---------------------------------------------------------------------------


def counted_weights(nodes: Sequence[Node]) -> list[str]:
    """Names of the tensors that scores count: ``weight`` of conv2d and linear, in node order."""
    return [n["weights"]["weight"] for n in nodes if n["op"] in ("conv2d", "linear")]


def live_nodes(nodes: Sequence[Node]) -> set[int]:
    """Ids of the nodes with a path to the logits that crosses no ``zero``."""
    live: set[int] = {nodes[-1]["id"]}
    for node in reversed(nodes):
        if node["id"] in live and node["op"] != "zero":
            live.update(node["inputs"])
    return live


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
        See the head of this module.
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
    _check_nodes(nodes)
    w = _roles(nodes, weights)
    images = np.asarray(x, dtype=np.float64)
    if images.ndim != 4 or not len(images) or images.shape[1:] != tuple(nodes[0]["shape"]):
        raise ValueError(f"x: expected shape (M, *{nodes[0]['shape']}), M > 0, got {images.shape}")
    m, k = len(images), nodes[-1]["shape"][0]
    group_size = m if group_size is None else group_size
    if group_size < 1 or m % group_size:
        raise ValueError(f"group_size: expected a divisor of the {m} rows of x, got {group_size}")
    labels = _check_labels(y, m, k) if loss == "cross_entropy" else None
    skip_dead = dead == "skip"

    gradients = {
        node["weights"][role]: np.zeros((m // group_size, *tensor.shape))
        for node in nodes
        for role, tensor in w[node["id"]].items()
        if role not in _STATISTICS
    }
    logits, losses = np.empty((m, k)), np.empty(m // group_size)
    kept: dict[int, list[Array]] = {}
    with np.errstate(all="ignore"):  # NaN and infinity are results here, not accidents
        for j in range(m // group_size):
            rows = slice(j * group_size, (j + 1) * group_size)
            outputs = _forward_all(nodes, w, images[rows], skip_dead=skip_dead)
            logits[rows] = outputs[nodes[-1]["id"]][:, :, 0, 0]
            if labels is None:
                losses[j] = ops.sum_logits(logits[rows])
                d_logits = ops.sum_logits_backward(logits[rows])
            else:
                losses[j] = ops.cross_entropy(logits[rows], labels[rows])
                d_logits = ops.cross_entropy_backward(logits[rows], labels[rows])
            of_group = {name: g[j] for name, g in gradients.items()}
            _backward_all(nodes, w, outputs, d_logits, of_group, skip_dead=skip_dead)
            if keep_activations:
                for i, output in outputs.items():
                    kept.setdefault(i, []).append(output)
    return NetworkResult(
        logits, losses, gradients, {i: np.concatenate(parts) for i, parts in kept.items()}
    )


def _forward_all(
    nodes: Sequence[Node], w: Mapping[int, Mapping[str, Array]], x: Array, *, skip_dead: bool
) -> dict[int, Array]:
    runs = live_nodes(nodes) if skip_dead else {node["id"] for node in nodes}
    outputs: dict[int, Array] = {}
    for node in nodes:
        i, shape = node["id"], (len(x), *node["shape"])
        if i not in runs:
            continue
        if node["op"] == "input":
            outputs[i] = x
        elif node["op"] == "zero" and skip_dead:
            outputs[i] = np.zeros(shape)
        else:
            outputs[i] = _forward(node, [outputs[source] for source in node["inputs"]], w[i])
        if outputs[i].shape != shape:
            raise ValueError(f"nodes: {_label(node)} says {shape}, comes out {outputs[i].shape}")
    return outputs


def _backward_all(
    nodes: Sequence[Node],
    w: Mapping[int, Mapping[str, Array]],
    outputs: Mapping[int, Array],
    d_logits: Array,
    gradients: Mapping[str, Array],
    *,
    skip_dead: bool,
) -> None:
    """Walk the nodes backwards; gradients of one group are added to `gradients` in place."""
    d_outputs = {nodes[-1]["id"]: d_logits[:, :, None, None]}
    for node in reversed(nodes):
        i = node["id"]
        dy = d_outputs.pop(i, None)  # none where the loss does not see the node
        if dy is None or node["op"] == "input" or (node["op"] == "zero" and skip_dead):
            continue
        xs = [outputs[source] for source in node["inputs"]]
        d_inputs, d_weights = _backward(node, xs, w[i], dy)
        for source, dx in zip(node["inputs"], d_inputs, strict=True):
            d_outputs[source] = d_outputs[source] + dx if source in d_outputs else dx
        for role, dw in d_weights.items():
            if role in w[i]:
                gradients[node["weights"][role]][...] += dw


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


# ---- checks --------------------------------------------------------------------------------------


def _check_nodes(nodes: Sequence[Node]) -> None:
    if not nodes or nodes[0]["op"] != "input":
        raise ValueError("nodes: expected a list whose first node has op 'input'")
    known: set[int] = set()
    for node in nodes:
        for source in node["inputs"]:
            if source not in known:
                raise ValueError(
                    f"nodes: {_label(node)} reads node {source}, not defined before it"
                )
        if node["id"] in known:
            raise ValueError(f"nodes: {_label(node)} repeats an id")
        if node is not nodes[0] and not node["inputs"]:
            raise ValueError(f"nodes: {_label(node)} has no inputs")
        known.add(node["id"])
    if tuple(nodes[-1]["shape"][1:]) != (1, 1):
        raise ValueError(f"nodes: expected logits of shape (K, 1, 1), got {nodes[-1]['shape']}")


def _roles(nodes: Sequence[Node], weights: Mapping[str, ArrayLike]) -> dict[int, dict[str, Array]]:
    """The weights of each node by role, in float64."""
    found: dict[int, dict[str, Array]] = {}
    for node in nodes:
        found[node["id"]] = {}
        for role, name in node["weights"].items():
            if name not in weights:
                raise MissingWeight(f"weights: {_label(node)} needs {name!r} as its {role}")
            found[node["id"]][role] = np.asarray(weights[name], dtype=np.float64)
    return found


def _check_labels(y: ArrayLike | None, m: int, k: int) -> NDArray[np.int64]:
    if y is None:
        raise ValueError("y: expected labels for the cross-entropy, got None")
    labels = np.asarray(y)
    if labels.shape != (m,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"y: expected {m} integers, got {labels.dtype} of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"y: expected labels in [0, {k}), got {labels.min()}..{labels.max()}")
    return labels.astype(np.int64)


# ---- stored networks -----------------------------------------------------------------------------

_GOLDEN_OPS = {
    "conv": "conv2d", "bn": "batch_norm", "relu": "relu", "maxpool": "max_pool",
    "avgpool": "avg_pool", "add": "add", "concat": "concat", "zero": "zero", "shift": "shift",
    "gap": "global_avg_pool", "linear": "linear",
}  # fmt: skip


def from_golden(npz: Mapping[str, NDArray[Any]] | str | os.PathLike[str]) -> Problem:
    """Node list, weights and batch of a stored step program.

    Parameters
    ----------
    npz : mapping or path
        Keys ``program`` (JSON: a list of steps ``{"op", "in", "out", ...}`` from ``t0`` on),
        ``w/NAME``, ``x`` and ``y``. A node is called like its weights (``conv3.weight`` belongs to
        ``conv3``), or like its output where it has none.
    """
    if not isinstance(npz, Mapping):
        with np.load(npz, allow_pickle=False) as file:
            return from_golden(dict(file))
    weights = {key[2:]: npz[key] for key in npz if key.startswith("w/")}
    x, y = npz["x"], npz["y"]
    image: tuple[int, ...] = x.shape[1:]
    nodes: list[dict[str, Any]] = [_node(0, "input", "t0", inputs=[], shape=image)]
    ids = {"t0": 0}
    for step in json.loads(str(npz["program"])):
        if step["op"] not in _GOLDEN_OPS:
            known = ", ".join(_GOLDEN_OPS)
            raise ValueError(f"program: expected an op out of {known}, got {step['op']!r}")
        roles = {r: step[r] for r in ("weight", "bias", "gamma", "beta") if r in step}
        missing = [name for name in roles.values() if name not in weights]
        if missing:
            raise MissingWeight(f"npz: step {step['out']!r} needs the array 'w/{missing[0]}'")
        inputs = [ids[name] for name in step["in"]]
        node = _node(
            len(nodes),
            _GOLDEN_OPS[step["op"]],
            next(iter(roles.values())).rpartition(".")[0] if roles else step["out"],
            inputs=inputs,
            attrs=_golden_attrs(step, weights),
            weights=roles,
        )
        # a batch of one through the op itself: the shape is whatever comes out
        probes = [np.zeros((1, *nodes[i]["shape"])) for i in inputs]
        tensors = {role: weights[name].astype(np.float64) for role, name in roles.items()}
        node["shape"] = _forward(node, probes, tensors).shape[1:]
        ids[step["out"]] = node["id"]
        nodes.append(node)
    return Problem(nodes, weights, x, y)


def _node(
    number: int,
    op: str,
    name: str,
    *,
    inputs: list[int],
    attrs: dict[str, Any] | None = None,
    weights: dict[str, str] | None = None,
    shape: tuple[int, ...] = (),
) -> dict[str, Any]:
    return {
        "id": number, "op": op, "name": name, "inputs": inputs, "attrs": attrs or {},
        "weights": weights or {}, "shape": shape,
    }  # fmt: skip


def _golden_attrs(step: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    def pair(key: str) -> tuple[int, int]:
        return (step[key], step[key])

    match step["op"]:
        case "conv":
            k, _, r, s = weights[step["weight"]].shape
            return {
                "out_channels": k, "kernel": (r, s), "stride": pair("stride"),
                "padding": pair("pad"), "dilation": pair("dilation"), "groups": step["groups"],
                "bias": "bias" in step,
            }  # fmt: skip
        case "linear":
            return {"out_features": len(weights[step["weight"]]), "bias": "bias" in step}
        case "bn":
            return {"eps": step["eps"], "affine": "gamma" in step, "mode": "batch"}
        case "maxpool" | "avgpool":
            window: dict[str, Any] = {"kernel": pair("k"), "stride": pair("stride")}
            window["padding"] = pair("pad")
            if step["op"] == "avgpool":
                window["count_include_pad"] = bool(step["count_include_pad"])
            return window
        case "add":
            return {"coef": [1.0] * len(step["in"])}
        case "zero":
            return {"stride": step.get("stride", 1)}
        case _:
            return {}


def load_golden(path: str | os.PathLike[str]) -> Golden:
    """A network of ``tests/golden`` with its stored results; the README there lists the keys."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)

    def family(prefix: str) -> dict[str, NDArray[Any]]:
        return {k[len(prefix) :]: a for k, a in arrays.items() if k.startswith(prefix)}

    nodes = json.loads(str(arrays["nodes"]))
    for node in nodes:  # JSON has no tuples
        node["shape"] = tuple(node["shape"])
        for key in ("kernel", "stride", "padding", "dilation"):
            if isinstance(node["attrs"].get(key), list):
                node["attrs"][key] = tuple(node["attrs"][key])
    return Golden(
        problem=Problem(nodes, family("w/"), arrays["x"], arrays["y"]),
        loss="cross_entropy",
        group_size=int(arrays["group_size"]),
        result=NetworkResult(arrays["logits"], arrays["losses"], family("g/")),
        sample_gradients=family("s/"),
        scores=json.loads(str(arrays["scores"])),
    )
