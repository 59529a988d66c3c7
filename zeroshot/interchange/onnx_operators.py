"""The operators of ONNX, one line each, in terms of an `Assembler`."""

from __future__ import annotations

__all__ = ["DOMAINS", "MASK", "MASKS", "OPERATORS", "UNKNOWN", "Array", "Call", "Tensor"]

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from zeroshot.interchange.curves import FUNCTIONS, Curve, erf
from zeroshot.interchange.onnx_constants import slice_bounds
from zeroshot.interchange.values import Pads, Unsupported, Value
from zeroshot.interchange.windows import same_padding

if TYPE_CHECKING:
    from zeroshot.interchange.onnx_import import Importer, Node

DOMAINS = ("", "ai.onnx")


class _Marker:
    """What is neither a constant nor a tensor of the network."""


UNKNOWN = _Marker()  # follows from an operator that is not known
MASK = _Marker()  # random, of a dropout
Array: TypeAlias = NDArray[Any]
Tensor: TypeAlias = Value | Array | _Marker | None


class Call:
    """A node, its inputs and attributes, as the table of operators takes them."""

    def __init__(
        self, node: Node, name: str, inputs: list[Any], attributes: dict[str, Any]
    ) -> None:
        self.node, self.name, self.inputs, self.attributes = node, name, inputs, attributes

    def get(self, i: int) -> Any:
        return self.inputs[i] if i < len(self.inputs) else None

    def value(self, i: int = 0) -> Value:
        """An input that depends on the image."""
        x = self.get(i)
        if not isinstance(x, Value):
            raise Unsupported(f"input {i} does not depend on the image")
        return x

    def constant(self, i: int, what: str) -> Array:
        x = self.get(i)
        if not isinstance(x, np.ndarray):
            raise Unsupported(f"its {what} is not constant")
        return x

    def weight(self, i: int, what: str) -> Array:
        """A constant as the core takes weights."""
        array = self.constant(i, what)
        if array.dtype.kind != "f":
            raise Unsupported(f"its {what} is of {array.dtype}")
        return array

    def optional(self, i: int, what: str) -> Array | None:
        return None if self.get(i) is None else self.weight(i, what)

    def ints(self, key: str, default: Sequence[int]) -> tuple[int, ...]:
        found = tuple(int(v) for v in self.attributes.get(key, default))
        if len(found) != len(default):
            raise Unsupported(f"{key} has {len(found)} values, expected {len(default)}")
        return found


Operator: TypeAlias = "Callable[[Importer, Call], Any]"


# ---- layers --------------------------------------------------------------------------------------


def _conv(m: Importer, c: Call) -> Value:
    weight = c.weight(1, "weight")
    if weight.ndim != 4:
        raise Unsupported(f"has weights of {weight.ndim} axes: only 2-D convolutions fit")
    stride, dilation = _pair(c, "strides"), _pair(c, "dilations")
    span = (dilation[0] * (weight.shape[2] - 1) + 1, dilation[1] * (weight.shape[3] - 1) + 1)
    return m.assembler.conv2d(
        c.value(), weight, c.optional(2, "bias"), stride=stride, dilation=dilation,
        pads=_pads(c, span, stride), groups=int(c.attributes.get("group", 1)),
        name=c.name, key=m.owner_of(c.node.input[1]),
    )  # fmt: skip


def _gemm(m: Importer, c: Call) -> Value:
    a = c.attributes
    if a.get("alpha", 1.0) != 1.0 or a.get("beta", 1.0) != 1.0 or a.get("transA", 0):
        raise Unsupported("has alpha, beta or transA")
    weight = c.weight(1, "weight")
    bias = c.optional(2, "bias")
    weight = weight if a.get("transB", 0) else weight.T
    if bias is not None:
        if bias.ndim > 2 or bias.shape[:-1] not in ((), (1,)):
            raise Unsupported(f"has a bias of shape {bias.shape}, which is no row")
        bias = np.broadcast_to(bias.reshape(-1), weight.shape[:1])
    return m.assembler.linear(c.value(), weight, bias, name=c.name, key=m.owner_of(c.node.input[1]))


def _matmul(m: Importer, c: Call) -> Value:
    weight = c.weight(1, "second factor")
    if weight.ndim != 2:
        raise Unsupported(f"has a second factor of {weight.ndim} axes")
    bias, readers = None, m.readers[c.node.output[0]]
    after = readers[0] if len(readers) == 1 else None
    if after is not None and after.op_type == "Add" and after.domain in DOMAINS:  # its bias
        other = [i for i in after.input if i != c.node.output[0]]
        found = m.tensors.get(other[0]) if len(other) == 1 else None
        if isinstance(found, np.ndarray) and found.shape == weight.shape[1:]:
            bias = found
    y = m.assembler.linear(c.value(), weight.T, bias, name=c.name, key=m.owner_of(c.node.input[1]))
    if after is not None and bias is not None:
        m.absorb(after, y)
    return y


def _is_plain(m: Importer, c: Call, scale: Any, shift: Any) -> bool:
    """Whether a norm has no weights: its scale and shift are constants of 1 and 0."""
    is_stored = any(name in m.stored for name in c.node.input[1:3])
    return not is_stored and bool(np.all(scale == 1)) and not np.any(shift)


def _batch_norm(m: Importer, c: Call) -> list[Value]:
    names = ("scale", "shift", "mean", "variance")
    gamma: Array | None
    beta: Array | None
    gamma, beta, mean, var = (c.weight(i, what) for i, what in enumerate(names, start=1))
    eps = float(c.attributes.get("epsilon", 1e-5))
    key = m.owner_of(c.node.input[1])
    if _is_plain(m, c, gamma, beta):
        gamma = beta = None
    x = c.value()
    return [
        m.assembler.batch_norm(x, gamma, beta, mean, var, eps=_round(eps), name=c.name, key=key)
    ]


def _layer_norm(m: Importer, c: Call) -> Value:
    x = c.value()
    if c.attributes.get("axis", -1) not in (-1, len(x.groups)):
        raise Unsupported("is over more than the last axis")
    scale, beta = c.weight(1, "scale"), c.optional(2, "shift")
    if beta is None:
        beta = np.broadcast_to(np.zeros((), scale.dtype), scale.shape)
    gamma: Array | None = scale
    key = m.owner_of(c.node.input[1])
    if _is_plain(m, c, gamma, beta):
        gamma = beta = None
    eps = _round(float(c.attributes.get("epsilon", 1e-5)))
    return m.assembler.layer_norm(x, gamma, beta, eps=eps, name=c.name, key=key)


def _round(value: float) -> float:
    """A float32 as it was written: 1e-5, not 9.999999747378752e-06."""
    return float(str(np.float32(value)))


# ---- windows -------------------------------------------------------------------------------------


def _pair(c: Call, key: str) -> tuple[int, int]:
    first, second = c.ints(key, (1, 1))
    return first, second


def _pads(c: Call, span: tuple[int, int], stride: tuple[int, int]) -> Pads:
    auto = c.attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        sizes = c.value().sizes[1:]
        (top, bottom), (left, right) = (
            same_padding(sizes[i], span[i], stride[i], upper=auto == "SAME_UPPER") for i in (0, 1)
        )
        return top, left, bottom, right
    top, left, bottom, right = c.ints("pads", (0, 0, 0, 0))
    return (0, 0, 0, 0) if auto == "VALID" else (top, left, bottom, right)


def _pool(m: Importer, c: Call) -> list[Value]:
    x, kernel = c.value(), _pair(c, "kernel_shape")
    stride, ceil = _pair(c, "strides"), bool(c.attributes.get("ceil_mode", 0))
    if _pair(c, "dilations") != (1, 1):
        raise Unsupported("has dilation")
    pads = _pads(c, kernel, stride)
    if c.node.op_type == "MaxPool":
        return [m.assembler.max_pool(x, kernel, stride, pads, ceil=ceil, name=c.name)]
    include = bool(c.attributes.get("count_include_pad", 0))
    return [
        m.assembler.avg_pool(x, kernel, stride, pads, include_pad=include, ceil=ceil, name=c.name)
    ]


def _global_avg_pool(m: Importer, c: Call) -> Value:
    return m.assembler.mean(c.value(), (1, 2), keep=True, name=c.name)


def _global_max_pool(m: Importer, c: Call) -> Value:
    size = c.value().sizes[1:]
    return m.assembler.max_pool(c.value(), (size[0], size[1]), (1, 1), (0,) * 4, name=c.name)


def _mean(m: Importer, c: Call) -> Value:
    x = c.value()
    axes = c.get(1) if c.get(1) is not None else c.attributes.get("axes")
    if axes is None:
        raise Unsupported("is a mean over the batch")
    keep = bool(c.attributes.get("keepdims", 1))
    return m.assembler.mean(x, [_axis(x, i) for i in axes], keep=keep, name=c.name)


# ---- elementwise ---------------------------------------------------------------------------------


def _activation(op: str) -> Operator:
    return lambda m, c: m.assembler.activation(c.value(), op, c.name)


def _curve(function: Callable[[Curve], Curve]) -> Operator:
    return lambda m, c: m.assembler.apply(c.value(), function, c.name)


def _clip(m: Importer, c: Call) -> Value:
    low, high = (
        _scalar(c.get(i)) if c.get(i) is not None else c.attributes.get(key, default)
        for i, key, default in ((1, "min", -math.inf), (2, "max", math.inf))
    )
    return m.assembler.apply(c.value(), lambda x: np.clip(x, low, high), c.name)


def _hard_sigmoid(m: Importer, c: Call) -> Value:
    a, b = (c.attributes.get(key, default) for key, default in (("alpha", 0.2), ("beta", 0.5)))
    return m.assembler.apply(c.value(), lambda x: np.clip(a * x + b, 0, 1), c.name)


def _gelu(m: Importer, c: Call) -> Value:
    if c.attributes.get("approximate", "none") != "none":
        raise Unsupported("is approximate")
    return m.assembler.activation(c.value(), "gelu", c.name)


def _scalar(x: Any) -> float:
    """A constant that is one number."""
    if not isinstance(x, np.ndarray):
        raise Unsupported("reads what is neither a tensor of the network nor constant")
    if not x.size or np.any(x != x.flat[0]):
        raise Unsupported(f"reads a constant of shape {x.shape}")
    return float(x.flat[0])


def _binary(m: Importer, c: Call) -> Value:
    """Add, Sub, Mul, Div, Pow: of two tensors, or of one and a number."""
    if len(c.inputs) != 2:
        raise Unsupported(f"has {len(c.inputs)} inputs, expected 2")
    op, (a, b) = c.node.op_type, c.inputs
    values = [x for x in (a, b) if isinstance(x, Value)]
    if len(values) == 1:
        if a is MASK or b is MASK:
            return values[0]
        if op == "Mul" and (scaled := _per_channel(m, c, a, b)) is not None:
            return scaled
        function = _ARITHMETIC[op]
        if isinstance(a, Value):
            number = _scalar(b)
            return m.assembler.apply(a, lambda x: function(x, number), c.name)
        number = _scalar(a)
        return m.assembler.apply(values[0], lambda x: function(number, x), c.name)
    if op in ("Add", "Mul"):
        return m.assembler.combine("add" if op == "Add" else "multiply", a, b, c.name)
    if op == "Sub":
        return m.assembler.combine("add", a, m.assembler.apply(b, np.negative, c.name), c.name)
    raise Unsupported("is of two tensors")


def _extreme(function: Callable[[Any, Any], Any]) -> Operator:
    """Max or Min of one tensor and any number of numbers."""

    def operator(m: Importer, c: Call) -> Value:
        values = [x for x in c.inputs if isinstance(x, Value)]
        numbers = [_scalar(x) for x in c.inputs if not isinstance(x, Value)]
        if len(values) != 1:
            raise Unsupported(f"is of {len(values)} tensors")
        if not numbers:
            return values[0]
        limit = reduce(function, numbers)
        return m.assembler.apply(values[0], lambda x: function(x, limit), c.name)

    return operator


def _per_channel(m: Importer, c: Call, a: Tensor, b: Tensor) -> Value | None:
    x, scale = (a, b) if isinstance(a, Value) else (b, a)
    if not isinstance(x, Value) or not isinstance(scale, np.ndarray) or scale.size < 2:
        return None
    axis = scale.ndim - int(np.argmax(np.array(scale.shape) == scale.size))  # from the end
    if scale.size != max(scale.shape) or axis > len(x.groups) or scale.dtype.kind != "f":
        return None
    key = m.owner_of(c.node.input[0 if scale is a else 1])
    return m.assembler.scale_channels(
        x, scale.reshape(-1), len(x.groups) - axis, name=c.name, key=key
    )


def _sum(m: Importer, c: Call) -> Value:
    return m.assembler.total([c.value(i) for i in range(len(c.inputs))], c.name)


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide,
    "Pow": np.power,
}  # fmt: skip


# ---- axes ----------------------------------------------------------------------------------------


def _axis(x: Value, axis: int) -> int:
    """An axis of the file, counted after the batch."""
    rank = len(x.groups) + 1
    if not -rank <= axis < rank or axis % rank == 0:
        raise Unsupported(f"is along axis {int(axis)} of {rank}")
    return int(axis) % rank - 1


def _shape(m: Importer, c: Call) -> Array:
    sizes = np.array([m.batch, *c.value().sizes], np.int64)
    return sizes[c.attributes.get("start", 0) : c.attributes.get("end")]


def _reshape(m: Importer, c: Call) -> Value:
    x = c.value()
    own = (m.batch, *x.sizes)
    shape = c.constant(1, "shape").reshape(-1).tolist()
    if not c.attributes.get("allowzero", 0):
        shape = [own[i] if d == 0 and i < len(own) else d for i, d in enumerate(shape)]
    return m.assembler.view(x, shape, m.batch)


def _flatten(m: Importer, c: Call) -> Value:
    if c.attributes.get("axis", 1) not in (1, -len(c.value().groups)):
        raise Unsupported("flattens the batch")
    return m.assembler.view(c.value(), [m.batch, -1], m.batch)


def _squeeze(m: Importer, c: Call) -> Value:
    x = c.value()
    axes = c.get(1) if c.get(1) is not None else c.attributes.get("axes")
    return m.assembler.squeeze(x, None if axes is None else [_axis(x, i) for i in axes])


def _unsqueeze(m: Importer, c: Call) -> Value:
    return m.assembler.unsqueeze(
        c.value(), c.get(1) if c.get(1) is not None else c.attributes["axes"]
    )


def _transpose(m: Importer, c: Call) -> Value:
    x = c.value()
    order = [int(i) for i in c.attributes.get("perm", range(len(x.groups) + 1)[::-1])]
    if sorted(order) != list(range(len(x.groups) + 1)) or order[0] != 0:
        raise Unsupported("moves the batch")
    return m.assembler.transpose(x, [i - 1 for i in order[1:]])


def _expand(m: Importer, c: Call) -> Value:
    x = c.value()
    own = (m.batch, *x.sizes)
    shape = tuple(int(n) for n in c.constant(1, "shape"))
    if len(shape) > len(own):
        raise Unsupported(f"makes {shape}, an axis before the batch")
    for n, size in zip(shape[::-1], own[::-1], strict=False):
        if n not in (1, size):
            raise Unsupported(f"repeats a tensor, or does not fit it: {shape} of {own}")
    return x


def _concat(m: Importer, c: Call) -> Value:
    xs = [c.value(i) for i in range(len(c.inputs))]
    return m.assembler.concat(xs, _axis(xs[0], c.attributes["axis"]), c.name)


def _split(m: Importer, c: Call) -> list[Value]:
    x = c.value()
    axis = _axis(x, c.attributes.get("axis", 0))
    sizes = c.get(1) if c.get(1) is not None else c.attributes.get("split")
    if sizes is None:
        each = -(-x.sizes[axis] // len(c.node.output))
        sizes = [each] * (len(c.node.output) - 1)
        sizes.append(x.sizes[axis] - sum(sizes))
    return m.assembler.split(x, axis, sizes, c.name)


def _slice(m: Importer, c: Call) -> Value:
    x, steps = c.value(), [1, 1, 1]
    for i in range(1, len(c.inputs)):
        if c.get(i) is not None:
            c.constant(i, "range")
    for axis, start, end, step in slice_bounds(c.inputs, c.attributes, len(x.groups) + 1):
        i = _axis(x, axis)
        begin, stop, by = slice(start, end, step).indices(x.sizes[i])
        if by < 1 or (by > 1 and (i == 0 or not x.is_image)):
            raise Unsupported(f"slices axis {axis} with step {by}")
        x = m.assembler.take(x, i, begin, stop, c.name)
        if by > 1:
            steps[i] = by
    return x if steps == [1, 1, 1] else m.assembler.stride(x, (steps[1], steps[2]), c.name)


def _pad(m: Importer, c: Call) -> Value:
    x, a = c.value(), c.attributes
    if a.get("mode", "constant") != "constant":
        raise Unsupported(f"pads with mode {a['mode']}")
    rank = len(x.groups) + 1
    given = c.constant(1, "padding") if c.get(1) is not None else np.array(a["pads"])
    axes = c.constant(3, "axes") if c.get(3) is not None else np.arange(rank)
    fill = _scalar(c.get(2)) if c.get(2) is not None else float(a.get("value", 0.0))
    pads = np.zeros((2, rank), np.int64)
    pads[:, axes] = given.reshape(2, -1)
    if rank != 4 or np.any(pads[:, 0]) or np.any(np.abs(pads) > 1 << 20):
        raise Unsupported(f"pads {given.tolist()[:16]}")
    (_, before, top, left), (_, behind, bottom, right) = pads.tolist()
    return m.assembler.pad(x, (top, left, bottom, right), (before, behind), fill, c.name)


# ---- the table -----------------------------------------------------------------------------------


def _constant(m: Importer, c: Call) -> Array:
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in c.attributes:
            value = c.attributes[key]
            kind = np.float32 if key.startswith("value_float") else None
            return np.asarray(value, kind)
    raise Unsupported("holds neither a tensor nor numbers")


def _same(m: Importer, c: Call) -> Any:
    return c.get(0)


def _random(m: Importer, c: Call) -> Any:
    return MASK


OPERATORS: dict[str, Operator] = {
    "Add": _binary,
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Bernoulli": _random,
    "Cast": _same,
    "CastLike": _same,
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _constant,
    "Conv": _conv,
    "Div": _binary,
    "Dropout": _same,
    "Erf": _curve(erf),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_avg_pool,
    "GlobalMaxPool": _global_max_pool,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _activation("hard_swish"),
    "Identity": _same,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "Max": _extreme(np.maximum),
    "MaxPool": _pool,
    "Min": _extreme(np.minimum),
    "Mul": _binary,
    "Neg": _curve(np.negative),
    "Pad": _pad,
    "Pow": _binary,
    "RandomUniform": _random,
    "RandomUniformLike": _random,
    "ReduceMean": _mean,
    "Relu": _activation("relu"),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": _curve(FUNCTIONS["sigmoid"]),
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _binary,
    "Sum": _sum,
    "Tanh": _curve(np.tanh),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}

# What random numbers go through before they multiply a tensor.
_THROUGH = (
    "Add And Cast CastLike Div Equal Expand Floor Greater GreaterOrEqual Identity Less LessOrEqual "
    "Mul Not Reshape Sub Unsqueeze Where"
)
MASKS = frozenset(_THROUGH.split())
