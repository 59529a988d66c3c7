"""A graph under construction: names, weights, and what waits for its reader."""

from __future__ import annotations

__all__ = ["ANY_BATCH", "MAX_SIZE", "BatchNorm", "Builder", "check_image_shape"]

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
    Unsupported,
    Value,
    curve_from,
    letters_of,
    parts_of,
)

ANY_BATCH = 7919  # stands for a batch of any size; prime, so that no other axis is taken for it
MAX_SIZE = 1 << 20  # of an axis, as the core takes it

BatchNorm = Literal["batch", "running"]

_NAME_LENGTH = 60  # the core takes 63
_DEPTH = 32  # of expressions that wait


def check_image_shape(given: object) -> tuple[int, int, int]:
    """Channels, height and width as a caller gives them."""
    if not isinstance(given, Iterable):
        raise TypeError(f"input_shape: expected (channels, height, width), got {given!r}")
    shape = tuple(check_int(f"input_shape[{i}]", n, 1, MAX_SIZE) for i, n in enumerate(given))
    if len(shape) != 3:
        raise ValueError(f"input_shape: expected (channels, height, width), got {shape}")
    return shape[0], shape[1], shape[2]


class Builder:
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
