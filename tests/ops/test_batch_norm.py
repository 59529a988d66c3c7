"""Batch norm: its four kernels, put together as the op does, and the op in a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import _testing, reference
from zeroshot.reference import ops

from .oracle import (
    REAL_RUN,
    UNIT,
    Array,
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

# N, H, W, C
CASES = [
    (1, 1, 1, 1),
    (1, 5, 4, 3),
    (2, 1, 3, 16),
    (3, 4, 5, 17),
    (2, 3, 3, 43),
    (4, 8, 8, 64),
    (2, 2, 2, 7),
]
every_case = pytest.mark.parametrize("shape", CASES, ids=lambda s: "x".join(map(str, s)))
every_offset = pytest.mark.parametrize("offset", [0.0, 1000.0])
PIXELS = (0, 1, 2)
DOUBLE = np.float64


def stats(table: str, x: Array) -> tuple[Array, Array]:
    c = x.shape[3]
    mean, m2 = garbage(DOUBLE, c), garbage(DOUBLE, c)
    _testing.bn_stats(table, x, mean, m2)
    return mean, m2


@every_table
@every_dtype
@every_offset
@every_case
def test_bn_stats_match_reference(
    shape: tuple[int, ...], offset: float, dtype: Any, table: str
) -> None:
    """Also far from zero, where E[x^2] - E[x]^2 would have lost all.

    Differences are taken from a mean of other pixels, at most `spread` from the mean, and the first
    ones from a float's worth of rounding beside it. Joining two sets squares the distance of their
    means, each rounded: an error of the first order in mean / deviation, as Welford's is.
    """
    x = normal(np.random.default_rng(0), dtype, *shape) + dtype(offset)
    exact = x.astype(np.longdouble)
    mean, pixels = exact.mean(PIXELS), float(np.prod(shape[:3]))
    m2 = ((exact - mean) ** 2).sum(PIXELS)
    spread = abs(exact - mean).max(PIXELS) + REAL_RUN * UNIT[np.dtype(dtype)] * abs(mean)
    distance = abs(exact - mean) + spread
    mean_limit = pixel_bound("bn_stats", pixels, distance.mean(PIXELS), dtype)
    mean_limit += bound("bn_stats", pixels, abs(mean), DOUBLE)
    m2_limit = pixel_bound("bn_stats", pixels, (distance**2).sum(PIXELS), dtype)
    m2_limit += bound("bn_stats", 2, abs(mean), DOUBLE) * distance.sum(PIXELS)

    def check(got_mean: Array, got_m2: Array) -> None:
        assert_close(got_mean, mean.astype(DOUBLE), mean_limit.astype(DOUBLE), "mean")
        assert_close(got_m2, m2.astype(DOUBLE), m2_limit.astype(DOUBLE), "m2")

    plain = [garbage(DOUBLE, shape[3]), garbage(DOUBLE, shape[3])]
    run_kernel(lambda *a: _testing.bn_stats(table, *a), [x], [], check, plain=plain)


@every_table
@every_dtype
@every_case
def test_bn_stats_of_integers_are_exact(shape: tuple[int, ...], dtype: Any, table: str) -> None:
    x = integers(np.random.default_rng(1), dtype, *shape)
    x[...] += 8 - x.mean(PIXELS)  # a mean of 8: all differences are exact
    if not (x == np.round(x)).all():
        x = integers(np.random.default_rng(1), dtype, 2, 4, 4, shape[3])
        x[1] = 4 - x[0]  # a mean of 2
    mean, m2 = stats(table, x)
    assert_same(mean, x.mean(PIXELS, dtype=DOUBLE), "mean")
    assert_same(m2, ((x - x.mean(PIXELS)) ** 2).sum(PIXELS, dtype=DOUBLE), "m2")


@every_table
@every_dtype
@every_case
def test_bn_fwd_matches_formula(shape: tuple[int, ...], dtype: Any, table: str) -> None:
    rng = np.random.default_rng(2)
    x, coef = normal(rng, dtype, *shape), normal(rng, dtype, 3, shape[3])
    centred, scale, beta = x - coef[0].astype(DOUBLE), coef[1].astype(DOUBLE), coef[2]
    limit = bound("bn_fwd", 1, abs(centred * scale) + abs(beta), dtype)
    run_kernel(
        lambda a, y: _testing.bn_fwd(table, a, coef, y),
        [x],
        [garbage(dtype, *shape)],
        lambda y: assert_close(y, centred * scale + beta, limit, "y"),
    )


@every_table
@every_dtype
@every_offset
@every_case
def test_bn_bwd_sums_match_formula(
    shape: tuple[int, ...], offset: float, dtype: Any, table: str
) -> None:
    rng = np.random.default_rng(3)
    x, dy = normal(rng, dtype, *shape) + dtype(offset), normal(rng, dtype, *shape)
    coef = normal(rng, dtype, 3, shape[3])
    coef[0] += dtype(offset)
    pixels = float(np.prod(shape[:3]))
    products = dy.astype(DOUBLE) * (x.astype(DOUBLE) - coef[0].astype(DOUBLE))

    def check(s1: Array, s2: Array) -> None:
        for got, terms, what in [(s1, dy.astype(DOUBLE), "s1"), (s2, products, "s2")]:
            limit = pixel_bound("bn_bwd_sums", pixels, abs(terms).sum(PIXELS), dtype)
            assert_close(got, terms.sum(PIXELS), limit, what)

    run_kernel(
        lambda a, b, s1, s2: _testing.bn_bwd_sums(table, a, b, coef, s1, s2),
        [dy, x],
        [],
        check,
        plain=[garbage(DOUBLE, shape[3]), garbage(DOUBLE, shape[3])],
    )


def bwd_x_formula(dy: Array, x: Array, coef: Array) -> tuple[Array, Array]:
    """Value, and sum of the absolute values of its terms."""
    mean, a, b, c = coef.astype(DOUBLE)
    terms = [a * dy, -b, -c * (x.astype(DOUBLE) - mean)]
    return sum(terms), sum(map(abs, terms))


@every_table
@every_dtype
@every_case
def test_bn_bwd_x_matches_formula(shape: tuple[int, ...], dtype: Any, table: str) -> None:
    rng = np.random.default_rng(4)
    dy, x, before = (normal(rng, dtype, *shape) for _ in range(3))
    coef = normal(rng, dtype, 4, shape[3])
    dx, size = bwd_x_formula(dy, x, coef)
    for add in (False, True):
        expected = dx + add * before.astype(DOUBLE)
        limit = bound("bn_bwd_x", 3 + add, size + add * abs(before), dtype)
        run_kernel(
            lambda a, b, out, add=add: _testing.bn_bwd_x(table, a, b, coef, out, add=add),
            [dy, x],
            [before if add else garbage(dtype, *shape)],
            lambda out, e=expected, d=limit: assert_close(out, e, d, "dx"),
        )


@every_table
@every_dtype
@every_case
def test_bn_bwd_x_may_replace_its_input(shape: tuple[int, ...], dtype: Any, table: str) -> None:
    rng = np.random.default_rng(5)
    dy, x, coef = (
        normal(rng, dtype, *shape),
        normal(rng, dtype, *shape),
        normal(rng, dtype, 4, shape[3]),
    )
    apart = garbage(dtype, *shape)
    _testing.bn_bwd_x(table, dy, x, coef, apart)
    _testing.bn_bwd_x(table, dy, x, coef, x)
    assert_bits(x, apart, "dx in the place of x")


@every_table
@every_dtype
def test_bn_kernels_touch_their_block_only(dtype: Any, table: str) -> None:
    rng = np.random.default_rng(6)
    x, dy, before = (normal(rng, dtype, 5, 3, 3, 19) for _ in range(3))
    coef = normal(rng, dtype, 4, 19)
    check_blocks(
        lambda y, **block: _testing.bn_fwd(table, x, coef[:3], y, **block), 5, [before], "bn_fwd"
    )
    for add in (False, True):

        def bwd_x(dx: Array, add: bool = add, **block: Any) -> None:
            _testing.bn_bwd_x(table, dy, x, coef, dx, add=add, **block)

        check_blocks(bwd_x, 5, [before], "bn_bwd_x")
    for block in (slice(0, 2), slice(3, 4)):
        part, alone = np.empty((2, 19)), np.empty((2, 19))
        _testing.bn_stats(table, x, *part, n0=block.start, n1=block.stop)
        _testing.bn_stats(table, x[block], *alone)
        assert_bits(part, alone, "bn_stats")
        _testing.bn_bwd_sums(table, dy, x, coef[:3], *part, n0=block.start, n1=block.stop)
        _testing.bn_bwd_sums(table, dy[block], x[block], coef[:3], *alone)
        assert_bits(part, alone, "bn_bwd_sums")


@every_table
@every_dtype
def test_bn_is_position_independent(dtype: Any, table: str) -> None:
    """Equal channels give equal bits wherever they lie in a vector, and equal pixels, too."""
    rng = np.random.default_rng(7)
    x, dy = np.empty((2, 4, 5, 37), dtype), np.empty((2, 4, 5, 37), dtype)
    x[...], dy[...] = normal(rng, dtype, 2, 4, 5, 1), normal(rng, dtype, 2, 4, 5, 1)
    coef = np.repeat(normal(rng, dtype, 4, 1), 37, axis=1)
    sums = np.empty((4, 37))
    _testing.bn_stats(table, x, *sums[:2])
    _testing.bn_bwd_sums(table, dy, x, coef[:3], *sums[2:])
    assert (sums == sums[:, :1]).all()
    y, dx = garbage(dtype, *x.shape), garbage(dtype, *x.shape)
    _testing.bn_fwd(table, x, coef[:3], y)
    _testing.bn_bwd_x(table, dy, x, coef, dx)
    assert (y == y[..., :1]).all() and (dx == dx[..., :1]).all()


@every_table
@every_dtype
@pytest.mark.parametrize("n", [0, 1, 7, 8, 33])
def test_cast_rounds_to_nearest(n: int, dtype: Any, table: str) -> None:
    source = np.random.default_rng(8).standard_normal(n) * 10.0 ** np.arange(n)
    out = garbage(dtype, n)
    _testing.cast(table, source, out)
    assert_bits(out, source.astype(dtype), "cast")


@every_table
@every_case
def test_batch_norm_of_kernels_matches_reference(shape: tuple[int, ...], table: str) -> None:
    """Statistics, coefficients, and both passes as the op puts them together, in float64."""
    if np.prod(shape[:3]) == 1:
        shape = (2, *shape[1:])
    rng = np.random.default_rng(9)
    x, dy = normal(rng, DOUBLE, *shape), normal(rng, DOUBLE, *shape)
    gamma, beta = normal(rng, DOUBLE, shape[3]), normal(rng, DOUBLE, shape[3])
    pixels, eps = np.prod(shape[:3]), 1e-5
    mean, m2 = stats(table, x)
    rstd = 1 / np.sqrt(m2 / pixels + eps)
    y, dx, s1, s2 = (garbage(DOUBLE, *s) for s in (shape, shape, shape[3:], shape[3:]))
    coef = np.stack([mean, gamma * rstd, beta])
    _testing.bn_fwd(table, x, coef, y)
    _testing.bn_bwd_sums(table, dy, x, coef, s1, s2)
    a = gamma * rstd
    back = np.stack([mean, a, a * s1 / pixels, a * rstd**2 * s2 / pixels])
    _testing.bn_bwd_x(table, dy, x, back, dx)
    expected = ops.batch_norm_backward(nchw(x), gamma, nchw(dy), eps=eps)
    # two samples whose difference is small have a large 1 / std, which multiplies all roundings
    limit = 1e-12 * (1 + rstd)
    assert_close(y, nhwc(ops.batch_norm(nchw(x), gamma, beta, eps=eps)), limit, "y")
    assert_close(dx, nhwc(expected[0]), limit * rstd * abs(gamma) * (1 + abs(dy).max()), "dx")
    assert_close(s2 * rstd, expected[1], limit * pixels, "dgamma")
    assert_close(s1, expected[2], 1e-12 * pixels, "dbeta")


def network(mode: str, *, affine: bool = True, readers: int = 1) -> list[Any]:
    """A batch norm between convolutions, read by a ReLU, or by sums that normalise as they read."""
    bn = {"eps": 1e-3, "affine": affine, "mode": mode}
    nodes = [conv("a", 0, 5, 3), ("batch_norm", "bn", [1], bn)]
    if readers == 1:
        return [*nodes, ("relu", "relu", [2], {}), conv("b", 3, 4, 3, bias=True), *head(4)]
    return [
        *nodes,
        conv("skip", 0, 5),
        ("batch_norm", "bn2", [3], bn),
        ("add", "sum", [2, 4, 1], {"coef": [1.0, 0.5, 1.0]}),
        ("add", "sum2", [5, 2], {"coef": [1.0, 1.0]}),
        conv("b", 6, 4, 3),
        *head(7),
    ]


@every_table
@pytest.mark.parametrize("readers", [1, 2])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("mode", ["batch", "running"])
@pytest.mark.parametrize("group_size", [1, 3, 6])
def test_batch_norm_in_a_network_matches_reference(
    group_size: int, mode: str, affine: bool, readers: int, table: str
) -> None:
    """Groups of 6 are more than one block, so that statistics are joined."""
    rng = np.random.default_rng(10)
    graph = build((3, 6, 5), network(mode, affine=affine, readers=readers))
    weights = {
        t["name"]: rng.uniform(0.5, 2, t["shape"])
        if t["role"] == "running_var"
        else rng.standard_normal(t["shape"])
        for t in graph.tensors()
    }
    x, y = rng.standard_normal((6, 3, 6, 5)), rng.integers(0, 3, 6)
    expected = reference.run(graph.nodes(), weights, x, y, group_size=group_size)
    for loss in ("cross_entropy",):
        got = run_core(graph, weights, x, y, table=table, group_size=group_size, loss=loss)
        assert_close(got["logits"], expected.logits, 1e-9 * abs(expected.logits).max(), "logits")
        assert_close(got["losses"], expected.losses, 1e-9, "losses")
        for name, gradient in expected.gradients.items():
            limit = 1e-9 * max(1.0, abs(gradient).max())
            assert_close(got["gradients"][name], gradient, limit, name)


@every_table
@every_dtype
def test_switched_off_batch_norm_does_nothing(dtype: Any, table: str) -> None:
    """Mode identity, with its gamma and beta unread."""
    for readers in (1, 2):
        nodes = network("identity", affine=False, readers=readers)
        check_network((3, 8, 8), nodes, table, dtype)


def test_unit_roundoff_is_half_an_ulp() -> None:
    """The table that all tolerances stand on."""
    for dtype in (np.float32, np.float64):
        assert 2 * UNIT[np.dtype(dtype)] == np.finfo(dtype).eps


@every_table
@every_case
def test_batch_norm_of_kernels_matches_torch(shape: tuple[int, ...], table: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if np.prod(shape[:3]) == 1:
        shape = (2, *shape[1:])
    rng = np.random.default_rng(11)
    x, dy = normal(rng, DOUBLE, *shape), normal(rng, DOUBLE, *shape)
    tx = torch.tensor(nchw(x), requires_grad=True)
    ty = torch.nn.functional.batch_norm(tx, None, None, training=True, eps=1e-2)
    ty.backward(torch.tensor(nchw(dy)))
    mean, m2 = stats(table, x)
    pixels = np.prod(shape[:3])
    rstd = 1 / np.sqrt(m2 / pixels + 1e-2)
    y, dx, s1, s2 = (garbage(DOUBLE, *s) for s in (shape, shape, shape[3:], shape[3:]))
    coef = np.stack([mean, rstd, 0 * mean])
    _testing.bn_fwd(table, x, coef, y)
    _testing.bn_bwd_sums(table, dy, x, coef, s1, s2)
    _testing.bn_bwd_x(
        table, dy, x, np.stack([mean, rstd, rstd * s1 / pixels, rstd**3 * s2 / pixels]), dx
    )
    assert_close(y, nhwc(ty.detach().numpy()), 1e-9, "y")
    assert_close(dx, nhwc(tx.grad.numpy()), 1e-9, "dx")
