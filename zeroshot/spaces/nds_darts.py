"""DARTS' cells in NDS: 242 billion cells of four nodes and 8 operations, two each.

Unlike ``darts``, as in the records: ``none`` is an operation, a node may read one state twice, and
width and depth belong to an architecture. Cells concatenate all nodes.
Texts and other notations: `zeroshot.spaces.nds`.

References
----------
.. [1] H. Liu, K. Simonyan and Y. Yang, "DARTS: Differentiable Architecture Search", ICLR 2019.
"""

from __future__ import annotations

__all__ = [
    "NAME",
    "OPS",
    "SIZE",
    "canonical",
    "enumerate_all",
    "format",
    "from_index",
    "from_json",
    "from_networkx",
    "mutate",
    "neighbours",
    "parse",
    "representative",
    "sample",
    "to_genotype",
    "to_index",
    "to_json",
    "to_net",
    "to_networkx",
]

from typing import Final

from zeroshot.spaces.nds import NdsSpace

NAME: Final = "nds_darts"
OPS: Final = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)

_space = NdsSpace(NAME, OPS, n_nodes=4, concat_unused=False)
SIZE: Final = _space.size

parse = _space.parse
format = _space.format
to_genotype = _space.to_genotype
to_net = _space.to_net
to_json = _space.to_json
from_json = _space.from_json
from_networkx = _space.from_networkx
to_networkx = _space.to_networkx
from_index = _space.from_index
to_index = _space.to_index
enumerate_all = _space.enumerate_all
sample = _space.sample
neighbours = _space.neighbours
mutate = _space.mutate
canonical = _space.canonical
representative = _space.representative
