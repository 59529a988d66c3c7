"""Precision at the top K against the mean over all orders of the ties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="SciPy is not installed: no statistics")

from zeroshot import stats

SMALL = st.integers(0, 2).map(float)


def all_tops(values: list[float], k: int) -> list[frozenset[int]]:
    """The top k under each permutation that breaks the ties."""
    tops = []
    for order in itertools.permutations(range(len(values))):
        ranked = sorted(range(len(values)), key=lambda i: (-values[i], order[i]))
        tops.append(frozenset(ranked[:k]))
    return tops


@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=5), st.data())
def test_it_is_the_mean_over_all_orders_of_ties(pairs, data):
    scores, accuracy = (list(side) for side in zip(*pairs, strict=True))
    k = data.draw(st.integers(1, len(pairs)))
    by_score, by_accuracy = all_tops(scores, k), all_tops(accuracy, k)
    mean = np.mean([len(a & b) / k for a in by_score for b in by_accuracy])
    found = stats.precision_at_top(scores, accuracy, k=k)
    assert found.value == pytest.approx(mean, abs=1e-12)
    assert (found.n_tied_scores == 0) == (len(set(by_score)) == 1)
    assert (found.n_tied_accuracy == 0) == (len(set(by_accuracy)) == 1)


def test_constant_scores_are_as_good_as_chance():
    found = stats.precision_at_top([1] * 20, range(20), k=5)
    assert (found.value, found.n_tied_scores, found.n_tied_accuracy) == (0.25, 20, 0)


@pytest.mark.parametrize(
    ("n", "fraction", "k"), [(15625, 0.05, 781), (15625, 0.1, 1562), (100, 0.29, 29), (70, 0.1, 7)]
)
def test_the_share_is_rounded_down(n, fraction, k):
    found = stats.precision_at_top(range(n), range(n), fraction=fraction)
    assert (found.k, found.value) == (k, 1.0)


def test_nan_is_left_out_or_ranks_lowest():
    scores, accuracy = [math.nan, 2, 1, 0], [4, 3, 2, 1]
    assert stats.precision_at_top(scores, accuracy, k=2).value == 1.0
    assert stats.precision_at_top(scores, accuracy, k=2, nan="lowest").value == 0.5
    assert stats.precision_at_top(scores, accuracy, k=2).n_nan == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of fraction and k"),
        ({"fraction": 0.5, "k": 1}, "one of fraction and k"),
        ({"k": 4}, "k: expected an integer from 1 to 3, got 4"),
        ({"k": 0}, "k: expected"),
        ({"fraction": 0.1}, "0.1 of 3 pairs is 0"),
        ({"fraction": math.nan}, "fraction: expected"),
    ],
)
def test_bad_k_is_named(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        stats.precision_at_top([1, 2, 3], [1, 2, 3], **options)
