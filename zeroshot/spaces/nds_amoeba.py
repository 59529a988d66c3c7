"""AmoebaNet's cells in NDS: 556,628 billion cells of five nodes and 8 operations, two each.

Cells concatenate the nodes that no other reads. ``dil_sep_conv_3x3`` dilates both its filters.
Texts and other notations: `zeroshot.spaces.nds`.

References
----------
.. [1] E. Real, A. Aggarwal, Y. Huang and Q. V. Le, "Regularized Evolution for Image Classifier
   Architecture Search", AAAI 2019.
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

NAME: Final = "nds_amoeba"
OPS: Final = (
    "skip_connect",
    "max_pool_3x3",
    "avg_pool_3x3",
    "conv_7x1_1x7",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "dil_sep_conv_3x3",
)

_space = NdsSpace(NAME, OPS, n_nodes=5, concat_unused=True)
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
