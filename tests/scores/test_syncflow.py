"""ZenNAS's form of SynFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.scores import SyncFlow, SynFlow

from .twins import NETWORKS, assert_matches_twin, case_of

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
X, Y = np.zeros((1, 3, 8, 8)), np.zeros(1, np.int64)


@pytest.mark.parametrize("name", NETWORKS)
def test_matches_reference(name: str) -> None:
    case = case_of(NETWORKS[name](), 1)

    def twin(nodes: Any, weights: Any, *_: Any) -> Any:
        return reference.syncflow(nodes, weights)

    assert_matches_twin(SyncFlow(init=None), twin, case)


def test_layers_are_those_of_synflow_by_channels() -> None:
    case = case_of(NETWORKS["every op"]())
    result = case.score([SyncFlow(init=None), SynFlow(bn="batch")])
    ours, whole = result.scores["syncflow"], result.scores["synflow"]
    assert ours.shares_with == ("synflow",)
    for name, value in whole.layers.items():
        assert ours.layers[name] == pytest.approx(-value / len(case.weights[name]), rel=1e-14)
    assert sum(ours.layers.values()) == pytest.approx(ours.value, rel=1e-14)


def test_weights_are_normal_unless_told_otherwise() -> None:
    default = zeroshot.score(CELL, X, Y, scores=SyncFlow(), seed=3, **TINY)
    call = zeroshot.score(CELL, X, Y, scores=SyncFlow(init=None), seed=3, init="normal", **TINY)
    assert default.value == call.value < 0
    assert default.value != zeroshot.score(CELL, X, Y, scores=SyncFlow(init=None), **TINY).value
    with pytest.raises(ValueError, match="init"):
        SyncFlow(init="zeros")


def test_cell_without_path_has_no_signal() -> None:
    text = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    got = zeroshot.score(text, X, Y, scores=SyncFlow(), **TINY)
    assert (got.value, got.status) == (0.0, "no_signal")
