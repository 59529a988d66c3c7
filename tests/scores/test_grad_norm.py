"""GradNorm: by layers and of all parameters, on images of one's own or random ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import reference
from zeroshot.scores import GradNorm, Snip

from .twins import NETWORKS, assert_matches_twin, case_of

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
NO_PATH = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
X, Y = np.random.default_rng(3).standard_normal((6, 3, 8, 8)), np.arange(6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("over", ["layers", "all"])
@pytest.mark.parametrize("rows", [6, 1])
@pytest.mark.parametrize("name", NETWORKS)
def test_matches_reference(name: str, rows: int, over: Any, dtype: str) -> None:
    case = case_of(NETWORKS[name](), rows)

    def twin(*args: Any) -> Any:
        return reference.grad_norm(*args, over=over)

    assert_matches_twin(GradNorm(batch_size=rows, over=over), twin, case, dtype=dtype)


def test_layers_are_told_where_they_add_up() -> None:
    case = case_of(NETWORKS["usual"]())
    layers = case.one(GradNorm(batch_size=6))
    assert sum(layers.layers.values()) == pytest.approx(layers.value, rel=1e-12)
    assert case.one(GradNorm(batch_size=6, over="all")).layers == {}


def test_all_of_a_network_without_a_path_is_its_classifier_bias() -> None:
    scores = [GradNorm(batch_size=6), GradNorm(batch_size=6, over="all", label="all")]
    result = zeroshot.score(NO_PATH, X, Y, scores=scores, dtype="float64", **TINY)
    assert (result["grad_norm"], result.scores["grad_norm"].status) == (0.0, "no_signal")
    found = zeroshot.gradients(
        NO_PATH, X, Y, batch_size=6, dtype="float64", all_params=True, **TINY
    )
    norm = np.sqrt(sum(float((g**2).sum()) for g in found.gradients.values()))
    assert result["all"] == pytest.approx(norm, rel=1e-12)
    assert result.scores["all"].status == "ok"


@pytest.mark.parametrize("over", ["layers", "all"])
def test_one_class_has_no_signal(over: Any) -> None:
    got = zeroshot.score(
        CELL, X, np.zeros(6, int), scores=GradNorm(batch_size=6, over=over), num_classes=1, **TINY
    )
    assert (got.value, got.status) == (0.0, "no_signal")


def test_normal_input_is_that_of_the_seed_and_labels_are_those_of_y() -> None:
    normal = GradNorm(batch_size=6, input="normal")
    images = np.random.RandomState(7).standard_normal((6, 3, 8, 8))
    options: dict[str, Any] = {"seed": 7, "dtype": "float64", **TINY}
    ours = zeroshot.score(CELL, X, Y, scores=normal, **options).value
    assert ours == zeroshot.score(CELL, images, Y, scores=GradNorm(batch_size=6), **options).value
    assert ours != zeroshot.score(CELL, X, Y[::-1], scores=normal, **options).value
    with pytest.raises(ValueError, match="needs 6 images, got 5"):
        zeroshot.score(CELL, X[:5], Y[:5], scores=normal, **options)


def test_own_initialiser_takes_the_place_of_the_calls() -> None:
    own = GradNorm(batch_size=6, init="kaiming_normal")
    both = zeroshot.score(CELL, X, Y, scores=[own, Snip(batch_size=6)], seed=3, **TINY)
    call = zeroshot.score(
        CELL, X, Y, scores=GradNorm(batch_size=6), seed=3, init="kaiming_normal", **TINY
    )
    assert both["grad_norm"] == call.value
    assert both.scores["grad_norm"].shares_with == ()
    for bad in ({"init": "zeros"}, {"over": "some"}, {"input": "ones"}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            GradNorm(**bad)  # type: ignore[arg-type]
