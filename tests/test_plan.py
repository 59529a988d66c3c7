"""Plans of random networks: storages that live together are apart, and running them is right.

The values of a network of small integers are exact in double, so the engine must give what the
reference gives, bit for bit, however the planner has laid them out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroshot import _testing, reference

from .ops.oracle import (
    USABLE,
    Array,
    Node,
    assert_close,
    assert_same,
    build,
    conv,
    head,
    integer_weights,
    run_core,
)

ALIGN = 64
SHAPE = (2, 8, 8)
ACTIVATIONS = reference.pointwise.ACTIVATIONS
GATES = ["sigmoid", "hard_sigmoid", "tanh"]
KINDS = {"skip", "fill", "view", "lazy", "run"}


# ---- random networks -----------------------------------------------------------------------------


@st.composite
def networks(draw: st.DrawFn, *, batch_norm: bool = True, activations: bool = False) -> list[Node]:
    """A network over SHAPE that ends on 4 x 4 pixels, whose mean is exact.

    Anything may read anything of its size, so that values have several readers and some have none;
    at most four convolutions follow each other, which keeps integers below 2^53. With `activations`
    values are no integers; what multiplies is below 1, so that they do not grow.
    """
    nodes: list[Node] = []
    channels, sizes, depth = [SHAPE[0]], [8], [0]  # of every node from the image on

    def add(op: str, inputs: list[int], c: int, size: int, **attrs: Any) -> None:
        nodes.append((op, f"n{len(nodes) + 1}", inputs, attrs))
        channels.append(c)
        sizes.append(size)
        depth.append(max(depth[i] for i in inputs) + (op == "conv2d"))

    def of(size: int, c: int | None = None, most: int = 4) -> int:
        fit = [
            i
            for i in range(len(channels))
            if sizes[i] == size and (c is None or channels[i] == c) and depth[i] <= most
        ]
        return draw(st.sampled_from(fit[-5:]))

    def convolve(x: int, stride: int = 1) -> None:
        width, is_depthwise = draw(st.sampled_from([1, 3])), draw(st.booleans())
        k = channels[x] if is_depthwise else draw(st.integers(1, 4))
        add("conv2d", [x], k, sizes[x] // stride, out_channels=k, kernel=(width, width),
            stride=(stride, stride), padding=(width // 2, width // 2),
            groups=k if is_depthwise else 1, bias=draw(st.booleans()))  # fmt: skip

    def grow(size: int, most: int) -> None:
        ops = ["conv2d", "relu", "relu", "identity", "add", "add", "concat", "zero"]
        ops += ["max_pool", "avg_pool", "slice_channels"]
        ops += [*ACTIVATIONS, *["multiply"] * 4] * activations
        for _ in range(draw(st.integers(1, 7))):
            op = draw(st.sampled_from(ops + ["batch_norm"] * (2 * batch_norm)))
            x = of(size)
            if op == "conv2d":
                convolve(of(size, most=most))
            elif op == "add":
                inputs = [x, *(of(size, channels[x]) for _ in range(draw(st.integers(0, 3))))]
                coef = [draw(st.sampled_from([1.0, 1.0, 1.0, 0.5, -2.0])) for _ in inputs]
                add(op, inputs, channels[x], size, coef=coef)
            elif op == "concat":
                inputs = [x, *(of(size) for _ in range(draw(st.integers(0, 2))))]
                if sum(channels[i] for i in inputs) <= 12:
                    add(op, inputs, sum(channels[i] for i in inputs), size)
            elif op == "max_pool":
                window = {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}
                add(op, [x], channels[x], size, **window)
            elif op == "avg_pool":  # 2 x 2, and back to the size it had
                add(op, [x], channels[x], size + 1, kernel=(2, 2), stride=(1, 1), padding=(1, 1),
                    count_include_pad=True)  # fmt: skip
                add("shift", [len(nodes)], channels[x], size)
            elif op == "batch_norm":
                mode = draw(st.sampled_from(["batch", "batch", "identity"]))
                add(op, [x], channels[x], size, affine=draw(st.booleans()), mode=mode)
            elif op == "zero":
                add(op, [x], channels[x], size, stride=1)
            elif op == "multiply":
                gate, source = draw(st.sampled_from(GATES)), of(size)
                by_channel = draw(st.sampled_from([None, True, False]))
                if by_channel is None:  # both read what batch norms give
                    source = of(size, channels[x])
                elif by_channel:
                    add("global_avg_pool", [of(size, channels[x])], channels[x], 1)
                    source = len(nodes)
                else:
                    add("slice_channels", [source], 1, size, channels=1)
                    source = len(nodes)
                add(gate, [source], channels[source], sizes[source])
                add(op, [x, len(nodes)], channels[x], size)
            elif op == "slice_channels":
                few = draw(st.integers(1, channels[x]))
                add(op, [x], few, size, channels=few)
            else:
                add(op, [x], channels[x], size)

    convolve(0)
    grow(8, most=1)
    x = of(8)
    if draw(st.booleans()):
        convolve(x, stride=2)
    else:  # as FactorizedReduce does
        add("shift", [x], channels[x], 7)
        add("max_pool", [len(nodes)], channels[x], 4, kernel=(1, 1), stride=(2, 2), padding=(0, 0))
    grow(4, most=3)
    last = of(4)
    gap = len(nodes) + 1
    nodes.append(("global_avg_pool", "gap", [last], {}))
    nodes.append(("linear", "fc", [gap], {"out_features": 3, "bias": draw(st.booleans())}))
    return nodes


def plan(nodes: list[Node], **options: Any) -> _testing.PlanDict:
    tuples = [(op, name, tuple(inputs), attrs) for op, name, inputs, attrs in nodes]
    return _testing.plan_info((SHAPE, tuples), **options)


any_networks = st.one_of(networks(), networks(activations=True))

options = st.fixed_dictionaries(
    {
        "group_size": st.integers(1, 9),
        "n_groups": st.integers(1, 3),
        "backward": st.booleans(),
        "dead": st.booleans(),
        "all_params": st.booleans(),
        "float64": st.booleans(),
        "recompute": st.sampled_from([0, 1, 2]),
    }
)


# ---- layout --------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(nodes=any_networks, how=options)
def test_storages_that_live_together_are_apart(nodes: list[Node], how: dict[str, Any]) -> None:
    p = plan(nodes, **how)
    assert p["disjoint"]
    storages = p["storages"]
    for i, (offset, n_bytes, first, last) in enumerate(storages):
        assert offset % ALIGN == 0 and offset + n_bytes <= p["pool_bytes"]
        assert 0 <= first <= last < p["n_steps"]
        for other, other_bytes, other_first, other_last in storages[:i]:
            if first <= other_last and other_first <= last:
                assert offset + n_bytes <= other or other + other_bytes <= offset
    rounded = [-(-n_bytes // ALIGN) * ALIGN for _, n_bytes, _, _ in storages]
    together = [
        sum(
            n
            for n, (_, _, first, last) in zip(rounded, storages, strict=True)
            if first <= t <= last
        )
        for t in range(p["n_steps"])
    ]
    assert max(together) <= p["pool_bytes"] <= sum(rounded)


@settings(max_examples=30)
@given(nodes=any_networks, how=options)
def test_plan_is_a_function_of_its_arguments(nodes: list[Node], how: dict[str, Any]) -> None:
    p = plan(nodes, **how)
    assert p == plan(nodes, **how)
    assert len(p["kinds"]) == len(nodes) + 1 and set(p["kinds"]) <= KINDS
    forward = plan(nodes, **{**how, "backward": False})
    assert forward["pool_bytes"] <= p["pool_bytes"] or how["backward"] is False
    assert forward["n_steps"] == forward["n_forward_steps"] == p["n_forward_steps"]
    assert forward["macs"] == p["macs"]


@settings(max_examples=30)
@given(nodes=any_networks, how=options)
def test_macs_are_those_of_the_layers_that_run(nodes: list[Node], how: dict[str, Any]) -> None:
    p = plan(nodes, **how)
    graph = build(SHAPE, nodes)
    shapes = [node["shape"] for node in graph.nodes()]
    macs = {
        t["node"]: int(np.prod(t["shape"])) * shapes[t["node"]][1] * shapes[t["node"]][2]
        for t in graph.tensors()
        if t["role"] == "weight"
    }
    assert p["macs"] == sum(n for node, n in macs.items() if p["kinds"][node] == "run")
    if how["dead"]:
        assert p["macs"] == sum(macs.values())


# ---- what particular networks become -------------------------------------------------------------


def kinds(nodes: list[Node], **how: Any) -> list[str]:
    own = [*nodes, *head(len(nodes))]
    return plan(own, **how)["kinds"][1 : len(nodes) + 1]


def test_relu_is_read_by_convolutions_without_being_stored() -> None:
    relu: Node = ("relu", "r", [1], {})
    assert kinds([conv("a", 0, 4), relu, conv("b", 2, 4)]) == ["run", "lazy", "run"]
    assert kinds([conv("a", 0, 4), relu, conv("b", 2, 4), ("relu", "s", [3], {})])[3] == "run"
    pool: Node = ("max_pool", "p", [2], {"kernel": (2, 2), "stride": (2, 2)})
    assert kinds([conv("a", 0, 4), relu, pool, conv("b", 3, 4)])[1] == "run"


def test_batch_norm_is_read_by_sums_without_being_stored() -> None:
    nodes: list[Node] = [
        conv("a", 0, 4),
        ("batch_norm", "bn", [1], {}),
        conv("b", 0, 4),
        ("add", "s", [2, 3], {}),
    ]
    assert kinds(nodes) == ["run", "lazy", "run", "run"]
    assert kinds([*nodes, conv("c", 2, 4), ("add", "t", [4, 5], {})])[1] == "run"


@pytest.mark.parametrize("f", ACTIVATIONS)
def test_batch_norm_is_read_by_activations_without_being_stored(f: str) -> None:
    nodes: list[Node] = [conv("a", 0, 4), ("batch_norm", "bn", [1], {}), (f, "f", [2], {})]
    assert kinds(nodes) == ["run", "lazy", "run"]
    assert kinds([*nodes, ("add", "s", [2, 3], {}), (f, "g", [2], {})])[1] == "lazy"
    assert kinds([*nodes, conv("b", 2, 4), ("add", "s", [3, 4], {})])[1] == "run"


def test_activations_are_made_again_from_what_convolutions_wrote() -> None:
    """A layer more keeps its convolution's output and its activation, or the former alone."""

    def pool(depth: int, recompute: int) -> float:
        nodes: list[Node] = []
        for i in range(0, 3 * depth, 3):
            nodes += [conv(f"c{i}", i, SHAPE[0], 3), ("batch_norm", f"n{i}", [i + 1], {})]
            nodes += [("silu", f"f{i}", [i + 2], {})]
        how: dict[str, Any] = {"group_size": 16, "n_groups": 1, "backward": True, "float64": True}
        found = plan([*nodes, *head(len(nodes))], **how, recompute=recompute)
        return found["pool_bytes"] / (16 * 8 * int(np.prod(SHAPE)))

    assert [round(pool(9, r) - pool(6, r), 1) for r in (0, 1)] == [6, 3]


def test_views_copy_nothing() -> None:
    nodes: list[Node] = [
        conv("a", 0, 4),
        ("identity", "i", [1], {}),
        ("shift", "h", [2], {}),
        ("max_pool", "p", [3], {"kernel": (1, 1), "stride": (2, 2)}),
        ("slice_channels", "f", [4], {"channels": 3}),
        ("relu", "r", [5], {}),
    ]
    assert kinds(nodes) == ["run", "skip", "view", "run", "view", "run"]


def test_dead_work_is_left_out_unless_it_is_asked_for() -> None:
    nodes: list[Node] = [
        conv("a", 0, 4),
        conv("dead", 0, 4, 3),
        ("zero", "z", [2], {"stride": 1}),
        conv("unread", 1, 4),
        ("add", "s", [1, 3], {}),
    ]
    assert kinds(nodes) == ["run", "skip", "skip", "skip", "skip"]  # one term left: no sum
    assert kinds(nodes, dead=True) == ["run"] * 5
    nodes[4] = ("add", "s", [1, 3], {"coef": [2.0, 1.0]})
    assert kinds(nodes)[4] == "run"
    live, whole = (plan([*nodes, *head(5)], dead=dead) for dead in (False, True))
    pixels = SHAPE[1] * SHAPE[2]
    assert live["macs"] == 2 * 4 * pixels + 4 * 3
    assert whole["macs"] == live["macs"] + (2 * 4 * 9 + 4 * 4) * pixels
    assert live["has_path"] and whole["has_path"]


def test_zeros_are_filled_in_where_a_reader_cannot_drop_them() -> None:
    nodes: list[Node] = [
        conv("a", 0, 4),
        ("zero", "z", [1], {"stride": 1}),
        conv("b", 2, 4, bias=True),
    ]
    assert kinds(nodes)[1] == "fill"
    assert not plan([*nodes, *head(3)])["has_path"]


def test_chain_needs_no_more_than_its_activations() -> None:
    """Forward, two layers at a time; backward, what convolutions and normalisations have read."""
    depth, n, c = 10, 4, 4
    nodes: list[Node] = []
    for i in range(depth):
        nodes += [conv(f"c{i}", 2 * i, c, 3), ("batch_norm", f"bn{i}", [2 * i + 1], {})]
    one = n * c * SHAPE[1] * SHAPE[2] * 4
    forward = plan([*nodes, *head(2 * depth)], group_size=n, backward=False)
    assert forward["pool_bytes"] <= 4 * one
    both = plan([*nodes, *head(2 * depth)], group_size=n)
    assert both["pool_bytes"] <= (2 * depth + 2) * one


def test_more_groups_need_more_and_nothing_else_changes() -> None:
    nodes = [conv("a", 0, 4, 3), *head(1)]
    one, three = (plan(nodes, group_size=8, n_groups=n) for n in (1, 3))
    assert 2 * one["pool_bytes"] < three["pool_bytes"] <= 3 * one["pool_bytes"]
    assert one["kinds"] == three["kinds"] and one["macs"] == three["macs"]
    assert one["n_steps"] == three["n_steps"]


def test_activations_that_overflow_are_refused() -> None:
    """Before anything of that size is allocated."""
    wide: list[Node] = [("conv2d", "a", [0], {"out_channels": 2**20})]
    with pytest.raises(ValueError, match=r"x: activations of .* samples overflow"):
        plan([*wide, *head(1)], group_size=2**20, n_groups=2**20)


# ---- running them --------------------------------------------------------------------------------


def check_integers(
    nodes: list[Node],
    *,
    table: str = "auto",
    group_size: int = 2,
    dead: bool = False,
    recompute: int = 0,
    seed: int = 0,
) -> None:
    graph = build(SHAPE, nodes)
    rng = np.random.default_rng(seed)
    weights = integer_weights(graph, rng)
    x, y = rng.integers(-2, 3, (8, *SHAPE)) * 1.0, rng.integers(0, 3, 8)
    expected = reference.run(graph.nodes(), weights, x, loss="sum_logits", group_size=group_size)
    got = run_core(
        graph, weights, x, y, table=table, group_size=group_size, dead=dead, recompute=recompute
    )
    assert_same(got["logits"], expected.logits, "logits")
    for name, gradient in expected.gradients.items():
        assert_same(got["gradients"][name], gradient, name)


def check_reals(
    nodes: list[Node],
    *,
    table: str = "auto",
    group_size: int = 3,
    dead: bool = False,
    recompute: int = 0,
    seed: int = 0,
) -> None:
    """With batch norm, hence to rounding: 1e-9 of the largest gradient."""
    graph = build(SHAPE, nodes)
    rng = np.random.default_rng(seed)
    weights: dict[str, Array] = {
        t["name"]: rng.standard_normal(t["shape"]) for t in graph.tensors()
    }
    x, y = rng.standard_normal((6, *SHAPE)), rng.integers(0, 3, 6)
    expected = reference.run(graph.nodes(), weights, x, y, group_size=group_size)
    got = run_core(
        graph, weights, x, y, table=table, group_size=group_size, dead=dead, recompute=recompute,
        loss="cross_entropy",
    )  # fmt: skip
    assert_close(got["logits"], expected.logits, 1e-9 * (1 + abs(expected.logits).max()), "logits")
    top = max(abs(g).max() for g in expected.gradients.values())
    for name, gradient in expected.gradients.items():
        assert_close(got["gradients"][name], gradient, 1e-9 * (1 + top), name)


any_table, any_seed = st.sampled_from(USABLE), st.integers(0, 2**32 - 1)


@settings(max_examples=120)
@given(
    nodes=networks(batch_norm=False),
    table=any_table,
    group_size=st.sampled_from([1, 2, 4, 8]),
    dead=st.booleans(),
    recompute=st.sampled_from([0, 1, 2]),
    seed=any_seed,
)
def test_random_network_of_integers_equals_reference(
    nodes: list[Node], table: str, group_size: int, dead: bool, recompute: int, seed: int
) -> None:
    check_integers(
        nodes, table=table, group_size=group_size, dead=dead, recompute=recompute, seed=seed
    )


@settings(max_examples=120)
@given(
    nodes=networks(),
    table=any_table,
    group_size=st.sampled_from([3, 6]),
    dead=st.booleans(),
    recompute=st.sampled_from([0, 1, 2]),
    seed=any_seed,
)
def test_random_network_matches_reference(
    nodes: list[Node], table: str, group_size: int, dead: bool, recompute: int, seed: int
) -> None:
    check_reals(
        nodes, table=table, group_size=group_size, dead=dead, recompute=recompute, seed=seed
    )


A, B = conv("a", 0, 2), conv("b", 0, 2)


def concat(*inputs: int) -> Node:
    return ("concat", "c", inputs, {})


def add(name: str, *inputs: int) -> Node:
    return ("add", name, inputs, {})


# Gradients share memory with each other and with values. Found by the tests above.
SHARED = {
    "a part twice, behind it a batch norm": [A, concat(1, 1), ("batch_norm", "bn", [2], {})],
    "two parts, one twice": [A, B, concat(1, 2, 1), ("batch_norm", "bn", [3], {})],
    "a part that a later convolution reads": [
        *(A, B, conv("e", 1, 4), concat(1, 2)),
        ("batch_norm", "bn", [4], {}),
        add("t", 5, 3),
    ],
    "a part whose backward needs its value": [
        *(A, B, ("relu", "r", [1], {}), concat(3, 2)),
        ("batch_norm", "bn", [4], {}),
    ],
    "a concat and its part in a sum": [A, concat(1), add("s", 1, 2)],
    "a part read elsewhere, its concat in a sum": [
        *(A, B, conv("d", 0, 4), conv("e", 1, 4), concat(1, 2), add("s", 5, 3)),
        ("concat", "t", [6, 4], {}),
    ],
    "the same, in a sum of sums": [
        *(A, B, conv("d", 0, 4), conv("e", 1, 4), concat(1, 2), add("s", 5, 3), add("t", 6, 4)),
    ],
}


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("recompute", [0, 1, 2])
def test_gradients_that_share_memory_do_not_disturb_each_other(name: str, recompute: int) -> None:
    nodes: list[Node] = SHARED[name]
    check_reals([*nodes, *head(len(nodes))], recompute=recompute)


def test_logits_outlive_dead_work_that_takes_longer() -> None:
    pool = {"kernel": (2, 2), "stride": (1, 1), "padding": (1, 1), "count_include_pad": True}
    nodes: list[Node] = [
        *(conv("a", 0, 1), ("concat", "c", [0, 0], {}), ("batch_norm", "bn", [2], {})),
        *(("avg_pool", "dead", [3], pool), ("shift", "h", [2], {})),
        ("max_pool", "p", [5], {"kernel": (1, 1), "stride": (2, 2)}),
    ]
    check_reals([*nodes, *head(6)], dead=True)


def test_bias_of_zeros_behind_zeros_gets_its_gradient() -> None:
    nodes: list[Node] = [("zero", "z", [0], {"stride": 1}), conv("a", 1, 4, bias=True), *head(2)]
    graph = build(SHAPE, nodes)
    weights = {t["name"]: np.ones(t["shape"]) for t in graph.tensors()}
    weights["a.bias"] *= 0
    x, y = np.ones((2, *SHAPE)), np.zeros(2, np.int64)
    expected = reference.run(graph.nodes(), weights, x, loss="sum_logits").gradients["a.bias"]
    got = run_core(graph, weights, x, y, group_size=2, dead=False)
    assert_same(got["gradients"]["a.bias"], expected, "bias")


# ---- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("persistent", [False, True], ids=["once", "for good"])
def test_any_failing_allocation_of_a_plan_is_a_memory_error(persistent: bool) -> None:
    nodes = [conv("a", 0, 4, 3), ("relu", "r", [1], {}), conv("b", 2, 4), *head(3)]
    _testing.alloc_fail_after(-1)
    expected = plan(nodes)
    n_allocations = _testing.alloc_count()
    assert n_allocations > 15
    try:
        for k in range(n_allocations):
            _testing.alloc_fail_after(k, persistent)
            with pytest.raises(MemoryError):
                plan(nodes)
    finally:
        _testing.alloc_fail_after(-1)
    assert plan(nodes) == expected
