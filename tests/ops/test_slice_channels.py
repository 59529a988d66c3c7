"""x[:, :c], a view in both directions: seen in networks only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import Graph, reference

from .oracle import check_network, conv, every_dtype, every_table, head


def first(
    name: str, source: int, channels: int, start: int = 0
) -> tuple[str, str, list[int], dict[str, Any]]:
    return ("slice_channels", name, [source], {"channels": channels, "start": start})


NETWORKS = {
    "of the image": [first("f", 0, 2), conv("a", 1, 4, 3)],
    "all channels": [conv("a", 0, 4, 3), first("f", 1, 4), conv("b", 2, 3)],
    # a vertex that feeds the output and a narrower vertex
    "with other readers": [
        conv("a", 0, 5, 3),
        ("relu", "r", [1], {}),
        first("f", 2, 4),
        conv("b", 0, 4),
        ("add", "s", [3, 4], {"coef": [1.0, 1.0]}),
        conv("c", 5, 4, 3),
        ("concat", "k", [2, 6], {}),
    ],
    "the only reader": [conv("a", 0, 5, 3), ("relu", "r", [1], {}), first("f", 2, 3)],
    "twice, of different widths": [
        conv("a", 0, 5, 3),
        first("f", 1, 4),
        first("g", 1, 2),
        first("h", 2, 2),
        ("add", "s", [3, 4], {"coef": [1.0, -2.0]}),
        conv("b", 5, 3),
        conv("c", 2, 3),
        ("add", "t", [6, 7], {"coef": [1.0, 1.0]}),
    ],
    "of a concat, pooled": [
        conv("a", 0, 3, 3),
        conv("b", 0, 3),
        ("concat", "k", [1, 2], {}),
        first("f", 3, 4),
        ("max_pool", "m", [4], {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}),
        conv("c", 1, 4),
        ("add", "s", [5, 6], {"coef": [1.0, 1.0]}),
    ],
    "of a sum that shares its gradient": [
        conv("a", 0, 4, 3),
        conv("b", 0, 4),
        ("add", "s", [1, 2], {"coef": [1.0, 1.0]}),
        first("f", 3, 3),
        ("relu", "r", [4], {}),
        conv("c", 1, 3),
        ("add", "t", [5, 6], {"coef": [1.0, 1.0]}),
    ],
    "of a shift": [
        conv("a", 0, 5, 3),
        ("shift", "h", [1], {}),
        first("f", 2, 3),
        conv("b", 3, 3, 3, padding=(2, 2)),
        ("shift", "g", [4], {}),
    ],
    "of zeros": [
        conv("a", 0, 5, 3),
        ("zero", "z", [1], {"stride": 1}),
        first("f", 2, 3),
        conv("b", 3, 3, bias=True),
        conv("c", 1, 3),
        ("add", "t", [4, 5], {"coef": [1.0, 1.0]}),
    ],
    "thirds": [
        conv("a", 0, 6, 3),
        first("f", 1, 2),
        first("g", 1, 2, 2),
        first("h", 1, 2, 4),
        conv("b", 2, 2, 3),
        ("relu", "r", [3], {}),
        ("add", "s", [5, 6, 4], {"coef": [1.0, 1.0, -1.0]}),
    ],
    "that overlap, of a slice": [
        conv("a", 0, 7, 3),
        first("f", 1, 5, 1),
        first("g", 2, 3, 2),
        first("h", 2, 3, 1),
        ("max_pool", "m", [3], {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}),
        ("concat", "k", [5, 4, 3], {}),
    ],
    "of the image's end": [first("f", 0, 1, 2), conv("a", 1, 4, 3)],
    "the last only": [
        conv("a", 0, 5, 3),
        ("batch_norm", "n", [1], {"mode": "identity"}),
        first("f", 2, 2, 3),
    ],
    "into a concat": [conv("a", 0, 5, 3), first("f", 1, 2), ("concat", "k", [2, 1], {})],
}


@every_table
@every_dtype
@pytest.mark.parametrize("dead", [True, False], ids=["all", "live"])
@pytest.mark.parametrize("name", NETWORKS)
def test_slice_channels_in_a_network(name: str, dead: bool, dtype: Any, table: str) -> None:
    nodes = NETWORKS[name]
    after = conv("after", len(nodes), 3, 3)
    check_network((3, 8, 8), [*nodes, after, *head(len(nodes) + 1)], table, dtype, dead=dead)


def test_slice_channels_takes_one_to_all_channels() -> None:
    graph = Graph((3, 4, 4))
    assert [graph.slice_channels(graph.input, c).shape for c in (1, 3)] == [(1, 4, 4), (3, 4, 4)]
    for channels in (0, 4, -1):
        message = f"channels: expected 1 to the 3 of the input, got {channels}"
        with pytest.raises(ValueError, match=message):
            graph.slice_channels(graph.input, channels)
    assert graph.slice_channels(graph.input, 2, start=1).shape == (2, 4, 4)
    with pytest.raises(
        ValueError, match="channels: expected 1 to the 2 of the input from start on"
    ):
        graph.slice_channels(graph.input, 3, start=1)
    for start in (-1, 3):
        with pytest.raises(ValueError, match=f"start: expected 0 to 2, got {start}"):
            graph.slice_channels(graph.input, 1, start=start)
    again = graph.slice_channels(graph.input, 2)
    graph.output(graph.linear(graph.global_avg_pool(again), 2))
    assert Graph.from_nodes(graph.nodes()).encoding() == graph.encoding()


def test_reference_puts_zeros_in_the_other_channels() -> None:
    x = np.arange(12.0).reshape(1, 3, 2, 2)
    y = reference.ops.slice_channels(x, channels=2)
    assert np.array_equal(y, x[:, :2])
    dx = reference.ops.slice_channels_backward(x, y, channels=2)
    assert np.array_equal(dx, np.concatenate([y, np.zeros((1, 1, 2, 2))], axis=1))
