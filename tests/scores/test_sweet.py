"""Sweetimator: counts in intervals, edges, Sweetness and Algorithm 1."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import zeroshot
from zeroshot import Graph, Sweet, reference, sweet_edges
from zeroshot.sweet import cell_prefixes

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
SKIP = "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
ARCHS: list[Any] = [CELL, SKIP, 1462, 9, 123]
TINY: dict[str, Any] = {"channels": 4, "cells": 1}
RNG = np.random.default_rng(13)
X, Y = RNG.standard_normal((8, 3, 8, 8)), RNG.integers(0, 10, 8)


def counted(arch: Any, **options: Any) -> dict[str, NDArray[np.float64]]:
    return dict(zeroshot.gradients(arch, X, Y, batch_size=8, **TINY, **options).gradients)


# ---- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arch", ARCHS[:3])
def test_count_matches_reference(arch: Any, dtype: Any) -> None:
    grads = {name: g.astype(dtype) for name, g in counted(arch, dtype=dtype).items()}
    for lo, hi in ((0, 1e-3), (1e-4, 5e-4), (1e-2, math.inf)):
        ours = zeroshot.sweet_count(arch, X, Y, lo=lo, hi=hi, batch_size=8, dtype=dtype, **TINY)
        assert ours == reference.sweet_count(grads, lo, hi)


@pytest.mark.parametrize("which", ["paper", "released"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_histogram_matches_reference(which: Any, dtype: Any) -> None:
    edges = sweet_edges(which)
    grads = {name: g.astype(dtype) for name, g in counted(CELL, dtype=dtype).items()}
    wanted = Sweet.over(edges, batch_size=8)
    score = zeroshot.score(CELL, X, Y, scores=wanted, dtype=dtype, **TINY).scores["sweet"]
    assert score.histogram is not None
    want = reference.sweet_histogram(grads, edges)
    np.testing.assert_array_equal([score.histogram[name] for name in grads], want)
    assert score.value == want.sum()
    assert score.layers == {name: sum(row) for name, row in score.histogram.items()}


def test_edge_belongs_to_the_interval_above_it() -> None:
    """A gradient of exactly `lo` counts; a border meets float32 gradients after rounding."""
    value = float(np.abs(counted(CELL)["head.fc.weight"]).max())  # exact: a float32 in a float64
    options: dict[str, Any] = {"batch_size": 8, **TINY}
    above = zeroshot.sweet_count(CELL, X, Y, lo=value, hi=math.inf, **options)
    beyond = np.nextafter(np.float32(value), np.float32(np.inf))
    higher = zeroshot.sweet_count(CELL, X, Y, lo=float(beyond), hi=math.inf, **options)
    hits = sum(np.count_nonzero(np.abs(g) == value) for g in counted(CELL).values())
    assert above - higher == hits > 0
    nudged = value * (1 + 1e-12)  # rounds to the same float32
    assert zeroshot.sweet_count(CELL, X, Y, lo=nudged, hi=math.inf, **options) == above


@pytest.mark.parametrize(
    "borders", [(1e-3, 1e-3), (2e-3, 1e-3), (-1e-3, 1e-3), (0, math.nan), (math.inf, math.inf)]
)
def test_borders_have_to_increase_from_zero(borders: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"expected 0 <= lo < \.\.\. < hi|a number >= 0"):
        Sweet(*borders)


# ---- edges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [2, 3, 4, 5])
def test_paper_edges_follow_the_rule(split: int) -> None:
    want = [0.0, 1e-10]
    for k in range(-10, 1):
        want += [float(Decimal(j).scaleb(k + 1) / split) for j in range(1, split + 1)]
    edges = sweet_edges(split=split)
    assert edges.tolist() == want
    assert len(edges) == 2 + 11 * split


def test_edges_are_the_decimals_of_the_text() -> None:
    low = "0 1e-10 5e-10 1e-9 5e-9 1e-8 5e-8 1e-7 5e-7 1e-6 5e-6 1e-5 5e-5"
    high = "1e-4 5e-4 1e-3 5e-3 1e-2 5e-2 0.1 0.5 1 5 10"
    exact = [float(text) for text in f"{low} {high}".split()]
    assert sweet_edges().tolist() == exact
    assert sweet_edges("released").tolist() == [0.0, *exact[2:-1]]
    assert len(sweet_edges()) - 1 == 23 and len(sweet_edges("released")) - 1 == 21


@pytest.mark.parametrize(
    ("which", "split"), [("code", 2), ("paper", 1), ("paper", 6), ("released", 3)]
)
def test_unknown_edges_are_refused(which: Any, split: int) -> None:
    with pytest.raises(ValueError, match=r"which|split"):
        sweet_edges(which, split=split)


# ---- Sweetness -----------------------------------------------------------------------------------

layer = st.tuples(st.lists(st.integers(0, 30), min_size=3, max_size=3), st.integers(0, 30))


@given(st.lists(st.lists(layer, min_size=1, max_size=6), min_size=1, max_size=4))
def test_sweetness_matches_reference(archs: list[list[tuple[list[int], int]]]) -> None:
    counts = [np.array([row for row, _ in layers]) for layers in archs]
    sizes = [np.array([size for _, size in layers]) for layers in archs]
    assert zeroshot.sweetness(counts, sizes) == tuple(reference.sweetness(counts, sizes))


def test_shares_are_compared_as_fractions() -> None:
    counts, sizes = np.array([[2**30 + 1], [2**30]]), np.array([2**31 - 1, 2**31 - 3])
    assert counts[0] / sizes[0] == counts[1] / sizes[1]  # as floats
    assert Fraction(2**30 + 1, 2**31 - 1) < Fraction(2**30, 2**31 - 3)
    assert zeroshot.sweetness([counts], [sizes]) == (1.0,)
    assert zeroshot.sweetness([np.array([[3], [1]])], [np.array([147, 49])]) == (0.0,)


# ---- Algorithm 1 ---------------------------------------------------------------------------------


def layers_of(arch: Any, prefixes: tuple[str, ...], edges: Any) -> tuple[Any, Any]:
    grads = {name: g.astype(np.float32) for name, g in counted(arch).items()}
    hits, sizes = [], []
    for prefix in prefixes:
        of_layer = [g for name, g in grads.items() if name.startswith(f"{prefix}.")]
        table = reference.sweet_histogram(of_layer, edges) if of_layer else np.zeros((0, 1))
        hits.append(table.sum(axis=0) if of_layer else np.zeros(len(edges) - 1, int))
        sizes.append(sum(g.size for g in of_layer))
    return np.array(hits), np.array(sizes)


@pytest.mark.parametrize("n_layers", [15, 17])
@pytest.mark.parametrize(
    ("which", "start", "rule"), [("paper", -1, "paper"), ("released", 0, "released")]
)
def test_interval_matches_reference(which: Any, start: float, rule: Any, n_layers: int) -> None:
    prefixes = cell_prefixes(n_layers, cells=1)
    edges = sweet_edges(which)
    hits, sizes = zip(*(layers_of(arch, prefixes, edges) for arch in ARCHS), strict=True)
    want = reference.find_sweet_interval(hits, sizes, rule=rule)
    ours = zeroshot.find_sweet_interval(
        ARCHS, X, Y, edges=which, layers=n_layers, start=start, batch_size=8, **TINY
    )
    assert ours.index is not None and ours.index == want.index
    assert ours.sweetness == tuple(want.values)
    assert (ours.lo, ours.hi) == (edges[ours.index], edges[ours.index + 1])
    assert ours.counts == tuple(np.sum([h.sum(axis=0) for h in hits], axis=0))
    assert (ours.n_archs, ours.n_layers) == (len(ARCHS), len(prefixes))


def test_start_decides_what_happens_without_a_sweet_interval() -> None:
    """Cells without weights have share 0 everywhere, so every sweetness is 0."""
    options: dict[str, Any] = {"batch_size": 8, **TINY}
    paper = zeroshot.find_sweet_interval([SKIP], X, Y, **options)
    released = zeroshot.find_sweet_interval([SKIP], X, Y, start=0, edges="released", **options)
    assert set(paper.sweetness) == set(released.sweetness) == {0.0}
    assert (paper.index, paper.lo, paper.hi) == (0, 0.0, 1e-10)  # 0 > -1, the lowest wins
    assert (released.index, released.lo, released.hi) == (0, 0.0, 5e-10)  # kept, not beaten
    nothing = zeroshot.find_sweet_interval([SKIP], X, Y, start=-1e-9, **options)
    assert nothing.index == 0


def test_layers_of_released_code_have_the_residual_blocks_at_6_and_12() -> None:
    prefixes = cell_prefixes(17, cells=5)
    assert (len(prefixes), prefixes[5], prefixes[11]) == (17, "res1", "res2")
    assert [p for p in prefixes if p.startswith("cell")] == list(cell_prefixes(15, cells=5))


def test_graph_names_its_own_layers() -> None:
    g = Graph((3, 8, 8))
    h = g.input
    for name in ("one", "two", "three"):
        h = g.relu(g.batch_norm(g.conv2d(h, 4, 3, padding=1, name=f"{name}.conv")))
    g.output(g.linear(g.global_avg_pool(h), 10))
    with pytest.raises(ValueError, match="layers: a Graph needs"):
        zeroshot.find_sweet_interval([g], X, Y, batch_size=8)
    found = zeroshot.find_sweet_interval([g], X, Y, batch_size=8, layers=("one", "two", "three"))
    grads = [g_.astype(np.float32) for g_ in counted_graph(g)]
    hits = np.array([reference.sweet_histogram(g_, sweet_edges())[0] for g_ in grads])
    sizes = np.array([g_.size for g_ in grads])
    assert found.sweetness == tuple(reference.sweetness([hits], [sizes]))


def counted_graph(g: Graph) -> list[NDArray[np.float64]]:
    found = zeroshot.gradients(g, X, Y, batch_size=8)
    return [found[f"{name}.conv.weight"] for name in ("one", "two", "three")]


def test_nothing_to_search_and_nonfinite_are_errors() -> None:
    with pytest.raises(ValueError, match="archs: expected at least one"):
        zeroshot.find_sweet_interval([], X, Y, batch_size=8, **TINY)
    with pytest.raises(zeroshot.NonFiniteError, match=r"archs\[0\]"):
        zeroshot.find_sweet_interval([CELL], X * np.nan, Y, batch_size=8, **TINY)
    with pytest.raises(ValueError, match="layers: expected 15, 17"):
        zeroshot.find_sweet_interval([CELL], X, Y, batch_size=8, layers=3, **TINY)
