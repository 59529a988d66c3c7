"""The images that scores read in place of the caller's, and the core's view of a list of scores."""

from __future__ import annotations

__all__ = ["make_runs", "make_source"]

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroshot import _core
from zeroshot.scores import Grouping, Input, Score


@lru_cache(maxsize=4)
def _normal_images(seed: int, n: int, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Standard normal numbers of NumPy's legacy generator, whose stream is fixed for ever."""
    images = np.random.RandomState(seed).standard_normal((n, *shape))
    images.flags.writeable = False
    return images


def make_source(
    wanted: Input, n: int, x: NDArray[Any], y: NDArray[np.int64], seed: int
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """`n` images of that kind, and labels for them: those of y where there are enough, else 0."""
    shape = x.shape[1:]
    if wanted.kind == "ones":
        images: NDArray[Any] = np.ones((n, *shape), x.dtype)
    elif wanted.kind == "normal":
        images = _normal_images(seed, n, shape).astype(x.dtype)
    else:
        images = x[:n]
    if wanted.mix:
        half = n // 2
        exact = images.astype(np.float64)  # a small mix is not rounded before the network is
        images = np.concatenate([exact[:half], exact[:half] + wanted.mix * exact[half:]])
    labels = y[:n] if n <= len(y) else np.zeros(n, np.int64)
    return np.require(images, requirements=["C", "A"]), labels


def _key(group: Grouping) -> tuple[Input, int]:
    """Groups with one key read the same images; a mixture's second half begins where its first
    group ends."""
    return group.input, group.size if group.input.mix else 0


def make_runs(
    scores: Sequence[Score], x: NDArray[Any], y: NDArray[np.int64], seed: int
) -> tuple[list[_core.RunTuple], list[tuple[NDArray[Any], NDArray[np.int64]]]]:
    """What the core takes: one tuple for each score, and the images that are not x."""
    runs: list[_core.RunTuple] = []
    groupings = [one.grouping(len(x)) for one in scores]
    rows: dict[tuple[Input, int], int] = {}
    for group in groupings:
        if group.input != Input():
            key = _key(group)
            rows[key] = max(rows.get(key, 0), group.size * group.n)
    numbers = {key: i for i, key in enumerate(rows, start=1)}
    for one, group in zip(scores, groupings, strict=True):
        source = numbers.get(_key(group), 0)
        runs.append(
            (one.name, one.core_params(), one.core_edges(), group.size, group.n, group.loss,
             source, one.own_init, one.core_signs())
        )  # fmt: skip
    return runs, [make_source(wanted, n, x, y, seed) for (wanted, _), n in rows.items()]
