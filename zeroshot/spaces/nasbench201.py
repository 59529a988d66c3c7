"""NAS-Bench-201, the same 15,625 cells as the topology space of NATS-Bench.

A cell is a graph on nodes 0 (input) to 3 (output); each of the six edges from a lower to a
higher node carries one of five operations, and a node is the sum of its incoming terms::

    |op~0|+|op~0|op~1|+|op~0|op~1|op~2|        node 1 + node 2 + node 3, op~j from node j

Every function that takes an architecture accepts

- that string (terms of a node in any order),
- the benchmark's index, 0 to 15624,
- six operation names, or six operation numbers (positions in `OPS`), in the order of `EDGES`,
- nested tuples of (operation, source): ``((a, 0),), ((b, 0), (c, 1)), ...``.

Six numbers are never read as NASLib's, which have another order of edges *and* of operations:
use `from_naslib`.

Cells that are equal, in four senses, each text with how many there are:

- `unique_string`, 6,466: the benchmark's own, which misses some terms that are zero;
- `live_form`, 5,390: without zero terms, but sums in sums are not sorted anew;
- `network_form`, 5,260: the same network up to the draw of weights, ``canonical="network"``;
- `function_form`, 4,930: the same formula, whichever terms share their weights,
  ``canonical="form"``: one convolution that is added twice is equal to two that are added.

References
----------
.. [1] X. Dong and Y. Yang, "NAS-Bench-201", ICLR 2020.
.. [2] X. Dong, L. Liu, K. Musial and B. Gabrys, "NATS-Bench", TPAMI 2021.
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
    "from_index",
    "from_naslib",
    "from_networkx",
    "function_form",
    "has_path",
    "live_edges",
    "live_form",
    "mutate",
    "neighbours",
    "network_form",
    "parse",
    "representative",
    "sample",
    "to_index",
    "to_names",
    "to_naslib",
    "to_nested",
    "to_networkx",
    "unique_string",
]

import itertools
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces._cell_forms import (
    EDGES,
    NOTHING,
    OPS,
    function_text,
    least_work,
    live_of,
    network_text,
)
from zeroshot.spaces._protocol import (
    ArchLike,
    Canonical,
    Genes,
    check_count,
    check_index,
    check_mode,
    draw_indices,
    import_networkx,
)

if TYPE_CHECKING:
    import networkx

NAME: Final = "nasbench201"
SIZE: Final = len(OPS) ** len(EDGES)

_NONE, _SKIP = OPS.index("none"), OPS.index("skip_connect")

_NASLIB_OPS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_NASLIB_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))


# --- notations -------------------------------------------------------------------------------


def parse(arch: ArchLike) -> Genes:
    """Operation numbers of a cell, in any notation.

    Parameters
    ----------
    arch : str, bytes, int or sequence
        See the top of this module.

    Returns
    -------
    tuple of six int
        Positions in `OPS`, in the order of `EDGES`.

    Raises
    ------
    ArchitectureError
        If `arch` is not a cell; for a string with the position of the fault.
    TypeError
        If `arch` is of another type.

    Examples
    --------
    >>> parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|")
    (3, 0, 1, 0, 0, 4)
    >>> parse(["nor_conv_3x3", "none", "skip_connect", "none", "none", "avg_pool_3x3"])
    (3, 0, 1, 0, 0, 4)
    """
    if isinstance(arch, np.ndarray):
        arch = arch.tolist()
    if isinstance(arch, str | bytes):
        return _core.space_parse(NAME, arch)
    if isinstance(arch, int | np.integer) and not isinstance(arch, bool):
        return _genes_at(arch)
    if not isinstance(arch, Sequence):
        raise TypeError(
            "arch: expected a string, an index, six operations or nested (operation, source) "
            f"pairs, got {type(arch).__name__}"
        )
    if len(arch) == 3:
        return _from_nested(arch)
    if len(arch) != len(EDGES):
        raise ArchitectureError(
            f"arch: expected {len(EDGES)} operations or 3 nested groups, got {len(arch)} items"
        )
    return tuple(_op_number(op, f"arch[{i}]") for i, op in enumerate(arch))


def _number(value: object, n: int) -> int | None:
    """`value` as an integer 0 to `n` - 1, or None."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        return None
    return int(value) if 0 <= value < n else None


def _op_number(op: object, where: str) -> int:
    number = OPS.index(op) if isinstance(op, str) and op in OPS else _number(op, len(OPS))
    if number is None:
        raise ArchitectureError(
            f"{where}: expected one of {', '.join(OPS)} or its number 0 to {len(OPS) - 1}, "
            f"got {reprlib.repr(op)}"
        )
    return number


def _items(value: object, n: int, what: str, where: str) -> Sequence[Any]:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) == n:
        return value
    raise ArchitectureError(f"{where}: expected {what}, got {reprlib.repr(value)}")


def _from_nested(groups: Sequence[Any]) -> Genes:
    ops: dict[tuple[int, int], int] = {}
    for node, group in enumerate(groups, start=1):
        group_at = f"arch[{node - 1}]"
        what = f"{node} pair{'s'[: node > 1]} (operation, source)"
        for i, pair in enumerate(_items(group, node, what, group_at)):
            where = f"{group_at}[{i}]"
            op, source = _items(pair, 2, "a pair (operation, source)", where)
            number = _number(source, node)
            if number is None or (number, node) in ops:
                raise ArchitectureError(
                    f"{where}: expected each source 0 to {node - 1} once, "
                    f"got {reprlib.repr(source)}"
                )
            ops[number, node] = _op_number(op, where)
    return tuple(ops[edge] for edge in EDGES)


def format(genes: Sequence[int]) -> str:
    """The string of six operation numbers.

    Parameters
    ----------
    genes : sequence of six int
        Positions in `OPS`, in the order of `EDGES`.

    Returns
    -------
    str
        With the terms of each node sorted by source.

    Examples
    --------
    >>> format((3, 0, 1, 0, 0, 4))
    '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|'
    """
    return _core.space_format(NAME, genes)


def to_names(arch: ArchLike) -> tuple[str, ...]:
    """The names of the six operations, in the order of `EDGES`.

    Examples
    --------
    >>> to_names((0, 0, 1, 0, 0, 4))
    ('none', 'none', 'skip_connect', 'none', 'none', 'avg_pool_3x3')
    """
    return tuple(OPS[op] for op in parse(arch))


def to_nested(arch: ArchLike) -> tuple[tuple[tuple[str, int], ...], ...]:
    """Nested tuples of (operation, source), one group per node.

    Examples
    --------
    >>> to_nested("|none~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|")[1]
    (('none', 0), ('skip_connect', 1))
    """
    genes = parse(arch)
    return tuple(
        tuple((OPS[op], j) for op, (j, i) in zip(genes, EDGES, strict=True) if i == node)
        for node in (1, 2, 3)
    )


def from_naslib(ops: Sequence[int]) -> str:
    """The string of NASLib's six numbers.

    NASLib numbers ``skip_connect, none, nor_conv_3x3, nor_conv_1x1, avg_pool_3x3`` from 0, on
    edges (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3).

    Examples
    --------
    >>> from_naslib((0, 2, 3, 2, 3, 1))
    '|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_1x1~1|none~2|'
    """
    numbers = [number for op in ops if (number := _number(op, len(OPS))) is not None]
    if len(ops) != len(EDGES) or len(numbers) != len(EDGES):
        raise ArchitectureError(
            f"ops: expected six numbers 0 to {len(OPS) - 1}, got {reprlib.repr(ops)}"
        )
    at = dict(zip(_NASLIB_EDGES, numbers, strict=True))
    return format([OPS.index(_NASLIB_OPS[at[edge]]) for edge in EDGES])


def to_naslib(arch: ArchLike) -> Genes:
    """NASLib's six numbers of a cell; see `from_naslib`."""
    at = dict(zip(EDGES, parse(arch), strict=True))
    return tuple(_NASLIB_OPS.index(OPS[at[edge]]) for edge in _NASLIB_EDGES)


def to_networkx(arch: ArchLike) -> networkx.DiGraph:
    """The cell as a graph: vertices 0 to 3, and six edges, each with its ``op``, also ``none``.

    Raises
    ------
    ImportError
        Without networkx, which ``pip install 'zeroshot[graphs]'`` brings.
    """
    graph = import_networkx().DiGraph()
    graph.add_nodes_from(range(4))
    for op, (source, node) in zip(parse(arch), EDGES, strict=True):
        graph.add_edge(source, node, op=OPS[op])
    return graph


def from_networkx(graph: networkx.Graph) -> str:
    """The string of a graph as `to_networkx` makes it; an edge that is not there is ``none``."""
    ops: dict[tuple[int, int], int] = {}
    for source, node, data in graph.edges(data=True):
        where = f"graph, edge {source!r} to {node!r}"
        if (source, node) not in EDGES or (source, node) in ops:
            raise ArchitectureError(f"{where}: expected each of {EDGES} once at the most")
        ops[source, node] = _op_number(data.get("op"), where)
    return format([ops.get(edge, _NONE) for edge in EDGES])


# --- the benchmark's numbering ---------------------------------------------------------------


@cache
def _official_order() -> tuple[tuple[Genes, ...], dict[Genes, int]]:
    """All cells in the benchmark's order, and its inverse.

    The benchmark shuffled the enumeration after ``random.seed(88)``; CPython keeps that
    sequence stable between versions.
    """
    import random

    cells = list(_enumerate_genes())
    random.Random(88).shuffle(cells)
    return tuple(cells), {cell: index for index, cell in enumerate(cells)}


def _genes_at(index: int | np.integer[Any]) -> Genes:
    return _official_order()[0][check_index(index, SIZE)]


def from_index(index: int | np.integer[Any]) -> str:
    """The cell with a number of the NAS-Bench-201 / NATS-Bench API.

    Examples
    --------
    >>> from_index(9)
    '|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|'
    """
    return format(_genes_at(index))


def to_index(arch: ArchLike) -> int:
    """The number of a cell in the NAS-Bench-201 / NATS-Bench API.

    Examples
    --------
    >>> to_index("|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    9
    """
    return _official_order()[1][parse(arch)]


# --- the whole space, samples, steps ---------------------------------------------------------


def _enumerate_genes() -> Iterator[Genes]:
    return itertools.product(range(len(OPS)), repeat=len(EDGES))


def enumerate_all() -> Iterator[str]:
    """All cells, the last edge running fastest (not the order of the index).

    Examples
    --------
    >>> next(enumerate_all())
    '|none~0|+|none~0|none~1|+|none~0|none~1|none~2|'
    """
    return map(format, _enumerate_genes())


def sample(n: int, seed: int | np.random.Generator, *, replace: bool = False) -> list[str]:
    """Random cells, all equally likely.

    Parameters
    ----------
    n : int
        How many.
    seed : int or numpy.random.Generator
        A generator is advanced.
    replace : bool
        Whether a cell may come more than once, as in the benchmark's random search (each edge
        is then drawn by itself).

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If `n` is negative or, without `replace`, above `SIZE`.
    """
    if not replace:
        return [from_index(i) for i in draw_indices(n, SIZE, seed, replace)]
    check_count(n, SIZE, replace)
    rng = np.random.default_rng(seed)
    return [format(g) for g in rng.integers(0, len(OPS), size=(n, len(EDGES))).tolist()]


def mutate(arch: ArchLike, rng: np.random.Generator) -> str:
    """A random cell that differs in one operation, by the rule of the benchmark's searches.

    A node is drawn, then one of its edges, then another operation, each uniformly: the edge
    into node 1 changes with probability 1/3, those into node 3 with 1/9 each. For a uniform
    draw over edges take a random one of `neighbours`.

    Parameters
    ----------
    arch : str, int or sequence
        The parent.
    rng : numpy.random.Generator
        Advanced by three draws.

    Returns
    -------
    str
    """
    genes = list(parse(arch))
    node = int(rng.integers(1, 4))
    edge = EDGES.index((int(rng.integers(node)), node))
    genes[edge] = (genes[edge] + int(rng.integers(1, len(OPS)))) % len(OPS)
    return format(genes)


def neighbours(arch: ArchLike) -> list[str]:
    """The 24 cells that differ in one operation, edge by edge in the order of `OPS`."""
    genes = parse(arch)
    return [
        format((*genes[:edge], op, *genes[edge + 1 :]))
        for edge in range(len(EDGES))
        for op in range(len(OPS))
        if op != genes[edge]
    ]


# --- which cells are the same ----------------------------------------------------------------


def _node_texts(genes: Genes, *, drop_zeros: bool) -> str:
    """Text of node 3: terms sorted and joined; a skipped-over node stands in its own text."""
    texts = ["0"]
    for node in (1, 2, 3):
        terms = []
        for op, (source, target) in zip(genes, EDGES, strict=True):
            if target != node:
                continue
            if op == _NONE or texts[source] == NOTHING:
                terms.append(NOTHING)
            elif op == _SKIP:
                terms.append(texts[source])
            else:
                terms.append(f"({texts[source]})@{OPS[op]}")
        if drop_zeros:
            terms = [term for term in terms if term != NOTHING] or [NOTHING]
        texts.append("+".join(sorted(terms)))
    return texts[3]


def unique_string(arch: ArchLike) -> str:
    """The benchmark's own text for telling isomorphic cells apart: 6,466 in all.

    Its rule is kept to the letter: a node whose terms are all zero gets the text ``#+#``,
    which the next node does not recognise as zero. `live_form` and `function_form` do.

    Examples
    --------
    >>> unique_string("|skip_connect~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|")
    '#+#+#+(0)@nor_conv_1x1'
    """
    return _node_texts(parse(arch), drop_zeros=False)


def live_form(arch: ArchLike) -> str:
    """`unique_string` without zero terms: 5,390 in all, ``#`` for the 341 cells without a path.

    Sums that are skipped into sums are joined as text but not sorted anew, so a few cells that
    differ only in how a sum is nested keep different texts.

    Examples
    --------
    >>> live_form("|skip_connect~0|+|none~0|nor_conv_1x1~1|+|none~0|none~1|skip_connect~2|")
    '(0)@nor_conv_1x1'
    """
    return _node_texts(parse(arch), drop_zeros=True)


def function_form(arch: ArchLike) -> str:
    """Text of the formula that a cell computes, up to the draw of weights: 4,930 in all.

    Zero terms are dropped, operations on zero are zero, skips are looked through, nested sums
    are flattened and sorted.

    One convolution that is added twice and two that are added have one text here, though their
    weights differ in number: in 326 forms, which have 2,432 cells, not all members have the same
    live weights, and their scores differ by more than the draw does. `network_form` tells these
    apart.

    Examples
    --------
    >>> function_form("|skip_connect~0|+|skip_connect~0|none~1|+|none~0|none~1|avg_pool_3x3~2|")
    '(0)@avg_pool_3x3'
    """
    return function_text(parse(arch))


canonical = function_form


def network_form(arch: ArchLike) -> str:
    """Text of the network that is left of a cell, up to the draw of weights: 5,260 in all.

    As `function_form`; convolutions of the same text are numbered, so that it shows whether terms
    share their weights. Cells with one text have the same live weights and, but for their draw, the
    same gradients.

    Examples
    --------
    >>> network_form((2, 0, 0, 2, 1, 0))
    '(0)@nor_conv_1x1.1+(0)@nor_conv_1x1.2'
    >>> network_form((2, 0, 1, 0, 1, 1))  # one convolution, added twice
    '(0)@nor_conv_1x1.1+(0)@nor_conv_1x1.1'
    """
    return network_text(parse(arch))


_FORMS: Final[Mapping[Canonical, Callable[[ArchLike], str]]] = {
    "form": function_form,
    "network": network_form,
}


@cache
def _representatives(mode: Canonical) -> dict[str, str]:
    found = least_work(_enumerate_genes(), _FORMS[mode])
    return {text: format(genes) for text, genes in found.items()}


def representative(arch: ArchLike, mode: Canonical = "form") -> str:
    """The cell that is scored for all cells that are equal to it (`zeroshot.Options.canonical`).

    A member without dead operations and with the least work: multiply-adds, then pools, then skips;
    of several the first of `enumerate_all`.

    Parameters
    ----------
    arch : str, int or sequence
    mode : {"form", "network"}
        Equal are cells with the same `function_form`: 4,930 of the 15,625, with 1/2.28 of the live
        multiply-adds; or with the same `network_form`: 5,260, with 1/2.12.

    Returns
    -------
    str

    Examples
    --------
    >>> representative("|nor_conv_3x3~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|")
    '|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|'
    >>> two = "|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_1x1~0|skip_connect~1|none~2|"
    >>> representative(two)  # one convolution, added twice
    '|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|'
    >>> representative(two, "network")
    '|none~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|none~1|nor_conv_1x1~2|'
    """
    check_mode(mode)
    return _representatives(mode)[_FORMS[mode](arch)]


def live_edges(arch: ArchLike) -> tuple[bool, ...]:
    """Which edges lie on a path from node 0 to node 3 that crosses no ``none``.

    Returns
    -------
    tuple of six bool
        In the order of `EDGES`.

    Examples
    --------
    >>> live_edges("|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    (False, False, False, True, False, False)
    """
    return live_of(parse(arch))


def has_path(arch: ArchLike) -> bool:
    """Whether anything reaches the output: true for 15,284 cells of the 15,625.

    Examples
    --------
    >>> has_path("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    False
    """
    return any(live_edges(arch))
