"""Small networks for the tests of the reference, step by step, with random or given weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.reference.nodes import forward_node

Array = NDArray[np.float64]
Pair = tuple[int, int]


class Net:
    """A network in the making: each method appends a node and returns its id."""

    def __init__(self, shape: tuple[int, int, int], *, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[dict[str, Any]] = []
        self.weights: dict[str, Array] = {}
        self._append("input", [], {}, {}, shape)

    def _append(
        self,
        op: str,
        inputs: list[int],
        attrs: dict[str, Any],
        tensors: Mapping[str, Array],
        shape: tuple[int, ...] | None = None,
    ) -> int:
        i = len(self.nodes)
        names = {role: f"n{i}.{role}" for role in tensors}
        node = {
            "id": i, "op": op, "name": f"n{i}", "inputs": inputs, "attrs": attrs,
            "weights": names, "shape": shape,
        }  # fmt: skip
        if shape is None:
            probes = [np.zeros((1, *self.nodes[j]["shape"])) for j in inputs]
            with np.errstate(all="ignore"):
                node["shape"] = forward_node(node, probes, tensors).shape[1:]
        self.nodes.append(node)
        self.weights |= {names[role]: np.asarray(t, np.float64) for role, t in tensors.items()}
        return i

    def _from(self, source: int | None) -> int:
        return len(self.nodes) - 1 if source is None else source

    def conv(
        self,
        channels: int,
        source: int | None = None,
        *,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        padding: Pair = (1, 1),
        dilation: Pair = (1, 1),
        groups: int = 1,
        bias: bool = False,
    ) -> int:
        i = self._from(source)
        w = self.rng.standard_normal((channels, self.nodes[i]["shape"][0] // groups, *kernel))
        tensors = {"weight": w} | ({"bias": self.rng.standard_normal(channels)} if bias else {})
        attrs = {
            "out_channels": channels, "kernel": kernel, "stride": stride, "padding": padding,
            "dilation": dilation, "groups": groups, "bias": bias,
        }  # fmt: skip
        return self._append("conv2d", [i], attrs, tensors)

    def linear(self, outputs: int, source: int | None = None, *, bias: bool = False) -> int:
        i = self._from(source)
        tensors = {"weight": self.rng.standard_normal((outputs, self.nodes[i]["shape"][0]))}
        if bias:
            tensors["bias"] = self.rng.standard_normal(outputs)
        return self._append("linear", [i], {"out_features": outputs, "bias": bias}, tensors)

    def bn(self, source: int | None = None, *, affine: bool = True, mode: str = "batch") -> int:
        i = self._from(source)
        c = self.nodes[i]["shape"][0]
        tensors: dict[str, Array] = {}
        if affine:
            tensors |= {
                "gamma": self.rng.uniform(0.5, 1.5, c),
                "beta": self.rng.standard_normal(c) / 2,
            }
        if mode == "running":
            tensors |= {
                "running_mean": self.rng.standard_normal(c),
                "running_var": self.rng.uniform(0.5, 2, c),
            }
        attrs = {"eps": 1e-5, "affine": affine, "mode": mode}
        return self._append("batch_norm", [i], attrs, tensors)

    def pool(
        self,
        op: str,
        source: int | None = None,
        *,
        kernel: Pair = (3, 3),
        stride: Pair = (1, 1),
        padding: Pair = (1, 1),
        count_include_pad: bool = False,
    ) -> int:
        attrs: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
        if op == "avg_pool":
            attrs["count_include_pad"] = count_include_pad
        return self._append(op, [self._from(source)], attrs, {})

    def add(self, *sources: int, coef: list[float] | None = None) -> int:
        coefficients = [1.0] * len(sources) if coef is None else coef
        return self._append("add", list(sources), {"coef": coefficients}, {})

    def multiply(self, a: int, b: int) -> int:
        return self._append("multiply", [a, b], {}, {})

    def concat(self, *sources: int) -> int:
        return self._append("concat", list(sources), {}, {})

    def zero(self, source: int | None = None, *, stride: int = 1) -> int:
        return self._append("zero", [self._from(source)], {"stride": stride}, {})

    def step(self, op: str, source: int | None = None) -> int:
        """relu and other activations, identity, shift or global_avg_pool."""
        return self._append(op, [self._from(source)], {}, {})

    def head(self, classes: int, *, bias: bool = False) -> int:
        self.step("global_avg_pool")
        return self.linear(classes, bias=bias)


def usual(
    *,
    classes: int = 3,
    relu: bool = True,
    bn: bool = True,
    blocked: bool = False,
    bias: bool = False,
    seed: int = 0,
) -> Net:
    """Stem, two cells with a skip, head; 2x6x6 images. Cells end in nodes `cells_of`.

    `blocked` puts a ``zero`` on everything that the second cell lets through.
    """
    net = Net((2, 6, 6), seed=seed)
    net.conv(4)
    if bn:
        net.bn()
    at = len(net.nodes) - 1
    for i in range(2):
        if relu:
            net.step("relu", at)
        y = net.conv(4, None if relu else at)
        if bn:
            y = net.bn()
        if blocked and i == 1:
            y, at = net.zero(y), net.zero(at)
        at = net.add(at, y)
    if relu:
        net.step("relu", at)
    net.head(classes, bias=bias)
    return net


def cells_of(net: Net) -> list[int]:
    """Ids of the stem's output and of the two cells' outputs of a `usual` network."""
    adds = [node for node in net.nodes if node["op"] == "add"]
    return [min(node for node in adds[0]["inputs"]), *(node["id"] for node in adds)]


def every_op(*, seed: int = 3) -> Net:
    """One network with every op and every kind of attribute, 5x10x8 images, 4 classes.

    No max-pool reads a ReLU or another max-pool: equal maxima are a kink for central differences.
    """
    net = Net((5, 10, 8), seed=seed)
    stem = net.conv(6, bias=True)
    normal = net.bn(stem)
    a = net.step("relu", normal)
    b = net.bn(net.conv(6, a, groups=6, padding=(2, 2), dilation=(2, 2)), affine=False)
    c = net.bn(net.conv(6, a, kernel=(1, 3), padding=(0, 1), groups=2, bias=True), mode="running")
    d = net.pool("max_pool", net.add(normal, b, coef=[1.0, -0.5]))
    e = net.pool("avg_pool", c, count_include_pad=True)
    f = net.bn(net.concat(d, e), mode="identity", affine=False)
    g = net.step("relu", f)
    left = net.conv(3, g, kernel=(1, 1), stride=(2, 2), padding=(0, 0))
    right = net.conv(3, net.step("shift", g), kernel=(1, 1), stride=(2, 2), padding=(0, 0))
    pooled = net.pool("max_pool", net.conv(12, g), kernel=(3, 2), stride=(2, 2), padding=(1, 0))
    dead = net.zero(net.conv(12, a), stride=2)
    h = net.add(pooled, dead, net.step("identity", pooled))
    halves = net.bn(net.concat(left, right))
    net.concat(net.step("relu", halves), h)
    net.step("global_avg_pool")
    net.linear(8, bias=True)
    net.step("relu")
    net.linear(4, bias=True)
    return net


def batch(net: Net, rows: int = 6, *, seed: int = 1) -> tuple[Array, NDArray[np.int64]]:
    """Random images and labels for `net`."""
    rng = np.random.default_rng(seed)
    classes = net.nodes[-1]["shape"][0]
    x = rng.standard_normal((rows, *net.nodes[0]["shape"]))
    return x, rng.integers(0, classes, rows)
