"""The graph builder of the core: shapes, tensors in draw order, and errors that stick.

What a user sees of it, through `zeroshot.Graph`, is in test_graph.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroshot import _core, reference
from zeroshot.reference.ops import output_size

from .ops.oracle import Node, build, conv, head, integer_weights

SHAPE = (3, 8, 6)


def builder(shape: tuple[int, int, int] = SHAPE) -> _core.GraphBuilder:
    return _core.GraphBuilder(*shape)


# ---- shapes and tensors --------------------------------------------------------------------------

pair = st.tuples(st.integers(1, 5), st.integers(1, 5))


@given(
    op=st.sampled_from(["conv2d", "max_pool", "avg_pool"]),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    kernel=pair,
    stride=pair,
    padding=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    dilation=pair,
)
def test_windows_have_the_shape_of_the_reference(
    op: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> None:
    attrs: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
    if op == "conv2d":
        attrs |= {"out_channels": 5, "dilation": dilation}
    else:
        dilation = (1, 1)
    out = [output_size(*axis) for axis in zip(size, kernel, stride, padding, dilation, strict=True)]
    fits = min(out) >= 1
    if op != "conv2d":
        fits = fits and all(2 * p <= k for p, k in zip(padding, kernel, strict=True))
    b = builder((2, *size))
    if fits:
        node = b.add(op, "n", [0], attrs)
        assert b.shape(node) == (5 if op == "conv2d" else 2, *out)
    else:
        with pytest.raises(ValueError, match=r"kernel|padding"):
            b.add(op, "n", [0], attrs)


EVERY_OP: list[Node] = [
    conv("c", 0, 6, 3, bias=True, groups=3),
    ("batch_norm", "bn", [1], {}),
    ("batch_norm", "plain", [2], {"affine": False}),
    ("batch_norm", "run", [3], {"mode": "running"}),
    ("batch_norm", "still", [4], {"mode": "running", "affine": False}),
    ("relu", "r", [5], {}),
    ("max_pool", "m", [6], {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}),
    ("avg_pool", "a", [6], {"kernel": (2, 2), "stride": (2, 2)}),
    ("add", "s", [7, 8], {"coef": [1.0, -2.0]}),
    ("zero", "z", [6], {"stride": 2}),
    ("identity", "i", [9], {}),
    ("concat", "k", [9, 10, 11], {}),
    ("shift", "h", [12], {}),
    *head(13, 4),
]


def test_every_op_has_the_shape_it_computes() -> None:
    """The reference refuses a node whose output is not what its description says."""
    graph = build(SHAPE, EVERY_OP)
    nodes = graph.nodes()
    weights = integer_weights(graph, np.random.default_rng(0))
    reference.run(nodes, weights, np.zeros((2, *SHAPE)), loss="sum_logits")
    assert [n["shape"] for n in nodes[-3:]] == [(18, 3, 2), (18, 1, 1), (4, 1, 1)]
    assert nodes[9]["attrs"] == {"coef": [1.0, -2.0]}
    assert nodes[12]["inputs"] == [9, 10, 11]
    assert graph.input_shape == SHAPE and graph.num_classes == 4


def test_tensors_come_in_draw_order() -> None:
    """Weight before bias; what normalises draws nothing but has its place."""
    tensors = build(SHAPE, EVERY_OP).tensors()
    assert [(t["name"], t["shape"], t["counted"]) for t in tensors] == [
        ("c.weight", (6, 1, 3, 3), True),
        ("c.bias", (6,), False),
        ("bn.gamma", (6,), False),
        ("bn.beta", (6,), False),
        ("run.gamma", (6,), False),
        ("run.beta", (6,), False),
        ("run.running_mean", (6,), False),
        ("run.running_var", (6,), False),
        ("still.running_mean", (6,), False),
        ("still.running_var", (6,), False),
        ("head.fc.weight", (4, 18), True),
        ("head.fc.bias", (4,), False),
    ]


def test_many_nodes_keep_their_names_apart() -> None:
    b = builder()
    for i in range(3000):
        b.add("identity", f"n{i}", [i], {})
    with pytest.raises(ValueError, match="'n1234' is used twice"):
        b.add("identity", "n1234", [0], {})


def test_a_graph_has_a_largest_size() -> None:
    b = builder((1, 1, 1))
    for i in range(65535):  # and the image
        b.add("identity", f"n{i}", [0], {})
    with pytest.raises(ValueError, match="more than 65536 nodes"):
        b.add("identity", "last", [0], {})


# ---- errors --------------------------------------------------------------------------------------

TOO_MUCH = 2**40
BAD = [
    ("conv3d", [0], {}, "unknown operation 'conv3d'"),
    ("input", [0], {}, "unknown operation 'input'"),
    ("relu", [], {}, "relu takes one input only, got 0"),
    ("relu", [0, 0], {}, "relu takes one input only, got 2"),
    ("add", [], {}, "add takes at least one input, got 0"),
    ("relu", [1], {}, "input 0 is node 1, expected one of the 1 nodes made before"),
    ("relu", [-1], {}, "input 0 is node -1"),
    ("conv2d", [0], {"out_channels": 0}, "out_channels: expected 1 to"),
    ("conv2d", [0], {"out_channels": TOO_MUCH}, "out_channels: expected 1 to"),
    ("conv2d", [0], {"out_channels": 4, "groups": 2}, "groups: expected a divisor of 3 input"),
    ("conv2d", [0], {"out_channels": 4, "groups": 3}, "groups: expected a divisor"),
    ("conv2d", [0], {"out_channels": 4, "groups": 0}, "groups: expected a divisor"),
    (
        "conv2d",
        [0],
        {"out_channels": 4, "kernel": (0, 1)},
        "kernel: expected values from 1 to 4096",
    ),
    ("conv2d", [0], {"out_channels": 4, "kernel": (1, 5000)}, "kernel: expected values"),
    ("conv2d", [0], {"out_channels": 4, "kernel": (9, 1)}, "kernel: spans 9 x 1, larger than"),
    ("conv2d", [0], {"out_channels": 4, "stride": (1, 0)}, "stride: expected values"),
    ("conv2d", [0], {"out_channels": 4, "padding": (-1, 0)}, "padding: expected values"),
    ("conv2d", [0], {"out_channels": 4, "dilation": (0, 1)}, "dilation: expected values"),
    ("max_pool", [0], {"kernel": (3, 3), "padding": (2, 0)}, "padding: expected at most half"),
    ("avg_pool", [0], {"kernel": (3, 3), "padding": (0, 2)}, "padding: expected at most half"),
    ("linear", [0], {"out_features": 0}, "out_features: expected 1 to"),
    ("batch_norm", [0], {"eps": 0.0}, "eps: expected a number above 0"),
    ("batch_norm", [0], {"eps": float("nan")}, "eps: expected a number above 0"),
    ("batch_norm", [0], {"mode": "eval"}, "mode: expected 'batch', 'running' or 'identity'"),
    ("zero", [0], {"stride": 0}, "stride: expected 1 to 4096"),
    ("conv2d", [0], {"out_channels": 2**20, "padding": (4000, 4000)}, "too large"),
]


@pytest.mark.parametrize("op, inputs, attrs, message", BAD, ids=lambda v: str(v)[:40])
def test_bad_nodes_are_refused(
    op: str, inputs: list[int], attrs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        builder().add(op, "n", inputs, attrs)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "x" * 64, "a\n"])
def test_names_are_short_and_plain(name: str) -> None:
    with pytest.raises(ValueError, match="name: expected 1 to 63 letters, digits"):
        builder().add("relu", name, [0], {})
    assert builder().add("relu", "x" * 63, [0], {}) == 1


@pytest.mark.parametrize("shape", [(0, 1, 1), (1, 0, 1), (1, 1, -1), (2**21, 1, 1), (1, 2**21, 1)])
def test_image_has_a_size(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="input: expected sizes from 1 to"):
        _core.GraphBuilder(*shape)


def test_inputs_of_sums_and_concats_have_to_fit() -> None:
    for op, message in [("add", r"input 1 has shape \(3, 4, 3\)"), ("concat", "input 1 is 4 x 3")]:
        b = builder()
        half = b.add("max_pool", "m", [0], {"kernel": (2, 2), "stride": (2, 2)})
        with pytest.raises(ValueError, match=message):
            b.add(op, "s", [0, half], {})


def test_shift_needs_pixels_to_shift() -> None:
    with pytest.raises(ValueError, match="at least 2 x 2 pixels, got 1 x 5"):
        builder((3, 1, 5)).add("shift", "h", [0], {})


def test_the_first_error_sticks() -> None:
    b = builder()
    with pytest.raises(ValueError, match=r"'bad' .*out_channels"):
        b.add("conv2d", "bad", [0], {"out_channels": 0})
    for call in (lambda: b.add("relu", "r", [0], {}), lambda: b.finish(0)):
        with pytest.raises(ValueError, match=r"'bad' .*out_channels"):
            call()


@pytest.mark.parametrize(
    "output, message",
    [
        (0, "expected the last node"),
        (1, r"expected logits of shape \(K, 1, 1\), got \(3, 8, 6\) from node 'r'"),
        (2, "expected the last node"),
    ],
)
def test_output_is_the_last_node_and_logits(output: int, message: str) -> None:
    b = builder()
    b.add("relu", "r", [0], {})
    with pytest.raises(ValueError, match=f"output: {message}"):
        b.finish(output)
    with pytest.raises(ValueError, match="finished"):
        b.shape(0)


def test_the_image_alone_is_no_network() -> None:
    with pytest.raises(ValueError, match="output: expected logits"):
        builder((3, 1, 1)).finish(0)
