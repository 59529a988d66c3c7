"""The key of a score: what it depends on, and what it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import GradSign, Sweet, XiGsnr
from zeroshot.provenance import canonical_json, key_of

ARCH = "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
X = (np.arange(9 * 3 * 8 * 8, dtype=np.float32) % 17 - 8).reshape(9, 3, 8, 8) / 4
Y = np.arange(9) % 10
TINY: dict[str, Any] = {"channels": 4, "cells": 1, "n_threads": 1}
XI = XiGsnr(batch_size=4)


def key(arch: Any = ARCH, x: Any = X, y: Any = Y, scores: Any = XI, **options: Any) -> str:
    result = zeroshot.score(arch, x, y, scores=scores, **{**TINY, **options})
    return next(iter(result.scores.values())).keys[0]


def changed(array: Any, index: int) -> Any:
    other = array.copy()
    other[index] += 1
    return other


def test_key_stays_what_it_was() -> None:
    """A change here strands every stored key: only together with `NUMERICS`."""
    assert key() == "983a135179d7490ec3ca417257ca11d99cd2a4e9eda5f92be41d735d04b4f050"


@pytest.mark.parametrize(
    "change",
    [
        {"arch": 0},
        {"x": changed(X, 0)},
        {"x": changed(X, 7)},
        {"y": changed(Y, 3)},
        {"channels": 8},
        {"cells": 2},
        {"num_classes": 11},
        {"builder": "zerocost"},
        {"seed": 1},
        {"init": "kaiming_normal"},
        {"algo": "direct"},
        {"algo": "f4"},
        {"dtype": "float64"},
        {"weights": {"stem.bn.gamma": np.ones(4)}},
        {"weights": {"stem.bn.gamma": np.zeros(4)}},
        {"weights": {"stem.bn.beta": np.ones(4)}},
        {"scores": XiGsnr(batch_size=3)},
        {"scores": XiGsnr(batch_size=2, n_batches=4)},
        {"scores": XiGsnr(batch_size=4, xi=1e-7)},
        {"scores": XiGsnr(batch_size=4, variant="gsnr")},
        {"scores": XiGsnr(batch_size=4, accumulate=True)},
        {"scores": XiGsnr(batch_size=4, loss="sum_logits")},
        {"scores": GradSign(n_samples=8)},
        {"scores": GradSign(n_samples=8, reduction="mean")},
        {"scores": GradSign(n_samples=8, zero_tol=1e-12)},
        {"scores": Sweet(batch_size=8)},
        {"scores": Sweet(1e-4, float("inf"), batch_size=8)},
        {"scores": Sweet(splits=(2e-4,), batch_size=8)},
    ],
    ids=str,
)
def test_key_tells_apart_what_matters(change: dict[str, Any], seen: dict[str, str]) -> None:
    found = key(**change)
    assert found != key()
    assert found not in seen, seen[found]
    seen[found] = str(change)


@pytest.fixture(scope="module")
def seen() -> dict[str, str]:
    return {}


@pytest.mark.parametrize(
    "change",
    [
        {"arch": 9},
        {"arch": "|avg_pool_3x3~0|+|none~1|none~0|+|none~1|nor_conv_3x3~2|skip_connect~0|"},
        {"x": changed(X, 8)},
        {"x": X[:8], "y": Y[:8]},
        {"x": np.asfortranarray(X)},
        {"x": X.astype(np.float64)},
        {"y": Y.astype(np.uint8)},
        {"seed": 2**32},
        {"n_threads": 3},
        {"kernels": "reference"},
        {"max_bytes": 2**40},
        {"recompute": True},
        {"scores": XiGsnr(batch_size=4, n_batches=2)},
        {"scores": XiGsnr(batch_size=4, label="other")},
        {"scores": [XI, GradSign(n_samples=9)]},
    ],
    ids=str,
)
def test_key_ignores_what_does_not_matter(change: dict[str, Any]) -> None:
    assert key(**change) == key()


@pytest.mark.parametrize(
    ("options", "algorithms"),
    [
        ({}, ["auto:f4", "auto:f2"]),
        ({"algo": "f4"}, ["f4", "f4"]),
        ({"algo": "direct"}, ["direct", "direct"]),
        ({"dtype": "float64", "algo": "f4"}, ["direct", "direct"]),
    ],
    ids=str,
)
def test_algorithm_tells_what_is_chosen_from_what_is_asked_for(
    options: dict[str, Any], algorithms: list[str]
) -> None:
    result = zeroshot.score(ARCH, X, Y, scores=[XI, GradSign(n_samples=9)], **{**TINY, **options})
    assert [score.algorithm for score in result.scores.values()] == algorithms


def test_bits_of_auto_and_f4_differ_and_so_do_their_keys() -> None:
    """At four channels auto is direct: the same bits under a key of its own."""
    algos: tuple[Any, ...] = ("auto", "direct", "f4")
    found = {algo: zeroshot.score(ARCH, X, Y, scores=XI, algo=algo, **TINY) for algo in algos}
    assert found["auto"].value == found["direct"].value != found["f4"].value
    assert len({result.scores["xi_gsnr"].keys for result in found.values()}) == 3


def test_environment_is_recorded_beside_the_key() -> None:
    result = zeroshot.score(ARCH, X, Y, scores=XI, **{**TINY, "kernels": "reference"})
    assert result.provenance is not None
    environment = result.provenance.environment
    assert {"zeroshot", "python", "numpy", "machine", "compiler"} <= set(environment)
    assert (environment["kernels"], environment["n_threads"]) == ("reference", 1)
    assert not set(environment) & set(result.provenance.run)


def test_key_is_made_of_what_the_result_shows() -> None:
    result = zeroshot.score(ARCH, X, Y, scores=XI, **TINY)
    score, provenance = result.scores["xi_gsnr"], result.provenance
    assert provenance is not None
    fields = {
        **provenance.run,
        **provenance.data["xi_gsnr"],
        "score": score.name,
        "algorithm": score.algorithm,
        "parameters": score.parameters,
        "group_size": score.group_size,
        "n_groups": score.n_groups,
        "seed": result.seeds[0],
    }
    assert key_of(fields) == score.keys[0]


def test_graph_has_a_key_of_its_own() -> None:
    def build(width: int) -> zeroshot.Graph:
        g = zeroshot.Graph((3, 8, 8))
        h = g.relu(g.batch_norm(g.conv2d(g.input, width, 3)))
        return g.output(g.linear(g.global_avg_pool(h), 10))

    assert key(build(4)) == key(build(4)) == key(build(4), space="nasbench201", channels=16)
    assert key(build(4)) != key(build(5))


def test_canonical_json_has_one_text_for_one_value() -> None:
    assert canonical_json({"b": (1.0, 1e-8), "a": None}) == '{"a":null,"b":[1.0,1e-08]}'
    assert canonical_json([float("inf"), True, "\u00e9"]) == '["inf",true,"\\u00e9"]'
