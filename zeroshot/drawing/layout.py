"""Layered layout of small graphs, left to right.

Every vertex stands in a column to the right of all that it reads. What is read further on runs
straight through the columns between, once for all its readers, so that a line bends in the gaps
between columns alone and meets no vertex. The order within columns is the one with the fewest
crossings, found exactly where no column has more than `_EXACT` places; heights are those that
bring the ends of lines closest, by least squares.
"""

from __future__ import annotations

__all__ = ["Placed", "Route", "Vertex", "layered"]

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Key: TypeAlias = "tuple[str, int]"  # a vertex, or its line where that crosses a column

_EXACT: Final = 6
_ROUNDS: Final = 24
_LINE_ROOM: Final = 7.0  # between lines, and between a line and a vertex
_ROOM: Final = 9.0  # between vertices


@dataclass(frozen=True)
class Vertex:
    """Something to be placed.

    Attributes
    ----------
    name : str
    width, height : float
    sources : tuple of str
        What it reads, each vertex listed before.
    lanes : tuple of float
        Heights of the places at its left side where lines end, one for each source; none where all
        end in the middle.
    """

    name: str
    width: float
    height: float
    sources: tuple[str, ...] = ()
    lanes: tuple[float, ...] = ()


class Route(NamedTuple):
    """A line from one column to the next, through points at which it is horizontal.

    Attributes
    ----------
    source : str
        Whose output it carries.
    readers : frozenset of str
        The vertices that it leads to.
    points : tuple of (x, y)
    ends : str or None
        The vertex at its end, if it does not run on.
    lane : int
        Which of that vertex' sources it is.
    """

    source: str
    readers: frozenset[str]
    points: tuple[tuple[float, float], ...]
    ends: str | None
    lane: int


class Placed(NamedTuple):
    """Where things are.

    Attributes
    ----------
    centre : mapping
        Of each vertex.
    lanes : mapping
        Of each vertex how far above its centre each lane is.
    routes : list of Route
    """

    centre: Mapping[str, tuple[float, float]]
    lanes: Mapping[str, tuple[float, ...]]
    routes: list[Route]


class _Segment(NamedTuple):
    tail: Key
    head: Key
    lane: int


@cache
def _orders(n: int) -> NDArray[np.int8]:
    """Place of each of `n` items, in all orders; row 0 leaves them as they are."""
    return np.array(list(itertools.permutations(range(n))), dtype=np.int8).reshape(-1, n)


class _Graph:
    """Columns with a place for every vertex and for every line that crosses."""

    def __init__(self, vertices: Sequence[Vertex], last: str | None) -> None:
        self.vertices = {v.name: v for v in vertices}
        self.column: dict[str, int] = {}
        for v in vertices:
            self.column[v.name] = max((self.column[s] + 1 for s in v.sources), default=0)
        if last is not None and len(vertices) > 1:
            others = (at for name, at in self.column.items() if name != last)
            self.column[last] = max(self.column[last], 1 + max(others))
        until = dict(self.column)
        for v in vertices:
            for s in v.sources:
                until[s] = max(until[s], self.column[v.name])
        n = 1 + max(self.column.values())
        self.columns: list[list[Key]] = [[] for _ in range(n)]
        for v in vertices:
            for i in range(self.column[v.name], max(until[v.name], self.column[v.name] + 1)):
                self.columns[i].append((v.name, i))
        self.segments: list[list[_Segment]] = [[] for _ in range(n)]  # those that end in a column
        for v in vertices:
            at = self.column[v.name]
            for lane, s in enumerate(v.sources):
                self.segments[at].append(_Segment((s, at - 1), (v.name, at), lane))
            for i in range(at + 1, until[v.name]):
                self.segments[i].append(_Segment((v.name, i - 1), (v.name, i), 0))

    def is_line(self, key: Key) -> bool:
        return self.column[key[0]] != key[1]

    # --- order within columns

    def arrange(self) -> None:
        """The order with the fewest crossings; of these, one in which lines run level."""
        if max(map(len, self.columns)) <= _EXACT:
            self._arrange_exactly()
        else:
            self._arrange_by_sweeps()

    def _costs(
        self, i: int, left: NDArray[np.int8], right: NDArray[np.int8]
    ) -> NDArray[np.float64]:
        """Of the lines into column i, for orders of the column before (rows) and of it."""
        tails, heads = (
            [column.index(key) for key in keys]
            for column, keys in (
                (self.columns[i - 1], [s.tail for s in self.segments[i]]),
                (self.columns[i], [s.head for s in self.segments[i]]),
            )
        )
        one, two = np.triu_indices(len(tails), 1)
        t, h = left[:, tails].astype(np.float64), right[:, heads].astype(np.float64)
        a, b = np.sign(t[:, one] - t[:, two]), np.sign(h[:, one] - h[:, two])
        crossings = (np.abs(a) @ np.abs(b).T - a @ b.T) / 2
        t -= (len(self.columns[i - 1]) - 1) / 2
        h -= (len(self.columns[i]) - 1) / 2
        slopes = np.abs(t[:, None, :] - h[None, :, :]).sum(axis=2)
        return np.asarray(crossings + 0.01 * slopes)

    def _arrange_exactly(self) -> None:
        orders = [_orders(len(column)) for column in self.columns]
        best, before = 0.001 * np.arange(len(orders[0])) / len(orders[0]), []
        for i in range(1, len(orders)):
            costs = best[:, None] + self._costs(i, orders[i - 1], orders[i])
            before.append(costs.argmin(axis=0))
            best = costs.min(axis=0)
        chosen = int(best.argmin())
        for i in reversed(range(len(orders))):
            places = orders[i][chosen]
            if i:
                chosen = int(before[i - 1][chosen])
            self.columns[i] = [self.columns[i][j] for j in np.argsort(places)]

    def _arrange_by_sweeps(self) -> None:
        def cost() -> float:
            rows = [np.arange(len(column), dtype=np.int8)[None] for column in self.columns]
            return sum(
                float(self._costs(i, rows[i - 1], rows[i])[0, 0]) for i in range(1, len(rows))
            )

        best, kept = cost(), [list(column) for column in self.columns]
        n = len(self.columns)
        for sweep in range(_ROUNDS):
            onward = sweep % 2 == 0
            for i in range(1, n) if onward else range(n - 2, -1, -1):
                near = self.columns[i - 1 if onward else i + 1]
                pairs = [(s.tail, s.head) for s in self.segments[i if onward else i + 1]]
                rank = {key: float(place) for place, key in enumerate(near)}
                own = {key: float(place) for place, key in enumerate(self.columns[i])}
                seen: dict[Key, list[float]] = {}
                for tail, head in pairs:
                    here, there = (head, tail) if onward else (tail, head)
                    seen.setdefault(here, []).append(rank[there])
                mean = {k: float(np.mean(seen[k])) if k in seen else own[k] for k in own}
                self.columns[i].sort(key=mean.__getitem__)
            if cost() < best:
                best, kept = cost(), [list(column) for column in self.columns]
        self.columns = kept

    # --- places

    def lane_offsets(self) -> dict[str, tuple[float, ...]]:
        """Lanes in the order in which their sources stand in the column before, from the top."""
        offsets = {}
        for name, v in self.vertices.items():
            if not v.lanes:
                offsets[name] = (0.0,) * len(v.sources)
                continue
            at = self.column[name]
            rank = {key[0]: place for place, key in enumerate(self.columns[at - 1])} if at else {}
            order = sorted(range(len(v.lanes)), key=lambda i: rank[v.sources[i]])
            top, found = sum(v.lanes) / 2, dict[int, float]()
            for i in order:
                found[i] = top - v.lanes[i] / 2
                top -= v.lanes[i]
            offsets[name] = tuple(found[i] for i in range(len(v.lanes)))
        return offsets

    def heights(self, lanes: Mapping[str, tuple[float, ...]]) -> dict[Key, float]:
        """y of every place."""
        y: dict[Key, float] = {}
        shift: list[NDArray[np.float64]] = []
        for column in self.columns:
            below = np.zeros(len(column))
            for i in range(1, len(column)):
                below[i] = below[i - 1] + self._distance(column[i - 1], column[i])
            shift.append(below)
            for key, d in zip(column, below, strict=True):
                y[key] = float(below[-1] / 2 - d)
        for sweep in range(2 * _ROUNDS):
            order = range(len(self.columns))
            for i in order if sweep % 2 == 0 else reversed(order):
                wanted: dict[Key, list[float]] = {key: [] for key in self.columns[i]}
                for s in self.segments[i]:
                    port = 0.0 if self.is_line(s.head) else lanes[s.head[0]][s.lane]
                    wanted[s.head].append(y[s.tail] - port)
                for s in self.segments[i + 1] if i + 1 < len(self.columns) else ():
                    port = 0.0 if self.is_line(s.head) else lanes[s.head[0]][s.lane]
                    wanted[s.tail].append(y[s.head] + port)
                column = self.columns[i]
                target = np.array([np.mean(wanted[k]) if wanted[k] else y[k] for k in column])
                weight = np.array([max(len(wanted[k]), 0.1) for k in column])
                level = _falling(target + shift[i], weight)
                for key, value in zip(column, level - shift[i], strict=True):
                    y[key] = float(value)
        return y

    def _distance(self, above: Key, below: Key) -> float:
        lines = self.is_line(above) or self.is_line(below)
        halves = sum(0 if self.is_line(k) else self.vertices[k[0]].height for k in (above, below))
        return halves / 2 + (_LINE_ROOM if lines else _ROOM)


def _falling(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The closest values, by weighted least squares, that never rise (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] < pools[-1][0]:
            (v, w, n), (v2, w2, n2) = pools.pop(), pools.pop()
            pools.append(((v * w + v2 * w2) / (w + w2), w + w2, n + n2))
    return np.repeat([v for v, _, _ in pools], [n for _, _, n in pools])


def layered(vertices: Sequence[Vertex], *, gap: float = 18.0, last: str | None = None) -> Placed:
    """Places for vertices, those without sources at the left.

    Parameters
    ----------
    vertices : sequence of Vertex
        Each after those that it reads.
    gap : float
        Least width of what is between two columns; steep lines get more.
    last : str, optional
        A vertex that nobody reads, to stand to the right of all others.

    Returns
    -------
    Placed
    """
    graph = _Graph(vertices, last)
    graph.arrange()
    lanes = graph.lane_offsets()
    y = graph.heights(lanes)

    def end(s: _Segment) -> float:
        return y[s.head] + (0.0 if graph.is_line(s.head) else lanes[s.head[0]][s.lane])

    left, right, x = [], [], 0.0
    for i, column in enumerate(graph.columns):
        rise = max((abs(end(s) - y[s.tail]) for s in graph.segments[i]), default=0.0)
        x += min(gap + 0.15 * rise, 2.2 * gap) if i else 0.0
        left.append(x)
        x += max((graph.vertices[k[0]].width for k in column if not graph.is_line(k)), default=0.0)
        right.append(x)

    centre = {}
    for name, v in graph.vertices.items():
        at = graph.column[name]
        middle = (left[at] + right[at]) / 2 if at else right[at] - v.width / 2
        centre[name] = (middle, y[name, at])

    readers: dict[Key, set[str]] = {}
    for i in reversed(range(len(graph.columns))):
        for s in graph.segments[i]:
            beyond = readers.get(s.head, set()) if graph.is_line(s.head) else {s.head[0]}
            readers.setdefault(s.tail, set()).update(beyond)

    routes = []
    for i, segments in enumerate(graph.segments):
        for s in segments:
            name, v = s.tail[0], graph.vertices[s.head[0]]
            start, line = right[i - 1], graph.is_line(s.head)
            points = [(start, y[s.tail]), (left[i], end(s))]
            if not graph.is_line(s.tail):
                points.insert(0, (centre[name][0] + graph.vertices[name].width / 2, y[s.tail]))
            points.append((right[i] if line else centre[v.name][0] - v.width / 2, end(s)))
            to = readers[s.head] if line else {v.name}
            points = [p for k, p in enumerate(points) if k == 0 or p[0] > points[k - 1][0] + 1e-6]
            routes.append(
                Route(name, frozenset(to), tuple(points), None if line else v.name, s.lane)
            )
    return Placed(centre, lanes, routes)
