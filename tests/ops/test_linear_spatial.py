"""Linear layers over positions, and linear layers at every position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import Graph, _testing

from .oracle import (
    Array,
    Node,
    assert_close,
    assert_same,
    bound,
    build,
    check_blocks,
    check_network,
    conv,
    every_dtype,
    every_table,
    garbage,
    head,
    integers,
    normal,
    run_core,
    run_kernel,
)

CASES = [(1, 1, 1, 1), (2, 3, 4, 3), (3, 1, 5, 16), (2, 7, 7, 21)]
every_case = pytest.mark.parametrize("shape", CASES, ids=lambda s: "x".join(map(str, s)))


@every_table
@every_dtype
@every_case
def test_spatial_bias_matches_reference(shape: Any, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(0)
    n, h, w, c = shape
    bias, dy = normal(rng, dtype, h * w), normal(rng, dtype, *shape)
    run_kernel(
        lambda out: _testing.spatial_bias_fwd(table, bias, out),
        [],
        [garbage(dtype, *shape)],
        lambda out: assert_same(out, np.broadcast_to(bias.reshape(1, h, w, 1), shape), "y"),
    )
    over = (0, 3)
    want, size = (f(dy.astype(np.float64)).sum(over).ravel() for f in (np.positive, np.abs))
    limit = bound("gap", n * c, size, np.float64) + bound("join", 1, abs(want), dtype)
    run_kernel(
        lambda a, out: _testing.spatial_bias_bwd(table, a, out),
        [dy],
        [],
        lambda out: assert_close(out, want, limit, "db"),
        plain=[garbage(dtype, h * w)],
    )


@every_table
@every_dtype
def test_spatial_bias_touches_its_block_only(dtype: Any, table: str) -> None:
    rng = np.random.default_rng(1)
    bias, y = normal(rng, dtype, 6), normal(rng, dtype, 5, 2, 3, 19)
    check_blocks(lambda y, **b: _testing.spatial_bias_fwd(table, bias, y, **b), 5, [y], "bias")


def spatial(name: str, source: int, bias: bool = True) -> Node:
    return ("linear_spatial", name, [source], {"bias": bias})


NETWORKS: dict[str, list[Node]] = {
    "of the image": [spatial("m", 0)],
    "two, the first behind a relu": [
        conv("a", 0, 5, 3),
        ("relu", "r", [1], {}),
        spatial("m", 2, False),
        spatial("n", 3),
        ("add", "s", [4, 1, 2], {"coef": [1.0, -1.0, 1.0]}),
    ],
    "of a slice and a shift": [
        conv("a", 0, 6, 3),
        ("slice_channels", "s", [1], {"channels": 3, "start": 2}),
        spatial("m", 2),
        ("shift", "h", [3], {}),
        spatial("n", 4),
        conv("b", 5, 3, 2, padding=(1, 1)),
    ],
    "of zeros": [
        conv("a", 0, 3, 3),
        ("zero", "z", [1], {"stride": 1}),
        spatial("m", 2),
        spatial("n", 2, False),
        ("add", "s", [3, 4, 1], {"coef": [1.0, 1.0, 1.0]}),
    ],
    "linear at every position": [
        ("linear", "l", [0], {"out_features": 7, "bias": True}),
        ("relu", "r", [1], {}),
        ("linear", "k", [2], {"out_features": 4}),
        conv("b", 3, 5, 3),
        ("linear", "j", [4], {"out_features": 5, "bias": True}),
    ],
}


@every_table
@every_dtype
@pytest.mark.parametrize("dead", [True, False], ids=["all", "live"])
@pytest.mark.parametrize("name", NETWORKS)
def test_linear_spatial_in_a_network(name: str, dead: bool, dtype: Any, table: str) -> None:
    nodes = NETWORKS[name]
    check_network((3, 4, 4), [*nodes, *head(len(nodes))], table, dtype, dead=dead)


@every_table
def test_linear_spatial_matches_torch(table: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(2)
    graph = build((5, 3, 4), [spatial("m", 0), ("linear", "l", [1], {"out_features": 3}),
                              ("global_avg_pool", "g", [2], {})])  # fmt: skip
    weights = {t["name"]: normal(rng, np.float64, *t["shape"]) for t in graph.tensors()}
    x, y = normal(rng, np.float64, 4, 5, 3, 4), np.array([0, 1, 2, 0])
    t = {k: torch.tensor(w, requires_grad=True) for k, w in weights.items()}
    h = torch.nn.functional.linear(torch.tensor(x).flatten(2), t["m.weight"], t["m.bias"])
    logits = (h.transpose(1, 2) @ t["l.weight"].T).mean(1)
    torch.nn.functional.cross_entropy(logits, torch.tensor(y)).backward()
    got = run_core(graph, weights, x, y, table=table, group_size=4, loss="cross_entropy")
    assert_close(got["logits"], logits.detach().numpy(), 1e-12, "logits")
    for name, tensor in t.items():
        assert_close(got["gradients"][name][0], tensor.grad.numpy(), 1e-12, name)


@every_table
@every_dtype
def test_linear_at_positions_has_the_bits_of_a_convolution(dtype: Any, table: str) -> None:
    rng = np.random.default_rng(3)
    layers: list[Node] = [
        ("linear", "l", [0], {"out_features": 11, "bias": True}),
        conv("l", 0, 11, bias=True),
    ]
    results = []
    weights: dict[str, Array] = {}
    for layer in layers:
        graph = build((6, 5, 4), [layer, ("relu", "r", [1], {}), *head(2)])
        if not weights:
            weights = {t["name"]: rng.standard_normal(t["shape"]) for t in graph.tensors()}
        own = {t["name"]: weights[t["name"]].reshape(t["shape"]) for t in graph.tensors()}
        x, y = np.random.default_rng(4).standard_normal((6, 6, 5, 4)), np.array([0, 1, 2] * 2)
        results.append(run_core(graph, own, x, y, table=table, dtype=dtype, group_size=3))
    assert np.array_equal(results[0]["logits"], results[1]["logits"])
    for name, gradient in results[0]["gradients"].items():
        assert np.array_equal(gradient.ravel(), results[1]["gradients"][name].ravel()), name


def test_layers_over_positions_count_each_use_of_a_weight() -> None:
    g = Graph((3, 4, 5))
    h = g.linear_spatial(g.linear(g.input, 7, name="l"), name="m")
    g.output(g.linear(g.global_avg_pool(h), 2, name="fc"))
    counts = zeroshot.count(g)
    assert counts.macs == 21 * 20 + 400 * 7 + 14
    assert counts.weights == 21 + 400 + 14 and counts.params == counts.weights + 7 + 20 + 2
    shapes = {t["name"]: (t["shape"], t["counted"]) for t in g.core.tensors()}
    assert shapes["m.weight"] == ((20, 20), True) and shapes["m.bias"] == ((20,), False)


def test_linear_spatial_draws_like_a_linear_layer() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    g = Graph((2, 3, 3))
    g.output(g.global_avg_pool(g.linear_spatial(g.input, name="m")))
    torch.manual_seed(5)
    layer = torch.nn.Linear(9, 9)
    x = integers(np.random.default_rng(6), np.float64, 2, 2, 3, 3)
    logits = layer(torch.tensor(x, dtype=torch.float32).flatten(2)).mean(2)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
    loss.backward()
    found = zeroshot.gradients(g, x, [0, 1], batch_size=2, seed=5)
    np.testing.assert_allclose(
        found["m.weight"][0], layer.weight.grad.numpy(), rtol=1e-5, atol=1e-6
    )
