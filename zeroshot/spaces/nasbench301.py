"""NAS-Bench-301: the 1.08e18 genotypes of DARTS in networks of 32 channels and 8 cells.

Texts, other notations, numbers, steps and canonical forms are those of `zeroshot.spaces.darts`,
whose page also says where these notations differ by one or in order::

    Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ...], normal_concat=[2, 3, 4, 5],
             reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ...], reduce_concat=[2, 3, 4, 5])

By default networks are those that the benchmark trains. ``builder="naslib"`` builds those of
NASLib, in which published scores of this space were computed: batch norms inside operations have no
gamma and beta, and one follows each pool.

References
----------
.. [1] A. Zela, J. Siems, L. Zimmer, J. Lukasik, M. Keuper and F. Hutter, "Surrogate NAS Benchmarks:
   Going Beyond the Limited Search Spaces of Tabular NAS Benchmarks", ICLR 2022.
"""

from __future__ import annotations

__all__ = [
    "NAME",
    "OPS",
    "SIZE",
    "Genotype",
    "canonical",
    "enumerate_all",
    "format",
    "from_compact",
    "from_config",
    "from_index",
    "from_networkx",
    "mutate",
    "neighbours",
    "parse",
    "representative",
    "sample",
    "to_compact",
    "to_config",
    "to_dict",
    "to_genotype",
    "to_index",
    "to_networkx",
]

from typing import Final

from zeroshot.spaces._genotype import Genotype
from zeroshot.spaces.darts import OPS, DartsSpace

NAME: Final = "nasbench301"

_space = DartsSpace(NAME)
SIZE: Final = _space.size

parse = _space.parse
format = _space.format
to_genotype = _space.to_genotype
from_compact = _space.from_compact
to_compact = _space.to_compact
from_config = _space.from_config
to_config = _space.to_config
to_dict = _space.to_dict
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
