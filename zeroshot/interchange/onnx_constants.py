"""The part of an ONNX network that does not depend on the image: shapes, sizes, stored tensors.

A small evaluator in NumPy. Files are not trusted: an array that a file only describes (expanded,
filled, tiled) may not have more than `MAX_ELEMENTS`.
"""

from __future__ import annotations

__all__ = ["MAX_ELEMENTS", "can_fold", "fold", "slice_bounds", "tensor_of"]

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from zeroshot.errors import InterchangeError
from zeroshot.interchange.values import Unsupported

Array: TypeAlias = NDArray[Any]
Attributes: TypeAlias = Mapping[str, Any]
Folder: TypeAlias = Callable[[Sequence[Any], Attributes], Any]

MAX_ELEMENTS = 1 << 24


def tensor_of(proto: Any, where: str) -> Array:
    """A stored tensor; one whose numbers lie in another file is refused."""
    from onnx import numpy_helper

    if proto.data_location or proto.external_data:
        raise InterchangeError(
            f"{where}: tensor {proto.name!r} lies in another file, which is not read; save the "
            "model as one file"
        )
    try:
        array = np.asarray(numpy_helper.to_array(proto))
    except Exception as error:
        raise InterchangeError(f"{where}: tensor {proto.name!r} is malformed: {error}") from None
    if array.dtype.kind not in "biuf":  # bfloat16 and its like
        array = array.astype(np.float32)
    return array


def _few(shape: Sequence[int]) -> tuple[int, ...]:
    dims = tuple(int(d) for d in shape)
    total = 1
    for d in dims:
        total *= d
    if min(dims, default=0) < 0 or total > MAX_ELEMENTS:
        raise Unsupported(f"makes a constant of shape {dims[:8]}")
    return dims


def _axes(xs: Sequence[Any], a: Attributes) -> list[int] | None:
    axes = xs[1] if len(xs) > 1 and xs[1] is not None else a.get("axes")
    return None if axes is None else [int(i) for i in np.ravel(axes)]


def _unsqueeze(xs: Sequence[Any], a: Attributes) -> Array:
    axes = _axes(xs, a) or []
    return np.asarray(np.expand_dims(xs[0], tuple(axes)))


def _squeeze(xs: Sequence[Any], a: Attributes) -> Array:
    axes = _axes(xs, a)
    return np.asarray(np.squeeze(xs[0], None if axes is None else tuple(axes)))


def _reshape(xs: Sequence[Any], a: Attributes) -> Array:
    shape = [
        xs[0].shape[i] if d == 0 and not a.get("allowzero", 0) else d
        for i, d in enumerate(int(d) for d in xs[1])
    ]
    return np.asarray(np.reshape(xs[0], shape))


def slice_bounds(xs: Sequence[Any], a: Attributes, rank: int) -> list[tuple[int, Any, Any, int]]:
    """(axis, start, end, step) of an ONNX Slice, in the notation of a Python slice."""
    starts, ends = (xs[1], xs[2]) if len(xs) > 2 else (a["starts"], a["ends"])
    axes = xs[3] if len(xs) > 3 and xs[3] is not None else a.get("axes", range(len(starts)))
    steps = xs[4] if len(xs) > 4 and xs[4] is not None else [1] * len(starts)
    bounds = []
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if not -rank <= axis < rank or step == 0:
            raise Unsupported(f"slices axis {int(axis)} with step {int(step)}")
        past = step < 0 and end < -(1 << 30)  # before the first one, counted from the front
        bounds.append((int(axis) % rank, int(start), None if past else int(end), int(step)))
    return bounds


def _slice(xs: Sequence[Any], a: Attributes) -> Array:
    index: list[slice] = [slice(None)] * xs[0].ndim
    for axis, start, end, step in slice_bounds(xs, a, xs[0].ndim):
        index[axis] = slice(start, end, step)
    result: Array = xs[0][tuple(index)]
    return result


def _filled(xs: Sequence[Any], a: Attributes) -> Array:
    value = a.get("value", np.zeros(1, np.float32))
    return np.full(_few(xs[0]), np.ravel(value)[0])


def _expand(xs: Sequence[Any], a: Attributes) -> Array:
    shape = np.broadcast_shapes(xs[0].shape, _few(xs[1]))
    return np.broadcast_to(xs[0], _few(shape))


def _gather(xs: Sequence[Any], a: Attributes) -> Array:
    _few((xs[1].size, max(xs[0].size // max(len(xs[0]), 1), 1)))
    return np.asarray(np.take(xs[0], xs[1].astype(np.int64), axis=a.get("axis", 0)))


def _divide(xs: Sequence[Any], a: Attributes) -> Array:
    if xs[0].dtype.kind in "iu":  # towards zero, as C has it
        quotient = np.trunc(xs[0] / np.where(xs[1] == 0, 1, xs[1]))
        return np.asarray(quotient, xs[0].dtype)
    return np.asarray(xs[0] / xs[1])


def _cast(xs: Sequence[Any], a: Attributes) -> Array:
    from onnx import helper

    wanted = np.dtype(helper.tensor_dtype_to_np_dtype(a["to"]))
    if wanted.kind not in "biuf":
        wanted = np.dtype(np.float32)
    return np.asarray(xs[0]).astype(wanted)


def _pair(function: Callable[[Any, Any], Any]) -> Folder:
    def folded(xs: Sequence[Any], a: Attributes) -> Array:
        _few(np.broadcast_shapes(xs[0].shape, xs[1].shape))
        return np.asarray(function(xs[0], xs[1]))

    return folded


_FOLDERS: dict[str, Folder] = {
    "Add": _pair(np.add),
    "And": _pair(np.logical_and),
    "Cast": _cast,
    "Concat": lambda xs, a: np.concatenate(xs, axis=a["axis"]),
    "ConstantOfShape": _filled,
    "Div": _divide,
    "Equal": _pair(np.equal),
    "Expand": _expand,
    "Floor": lambda xs, a: np.floor(xs[0]),
    "Gather": _gather,
    "Greater": _pair(np.greater),
    "Identity": lambda xs, a: xs[0],
    "Less": _pair(np.less),
    "Max": _pair(np.maximum),
    "Min": _pair(np.minimum),
    "Mod": _pair(np.mod),
    "Mul": _pair(np.multiply),
    "Neg": lambda xs, a: -xs[0],
    "Not": lambda xs, a: ~xs[0].astype(bool),
    "Reshape": _reshape,
    "Shape": lambda xs, a: np.array(xs[0].shape, np.int64)[a.get("start", 0) : a.get("end")],
    "Size": lambda xs, a: np.array(xs[0].size, np.int64),
    "Slice": _slice,
    "Sqrt": lambda xs, a: np.sqrt(xs[0]),
    "Squeeze": _squeeze,
    "Sub": _pair(np.subtract),
    "Transpose": lambda xs, a: np.transpose(xs[0], a.get("perm")),
    "Unsqueeze": _unsqueeze,
    "Where": lambda xs, a: np.where(*(_same(xs))),
}


def _same(xs: Sequence[Any]) -> list[Array]:
    shape = _few(np.broadcast_shapes(*(x.shape for x in xs)))
    return [np.broadcast_to(x, shape) for x in xs]


def can_fold(op: str) -> bool:
    """Whether `fold` knows the operator."""
    return op in _FOLDERS


def fold(op: str, inputs: Sequence[Array | None], attributes: Attributes) -> Array:
    """The output of an operator whose inputs are all constant."""
    with np.errstate(all="ignore"):
        return np.asarray(_FOLDERS[op](inputs, attributes))
