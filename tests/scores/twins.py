"""What tests of scores share: small networks, and a score against its float64 twin.

Tolerances are measured, not guessed: the twin is evaluated again with weights and images moved by
one unit of rounding, up or down at random. A pass rounds every number that it makes, some
`ROUNDINGS` of them in a row, so that is how many times the largest of these changes may be found
between two programs; and a sum that reaches a score rounds a few units of its own size more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import zeroshot
from zeroshot import Graph
from zeroshot.scores import Score

from ..reference.small import Net, batch, every_op, usual

Array = NDArray[np.float64]
ROUNDINGS = 100
DRAWS = 4
UNIT = {"float64": 2.0**-53, "float32": 2.0**-24}
ONE_THREAD: dict[str, Any] = {"n_threads": 1}


class Case(NamedTuple):
    """A network with weights, images and labels, all float32 values."""

    nodes: list[dict[str, Any]]
    weights: dict[str, Array]
    x: Array
    y: NDArray[np.int64]

    @property
    def graph(self) -> Graph:
        return Graph.from_nodes(self.nodes)

    def score(self, scores: Any, **options: Any) -> zeroshot.ScoreResult:
        options = {"weights": self.weights, "dtype": "float64", **ONE_THREAD, **options}
        return zeroshot.score(self.graph, self.x, self.y, scores=scores, **options)

    def one(self, score: Score, **options: Any) -> Any:
        return self.score(score, **options).scores[score.label]


def rounded(a: Any) -> Array:
    return np.asarray(a, np.float32).astype(np.float64)


def case_of(net: Net, rows: int = 6) -> Case:
    x, y = batch(net, rows)
    return Case(net.nodes, {k: rounded(w) for k, w in net.weights.items()}, rounded(x), y)


NETWORKS: dict[str, Callable[[], Net]] = {
    "usual": lambda: usual(bias=True),
    "no bn": lambda: usual(bn=False),
    "no relu": lambda: usual(relu=False, bias=True),
    "linear": lambda: usual(relu=False, bn=False, bias=True),
    "blocked": lambda: usual(blocked=True, bias=True),
    "blocked without bias": lambda: usual(blocked=True),
    "every op": every_op,  # groups, depthwise, biases, running and identity batch norm
}

Twin = Callable[[list[dict[str, Any]], dict[str, Array], Array, NDArray[np.int64]], Any]


def spread(twin: Twin, case: Case, unit: float) -> float:
    """The largest change of the twin's value when all numbers move by a unit of rounding."""
    value, rng = twin(*case).value, np.random.default_rng(5)

    def moved(a: Array) -> Array:
        return a * (1 + unit * rng.choice([-1.0, 1.0], a.shape))

    changes = []
    for _ in range(DRAWS):
        weights = {name: moved(w) for name, w in case.weights.items()}
        changes.append(abs(twin(case.nodes, weights, moved(case.x), case.y).value - value))
    return max(changes)


def assert_matches_twin(
    score: Score, twin: Twin, case: Case, *, dtype: str = "float64", **options: Any
) -> None:
    want, got = twin(*case), case.one(score, dtype=dtype, **options)
    unit = UNIT["float64" if score.float64 else dtype]
    assert got.status == want.status, (got, want)
    limit = ROUNDINGS * (spread(twin, case, unit) + unit * abs(want.value))
    error = abs(got.value - want.value)
    assert error <= limit, f"{got.value!r}, expected {want.value!r}, {error=}, {limit=}"


def bits(result: zeroshot.ScoreResult, label: str) -> Any:
    """What must not depend on anything but the score's own input."""
    one = result.scores[label]
    values = np.array([one.value, *one.layers.values()]).tobytes()  # NaN equals NaN
    return values, tuple(one.layers), one.status, one.reason, one.keys
