"""TransNAS-Bench-101, its micro space: 4,096 cells of four operations in one chain of modules.

A code is a base width, a type for each module, and the operations of nodes 1, 2 and 3::

    64-41414-a_bc_def        a, b and d read node 0, c and e node 1, f node 2

0 none, 1 skip_connect, 2 nor_conv_1x1, 3 nor_conv_3x3: positions in `OPS`, in the order of `EDGES`.
Modules are of two cells; 1 is plain, 4 halves the map and doubles the channels, 3 halves it. The
micro space is ``64-41414``, which is enumerated, numbered and drawn; other base widths (4 to 128)
and modules (1 to 6 of the types 1, 3 and 4) are read and built as well.

Networks have a stem that halves the image twice, and the head of the benchmark's classification
tasks: pool and linear layer. Its other tasks have decoders and losses that are not built here, so
of the benchmark's accuracies those of ``class_object`` (75 classes) and ``class_scene`` (47) are of
these networks; images are 256 x 256 there. It redraws convolutions, normal with deviation
sqrt(2 / fan-out): that is ``init="proxylessnas"`` but for the bias of the linear layer, 0 here.

Every function that takes an architecture accepts

- that code, or of ``64-41414`` the string of NAS-Bench-201, ``|nor_conv_3x3~0|+...``,
- a number from 0 to 4095: the six digits in base 4. The benchmark's own number is `OFFSET` more, as
  its macro space comes first,
- six operation names, or six digits,
- 13 integers, see `parse`.

Equal cells: as in NAS-Bench-201, but that a skip from node 0 is no identity, as it has weights in
cells that halve the map.

References
----------
.. [1] Y. Duan, X. Chen, H. Xu, Z. Chen, X. Liang, T. Zhang and Z. Li, "TransNAS-Bench-101:
   Improving Transferability and Generalizability of Cross-Task Neural Architecture Search",
   CVPR 2021.
"""

from __future__ import annotations

__all__ = [
    "EDGES",
    "MODULES",
    "NAME",
    "OFFSET",
    "OPS",
    "SIZE",
    "canonical",
    "enumerate_all",
    "format",
    "from_index",
    "mutate",
    "neighbours",
    "parse",
    "representative",
    "sample",
    "to_digits",
    "to_index",
    "to_nasbench201",
]

import itertools
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

import numpy as np

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import nasbench201
from zeroshot.spaces._cell_forms import function_text, least_work, network_text
from zeroshot.spaces._protocol import (
    ArchLike,
    Canonical,
    Genes,
    check_index,
    check_mode,
    draw_indices,
)

NAME: Final = "transnas_micro"
OPS: Final = nasbench201.OPS[:4]
EDGES: Final = nasbench201.EDGES
"""(source, node) of each operation, in the order of the code."""
SIZE: Final = len(OPS) ** len(EDGES)
MODULES: Final = "64-41414"
"""What stands before the cell in a code of the micro space."""
OFFSET: Final = 3256
"""The benchmark's number of architecture 0."""

_MODULES: Final = (64, 4, 1, 4, 1, 4, 0)  # as genes
_N_MODULES = len(_MODULES)


# --- notations -------------------------------------------------------------------------------


def parse(arch: ArchLike) -> Genes:
    """The integers behind an architecture, in any notation.

    Parameters
    ----------
    arch : str, bytes, int or sequence
        See the top of this module.

    Returns
    -------
    tuple of 13 int
        Base width; types of six modules, 0 behind the last; six positions in `OPS`.

    Raises
    ------
    ArchitectureError
        If `arch` is no architecture; for a string with the position of the fault.
    TypeError
        If `arch` is of another type.

    Examples
    --------
    >>> parse("64-41414-3_33_012")
    (64, 4, 1, 4, 1, 4, 0, 3, 3, 3, 0, 1, 2)
    >>> parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")[7:]
    (3, 0, 0, 0, 0, 1)
    """
    if isinstance(arch, np.ndarray):
        arch = arch.tolist()
    if isinstance(arch, str | bytes):
        if arch[:1] in ("|", b"|"):
            return (*_MODULES, *_without_pool(nasbench201.parse(arch)))
        return _core.space_parse(NAME, arch)
    if isinstance(arch, int | np.integer) and not isinstance(arch, bool):
        return _genes_at(arch)
    if not isinstance(arch, Sequence):
        raise TypeError(
            f"arch: expected a string, a number or six operations, got {type(arch).__name__}"
        )
    if len(arch) == len(EDGES):
        return (*_MODULES, *_without_pool(nasbench201.parse(arch)))
    if len(arch) != _N_MODULES + len(EDGES):
        raise ArchitectureError(
            f"arch: expected {len(EDGES)} operations or {_N_MODULES + len(EDGES)} integers, "
            f"got {len(arch)} items"
        )
    for i, gene in enumerate(arch):
        if not isinstance(gene, int | np.integer) or isinstance(gene, bool):
            raise ArchitectureError(f"arch[{i}]: expected an integer, got {reprlib.repr(gene)}")
    genes = tuple(int(gene) for gene in arch)
    _core.space_format(NAME, genes)
    return genes


def _without_pool(ops: Genes) -> Genes:
    for op, (source, node) in zip(ops, EDGES, strict=True):
        if op >= len(OPS):
            raise ArchitectureError(
                f"arch: expected one of {', '.join(OPS)} from node {source} to node {node}, "
                f"got {nasbench201.OPS[op]}"
            )
    return ops


def format(genes: Sequence[int]) -> str:
    """The code of an architecture's integers; see `parse`.

    Examples
    --------
    >>> format((64, 4, 1, 4, 1, 4, 0, 3, 3, 3, 0, 1, 2))
    '64-41414-3_33_012'
    """
    return _core.space_format(NAME, genes)


def _cell(arch: ArchLike) -> Genes:
    """The operations of an architecture of the micro space."""
    genes = parse(arch)
    if genes[:_N_MODULES] != _MODULES:
        raise ArchitectureError(f"arch: expected {MODULES}-..., got {format(genes)}")
    return genes[_N_MODULES:]


def to_nasbench201(arch: ArchLike) -> str:
    """The cell as NAS-Bench-201 writes it; only of ``64-41414``.

    Examples
    --------
    >>> to_nasbench201("64-41414-3_00_001")
    '|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|'
    """
    return nasbench201.format(_cell(arch))


def to_digits(arch: ArchLike) -> Genes:
    """The six digits of the cell; only of ``64-41414``.

    Examples
    --------
    >>> to_digits("64-41414-3_33_012")
    (3, 3, 3, 0, 1, 2)
    """
    return _cell(arch)


def _genes_at(index: int | np.integer[Any]) -> Genes:
    at = check_index(index, SIZE)
    return (*_MODULES, *(at // len(OPS) ** place % len(OPS) for place in reversed(range(6))))


def from_index(index: int | np.integer[Any]) -> str:
    """The architecture with a number in `enumerate_all`.

    Examples
    --------
    >>> from_index(5 * 64)
    '64-41414-0_11_000'
    """
    return format(_genes_at(index))


def to_index(arch: ArchLike) -> int:
    """The number of an architecture in `enumerate_all`: the benchmark's is `OFFSET` more.

    Examples
    --------
    >>> to_index("64-41414-3_33_333")
    4095
    """
    index = 0
    for op in _cell(arch):
        index = index * len(OPS) + op
    return index


# --- the whole space, samples, steps ---------------------------------------------------------


def enumerate_all() -> Iterator[str]:
    """All architectures of ``64-41414``, the last edge running fastest, as in the benchmark.

    Examples
    --------
    >>> next(enumerate_all())
    '64-41414-0_00_000'
    """
    return map(from_index, range(SIZE))


def sample(n: int, seed: int | np.random.Generator, *, replace: bool = False) -> list[str]:
    """Random architectures of ``64-41414``, all equally likely.

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
    return [from_index(i) for i in draw_indices(n, SIZE, seed, replace)]


def mutate(arch: ArchLike, rng: np.random.Generator) -> str:
    """A random one of `neighbours`, all equally likely.

    Parameters
    ----------
    arch : str, int or sequence
        The parent.
    rng : numpy.random.Generator
        Advanced by two draws.

    Returns
    -------
    str
    """
    genes = list(parse(arch))
    at = _N_MODULES + int(rng.integers(len(EDGES)))
    genes[at] = (genes[at] + int(rng.integers(1, len(OPS)))) % len(OPS)
    return format(genes)


def neighbours(arch: ArchLike) -> list[str]:
    """The 18 architectures that differ in one operation, edge by edge in the order of `OPS`; base
    width and modules stay."""
    genes = parse(arch)
    return [
        format((*genes[:at], op, *genes[at + 1 :]))
        for at in range(_N_MODULES, len(genes))
        for op in range(len(OPS))
        if op != genes[at]
    ]


# --- which architectures are the same --------------------------------------------------------

_FORMS: Final[Mapping[Canonical, Callable[[Genes], str]]] = {
    "form": partial(function_text, own_skip=True),
    "network": partial(network_text, own_skip=True),
}


def canonical(arch: ArchLike) -> str:
    """Base width, modules, and the formula of the cell, as `zeroshot.spaces.nasbench201` has it; a
    skip from node 0 is an operation there.

    Examples
    --------
    >>> canonical("64-41414-1_02_001"), canonical("64-41414-1_03_020")
    ('64-41414-((0)@skip_connect)@nor_conv_1x1', '64-41414-((0)@skip_connect)@nor_conv_1x1')
    """
    genes = parse(arch)
    return f"{_head(genes)}-{_FORMS['form'](genes[_N_MODULES:])}"


def _head(genes: Genes) -> str:
    return format(genes).rpartition("-")[0]


@cache
def _representatives(mode: Canonical) -> dict[str, Genes]:
    every = itertools.product(range(len(OPS)), repeat=len(EDGES))
    return least_work(every, _FORMS[mode])


def representative(arch: ArchLike, mode: Canonical = "form") -> str:
    """The architecture that is scored for all that are equal to it (`zeroshot.Options.canonical`).

    A member without dead operations and with the fewest convolutions, then skips; of several the
    first of `enumerate_all`.

    Parameters
    ----------
    arch : str, int or sequence
    mode : {"form", "network"}
        Equal are architectures with the same `canonical` text; for ``"network"``, also those terms
        have to be shared which are.

    Returns
    -------
    str

    Examples
    --------
    >>> representative("64-41414-1_03_020")
    '64-41414-0_10_002'
    """
    check_mode(mode)
    genes = parse(arch)
    cell = _representatives(mode)[_FORMS[mode](genes[_N_MODULES:])]
    return format((*genes[:_N_MODULES], *cell))
