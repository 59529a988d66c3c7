"""The supernet of DARTS, from which a search takes one operation after the other.

Its text has a set of operations, maybe an empty one, on each of the 14 edges of both cells. Node i
reads all states before it, of which 0 and 1 are the cell's inputs::

    normal=|sep_conv_3x3,skip_connect~0|~1|+|...~0|...~1|...~2|+...;reduce=|...
    depth=2;stem=3;affine=0;normal=...

An edge computes the mean of its operations, as the softmax of equal architecture weights does in
TE-NAS. A network has ``cells`` cells at each of three widths, the later two beginning with a
reduction cell, and ends after ``depth`` of them; batch norm and ReLU stand before its classifier.
Its stem has ``stem`` times ``channels`` channels. With ``affine=0`` batch norms inside cells have
no gamma and beta. TE-NAS scores ``channels=1, cells=1`` and ``depth=2``.

References
----------
.. [1] W. Chen, X. Gong and Z. Wang, "Neural Architecture Search on ImageNet in Four GPU Hours: A
   Theoretically Inspired Perspective", ICLR 2021.
.. [2] H. Liu, K. Simonyan and Y. Yang, "DARTS: Differentiable Architecture Search", ICLR 2019.
"""

from __future__ import annotations

__all__ = [
    "EDGES",
    "NAME",
    "OPS",
    "SIZE",
    "canonical",
    "enumerate_all",
    "format",
    "from_darts",
    "full",
    "mutate",
    "neighbours",
    "parse",
    "prunings",
    "representative",
    "sample",
    "sets",
    "to_darts",
    "to_lists",
    "without",
]

from typing import Final

from zeroshot.errors import ArchitectureError
from zeroshot.spaces import darts
from zeroshot.spaces._protocol import ArchLike
from zeroshot.spaces._supernet import Supernet

NAME: Final = "super_darts"
OPS: Final = (
    "none",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "avg_pool_3x3",
    "max_pool_3x3",
)
EDGES: Final = tuple(
    f"{cell} {node}<-{source}"
    for cell in ("normal", "reduce")
    for node in range(2, 6)
    for source in range(node)
)

_space = Supernet(NAME, OPS, EDGES, options=(0, 1, 1))
SIZE: Final = _space.size

parse = _space.parse
format = _space.format
sets = _space.sets
to_lists = _space.to_lists
full = _space.full
prunings = _space.prunings
without = _space.without
enumerate_all = _space.enumerate_all
sample = _space.sample
mutate = _space.mutate
neighbours = _space.neighbours
canonical = _space.canonical
representative = _space.representative


def from_darts(arch: ArchLike) -> str:
    """The supernet that has a genotype's operations, each on its edge, and no others.

    Examples
    --------
    >>> to_darts(from_darts("DARTS_V2")) == darts.canonical("DARTS_V2")
    True
    """
    genotype = darts.to_genotype(arch)
    chosen: dict[str, tuple[str, ...]] = dict.fromkeys(EDGES, ())
    for cell, pairs in (("normal", genotype.normal), ("reduce", genotype.reduce)):
        for i, (op, source) in enumerate(pairs):
            edge = f"{cell} {2 + i // 2}<-{source}"
            if chosen[edge]:
                raise ArchitectureError(
                    f"arch: expected two sources of each node, got edge {edge} twice"
                )
            chosen[edge] = (op,)
    return format(parse(list(chosen.values())))


def to_darts(arch: ArchLike) -> str:
    """The genotype that is left where each node has two edges of one operation each.

    Raises
    ------
    ArchitectureError
        If a node has another number of edges, an edge more than one operation, or one is ``none``.
    """
    cells: dict[str, list[tuple[str, int]]] = {"normal": [], "reduce": []}
    for edge, ops in sets(arch).items():
        cell, place = edge.split()
        if len(ops) > 1 or "none" in ops:
            raise ArchitectureError(
                f"arch: expected at most one operation and no none on an edge, "
                f"got {', '.join(ops)} on {edge}"
            )
        cells[cell] += [(op, int(place.split("<-")[1])) for op in ops]
        if place in ("2<-1", "3<-2", "4<-3", "5<-4") and len(cells[cell]) != 2 * int(place[0]) - 2:
            raise ArchitectureError(
                f"arch: expected two edges into each node, got another number into "
                f"node {place[0]} of the {cell} cell"
            )
    concat = [2, 3, 4, 5]
    genes = darts.parse((cells["normal"], concat, cells["reduce"], concat))
    return darts.format(genes)
