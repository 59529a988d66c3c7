"""Every stored score of the eight networks, to the tolerance that is stored beside it.

The stored values are float64 results of another program; ``float64_rel_max`` is the largest
relative change of a score when weights move by one float64 unit, its conditioning. What two
programs that add up in different order may differ by: ``max(1e-12, 100 float64_rel_max)``,
relative. One exception,
from the README of the stored values: images with equal pixels have max-pool windows with equal
maxima, which of them the gradient takes is a matter of the last bit, and ``tie_rel_max`` is what
that does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zeroshot import reference
from zeroshot.reference import Scored

from ..stored import NETWORKS

EPS = float(np.finfo(np.float64).eps)
EVERYWHERE = [
    "snip", "grasp", "plain", "l2_norm", "grad_norm_layers", "grad_norm_all", "fisher_repeated",
    "fisher_channel", "synflow", "synflow_bn", "logsynflow", "naswot_all", "naswot_reached",
    "jacob_cov", "epe_nas", "epe_nas_many", "jacob_cov_noisy", "epe_nas_noisy", "ntk_condition",
    "linear_regions", "linear_regions_near", "swap", "zen", "zico_2", "zico_3", "knas_sum",
    "knas_mean", "az_expressivity", "az_progressivity", "az_trainability", "meco", "macs",
    "macs_pool1", "macs_poolk2", "macs_thop", "params_weights", "params_all", "live_weights",
]  # fmt: skip
ONLY_NB201 = ["naswot_wrappers"]
BAD_INPUT = [
    "snip", "naswot_all", "jacob_cov", "epe_nas", "ntk_condition", "linear_regions", "swap",
]  # fmt: skip
CASES = {
    *((case, key) for case in ("equal_pair", "one_image") for key in BAD_INPUT),
    ("equal_batches", "zico_2"),
    ("unused_relu", "naswot_all"),
    ("unused_relu", "naswot_reached"),
}
# `jacob_cov` of two equal images has an eigenvalue v = 0 in its term 1 / (v + k). A symmetric
# solver finds up to n eps lambda_max there, lambda_max <= n = 4, and as much comes again from
# the roundings of the matrix.
EQUAL_PAIR = 2 * 4 * EPS * 4 / 1e-5**2
# What a stored status is called here.
STATUS = {
    "ok": ("ok", {None}),
    "no_signal": ("no_signal", {"all_zero", "blocked_cell"}),
    "undefined": (
        "undefined",
        {"all_zero", "constant_row", "constant_feature", "one_image"},
    ),
    "no_variance": ("undefined", {"no_variance"}),
    "log_of_zero": ("undefined", {"log_of_zero"}),
    "singular": ("undefined", {"singular"}),
}


class Network:
    """One stored network with its stored scores, and what the twins make of it, each once."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.stored: dict[str, Any] = json.loads((folder / "scores" / f"{name}.json").read_text())
        self.problem = reference.from_golden(folder / f"{name}.npz")
        with np.load(folder / "scores" / "inputs.npz") as file:
            self.inputs: dict[str, NDArray[Any]] = dict(file)
        # the output of step i is called t<i>, its node i
        self.features = [int(t[1:]) for t in self.stored["settings"]["az_features"]]
        self.signs = [self.inputs[f"signs/{name}/{m}"] for m in range(1, len(self.features))]
        self.found: dict[str, Scored] = {}

    def score(self, key: str) -> Scored:
        if key not in self.found:
            self.found[key] = self._score(key)
        return self.found[key]

    def _score(self, key: str) -> Scored:
        nodes, w, x, y = self.problem
        four = (nodes, w, x[:4], y[:4])
        noisy, near = self.inputs["noisy"], self.inputs["near"]
        a, b = self.inputs["normal_a"], self.inputs["normal_b"]
        features = self.features
        match key:
            case "snip" | "grasp" | "plain":
                return getattr(reference, key)(*four)
            case "l2_norm":
                return reference.l2_norm(nodes, w)
            case "grad_norm_layers":
                return reference.grad_norm(*four, over="layers")
            case "grad_norm_all":
                return reference.grad_norm(*four, over="all")
            case "fisher_repeated":
                return reference.fisher(*four)
            case "fisher_channel":
                return reference.fisher(*four, per_channel=True)
            case "synflow":
                return reference.synflow(nodes, w, bn="identity")
            case "synflow_bn":
                return reference.synflow(nodes, w, bn="batch")
            case "logsynflow":
                return reference.logsynflow(nodes, w)
            case "naswot_all" | "naswot_reached" | "naswot_wrappers":
                return reference.naswot(nodes, w, x, which=key.removeprefix("naswot_"))
            case "jacob_cov":
                return reference.jacob_cov(nodes, w, x)
            case "epe_nas":
                return reference.epe_nas(nodes, w, x, y)
            case "epe_nas_many":
                return reference.epe_nas(nodes, w, x, y, many=True)
            case "jacob_cov_noisy":
                return reference.jacob_cov(nodes, w, noisy)
            case "epe_nas_noisy":
                return reference.epe_nas(nodes, w, noisy, y)
            case "ntk_condition":
                return reference.ntk_condition(nodes, w, x)
            case "linear_regions":
                return reference.linear_regions(nodes, w, x)
            case "linear_regions_near":
                return reference.linear_regions(nodes, w, near)
            case "swap":
                return reference.swap(nodes, w, x)
            case "zen":
                alpha = self.stored["settings"]["zen_alpha"]
                return reference.zen(nodes, w, a, b, alpha=alpha)
            case "zico_2":
                return reference.zico(nodes, w, x[:8], y[:8], n_batches=2)
            case "zico_3":
                return reference.zico(nodes, w, x, y, n_batches=3)
            case "knas_sum":
                return reference.knas(*four, over="sum")
            case "knas_mean":
                return reference.knas(*four, over="mean")
            case "az_expressivity" | "az_progressivity":
                return getattr(reference, key)(nodes, w, a, features=features)
            case "az_trainability":
                return reference.az_trainability(nodes, w, a, features=features, signs=self.signs)
            case "meco":
                return reference.meco(nodes, w, x[:4])
            case _:
                return getattr(reference, key)(nodes, w)

    def case(self, case: str, key: str) -> Scored:
        nodes, w, x, y = self.problem
        if case == "equal_batches":
            rows = [0, 1, 2, 3, 0, 1, 2, 3]
            return reference.zico(nodes, w, x[rows], y[rows], n_batches=2)
        if case == "unused_relu":
            relu = {**nodes[1], "id": -1, "op": "relu", "name": "unused", "inputs": [1]}
            relu |= {"attrs": {}, "weights": {}}
            which = key.removeprefix("naswot_")
            return reference.naswot([*nodes[:2], relu, *nodes[2:]], w, x, which=which)
        rows = {"equal_pair": [0, 0, 1, 2], "one_image": [0]}[case]
        match key:
            case "snip":
                return reference.snip(nodes, w, x[rows], y[rows])
            case "epe_nas":
                return reference.epe_nas(nodes, w, x[rows], y[rows])
            case "naswot_all":
                return reference.naswot(nodes, w, x[rows])
            case _:
                return getattr(reference, key)(nodes, w, x[rows])


Lookup = Callable[[str], Network]


@pytest.fixture(scope="module")
def stored_network(shared: Path) -> Lookup:
    folder = shared / "golden"
    if not (folder / "scores").is_dir():
        pytest.skip(f"no stored scores: {folder / 'scores'} is missing")
    return cache(lambda name: Network(folder, name))


def assert_scored(got: Scored, value: float | None, status: str, rel: float, what: str) -> None:
    expected_status, reasons = STATUS[status]
    assert (got.status, got.reason in reasons) == (expected_status, True), f"{what}: {got}"
    if value is None:
        assert math.isnan(got.value), f"{what}: {got}"
    else:
        error, bound = abs(got.value - value), rel * abs(value)
        assert error <= bound, f"{what}: got {got.value!r}, expected {value!r}, {error=}, {bound=}"


def tolerance(stored: dict[str, Any], key: str) -> float:
    conditioning = stored["float64_rel_max"][key]
    return max(1e-12, 100 * conditioning, stored["tie_rel_max"].get(key, 0.0))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_stored_key_is_tested(stored_network: Lookup, name: str) -> None:
    network = stored_network(name)
    only = ONLY_NB201 if network.name.startswith("nb201") else []
    assert set(network.stored["scores"]) == {*EVERYWHERE, *only}
    stored = {(c, k) for c, held in network.stored["cases"].items() for k in held["scores"]}
    assert stored == CASES


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *((name, key) for name in NETWORKS for key in EVERYWHERE),
        *((name, key) for name in NETWORKS if name.startswith("nb201") for key in ONLY_NB201),
    ],
)
def test_score_matches_stored(stored_network: Lookup, name: str, key: str) -> None:
    network = stored_network(name)
    stored = network.stored
    value, status = stored["scores"][key], stored["status"].get(key, "ok")
    assert_scored(network.score(key), value, status, tolerance(stored, key), key)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("case", "key"), sorted(CASES))
def test_case_matches_stored(stored_network: Lookup, name: str, case: str, key: str) -> None:
    network = stored_network(name)
    held = network.stored["cases"][case]
    value, status = held["scores"][key], held["status"].get(key, "ok")
    # the cases have no conditioning of their own: that of the score on good input stands in
    rel = tolerance(network.stored, key)
    if (case, key) == ("equal_pair", "jacob_cov") and value is not None:
        rel = EQUAL_PAIR / abs(value)
    assert_scored(network.case(case, key), value, status, rel, f"{case}: {key}")


def test_pool_ranks_match_stored(stored_network: Lookup, shared: Path) -> None:
    stored = json.loads((shared / "golden" / "scores" / "pool.json").read_text())
    pool = {name: stored_network(name) for name in NETWORKS}
    components = ["az_expressivity", "az_progressivity", "az_trainability", "macs"]
    az_nas = reference.az_nas_rank(
        [[net.score(key).value for net in pool.values()] for key in components]
    )
    assert list(stored["az_nas"]) == list(pool)
    np.testing.assert_allclose(az_nas, list(stored["az_nas"].values()), rtol=1e-12, atol=0)
    both = [n for n, net in pool.items() if net.score("ntk_condition").status == "ok"]
    te_nas = reference.te_nas_rank(
        [pool[n].score("ntk_condition").value for n in both],
        [pool[n].score("linear_regions_near").value for n in both],
    )
    assert dict(zip(both, te_nas.tolist(), strict=True)) == stored["te_nas"]
