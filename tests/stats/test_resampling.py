"""Bootstrap: quick forms against plain resampling, BCa against SciPy, p-values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

scipy_stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed: no statistics")

from zeroshot import stats  # noqa: E402
from zeroshot.stats import _prepared  # noqa: E402

SMALL = st.integers(-3, 3).map(float)
PAIRS = st.lists(st.tuples(SMALL, SMALL), min_size=3, max_size=20).map(
    lambda pairs: tuple(map(np.array, zip(*pairs, strict=True)))
)


def some(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    accuracy = rng.standard_normal(n)
    return np.round(accuracy + rng.standard_normal(n), 1), accuracy


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.allclose(a, b, rtol=0, atol=1e-12, equal_nan=True))


@given(PAIRS, st.integers(0, 99))
@settings(max_examples=50)
def test_quick_forms_equal_the_statistic_of_each_resample(pairs, seed):
    n = len(pairs[0])
    rows = np.random.default_rng(seed).integers(0, n, (5, n))
    each = np.arange(n)
    for name in ("spearman", "kendall"):
        plain, quick = getattr(stats, name), _prepared.prepare(name, pairs)
        wanted = [plain(*(a[r] for a in pairs)).value for r in rows]
        assert close(quick.resampled(rows), np.array(wanted))
        wanted = [plain(*(a[each != i] for a in pairs)).value for i in each]
        assert close(quick.left_out(), np.array(wanted))


@pytest.mark.parametrize("name", ["spearman", "kendall"])
def test_a_function_and_its_name_draw_the_same(name):
    pair = some(40)
    plain = getattr(stats, name)
    by_name = stats.bootstrap(name, *pair, n_resamples=100)
    by_function = stats.bootstrap(plain, *pair, n_resamples=100)
    by_lambda = stats.bootstrap(lambda s, a: plain(s, a), *pair, n_resamples=100)
    assert by_name == by_function
    assert close(np.array([by_name.low, by_name.high]), np.array([by_lambda.low, by_lambda.high]))


def test_kendall_of_many_rows_equals_that_of_few(monkeypatch):
    pair = some(50)
    few = stats.bootstrap("kendall", *pair, n_resamples=20)
    monkeypatch.setattr(_prepared, "_PAIRS", 10)
    many = stats.bootstrap("kendall", *pair, n_resamples=20)
    assert close(np.array([few.low, few.high]), np.array([many.low, many.high]))


def test_infinite_scores_are_resampled():
    s = [-math.inf, 0.0, 1.0, math.inf, math.inf, 2.0]
    for name in ("spearman", "kendall"):
        finite = stats.bootstrap(name, [-9, 0, 1, 9, 9, 2], range(6), method="BCa", n_resamples=50)
        assert stats.bootstrap(name, s, range(6), method="BCa", n_resamples=50) == finite


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_intervals_agree_with_scipy(method):
    x = np.random.default_rng(5).exponential(size=60)  # skewed, so that BCa differs
    ours = stats.bootstrap(np.mean, x, n_resamples=20000, method=method, level=0.9)
    theirs = scipy_stats.bootstrap(
        (x,), np.mean, n_resamples=20000, method=method, confidence_level=0.9, rng=1
    ).confidence_interval
    # The quantile at 0.05 of 20,000 resamples has a standard error of sqrt(.05 .95 / 20000)
    # / phi(1.64) = 0.015, in those of the mean; there are two, and six times that is allowed.
    tolerance = 12 * 0.015 * x.std() / math.sqrt(len(x))
    assert abs(ours.low - theirs.low) < tolerance
    assert abs(ours.high - theirs.high) < tolerance


def test_bca_shifts_towards_the_skew():
    x = np.random.default_rng(5).exponential(size=60)
    plain = stats.bootstrap(np.mean, x, n_resamples=4000)
    corrected = stats.bootstrap(np.mean, x, n_resamples=4000, method="BCa")
    assert corrected.low > plain.low
    assert corrected.high > plain.high


def test_intervals_cover_what_they_should():
    truth = (
        6 / math.pi * math.asin(math.sqrt(0.5) / 2)
    )  # rho of normals that correlate by sqrt(1/2)
    hits = 0
    for seed in range(200):
        s, a = some(80, seed)
        found = stats.bootstrap("spearman", s, a, n_resamples=200, seed=seed)
        hits += found.low <= truth <= found.high
    assert (
        175 <= hits <= 200
    )  # binomial(200, 0.95) less 5 standard errors; percentile is a bit narrow


def test_nan_rows_and_undefined_resamples_are_counted():
    found = stats.bootstrap("spearman", [1, 2, math.nan, 3], [1, 2, 3, math.nan], n_resamples=400)
    assert (found.n, found.n_nan) == (2, 2)
    assert 130 < found.n_undefined < 270  # one row twice: half of the resamples
    assert (found.low, found.high) == (1.0, 1.0)
    none = stats.bootstrap("kendall", [1, 1], [1, 2], n_resamples=10)
    assert none.n_undefined == 10
    assert math.isnan(none.low)
    assert math.isnan(stats.bootstrap("kendall", [], [], n_resamples=10).high)


@pytest.mark.parametrize("interval", ["percentile", "BCa"])
@pytest.mark.parametrize("method", ["spearman", "kendall"])
def test_a_score_does_not_differ_from_itself(method, interval):
    s, a = some(50)
    found = stats.compare(s, np.exp(s), a, method=method, n_resamples=99, interval=interval)
    assert (found.difference, found.p_value) == (0.0, 1.0)
    assert (found.interval.low, found.interval.high) == (0.0, 0.0)


def test_compare_is_antisymmetric_and_paired():
    s, a = some(200)
    other = np.random.default_rng(9).standard_normal(200)
    one, two = stats.compare(s, other, a), stats.compare(other, s, a)
    assert one.difference == -two.difference
    assert one.interval.low == pytest.approx(-two.interval.high, abs=1e-12)
    assert one.p_value == two.p_value == 2 / 2001
    # noise that both share cancels: the paired interval is narrower than either score's own
    nearly = s + 0.01 * other
    paired = stats.compare(s, nearly, a).interval
    alone = stats.bootstrap("spearman", s, a)
    assert paired.high - paired.low < (alone.high - alone.low) / 4


def test_p_values_of_equally_good_scores_are_spread_out():
    small = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        a = rng.standard_normal(60)
        s, t = a + rng.standard_normal((2, 60))
        small += stats.compare(s, t, a, n_resamples=199, seed=seed).p_value <= 0.1
    assert 5 <= small <= 41  # binomial(200, 0.1) within 5 standard errors


def test_compare_uses_complete_rows():
    found = stats.compare([1, 2, math.nan, 4], [1, math.nan, 3, 4], [1, 2, 3, 4], n_resamples=9)
    assert (found.n, found.n_nan, found.a, found.b) == (2, 2, 1.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("pearson", [1], [1]), {}, "statistic: expected a function or one of spearman, kendall"),
        ((3, [1]), {}, "statistic: expected a function or a name"),
        (("spearman", [1]), {}, "spearman: expected two arrays, got 1"),
        (("spearman",), {}, "expected at least one array"),
        (("spearman", [1], [1, 2]), {}, r"arrays\[0\] 1, arrays\[1\] 2"),
        (("spearman", [1], [1]), {"level": 95}, "level: expected a number between 0 and 1, got 95"),
        (("spearman", [1], [1]), {"method": "basic"}, 'method: expected "percentile" or "BCa"'),
        (("spearman", [1], [1]), {"n_resamples": 0}, "n_resamples: expected"),
    ],
)
def test_bad_input_is_named(arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        stats.bootstrap(*arguments, **options)


def test_a_whole_benchmark_is_resampled_in_seconds():
    s, a = some(15625)
    found = stats.bootstrap("spearman", s, a, n_resamples=200)
    assert found.low < stats.spearman(s, a).value < found.high
