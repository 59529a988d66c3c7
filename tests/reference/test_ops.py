"""Every op of the oracle against central differences, its formula and PyTorch; NaN, ties, zeros."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from zeroshot.reference import ops

from .common import EPS, NAN, Array, assert_close

Backward = Callable[..., Any]
RNG = np.random.default_rng(20240229)


def normal(*shape: int) -> Array:
    return RNG.normal(size=shape)


def clear_of_kinks(*shape: int) -> Array:
    """No two values closer than 0.01, none closer than 0.005 to 0."""
    n = int(np.prod(shape))
    return 0.01 * (RNG.permutation(n) - n // 2 + np.float64(0.5)).reshape(shape)


LABELS = np.array([0, 4, 2])
CONVS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "3x3": ((2, 3, 5, 6), (4, 3, 3, 3), {"padding": (1, 1)}),
    "1x1": ((2, 3, 4, 5), (5, 3, 1, 1), {}),
    "strided": ((2, 3, 7, 6), (2, 3, 3, 3), {"stride": (2, 3), "padding": (1, 0)}),
    "dilated": ((1, 2, 7, 8), (3, 2, 3, 2), {"dilation": (2, 3), "padding": (2, 1)}),
    "depthwise": ((2, 5, 6, 5), (5, 1, 5, 5), {"groups": 5, "padding": (2, 2)}),
    "multiplier": ((2, 3, 4, 4), (6, 1, 3, 3), {"groups": 3, "padding": (1, 1)}),
    "grouped": ((2, 6, 4, 3), (4, 3, 1, 3), {"groups": 2, "stride": (2, 1), "padding": (0, 2)}),
}
POOLS: dict[str, dict[str, Any]] = {
    "3x3": {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)},
    "2x2 strided": {"kernel": (2, 2), "stride": (2, 2)},
    "3x2 uneven": {"kernel": (3, 2), "stride": (2, 3), "padding": (1, 0)},
}


def conv_case(key: str) -> tuple[Callable[..., Any], Backward, list[Array]]:
    x, w, how = CONVS[key]

    def backward(x: Array, w: Array, bias: Array, dy: Array) -> Any:
        return ops.conv2d_backward(x, w, dy, **how)

    return partial(ops.conv2d, **how), backward, [normal(*x), normal(*w), normal(w[0])]


# name -> forward, backward (the same arguments, then dy) and arguments; every gradient is checked
CASES: dict[str, tuple[Callable[..., Any], Backward, list[Array]]] = {
    **{f"conv2d {key}": conv_case(key) for key in CONVS},
    "linear": (
        ops.linear, lambda x, w, b, dy: ops.linear_backward(x, w, dy),
        [normal(3, 4, 1, 1), normal(5, 4), normal(5)],
    ),
    "batch_norm": (
        ops.batch_norm, lambda x, g, b, dy: ops.batch_norm_backward(x, g, dy),
        [normal(3, 4, 3, 2), normal(4), normal(4)],
    ),
    "batch_norm plain": (
        ops.batch_norm, lambda x, dy: ops.batch_norm_backward(x, None, dy)[:1],
        [normal(2, 3, 3, 3)],
    ),
    "batch_norm running": (
        lambda x, g, b: ops.batch_norm_running(
            x, [0.1, -0.2], [0.5, 2.0], gamma=g, beta=b, eps=1e-3
        ),
        lambda x, g, b, dy: ops.batch_norm_running_backward(
            x, [0.1, -0.2], [0.5, 2.0], gamma=g, dy=dy, eps=1e-3
        ),
        [normal(2, 2, 3, 2), normal(2), normal(2)],
    ),
    "relu": (ops.relu, ops.relu_backward, [clear_of_kinks(2, 3, 4, 3)]),
    **{
        f"max_pool {key}": (
            partial(ops.max_pool, **how), partial(ops.max_pool_backward, **how),
            [clear_of_kinks(2, 3, 7, 8)],
        )
        for key, how in POOLS.items()
    },
    **{
        f"avg_pool {key} {'all' if padded else 'inside'}": (
            partial(ops.avg_pool, **how, count_include_pad=padded),
            partial(ops.avg_pool_backward, **how, count_include_pad=padded),
            [normal(2, 3, 7, 8)],
        )
        for key, how in POOLS.items()
        for padded in (False, True)
    },
    "global_avg_pool": (ops.global_avg_pool, ops.global_avg_pool_backward, [normal(2, 3, 3, 5)]),
    "add": (
        lambda *xs: ops.add(xs, [1.0, -0.5, 2.0]),
        lambda *a: ops.add_backward(a[-1], [1.0, -0.5, 2.0]),
        [normal(2, 3, 2, 2) for _ in range(3)],
    ),
    "concat": (
        lambda *xs: ops.concat(xs), lambda *a: ops.concat_backward(a[:-1], a[-1]),
        [normal(2, c, 2, 3) for c in (1, 4, 2)],
    ),
    "zero": (
        partial(ops.zero, stride=2), partial(ops.zero_backward, stride=2), [normal(2, 2, 5, 4)],
    ),
    "identity": (ops.identity, lambda x, dy: ops.identity_backward(dy), [normal(1, 2, 3, 2)]),
    "shift": (ops.shift, ops.shift_backward, [normal(2, 2, 5, 4)]),
    "slice_channels": (
        partial(ops.slice_channels, channels=3), partial(ops.slice_channels_backward, channels=3),
        [normal(2, 5, 3, 2)],
    ),
    "cross_entropy": (
        lambda z: np.asarray(ops.cross_entropy(z, LABELS)),
        lambda z, dy: dy * ops.cross_entropy_backward(z, LABELS), [normal(3, 5)],
    ),
    "sum_logits": (
        lambda z: np.asarray(ops.sum_logits(z)),
        lambda z, dy: dy * ops.sum_logits_backward(z), [normal(3, 5)],
    ),
}  # fmt: skip


def test_cases_cover_every_op() -> None:
    forward = {name for name in ops.__all__ if name != "output_size" and "_backward" not in name}
    tested = {name.split()[0] for name in CASES} | {"batch_norm_running"}
    assert tested == forward


@pytest.mark.parametrize("case", CASES)
def test_op_backward_matches_central_differences(case: str) -> None:
    forward, backward, args = CASES[case]
    y = forward(*args)
    dy = np.random.default_rng(1).normal(size=y.shape)
    got = backward(*args, dy)
    got = [got] if isinstance(got, np.ndarray) else list(got)
    assert [g.shape for g in got] == [a.shape for a in args]
    step = 1e-5
    # rounding of the projected output: a dozen units in the last place of each term of its sum
    rounding = 12 * EPS * float((np.abs(dy) * (1 + np.abs(y))).sum()) / step
    for number, (arg, gradient) in enumerate(zip(args, got, strict=True)):

        def slope(index: tuple[int, ...], h: float, number: int = number) -> float:
            ends = []
            for side in (h, -h):
                moved = [a.copy() for a in args]
                moved[number][index] += side
                ends.append(float((dy * forward(*moved)).sum()))
            return (ends[0] - ends[1]) / (2 * h)

        for index in np.ndindex(arg.shape):
            once, twice = slope(index, step), slope(index, 2 * step)
            bound = rounding + abs(twice - once)  # three times the truncation error
            assert_close(gradient[index], once, bound, f"gradient {number} {index}")


@pytest.mark.parametrize("key", CONVS)
def test_conv2d_is_its_formula(key: str) -> None:
    """Seven loops over integers, so that no rounding excuses anything."""
    x_shape, w_shape, how = CONVS[key]
    rng = np.random.default_rng(2)
    x, w = rng.integers(-4, 5, x_shape), rng.integers(-4, 5, w_shape)
    (sh, sw), (ph, pw) = how.get("stride", (1, 1)), how.get("padding", (0, 0))
    (eh, ew), groups = how.get("dilation", (1, 1)), how.get("groups", 1)
    y = ops.conv2d(x, w, **how)
    expected = np.zeros(y.shape)
    for n, k, p, q in np.ndindex(y.shape):
        first = k // (w_shape[0] // groups) * w_shape[1]
        for c, r, s in np.ndindex(w_shape[1:]):
            i, j = p * sh + r * eh - ph, q * sw + s * ew - pw
            if 0 <= i < x_shape[2] and 0 <= j < x_shape[3]:
                expected[n, k, p, q] += w[k, c, r, s] * x[n, first + c, i, j]
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("key", POOLS)
def test_pools_are_their_formulas(key: str) -> None:
    how, x = POOLS[key], np.random.default_rng(3).integers(-9, 9, (2, 2, 7, 8)).astype(float)
    (r, s), (sh, sw), (ph, pw) = how["kernel"], how["stride"], how.get("padding", (0, 0))
    top, inside = ops.max_pool(x, **how), ops.avg_pool(x, **how)
    padded = ops.avg_pool(x, **how, count_include_pad=True)
    for n, c, p, q in np.ndindex(top.shape):
        i, j = p * sh - ph, q * sw - pw
        window = x[n, c, max(i, 0) : i + r, max(j, 0) : j + s]
        assert top[n, c, p, q] == window.max()
        assert inside[n, c, p, q] == window.sum() / window.size
        assert padded[n, c, p, q] == window.sum() / (r * s)


def test_relu_lets_nan_through_and_stops_at_zero() -> None:
    x, dy = np.array([NAN, -1.0, -0.0, 0.0, 2.0]), np.array([3.0, 3.0, 3.0, 3.0, 3.0])
    np.testing.assert_array_equal(ops.relu(x), [NAN, 0, 0, 0, 2])
    np.testing.assert_array_equal(ops.relu_backward(x, dy), [3, 0, 0, 0, 3])


@pytest.mark.parametrize(
    ("window", "top", "winner"),
    [
        ([5, 7, 7, 1], 7, 1),  # the first maximum
        ([0, 0, 0, 0], 0, 0),
        ([-np.inf] * 4, -np.inf, 0),
        ([9, NAN, 3, 4], NAN, 1),
        ([NAN, 9, NAN, 4], NAN, 2),  # the last NaN
    ],
)
def test_max_pool_winner(window: list[float], top: float, winner: int) -> None:
    x = np.array(window, dtype=float).reshape(1, 1, 2, 2)
    how: dict[str, Any] = {"kernel": (2, 2), "stride": (2, 2)}
    np.testing.assert_array_equal(ops.max_pool(x, **how), [[[[top]]]])
    dx = ops.max_pool_backward(x, np.array([[[[3.0]]]]), **how)
    np.testing.assert_array_equal(dx.ravel(), 3.0 * np.eye(4)[winner])


def test_max_pool_winner_is_never_padding() -> None:
    how: dict[str, Any] = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    x = np.full((1, 1, 3, 3), -np.inf)
    dx = ops.max_pool_backward(x, np.ones((1, 1, 2, 2)), **how)
    np.testing.assert_array_equal(dx[0, 0], [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_zero_keeps_nan_and_infinity() -> None:
    x = np.array([[[[1.0, NAN], [np.inf, -2.0]]]])
    np.testing.assert_array_equal(ops.zero(x), [[[[0, NAN], [NAN, -0.0]]]])


def test_cross_entropy_of_large_logits_does_not_overflow() -> None:
    z = np.array([[1000.0, 0.0], [-1000.0, 1000.0]])
    assert ops.cross_entropy(z, np.array([0, 0])) == 1000.0
    np.testing.assert_array_equal(
        ops.cross_entropy_backward(z, np.array([0, 0])), [[0, 0], [-0.5, 0.5]]
    )


@pytest.mark.parametrize("case", CASES)
def test_op_matches_torch(case: str) -> None:
    """Forward and backward, where PyTorch is installed, on the arguments of the checks above."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    F = torch.nn.functional
    kind, _, key = case.partition(" ")

    def pair(how: dict[str, Any]) -> list[Any]:
        return [how["kernel"], how["stride"], how.get("padding", 0)]

    twins: dict[str, Callable[..., Any]] = {
        "conv2d": lambda x, w, b: F.conv2d(x, w, b, **CONVS[key][2]),
        "linear": lambda x, w, b: F.linear(x[:, :, 0, 0], w, b)[:, :, None, None],
        "batch_norm": lambda x, g=None, b=None: F.batch_norm(x, None, None, g, b, training=True),
        "relu": F.relu,
        "max_pool": lambda x: F.max_pool2d(x, *pair(POOLS[key])),
        "avg_pool": lambda x: F.avg_pool2d(
            x, *pair(POOLS[key.rpartition(" ")[0]]), count_include_pad=key.endswith("all")
        ),
        "global_avg_pool": lambda x: F.adaptive_avg_pool2d(x, 1),
        "add": lambda a, b, c: a - 0.5 * b + 2 * c,
        "concat": lambda *xs: torch.cat(xs, 1),
        "zero": lambda x: x[:, :, ::2, ::2] * 0,
        "identity": lambda x: x.clone(),
        "shift": lambda x: x[:, :, 1:, 1:],
        "slice_channels": lambda x: x[:, :3],
        "cross_entropy": lambda z: F.cross_entropy(z, torch.tensor(LABELS)),
        "sum_logits": lambda z: z.sum(1).mean(),
    }
    if case == "batch_norm running":
        mean, var = (torch.tensor(v, dtype=torch.float64) for v in ([0.1, -0.2], [0.5, 2.0]))
        twins[kind] = lambda x, g, b: F.batch_norm(x, mean, var, g, b, eps=1e-3)
    forward, backward, args = CASES[case]
    leaves = [torch.tensor(a, requires_grad=True) for a in args]
    expected, got = twins[kind](*leaves), forward(*args)
    dy = np.random.default_rng(1).normal(size=got.shape)
    expected.backward(torch.tensor(dy))
    gradients = backward(*args, dy)
    gradients = [gradients] if isinstance(gradients, np.ndarray) else gradients
    # sums of at most 200 terms, in another order
    pairs = [(got, expected.detach().numpy())]
    pairs += [(g, leaf.grad.numpy()) for g, leaf in zip(gradients, leaves, strict=True)]
    for ours, theirs in pairs:
        assert_close(ours, theirs, 200 * EPS * (1 + np.abs(theirs).max()), case)


def test_max_pool_and_relu_treat_nan_and_ties_as_torch_does() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(4)
    x = rng.choice([-1.0, 0.0, 0.0, 1.0, 1.0, NAN, -np.inf], size=(4, 3, 9, 8))
    for how in POOLS.values():
        leaf = torch.tensor(x, requires_grad=True)
        y = torch.nn.functional.max_pool2d(
            leaf, how["kernel"], how["stride"], how.get("padding", 0)
        )
        dy = rng.normal(size=tuple(y.shape))
        y.backward(torch.tensor(dy))
        np.testing.assert_array_equal(ops.max_pool(x, **how), y.detach().numpy())
        dx = ops.max_pool_backward(x, dy, **how)  # up to nine terms a cell
        assert_close(dx, leaf.grad.numpy(), 9 * EPS * np.abs(dy).max(), "dx")
    leaf = torch.tensor(x, requires_grad=True)
    y = torch.relu(leaf)
    y.backward(torch.ones_like(y))
    np.testing.assert_array_equal(ops.relu(x), y.detach().numpy())
    np.testing.assert_array_equal(ops.relu_backward(x, np.ones(x.shape)), leaf.grad.numpy())
