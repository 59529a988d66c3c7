"""Cells: of NAS-Bench-201 and 101, of genotypes (DARTS, NAS-Bench-301, NDS), of supernets."""

from __future__ import annotations

__all__ = ["genotype", "nasbench101", "nasbench201", "super_darts", "super_nasbench201"]

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from zeroshot.drawing.layout import Placed, Route, Vertex, layered
from zeroshot.drawing.options import DrawOptions
from zeroshot.drawing.palette import DEAD, LINE, Look, look_of
from zeroshot.drawing.scene import Curve, Scene, stacked, text_width

Ops: TypeAlias = tuple[str, ...]  # on one edge, by their names

_SIZE: Final = 7.0
_PILL: Final = 11.0  # height of an operation on an edge
_STATE: Final = 14.0  # height of a node, and least width
_GAP: Final = 2.0  # between operations of one edge
_STEM: Final = 9.0  # from an operation to its node


def _width(labels: Collection[str], least: float = 0.0) -> float:
    return max((text_width(label, _SIZE) + 7.0 for label in labels), default=least)


# --- NAS-Bench-201: four nodes in a row -------------------------------------------------------

_EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def nasbench201(space: Any, arch: Any, options: DrawOptions) -> Scene:
    """Four nodes, an operation on each of the six edges: the last genes."""
    genes = space.parse(arch)[-len(_EDGES) :]
    return _row(
        {edge: (space.OPS[op],) for edge, op in zip(space.EDGES, genes, strict=True)}, options
    )


def super_nasbench201(space: Any, arch: Any, options: DrawOptions) -> Scene:
    """Four nodes, a set of operations on each of the six edges."""
    sets = {}
    for edge, ops in space.sets(arch).items():
        node, source = map(int, edge.split("<-"))
        sets[source, node] = ops
    return _row(sets, options)


def _live(sets: Mapping[tuple[int, int], Ops]) -> set[tuple[int, int]]:
    """Edges on a path from 0 to 3 on which something other than ``none`` is."""
    passed = [edge for edge in _EDGES if set(sets[edge]) - {"none"}]
    fed, used = {0}, {3}
    for source, node in passed:
        if source in fed:
            fed.add(node)
    for source, node in reversed(passed):
        if node in used:
            used.add(source)
    return {(source, node) for source, node in passed if source in fed and node in used}


def _row(sets: Mapping[tuple[int, int], Ops], options: DrawOptions) -> Scene:
    scene, live = Scene(), _live(sets)
    shown = {
        edge: tuple(op for op in ops if op != "none" or not options.hide_none)
        for edge, ops in sets.items()
    }
    pill = _width({look_of(op).label for ops in shown.values() for op in ops})
    pitch = pill + _STATE + 2 * 13.0
    tall = {edge: max(len(ops) * (_PILL + _GAP) - _GAP, _PILL / 2) for edge, ops in shown.items()}
    half = _STATE / 2
    over = max(tall[0, 1], tall[1, 2], _STATE) / 2 + 8 + tall[0, 2] / 2
    under = max(tall[1, 2], tall[2, 3], _STATE) / 2 + 8 + tall[1, 3] / 2
    top = over + tall[0, 2] / 2 + 8 + tall[0, 3] / 2
    height = {(0, 1): 0.0, (1, 2): 0.0, (2, 3): 0.0, (0, 2): over, (1, 3): -under, (0, 3): top}
    offset = {(0, 2): 2.5, (1, 3): 0.0, (0, 3): -2.5}  # of ends that share a side of a node
    for edge in _EDGES:
        if not shown[edge] and options.hide_none:
            continue
        source, node = edge
        x0, x1, y = source * pitch, node * pitch, height[edge]
        middle = (x0 + x1) / 2
        color, dashed = LINE if edge in live else DEAD, not set(shown[edge]) - {"none"}
        ears = (middle - pill / 2, middle + pill / 2)
        if y == 0:
            scene.line((x0 + half, y), (ears[0], y), color=color, dashed=dashed)
            scene.line((ears[1], y), (x1 - half, y), color=color, dashed=dashed, arrow=True)
        else:
            side = half if y > 0 else -half
            start, end = (x0 + offset[edge], side), (x1 - offset[edge], side)
            bend = 0.45  # what is left of a quarter of an ellipse behind its handle
            for (x, at), ear, arrow in ((start, ears[0], False), (end, ears[1], True)):
                path = [(x, at), (x, y - bend * (y - at)), (ear + bend * (x - ear), y), (ear, y)]
                path = path[::-1] if arrow else path
                scene.curves.append(Curve(tuple(path), color, dashed=dashed, arrow=arrow))
        if not shown[edge]:
            scene.line((ears[0], y), (ears[1], y), color=color, dashed=dashed)
        for i, op in enumerate(shown[edge]):
            place = y + ((len(shown[edge]) - 1) / 2 - i) * (_PILL + _GAP)
            label, kind = look_of(op)
            scene.box(middle, place, pill, _PILL, kind, label, dead=edge not in live)
    for node in range(4):
        dead = 0 < node < 3 and not any(node in edge for edge in live)
        scene.box(node * pitch, 0.0, _STATE, _STATE, "state", str(node), dead=dead, radius=half)
    if any(edge not in live and set(ops) - {"none"} for edge, ops in sets.items()):
        _, low, _, _ = scene.extents()
        scene.text(-half, low - 9.0, "grey: on no path from 0 to 3", 6.0, anchor="left")
    return scene


# --- NAS-Bench-101: operations are the vertices -----------------------------------------------


def nasbench101(space: Any, arch: Any, options: DrawOptions) -> Scene:
    """Up to seven vertices; what is on no path from input to output is gone."""
    matrix, ops = space.to_matrix(arch)
    looks = [look_of(op) for op in ops]
    width = _width({look.label for look in looks})
    vertices = [
        Vertex(str(i), width, _STATE, tuple(str(j) for j in range(i) if matrix[j][i]))
        for i in range(len(ops))
    ]
    placed, scene = layered(vertices), Scene()
    for route in placed.routes:
        scene.line(*route.points, arrow=route.ends is not None)
    for i, (label, kind) in enumerate(looks):
        scene.box(*placed.centre[str(i)], width, _STATE, kind, label)
    return scene


# --- cells of two inputs and an output --------------------------------------------------------

_INPUTS: Final = ("cₖ₋₂", "cₖ₋₁")
_OUTPUT: Final = "cₖ"

Edge: TypeAlias = tuple[
    int, Ops
]  # what a node reads, and what is on the way: states 0, 1 are inputs


def genotype(space: Any, arch: Any, options: DrawOptions) -> Scene:
    """The normal cell above the reduction cell, each node with the two operations that it adds."""
    found, scenes = space.to_genotype(arch), []
    for name, pairs, concat in (
        ("normal cell", found.normal, found.normal_concat),
        ("reduction cell", found.reduce, found.reduce_concat),
    ):
        edges = [(source, (op,)) for op, source in pairs]
        nodes = [edges[i : i + 2] for i in range(0, len(edges), 2)]
        scenes.append(_cell(name, nodes, concat, options))
    if hasattr(space, "to_net"):  # in NDS, width and depth are the architecture's
        net = space.to_net(arch)
        text = f"width {net['width']}, depth {net['depth']}"
        for scene in scenes[:1]:
            title = scene.texts[-1]
            x = title.x + text_width(title.text, title.size, bold=True) + 8.0
            scene.text(x, title.y, text, anchor="left")
    return stacked(scenes)


def super_darts(space: Any, arch: Any, options: DrawOptions) -> Scene:
    """Both cells, with a set of operations on the way from each state to each later node."""
    cells: dict[str, list[list[Edge]]] = {}
    for edge, ops in space.sets(arch).items():
        cell, place = edge.split()
        node, source = map(int, place.split("<-"))
        nodes = cells.setdefault(cell, [])
        while len(nodes) < node - 1:
            nodes.append([])
        if ops:
            nodes[-1].append((source, ops))
    titles = {"normal": "normal cell", "reduce": "reduction cell"}
    return stacked(
        [
            _cell(titles[cell], nodes, range(2, 2 + len(nodes)), options)
            for cell, nodes in cells.items()
        ]
    )


def _shown(ops: Ops, options: DrawOptions) -> list[Look]:
    return [look_of(op) for op in ops if op != "none" or not options.hide_none]


def _cell(
    title: str, nodes: Sequence[Sequence[Edge]], concat: Collection[int], options: DrawOptions
) -> Scene:
    if options.hide_none:
        nodes = [[edge for edge in edges if set(edge[1]) - {"none"}] for edges in nodes]
    name = [*_INPUTS, *map(str, range(len(nodes)))]
    pill = _width(
        {look.label for edges in nodes for _, ops in edges for look in _shown(ops, options)}
    )

    def grid(ops: Ops) -> tuple[int, int]:
        n = len(_shown(ops, options))
        across = 1 if n < 4 else 2
        return -(-n // across), across

    vertices = [Vertex(text, _width([text], _STATE), _STATE) for text in _INPUTS]
    for text, edges in zip(name[2:], nodes, strict=True):
        between = _GAP if all(len(ops) < 2 for _, ops in edges) else 4 * _GAP
        lanes = tuple(grid(ops)[0] * (_PILL + _GAP) + between for _, ops in edges)
        across = max((grid(ops)[1] for _, ops in edges), default=0)
        pad = 2 * _GAP if any(len(ops) > 1 for _, ops in edges) else 0.0
        width = across * (pill + _GAP) - _GAP + pad + _STEM + _STATE if edges else _STATE
        sources = tuple(name[source] for source, _ in edges)
        vertices.append(Vertex(text, width, max(sum(lanes), _STATE), sources, lanes))
    out = tuple(name[node] for node in sorted(concat))
    vertices.append(Vertex(_OUTPUT, _width([_OUTPUT]), _STATE, out))

    live = set(concat)  # states that the output hears of
    for node in reversed(range(2, len(name))):
        if node in live:
            live |= {source for source, ops in nodes[node - 2] if set(ops) - {"none"}}
    heard = {name[node] for node in live} | {_OUTPUT}
    reads = {(text, _OUTPUT, i) for i, text in enumerate(out)}
    for text, edges in zip(name[2:], nodes, strict=True):
        for lane, (source, ops) in enumerate(edges):
            if text in heard and set(ops) - {"none"}:
                reads.add((name[source], text, lane))

    placed, scene = layered(vertices), Scene()
    _lines(scene, placed, placed.routes, reads)
    for text in _INPUTS:
        _state(scene, placed, text, text not in heard)
    _state(scene, placed, _OUTPUT, False)
    for text, edges in zip(name[2:], nodes, strict=True):
        (x, y), width = placed.centre[text], next(v.width for v in vertices if v.name == text)
        left, node_x = x - width / 2, x + width / 2 - _STATE / 2
        end = node_x - _STATE / 2 - _STEM
        is_set = any(len(ops) > 1 for _, ops in edges)
        for lane, (_, ops) in enumerate(edges):
            rows, across = grid(ops)
            level = y + placed.lanes[text][lane]
            dead = (name[edges[lane][0]], text, lane) not in reads
            color = DEAD if dead else LINE
            half = (rows * (_PILL + _GAP) + _GAP) / 2
            if is_set:
                scene.frame(left, level - half, end, level + half)
            scene.line((end, level), (node_x - _STATE / 2, y), color=color)
            for i, (label, kind) in enumerate(_shown(ops, options)):
                down, right = divmod(i, across)
                scene.box(
                    (left + end) / 2 + (right - (across - 1) / 2) * (pill + _GAP),
                    level + ((rows - 1) / 2 - down) * (_PILL + _GAP),
                    pill, _PILL, kind, label, dead=dead,
                )  # fmt: skip
        scene.box(
            node_x, y, _STATE, _STATE, "state", text, dead=text not in heard, radius=_STATE / 2
        )
    left, _, _, top = scene.extents()
    scene.text(left, top + 8.0, title, anchor="left", bold=True)
    return scene


def _state(scene: Scene, placed: Placed, text: str, dead: bool) -> None:
    scene.box(*placed.centre[text], _width([text]), _STATE, "state", text, dead=dead)


def _lines(
    scene: Scene, placed: Placed, routes: Sequence[Route], reads: Collection[tuple[str, str, int]]
) -> None:
    """Lines of which nobody hears in grey, below the others."""
    pairs = {(source, reader) for source, reader, _ in reads}

    def is_live(route: Route) -> bool:
        if route.ends is not None:
            return (route.source, route.ends, route.lane) in reads
        return any((route.source, reader) in pairs for reader in route.readers)

    for route in sorted(routes, key=is_live):
        color = LINE if is_live(route) else DEAD
        scene.line(*route.points, color=color, arrow=route.ends is not None)
