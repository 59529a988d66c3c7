"""Cells on four nodes, as NAS-Bench-201 and TransNAS-Bench-101 have them: which ones are equal."""

from __future__ import annotations

__all__ = [
    "EDGES",
    "NOTHING",
    "OPS",
    "function_text",
    "least_work",
    "live_of",
    "network_text",
    "numbered_text",
]

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from zeroshot.spaces._protocol import Genes

OPS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, node) of each operation, in the order of the string."""
NOTHING: Final = "#"
"""Text of a sum without terms."""

_NONE, _SKIP, _POOL = OPS.index("none"), OPS.index("skip_connect"), OPS.index("avg_pool_3x3")
_CONVS = (OPS.index("nor_conv_1x1"), OPS.index("nor_conv_3x3"))


def live_of(genes: Genes) -> tuple[bool, ...]:
    """Which edges lie on a path from node 0 to node 3 that crosses no ``none``."""
    from_input, to_output = [True, False, False, False], [False, False, False, True]
    for op, (source, node) in zip(genes, EDGES, strict=True):  # sources come before their nodes
        if op != _NONE and from_input[source]:
            from_input[node] = True
    for op, (source, node) in zip(reversed(genes), reversed(EDGES), strict=True):
        if op != _NONE and to_output[node]:
            to_output[source] = True
    return tuple(
        op != _NONE and from_input[source] and to_output[node]
        for op, (source, node) in zip(genes, EDGES, strict=True)
    )


def function_text(genes: Genes, *, own_skip: bool = False) -> str:
    """Text of the formula of a cell; with `own_skip`, a skip from node 0 has weights, as a
    convolution has."""
    sums: list[list[str]] = [["0"]]
    for node in (1, 2, 3):
        terms: list[str] = []
        for op, (source, target) in zip(genes, EDGES, strict=True):
            if target != node or op == _NONE or not sums[source]:
                continue
            if op == _SKIP and not (own_skip and source == 0):
                terms += sums[source]
            else:
                terms.append(f"({'+'.join(sums[source])})@{OPS[op]}")
        sums.append(sorted(terms))
    return "+".join(sums[3]) or NOTHING


def network_text(genes: Genes, *, own_skip: bool = False) -> str:
    """`function_text` with convolutions of one text numbered, so that it shows what is shared."""
    live = live_of(genes)
    plain, convs = numbered_text(genes, live, {}, own_skip)
    alike: dict[str, list[int]] = {}
    for edge, text in convs.items():
        alike.setdefault(text, []).append(edge)
    twins = [edges for edges in alike.values() if len(edges) > 1]
    if not twins:
        return plain
    # which of them is the first is nobody's choice: the numbers that give the least text
    orders = itertools.product(*(itertools.permutations(edges) for edges in twins))
    numbers = ({e: i for edges in order for i, e in enumerate(edges, start=1)} for order in orders)
    return min(numbered_text(genes, live, of, own_skip)[0] for of in numbers)


def numbered_text(
    genes: Genes, live: Sequence[bool], numbers: Mapping[int, int], own_skip: bool = False
) -> tuple[str, dict[int, str]]:
    """Text of a cell, and of each operation with weights in it by its edge."""
    sums: list[list[str]] = [["0"]]
    convs: dict[int, str] = {}
    for node in (1, 2, 3):
        terms: list[str] = []
        for edge in range(node * (node - 1) // 2, node * (node + 1) // 2):  # those into the node
            if not live[edge]:
                continue
            op, source = genes[edge], sums[EDGES[edge][0]]
            has_own = own_skip and EDGES[edge][0] == 0
            if op == _SKIP and not has_own:
                terms += source
                continue
            text = f"({'+'.join(source)})@{OPS[op]}"
            if op in _CONVS or op == _SKIP:
                text = convs[edge] = f"{text}.{numbers.get(edge, 1)}"
            terms.append(text)
        terms.sort()
        sums.append(terms)
    return "+".join(sums[3]) or NOTHING, convs


def least_work(cells: Iterable[Genes], text_of: Callable[[Genes], str]) -> dict[str, Genes]:
    """Of each text the cell with the least to run and nothing dead, and of these the first."""

    def work(genes: Genes) -> tuple[int, int, int]:
        conv_1x1, conv_3x3 = map(genes.count, _CONVS)
        return conv_1x1 + 9 * conv_3x3, genes.count(_POOL), genes.count(_SKIP)

    found: dict[str, Genes] = {}
    for genes in sorted(cells, key=work):
        if sum(live_of(genes)) == len(genes) - genes.count(_NONE):
            found.setdefault(text_of(genes), genes)
    return found
