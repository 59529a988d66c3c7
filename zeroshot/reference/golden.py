"""Stored networks: step programs with the answers of another program, and our own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .network import NetworkResult, Problem
from .nodes import MissingWeight, forward_node
from .passes import Loss

__all__ = ["Golden", "from_golden", "load_golden"]


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
    sample_gradients : dict of str to ndarray, shape (n_samples, ...)
        The first rows of the batch, each alone; counted weights only, rounded to float32.
    scores : dict of str to float
    """

    problem: Problem = field(repr=False)
    loss: Loss
    group_size: int
    result: NetworkResult = field(repr=False)
    sample_gradients: dict[str, NDArray[np.float32]] = field(repr=False)
    scores: dict[str, float]


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
        node["shape"] = forward_node(node, probes, tensors).shape[1:]
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
