"""From an architecture, in whatever notation, to the network that the core runs."""

from __future__ import annotations

__all__ = [
    "AnyArch",
    "Network",
    "build_network",
    "count",
    "count_graph",
    "identify",
    "network_fields",
]

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


def identify(
    arch: AnyArch, options: Options, image_shape: tuple[int, int, int]
) -> tuple[str, str | None, dict[str, Any]]:
    """`Network.arch`, `scored_as` and `identity` of `arch`, without its network.

    Raises
    ------
    ArchitectureError
        If `arch` is none.
    """
    if isinstance(arch, Graph):
        if options.canonical:
            raise ValueError(
                "canonical: expected False for a Graph, which is in no space that knows its equals"
            )
        encoding = arch.encoding()
        return encoding, None, {"arch": encoding, "space": None, "arguments": None}
    space = get_space(options.space)
    genes = space.parse(arch)
    mode = options.canonical_mode
    text = space.format(genes)
    if mode is None:
        return text, None, {"arch": text, **network_fields(options, image_shape)}
    scored = space.representative(genes, mode)
    return text, scored, {"arch": scored, **network_fields(options, image_shape)}


def network_fields(options: Options, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """What goes into a provenance key of every architecture of a space."""
    channels, cells = options.network_size
    arguments: dict[str, Any] = {
        "channels": channels,
        "cells": cells,
        "num_classes": options.num_classes,
        "input": list(image_shape),
    }
    if options.builder != _core.space_builders()[0]:  # keys of the default stay what they were
        arguments["builder"] = options.builder
    fields = {"space": options.space, "arguments": arguments}
    mode = options.canonical_mode
    return fields if mode is None else {**fields, "canonical": mode}


def build_network(arch: AnyArch, options: Options, image_shape: tuple[int, int, int]) -> Network:
    """The network of `arch` for images of that shape.

    Raises
    ------
    ArchitectureError
        If `arch` is none.
    ValueError
        If a size does not fit.
    """
    if not isinstance(arch, Graph) and image_shape[0] != 3:
        raise ValueError(
            f"x: networks of {options.space} take 3 channels, (M, 3, H, W); "
            f"got images of shape {image_shape}"
        )
    text, scored, identity = identify(arch, options, image_shape)
    if isinstance(arch, Graph):
        return Network(arch.core, text, identity)
    space = get_space(options.space)
    graph = _core.space_build(
        space.NAME,
        space.parse(identity["arch"]),
        *options.network_size,
        options.num_classes,
        image_shape,
        options.builder,
    )
    return Network(graph, text, identity, scored)


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
