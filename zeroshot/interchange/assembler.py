"""Builds a `zeroshot.Graph` from the operators of another program's network.

Both importers speak to an `Assembler` in terms of tensors with named axes (`values`), so that
reshapes and transpositions cost no op and what does not fit is noticed. Elementwise expressions of
one tensor are kept as curves until something else reads them (`curves`, `builder`), padding
until a convolution or a pooling does (`windows`, `pools`).
"""

from __future__ import annotations

__all__ = ["Assembler"]

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.graph import Graph
from zeroshot.interchange.pools import Pools
from zeroshot.interchange.values import Pads, Unsupported, Value, letters_of


class Assembler(Pools):
    """Layers, channels, axes and the finished graph; `Pools` has windows, `Builder` the rest."""

    # ---- layers --------------------------------------------------------------------------------

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
