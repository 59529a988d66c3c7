"""Products of images, one of which may stand for many pixels or channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import Graph, _testing, reference
from zeroshot.reference import pointwise

from .oracle import (
    Node,
    assert_bits,
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
    nchw,
    nhwc,
    normal,
    pixel_bound,
    run_core,
    run_kernel,
)

CASES = [(1, 1, 1, 1), (2, 3, 4, 3), (1, 2, 2, 16), (3, 4, 3, 17), (2, 2, 3, 43), (2, 13, 11, 67)]
FACTORS = ["nhwc", "n11c", "nhw1", "n111", "n1wc", "nh11", "nh1c"]
every_case = pytest.mark.parametrize("shape", CASES, ids=lambda s: "x".join(map(str, s)))
every_factor = pytest.mark.parametrize("axes", FACTORS)


def factor_shape(shape: tuple[int, ...], axes: str) -> tuple[int, ...]:
    return tuple(1 if axis == "1" else size for size, axis in zip(shape, axes, strict=True))


@every_table
@every_dtype
@every_factor
@every_case
def test_product_matches_reference(
    shape: tuple[int, ...], axes: str, dtype: Any, table: str
) -> None:
    rng = np.random.default_rng(0)
    a, before = normal(rng, dtype, *shape), normal(rng, dtype, *shape)
    b = normal(rng, dtype, *factor_shape(shape, axes))
    y = nhwc(pointwise.multiply(nchw(a), nchw(b)))
    for add in (False, True):
        expected = y + add * before.astype(np.float64)
        limit = bound("scale", add, abs(y) + add * abs(before), dtype)
        run_kernel(
            lambda p, q, out, add=add: _testing.multiply(table, p, q, out, add=add),
            [a, b],
            [before if add else garbage(dtype, *shape)],
            lambda out, e=expected, d=limit: assert_close(out, e, d, "y"),
        )


@every_table
@every_dtype
@every_factor
@every_case
def test_gradient_of_factor_matches_reference(
    shape: tuple[int, ...], axes: str, dtype: Any, table: str
) -> None:
    rng = np.random.default_rng(1)
    a, dy = normal(rng, dtype, *shape), normal(rng, dtype, *shape)
    thin = factor_shape(shape, axes)
    before = normal(rng, dtype, *thin)
    unused = np.zeros((len(a), thin[3], *thin[1:3]))
    db = nhwc(pointwise.multiply_backward(nchw(a), unused, nchw(dy))[1])
    size = nhwc(pointwise.multiply_backward(abs(nchw(a)), unused, abs(nchw(dy)))[1])
    terms = np.prod(shape[1:]) / np.prod(thin[1:])
    for add in (False, True):
        expected = db + add * before.astype(np.float64)
        limit = pixel_bound("product_sums", terms + 1, size, dtype) + bound(
            "scale", 1 + add, size + add * abs(before), dtype
        )
        run_kernel(
            lambda p, q, out, add=add: _testing.multiply_sums(table, p, q, out, add=add),
            [a, dy],
            [before if add else garbage(dtype, *thin)],
            lambda out, e=expected, d=limit: assert_close(out, e, d, "db"),
        )


@every_table
@every_dtype
@every_factor
def test_small_integers_are_exact_and_blocks_alone_are_touched(
    axes: str, dtype: Any, table: str
) -> None:
    rng, shape = np.random.default_rng(2), (5, 12, 13, 21)
    a, dy = integers(rng, dtype, *shape), integers(rng, dtype, *shape)
    b = integers(rng, dtype, *factor_shape(shape, axes))
    y, db = garbage(dtype, *shape), garbage(dtype, *b.shape)
    _testing.multiply(table, a, b, y)
    assert_same(y, a * b, "y")
    _testing.multiply_sums(table, a, dy, db)
    once = tuple(i for i in range(1, 4) if axes[i] == "1")
    assert_same(db, (a * dy).sum(axis=once, keepdims=True), "db")
    check_blocks(lambda y, **k: _testing.multiply(table, a, b, y, **k), 5, [dy], "multiply")
    check_blocks(
        lambda d, **k: _testing.multiply_sums(table, a, dy, d, **k), 5, [b], "multiply_sums"
    )


# ---- networks ------------------------------------------------------------------------------------


def squeeze(f: str = "sigmoid", source: int = 1, first: int = 2, k: int = 4) -> list[Node]:
    """Squeeze-and-excitation of node `source` of k channels: nodes first to first + 5."""
    return [
        ("global_avg_pool", f"gap{first}", [source], {}),
        conv(f"down{first}", first, 2, bias=True),
        ("relu", f"relu{first}", [first + 1], {}),
        conv(f"up{first}", first + 2, k, bias=True),
        (f, f"gate{first}", [first + 3], {}),
        ("multiply", f"scaled{first}", [source, first + 4], {}),
    ]


def excited(f: str = "sigmoid") -> list[Node]:
    """Squeeze-and-excitation, then products with a map of one channel, with itself, with all."""
    nodes = [conv("a", 0, 4, 3), *squeeze(f), conv("spot", 7, 1), (f, "spots", [8], {})]
    nodes += [("multiply", "m", [7, 9], {}), ("batch_norm", "n", [10], {}), (f, "act", [11], {})]
    nodes += [("multiply", "square", [12, 12], {}), ("multiply", "both", [13, 1], {})]
    return [*nodes, conv("last", 14, 3, 3), *head(15)]


@every_table
@every_dtype
def test_multiply_of_integers_in_a_network(dtype: Any, table: str) -> None:
    """Exact: by channels, pixels, columns, itself, and by what is read elsewhere, too."""
    nodes = [
        conv("a", 0, 4, 3),
        conv("b", 0, 4),
        ("global_avg_pool", "g", [1], {}),
        ("multiply", "by_channel", [2, 3], {}),
        conv("spot", 2, 1),
        ("multiply", "by_pixel", [1, 5], {}),
        ("max_pool", "row", [1], {"kernel": (4, 1), "stride": (1, 1)}),
        ("multiply", "by_column", [2, 7], {}),
        ("concat", "c", [6, 8, 1, 4], {}),
        ("slice_channels", "s", [9], {"channels": 4}),
        ("multiply", "square", [10, 10], {}),
        ("multiply", "last", [10, 2], {}),
        ("add", "sum", [11, 12, 4], {"coef": [1.0, -1.0, 0.5]}),
        *head(13),
    ]
    check_network((2, 4, 4), nodes, table, dtype)


@every_table
@every_dtype
@pytest.mark.parametrize("f", ["sigmoid", "hard_sigmoid", "tanh"])
def test_squeeze_and_excitation_matches_reference(f: str, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(3)
    graph = build((3, 6, 5), excited(f))
    weights = {t["name"]: normal(rng, dtype, *t["shape"]) for t in graph.tensors()}
    x, y = normal(rng, dtype, 6, 3, 6, 5), np.arange(6) % 3
    want = reference.run(graph.nodes(), weights, x, y, group_size=3)
    how: dict[str, Any] = {"table": table, "dtype": dtype, "group_size": 3, "loss": "cross_entropy"}
    got = run_core(graph, weights, x, y, **how)
    slack = 1e-11 if dtype is np.float64 else 1e-4
    top = max(float(np.abs(g).max()) for g in want.gradients.values())
    np.testing.assert_allclose(got["logits"], want.logits, rtol=0, atol=slack * 10)
    for name, gradient in want.gradients.items():
        np.testing.assert_allclose(got["gradients"][name], gradient, rtol=0, atol=slack * top)
    for other in ({"n_threads": 2}, {"recompute": 1}, {"recompute": 2}, {"dead": False}):
        again = run_core(graph, weights, x, y, **how, **other)
        for name, gradient in got["gradients"].items():
            assert_bits(again["gradients"][name], gradient, f"{name} with {other}")


def test_gradient_is_a_slope() -> None:
    rng = np.random.default_rng(4)
    graph = build((3, 6, 5), excited())
    weights = {t["name"]: rng.standard_normal(t["shape"]) for t in graph.tensors()}
    x, y = rng.standard_normal((6, 3, 6, 5)), np.arange(6) % 3
    got = run_core(graph, weights, x, y, group_size=6, loss="cross_entropy")["gradients"]
    for name, gradient in got.items():
        index = tuple(int(i) for i in np.unravel_index(gradient[0].size // 2, gradient[0].shape))
        slope = reference.central_difference(graph.nodes(), weights, x, y, name, index)
        assert abs(slope[0] - gradient[(0, *index)]) <= 1e-7 * (1 + abs(slope[0])), name


def test_squeeze_and_excitation_matches_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    functional = torch.nn.functional
    rng = np.random.default_rng(5)
    graph = build((3, 6, 5), [conv("a", 0, 4, 3), *squeeze(), *head(7)])
    weights = {t["name"]: rng.standard_normal(t["shape"]) for t in graph.tensors()}
    x, y = rng.standard_normal((6, 3, 6, 5)), np.arange(6) % 3
    got = run_core(graph, weights, x, y, group_size=6, loss="cross_entropy")
    w = {name: torch.tensor(value, requires_grad=True) for name, value in weights.items()}
    z = functional.conv2d(torch.tensor(x), w["a.weight"], padding=1)
    gate = functional.conv2d(z.mean((2, 3), keepdim=True), w["down2.weight"], w["down2.bias"])
    gate = functional.conv2d(functional.relu(gate), w["up2.weight"], w["up2.bias"]).sigmoid()
    z = (z * gate).mean((2, 3))
    z = functional.linear(z, w["head.fc.weight"], w["head.fc.bias"])
    functional.cross_entropy(z, torch.tensor(y)).backward()
    np.testing.assert_allclose(got["logits"], z.detach().numpy(), rtol=0, atol=1e-12)
    for name, value in w.items():
        np.testing.assert_allclose(got["gradients"][name][0], value.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("dead", [False, True])
def test_a_product_with_zeros_is_dead(dead: bool) -> None:
    """Whichever factor is: weights before it have gradients of exact zeros."""
    for inputs in ([1, 3], [3, 1]):
        nodes = [conv("a", 0, 4, 3), conv("b", 0, 4), ("zero", "z", [2], {"stride": 1})]
        nodes += [("multiply", "m", inputs, {}), ("add", "s", [4, 1], {}), *head(5)]
        check_network((2, 4, 4), nodes, "auto", np.float64, dead=dead)


@pytest.mark.parametrize(
    ("shape", "got"),
    [((3, 4, 4), r"\(3, 4, 4\)"), ((4, 2, 4), r"\(4, 2, 4\)"), ((1, 4, 2), r"\(1, 4, 2\)")],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, int, int], got: str) -> None:
    g = Graph((2, 4, 4))
    a = g.conv2d(g.input, 4, 1)
    b = g.conv2d(g.input, shape[0], (5 - shape[1], 5 - shape[2]))
    with pytest.raises(ValueError, match=rf"input 1 has shape {got}, expected that of input 0"):
        g.multiply(a, b)
    assert g.multiply(a, g.global_avg_pool(a)).shape == (4, 4, 4)
    with pytest.raises(ValueError, match="input 1 has shape"):
        g.multiply(g.global_avg_pool(a), a)


def test_product_takes_two() -> None:
    with pytest.raises(ValueError, match="multiply takes two inputs, got 1"):
        build((2, 4, 4), [("multiply", "m", [0], {})])
