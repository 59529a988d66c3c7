"""Correlations against SciPy, against sums over all pairs, and on all of NAS-Bench-201."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zeroshot

scipy_stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed: no statistics")

from zeroshot import stats  # noqa: E402

EPS = 2.0**-52
SMALL = st.integers(-3, 3).map(float)  # many ties
PAIRS = st.lists(st.tuples(SMALL, SMALL), min_size=2, max_size=12).map(
    lambda pairs: tuple(map(np.array, zip(*pairs, strict=True)))
)


def same(a: float, b: float, n: int) -> bool:
    """Equal up to the rounding of a sum of n products, or both undefined."""
    return (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 8 * n * EPS


def tau_over_pairs(s: np.ndarray, a: np.ndarray) -> float:
    both = left = right = 0.0
    for i, j in itertools.combinations(range(len(s)), 2):
        ds, da = np.sign(s[i] - s[j]), np.sign(a[i] - a[j])
        both, left, right = both + ds * da, left + ds**2, right + da**2
    return both / math.sqrt(left * right) if left * right else math.nan


@given(PAIRS)
def test_spearman_and_kendall_equal_their_definitions(pairs):
    s, a = pairs
    constant = len(set(s)) == 1 or len(set(a)) == 1
    rho = math.nan if constant else scipy_stats.spearmanr(s, a).statistic
    assert same(stats.spearman(s, a).value, rho, len(s))
    assert same(stats.kendall(s, a).value, tau_over_pairs(s, a), len(s))


@given(PAIRS)
def test_monotone_changes_of_scale_change_nothing(pairs):
    s, a = pairs
    for rank in (stats.spearman, stats.kendall, stats.top_correlation):
        before = rank(s, a)
        assert rank(np.exp(s), a) == before or math.isnan(before.value)
        assert rank(s, a**3) == before or math.isnan(before.value)
        assert same(rank(-s, a).value, -before.value, len(s))


@given(PAIRS, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(pairs, random):
    s, a = pairs
    order = list(range(len(s)))
    random.shuffle(order)
    for rank in (stats.spearman, stats.kendall):
        assert same(rank(s[order], a[order]).value, rank(s, a).value, len(s))


def test_nan_and_ties_are_counted():
    found = stats.spearman([1, 2, 2, math.nan, 5, 6], [1, 2, 3, 4, 4, math.nan])
    assert (found.n, found.n_nan, found.n_tied_scores, found.n_tied_accuracy) == (4, 2, 2, 0)
    assert found.value == stats.spearman([1, 2, 2, 5], [1, 2, 3, 4]).value


def test_nan_can_rank_lowest_even_below_infinity():
    s, a = [math.nan, -math.inf, 1, math.inf], [1, 2, 3, 4]
    found = stats.kendall(s, a, nan="lowest")
    assert (found.value, found.n, found.n_nan) == (1.0, 4, 1)
    with pytest.raises(ValueError, match="1 of 4 pairs hold a NaN"):
        stats.kendall(s, a, nan="raise")


def test_infinities_rank_at_the_ends():
    assert stats.spearman([-math.inf, 0, math.inf], [1, 2, 3]).value == 1.0


def test_absolute_takes_the_sign_away_and_says_so():
    found = stats.spearman([3, 2, 1], [1, 2, 3], absolute=True)
    assert (found.value, found.method) == (1.0, "|spearman|")


@pytest.mark.parametrize("rank", ["spearman", "kendall", "top_correlation"])
@pytest.mark.parametrize("pair", [([], []), ([1], [2]), ([1, 1], [1, 2]), ([1, 2], [3, 3])])
def test_undefined_is_nan(rank, pair):
    assert math.isnan(getattr(stats, rank)(*pair).value)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, 2], [1]), {}, "got scores 2, accuracy 1"),
        (([[1]], [1]), {}, r"scores: expected numbers on one axis, got shape \(1, 1\)"),
        ((["a"], [1]), {}, "scores: expected numbers"),
        (([1], [1]), {"nan": "drop"}, "nan: expected"),
        (([10**400], [1]), {}, "scores: expected numbers on one axis, got int too large"),
    ],
)
def test_bad_input_is_named(arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        stats.spearman(*arguments, **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a", "b", "c"], "given: expected numbers of shape .* got could not convert"),
        ([[1, 2, 3], [1, 2]], "given: expected numbers of shape"),
        ({"live": [1, 2, 3]}, "given: expected numbers of shape"),
        (None, r"given: expected shape \(n,\) or \(m, n\), got \(\)"),
        ([1, 2], "got scores 3, accuracy 3, given 2"),
        (np.ones((3, 2)), "got scores 3, accuracy 3, given 2"),
    ],
)
def test_bad_given_is_named(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        stats.partial_spearman([1, 2, 3], [1, 2, 3], given)


def test_top_correlation_keeps_ties_at_the_edge():
    s, a = [1, 2, 3, 4, 5, 6], [10, 20, 20, 20, 30, 40]
    found = stats.top_correlation(s, a, fraction=0.5)  # the third is 20, as three are
    assert (found.n, found.n_tied_accuracy) == (5, 3)
    assert found.value == stats.spearman(s[1:], a[1:]).value
    assert stats.top_correlation(range(70), range(70), fraction=0.1).n == 7


@given(st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=4, max_size=15))
def test_partial_equals_the_formula_of_three_correlations(rows):
    s, a, g = map(np.array, zip(*rows, strict=True))
    found = stats.partial_spearman(s, a, g).value
    sa, sg, ag = (stats.spearman(*pair).value for pair in ((s, a), (s, g), (a, g)))
    left = (1 - sg**2) * (1 - ag**2)
    if math.isnan(left) or left < 1e-6:  # constant, or next to nothing left: rounding decides
        return
    assert abs(found - (sa - sg * ag) / math.sqrt(left)) <= 1e-12 / left


def test_partial_of_what_is_given_is_undefined():
    s, a = [1, 2, 3, 4], [2, 1, 4, 3]
    assert math.isnan(stats.partial_spearman(s, a, np.exp(s)).value)
    assert math.isnan(stats.partial_spearman(s, a, [s, a]).value)


def test_partial_given_two_quantities_follows_from_those_given_one():
    first, second, noise, other = np.random.default_rng(0).standard_normal((4, 100))
    score, accuracy = first + second + 0.3 * noise, first + second + 0.3 * other
    sa, sg, ag = (
        stats.partial_spearman(*pair, first).value
        for pair in ((score, accuracy), (score, second), (accuracy, second))
    )
    wanted = (sa - sg * ag) / math.sqrt((1 - sg**2) * (1 - ag**2))
    found = stats.partial_spearman(score, accuracy, [first, second])
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert abs(found.value) < sa


@pytest.mark.parametrize(
    ("column", "weights", "live"),
    [  # the releases in which the published values were made
        ("cifar10_test_v1_0", (0.752, 0.577), (0.822, 0.654)),
        ("cifar100_test_v1_1", (0.727, 0.553), (0.797, 0.627)),
        ("imagenet16_120_test_v1_1", (0.691, 0.520), (0.776, 0.607)),
    ],
)
def test_baselines_on_all_of_nasbench201(nasbench201, column, weights, live):
    accuracy = np.array(nasbench201[column], dtype=float)
    all_weights, all_live = all_counts(tuple(nasbench201["arch_str"]))
    rho, tau = stats.spearman(all_weights, accuracy), stats.kendall(all_weights, accuracy)
    assert (rho.n, rho.n_tied_scores) == (15625, 15623)
    assert abs(rho.value - weights[0]) < 5.1e-4  # half of the last printed digit
    assert abs(tau.value - weights[1]) < 5.1e-4
    # These were counted in the cells alone, so that a cell of skips is tied with a dead one; the
    # last digit also moves with the release, which is not told.
    in_cells = np.maximum(all_live, min(live for live in all_live if live))
    assert abs(stats.spearman(in_cells, accuracy).value - live[0]) < 1e-3
    assert abs(stats.kendall(in_cells, accuracy).value - live[1]) < 1e-3


@cache
def all_counts(archs: tuple[str, ...]) -> tuple[list[float], list[float]]:
    counts = [zeroshot.count(arch) for arch in archs]
    return [float(c.weights) for c in counts], [float(c.live_weights) for c in counts]
