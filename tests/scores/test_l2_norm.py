"""L2 norm: no pass, no data."""

from __future__ import annotations

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.scores import L2Norm

from .twins import NETWORKS, UNIT, case_of

X, Y = np.zeros((1, 3, 8, 8)), np.zeros(1, np.int64)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", NETWORKS)
def test_matches_reference(name: str, dtype: str) -> None:
    """Weights are float32 values, so that both dtypes hold the same: sums are double."""
    case = case_of(NETWORKS[name]())
    want, got = reference.l2_norm(case.nodes, case.weights), case.one(L2Norm(), dtype=dtype)
    most = max(w.size for w in case.weights.values())
    assert got.value == pytest.approx(want.value, rel=most * UNIT["float64"])
    assert (got.status, got.used_rows, got.shares_with) == ("ok", 0, ())
    assert sum(got.layers.values()) == pytest.approx(got.value, rel=1e-14)


def test_nothing_is_run() -> None:
    result = zeroshot.score(1462, X, Y, scores=L2Norm(), channels=4, cells=1)
    assert (result.macs, result.status) == (0, "ok")
    plan = zeroshot.plan(1462, scores=L2Norm(), input_size=8, channels=4, cells=1)
    assert (plan.n_passes, plan.images) == (0, 0)


def test_weights_of_zero_have_no_signal_and_bad_ones_are_never_a_number() -> None:
    case = case_of(NETWORKS["usual"]())
    zeros = case._replace(weights={name: 0 * w for name, w in case.weights.items()})
    assert (zeros.one(L2Norm()).value, zeros.one(L2Norm()).status) == (0.0, "no_signal")
    bad = case._replace(weights={**case.weights, "n1.weight": case.weights["n1.weight"] * np.nan})
    assert np.isnan(bad.one(L2Norm()).value)
    assert bad.one(L2Norm()).status == "nonfinite"


def test_dead_weights_count() -> None:
    """With builder="zerocost" all cells have the same weights."""
    values = {
        zeroshot.score(
            arch, X, Y, scores=L2Norm(), channels=4, cells=1, builder="zerocost"
        ).value
        for arch in (0, 1462, 15624)
    }  # fmt: skip
    assert len(values) == 1
