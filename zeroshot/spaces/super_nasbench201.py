"""The supernet of NAS-Bench-201, from which a search takes one operation after the other.

Its text is that of a cell with a set of operations on each edge, maybe an empty one::

    |skip_connect,nor_conv_3x3~0|+|nor_conv_1x1~0|~1|+|avg_pool_3x3~0|skip_connect~1|none~2|
    affine=0;|...

An edge computes the mean of its operations, as the softmax of equal architecture weights does in
TE-NAS. Every cell of NAS-Bench-201 is such a text, with one operation on each edge; its network is
the cell's, with the weights of all other operations besides, which nobody reads. With ``affine=0;``
batch norms inside cells have no gamma and beta.

``channels`` and ``cells`` are those of NAS-Bench-201; TE-NAS scores ``channels=3, cells=1``.

References
----------
.. [1] W. Chen, X. Gong and Z. Wang, "Neural Architecture Search on ImageNet in Four GPU Hours: A
   Theoretically Inspired Perspective", ICLR 2021.
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
    "from_nasbench201",
    "full",
    "mutate",
    "neighbours",
    "parse",
    "prunings",
    "representative",
    "sample",
    "sets",
    "to_lists",
    "to_nasbench201",
    "without",
]

from typing import Final

from zeroshot.errors import ArchitectureError
from zeroshot.spaces import nasbench201
from zeroshot.spaces._protocol import ArchLike
from zeroshot.spaces._supernet import Supernet

NAME: Final = "super_nasbench201"
OPS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES: Final = tuple(f"{node}<-{source}" for node in range(1, 4) for source in range(node))

_space = Supernet(NAME, OPS, EDGES, options=(1,))
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


def from_nasbench201(arch: ArchLike) -> str:
    """The supernet that has one operation on every edge, those of a cell.

    Examples
    --------
    >>> to_nasbench201(from_nasbench201(1462)) == nasbench201.from_index(1462)
    True
    """
    return format(parse([(name,) for name in nasbench201.to_names(arch)]))


def to_nasbench201(arch: ArchLike) -> str:
    """The cell that is left where every edge has one operation; an edge without is ``none``.

    Raises
    ------
    ArchitectureError
        If an edge has more than one.

    Examples
    --------
    >>> to_nasbench201("|none~0|+|skip_connect~0|~1|+|none~0|none~1|avg_pool_3x3~2|")
    '|none~0|+|skip_connect~0|none~1|+|none~0|none~1|avg_pool_3x3~2|'
    """
    chosen = []
    for edge, ops in sets(arch).items():
        if len(ops) > 1:
            raise ArchitectureError(
                f"arch: expected one operation on each edge, got {', '.join(ops)} on {edge}"
            )
        chosen.append(nasbench201.OPS.index(ops[0] if ops else "none"))
    return nasbench201.format(chosen)
