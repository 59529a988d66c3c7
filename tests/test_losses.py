"""Losses of single samples and their gradients with respect to the logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import _testing
from zeroshot.reference import ops, tangents

from .ops.oracle import (
    SENTINEL,
    UNIT,
    Array,
    assert_bits,
    assert_close,
    assert_same,
    check_blocks,
    every_dtype,
    every_table,
    garbage,
    normal,
)

CASES = [(1, 1), (1, 2), (4, 10), (3, 17), (2, 120), (5, 1000)]
every_case = pytest.mark.parametrize("n, k", CASES)
DOUBLE = UNIT[np.dtype(np.float64)]


def problem(n: int, k: int, dtype: Any, spread: float = 3.0) -> tuple[Array, Array]:
    rng = np.random.default_rng(n * k)
    return (spread * normal(rng, dtype, n, k)).astype(dtype), rng.integers(0, k, n)


@every_table
@every_dtype
@pytest.mark.parametrize("spread", [0.0, 3.0, 300.0])
@every_case
def test_cross_entropy_matches_reference(
    n: int, k: int, spread: float, dtype: Any, table: str
) -> None:
    """Also where exponentials over- or underflow unless the largest logit is taken off."""
    z, y = problem(n, k, dtype, spread)
    loss, dz = garbage(np.float64, n), garbage(dtype, n, k)
    _testing.cross_entropy(table, z, y, 1 / n, loss, dz)
    rows = [slice(i, i + 1) for i in range(n)]
    expected = np.array([ops.cross_entropy(z[r], y[r]) for r in rows])
    # both add k exponentials in double; exp, log and the differences round a few times more, in
    # proportion to the exponent
    terms = (2 * k + 16) * DOUBLE
    assert_close(loss, expected, terms * (1 + abs(expected)), "loss")
    gradient = ops.cross_entropy_backward(z, y)
    exponent = np.ptp(z.astype(np.float64), axis=1, keepdims=True)
    limit = terms * (1 + exponent) / n + UNIT[np.dtype(dtype)] * abs(gradient)
    assert_close(dz, gradient, limit, "dlogits")


@every_table
@every_dtype
@pytest.mark.parametrize("spread", [0.0, 3.0, 300.0])
@every_case
def test_cross_entropy_tangent_matches_reference(
    n: int, k: int, spread: float, dtype: Any, table: str
) -> None:
    z, y = problem(n, k, dtype, spread)
    t = normal(np.random.default_rng(1), dtype, n, k)
    loss, both = garbage(np.float64, n), garbage(dtype, n, 2 * k)
    _testing.cross_entropy_tangent(table, np.concatenate([z, t], axis=1), y, 1 / n, loss, both)
    first = ops.cross_entropy_backward(z, y)
    terms = (4 * k + 32) * DOUBLE * (1 + np.ptp(z.astype(np.float64), axis=1, keepdims=True))
    size = abs(t).max(axis=1, keepdims=True).astype(np.float64)
    slope = n * (first * t.astype(np.float64)).sum(axis=1)
    assert_close(loss, slope, (2 * terms * size)[:, 0], "loss")
    second = tangents.cross_entropy_backward_tangent(z, t)
    limit = 2 * terms * size / n + UNIT[np.dtype(dtype)] * abs(second)
    assert_close(both[:, :k], second, limit, "gradient of logits")
    limit = terms / n + UNIT[np.dtype(dtype)] * abs(first)
    assert_close(both[:, k:], first, limit, "gradient of tangents")
    alone = garbage(np.float64, n)
    _testing.cross_entropy_tangent(table, np.concatenate([z, t], axis=1), y, 1 / n, alone, None)
    assert_bits(alone, loss, "loss without gradient")


@every_table
@every_dtype
@every_case
def test_sum_logits_matches_reference(n: int, k: int, dtype: Any, table: str) -> None:
    z, y = problem(n, k, dtype)
    loss, dz = garbage(np.float64, n), garbage(dtype, n, k)
    _testing.sum_logits(table, z, y, 0.3, loss, dz)
    limit = k * DOUBLE * abs(z).sum(1, dtype=np.float64)
    assert_close(loss, z.sum(1, dtype=np.float64), limit, "loss")
    assert_bits(dz, np.full((n, k), 0.3, dtype), "dlogits")


@every_table
@every_dtype
@pytest.mark.parametrize("loss_name", ["cross_entropy", "sum_logits"])
def test_losses_do_without_gradient_and_with_gaps(loss_name: str, dtype: Any, table: str) -> None:
    kernel = getattr(_testing, loss_name)
    z, y = problem(5, 17, dtype)
    loss, dz, alone = garbage(np.float64, 5), garbage(dtype, 5, 17), garbage(np.float64, 5)
    kernel(table, z, y, 0.2, loss, dz)
    kernel(table, z, y, 0.2, alone, None)
    assert_bits(alone, loss, "loss without gradient")
    whole_z, whole_dz = (np.full((5, 20), SENTINEL, dtype) for _ in range(2))
    whole_z[:, 2:-1] = z
    kernel(table, whole_z[:, 2:-1], y, 0.2, alone, whole_dz[:, 2:-1])
    assert_bits(alone, loss, "loss of rows with gaps")
    assert_bits(whole_dz[:, 2:-1], dz, "dlogits of rows with gaps")
    assert (whole_dz[:, [0, 1, -1]] == SENTINEL).all()

    def block(losses: Array, gradient: Array, n0: int, n1: int) -> None:
        kernel(table, z, y, 0.2, losses, gradient, n0=n0, n1=n1)

    check_blocks(block, 5, [garbage(np.float64, 5), garbage(dtype, 5, 17)], loss_name)


@every_table
@every_dtype
def test_cross_entropy_of_equal_logits(dtype: Any, table: str) -> None:
    z, y = np.full((2, 4), 1e4, dtype), np.array([1, 3])
    loss, dz = garbage(np.float64, 2), garbage(dtype, 2, 4)
    _testing.cross_entropy(table, z, y, 1.0, loss, dz)
    assert_close(loss, np.log(4.0), DOUBLE, "loss")
    assert_same(dz, 0.25 - (np.arange(4) == y[:, None]), "dlogits")


@every_table
@every_dtype
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_cross_entropy_says_nan_and_only_where_it_is(bad: float, dtype: Any, table: str) -> None:
    z, y = problem(3, 17, dtype)
    z[1, 16] = bad
    loss, dz = garbage(np.float64, 3), np.zeros((3, 17), dtype)
    _testing.cross_entropy(table, z, y, 1.0, loss, dz)
    assert np.isnan(loss).tolist() == [False, True, False]
    assert np.isnan(dz).any(axis=1).tolist() == [False, True, False]


@every_table
@every_case
def test_cross_entropy_matches_torch(n: int, k: int, table: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    z, y = problem(n, k, np.float64)
    tz = torch.tensor(z, requires_grad=True)
    each = torch.nn.functional.cross_entropy(tz, torch.tensor(y), reduction="none")
    each.mean().backward()
    loss, dz = garbage(np.float64, n), garbage(np.float64, n, k)
    _testing.cross_entropy(table, z, y, 1 / n, loss, dz)
    assert_close(loss, each.detach().numpy(), 1e-9, "loss")
    assert_close(dz, tz.grad.numpy(), 1e-9, "dlogits")
