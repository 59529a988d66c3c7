"""ONNX out: a network as a model of opset 20, with its weights.

Batch norm by the statistics of the batch is BatchNormalization in training mode; every tensor keeps
its name, so that `from_onnx` gives the same network back.
"""

from __future__ import annotations

__all__ = ["to_onnx"]

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.config import VERSION
from zeroshot.interchange.exported import Exported, prepare
from zeroshot.network import AnyArch
from zeroshot.options import Builder, Options

Node: TypeAlias = dict[str, Any]

_OPSET, _IR = 20, 9
_LAST = 2**63 - 1  # the end of an axis


def to_onnx(
    arch: AnyArch,
    path: str | os.PathLike[str] | None = None,
    *,
    weights: Mapping[str, ArrayLike] | None = None,
    dtype: Literal["float32", "float64"] = "float32",
    space: str = "nasbench201",
    channels: int | None = None,
    cells: int | None = None,
    input_size: int | tuple[int, int] = 32,
    num_classes: int = 10,
    builder: Builder = "autodl",
    init: str = "torch",
    seed: int = 0,
) -> bytes:
    """The network as an ONNX model: input ``images`` (N, C, H, W), output ``logits`` (N, K).

    Parameters
    ----------
    arch : str, int, sequence or Graph
    path : path, optional
        File to write.
    weights : mapping of str to array_like, optional
        By the names of `weight_names`; the others are those that `init` and `seed` draw.
    dtype : {"float32", "float64"}
        Of everything in the model.
    space, channels, cells, num_classes, builder, init, seed
        As for `zeroshot.score`.
    input_size : int or (int, int)
        Height and width of an image; a `Graph` has its own.

    Returns
    -------
    bytes
        What a file would hold.

    Raises
    ------
    ImportError
        If onnx is not installed: ``pip install 'zeroshot[onnx]'``.
    """
    try:
        import onnx
    except ImportError:
        raise ImportError("to_onnx needs onnx: pip install 'zeroshot[onnx]'") from None
    options = Options(
        space=space, channels=channels, cells=cells, num_classes=num_classes, builder=builder,
        init=init, seed=seed, dtype=dtype,
    )  # fmt: skip
    exported = prepare(arch, options, weights, input_size)
    model = _Writer(exported, np.dtype(dtype)).model()
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    if path is not None:
        Path(path).write_bytes(data)
    return data


class _Writer:
    """Collects nodes and tensors."""

    def __init__(self, exported: Exported, dtype: np.dtype[Any]) -> None:
        from onnx import helper

        self.helper, self.dtype, self.exported = helper, dtype, exported
        self.kind = helper.np_dtype_to_tensor_dtype(dtype)
        self.nodes: list[Any] = []
        self.stored: dict[str, Any] = {}
        self.used = {"images", "logits", *exported.weights}
        self.called: set[str] = set()
        self.names = {0: "images"}
        self.views: dict[tuple[str, int], str] = {}
        self.flat: set[int] = set()  # ids of nodes whose tensor is (N, K)
        self.shapes = {node["id"]: tuple(node["shape"]) for node in exported.nodes}
        for name, value in exported.weights.items():
            self.store(name, value.astype(dtype))

    def model(self) -> Any:
        for node in self.exported.nodes[1:]:
            self.names[node["id"]] = self.unique(node["name"])
            _OPS[node["op"]](self, node)
        last = self.exported.nodes[-1]["id"]
        self.emit("Identity", [self.vector(last)], "logits", "logits")
        h, exported = self.helper, self.exported
        graph = h.make_graph(
            self.nodes,
            "zeroshot",
            [h.make_tensor_value_info("images", self.kind, ["N", *exported.shape])],
            [h.make_tensor_value_info("logits", self.kind, ["N", exported.classes])],
            list(self.stored.values()),
            doc_string=exported.arch,
        )
        opset = [h.make_opsetid("", _OPSET)]
        return h.make_model(
            graph, opset_imports=opset, ir_version=_IR, producer_name="zeroshot",
            producer_version=VERSION,
        )  # fmt: skip

    # ---- tensors -------------------------------------------------------------------------------

    def unique(self, wanted: str) -> str:
        """A name that no other tensor has."""
        name, number = wanted, 2
        while name in self.used:
            name, number = f"{wanted}-{number}", number + 1
        self.used.add(name)
        return name

    def store(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        self.stored[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def ints(self, name: str, values: Sequence[int]) -> str:
        return self.store(self.unique(name), np.array(values, np.int64))

    def number(self, name: str, value: float) -> str:
        return self.store(self.unique(name), np.array(value, self.dtype))

    def constant(self, name: str, value: float, size: int) -> str:
        """A vector that is no weight: a node of its own."""
        from onnx import numpy_helper

        name = self.unique(name)
        tensor = numpy_helper.from_array(np.full(size, value, self.dtype), name)
        self.nodes.append(self.helper.make_node("Constant", [], [name], name=name, value=tensor))
        return name

    def emit(
        self, op: str, inputs: Sequence[str], output: str, name: str, **attributes: Any
    ) -> str:
        """One operator; where several make up a node, the first that asks for its name has it."""
        if name in self.called:
            name = f"{output}.out"
        self.called.add(name)
        self.nodes.append(
            self.helper.make_node(op, list(inputs), [output], name=name, **attributes)
        )
        return output

    def step(self, node: Node, what: str, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """A tensor on the way to the output of `node`."""
        name = self.unique(f"{node['name']}.{what}")
        return self.emit(op, inputs, name, name, **attributes)

    def layer(self, node: Node, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """The same for the operator that has the weights, and so the name, of `node`."""
        output = self.unique(f"{node['name']}.layer")
        return self.emit(op, inputs, output, node["name"], **attributes)

    def out(self, node: Node, op: str, inputs: Sequence[str], **attributes: Any) -> None:
        self.emit(op, inputs, self.names[node["id"]], node["name"], **attributes)

    def image(self, node: int) -> str:
        """A tensor of shape (N, C, H, W)."""
        return self.view("image", node) if node in self.flat else self.names[node]

    def vector(self, node: int) -> str:
        """A tensor of shape (N, K)."""
        return self.names[node] if node in self.flat else self.view("vector", node)

    def view(self, what: str, node: int) -> str:
        if (what, node) not in self.views:
            source = self.names[node]
            name = self.views[what, node] = self.unique(f"{source}.{what}")
            if what == "image":
                shape = self.ints(f"{source}.shape", (0, self.shapes[node][0], 1, 1))
                self.emit("Reshape", [source, shape], name, name)
            else:
                self.emit("Flatten", [source], name, name)
        return self.views[what, node]

    def inputs(self, node: Node) -> list[str]:
        """Tensors of an op that takes vectors where all are."""
        if all(i in self.flat for i in node["inputs"]):
            self.flat.add(node["id"])
            return [self.names[i] for i in node["inputs"]]
        return [self.image(i) for i in node["inputs"]]


# ---- ops -----------------------------------------------------------------------------------------


def _pads(pair: Sequence[int]) -> list[int]:
    return [*pair, *pair]


def _conv2d(w: _Writer, node: Node) -> None:
    a = node["attrs"]
    w.out(
        node, "Conv", [w.image(node["inputs"][0]), *node["weights"].values()],
        kernel_shape=a["kernel"], strides=a["stride"], pads=_pads(a["padding"]),
        dilations=a["dilation"], group=a["groups"],
    )  # fmt: skip


def _linear(w: _Writer, node: Node) -> None:
    x, tensors = node["inputs"][0], node["weights"]
    if tuple(w.shapes[x][1:]) == (1, 1):
        w.flat.add(node["id"])
        w.out(node, "Gemm", [w.vector(x), *tensors.values()], transB=1)
        return
    weight = w.step(node, "transposed", "Transpose", [tensors["weight"]], perm=[1, 0])
    rows = w.step(node, "rows", "Transpose", [w.image(x)], perm=[0, 2, 3, 1])
    y = w.layer(node, "MatMul", [rows, weight])
    if "bias" in tensors:
        y = w.step(node, "sum", "Add", [y, tensors["bias"]])
    w.out(node, "Transpose", [y], perm=[0, 3, 1, 2])


def _linear_spatial(w: _Writer, node: Node) -> None:
    x, tensors = node["inputs"][0], node["weights"]
    channels, height, width = w.shapes[x]
    shape = w.ints(f"{node['name']}.rows_shape", (0, channels, height * width))
    rows = w.step(node, "rows", "Reshape", [w.image(x), shape])
    weight = w.step(node, "transposed", "Transpose", [tensors["weight"]], perm=[1, 0])
    y = w.layer(node, "MatMul", [rows, weight])
    if "bias" in tensors:
        y = w.step(node, "sum", "Add", [y, tensors["bias"]])
    w.out(node, "Reshape", [y, w.ints(f"{node['name']}.shape", (0, channels, height, width))])


def _affine(w: _Writer, node: Node, roles: Sequence[str]) -> list[str]:
    """Weights of a normalisation, or the constants that stand for those it does not have."""
    channels = int(w.shapes[node["inputs"][0]][0])
    start = {"gamma": 1.0, "beta": 0.0, "running_mean": 0.0, "running_var": 1.0}
    return [
        node["weights"].get(role) or w.constant(f"{node['name']}.{role}", start[role], channels)
        for role in roles
    ]


def _batch_norm(w: _Writer, node: Node) -> None:
    a, x = node["attrs"], w.image(node["inputs"][0])
    if a["mode"] == "identity":
        w.out(node, "Identity", [x])
        return
    is_batch = a["mode"] == "batch"
    roles = ("gamma", "beta", "running_mean", "running_var")
    name, outputs = node["name"], [w.names[node["id"]]]
    if is_batch:
        outputs += [w.unique(f"{name}.{what}") for what in ("new_mean", "new_var")]
    w.nodes.append(
        w.helper.make_node(
            "BatchNormalization",
            [x, *_affine(w, node, roles)],
            outputs,
            name=name,
            epsilon=a["eps"],
            training_mode=int(is_batch),
        )
    )


def _group_norm(w: _Writer, node: Node) -> None:
    a, x = node["attrs"], node["inputs"][0]
    channels, height, width = w.shapes[x]
    name, groups = node["name"], a["groups"]
    runs = w.step(
        node, "runs", "Reshape", [w.image(x), w.ints(f"{name}.runs_shape", (0, groups, -1))]
    )
    ones, zeros = w.constant(f"{name}.one", 1.0, groups), w.constant(f"{name}.zero", 0.0, groups)
    y = w.step(node, "normal", "InstanceNormalization", [runs, ones, zeros], epsilon=a["eps"])
    y = w.step(node, "back", "Reshape", [y, w.ints(f"{name}.shape", (0, channels, height, width))])
    column = w.ints(f"{name}.column", (channels, 1, 1))
    for role, op in (("gamma", "Mul"), ("beta", "Add")):
        if role in node["weights"]:
            factor = w.step(node, f"{role}_column", "Reshape", [node["weights"][role], column])
            y = w.step(node, f"{role}_applied", op, [y, factor])
    w.out(node, "Identity", [y])


def _layer_norm(w: _Writer, node: Node) -> None:
    rows = w.step(node, "rows", "Transpose", [w.image(node["inputs"][0])], perm=[0, 2, 3, 1])
    tensors = _affine(w, node, ("gamma", "beta"))
    eps = node["attrs"]["eps"]
    y = w.layer(node, "LayerNormalization", [rows, *tensors], epsilon=eps, axis=-1)
    w.out(node, "Transpose", [y], perm=[0, 3, 1, 2])


def _scale_channels(w: _Writer, node: Node) -> None:
    channels = int(w.shapes[node["inputs"][0]][0])
    column = w.ints(f"{node['name']}.column", (channels, 1, 1))
    factor = w.step(node, "factor", "Reshape", [node["weights"]["scale"], column])
    w.out(node, "Mul", [w.image(node["inputs"][0]), factor])


def _max_pool(w: _Writer, node: Node) -> None:
    a = node["attrs"]
    w.out(
        node, "MaxPool", [w.image(node["inputs"][0])], kernel_shape=a["kernel"],
        strides=a["stride"], pads=_pads(a["padding"]), dilations=a.get("dilation", (1, 1)),
    )  # fmt: skip


def _avg_pool(w: _Writer, node: Node) -> None:
    a = node["attrs"]
    w.out(
        node, "AveragePool", [w.image(node["inputs"][0])], kernel_shape=a["kernel"],
        strides=a["stride"], pads=_pads(a["padding"]),
        count_include_pad=int(a["count_include_pad"]),
    )  # fmt: skip


def _add(w: _Writer, node: Node) -> None:
    coefs, terms = node["attrs"]["coef"], w.inputs(node)
    name = node["name"]
    if len(terms) == 1 and coefs[0] != 1.0:
        w.out(node, "Mul", [terms[0], w.number(f"{name}.coef", coefs[0])])
        return
    for i, coef in enumerate(coefs):
        if coef != 1.0:
            number = w.number(f"{name}.coef{i}", coef)
            terms[i] = w.step(node, f"term{i}", "Mul", [terms[i], number])
    w.out(node, {1: "Identity", 2: "Add"}.get(len(terms), "Sum"), terms)


def _zero(w: _Writer, node: Node) -> None:
    x, stride = w.image(node["inputs"][0]), node["attrs"]["stride"]
    if stride > 1:
        x = _cut(w, node, x, (0, 0), (_LAST, _LAST), (2, 3), (stride, stride))
    w.out(node, "Mul", [x, w.number(f"{node['name']}.factor", 0.0)])


def _cut(
    w: _Writer,
    node: Node,
    x: str,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int],
    steps: Sequence[int] | None = None,
) -> str:
    ranges = {"starts": starts, "ends": ends, "axes": axes}
    if steps:
        ranges["steps"] = steps
    inputs = [w.ints(f"{node['name']}.{key}", values) for key, values in ranges.items()]
    return w.step(node, "slice", "Slice", [x, *inputs])


def _shift(w: _Writer, node: Node) -> None:
    x = w.image(node["inputs"][0])
    w.out(node, "Identity", [_cut(w, node, x, (1, 1), (_LAST, _LAST), (2, 3))])


def _slice_channels(w: _Writer, node: Node) -> None:
    start, x = node["attrs"].get("start", 0), w.image(node["inputs"][0])
    end = start + node["attrs"]["channels"]
    w.out(node, "Identity", [_cut(w, node, x, (start,), (end,), (1,))])


def _flatten(w: _Writer, node: Node) -> None:
    w.flat.add(node["id"])
    w.out(node, "Identity", [w.vector(node["inputs"][0])])


def _matmul(w: _Writer, node: Node) -> None:
    a, name = node["attrs"], node["name"]
    parts = []
    for x, what in zip(node["inputs"], "ab", strict=True):
        channels, height, width = w.shapes[x]
        shape = (0, a["heads"], channels // a["heads"], height * width)
        shape_name = w.ints(f"{name}.{what}_shape", shape)
        parts.append(w.step(node, what, "Reshape", [w.image(x), shape_name]))
    if a["transpose_b"]:
        parts[1] = w.step(node, "transposed", "Transpose", [parts[1]], perm=[0, 1, 3, 2])
    y = w.step(node, "product", "MatMul", parts[::-1])
    if a["scale"] != 1.0:
        y = w.step(node, "scaled", "Mul", [y, w.number(f"{name}.scale", a["scale"])])
    w.out(node, "Reshape", [y, w.ints(f"{name}.shape", (0, *w.shapes[node["id"]]))])


def _softmax(w: _Writer, node: Node) -> None:
    channels, height, width = w.shapes[node["id"]]
    name, groups = node["name"], node["attrs"]["groups"]
    shape = w.ints(f"{name}.runs_shape", (0, groups, channels // groups, height * width))
    runs = w.step(node, "runs", "Reshape", [w.image(node["inputs"][0]), shape])
    y = w.step(node, "shares", "Softmax", [runs], axis=2)
    w.out(node, "Reshape", [y, w.ints(f"{name}.shape", (0, channels, height, width))])


def _silu(w: _Writer, node: Node) -> None:
    x = w.inputs(node)[0]
    w.out(node, "Mul", [x, w.step(node, "sigmoid", "Sigmoid", [x])])


def _relu6(w: _Writer, node: Node) -> None:
    limits = [w.number(f"{node['name']}.{what}", v) for what, v in (("min", 0.0), ("max", 6.0))]
    w.out(node, "Clip", [*w.inputs(node), *limits])


def _concat(w: _Writer, node: Node) -> None:
    w.out(node, "Concat", w.inputs(node), axis=1)


def _global_avg_pool(w: _Writer, node: Node) -> None:
    w.out(node, "GlobalAveragePool", [w.image(node["inputs"][0])])


def _elementwise(op: str, **attributes: Any) -> Callable[[_Writer, Node], None]:
    return lambda w, node: w.out(node, op, w.inputs(node), **attributes)


_OPS: dict[str, Callable[[_Writer, Node], None]] = {
    "add": _add,
    "avg_pool": _avg_pool,
    "batch_norm": _batch_norm,
    "concat": _concat,
    "conv2d": _conv2d,
    "flatten": _flatten,
    "gelu": _elementwise("Gelu"),
    "global_avg_pool": _global_avg_pool,
    "group_norm": _group_norm,
    "hard_sigmoid": _elementwise("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_swish": _elementwise("HardSwish"),
    "identity": _elementwise("Identity"),
    "layer_norm": _layer_norm,
    "linear": _linear,
    "linear_spatial": _linear_spatial,
    "matmul": _matmul,
    "max_pool": _max_pool,
    "multiply": _elementwise("Mul"),
    "relu": _elementwise("Relu"),
    "relu6": _relu6,
    "scale_channels": _scale_channels,
    "shift": _shift,
    "sigmoid": _elementwise("Sigmoid"),
    "silu": _silu,
    "slice_channels": _slice_channels,
    "softmax": _softmax,
    "tanh": _elementwise("Tanh"),
    "zero": _zero,
}
