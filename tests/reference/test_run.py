"""Networks in the oracle: groups, dead branches, bad input."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from zeroshot import reference

from .common import GOLDEN, NAN


@pytest.fixture
def odd() -> reference.Problem:
    return reference.load_golden(GOLDEN / "odd_ops.npz").problem


def test_groups_do_not_see_each_other(odd: reference.Problem) -> None:
    nodes, weights, x, y = odd
    together = reference.run(nodes, weights, x, y, group_size=2)
    for j in range(3):
        rows = slice(2 * j, 2 * j + 2)
        alone = reference.run(nodes, weights, x[rows], y[rows])
        np.testing.assert_array_equal(together.logits[rows], alone.logits)
        assert together.losses[j] == alone.losses[0]
        for name, g in alone.gradients.items():
            np.testing.assert_array_equal(together.gradients[name][j], g[0], err_msg=name)


def test_nan_stays_in_its_group(odd: reference.Problem) -> None:
    nodes, weights, x, y = odd
    x = x.copy()
    x[2, 0, 5, 5] = NAN
    result = reference.run(nodes, weights, x, y, group_size=2)
    np.testing.assert_array_equal(np.isnan(result.losses), [False, True, False])
    stem = result.gradients["stem.conv.weight"]
    np.testing.assert_array_equal(np.isnan(stem).any(axis=(1, 2, 3, 4)), [False, True, False])


def test_nan_in_a_dead_branch_counts_unless_skipped() -> None:
    nodes, weights, x, y = reference.load_golden(GOLDEN / "nb201_tiny.npz").problem
    name = "cell1.1-2.conv.weight"
    live = reference.live_nodes(nodes)
    assert next(n["id"] for n in nodes if name in n["weights"].values()) not in live
    weights = {**weights, name: np.full_like(weights[name], NAN)}
    assert np.isnan(reference.run(nodes, weights, x, y).losses).all()
    skipped = reference.run(nodes, weights, x, y, dead="skip")
    assert np.isfinite(skipped.losses).all()
    assert not skipped.gradients[name].any()


def test_activations_are_kept_on_request(odd: reference.Problem) -> None:
    nodes, weights, x, y = odd
    result = reference.run(nodes, weights, x, y, group_size=2, keep_activations=True)
    assert {i: a.shape for i, a in result.activations.items()} == {
        n["id"]: (6, *n["shape"]) for n in nodes
    }
    np.testing.assert_array_equal(result.activations[0], x)
    np.testing.assert_array_equal(result.activations[nodes[-1]["id"]][:, :, 0, 0], result.logits)
    assert not reference.run(nodes, weights, x, y).activations


def test_running_statistics_get_no_gradient(odd: reference.Problem) -> None:
    assert "dil.bn.running_mean" in odd.weights
    gradients = reference.run(*odd).gradients
    assert set(gradients) == {name for name in odd.weights if ".running_" not in name}


def test_missing_weight_is_named(odd: reference.Problem) -> None:
    nodes, weights, x, y = odd
    del weights["dil.bn.beta"]
    with pytest.raises(reference.MissingWeight, match=r"'dil\.bn'.*'dil\.bn\.beta' as its beta"):
        reference.run(nodes, weights, x, y)
    with pytest.raises(reference.MissingWeight, match=r"name: .* got 'nowhere'"):
        reference.central_difference(nodes, weights, x, y, "nowhere", (0,))
    program = json.dumps(
        [{"op": "linear", "in": ["t0"], "out": "t1", "weight": "fc.weight", "bias": "fc.bias"}]
    )
    arrays = {"program": np.array(program), "x": x, "y": y, "w/fc.weight": np.ones((2, 3))}
    with pytest.raises(reference.MissingWeight, match=r"'t1' needs the array 'w/fc\.bias'"):
        reference.from_golden(arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group_size": 4}, "group_size: expected a divisor of the 6 rows of x, got 4"),
        ({"group_size": 0}, "group_size: "),
        ({"loss": "mse"}, "loss: .* got 'mse'"),
        ({"dead": "drop"}, "dead: .* got 'drop'"),
        ({"y": None}, "y: expected labels"),
        ({"y": [0, 1, 2, 3, 4, 6]}, r"y: expected labels in \[0, 6\), got 0..6"),
        ({"y": [0, 1, 2, 3, 4, -1]}, "got -1..4"),
        ({"y": np.zeros(6)}, "y: expected 6 integers, got float64"),
        ({"y": [0, 1]}, "y: expected 6 integers"),
        ({"x": np.zeros((6, 3, 10, 12))}, "x: expected shape"),
        ({"x": np.zeros((0, 3, 12, 10))}, "x: expected shape"),
    ],
)
def test_bad_arguments_are_named(
    odd: reference.Problem, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        reference.run(**{**odd._asdict(), **change})


@pytest.mark.parametrize(
    ("node", "change", "message"),
    [
        (3, {"op": "fold"}, "nodes: node 3 .* unknown op"),
        (3, {"inputs": [4]}, "reads node 4, not defined before it"),
        (3, {"inputs": []}, "has no inputs"),
        (3, {"id": 2}, "repeats an id"),
        (3, {"shape": (5, 12, 9)}, "says .* comes out"),
        (0, {"op": "relu"}, "first node has op 'input'"),
        (-1, {"shape": (6, 1, 2)}, r"expected logits of shape \(K, 1, 1\)"),
    ],
)
def test_bad_nodes_are_named(
    odd: reference.Problem, node: int, change: dict[str, Any], message: str
) -> None:
    odd.nodes[node].update(change)
    with pytest.raises(ValueError, match=message):
        reference.run(*odd)
