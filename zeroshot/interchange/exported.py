"""What both ways out share: the network of an architecture as plain nodes, with weights."""

from __future__ import annotations

__all__ = ["Exported", "prepare"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import ArrayLike, NDArray

from zeroshot import _core
from zeroshot.inputs import check_pair
from zeroshot.network import AnyArch, build_network
from zeroshot.options import Options
from zeroshot.weights import check_weights


@dataclass(frozen=True, eq=False)
class Exported:
    """A network on its way out.

    Attributes
    ----------
    arch : str
        Its normal spelling, or the hash of a graph.
    nodes : list of dict
        As `zeroshot.Graph.nodes` has them.
    weights : dict of str to ndarray
        All of them: those given, and the others as they are drawn.
    shapes : dict of str to tuple of int
        Of the weights.
    """

    arch: str
    nodes: list[dict[str, Any]] = field(repr=False)
    weights: dict[str, NDArray[Any]] = field(repr=False)
    shapes: dict[str, tuple[int, ...]] = field(repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image."""
        channels, height, width = self.nodes[0]["shape"]
        return channels, height, width

    @property
    def classes(self) -> int:
        return int(self.nodes[-1]["shape"][0])


def prepare(
    arch: AnyArch,
    options: Options,
    weights: Mapping[str, ArrayLike] | None,
    input_size: int | tuple[int, int],
    *,
    draw: bool = True,
) -> Exported:
    """The network of `arch`; without `draw` only the weights that are given."""
    height, width = check_pair("input_size", input_size, 1)
    network = build_network(arch, options, (3, height, width))
    graph = network.graph
    drawn: dict[str, NDArray[Any]] = {}
    if draw:
        drawn |= _core.draw_weights(graph, options.init, options.seed)
    drawn |= check_weights(graph, weights) or {}
    shapes = {tensor["name"]: tensor["shape"] for tensor in graph.tensors()}
    return Exported(network.arch, [dict(n) for n in graph.nodes()], drawn, shapes)
