"""DARTS: 1.08e18 genotypes of two cells, each of four nodes that read two states with 7 operations.

The text of a genotype is the ``repr`` of the named tuple of DARTS' code::

    Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ...], normal_concat=[2, 3, 4, 5],
             reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ...], reduce_concat=[2, 3, 4, 5])

Pairs 2i and 2i + 1, an operation and the state that it reads, add up to state i + 2; states 0 and 1
are the outputs of the cells before, 0 that of the earlier one. Spaces, either quote, tuples in
place of lists, ``range(2, 6)`` and arguments without names are read, too.

Every function that takes an architecture accepts

- that string, or a name of `NAMED`: DARTS_V1, DARTS_V2, PC_DARTS,
- the named tuple, or any sequence of its four parts, or a dict with its keys,
- the compact tuples of BANANAS and NASLib: two cells of eight (source, operation), as numbers,
- the configuration of NAS-Bench-301, a dict,
- its number in `enumerate_all`.

Three traps. Compact pairs have the source first, genotypes the operation. Operations of a compact
tuple are numbered as in `OPS`; DARTS' own list begins with ``none``, which no genotype has, and so
is one ahead. The configuration's ``edge_normal_3`` counts edges of all sources, node by node (those
of node 2 are 0 and 1, of node 3 are 2 to 4, ...), whereas the 3 in ``inputs_node_normal_3`` is a
node; and it does not tell in which order a node's pairs stand: `from_config` sorts them by source.

Genotypes with the two pairs of a node exchanged compute the same: `enumerate_all` has one of them,
with ascending sources, `canonical` gives that one. They are drawn other weights, though, as a
network's layers are made in the order of its pairs.

Networks have 36 ``channels`` and 20 ``cells`` by default, as DARTS trains its cells on CIFAR-10;
the cells at one and at two thirds are reduction cells. ``builder="imagenet"`` builds the network
for ImageNet (``channels=48, cells=14`` there), whose stem halves the image three times.

References
----------
.. [1] H. Liu, K. Simonyan and Y. Yang, "DARTS: Differentiable Architecture Search", ICLR 2019.
.. [2] Y. Xu, L. Xie, X. Zhang, X. Chen, G.-J. Qi, Q. Tian and H. Xiong, "PC-DARTS: Partial Channel
   Connections for Memory-Efficient Architecture Search", ICLR 2020.
"""

from __future__ import annotations

__all__ = [
    "NAME",
    "NAMED",
    "OPS",
    "SIZE",
    "DartsSpace",
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

import itertools
import reprlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from zeroshot.errors import ArchitectureError
from zeroshot.spaces._genotype import Cell, CellSpace, Genotype, item, number, sequence
from zeroshot.spaces._protocol import ArchLike, Genes

if TYPE_CHECKING:
    import networkx

NAME: Final = "darts"
OPS: Final = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
N_NODES: Final = 4

_CONFIG = "NetworkSelectorDatasetInfo:darts:"


def _pairs_of_nodes() -> list[list[tuple[int, int]]]:
    """Of each node the pairs of sources that it may have, ascending."""
    return [list(itertools.combinations(range(node), 2)) for node in range(2, 2 + N_NODES)]


class DartsSpace(CellSpace):
    """Genotypes of DARTS: also those of NAS-Bench-301."""

    notations = "a string, a named tuple, compact tuples, a configuration or an index"

    def __init__(self, name: str) -> None:
        super().__init__(name, OPS, N_NODES)
        self._pairs = _pairs_of_nodes()

    def radices(self) -> tuple[int, ...]:
        of_cell = [r for pairs in self._pairs for r in (len(pairs), len(OPS), len(OPS))]
        return tuple(of_cell * 2)

    def genes_of(self, digits: Sequence[int]) -> Genes:
        genes: list[int] = []
        for i, (pair, first, second) in enumerate(
            zip(digits[0::3], digits[1::3], digits[2::3], strict=True)
        ):
            low, high = self._pairs[i % N_NODES][pair]
            genes += [first, low, second, high]
        return tuple(genes)

    def digits_of(self, genes: Genes) -> list[int]:
        _, *cells = self.split(genes)
        digits = []
        for cell in map(self._canonical, cells):
            for pairs, one, two in zip(
                self._pairs, cell.pairs[0::2], cell.pairs[1::2], strict=True
            ):
                digits += [pairs.index((one[1], two[1])), one[0], two[0]]
        return digits

    def _sources(self, cell: Cell, i: int) -> list[int]:
        taken = {cell.pairs[i][1], cell.pairs[i ^ 1][1]}
        return [s for s in range(2 + i // 2) if s not in taken]

    def _from_text(self, text: str | bytes) -> Genes:
        named = NAMED.get(text) if isinstance(text, str) else None
        return super()._from_text(text if named is None else named)

    def _from_mapping(self, arch: Mapping[str, Any]) -> Genes:
        if "normal" in arch:
            return super()._from_mapping(arch)
        return self._genes_of_config(arch)

    def _from_sequence(self, arch: Sequence[Any]) -> Genes:
        if len(arch) == 2:
            return self._genes_of_compact(arch)
        if len(arch) != 4:
            raise ArchitectureError(
                f"arch: expected the 4 parts of a genotype, 2 compact cells or {self.n_genes} "
                f"integers, got {len(arch)} items"
            )
        return super()._from_sequence(arch)

    def _genes_of_compact(self, arch: Sequence[Any]) -> Genes:
        cells = []
        for which, cell in enumerate(arch):
            pairs = []
            for i, pair in enumerate(sequence(cell, 8, "8 pairs", f"arch[{which}]")):
                at = f"arch[{which}][{i}]"
                source, op = sequence(pair, 2, "a pair (source, operation)", at)
                pairs.append(
                    (
                        number(op, 0, len(OPS) - 1, f"{at}, its operation"),
                        number(source, 0, 1 + i // 2, f"{at}, its source"),
                    )
                )
            cells.append(Cell(tuple(pairs), self.nodes()))
        return self._checked((), *cells)

    def _genes_of_config(self, config: Mapping[str, Any]) -> Genes:
        cells = []
        for cell in ("normal", "reduce"):
            pairs, first_edge = [], 0
            for node in self.nodes():
                key = f"{_CONFIG}inputs_node_{cell}_{node}"
                text = item(config, key, "arch") if node > 2 else "0_1"
                known = [f"{a}_{b}" for a, b in self._pairs[node - 2]]
                if text not in known:
                    raise ArchitectureError(
                        f"arch[{key!r}]: expected one of {', '.join(known)}; "
                        f"got {reprlib.repr(text)}"
                    )
                for source in self._pairs[node - 2][known.index(text)]:
                    key = f"{_CONFIG}edge_{cell}_{first_edge + source}"
                    op = self._op_of(item(config, key, "arch"), f"arch[{key!r}]")
                    pairs.append((op, source))
                first_edge += node
            cells.append(Cell(tuple(pairs), self.nodes()))
        return self._checked((), *cells)

    def from_compact(self, compact: Sequence[Any]) -> str:
        """The text of the tuples of BANANAS and NASLib: of both cells eight (source, operation).

        Examples
        --------
        >>> cell = ((0, 3), (1, 3), (0, 0), (2, 2), (0, 5), (1, 6), (3, 4), (4, 1))
        >>> to_genotype(from_compact((cell, cell))).normal[:3]
        [('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('max_pool_3x3', 0)]
        """
        cells = sequence(compact, 2, "2 compact cells", "compact")
        return self.format(self._genes_of_compact(cells))

    def to_compact(self, arch: ArchLike) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The tuples of BANANAS and NASLib.

        Examples
        --------
        >>> to_compact("DARTS_V2")[0]
        ((0, 3), (1, 3), (0, 3), (1, 3), (1, 3), (0, 2), (0, 2), (2, 5))
        """
        _, *cells = self.split(self.parse(arch))
        return tuple(tuple((source, op) for op, source in cell.pairs) for cell in cells)

    def from_config(self, config: Mapping[str, Any]) -> str:
        """The text of a configuration of NAS-Bench-301, with ascending sources at every node.

        Entries that are about no cell and edges that no node reads are not looked at.
        """
        if not isinstance(config, Mapping):
            raise TypeError(f"config: expected a mapping, got {type(config).__name__}")
        return self.format(self._genes_of_config(config))

    def to_config(self, arch: ArchLike) -> dict[str, str]:
        """The entries of NAS-Bench-301's configuration; those of edges that are read alone, as the
        others are inactive.

        Examples
        --------
        >>> config = to_config("DARTS_V2")
        >>> config["NetworkSelectorDatasetInfo:darts:inputs_node_normal_5"]
        '0_2'
        >>> config["NetworkSelectorDatasetInfo:darts:edge_normal_11"]
        'dil_conv_3x3'
        """
        _, *cells = self.split(self.parse(arch))
        config = {}
        for name, cell in zip(("normal", "reduce"), map(self._canonical, cells), strict=True):
            first_edge = 0
            for node in self.nodes():
                two = cell.pairs[2 * node - 4 : 2 * node - 2]
                if node > 2:
                    config[f"{_CONFIG}inputs_node_{name}_{node}"] = f"{two[0][1]}_{two[1][1]}"
                for op, source in two:
                    config[f"{_CONFIG}edge_{name}_{first_edge + source}"] = OPS[op]
                first_edge += node
        return config

    def from_networkx(self, normal: networkx.MultiDiGraph, reduce: networkx.MultiDiGraph) -> str:
        """The text of two graphs as `to_networkx` makes them. Where edges have no ``pair``, a
        node's stand in the order of their sources."""
        return self.format(self._checked((), *self._cells_of_networkx(normal, reduce)))


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


def _named(normal: str, reduce: str) -> str:
    """The text of two cells, each pair as ``sep3~0``."""
    cells = []
    for text in (normal, reduce):
        pairs = (pair.split("~") for pair in text.split())
        cells.append(Cell(tuple((_SHORT[op], int(s)) for op, s in pairs), _space.nodes()))
    return format(_space.join((), *cells))


_SHORT = {op: i for i, op in enumerate(("max", "avg", "skip", "sep3", "sep5", "dil3", "dil5"))}

NAMED: Final[Mapping[str, str]] = {
    "DARTS_V1": _named(
        "sep3~1 sep3~0 skip~0 sep3~1 skip~0 sep3~1 sep3~0 skip~2",
        "max~0 max~1 skip~2 max~0 max~0 skip~2 skip~2 avg~0",
    ),
    "DARTS_V2": _named(
        "sep3~0 sep3~1 sep3~0 sep3~1 sep3~1 skip~0 skip~0 dil3~2",
        "max~0 max~1 skip~2 max~1 max~0 skip~2 skip~2 max~1",
    ),
    "PC_DARTS": _named(
        "sep3~1 skip~0 sep3~0 dil3~1 sep5~0 sep3~1 avg~0 dil3~1",
        "sep5~1 max~0 sep5~1 sep5~2 sep3~0 sep3~3 sep3~1 sep3~2",
    ),
}
"""Genotypes by the names that papers give them; PC_DARTS is the one found on CIFAR-10."""
