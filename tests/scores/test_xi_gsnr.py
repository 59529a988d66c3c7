"""xi-GSNR: every variant against the reference, from gradients to the number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import zeroshot
from zeroshot import XiGsnr, reference
from zeroshot.scores import VARIANTS

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
RNG = np.random.default_rng(11)
X, Y = RNG.standard_normal((12, 3, 8, 8)), RNG.integers(0, 10, 12)


def counted(arch: Any, *, batch_size: int = 4, **options: Any) -> dict[str, NDArray[np.float64]]:
    found = zeroshot.gradients(arch, X, Y, batch_size=batch_size, **{**TINY, **options})
    return dict(found.gradients)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("arch", [CELL, DEAD])
@pytest.mark.parametrize("xi", [1e-8, 1e-3])
def test_variants_match_reference(arch: str, variant: Any, accumulate: bool, xi: float) -> None:
    options: dict[str, Any] = {"variant": variant, "accumulate": accumulate, "xi": xi}
    for dtype in ("float64", "float32"):  # sums are float64 in both: only their order differs
        want = reference.xi_gsnr(counted(arch, dtype=dtype), **options)
        ours = zeroshot.xi_gsnr(arch, X, Y, batch_size=4, dtype=dtype, **options, **TINY)
        assert ours == pytest.approx(want, rel=1e-10)


def test_each_tensor_matches_reference() -> None:
    result = zeroshot.score(CELL, X, Y, scores=XiGsnr(batch_size=4), dtype="float64", **TINY)
    for name, g in counted(CELL, dtype="float64").items():
        want = reference.xi_gsnr(g)
        assert result.scores["xi_gsnr"].layers[name] == pytest.approx(want, rel=1e-10), name


def test_default_takes_every_full_batch() -> None:
    for batch_size, n in ((5, 2), (4, 3), (6, 2)):
        result = zeroshot.score(CELL, X, Y, scores=XiGsnr(batch_size=batch_size), **TINY)
        score = result.scores["xi_gsnr"]
        assert (score.n_groups, score.unused_rows) == (n, 12 - n * batch_size)
        explicit = zeroshot.xi_gsnr(CELL, X, Y, batch_size=batch_size, n_batches=n, **TINY)
        assert result.value == explicit


def test_accumulated_equal_gradients_have_the_ratio_of_theory() -> None:
    """Running sums of N equal gradients give m**2 / v = 3 (N + 1) / (N - 1) in every weight."""
    n = 3
    x, y = np.tile(X[:4], (n, 1, 1, 1)), np.tile(Y[:4], n)
    options: dict[str, Any] = {"batch_size": 4, "variant": "gsnr", "dtype": "float64", **TINY}
    live = sum(np.count_nonzero(g[0]) for g in counted(CELL, dtype="float64").values())
    ours = zeroshot.xi_gsnr(CELL, x, y, accumulate=True, **options)
    assert ours == pytest.approx(live * 3 * (n + 1) / (n - 1), rel=1e-12)


def test_dead_weights_count_only_where_the_variant_says() -> None:
    dead = sum(g[0].size for g in counted(DEAD).values() if not g.any())
    assert dead > 0
    layers = zeroshot.score(
        DEAD, X, Y, scores=XiGsnr(batch_size=4, variant="inv_var_xi"), **TINY
    ).scores["xi_gsnr"].layers  # fmt: skip
    zeros = [layers[name] for name, g in counted(DEAD).items() if not g.any()]
    assert sum(zeros) == pytest.approx(dead * 1e8, rel=1e-12)
    for variant in ("mean2", "inv_var", "gsnr", "xi_gsnr"):
        score = XiGsnr(batch_size=4, variant=variant)
        layers = zeroshot.score(DEAD, X, Y, scores=score, **TINY).scores["xi_gsnr"].layers
        assert not any(layers[name] for name, g in counted(DEAD).items() if not g.any())


def test_order_of_batches_matters_only_when_accumulating() -> None:
    order = np.concatenate([np.arange(8, 12), np.arange(0, 8)])
    options: dict[str, Any] = {"batch_size": 4, "dtype": "float64", **TINY}
    plain, accumulated = (
        [
            zeroshot.xi_gsnr(CELL, x, y, accumulate=a, **options)
            for x, y in ((X, Y), (X[order], Y[order]))
        ]
        for a in (False, True)
    )
    assert plain[0] == pytest.approx(plain[1], rel=1e-12)
    assert accumulated[0] != pytest.approx(accumulated[1], rel=1e-3)


@pytest.mark.parametrize("table", ["reference", "baseline"])
def test_float32_stays_close_to_float64(table: str) -> None:
    """The score of a deep net in float32 is held to 1e-3 (accumulated, which is better posed)."""
    options: dict[str, Any] = {"batch_size": 4, "accumulate": True, "kernels": table, **TINY}
    want = zeroshot.xi_gsnr(CELL, X, Y, dtype="float64", **options)
    assert zeroshot.xi_gsnr(CELL, X, Y, **options) == pytest.approx(want, rel=1e-3)
