"""Products of Hessians and directions by dual graphs: against the reference, central differences,
PyTorch, and themselves however they are planned and run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroshot import _core, _testing, reference

from .ops.oracle import USABLE, Array, Node, build, conv, every_table, head, run_core
from .reference.small import Net, batch, every_op, usual
from .test_plan import ALIGN, SHAPE, any_networks, networks, options, plan

# Both sides round in float64, as in tests/reference/common.py: relative to the tensor's largest
# entry, and to the network's or to 1: sums may cancel.
TENSOR, NETWORK = 1e-9, 1e-12


class Problem(NamedTuple):
    """A network as the core takes it, with its parameters, a direction of its weights, a batch."""

    shape: tuple[int, int, int]
    nodes: list[Node]
    graph: _core.Graph
    weights: dict[str, Array]
    direction: dict[str, Array]
    x: Array
    y: Array

    def product(
        self,
        direction: dict[str, Array] | None = None,
        *,
        group_size: int | None = None,
        **how: Any,
    ) -> tuple[dict[str, Array], Array]:
        """Products by tensor, summed over groups, and the losses' derivatives by group."""
        along = self.direction if direction is None else direction
        names = [t["name"] for t in self.graph.tensors()]
        out = [np.zeros_like(self.weights[name]) for name in names]
        size = group_size or len(self.y)
        slopes = np.zeros(len(self.y) // size)
        nodes = [(op, name, tuple(inputs), attrs) for op, name, inputs, attrs in self.nodes]
        _testing.hessian_product(
            (self.shape, nodes), [self.weights[name] for name in names],
            [along.get(name) for name in names], self.x, self.y, size, out, slopes, **how,
        )  # fmt: skip
        counted = [t["counted"] for t in self.graph.tensors()]
        for is_counted, a in zip(counted, out, strict=True):
            assert is_counted or not a.any()
        return {name: a for name, a, c in zip(names, out, counted, strict=True) if c}, slopes

    def expected(self) -> dict[str, Array]:
        every = reference.hessian_vector_product(
            self.graph.nodes(), self.weights, self.x, self.y, self.direction
        )
        return {name: every[name] for name in self.direction}


def problem(
    shape: tuple[int, int, int],
    nodes: Sequence[Node],
    *,
    weights: dict[str, Array] | None = None,
    rows: int = 6,
    seed: int = 0,
) -> Problem:
    graph, rng = build(shape, nodes), np.random.default_rng(seed)
    if weights is None:
        weights = {
            t["name"]: rng.uniform(0.5, 2, t["shape"])
            if t["role"] == "running_var"
            else rng.standard_normal(t["shape"])
            for t in graph.tensors()
        }
    direction = {
        t["name"]: rng.standard_normal(t["shape"]) for t in graph.tensors() if t["counted"]
    }
    x, y = rng.standard_normal((rows, *shape)), rng.integers(0, graph.num_classes, rows)
    return Problem(shape, list(nodes), graph, weights, direction, x, y)


def uncancelled(nodes: Sequence[Node]) -> list[Node]:
    """The same with sums that do not cancel: a batch norm would make numbers of their rounding."""
    return [
        (op, name, inputs, attrs | {"coef": [-1.7 if c == -2.0 else c for c in attrs["coef"]]})
        if "coef" in attrs
        else (op, name, inputs, attrs)
        for op, name, inputs, attrs in nodes
    ]


def of_net(net: Net) -> Problem:
    shape: Any = net.nodes[0]["shape"]
    nodes = [(n["op"], n["name"], n["inputs"], n["attrs"]) for n in net.nodes[1:]]
    p = problem(shape, nodes, weights={k: np.ascontiguousarray(w) for k, w in net.weights.items()})
    x, y = batch(net)
    return p._replace(x=x, y=y)


def assert_products(got: dict[str, Array], expected: dict[str, Array]) -> None:
    assert got.keys() == expected.keys()
    top = max(float(np.abs(h).max()) for h in expected.values())
    for name, h in expected.items():
        limit = TENSOR * np.abs(h).max() + NETWORK * (1 + top)
        worst = np.abs(got[name] - h).max()
        assert worst <= limit, f"{name}: off by {worst:.3g}, limit {limit:.3g}"


def every_branch() -> Net:
    """What `every_op` lacks: images in concatenations and sums, dead ends, nodes read twice."""
    net = Net((3, 6, 6), seed=5)
    image = 0
    a = net.conv(3, image, bias=True)
    both = net.concat(image, a, image)
    scaled = net.add(image, a, net.zero(a), coef=[0.5, -2.0, 1.0])
    b = net.step("relu", net.bn(net.conv(4, both)))
    dead = net.step("relu", net.bn(net.zero(b)))
    c = net.bn(net.conv(4, dead, groups=2), affine=False)
    d = net.pool("max_pool", net.step("relu", net.add(b, b)), stride=(2, 2))
    e = net.pool("avg_pool", net.bn(scaled, mode="running"), stride=(2, 2))
    f = net.pool("max_pool", c, kernel=(2, 2), stride=(2, 2), padding=(0, 0))
    g = net.bn(net.concat(d, e, f, net.zero(a, stride=2)))
    h = net.step("relu", net.step("relu", g))
    net.step("global_avg_pool", h)
    net.linear(4, bias=True)
    return net


def with_activation(f: str) -> Net:
    """Behind batch norms that it reads through, images, itself; beside gates."""
    net = Net((3, 6, 6), seed=6)
    a = net.step(f, net.bn(net.conv(4)))
    b = net.step(f, net.bn(net.conv(4, a, groups=4)))
    gate = net.step("sigmoid", net.conv(4, net.step(f, net.conv(2, net.step("global_avg_pool", b),
        kernel=(1, 1), padding=(0, 0), bias=True)), kernel=(1, 1), padding=(0, 0)))  # fmt: skip
    c = net.multiply(b, gate)
    both = net.bn(net.add(net.step(f, c), net.bn(net.conv(4, c)), a))
    spot = net.step("tanh", net.conv(1, both))
    d = net.multiply(net.multiply(both, spot), net.step(f, both))
    net.add(d, net.step(f, net.step(f, d)))
    net.step("global_avg_pool")
    net.step(f, net.linear(5, bias=True))
    net.linear(4, bias=True)
    return net


NETS: dict[str, Callable[[], Net]] = {
    "every_op": every_op,
    "every_branch": every_branch,
    "usual": usual,
    "no_bn": lambda: usual(bn=False),
    "no_relu": lambda: usual(relu=False),
    "biased": lambda: usual(bias=True),
    "blocked": lambda: usual(blocked=True, bias=True),
} | {f: partial(with_activation, f) for f in reference.pointwise.ACTIVATIONS}
every_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


# ---- values --------------------------------------------------------------------------------------


@every_table
@every_net
def test_product_matches_reference(make: Callable[[], Net], table: str) -> None:
    p = of_net(make())
    assert_products(p.product(table=table)[0], p.expected())


@settings(max_examples=150)
@given(
    nodes=networks(),
    table=st.sampled_from(USABLE),
    dead=st.booleans(),
    recompute=st.sampled_from([0, 1, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_product_of_random_network_matches_reference(
    nodes: list[Node], table: str, dead: bool, recompute: int, seed: int
) -> None:
    p = problem(SHAPE, uncancelled(nodes), seed=seed)
    got, _ = p.product(table=table, dead=dead, recompute=recompute)
    assert_products(got, p.expected())


@settings(max_examples=150)
@given(
    nodes=networks(activations=True),
    table=st.sampled_from(USABLE),
    dead=st.booleans(),
    recompute=st.sampled_from([0, 1, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_gradient_and_product_of_random_network_with_activations_match_reference(
    nodes: list[Node], table: str, dead: bool, recompute: int, seed: int
) -> None:
    p = problem(SHAPE, uncancelled(nodes), seed=seed)
    got, _ = p.product(table=table, dead=dead, recompute=recompute)
    assert_products(got, p.expected())
    how: dict[str, Any] = {"table": table, "dead": dead, "recompute": recompute}
    gradients = run_core(
        p.graph, p.weights, p.x, p.y, group_size=len(p.y), loss="cross_entropy", **how
    )["gradients"]
    want = reference.run(p.graph.nodes(), p.weights, p.x, p.y).gradients
    assert_products(
        {name: g[0] for name, g in gradients.items()}, {k: g[0] for k, g in want.items()}
    )


@every_net
def test_product_is_the_slope_of_the_gradient(make: Callable[[], Net]) -> None:
    """Central differences of the core's own gradients, relative to the network's largest; their
    rounding is EPS / step times what batch norms of nearly constant channels amplify it by."""
    p, step = of_net(make()), 1e-6
    length = np.sqrt(sum(float((v**2).sum()) for v in p.direction.values()))
    v = {name: d / length for name, d in p.direction.items()}

    def at(t: float) -> Any:
        moved = {name: w + t * v.get(name, 0.0) for name, w in p.weights.items()}
        return run_core(
            p.graph, moved, p.x, p.y, group_size=len(p.y), loss="cross_entropy", table="reference"
        )

    ahead, behind = at(step), at(-step)
    got, slopes = p.product(v)
    top = max(float(np.abs(g).max()) for g in ahead["gradients"].values())
    for name, h in got.items():
        slope = (ahead["gradients"][name] - behind["gradients"][name])[0] / (2 * step)
        np.testing.assert_allclose(h, slope, rtol=0, atol=1e-6 * max(top, abs(slope).max()))
    slope = (ahead["losses"] - behind["losses"]) / (2 * step)
    np.testing.assert_allclose(slopes, slope, rtol=1e-6, atol=1e-8 * max(1.0, top))


def test_a_weight_that_stands_still_still_has_a_product() -> None:
    p = of_net(every_op())
    still = dict(list(p.direction.items())[::2])
    got, _ = p.product(still)
    p.direction.clear()
    p.direction.update({name: still.get(name, np.zeros_like(h)) for name, h in got.items()})
    assert_products(got, p.expected())
    moved = [name for name in got if name not in still]
    assert any(got[name].any() for name in moved)


def test_no_direction_no_product() -> None:
    got, slopes = of_net(usual()).product({})
    assert not slopes.any() and not any(h.any() for h in got.values())


def test_each_group_has_its_own_statistics_and_loss() -> None:
    p = of_net(every_op())
    got, slopes = p.product(group_size=3)
    single = [p._replace(x=p.x[s], y=p.y[s]).product() for s in (slice(0, 3), slice(3, 6))]
    assert_products(got, {name: single[0][0][name] + single[1][0][name] for name in got})
    np.testing.assert_allclose(slopes, [s[1][0] for s in single], rtol=1e-11)


def test_batch_norms_may_be_taken_out() -> None:
    p = of_net(usual())
    got, _ = p.product(identity_bn=True)
    out = [
        (op, name, inputs, attrs | {"mode": "identity"} if op == "batch_norm" else attrs)
        for op, name, inputs, attrs in p.nodes
    ]
    without = p._replace(nodes=out, graph=build(p.shape, out))
    assert_products(got, without.product()[0])


@every_table
@every_net
def test_float32_stays_close_to_float64(make: Callable[[], Net], table: str) -> None:
    p = of_net(make())
    p = p._replace(
        x=p.x.astype(np.float32).astype(np.float64),
        weights={name: w.astype(np.float32).astype(np.float64) for name, w in p.weights.items()},
        direction={
            name: v.astype(np.float32).astype(np.float64) for name, v in p.direction.items()
        },
    )
    got, want = p.product(table=table, float64=False)[0], p.product(table=table)[0]
    top = max(float(np.abs(h).max()) for h in want.values())
    for name, h in want.items():
        assert np.abs(got[name] - h).max() <= 1e-4 * top, name


@every_table
@pytest.mark.parametrize("algo", range(5))
def test_product_does_not_depend_on_the_algorithm(algo: int, table: str) -> None:
    """Wide enough for Winograd, which makes both gradients of a convolution at once."""
    nodes = [conv("a", 0, 32, 3)]
    for i in range(1, 7, 3):
        nodes += [("batch_norm", f"n{i}", [i], {}), ("relu", f"r{i}", [i + 1], {})]
        nodes += [conv(f"c{i}", i + 2, 32, 3)]
    p = problem((3, 12, 12), [*nodes, *head(len(nodes))], rows=3)
    for float64, tolerance in ((True, 1e-9), (False, 1e-3)):
        got, want = p.product(table=table, algo=algo, float64=float64)[0], p.expected()
        top = max(float(np.abs(h).max()) for h in want.values())
        for name, h in want.items():
            assert np.abs(got[name] - h).max() <= tolerance * top, name


def test_product_matches_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    functional = torch.nn.functional
    p = problem(
        (3, 8, 8),
        [
            conv("a", 0, 4, 3),
            ("batch_norm", "n", [1], {}),
            ("relu", "r", [2], {}),
            conv("b", 3, 4, 3, groups=2, bias=True),
            ("max_pool", "m", [4], {"kernel": (2, 2), "stride": (2, 2)}),
            ("batch_norm", "o", [5], {}),
            *head(6),
        ],
    )
    w = {name: torch.tensor(v, requires_grad=True) for name, v in p.weights.items()}

    def norm(z: Any, name: str) -> Any:
        gamma, beta = w[f"{name}.gamma"], w[f"{name}.beta"]
        return functional.batch_norm(z, None, None, gamma, beta, True, 0.1, 1e-5)

    z = functional.conv2d(torch.tensor(p.x), w["a.weight"], padding=1)
    z = functional.relu(norm(z, "n"))
    z = functional.conv2d(z, w["b.weight"], w["b.bias"], padding=1, groups=2)
    z = norm(functional.max_pool2d(z, 2), "o").mean((2, 3))
    z = functional.linear(z, w["head.fc.weight"], w["head.fc.bias"])
    loss = functional.cross_entropy(z, torch.tensor(p.y))
    names = list(p.direction)
    first = torch.autograd.grad(loss, [w[name] for name in names], create_graph=True)
    along = sum((g * torch.tensor(p.direction[n])).sum() for n, g in zip(names, first, strict=True))
    second = torch.autograd.grad(along, [w[name] for name in names])
    expected = {n: h.numpy() for n, h in zip(names, second, strict=True)}
    assert_products(p.product()[0], expected)


# ---- bits ----------------------------------------------------------------------------------------


@every_net
def test_threads_and_recomputing_do_not_change_a_bit(make: Callable[[], Net]) -> None:
    p = of_net(make())
    p = p._replace(x=np.tile(p.x, (4, 1, 1, 1)), y=np.tile(p.y, 4))
    for table in USABLE:
        want = p.product(table=table)[0]
        for how in ({"n_threads": 2}, {"recompute": 1}, {"recompute": 2}, {"dead": True}):
            got = p.product(table=table, **how)[0]
            assert all(got[name].tobytes() == h.tobytes() for name, h in want.items()), how


# ---- plans ---------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(nodes=any_networks, how=options)
def test_storages_of_dual_graphs_are_apart(nodes: list[Node], how: dict[str, Any]) -> None:
    how = how | {"all_params": False}
    p = plan(nodes, dual=True, **how)
    assert p["disjoint"]
    for offset, n_bytes, first, last in p["storages"]:
        assert offset % ALIGN == 0 and offset + n_bytes <= p["pool_bytes"]
        assert 0 <= first <= last < p["n_steps"]
    single = plan(nodes, **how)
    assert single["macs"] <= p["macs"] <= 3 * single["macs"]


def test_dead_work_has_no_tangent() -> None:
    nodes = [
        conv("a", 0, 4, 3),
        conv("dead", 1, 4, 3),
        ("zero", "z", [2], {"stride": 1}),
        ("add", "s", [1, 3], {}),
        *head(4),
    ]
    live = [conv("a", 0, 4, 3), *head(1)]
    for dual in (False, True):
        assert plan(nodes, dual=dual)["macs"] == plan(live, dual=dual)["macs"]


def test_ops_of_tangents_are_not_public() -> None:
    for op in ("relu_gate", "max_pool_gate", "batch_norm_tangent", "activation_tangent"):
        with pytest.raises(ValueError, match="unknown operation"):
            _core.GraphBuilder(3, 8, 8).add(op, "g", [0, 0], {}, None)
