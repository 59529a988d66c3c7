"""Scores on networks of every space, against the reference in float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import zeroshot
from zeroshot import _core, reference
from zeroshot.scores import (
    Fisher,
    GradSign,
    Grasp,
    Meco,
    Naswot,
    Snip,
    Swap,
    Sweet,
    SynFlow,
    XiGsnr,
)
from zeroshot.spaces import get_space


class Case(NamedTuple):
    """A small network of a space."""

    space: str
    arch: str
    channels: int | None = None
    cells: int | None = None


CASES = [
    Case("nats_sss", "8:16:8:16:24"),
    # three vertices share 8 channels: 3, 3 and 2
    Case(
        "nasbench101",
        "adj=01101/00101/00011/00001/00000;ops=input,conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3,output",
        channels=8,
        cells=1,
    ),
    Case("nasbench101", "adj=01/00;ops=input,output", channels=4, cells=2),
    Case("darts", "DARTS_V2", channels=4, cells=3),
    # a zero, nodes that nobody reads, long and wide filters
    Case(
        "nds_darts",
        "w=3;d=3;Genotype([('dil_conv_5x5', 1), ('none', 0), ('sep_conv_3x3', 0), ('none', 2), "
        "('max_pool_3x3', 1), ('avg_pool_3x3', 0), ('skip_connect', 3), ('sep_conv_5x5', 0)], "
        "[2, 5], [('skip_connect', 1), ('none', 0), ('sep_conv_3x3', 0), ('skip_connect', 2), "
        "('max_pool_3x3', 1), ('avg_pool_3x3', 0), ('skip_connect', 3), ('none', 0)], [5])",
    ),
    Case(
        "nds_nasnet",
        "w=2;d=2;Genotype([('conv_7x1_1x7', 0), ('conv_1x1', 0), ('conv_3x3', 1), "
        "('max_pool_7x7', 2), ('conv_3x1_1x3', 3), ('max_pool_5x5', 0), ('sep_conv_7x7', 1), "
        "('dil_conv_3x3', 2), ('avg_pool_3x3', 1), ('skip_connect', 0)], [4, 5, 6], "
        "[('conv_7x1_1x7', 0), ('conv_1x1', 0), ('conv_3x3', 1), ('max_pool_7x7', 2), "
        "('conv_3x1_1x3', 3), ('max_pool_5x5', 0), ('sep_conv_7x7', 1), ('dil_conv_3x3', 2), "
        "('avg_pool_3x3', 1), ('skip_connect', 0)], [4, 5, 6])",
    ),
]
RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((8, 3, 8, 8)), RNG.integers(0, 10, 8)
LO, HI = 1e-3, 1e-1
TOL = 1e-9  # what is zero in real arithmetic has the sign of rounding noise


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.arch)
def test_scores_match_the_reference(case: Case) -> None:
    channels, cells = _core.space_defaults(case.space)
    graph = _core.space_build(
        case.space, get_space(case.space).parse(case.arch),
        case.channels or channels, case.cells or cells, 10, X.shape[1:],
    )  # fmt: skip
    nodes = graph.nodes()
    weights = {
        t["name"]: np.ones(t["shape"])
        if t["role"] == "gamma"
        else RNG.standard_normal(t["shape"]) * np.sqrt(2 / max(np.prod(t["shape"][1:]), 1))
        for t in graph.tensors()
    }
    options: dict[str, Any] = {"space": case.space, "channels": case.channels, "cells": case.cells}
    found = zeroshot.score(
        case.arch, X, Y, weights=weights, dtype="float64", n_threads=1, **options,
        scores=[
            XiGsnr(batch_size=4), GradSign(n_samples=4, zero_tol=TOL), Sweet(LO, HI, batch_size=8),
            Snip(batch_size=8), Naswot(batch_size=8), Fisher(batch_size=8), Grasp(batch_size=8),
            Meco(batch_size=8), Swap(batch_size=8, init=None), SynFlow(),
        ],
    )  # fmt: skip
    names = {t["name"] for t in graph.tensors() if t["counted"]}

    def gradients(n: int, size: int) -> dict[str, Any]:
        made = reference.run(nodes, weights, X[:n], Y[:n], group_size=size).gradients
        return {name: made[name] for name in names}

    value = {name: score.value for name, score in found.scores.items()}
    assert value["xi_gsnr"] == pytest.approx(reference.xi_gsnr(gradients(8, 4)), rel=1e-8)
    assert value["gradsign"] == reference.gradsign(gradients(4, 1), zero_tol=TOL)
    assert value["sweet"] == reference.sweet_count(gradients(8, 8), LO, HI)
    snip = reference.snip(nodes, weights, X, Y).value
    assert value["snip"] == pytest.approx(snip, rel=1e-9)
    naswot = reference.naswot(nodes, weights, X).value
    assert value["naswot"] == pytest.approx(naswot, rel=1e-9)
    for twin in (reference.fisher, reference.grasp):
        wanted = twin(nodes, weights, X, Y).value
        assert value[twin.__name__] == pytest.approx(wanted, rel=1e-6), twin
    for twin in (reference.meco, reference.swap):
        wanted = twin(nodes, weights, X).value
        assert value[twin.__name__] == pytest.approx(wanted, rel=1e-8), twin
    assert value["synflow"] == pytest.approx(reference.synflow(nodes, weights).value, rel=1e-9)


def test_equal_modules_are_scored_once_with_canonical() -> None:
    pools = "maxpool3x3,maxpool3x3"
    twins = [
        f"adj=01110/00001/00001/00001/00000;ops=input,{ops},output"
        for ops in (f"{pools},conv3x3-bn-relu", f"conv3x3-bn-relu,{pools}")
    ]
    options: dict[str, Any] = {"space": "nasbench101", "channels": 6, "cells": 1}
    scored = XiGsnr(batch_size=4)
    first, second = (
        zeroshot.score(arch, X, Y, scores=scored, canonical=True, **options) for arch in twins
    )
    assert [first.arch, second.arch] == twins
    assert first.scored_as == second.scored_as == twins[1]
    assert (
        first.value
        == second.value
        == zeroshot.score(twins[1], X, Y, scores=scored, **options).value
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.arch)
def test_recompute_and_threads_change_no_bit(case: Case, dtype: Any) -> None:
    options: dict[str, Any] = {"space": case.space, "channels": case.channels, "cells": case.cells}
    found = {
        zeroshot.score(
            case.arch, X, Y, scores=XiGsnr(batch_size=4), dtype=dtype, **how, **options
        ).value
        for how in ({}, {"recompute": True}, {"n_threads": 1}, {"n_threads": 3})
    }
    assert len(found) == 1
