"""Layered layout: the fewest crossings, the closest heights; and the checks of pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from zeroshot.drawing import Drawing, layout
from zeroshot.drawing.layout import Vertex, layered
from zeroshot.drawing.scene import Scene

from .common import faults


def random_graph(seed: int, n: int) -> list[Vertex]:
    rng = np.random.default_rng(seed)
    vertices = [Vertex("0", 20.0, 10.0)]
    for i in range(1, n):
        k = int(rng.integers(1, min(i, 3) + 1))
        sources = tuple(str(s) for s in sorted(rng.choice(i, k, replace=False)))
        vertices.append(Vertex(str(i), 20.0, 10.0, sources))
    return vertices


def crossings(pairs: list[tuple[int, int]]) -> int:
    return sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(pairs, 2))


def crossings_of(graph: layout._Graph, orders: Sequence[Sequence[Any]]) -> int:
    """Of lines from column to column, one pair after the other."""
    return sum(
        crossings([(orders[i - 1].index(s.tail), orders[i].index(s.head)) for s in segments])
        for i, segments in enumerate(graph.segments)
        if i
    )


@pytest.mark.parametrize("seed", range(12))
def test_order_has_the_fewest_crossings(seed: int) -> None:
    """Against all orders of all columns, one by one."""
    graph = layout._Graph(random_graph(seed, 6), None)
    names = [list(column) for column in graph.columns]
    all_orders = itertools.product(*map(itertools.permutations, names))
    fewest = min(crossings_of(graph, orders) for orders in all_orders)
    graph.arrange()
    assert crossings_of(graph, graph.columns) == fewest
    assert [sorted(column) for column in graph.columns] == [sorted(column) for column in names]


def test_sweeps_do_not_add_crossings() -> None:
    for seed in range(6):
        graph = layout._Graph(random_graph(seed, 20), None)
        assert max(map(len, graph.columns)) > layout._EXACT
        before = crossings_of(graph, graph.columns)
        graph.arrange()
        assert crossings_of(graph, graph.columns) <= before


def test_falling_is_the_closest_that_never_rises() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 9):
        values, weights = rng.normal(size=n), rng.uniform(0.1, 3, size=n)
        best = layout._falling(values, weights)
        assert (np.diff(best) <= 1e-12).all()
        cost = (weights * (best - values) ** 2).sum()
        for step in rng.normal(scale=0.3, size=(300, n)):  # all feasible points near are worse
            other = np.sort(best + step)[::-1]
            assert (weights * (other - values) ** 2).sum() >= cost - 1e-12


def draw(vertices: list[Vertex]) -> Drawing:
    placed, scene = layered(vertices), Scene()
    for route in placed.routes:
        scene.line(*route.points, arrow=route.ends is not None)
    for v in vertices:
        scene.box(*placed.centre[v.name], v.width, v.height, "conv", v.name)
    return Drawing(scene, "random")


@pytest.mark.parametrize("n", [2, 7, 12, 24])
def test_random_graphs_are_drawn_without_faults(n: int) -> None:
    for seed in range(4):
        assert not faults(draw(random_graph(seed, n)))


def test_every_read_has_one_route_and_ends_at_its_reader() -> None:
    vertices = random_graph(3, 9)
    placed = layered(vertices)
    ends = [(r.source, r.ends) for r in placed.routes if r.ends is not None]
    assert sorted(ends) == sorted((s, v.name) for v in vertices for s in v.sources)
    for route in placed.routes:
        if route.ends is not None:
            x, y = placed.centre[route.ends]
            assert route.points[-1] == pytest.approx((x - 10.0, y))


# --- the checks see what they are for ---------------------------------------------------------


def test_checks_see_faults() -> None:
    def scene_of(*lines: str, width: float = 40.0) -> Scene:
        scene = Scene()
        scene.box(0.0, 0.0, width, 12.0, "conv", *lines)
        return scene

    assert not faults(Drawing(scene_of("fits"), ""))
    assert any(
        "leaves its box" in f for f in faults(Drawing(scene_of("does not fit", width=20.0), ""))
    )
    two = scene_of("a")
    two.box(30.0, 3.0, 40.0, 12.0, "pool", "b")
    assert any("boxes overlap" in f for f in faults(Drawing(two, "")))
    near = scene_of("one")
    near.text(3.0, 1.0, "two")
    assert any("overlaps" in f for f in faults(Drawing(near, "")))
    through = scene_of("a")
    through.line((-40.0, 3.0), (40.0, 3.0))
    assert any("runs through box" in f for f in faults(Drawing(through, "")))
    framed = scene_of("a")
    framed.frame(-10.0, -8.0, 30.0, 8.0)
    assert any("leaves its frame" in f for f in faults(Drawing(framed, "")))

    class Narrow(Drawing):
        @property
        def size(self) -> tuple[float, float]:
            return 10.0, 10.0

    assert any("canvas" in f for f in faults(Narrow(scene_of("a"), "")))
