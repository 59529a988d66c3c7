"""Best of N against expectations that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("scipy", reason="SciPy is not installed: no statistics")

from zeroshot import stats

TABLE = {"val": [3.0, 1.0, 2.0, 0.0], "test": [10.0, 20.0, 30.0, 40.0]}


def test_all_drawn_means_the_best_by_each_rule():
    def mean(select: str) -> dict[str, float]:
        found = stats.best_of_n(
            [0, 0, 5, 1], TABLE, n=4, runs=3, select=select, replace=False, seed=1
        )
        assert found.std == {"val": 0.0, "test": 0.0}
        return dict(found.mean)

    assert mean("score") == {"val": 2.0, "test": 30.0}
    assert mean("val") == {"val": 3.0, "test": 10.0}
    assert mean("test") == {"val": 0.0, "test": 40.0}
    assert mean("each") == {"val": 3.0, "test": 40.0}


def test_best_of_two_with_replacement_has_its_expectation():
    # the larger of two of 1..m, drawn with replacement: (m + 1)(4 m - 1) / (6 m)
    m, runs = 10, 20000
    values = np.arange(1.0, m + 1)
    found = stats.best_of_n(values, {"a": values}, n=2, runs=runs)
    expected = (m + 1) * (4 * m - 1) / (6 * m)
    assert abs(found.mean["a"] - expected) < 5 * found.std["a"] / math.sqrt(runs)
    assert found.std["a"] == pytest.approx(np.std(found.values["a"], ddof=1))


def test_one_drawn_is_random_choice_and_equal_seeds_draw_the_same():
    a = stats.best_of_n([1, 2, 3], {"t": [1, 2, 3]}, n=1, runs=50, seed=3)
    b = stats.best_of_n([9, 1, 1], {"t": [1, 2, 3]}, n=1, runs=50, seed=3)
    c = stats.best_of_n([9, 1, 1], {"t": [1, 2, 3]}, n=1, runs=50, seed=4)
    assert (a.values["t"] == b.values["t"]).all()
    assert (a.values["t"] != c.values["t"]).any()


def test_nan_is_never_picked_and_missing_values_are_counted():
    found = stats.best_of_n(
        [math.nan, 1, -math.inf], {"t": [5, math.nan, 7]}, n=3, runs=10, replace=False
    )
    assert math.isnan(found.mean["t"])
    assert (found.n_missing["t"], found.n_undefined) == (10, 0)
    found = stats.best_of_n([math.nan], {"t": [5]}, n=2, runs=10)
    assert (found.n_missing["t"], found.n_undefined) == (0, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"select": "train"}, "select: expected one of score, each, val, test; got 'train'"),
        ({"n": 5, "replace": False}, "n: expected an integer from 1 to 4, got 5"),
        ({"n": 0}, "n: expected"),
        ({"runs": 0}, "runs: expected"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        stats.best_of_n([1, 2, 3, 4], TABLE, **({"n": 2} | options))
    with pytest.raises(ValueError, match="a word of select"):
        stats.best_of_n([1], {"score": [1]}, n=1)
    with pytest.raises(TypeError, match=r"columns: expected a mapping .* got \[1, 2\]"):
        stats.best_of_n([1, 2], [1, 2], n=1)


def test_a_column_may_have_an_arguments_name():
    assert stats.best_of_n([1, 2], {"scores": [3, 4]}, n=2, replace=False).mean == {"scores": 4.0}


@pytest.mark.parametrize(
    ("n", "means"),
    [
        (10, (89.99, 93.10, 69.70, 69.84, 43.28, 43.46)),
        (100, (91.04, 93.86, 71.44, 71.58, 45.37, 45.64)),
        (1000, (91.43, 94.20, 72.73, 72.83, 46.29, 46.60)),
    ],
)
def test_optimal_of_n_on_nasbench201(nasbench201, n, means):
    names = [
        f"{d}_{s}" for d in ("cifar10", "cifar100", "imagenet16_120") for s in ("valid", "test")
    ]
    columns = {name: np.array(nasbench201[name], dtype=float) for name in names}
    runs = 500
    found = stats.best_of_n(columns["cifar10_test"], columns, n=n, runs=runs, select="each")
    for name, mean in zip(names, means, strict=True):
        # 5 standard errors and the last printed digit
        assert abs(found.mean[name] - mean) < 5 * found.std[name] / math.sqrt(runs) + 0.005
