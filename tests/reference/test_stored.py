"""The oracle against our own stored networks, and these against central differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeroshot import reference

from .common import (
    EPS,
    FLOAT32,
    GOLDEN,
    NETWORK,
    SCORE,
    TENSOR,
    VARIANTS,
    assert_close,
    largest,
    of,
)

STORED = sorted(GOLDEN.glob("*.npz"))


def test_stored_networks_are_there() -> None:
    assert [path.name for path in STORED] == ["nb201_tiny.npz", "odd_ops.npz"]
    assert sum(path.stat().st_size for path in STORED) < 300_000


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_network_is_reproduced(path: Path) -> None:
    stored = reference.load_golden(path)
    nodes, weights, x, y = stored.problem
    got = reference.run(nodes, weights, x, y, loss=stored.loss, group_size=stored.group_size)
    noise = NETWORK * largest(stored.result.gradients)
    assert_close(got.logits, stored.result.logits, TENSOR, "logits")
    assert_close(got.losses, stored.result.losses, TENSOR, "losses")
    assert set(got.gradients) == set(stored.result.gradients)
    for name, expected in stored.result.gradients.items():
        bound = TENSOR * np.abs(expected).max() + noise
        assert_close(got.gradients[name], expected, bound, name)
    n = len(next(iter(stored.sample_gradients.values())))
    alone = reference.run(nodes, weights, x[:n], y[:n], group_size=1).gradients
    counted = reference.counted_weights(nodes)
    assert set(stored.sample_gradients) == set(counted)
    for name, sample in stored.sample_gradients.items():
        rounding = FLOAT32 * np.abs(sample) + TENSOR * np.abs(sample).max() + noise
        assert_close(alone[name], sample, rounding, name)
    scores = stored.scores
    batch = of(counted, stored.result.gradients)
    for variant in VARIANTS:
        score = reference.xi_gsnr(batch, variant=variant)  # type: ignore[arg-type]
        assert_close(score, scores[f"eq10_{variant}"], SCORE * abs(score), variant)
    assert reference.gradsign(of(counted, alone)) == scores["gradsign"]
    first = [g[0] for g in batch.values()]
    assert reference.sweet_count(first, 1e-3, 5e-3) == scores["sweet_1e-3_5e-3"]


@pytest.mark.parametrize("loss", ["cross_entropy", "sum_logits"])
@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_network_gradients_match_central_differences(path: Path, loss: Any) -> None:
    stored = reference.load_golden(path)
    (nodes, weights, x, y), size = stored.problem, stored.group_size
    got = reference.run(nodes, weights, x, y, loss=loss, group_size=size)
    rng = np.random.default_rng(0)
    # small against the distance to the next kink, which these networks keep above 1e-5
    step = 1e-7
    for name, gradient in got.gradients.items():
        index = tuple(int(rng.integers(n)) for n in gradient.shape[1:])
        ways = [
            reference.central_difference(
                nodes, weights, x, y, name, index, step=s, loss=loss, group_size=size
            )
            for s in (step, 2 * step)
        ]
        rounding = 64 * EPS * (1 + np.abs(got.losses)) / step
        truncation = np.abs(ways[1] - ways[0])
        entry = [g[index] for g in gradient]
        assert_close(entry, ways[0], rounding + truncation, f"{name} {index}, groups")


def test_node_list_covers_every_op() -> None:
    used = {n["op"] for path in STORED for n in reference.load_golden(path).problem.nodes}
    assert used == {
        "input", "conv2d", "linear", "batch_norm", "relu", "max_pool", "avg_pool",
        "global_avg_pool", "add", "concat", "zero", "identity", "shift",
    }  # fmt: skip
