"""Networks of one's own, built op by op and scored like any other.

::

    g = zeroshot.Graph((3, 32, 32))
    h = g.conv2d(g.input, 16, 3, padding=1)
    h = g.relu(g.batch_norm(h))
    g.output(g.linear(g.global_avg_pool(h), 10))
    zeroshot.gradsign(g, x, y)

Every method adds one op and returns a handle for the ops that read it. What does not fit is an
error at the line that caused it, and leaves the graph as it was.
"""

from __future__ import annotations

__all__ = ["Graph", "Handle"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from zeroshot import _core
from zeroshot.inputs import check_int, check_pair
from zeroshot.provenance import key_of


class _Step(NamedTuple):
    op: str
    name: str
    inputs: tuple[int, ...]
    attrs: dict[str, Any]
    coefs: tuple[float, ...] | None


@dataclass(frozen=True, eq=False)
class Handle:
    """The output of one op.

    Attributes
    ----------
    id : int
    name : str
        Its weights are called ``NAME.weight``, ``NAME.bias`` and so on.
    shape : (int, int, int)
        Channels, height, width.
    """

    id: int
    name: str
    shape: tuple[int, int, int]
    _graph: Graph = field(repr=False)


class Graph:
    """A network under construction; finished by `output`.

    Parameters
    ----------
    input_shape : (int, int, int)
        Channels, height and width of one image.

    Examples
    --------
    >>> g = Graph((3, 8, 8))
    >>> h = g.relu(g.batch_norm(g.conv2d(g.input, 4, 3, padding=1, name="stem")))
    >>> g.output(g.linear(g.global_avg_pool(h), 10))
    Graph(input (3, 8, 8), 5 ops, 10 classes)
    >>> [node["name"] for node in g.nodes()]
    ['input', 'stem', 'batch_norm1', 'relu1', 'global_avg_pool1', 'linear1']
    """

    def __init__(self, input_shape: Sequence[int]) -> None:
        if len(tuple(input_shape)) != 3:
            raise ValueError(
                f"input_shape: expected (channels, height, width), got {tuple(input_shape)}"
            )
        channels, height, width = input_shape
        self._shape = (channels, height, width)
        self._builder = _core.GraphBuilder(channels, height, width)
        self._steps: list[_Step] = []
        self._features: list[int] = []
        self._names = {"input"}
        self._core: _core.Graph | None = None
        self._input = Handle(0, "input", self._builder.shape(0), self)

    @property
    def input(self) -> Handle:
        """The image."""
        return self._input

    # ---- ops -----------------------------------------------------------------------------------

    def conv2d(
        self,
        x: Handle,
        out_channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = False,
        name: str | None = None,
    ) -> Handle:
        """Convolution, zero padding; no bias unless asked for. Pairs are (height, width)."""
        attrs = {
            "out_channels": out_channels,
            "kernel": check_pair("kernel", kernel, 1),
            "stride": check_pair("stride", stride, 1),
            "padding": check_pair("padding", padding, 0),
            "dilation": check_pair("dilation", dilation, 1),
            "groups": groups,
            "bias": bias,
        }
        return self._add("conv2d", [x], attrs, name)

    def linear(
        self, x: Handle, out_features: int, *, bias: bool = True, name: str | None = None
    ) -> Handle:
        """Linear layer over the channels, at every position."""
        return self._add("linear", [x], {"out_features": out_features, "bias": bias}, name)

    def batch_norm(
        self,
        x: Handle,
        *,
        eps: float = 1e-5,
        affine: bool = True,
        mode: Literal["batch", "running", "identity"] = "batch",
        name: str | None = None,
    ) -> Handle:
        """Batch norm: by the statistics of the group (biased variance), by running ones, or off."""
        return self._add("batch_norm", [x], {"eps": eps, "affine": affine, "mode": mode}, name)

    def relu(self, x: Handle, *, name: str | None = None) -> Handle:
        """``max(x, 0)``; NaN stays."""
        return self._add("relu", [x], {}, name)

    def relu6(self, x: Handle, *, name: str | None = None) -> Handle:
        """``min(max(x, 0), 6)``; NaN stays, as in all of these."""
        return self._add("relu6", [x], {}, name)

    def sigmoid(self, x: Handle, *, name: str | None = None) -> Handle:
        """``1 / (1 + exp(-x))``."""
        return self._add("sigmoid", [x], {}, name)

    def silu(self, x: Handle, *, name: str | None = None) -> Handle:
        """``x sigmoid(x)``, or Swish."""
        return self._add("silu", [x], {}, name)

    def hard_sigmoid(self, x: Handle, *, name: str | None = None) -> Handle:
        """``relu6(x + 3) / 6``."""
        return self._add("hard_sigmoid", [x], {}, name)

    def hard_swish(self, x: Handle, *, name: str | None = None) -> Handle:
        """``x relu6(x + 3) / 6``."""
        return self._add("hard_swish", [x], {}, name)

    def gelu(self, x: Handle, *, name: str | None = None) -> Handle:
        """``x P(X < x)`` for a normal X: the exact one, by the error function."""
        return self._add("gelu", [x], {}, name)

    def tanh(self, x: Handle, *, name: str | None = None) -> Handle:
        """The hyperbolic tangent."""
        return self._add("tanh", [x], {}, name)

    def max_pool(
        self,
        x: Handle,
        kernel: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        name: str | None = None,
    ) -> Handle:
        """Maximum of each window, the first on ties; padding is minus infinity. The stride is the
        kernel unless given."""
        return self._add("max_pool", [x], _window(kernel, stride, padding), name)

    def avg_pool(
        self,
        x: Handle,
        kernel: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        count_include_pad: bool = False,
        name: str | None = None,
    ) -> Handle:
        """Mean of each window, over its real cells unless `count_include_pad`. The stride is the
        kernel unless given."""
        attrs = _window(kernel, stride, padding) | {"count_include_pad": count_include_pad}
        return self._add("avg_pool", [x], attrs, name)

    def global_avg_pool(self, x: Handle, *, name: str | None = None) -> Handle:
        """Mean over height and width: (C, 1, 1)."""
        return self._add("global_avg_pool", [x], {}, name)

    def add(
        self, *xs: Handle, coef: Sequence[float] | None = None, name: str | None = None
    ) -> Handle:
        """Sum of one or more, each times its coefficient (1 unless given)."""
        coefs = None if coef is None else tuple(float(c) for c in coef)
        return self._add("add", xs, {}, name, coefs)

    def multiply(self, a: Handle, b: Handle, *, name: str | None = None) -> Handle:
        """Product, element by element. `b` is of `a`'s shape or has one channel, row or column
        that stands for all of `a`'s: (C, 1, 1) weighs channels, (1, H, W) pixels."""
        return self._add("multiply", [a, b], {}, name)

    def concat(self, *xs: Handle, name: str | None = None) -> Handle:
        """Channels of all, one after the other."""
        return self._add("concat", xs, {}, name)

    def zero(self, x: Handle, *, stride: int = 1, name: str | None = None) -> Handle:
        """``x[:, :, ::stride, ::stride] * 0``."""
        return self._add("zero", [x], {"stride": stride}, name)

    def identity(self, x: Handle, *, name: str | None = None) -> Handle:
        """`x` itself, as an op of its own."""
        return self._add("identity", [x], {}, name)

    def shift(self, x: Handle, *, name: str | None = None) -> Handle:
        """``x[:, :, 1:, 1:]``, of a factorized reduction."""
        return self._add("shift", [x], {}, name)

    def slice_channels(
        self, x: Handle, channels: int, *, start: int = 0, name: str | None = None
    ) -> Handle:
        """``x[:, start : start + channels]``."""
        return self._add("slice_channels", [x], {"channels": channels, "start": start}, name)

    # ---- ops over positions: a map is a matrix of H W positions and C channels -----------------

    def flatten(self, x: Handle, *, name: str | None = None) -> Handle:
        """(C, H, W) to (C H W, 1, 1), channel after channel."""
        return self._add("flatten", [x], {}, name)

    def linear_spatial(self, x: Handle, *, bias: bool = True, name: str | None = None) -> Handle:
        """Linear layer over the positions, the same for every channel.

        ``y[p, c] = bias[p] + sum_q weight[p, q] x[q, c]`` with p = h W + w. The weight counts like
        that of `linear`.
        """
        return self._add("linear_spatial", [x], {"bias": bias}, name)

    def matmul(
        self,
        a: Handle,
        b: Handle,
        *,
        heads: int = 1,
        transpose_b: bool = False,
        scale: float = 1.0,
        name: str | None = None,
    ) -> Handle:
        """Product of two maps as matrices of positions and channels, head by head.

        Parameters
        ----------
        a : Handle
            `heads` equal runs of K channels.
        b : Handle
            With `transpose_b` `heads` runs of K channels at N positions: the result
            ``scale a b^T`` has `heads` runs of N channels, one for each position of `b`.
            Otherwise K positions of `heads` runs of N channels: ``scale a b``, of as many.
        heads : int
        transpose_b : bool
        scale : float

        Returns
        -------
        Handle
            At the positions of `a`.
        """
        attrs = {"heads": heads, "transpose_b": transpose_b, "scale": scale}
        return self._add("matmul", [a, b], attrs, name)

    def softmax(self, x: Handle, *, groups: int = 1, name: str | None = None) -> Handle:
        """Softmax over the channels of each of `groups` equal runs, at every position."""
        return self._add("softmax", [x], {"groups": groups}, name)

    def group_norm(
        self,
        x: Handle,
        *,
        groups: int = 1,
        eps: float = 1e-5,
        affine: bool = True,
        name: str | None = None,
    ) -> Handle:
        """Group norm: each sample by mean and biased variance of each run of channels over all
        positions. Gamma starts at 1, beta at 0."""
        return self._add("group_norm", [x], {"groups": groups, "eps": eps, "affine": affine}, name)

    def layer_norm(
        self, x: Handle, *, eps: float = 1e-6, affine: bool = True, name: str | None = None
    ) -> Handle:
        """Layer norm over the channels of each position, by mean and biased variance. Gamma starts
        at 1, beta at 0."""
        return self._add("layer_norm", [x], {"eps": eps, "affine": affine}, name)

    def scale_channels(self, x: Handle, *, initial: float = 1.0, name: str | None = None) -> Handle:
        """`x` times a parameter for each channel that starts at `initial` ("layer scale")."""
        return self._add("scale_channels", [x], {"initial": initial}, name)

    def attention(self, x: Handle, heads: int, *, name: str | None = None) -> Handle:
        """Multi-head self-attention over the positions of `x`.

        ``proj(softmax(q k^T / sqrt(C / heads)) v)`` for each of `heads` equal runs of channels,
        where ``q, k, v`` are the thirds of ``qkv(x)``; the first layer has no bias.

        Parameters
        ----------
        x : Handle
            C channels, a multiple of `heads`.
        heads : int
        name : str, optional
            The layers are called ``NAME.qkv`` and ``NAME.proj``.

        Returns
        -------
        Handle
            Of the shape of `x`.
        """
        self._id(x, "x")
        check_int("heads", heads, 1)
        if x.shape[0] % heads:
            raise ValueError(f"heads: expected a divisor of the {x.shape[0]} channels, got {heads}")
        prefix = self._new_name("attention", ".qkv") if name is None else name
        n_steps = len(self._steps)
        try:
            return self._attention(x, int(heads), prefix)
        except Exception:
            for step in self._steps[n_steps:]:
                self._names.discard(step.name)
            del self._steps[n_steps:]
            self._rebuild()
            raise

    def _attention(self, x: Handle, heads: int, prefix: str) -> Handle:
        channels = x.shape[0]
        qkv = self.linear(x, 3 * channels, bias=False, name=f"{prefix}.qkv")
        q, k, v = (
            self.slice_channels(qkv, channels, start=i * channels, name=f"{prefix}.{part}")
            for i, part in enumerate("qkv")
        )
        scores = self.matmul(
            q, k, heads=heads, transpose_b=True, scale=(channels / heads) ** -0.5,
            name=f"{prefix}.scores",
        )  # fmt: skip
        shares = self.softmax(scores, groups=heads, name=f"{prefix}.softmax")
        mixed = self.matmul(shares, v, heads=heads, name=f"{prefix}.mixed")
        return self.linear(mixed, channels, name=f"{prefix}.proj")

    # ---- finishing -----------------------------------------------------------------------------

    def feature(self, x: Handle) -> Handle:
        """Mark `x` as a stage of the network (a stem, a cell's output), for scores of features.

        Stages count in the order of the network.
        """
        node = self._id(x, "x")
        if node not in self._features:
            self._features.append(node)
        self._builder.feature(node)
        return x

    def output(self, logits: Handle) -> Graph:
        """Finish: `logits`, of shape (K, 1, 1) and the op added last, are what the loss sees.

        Returns
        -------
        Graph
            This graph, which takes no more ops.
        """
        node = self._id(logits, "logits")
        try:
            self._core = self._builder.finish(node)
        except Exception:
            self._rebuild()
            raise
        return self

    @property
    def core(self) -> _core.Graph:
        """The finished network."""
        if self._core is None:
            raise ValueError("arch: the graph is not finished; call its output(logits) first")
        return self._core

    def nodes(self) -> list[dict[str, Any]]:
        """The finished network as plain dictionaries, inputs before their readers.

        Returns
        -------
        list of dict
            Keys ``id, op, name, inputs, attrs, weights, shape``; node 0 is the image.
        """
        return [dict(node) for node in self.core.nodes()]

    @classmethod
    def from_nodes(cls, nodes: Sequence[Mapping[str, Any]], features: Sequence[int] = ()) -> Graph:
        """The inverse of `nodes`.

        Parameters
        ----------
        nodes : sequence of mapping
            The last one is the output. ``id`` may be any, ``weights`` and ``shape`` may be absent
            and are compared where they are not.
        features : sequence of int
            Ids of the stages that `feature` marked.

        Raises
        ------
        ValueError
            If the list does not describe a network.
        """
        if not nodes or nodes[0].get("op") != "input":
            raise ValueError("nodes: expected a list whose first node has op 'input'")
        graph = cls(nodes[0]["shape"])
        handles = {nodes[0]["id"]: graph.input}
        for i, node in enumerate(nodes[1:], start=1):
            where = f"nodes[{i}]"
            try:
                attrs = dict(node["attrs"])
                xs = [handles[source] for source in node["inputs"]]
                handle = graph._add(node["op"], xs, attrs, node["name"], attrs.pop("coef", None))
            except KeyError as error:
                raise ValueError(f"{where}: {error} is missing or not defined before it") from None
            for role, name in node.get("weights", {}).items():
                if name != f"{handle.name}.{role}":
                    raise ValueError(
                        f"{where}: weight {name!r} has to be called {handle.name}.{role}"
                    )
            if "shape" in node and tuple(node["shape"]) != handle.shape:
                raise ValueError(f"{where}: shape is {handle.shape}, got {tuple(node['shape'])}")
            handles[node["id"]] = handle
        for feature in features:
            graph.feature(handles[feature])
        return graph.output(handles[nodes[-1]["id"]])

    @property
    def features(self) -> tuple[int, ...]:
        """Ids of the nodes that `feature` marked, in the order of the network."""
        return tuple(sorted(self._features))

    def encoding(self) -> str:
        """A hash that equal networks share: ``graph:`` and 64 digits."""
        parts: dict[str, Any] = {"nodes": self.nodes()}
        if self._features:
            parts["features"] = sorted(self._features)
        return f"graph:{key_of(parts)}"

    def __repr__(self) -> str:
        state = "unfinished" if self._core is None else f"{self._core.num_classes} classes"
        return f"Graph(input {self._input.shape}, {len(self._steps)} ops, {state})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Graph.from_nodes, (self.nodes(), sorted(self._features))

    # ---- inside --------------------------------------------------------------------------------

    def _id(self, x: object, argument: str) -> int:
        if not isinstance(x, Handle):
            raise TypeError(
                f"{argument}: expected a handle that a method of the graph returned, "
                f"got {type(x).__name__}"
            )
        if x._graph is not self:
            raise ValueError(f"{argument}: {x.name!r} belongs to another graph")
        return x.id

    def _add(
        self,
        op: str,
        xs: Sequence[Handle],
        attrs: dict[str, Any],
        name: str | None,
        coefs: Sequence[float] | None = None,
    ) -> Handle:
        if self._core is not None:
            raise ValueError(f"{op}: the graph is finished and takes no more ops")
        inputs = tuple(self._id(x, "x" if len(xs) == 1 else f"xs[{i}]") for i, x in enumerate(xs))
        step = _Step(
            op, self._new_name(op) if name is None else name, inputs, attrs,
            None if coefs is None else tuple(coefs),
        )  # fmt: skip
        try:
            node = self._builder.add(*step)
        except Exception:
            self._rebuild()  # the builder keeps its first error for good
            raise
        self._steps.append(step)
        self._names.add(step.name)
        return Handle(node, step.name, self._builder.shape(node), self)

    def _new_name(self, op: str, suffix: str = "") -> str:
        number = 1 + sum(step.op == op for step in self._steps)
        while f"{op}{number}{suffix}" in self._names:
            number += 1
        return f"{op}{number}"

    def _rebuild(self) -> None:
        self._builder = _core.GraphBuilder(*self._shape)
        for step in self._steps:
            self._builder.add(*step)
        for node in self._features:
            self._builder.feature(node)


def _window(
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] | None,
    padding: int | tuple[int, int],
) -> dict[str, Any]:
    return {
        "kernel": check_pair("kernel", kernel, 1),
        "stride": check_pair("stride", kernel if stride is None else stride, 1),
        "padding": check_pair("padding", padding, 0),
    }
