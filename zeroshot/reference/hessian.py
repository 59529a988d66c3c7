"""Exact Hessian-vector products: the gradient of the loss, differentiated along a direction.

The forward pass carries a tangent beside every output, the backward pass one beside every gradient
(forward over reverse), op by op with the rules of `tangents`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from . import pointwise, tangents, token_ops, token_tangents
from .nodes import (
    STATISTICS,
    Array,
    Node,
    backward_node,
    forward_node,
    geometry,
    product,
    window,
)
from .passes import Forward, Loss, forward, logit_seed

__all__ = ["hessian_vector_product", "output_tangents"]


def _tangent(
    node: Node,
    xs: Sequence[Array],
    w: Mapping[str, Array],
    xs_dot: Sequence[Array],
    w_dot: Mapping[str, Array],
) -> Array:
    """Derivative of the node's output, given those of its inputs and weights."""
    a = node["attrs"]
    match node["op"]:
        case "conv2d":
            return tangents.conv2d_tangent(
                xs[0], w["weight"], xs_dot[0], w_dot["weight"], w_dot.get("bias"), **geometry(a)
            )
        case "linear":
            return tangents.linear_tangent(
                xs[0], w["weight"], xs_dot[0], w_dot["weight"], w_dot.get("bias")
            )
        case "batch_norm" if a["mode"] == "batch":
            gamma, gamma_dot, beta_dot = w.get("gamma"), w_dot.get("gamma"), w_dot.get("beta")
            return tangents.batch_norm_tangent(
                xs[0], gamma, xs_dot[0], gamma_dot, beta_dot, eps=a["eps"]
            )
        case "batch_norm" if a["mode"] == "running":
            return tangents.batch_norm_running_tangent(
                xs[0],
                w["running_mean"],
                w["running_var"],
                gamma=w.get("gamma"),
                x_dot=xs_dot[0],
                gamma_dot=w_dot.get("gamma"),
                beta_dot=w_dot.get("beta"),
                eps=a["eps"],
            )
        case "relu":
            return tangents.relu_tangent(xs[0], xs_dot[0])
        case "max_pool":
            return tangents.max_pool_tangent(xs[0], xs_dot[0], **window(a))
        case "linear_spatial":
            return token_tangents.linear_spatial_tangent(
                xs[0], w["weight"], xs_dot[0], w_dot["weight"], w_dot.get("bias")
            )
        case "matmul":
            return token_tangents.matmul_tangent(xs[0], xs[1], xs_dot[0], xs_dot[1], **product(a))
        case "softmax":
            y = token_ops.softmax(xs[0], groups=a["groups"])
            return token_tangents.softmax_tangent(y, xs_dot[0], groups=a["groups"])
        case "group_norm" | "layer_norm":
            gamma, gamma_dot, beta_dot = w.get("gamma"), w_dot.get("gamma"), w_dot.get("beta")
            return token_tangents.norm_tangent(
                xs[0], gamma, xs_dot[0], gamma_dot, beta_dot,
                groups=a.get("groups"), eps=a["eps"],
            )  # fmt: skip
        case "scale_channels":
            return token_tangents.scale_channels_tangent(
                xs[0], w["scale"], xs_dot[0], w_dot["scale"]
            )
        case op if op in pointwise.ACTIVATIONS:
            return pointwise.activation_tangent(op, xs[0], xs_dot[0])
        case "multiply":
            return pointwise.multiply_tangent(xs[0], xs[1], xs_dot[0], xs_dot[1])
        case _:  # linear in its inputs
            return forward_node(node, xs_dot, w)


def _backward_tangent(
    node: Node,
    xs: Sequence[Array],
    w: Mapping[str, Array],
    dy: Array,
    *,
    xs_dot: Sequence[Array],
    w_dot: Mapping[str, Array],
    dy_dot: Array,
) -> tuple[list[Array], dict[str, Array]]:
    """Derivatives of what `backward_node` returns."""
    a = node["attrs"]
    match node["op"]:
        case "conv2d":
            dx_dot, dw_dot, db_dot = tangents.conv2d_backward_tangent(
                xs[0],
                w["weight"],
                dy,
                x_dot=xs_dot[0],
                w_dot=w_dot["weight"],
                dy_dot=dy_dot,
                **geometry(a),
            )
            return [dx_dot], {"weight": dw_dot, "bias": db_dot}
        case "linear":
            dx_dot, dw_dot, db_dot = tangents.linear_backward_tangent(
                xs[0], w["weight"], dy, x_dot=xs_dot[0], w_dot=w_dot["weight"], dy_dot=dy_dot
            )
            return [dx_dot], {"weight": dw_dot, "bias": db_dot}
        case "batch_norm" if a["mode"] == "batch":
            dx_dot, dg_dot, db_dot = tangents.batch_norm_backward_tangent(
                xs[0],
                w.get("gamma"),
                dy,
                x_dot=xs_dot[0],
                gamma_dot=w_dot.get("gamma"),
                dy_dot=dy_dot,
                eps=a["eps"],
            )
            return [dx_dot], {"gamma": dg_dot, "beta": db_dot}
        case "batch_norm" if a["mode"] == "running":
            dx_dot, dg_dot, db_dot = tangents.batch_norm_running_backward_tangent(
                xs[0],
                w["running_mean"],
                w["running_var"],
                gamma=w.get("gamma"),
                dy=dy,
                x_dot=xs_dot[0],
                gamma_dot=w_dot.get("gamma"),
                dy_dot=dy_dot,
                eps=a["eps"],
            )
            return [dx_dot], {"gamma": dg_dot, "beta": db_dot}
        case "linear_spatial":
            dx_dot, dw_dot, db_dot = token_tangents.linear_spatial_backward_tangent(
                xs[0], w["weight"], dy, x_dot=xs_dot[0], w_dot=w_dot["weight"], dy_dot=dy_dot
            )
            return [dx_dot], {"weight": dw_dot, "bias": db_dot}
        case "matmul":
            da_dot, db_dot = token_tangents.matmul_backward_tangent(
                xs[0],
                xs[1],
                dy,
                a_dot=xs_dot[0],
                b_dot=xs_dot[1],
                dy_dot=dy_dot,
                **product(a),
            )
            return [da_dot, db_dot], {}
        case "softmax":
            y = token_ops.softmax(xs[0], groups=a["groups"])
            y_dot = token_tangents.softmax_tangent(y, xs_dot[0], groups=a["groups"])
            return [
                token_tangents.softmax_backward_tangent(
                    y, dy, y_dot=y_dot, dy_dot=dy_dot, groups=a["groups"]
                )
            ], {}
        case "group_norm" | "layer_norm":
            dx_dot, dg_dot, db_dot = token_tangents.norm_backward_tangent(
                xs[0], w.get("gamma"), dy, x_dot=xs_dot[0], gamma_dot=w_dot.get("gamma"),
                dy_dot=dy_dot, groups=a.get("groups"), eps=a["eps"],
            )  # fmt: skip
            return [dx_dot], {"gamma": dg_dot, "beta": db_dot}
        case "scale_channels":
            dx_dot, dg_dot = token_tangents.scale_channels_backward_tangent(
                xs[0], w["scale"], dy, x_dot=xs_dot[0], scale_dot=w_dot["scale"], dy_dot=dy_dot
            )
            return [dx_dot], {"scale": dg_dot}
        case op if op in pointwise.ACTIVATIONS:
            dx_dot = pointwise.activation_backward_tangent(
                op, xs[0], dy, x_dot=xs_dot[0], dy_dot=dy_dot
            )
            return [dx_dot], {}
        case "multiply":
            a_dot, b_dot = xs_dot
            return pointwise.multiply_backward_tangent(
                xs[0], xs[1], dy, a_dot=a_dot, b_dot=b_dot, dy_dot=dy_dot
            ), {}
        case _:  # linear in dy, and x only says where
            return backward_node(node, xs, w, dy_dot)


def _directions(passed: Forward, direction: Mapping[str, ArrayLike]) -> dict[int, dict[str, Array]]:
    """`direction` by node and role, zeros where it says nothing."""
    known = {node["weights"][role] for node in passed.nodes for role in passed.weights[node["id"]]}
    unknown = sorted(set(direction) - known)
    if unknown:
        raise ValueError(f"direction: expected names out of {sorted(known)}, got {unknown}")
    found: dict[int, dict[str, Array]] = {}
    for node in passed.nodes:
        found[node["id"]] = {}
        for role, tensor in passed.weights[node["id"]].items():
            name = node["weights"][role]
            given = np.asarray(direction.get(name, np.zeros_like(tensor)), dtype=np.float64)
            if given.shape != tensor.shape or (role in STATISTICS and given.any()):
                raise ValueError(
                    f"direction: {name!r} expects shape {tensor.shape} (and zeros for statistics), "
                    f"got {given.shape}"
                )
            found[node["id"]][role] = given
    return found


def output_tangents(
    passed: Forward,
    direction: Mapping[str, ArrayLike],
    *,
    x_dot: ArrayLike | None = None,
) -> dict[int, Array]:
    """Derivative of every node's output along a direction (a Jacobian-vector product).

    Parameters
    ----------
    passed : Forward
    direction : mapping of str to array_like
        How each parameter moves; one that is not named stays.
    x_dot : array_like, shape (M, C, H, W), optional
        How the images move; not at all unless given.
    """
    w_dot = _directions(passed, direction)
    outputs_dot: dict[int, Array] = {}
    with np.errstate(all="ignore"):
        for node in passed.nodes:
            i = node["id"]
            if node["op"] == "input":
                still = np.zeros_like(passed.outputs[i])
                outputs_dot[i] = still if x_dot is None else np.asarray(x_dot, dtype=np.float64)
            else:
                xs_dot = [outputs_dot[source] for source in node["inputs"]]
                xs = passed.inputs_of(node)
                outputs_dot[i] = _tangent(node, xs, passed.weights[i], xs_dot, w_dot[i])
    return outputs_dot


def hessian_vector_product(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None,
    direction: Mapping[str, ArrayLike],
    *,
    loss: Loss = "cross_entropy",
) -> dict[str, Array]:
    """``H v``: the derivative at t = 0 of the gradient of the mean loss at weights w + t v.

    Exact, batch norm included; ReLU and max-pool keep their side and their place, as a second
    derivative of 0 at kinks says.

    Parameters
    ----------
    nodes, weights, x, y, loss
        As for `run`, the whole batch in one group.
    direction : mapping of str to array_like
        v by the name of the parameter; 0 for those it does not name.

    Returns
    -------
    dict of str to ndarray
        H v for every parameter, in node order.

    Examples
    --------
    The logits are the two weights: the Hessian of the cross-entropy at 0 is ((1, -1), (-1, 1)) / 4:

    >>> fc = {"id": 1, "op": "linear", "name": "fc", "inputs": [0], "shape": (2, 1, 1),
    ...       "attrs": {"out_features": 2, "bias": False}, "weights": {"weight": "fc.weight"}}
    >>> image = {"id": 0, "op": "input", "name": "x", "inputs": [], "shape": (1, 1, 1),
    ...          "attrs": {}, "weights": {}}
    >>> hessian_vector_product([image, fc], {"fc.weight": np.zeros((2, 1))}, np.ones((1, 1, 1, 1)),
    ...                        [0], {"fc.weight": [[1.0], [0.0]]})["fc.weight"]
    array([[ 0.25],
           [-0.25]])
    """
    passed = forward(nodes, weights, x)
    outputs_dot = output_tangents(passed, direction)
    w, w_dot = passed.weights, _directions(passed, direction)
    last = nodes[-1]["id"]
    seed = logit_seed(passed.logits, y, loss=loss)
    seed_dot = np.zeros_like(seed)
    if loss == "cross_entropy":
        with np.errstate(all="ignore"):
            seed_dot = tangents.cross_entropy_backward_tangent(
                passed.logits, outputs_dot[last][:, :, 0, 0]
            )
    product = {
        node["weights"][role]: np.zeros_like(tensor)
        for node in nodes
        for role, tensor in w[node["id"]].items()
        if role not in STATISTICS
    }
    d_outputs = {last: seed[:, :, None, None]}
    d_outputs_dot = {last: seed_dot[:, :, None, None]}
    with np.errstate(all="ignore"):
        for node in reversed(nodes):
            i = node["id"]
            if i not in d_outputs or node["op"] == "input":
                continue
            xs, dy, dy_dot = passed.inputs_of(node), d_outputs[i], d_outputs_dot[i]
            xs_dot = [outputs_dot[source] for source in node["inputs"]]
            d_inputs, _ = backward_node(node, xs, w[i], dy)
            d_inputs_dot, d_weights_dot = _backward_tangent(
                node, xs, w[i], dy, xs_dot=xs_dot, w_dot=w_dot[i], dy_dot=dy_dot
            )
            for source, dx, dx_dot in zip(node["inputs"], d_inputs, d_inputs_dot, strict=True):
                d_outputs[source] = d_outputs.get(source, 0.0) + dx
                d_outputs_dot[source] = d_outputs_dot.get(source, 0.0) + dx_dot
            for role, dw_dot in d_weights_dot.items():
                if role in w[i]:
                    product[node["weights"][role]] += dw_dot
    return product
