"""SynFlow and its relatives: flows through absolute weights."""

from __future__ import annotations

import numpy as np
import pytest

from zeroshot import reference

from .small import Net, every_op, usual

A, B = np.array([[2.0], [-3.0]]), np.array([[-5.0, 7.0]])


def two_layers() -> Net:
    """Logit ``B A x``; absolute: 10 + 21 = 31 for x = 1."""
    net = Net((1, 1, 1))
    net.linear(2)
    net.linear(1)
    net.weights = {"n1.weight": A, "n2.weight": B}
    return net


def test_flows_by_hand() -> None:
    net = two_layers()
    of = (net.nodes, net.weights)
    assert reference.synflow(*of).value == 2 * 31.0
    expected = 2 * np.log(6.0) + 3 * np.log(8.0) + 5 * np.log(3.0) + 7 * np.log(4.0)
    assert reference.logsynflow(*of).value == pytest.approx(expected, rel=1e-15)
    # two channels in the first layer, one in the second
    assert reference.syncflow(*of).value == -(31.0 / 2 + 31.0)


def test_synflow_of_a_chain_is_its_depth_times_the_flow() -> None:
    """Without biases every layer passes on all of R (Tanaka et al.: flow is conserved)."""
    net = Net((3, 8, 8))
    net.conv(4)
    net.bn()
    net.step("relu")
    net.conv(6, stride=(2, 2))
    net.pool("avg_pool")
    net.conv(4, groups=2)
    net.head(5)
    absolute = {name: np.abs(w) for name, w in net.weights.items()}
    nodes = reference.without_batch_norm(net.nodes)
    r = reference.forward(nodes, absolute, np.ones((1, 3, 8, 8))).logits.sum()
    assert reference.synflow(net.nodes, net.weights).value == pytest.approx(4 * r, rel=1e-13)


def test_signs_of_the_weights_do_not_matter() -> None:
    net = usual(bias=True)
    flipped = {name: -w for name, w in net.weights.items()}
    for score in (reference.synflow, reference.logsynflow, reference.syncflow):
        assert score(net.nodes, flipped) == score(net.nodes, net.weights)


def test_a_negative_coefficient_can_leave_no_logarithm() -> None:
    got = reference.logsynflow(every_op().nodes, every_op().weights)
    assert (got.status, got.reason) == ("undefined", "log_of_negative")


def test_norms_that_are_off_already_stay_off() -> None:
    """A network may keep some of its norms: its nodes say which."""
    net = usual()
    off = reference.without_batch_norm(net.nodes)
    expected = reference.synflow(net.nodes, net.weights, bn="identity")
    assert reference.synflow(off, net.weights, bn="batch") == expected
    assert reference.synflow(net.nodes, net.weights, bn="batch") != expected
    with pytest.raises(ValueError, match="bn: expected 'identity' or 'batch', got 'none'"):
        reference.synflow(net.nodes, net.weights, bn="none")  # type: ignore[arg-type]


def test_biases_feed_the_flow() -> None:
    """Made absolute like all else: logit |w| 1 + |b|, so dR/dw of a layer behind it grows."""
    net = Net((1, 1, 1))
    net.linear(1, bias=True)
    net.linear(1)
    net.weights = {
        "n1.weight": np.array([[2.0]]), "n1.bias": np.array([-3.0]),
        "n2.weight": np.array([[5.0]]),
    }  # fmt: skip
    assert reference.synflow(net.nodes, net.weights).value == 2 * 5 + 5 * (2 + 3)
