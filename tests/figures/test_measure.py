"""What figures draw of networks is what the scores and gradients say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="Matplotlib is not installed: no figures")
pytest.importorskip("scipy", reason="SciPy is not installed: no figures")

import zeroshot
from zeroshot import figures, reference, sweet_edges
from zeroshot.stats import kendall, spearman

ARCHS: list[Any] = [1462, 9, "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", 123]
TINY: dict[str, Any] = {"channels": 4, "cells": 1}
RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((16, 3, 8, 8)), RNG.integers(0, 10, 16)
EDGES = sweet_edges("released")


def test_gradients_are_counted_over_all_weights() -> None:
    found = figures.count_gradients(ARCHS, X, Y, batch_size=8, **TINY)
    assert found.total.shape == (4, 21) and found.layers == () and found.counts.shape == (4, 0, 21)
    for arch, row in zip(ARCHS, found.total, strict=True):
        grads = zeroshot.gradients(arch, X, Y, batch_size=8, n_batches=1, **TINY).gradients
        rounded = {name: g.astype(np.float32) for name, g in grads.items()}
        want = reference.sweet_histogram(rounded, EDGES).sum(axis=0)
        np.testing.assert_array_equal(row, want)
        assert row.sum() == zeroshot.count(arch, input_size=8, **TINY).weights


def test_layers_are_those_of_the_interval_search() -> None:
    found = figures.count_gradients(ARCHS, X, Y, layers=17, edges="paper", batch_size=8, **TINY)
    search = zeroshot.find_sweet_interval(ARCHS, X, Y, layers=17, batch_size=8, **TINY)
    assert zeroshot.sweetness(list(found.counts), list(found.sizes)) == search.sweetness
    assert found.layers == ("cell00", "res1", "cell01", "res2", "cell02")
    assert (found.counts.sum(axis=2) <= found.sizes).all()


@pytest.mark.parametrize("mode", ["form", "network"])
def test_canonical_counts_are_those_of_plain_runs(mode: Any) -> None:
    """Equal architectures are scored once; dead weights are each one's own."""
    archs = [1462, 9, 123]
    found = figures.count_gradients(archs, X, Y, batch_size=8, canonical=mode, **TINY)
    for arch, row in zip(archs, found.total, strict=True):
        assert row.sum() == zeroshot.count(arch, input_size=8, **TINY).weights


@pytest.mark.parametrize("which", ["relu", "conv"])
def test_activations_are_counted_over_all_nodes(which: Any) -> None:
    found = figures.count_activations(ARCHS, X, which=which, batch_size=8, **TINY)
    for arch, row in zip(ARCHS, found, strict=True):
        asked = zeroshot.Activations(0, 5, which=which, batch_size=8)
        assert row.sum() == zeroshot.score(arch, X, Y, scores=asked, **TINY).value
    with pytest.raises(zeroshot.NonFiniteError, match=r"archs\[\d\]"):
        figures.count_activations(ARCHS, X * np.nan, batch_size=8, **TINY)


@pytest.mark.parametrize(("method", "by"), [("spearman", spearman), ("kendall", kendall)])
def test_sweep_changes_one_setting_at_a_time(method: Any, by: Any) -> None:
    accuracy = np.array([90.0, 70, 10, 60])
    sweeps = figures.sweep_xi_gsnr(
        ARCHS, X, Y, {"A": accuracy}, batch_sizes=(2, 4, 64), n_batches=(2, 4), xis=(0, 1e-6),
        batch_size=4, n=4, method=method, **TINY,
    )  # fmt: skip
    assert [s.parameter for s in sweeps] == ["batch size", "number of batches", "ξ"]
    assert [list(s.values) for s in sweeps] == [[2, 4], [2, 4], [0, 1e-6]]  # 64 do not fit

    def rho(**asked: Any) -> float:
        one = zeroshot.XiGsnr(**{"batch_size": 4, "n_batches": 4, **asked})
        values = [r.value for r in zeroshot.score_many(ARCHS, X, Y, scores=one, **TINY)]
        return float(by(values, accuracy).value)

    lines = sweeps[0].lines
    assert list(lines) == ["A, accumulated", "A, separate"]
    assert lines["A, separate"] == [rho(batch_size=2), rho()]
    assert lines["A, accumulated"] == [rho(batch_size=2, accumulate=True), rho(accumulate=True)]
    assert sweeps[1].lines["A, separate"] == [rho(n_batches=2), rho()]
    assert sweeps[2].lines["A, separate"] == [rho(variant="gsnr"), rho(xi=1e-6)]
    assert len(figures.ablation_curves(sweeps).data["y"]) == 12


def test_bad_arguments_are_refused() -> None:
    accuracy = [1.0, 2, 3, 4]
    with pytest.raises(ValueError, match="method: expected spearman or kendall"):
        figures.sweep_xi_gsnr(ARCHS, X, Y, accuracy, method="pearson", **TINY)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x: too few rows"):
        figures.sweep_xi_gsnr(ARCHS, X[:4], Y[:4], accuracy, **TINY)
    with pytest.raises(ValueError, match="accuracy: expected 4 values"):
        figures.sweep_xi_gsnr(ARCHS, X, Y, accuracy[:3], batch_size=4, n=2, **TINY)
