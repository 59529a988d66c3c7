"""Scores on networks of every space, against the reference in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import zeroshot
from zeroshot import _core, reference
from zeroshot.scores import (
    AzExpressivity,
    AzProgressivity,
    EpeNas,
    Fisher,
    Flops,
    GradNorm,
    GradSign,
    Grasp,
    JacobCov,
    Knas,
    L2Norm,
    LinearRegions,
    LiveWeights,
    Meco,
    Naswot,
    NtkCondition,
    Params,
    Plain,
    Score,
    Snip,
    Swap,
    Sweet,
    SynFlow,
    XiGsnr,
    Zen,
    Zico,
)
from zeroshot.spaces import get_space

from . import twins


class Case(NamedTuple):
    """A small network of a space."""

    space: str
    arch: str
    channels: int | None = None
    cells: int | None = None


CASES = [
    Case("nats_sss", "8:16:8:16:24"),
    Case("transnas_micro", "8-4-1_23_103"),
    # three vertices share 8 channels: 3, 3 and 2
    Case(
        "nasbench101",
        "adj=01101/00101/00011/00001/00000;ops=input,conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3,output",
        channels=8,
        cells=1,
    ),
    Case("nasbench101", "adj=01/00;ops=input,output", channels=4, cells=2),
    Case("darts", "DARTS_V2", channels=4, cells=3),
    Case("mbconv", "stem=6;last=12;k3e1:4s1 k5e3:6s2 skip k3e2:6s1"),  # ReLU6
    Case(
        "mbconv",  # Swish, squeeze and excitation
        "stem=6;last=12;act=swish;ds_r2_k3_s1_c6_se0.25 | ir_r1_k3_s2_e2_c8_se1,ir_r1_k5_s1_e2_c8",
    ),
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
    # maps of one pixel behind the first stage: attention to itself, a linear layer of one position
    Case(
        "burgerformer",
        " ; ".join(
            [
                "1,32,1:skip-skip-skip-skip-skip/skip-GN-dwise_3x3-skip-gelu/skip-skip-avgpool-LN-silu:0,1,1:0,1,1",
                "1,64,1:skip-skip-conv_1x1-GN-relu6/skip-skip-skip-skip-skip/skip-skip-skip-skip-skip:1,1,0:1,1,0",
                "1,128,1:skip-GN-self_atten-skip-skip/skip-skip-skip-skip-skip/skip-GN-spatial_mlp-skip-gelu:1,1,1:1,1,1",
                "1,128,1:skip-skip-skip-skip-skip/skip-skip-dwise_3x3-GN-skip/skip-skip-skip-skip-skip:0,1,0:0,1,0",
            ]
        ),
    ),
]
RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((8, 3, 8, 8)), RNG.integers(0, 10, 8)
LO, HI = 1e-3, 1e-1
TOL = 1e-9  # what is zero in real arithmetic has the sign of rounding noise


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.arch[:80])
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
    assert value["naswot"] == pytest.approx(naswot, rel=1e-9, nan_ok=True)  # without a ReLU
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


def test_genotypes_that_differ_in_what_is_dead_share_a_score_with_canonical() -> None:
    """And count their own dead weights: those of node 3, which nobody reads."""
    op, wide = ("skip_connect", 0), ("sep_conv_5x5", 1)
    few, many = (
        f"w=4;d=3;Genotype({[op, wide, pair, pair, *[op, wide] * 2]}, [4, 5], {[op] * 8}, [5])"
        for pair in (op, wide)
    )
    scores = [XiGsnr(batch_size=4), Sweet(0.0, float("inf"), batch_size=8)]
    options: dict[str, Any] = {"space": "nds_darts", "dtype": "float64", "canonical": True}
    one, two = (zeroshot.score(arch, X, Y, scores=scores, **options) for arch in (few, many))
    assert one.scored_as == two.scored_as and one["xi_gsnr"] == two["xi_gsnr"]
    for result in (one, two):
        weights = zeroshot.count(result.arch, space="nds_darts", input_size=8).weights
        assert result["sweet"] == weights
    assert two["sweet"] > one["sweet"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.arch[:80])
def test_recompute_and_threads_change_no_bit(case: Case, dtype: Any) -> None:
    options: dict[str, Any] = {"space": case.space, "channels": case.channels, "cells": case.cells}
    found = {
        zeroshot.score(
            case.arch, X, Y, scores=XiGsnr(batch_size=4), dtype=dtype, **how, **options
        ).value
        for how in ({}, {"recompute": True}, {"n_threads": 1}, {"n_threads": 3})
    }
    assert len(found) == 1


OWN: dict[str, Any] = {"input": "data", "init": None}
MORE: list[tuple[Score, Callable[..., Any]]] = [
    (Plain(batch_size=8), reference.plain),
    (L2Norm(), lambda n, w, x, y: reference.l2_norm(n, w)),
    (GradNorm(batch_size=8), reference.grad_norm),
    (Zico(batch_size=4, n_batches=2), lambda *args: reference.zico(*args, n_batches=2)),
    (Knas(n_samples=8), reference.knas),
    (SynFlow(bn="batch"), lambda n, w, x, y: reference.synflow(n, w, bn="batch")),
    (SynFlow(variant="log"), lambda n, w, x, y: reference.logsynflow(n, w)),
    (JacobCov(batch_size=8), lambda n, w, x, y: reference.jacob_cov(n, w, x)),
    (EpeNas(batch_size=8), reference.epe_nas),
    (NtkCondition(batch_size=8), lambda n, w, x, y: reference.ntk_condition(n, w, x)),
    (LinearRegions(batch_size=8), lambda n, w, x, y: reference.linear_regions(n, w, x)),
    (Zen(batch_size=4, **OWN), lambda n, w, x, y: reference.zen(n, w, x[:4], x[4:])),
    (Flops(), lambda n, w, x, y: reference.macs(n, w)),
    (Flops(convention="thop"), lambda n, w, x, y: reference.macs_thop(n, w)),
    (Params(over="all"), lambda n, w, x, y: reference.params_all(n, w)),
    (LiveWeights(), lambda n, w, x, y: reference.live_weights(n, w)),
]


@pytest.fixture(scope="module")
def darts_case() -> twins.Case:
    """DARTS_V2 with 4 channels and 3 cells, and its own kind of weights."""
    genes = get_space("darts").parse("DARTS_V2")
    graph = _core.space_build("darts", genes, 4, 3, 10, X.shape[1:])
    rng = np.random.default_rng(3)
    weights = {
        t["name"]: np.ones(t["shape"])
        if t["role"] == "gamma"
        else twins.rounded(
            rng.standard_normal(t["shape"]) / np.sqrt(max(np.prod(t["shape"][1:]), 1))
        )
        for t in graph.tensors()
    }
    return twins.Case(graph.nodes(), weights, twins.rounded(X), Y)


@pytest.mark.parametrize(("score", "twin"), MORE, ids=[repr(score)[:60] for score, _ in MORE])
def test_other_scores_match_their_twins_on_darts(
    score: Score, twin: Callable[..., Any], darts_case: twins.Case
) -> None:
    twins.assert_matches_twin(score, twin, darts_case)


def test_az_nas_looks_at_the_stem_and_every_cell_of_darts(darts_case: twins.Case) -> None:
    nodes, weights, x, y = darts_case
    names = {node["name"]: node["id"] for node in nodes}
    features = [names["stem.bn"], *(names[f"cell0{i}.concat"] for i in range(3))]
    scores = [AzExpressivity(batch_size=8, **OWN), AzProgressivity(batch_size=8, **OWN)]
    found = zeroshot.score(
        "DARTS_V2", x, y, scores=scores, weights=weights, dtype="float64", n_threads=1,
        space="darts", channels=4, cells=3,
    ).values  # fmt: skip
    want = reference.az_expressivity(nodes, weights, x, features=features).value
    assert found["az_expressivity"] == pytest.approx(want, rel=1e-9)
    want = reference.az_progressivity(nodes, weights, x, features=features).value
    assert found["az_progressivity"] == pytest.approx(want, rel=1e-9)
