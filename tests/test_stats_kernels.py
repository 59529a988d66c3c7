"""Joins, moments, signs, histograms and counts over gradients, and the way in and out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroshot import _testing

from .ops.oracle import (
    UNIT,
    USABLE,
    Array,
    assert_bits,
    assert_close,
    assert_same,
    bound,
    every_dtype,
    every_table,
    garbage,
    integers,
    normal,
    run_kernel,
)

LENGTHS = [0, 1, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 1000]
SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -1e-310, 1.5e-39, 1e-45, 1.0, -1.0]


def special(rng: np.random.Generator, dtype: Any, n: int) -> Array:
    """Values over all magnitudes, a third of them NaN, infinite, zero or subnormal."""
    largest = np.log10(np.finfo(dtype).max) - 1
    values = rng.choice([-1, 1], n) * 10 ** rng.uniform(-largest, largest, n)
    with np.errstate(under="ignore"):
        return np.where(rng.random(n) < 1 / 3, rng.choice(SPECIAL, n), values).astype(dtype)


# ---- joins and moments ---------------------------------------------------------------------------


@every_table
@every_dtype
@pytest.mark.parametrize("n_parts", [1, 2, 5, 16])
def test_join_matches_sum(n_parts: int, dtype: Any, table: str) -> None:
    """Also with gaps between the parts, and into the first of them."""
    for n in LENGTHS:
        rng = np.random.default_rng(n)
        whole = normal(rng, dtype, n_parts, n + 5)
        parts = whole[:, :n]
        expected, size = parts.sum(0, dtype=np.float64), abs(parts).sum(0, dtype=np.float64)
        out = garbage(dtype, n)
        _testing.join(table, parts, out)
        assert_close(out, expected, bound("join", n_parts, size, dtype), f"join of {n}")
        rest = whole[:, n:].copy()
        _testing.join(table, parts, whole[0, :n])
        assert_bits(whole[0, :n], out, f"join of {n} in place")
        assert_bits(whole[:, n:].copy(), rest, "between the parts")


@every_table
@every_dtype
def test_join_of_integers_is_exact(dtype: Any, table: str) -> None:
    parts, out = integers(np.random.default_rng(0), dtype, 7, 43), garbage(dtype, 43)
    _testing.join(table, parts, out)
    assert_same(out, parts.sum(0), "join")


def moments(table: str, gradients: Array, accumulate: bool) -> tuple[Array, Array, Array]:
    n = gradients.shape[1]
    mean, m2, total = np.zeros(n), np.zeros(n), np.zeros(n)
    for count, g in enumerate(gradients):
        _testing.moments(table, g.copy(), count, mean, m2, total if accumulate else None)
    return mean, m2, total


@every_table
@every_dtype
@pytest.mark.parametrize("accumulate", [False, True], ids=["each", "running sums"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("n", [1, 7, 16, 33, 100])
def test_moments_match_two_passes(
    n: int, offset: float, accumulate: bool, dtype: Any, table: str
) -> None:
    """Welford's error is of the first order in mean / deviation: E[x^2] - E[x]^2 would fail."""
    steps = 40
    gradients = normal(np.random.default_rng(n), dtype, steps, n) + dtype(offset)
    seen = gradients.astype(np.longdouble)
    if accumulate:
        seen = seen.cumsum(0)
    mean, m2, total = moments(table, gradients, accumulate)
    deviations = abs(seen - seen.mean(0))
    unit, top = UNIT[np.dtype(np.float64)], abs(seen).max(0)
    # a step rounds the sum, the difference, the quotient and the new mean, each at most once
    mean_limit = 4 * steps * unit * top
    m2_limit = 4 * steps * unit * (deviations**2).sum(0) + 4 * mean_limit * deviations.sum(0)
    assert_close(mean, seen.mean(0).astype(float), mean_limit.astype(float), "mean")
    assert_close(m2, (deviations**2).sum(0).astype(float), m2_limit.astype(float), "m2")
    if accumulate:
        limit = steps * unit * abs(gradients).sum(0, dtype=np.float64)
        assert_close(total, seen[-1].astype(float), limit, "running sum")


@every_table
@every_dtype
def test_moments_of_equal_gradients(dtype: Any, table: str) -> None:
    """No deviation at all, exactly, and equal elements have equal bits."""
    g = np.full((5, 43), 0.1, dtype)
    mean, m2, _ = moments(table, g, accumulate=False)
    assert_same(mean, g[0], "mean")
    assert not m2.any()
    g *= np.arange(5, dtype=dtype)[:, None]
    for values in moments(table, g, accumulate=True):
        assert (values == values[0]).all()


@every_table
def test_hamming_counts_bits(table: str) -> None:
    for n in LENGTHS:
        rng = np.random.default_rng(n)
        a, b = rng.integers(-(2**63), 2**63, (2, n))
        b[: n // 3] = a[: n // 3]
        b[n // 2 :] = ~a[n // 2 :]
        bits = np.unpackbits((a ^ b).view(np.uint8))
        assert _testing.hamming(table, a, b) == bits.sum(), n


@every_table
@every_dtype
def test_dot_matches_sum(dtype: Any, table: str) -> None:
    """Products of floats are exact in double, and so are sums of small integers."""
    for n in LENGTHS:
        rng = np.random.default_rng(n)
        x, y = normal(rng, dtype, n), normal(rng, dtype, n)
        products = x.astype(np.longdouble) * y.astype(np.longdouble)
        error = abs(_testing.dot(table, x, y) - float(products.sum()))
        assert error <= (n + 1) * UNIT[np.dtype(np.float64)] * float(abs(products).sum()), n
        whole = integers(rng, dtype, n), integers(rng, dtype, n)
        assert _testing.dot(table, *whole) == (whole[0] * whole[1]).sum(dtype=np.float64), n


# ---- exact counts --------------------------------------------------------------------------------


@every_table
@every_dtype
@pytest.mark.parametrize("tol", [0.0, 1e-3, 0.1, float(np.float32(0.1)), 1e300, 5e-324])
def test_signs_match_comparison(tol: float, dtype: Any, table: str) -> None:
    """A value is compared as it is with the tolerance as it is, neither of them rounded."""
    for n in LENGTHS:
        rng = np.random.default_rng(n)
        g = special(rng, dtype, n)
        edges = np.array([tol, -tol]).clip(-1e38, 1e38).astype(dtype)
        near = [edges, *(np.nextafter(edges, dtype(s * np.inf)) for s in (-1, 1))]
        g[: min(n, 6)] = np.concatenate(near)[: min(n, 6)]
        before = rng.integers(-5, 5, n).astype(np.int32)
        total = before.copy()
        _testing.signs(table, g, tol, total)
        v = g.astype(np.float64)
        assert np.array_equal(total, before + (v > tol).astype(np.int32) - (v < -tol)), n


EDGES = {
    "one": [0.5],
    "two": [1e-3, 1e-1],
    "three": [0.0, 1e-5, np.inf],
    "sweet": list(np.outer(10.0 ** np.arange(-10, 0), [1, 5]).ravel()),
    "too close for float": [0.1, np.nextafter(0.1, 1), 0.3],
    "64": list(np.linspace(0, 3, 64)),
    "65": list(np.linspace(0, 3, 65)),
    "130": list(np.geomspace(1e-40, 10, 130)),
}


def expected_histogram(g: Array, edges: Array) -> Array:
    v, e = abs(g), edges.astype(g.dtype)
    return np.array([np.count_nonzero((v >= a) & (v < b)) for a, b in pairwise(e)])


@every_table
@every_dtype
@pytest.mark.parametrize("name", EDGES)
def test_histogram_matches_comparison(name: str, dtype: Any, table: str) -> None:
    edges = np.array(EDGES[name])
    rounded = edges.astype(dtype)
    for n in (0, 1, 17, 100, 3000):
        rng = np.random.default_rng(n)
        pool = [normal(rng, dtype, n), special(rng, dtype, n), rng.choice(rounded, n)]
        pool += [np.nextafter(rng.choice(rounded, n), dtype(s)) for s in (-1, 20)]
        for g in [*pool, rng.permutation(np.concatenate(pool))]:
            counts = np.full(len(edges) - 1, 3, np.int64)
            _testing.histogram(table, np.ascontiguousarray(g), edges, counts)
            assert np.array_equal(counts - 3, expected_histogram(g, edges)), n


@settings(max_examples=60)
@given(
    data=st.data(),
    table=st.sampled_from(USABLE),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_histogram_of_any_values(data: Any, table: str, dtype: Any) -> None:
    values = st.floats(width=32) if dtype is np.float32 else st.floats()
    g = np.array(data.draw(st.lists(values, max_size=200)), dtype)
    positive = st.floats(min_value=0, allow_infinity=True)
    edges = np.array(sorted(data.draw(st.lists(positive, min_size=1, max_size=140))))
    counts = np.zeros(len(edges) - 1, np.int64)
    _testing.histogram(table, g, edges, counts)
    with np.errstate(over="ignore"):
        assert np.array_equal(counts, expected_histogram(g, edges))


@every_table
@every_dtype
def test_exponents_match_frexp(dtype: Any, table: str) -> None:
    for n in LENGTHS:
        g = special(np.random.default_rng(n), dtype, n)
        counts, expected = np.ones(2200, np.int64), np.ones(2200, np.int64)
        _testing.exponents(table, g, counts)
        finite = g[np.isfinite(g)].astype(np.float64)
        expected[0] += np.count_nonzero(finite == 0)
        exponents = np.frexp(finite[finite != 0])[1] - 1  # frexp's mantissa is in [1/2, 1)
        np.add.at(expected, exponents + 1100, 1)
        assert np.array_equal(counts, expected), n


@every_table
@every_dtype
def test_counts_match_comparison(dtype: Any, table: str) -> None:
    for n in LENGTHS:
        for g in (
            special(np.random.default_rng(n), dtype, n),
            np.zeros(n, dtype),
            np.ones(n, dtype),
        ):
            bits = np.full((n + 63) // 64, -1)
            _testing.positive_bits(table, g, bits)
            on = np.unpackbits(bits.view(np.uint8), bitorder="little")
            assert_same(on[:n], g > 0, f"bits of {n}")
            assert not on[n:].any()
            assert _testing.count_nonfinite(table, g) == np.count_nonzero(~np.isfinite(g)), n
            assert _testing.count_nonzero(table, g) == np.count_nonzero(g), n


@every_table
@every_dtype
@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1, 1), (2, 3, 5, 3), (3, 4, 4, 16), (2, 5, 3, 43), (2, 1, 2, 64), (2, 8, 8, 33)],
    ids=str,
)
def test_product_sums_match_formula(shape: tuple[int, ...], dtype: Any, table: str) -> None:
    rng = np.random.default_rng(4)
    a, d = (normal(rng, dtype, *shape) for _ in range(2))
    terms = a.astype(np.float64) * d.astype(np.float64)
    limit = bound("product_sums", shape[1] * shape[2], abs(terms).sum((1, 2)), np.float64)

    def check(sums: Array) -> None:
        assert_close(sums, terms.sum((1, 2)), limit, "sums")

    plain = [garbage(np.float64, shape[0], shape[3])]
    run_kernel(lambda *args: _testing.product_sums(table, *args), [a, d], [], check, plain=plain)


@every_table
@every_dtype
def test_product_sums_of_integers_are_exact_and_by_blocks(dtype: Any, table: str) -> None:
    rng = np.random.default_rng(5)
    a, d = (integers(rng, dtype, 4, 5, 7, 19) for _ in range(2))
    want, part = (a * d).sum((1, 2), dtype=np.float64), garbage(np.float64, 2, 19)
    _testing.product_sums(table, a, d, part, n0=1, n1=3)
    assert_same(part, want[1:3], "samples 1 to 3")
    d[2, 1, 1, 3] = np.nan
    whole = garbage(np.float64, 4, 19)
    _testing.product_sums(table, a, d, whole)
    want[2, 3] = np.nan
    assert_same(whole, want, "with NaN")


# ---- in and out ----------------------------------------------------------------------------------

every_source = pytest.mark.parametrize("source", [np.float32, np.float64])


@every_table
@every_dtype
@every_source
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (2, 3, 8, 8), (3, 17, 2, 5), (1, 43, 3, 1)], ids=str
)
def test_load_images_is_a_transposition(
    shape: tuple[int, ...], source: Any, dtype: Any, table: str
) -> None:
    n, c, h, w = shape
    x = normal(np.random.default_rng(0), source, *shape)
    whole = garbage(dtype, n, h, w, c + 2)
    _testing.load_images(table, x, whole[..., 1:-1])
    assert_bits(whole[..., 1:-1], np.moveaxis(x, 1, 3).astype(dtype), "images")
    assert np.isnan(whole[..., [0, -1]]).all()


@every_table
@every_dtype
@every_source
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1), (16, 3, 3, 3), (5, 7, 1, 3), (43, 17, 2, 1)], ids=str
)
def test_weights_go_in_and_out(shape: tuple[int, ...], source: Any, dtype: Any, table: str) -> None:
    w = normal(np.random.default_rng(1), source, *shape)
    inside = garbage(dtype, *(shape[i] for i in (2, 3, 1, 0)))
    _testing.load_weight(table, w, inside)
    assert_bits(inside, w.transpose(2, 3, 1, 0).astype(dtype), "inside")
    outside = garbage(np.float64, *shape)
    _testing.store_weight(table, inside, outside)
    assert_bits(outside, w.astype(dtype).astype(np.float64), "outside")


@every_table
@every_dtype
def test_store_vector_widens(dtype: Any, table: str) -> None:
    for n in LENGTHS:
        w, out = normal(np.random.default_rng(2), dtype, n), garbage(np.float64, n)
        _testing.store_vector(table, w, out)
        assert_bits(out, w.astype(np.float64), f"vector of {n}")
