"""What a node of a trace hands to the functions that read it."""

from __future__ import annotations

__all__ = ["Box", "Call", "Parameter", "array_of", "axis_of"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.interchange.assembler import Assembler
from zeroshot.interchange.values import Unsupported, Value

if TYPE_CHECKING:
    import torch


class Box:
    """The place of a tensor: what is written into it in place, all of its readers see.

    Attributes
    ----------
    value : Value
    is_shared : bool
        Whether another box holds the same numbers under other axes.
    """

    def __init__(self, value: Value, *, is_shared: bool = False) -> None:
        self.value, self.is_shared = value, is_shared

    def write(self, value: Value) -> None:
        if self.is_shared:
            raise Unsupported("writes in place into a tensor that has another view")
        self.value = value


class Parameter:
    """A tensor of the module, by its name."""

    def __init__(self, tensor: torch.Tensor, name: str) -> None:
        self.tensor, self.name = tensor, name


def array_of(tensor: torch.Tensor) -> NDArray[Any]:
    """A copy, in a dtype that the core takes."""
    tensor = tensor.detach().cpu()
    kept = ("torch.float16", "torch.float32", "torch.float64")
    return np.array((tensor if str(tensor.dtype) in kept else tensor.float()).numpy())


class Call:
    """A node of the trace and its arguments, of which tensors are in boxes."""

    def __init__(
        self,
        assembler: Assembler,
        batch: int,
        name: str,
        module: Any,
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> None:
        self.assembler, self.batch, self.name, self.module = assembler, batch, name, module
        self.args, self.kwargs = args, kwargs

    def get(self, i: int, key: str, default: Any = None) -> Any:
        """An argument by its place or its name."""
        return self.args[i] if i < len(self.args) else self.kwargs.get(key, default)

    @property
    def x(self) -> Value:
        """The tensor that is computed on."""
        return self.tensor(self.get(0, "input"))

    @staticmethod
    def tensor(x: Any) -> Value:
        if not isinstance(x, Box):
            raise Unsupported(f"expected a tensor of the network, got {type(x).__name__}")
        return x.value

    def weight(self, i: int, key: str) -> NDArray[Any] | None:
        """A parameter of the module that a function is given."""
        x = self.get(i, key)
        if x is None:
            return None
        if not isinstance(x, Parameter):
            raise Unsupported(f"its {key} is no parameter of the module")
        return array_of(x.tensor)

    def required(self, i: int, key: str) -> NDArray[Any]:
        if (array := self.weight(i, key)) is None:
            raise Unsupported(f"has no {key}")
        return array

    def owner(self, i: int = 1) -> tuple[str, object]:
        """Name and key of a layer that is a function: those of its weight, argument `i`."""
        x = self.get(i, "weight")
        name = x.name.removesuffix(".weight") if isinstance(x, Parameter) else self.name
        return name, id(x.tensor) if isinstance(x, Parameter) else None


def axis_of(x: Value, axis: Any) -> int:
    """An axis of PyTorch, counted after the batch."""
    rank = len(x.groups) + 1
    if not -rank <= axis < rank or axis % rank == 0:
        raise Unsupported(f"is along axis {axis} of {rank}")
    return int(axis) % rank - 1
