"""ONNX in: a stored network becomes a `zeroshot.Graph`.

Files are not trusted. What is read is bounded by the size of the file, tensors in other files are
refused, nothing is run, and whatever does not fit is an `InterchangeError`.
"""

from __future__ import annotations

__all__ = ["from_onnx"]

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from zeroshot.errors import InterchangeError
from zeroshot.graph import Graph
from zeroshot.inputs import check_int
from zeroshot.interchange.assembler import Assembler
from zeroshot.interchange.builder import ANY_BATCH, MAX_SIZE, BatchNorm, check_image_shape
from zeroshot.interchange.onnx_constants import Budget, can_fold, fold, tensor_of
from zeroshot.interchange.onnx_operators import (
    DOMAINS,
    MASK,
    MASKS,
    OPERATORS,
    UNKNOWN,
    Array,
    Call,
    Tensor,
)
from zeroshot.interchange.problems import IN_OPERATOR, Problems
from zeroshot.interchange.values import Unsupported, Value

MAX_BYTES = 1 << 31  # what a protocol buffer can hold
MAX_NODES = 1 << 16
_RENAMES = frozenset(["Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"])


@overload
def from_onnx(
    source: Any,
    *,
    input_shape: Sequence[int] | None = ...,
    weights: Literal[False] = ...,
    batch_norm: BatchNorm = ...,
    output: int | str | None = ...,
) -> Graph: ...
@overload
def from_onnx(
    source: Any,
    *,
    input_shape: Sequence[int] | None = ...,
    weights: Literal[True],
    batch_norm: BatchNorm = ...,
    output: int | str | None = ...,
) -> tuple[Graph, dict[str, Array]]: ...


def from_onnx(
    source: Any,
    *,
    input_shape: Sequence[int] | None = None,
    weights: bool = False,
    batch_norm: BatchNorm = "batch",
    output: int | str | None = None,
) -> Graph | tuple[Graph, dict[str, Array]]:
    """The network of an ONNX model, to score like any other.

    Activations that are written as several operators become one op again, dropout and stochastic
    depth do nothing, layers are called as in the file. PyTorch keeps batch normalisation in a file
    only with ``torch.onnx.export(..., training=torch.onnx.TrainingMode.TRAINING,
    do_constant_folding=False, dynamo=False)``; otherwise it is folded into the convolutions, and
    what is scored are convolutions with a bias. `from_torch` has no such step.

    Parameters
    ----------
    source : path, bytes or onnx.ModelProto
        One file; tensors that it keeps in other files are refused.
    input_shape : (int, int, int), optional
        Channels, height and width of an image, where the model leaves them open or to check them.
    weights : bool
        Also return the stored weights, for ``weights=`` of the functions that score.
    batch_norm : {"batch", "running"}
        Whether batch norm takes the statistics of the batch, as scores do, or the stored ones.
    output : int or str, optional
        Which output are the logits, by number or name, where there are several.

    Returns
    -------
    Graph, or (Graph, dict of str to ndarray) with `weights`

    Raises
    ------
    InterchangeError
        If the model is malformed, or has operators without a counterpart; all are named.
    ImportError
        If onnx is not installed: ``pip install 'zeroshot[onnx]'``.
    """
    shape = None if input_shape is None else check_image_shape(input_shape)
    if output is not None and not isinstance(output, str):
        output = check_int("output", output, -MAX_NODES, MAX_NODES)
    model, where = _read(source)
    importer = Importer(File(model, where), where, shape, batch_norm)
    graph = importer.run(output)
    return (graph, importer.assembler.weights) if weights else graph


def _read(source: Any) -> tuple[Any, str]:
    try:
        import onnx
    except ImportError:
        raise ImportError("from_onnx needs onnx: pip install 'zeroshot[onnx]'") from None
    source = getattr(source, "model_proto", source)  # what torch.onnx.export returns
    if isinstance(source, onnx.ModelProto):
        return source, "model"
    if isinstance(source, bytes | bytearray | memoryview):
        data, where = bytes(source), "bytes"
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        where = path.name
        if path.stat().st_size > MAX_BYTES:
            raise InterchangeError(f"{where}: has more than {MAX_BYTES} bytes")
        data = path.read_bytes()
    else:
        raise TypeError(
            f"source: expected a path, bytes or an onnx.ModelProto, got {type(source).__name__}"
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # the two implementations of protobuf raise what they like
        raise InterchangeError(f"{where}: is no ONNX model: {error}") from None
    return model, where


@dataclass(frozen=True, eq=False)
class Node:
    """An operator of a file, by the names of what it reads and makes."""

    op_type: str
    domain: str
    name: str
    input: tuple[str, ...]
    output: tuple[str, ...]
    attribute: Sequence[Any]


class File:
    """What a protocol buffer holds, with every name read and every tensor made once.

    Attributes
    ----------
    opset : int
    nodes : list of Node
    stored : dict of str to ndarray
        Tensors of the file.
    inputs : dict of str to list of int
        Axes of what is not stored, 0 where any size will do.
    outputs : list of str
    """

    def __init__(self, model: Any, where: str) -> None:
        graph = model.graph
        if not graph.node:
            raise InterchangeError(f"{where}: has no nodes")
        if len(graph.node) > MAX_NODES:
            raise InterchangeError(f"{where}: has more than {MAX_NODES} nodes")
        if graph.sparse_initializer:
            raise InterchangeError(f"{where}: has sparse tensors, which are not read")
        self.opset = max([o.version for o in model.opset_import if o.domain in DOMAINS] or [1])
        try:
            self.nodes = [
                Node(
                    _text(n.op_type), _text(n.domain), _text(n.name), tuple(map(_text, n.input)),
                    tuple(map(_text, n.output)), n.attribute,
                )
                for n in graph.node
            ]  # fmt: skip
            stored = [_text(t.name) for t in graph.initializer]
            names = [_text(i.name) for i in graph.input]
            self.outputs = [_text(o.name) for o in graph.output]
        except UnicodeError as error:
            raise InterchangeError(f"{where}: is malformed: {error}") from None
        known = set(stored)
        inputs = [i for i, name in zip(graph.input, names, strict=True) if name not in known]
        made = [*stored, *(i.name for i in inputs), *(o for n in self.nodes for o in n.output if o)]
        if len(set(made)) < len(made):
            name = Counter(made).most_common(1)[0][0]
            raise InterchangeError(f"{where}: tensor {name!r} is made twice")
        self.stored = {t.name: tensor_of(t, where) for t in graph.initializer}
        self.inputs = {
            i.name: [
                d.dim_value if d.WhichOneof("value") == "dim_value" else 0
                for d in i.type.tensor_type.shape.dim
            ]
            for i in inputs
        }


def _text(name: str | bytes) -> str:
    """A name; what is no UTF-8 comes out of a protocol buffer as bytes, or raises here too."""
    return name.decode() if isinstance(name, bytes) else name


class Importer:
    """One model on its way to a graph: what its operators (`onnx_operators`) see."""

    def __init__(
        self,
        file: File,
        where: str,
        input_shape: tuple[int, int, int] | None,
        batch_norm: BatchNorm,
    ) -> None:
        self.file, self.where, self.stored = file, where, file.stored
        self.problems = Problems(where)
        self.tensors: dict[str, Tensor] = {"": None, **file.stored}
        self.budget = Budget(sum(array.nbytes for array in file.stored.values()))
        self.readers: dict[str, list[Node | None]] = {}  # None for the one who asked
        self.makers = {output: node for node in file.nodes for output in node.output}
        self.absorbed: set[str] = set()  # made by a node before their own
        image, shape, self.batch = self._image(input_shape)
        self.assembler = Assembler(shape, batch_norm)
        self.tensors[image] = self.assembler.image

    def _image(self, given: tuple[int, int, int] | None) -> tuple[str, tuple[int, int, int], int]:
        inputs = self.file.inputs
        if len(inputs) != 1:
            raise InterchangeError(
                f"{self.where}: expected one input, the image; got {len(inputs)}: "
                + ", ".join(inputs)
            )
        ((name, dims),) = inputs.items()
        if dims and len(dims) != 4:
            raise InterchangeError(
                f"{self.where}: expected an input of shape (N, C, H, W), got {len(dims)} axes"
            )
        own = tuple(dims[1:]) or (0, 0, 0)
        if given is not None and any(d > 0 and d != s for d, s in zip(own, given, strict=True)):
            raise ValueError(f"input_shape: the model takes {own} (0: any), got {given}")
        shape = own if given is None else given
        if min(shape) < 1:
            raise InterchangeError(
                f"{self.where}: the shape of an image is open, {shape}; give input_shape"
            )
        if max(shape) > MAX_SIZE:
            raise InterchangeError(f"{self.where}: takes an image of {shape}, which is too large")
        batch = dims[0] if dims and dims[0] > 0 else ANY_BATCH
        return name, (shape[0], shape[1], shape[2]), batch

    # ---- running -------------------------------------------------------------------------------

    def run(self, output: int | str | None) -> Graph:
        name = self._output(output)
        nodes = self._needed(name)
        for node in nodes:
            for read in filter(None, node.input):
                self.readers.setdefault(read, []).append(node)
        self.readers.setdefault(name, []).append(None)
        unread = {read: len(nodes) for read, nodes in self.readers.items()}
        for node in nodes:
            self._node(node)
            for read in filter(None, node.input):
                unread[read] -= 1
                if not unread[read] and isinstance(self.tensors.get(read), np.ndarray):
                    del self.tensors[read]
        logits = self.tensors.get(name)
        if not self.problems and not isinstance(logits, Value):
            raise InterchangeError(f"{self.where}: output {name!r} does not depend on the image")
        if not self.problems and isinstance(logits, Value):
            try:
                return self.assembler.finish(logits)
            except Unsupported as reason:
                self.problems.add("output", reason.culprit or name, str(reason))
            except ValueError as error:
                raise InterchangeError(f"{self.where}: {error}") from None
        raise self.problems.error()

    def _output(self, wanted: int | str | None) -> str:
        names = self.file.outputs
        if isinstance(wanted, str):
            if wanted not in names:
                raise ValueError(f"output: expected one of {', '.join(names)}; got {wanted!r}")
            return wanted
        if wanted is None and len(names) != 1:
            raise InterchangeError(
                f"{self.where}: has {len(names)} outputs ({', '.join(names)}); say which are the "
                "logits with output="
            )
        at = 0 if wanted is None else int(wanted)
        if not -len(names) <= at < len(names):
            raise ValueError(f"output: expected a number below {len(names)}, got {wanted}")
        return names[at]

    def _needed(self, output: str) -> list[Node]:
        """Nodes that the output depends on, in the order of the file."""
        wanted, nodes = {output}, []
        for node in reversed(self.file.nodes):
            if wanted.intersection(node.output):
                nodes.append(node)
                wanted.update(node.input)
                wanted.discard("")  # an input that is left out
        return nodes[::-1]

    def absorb(self, node: Node, result: Value) -> None:
        """`node`, which comes later, makes `result`: it went into the one that is being read."""
        self.tensors[node.output[0]] = result
        self.absorbed.add(node.output[0])

    def owner_of(self, name: str) -> str | None:
        """The stored tensor behind a weight, which only one layer may have.

        None for a tensor whose elements are all alike: exporters keep equal tensors once, so that
        two norms that both begin with ones have the same one in the file, and share nothing.
        """
        array = self.tensors[name]
        while name in self.makers and self.makers[name].op_type in _RENAMES:
            name = self.makers[name].input[0]
        if isinstance(array, np.ndarray) and np.all(array == array.flat[:1]):
            return None
        return name

    def _node(self, node: Node) -> None:
        if self.absorbed.intersection(node.output):
            return
        name = self.name_of(node)
        label = node.op_type if node.domain in DOMAINS else f"{node.domain}::{node.op_type}"
        self.problems.call(name, label)
        for output in node.output:
            self.tensors[output] = UNKNOWN
        try:
            missing = [i for i in node.input if i not in self.tensors]
            if missing:
                raise Unsupported(f"reads {missing[0]!r}, which no node before it makes")
            inputs = [self.tensors[i] for i in node.input]
            attributes = _attributes(node, self.where)
            results = self._result(node, label, name, inputs, attributes)
        except Unsupported as reason:
            self.problems.add(label, reason.culprit or name, str(reason))
            return
        except InterchangeError:
            raise
        except IN_OPERATOR as error:
            self.problems.add_malformed(label, name, error)
            return
        if not isinstance(results, list):
            results = [results]
        self.tensors.update(zip(node.output, results, strict=False))
        self.tensors[""] = None

    def _result(
        self, node: Node, label: str, name: str, inputs: list[Any], attributes: dict[str, Any]
    ) -> Any:
        if (
            node.input
            and can_fold(label)
            and all(i is None or isinstance(i, np.ndarray) for i in inputs)
        ):
            return fold(label, inputs, attributes, self.budget)
        masked = label in MASKS and any(i is MASK for i in inputs)
        if label not in OPERATORS and not masked:
            raise Unsupported("")
        if any(i is UNKNOWN for i in inputs):
            return [UNKNOWN] * len(node.output)
        if masked and not any(isinstance(i, Value) for i in inputs):
            return MASK
        if label not in OPERATORS:
            raise Unsupported("reads a random mask")
        return OPERATORS[label](self, Call(node, name, inputs, attributes))

    # ---- names ---------------------------------------------------------------------------------

    def name_of(self, node: Node) -> str:
        """That of its weights where the file keeps it, else its own without repetitions."""
        for tensor in node.input[1:2]:
            if tensor in self.stored and tensor.endswith(".weight"):
                return str(tensor).removesuffix(".weight")
        parts: list[str] = []
        for part in node.name.split("/"):
            if parts and part.startswith(f"{parts[-1]}."):
                parts[-1] = part
            elif part:
                parts.append(part)
        if len(parts) > 1 and parts[-1].split("_")[0] == node.op_type:
            parts.pop()
        return ".".join(parts) or node.op_type.lower()


def _attributes(node: Node, where: str) -> dict[str, Any]:
    from onnx import TensorProto, helper

    found: dict[str, Any] = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if isinstance(value, TensorProto):
            value = tensor_of(value, where)
        found[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return found
