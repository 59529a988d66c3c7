"""What a search space offers: the functions that every module of this package has."""

from __future__ import annotations

__all__ = [
    "CANONICAL",
    "ArchLike",
    "Canonical",
    "Genes",
    "Space",
    "as_genes",
    "check_count",
    "check_index",
    "check_mode",
    "draw_indices",
    "import_networkx",
    "load_json",
]

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from zeroshot import _core
from zeroshot.errors import ArchitectureError

Genes: TypeAlias = tuple[int, ...]
"""The small integers behind an architecture's text, in the order of its space."""

ArchLike: TypeAlias = (
    "str | bytes | int | np.integer[Any] | Sequence[Any] | NDArray[np.integer[Any]]"
    " | Mapping[str, Any]"
)
"""Anything that a space's `parse` accepts; which notations these are is each space's own."""

Canonical: TypeAlias = Literal["form", "network"]
"""What makes architectures equal: see `Space.representative`."""

CANONICAL: Final[tuple[Canonical, ...]] = ("form", "network")


@runtime_checkable
class Space(Protocol):
    """A search space; the modules of `zeroshot.spaces` satisfy it.

    Architectures are handed out as text: it prints, hashes, sorts and goes into files as it
    is. They are taken in any notation that `parse` knows.

    Attributes
    ----------
    NAME : str
        As in `zeroshot.spaces.get_space`.
    SIZE : int
        Number of architectures.
    """

    @property
    def NAME(self) -> str: ...

    @property
    def SIZE(self) -> int: ...

    def parse(self, arch: ArchLike) -> Genes:
        """Genes of an architecture; `ArchitectureError` if it is none."""

    def format(self, genes: Sequence[int]) -> str:
        """Text of genes; ``format(parse(text))`` is the text in its one normal spelling."""

    def canonical(self, arch: ArchLike) -> str:
        """A text that architectures share if they compute the same formula, whichever of its terms
        share their weights. It is a key, not an architecture."""

    def representative(self, arch: ArchLike, mode: Canonical = "form") -> str:
        """The one architecture that is scored for all that are equal to it (`Options.canonical`).

        Equal are, as ``"form"``, those with the same `canonical` text; as ``"network"``, those that
        are the same network up to the draw of weights, and so have the same live weights. The
        second never joins what the first keeps apart. A representative stands for itself and has no
        dead operation. Where a space has no such classes, the architecture itself."""

    def enumerate_all(self) -> Iterator[str]:
        """Every architecture once, in a fixed order; lazily, as some spaces never end."""

    def sample(
        self, n: int, seed: int | np.random.Generator, *, replace: bool = False
    ) -> list[str]:
        """`n` random architectures; without `replace` all different."""

    def mutate(self, arch: ArchLike, rng: np.random.Generator) -> str:
        """A random architecture one step away."""

    def neighbours(self, arch: ArchLike) -> list[str]:
        """All architectures one step away, in a fixed order."""


def as_genes(space: str, arch: Sequence[Any]) -> Genes:
    """Integers that come from elsewhere as genes, if they are an architecture of `space`."""
    for i, gene in enumerate(arch):
        if not isinstance(gene, int | np.integer) or isinstance(gene, bool):
            raise ArchitectureError(f"arch[{i}]: expected an integer, got {reprlib.repr(gene)}")
    genes = tuple(int(gene) for gene in arch)
    _core.space_format(space, genes)  # which checks them
    return genes


def check_index(index: int | np.integer[Any], size: int) -> int:
    """`index` as an int, if it numbers one of `size` architectures."""
    if not 0 <= index < size:
        raise ArchitectureError(f"index: expected 0 to {size - 1}, got {reprlib.repr(int(index))}")
    return int(index)


def draw_indices(n: int, size: int, seed: int | np.random.Generator, replace: bool) -> list[int]:
    """`n` of `size` numbers, all equally likely."""
    check_count(n, size, replace)
    drawn: list[int] = np.random.default_rng(seed).choice(size, size=n, replace=replace).tolist()
    return drawn


def check_mode(mode: Canonical) -> None:
    """That `mode` is one of `CANONICAL`."""
    if mode not in CANONICAL:
        raise ValueError(f"mode: expected one of {', '.join(CANONICAL)}; got {mode!r}")


def check_count(n: int, size: int, replace: bool) -> None:
    """That `n` architectures of `size` can be drawn."""
    if n < 0 or (n > size and not replace):
        raise ValueError(f"n: expected 0 to {size} (more only with replace=True), got {n}")


def import_networkx() -> Any:
    """networkx, or an error that says how to get it."""
    try:
        import networkx
    except ImportError as error:
        raise ImportError("to_networkx needs networkx: pip install 'zeroshot[graphs]'") from error
    return networkx


def load_json(text: str | bytes, what: str) -> Any:
    """An architecture that is written as JSON `what`."""
    import json  # not before it is needed

    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise ArchitectureError(
            f"arch: expected JSON in UTF-8, {error.reason}", error.start
        ) from None
    except json.JSONDecodeError as error:
        raise ArchitectureError(f"arch: expected JSON, {error.msg}", error.pos) from None
    except (ValueError, RecursionError) as error:  # numbers of many digits, lists of many levels
        raise ArchitectureError(f"arch: expected JSON {what}, {error}", 0) from None
