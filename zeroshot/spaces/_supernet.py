"""Supernets: a set of operations on every edge, from which a search takes one after the other."""

from __future__ import annotations

__all__ = ["Pruning", "Supernet"]

import reprlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces._protocol import ArchLike, Canonical, Genes, as_genes, check_count, check_mode


class Pruning(NamedTuple):
    """A supernet with one operation less.

    Attributes
    ----------
    edge : str
        One of `Supernet.edges`.
    op : str
        The operation that was there.
    arch : str
        What is left.
    """

    edge: str
    op: str
    arch: str


class Supernet:
    """What the modules of supernets share; their functions are its methods.

    Parameters
    ----------
    name : str
        The space.
    ops : tuple of str
        Operations in the order of the bits of a set, ``none`` first.
    edges : tuple of str
        Names of edges in the order of genes.
    options : tuple of int
        The genes behind those of the edges, as they are where a text does not say.
    """

    def __init__(
        self, name: str, ops: tuple[str, ...], edges: tuple[str, ...], options: Genes
    ) -> None:
        self.name: Final = name
        self.ops: Final = ops
        self.edges: Final = edges
        self.options: Final = options
        self.size: Final = 2 ** (len(ops) * len(edges))

    # --- notations ---------------------------------------------------------------------------

    def parse(self, arch: ArchLike) -> Genes:
        """The sets of a supernet as bits, edge by edge, and its options.

        Parameters
        ----------
        arch : str, bytes or sequence
            A text; for each of `EDGES` the names of its operations; or the integers that this
            function returns, as an array, too.

        Returns
        -------
        tuple of int

        Raises
        ------
        ArchitectureError
            If `arch` is no supernet; for a string with the position of the fault.
        TypeError
            If `arch` is of another type.
        """
        if isinstance(arch, str | bytes):
            return _core.space_parse(self.name, arch)
        if isinstance(arch, np.ndarray):
            arch = arch.tolist()
        if not isinstance(arch, Sequence):
            raise TypeError(
                f"arch: expected a string, the operations of each edge or integers, "
                f"got {type(arch).__name__}"
            )
        n_genes = len(self.edges) + len(self.options)
        if len(arch) == n_genes:
            return as_genes(self.name, arch)
        if len(arch) != len(self.edges):
            raise ArchitectureError(
                f"arch: expected the operations of {len(self.edges)} edges or {n_genes} integers, "
                f"got {len(arch)} items"
            )
        sets = [self._bits(ops, f"arch[{i}]") for i, ops in enumerate(arch)]
        return (*sets, *self.options)

    def format(self, genes: Sequence[int]) -> str:
        """The text of sets and options."""
        return _core.space_format(self.name, genes)

    def sets(self, arch: ArchLike) -> dict[str, tuple[str, ...]]:
        """The operations on each edge.

        Returns
        -------
        dict
            From every edge to the names of its operations, in the order of `OPS`.
        """
        genes = self.parse(arch)
        return {edge: self._names(genes[i]) for i, edge in enumerate(self.edges)}

    def to_lists(self, arch: ArchLike) -> list[list[str]]:
        """The operations of each edge, in the order of `EDGES`."""
        return [list(ops) for ops in self.sets(arch).values()]

    def full(self, *, none: bool = False) -> str:
        """The supernet with all operations on all edges.

        Parameters
        ----------
        none : bool
            Also ``none``, which TE-NAS takes away before the first step.
        """
        bits = 2 ** len(self.ops) - 1 - (not none)
        return self.format([bits] * len(self.edges) + list(self.options))

    # --- steps -------------------------------------------------------------------------------

    def prunings(self, arch: ArchLike) -> list[Pruning]:
        """All supernets with one operation less, of edges that keep at least one.

        In the order of edges, then of operations. A network and the same one pruned draw the same
        weights for what both have, from one seed.
        """
        genes = self.parse(arch)
        return [
            Pruning(edge, op, self._toggled(genes, i, self.ops.index(op)))
            for i, edge in enumerate(self.edges)
            if genes[i].bit_count() > 1
            for op in self._names(genes[i])
        ]

    def without(self, arch: ArchLike, edge: str, op: str | None = None) -> str:
        """A supernet without an operation, or without all of an edge.

        Parameters
        ----------
        arch : str, bytes or sequence
        edge : str
            One of `EDGES`.
        op : str, optional
            All of them unless given.
        """
        genes = list(self.parse(arch))
        if edge not in self.edges:
            raise ValueError(
                f"edge: expected one of {', '.join(self.edges)}; got {reprlib.repr(edge)}"
            )
        i = self.edges.index(edge)
        if op is not None and op not in self._names(genes[i]):
            raise ValueError(
                f"op: expected one of the operations of edge {edge} "
                f"({', '.join(self._names(genes[i])) or 'it has none'}); got {reprlib.repr(op)}"
            )
        genes[i] = 0 if op is None else genes[i] - (1 << self.ops.index(op))
        return self.format(genes)

    # --- the whole space, samples, neighbours ------------------------------------------------

    def enumerate_all(self) -> Iterator[str]:
        """Every choice of sets once, the last edge fastest; options as usual."""
        sets_of_edge = 2 ** len(self.ops)
        digits = [0] * len(self.edges)
        while True:
            yield self.format(digits + list(self.options))
            place = len(digits) - 1
            while place >= 0 and digits[place] == sets_of_edge - 1:
                digits[place] = 0
                place -= 1
            if place < 0:
                return
            digits[place] += 1

    def sample(
        self, n: int, seed: int | np.random.Generator, *, replace: bool = False
    ) -> list[str]:
        """Random supernets: each operation of each edge is there or not, equally likely.

        Parameters
        ----------
        n : int
            How many.
        seed : int or numpy.random.Generator
            A generator is advanced.
        replace : bool
            Whether one may come more than once.

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
        found: dict[str, None] = {}
        drawn: list[str] = []
        while len(drawn) < n:
            sets = rng.integers(2 ** len(self.ops), size=len(self.edges)).tolist()
            text = self.format(sets + list(self.options))
            if replace or text not in found:
                found[text] = None
                drawn.append(text)
        return drawn

    def mutate(self, arch: ArchLike, rng: np.random.Generator) -> str:
        """A random one of `neighbours`.

        Parameters
        ----------
        arch : str, bytes or sequence
            The parent.
        rng : numpy.random.Generator
            Advanced by one draw.
        """
        at = int(rng.integers(len(self.edges) * len(self.ops)))
        return self._toggled(self.parse(arch), *divmod(at, len(self.ops)))

    def neighbours(self, arch: ArchLike) -> list[str]:
        """All supernets with one operation more or less, edge by edge in the order of `OPS`."""
        genes = self.parse(arch)
        places = ((i, op) for i in range(len(self.edges)) for op in range(len(self.ops)))
        return [self._toggled(genes, i, op) for i, op in places]

    def canonical(self, arch: ArchLike) -> str:
        """The text in its one normal spelling."""
        return self.format(self.parse(arch))

    def representative(self, arch: ArchLike, mode: Canonical = "form") -> str:
        """The supernet itself."""
        check_mode(mode)
        return self.canonical(arch)

    # --- inside ------------------------------------------------------------------------------

    def _names(self, bits: int) -> tuple[str, ...]:
        return tuple(op for i, op in enumerate(self.ops) if bits >> i & 1)

    def _toggled(self, genes: Genes, edge: int, op: int) -> str:
        return self.format((*genes[:edge], genes[edge] ^ 1 << op, *genes[edge + 1 :]))

    def _bits(self, ops: Any, where: str) -> int:
        if isinstance(ops, str) or not isinstance(ops, Collection):
            raise ArchitectureError(
                f"{where}: expected a collection of operations, got {reprlib.repr(ops)}"
            )
        bits = 0
        for op in ops:
            if op not in self.ops or bits >> self.ops.index(op) & 1:
                raise ArchitectureError(
                    f"{where}: expected each of {', '.join(self.ops)} at most once; "
                    f"got {reprlib.repr(op)}"
                )
            bits |= 1 << self.ops.index(op)
        return bits
