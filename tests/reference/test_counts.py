"""Counts and ranks, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from zeroshot import reference

from .small import Net, usual


def mixed() -> Net:
    net = Net((4, 8, 8))
    net.conv(6, groups=2, stride=(2, 2), bias=True)  # 6 x 4 x 4 outputs of 2 x 3 x 3 weights
    net.bn()
    net.pool("avg_pool", kernel=(3, 2), padding=(1, 0))  # 6 x 4 x 3 outputs
    net.bn(affine=False)
    net.pool("max_pool")
    net.head(5, bias=True)
    return net


def test_counts_by_hand() -> None:
    net = mixed()
    of = (net.nodes, net.weights)
    macs = 96 * 18 + 5 * 6
    assert reference.macs(*of).value == macs
    assert reference.macs_pool1(*of).value == macs + 72
    assert reference.macs_poolk2(*of).value == macs + 72 * 6
    assert reference.macs_thop(*of).value == macs + 72 + 4 * 96 + 2 * 72
    assert reference.params_weights(*of).value == 6 * 18 + 30
    assert reference.params_all(*of).value == 6 * 18 + 30 + 6 + 12 + 5
    assert reference.live_weights(*of).value == 6 * 18 + 30


def test_norms_that_are_off_are_not_counted() -> None:
    net = mixed()
    of = (reference.without_batch_norm(net.nodes), net.weights)
    assert reference.macs_thop(*of).value == reference.macs_pool1(*of).value
    assert reference.params_all(*of).value == 6 * 18 + 30 + 6 + 5


def test_running_statistics_are_no_parameters() -> None:
    net = Net((3, 2, 2))
    net.bn(mode="running")
    net.head(2)
    assert reference.params_all(net.nodes, net.weights).value == 6 + 6


def test_live_weights_have_a_path_on_both_sides() -> None:
    """A convolution that only a ``zero`` feeds is as dead as one that only feeds a ``zero``."""
    net = Net((2, 4, 4))
    stem = net.conv(3)  # 54
    before = net.zero(net.conv(3, stem))
    behind = net.conv(3, net.zero(stem))
    net.add(stem, before, behind)
    net.head(2)  # 6
    of = (net.nodes, net.weights)
    assert reference.params_weights(*of).value == 54 + 81 + 81 + 6
    assert reference.live_weights(*of).value == 60


def test_no_live_path_leaves_no_live_weight() -> None:
    """The stem and the classifier included."""
    net = usual(blocked=True)
    assert reference.live_weights(net.nodes, net.weights) == reference.Scored(0.0)
    assert reference.params_weights(net.nodes, net.weights).value > 0


def test_average_ranks_of_ties_and_of_what_is_undefined() -> None:
    got = reference.average_ranks([2.0, -np.inf, 2.0, np.nan, np.inf, 2.0])
    assert got.tolist() == [4.0, 1.5, 4.0, 1.5, 6.0, 4.0]
    assert reference.average_ranks([]).tolist() == []


def test_ranks_do_not_depend_on_the_order_of_the_pool() -> None:
    values = np.array([3.0, 1.0, 2.0, 2.0, np.nan])
    order = np.array([4, 2, 0, 1, 3])
    ranks = reference.average_ranks(values)
    np.testing.assert_array_equal(reference.average_ranks(values[order]), ranks[order])


def test_az_nas_rank_by_hand() -> None:
    """Ranks 1, 2, 3 and 3, 1.5, 1.5 of three."""
    got = reference.az_nas_rank([[0.0, 1.0, 5.0], [7.0, np.nan, -np.inf]])
    expected = np.log([1 / 3 * 3 / 3, 2 / 3 * 0.5, 3 / 3 * 0.5])
    np.testing.assert_allclose(got, expected, rtol=1e-15)
    assert reference.az_nas_rank([[5.0], [1.0]]).tolist() == [0.0]


def test_te_nas_rank_by_hand() -> None:
    """A small condition number ranks high; one that is undefined ranks lowest."""
    got = reference.te_nas_rank([np.nan, 10.0, 2.0], [9.0, 5.0, 5.0])
    assert got.tolist() == [1 + 3, 2 + 1.5, 3 + 1.5]


@pytest.mark.parametrize("name", ["macs", "params_weights", "params_all", "live_weights"])
def test_counts_are_whole_and_ok(name: str) -> None:
    net = usual()
    got = getattr(reference, name)(net.nodes, net.weights)
    assert got.status == "ok" and got.value == int(got.value) > 0
