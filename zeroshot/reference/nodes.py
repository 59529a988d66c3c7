"""One step of a network: what it computes, its gradient, and what can be read off a list of steps.

A node is the dict that describes one step of a network everywhere in this package::

    {"id": 4, "op": "conv2d", "name": "stem.conv", "inputs": [0], "shape": (16, 32, 32),
     "attrs": {"out_channels": 16, "kernel": (3, 3), "stride": (1, 1), "padding": (1, 1),
               "dilation": (1, 1), "groups": 1, "bias": False},
     "weights": {"weight": "stem.conv.weight"}}

Node 0 is the image (op ``input``), inputs come before their readers, the last node is the logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import ops, pointwise, token_ops

__all__ = [
    "LAYERS",
    "STATISTICS",
    "Array",
    "MissingWeight",
    "Node",
    "backward_node",
    "check_nodes",
    "counted_weights",
    "forward_node",
    "geometry",
    "label",
    "live_nodes",
    "product",
    "weights_by_node",
    "window",
    "without_batch_norm",
]

Array = NDArray[np.float64]
Node = Mapping[str, Any]

# What is no parameter gets no gradient.
STATISTICS = ("running_mean", "running_var")

# Ops whose weight scores count.
LAYERS = ("conv2d", "linear", "linear_spatial")


class MissingWeight(ValueError):
    """A node names a weight tensor that was not given."""


# ---- one node ------------------------------------------------------------------------------------


def forward_node(node: Node, xs: Sequence[Array], w: Mapping[str, Array]) -> Array:
    a = node["attrs"]
    match node["op"]:
        case "conv2d":
            return ops.conv2d(xs[0], w["weight"], w.get("bias"), **geometry(a))
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
        case op if op in pointwise.ACTIVATIONS:
            return pointwise.activation(op, xs[0])
        case "max_pool":
            return ops.max_pool(xs[0], **window(a))
        case "avg_pool":
            include = a["count_include_pad"]
            return ops.avg_pool(xs[0], **window(a), count_include_pad=include)
        case "global_avg_pool":
            return ops.global_avg_pool(xs[0])
        case "add":
            return ops.add(xs, a["coef"])
        case "multiply":
            return pointwise.multiply(xs[0], xs[1])
        case "concat":
            return ops.concat(xs)
        case "zero":
            return ops.zero(xs[0], stride=a["stride"])
        case "identity":
            return ops.identity(xs[0])
        case "shift":
            return ops.shift(xs[0])
        case "slice_channels":
            return ops.slice_channels(xs[0], channels=a["channels"], start=a.get("start", 0))
        case "flatten":
            return token_ops.flatten(xs[0])
        case "linear_spatial":
            return token_ops.linear_spatial(xs[0], w["weight"], w.get("bias"))
        case "matmul":
            return token_ops.matmul(xs[0], xs[1], **product(a))
        case "softmax":
            return token_ops.softmax(xs[0], groups=a["groups"])
        case "group_norm":
            gamma, beta = w.get("gamma"), w.get("beta")
            return token_ops.group_norm(xs[0], gamma, beta, groups=a["groups"], eps=a["eps"])
        case "layer_norm":
            return token_ops.layer_norm(xs[0], w.get("gamma"), w.get("beta"), eps=a["eps"])
        case "scale_channels":
            return token_ops.scale_channels(xs[0], w["scale"])
        case _:
            raise ValueError(f"nodes: {label(node)} has an unknown op or mode: {dict(a)}")


def backward_node(
    node: Node, xs: Sequence[Array], w: Mapping[str, Array], dy: Array
) -> tuple[list[Array], dict[str, Array]]:
    """Gradients of the inputs, one each, and of the weights, by role."""
    a = node["attrs"]
    match node["op"]:
        case "conv2d":
            dx, dw, db = ops.conv2d_backward(xs[0], w["weight"], dy, **geometry(a))
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
        case op if op in pointwise.ACTIVATIONS:
            return [pointwise.activation_backward(op, xs[0], dy)], {}
        case "max_pool":
            return [ops.max_pool_backward(xs[0], dy, **window(a))], {}
        case "avg_pool":
            include = a["count_include_pad"]
            return [ops.avg_pool_backward(xs[0], dy, **window(a), count_include_pad=include)], {}
        case "global_avg_pool":
            return [ops.global_avg_pool_backward(xs[0], dy)], {}
        case "add":
            return ops.add_backward(dy, a["coef"]), {}
        case "multiply":
            return pointwise.multiply_backward(xs[0], xs[1], dy), {}
        case "concat":
            return ops.concat_backward(xs, dy), {}
        case "zero":
            return [ops.zero_backward(xs[0], dy, stride=a["stride"])], {}
        case "shift":
            return [ops.shift_backward(xs[0], dy)], {}
        case "slice_channels":
            start = a.get("start", 0)
            return [ops.slice_channels_backward(xs[0], dy, channels=a["channels"], start=start)], {}
        case "flatten":
            return [token_ops.flatten_backward(xs[0], dy)], {}
        case "linear_spatial":
            dx, dw, db = token_ops.linear_spatial_backward(xs[0], w["weight"], dy)
            return [dx], {"weight": dw, "bias": db}
        case "matmul":
            return list(token_ops.matmul_backward(xs[0], xs[1], dy, **product(a))), {}
        case "softmax":
            y = token_ops.softmax(xs[0], groups=a["groups"])
            return [token_ops.softmax_backward(y, dy, groups=a["groups"])], {}
        case "group_norm":
            dx, dg, db = token_ops.group_norm_backward(
                xs[0], w.get("gamma"), dy, groups=a["groups"], eps=a["eps"]
            )
            return [dx], {"gamma": dg, "beta": db}
        case "layer_norm":
            dx, dg, db = token_ops.layer_norm_backward(xs[0], w.get("gamma"), dy, eps=a["eps"])
            return [dx], {"gamma": dg, "beta": db}
        case "scale_channels":
            dx, dg = token_ops.scale_channels_backward(xs[0], w["scale"], dy)
            return [dx], {"scale": dg}
        case _:  # identity, and batch norm that has been switched off
            return [ops.identity_backward(dy)], {}


def geometry(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: attrs[key] for key in ("stride", "padding", "dilation", "groups")}


def window(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: attrs[key] for key in ("kernel", "stride", "padding")}


def product(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: attrs[key] for key in ("heads", "transpose_b", "scale")}


def label(node: Node) -> str:
    return f"node {node['id']} ({node['name']!r}, {node['op']})"


# ---- lists of nodes ------------------------------------------------------------------------------


def counted_weights(nodes: Sequence[Node]) -> list[str]:
    """Names of the tensors that scores count: ``weight`` of the layers in `LAYERS`, in node order.

    A tensor that two nodes share is one tensor.
    """
    names = (n["weights"]["weight"] for n in nodes if n["op"] in LAYERS)
    return list(dict.fromkeys(names))


def live_nodes(nodes: Sequence[Node]) -> set[int]:
    """Ids of the nodes with a path to the logits that crosses no ``zero``."""
    live: set[int] = {nodes[-1]["id"]}
    for node in reversed(nodes):
        if node["id"] in live and node["op"] != "zero":
            live.update(node["inputs"])
    return live


def check_nodes(nodes: Sequence[Node]) -> None:
    if not nodes or nodes[0]["op"] != "input":
        raise ValueError("nodes: expected a list whose first node has op 'input'")
    known: set[int] = set()
    for node in nodes:
        for source in node["inputs"]:
            if source not in known:
                raise ValueError(f"nodes: {label(node)} reads node {source}, not defined before it")
        if node["id"] in known:
            raise ValueError(f"nodes: {label(node)} repeats an id")
        if node is not nodes[0] and not node["inputs"]:
            raise ValueError(f"nodes: {label(node)} has no inputs")
        known.add(node["id"])
    if tuple(nodes[-1]["shape"][1:]) != (1, 1):
        raise ValueError(f"nodes: expected logits of shape (K, 1, 1), got {nodes[-1]['shape']}")


def weights_by_node(
    nodes: Sequence[Node], weights: Mapping[str, ArrayLike]
) -> dict[int, dict[str, Array]]:
    """The weights of each node by role, in float64."""
    found: dict[int, dict[str, Array]] = {}
    for node in nodes:
        found[node["id"]] = {}
        for role, name in node["weights"].items():
            if name not in weights:
                raise MissingWeight(f"weights: {label(node)} needs {name!r} as its {role}")
            found[node["id"]][role] = np.asarray(weights[name], dtype=np.float64)
    return found


def without_batch_norm(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """The same network with every ``batch_norm`` switched off: mode ``identity``, no weights."""
    return [
        {**node, "attrs": {**node["attrs"], "mode": "identity"}, "weights": {}}
        if node["op"] == "batch_norm"
        else dict(node)
        for node in nodes
    ]
