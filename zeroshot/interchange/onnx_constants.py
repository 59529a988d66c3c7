"""The part of an ONNX network that does not depend on the image: shapes, sizes, stored tensors.

A small evaluator in NumPy. Files are not trusted: arrays that a file only describes (expanded,
filled, joined, computed) are sized before they are made, and all of one import together may have
`MAX_ELEMENTS` more than the stored tensors have bytes.
"""

from __future__ import annotations

__all__ = ["MAX_ELEMENTS", "Budget", "can_fold", "fold", "slice_bounds", "tensor_of"]

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from zeroshot.errors import InterchangeError
from zeroshot.interchange.values import Unsupported

Array: TypeAlias = NDArray[Any]
Attributes: TypeAlias = Mapping[str, Any]
Folder: TypeAlias = Callable[[Sequence[Any], Attributes], Any]
Size: TypeAlias = Callable[[Sequence[Any], Attributes], int]

MAX_ELEMENTS = 1 << 24


class Budget:
    """Elements that constants may have beyond what is stored, all of one import together.

    Parameters
    ----------
    n_bytes : int
        Of the stored tensors: each may be cast or reordered a few times.
    """

    def __init__(self, n_bytes: int) -> None:
        self.left = MAX_ELEMENTS + n_bytes

    def take(self, n: int) -> None:
        if n > self.left:
            raise Unsupported(f"makes a constant of {n} elements where {self.left} are left to all")
        self.left -= n


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
        # bfloat16 and its like become float32; text does not
        return array if array.dtype.kind in "biuf" else array.astype(np.float32)
    except Exception as error:
        raise InterchangeError(f"{where}: tensor {proto.name!r} is malformed: {error}") from None


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
    return np.full(_dims(xs[0]), np.ravel(value)[0])


def _expand(xs: Sequence[Any], a: Attributes) -> Array:
    return np.broadcast_to(xs[0], np.broadcast_shapes(xs[0].shape, _dims(xs[1])))


def _gather(xs: Sequence[Any], a: Attributes) -> Array:
    return np.asarray(np.take(xs[0], xs[1].astype(np.int64), axis=a.get("axis", 0)))


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind in "iu":  # towards zero, as C has it
        return np.asarray(np.trunc(a / np.where(b == 0, 1, b)), a.dtype)
    return np.asarray(a / b)


def _cast(xs: Sequence[Any], a: Attributes) -> Array:
    from onnx import helper

    wanted = np.dtype(helper.tensor_dtype_to_np_dtype(a["to"]))
    if wanted.kind not in "biuf":
        wanted = np.dtype(np.float32)
    return np.asarray(xs[0]).astype(wanted)


def _of(count: int, function: Callable[..., Any]) -> Folder:
    def folded(xs: Sequence[Any], a: Attributes) -> Any:
        if len(xs) != count:
            raise Unsupported(f"has {len(xs)} inputs, expected {count}")
        return function(*xs)

    return folded


# ---- sizes: what an operator makes, before it does -----------------------------------------------


def _dims(shape: Sequence[int]) -> tuple[int, ...]:
    dims = tuple(int(d) for d in shape)
    if min(dims, default=0) < 0:
        raise Unsupported(f"makes a constant of shape {dims[:8]}")
    return dims


def _view(xs: Sequence[Any], a: Attributes) -> int:
    return 0


def _as_first(xs: Sequence[Any], a: Attributes) -> int:
    return int(xs[0].size)


def _broadcast(xs: Sequence[Any], a: Attributes) -> int:
    return _joint(*(x.shape for x in xs))


def _joint(*shapes: Sequence[int]) -> int:
    """Elements of arrays of these shapes together, were their axes to fit; in exact integers."""
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return math.prod(max(dims) if min(dims) else 0 for dims in zip(*padded, strict=True))


def _picked(xs: Sequence[Any], a: Attributes) -> int:
    shape: tuple[int, ...] = xs[0].shape
    axis = int(a.get("axis", 0))
    return int(xs[1].size) * math.prod(shape[:axis] + shape[axis:][1:])


# ---- the table -----------------------------------------------------------------------------------

_FOLDERS: dict[str, tuple[Size, Folder]] = {
    "Add": (_broadcast, _of(2, np.add)),
    "And": (_broadcast, _of(2, np.logical_and)),
    "Cast": (_as_first, _cast),
    "Concat": (
        lambda xs, a: sum(x.size for x in xs),
        lambda xs, a: np.concatenate(xs, axis=a["axis"]),
    ),
    "ConstantOfShape": (lambda xs, a: math.prod(_dims(xs[0])), _filled),
    "Div": (_broadcast, _of(2, _divide)),
    "Equal": (_broadcast, _of(2, np.equal)),
    "Expand": (lambda xs, a: _joint(xs[0].shape, _dims(xs[1])), _expand),
    "Floor": (_as_first, lambda xs, a: np.floor(xs[0])),
    "Gather": (_picked, _gather),
    "Greater": (_broadcast, _of(2, np.greater)),
    "Identity": (_view, lambda xs, a: xs[0]),
    "Less": (_broadcast, _of(2, np.less)),
    "Max": (_broadcast, lambda xs, a: reduce(np.maximum, xs)),
    "Min": (_broadcast, lambda xs, a: reduce(np.minimum, xs)),
    "Mod": (_broadcast, _of(2, np.mod)),
    "Mul": (_broadcast, _of(2, np.multiply)),
    "Neg": (_as_first, lambda xs, a: -xs[0]),
    "Not": (_as_first, lambda xs, a: ~xs[0].astype(bool)),
    "Reshape": (_as_first, _reshape),  # of an array out of order it is a copy
    "Shape": (
        _view,
        lambda xs, a: np.array(xs[0].shape, np.int64)[a.get("start", 0) : a.get("end")],
    ),
    "Size": (_view, lambda xs, a: np.array(xs[0].size, np.int64)),
    "Slice": (_view, _slice),
    "Sqrt": (_as_first, lambda xs, a: np.sqrt(xs[0])),
    "Squeeze": (_view, _squeeze),
    "Sub": (_broadcast, _of(2, np.subtract)),
    "Transpose": (_view, lambda xs, a: np.transpose(xs[0], a.get("perm"))),
    "Unsqueeze": (_view, _unsqueeze),
    "Where": (_broadcast, _of(3, np.where)),
}


def can_fold(op: str) -> bool:
    """Whether `fold` knows the operator."""
    return op in _FOLDERS


def fold(op: str, inputs: Sequence[Array | None], attributes: Attributes, budget: Budget) -> Array:
    """The output of an operator whose inputs are all constant."""
    size, folder = _FOLDERS[op]
    budget.take(size(inputs, attributes))
    with np.errstate(all="ignore"):
        return np.asarray(folder(inputs, attributes))
