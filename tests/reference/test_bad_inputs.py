"""What each score says of input that leaves nothing to score: value and status, one row a case."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zeroshot import reference
from zeroshot.reference import Scored

from .small import Array, Net, batch, cells_of, usual

Labels = NDArray[np.int64]


def az(name: str) -> Callable[[Net, Array, Labels], Scored]:
    def score(net: Net, x: Array, y: Labels) -> Scored:
        of, features = (net.nodes, net.weights, x), cells_of(net)
        if name != "az_trainability":
            return getattr(reference, name)(*of, features=features)  # type: ignore[no-any-return]
        rng = np.random.default_rng(0)
        shapes = [(len(x), *net.nodes[i]["shape"]) for i in features[1:]]
        signs = [rng.choice([-1.0, 1.0], shape) for shape in shapes]
        return reference.az_trainability(*of, features=features, signs=signs)

    return score


def noise(x: Array) -> Array:
    return np.random.default_rng(9).standard_normal(x.shape)


r = reference
SCORES: dict[str, Callable[[Net, Array, Labels], Scored]] = {
    "snip": lambda n, x, y: r.snip(n.nodes, n.weights, x, y),
    "plain": lambda n, x, y: r.plain(n.nodes, n.weights, x, y),
    "grasp": lambda n, x, y: r.grasp(n.nodes, n.weights, x, y),
    "l2_norm": lambda n, x, y: r.l2_norm(n.nodes, n.weights),
    "grad_norm_layers": lambda n, x, y: r.grad_norm(n.nodes, n.weights, x, y),
    "grad_norm_all": lambda n, x, y: r.grad_norm(n.nodes, n.weights, x, y, over="all"),
    "fisher_repeated": lambda n, x, y: r.fisher(n.nodes, n.weights, x, y),
    "fisher_channel": lambda n, x, y: r.fisher(n.nodes, n.weights, x, y, per_channel=True),
    "zico": lambda n, x, y: r.zico(n.nodes, n.weights, x, y),
    "knas": lambda n, x, y: r.knas(n.nodes, n.weights, x, y),
    "synflow": lambda n, x, y: r.synflow(n.nodes, n.weights),
    "synflow_bn": lambda n, x, y: r.synflow(n.nodes, n.weights, bn="batch"),
    "logsynflow": lambda n, x, y: r.logsynflow(n.nodes, n.weights),
    "syncflow": lambda n, x, y: r.syncflow(n.nodes, n.weights),
    "naswot": lambda n, x, y: r.naswot(n.nodes, n.weights, x),
    "linear_regions": lambda n, x, y: r.linear_regions(n.nodes, n.weights, x),
    "swap": lambda n, x, y: r.swap(n.nodes, n.weights, x),
    "zen": lambda n, x, y: r.zen(n.nodes, n.weights, x, noise(x)),
    "activations": lambda n, x, y: r.activation_count(n.nodes, n.weights, x),
    "meco": lambda n, x, y: r.meco(n.nodes, n.weights, x),
    "jacob_cov": lambda n, x, y: r.jacob_cov(n.nodes, n.weights, x),
    "epe_nas": lambda n, x, y: r.epe_nas(n.nodes, n.weights, x, y),
    "epe_nas_many": lambda n, x, y: r.epe_nas(n.nodes, n.weights, x, y, many=True),
    "ntk_condition": lambda n, x, y: r.ntk_condition(n.nodes, n.weights, x),
    "az_expressivity": az("az_expressivity"),
    "az_progressivity": az("az_progressivity"),
    "az_trainability": az("az_trainability"),
}
NO_WEIGHTS_OF_X = {"l2_norm", "synflow", "synflow_bn", "logsynflow", "syncflow"}
LOSS = {
    "snip", "plain", "grasp", "grad_norm_layers", "grad_norm_all", "fisher_repeated",
    "fisher_channel", "zico", "knas",
}  # fmt: skip


def says(status: str, reason: str, *names: str) -> dict[str, tuple[str, str]]:
    return {name: (status, reason) for name in names}


def check(net: Net, x: Array, y: Labels, expected: Mapping[str, tuple[str, str]]) -> None:
    """Everything is "ok" and finite but for `expected`; "undefined" is NaN but for ZiCo's sum."""
    wrong = {}
    for name, score in SCORES.items():
        if name == "zico" and len(x) < 2:
            continue  # raises, see test_gradients.py
        got = score(net, x, y)
        if (got.status, got.reason) != expected.get(name, ("ok", None)):
            wrong[name] = got
        elif got.status == "undefined" and got.reason != "no_variance":
            assert math.isnan(got.value), name
        elif got.status != "nonfinite":
            assert math.isfinite(got.value), name
    assert not wrong


def rows(net: Net, n: int = 6) -> tuple[Array, Labels]:
    """A batch with every class at least twice, if there is room."""
    x, _ = batch(net, n)
    return x, np.arange(n) % net.nodes[-1]["shape"][0]


ORDINARY: dict[str, dict[str, Any]] = {
    "usual": {}, "no batch norm": {"bn": False}, "biased": {"bias": True},
}  # fmt: skip


@pytest.mark.parametrize("options", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_networks_score(options: dict[str, Any]) -> None:
    net = usual(**options)
    check(net, *rows(net), {})


def test_one_image() -> None:
    net = usual()
    x, y = rows(net, 1)
    check(
        net, x, y,
        says("undefined", "one_image", "jacob_cov")
        | says("undefined", "no_pair_in_any_class", "epe_nas_many"),
    )  # fmt: skip


def test_one_class() -> None:
    """The cross-entropy of one class is 0, whatever the weights."""
    net = usual(classes=1)
    x, y = rows(net)
    check(net, x, y, says("no_signal", "all_zero", *LOSS))


def test_no_relu() -> None:
    """One linear region, with or without batch norm."""
    net = usual(relu=False)
    x, y = rows(net)
    check(
        net, x, y,
        says("undefined", "no_relu", "naswot") | says("no_signal", "no_relu", "swap"),
    )  # fmt: skip
    assert reference.linear_regions(net.nodes, net.weights, x).value == 1


@pytest.mark.parametrize("bias", [False, True])
def test_output_of_zeros(bias: bool) -> None:
    """The classifier's output still has a gradient, which Fisher and the bias see."""
    net = usual(blocked=True, bias=bias)
    x, y = rows(net)
    blind = LOSS | {"synflow", "synflow_bn", "logsynflow", "syncflow"}
    blind -= {"fisher_repeated", "fisher_channel"}
    if bias:
        blind -= {"grad_norm_all"}
    else:  # its product with an output of 0
        assert reference.fisher(net.nodes, net.weights, x, y).value == 0.0
    check(
        net, x, y,
        says("no_signal", "all_zero", *blind)
        | says("undefined", "constant_row", "jacob_cov", "epe_nas", "epe_nas_many")
        | says("undefined", "all_zero", "ntk_condition")
        | says("undefined", "log_of_zero", "zen")
        | says("undefined", "constant_feature", "az_expressivity", "az_progressivity")
        | says("no_signal", "blocked_cell", "az_trainability"),
    )  # fmt: skip


def test_equal_images() -> None:
    net = usual()
    x, y = rows(net)
    x, y = np.repeat(x[:1], 6, axis=0), np.zeros_like(y)
    check(
        net, x, y,
        says("undefined", "singular", "naswot", "ntk_condition")
        | says("undefined", "no_variance", "zico"),
    )  # fmt: skip
    assert reference.linear_regions(net.nodes, net.weights, x).value == 1
    assert reference.swap(net.nodes, net.weights, x).value == 2
    assert reference.zico(net.nodes, net.weights, x, y).value == 0.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite(value: float) -> None:
    net = usual()
    x, y = rows(net)
    x[0, 0, 2, 2] = value
    check(net, x, y, says("nonfinite", "overflow_or_nan", *(SCORES.keys() - NO_WEIGHTS_OF_X)))


def test_weights_that_are_not_finite() -> None:
    net = usual()
    x, y = rows(net)
    net.weights["n4.weight"][0, 0, 0, 0] = np.nan
    check(net, x, y, says("nonfinite", "overflow_or_nan", *SCORES))


def test_flows_that_overflow() -> None:
    net = usual(bn=False)
    for name in net.weights:
        net.weights[name] *= 1e120
    assert reference.synflow(net.nodes, net.weights).status == "nonfinite"


def test_batch_norm_of_a_single_value_has_no_unbiased_variance() -> None:
    net = Net((3, 1, 1))
    net.conv(3, kernel=(1, 1), padding=(0, 0))
    net.bn()
    net.head(2)
    x, _ = batch(net, 1)
    got = reference.zen(net.nodes, net.weights, x, noise(x))
    assert (got.status, got.reason) == ("undefined", "one_value")


def test_scored_prints_what_it_is() -> None:
    assert repr(Scored(1.5)) == "Scored(value=1.5, status='ok', reason=None)"
    with pytest.raises(AttributeError):
        Scored(1.5).value = 2.0  # type: ignore[misc]
