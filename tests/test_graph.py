"""Networks built by hand: what the builder accepts, names, refuses and gives back."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import Graph, reference

HERE = Path(__file__).resolve().parent
STORED = ["nb201_tiny", "odd_ops"]


def every_op() -> Graph:
    g = Graph((3, 9, 7))
    stem = g.batch_norm(g.conv2d(g.input, 6, (3, 1), padding=(1, 0), name="stem"), eps=1e-3)
    grouped = g.conv2d(g.relu(stem), 6, 3, padding=2, dilation=2, groups=3, bias=True)
    half = g.zero(g.identity(stem))
    total = g.add(grouped, half, stem, coef=[1.0, -0.5, 2.0])
    both = g.concat(g.max_pool(total, 3, stride=2), g.avg_pool(g.shift(total), 2, stride=2))
    off = g.batch_norm(both, mode="identity", affine=False)
    wide = g.avg_pool(off, 2, stride=1, padding=1, count_include_pad=True)
    return g.output(g.linear(g.global_avg_pool(wide), 5, name="head"))


def problem(graph: Graph, m: int = 6) -> tuple[dict[str, Any], Any, Any]:
    rng = np.random.default_rng(2)
    shapes = zeroshot.weight_names(graph)
    weights = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    k = graph.core.num_classes
    return weights, rng.standard_normal((m, *graph.core.input_shape)), rng.integers(0, k, m)


def test_graph_of_every_op_matches_reference() -> None:
    graph = every_op()
    weights, x, y = problem(graph)
    want = reference.run(graph.nodes(), weights, x, y, group_size=3)
    ours = zeroshot.gradients(
        graph, x, y, batch_size=3, all_params=True, weights=weights, dtype="float64", n_threads=1
    )
    largest = max(np.abs(g).max() for g in want.gradients.values())
    assert set(ours.gradients) == set(want.gradients)
    for name, g in want.gradients.items():
        # as for the engine: relative to the tensor, and noise where it is zero in real arithmetic
        np.testing.assert_allclose(
            ours[name], g, rtol=0, atol=1e-9 * np.abs(g).max() + 1e-13 * largest, err_msg=name
        )
    np.testing.assert_allclose(ours.losses, want.losses, rtol=1e-12)


@pytest.mark.parametrize("name", STORED)
def test_from_nodes_is_the_inverse_of_nodes(name: str) -> None:
    stored = reference.load_golden(HERE / "golden" / f"{name}.npz").problem.nodes
    graph = Graph.from_nodes(stored)
    again = Graph.from_nodes(graph.nodes())
    assert again.nodes() == graph.nodes()
    assert again.encoding() == graph.encoding()
    for ours, theirs in zip(graph.nodes()[1:], stored[1:], strict=True):
        for key in ("op", "name", "inputs", "weights", "shape"):
            assert ours[key] == theirs[key]


def test_graph_pickles_once_finished() -> None:
    graph = every_op()
    assert pickle.loads(pickle.dumps(graph)).nodes() == graph.nodes()
    with pytest.raises(ValueError, match="not finished"):
        pickle.dumps(Graph((3, 8, 8)))


def test_names_are_made_up_around_those_given() -> None:
    g = Graph((3, 8, 8))
    g.relu(g.input, name="relu2")
    names = [g.relu(g.input).name, g.relu(g.input).name, g.identity(g.input).name]
    assert names == ["relu3", "relu4", "identity1"]


def test_handle_knows_its_shape() -> None:
    g = Graph((3, 8, 6))
    h = g.conv2d(g.input, 5, 3, stride=2, padding=1)
    assert (h.shape, h.name, h.id) == ((5, 4, 3), "conv2d1", 1)
    assert repr(g) == "Graph(input (3, 8, 6), 1 ops, unfinished)"


def conv(g: Graph, **changes: Any) -> Any:
    arguments: dict[str, Any] = {"out_channels": 4, "kernel": 3, **changes}
    return g.conv2d(g.input, **arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: conv(g, kernel=9), ValueError, "'conv2d1'"),
        (lambda g: conv(g, kernel=0), ValueError, "kernel: expected"),
        (lambda g: conv(g, kernel=(3, 3, 3)), ValueError, "kernel: expected"),
        (lambda g: conv(g, kernel=1.5), TypeError, "kernel: expected"),
        (lambda g: conv(g, padding=-1), ValueError, "padding: expected"),
        (lambda g: conv(g, groups=2), ValueError, "groups"),
        (lambda g: conv(g, out_channels=0), ValueError, "channels"),
        (lambda g: conv(g, out_channels=2**40), ValueError, "channels|large"),
        (lambda g: conv(g, bias=1), TypeError, "bias: expected True or False"),
        (lambda g: conv(g, name="a b"), ValueError, "name: expected"),
        (lambda g: conv(g, name="x" * 64), ValueError, "name: expected"),
        (lambda g: g.relu(g.input, name="input"), ValueError, "'input' is used twice"),
        (lambda g: g.linear(g.input, 0), ValueError, "linear"),
        (lambda g: g.add(g.input, conv(g)), ValueError, r"shape \(4, 6, 6\)"),
        (lambda g: g.concat(g.input, conv(g)), ValueError, "concat"),
        (lambda g: g.add(), ValueError, "at least one"),
        (lambda g: g.add(g.input, coef=[1.0, 2.0]), ValueError, "coefs: expected one per input"),
        (lambda g: g.batch_norm(g.input, mode="eval"), ValueError, "mode: expected 'batch'"),
        (lambda g: g.zero(g.input, stride=0), ValueError, "stride"),
        (lambda g: g.relu(0), TypeError, "x: expected a handle"),
        (lambda g: g.add(g.input, "relu"), TypeError, r"xs\[1\]: expected a handle"),
        (lambda g: g.relu(Graph((3, 8, 8)).input), ValueError, "belongs to another graph"),
        (lambda g: g.output(g.input), ValueError, "output|logits"),
    ],
)
def test_error_comes_at_the_line_that_caused_it_and_changes_nothing(
    call: Any, error: type[Exception], message: str
) -> None:
    g = Graph((3, 8, 8))
    before = g.relu(g.input)
    with pytest.raises(error, match=message):
        call(g)
    g.output(g.linear(g.global_avg_pool(before), 2))
    last = [node["name"] for node in g.nodes()][-2:]
    assert last == ["global_avg_pool1", "linear1"]


def test_finished_graph_takes_no_more_ops() -> None:
    g = every_op()
    with pytest.raises(ValueError, match="relu: the graph is finished"):
        g.relu(g.input)


def test_unfinished_graph_is_not_scored() -> None:
    x, y = np.zeros((2, 3, 8, 8), np.float32), np.zeros(2, int)
    with pytest.raises(ValueError, match="not finished"):
        zeroshot.gradsign(Graph((3, 8, 8)), x, y, n_samples=2)


@pytest.mark.parametrize("shape", [(3, 8), (0, 8, 8), (3, 2**30, 8)])
def test_input_shape_is_checked(shape: Any) -> None:
    with pytest.raises(ValueError, match="input"):
        Graph(shape)


def test_from_nodes_refuses_what_is_no_network() -> None:
    nodes = every_op().nodes()
    for broken, message in (
        ([], "first node has op 'input'"),
        (nodes[1:], "first node has op 'input'"),
        ([nodes[0], nodes[2]], r"nodes\[1\]: 1 is missing or not defined"),
        ([nodes[0], {**nodes[1], "op": "conv3d"}], "unknown operation 'conv3d'"),
        ([nodes[0], {**nodes[1], "shape": (6, 9, 9)}], r"shape is \(6, 9, 7\), got \(6, 9, 9\)"),
        ([nodes[0], {**nodes[1], "weights": {"weight": "w"}}], "has to be called stem.weight"),
        ([nodes[0], {**nodes[1], "attrs": {"kernal": 3}}], "no attribute 'kernal'"),
    ):
        with pytest.raises(ValueError, match=message):
            Graph.from_nodes(broken)


def test_images_and_labels_have_to_fit_the_graph() -> None:
    graph = every_op()
    _, x, y = problem(graph)
    with pytest.raises(ValueError, match=r"x: expected images of shape \(3, 9, 7\), got \(3, 9, 8"):
        zeroshot.gradsign(graph, np.zeros((6, 3, 9, 8)), y, n_samples=2)
    with pytest.raises(ValueError, match="y: expected labels from 0 to 4, got 5 at position 0"):
        zeroshot.gradsign(graph, x, np.full(6, 5), n_samples=2)


def test_dead_branch_with_beta_is_still_alive_behind_the_zero() -> None:
    """``zero`` then conv-BN with a non-zero beta, then conv: the last one has a gradient."""
    g = Graph((3, 8, 8))
    dead = g.batch_norm(g.conv2d(g.zero(g.input), 4, 3, padding=1, name="a"), name="norm")
    out = g.conv2d(g.relu(dead), 4, 3, padding=1, name="b")
    g.output(g.linear(g.global_avg_pool(out), 5))
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((4, 3, 8, 8)), np.arange(4)
    options: dict[str, Any] = {"batch_size": 4, "dtype": "float64", "all_params": True}
    for beta in (0.0, 0.7):
        shapes = zeroshot.weight_names(g)
        weights: dict[str, Any] = {
            n: np.random.default_rng(4).standard_normal(s) for n, s in shapes.items()
        }
        weights |= {"norm.beta": np.full(4, beta), "norm.gamma": np.ones(4)}
        want = reference.run(g.nodes(), weights, x, y).gradients
        ours = zeroshot.gradients(g, x, y, weights=weights, **options).gradients
        for name in ("b.weight", "a.weight", "norm.beta"):
            np.testing.assert_allclose(ours[name], want[name], rtol=1e-9, atol=1e-15)
        assert bool(np.any(ours["b.weight"])) == (beta != 0)
