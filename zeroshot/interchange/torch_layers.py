"""The layers and windows of PyTorch in terms of an `Assembler`."""

from __future__ import annotations

__all__ = [
    "adaptive",
    "adaptive_max",
    "avg_pool_function",
    "avg_pool_module",
    "batch_norm_function",
    "batch_norm_module",
    "conv_function",
    "conv_module",
    "group_norm_module",
    "layer_norm_function",
    "layer_norm_module",
    "linear_function",
    "linear_module",
    "max_pool_function",
    "max_pool_module",
    "mean",
]

from typing import Any

from numpy.typing import NDArray

from zeroshot.interchange.torch_call import Call, array_of, axis_of
from zeroshot.interchange.values import Pads, Unsupported, Value
from zeroshot.interchange.windows import same_padding

# ---- layers --------------------------------------------------------------------------------------


def _pair(x: Any) -> tuple[int, int]:
    if isinstance(x, tuple | list):
        if len(x) not in (1, 2):
            raise Unsupported(f"has {len(x)} axes of pixels")
        return int(x[0]), int(x[-1])
    return int(x), int(x)


def _key(weight: Any) -> object:
    """What two layers with the same weight have in common; None without one."""
    return None if weight is None else id(weight)


def _optional(tensor: Any) -> NDArray[Any] | None:
    return None if tensor is None else array_of(tensor)


def _conv_pads(x: Value, padding: Any, kernel: tuple[int, int], dilation: tuple[int, int]) -> Pads:
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        (top, bottom), (left, right) = (
            same_padding(x.sizes[i + 1], dilation[i] * (kernel[i] - 1) + 1, 1, upper=True)
            for i in (0, 1)
        )
        return top, left, bottom, right
    return _pair(padding) * 2


def conv_module(c: Call) -> Value:
    m = c.module
    if m.padding_mode != "zeros":
        raise Unsupported(f"pads with {m.padding_mode}")
    weight = array_of(m.weight)
    return c.assembler.conv2d(
        c.x, weight, _optional(m.bias), stride=_pair(m.stride), dilation=_pair(m.dilation),
        pads=_conv_pads(c.x, m.padding, weight.shape[2:], _pair(m.dilation)), groups=m.groups,
        name=c.name, key=id(m.weight),
    )  # fmt: skip


def conv_function(c: Call) -> Value:
    weight, dilation = c.required(1, "weight"), _pair(c.get(5, "dilation", 1))
    name, key = c.owner()
    return c.assembler.conv2d(
        c.x, weight, c.weight(2, "bias"), stride=_pair(c.get(3, "stride", 1)), dilation=dilation,
        pads=_conv_pads(c.x, c.get(4, "padding", 0), weight.shape[2:], dilation),
        groups=int(c.get(6, "groups", 1)), name=name, key=key,
    )  # fmt: skip


def linear_module(c: Call) -> Value:
    m = c.module
    weight, bias = array_of(m.weight), _optional(m.bias)
    return c.assembler.linear(c.x, weight, bias, name=c.name, key=id(m.weight))


def linear_function(c: Call) -> Value:
    name, key = c.owner()
    return c.assembler.linear(c.x, c.required(1, "weight"), c.weight(2, "bias"), name=name, key=key)


def batch_norm_module(c: Call) -> Value:
    m = c.module
    mean, var = _optional(m.running_mean), _optional(m.running_var)
    return c.assembler.batch_norm(
        c.x,
        _optional(m.weight),
        _optional(m.bias),
        mean,
        var,
        eps=m.eps,
        name=c.name,
        key=_key(m.weight),
    )


def batch_norm_function(c: Call) -> Value:
    mean, var, gamma, beta = (
        c.weight(i, key)
        for i, key in enumerate(("running_mean", "running_var", "weight", "bias"), start=1)
    )
    x, eps, (_, key) = c.x, c.get(7, "eps", 1e-5), c.owner(3)
    return c.assembler.batch_norm(x, gamma, beta, mean, var, eps=eps, name=c.name, key=key)


def layer_norm_module(c: Call) -> Value:
    m = c.module
    if len(m.normalized_shape) != 1:
        raise Unsupported("is over more than the last axis")
    gamma, beta = _optional(m.weight), _optional(m.bias)
    return c.assembler.layer_norm(c.x, gamma, beta, eps=m.eps, name=c.name, key=_key(m.weight))


def layer_norm_function(c: Call) -> Value:
    if len(c.get(1, "normalized_shape")) != 1:
        raise Unsupported("is over more than the last axis")
    gamma, beta = c.weight(2, "weight"), c.weight(3, "bias")
    name, key = c.owner(2)
    eps = c.get(4, "eps", 1e-5)
    return c.assembler.layer_norm(c.x, gamma, beta, eps=eps, name=name, key=key)


def group_norm_module(c: Call) -> Value:
    m = c.module
    return c.assembler.group_norm(
        c.x, _optional(m.weight), _optional(m.bias), groups=m.num_groups, eps=m.eps, name=c.name,
        key=_key(m.weight),
    )  # fmt: skip


# ---- windows -------------------------------------------------------------------------------------


def _max_pool(c: Call, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil: Any) -> Value:
    if _pair(dilation) != (1, 1):
        raise Unsupported("has dilation")
    size, pads = _pair(kernel), _pair(padding) * 2
    step = size if stride is None or stride == [] else _pair(stride)
    return c.assembler.max_pool(c.x, size, step, pads, ceil=bool(ceil), name=c.name)


def max_pool_module(c: Call) -> Value:
    m = c.module
    if m.return_indices:
        raise Unsupported("returns indices")
    return _max_pool(c, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode)


def max_pool_function(c: Call) -> Value:
    if c.get(6, "return_indices", False):
        raise Unsupported("returns indices")
    defaults = (("kernel_size", 1), ("stride", None), ("padding", 0), ("dilation", 1))
    kernel, stride, padding, dilation = (
        c.get(i, key, default) for i, (key, default) in enumerate(defaults, start=1)
    )
    return _max_pool(c, kernel, stride, padding, dilation, c.get(5, "ceil_mode", False))


def _avg_pool(
    c: Call, kernel: Any, stride: Any, padding: Any, ceil: Any, include: Any, divisor: Any
) -> Value:
    if divisor is not None:
        raise Unsupported("has a divisor of its own")
    size, pads = _pair(kernel), _pair(padding) * 2
    step = size if stride is None or stride == [] else _pair(stride)
    return c.assembler.avg_pool(
        c.x, size, step, pads, include_pad=bool(include), ceil=bool(ceil), name=c.name
    )


def avg_pool_module(c: Call) -> Value:
    m = c.module
    return _avg_pool(
        c, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override
    )


def avg_pool_function(c: Call) -> Value:
    defaults = (
        ("kernel_size", 1), ("stride", None), ("padding", 0), ("ceil_mode", False),
        ("count_include_pad", True), ("divisor_override", None),
    )  # fmt: skip
    kernel, stride, padding, ceil, include, divisor = (
        c.get(i, key, default) for i, (key, default) in enumerate(defaults, start=1)
    )
    return _avg_pool(c, kernel, stride, padding, ceil, include, divisor)


def adaptive(c: Call, size: Any) -> Value:
    pair = (size[0], size[-1]) if isinstance(size, tuple | list) else (size, size)
    return c.assembler.adaptive_avg_pool(c.x, pair, c.name)


def adaptive_max(c: Call, size: Any) -> Value:
    if _pair(size) != (1, 1):
        raise Unsupported("makes more than one pixel")
    height, width = c.x.sizes[1:]
    return c.assembler.max_pool(c.x, (height, width), (1, 1), (0, 0, 0, 0), name=c.name)


def mean(c: Call) -> Value:
    axes = c.get(1, "dim")
    if axes is None:
        raise Unsupported("is a mean over the batch")
    over = [axis_of(c.x, i) for i in (axes if isinstance(axes, tuple | list) else (axes,))]
    return c.assembler.mean(c.x, over, keep=bool(c.get(2, "keepdim", False)), name=c.name)
