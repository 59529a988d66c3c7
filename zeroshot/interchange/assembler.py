"""Builds a `zeroshot.Graph` from the operators of another program's network.

Both importers speak to an `Assembler` in terms of tensors with named axes (`values`), so that
reshapes and transpositions cost no op and what does not fit is noticed. Elementwise expressions of
one tensor are kept as curves until something else reads them (`curves`), padding until a
convolution or a pooling does (`windows`).
"""

from __future__ import annotations

__all__ = ["ANY_BATCH", "Assembler", "BatchNorm", "check_image_shape"]

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zeroshot.graph import Graph, Handle
from zeroshot.inputs import check_int
from zeroshot.interchange.curves import PROBES, Curve, Known, recognise
from zeroshot.interchange.values import (
    NO_PADS,
    Pads,
    Unsupported,
    Value,
    curve_from,
    letters_of,
    parts_of,
)
from zeroshot.interchange.windows import place_windows, window_count

ANY_BATCH = 7919  # stands for a batch of any size; prime, so that no other axis is taken for it

BatchNorm = Literal["batch", "running"]

_NAME_LENGTH = 60  # the core takes 63
_DEPTH = 32  # of expressions that wait


def check_image_shape(given: object) -> tuple[int, int, int]:
    """Channels, height and width as a caller gives them."""
    if not isinstance(given, Iterable):
        raise TypeError(f"input_shape: expected (channels, height, width), got {given!r}")
    shape = tuple(check_int(f"input_shape[{i}]", n, 1) for i, n in enumerate(given))
    if len(shape) != 3:
        raise ValueError(f"input_shape: expected (channels, height, width), got {shape}")
    return shape[0], shape[1], shape[2]


class Assembler:
    """A graph under construction, the weights that were met, and the names that are taken.

    Parameters
    ----------
    input_shape : (int, int, int)
    batch_norm : {"batch", "running"}
    """

    def __init__(self, input_shape: Sequence[int], batch_norm: BatchNorm) -> None:
        if batch_norm not in ("batch", "running"):
            raise ValueError(f"batch_norm: expected 'batch' or 'running', got {batch_norm!r}")
        self.graph = Graph(input_shape)
        self.weights: dict[str, NDArray[Any]] = {}
        self._batch_norm: BatchNorm = batch_norm
        self._names = {"input"}
        self._owners: dict[object, str] = {}
        self.image = self._value(self.graph.input, ("c", "h", "w"))

    # ---- names and weights ---------------------------------------------------------------------

    def _name(self, wanted: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9._-]+", ".", wanted).strip(".")[-_NAME_LENGTH:].strip(".")
        plain = name = plain or "op"
        number = 2
        while name in self._names:
            name = f"{plain[: _NAME_LENGTH - 5]}-{number}"
            number += 1
        self._names.add(name)
        return name

    def _own(self, key: object, name: str) -> None:
        """Weights of a graph belong to one op."""
        if key is None:
            return
        if (owner := self._owners.setdefault(key, name)) != name:
            raise Unsupported(f"shares its weights with {owner}, which a Graph cannot say")

    def _keep(self, name: str, **tensors: NDArray[Any] | None) -> None:
        for role, tensor in tensors.items():
            if tensor is not None:
                self.weights[f"{name}.{role}"] = tensor

    def _op(self, op: str, *args: Any, name: str, **kwargs: Any) -> Handle:
        method: Callable[..., Handle] | None = getattr(self.graph, op, None)
        if method is None:
            raise Unsupported(f"zeroshot.Graph has no {op}")
        try:
            return method(*args, name=self._name(name), **kwargs)
        except (ValueError, TypeError) as error:
            raise Unsupported(str(error)) from None

    def _value(self, handle: Handle, groups: Sequence[str]) -> Value:
        return Value(handle, tuple(letters_of(handle, g) for g in groups))

    # ---- what waits ----------------------------------------------------------------------------

    def force(self, x: Value) -> Handle:
        """The handle of `x`, with everything that waited made into ops."""
        if not x.done:
            x.done.append(self._force(x))
        return x.done[0]

    def _force(self, x: Value) -> Handle:
        if any(x.pads):
            return self._cut(x)
        if x.curve is None:
            return x.base
        for start in parts_of(x):
            known = recognise(x.curve if start is None else curve_from(x, start))
            # a sum of two readings of one tensor stays a sum
            if known is not None and (known.op is not None or x.op is None):
                return self._known(known, x.base if start is None else self.force(start), x.name)
        if x.op is None:
            raise Unsupported("no op of zeroshot.Graph computes this function", x.name)
        return self._op(x.op, *map(self.force, x.sources), name=x.name)

    def _known(self, known: Known, handle: Handle, name: str) -> Handle:
        if known.op is not None:
            handle = self._op(known.op, handle, name=name)
        if known.scale == 0.0:
            return self._op("zero", handle, name=name)
        if known.scale != 1.0:
            return self._op("add", handle, coef=[known.scale], name=name)
        return handle

    def _cut(self, x: Value) -> Handle:
        top, left, bottom, right = x.pads
        if top != left or top > 0 or bottom or right:
            raise Unsupported(
                f"padding of (top, left, bottom, right) = {x.pads} is not followed by a "
                "convolution or a pooling that can take it"
            )
        handle = self.force(replace(x, pads=NO_PADS, done=[]))
        for _ in range(-top):
            handle = self._op("shift", handle, name=x.name)
        return handle

    def _plain(self, x: Value) -> Value:
        """`x` without anything that waits."""
        return self._value(self.force(x), x.groups)

    def _waiting(
        self,
        function: Callable[..., Curve],
        sources: tuple[Value, ...],
        name: str,
        op: str | None = None,
    ) -> Value:
        first = sources[0]
        with np.errstate(all="ignore"):
            curves = [PROBES if v.curve is None else v.curve for v in sources]
            curve = np.asarray(function(*curves), np.float64)
        depth = 1 + max(v.depth for v in sources)
        value = Value(
            first.base, first.groups, curve, function, sources, op, name=name, depth=depth
        )
        return self._plain(value) if depth > _DEPTH else value

    # ---- elementwise ---------------------------------------------------------------------------

    def apply(self, x: Value, function: Callable[[Curve], Curve], name: str) -> Value:
        """A function of each element, named when its values are known."""
        return self._waiting(function, (self._plain(x) if any(x.pads) else x,), name)

    def activation(self, x: Value, op: str, name: str) -> Value:
        """One op of the graph, at once."""
        return self._value(self._op(op, self.force(x), name=name), x.groups)

    def combine(self, op: Literal["add", "multiply"], a: Value, b: Value, name: str) -> Value:
        """Sum or product of two tensors."""
        a, b = (self._plain(v) if any(v.pads) else v for v in (a, b))
        groups = self._broadcast(a, b)
        if a.base is b.base and a.groups == b.groups:
            return self._waiting(np.add if op == "add" else np.multiply, (a, b), name, op)
        if op == "add":
            return self.total([a, b], name)
        # the larger one first: the other is broadcast
        if int(np.prod(a.base.shape)) < int(np.prod(b.base.shape)):
            a, b = b, a
        return self._value(self._op("multiply", self.force(a), self.force(b), name=name), groups)

    def total(self, xs: Sequence[Value], name: str) -> Value:
        """Sum of tensors of one shape, with the factors that they wait for."""
        terms, coefs = [], []
        for x in xs:
            known = None if x.curve is None or x.op else recognise(x.curve)
            if known is not None and known.op is None and known.scale and not any(x.pads):
                terms.append(x.base)
                coefs.append(known.scale)
            else:
                terms.append(self.force(x))
                coefs.append(1.0)
            if x.sizes != xs[0].sizes or x.groups != xs[0].groups:
                raise Unsupported(f"adds shapes {xs[0].sizes} and {x.sizes}")
        coef = None if all(c == 1.0 for c in coefs) else coefs
        return self._value(self._op("add", *terms, coef=coef, name=name), xs[0].groups)

    @staticmethod
    def _broadcast(a: Value, b: Value) -> tuple[str, ...]:
        if len(a.groups) != len(b.groups) or any(
            g != h and g and h for g, h in zip(a.groups, b.groups, strict=True)
        ):
            raise Unsupported(f"shapes {a.sizes} and {b.sizes} do not fit, or lie in other orders")
        return tuple(g or h for g, h in zip(a.groups, b.groups, strict=True))

    # ---- layers --------------------------------------------------------------------------------

    def _image_of(self, x: Value) -> Value:
        if not x.is_image:
            raise Unsupported(f"expected (batch, channels, height, width), got {x.sizes}")
        return x if x.curve is None else self._plain(x)

    def _windows(
        self,
        x: Value,
        span: tuple[int, int],
        stride: tuple[int, int],
        pads: Pads,
        name: str,
    ) -> tuple[Handle, tuple[int, int], int]:
        """Input, even padding, and the shifts that have to follow."""
        x = self._image_of(x)
        if any(p < 0 < q for p, q in zip(x.pads, pads, strict=True)):
            x = self._plain(x)  # cut first, then pad
        total = tuple(p + q for p, q in zip(x.pads, pads, strict=True))
        size = (x.base.shape[1], x.base.shape[2])
        placing = place_windows(size, span, stride, total)  # type: ignore[arg-type]
        if placing is None:
            raise Unsupported(
                f"padding (top, left, bottom, right) = {total} of {size[0]} x {size[1]} pixels "
                f"with windows of {span} and stride {stride} has no counterpart with even padding"
            )
        handle = x.base
        for _ in range(placing.before):
            handle = self._op("shift", handle, name=f"{name}.before")
        return handle, placing.padding, placing.after

    def _shifted(self, handle: Handle, count: int, name: str) -> Value:
        for _ in range(count):
            handle = self._op("shift", handle, name=f"{name}.after")
        return self._value(handle, ("c", "h", "w"))

    def conv2d(
        self,
        x: Value,
        weight: NDArray[Any],
        bias: NDArray[Any] | None,
        *,
        stride: tuple[int, int],
        pads: Pads,
        dilation: tuple[int, int],
        groups: int,
        name: str,
        key: object = None,
    ) -> Value:
        """Convolution; `key` says whose weights these are."""
        if weight.ndim != 4:
            raise Unsupported(f"has weights of {weight.ndim} axes: only 2-D convolutions fit")
        if any(x.pads) and x.fill != 0.0:
            raise Unsupported(f"reads padding of {x.fill}")
        kernel = (weight.shape[2], weight.shape[3])
        span = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
        handle, padding, after = self._windows(x, span, stride, pads, name)
        if handle.shape[0] != weight.shape[1] * groups:
            raise Unsupported(f"has weights of shape {weight.shape}, its input {handle.shape}")
        y = self._op(
            "conv2d", handle, weight.shape[0], kernel, stride=stride, padding=padding,
            dilation=dilation, groups=groups, bias=bias is not None, name=name,
        )  # fmt: skip
        self._own(key, y.name)
        self._keep(y.name, weight=weight, bias=bias)
        return self._shifted(y, after, name)

    def linear(
        self,
        x: Value,
        weight: NDArray[Any],
        bias: NDArray[Any] | None,
        *,
        name: str,
        key: object = None,
    ) -> Value:
        """Linear layer over the last axis; `weight` is (outputs, inputs)."""
        if weight.ndim != 2 or x.sizes[-1] != weight.shape[1]:
            raise Unsupported(f"has weights of shape {weight.shape}, its input {x.sizes}")
        x = self._plain(x)
        if x.groups[-1] == letters_of(x.base, "hw") != "":
            return self._linear_spatial(x, weight, bias, name, key)
        if len(x.groups[-1]) > 1:
            x = self._flat(x, name)
        elif x.groups[-1] not in ("c", "") or any("c" in g for g in x.groups[:-1]):
            raise Unsupported("is over an axis that is not that of channels")
        y = self._op("linear", x.base, weight.shape[0], bias=bias is not None, name=name)
        self._own(key, y.name)
        self._keep(y.name, weight=weight, bias=bias)
        return self._value(y, (*x.groups[:-1], "c"))

    def _linear_spatial(
        self, x: Value, weight: NDArray[Any], bias: NDArray[Any] | None, name: str, key: object
    ) -> Value:
        if weight.shape[0] != weight.shape[1]:
            raise Unsupported(f"makes {weight.shape[0]} positions of {weight.shape[1]}")
        y = self._op("linear_spatial", x.base, bias=bias is not None, name=name)
        self._own(key, y.name)
        self._keep(y.name, weight=weight, bias=bias)
        return self._value(y, x.groups)

    def _flat(self, x: Value, name: str) -> Value:
        if "".join(x.groups) != letters_of(x.base, "chw") or len(x.groups) != 1:
            raise Unsupported(f"flattens axes in the order {x.groups}, not channels, height, width")
        return self._value(self._op("flatten", x.base, name=f"{name}.flatten"), ("c",))

    def batch_norm(
        self,
        x: Value,
        gamma: NDArray[Any] | None,
        beta: NDArray[Any] | None,
        mean: NDArray[Any] | None,
        var: NDArray[Any] | None,
        *,
        eps: float,
        name: str,
        key: object = None,
    ) -> Value:
        """Over the first axis after the batch."""
        if x.groups[0] not in ("c", "") or any("c" in g for g in x.groups[1:]):
            raise Unsupported("normalises an axis that is not that of channels")
        if (gamma is None) != (beta is None):
            raise Unsupported("has a scale without a shift, or the other way round")
        mode = self._batch_norm
        if mode == "running" and (mean is None or var is None):
            raise Unsupported("has no running statistics")
        y = self._op(
            "batch_norm", self.force(x), eps=eps, affine=gamma is not None, mode=mode, name=name
        )
        self._own(key, y.name)
        self._keep(y.name, gamma=gamma, beta=beta)
        if mode == "running":
            self._keep(y.name, running_mean=mean, running_var=var)
        return self._value(y, x.groups)

    def layer_norm(
        self,
        x: Value,
        gamma: NDArray[Any] | None,
        beta: NDArray[Any] | None,
        *,
        eps: float,
        name: str,
        key: object = None,
    ) -> Value:
        """Over the last axis, which is that of channels."""
        self._channel_axis(x, len(x.groups) - 1)
        return self._norm("layer_norm", x, gamma, beta, name, key, eps=eps)

    def group_norm(
        self,
        x: Value,
        gamma: NDArray[Any] | None,
        beta: NDArray[Any] | None,
        *,
        groups: int,
        eps: float,
        name: str,
        key: object = None,
    ) -> Value:
        """Over runs of the first axis after the batch."""
        self._channel_axis(x, 0)
        return self._norm("group_norm", x, gamma, beta, name, key, eps=eps, groups=groups)

    def _norm(
        self,
        op: str,
        x: Value,
        gamma: NDArray[Any] | None,
        beta: NDArray[Any] | None,
        name: str,
        key: object,
        **attributes: Any,
    ) -> Value:
        if (gamma is None) != (beta is None):
            raise Unsupported("has a scale without a shift, or the other way round")
        affine = gamma is not None
        y = self._op(op, self.force(x), affine=affine, name=name, **attributes)
        self._own(key, y.name)
        self._keep(y.name, gamma=gamma, beta=beta)
        return self._value(y, x.groups)

    def scale_channels(
        self, x: Value, scale: NDArray[Any], axis: int, *, name: str, key: object = None
    ) -> Value:
        """Each channel times a weight of its own; `axis` is that of channels."""
        self._channel_axis(x, axis)
        if scale.shape != x.base.shape[:1]:
            raise Unsupported(f"has {scale.size} factors for shape {x.sizes}")
        initial = float(scale[0]) if np.all(scale == scale[0]) else 1.0
        y = self._op("scale_channels", self.force(x), initial=initial, name=name)
        self._own(key, y.name)
        self._keep(y.name, scale=scale)
        return self._value(y, x.groups)

    # ---- windows -------------------------------------------------------------------------------

    def _hanging(
        self, x: Value, kernel: tuple[int, int], stride: tuple[int, int], pads: Pads, *, ceil: bool
    ) -> Pads:
        """`pads` with as much more at the end as a last window that hangs over it has."""
        if not ceil:
            return pads
        sizes, ends = self._image_of(x).sizes[1:], []
        for i in (0, 1):
            count = window_count(sizes[i], kernel[i], stride[i], pads[i], pads[i + 2])
            reach = (count - 1) * stride[i] + kernel[i] - sizes[i] - pads[i]
            ends.append(max(reach, pads[i + 2]))
        return pads[0], pads[1], ends[0], ends[1]

    def max_pool(
        self,
        x: Value,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        pads: Pads,
        *,
        ceil: bool = False,
        name: str,
    ) -> Value:
        if max(x.pads) > 0 and x.fill != -np.inf:
            raise Unsupported(f"reads padding of {x.fill}; its own would be minus infinity")
        pads = self._hanging(x, kernel, stride, pads, ceil=ceil)
        handle, padding, after = self._windows(x, kernel, stride, pads, name)
        if _is_wide(padding, kernel):  # every window, then those that are wanted
            y = self.max_pool(x, kernel, (1, 1), pads, name=f"{name}.all")
            return self.stride(y, stride, name)
        out = self._op("max_pool", handle, kernel, stride=stride, padding=padding, name=name)
        return self._shifted(out, after, name)

    def avg_pool(
        self,
        x: Value,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        pads: Pads,
        *,
        include_pad: bool,
        ceil: bool = False,
        name: str,
    ) -> Value:
        if max(x.pads) > 0:  # zeros that an op of its own has put there count as pixels
            if x.fill != 0.0 or (any(pads) and not include_pad):
                raise Unsupported("averages over two kinds of padding")
            include_pad = True
        own = pads
        pads = self._hanging(x, kernel, stride, pads, ceil=ceil)
        if pads != own and include_pad:  # a window counts what it has of the padding
            if any(own) or any(x.pads):
                raise Unsupported("rounds up with padding that counts")
            include_pad = False
        handle, padding, after = self._windows(x, kernel, stride, pads, name)
        if _is_wide(padding, kernel):
            y = self.avg_pool(x, kernel, (1, 1), pads, include_pad=include_pad, name=f"{name}.all")
            return self.stride(y, stride, name)
        out = self._op(
            "avg_pool", handle, kernel, stride=stride, padding=padding,
            count_include_pad=include_pad and any(padding), name=name,
        )  # fmt: skip
        return self._shifted(out, after, name)

    def adaptive_avg_pool(self, x: Value, size: tuple[int | None, int | None], name: str) -> Value:
        x = self._plain(self._image_of(x))
        height, width = x.base.shape[1:]
        out = (height if size[0] is None else size[0], width if size[1] is None else size[1])
        if out == (1, 1):
            return self.mean(x, (1, 2), keep=True, name=name)
        if out == (height, width):
            return x
        if height % out[0] or width % out[1]:
            raise Unsupported(f"makes {out} of {height} x {width} pixels in uneven windows")
        kernel = (height // out[0], width // out[1])
        return self.avg_pool(x, kernel, kernel, NO_PADS, include_pad=False, name=name)

    def mean(self, x: Value, axes: Sequence[int], *, keep: bool, name: str) -> Value:
        """Over axes counted after the batch: all pixels."""
        over = "".join(x.groups[i] for i in axes)
        if sorted(over) != sorted(letters_of(x.base, "hw")):
            raise Unsupported("is a mean over other axes than height and width together")
        left = [("" if i in axes else g) for i, g in enumerate(x.groups) if keep or i not in axes]
        if not over and x.base.shape[1:] == (1, 1):
            return replace(self._plain(x), groups=tuple(left))
        return self._value(self._op("global_avg_pool", self.force(x), name=name), left)

    # ---- channels ------------------------------------------------------------------------------

    def _channel_axis(self, x: Value, axis: int) -> None:
        if x.groups[axis] not in ("c", "") or any(
            "c" in g for i, g in enumerate(x.groups) if i != axis
        ):
            raise Unsupported("is along an axis that is not that of channels")

    def concat(self, xs: Sequence[Value], axis: int, name: str) -> Value:
        groups = list(xs[0].groups)
        for x in xs:
            self._channel_axis(x, axis)
            if [g for i, g in enumerate(x.groups) if i != axis] != [
                g for i, g in enumerate(groups) if i != axis
            ]:
                raise Unsupported("joins tensors whose axes lie in other orders")
        groups[axis] = "c"
        if len(xs) == 1:
            return xs[0]
        return self._value(self._op("concat", *map(self.force, xs), name=name), groups)

    def take(self, x: Value, axis: int, start: int, stop: int, name: str) -> Value:
        """``x[start:stop]`` along an axis, counted after the batch."""
        size = x.sizes[axis]
        if not 0 <= start < stop <= size:
            raise Unsupported(f"slices {start}:{stop} of {size}")
        if (start, stop) == (0, size):
            return x
        if x.groups[axis] == "c":
            begin = {"start": start} if start else {}
            handle = self._op("slice_channels", self.force(x), stop - start, name=name, **begin)
            return self._value(handle, x.groups)
        if x.groups[axis] not in ("h", "w") or not x.is_image:
            raise Unsupported("slices an axis that is neither channels nor pixels of an image")
        if x.curve is not None:
            x = self._plain(x)
        pads = list(x.pads)
        i = 0 if x.groups[axis] == "h" else 1
        pads[i] -= start
        pads[i + 2] -= size - stop
        return replace(x, pads=(pads[0], pads[1], pads[2], pads[3]), done=[])

    def stride(self, x: Value, steps: tuple[int, int], name: str) -> Value:
        """``x[:, :, ::steps[0], ::steps[1]]``, by windows of one pixel."""
        return self.avg_pool(x, (1, 1), steps, NO_PADS, include_pad=False, name=name)

    def pad(self, x: Value, pads: Pads, channels: tuple[int, int], fill: float, name: str) -> Value:
        """Pixels wait for the window that reads them; channels of zeros are made at once."""
        x = self._image_of(x)
        if any(channels):
            if fill != 0.0 or min(channels) < 0:
                raise Unsupported(f"pads channels with {fill}")
            x = self._pad_channels(x, channels, name)
        if not any(pads):
            return x
        if fill not in (0.0, -np.inf) or (any(x.pads) and fill != x.fill):
            raise Unsupported(f"pads with {fill}")
        if any(p < 0 < q for p, q in zip(x.pads, pads, strict=True)):
            x = self._plain(x)  # cut first, then pad
        total = tuple(p + q for p, q in zip(x.pads, pads, strict=True))
        return replace(x, pads=total, fill=fill, done=[])  # type: ignore[arg-type]

    def _pad_channels(self, x: Value, channels: tuple[int, int], name: str) -> Value:
        x = self._plain(x)
        parts = []
        for count, at in ((channels[0], 0), (0, 1), (channels[1], 2)):
            if at == 1:
                parts.append(x.base)
            while count > 0:
                n = min(count, x.base.shape[0])
                cut = self._op("slice_channels", x.base, n, name=f"{name}.slice")
                parts.append(self._op("zero", cut, name=f"{name}.zero"))
                count -= n
        return self._value(self._op("concat", *parts, name=name), x.groups)

    # ---- axes ----------------------------------------------------------------------------------

    def reshape(self, x: Value, sizes: Sequence[int]) -> Value:
        """Axes after the batch anew; their order stays."""
        if tuple(sizes) == x.sizes:
            return x
        if any(x.pads):
            x = self._plain(x)
        size = dict(zip("chw", x.base.shape, strict=True))
        letters = "".join(x.groups)
        groups = []
        for wanted in sizes:
            group, have = "", 1
            while have < wanted and letters:
                group, letters = group + letters[0], letters[1:]
                have *= size[group[-1]]
            if have != wanted:
                raise Unsupported(f"reshapes {x.sizes} to {tuple(sizes)}, through an axis")
            groups.append(group)
        if letters:
            raise Unsupported(f"reshapes {x.sizes} to {tuple(sizes)}")
        return replace(x, groups=tuple(groups), done=x.done)

    def view(self, x: Value, shape: Sequence[int], batch: int) -> Value:
        """Axes of these sizes, the batch among them; -1 is what is left."""
        total = batch * math.prod(x.sizes)
        sizes = [int(n) for n in shape]
        if sizes.count(-1) == 1:
            rest = -math.prod(sizes)
            sizes[sizes.index(-1)] = total // rest if rest else 0
        if not sizes or sizes[0] != batch or math.prod(sizes) != total:
            raise Unsupported(f"makes {tuple(shape)} of (batch, {', '.join(map(str, x.sizes))})")
        return self.reshape(x, sizes[1:])

    def squeeze(self, x: Value, axes: Sequence[int] | None = None) -> Value:
        """Without these axes, counted after the batch, or without all of size 1."""
        if axes is None:
            axes = [i for i, n in enumerate(x.sizes) if n == 1]
        return self.reshape(x, [n for i, n in enumerate(x.sizes) if i not in axes])

    def unsqueeze(self, x: Value, axes: Sequence[int]) -> Value:
        """With axes of size 1 at these places of the result, the batch being place 0."""
        rank = len(x.groups) + 1 + len(axes)
        places = sorted(int(i) % rank for i in axes)
        if 0 in places:
            raise Unsupported("puts an axis before the batch")
        sizes = list(x.sizes)
        for i in places:
            sizes.insert(i - 1, 1)
        return self.reshape(x, sizes)

    def split(self, x: Value, axis: int, sizes: Sequence[int], name: str) -> list[Value]:
        """Parts of these sizes along an axis, counted after the batch."""
        ends = [int(n) for n in np.cumsum(sizes)]
        if not ends or ends[-1] != x.sizes[axis]:
            raise Unsupported(f"splits {x.sizes[axis]} into {[int(n) for n in sizes][:16]}")
        return [
            self.take(x, axis, start, end, name)
            for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ]

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """Axes after the batch in another order."""
        if any(x.pads):
            x = self._plain(x)
        return replace(x, groups=tuple(x.groups[i] for i in order))

    # ---- finishing -----------------------------------------------------------------------------

    def finish(self, logits: Value, name: str = "logits") -> Graph:
        """The graph with `logits` as its output, which the core wants last."""
        x = self._plain(logits)
        if x.sizes and len(x.groups) == 1 and len(x.groups[0]) > 1:
            x = self._flat(x, name)
        if x.base.shape[1:] != (1, 1):
            raise Unsupported(f"the output has shape {x.sizes}, not one row of logits")
        handle = x.base
        if handle.id != len(self.graph._steps):
            handle = self._op("identity", handle, name=name)
        return self.graph.output(handle)


def _is_wide(padding: tuple[int, int], kernel: tuple[int, int]) -> bool:
    """Whether a pooling may not have that much: half its window is the most."""
    return any(2 * p > k for p, k in zip(padding, kernel, strict=True))
