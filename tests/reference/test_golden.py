"""The oracle against stored results of PyTorch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zeroshot import reference

from ..stored import NETWORKS
from .common import FLOAT32, NETWORK, SCORE, TENSOR, VARIANTS, XI, Array, assert_close, largest, of

WITH_DEAD_WEIGHTS = {"nb201_d_dead_edges", "nb201_e_zero_output"}


class Golden:
    """One stored network, what is expected of it and what the reference makes of it."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        with np.load(path, allow_pickle=False) as file:
            self.arrays: dict[str, NDArray[Any]] = dict(file)
        self.scores: dict[str, float] = json.loads(str(self.arrays["scores"]))
        self.problem = reference.from_golden(self.arrays)
        nodes, weights, x, y = self.problem
        self.batch = reference.run(nodes, weights, x, y, group_size=4)
        self.sample = reference.run(nodes, weights, x[:4], y[:4], group_size=1)
        self.expected = {
            name: np.stack([self.arrays[f"g{j}/{name}"] for j in range(3)]) for name in weights
        }
        self.counted = reference.counted_weights(nodes)

    def samples(self, dtype: type[np.floating[Any]]) -> dict[str, NDArray[Any]]:
        return {name: self.arrays[f"s/{name}"].astype(dtype) for name in self.counted}


@pytest.fixture(scope="module", params=NETWORKS)
def golden(request: pytest.FixtureRequest, shared: Path) -> Golden:
    path = shared / "golden" / f"{request.param}.npz"
    if not path.exists():
        pytest.skip(f"{path} is absent; set ZEROSHOT_SHARED to the folder that holds golden/")
    return Golden(path)


def test_losses_and_logits_match_golden(golden: Golden) -> None:
    logits = golden.arrays["logits"]
    assert_close(golden.batch.logits, logits, TENSOR * np.abs(logits).max(), "logits")
    assert_close(golden.batch.losses, golden.arrays["loss"], TENSOR, "loss")
    assert_close(golden.sample.losses, golden.arrays["sample_loss"], TENSOR, "sample loss")


def test_batch_gradients_match_golden(golden: Golden) -> None:
    assert set(golden.batch.gradients) == set(golden.expected)
    noise = NETWORK * largest(golden.expected)
    for name, expected in golden.expected.items():
        bound = TENSOR * np.abs(expected).max() + noise
        assert_close(golden.batch.gradients[name], expected, bound, name)


def test_sample_gradients_match_golden(golden: Golden) -> None:
    assert golden.counted == json.loads(str(golden.arrays["meta"]))["counted"]
    stored = golden.samples(np.float64)
    noise = NETWORK * largest(stored)
    for name, expected in stored.items():
        bound = TENSOR * np.abs(expected).max() + noise + FLOAT32 * np.abs(expected)
        assert_close(golden.sample.gradients[name], expected, bound, name)


def test_dead_weights_have_exactly_zero_gradients(golden: Golden) -> None:
    dead = {name for name in golden.counted if not golden.expected[name].any()}
    assert bool(dead) == (golden.name in WITH_DEAD_WEIGHTS)
    assert dead == {name for name in golden.counted if not golden.batch.gradients[name].any()}


def test_skipping_dead_nodes_changes_nothing_finite(golden: Golden) -> None:
    skipped = reference.run(*golden.problem, group_size=4, dead="skip")
    np.testing.assert_array_equal(skipped.logits, golden.batch.logits)
    for name, g in golden.batch.gradients.items():
        np.testing.assert_array_equal(skipped.gradients[name], g, err_msg=name)


def score_bound(variant: str, expected: Array, deviation: float) -> float:
    """How far a tensor's share of a score can move when no gradient moves by more than `deviation`.

    The mean then moves by at most `deviation`, and so does the standard deviation (it is the
    distance from the constants in the mean-square norm, which the largest entry bounds).
    """
    mean, std = np.abs(expected.mean(axis=0)), expected.std(axis=0)
    ends = []
    for sign in (-1, 0, 1):
        m2 = np.maximum(mean + sign * deviation, 0) ** 2
        var = np.maximum(std - sign * deviation, 0) ** 2
        ratio: Callable[[Array, Array], Array] = {
            "mean2": lambda m2, var: m2,
            "inv_var": lambda m2, var: 1 / var[std > 0],
            "inv_var_xi": lambda m2, var: 1 / (var + XI),
            "gsnr": lambda m2, var: m2[std > 0] / var[std > 0],
            "xi_gsnr": lambda m2, var: m2 / (var + XI),
        }[variant]
        ends.append(ratio(m2, var))
    low, middle, high = ends
    return float(np.maximum(high - middle, middle - low).sum() + SCORE * np.abs(middle).sum())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("accumulate", [False, True], ids=["eq10", "cum"])
def test_xi_gsnr_matches_golden(golden: Golden, variant: Any, accumulate: bool) -> None:
    stored = of(golden.counted, golden.expected)
    score = golden.scores[f"{'cum' if accumulate else 'eq10'}_{variant}"]

    # from the stored gradients: nothing but the score's own rounding
    same = reference.xi_gsnr(stored, xi=XI, variant=variant, accumulate=accumulate)
    assert_close(same, score, SCORE * abs(score), variant)

    # from our gradients: what their deviation can cause, which must be little
    bound = SCORE * abs(score)
    for name, rows in stored.items():
        deviation = float(np.abs(golden.batch.gradients[name] - rows).max())
        if accumulate:
            rows, deviation = rows.cumsum(axis=0), deviation * len(rows)
        bound += score_bound(variant, rows, deviation)
    assert bound <= 1e-6 * abs(score), "the bound must bind"
    ours = of(golden.counted, golden.batch.gradients)
    got = reference.xi_gsnr(ours, xi=XI, variant=variant, accumulate=accumulate)
    assert_close(got, score, bound, variant)


def test_gradsign_matches_golden(golden: Golden) -> None:
    assert reference.gradsign(golden.samples(np.float32)) == golden.scores["gradsign"]
    ours = of(golden.counted, golden.sample.gradients)
    noise_free = golden.scores["gradsign_noise_as_zero"]
    assert reference.gradsign(ours, zero_tol=1e-12) == noise_free
    if golden.name != "darts_cells":  # there, signs of rounding noise
        assert reference.gradsign(ours) == noise_free
    n_weights = sum(g[0].size for g in ours.values())
    assert reference.gradsign(ours, zero_tol=1e-12, reduction="mean") == noise_free / n_weights


def test_sweet_counts_match_golden(golden: Golden) -> None:
    edges = golden.arrays["sweet_edges"]
    np.testing.assert_array_equal(reference.sweet_edges(), edges)
    ours = [golden.batch.gradients[name][0] for name in golden.counted]
    stored = [golden.expected[name][0] for name in golden.counted]
    for g, expected in zip(ours, stored, strict=True):  # equality is fair: no gradient on an edge
        to_edge = np.abs(np.abs(expected)[..., None] - edges[1:]).min(axis=-1)
        assert (np.abs(g - expected) < to_edge).all()
    np.testing.assert_array_equal(
        reference.sweet_histogram(ours, edges), golden.arrays["sweet_hist"]
    )
    for lo, hi in (("5e-4", "1e-3"), ("1e-3", "5e-3")):
        count = reference.sweet_count(ours, float(lo), float(hi))
        assert count == golden.scores[f"sweet_{lo}_{hi}"]
