"""ZiCo: from gradients to the number, and what is left out of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.scores import XiGsnr, Zico

from .twins import NETWORKS, assert_matches_twin, case_of

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
RNG = np.random.default_rng(11)
X, Y = RNG.standard_normal((12, 3, 8, 8)), RNG.integers(0, 10, 12)


@pytest.mark.parametrize("n_batches", [2, 3])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_same_gradients_give_the_reference(dtype: Any, n_batches: int) -> None:
    """Sums are float64 in both: only their order differs."""
    found = zeroshot.gradients(
        CELL, X, Y, batch_size=4, n_batches=n_batches, dtype=dtype, **TINY
    )  # fmt: skip
    want = reference.zico_of_gradients(dict(found.gradients))
    score = Zico(batch_size=4, n_batches=n_batches)
    got = zeroshot.score(CELL, X, Y, scores=score, dtype=dtype, **TINY).scores["zico"]
    assert got.value == pytest.approx(want.value, rel=1e-11)
    assert (got.status, sum(got.layers.values())) == ("ok", pytest.approx(got.value, rel=1e-12))


@pytest.mark.parametrize("rows", [6, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_matches_reference(name: str, rows: int) -> None:
    """Three batches, which are well-posed, also of a single image."""
    case = case_of(NETWORKS[name](), rows)

    def twin(*args: Any) -> Any:
        return reference.zico(*args, n_batches=3)

    assert_matches_twin(Zico(batch_size=rows // 3, n_batches=3), twin, case)


def test_float32_stays_close_to_float64() -> None:
    """Three batches; two leave tiny deviations, whose digits are rounding."""
    case = case_of(NETWORKS["usual"](), 12)
    score = Zico(batch_size=4, n_batches=3)
    want = case.one(score)
    assert case.one(score, dtype="float32").value == pytest.approx(want.value, rel=1e-3)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [2, 3, 7])
def test_equal_batches_leave_out_everything(n: int, dtype: Any) -> None:
    x, y = np.tile(X[:2], (n, 1, 1, 1)), np.tile(Y[:2], n)
    score = Zico(batch_size=2, n_batches=n)
    got = zeroshot.score(CELL, x, y, scores=score, dtype=dtype, **TINY).scores["zico"]
    assert (got.value, got.status, got.reason) == (0.0, "undefined", "no_variance")
    assert not any(got.layers.values())


def test_other_batches_of_the_pass_do_not_count() -> None:
    """xi-GSNR takes three batches of the pass that they share, ZiCo the first two."""
    scores = [Zico(batch_size=4), XiGsnr(batch_size=4)]
    both = zeroshot.score(CELL, X, Y, scores=scores, **TINY)
    assert both.scores["zico"].shares_with == ("xi_gsnr",)
    alone = zeroshot.score(CELL, X[:8], Y[:8], scores=scores[0], **TINY)
    assert both["zico"] == alone.value


def test_wrong_parameters_say_so() -> None:
    with pytest.raises(ValueError, match="n_batches"):
        Zico(n_batches=1)
    with pytest.raises(ValueError, match="needs 16 images, got 12"):
        zeroshot.score(CELL, X, Y, scores=Zico(batch_size=8), **TINY)
