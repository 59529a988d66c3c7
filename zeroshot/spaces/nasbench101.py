"""NAS-Bench-101: 423,624 modules, graphs of at most 7 vertices and 9 edges.

Vertex 0 is the input, the last one the output, each of the others has one of three operations, and
edges go from lower to higher vertices::

    adj=0101/0010/0001/0000;ops=input,conv3x3-bn-relu,conv1x1-bn-relu,output

``adj`` are the rows of the matrix: row x, column y is 1 where x feeds y. Vertices that are on no
path from input to output are removed first, as in the benchmark; limits hold for what is left.
Papers' code also builds modules of more than nine edges: their text begins with how many,
``edges=12;adj=...``. They are in no enumeration and have no number.

Every function that takes an architecture accepts

- that string,
- a pair (matrix, operations), the operations as names, or as -1 input, 0 conv3x3, 1 conv1x1,
  2 maxpool3x3, -2 output; also as JSON text, ``[[[0, 1], [0, 0]], [-1, -2]]``,
- NASLib's flat tuple: all entries of the matrix, then the operations, there 0 input, 1 output,
  2 maxpool3x3, 3 conv1x1, 4 conv3x3,
- its number in `enumerate_all`, 0 to 423623 (the benchmark has hashes, `module_hash`).

Modules are equal if they differ in the numbering of their vertices alone: `enumerate_all` has one
of each, `canonical` gives that one. Channels are dealt out by number, though: three vertices that
feed the output of 16 channels have 6, 5 and 5 of them. ``canonical="network"`` joins modules only
if the vertices that feed the output come in the same order, and so have the same channels.

Networks have ``cells`` modules in each of three stacks (3 in the benchmark) and ``channels`` in the
first one: 16 by default, as in the code of NASWOT and xi-GSNR; 128 in the benchmark. The same code
redraws all weights after they are drawn, ``init="nasbench101"``.

References
----------
.. [1] C. Ying, A. Klein, E. Christiansen, E. Real, K. Murphy and F. Hutter, "NAS-Bench-101: Towards
   Reproducible Neural Architecture Search", ICML 2019.
"""

from __future__ import annotations

__all__ = [
    "MAX_EDGES",
    "MAX_VERTICES",
    "NAME",
    "OPS",
    "SIZE",
    "canonical",
    "enumerate_all",
    "format",
    "from_bits",
    "from_index",
    "from_networkx",
    "module_hash",
    "mutate",
    "neighbours",
    "parse",
    "representative",
    "sample",
    "to_bits",
    "to_index",
    "to_json",
    "to_matrix",
    "to_naslib",
    "to_networkx",
]

import reprlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces._modules101 import (
    MOST_ROWS,
    NAME,
    NASLIB,
    OPS,
    from_json,
    from_naslib,
    from_pair,
    integer,
    sequence,
)
from zeroshot.spaces._protocol import (
    ArchLike,
    Canonical,
    Genes,
    check_index,
    check_mode,
    draw_indices,
    import_networkx,
)

if TYPE_CHECKING:
    import networkx

MAX_VERTICES: Final = 7
MAX_EDGES: Final = 9
SIZE: Final = 423_624

_COUNTS = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}  # of vertices: modules
_INNER = MAX_VERTICES - 2
_N_BITS = MAX_VERTICES * (MAX_VERTICES - 1) // 2
_N_GENES = 1 + _INNER + _N_BITS


def _bit(x: int, y: int) -> int:
    """The number of edge (x, y), as the benchmark's enumeration numbers them."""
    return x + y * (y - 1) // 2


# --- notations -------------------------------------------------------------------------------


def parse(arch: ArchLike) -> Genes:
    """The integers behind a module, in any notation; vertices on no path are removed.

    Parameters
    ----------
    arch : str, bytes, int or sequence
        See the top of this module.

    Returns
    -------
    tuple of 27 int
        Number of vertices; operations of vertices 1 to 5, positions in `OPS`, 0 where there is no
        such vertex; 21 edges, (x, y) at x + y(y-1)/2.

    Raises
    ------
    ArchitectureError
        If `arch` is no module; for a string with the position of the fault.
    TypeError
        If `arch` is of another type.

    Examples
    --------
    >>> parse("adj=011/001/000;ops=input,maxpool3x3,output")[:9]
    (3, 2, 0, 0, 0, 0, 1, 1, 1)
    >>> format(parse(([[0, 1, 1], [0, 0, 0], [0, 0, 0]], ["input", "maxpool3x3", "output"])))
    'adj=01/00;ops=input,output'
    """
    if isinstance(arch, np.ndarray):
        arch = arch.tolist()
    if isinstance(arch, str | bytes):
        is_json = arch[:1] in ("[", b"[")
        return from_json(arch) if is_json else _core.space_parse(NAME, arch)
    if isinstance(arch, int | np.integer) and not isinstance(arch, bool):
        return _genes_at(arch)
    if not isinstance(arch, Sequence):
        raise TypeError(
            "arch: expected a string, a number, a pair (matrix, operations) or NASLib's flat "
            f"tuple, got {type(arch).__name__}"
        )
    if len(arch) == 2:
        return from_pair(arch[0], arch[1])
    if len(arch) == _N_GENES:
        return _checked([integer(gene, f"arch[{i}]") for i, gene in enumerate(arch)])
    return from_naslib(arch)


def _checked(genes: Sequence[int]) -> Genes:
    _core.space_format(NAME, genes)
    return tuple(genes)


def format(genes: Sequence[int]) -> str:
    """The string of a module's integers; see `parse`.

    Examples
    --------
    >>> format((2, 0, 0, 0, 0, 0, 1, *[0] * 20))
    'adj=01/00;ops=input,output'
    """
    return _core.space_format(NAME, genes)


def _edge(genes: Genes, x: int, y: int) -> int:
    return genes[1 + _INNER + _bit(x, y)] if x < y else 0


def to_matrix(arch: ArchLike) -> tuple[tuple[tuple[int, ...], ...], tuple[str, ...]]:
    """Matrix and names of the operations, without vertices on no path.

    Examples
    --------
    >>> to_matrix("adj=011/001/000;ops=input,maxpool3x3,output")
    (((0, 1, 1), (0, 0, 1), (0, 0, 0)), ('input', 'maxpool3x3', 'output'))
    """
    genes = parse(arch)
    n = genes[0]
    matrix = tuple(tuple(_edge(genes, x, y) for y in range(n)) for x in range(n))
    return matrix, ("input", *(OPS[op] for op in genes[1 : n - 1]), "output")


def to_naslib(arch: ArchLike) -> tuple[int, ...]:
    """NASLib's flat tuple.

    Examples
    --------
    >>> to_naslib("adj=011/001/000;ops=input,maxpool3x3,output")
    (0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 2, 1)
    """
    matrix, ops = to_matrix(arch)
    numbers = {name: number for number, name in NASLIB.items()}
    return (*(entry for row in matrix for entry in row), *(numbers[op] for op in ops))


def _to_labels(genes: Genes) -> tuple[int, ...]:
    return (-1, *genes[1 : genes[0] - 1], -2)


def to_json(arch: ArchLike) -> str:
    """The benchmark's JSON: matrix, and operations as -1 input, 0 to 2 in `OPS`, -2 output.

    Examples
    --------
    >>> to_json("adj=011/001/000;ops=input,maxpool3x3,output")
    '[[[0, 1, 1], [0, 0, 1], [0, 0, 0]], [-1, 2, -2]]'
    """
    import json  # not before it is needed

    genes = parse(arch)
    return json.dumps([to_matrix(genes)[0], _to_labels(genes)])


def to_bits(arch: ArchLike) -> tuple[int, tuple[int, ...]]:
    """Edges as one number and operations, as the benchmark's enumeration has them.

    Edge (x, y) is bit x + y(y-1)/2: column by column of the matrix, the least one first.
    Operations are -1 input, 0 to 2 in `OPS`, -2 output.

    Examples
    --------
    >>> to_bits("adj=011/001/000;ops=input,maxpool3x3,output")
    (7, (-1, 2, -2))
    """
    genes = parse(arch)
    bits = sum(bit << i for i, bit in enumerate(genes[1 + _INNER :]))
    return bits, _to_labels(genes)


def from_bits(pair: Sequence[Any]) -> str:
    """The string of a pair (edges, operations); see `to_bits`.

    Examples
    --------
    >>> from_bits((0b101, (-1, 0, -2)))
    'adj=010/001/000;ops=input,conv3x3-bn-relu,output'
    """
    bits, labels = sequence(pair, "a pair (edges, operations)", "pair")
    n = len(sequence(labels, "a list of operations", "pair[1]"))
    bits = integer(bits, "pair[0]")
    if not 2 <= n <= MOST_ROWS or not 0 <= bits < 1 << n * (n - 1) // 2:
        raise ArchitectureError(
            f"pair: expected 2 to {MOST_ROWS} operations and a bit for each edge between so many "
            f"vertices, got {n} operations and {reprlib.repr(bits)}"
        )
    matrix = [[bits >> _bit(x, y) & 1 if x < y else 0 for y in range(n)] for x in range(n)]
    return format(from_pair(matrix, labels))


def to_networkx(arch: ArchLike) -> networkx.DiGraph:
    """The module as a graph: vertices from 0, each with its ``op``, ``input`` to ``output``.

    Raises
    ------
    ImportError
        Without networkx, which ``pip install 'zeroshot[graphs]'`` brings.
    """
    genes = parse(arch)
    _, ops = to_matrix(genes)
    graph = import_networkx().DiGraph()
    graph.add_nodes_from((v, {"op": op}) for v, op in enumerate(ops))
    n = genes[0]
    graph.add_edges_from((x, y) for x in range(n) for y in range(n) if _edge(genes, x, y))
    return graph


def from_networkx(graph: networkx.DiGraph) -> str:
    """The string of a graph as `to_networkx` makes it; vertices are numbered from 0."""
    ops = {v: data.get("op") for v, data in graph.nodes(data=True)}
    n = len(ops)
    if set(ops) != set(range(n)):
        raise ArchitectureError(
            f"graph: expected vertices 0 to {n - 1}, got {reprlib.repr([*ops])}"
        )
    edges = set(graph.edges())
    matrix = [[int((x, y) in edges) for y in range(n)] for x in range(n)]
    return format(from_pair(matrix, [ops[v] for v in range(n)]))


def module_hash(arch: ArchLike) -> str:
    """The hash by which the benchmark names a module; equal modules share it.

    Each vertex starts from the MD5 of its degrees and its operation. As many times as there are
    vertices, it takes the MD5 of the sorted hashes of those that feed it, of those that it feeds,
    and its own; the MD5 of the sorted hashes of all is the module's.

    Examples
    --------
    >>> module_hash("adj=01/00;ops=input,output")
    '043721b9c7fe8c5fad811d47d83132ec'
    """
    import hashlib  # loads OpenSSL: not before it is needed

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    genes = parse(arch)
    n = genes[0]
    feeds = [[y for y in range(n) if _edge(genes, x, y)] for x in range(n)]
    fed_by = [[x for x in range(n) if _edge(genes, x, y)] for y in range(n)]
    labels = _to_labels(genes)
    hashes = [md5(str((len(feeds[v]), len(fed_by[v]), labels[v]))) for v in range(n)]
    for _ in range(n):
        hashes = [
            md5(
                "|".join(
                    (
                        "".join(sorted(hashes[w] for w in fed_by[v])),
                        "".join(sorted(hashes[w] for w in feeds[v])),
                        hashes[v],
                    )
                )
            )
            for v in range(n)
        ]
    return md5(str(sorted(hashes)))


# --- the whole space -------------------------------------------------------------------------


@cache
def _codes(n: int) -> NDArray[np.int32]:
    """Of all modules of n vertices, ascending: edges * 3**(n - 2) + operations in base 3."""
    return np.frombuffer(_core.nasbench101_enumerate(n), np.int32)


def _genes_of(n: int, code: int) -> Genes:
    edges, ops = divmod(code, len(OPS) ** (n - 2))
    digits = [ops // len(OPS) ** place % len(OPS) for place in reversed(range(n - 2))]
    bits = (edges >> i & 1 for i in range(_N_BITS))
    return (n, *digits, *[0] * (MAX_VERTICES - n), *bits)


def _code_of(genes: Genes) -> int:
    n, code = genes[0], sum(bit << i for i, bit in enumerate(genes[1 + _INNER :]))
    for op in genes[1 : n - 1]:
        code = code * len(OPS) + op
    return code


def _genes_at(index: int | np.integer[Any]) -> Genes:
    at = check_index(index, SIZE)
    for n, count in _COUNTS.items():
        if at < count:
            return _genes_of(n, int(_codes(n)[at]))
        at -= count
    raise AssertionError("the counts add up to the size")


def from_index(index: int | np.integer[Any]) -> str:
    """The module with a number in `enumerate_all`.

    Examples
    --------
    >>> from_index(7)
    'adj=0100/0010/0001/0000;ops=input,conv3x3-bn-relu,conv3x3-bn-relu,output'
    """
    return format(_genes_at(index))


def to_index(arch: ArchLike) -> int:
    """The number in `enumerate_all` of the module that is equal to this one.

    Examples
    --------
    >>> to_index(from_index(123_456))
    123456
    """
    genes = _core.nasbench101_canonical(parse(arch), False)
    n = genes[0]
    if (n_edges := sum(genes[1 + _INNER :])) > MAX_EDGES:
        raise ArchitectureError(
            f"arch: expected a module of the benchmark, of at most {MAX_EDGES} edges, got {n_edges}"
        )
    before = sum(count for vertices, count in _COUNTS.items() if vertices < n)
    return before + int(np.searchsorted(_codes(n), _code_of(genes)))


def enumerate_all() -> Iterator[str]:
    """One module of each that are equal but for the numbering: the one that `canonical` gives.

    By number of vertices, then by edges as a binary number, edge (x, y) at bit x + y(y-1)/2, then
    by operations in the order of `OPS`, those of vertex 1 first.

    Examples
    --------
    >>> modules = enumerate_all()
    >>> next(modules), next(modules)
    ('adj=01/00;ops=input,output', 'adj=010/001/000;ops=input,conv3x3-bn-relu,output')
    """
    for n in _COUNTS:
        for code in _codes(n).tolist():
            yield format(_genes_of(n, code))


def sample(n: int, seed: int | np.random.Generator, *, replace: bool = False) -> list[str]:
    """Random modules of `enumerate_all`, all equally likely.

    Parameters
    ----------
    n : int
        How many.
    seed : int or numpy.random.Generator
        A generator is advanced.
    replace : bool
        Whether a module may come more than once.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If `n` is negative or, without `replace`, above `SIZE`.
    """
    return [from_index(i) for i in draw_indices(n, SIZE, seed, replace)]


# --- steps -----------------------------------------------------------------------------------


def _made(n: int, ops: Sequence[int], edges: set[tuple[int, int]]) -> Iterator[str]:
    """The text of a module, if it is one of the benchmark's as it stands."""
    if len(edges) > MAX_EDGES:
        return
    bits = [0] * _N_BITS
    for x, y in edges:
        bits[_bit(x, y)] = 1
    try:
        yield format((n, *ops, *[0] * (MAX_VERTICES - n), *bits))
    except ArchitectureError:
        return


def neighbours(arch: ArchLike) -> list[str]:
    """All modules of the benchmark one step away; within it each step can be taken back.

    - Another operation on one vertex.
    - One edge more or fewer; all vertices stay on paths.
    - A vertex with one edge in and one out fewer, an edge in its place if there is none yet.
    - A vertex more on an edge, with any operation and any number between those of the two ends.

    Examples
    --------
    >>> len(neighbours("adj=01/00;ops=input,output")), len(neighbours(100_000))
    (3, 15)
    """
    genes = parse(arch)
    n, ops = genes[0], list(genes[1 : genes[0] - 1])
    edges = {(x, y) for y in range(n) for x in range(y) if _edge(genes, x, y)}
    found: list[str] = []
    for v in range(1, n - 1):
        for op in range(len(OPS)):
            if op != ops[v - 1]:
                found += _made(n, [*ops[: v - 1], op, *ops[v:]], edges)
    for y in range(n):
        for x in range(y):
            found += _made(n, ops, edges ^ {(x, y)})
    for v in range(1, n - 1):
        into, out = ([e for e in edges if e[side] == v] for side in (1, 0))
        if len(into) == len(out) == 1 and (into[0][0], out[0][1]) not in edges:
            short = edges - {into[0], out[0]} | {(into[0][0], out[0][1])}
            left = {(x - (x > v), y - (y > v)) for x, y in short}
            found += _made(n - 1, [*ops[: v - 1], *ops[v:]], left)
    for x, y in sorted(edges) if n < MAX_VERTICES else ():
        for v in range(x + 1, y + 1):
            longer = {(a + (a >= v), b + (b >= v)) for a, b in edges - {(x, y)}}
            longer |= {(x, v), (v, y + 1)}
            for op in range(len(OPS)):
                found += _made(n + 1, [*ops[: v - 1], op, *ops[v - 1 :]], longer)
    return list(dict.fromkeys(found))


def mutate(arch: ArchLike, rng: np.random.Generator) -> str:
    """A random one of `neighbours`, all equally likely.

    Parameters
    ----------
    arch : str, int or sequence
        The parent.
    rng : numpy.random.Generator
        Advanced by one draw.

    Returns
    -------
    str
    """
    near = neighbours(arch)
    if not near:
        raise ArchitectureError("arch: no module of the benchmark is one step away from this one")
    return near[int(rng.integers(len(near)))]


# --- which modules are the same --------------------------------------------------------------


def canonical(arch: ArchLike) -> str:
    """The module of `enumerate_all` that is equal to this one but for the numbering of vertices.

    Examples
    --------
    >>> canonical("adj=0110/0001/0001/0000;ops=input,maxpool3x3,conv3x3-bn-relu,output")
    'adj=0110/0001/0001/0000;ops=input,conv3x3-bn-relu,maxpool3x3,output'
    """
    return representative(arch)


def representative(arch: ArchLike, mode: Canonical = "form") -> str:
    """The module that is scored for all that are equal to it (`zeroshot.Options.canonical`).

    Of these the one with the least edges as a number, then operations, as in `enumerate_all`.

    Parameters
    ----------
    arch : str, int or sequence
    mode : {"form", "network"}
        Equal are modules that differ in the numbering of vertices alone; for ``"network"`` those
        that feed the output have to keep their order, by which they get their channels.

    Returns
    -------
    str

    Examples
    --------
    >>> module = "adj=0110/0001/0001/0000;ops=input,maxpool3x3,conv3x3-bn-relu,output"
    >>> representative(module) == module, representative(module, "network") == module
    (False, True)
    """
    check_mode(mode)
    return format(_core.nasbench101_canonical(parse(arch), mode == "network"))
