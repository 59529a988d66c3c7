"""Second derivatives: each op's tangents, and Hessian-vector products of whole networks.

Central differences of a function f along a direction have an error of ``f''' step^2 / 6`` and
``EPS |f| / step``; with step 1e-6 and values and derivatives near 1 that is below 1e-8
(`DIFFERENCE`), relative to the largest entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeroshot import reference
from zeroshot.reference import ops, tangents

from .small import Array, Net, batch, every_op, usual

STEP = 1e-6
DIFFERENCE = 1e-7
GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden").glob("*.npz"))


def assert_near(got: Any, expected: Any, bound: float, what: str = "") -> None:
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound * scale, err_msg=what)


def difference(function: Callable[..., Any], at: Sequence[Array], along: Sequence[Array]) -> Any:
    """Central difference of a function of arrays, of one array or of a tuple."""
    ahead = function(*(a + STEP * d for a, d in zip(at, along, strict=True)))
    behind = function(*(a - STEP * d for a, d in zip(at, along, strict=True)))
    if isinstance(ahead, tuple):
        return tuple((p - q) / (2 * STEP) for p, q in zip(ahead, behind, strict=True))
    return (ahead - behind) / (2 * STEP)


def draw(seed: int, *shapes: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


# ---- op by op ------------------------------------------------------------------------------------

CONVS = [
    {},
    {"stride": (2, 1), "padding": (1, 0)},
    {"padding": (2, 2), "dilation": (2, 2), "groups": 2},
]


@pytest.mark.parametrize("geometry", CONVS)
def test_conv2d_tangents(geometry: dict[str, Any]) -> None:
    shapes = ((2, 4, 6, 5), (6, 4 // geometry.get("groups", 1), 3, 3), (6,))
    x, w, b = draw(1, *shapes)
    x_dot, w_dot, b_dot = draw(2, *shapes)
    forward = lambda x, w, b: ops.conv2d(x, w, b, **geometry)  # noqa: E731
    got = tangents.conv2d_tangent(x, w, x_dot, w_dot, b_dot, **geometry)
    expected = difference(forward, (x, w, b), (x_dot, w_dot, b_dot))
    assert_near(got, expected, DIFFERENCE)

    (dy,), (dy_dot,) = draw(3, got.shape), draw(4, got.shape)
    backward = lambda x, w, dy: ops.conv2d_backward(x, w, dy, **geometry)  # noqa: E731
    both = tangents.conv2d_backward_tangent(
        x, w, dy, x_dot=x_dot, w_dot=w_dot, dy_dot=dy_dot, **geometry
    )
    for g, e in zip(both, difference(backward, (x, w, dy), (x_dot, w_dot, dy_dot)), strict=True):
        assert_near(g, e, DIFFERENCE)


def test_linear_tangents() -> None:
    shapes = ((3, 4, 1, 1), (5, 4), (5,))
    x, w, b = draw(1, *shapes)
    x_dot, w_dot, b_dot = draw(2, *shapes)
    got = tangents.linear_tangent(x, w, x_dot, w_dot, b_dot)
    assert_near(got, difference(ops.linear, (x, w, b), (x_dot, w_dot, b_dot)), DIFFERENCE)
    (dy,), (dy_dot,) = draw(3, got.shape), draw(4, got.shape)
    both = tangents.linear_backward_tangent(x, w, dy, x_dot=x_dot, w_dot=w_dot, dy_dot=dy_dot)
    expected = difference(ops.linear_backward, (x, w, dy), (x_dot, w_dot, dy_dot))
    for g, e in zip(both, expected, strict=True):
        assert_near(g, e, DIFFERENCE)


def test_batch_norm_tangents() -> None:
    shapes = ((3, 2, 4, 3), (2,), (2,))
    x, gamma, beta = draw(1, *shapes)
    x_dot, gamma_dot, beta_dot = draw(2, *shapes)
    got = tangents.batch_norm_tangent(x, gamma, x_dot, gamma_dot, beta_dot)
    expected = difference(ops.batch_norm, (x, gamma, beta), (x_dot, gamma_dot, beta_dot))
    assert_near(got, expected, DIFFERENCE)
    (dy,), (dy_dot,) = draw(3, x.shape), draw(4, x.shape)
    both = tangents.batch_norm_backward_tangent(
        x, gamma, dy, x_dot=x_dot, gamma_dot=gamma_dot, dy_dot=dy_dot
    )
    at, along = (x, gamma, dy), (x_dot, gamma_dot, dy_dot)
    for g, e in zip(both, difference(ops.batch_norm_backward, at, along), strict=True):
        assert_near(g, e, DIFFERENCE)


def test_batch_norm_tangents_without_scale() -> None:
    x, x_dot, dy, dy_dot = draw(1, *[(3, 2, 4, 3)] * 4)
    got = tangents.batch_norm_tangent(x, None, x_dot)
    assert_near(got, difference(ops.batch_norm, (x,), (x_dot,)), DIFFERENCE)
    both = tangents.batch_norm_backward_tangent(x, None, dy, x_dot=x_dot, dy_dot=dy_dot)
    backward = lambda x, dy: ops.batch_norm_backward(x, None, dy)  # noqa: E731
    for g, e in zip(both, difference(backward, (x, dy), (x_dot, dy_dot)), strict=True):
        assert_near(g, e, DIFFERENCE)


def test_batch_norm_running_tangents() -> None:
    shapes = ((3, 2, 4, 3), (2,), (2,))
    x, gamma, beta = draw(1, *shapes)
    x_dot, gamma_dot, beta_dot = draw(2, *shapes)
    mean, var = np.array([0.5, -1.0]), np.array([2.0, 0.25])
    got = tangents.batch_norm_running_tangent(
        x, mean, var, gamma=gamma, x_dot=x_dot, gamma_dot=gamma_dot, beta_dot=beta_dot
    )

    def forward(x: Array, gamma: Array, beta: Array) -> Array:
        return ops.batch_norm_running(x, mean, var, gamma=gamma, beta=beta)

    expected = difference(forward, (x, gamma, beta), (x_dot, gamma_dot, beta_dot))
    assert_near(got, expected, DIFFERENCE)
    (dy,), (dy_dot,) = draw(3, x.shape), draw(4, x.shape)
    both = tangents.batch_norm_running_backward_tangent(
        x, mean, var, gamma=gamma, dy=dy, x_dot=x_dot, gamma_dot=gamma_dot, dy_dot=dy_dot
    )

    def backward(x: Array, gamma: Array, dy: Array) -> tuple[Array, Array, Array]:
        return ops.batch_norm_running_backward(x, mean, var, gamma=gamma, dy=dy)

    at, along = (x, gamma, dy), (x_dot, gamma_dot, dy_dot)
    for g, e in zip(both, difference(backward, at, along), strict=True):
        assert_near(g, e, DIFFERENCE)


def test_relu_and_max_pool_tangents() -> None:
    x, x_dot = draw(1, (2, 3, 7, 6), (2, 3, 7, 6))
    assert_near(tangents.relu_tangent(x, x_dot), difference(ops.relu, (x,), (x_dot,)), DIFFERENCE)
    window: dict[str, Any] = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1)}
    pool = lambda x: ops.max_pool(x, **window)  # noqa: E731
    got = tangents.max_pool_tangent(x, x_dot, **window)
    assert_near(got, difference(pool, (x,), (x_dot,)), DIFFERENCE)


def test_max_pool_tangent_takes_the_first_of_equals() -> None:
    """Like the gradient, whose adjoint it is."""
    x, x_dot = np.ones((1, 1, 2, 2)), np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    window: dict[str, Any] = {"kernel": (2, 2), "stride": (1, 1)}
    assert tangents.max_pool_tangent(x, x_dot, **window).tolist() == [[[[1.0]]]]
    dx = ops.max_pool_backward(x, np.ones((1, 1, 1, 1)), **window)
    assert dx[0, 0].tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_cross_entropy_backward_tangent() -> None:
    logits, moved = draw(1, (4, 5), (4, 5))
    y = np.array([0, 4, 2, 2])
    backward = lambda z: ops.cross_entropy_backward(z, y)  # noqa: E731
    got = tangents.cross_entropy_backward_tangent(logits, moved)
    assert_near(got, difference(backward, (logits,), (moved,)), DIFFERENCE)


# ---- whole networks ------------------------------------------------------------------------------


def product(net: Net, x: Any, y: Any, v: dict[str, Array], **kwargs: Any) -> dict[str, Array]:
    return reference.hessian_vector_product(net.nodes, net.weights, x, y, v, **kwargs)


def directions(net: Net, seed: int) -> dict[str, Array]:
    """A random direction of every parameter, of length 1."""
    rng = np.random.default_rng(seed)
    v = {
        name: rng.standard_normal(w.shape)
        for name, w in net.weights.items()
        if "running" not in name
    }
    length = np.sqrt(sum(float((d**2).sum()) for d in v.values()))
    return {name: d / length for name, d in v.items()}


def dot(a: dict[str, Array], b: dict[str, Array]) -> float:
    return sum(float((a[name] * b[name]).sum()) for name in a)


NETS = {
    "every_op": every_op,
    "usual": usual,
    "no_bn": lambda: usual(bn=False),
    "no_relu": lambda: usual(relu=False),
    "biased": lambda: usual(bias=True),
}


@pytest.mark.parametrize("loss", ["cross_entropy", "sum_logits"])
@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_hessian_vector_product_matches_central_differences(
    make: Callable[[], Net], loss: reference.Loss
) -> None:
    net = make()
    x, y = batch(net)
    v = directions(net, 7)
    got = product(net, x, y, v, loss=loss)

    def gradient(t: float) -> dict[str, Array]:
        moved = {name: w + t * v.get(name, 0.0) for name, w in net.weights.items()}
        return reference.loss_backward(reference.forward(net.nodes, moved, x), y, loss=loss).weights

    ahead, behind = gradient(STEP), gradient(-STEP)
    assert list(got) == list(ahead)
    largest = max(float(np.abs(g).max()) for g in ahead.values())
    for name, h in got.items():
        expected = (ahead[name] - behind[name]) / (2 * STEP)
        scale = max(largest, float(np.abs(expected).max()))
        np.testing.assert_allclose(h, expected, rtol=0, atol=DIFFERENCE * scale, err_msg=name)


@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_hessian_is_symmetric(make: Callable[[], Net]) -> None:
    """``u . H v = v . H u`` to rounding: no step size in the way."""
    net = make()
    x, y = batch(net)
    u, v = directions(net, 1), directions(net, 2)
    hv, hu = product(net, x, y, v), product(net, x, y, u)
    scale = sum(float(np.abs(u[n] * hv[n]).sum()) for n in u)
    assert dot(u, hv) == pytest.approx(dot(v, hu), rel=0, abs=1e-11 * (1 + scale))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_hessian_of_stored_networks(path: Path) -> None:
    """The stored networks keep their distance from kinks, so differences may be trusted there."""
    nodes, weights, x, y = reference.load_golden(path).problem
    net = Net((1, 1, 1))
    net.nodes, net.weights = nodes, {k: w.astype(np.float64) for k, w in weights.items()}
    u, v = directions(net, 3), directions(net, 4)
    hv, hu = product(net, x, y, v), product(net, x, y, u)
    scale = sum(float(np.abs(u[n] * hv[n]).sum()) for n in u)
    assert dot(u, hv) == pytest.approx(dot(v, hu), rel=0, abs=1e-11 * (1 + scale))

    def slope(t: float) -> float:
        """Of the loss along u at weights + t v: its derivative is u . H v."""
        moved = {name: w + t * v.get(name, 0.0) for name, w in net.weights.items()}
        back = reference.loss_backward(reference.forward(nodes, moved, x), y).weights
        return sum(float((u[name] * back[name]).sum()) for name in u)

    expected = (slope(STEP) - slope(-STEP)) / (2 * STEP)
    assert dot(u, hv) == pytest.approx(expected, rel=DIFFERENCE, abs=DIFFERENCE * scale)


def test_hessian_vector_product_is_linear() -> None:
    net = every_op()
    x, y = batch(net)
    u, v = directions(net, 1), directions(net, 2)
    mixed = product(net, x, y, {name: 2.0 * u[name] - 3.0 * v[name] for name in u})
    hu, hv = product(net, x, y, u), product(net, x, y, v)
    for name, h in mixed.items():
        expected = 2.0 * hu[name] - 3.0 * hv[name]
        np.testing.assert_allclose(h, expected, rtol=0, atol=1e-11 * (1 + np.abs(h).max()))


def test_softmax_regression_by_formula() -> None:
    """One linear layer: ``H v = mean_n (diag(p) - p p^T) V x x^T``."""
    net = Net((3, 1, 1))
    net.linear(4)
    x, y = batch(net, 5)
    (v,) = draw(6, (4, 3))
    got = product(net, x, y, {"n1.weight": v})["n1.weight"]
    rows = x[:, :, 0, 0]
    z = rows @ net.weights["n1.weight"].T
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = np.zeros((4, 3))
    for row, q in zip(rows, p, strict=True):
        expected += np.outer((np.diag(q) - np.outer(q, q)) @ (v @ row), row) / len(rows)
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-15)


def test_bilinear_network_by_hand() -> None:
    """Logit = a b x for x = 2: the Hessian of the sum of logits is ((0, 2), (2, 0))."""
    net = Net((1, 1, 1))
    net.linear(1)
    net.linear(1)
    for name, value in (("n1.weight", 3.0), ("n2.weight", 5.0)):
        net.weights[name] = np.array([[value]])
    x = np.full((1, 1, 1, 1), 2.0)
    got = product(net, x, None, {"n1.weight": np.array([[1.0]])}, loss="sum_logits")
    assert got["n1.weight"].item() == 0.0 and got["n2.weight"].item() == 2.0


def test_unknown_and_misshapen_directions_are_named() -> None:
    net = every_op()
    x, y = batch(net)
    with pytest.raises(ValueError, match=r"direction: expected names out of .* got \['nowhere'\]"):
        product(net, x, y, {"nowhere": np.zeros(1)})
    with pytest.raises(ValueError, match=r"'n1.weight' expects shape \(6, 5, 3, 3\)"):
        product(net, x, y, {"n1.weight": np.zeros(1)})
    running = next(name for name in net.weights if name.endswith("running_var"))
    with pytest.raises(ValueError, match=r"zeros for statistics"):
        product(net, x, y, {running: np.ones(6)})
