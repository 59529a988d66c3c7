"""Plain: signed sum of weights times gradients."""

from __future__ import annotations

import numpy as np
import pytest

from zeroshot import reference
from zeroshot.scores import Plain, Snip

from .twins import NETWORKS, assert_matches_twin, case_of


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rows", [6, 1])
@pytest.mark.parametrize("name", NETWORKS)
def test_matches_reference(name: str, rows: int, dtype: str) -> None:
    case = case_of(NETWORKS[name](), rows)
    assert_matches_twin(Plain(batch_size=rows), reference.plain, case, dtype=dtype)


def test_sum_of_layers_is_the_value_and_snip_a_bound() -> None:
    case = case_of(NETWORKS["every op"]())
    both = case.score([Plain(batch_size=6), Snip(batch_size=6)])
    plain, snip = both.scores["plain"], both.scores["snip"]
    assert sum(plain.layers.values()) == pytest.approx(plain.value, rel=1e-12)
    assert all(abs(plain.layers[name]) <= snip.layers[name] for name in snip.layers)


def test_one_class_has_no_signal() -> None:
    """The loss is zero whatever the weights."""
    case = case_of(NETWORKS["usual"]())
    nodes = [dict(node) for node in case.nodes]
    head = nodes[-1]
    head["attrs"], head["shape"] = {**head["attrs"], "out_features": 1}, (1, 1, 1)
    weights = {**case.weights}
    for name in head["weights"].values():
        weights[name] = weights[name][:1]
    single = case._replace(nodes=nodes, weights=weights, y=np.zeros(6, np.int64))
    got = single.one(Plain(batch_size=6))
    assert (got.value, got.status) == (0.0, "no_signal")
