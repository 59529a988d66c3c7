"""The size space of NATS-Bench: 32,768 choices of five widths for one cell of NAS-Bench-201.

A code is ``c1:c2:c3:c4:c5``, each width one of 8, 16, ..., 64. The stem and the first cell have
width ``c1``, the residual blocks ``c2`` and ``c4``, the cells behind them ``c3`` and ``c5``.

Every function that takes an architecture accepts

- that code,
- the benchmark's index, 0 to 32767: codes in order, the last width running fastest,
- five widths.

No two of these networks are equal.

References
----------
.. [1] X. Dong, L. Liu, K. Musial and B. Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for
   Architecture Topology and Size", TPAMI 2021.
"""

from __future__ import annotations

__all__ = [
    "NAME",
    "SIZE",
    "WIDTHS",
    "canonical",
    "enumerate_all",
    "format",
    "from_index",
    "mutate",
    "neighbours",
    "parse",
    "representative",
    "sample",
    "to_index",
]

import itertools
import reprlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces._protocol import (
    ArchLike,
    Canonical,
    Genes,
    check_index,
    check_mode,
    draw_indices,
)

NAME: Final = "nats_sss"
WIDTHS: Final = (8, 16, 24, 32, 40, 48, 56, 64)
_N = 5
SIZE: Final = len(WIDTHS) ** _N


# --- notations -------------------------------------------------------------------------------


def parse(arch: ArchLike) -> Genes:
    """The five widths of a code, in any notation.

    Parameters
    ----------
    arch : str, bytes, int or sequence
        See the top of this module.

    Returns
    -------
    tuple of five int

    Raises
    ------
    ArchitectureError
        If `arch` is no code; for a string with the position of the fault.
    TypeError
        If `arch` is of another type.

    Examples
    --------
    >>> parse("8:16:24:32:40"), parse(11)
    ((8, 16, 24, 32, 40), (8, 8, 8, 16, 32))
    """
    if isinstance(arch, np.ndarray):
        arch = arch.tolist()
    if isinstance(arch, str | bytes):
        return _core.space_parse(NAME, arch)
    if isinstance(arch, int | np.integer) and not isinstance(arch, bool):
        return _genes_at(arch)
    if not isinstance(arch, Sequence):
        raise TypeError(
            f"arch: expected a string, an index or five widths, got {type(arch).__name__}"
        )
    if len(arch) != _N:
        raise ArchitectureError(f"arch: expected {_N} widths, got {len(arch)} items")
    for i, width in enumerate(arch):
        if (
            not isinstance(width, int | np.integer)
            or isinstance(width, bool)
            or width not in WIDTHS
        ):
            raise ArchitectureError(
                f"arch[{i}]: expected one of {', '.join(map(str, WIDTHS))}; "
                f"got {reprlib.repr(width)}"
            )
    return tuple(int(width) for width in arch)


def format(genes: Sequence[int]) -> str:
    """The code of five widths.

    Examples
    --------
    >>> format((8, 16, 24, 32, 40))
    '8:16:24:32:40'
    """
    return _core.space_format(NAME, genes)


def _genes_at(index: int | np.integer[Any]) -> Genes:
    at = check_index(index, SIZE)
    return tuple(WIDTHS[at // len(WIDTHS) ** place % len(WIDTHS)] for place in reversed(range(_N)))


def from_index(index: int | np.integer[Any]) -> str:
    """The code with a number of the NATS-Bench API.

    Examples
    --------
    >>> from_index(284)
    '8:8:40:32:40'
    """
    return format(_genes_at(index))


def to_index(arch: ArchLike) -> int:
    """The number of a code in the NATS-Bench API.

    Examples
    --------
    >>> to_index("64:64:64:64:64")
    32767
    """
    index = 0
    for width in parse(arch):
        index = index * len(WIDTHS) + WIDTHS.index(width)
    return index


# --- the whole space, samples, steps ---------------------------------------------------------


def enumerate_all() -> Iterator[str]:
    """All codes in the order of their index.

    Examples
    --------
    >>> next(enumerate_all())
    '8:8:8:8:8'
    """
    return map(format, itertools.product(WIDTHS, repeat=_N))


def sample(n: int, seed: int | np.random.Generator, *, replace: bool = False) -> list[str]:
    """Random codes, all equally likely.

    Parameters
    ----------
    n : int
        How many.
    seed : int or numpy.random.Generator
        A generator is advanced.
    replace : bool
        Whether a code may come more than once.

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
    """A random code that differs in one width: a random one of `neighbours`.

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
    place = int(rng.integers(_N))
    step = int(rng.integers(1, len(WIDTHS)))
    genes[place] = WIDTHS[(WIDTHS.index(genes[place]) + step) % len(WIDTHS)]
    return format(genes)


def neighbours(arch: ArchLike) -> list[str]:
    """The 35 codes that differ in one width, place by place in the order of `WIDTHS`."""
    genes = parse(arch)
    return [
        format((*genes[:place], width, *genes[place + 1 :]))
        for place in range(_N)
        for width in WIDTHS
        if width != genes[place]
    ]


# --- which codes are the same ----------------------------------------------------------------


def canonical(arch: ArchLike) -> str:
    """The code itself: no two networks are equal."""
    return format(parse(arch))


def representative(arch: ArchLike, mode: Canonical = "form") -> str:
    """The code itself, whatever `mode` is; see `Space.representative`.

    Parameters
    ----------
    arch : str, int or sequence
    mode : {"form", "network"}

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If `mode` is neither.
    """
    check_mode(mode)
    return canonical(arch)
