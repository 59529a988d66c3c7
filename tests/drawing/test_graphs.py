"""Graphs of one's own: what is folded, what is drawn once, what is grey."""

from __future__ import annotations

from collections import Counter

import pytest

import zeroshot
from zeroshot import Graph

from .common import faults, texts_of

pytest.importorskip("matplotlib", reason="Matplotlib is not installed: nothing is drawn")

from zeroshot.drawing.palette import DEAD


def resnet(blocks: int) -> Graph:
    g = Graph((3, 16, 16))

    def conv(x: zeroshot.graph.Handle, channels: int, kernel: int, stride: int = 1):  # type: ignore[no-untyped-def]
        return g.batch_norm(g.conv2d(x, channels, kernel, padding=kernel // 2, stride=stride))

    h = g.relu(conv(g.input, 8, 3))
    for channels in (8, 16):
        for i in range(blocks):
            stride = 2 if channels == 16 and i == 0 else 1
            short = h if stride == 1 else conv(h, channels, 1, 2)
            h = g.relu(g.add(conv(g.relu(conv(h, channels, 3, stride)), channels, 3), short))
    return g.output(g.linear(g.global_avg_pool(h), 10))


def dense(n: int) -> Graph:
    g = Graph((3, 8, 8))
    maps = [g.conv2d(g.input, 4, 3, padding=1)]
    for _ in range(n):
        x = g.concat(*maps) if len(maps) > 1 else maps[0]
        maps.append(g.conv2d(g.relu(g.batch_norm(x)), 2, 3, padding=1))
    return g.output(g.linear(g.global_avg_pool(g.concat(*maps)), 10))


def transformer(blocks: int) -> Graph:
    g = Graph((3, 16, 16))
    h = g.conv2d(g.input, 8, 4, stride=4, bias=True)
    for _ in range(blocks):
        h = g.add(h, g.attention(g.layer_norm(h), 2))
        h = g.add(h, g.linear(g.gelu(g.linear(g.layer_norm(h), 16)), 8))
    return g.output(g.linear(g.global_avg_pool(g.layer_norm(h)), 10))


def plain() -> Graph:
    g = Graph((3, 8, 8))
    return g.output(g.linear(g.global_avg_pool(g.input), 10))


def gated() -> Graph:
    g = Graph((4, 8, 8))
    d = g.silu(g.conv2d(g.input, 8, (1, 3), padding=(0, 1), dilation=1))
    w = g.sigmoid(g.conv2d(g.global_avg_pool(d), 8, 1, groups=8))
    t = g.tanh(g.slice_channels(d, 4))
    u = g.softmax(g.max_pool(d, 2, stride=1, padding=1), groups=2)
    k = g.shift(g.conv2d(d, 4, 3, padding=2, dilation=2, groups=2))
    both = g.concat(g.multiply(d, w), t, g.identity(t))
    return g.output(g.linear(g.concat(*map(g.global_avg_pool, (both, u, k))), 3))


@pytest.mark.parametrize(
    "graph",
    [resnet(1), resnet(3), dense(1), dense(5), dense(9), transformer(3), plain(), gated()],
    ids=repr,
)
@pytest.mark.parametrize("width", [100, 252, 800])
def test_graphs_are_drawn_without_faults(graph: Graph, width: float) -> None:
    assert not faults(zeroshot.draw(graph, width=width))


def test_what_repeats_is_drawn_once() -> None:
    found = texts_of(zeroshot.draw(resnet(4)))
    assert (found["×4"], found["×3"]) == (1, 1)
    assert found["conv 3×3, 8"] == 3  # the stem and one block
    assert found["conv 3×3, 16"] == 3 and found["conv 3×3, 16, /2"] == 1  # one of them behind /2
    assert zeroshot.draw(resnet(4)).size == zeroshot.draw(resnet(40)).size


def test_norms_and_activations_stand_in_their_neighbours_boxes() -> None:
    drawing = zeroshot.draw(resnet(2))
    found = texts_of(drawing)
    assert (found["BN · ReLU"], found["BN"], found["ReLU"]) == (4, 4, 3)
    input_and_stem, block, reduction, head = 2, 3, 4, 2
    assert len(drawing.scene.boxes) == input_and_stem + block + reduction + block + head


def test_attention_is_one_box() -> None:
    found = texts_of(zeroshot.draw(transformer(5)))
    assert (found["attention"], found["×5"], found["softmax"], found["matmul"]) == (1, 1, 0, 0)


def test_dead_ops_are_grey() -> None:
    g = Graph((3, 8, 8))
    a = g.conv2d(g.input, 4, 3, padding=1)
    g.max_pool(g.conv2d(a, 5, 1), 2)
    g.output(g.linear(g.global_avg_pool(g.add(a, g.conv2d(a, 4, 1))), 10))
    drawing = zeroshot.draw(g)
    assert not faults(drawing)
    grey = Counter(text.text for text in drawing.scene.texts if text.color == DEAD)
    assert grey == Counter(["conv 1×1, 5", "max 2×2, /2"])
    assert sum(box.edge == DEAD for box in drawing.scene.boxes) == 2


def test_every_op_has_a_label() -> None:
    text = " ".join(texts_of(zeroshot.draw(gated())).elements())
    labels = ["conv 1×3, 8", "SiLU", "dw 1×1, 8", "sigmoid", "tanh", "slice", "softmax", "×"]
    labels += ["concat", "max 2×2", "shift", "conv 3×3, 4, 2 groups, dil. 2", "identity"]
    labels += ["linear, 3"]
    assert [label for label in labels if label not in text] == []


def test_unfinished_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="not finished"):
        zeroshot.draw(Graph((3, 8, 8)))
