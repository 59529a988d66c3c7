"""Gradients of whole networks of layers that search spaces combine, by central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import reference

from .oracle import Node, build, conv, every_table, head, run_core

SHAPE = (3, 9, 8)


def factorised(k: int, stride: int) -> list[Node]:
    """1 x k, then k x 1, each with its stride and a bias, and a batch norm between."""
    across = {"kernel": (1, k), "stride": (1, stride), "padding": (0, k // 2), "bias": True}
    down = {"kernel": (k, 1), "stride": (stride, 1), "padding": (k // 2, 0), "bias": True}
    return [
        ("conv2d", "across", [0], {"out_channels": 4, **across}),
        ("batch_norm", "n", [1], {}),
        ("conv2d", "down", [2], {"out_channels": 5, **down}),
        *head(3),
    ]


def pooled(op: str, k: int, stride: int) -> list[Node]:
    window = {"kernel": (k, k), "stride": (stride, stride), "padding": (k // 2 * (k % 2),) * 2}
    return [conv("a", 0, 4, 3, bias=True), (op, "p", [1], window), conv("b", 2, 5), *head(3)]


NETS: dict[str, list[Node]] = {
    **{f"1x{k} and {k}x1 by {s}": factorised(k, s) for k in (3, 5, 7) for s in (1, 2)},
    **{
        f"{op} {k} by {s}": pooled(op, k, s)
        for op in ("max_pool", "avg_pool")
        for k in (2, 3, 5, 7)
        for s in (1, 2)
    },
}


@every_table
@pytest.mark.parametrize("nodes", NETS.values(), ids=NETS)
def test_gradient_is_a_slope(nodes: list[Node], table: str) -> None:
    """Of a step of 1e-6: rounding and curvature are some 1e-9 of losses and gradients of size 1."""
    rng = np.random.default_rng(0)
    graph = build(SHAPE, nodes)
    weights: dict[str, Any] = {t["name"]: rng.standard_normal(t["shape"]) for t in graph.tensors()}
    x, y = rng.standard_normal((4, *SHAPE)), np.arange(4) % 3
    how: dict[str, Any] = {"group_size": 4, "loss": "cross_entropy"}
    found = run_core(graph, weights, x, y, table=table, **how)["gradients"]

    def loss(name: str, index: tuple[int, ...], step: float) -> float:
        moved = {**weights, name: weights[name].copy()}
        moved[name][index] += step
        return float(run_core(graph, moved, x, y, table=table, **how)["losses"][0])

    want = reference.run(graph.nodes(), weights, x, y).gradients
    for name, gradient in found.items():
        np.testing.assert_allclose(
            gradient, want[name], rtol=0, atol=1e-11 * np.abs(want[name]).max() + 1e-14
        )
        for at in {0, gradient[0].size // 2, gradient[0].size - 1}:
            index = tuple(int(i) for i in np.unravel_index(at, gradient[0].shape))
            slope = (loss(name, index, 1e-6) - loss(name, index, -1e-6)) / 2e-6
            assert abs(slope - gradient[(0, *index)]) <= 1e-7, (name, index)
