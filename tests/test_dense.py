"""Dense linear algebra: against NumPy, SciPy and closed forms, and where a matrix lacks something.

Tolerances are backward errors: a result is exact for a matrix that is at most some n units of
roundoff of its norm away, in ours and in NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import inf, isqrt, log, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zeroshot import _testing

Array = NDArray[Any]

U = 2.0**-53
seeds = st.integers(0, 2**32 - 1)


def eigenvalues(a: Array) -> Array:
    values = np.full(len(a), nan)
    _testing.dense_eigenvalues(np.array(a, np.float64, order="C"), values)
    return values


def singular_values(a: Array) -> Array:
    values = np.full(min(a.shape), nan)
    _testing.dense_singular_values(np.array(a, np.float64, order="C"), values)
    return values


def log_abs_det(a: Array) -> float:
    return _testing.dense_log_abs_det(np.array(a, np.float64, order="C"))


def cholesky(a: Array) -> tuple[Array, float]:
    lower = np.array(a, np.float64, order="C")
    return lower, _testing.dense_cholesky(lower)


def qr(a: Array) -> tuple[Array, Array]:
    q, r = np.array(a, np.float64, order="C"), np.full((a.shape[1],) * 2, nan)
    _testing.dense_qr(q, r)
    return q, r


def norm(a: Array) -> float:
    return float(np.linalg.norm(a))


def symmetric(n: int, kind: str, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    g = rng.standard_normal((n, n))
    match kind:
        case "full":
            return g + g.T
        case "low rank":
            g = g[:, : 1 + n // 3]
            return g @ g.T
        case "repeated":
            q = np.linalg.qr(g)[0]
            a = (q * rng.integers(-1, 2, n)) @ q.T
            return np.asarray((a + a.T) / 2)
        case "graded":
            d = 10.0 ** -rng.uniform(0, 40, n)
            return (g + g.T) * d * d[:, None]
        case "tridiagonal":
            return np.diag(g[0]) + np.diag(g[-1, 1:], 1) + np.diag(g[-1, 1:], -1)
        case "counts":  # of equal bits of binary codes, some of them twice
            code = rng.integers(0, 2, (n, 2 * n))[rng.integers(0, n, n)].astype(np.float64)
            return code @ code.T + (1 - code) @ (1 - code).T
    raise AssertionError(kind)


KINDS = ["full", "low rank", "repeated", "graded", "tridiagonal", "counts"]

# --- eigenvalues -----------------------------------------------------------------------------


def assert_eigenvalues(a: Array, expected: Array) -> None:
    found = eigenvalues(a)
    assert np.all(np.diff(found) >= 0)
    assert np.abs(found - expected).max() <= 8 * len(a) * U * norm(a)


@given(st.integers(1, 40), st.sampled_from(KINDS), seeds)
def test_eigenvalues_are_numpy_s(n: int, kind: str, seed: int) -> None:
    a = symmetric(n, kind, seed)
    assert_eigenvalues(a, np.linalg.eigvalsh(a))


@pytest.mark.parametrize("n", [64, 129, 256])
@pytest.mark.parametrize("kind", KINDS)
def test_eigenvalues_of_larger_matrices(n: int, kind: str) -> None:
    a = symmetric(n, kind, n)
    assert_eigenvalues(a, np.linalg.eigvalsh(a))


def test_eigenvalues_of_a_string_of_masses() -> None:
    n = 50
    a = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    assert_eigenvalues(a, 2 - 2 * np.cos(np.arange(1, n + 1) * np.pi / (n + 1)))


@pytest.mark.parametrize(
    ("a", "expected"),
    [
        ([[3.0]], [3]),
        ([[-0.0]], [0]),
        ([[0, 1], [1, 0]], [-1, 1]),
        ([[0, 0, 1], [0, 0, 0], [1, 0, 0]], [-1, 0, 1]),
        (np.zeros((5, 5)), [0] * 5),
        (np.eye(9), [1] * 9),
        (np.diag([3.0, -1, 2, 0, 2]), [-1, 0, 2, 2, 3]),
        (np.ones((16, 16)), [0] * 15 + [16]),
    ],
)
def test_plain_eigenvalues(a: Array, expected: list[float]) -> None:
    assert_eigenvalues(np.asarray(a, np.float64), np.asarray(expected, np.float64))


def test_diagonal_matrices_keep_their_bits() -> None:
    d = np.random.default_rng(0).standard_normal(30) * 10.0 ** np.arange(-150, 150, 10)
    assert np.array_equal(eigenvalues(np.diag(d)), np.sort(d))


@pytest.mark.parametrize("exponent", [-1000, -600, 600, 1000])
def test_a_power_of_two_changes_no_bit(exponent: int) -> None:
    a = symmetric(20, "full", 0)
    g = a[:, :7]
    assert np.array_equal(eigenvalues(np.ldexp(a, exponent)), np.ldexp(eigenvalues(a), exponent))
    assert np.array_equal(
        singular_values(np.ldexp(g, exponent)), np.ldexp(singular_values(g), exponent)
    )
    assert np.array_equal(qr(np.ldexp(g, exponent))[0], qr(g)[0])


def test_wide_range_of_entries_ends() -> None:
    tiny = 2.0**-1074
    for entries in ([1, tiny, 0], [0, tiny, tiny], [1e308, 1e-308, -1e308], [0, 1e-160, 1]):
        x, y, z = entries
        a = np.array([[x, y, z], [y, z, x], [z, x, y]])
        assert np.abs(eigenvalues(a) / 4 - np.linalg.eigvalsh(a / 4)).max() <= 16 * U * max(entries)


def test_upper_triangle_is_not_read() -> None:
    a = symmetric(12, "full", 1)
    a = a @ a + np.eye(12)
    masked = np.where(np.tri(12, dtype=bool), a, nan)
    assert np.array_equal(eigenvalues(masked), eigenvalues(a))
    lower, log_det = cholesky(masked)
    assert np.array_equal(np.isnan(lower), np.isnan(masked))
    assert log_det == cholesky(a)[1]


# --- determinants ----------------------------------------------------------------------------


def exact_det(a: NDArray[np.int64]) -> Fraction:
    rows = [[Fraction(int(x)) for x in row] for row in a]
    det = Fraction(1)
    for k in range(len(rows)):
        at = next((i for i in range(k, len(rows)) if rows[i][k]), None)
        if at is None:
            return Fraction(0)
        rows[k], rows[at] = rows[at], rows[k]
        det *= rows[k][k]  # up to the sign
        for i in range(k + 1, len(rows)):
            f = rows[i][k] / rows[k][k]
            rows[i] = [x - f * y for x, y in zip(rows[i], rows[k], strict=True)]
    return abs(det)


def log_det_bound(a: Array) -> float:
    """Of tr(inv(A) E), where |E| is at most n U |L| |U|, and |L| |U| taken as 4 n max |A|."""
    n = len(a)
    return 4 * n * n * U * float(np.abs(a).max() * np.abs(np.linalg.inv(a)).sum()) + n * U


@given(st.integers(1, 12), seeds)
def test_log_abs_det_of_integers(n: int, seed: int) -> None:
    a = np.random.default_rng(seed).integers(-9, 10, (n, n))
    det = exact_det(a)
    if det != 0:
        size = log(det.numerator) - log(det.denominator)
        assert abs(log_abs_det(a.astype(float)) - size) <= log_det_bound(a.astype(float))


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 33, 100])
def test_log_abs_det_is_numpy_s(n: int) -> None:
    a = np.random.default_rng(n).standard_normal((n, n))
    assert abs(log_abs_det(a) - np.linalg.slogdet(a)[1]) <= 2 * log_det_bound(a)
    spd = a @ a.T + np.eye(n)
    assert abs(log_abs_det(spd) - cholesky(spd)[1]) <= 2 * log_det_bound(spd)


@pytest.mark.parametrize("n", [2, 9, 40])
def test_two_equal_rows_are_exactly_singular(n: int) -> None:
    a = symmetric(n, "full", n)
    a[-1] = a[0]
    assert log_abs_det(a) == -inf
    assert log_abs_det(a.T.copy() * 0) == -inf
    code = np.random.default_rng(n).integers(0, 2, (n, 3 * n)).astype(np.float64)
    code[n // 2] = code[0]
    assert log_abs_det(code @ code.T + (1 - code) @ (1 - code).T) == -inf


@given(st.integers(1, 30), seeds)
def test_cholesky_multiplies_back(n: int, seed: int) -> None:
    g = np.random.default_rng(seed).standard_normal((n, n + 3))
    a = g @ g.T
    lower, log_det = cholesky(a)
    lower = np.tril(lower)
    assert np.all(np.abs(lower @ lower.T - a) <= 2 * (n + 1) * U * (abs(lower) @ abs(lower).T))
    assert abs(log_det - 2 * np.log(np.diag(lower)).sum()) <= 8 * n * U * (1 + abs(log_det) + n)


@pytest.mark.parametrize("scale", [1.0, 2.0**-900, 2.0**900])
def test_cholesky_says_what_is_not_positive_definite(scale: float) -> None:
    g = np.random.default_rng(0).integers(-3, 4, (10, 9)).astype(np.float64)
    for a in (g @ g.T, -np.eye(3), np.zeros((1, 1)), np.array([[1.0, 2], [2, 1]]), np.ones((2, 2))):
        with pytest.raises(ValueError, match="positive definite"):
            cholesky(a * scale)
    assert cholesky(np.array([[1.0, 1], [1, 1 + 2.0**-40]]) * scale)


# --- QR and singular values ------------------------------------------------------------------


def rectangle(m: int, n: int, rank: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    rank = min(rank, m, n)
    return rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))


sizes = st.integers(1, 24)


@given(sizes, sizes, st.integers(0, 24), seeds)
def test_qr_is_orthonormal_and_multiplies_back(m: int, n: int, rank: int, seed: int) -> None:
    m, n = max(m, n), min(m, n)
    a = rectangle(m, n, rank, seed)
    q, r = qr(a)
    assert np.abs(q.T @ q - np.eye(n)).max() <= 8 * m * U
    assert norm(q @ r - a) <= 8 * m * n * U * norm(a)
    assert np.array_equal(np.triu(r), r)
    assert np.all(np.diag(r) >= 0)


def test_qr_of_full_rank_is_the_only_one() -> None:
    a = np.array([[3.0, 1], [4, 2], [0, 2]])
    q, r = qr(a)
    assert np.allclose(r, [[5, 2.2], [0, (2**2 + 1 + 4 - 2.2**2) ** 0.5]], rtol=8 * U, atol=0)
    assert np.allclose(q[:, 0], [0.6, 0.8, 0], rtol=8 * U, atol=4 * U)


@given(sizes, sizes, st.integers(0, 24), seeds)
def test_singular_values_are_numpy_s(m: int, n: int, rank: int, seed: int) -> None:
    a = rectangle(m, n, rank, seed)
    found = singular_values(a)
    assert np.all(np.diff(found) <= 0)
    assert np.all(found >= 0)
    expected = np.linalg.svd(a, compute_uv=False)
    assert np.abs(found - expected).max() <= 8 * max(m, n) * U * norm(a)


@pytest.mark.parametrize("shape", [(64, 64), (300, 20), (20, 300), (130, 129)])
def test_singular_values_of_larger_matrices(shape: tuple[int, int]) -> None:
    a = np.random.default_rng(0).standard_normal(shape)
    expected = np.linalg.svd(a, compute_uv=False)
    assert np.abs(singular_values(a) - expected).max() <= 2 * max(shape) * U * norm(a)


@pytest.mark.parametrize("wide", [False, True])
def test_small_singular_values_are_as_accurate_as_large_ones(wide: bool) -> None:
    """Columns are orthogonal: singular values are their lengths, from 1 to 1e-140."""
    h = np.ones((1, 1))
    while len(h) < 16:
        h = np.block([[h, h], [h, -h]])
    lengths = 10.0 ** np.random.default_rng(0).permutation(np.linspace(-140, 0, 10))
    a = h[:, :10] * (lengths / isqrt(16))
    assert np.allclose(singular_values(a.T if wide else a), -np.sort(-lengths), rtol=64 * U, atol=0)


def test_singular_values_of_the_hilbert_matrix() -> None:
    """Its determinant is known, and is the product of values down to 1e-13."""
    n = 10
    a = np.array([[1 / (i + j + 1) for j in range(n)] for i in range(n)])
    rational = [[Fraction(1, i + j + 1) for j in range(n)] for i in range(n)]
    scale = 232_792_560  # of all denominators
    det = exact_det(np.array([[int(x * scale) for x in row] for row in rational]))
    size = log(det.numerator) - log(det.denominator) - n * log(scale)
    # entries are rounded, and that alone is worth cond(A) units in the smallest value
    assert abs(np.log(singular_values(a)).sum() - size) <= 4 * n * U * np.linalg.cond(a)


# --- SciPy, by other routines than NumPy's ---------------------------------------------------


@pytest.fixture
def linalg() -> Any:
    return pytest.importorskip(
        "scipy.linalg", reason="SciPy is not installed: not compared with it"
    )


@pytest.mark.parametrize("n", [1, 2, 17, 60])
@pytest.mark.parametrize("kind", KINDS)
def test_eigenvalues_are_scipy_s(linalg: Any, n: int, kind: str) -> None:
    a = symmetric(n, kind, n + 1)
    assert_eigenvalues(
        a, linalg.eigh(a, eigvals_only=True, driver="ev")
    )  # QL, not divide and conquer


@pytest.mark.parametrize(("m", "n"), [(1, 1), (30, 30), (60, 7), (7, 60)])
def test_singular_values_are_scipy_s(linalg: Any, m: int, n: int) -> None:
    a = rectangle(m, n, min(m, n), m)
    expected = linalg.svd(a, compute_uv=False, lapack_driver="gesvd")
    assert np.abs(singular_values(a) - expected).max() <= 8 * max(m, n) * U * norm(a)


@pytest.mark.parametrize("n", [1, 8, 33, 100])
def test_factors_are_scipy_s(linalg: Any, n: int) -> None:
    """Both multiply back to within their backward error, so they differ by its share of cond(A)."""
    g = np.random.default_rng(n).standard_normal((n, n))
    spd = g @ g.T + n * np.eye(n)
    bound = 8 * n * n * U * np.linalg.cond(spd)
    lower, log_det = cholesky(spd)
    factor = linalg.cholesky(spd, lower=True)
    assert norm(np.tril(lower) - factor) <= bound * norm(factor)
    lu, _ = linalg.lu_factor(spd)
    size = np.log(np.abs(np.diag(lu))).sum()
    assert abs(log_abs_det(spd) - size) <= 2 * log_det_bound(spd)
    assert abs(log_det - size) <= 2 * log_det_bound(spd)
    a = g + n * np.eye(n)
    r = linalg.qr(a, mode="economic")[1]
    ours = qr(a)[1]
    assert norm(ours - r * np.sign(np.diag(r))[:, None]) <= 8 * n * n * U * np.linalg.cond(
        a
    ) * norm(r)


# --- sums of products ------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 4, 5, 18])
@pytest.mark.parametrize("k", [1, 7, 8, 511, 512, 513, 1100])
def test_gram_matrix_of_integers_is_exact(n: int, k: int) -> None:
    rng = np.random.default_rng(n * k)
    a = rng.integers(-9, 10, (n, k)).astype(np.float64)
    c = np.eye(n)
    _testing.dense_add_gram(a, c)
    assert np.array_equal(c, a @ a.T + np.eye(n))


# --- what is refused -------------------------------------------------------------------------

OF_SQUARE: list[Callable[[Array], object]] = [eigenvalues, log_abs_det, cholesky]
OF_ANY: list[Callable[[Array], object]] = [*OF_SQUARE, singular_values, qr]


@pytest.mark.parametrize("function", OF_ANY)
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_entries_that_are_not_finite(function: Callable[[Array], object], value: float) -> None:
    n = 11
    for at in [(0, 0), (n - 1, n - 1), (n - 1, 0), (6, 3)]:
        a = np.eye(n)
        a[at] = a[at[::-1]] = value
        with pytest.raises(ValueError, match="finite"):
            function(a)
    with pytest.raises(ValueError, match="finite"):
        function(np.full((1, 1), value))


@pytest.mark.parametrize("function", OF_ANY)
def test_matrices_without_entries(function: Callable[[Array], object]) -> None:
    with pytest.raises(ValueError, match="at least one entry"):
        function(np.empty((0, 0)))


@pytest.mark.parametrize("function", OF_SQUARE)
def test_matrices_that_are_not_square(function: Callable[[Array], object]) -> None:
    with pytest.raises(ValueError, match="square"):
        function(np.ones((2, 3)))


def test_same_bits_at_every_address() -> None:
    n = 37
    a = symmetric(n, "full", 5)
    a = a @ a

    def results(shift: int) -> list[object]:
        room, out = np.empty(n * n + shift)[shift:].reshape(n, n), np.empty(n * n)
        found: list[object] = []
        room[:] = a
        found.append(_testing.dense_cholesky(room))
        room[:] = a
        found.append(_testing.dense_log_abs_det(room))
        for function in (_testing.dense_eigenvalues, _testing.dense_singular_values):
            room[:] = a
            function(room, out[:n])
            found.append(out[:n].tobytes())
        room[:] = a
        _testing.dense_qr(room, out)
        found.append(room.tobytes() + out.tobytes())
        _testing.dense_add_gram(room, out.reshape(n, n))
        return [*found, out.tobytes()]

    expected = results(0)
    for shift in range(1, 8):
        assert results(shift) == expected
