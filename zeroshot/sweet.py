"""Sweetimator's interval search: which size of gradient grows more frequent with depth.

The score itself, the count of gradients in an interval, is `zeroshot.Sweet`. This module has the
intervals to choose from, Sweetness (Eq. 3) and Algorithm 1 of Yang et al., Neural Networks 168,
2023. Shares of weights are compared as fractions of integers, so equal shares are exactly equal.
"""

from __future__ import annotations

__all__ = [
    "LayerCounts",
    "SweetInterval",
    "cell_prefixes",
    "count_layers",
    "find_sweet_interval",
    "sweet_edges",
    "sweetness",
]

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.errors import NonFiniteError
from zeroshot.graph import Graph
from zeroshot.inputs import as_array, check_int, check_real
from zeroshot.network import AnyArch, build_network
from zeroshot.options import Options, RunOptions, with_options
from zeroshot.pool import score_iter
from zeroshot.scores import Sweet
from zeroshot.spaces import get_space

if TYPE_CHECKING:
    from typing_extensions import Unpack

Edges = Literal["paper", "released"]


def sweet_edges(which: Edges = "paper", *, split: int = 2) -> NDArray[np.float64]:
    """Interval borders, each the double nearest to the exact number.

    Parameters
    ----------
    which : {"paper", "released"}
        The paper's list is 0, 1e-10 and, in each decade up to 10, the `split` multiples of its
        upper end divided by `split`: 2 + 11 split edges. The released list is 0 and 5e-10 to 5 in
        halves of decades: without 1e-10, and with nothing above 5.
    split : int
        2 to 5, and 2 for "released". The text gives an example for 2; the others follow its rule.

    Returns
    -------
    ndarray, float64, increasing

    Examples
    --------
    >>> [float(e) for e in sweet_edges()[:5]]
    [0.0, 1e-10, 5e-10, 1e-09, 5e-09]
    >>> [len(sweet_edges(split=s)) - 1 for s in (2, 3, 4, 5)], len(sweet_edges("released")) - 1
    ([23, 34, 45, 56], 21)
    """
    if which not in ("paper", "released"):
        raise ValueError(f'which: expected "paper" or "released", got {which!r}')
    check_int("split", split, 2, 5)
    if which == "released" and split != 2:
        raise ValueError(f'split: the "released" list has 2 only, got {split}')
    ends = [Fraction(10) ** k for k in range(-9, 2)]  # of the decades from (1e-10, 1e-9] up
    edges = [float(end * j / split) for end in ends for j in range(1, split + 1)]
    return np.array([0.0, *edges[:-1]] if which == "released" else [0.0, 1e-10, *edges])


def sweetness(
    counts: Sequence[NDArray[np.integer[Any]]], sizes: Sequence[NDArray[np.integer[Any]]]
) -> tuple[float, ...]:
    """How steadily the share of gradients in an interval grows with depth (Eq. 3).

    ``1/n sum_k 1/(l_k - 1) sum_i sign(share_{i+1} - share_i)`` over n architectures of l_k layers.

    Parameters
    ----------
    counts : sequence of int ndarray, shape (n_layers, n_intervals)
        One per architecture: weights of each layer whose gradient lies in each interval.
    sizes : sequence of int ndarray, shape (n_layers,)
        One per architecture: all weights of each layer. A layer without any has share 0.

    Returns
    -------
    tuple of float
        Of each interval, from -1 to 1.

    Examples
    --------
    >>> sweetness([np.array([[1, 6], [2, 3], [4, 3]])], [np.array([9, 9, 9])])
    (1.0, -0.5)
    """
    return tuple(map(float, _exact_sweetness(counts, sizes)))


def _exact_sweetness(
    counts: Sequence[NDArray[np.integer[Any]]], sizes: Sequence[NDArray[np.integer[Any]]]
) -> list[Fraction]:
    if not counts or len(counts) != len(sizes):
        raise ValueError(
            f"counts, sizes: expected one entry per architecture, got {len(counts)} "
            f"and {len(sizes)}"
        )
    sums: list[Fraction] | None = None
    for c, s in zip(counts, sizes, strict=True):
        if c.ndim != 2 or s.shape != c.shape[:1] or not c.shape[0]:
            raise ValueError(
                "counts, sizes: expected shapes (n_layers, n_intervals) and (n_layers,), "
                f"got {c.shape} and {s.shape}"
            )
        # a/b < c/d as a*d < c*b; a layer has far fewer than 2**31 weights
        whole = np.maximum(s, 1).astype(np.int64)[:, None]
        steps = np.sign(c[1:] * whole[:-1] - c[:-1] * whole[1:]).sum(axis=0)
        each = [Fraction(int(rises), max(1, len(s) - 1)) for rises in steps]
        sums = each if sums is None else [a + b for a, b in zip(sums, each, strict=True)]
    assert sums is not None
    return [total / len(counts) for total in sums]


@dataclass(frozen=True)
class SweetInterval:
    """The interval that Algorithm 1 picks, and what it was picked from.

    Attributes
    ----------
    lo, hi : float
        For `zeroshot.Sweet` and `zeroshot.sweet_count`; NaN if no interval beats `start`.
    index : int or None
        ``lo, hi`` are ``edges[index], edges[index + 1]``.
    edges : tuple of float
    sweetness : tuple of float
        Of every interval.
    counts : tuple of int
        Gradients in every interval, over all layers and architectures.
    n_archs, n_layers : int
    """

    lo: float
    hi: float
    index: int | None
    edges: tuple[float, ...] = field(repr=False)
    sweetness: tuple[float, ...] = field(repr=False)
    counts: tuple[int, ...] = field(repr=False)
    n_archs: int
    n_layers: int


def cell_prefixes(layers: int | Sequence[str], cells: int) -> tuple[str, ...]:
    """Weight-name prefixes of a NAS-Bench-201 network's layers, in module order.

    Parameters
    ----------
    layers : {15, 17} or sequence of str
        The cells of a network of five in a stage, or the two residual blocks between stages, too;
        prefixes of one's own stay as they are.
    cells : int
        In each of the three stages.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> cell_prefixes(17, cells=1)
    ('cell00', 'res1', 'cell01', 'res2', 'cell02')
    """
    if not isinstance(layers, int | np.integer):
        return tuple(str(prefix) for prefix in layers)
    if isinstance(layers, bool) or layers not in (15, 17):
        raise ValueError(f"layers: expected 15, 17 or a sequence of name prefixes, got {layers!r}")
    prefixes: list[str] = []
    for stage in range(3):
        prefixes += [f"cell{stage * cells + i:02d}" for i in range(cells)]
        if layers == 17 and stage < 2:
            prefixes.append(f"res{stage + 1}")
    return tuple(prefixes)


@dataclass(frozen=True, eq=False)
class LayerCounts:
    """Gradients of some architectures by size, layer by layer.

    Attributes
    ----------
    archs : tuple of str
    edges : ndarray, shape (n_intervals + 1,)
    layers : tuple of str
        Name prefixes of each layer's weights.
    counts : ndarray of int64, shape (n_archs, n_layers, n_intervals)
        Weights of each layer whose gradient lies in each interval.
    sizes : ndarray of int64, shape (n_archs, n_layers)
        All weights of each layer.
    total : ndarray of int64, shape (n_archs, n_intervals)
        Over all weights, those in no layer, too.
    """

    archs: tuple[str, ...] = field(repr=False)
    edges: NDArray[np.float64] = field(repr=False)
    layers: tuple[str, ...]
    counts: NDArray[np.int64] = field(repr=False)
    sizes: NDArray[np.int64] = field(repr=False)
    total: NDArray[np.int64] = field(repr=False)


@with_options
def count_layers(
    archs: Iterable[AnyArch],
    x: ArrayLike,
    y: ArrayLike,
    *,
    edges: Edges | ArrayLike = "paper",
    split: int = 2,
    layers: int | Sequence[str] = 15,
    batch_size: int = 64,
    progress: Any = None,
    **options: Unpack[RunOptions],
) -> LayerCounts:
    """Count gradients by size in every layer of some architectures, one batch for all.

    Parameters
    ----------
    archs, x, y, edges, split, layers, batch_size, progress, **options
        As for `find_sweet_interval`; without `layers`, ``()``, only `total` has something in it.

    Returns
    -------
    LayerCounts

    Raises
    ------
    NonFiniteError
        If an architecture meets NaN or infinity.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((8, 3, 8, 8))
    >>> found = count_layers([1462, 9], x, np.arange(8), batch_size=8, channels=4, cells=1)
    >>> found.counts.shape, found.sizes.shape, found.total.shape
    ((2, 3, 23), (2, 3), (2, 23))
    """
    borders = sweet_edges(edges, split=split) if isinstance(edges, str) else np.asarray(edges)  # type: ignore[arg-type]
    opts = Options(**options)
    plain = replace(opts, canonical=False)
    todo = list(archs)
    if not todo:
        raise ValueError("archs: expected at least one architecture, got none")
    if isinstance(layers, int) and any(isinstance(arch, Graph) for arch in todo):
        raise ValueError("layers: a Graph needs a sequence of name prefixes, one per layer")
    prefixes = cell_prefixes(layers, opts.network_size[1] if isinstance(layers, int) else 0)
    wanted = Sweet.over(borders, batch_size=batch_size)
    n_intervals = len(borders) - 1
    counts = np.zeros((len(todo), len(prefixes), n_intervals), np.int64)
    sizes = np.zeros((len(todo), len(prefixes)), np.int64)
    total = np.zeros((len(todo), n_intervals), np.int64)
    names = [""] * len(todo)
    stream = score_iter(todo, x, y, scores=wanted, on_error="raise", progress=progress, **options)
    _, channels, height, width = as_array(x).shape
    image_shape = (channels, height, width)
    for position, result in stream:
        if result.status == "nonfinite":
            raise NonFiniteError(f"archs[{position}]: {result.reason}", result)
        names[position] = result.arch
        score = result.scores["sweet"]
        table = score.histogram or {name: (int(n),) for name, n in score.layers.items()}
        counts[position] = _by_layer(table, prefixes, n_intervals)
        total[position] = np.sum(list(table.values()), axis=0)
        sizes[position] = _layer_sizes(todo[position], plain, image_shape, prefixes)
        if borders[0] <= 0:
            total[position, 0] += score.dead_weights
        if result.scored_as is not None:  # its own weights that are dead come to what was scored
            live = get_space(opts.space).representative(result.arch, "network")
            dead = sizes[position] - _layer_sizes(live, plain, image_shape, prefixes)
            sizes[position] = _layer_sizes(result.scored_as, plain, image_shape, prefixes) + dead
            if borders[0] <= 0:
                counts[position, :, 0] += dead
    return LayerCounts(
        tuple(names), np.asarray(borders, np.float64), prefixes, counts, sizes, total
    )


@with_options
def find_sweet_interval(
    archs: Iterable[AnyArch],
    x: ArrayLike,
    y: ArrayLike,
    *,
    edges: Edges | ArrayLike = "paper",
    split: int = 2,
    layers: int | Sequence[str] = 15,
    start: float = -1,
    batch_size: int = 64,
    progress: Any = None,
    **options: Unpack[RunOptions],
) -> SweetInterval:
    """Interval of the largest Sweetness over some architectures (Algorithm 1), without training.

    Parameters
    ----------
    archs : iterable
        The paper takes 100.
    x, y
        As for `zeroshot.score`; all architectures see the first `batch_size` rows.
    edges : {"paper", "released"} or array_like
        As for `sweet_edges`, or increasing numbers from 0 up.
    split : int
        As for `sweet_edges`.
    layers : int or sequence of str
        What a layer is: 15 for the cells (the paper), 17 for the cells and both residual blocks
        (the released code, which takes all modules of these classes); the numbers are those of
        networks with 5 cells a stage. Or name prefixes of weights: needed for a `zeroshot.Graph`.
    start : float
        Sweetness to beat. The paper starts from -1 and no interval. The released code starts from 0
        and the first interval, so that one is kept if no sweetness is positive: any `start` from 0
        up does so here.
    batch_size : int
    progress : None, True or callable
        As for `zeroshot.score_iter`.
    **options
        See `zeroshot.Options`.

    Returns
    -------
    SweetInterval
        Of equally sweet intervals the lowest.

    Raises
    ------
    NonFiniteError
        If an architecture meets NaN or infinity.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((8, 3, 8, 8))
    >>> archs = [1462, 9, 123]
    >>> found = find_sweet_interval(archs, x, np.arange(8), batch_size=8, channels=4, cells=1)
    >>> found.n_layers, 0 <= found.lo < found.hi
    (3, True)
    """
    start = check_real("start", start, "a number")
    found = count_layers(
        archs, x, y, edges=edges, split=split, layers=layers, batch_size=batch_size,
        progress=progress, **options,
    )  # fmt: skip
    borders = found.edges
    exact = _exact_sweetness(tuple(found.counts), tuple(found.sizes))
    index, best = (None, Fraction(start)) if start < 0 else (0, Fraction(start))
    for i, value_of in enumerate(exact):
        if value_of > best:
            index, best = i, value_of
    lo, hi = (math.nan, math.nan) if index is None else (borders[index], borders[index + 1])
    return SweetInterval(
        lo=float(lo),
        hi=float(hi),
        index=index,
        edges=tuple(borders.tolist()),
        sweetness=tuple(map(float, exact)),
        counts=tuple(found.counts.sum(axis=(0, 1)).tolist()),
        n_archs=len(found.archs),
        n_layers=len(found.layers),
    )


def _layer_sizes(
    arch: AnyArch, options: Options, image_shape: tuple[int, int, int], prefixes: Sequence[str]
) -> NDArray[np.int64]:
    """Counted weights of each layer."""
    tensors = build_network(arch, options, image_shape).graph.tensors()
    weights = {t["name"]: (math.prod(t["shape"]),) for t in tensors if t["counted"]}
    return _by_layer(weights, prefixes, 1)[:, 0]


def _by_layer(
    table: Mapping[str, tuple[int, ...]], prefixes: Sequence[str], n_columns: int
) -> NDArray[np.int64]:
    """Rows of a table by weight name, added up over each layer."""
    sums = np.zeros((len(prefixes), n_columns), np.int64)
    for i, prefix in enumerate(prefixes):
        for name, row in table.items():
            if name.startswith(f"{prefix}."):
                sums[i] += row
    return sums
