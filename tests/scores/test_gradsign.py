"""GradSign: integer sums of signs of per-sample gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import zeroshot
from zeroshot import GradSign, Graph, reference

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
RNG = np.random.default_rng(12)
X, Y = RNG.standard_normal((7, 3, 8, 8)), RNG.integers(0, 10, 7)


def counted(arch: Any, n: int = 7, **options: Any) -> dict[str, NDArray[np.float64]]:
    found = zeroshot.gradients(arch, X, Y, batch_size=1, n_batches=n, **{**TINY, **options})
    return dict(found.gradients)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("zero_tol", [0.0, 1e-3])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("arch", [CELL, DEAD])
def test_matches_reference(arch: str, reduction: Any, zero_tol: float, dtype: Any) -> None:
    options: dict[str, Any] = {"reduction": reduction, "zero_tol": zero_tol}
    if dtype == "float32":  # the tolerance meets a float32 gradient rounded to float32
        options["zero_tol"] = float(np.float32(zero_tol))
    want = reference.gradsign(counted(arch, 5, dtype=dtype), **options)
    ours = zeroshot.gradsign(arch, X, Y, n_samples=5, dtype=dtype, **options, **TINY)
    assert ours == pytest.approx(want, rel=0 if reduction == "sum" else 1e-15)


def test_sum_is_an_integer_up_to_samples_times_weights() -> None:
    value = zeroshot.gradsign(CELL, X, Y, n_samples=None, **TINY)
    weights = zeroshot.count(CELL, channels=4, cells=1, input_size=8).weights
    assert value.is_integer()
    assert 0 < value <= 7 * weights
    assert zeroshot.gradsign(CELL, X, Y, n_samples=1, **TINY) <= weights


def test_order_of_samples_does_not_matter() -> None:
    order = np.random.default_rng(1).permutation(7)
    options: dict[str, Any] = {"n_samples": 7, "dtype": "float64", **TINY}
    one = zeroshot.score(CELL, X, Y, scores=GradSign(n_samples=7), dtype="float64", **TINY)
    other = zeroshot.gradsign(CELL, X[order], Y[order], **options)
    assert one.value == other


def test_sum_of_layers_is_the_value() -> None:
    score = zeroshot.score(CELL, X, Y, scores=GradSign(n_samples=7), **TINY).scores["gradsign"]
    assert sum(score.layers.values()) == score.value


def norm_before_pooling(with_relu: bool) -> Graph:
    g = Graph((3, 8, 8))
    h = g.batch_norm(g.conv2d(g.input, 6, 3, padding=1, name="a"))
    h = g.batch_norm(g.conv2d(g.relu(h), 6, 3, padding=1, name="b"))
    if with_relu:
        h = g.relu(h)
    return g.output(g.linear(g.global_avg_pool(h), 10))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_share_tells_of_norm_that_feeds_the_pooling(dtype: Any) -> None:
    """The mean of a normalised map is beta whatever came before: those gradients are 0.

    A beta of 1 gives the head real gradients, beside which the others are seen to be noise.
    """
    beta = {"batch_norm2.beta": np.ones(6)}
    options: dict[str, Any] = {"dtype": dtype, "weights": beta, "n_threads": 1}
    scores = [GradSign(n_samples=7), GradSign(n_samples=7, zero_tol=1e-6, label="quiet")]
    noisy = zeroshot.score(norm_before_pooling(False), X, Y, scores=scores, **options)
    clean = zeroshot.score(norm_before_pooling(True), X, Y, scores=scores, **options)
    share, none = (r.scores["gradsign"].noise_share for r in (noisy, clean))
    assert share is not None and none is not None
    assert share > 0.5 > 0.05 > none
    assert noisy["quiet"] == noisy.scores["quiet"].layers["linear1.weight"]  # the head alone


def test_noise_share_is_of_gradsign_only() -> None:
    scores = [zeroshot.Sweet(batch_size=4), zeroshot.XiGsnr(batch_size=2)]
    result = zeroshot.score(CELL, X, Y, scores=scores, **TINY)
    assert [s.noise_share for s in result.scores.values()] == [None, None]
