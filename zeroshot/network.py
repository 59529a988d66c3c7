"""From an architecture, in whatever notation, to the network that the core runs."""

from __future__ import annotations

__all__ = ["AnyArch", "Network", "build_network", "count", "count_graph"]

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from zeroshot import _core
from zeroshot.graph import Graph
from zeroshot.inputs import check_pair
from zeroshot.options import Builder, Options
from zeroshot.results import Counts
from zeroshot.spaces import ArchLike, get_space

AnyArch: TypeAlias = "ArchLike | Graph"
"""An architecture of a space, in any of its notations, or a graph of one's own."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network and the plain values that say which one it is.

    Attributes
    ----------
    graph : _core.Graph
    arch : str
        Normal spelling.
    identity : dict
        What goes into a provenance key: encoding, space and its arguments.
    scored_as : str or None
        With ``canonical`` the architecture that `graph` is of, in place of `arch`.
    """

    graph: _core.Graph = field(repr=False)
    arch: str
    identity: dict[str, Any] = field(repr=False)
    scored_as: str | None = None


def build_network(arch: AnyArch, options: Options, image_shape: tuple[int, int, int]) -> Network:
    """The network of `arch` for images of that shape.

    Raises
    ------
    ArchitectureError
        If `arch` is none.
    ValueError
        If a size does not fit.
    """
    if isinstance(arch, Graph):
        if options.canonical:
            raise ValueError(
                "canonical: expected False for a Graph, which is in no space that knows its equals"
            )
        encoding = arch.encoding()
        return Network(arch.core, encoding, {"arch": encoding, "space": None, "arguments": None})
    if image_shape[0] != 3:
        raise ValueError(
            f"x: networks of {options.space} take 3 channels, (M, 3, H, W); "
            f"got images of shape {image_shape}"
        )
    space = get_space(options.space)
    genes = space.parse(arch)
    text = scored = space.format(genes)
    mode = options.canonical_mode
    if mode is not None:
        scored = space.representative(genes, mode)
        genes = space.parse(scored)
    channels, cells = options.network_size
    graph = _core.space_build(
        space.NAME,
        genes,
        channels,
        cells,
        options.num_classes,
        image_shape,
        options.builder,
    )
    arguments: dict[str, Any] = {
        "channels": channels,
        "cells": cells,
        "num_classes": options.num_classes,
        "input": list(image_shape),
    }
    if options.builder != _core.space_builders()[0]:  # keys of the default stay what they were
        arguments["builder"] = options.builder
    identity = {"arch": scored, "space": space.NAME, "arguments": arguments}
    if mode is None:
        return Network(graph, text, identity)
    return Network(graph, text, {**identity, "canonical": mode}, scored)


def count_graph(graph: _core.Graph) -> Counts:
    """Sizes of a finished network."""
    return Counts(**_core.graph_count(graph))


def count(
    arch: AnyArch,
    *,
    space: str = "nasbench201",
    channels: int | None = None,
    cells: int | None = None,
    input_size: int | tuple[int, int] = 32,
    num_classes: int = 10,
    builder: Builder = "autodl",
) -> Counts:
    """Parameters, weights and multiply-adds of a network; nothing is run.

    Parameters
    ----------
    arch, space, channels, cells, num_classes, builder
        As for `zeroshot.score`.
    input_size : int or (int, int)
        Height and width of an image.

    Returns
    -------
    Counts

    Examples
    --------
    >>> count("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|").live_weights
    0
    >>> count(9).params, count(9, builder="zerocost").params
    (316346, 1692826)
    """
    options = Options(
        space=space, channels=channels, cells=cells, num_classes=num_classes, builder=builder
    )
    height, width = check_pair("input_size", input_size, 1)
    return count_graph(build_network(arch, options, (3, height, width)).graph)
