"""A score's value depends neither on which scores share its pass nor on threads, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import GradSign, Sweet, XiGsnr
from zeroshot.scores import (
    Fisher,
    Flops,
    GradNorm,
    Knas,
    L2Norm,
    LiveWeights,
    Params,
    Plain,
    Score,
    Snip,
    SyncFlow,
    SynFlow,
    Zico,
)

from .twins import NETWORKS, bits, case_of

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
DEAD = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
X = np.random.default_rng(2).standard_normal((12, 3, 8, 8)).astype(np.float32)
Y = np.random.default_rng(2).integers(0, 10, 12)
BATCH: list[Score] = [  # of one pass through four images
    Snip(batch_size=4),
    Plain(batch_size=4),
    GradNorm(batch_size=4),
    GradNorm(batch_size=4, over="all", label="grad_norm_all"),
    Fisher(batch_size=4),
    Fisher(batch_size=4, per_channel=True, label="channel"),
    Zico(batch_size=4),
    XiGsnr(batch_size=4),
    Sweet(0, 1e-2, batch_size=4),
]
SINGLE: list[Score] = [
    GradSign(n_samples=5),
    Knas(n_samples=3),
    Knas(over="mean", n_samples=4, label="mean"),
]
ONES: list[Score] = [SynFlow(bn="batch"), SyncFlow(init=None)]
OTHERS: list[Score] = [
    SynFlow(label="without"),
    SynFlow(variant="log", label="log"),
    GradNorm(batch_size=4, input="normal", label="normal"),
    L2Norm(), Flops(), Params(), LiveWeights(),
]  # fmt: skip
ALL = [*BATCH, *SINGLE, *ONES, *OTHERS]


@pytest.fixture(scope="module", params=[CELL, DEAD, "zerocost", "graph"])
def score(request: pytest.FixtureRequest) -> Any:
    def of_cell(scores: Any, **options: Any) -> zeroshot.ScoreResult:
        arch, builder = (
            (DEAD, "zerocost") if request.param == "zerocost" else (request.param, "autodl")
        )
        options = {"channels": 8, "cells": 1, "n_threads": 1, "builder": builder, **options}
        return zeroshot.score(arch, X, Y, scores=scores, **options)

    case = case_of(NETWORKS["every op"](), 12)
    return case.score if request.param == "graph" else of_cell


def together(score: Any, **options: Any) -> zeroshot.ScoreResult:
    return score(ALL, **options)  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_company_does_not_matter(score: Any, dtype: str) -> None:
    joint = together(score, dtype=dtype)
    for one in ALL:
        alone = score(one, dtype=dtype)
        assert bits(alone, one.label) == bits(joint, one.label), one.label


def test_threads_do_not_matter(score: Any) -> None:
    one, two = (together(score, n_threads=n) for n in (1, 2))
    for each in ALL:
        assert bits(one, each.label) == bits(two, each.label), each.label


def test_recomputing_does_not_matter(score: Any) -> None:
    kept, made = (together(score, recompute=r) for r in (False, True))
    for each in ALL:
        assert bits(kept, each.label) == bits(made, each.label), each.label


def test_shares_with_tells_who_did(score: Any) -> None:
    joint = together(score)
    for group in (BATCH, SINGLE, ONES):
        labels = [one.label for one in group]
        for label in labels:
            others = tuple(other for other in labels if other != label)
            assert joint.scores[label].shares_with == others
    by_itself = {one.label for one in OTHERS} - {"without", "log"}
    assert all(joint.scores[label].shares_with == () for label in by_itself)
    assert joint.scores["log"].shares_with == ("without",)


def test_signal_of_later_batches_is_not_the_first_ones() -> None:
    """Images of zeros leave the first batch without a gradient; SNIP sees no other."""
    x = X.copy()
    x[:4] = 0
    options: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
    for scores in ([Snip(batch_size=4)], [Snip(batch_size=4), XiGsnr(batch_size=4)]):
        got = zeroshot.score(CELL, x, Y, scores=scores, **options).scores["snip"]
        assert (got.value, got.status) == (0.0, "no_signal")
