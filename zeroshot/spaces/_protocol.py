"""What a search space offers: the functions that every module of this package has."""

from __future__ import annotations

__all__ = ["ArchLike", "Genes", "Space"]

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Genes: TypeAlias = tuple[int, ...]
"""The small integers behind an architecture's text, in the order of its space."""

ArchLike: TypeAlias = (
    "str | bytes | int | np.integer[Any] | Sequence[Any] | NDArray[np.integer[Any]]"
)
"""Anything that a space's `parse` accepts; which notations these are is each space's own."""


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
        """A text that architectures share if they compute the same function at initialisation,
        up to the draw of weights. It is a key, not an architecture."""

    def representative(self, arch: ArchLike) -> str:
        """The one architecture that stands for all that are the same network up to the draw of
        weights, dead operations left out: with ``canonical=True`` it is scored for them. Where a
        space has no such classes, the architecture itself."""

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
