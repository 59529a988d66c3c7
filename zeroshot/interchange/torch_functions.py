"""The functions and methods of PyTorch, and THE tables of what each node of a trace becomes."""

from __future__ import annotations

__all__ = ["IN_PLACE", "VIEWS", "Handler", "find", "same"]

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from zeroshot.interchange import torch_layers as layers
from zeroshot.interchange.curves import FUNCTIONS, Curve, erf
from zeroshot.interchange.torch_call import Box, Call, Parameter, array_of, axis_of
from zeroshot.interchange.values import Unsupported, Value

Handler: TypeAlias = Callable[[Call], Any]


# ---- elementwise ---------------------------------------------------------------------------------


def _activation(op: str) -> Handler:
    return lambda c: c.assembler.activation(c.x, op, c.name)


def _curve(function: Callable[[Curve], Curve]) -> Handler:
    return lambda c: c.assembler.apply(c.x, function, c.name)


def _clamp(low: Any, high: Any) -> Callable[[Curve], Curve]:
    return lambda x: np.clip(
        x, -math.inf if low is None else low, math.inf if high is None else high
    )


def _hardtanh_module(c: Call) -> Value:
    return c.assembler.apply(c.x, _clamp(c.module.min_val, c.module.max_val), c.name)


def _hardtanh_function(c: Call) -> Value:
    limits = _clamp(c.get(1, "min_val", -1.0), c.get(2, "max_val", 1.0))
    return c.assembler.apply(c.x, limits, c.name)


def _clamp_function(c: Call) -> Value:
    return c.assembler.apply(c.x, _clamp(c.get(1, "min"), c.get(2, "max")), c.name)


def _gelu(c: Call) -> Value:
    own = getattr(c.module, "approximate", None)
    if (own if own is not None else c.get(1, "approximate", "none")) != "none":
        raise Unsupported("is approximate")
    return c.assembler.activation(c.x, "gelu", c.name)


def _arithmetic(op: str) -> Handler:
    """add, sub, mul or div of two tensors, or of one and a number."""
    function = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}[op]

    def handle(c: Call) -> Value:
        a, b = c.get(0, "input"), c.get(1, "other")
        if c.kwargs.get("alpha", 1) != 1 or c.kwargs.get("rounding_mode") is not None:
            raise Unsupported("has alpha or a rounding mode")
        if isinstance(a, Box) and isinstance(b, int | float):
            return c.assembler.apply(a.value, lambda x: function(x, b), c.name)
        if isinstance(b, Box) and isinstance(a, int | float):
            return c.assembler.apply(b.value, lambda x: function(a, x), c.name)
        if op == "mul" and (isinstance(a, Parameter) or isinstance(b, Parameter)):
            return _scale(c, a, b)
        left, right = c.tensor(a), c.tensor(b)
        if op in ("add", "mul"):
            return c.assembler.combine("add" if op == "add" else "multiply", left, right, c.name)
        if op == "sub":
            negative = c.assembler.apply(right, np.negative, c.name)
            return c.assembler.combine("add", left, negative, c.name)
        raise Unsupported("divides a tensor by another")

    return handle


def _scale(c: Call, a: Any, b: Any) -> Value:
    parameter, x = (a, c.tensor(b)) if isinstance(a, Parameter) else (b, c.tensor(a))
    scale = array_of(parameter.tensor)
    long = [i for i, n in enumerate(scale.shape) if n > 1]
    if len(long) > 1 or scale.ndim > len(x.groups) + 1:
        raise Unsupported(f"multiplies by a parameter of shape {scale.shape}")
    axis = len(x.groups) - (scale.ndim - (long[0] if long else 0))
    if axis < 0:
        raise Unsupported("multiplies images by numbers of their own")
    return c.assembler.scale_channels(
        x, scale.reshape(-1), axis, name=parameter.name, key=id(parameter.tensor)
    )


# ---- axes ----------------------------------------------------------------------------------------


def _concat(c: Call) -> Value:
    xs = [c.tensor(x) for x in c.get(0, "tensors")]
    axis = c.get(1, "dim", c.kwargs.get("axis", 0))
    return c.assembler.concat(xs, axis_of(xs[0], axis), c.name)


def _view(c: Call) -> Value:
    sizes: Sequence[Any]
    sizes = c.args[1:] if len(c.args) > 1 else [c.kwargs.get("shape", c.kwargs.get("size"))]
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = sizes[0]
    if not all(isinstance(n, int) for n in sizes):
        raise Unsupported(f"makes {tuple(sizes)}")
    return c.assembler.view(c.x, sizes, c.batch)


def _flatten(c: Call) -> Value:
    own = c.module
    start = own.start_dim if own is not None else c.get(1, "start_dim", 0)
    end = own.end_dim if own is not None else c.get(2, "end_dim", -1)
    rank = len(c.x.groups) + 1
    start, end = start % rank, end % rank
    if start == 0:
        raise Unsupported("flattens the batch")
    sizes = [c.batch, *c.x.sizes]
    joined = [*sizes[:start], math.prod(sizes[start : end + 1]), *sizes[end + 1 :]]
    return c.assembler.view(c.x, joined, c.batch)


def _squeeze(c: Call) -> Value:
    axes = c.get(1, "dim")
    if axes is None:
        return c.assembler.squeeze(c.x)
    named = axes if isinstance(axes, tuple | list) else (axes,)
    found = [axis_of(c.x, a) for a in named]
    return c.assembler.squeeze(c.x, [i for i in found if c.x.sizes[i] == 1])


def _unsqueeze(c: Call) -> Value:
    return c.assembler.unsqueeze(c.x, [c.get(1, "dim")])


def _permute(c: Call) -> Value:
    order: Sequence[Any] = c.args[1:] if len(c.args) > 1 else [c.kwargs.get("dims")]
    if len(order) == 1 and isinstance(order[0], tuple | list):
        order = order[0]
    rank = len(c.x.groups) + 1
    order = [int(i) % rank for i in order]
    if sorted(order) != list(range(rank)) or order[0] != 0:
        raise Unsupported("moves the batch")
    return c.assembler.transpose(c.x, [i - 1 for i in order[1:]])


def _swap(c: Call) -> Value:
    order = list(range(len(c.x.groups)))
    i, j = axis_of(c.x, c.get(1, "dim0")), axis_of(c.x, c.get(2, "dim1"))
    order[i], order[j] = order[j], order[i]
    return c.assembler.transpose(c.x, order)


def _pad(c: Call) -> Value:
    given, mode = list(c.get(1, "pad")), c.get(2, "mode", "constant")
    return _pad_by(c, given, mode, c.get(3, "value"))


def _pad_module(c: Call) -> Value:
    return _pad_by(c, list(c.module.padding), "constant", getattr(c.module, "value", 0.0))


def _pad_by(c: Call, given: list[int], mode: str, fill: float | None) -> Value:
    if mode != "constant" or len(given) > 6:
        raise Unsupported(f"pads {given} with mode {mode}")
    left, right, top, bottom, before, behind = given + [0] * (6 - len(given))
    value = 0.0 if fill is None else float(fill)
    return c.assembler.pad(c.x, (top, left, bottom, right), (before, behind), value, c.name)


def _split(c: Call) -> list[Value]:
    axis, each = axis_of(c.x, c.get(2, "dim", 0)), c.get(1, "split_size_or_sections")
    if each is None:
        each = c.kwargs.get("split_size")
    size = c.x.sizes[axis]
    sizes = [min(each, size - i) for i in range(0, size, each)] if isinstance(each, int) else each
    return c.assembler.split(c.x, axis, sizes, c.name)


def _chunk(c: Call) -> list[Value]:
    axis = axis_of(c.x, c.get(2, "dim", 0))
    size = c.x.sizes[axis]
    each = -(-size // int(c.get(1, "chunks")))
    sizes = [min(each, size - i) for i in range(0, size, each)]
    return c.assembler.split(c.x, axis, sizes, c.name)


def _item(c: Call) -> Any:
    """``x[...]`` of a tensor, or an element of a list or a shape."""
    whole, index = c.args
    if not isinstance(whole, Box):
        return whole[index]
    x, steps = whole.value, [1, 1, 1]
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in [i for i in index if not isinstance(i, slice)]:
        at = index.index(Ellipsis)
        rest = len(x.groups) + 2 - len(index)
        index = (*index[:at], *[slice(None)] * rest, *index[at + 1 :])
    if index[0] != slice(None):
        raise Unsupported("takes a part of the batch")
    for i, part in enumerate(index[1:]):
        if not isinstance(part, slice):
            raise Unsupported(f"is indexed by {part!r}")
        start, stop, by = part.indices(x.sizes[i])
        if by > 1 and (i == 0 or not x.is_image):
            raise Unsupported(f"slices axis {i + 1} with step {by}")
        x = c.assembler.take(x, i, start, stop, c.name)
        if by > 1:
            steps[i] = by
    return x if steps == [1, 1, 1] else c.assembler.stride(x, (steps[1], steps[2]), c.name)


def _sizes(c: Call) -> Any:
    shape = (c.batch, *c.x.sizes)
    axis = c.get(1, "dim")
    return shape if axis is None else shape[axis]


def _getattr(c: Call) -> Any:
    whole, name = c.args[:2]
    if isinstance(whole, Box) and name == "shape":
        return (c.batch, *whole.value.sizes)
    if isinstance(whole, Box) and name == "ndim":
        return len(whole.value.groups) + 1
    raise Unsupported(f"reads .{name}")


def same(c: Call) -> Any:
    """The tensor itself, and its place: what is written into one is written into both."""
    return c.get(0, "input")


# ---- the tables ----------------------------------------------------------------------------------

_ELEMENTWISE: dict[str, Handler] = {
    "relu": _activation("relu"),
    "relu6": _curve(FUNCTIONS["relu6"]),
    "sigmoid": _curve(FUNCTIONS["sigmoid"]),
    "silu": _activation("silu"),
    "hardsigmoid": _curve(FUNCTIONS["hard_sigmoid"]),
    "hardswish": _activation("hard_swish"),
    "gelu": _gelu,
    "tanh": _curve(np.tanh),
    "erf": _curve(erf),
    "neg": _curve(np.negative),
    "hardtanh": _hardtanh_function,
    "clamp": _clamp_function,
    "clip": _clamp_function,
    "add": _arithmetic("add"),
    "sub": _arithmetic("sub"),
    "mul": _arithmetic("mul"),
    "multiply": _arithmetic("mul"),
    "div": _arithmetic("div"),
    "truediv": _arithmetic("div"),
    "iadd": _arithmetic("add"),
    "isub": _arithmetic("sub"),
    "imul": _arithmetic("mul"),
    "itruediv": _arithmetic("div"),
    "dropout": same,
    "dropout2d": same,
    "feature_dropout": same,
    "stochastic_depth": same,
}

MODULES: dict[str, Handler] = {
    "AdaptiveAvgPool2d": lambda c: layers.adaptive(c, c.module.output_size),
    "AdaptiveMaxPool2d": lambda c: layers.adaptive_max(c, c.module.output_size),
    "AvgPool2d": layers.avg_pool_module,
    "BatchNorm1d": layers.batch_norm_module,
    "BatchNorm2d": layers.batch_norm_module,
    "SyncBatchNorm": layers.batch_norm_module,
    "ConstantPad2d": _pad_module,
    "Conv2d": layers.conv_module,
    "Dropout": same,
    "Dropout2d": same,
    "Flatten": _flatten,
    "GELU": _gelu,
    "GroupNorm": layers.group_norm_module,
    "Hardsigmoid": _ELEMENTWISE["hardsigmoid"],
    "Hardswish": _activation("hard_swish"),
    "Hardtanh": _hardtanh_module,
    "Identity": same,
    "LayerNorm": layers.layer_norm_module,
    "Linear": layers.linear_module,
    "MaxPool2d": layers.max_pool_module,
    "ReLU": _activation("relu"),
    "ReLU6": _ELEMENTWISE["relu6"],
    "SiLU": _activation("silu"),
    "Sigmoid": _ELEMENTWISE["sigmoid"],
    "Tanh": _ELEMENTWISE["tanh"],
    "ZeroPad2d": _pad_module,
}

FUNCTIONALS: dict[str, Handler] = {
    **_ELEMENTWISE,
    "adaptive_avg_pool2d": lambda c: layers.adaptive(c, c.get(1, "output_size")),
    "adaptive_max_pool2d": lambda c: layers.adaptive_max(c, c.get(1, "output_size")),
    "avg_pool2d": layers.avg_pool_function,
    "batch_norm": layers.batch_norm_function,
    "boolean_dispatch": layers.max_pool_function,  # as torch.fx sees max_pool2d
    "cat": _concat,
    "chunk": _chunk,
    "concat": _concat,
    "conv2d": layers.conv_function,
    "flatten": _flatten,
    "getattr": _getattr,
    "getitem": _item,
    "layer_norm": layers.layer_norm_function,
    "linear": layers.linear_function,
    "max_pool2d": layers.max_pool_function,
    "mean": layers.mean,
    "pad": _pad,
    "permute": _permute,
    "reshape": _view,
    "split": _split,
    "squeeze": _squeeze,
    "transpose": _swap,
    "unsqueeze": _unsqueeze,
}

METHODS: dict[str, Handler] = {
    **_ELEMENTWISE,
    "chunk": _chunk,
    "contiguous": same,
    "dim": lambda c: len(c.x.groups) + 1,
    "flatten": _flatten,
    "mean": layers.mean,
    "permute": _permute,
    "reshape": _view,
    "size": _sizes,
    "split": _split,
    "squeeze": _squeeze,
    "transpose": _swap,
    "unsqueeze": _unsqueeze,
    "view": _view,
}

_ALIASES = "Flatten chunk flatten getitem permute reshape split squeeze transpose unsqueeze view"
VIEWS = frozenset(_ALIASES.split())
IN_PLACE = (operator.iadd, operator.isub, operator.imul, operator.itruediv)


# Where the functions of the tables live: another `add` may be anything.
_HOMES = (
    "_operator", "builtins", "math", "torch", "torch._jit_internal", "torch.functional",
    "torch.nn.functional", "torchvision.ops.stochastic_depth",
)  # fmt: skip


def _is_known(function: Any) -> bool:
    """Whether a function is PyTorch's or Python's own."""
    module = str(getattr(function, "__module__", ""))
    return module in _HOMES or f"{module}.".startswith("torch._C.")


def find(node: Any, module: Any) -> tuple[str, Handler | None]:
    """What a node is called in the tables, and what it becomes."""
    if node.op == "call_module":
        name = type(module).__name__
        is_torch = type(module).__module__.startswith("torch.nn.modules.")
        return name, MODULES.get(name) if is_torch else None
    target = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
    name = str(target)
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]  # in place
    if node.op == "call_method":
        return name, METHODS.get(name)
    return name, FUNCTIONALS.get(name) if _is_known(node.target) else None
