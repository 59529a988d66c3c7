"""One batch forwards and backwards: gradients of all nodes, products with Jacobians, statistics."""

from __future__ import annotations

import numpy as np
import pytest

from zeroshot import reference
from zeroshot.reference import Forward

from .small import Array, batch, every_op, usual

EPS = float(np.finfo(np.float64).eps)
STEP = 1e-6  # of central differences; their own error is about STEP**2 and EPS |loss| / STEP


def passed_of(rows: int = 4) -> tuple[Forward, Array, Array]:
    net = every_op()
    x, y = batch(net, rows)
    return reference.forward(net.nodes, net.weights, x), x, y


def test_passes_agree_with_run() -> None:
    net = every_op()
    x, y = batch(net)
    run = reference.run(net.nodes, net.weights, x, y, keep_activations=True)
    passed = reference.forward(net.nodes, net.weights, x)
    back = reference.loss_backward(passed, y)
    np.testing.assert_array_equal(passed.logits, run.logits)
    assert reference.loss_value(passed.logits, y) == run.losses[0]
    assert list(back.weights) == list(run.gradients)
    for name, g in back.weights.items():
        np.testing.assert_array_equal(g, run.gradients[name][0], err_msg=name)
    for i, output in passed.outputs.items():
        np.testing.assert_array_equal(output, run.activations[i])


@pytest.mark.parametrize("loss", ["cross_entropy", "sum_logits"])
def test_node_gradients_match_central_differences(loss: reference.Loss) -> None:
    """Also of the images, node 0."""
    net = every_op()
    x, y = batch(net, 3)
    passed = reference.forward(net.nodes, net.weights, x)
    back = reference.loss_backward(passed, y, loss=loss)
    rounding = 16 * EPS * float(np.abs(passed.logits).sum(axis=1).max()) / STEP
    rng = np.random.default_rng(0)
    for node in net.nodes:
        output = passed.outputs[node["id"]]
        direction = rng.standard_normal(output.shape)
        direction /= np.abs(direction).max()

        def moved(t: float, i: int = node["id"], along: Array = direction) -> float:
            given = {i: passed.outputs[i] + t * along}
            cut = reference.forward(net.nodes, net.weights, x, given=given)
            return reference.loss_value(cut.logits, y, loss=loss)

        difference = (moved(STEP) - moved(-STEP)) / (2 * STEP)
        slope = float((back.outputs[node["id"]] * direction).sum())
        assert slope == pytest.approx(difference, rel=1e-6, abs=rounding), node["name"]


def test_seeds_of_single_images_add_up() -> None:
    passed, _, _ = passed_of()
    whole = reference.backward(passed, np.ones_like(passed.logits))
    parts = []
    for i in range(len(passed.logits)):
        seed = np.zeros_like(passed.logits)
        seed[i] = 1.0
        parts.append(reference.backward(passed, seed))
    for name, g in whole.weights.items():
        total = sum(p.weights[name] for p in parts)
        np.testing.assert_allclose(total, g, rtol=0, atol=1e-12 * (1 + np.abs(g).max()))
    # batch norm lets one image's logits see the other images
    assert parts[0].outputs[0][1].any()


def test_without_batch_norm_images_are_alone() -> None:
    net = usual(bn=False)
    x, _ = batch(net, 3)
    passed = reference.forward(net.nodes, net.weights, x)
    seed = np.zeros_like(passed.logits)
    seed[0] = 1.0
    dx = reference.backward(passed, seed).outputs[0]
    assert dx[0].any() and not dx[1:].any()


def test_vector_jacobian_product_is_the_adjoint_of_the_tangent() -> None:
    """``<v, J u> = <J^T v, u>`` from every node to the last, and from the images to every node."""
    passed, x, _ = passed_of()
    rng = np.random.default_rng(5)
    u = rng.standard_normal(x.shape)
    tangents = reference.output_tangents(passed, {}, x_dot=u)
    for node in passed.nodes:
        i = node["id"]
        v = rng.standard_normal(passed.outputs[i].shape)
        there = float((v * tangents[i]).sum())
        back = reference.backward(passed, {i: v}).outputs[0]
        scale = float(np.abs(v * tangents[i]).sum())
        assert float((back * u).sum()) == pytest.approx(there, rel=0, abs=1e-11 * (1 + scale))


def test_seed_starts_at_a_node_and_nothing_behind_it_counts() -> None:
    net = usual()
    x, _ = batch(net)
    passed = reference.forward(net.nodes, net.weights, x)
    middle = 6  # end of the first cell
    v = np.ones_like(passed.outputs[middle])
    back = reference.backward(passed, {middle: v})
    np.testing.assert_array_equal(back.outputs[middle], v)
    assert not any(back.outputs[i].any() for i in range(middle + 1, len(net.nodes)))
    assert not back.weights[net.nodes[-1]["weights"]["weight"]].any()
    assert back.weights["n1.weight"].any()


def test_seeds_at_several_nodes_add_up() -> None:
    passed, _, _ = passed_of()
    rng = np.random.default_rng(1)
    seeds = {i: rng.standard_normal(passed.outputs[i].shape) for i in (3, 8, len(passed.nodes) - 1)}
    together = reference.backward(passed, seeds)
    apart = [reference.backward(passed, {i: seed}) for i, seed in seeds.items()]
    for i, d in together.outputs.items():
        total = sum(b.outputs[i] for b in apart)
        np.testing.assert_allclose(d, total, rtol=0, atol=1e-11 * (1 + np.abs(d).max()))


def test_gradients_go_into_dead_nodes_as_zeros() -> None:
    net = usual(blocked=True)
    x, y = batch(net)
    passed = reference.forward(net.nodes, net.weights, x)
    back = reference.loss_backward(passed, y)
    assert set(back.outputs) == {node["id"] for node in net.nodes}
    assert not back.outputs[0].any() and not any(g.any() for g in back.weights.values())
    skipped = reference.forward(net.nodes, net.weights, x, skip_dead=True)
    assert 1 not in skipped.outputs
    np.testing.assert_array_equal(skipped.logits, passed.logits)


def test_without_batch_norm_switches_all_off() -> None:
    net = every_op()
    x, y = batch(net)
    nodes = reference.without_batch_norm(net.nodes)
    passed = reference.forward(nodes, net.weights, x)
    for node in nodes:
        if node["op"] == "batch_norm":
            np.testing.assert_array_equal(
                passed.outputs[node["id"]], passed.outputs[node["inputs"][0]]
            )
    names = set(reference.loss_backward(passed, y).weights)
    assert not any(name.endswith(("gamma", "beta")) for name in names)
    assert any(node["weights"].get("gamma") for node in net.nodes), "the given list is untouched"


def test_batch_statistics_are_those_of_the_input() -> None:
    passed, _, _ = passed_of()
    found = reference.batch_statistics(passed)
    in_batch_mode = [
        n for n in passed.nodes if n["op"] == "batch_norm" and n["attrs"]["mode"] == "batch"
    ]
    assert list(found) == [n["id"] for n in in_batch_mode]
    for node in in_batch_mode:
        x = passed.outputs[node["inputs"][0]]
        np.testing.assert_allclose(found[node["id"]].mean, x.mean(axis=(0, 2, 3)), rtol=1e-13)
        np.testing.assert_allclose(found[node["id"]].var, x.var(axis=(0, 2, 3)), rtol=1e-13)


def test_batch_statistics_by_hand() -> None:
    image = {"id": 0, "op": "input", "name": "x", "inputs": [], "shape": (1, 1, 2),
             "attrs": {}, "weights": {}}  # fmt: skip
    bn = {"id": 1, "op": "batch_norm", "name": "bn", "inputs": [0], "shape": (1, 1, 2),
          "attrs": {"mode": "batch", "eps": 0.0}, "weights": {}}  # fmt: skip
    gap = {**image, "id": 2, "op": "global_avg_pool", "inputs": [1], "shape": (1, 1, 1)}
    passed = reference.forward([image, bn, gap], {}, np.array([[[[1.0, 2.0]]], [[[3.0, 6.0]]]]))
    (statistics,) = reference.batch_statistics(passed).values()
    assert statistics.mean.tolist() == [3.0] and statistics.var.tolist() == [3.5]


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ({99: np.zeros((4, 1))}, r"seeds: node 99 expects a node out of"),
        ({0: np.zeros((4, 1))}, r"seeds: node 0 expects \(4, 5, 10, 8\), got \(4, 1\)"),
        (np.zeros((4, 3)), r"seeds: node 30 expects \(4, 4, 1, 1\)"),
    ],
)
def test_wrong_seeds_are_named(seeds: object, message: str) -> None:
    passed, _, _ = passed_of()
    with pytest.raises(ValueError, match=message):
        reference.backward(passed, seeds)  # type: ignore[arg-type]


def test_wrong_loss_is_named() -> None:
    with pytest.raises(ValueError, match="loss: expected 'cross_entropy' or 'sum_logits'"):
        reference.logit_seed(np.zeros((1, 2)), [0], loss="mse")  # type: ignore[arg-type]
