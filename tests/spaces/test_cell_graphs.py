"""Cells of genotypes as graphs of networkx."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from zeroshot.errors import ArchitectureError
from zeroshot.spaces import darts, get_space

networkx = pytest.importorskip("networkx", reason="networkx is not installed: no cells as graphs")
SPACES = [
    "darts", "nasbench301", "nds_darts", "nds_enas", "nds_pnas", "nds_nasnet", "nds_amoeba",
]  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
def test_graphs_of_1000_architectures_round_trip(name: str) -> None:
    space: Any = get_space(name)
    for text in space.sample(1_000, 0):
        graphs = space.to_networkx(text)
        genes = space.parse(text)
        size = {"width": genes[0], "depth": genes[1]} if name.startswith("nds") else {}
        assert space.from_networkx(*graphs, **size) == text


def test_graph_is_the_cell() -> None:
    normal, reduce = darts.to_networkx("DARTS_V2")
    assert list(normal) == [0, 1, 2, 3, 4, 5, "output"]
    edges = [(s, t, d["op"]) for s, t, d in sorted(normal.edges(data=True), key=str) if d]
    assert (0, 2, "sep_conv_3x3") in edges and (2, 5, "dil_conv_3x3") in edges and len(edges) == 8
    assert [s for s, t in reduce.edges() if t == "output"] == [2, 3, 4, 5]
    assert all(networkx.is_directed_acyclic_graph(graph) for graph in (normal, reduce))
    for graph in (normal, reduce):  # of other hands: without the numbers of pairs
        for *_, data in graph.edges(data=True):
            data.pop("pair", None)
    assert darts.from_networkx(normal, reduce) == darts.canonical("DARTS_V2")


def test_other_graphs_are_refused() -> None:
    normal, reduce = darts.to_networkx("DARTS_V2")
    with pytest.raises(ArchitectureError, match="reduce: expected 2 edges to 2, got 0"):
        darts.from_networkx(normal, networkx.MultiDiGraph())
    wrong = normal.copy()
    next(data for s, t, data in wrong.edges(data=True) if t == 4)["op"] = "none"
    with pytest.raises(
        ArchitectureError, match=r"normal, edge . to 4: expected one of .*got 'none'"
    ):
        darts.from_networkx(wrong, reduce)
    wrong = normal.copy()
    wrong.remove_edge(3, "output")
    with pytest.raises(ArchitectureError, match="edges to the output: expected all nodes, 2 to 5"):
        darts.from_networkx(wrong, reduce)


def test_without_networkx_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "networkx":
            raise ImportError(name)
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"to_networkx needs networkx: .*zeroshot\[graphs\]"):
        darts.to_networkx("DARTS_V2")
