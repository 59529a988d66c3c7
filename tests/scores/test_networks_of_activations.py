"""Every score on networks as mobile search spaces have them: inverted residuals with ReLU6 or
h-swish, squeeze-and-excitation, smooth activations throughout. Each equals its twin or says, by
status and reason, why it has no value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

import zeroshot
from zeroshot import reference as r
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

from ..reference.small import Array, Net

ROWS = 6


def mobile(f: str, *, excited: bool = False, gate: str = "hard_sigmoid", seed: int = 7) -> Net:
    """Stem, two inverted residuals, the second with a skip; features are what blocks put out."""
    net = Net((3, 8, 8), seed=seed)
    at = net.step(f, net.bn(net.conv(4, stride=(2, 2))))
    for skip in (False, True):
        wide = net.step(f, net.bn(net.conv(8, at, kernel=(1, 1), padding=(0, 0))))
        deep = net.step(f, net.bn(net.conv(8, wide, groups=8)))
        if excited:
            few = net.conv(2, net.step("global_avg_pool", deep), kernel=(1, 1), padding=(0, 0))
            back = net.conv(8, net.step(f, few), kernel=(1, 1), padding=(0, 0), bias=True)
            deep = net.multiply(deep, net.step(gate, back))
        narrow = net.bn(net.conv(4, deep, kernel=(1, 1), padding=(0, 0)))
        at = net.add(narrow, at) if skip else narrow
    net.step(f, net.bn(net.conv(6, at, kernel=(1, 1), padding=(0, 0))))
    net.head(3, bias=True)
    return net


def features(net: Net) -> list[int]:
    """The stem's output and those of both blocks, all of 4 channels."""
    fit = [n["id"] for n in net.nodes if n["shape"] == (4, 4, 4)]
    narrow = [i for i in fit if net.nodes[i]["op"] in ("batch_norm", "add")]
    stem = next(i for i in fit if net.nodes[i]["op"] not in ("conv2d", "batch_norm"))
    return [stem, narrow[1], narrow[-1]]


NETS: dict[str, Callable[[], Net]] = {
    "MobileNetV2": partial(mobile, "relu6"),
    "MobileNetV3": partial(mobile, "hard_swish", excited=True),
    "EfficientNet": partial(mobile, "silu", excited=True, gate="sigmoid"),
    "SE-ResNet": partial(mobile, "relu", excited=True, gate="sigmoid"),
    "gelu": partial(mobile, "gelu"),
    "tanh": partial(mobile, "tanh", excited=True, gate="tanh"),
}
WITHOUT_RELU = {"MobileNetV3", "EfficientNet", "gelu", "tanh"}


class Given(NamedTuple):
    net: Net
    x: Array
    y: Any
    signs: list[Array]

    @property
    def of(self) -> tuple[Any, ...]:
        return self.net.nodes, self.net.weights, self.x


def given(make: Callable[[], Net]) -> Given:
    net, rng = make(), np.random.default_rng(11)
    x, y = rng.standard_normal((ROWS, 3, 8, 8)), np.arange(ROWS) % 3
    shapes = [(ROWS, *net.nodes[i]["shape"]) for i in features(net)[1:]]
    return Given(net, x, y, [rng.choice([-1.0, 1.0], shape) for shape in shapes])


def loss(score: Callable[..., Any], **how: Any) -> Callable[[Given], Any]:
    return lambda g: score(*g.of, g.y, **how)


def images(score: Callable[..., Any], **how: Any) -> Callable[[Given], Any]:
    return lambda g: score(*g.of, **how)


def flow(score: Callable[..., Any], **how: Any) -> Callable[[Given], Any]:
    return lambda g: score(g.net.nodes, g.net.weights, **how)


def az(score: Callable[..., Any]) -> Callable[[Given], Any]:
    return lambda g: score(*g.of, features=features(g.net))


def az_trainability(g: Given) -> Any:
    return r.az_trainability(*g.of, features=features(g.net), signs=g.signs)


def gradients(g: Given, size: int) -> list[Array]:
    found = r.run(*g.of, g.y, group_size=size).gradients
    return [found[name] for name in r.counted_weights(g.net.nodes)]


def count(what: str) -> Callable[[Given], Any]:
    return lambda g: getattr(r, what)(g.net.nodes, g.net.weights)


def zen(g: Given) -> Any:
    half = ROWS // 2
    return r.zen(g.net.nodes, g.net.weights, g.x[:half], g.x[half:])


ALL = {"batch_size": ROWS}
OWN: dict[str, Any] = {"input": "data", "init": None}
SCORES: dict[str, tuple[Score, Callable[[Given], Any]]] = {
    "snip": (Snip(**ALL), loss(r.snip)),
    "plain": (Plain(**ALL), loss(r.plain)),
    "grasp": (Grasp(**ALL), loss(r.grasp)),
    "l2_norm": (L2Norm(), flow(r.l2_norm)),
    "grad_norm": (GradNorm(**ALL), loss(r.grad_norm)),
    "grad_norm, all": (GradNorm(**ALL, over="all"), loss(r.grad_norm, over="all")),
    "fisher": (Fisher(**ALL), loss(r.fisher)),
    "zico": (Zico(batch_size=2, n_batches=3), loss(r.zico, n_batches=3)),
    "knas": (Knas(n_samples=ROWS), loss(r.knas)),
    "synflow": (SynFlow(), flow(r.synflow)),
    "synflow, bn": (SynFlow(bn="batch"), flow(r.synflow, bn="batch")),
    "synflow, log": (SynFlow(variant="log"), flow(r.logsynflow)),
    "syncflow": (SyncFlow(init=None), flow(r.syncflow)),
    "naswot": (Naswot(**ALL), images(r.naswot)),
    "naswot, wrappers": (Naswot(**ALL, which="wrappers"), images(r.naswot, which="wrappers")),
    "linear_regions": (LinearRegions(**ALL), images(r.linear_regions)),
    "swap": (Swap(**ALL, init=None), images(r.swap)),
    "zen": (Zen(batch_size=ROWS // 2, **OWN), zen),
    "meco": (Meco(**ALL), images(r.meco)),
    "jacob_cov": (JacobCov(**ALL), images(r.jacob_cov)),
    "epe_nas": (EpeNas(**ALL, many=False), loss(r.epe_nas, many=False)),
    "ntk_condition": (NtkCondition(**ALL), images(r.ntk_condition)),
    "az_expressivity": (AzExpressivity(**ALL, **OWN), az(r.az_expressivity)),
    "az_progressivity": (AzProgressivity(**ALL, **OWN), az(r.az_progressivity)),
    "az_trainability": (AzTrainability(**ALL, **OWN), az_trainability),
    "gradsign": (GradSign(n_samples=ROWS), lambda g: r.gradsign(gradients(g, 1))),
    "xi_gsnr": (XiGsnr(batch_size=2, xi=1e-3), lambda g: r.xi_gsnr(gradients(g, 2), xi=1e-3)),
    "activations": (Activations(**ALL), images(r.activation_count)),
    "activations, conv": (
        Activations(0.1, 1, **ALL, which="conv"),
        images(r.activation_count, lo=0.1, hi=1, which="conv"),
    ),
    "sweet": (Sweet(1e-3, 1e-1, **ALL), lambda g: r.sweet_count(gradients(g, ROWS), 1e-3, 1e-1)),
    "params": (Params(), count("params_weights")),
    "flops": (Flops(), count("macs")),
    "live_weights": (LiveWeights(), count("live_weights")),
}  # fmt: skip


def test_no_score_is_forgotten() -> None:
    assert {score.name for score, _ in SCORES.values()} == {s.name for s in zeroshot.list_scores()}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("make", NETS.values(), ids=NETS)
def test_score_matches_its_twin(make: Callable[[], Net], name: str) -> None:
    g = given(make)
    score, twin = SCORES[name]
    graph = zeroshot.Graph.from_nodes(g.net.nodes, features(g.net))
    if isinstance(score, AzTrainability):
        score = replace(score, signs=g.signs)
    found = zeroshot.score(
        graph, g.x, g.y, scores=score, weights=g.net.weights, dtype="float64", n_threads=1
    )
    got, want = found.scores[score.label], twin(g)
    if isinstance(want, float | int | np.number):
        want = r.Scored(float(want))
    assert (got.status, got.reason) == (want.status, want.reason)
    np.testing.assert_allclose(got.value, want.value, rtol=2e-8)


@pytest.mark.parametrize("name", NETS)
def test_patterns_are_those_of_relus(name: str) -> None:
    g = given(NETS[name])
    patterns = [SCORES[n][0] for n in ("naswot", "linear_regions", "swap")]
    found = zeroshot.score(
        zeroshot.Graph.from_nodes(g.net.nodes), g.x, g.y, scores=patterns, weights=g.net.weights
    )
    without = name in WITHOUT_RELU
    assert [s.reason == "no_relu" for s in found.scores.values()] == [without] * 3
    assert found.scores["linear_regions"].status == ("undefined" if without else "ok")
    assert found.status == ("undefined" if without else "ok")


def test_relu6_switches_as_relu_does() -> None:
    """Small weights: nothing reaches 6, so networks with either are one."""
    values = []
    for f in ("relu", "relu6"):
        g = given(partial(mobile, f))
        weights = {k: w / 4 if k.endswith("gamma") else w for k, w in g.net.weights.items()}
        found = zeroshot.score(
            zeroshot.Graph.from_nodes(g.net.nodes), g.x, g.y, weights=weights, dtype="float64",
            scores=[Naswot(**ALL), LinearRegions(**ALL), Swap(**ALL, init=None), Meco(**ALL)],
        )  # fmt: skip
        values.append([s.value for s in found.scores.values()])
    np.testing.assert_allclose(values[0], values[1], rtol=1e-9)
