"""The noise ceiling where it is known: normal accuracies of groups, normal noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("scipy", reason="SciPy is not installed: no statistics")

from zeroshot import stats


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_the_ceiling_is_what_the_true_means_reach(share):
    rng = np.random.default_rng(7)
    n_groups, size = 4000, 3
    means = math.sqrt(share) * np.repeat(rng.standard_normal(n_groups), size)
    accuracy = means + math.sqrt(1 - share) * rng.standard_normal(n_groups * size)
    groups = np.repeat(np.arange(n_groups), size).tolist()
    found = stats.noise_ceiling(accuracy, groups, n_splits=20)
    reached = stats.spearman(means, accuracy).value
    # standard error of a correlation of 4000 pairs, 1/sqrt(4000), carried through sqrt(r): times
    # 1 / (2 sqrt(r)) at most; four of them
    tolerance = 4 / math.sqrt(4000) / (2 * math.sqrt(share))
    assert abs(found.value - reached) < tolerance
    assert abs(found.reliability - 6 / math.pi * math.asin(share / 2)) < 4 / math.sqrt(4000)
    assert found.by_others < reached + tolerance
    assert (found.n, found.n_groups, found.n_single) == (12000, 4000, 0)


def test_pure_noise_has_no_ceiling_and_no_noise_has_one():
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(300), 2).tolist()
    assert stats.noise_ceiling(rng.standard_normal(600), groups).value < 0.6
    found = stats.noise_ceiling(np.repeat(np.arange(300.0), 2), groups)
    assert (found.value, found.reliability) == (1.0, 1.0)


def test_noise_below_the_gaps_between_groups_still_costs_order_within():
    found = stats.noise_ceiling([10, 10.5, 20, 20.5, 30, 30.5], list("aabbcc"))
    assert (found.value, found.by_others) == (1.0, pytest.approx(29 / 35))


def test_only_groups_of_two_or_more_speak_and_the_rest_is_counted():
    found = stats.noise_ceiling([1, 2, 3, math.nan, 5, 6, 7], ["a", "a", "b", "b", "c", "c", "c"])
    assert (found.n, found.n_groups, found.n_single, found.n_nan) == (5, 2, 1, 1)
    nothing = stats.noise_ceiling([1, 2, 3], ["a", "b", "c"])
    assert math.isnan(nothing.value)
    assert (nothing.n, nothing.n_single) == (0, 3)
    assert math.isnan(stats.noise_ceiling([], []).by_others)


def test_every_member_but_an_odd_one_is_paired():
    from zeroshot.stats import noise

    seen = []

    def collect(x: np.ndarray, y: np.ndarray) -> float:
        seen.append(sorted([*x, *y]))
        assert all(a // 10 == b // 10 and a != b for a, b in zip(x, y, strict=True))
        return 0.5

    rho, noise.rho = noise.rho, collect
    try:
        a = np.array([1, 2, 3, 11, 12, 21, 22, 23, 24], dtype=float)
        noise._split_rho(a, (a // 10).astype(np.int64), np.random.default_rng(0))
    finally:
        noise.rho = rho
    assert len(seen[0]) == 8
    assert set(seen[0]) > {11, 12, 21, 22, 23, 24}


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="got accuracy 2, groups 1"):
        stats.noise_ceiling([1, 2], ["a"])
    with pytest.raises(TypeError, match="groups: expected a name for each accuracy, got None"):
        stats.noise_ceiling([1, 2], None)
    with pytest.raises(TypeError, match=r"groups: expected names, .* unhashable type: 'list'"):
        stats.noise_ceiling([1, 2], [["a"], ["b"]])
