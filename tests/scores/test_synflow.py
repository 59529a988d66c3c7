"""SynFlow and its kin: one image of ones through absolute weights, with and without batch norms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import Graph, _core, reference
from zeroshot.scores import Snip, SynFlow
from zeroshot.spaces import nasbench201

from .twins import NETWORKS, assert_matches_twin, case_of

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
NO_PATH = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
X, Y = np.zeros((1, 3, 8, 8)), np.zeros(1, np.int64)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("bn", ["identity", "batch"])
@pytest.mark.parametrize("name", NETWORKS)
def test_matches_reference(name: str, bn: Any, dtype: str) -> None:
    """In float64 whatever the call's dtype."""
    case = case_of(NETWORKS[name](), 1)

    def twin(nodes: Any, weights: Any, *_: Any) -> Any:
        return reference.synflow(nodes, weights, bn=bn)

    assert_matches_twin(SynFlow(bn=bn), twin, case, dtype=dtype)


def log_twin(nodes: Any, weights: Any, *_: Any) -> Any:
    return reference.logsynflow(nodes, weights)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "every op"])
def test_log_matches_reference(name: str) -> None:
    assert_matches_twin(SynFlow(variant="log"), log_twin, case_of(NETWORKS[name](), 1))


def test_log_of_a_network_that_subtracts_may_be_undefined() -> None:
    """A sum with a negative coefficient gives dR/dw below -1."""
    case = case_of(NETWORKS["every op"](), 1)
    got = case.one(SynFlow(variant="log"))
    assert (got.status, got.reason) == ("undefined", "log_of_negative")
    assert log_twin(*case).reason == got.reason
    assert np.isnan(got.value)


def test_images_and_labels_do_not_matter() -> None:
    case = case_of(NETWORKS["every op"]())
    nan = case._replace(x=case.x * np.nan)
    assert nan.one(SynFlow()) == case.one(SynFlow())
    assert case.one(SynFlow()).used_rows == 1


def test_layers_add_up() -> None:
    got = case_of(NETWORKS["every op"]()).one(SynFlow())
    assert sum(got.layers.values()) == pytest.approx(got.value, rel=1e-14)


def test_overflow_is_no_number() -> None:
    """float32 overflows long before; float64 does not."""
    case = case_of(NETWORKS["no bn"](), 1)
    large = {name: w * 1e20 for name, w in case.weights.items()}
    assert case._replace(weights=large).one(SynFlow(), dtype="float64").status == "ok"
    huge = {name: w * 1e100 for name, w in case.weights.items()}
    got = case._replace(weights=huge).one(SynFlow())
    assert got.status == "nonfinite"
    assert not np.isfinite(got.value)


def nodes_without_bn(nodes: list[dict[str, Any]], keep: str) -> list[dict[str, Any]]:
    return [
        {**node, "attrs": {**node["attrs"], "mode": "identity"}, "weights": {}}
        if node["op"] == "batch_norm" and not node["name"].startswith(keep)
        else node
        for node in nodes
    ]


@pytest.mark.parametrize(("builder", "keep"), [("autodl", "-"), ("zerocost", "res")])
def test_zerocost_keeps_the_norms_of_its_residual_blocks(builder: Any, keep: str) -> None:
    """As the released code does; biases of its cells, made absolute, are part of the flow."""
    genes = nasbench201.parse(CELL)
    core = _core.space_build("nasbench201", genes, 4, 1, 10, (3, 8, 8), builder)
    rng = np.random.default_rng(6)
    weights = {t["name"]: rng.standard_normal(t["shape"]) for t in core.tensors()}
    want = reference.synflow(nodes_without_bn(core.nodes(), keep), weights, bn="batch")
    options: dict[str, Any] = {"weights": weights, "dtype": "float64", **TINY}
    got = zeroshot.score(CELL, X, Y, scores=SynFlow(), builder=builder, **options)
    assert got.value == pytest.approx(want.value, rel=1e-12)


def test_cell_without_path_has_no_signal() -> None:
    scores = [SynFlow(), SynFlow(bn="batch", label="bn"), SynFlow(variant="log", label="log")]
    dead = zeroshot.score(NO_PATH, X, Y, scores=scores, **TINY)
    assert {s.status for s in dead.scores.values()} == {"no_signal"}
    assert set(dead.values.values()) == {0.0}


def test_own_initialiser_and_own_pass() -> None:
    own = SynFlow(init="kaiming_normal")
    both = zeroshot.score(CELL, X, Y, scores=[own, Snip(batch_size=1)], seed=3, **TINY)
    call = zeroshot.score(CELL, X, Y, scores=SynFlow(), seed=3, init="kaiming_normal", **TINY)
    assert both["synflow"] == call.value
    assert both.scores["synflow"].shares_with == ()
    assert both.scores["synflow"].algorithm == "direct"


def test_wrong_parameters_say_so() -> None:
    bad: list[dict[str, Any]] = [{"bn": "no"}, {"variant": "exp"}, {"init": "zeros"}]
    bad.append({"bn": "batch", "variant": "log"})
    for options in bad:
        with pytest.raises(ValueError, match=next(iter(options))):
            SynFlow(**options)


def test_is_a_graph_of_ones_own_too() -> None:
    g = Graph((1, 2, 2))
    g.output(g.linear(g.global_avg_pool(g.input), 1, bias=False, name="fc"))
    weights = {"fc.weight": np.array([[-3.0]])}
    x = np.zeros((1, 1, 2, 2))
    assert zeroshot.score(g, x, Y, scores=SynFlow(), weights=weights).value == 3.0
