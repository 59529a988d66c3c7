"""Counts as scores: operations, parameters, live weights. No pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.scores import Flops, LiveWeights, Params, Score

from .twins import NETWORKS, case_of

PAIRS: list[tuple[Score, Callable[..., Any]]] = [
    (Flops(), reference.macs),
    (Flops(convention="pool1"), reference.macs_pool1),
    (Flops(convention="poolk2"), reference.macs_poolk2),
    (Flops(convention="thop"), reference.macs_thop),
    (Params(), reference.params_weights),
    (Params(over="all"), reference.params_all),
    (LiveWeights(), reference.live_weights),
]
X, Y = np.zeros((1, 3, 8, 8)), np.zeros(1, np.int64)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("score", "twin"), PAIRS)
def test_matches_reference(score: Score, twin: Callable[..., Any], name: str) -> None:
    case = case_of(NETWORKS[name]())
    got = case.one(score)
    assert got.value == twin(case.nodes, case.weights).value
    assert (got.status, got.layers, got.used_rows, got.shares_with) == ("ok", {}, 0, ())


@pytest.mark.parametrize("builder", ["autodl", "zerocost"])
@pytest.mark.parametrize("arch", [0, 1462, 7777])
def test_matches_count(arch: int, builder: Any) -> None:
    size: dict[str, Any] = {"channels": 4, "cells": 2, "builder": builder}
    counts = zeroshot.count(arch, input_size=8, **size)
    scores = [
        Flops(), Flops(convention="pool1", label="pool1"), Params(),
        Params(over="all", label="all"), LiveWeights(),
    ]  # fmt: skip
    result = zeroshot.score(arch, X, Y, scores=scores, **size)
    assert result.values == {
        "flops": counts.macs, "pool1": counts.thop_flops, "params": counts.weights,
        "all": counts.params, "live_weights": counts.live_weights,
    }  # fmt: skip
    assert (result.status, result.macs) == ("ok", 0)


def test_neither_weights_nor_images_matter() -> None:
    case = case_of(NETWORKS["usual"]())
    nan = case._replace(
        x=case.x * np.nan, weights={name: w * np.nan for name, w in case.weights.items()}
    )
    for score, _ in PAIRS:
        assert nan.one(score).value == case.one(score).value


def test_wrong_parameters_say_so() -> None:
    with pytest.raises(ValueError, match="convention"):
        Flops(convention="flops")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="over"):
        Params(over="biases")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="label"):
        Params(label="")
