"""The table of a report says what the single functions say."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("scipy", reason="SciPy is not installed: no statistics")

from zeroshot import stats


def test_a_row_holds_what_the_functions_give():
    rng = np.random.default_rng(0)
    accuracy = rng.standard_normal(60)
    score = np.round(accuracy + rng.standard_normal(60), 1)
    score[3] = math.nan
    size = rng.integers(0, 5, 60)
    [row] = stats.correlate({"s": score}, accuracy, given={"size": size}, n_resamples=50, seed=2)
    rho, tau = stats.spearman(score, accuracy), stats.kendall(score, accuracy)
    assert (row.label, row.n, row.n_nan, row.n_duplicates) == ("s", 59, 1, 0)
    assert (row.spearman, row.kendall) == (rho.value, tau.value)
    assert (row.n_tied_scores, row.n_tied_accuracy) == (rho.n_tied_scores, 0)
    interval = stats.bootstrap("spearman", score, accuracy, n_resamples=50, seed=2)
    assert (row.spearman_low, row.spearman_high) == (interval.low, interval.high)
    assert row.top == stats.top_correlation(score, accuracy).value
    assert row.precision[0.1] == stats.precision_at_top(score, accuracy, fraction=0.1).value
    assert row.given["size"] == stats.partial_spearman(score, accuracy, size).value


def test_duplicates_are_counted_and_dropped_on_request():
    archs, score, accuracy = list("abacb"), [1, 2, 9, 3, 9], [1, 2, 0, 3, 0]
    options = {"archs": archs, "n_resamples": 0}
    [kept] = stats.correlate({"s": score}, accuracy, **options)
    [first] = stats.correlate({"s": score}, accuracy, keep_duplicates=False, **options)
    assert (kept.n, kept.n_duplicates) == (5, 2)
    assert (first.n, first.n_duplicates, first.spearman) == (3, 2, 1.0)


def test_rows_come_in_order_and_few_architectures_give_no_top():
    rows = stats.correlate({"b": [1, 2], "a": [2, 1]}, [1, 2], n_resamples=0)
    assert [row.label for row in rows] == ["b", "a"]
    assert math.isnan(rows[0].precision[0.05])
    assert math.isnan(rows[0].spearman_low)


def test_the_array_at_fault_is_named():
    with pytest.raises(ValueError, match=r"accuracy 2, scores\['a'\] 3|got accuracy 2, a 3"):
        stats.correlate({"a": [1, 2, 3]}, [1, 2])
    with pytest.raises(ValueError, match="archs: expected 2 names"):
        stats.correlate({"a": [1, 2]}, [1, 2], archs=["x"])
    for arguments in ({"scores": [1, 2]}, {"scores": {"s": [1, 2]}, "given": [1, 2]}):
        with pytest.raises(TypeError, match="expected a mapping of names to numbers"):
            stats.correlate(accuracy=[1, 2], **arguments)


def test_a_column_may_have_an_arguments_name():
    columns = {"accuracy": [1, 2, 3]}
    [row] = stats.correlate(columns, [1, 3, 2], given=columns, n_resamples=0)
    assert (row.label, list(row.given)) == ("accuracy", ["accuracy"])
