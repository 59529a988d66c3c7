"""Activations beside ReLU: values, first and second derivatives, through a batch norm or not.

Limits count units u = 2^-24 or 2^-53 of a value: a rounding is one. ``e^z`` is off by 3 (the series
and its rest below 1, two roundings), what follows adds one for each operation; a denominator
``1 + t``, t <= 1, takes over half of t's. Where terms cancel, units are those of the terms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import _testing, reference
from zeroshot.reference import pointwise

from .oracle import (
    UNIT,
    Array,
    assert_bits,
    assert_close,
    build,
    check_blocks,
    conv,
    every_dtype,
    every_table,
    garbage,
    head,
    normal,
    run_core,
    run_kernel,
)

SMOOTH = {"sigmoid": 4, "silu": 5, "gelu": 10, "tanh": 6}  # units of the value
LINES = {"relu6": 0, "hard_sigmoid": 3, "hard_swish": 4}
UNITS = SMOOTH | LINES
MORE = 6  # units that a derivative adds: products, squares of the denominator

every_function = pytest.mark.parametrize("f", pointwise.ACTIVATIONS)

CASES = [(1, 1, 1, 1), (2, 3, 4, 3), (1, 2, 2, 16), (3, 4, 3, 17), (2, 2, 3, 43), (2, 4, 4, 64)]
every_case = pytest.mark.parametrize("shape", CASES, ids=lambda s: "x".join(map(str, s)))


def terms(f: str, order: int, x: Array) -> Array:
    """Absolute values of the terms of the derivative of an order, added up."""
    a, ones = np.abs(x), np.ones_like(x)
    with np.errstate(all="ignore"):
        slope = np.abs(pointwise.activation_backward("sigmoid", x, ones))
        density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
        below = pointwise.activation("gelu", -a) / np.where(a == 0, 1, -a)
        by_order = {
            ("silu", 1): pointwise.activation("sigmoid", x) + a * slope,
            ("silu", 2): 2 * slope + a * slope,
            ("gelu", 1): np.where(x > 0, 1, np.where(a == 0, 0.5, below)) + a * density,
            ("gelu", 2): 2 * density + a * density * a,
            ("hard_swish", 1): a / 3 + 0.5,
        }
        return by_order.get((f, order), np.abs(derivative(f, order, x)))


def derivative(f: str, order: int, x: Array) -> Array:
    ones = np.ones_like(x)
    with np.errstate(all="ignore"):
        if order == 0:
            return pointwise.activation(f, x)
        if order == 1:
            return pointwise.activation_backward(f, x, ones)
        return pointwise.activation_backward_tangent(f, x, ones, x_dot=ones, dy_dot=0 * ones)


def limit(f: str, order: int, x: Array, dtype: Any) -> Array:
    """What a kernel may be off by; beside roundings what numbers too small for a unit lose.

    The argument x / sqrt(2) of the twin's error function, and of the reference kernel's, is off by
    2 units, and so its tail by 2 x^2; `test_float64_matches_many_digits` holds the others to more.
    """
    x = np.where(np.isfinite(x), x, 0)
    units = UNITS[f] + MORE * (order > 0 and f in SMOOTH) + 1
    unit, twin = UNIT[np.dtype(dtype)], UNIT[np.dtype(np.float64)]
    tail = x * x if f == "gelu" else 0
    lost = float(np.finfo(dtype).smallest_subnormal) * (2 + np.abs(x) ** (1 + (order == 2)))
    return (units * (unit + twin) + 4 * tail * twin) * terms(f, order, x) + lost


def numbers(dtype: Any) -> Array:
    """All sizes, dense where the functions bend, and the kinks and their neighbours."""
    rng = np.random.default_rng(0)
    at = np.array([0, 3, 6, 0.5 * np.log(2), 14.5, 14.75, 39, 87, 88.7, 104, 105, 708, 745, 746])
    x = np.concatenate([
        rng.uniform(-120, 120, 3000), rng.uniform(-20, 20, 6000), rng.uniform(-800, 800, 2000),
        rng.standard_normal(6000), 10.0 ** rng.uniform(-44, 1, 2000) * rng.choice([-1, 1], 2000),
    ])  # fmt: skip
    exact = np.concatenate([at, -at]).astype(dtype)
    around = [np.nextafter(exact, dtype(side)) for side in (-np.inf, np.inf)]
    return np.concatenate([x.astype(dtype), exact, *around])


# ---- values --------------------------------------------------------------------------------------


def call(f: str, order: int, table: str, x: Array, **how: Any) -> Array:
    """The derivative of an order, by kernels."""
    y, ones = garbage(x.dtype, *x.shape), np.ones_like(x)
    if order == 0:
        _testing.activation_fwd(table, f, x, y, **how)
    elif order == 1:
        _testing.activation_bwd(table, f, x, ones, y, **how)
    else:
        _testing.activation_bwd2(table, f, x, ones, ones, y, **how)
    return y


@every_table
@every_dtype
@pytest.mark.parametrize("order", [0, 1, 2])
@every_function
def test_function_matches_reference(f: str, order: int, dtype: Any, table: str) -> None:
    x = numbers(dtype).reshape(1, 1, -1, 1)
    exact = x.astype(np.float64)
    got = call(f, order, table, x)
    assert_close(got, derivative(f, order, exact), limit(f, order, exact, dtype), f)


def many_digits(mp: Any, f: str, order: int, x: Any) -> Any:
    s, p = 1 / (1 + mp.exp(-x)), mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)
    below, t, bell = mp.erfc(-x / mp.sqrt(2)) / 2, mp.tanh(x), s * (1 - s)
    change = bell * (1 - 2 * s)
    return {
        "sigmoid": (s, bell, change),
        "silu": (x * s, s + x * bell, 2 * bell + x * change),
        "gelu": (x * below, below + x * p, (2 - x * x) * p),
        "tanh": (t, 1 - t * t, -2 * t * (1 - t * t)),
    }[f][order]


@every_table
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("f", SMOOTH)
def test_float64_matches_many_digits(f: str, order: int, table: str) -> None:
    mp = pytest.importorskip("mpmath", reason="mpmath is not installed")
    x = numbers(np.float64)
    x = np.concatenate([x[np.abs(x) > 1e-6][::97], [-38.0, -30.5, 1e-9]])
    with mp.workdps(400):
        want = np.array([float(many_digits(mp, f, order, mp.mpf(float(v)))) for v in x])
    units = UNITS[f] + (MORE if order else 0)
    lost = 5e-324 * (2 + np.abs(x) ** (1 + (order == 2)))
    if table == "reference":  # by the C library, whose error function's argument is rounded
        lost = lost + 2 * x * x * 2.0**-53 * terms(f, order, x)
    allowed = units * 2.0**-53 * terms(f, order, x) + lost
    assert_close(call(f, order, table, x.reshape(-1, 1))[:, 0], want, allowed, f)


@every_table
@every_dtype
@every_function
def test_limits_and_nan(f: str, dtype: Any, table: str) -> None:
    """What PyTorch's functions give, but that its gelu of an infinite float is NaN."""
    nan, inf = np.nan, np.inf
    x = np.array([-inf, -0.0, 0.0, inf, nan], dtype).reshape(-1, 1)
    values = {
        "relu6": [0, 0, 0, 6, nan], "sigmoid": [0, 0.5, 0.5, 1, nan], "silu": [nan, 0, 0, inf, nan],
        "hard_sigmoid": [0, 0.5, 0.5, 1, nan], "hard_swish": [nan, 0, 0, inf, nan],
        "gelu": [nan, 0, 0, inf, nan], "tanh": [-1, 0, 0, 1, nan],
    }  # fmt: skip
    slopes = {
        "relu6": [0, 0, 0, 0, 1], "sigmoid": [0, 0.25, 0.25, 0, nan],
        "silu": [nan, 0.5, 0.5, nan, nan], "hard_sigmoid": [0, 1 / 6, 1 / 6, 0, 0],
        "hard_swish": [0, 0.5, 0.5, 1, 1], "gelu": [nan, 0.5, 0.5, nan, nan],
        "tanh": [0, 1, 1, 0, nan],
    }  # fmt: skip
    unit = 4 * UNIT[np.dtype(dtype)]
    assert_close(call(f, 0, table, x)[:, 0], np.array(values[f]), unit, "value")
    assert_close(call(f, 1, table, x)[:, 0], np.array(slopes[f]), unit, "slope")


@every_table
@every_dtype
@pytest.mark.parametrize("f", LINES)
def test_nothing_passes_where_a_line_is_flat(f: str, dtype: Any, table: str) -> None:
    x = np.array([-4.0, -4.0, -4.0], dtype).reshape(-1, 1)
    g, t, dx = np.array([[np.nan], [np.inf], [1]], dtype), np.ones_like(x), garbage(dtype, 3, 1)
    _testing.activation_bwd(table, f, x, g, dx)
    assert not dx.any()
    _testing.activation_bwd2(table, f, x, t, g, dx)
    assert not dx.any()


# ---- layouts, blocks, batch norms ----------------------------------------------------------------


def normalise(x: Array, bn: Array | None, group: int) -> Array:
    """In the dtype of x, rounding by rounding as a fused multiply-add does or does not."""
    if bn is None:
        return x
    of_sample = bn[np.arange(len(x)) // group][:, :, None, None]
    return (x - of_sample[:, 0]) * of_sample[:, 1] + of_sample[:, 2]


@every_table
@every_dtype
@pytest.mark.parametrize("group", [0, 1, 2])
@pytest.mark.parametrize("f", ["relu6", "silu"])
@every_case
def test_images_of_all_layouts(
    shape: tuple[int, ...], f: str, group: int, dtype: Any, table: str
) -> None:
    """`group` 0: no batch norm. One that is applied while x is read gives the same bits."""
    rng = np.random.default_rng(0)
    x, t, dy, before = (normal(rng, dtype, *shape) for _ in range(4))
    group_size = max(group, 1)
    bn = 2 * normal(rng, dtype, -(-shape[0] // group_size), 3, shape[3]) if group else None
    how: dict[str, Any] = {"bn": bn, "group": group_size}
    between = x.copy()
    for g in range(len(bn) if bn is not None else 0):
        rows = {"n0": g * group_size, "n1": min((g + 1) * group_size, shape[0])}
        _testing.bn_fwd(table, x, np.ascontiguousarray(bn[g]), between, **rows)
    v = between.astype(np.float64)
    slope, bend = derivative(f, 1, v), derivative(f, 2, v)
    run_kernel(
        lambda a, out: _testing.activation_fwd(table, f, a, out, **how),
        [x],
        [garbage(dtype, *shape)],
        lambda out: (
            assert_close(out, derivative(f, 0, v), limit(f, 0, v, dtype), "y"),
            assert_bits(out, call(f, 0, table, between), "y through a batch norm"),
        ),
    )
    unit = UNIT[np.dtype(dtype)]
    for add in (False, True):
        old = add * before.astype(np.float64)
        off = limit(f, 1, v, dtype) * abs(dy) + 3 * unit * (abs(slope * dy) + abs(old))
        run_kernel(
            lambda a, b, out, add=add: _testing.activation_bwd(table, f, a, b, out, add=add, **how),
            [x, dy],
            [before if add else garbage(dtype, *shape)],
            lambda out, e=slope * dy + old, d=off: assert_close(out, e, d, "dx"),
        )
        product = t.astype(np.float64) * dy
        off = limit(f, 2, v, dtype) * abs(product) + 4 * unit * (abs(bend * product) + abs(old))
        run_kernel(
            lambda a, b, c, out, add=add: _testing.activation_bwd2(
                table, f, a, b, c, out, add=add, **how
            ),
            [x, t, dy],
            [before if add else garbage(dtype, *shape)],
            lambda out, e=bend * product + old, d=off: assert_close(out, e, d, "dx of a tangent"),
        )


@every_table
@every_dtype
@every_function
def test_block_and_position_do_not_matter(f: str, dtype: Any, table: str) -> None:
    rng = np.random.default_rng(1)
    x, dy, before = (normal(rng, dtype, 5, 2, 3, 19) for _ in range(3))
    bn = normal(rng, dtype, 3, 3, 19)
    for how in ({}, {"bn": bn, "group": 2}):
        check_blocks(
            lambda y, how=how, **b: _testing.activation_fwd(table, f, x, y, **how, **b),
            5, [before], "activation_fwd",
        )  # fmt: skip
        check_blocks(
            lambda d, how=how, **b: _testing.activation_bwd(table, f, x, dy, d, **how, **b),
            5, [before], "activation_bwd",
        )  # fmt: skip
        check_blocks(
            lambda d, how=how, **b: _testing.activation_bwd2(table, f, x, dy, dy, d, **how, **b),
            5, [before], "activation_bwd2",
        )  # fmt: skip
    same = np.full((2, 3, 5, 37), x[0, 0, 0, 0], dtype)
    for order in (0, 1, 2):
        y = call(f, order, table, same)
        assert (y == y[0, 0, 0, 0]).all()


# ---- networks ------------------------------------------------------------------------------------


def chain(f: str, *, bn: bool = True) -> list[Any]:
    """conv, batch norm, f, depthwise conv, batch norm, f, f again, and both once more in a sum."""
    nodes = [conv("a", 0, 6, 3), ("batch_norm", "n", [1], {"affine": bn}), (f, "f", [2], {})]
    nodes += [conv("b", 3, 6, 3, groups=6), ("batch_norm", "o", [4], {}), (f, "g", [5], {})]
    nodes += [(f, "h", [6], {}), ("add", "s", [6, 7, 3, 5], {"coef": [1.0, 1.0, 2.0, -0.5]})]
    return [*nodes, conv("c", 8, 5, bias=True), (f, "i", [9], {}), *head(10)]


@every_table
@every_dtype
@every_function
@pytest.mark.parametrize("recompute", [0, 1, 2])
def test_network_matches_reference(f: str, recompute: int, dtype: Any, table: str) -> None:
    """Behind batch norms that nothing else reads and that something does, images, activations."""
    rng = np.random.default_rng(2)
    graph = build((3, 5, 4), chain(f))
    weights = {t["name"]: normal(rng, dtype, *t["shape"]) for t in graph.tensors()}
    x, y = normal(rng, dtype, 6, 3, 5, 4), np.arange(6) % 3
    want = reference.run(graph.nodes(), weights, x, y, loss="cross_entropy", group_size=3)
    got = run_core(
        graph, weights, x, y, table=table, dtype=dtype, group_size=3, loss="cross_entropy",
        recompute=recompute,
    )  # fmt: skip
    slack = 1e-11 if dtype is np.float64 else 2e-4  # a dozen layers, two batch norms
    top = max(float(np.abs(g).max()) for g in want.gradients.values())
    np.testing.assert_allclose(got["logits"], want.logits, rtol=0, atol=slack * 10)
    for name, gradient in want.gradients.items():
        np.testing.assert_allclose(got["gradients"][name], gradient, rtol=0, atol=slack * top)


@pytest.mark.parametrize("f", ["relu6", "silu", "gelu"])
def test_threads_and_recomputing_do_not_change_a_bit(f: str) -> None:
    rng = np.random.default_rng(3)
    graph = build((3, 16, 16), chain(f))
    weights = {t["name"]: rng.standard_normal(t["shape"]) for t in graph.tensors()}
    x, y = rng.standard_normal((32, 3, 16, 16)), np.arange(32) % 3
    first = run_core(graph, weights, x, y, dtype=np.float32, group_size=16)
    for how in ({"n_threads": 2}, {"n_threads": 3}, {"recompute": 1}, {"recompute": 2}):
        again = run_core(graph, weights, x, y, dtype=np.float32, group_size=16, **how)
        for name, gradient in first["gradients"].items():
            assert_bits(again["gradients"][name], gradient, f"{name} with {how}")


@every_function
def test_network_gradient_is_a_slope(f: str) -> None:
    rng = np.random.default_rng(4)
    graph = build((3, 5, 4), chain(f))
    weights = {t["name"]: rng.standard_normal(t["shape"]) for t in graph.tensors()}
    x, y = rng.standard_normal((6, 3, 5, 4)), np.arange(6) % 3
    got = run_core(graph, weights, x, y, group_size=6, loss="cross_entropy")["gradients"]
    for name, gradient in got.items():
        index = tuple(int(i) for i in np.unravel_index(gradient[0].size // 2, gradient[0].shape))
        slope = reference.central_difference(graph.nodes(), weights, x, y, name, index)
        assert abs(slope[0] - gradient[(0, *index)]) <= 2e-7 * (1 + abs(slope[0])), name


@every_function
def test_network_matches_torch(f: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    functional = torch.nn.functional
    name = {"hard_sigmoid": "hardsigmoid", "hard_swish": "hardswish"}.get(f, f)
    function = getattr(functional, name)
    rng = np.random.default_rng(5)
    nodes = [conv("a", 0, 6, 3), ("batch_norm", "n", [1], {}), (f, "f", [2], {}), *head(3)]
    graph = build((3, 5, 4), nodes)
    weights = {t["name"]: 2 * rng.standard_normal(t["shape"]) for t in graph.tensors()}
    x, y = rng.standard_normal((6, 3, 5, 4)), np.arange(6) % 3
    got = run_core(graph, weights, x, y, group_size=6, loss="cross_entropy")
    w = {key: torch.tensor(value, requires_grad=True) for key, value in weights.items()}
    z = functional.conv2d(torch.tensor(x), w["a.weight"], padding=1)
    z = functional.batch_norm(z, None, None, w["n.gamma"], w["n.beta"], True, 0.1, 1e-5)
    z = functional.linear(function(z).mean((2, 3)), w["head.fc.weight"], w["head.fc.bias"])
    functional.cross_entropy(z, torch.tensor(y)).backward()
    # PyTorch's 1/6 is a float's for all dtypes
    slack = 1e-7 if f == "hard_sigmoid" else 1e-11
    np.testing.assert_allclose(got["logits"], z.detach().numpy(), rtol=0, atol=1e-11)
    for key, value in w.items():
        np.testing.assert_allclose(got["gradients"][key][0], value.grad.numpy(), atol=slack)


@every_function
def test_torch_agrees_at_kinks(f: str) -> None:
    """To a float: PyTorch's 1/6 of a hard sigmoid is one for all dtypes."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    name = {"hard_sigmoid": "hardsigmoid", "hard_swish": "hardswish"}.get(f, f)
    values = np.array([-6, -3, -2.5, -0.0, 0, 2.5, 3, 5.5, 6, 7, np.nan])
    leaf = torch.tensor(values, requires_grad=True)
    getattr(torch.nn.functional, name)(leaf).sum().backward()
    np.testing.assert_allclose(derivative(f, 1, values), leaf.grad.numpy(), rtol=1e-7, atol=1e-15)
