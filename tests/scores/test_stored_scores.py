"""Every stored score of the eight networks by the compiled core in float64, to the tolerance that
is stored beside it; see tests/reference/test_stored_scores.py for what that is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import zeroshot
from zeroshot import Graph, reference
from zeroshot.scores import (
    AzExpressivity,
    AzProgressivity,
    AzTrainability,
    EpeNas,
    Fisher,
    Flops,
    GradNorm,
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
    SynFlow,
    Zen,
    Zico,
)

from ..stored import NETWORKS

EPS = float(np.finfo(np.float64).eps)
FIRST = range(4)
ALL = range(12)


class Case(NamedTuple):
    """A score on rows of one of the stored arrays: ``x``, ``noisy``, ``near`` or ``normal``."""

    score: Score
    rows: Sequence[int] = FIRST
    images: str = "x"


# images and weights as they are stored, where a score draws its own by default
OWN: dict[str, Any] = {"input": "data", "init": None}
SCORES: dict[str, Case] = {
    "snip": Case(Snip(batch_size=4)),
    "grasp": Case(Grasp(batch_size=4)),
    "naswot_all": Case(Naswot(batch_size=12), ALL),
    "naswot_reached": Case(Naswot(batch_size=12, which="reached"), ALL),
    "naswot_wrappers": Case(Naswot(batch_size=12, which="wrappers"), ALL),
    "az_expressivity": Case(AzExpressivity(batch_size=4, **OWN), FIRST, "normal"),
    "az_progressivity": Case(AzProgressivity(batch_size=4, **OWN), FIRST, "normal"),
    "az_trainability": Case(AzTrainability(batch_size=4, **OWN), FIRST, "normal"),
    "plain": Case(Plain(batch_size=4)),
    "l2_norm": Case(L2Norm()),
    "grad_norm_layers": Case(GradNorm(batch_size=4)),
    "grad_norm_all": Case(GradNorm(batch_size=4, over="all")),
    "fisher_repeated": Case(Fisher(batch_size=4)),
    "fisher_channel": Case(Fisher(batch_size=4, per_channel=True)),
    "synflow": Case(SynFlow()),
    "synflow_bn": Case(SynFlow(bn="batch")),
    "logsynflow": Case(SynFlow(variant="log")),
    "zico_2": Case(Zico(batch_size=4, n_batches=2), range(8)),
    "zico_3": Case(Zico(batch_size=4, n_batches=3), ALL),
    "knas_sum": Case(Knas(n_samples=4)),
    "knas_mean": Case(Knas(n_samples=4, over="mean")),
    "macs": Case(Flops()),
    "macs_pool1": Case(Flops(convention="pool1")),
    "macs_poolk2": Case(Flops(convention="poolk2")),
    "macs_thop": Case(Flops(convention="thop")),
    "params_weights": Case(Params()),
    "params_all": Case(Params(over="all")),
    "live_weights": Case(LiveWeights()),
    "jacob_cov": Case(JacobCov(batch_size=12), ALL),
    "jacob_cov_noisy": Case(JacobCov(batch_size=12), ALL, "noisy"),
    "epe_nas": Case(EpeNas(batch_size=12), ALL),
    "epe_nas_many": Case(EpeNas(batch_size=12, many=True), ALL),
    "epe_nas_noisy": Case(EpeNas(batch_size=12), ALL, "noisy"),
    "linear_regions": Case(LinearRegions(batch_size=12), ALL),
    "linear_regions_near": Case(LinearRegions(batch_size=16), range(16), "near"),
    "swap": Case(Swap(batch_size=12, init=None), ALL),
    "zen": Case(Zen(batch_size=4, **OWN), range(8), "normal"),
    "ntk_condition": Case(NtkCondition(batch_size=12), ALL),
    "meco": Case(Meco(batch_size=4)),
}
ONLY_NB201 = {"naswot_wrappers"}
ROWS = {"equal_pair": [0, 0, 1, 2], "one_image": [0], "equal_batches": [0, 1, 2, 3, 0, 1, 2, 3]}
# as in the test of the reference
EQUAL_PAIR = 2 * 4 * EPS * 4 / 1e-5**2
STATUS = {"no_variance": "undefined", "log_of_zero": "undefined", "singular": "undefined"}


class Network:
    """One stored network with its stored scores."""

    def __init__(self, folder: Path, name: str) -> None:
        self.stored: dict[str, Any] = json.loads((folder / "scores" / f"{name}.json").read_text())
        nodes, weights, x, y = reference.from_golden(folder / f"{name}.npz")
        # the output of step i is called t<i>, its node i
        self.features = [int(t[1:]) for t in self.stored["settings"]["az_features"]]
        self.nodes, self.y = nodes, y
        with np.load(folder / "scores" / "inputs.npz") as file:
            stored = dict(file)
        self.images = {
            "x": x,
            "noisy": stored["noisy"],
            "near": stored["near"],
            "normal": np.concatenate([stored["normal_a"], stored["normal_b"]]),
        }
        self.signs = [stored[f"signs/{name}/{m}"] for m in range(1, len(self.features))]
        self.weights = weights

    def score(self, case: Case, graph: Graph | None = None) -> Any:
        if graph is None:
            graph = Graph.from_nodes(self.nodes, self.features)
        rows = list(case.rows)
        x = self.images[case.images][rows]
        y = self.y[rows] if case.images == "x" or len(rows) <= 12 else np.zeros(len(rows), np.int64)
        found = zeroshot.score(
            graph, x, y, scores=case.score, weights=self.weights, dtype="float64", n_threads=1
        )
        return found.scores[case.score.label]

    def with_unused_relu(self) -> Graph:
        relu = {**self.nodes[1], "id": 10**6, "op": "relu", "name": "unused", "inputs": [1]}
        relu |= {"attrs": {}, "weights": {}}
        return Graph.from_nodes([*self.nodes[:2], relu, *self.nodes[2:]], self.features)


Lookup = Callable[[str], Network]


@pytest.fixture(scope="module")
def stored_network(shared: Path) -> Lookup:
    folder = shared / "golden"
    if not (folder / "scores").is_dir():
        pytest.skip(f"no stored scores: {folder / 'scores'} is missing")
    return cache(lambda name: Network(folder, name))


def tolerance(stored: dict[str, Any], key: str) -> float:
    conditioning = stored["float64_rel_max"][key]
    return max(1e-12, 100 * conditioning, stored["tie_rel_max"].get(key, 0.0))


def assert_scored(got: Any, value: float | None, status: str, rel: float, what: str) -> None:
    assert got.status == STATUS.get(status, status), f"{what}: {got}"
    if status in STATUS:
        assert got.reason == status, f"{what}: {got}"
    if value is None:
        assert math.isnan(got.value), f"{what}: {got}"
    else:
        error, bound = abs(got.value - value), rel * abs(value)
        assert error <= bound, f"{what}: got {got.value!r}, expected {value!r}, {error=}, {bound=}"


def test_every_stored_key_is_tested(stored_network: Lookup) -> None:
    stored = {key for name in NETWORKS for key in stored_network(name).stored["scores"]}
    assert stored == set(SCORES)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, key)
        for name in NETWORKS
        for key in SCORES
        if name.startswith("nb201") or key not in ONLY_NB201
    ],
)
def test_score_matches_stored(stored_network: Lookup, name: str, key: str) -> None:
    network = stored_network(name)
    case, stored = SCORES[key], network.stored
    if key == "az_trainability":
        case = case._replace(score=replace(case.score, signs=network.signs))  # type: ignore[call-arg]
    value, status = stored["scores"][key], stored["status"].get(key, "ok")
    assert_scored(network.score(case), value, status, tolerance(stored, key), key)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("what", ["equal_pair", "one_image", "equal_batches", "unused_relu"])
def test_bad_input_matches_stored(stored_network: Lookup, name: str, what: str) -> None:
    network = stored_network(name)
    held = network.stored["cases"][what]
    for key, value in held["scores"].items():
        case, graph = SCORES[key], None
        if what == "unused_relu":
            graph = network.with_unused_relu()
        elif what == "equal_batches":
            case = case._replace(rows=ROWS[what])
        else:
            score = replace(case.score, batch_size=len(ROWS[what]))  # type: ignore[call-arg]
            case = Case(score, ROWS[what])
        # the cases have no conditioning of their own: that of the score on good input stands in
        rel = tolerance(network.stored, key)
        if (what, key) == ("equal_pair", "jacob_cov") and value is not None:
            rel = EQUAL_PAIR / abs(value)
        status = held["status"].get(key, "ok")
        assert_scored(network.score(case, graph), value, status, rel, f"{what}: {key}")
