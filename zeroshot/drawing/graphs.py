"""Any `zeroshot.Graph`, made short enough to read.

Norms, activations and other ops that change neither the number of maps nor who reads them stand in
the box of their neighbour; attention is one box. The network is cut where everything passes through
one box; what lies between two cuts is laid out in columns, and what repeats is drawn once, with how
often it does.
"""

from __future__ import annotations

__all__ = ["network"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from zeroshot.drawing.flow import Piece, flow
from zeroshot.drawing.layout import Route, Vertex, layered
from zeroshot.drawing.options import DrawOptions
from zeroshot.drawing.palette import DEAD, INK, LINE
from zeroshot.drawing.scene import Scene, text_width

_SIZE: Final = 7.0
_SMALL: Final = 5.5
_PAD: Final = 5.0
_LONGEST: Final = 8  # of what repeats, in parts between cuts

_NORMS: Final = {"batch_norm": "BN", "group_norm": "GN", "layer_norm": "LN"}
_ACTS: Final = {
    "relu": "ReLU", "relu6": "ReLU6", "sigmoid": "sigmoid", "silu": "SiLU", "gelu": "GELU",
    "hard_sigmoid": "h-sigmoid", "hard_swish": "h-swish", "tanh": "tanh",
}  # fmt: skip
_FOLDED: Final = {
    **_NORMS, **_ACTS,
    "scale_channels": "scale", "identity": "identity", "flatten": "flatten", "zero": "zero",
    "shift": "shift",
}  # fmt: skip
_POOLS: Final = {"max_pool": "max", "avg_pool": "avg"}
_PLAIN: Final = {
    "input": ("input", "state"), "add": ("+", "state"), "multiply": ("×", "state"),
    "concat": ("concat", "state"), "global_avg_pool": ("global avg", "pool"),
    "slice_channels": ("slice", "norm"), "matmul": ("matmul", "attention"),
    "softmax": ("softmax", "attention"), "attention": ("attention", "attention"),
}  # fmt: skip


@dataclass
class _Box:
    """Ops that are drawn as one.

    Attributes
    ----------
    label : str
    kind : str
    sources : list of int
        Boxes that it reads.
    before, after : list of str
        What was folded in, in its order.
    """

    label: str
    kind: str
    sources: list[int] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @property
    def is_small(self) -> bool:
        return self.label in ("+", "×") and not self.before and not self.after

    def texts(self) -> list[tuple[str, float]]:
        """Lines of text and their sizes: what comes before, the label, what comes after."""
        above, below = (
            [(" · ".join(ops[i : i + 3]), _SMALL) for i in range(0, len(ops), 3)]
            for ops in (self.before, self.after)
        )
        return [*above, (self.label, _SIZE), *below]

    @property
    def width(self) -> float:
        if self.is_small:
            return 12.0
        return max(text_width(*text) for text in self.texts()) + 7.0

    @property
    def height(self) -> float:
        return 12.0 if self.is_small else sum(1.25 * size for _, size in self.texts()) + 4.0


def network(nodes: Sequence[Mapping[str, Any]], options: DrawOptions) -> Scene:
    """A network by its nodes, as `zeroshot.Graph.nodes` lists them."""
    boxes = _boxes(nodes)
    parts = _parts(boxes)
    pieces = []
    at = 0
    while at < len(parts):
        length, times = _repeats(parts, at, boxes)
        first, last = parts[at][0], parts[at + length - 1][1]
        pieces.append(_piece(boxes, first, last, times))
        at += length * times
    return flow(pieces, max([options.width, *(piece.width for piece in pieces)]))


# --- from ops to boxes ------------------------------------------------------------------------


def _pair(value: Any) -> str:
    return "×".join(map(str, value if isinstance(value, tuple | list) else (value, value)))


def _stride(attrs: Mapping[str, Any]) -> str:
    """As ``, /2``; nothing for 1."""
    stride = attrs.get("stride", 1)
    pair = tuple(stride) if isinstance(stride, tuple | list) else (stride, stride)
    if pair == (1, 1):
        return ""
    return f", /{pair[0]}" if pair[0] == pair[1] else f", /{_pair(pair)}"


def _look(node: Mapping[str, Any], channels: int) -> _Box:
    """The box of an op that reads a map of so many channels."""
    op, attrs = node["op"], node["attrs"]
    if op == "conv2d":
        groups, out = attrs.get("groups", 1), attrs["out_channels"]
        deep = groups > 1 and groups == channels
        text = f"{'dw' if deep else 'conv'} {_pair(attrs['kernel'])}, {out}{_stride(attrs)}"
        if groups > 1 and not deep:
            text += f", {groups} groups"
        dilation = attrs.get("dilation", 1)
        if _pair(dilation) != "1×1":
            text += f", dil. {dilation[0] if isinstance(dilation, tuple | list) else dilation}"
        return _Box(text, "sep" if deep else "conv")
    if op == "linear":
        return _Box(f"linear, {attrs['out_features']}", "mlp")
    if op == "linear_spatial":
        return _Box("linear over positions", "mlp")
    if op in _POOLS:
        return _Box(f"{_POOLS[op]} {_pair(attrs['kernel'])}{_stride(attrs)}", "pool")
    if op in _PLAIN:
        return _Box(*_PLAIN[op])
    return _Box(_FOLDED.get(op, op), "norm")


def _with_attention(nodes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The ops of `Graph.attention` as one."""
    names = {node["name"]: node["op"] for node in nodes}
    heads = {
        name[:-4]
        for name, op in names.items()
        if name.endswith(".qkv") and op == "linear"
        and names.get(f"{name[:-4]}.softmax") == "softmax" and f"{name[:-4]}.proj" in names
    }  # fmt: skip
    found, entry = [], dict[Any, Any]()
    for node in nodes:
        prefix, _, part = node["name"].rpartition(".")
        if prefix not in heads or part not in {
            "qkv",
            "q",
            "k",
            "v",
            "scores",
            "softmax",
            "mixed",
            "proj",
        }:
            found.append(dict(node))
        elif part == "qkv":
            entry[prefix] = list(node["inputs"])
        elif part == "proj":
            found.append({**node, "op": "attention", "inputs": entry[prefix], "attrs": {}})
    return found


def _takes(box: _Box, op: str) -> bool:
    """Whether an op that is the only reader of a box is drawn in it."""
    return box.label != "input" and (box.kind != "state" or op in _ACTS)


def _boxes(nodes: Sequence[Mapping[str, Any]]) -> list[_Box]:
    nodes = _with_attention(nodes)
    readers: dict[Any, int] = {node["id"]: 0 for node in nodes}
    for node in nodes:
        for source in node["inputs"]:
            readers[source] += 1
    channels = {node["id"]: node["shape"][0] for node in nodes}
    boxes: list[_Box] = []
    box_of: dict[Any, int] = {}
    waiting: dict[Any, tuple[list[str], Any]] = {}  # folded ops that go to their reader
    for i, node in enumerate(nodes):
        inputs, is_last = node["inputs"], i == len(nodes) - 1
        if node["op"] in _FOLDED and len(inputs) == 1:
            note, source = _FOLDED[node["op"]], inputs[0]
            alone = readers[source] == 1
            if source in waiting:  # goes on waiting, or has its box here
                notes, origin = waiting.pop(source)
                if readers[node["id"]] == 1 and not is_last:
                    waiting[node["id"]] = ([*notes, note], origin)
                    continue
                boxes.append(_Box(note, "norm", [box_of[origin]], before=notes))
                box_of[node["id"]] = len(boxes) - 1
                continue
            if alone and _takes(boxes[box_of[source]], node["op"]):
                boxes[box_of[source]].after.append(note)
                box_of[node["id"]] = box_of[source]
                continue
            if readers[node["id"]] == 1 and not is_last:
                waiting[node["id"]] = ([note], source)
                continue
        box = _look(node, channels[inputs[0]] if inputs else 0)
        for source in inputs:
            if source in waiting:
                notes, source = waiting.pop(source)
                if len(inputs) > 1:
                    boxes.append(_Box(notes[-1], "norm", [box_of[source]], before=notes[:-1]))
                    box.sources.append(len(boxes) - 1)
                    continue
                box.before = notes
            box.sources.append(box_of[source])
        boxes.append(box)
        box_of[node["id"]] = len(boxes) - 1
    return boxes


# --- parts, and which of them repeat ----------------------------------------------------------


def _parts(boxes: Sequence[_Box]) -> list[tuple[int, int]]:
    """First and last box of each part; everything passes through the last one."""
    reach = list(range(len(boxes)))  # the last reader of each
    for i, box in enumerate(boxes):
        for source in box.sources:
            reach[source] = max(reach[source], i)
    parts, first, far = [], 0, 0
    for i in range(len(boxes)):
        if far <= i:  # nothing before is read behind
            parts.append((first, i))
            first = i + 1
        far = max(far, reach[i])
    if first < len(boxes):
        parts.append((first, len(boxes) - 1))
    return parts


def _repeats(parts: Sequence[tuple[int, int]], at: int, boxes: Sequence[_Box]) -> tuple[int, int]:
    """How many parts from `at` on repeat, and how often; what saves most."""

    def look(i: int) -> tuple[Any, ...]:
        first, last = parts[i]
        return tuple(
            (tuple(b.texts()), tuple(s - first for s in b.sources)) for b in boxes[first : last + 1]
        )

    best = (0, 1, 1)
    for length in range(1, min(_LONGEST, (len(parts) - at) // 2) + 1):
        times = 1
        while at + (times + 1) * length <= len(parts) and all(
            look(at + k) == look(at + times * length + k) for k in range(length)
        ):
            times += 1
        best = max(best, ((times - 1) * length, -length, times))
    return (-best[1] if best[0] else 1), best[2]


# --- pieces -----------------------------------------------------------------------------------


def _piece(boxes: Sequence[_Box], first: int, last: int, times: int) -> Piece:
    """A part; what it reads enters at its left, in the middle."""
    scene = Scene()
    entry = Vertex("in", 0.0, 0.0)
    vertices = [entry] if last > first else []
    inside = boxes[first : last + 1]
    for i, box in enumerate(inside, start=first):
        sources = tuple(dict.fromkeys(str(s) if s >= first else "in" for s in box.sources))
        vertices.append(Vertex(str(i), box.width, box.height, sources if vertices else ()))
    placed = layered(vertices, gap=13.0, last=str(last))
    live = {last}
    for i in range(last, first - 1, -1):
        if i in live:
            live.update(boxes[i].sources)
    heard = {str(i) for i in live}

    def is_live(route: Route) -> bool:
        return bool(route.readers & heard)

    for route in sorted(placed.routes, key=is_live):
        color = LINE if is_live(route) else DEAD
        scene.line(*route.points, color=color, arrow=route.ends is not None)
    for i, box in enumerate(inside, start=first):
        _draw(scene, box, *placed.centre[str(i)], dead=i not in live)
    down = placed.centre["in"][1] if last > first else placed.centre[str(first)][1]
    left, bottom, right, top = scene.extents()
    leave = placed.centre[str(last)][1] - down
    moved = Scene()
    pad = _PAD if times > 1 else 0.0
    x0 = min(left, placed.centre["in"][0]) if last > first else left
    if times > 1:
        moved.frame(0.0, bottom - down - pad, right - x0 + 2 * pad, top - down + pad)
        label = f"×{times}"
        moved.text(right - x0 + 2 * pad, top - down + pad + 5.0, label, anchor="right", bold=True)
        if last > first:
            moved.line((0.0, 0.0), (pad, 0.0))
        moved.line((right - x0 + pad, leave), (right - x0 + 2 * pad, leave))
    moved.put(scene, pad - x0, -down)
    return Piece(moved, right - x0 + 2 * pad, leave)


def _draw(scene: Scene, box: _Box, x: float, y: float, *, dead: bool) -> None:
    if box.is_small:
        scene.box(x, y, box.width, box.height, box.kind, box.label, dead=dead, radius=6.0)
        return
    scene.box(x, y, box.width, box.height, box.kind, dead=dead)
    y += sum(1.25 * size for _, size in box.texts()) / 2
    for text, size in box.texts():
        color = DEAD if dead else INK if size == _SIZE else LINE
        scene.text(x, y - 1.25 * size / 2, text, size, color)
        y -= 1.25 * size
