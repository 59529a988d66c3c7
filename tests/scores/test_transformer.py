"""Every score on a small network of attention, layers over positions and norms of single samples,
against the float64 twins: values, and float32 near them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import zeroshot
from zeroshot import Graph, reference
from zeroshot.reference import Scored
from zeroshot.scores import (
    Activations,
    AzExpressivity,
    AzProgressivity,
    AzTrainability,
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
    SyncFlow,
    SynFlow,
    XiGsnr,
    Zen,
    Zico,
)

from .twins import ROUNDINGS, UNIT, Case, rounded, spread

ROWS = 6
OWN: dict[str, Any] = {"input": "data", "init": None}


def network() -> Graph:
    g = Graph((3, 8, 8))
    h = g.batch_norm(g.conv2d(g.input, 8, 3, stride=2, padding=1, name="stem"))
    h = g.feature(g.relu(h))
    h = g.add(h, g.scale_channels(g.attention(g.layer_norm(h), 2, name="attn"), initial=0.5))
    h = g.feature(g.add(h, g.linear_spatial(g.group_norm(h, groups=2), name="mix")))
    inner = g.relu(g.linear(g.group_norm(h), 12, name="expand"))
    h = g.feature(g.add(h, g.linear(inner, 8, name="shrink")))
    h = g.batch_norm(g.conv2d(h, 6, 2, stride=2, name="down"))
    h = g.feature(g.relu(h))
    flat = g.linear(g.flatten(g.slice_channels(h, 3, start=2)), 6, name="flat")
    return g.output(g.linear(g.add(g.global_avg_pool(h), flat), 4, name="head"))


GRAPH = network()
FEATURES = sorted(GRAPH.features)


def make_case() -> Case:
    rng = np.random.default_rng(7)
    weights = {
        t["name"]: rounded(
            rng.standard_normal(t["shape"]) * (0.5 if len(t["shape"]) > 1 else 0.2)
            + (t["role"] in ("gamma", "scale"))
        )
        for t in GRAPH.core.tensors()
    }
    x = rounded(rng.standard_normal((ROWS, 3, 8, 8)))
    return Case(GRAPH.nodes(), weights, x, rng.integers(0, 4, ROWS))


CASE = make_case()
SIGNS = [
    np.random.default_rng(8 + i).choice([-1.0, 1.0], (ROWS, *CASE.nodes[i]["shape"]))
    for i in FEATURES[1:]
]


def gradients(*args: Any, size: int) -> dict[str, NDArray[np.float64]]:
    found = reference.run(*args, group_size=size).gradients
    return {name: found[name] for name in reference.counted_weights(args[0])}


def without_bn(nodes: Any) -> Any:
    return reference.without_batch_norm(nodes)


LOG_SYNFLOW = SynFlow(variant="log")
Twin = Callable[..., Any]
PAIRS: list[tuple[Score, Twin]] = [
    (XiGsnr(batch_size=2), lambda *a: Scored(reference.xi_gsnr(gradients(*a, size=2)))),
    (GradSign(n_samples=ROWS), lambda *a: Scored(reference.gradsign(gradients(*a, size=1)))),
    (
        Sweet(batch_size=ROWS, lo=1e-3, hi=1e-2),
        lambda *a: Scored(reference.sweet_count(gradients(*a, size=ROWS), 1e-3, 1e-2)),
    ),
    (Snip(batch_size=ROWS), reference.snip),
    (Plain(batch_size=ROWS), reference.plain),
    (Grasp(batch_size=ROWS), reference.grasp),
    (GradNorm(batch_size=ROWS), reference.grad_norm),
    (GradNorm(batch_size=ROWS, over="all"), lambda *a: reference.grad_norm(*a, over="all")),
    (Fisher(batch_size=ROWS), reference.fisher),
    (Fisher(batch_size=ROWS, per_channel=True), lambda *a: reference.fisher(*a, per_channel=True)),
    (Zico(batch_size=2, n_batches=3), lambda *a: reference.zico(*a, n_batches=3)),
    (Knas(n_samples=ROWS), reference.knas),
    (L2Norm(), lambda n, w, x, y: reference.l2_norm(n, w)),
    (SynFlow(), lambda n, w, x, y: reference.synflow(n, w)),
    (SynFlow(bn="batch"), lambda n, w, x, y: reference.synflow(n, w, bn="batch")),
    (LOG_SYNFLOW, lambda n, w, x, y: reference.logsynflow(n, w)),
    (SyncFlow(init=None), lambda n, w, x, y: reference.syncflow(n, w)),
    (Naswot(batch_size=ROWS), lambda n, w, x, y: reference.naswot(n, w, x)),
    (
        Naswot(batch_size=ROWS, which="reached"),
        lambda n, w, x, y: reference.naswot(n, w, x, which="reached"),
    ),
    (LinearRegions(batch_size=ROWS), lambda n, w, x, y: reference.linear_regions(n, w, x)),
    (Swap(batch_size=ROWS, init=None), lambda n, w, x, y: reference.swap(n, w, x)),
    (Meco(batch_size=ROWS), lambda n, w, x, y: reference.meco(n, w, x)),
    (Activations(batch_size=ROWS), lambda n, w, x, y: reference.activation_count(n, w, x)),
    (JacobCov(batch_size=ROWS), lambda n, w, x, y: reference.jacob_cov(n, w, x)),
    (EpeNas(batch_size=ROWS), reference.epe_nas),
    (NtkCondition(batch_size=ROWS), lambda n, w, x, y: reference.ntk_condition(n, w, x)),
    (Zen(batch_size=3, **OWN), lambda n, w, x, y: reference.zen(n, w, x[:3], x[3:])),
    (
        Zen(batch_size=3, bn="identity", **OWN),
        lambda n, w, x, y: reference.zen(without_bn(n), w, x[:3], x[3:]),
    ),
    (
        AzExpressivity(batch_size=ROWS, **OWN),
        lambda n, w, x, y: reference.az_expressivity(n, w, x, features=FEATURES),
    ),
    (
        AzProgressivity(batch_size=ROWS, **OWN),
        lambda n, w, x, y: reference.az_progressivity(n, w, x, features=FEATURES),
    ),
    (
        AzTrainability(batch_size=ROWS, signs=SIGNS, **OWN),
        lambda n, w, x, y: reference.az_trainability(n, w, x, features=FEATURES, signs=SIGNS),
    ),
    (Flops(), lambda n, w, x, y: reference.macs(n, w)),
    (Flops(convention="pool1"), lambda n, w, x, y: reference.macs_pool1(n, w)),
    (Flops(convention="poolk2"), lambda n, w, x, y: reference.macs_poolk2(n, w)),
    (Flops(convention="thop"), lambda n, w, x, y: reference.macs_thop(n, w)),
    (Params(), lambda n, w, x, y: reference.params_weights(n, w)),
    (Params(over="all"), lambda n, w, x, y: reference.params_all(n, w)),
    (LiveWeights(), lambda n, w, x, y: reference.live_weights(n, w)),
]
COUNTS = (Activations, GradSign, Sweet, LinearRegions, Swap, Flops, Params, LiveWeights)


def test_every_score_is_here() -> None:
    assert {type(score) for score, _ in PAIRS} == {i.dataclass for i in zeroshot.list_scores()}


def found(score: Any, **options: Any) -> Any:
    how: Any = {"weights": CASE.weights, "dtype": "float64", "n_threads": 1, **options}
    return zeroshot.score(GRAPH, CASE.x, CASE.y, scores=score, **how)


@pytest.mark.parametrize(("score", "twin"), PAIRS, ids=lambda p: getattr(p, "label", ""))
def test_score_matches_its_twin(score: Score, twin: Twin) -> None:
    want, got = twin(*CASE), found(score).scores[score.label]
    assert (got.status, got.reason) == (want.status, want.reason)
    if isinstance(score, COUNTS):
        assert got.value == want.value
        return
    if score is LOG_SYNFLOW:  # norms and softmax have negative derivatives, of which it has no log
        assert got.status == "undefined"
        assert np.isnan(got.value)
        return
    limit = ROUNDINGS * (spread(twin, CASE, UNIT["float64"]) + UNIT["float64"] * abs(want.value))
    assert abs(got.value - want.value) <= limit, (got.value, want.value, limit)
    assert want.value != 0


@pytest.mark.parametrize(
    ("score", "twin"),
    [p for p in PAIRS if not isinstance(p[0], COUNTS) and p[0] is not LOG_SYNFLOW],
    ids=lambda p: getattr(p, "label", ""),
)
def test_score_in_float32_is_near_its_twin(score: Score, twin: Twin) -> None:
    want, got = twin(*CASE), found(score, dtype="float32").scores[score.label]
    unit = UNIT["float64" if score.float64 else "float32"]
    limit = ROUNDINGS * (spread(twin, CASE, unit) + unit * abs(want.value))
    assert abs(got.value - want.value) <= limit, (got.value, want.value, limit)


def labelled() -> list[Any]:
    return [replace(score, label=f"s{i}") for i, (score, _) in enumerate(PAIRS)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_company_and_threads_change_no_bit(dtype: str) -> None:
    scores = labelled()
    together = found(scores, dtype=dtype)
    shared = found(scores, dtype=dtype, n_threads=2)
    for score in scores:
        alone = found(score, dtype=dtype).scores[score.label].value
        for other in (together, shared):
            assert np.array_equal(other.scores[score.label].value, alone, True), score


def test_norms_of_single_samples_stay_where_batch_norm_goes() -> None:
    """A network without batch norms scores the same with and without them."""
    g = Graph((3, 4, 4))
    h = g.layer_norm(g.group_norm(g.conv2d(g.input, 4, 3, padding=1), groups=2))
    g.output(g.linear(g.global_avg_pool(h), 3))
    x, y = np.random.default_rng(9).standard_normal((4, 3, 4, 4)), [0, 1, 2, 0]
    pairs = [("identity", "batch"), ("identity", "train")]
    for kind, (off, on) in zip((SynFlow, Zen), pairs, strict=True):
        own: Any = {"batch_size": 2} if kind is Zen else {}
        values = [
            zeroshot.score(g, x, y, scores=kind(bn=bn, **own), n_threads=1)[kind(bn=bn).label]
            for bn in (off, on)
        ]
        assert values[0] == values[1] != 0
