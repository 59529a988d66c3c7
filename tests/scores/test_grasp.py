"""GraSP: from dual graphs (tests/test_dual.py) to the number, whoever shares the pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zeroshot
from zeroshot import Graph, _core, reference
from zeroshot.scores import Grasp, Score, Snip, XiGsnr

from ..ops.oracle import USABLE, Array, Node
from ..reference.small import Net
from ..test_dual import NETS, of_net, problem, uncancelled
from ..test_faults import count_allocations
from ..test_plan import SHAPE, networks

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
NO_PATH = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
RNG = np.random.default_rng(31)
X, Y = RNG.standard_normal((12, 3, 8, 8)), RNG.integers(0, 10, 12)
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
FOUR = Grasp(batch_size=4)


def grasp(arch: Any, x: Array = X, y: Array = Y, **options: Any) -> zeroshot.ScoreValue:
    how = {"dtype": "float64", **({} if isinstance(arch, Graph) else TINY), **options}
    score = how.pop("scores", Grasp(batch_size=min(4, len(y))))
    return zeroshot.score(arch, x, y, scores=score, **how).scores["grasp"]


# ---- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_every_layer_matches_reference(make: Callable[[], Net]) -> None:
    net, p = make(), of_net(make())
    graph = Graph.from_nodes(net.nodes)
    rows = len(p.y)
    found = grasp(graph, p.x, p.y, scores=Grasp(batch_size=rows), weights=p.weights, n_threads=1)
    g = reference.run(net.nodes, p.weights, p.x, p.y, group_size=rows).gradients
    direction = {name: g[name][0] for name in p.direction}
    product = reference.hessian_vector_product(net.nodes, p.weights, p.x, p.y, direction)
    terms = {name: -p.weights[name] * product[name] for name in direction}
    size = sum(float(np.abs(t).sum()) for t in terms.values())
    want = reference.grasp(net.nodes, p.weights, p.x, p.y)
    assert found.status == want.status
    assert found.value == pytest.approx(want.value, rel=1e-10, abs=1e-10 * size)
    for name, t in terms.items():
        assert found.layers[name] == pytest.approx(t.sum(), rel=1e-9, abs=1e-11 * size), name


@settings(max_examples=60)
@given(
    nodes=networks(),
    table=st.sampled_from(USABLE),
    recompute=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_network_matches_reference(
    nodes: list[Node], table: str, recompute: bool, seed: int
) -> None:
    p = problem(SHAPE, uncancelled(nodes), seed=seed)
    graph = Graph.from_nodes(p.graph.nodes())
    found = grasp(
        graph, p.x, p.y, scores=Grasp(batch_size=len(p.y)), weights=p.weights, kernels=table,
        recompute=recompute, n_threads=1,
    )  # fmt: skip
    g = reference.run(p.graph.nodes(), p.weights, p.x, p.y, group_size=len(p.y)).gradients
    product = reference.hessian_vector_product(
        p.graph.nodes(), p.weights, p.x, p.y, {name: g[name][0] for name in p.direction}
    )
    size = sum(float(np.abs(p.weights[n] * product[n]).sum()) for n in p.direction)
    want = reference.grasp(p.graph.nodes(), p.weights, p.x, p.y)
    assert found.value == pytest.approx(want.value, rel=0, abs=1e-9 * (1 + size))


def test_score_is_the_slope_of_half_the_squared_gradient() -> None:
    """``sum -w (H g)`` is minus the derivative of ``|g|^2 / 2`` as all weights grow alike."""
    rng = np.random.default_rng(5)
    names = list(zeroshot.gradients(CELL, X, Y, batch_size=4, **TINY).gradients)
    shapes = zeroshot.weight_names(CELL, channels=4, cells=1)
    drawn = {n: rng.standard_normal(s) * (0.3 if len(s) > 1 else 1.0) for n, s in shapes.items()}

    def half_square(t: float) -> float:
        moved = {n: w * (1 + t * (n in names)) for n, w in drawn.items()}
        found = zeroshot.gradients(
            CELL, X[:4], Y[:4], batch_size=4, weights=moved, dtype="float64", **TINY
        )
        return sum(float((g**2).sum()) for g in found.gradients.values()) / 2

    step = 1e-5
    slope = (half_square(step) - half_square(-step)) / (2 * step)
    assert grasp(CELL, weights=drawn).value == pytest.approx(-slope, rel=1e-6)


def test_value_matches_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    functional = torch.nn.functional
    g = Graph((3, 8, 8))
    h = g.relu(g.batch_norm(g.conv2d(g.input, 6, 3, padding=1, name="a"), name="n"))
    h = g.batch_norm(
        g.conv2d(g.max_pool(h, 3, stride=2, padding=1), 6, 3, padding=1, name="b"), name="o"
    )
    g.output(g.linear(g.global_avg_pool(h), 10, name="fc"))
    rng = np.random.default_rng(2)
    drawn = {n: rng.standard_normal(s) for n, s in zeroshot.weight_names(g).items()}
    w = {n: torch.tensor(v, requires_grad=True) for n, v in drawn.items()}

    def norm(z: Any, name: str) -> Any:
        gamma, beta = w[f"{name}.gamma"], w[f"{name}.beta"]
        return functional.batch_norm(z, None, None, gamma, beta, True, 0.1, 1e-5)

    z = functional.conv2d(torch.tensor(X[:4]), w["a.weight"], padding=1)
    z = functional.max_pool2d(functional.relu(norm(z, "n")), 3, 2, 1)
    z = norm(functional.conv2d(z, w["b.weight"], padding=1), "o").mean((2, 3))
    z = functional.linear(z, w["fc.weight"], w.get("fc.bias"))
    counted = [w[n] for n in drawn if n.endswith(".weight")]
    loss = functional.cross_entropy(z, torch.tensor(Y[:4]))
    first = torch.autograd.grad(loss, counted, create_graph=True)
    along = sum((d.detach() * d).sum() for d in first)
    second = torch.autograd.grad(along, counted)
    want = sum(float(-(a * b).detach().sum()) for a, b in zip(counted, second, strict=True))
    assert grasp(g, weights=drawn, n_threads=1).value == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("table", USABLE)
@pytest.mark.parametrize("arch", [CELL, DEAD])
def test_float32_stays_close_to_float64(arch: str, table: str) -> None:
    want, got = (grasp(arch, dtype=d, kernels=table) for d in ("float64", "float32"))
    size = sum(abs(v) for v in want.layers.values())
    assert abs(got.value - want.value) <= 1e-4 * size


def test_dead_weights_add_nothing() -> None:
    found = grasp(DEAD)
    dead = [name for name, value in found.layers.items() if value == 0]
    assert dead and found.value == pytest.approx(sum(found.layers.values()), rel=1e-12)


# ---- whoever shares, however it runs -------------------------------------------------------------


def test_value_does_not_depend_on_who_shares_the_pass() -> None:
    def score(*scores: Score) -> dict[str, float]:
        return dict(zeroshot.score(CELL, X, Y, scores=scores, dtype="float64", **TINY).values)

    snip, xi, six = Snip(batch_size=4), XiGsnr(batch_size=4), Grasp(batch_size=6, label="six")
    alone = {**score(FOUR), **score(snip), **score(xi), **score(six)}
    for scores in ([snip, FOUR], [xi, FOUR, snip], [FOUR, six], [six, xi, FOUR, snip]):
        assert score(*scores) == {s.label: alone[s.label] for s in scores}


@pytest.mark.parametrize("table", USABLE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_and_recomputing_do_not_change_a_bit(dtype: str, table: str) -> None:
    x, y = np.tile(X, (3, 1, 1, 1)), np.tile(Y, 3)
    options = {"dtype": dtype, "kernels": table, "scores": Grasp(batch_size=36), "channels": 16}
    want = grasp(CELL, x, y, **options)
    for how in ({"n_threads": 2}, {"recompute": True}, {"n_threads": 2, "recompute": True}):
        found = grasp(CELL, x, y, **{**options, **how})
        assert (found.value, found.layers) == (want.value, want.layers)


# ---- statuses ------------------------------------------------------------------------------------


def test_no_path_has_no_signal() -> None:
    found = grasp(NO_PATH)
    assert (found.status, found.value) == ("no_signal", 0.0)


def test_what_is_not_finite_is_blamed() -> None:
    x = X.copy()
    x[1, 0, 2, 3] = np.nan
    found = zeroshot.score(CELL, x, Y, scores=FOUR, **TINY)
    assert found.scores["grasp"].status == "nonfinite"


def test_second_pass_that_overflows_is_not_finite() -> None:
    """Gradients that fit in float32, and products that do not."""
    g = Graph((1, 1, 1))
    h = g.linear(g.linear(g.input, 1, name="a"), 1, name="b")
    g.output(g.linear(h, 2, name="c"))
    weights = {"a.weight": [[1e-25]], "b.weight": [[1e25]], "c.weight": [[1.0], [-1.0]]}
    arrays = {n: np.array(w) for n, w in weights.items()}
    x, y = np.ones((1, 1, 1, 1)), np.array([0])
    arrays |= {n: np.zeros(s) for n, s in zeroshot.weight_names(g).items() if n not in arrays}
    found = grasp(g, x, y, weights=arrays, dtype="float32", n_threads=1)
    assert found.status == "nonfinite"
    assert np.isfinite(grasp(g, x, y, weights=arrays, n_threads=1).value)


# ---- memory --------------------------------------------------------------------------------------


def peak(scores: Any, size: int = 8, **options: Any) -> int:
    plan = zeroshot.plan(CELL, scores=scores, n_rows=16, input_size=size, **{**TINY, **options})
    return plan.peak_bytes


def test_memory_of_the_second_pass_is_known_beforehand() -> None:
    snip, both = peak(Snip(batch_size=4)), peak([Snip(batch_size=4), FOUR])
    assert snip < peak(FOUR) < both < 5 * snip
    assert zeroshot.score(CELL, X, Y, scores=FOUR, **TINY).peak_bytes == peak(FOUR)
    want = zeroshot.score(CELL, X, Y, scores=FOUR, **TINY).value
    assert zeroshot.score(CELL, X, Y, scores=FOUR, max_bytes=peak(FOUR), **TINY).value == want
    with pytest.raises(MemoryError, match="max_bytes"):  # whatever is made again
        zeroshot.score(CELL, X, Y, scores=FOUR, max_bytes=peak(FOUR) // 2, **TINY)


def test_recompute_takes_less_memory() -> None:
    deep: dict[str, Any] = {"cells": 4, "channels": 16, "size": 32}
    batch = Grasp(batch_size=16)
    assert peak(batch, recompute=True, **deep) < 0.7 * peak(batch, **deep)


def test_every_allocation_may_fail() -> None:
    def score() -> float:
        return grasp(CELL).value

    want = score()
    n = count_allocations(score)
    try:
        for k in range(n):
            _core._alloc_fail_after(k, False)
            with pytest.raises(MemoryError):
                score()
    finally:
        _core._alloc_fail_after(-1, False)
    assert score() == want
