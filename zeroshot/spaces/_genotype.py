"""What the spaces of cells have in common: DARTS, NAS-Bench-301 and the five of NDS.

A space of these is a `CellSpace`, whose methods are the functions of its module. Genes are those of
the C parser (csrc/spaces/genotype.h): with NDS width and depth; of each cell operation and source
of every pair and, where a genotype says which nodes are concatenated, a bit for each node.
"""

from __future__ import annotations

__all__ = ["Cell", "CellSpace", "Genotype", "item", "number", "sequence"]

import itertools
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces._protocol import (
    ArchLike,
    Canonical,
    Genes,
    check_count,
    check_index,
    check_mode,
    import_networkx,
)

if TYPE_CHECKING:
    import networkx

_CELLS = ("normal", "reduce")
_NO_WEIGHTS = "max_pool_3x3"  # an operation of every space


class Genotype(NamedTuple):
    """A genotype as DARTS writes it; its ``repr`` is an architecture's text.

    Attributes
    ----------
    normal, reduce : list of (str, int)
        Operation and source; pairs 2i and 2i + 1 make state i + 2. Sources 0 and 1 are the cells
        before.
    normal_concat, reduce_concat : list of int
        The states whose concatenation is the cell's output.
    """

    normal: list[tuple[str, int]]
    normal_concat: list[int]
    reduce: list[tuple[str, int]]
    reduce_concat: list[int]


class Cell(NamedTuple):
    """A cell by numbers: (operation, source) of each pair, and the states it concatenates."""

    pairs: tuple[tuple[int, int], ...]
    concat: tuple[int, ...]


# --- checks of what a caller writes ----------------------------------------------------------


def number(value: object, least: int, most: int, where: str) -> int:
    """`value` as an integer in that range."""
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if is_integer and least <= value <= most:  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload, no-any-return]
    raise ArchitectureError(f"{where}: expected {least} to {most}, got {reprlib.repr(value)}")


def sequence(value: object, n: int | None, what: str, where: str) -> Sequence[Any]:
    """`value` as a sequence, of `n` items if that is given."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if n is None or len(value) == n:
            return value
        raise ArchitectureError(f"{where}: expected {what}, got {len(value)} items")
    raise ArchitectureError(f"{where}: expected {what}, got {reprlib.repr(value)}")


def item(record: Mapping[Any, Any], key: str, where: str) -> Any:
    """An entry that has to be there."""
    if key not in record:
        raise ArchitectureError(f"{where}: expected the key {key!r}, got {reprlib.repr(record)}")
    return record[key]


class CellSpace(ABC):
    """A space of genotypes.

    Parameters
    ----------
    name : str
    ops : tuple of str
        Genes of operations are positions in it.
    n_nodes : int
    """

    n_header = 0  # genes before the cells
    has_concat = False  # genotypes say which nodes are concatenated
    notations = "a genotype"

    def __init__(self, name: str, ops: tuple[str, ...], n_nodes: int) -> None:
        self.name = name
        self.ops = ops
        self.n_nodes = n_nodes

    # --- genes and cells

    @property
    def n_genes(self) -> int:
        per_node = 4 + self.has_concat
        return self.n_header + 2 * per_node * self.n_nodes

    def nodes(self) -> tuple[int, ...]:
        return tuple(range(2, 2 + self.n_nodes))

    def split(self, genes: Sequence[int]) -> tuple[Genes, Cell, Cell]:
        """What stands before the cells; the normal cell; the reduction cell."""
        header = tuple(genes[: self.n_header])
        half = (self.n_genes - self.n_header) // 2
        normal, reduce = (
            self._cell(genes[start : start + half])
            for start in (self.n_header, self.n_header + half)
        )
        return header, normal, reduce

    def _cell(self, genes: Sequence[int]) -> Cell:
        n = 4 * self.n_nodes
        bits = genes[n:] if self.has_concat else [1] * self.n_nodes
        concat = (node for node, bit in zip(self.nodes(), bits, strict=True) if bit)
        return Cell(tuple(zip(genes[0:n:2], genes[1:n:2], strict=True)), tuple(concat))

    def join(self, header: Sequence[int], normal: Cell, reduce: Cell) -> Genes:
        """The genes of these parts."""
        genes = list(header)
        for cell in (normal, reduce):
            genes += [gene for pair in cell.pairs for gene in pair]
            if self.has_concat:
                genes += [int(node in cell.concat) for node in self.nodes()]
        return tuple(genes)

    # --- notations

    def parse(self, arch: ArchLike) -> Genes:
        """The integers behind an architecture, in any notation.

        Parameters
        ----------
        arch : str, bytes, int, sequence or mapping
            See the top of the module.

        Returns
        -------
        tuple of int
            Of the normal cell operation (its place in `OPS`) and source of every pair, then those
            of the reduction cell; in NDS width and depth before, and behind each cell a 1 for every
            node that is concatenated, a 0 for the others.

        Raises
        ------
        ArchitectureError
            If `arch` is none; for a string with the position of the fault.
        TypeError
            If `arch` is of another type.
        """
        if isinstance(arch, np.ndarray):
            arch = arch.tolist()
        if isinstance(arch, str | bytes):
            return self._from_text(arch)
        if isinstance(arch, int | np.integer) and not isinstance(arch, bool):
            return self._genes_at(arch)
        if isinstance(arch, Mapping):
            return self._from_mapping(arch)
        if not isinstance(arch, Sequence):
            raise TypeError(f"arch: expected {self.notations}, got {type(arch).__name__}")
        if len(arch) == self.n_genes:
            genes = tuple(
                number(gene, -(2**31), 2**31 - 1, f"arch[{i}]") for i, gene in enumerate(arch)
            )
            _core.space_format(self.name, genes)
            return genes
        return self._from_sequence(arch)

    def _from_text(self, text: str | bytes) -> Genes:
        return _core.space_parse(self.name, text)

    def _from_mapping(self, arch: Mapping[str, Any]) -> Genes:
        return self._checked((), *self._cells_of_mapping(arch, "arch"))

    def _from_sequence(self, arch: Sequence[Any]) -> Genes:
        return self._checked((), *self._cells_of(arch, "arch"))

    def _checked(self, header: Sequence[int], normal: Cell, reduce: Cell) -> Genes:
        genes = self.join(header, normal, reduce)
        _core.space_format(self.name, genes)
        return genes

    def _cells_of_mapping(self, arch: Mapping[str, Any], where: str) -> tuple[Cell, Cell]:
        return self._cells_of([item(arch, key, where) for key in Genotype._fields], where)

    def _cells_of(self, arch: Sequence[Any], where: str) -> tuple[Cell, Cell]:
        """Of a named tuple, or a sequence or mapping of its four parts."""
        parts = sequence(arch, 4, "normal, normal_concat, reduce and reduce_concat", where)
        at = [f"{where}.{key}" for key in Genotype._fields]
        normal, reduce = (
            Cell(self._pairs_of(parts[i], at[i]), self._concat_of(parts[i + 1], at[i + 1]))
            for i in (0, 2)
        )
        return normal, reduce

    def _pairs_of(self, value: object, where: str) -> tuple[tuple[int, int], ...]:
        n = 2 * self.n_nodes
        pairs = []
        for i, entry in enumerate(sequence(value, n, f"{n} pairs (operation, source)", where)):
            at = f"{where}[{i}]"
            op, source = sequence(entry, 2, "a pair (operation, source)", at)
            pairs.append((self._op_of(op, at), number(source, 0, 1 + i // 2, f"{at}, its source")))
        return tuple(pairs)

    def _op_of(self, op: object, where: str) -> int:
        if not isinstance(op, str) or op not in self.ops:
            known = ", ".join(self.ops)
            raise ArchitectureError(f"{where}: expected one of {known}; got {reprlib.repr(op)}")
        return self.ops.index(op)

    def _concat_of(self, value: object, where: str) -> tuple[int, ...]:
        if isinstance(value, range):
            value = list(value)
        last = self.n_nodes + 1
        nodes = tuple(
            number(node, 2, last, f"{where}[{i}]")
            for i, node in enumerate(sequence(value, None, "a list of nodes", where))
        )
        if not nodes or any(a >= b for a, b in itertools.pairwise(nodes)):
            raise ArchitectureError(f"{where}: expected ascending nodes, got {list(nodes)}")
        if not self.has_concat and nodes != self.nodes():
            raise ArchitectureError(
                f"{where}: expected all nodes, 2 to {last}, got {reprlib.repr(list(nodes))}"
            )
        return nodes

    def format(self, genes: Sequence[int]) -> str:
        """The text of an architecture's integers; see `parse`."""
        return _core.space_format(self.name, genes)

    def to_genotype(self, arch: ArchLike) -> Genotype:
        """The named tuple of DARTS."""
        _, normal, reduce = self.split(self.parse(arch))
        return Genotype(
            [(self.ops[op], source) for op, source in normal.pairs],
            list(normal.concat),
            [(self.ops[op], source) for op, source in reduce.pairs],
            list(reduce.concat),
        )

    def to_dict(self, arch: ArchLike) -> dict[str, Any]:
        """The four parts of the named tuple by their names, with lists for pairs, as JSON has."""
        cells = self.to_genotype(arch)._asdict()
        return {key: [list(p) if isinstance(p, tuple) else p for p in cells[key]] for key in cells}

    def to_networkx(self, arch: ArchLike) -> tuple[networkx.MultiDiGraph, networkx.MultiDiGraph]:
        """Both cells as graphs, the normal one first.

        Parameters
        ----------
        arch : str, int, sequence or mapping

        Returns
        -------
        tuple of two networkx.MultiDiGraph
            Vertices are the states, from 0, and ``"output"``. An edge from a source to a node has
            ``op`` and ``pair``, its number in the genotype; edges to the output have neither.

        Raises
        ------
        ImportError
            Without networkx, which ``pip install 'zeroshot[graphs]'`` brings.
        """
        networkx = import_networkx()
        _, *cells = self.split(self.parse(arch))
        graphs = []
        for cell in cells:
            graph = networkx.MultiDiGraph()
            graph.add_nodes_from([*range(2 + self.n_nodes), "output"])
            for i, (op, source) in enumerate(cell.pairs):
                graph.add_edge(source, 2 + i // 2, op=self.ops[op], pair=i)
            graph.add_edges_from((node, "output") for node in cell.concat)
            graphs.append(graph)
        return graphs[0], graphs[1]

    def _cells_of_networkx(
        self, normal: networkx.MultiDiGraph, reduce: networkx.MultiDiGraph
    ) -> tuple[Cell, Cell]:
        return self._cell_of_networkx(normal, "normal"), self._cell_of_networkx(reduce, "reduce")

    def _cell_of_networkx(self, graph: networkx.MultiDiGraph, where: str) -> Cell:
        feeds: dict[Any, list[tuple[int, int, str]]] = {}
        for source, target, data in graph.edges(data=True):
            feeds.setdefault(target, []).append((data.get("pair", 0), source, data.get("op")))
        pairs = []
        for node in self.nodes():
            two = sorted(feeds.get(node, []), key=lambda edge: edge[:2])
            if len(two) != 2:
                raise ArchitectureError(f"{where}: expected 2 edges to {node}, got {len(two)}")
            for _, source, op in two:
                at = f"{where}, edge {source!r} to {node}"
                pairs.append((self._op_of(op, at), number(source, 0, node - 1, at)))
        output = sorted(source for _, source, _ in feeds.get("output", []))
        return Cell(tuple(pairs), self._concat_of(output, f"{where}, edges to the output"))

    # --- the whole space

    @abstractmethod
    def radices(self) -> tuple[int, ...]:
        """How many values each digit of an index has, the last running fastest."""

    @abstractmethod
    def genes_of(self, digits: Sequence[int]) -> Genes:
        """The architecture with these digits."""

    @abstractmethod
    def digits_of(self, genes: Genes) -> list[int]:
        """The digits of an architecture, or of that of `enumerate_all` which is equal to it."""

    @property
    def size(self) -> int:
        product = 1
        for radix in self.radices():
            product *= radix
        return product

    def _genes_at(self, index: int | np.integer[Any]) -> Genes:
        at = check_index(index, self.size)
        digits = []
        for radix in reversed(self.radices()):
            at, digit = divmod(at, radix)
            digits.append(digit)
        return self.genes_of(digits[::-1])

    def from_index(self, index: int | np.integer[Any]) -> str:
        """The architecture with a number in `enumerate_all`."""
        return self.format(self._genes_at(index))

    def to_index(self, arch: ArchLike) -> int:
        """The number of an architecture in `enumerate_all`."""
        index = 0
        digits = self.digits_of(self.parse(arch))
        for digit, radix in zip(digits, self.radices(), strict=True):
            index = index * radix + digit
        return index

    def enumerate_all(self) -> Iterator[str]:
        """All architectures in the order of their numbers; nobody has seen the last one."""
        index = 0
        while index < self.size:
            yield self.from_index(index)
            index += 1

    def sample(
        self, n: int, seed: int | np.random.Generator, *, replace: bool = False
    ) -> list[str]:
        """Random architectures of `enumerate_all`, all equally likely.

        Parameters
        ----------
        n : int
            How many.
        seed : int or numpy.random.Generator
            A generator is advanced.
        replace : bool
            Whether an architecture may come more than once.

        Returns
        -------
        list of str

        Raises
        ------
        ValueError
            If `n` is negative or, without `replace`, above `SIZE`.
        """
        check_count(n, self.size, replace)
        rng = np.random.default_rng(seed)
        radices = self.radices()
        found: list[str] = []
        seen: set[str] = set()
        while len(found) < n:
            text = self.format(self.genes_of(rng.integers(radices).tolist()))
            if replace or text not in seen:
                seen.add(text)
                found.append(text)
        return found

    # --- steps

    def _after_step(self, cell: Cell) -> Cell:
        """The cell as its space concatenates it, after a source has changed."""
        return cell

    def _sources(self, cell: Cell, i: int) -> list[int]:
        """Other sources that pair `i` may have."""
        return [s for s in range(2 + i // 2) if s != cell.pairs[i][1]]

    def _headers(self, header: Genes) -> list[Genes]:
        """Those one step away."""
        return []

    def _near(self, arch: ArchLike) -> list[Genes]:
        header, *cells = self.split(self.parse(arch))
        near = [self.join(other, *cells) for other in self._headers(header)]
        for which, cell in enumerate(cells):
            for i, (op, source) in enumerate(cell.pairs):
                others = [(o, source) for o in range(len(self.ops)) if o != op]
                moved = [(op, s) for s in self._sources(cell, i)]
                for k, pair in enumerate(others + moved):
                    changed = cell._replace(pairs=(*cell.pairs[:i], pair, *cell.pairs[i + 1 :]))
                    if k >= len(others):
                        changed = self._after_step(changed)
                    both = [changed, cells[1]] if which == 0 else [cells[0], changed]
                    near.append(self.join(header, *both))
        return near

    def neighbours(self, arch: ArchLike) -> list[str]:
        """All architectures one step away: pair by pair with every other operation, then with
        every other source; in NDS first those of another width, then of another depth."""
        return list(map(self.format, self._near(arch)))

    def mutate(self, arch: ArchLike, rng: np.random.Generator) -> str:
        """A random one of `neighbours`, all equally likely.

        Parameters
        ----------
        arch : str, int, sequence or mapping
            The parent.
        rng : numpy.random.Generator
            Advanced by one draw.

        Returns
        -------
        str
        """
        near = self._near(arch)
        return self.format(near[int(rng.integers(len(near)))])

    # --- which architectures are the same

    def canonical(self, arch: ArchLike) -> str:
        """The architecture with the two pairs of each node in the order of their sources, then of
        `OPS`: as a sum has no order. What cannot reach the logits is made plain: a ``none`` reads
        0, a node that nobody reads is two pools of state 0."""
        return self.representative(arch)

    def representative(self, arch: ArchLike, mode: Canonical = "form") -> str:
        """The architecture that is scored for all that are equal to it (`zeroshot.Options`).

        Parameters
        ----------
        arch : str, int, sequence or mapping
        mode : {"form", "network"}
            Both give what `canonical` gives: the order of a node's pairs changes the draw of
            weights alone.

        Returns
        -------
        str
        """
        check_mode(mode)
        header, normal, reduce = self.split(self.parse(arch))
        return self.format(self.join(header, self._canonical(normal), self._canonical(reduce)))

    def _canonical(self, cell: Cell) -> Cell:
        none = self.ops.index("none") if "none" in self.ops else -1
        pool = self.ops.index(_NO_WEIGHTS)
        live = set(cell.concat)
        pairs: list[tuple[int, int]] = []
        for node in reversed(self.nodes()):
            two = [
                (op, 0 if op == none else s) for op, s in cell.pairs[2 * node - 4 : 2 * node - 2]
            ]
            if node in live:
                live |= {source for op, source in two if op != none}
            else:
                two = [(pool, 0), (pool, 0)]
            pairs = sorted(two, key=lambda pair: (pair[1], pair[0])) + pairs
        return cell._replace(pairs=tuple(pairs))
