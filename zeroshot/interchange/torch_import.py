"""PyTorch in: a module is traced by torch.fx and becomes a `zeroshot.Graph`.

Nothing is run on images; `torch_functions` has the table of what each layer and function becomes.
"""

from __future__ import annotations

__all__ = ["from_torch"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from numpy.typing import NDArray

from zeroshot.errors import InterchangeError
from zeroshot.graph import Graph
from zeroshot.inputs import check_int
from zeroshot.interchange.assembler import Assembler
from zeroshot.interchange.builder import ANY_BATCH, BatchNorm, check_image_shape
from zeroshot.interchange.problems import IN_OPERATOR, Problems
from zeroshot.interchange.torch_call import Box, Call, Parameter
from zeroshot.interchange.torch_functions import IN_PLACE, VIEWS, find, same
from zeroshot.interchange.values import Unsupported, Value

if TYPE_CHECKING:
    import torch

_MAX_OUTPUTS = 1 << 16


class _Unknown:
    """Follows from what has no counterpart."""


@overload
def from_torch(
    module: torch.nn.Module,
    input_shape: Sequence[int],
    *,
    weights: Literal[False] = ...,
    batch_norm: BatchNorm = ...,
    output: int | None = ...,
) -> Graph: ...
@overload
def from_torch(
    module: torch.nn.Module,
    input_shape: Sequence[int],
    *,
    weights: Literal[True],
    batch_norm: BatchNorm = ...,
    output: int | None = ...,
) -> tuple[Graph, dict[str, NDArray[Any]]]: ...


def from_torch(
    module: torch.nn.Module,
    input_shape: Sequence[int],
    *,
    weights: bool = False,
    batch_norm: BatchNorm = "batch",
    output: int | None = None,
) -> Graph | tuple[Graph, dict[str, NDArray[Any]]]:
    """The network of a PyTorch module, to score like any other.

    The module is traced by ``torch.fx`` and not run; layers are called as in the module, and
    dropout does nothing. What its ``forward`` decides by the numbers in a tensor cannot be traced.

    Parameters
    ----------
    module : torch.nn.Module
    input_shape : (int, int, int)
        Channels, height and width of an image.
    weights : bool
        Also return copies of the module's weights, for ``weights=`` of the functions that score.
    batch_norm : {"batch", "running"}
        Whether batch norm takes the statistics of the batch, as scores do, or the module's own.
    output : int, optional
        Which output are the logits, where ``forward`` returns several.

    Returns
    -------
    Graph, or (Graph, dict of str to ndarray) with `weights`

    Raises
    ------
    InterchangeError
        If the module cannot be traced, or has what no graph can say; all of it is named.
    ImportError
        If PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ImportError("from_torch needs PyTorch: pip install torch") from None
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module: expected a torch.nn.Module, got {type(module).__name__}")
    shape = check_image_shape(input_shape)
    if output is not None:
        output = check_int("output", output, -_MAX_OUTPUTS, _MAX_OUTPUTS)
    where = type(module).__name__
    try:
        graph = torch.fx.Tracer().trace(module)
    except Exception as error:
        raise InterchangeError(f"{where}: torch.fx cannot trace it: {error}") from error
    importer = Importer(module, graph, where, shape, batch_norm)
    network = importer.run(output)
    return (network, importer.assembler.weights) if weights else network


class Importer:
    """One traced module on its way to a graph."""

    def __init__(
        self,
        module: torch.nn.Module,
        graph: Any,
        where: str,
        shape: Sequence[int],
        batch_norm: BatchNorm,
    ) -> None:
        self.module, self.where = module, where
        self.nodes: list[Any] = list(graph.nodes)
        self.assembler = Assembler(shape, batch_norm)
        self.problems = Problems(where)
        self.found: dict[Any, Any] = {}

    def run(self, output: int | None) -> Graph:
        needed = self._needed(output)
        images = [n for n in self.nodes if n.op == "placeholder" and n in needed]
        if len(images) != 1:
            raise InterchangeError(
                f"{self.where}: expected a forward of one argument, the images; "
                f"got {len(images)} that the output depends on"
            )
        self.found[images[0]] = Box(self.assembler.image)
        for node in self.nodes:
            if node in needed and node.op not in ("placeholder", "output"):
                self._node(node)
        logits = self.found.get(self._logits(output))
        if self.problems:
            raise self.problems.error()
        if not isinstance(logits, Box):
            raise InterchangeError(f"{self.where}: the output does not depend on the images")
        try:
            return self.assembler.finish(logits.value)
        except Unsupported as reason:
            self.problems.add("output", reason.culprit or "output", str(reason))
        except ValueError as error:
            raise InterchangeError(f"{self.where}: {error}") from None
        raise self.problems.error()

    def _logits(self, output: int | None) -> Any:
        result = self.nodes[-1].args[0]
        if isinstance(result, Mapping):
            values = list(result.values())
        else:
            values = list(result) if isinstance(result, tuple | list) else [result]
        if output is None and len(values) != 1:
            raise InterchangeError(
                f"{self.where}: returns {len(values)} values; say which are the logits with output="
            )
        at = 0 if output is None else output
        if not -len(values) <= at < len(values):
            raise ValueError(f"output: expected a number below {len(values)}, got {output}")
        if not hasattr(values[at], "all_input_nodes"):
            raise InterchangeError(
                f"{self.where}: returns a {type(values[at]).__name__} for logits, not a tensor"
            )
        return values[at]

    def _needed(self, output: int | None) -> set[Any]:
        """Nodes that the logits depend on; what is written in place counts for what is written."""
        needed = {self._logits(output)}
        for node in reversed(self.nodes):
            if node in needed or (self._writes(node) and self._origin(node) in needed):
                needed.add(node)
                needed.update(node.all_input_nodes)
        return needed

    def _origin(self, node: Any) -> Any:
        """The node whose numbers the first argument of `node` has, under whatever axes."""
        origin: Any = node.args[0] if node.args else None
        while getattr(origin, "op", "") in ("call_function", "call_method", "call_module"):
            name, handler = find(origin, self._layer(origin))
            if name not in VIEWS and handler is not same and not self._writes(origin):
                break
            origin = origin.args[0]
        return origin

    def _layer(self, node: Any) -> Any:
        return self.module.get_submodule(node.target) if node.op == "call_module" else None

    def _writes(self, node: Any) -> bool:
        """Whether a node changes its first argument."""
        if node.op == "call_module":
            return bool(getattr(self.module.get_submodule(node.target), "inplace", False))
        if node.op == "call_method":
            return bool(node.target.endswith("_") and not node.target.endswith("__"))
        if node.op != "call_function":
            return False
        name = getattr(node.target, "__name__", "")
        return (
            bool(node.kwargs.get("inplace", False))
            or node.target in IN_PLACE
            or (name.endswith("_") and not name.endswith("__"))
        )

    # ---- one node ------------------------------------------------------------------------------

    def _node(self, node: Any) -> None:
        label, name = self._label(node), str(node.target if node.op == "call_module" else node.name)
        self.problems.call(name, label)
        self.found[node] = _Unknown
        try:
            self.found[node] = self._result(node, name)
        except Unsupported as reason:
            self.problems.add(label, reason.culprit or name, str(reason))
        except IN_OPERATOR as error:
            self.problems.add_malformed(label, name, error)

    def _label(self, node: Any) -> str:
        if node.op == "call_module":
            return type(self.module.get_submodule(node.target)).__name__
        return str(getattr(node.target, "__name__", node.target))

    def _result(self, node: Any, name: str) -> Any:
        import torch

        if node.op == "get_attr":
            found: Any = self.module
            for part in node.target.split("."):
                found = getattr(found, part)
            return Parameter(found, node.target) if isinstance(found, torch.Tensor) else found
        module = self._layer(node)
        known, handler = find(node, module)
        packed = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: _Ref(self.found[n]))
        args, kwargs = _unpack(packed)
        is_plain = _is_plain((args, kwargs))
        is_unknown = any(leaf is _Unknown for leaf in _leaves((args, kwargs)))
        if handler is None and not is_plain:
            if is_unknown and getattr(node.target, "__module__", "") == "_operator":
                return _Unknown  # of a size that is not known
            raise Unsupported("")
        if is_unknown:
            return _Unknown
        if handler is None or is_plain:
            if node.op != "call_function":
                raise Unsupported("")
            return node.target(*args, **kwargs)  # of sizes alone
        result = handler(Call(self.assembler, ANY_BATCH, name, module, args, kwargs))
        if self._writes(node) and isinstance(args[0], Box) and isinstance(result, Value):
            args[0].write(result)
            return args[0]
        if known in VIEWS and isinstance(args[0], Box):
            args[0].is_shared = True
            results = result if isinstance(result, list) else [result]
            boxes = [Box(r, is_shared=True) for r in results]
            return boxes if isinstance(result, list) else boxes[0]
        return Box(result) if isinstance(result, Value) else result


class _Ref:
    """Carries what a node became through the structure of arguments, unopened."""

    def __init__(self, found: Any) -> None:
        self.found = found


def _unpack(x: Any) -> Any:
    if isinstance(x, _Ref):
        return x.found
    if isinstance(x, slice):
        return slice(_unpack(x.start), _unpack(x.stop), _unpack(x.step))
    if isinstance(x, Mapping):
        return {key: _unpack(value) for key, value in x.items()}
    if isinstance(x, tuple | list):
        return [_unpack(v) for v in x] if isinstance(x, list) else tuple(_unpack(v) for v in x)
    return x


def _leaves(x: Any) -> list[Any]:
    if isinstance(x, Mapping):
        return [leaf for value in x.values() for leaf in _leaves(value)]
    if isinstance(x, tuple | list):
        return [leaf for value in x for leaf in _leaves(value)]
    return [x]


def _is_plain(x: Any) -> bool:
    """Whether there are only numbers: sizes, and what is computed of them."""
    return all(isinstance(leaf, int | float | slice | str | type(None)) for leaf in _leaves(x))
