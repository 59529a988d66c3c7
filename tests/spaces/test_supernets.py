"""The supernets of NAS-Bench-201 and DARTS: texts, steps of a search, networks."""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zeroshot
from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.scores import Snip, XiGsnr
from zeroshot.spaces import darts, nasbench201, super_darts, super_nasbench201

from .common import is_taken_or_refused

SPACES = [super_nasbench201, super_darts]
both = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.NAME)
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|"
X = np.random.default_rng(0).standard_normal((8, 3, 8, 8)).astype(np.float32)
Y = np.arange(8) % 3


def built(space: ModuleType, arch: str, channels: int = 2, cells: int = 1) -> _core.Graph:
    return _core.space_build(space.NAME, space.parse(arch), channels, cells, 3, (3, 8, 8))


def terms(text: str) -> list[str]:
    """The node texts of a supernet, without its options."""
    cells = re.findall(r"\|[^;=]*\|", text)
    return [node for cell in cells for node in cell.split("+")]


# --- notations -------------------------------------------------------------------------------


@both
@given(seed=st.integers(0, 2**32 - 1))
def test_text_and_sets_say_the_same(space: Any, seed: int) -> None:
    (text,) = space.sample(1, seed)
    sets = space.sets(text)
    assert list(sets) == list(space.EDGES)
    assert space.parse(list(sets.values())) == space.parse(text)
    assert space.parse([set(ops) for ops in sets.values()]) == space.parse(text)
    assert space.canonical(text) == space.format(space.parse(text.encode())) == text
    at = iter(sets.values())
    for node in terms(text):
        for source, term in enumerate(node.strip("|").split("|")):
            assert term == f"{','.join(next(at))}~{source}"


@both
def test_what_parse_returns_it_takes(space: Any) -> None:
    options = "affine=0;" if space is super_nasbench201 else "depth=7;stem=3;affine=0;"
    for text in (*space.sample(20, 4), options + space.full(none=True)):
        genes = space.parse(text)
        for same in (genes, list(genes), np.array(genes), np.array(genes, dtype=np.int16)):
            found = space.parse(same)
            assert found == genes and {type(gene) for gene in found} == {int}
        assert space.sets(np.array(genes)) == space.sets(text)


@both
def test_wrong_integers_are_refused(space: Any) -> None:
    genes = space.parse(space.full())
    edge = "edge 0 of the normal cell" if space is super_darts else "edge 0"
    with pytest.raises(ArchitectureError, match=rf"{edge}.*: expected a set .*got -1"):
        space.parse((-1, *genes[1:]))
    with pytest.raises(ArchitectureError, match="affine: expected 0 or 1, got 2"):
        space.parse(np.array((*genes[:-1], 2)))
    for wrong in (True, 1.0, "none", ("none",), None):
        with pytest.raises(ArchitectureError, match=r"arch\[0\]: expected an integer, got"):
            space.parse((wrong, *genes[1:]))
    with pytest.raises(ArchitectureError, match=rf"or {len(genes)} integers, got 40 items"):
        space.parse([0] * 40)
    with pytest.raises(TypeError, match=r"arch: .*got int"):
        space.parse(np.array(3))


@pytest.mark.parametrize("affine", ["", "affine=0;"])
def test_sources_and_operations_may_come_in_any_order(affine: str) -> None:
    text = affine + "|~0|+|nor_conv_3x3,none~1|skip_connect~0|+|~2|~0|avg_pool_3x3~1|"
    normal = affine + "|~0|+|skip_connect~0|none,nor_conv_3x3~1|+|~0|avg_pool_3x3~1|~2|"
    assert super_nasbench201.canonical(text) == normal


def test_every_cell_of_nasbench201_is_one_of_its_supernet() -> None:
    for index in range(0, nasbench201.SIZE, 31):
        text = nasbench201.from_index(index)
        assert super_nasbench201.canonical(text) == text == super_nasbench201.to_nasbench201(text)


OPTIONS = ["", "depth=2;", "stem=3;", "affine=0;", "depth=99;stem=99;affine=0;", "depth=10;stem=7;"]


@pytest.mark.parametrize("options", OPTIONS)
def test_options_of_darts_round_trip(options: str) -> None:
    text = options + super_darts.full()
    assert super_darts.canonical(text) == text
    assert super_darts.canonical(text.replace("stem=", "stem=", 1)) == text
    assert super_darts.canonical(options + "stem=1;" * (not options) + super_darts.full()) == text


FULL = super_darts.full()
START = "'normal=', before which may come depth=, stem= and affine=0 in this order"
MALFORMED = [
    (super_nasbench201, "", 0, "'|' before a term of node 1"),
    (super_nasbench201, "|none~0", 7, "'|' after a source"),
    (super_nasbench201, "|none,~0|", 6, "an operation (none,"),
    (super_nasbench201, "|,none~0|", 1, "an operation (none,"),
    (super_nasbench201, "|none,none~0|", 6, "each operation of an edge once"),
    (super_nasbench201, "|none nor_conv_3x3~0|", 5, "',' and an operation, or '~' and a source"),
    (super_nasbench201, "|none~1|", 6, "a source of node 1 (0 to 0)"),
    (super_nasbench201, "|~0|+|~0|~0|", 10, "each source of node 2 once"),
    (super_nasbench201, "|~0|+|~0|~1|", 12, "'+' and the next of three nodes"),
    (super_nasbench201, "affine=1;|~0|", 7, "'affine=0;'"),
    (super_nasbench201, CELL + "|", len(CELL), "the end of the text"),
    (super_darts, "", 0, f"expected {START}, got the end of the text"),
    (super_darts, "depth=0;" + FULL, 6, "1 to 99"),
    (super_darts, "depth=02;" + FULL, 6, "1 to 99"),
    (super_darts, "depth=100;" + FULL, 6, "1 to 99, without zeros before it, got '100'"),
    (super_darts, "depth=9" + FULL, 7, "';'"),
    (super_darts, FULL.replace("reduce=", "other="), FULL.index("reduce="), "'reduce=', got 'oth"),
    (super_darts, "stem=;" + FULL, 5, "1 to 99"),
    (super_darts, "stem=2;depth=2;" + FULL, 7, f"expected {START}, got 'depth'"),
    (super_darts, "affine=1;" + FULL, 7, "'affine=0;'"),
    (super_darts, FULL.split(";")[0], len(FULL.split(";")[0]), "';' and the reduction cell"),
    (super_darts, FULL.replace("sep_conv_5x5", "nor_conv_1x1", 1), 34, "an operation (none,"),
]


@pytest.mark.parametrize(("space", "text", "position", "message"), MALFORMED)
def test_malformed_text_says_where_and_what(
    space: Any, text: str, position: int, message: str
) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)) as caught:
        space.parse(text)
    assert caught.value.position == position


@both
@given(text=st.text() | st.binary() | st.text(alphabet="none,~|+01;="))
def test_random_text_raises_nothing_but_architecture_error(space: Any, text: str | bytes) -> None:
    is_taken_or_refused(space, text)


@both
def test_malformed_sets_say_which_edge(space: Any) -> None:
    n = len(space.EDGES)
    with pytest.raises(
        ArchitectureError, match=rf"operations of {n} edges or \d+ integers, got 1 items"
    ):
        space.parse([["none"]])
    for wrong in (["none", "none"], ["other"], [3], "none", 7):
        with pytest.raises(ArchitectureError, match=rf"arch\[{n - 1}\]: expected"):
            space.parse([[]] * (n - 1) + [wrong])
    with pytest.raises(TypeError, match=r"arch: .*got float"):
        space.parse(1.5)
    genes = list(space.parse(space.full()))
    for i, value in ((0, -1), (0, 2 ** len(space.OPS)), (-1, 2), (-1, -1)):
        with pytest.raises(ArchitectureError, match="expected"):
            space.format([value, *genes[1:]] if i == 0 else [*genes[:-1], value])


# --- steps of a search -----------------------------------------------------------------------


@both
def test_a_search_step_by_step_ends_with_one_operation_an_edge(space: Any) -> None:
    arch, steps = space.full(), []
    while True:
        prunings = space.prunings(arch)
        steps.append(len(prunings))
        if not prunings:
            break
        seen: set[str] = set()
        for pruning in prunings:
            if pruning.edge not in seen:  # one of each edge
                arch = space.without(arch, pruning.edge, pruning.op)
                seen.add(pruning.edge)
    n, k = len(space.EDGES), len(space.OPS) - 1
    assert steps == [n * i for i in range(k, 1, -1)] + [0]
    assert all(ops == (space.OPS[-1],) for ops in space.sets(arch).values())


def test_candidates_of_te_nas() -> None:
    """In its first step, without ``none`` and with it."""
    assert len(super_nasbench201.prunings(super_nasbench201.full())) == 24
    assert len(super_nasbench201.prunings(super_nasbench201.full(none=True))) == 30


@both
def test_prunings_are_what_without_gives(space: Any) -> None:
    (arch,) = space.sample(1, 3)
    genes = space.parse(arch)
    prunings = space.prunings(arch)
    assert len(prunings) == sum(g.bit_count() for g in genes[: len(space.EDGES)] if g & (g - 1))
    for edge, op, left in prunings:
        assert space.without(arch, edge, op) == left
        assert op not in space.sets(left)[edge] and op in space.sets(arch)[edge]
        assert left in space.neighbours(arch)
    assert space.sets(space.without(arch, space.EDGES[2]))[space.EDGES[2]] == ()


@both
def test_wrong_steps_are_refused(space: Any) -> None:
    with pytest.raises(ValueError, match=r"edge: expected one of .*got '9<-9'"):
        space.without(space.full(), "9<-9")
    with pytest.raises(ValueError, match=r"op: expected one of the operations of .*got 'none'"):
        space.without(space.full(), space.EDGES[0], "none")
    with pytest.raises(ValueError, match=r"\(it has none\); got 'none'"):
        space.without(space.without(space.full(), space.EDGES[0]), space.EDGES[0], "none")


@both
@given(seed=st.integers(0, 2**32 - 1))
def test_steps_can_be_taken_back(space: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    (text,) = space.sample(1, rng)
    near = space.neighbours(text)
    assert len(set(near)) == len(space.EDGES) * len(space.OPS) and text not in near
    child = space.mutate(text, rng)
    assert child in near and text in space.neighbours(child)


@both
def test_sample_and_enumeration(space: Any) -> None:
    assert 2 ** (len(space.EDGES) * len(space.OPS)) == space.SIZE
    assert space.sample(9, 7) == space.sample(9, np.random.default_rng(7)) != space.sample(9, 8)
    assert len(set(space.sample(500, 0))) == 500
    first = list(itertools.islice(space.enumerate_all(), 600))
    assert len(set(first)) == 600
    assert set(space.sets(first[0]).values()) == {()}
    assert space.representative(first[599]) == first[599]
    with pytest.raises(ValueError, match="n: expected"):
        space.sample(-1, 0)


def test_enumeration_ends_with_the_full_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from zeroshot.spaces._supernet import Supernet

    small = Supernet("small", ("none", "a"), ("x", "y"), ())
    monkeypatch.setattr(small, "format", lambda genes: str(list(genes)))
    assert list(small.enumerate_all()) == [str([i, j]) for i in range(4) for j in range(4)]


def test_what_is_left_becomes_a_genotype() -> None:
    arch = super_darts.full()
    keep = {2: (0, 1), 3: (0, 2), 4: (1, 3), 5: (0, 4)}
    for edge in super_darts.EDGES:
        node, source = (int(part) for part in edge.split()[1].split("<-"))
        arch = super_darts.without(arch, edge)
        if source in keep[node]:
            sets = super_darts.sets(arch) | {edge: ("sep_conv_3x3",)}
            arch = super_darts.format(super_darts.parse(list(sets.values())))
    pairs = [("sep_conv_3x3", source) for node in keep for source in keep[node]]
    concat = [2, 3, 4, 5]
    wanted = darts.format(darts.parse((pairs, concat, pairs, concat)))
    assert super_darts.to_darts(arch) == wanted
    with pytest.raises(ArchitectureError, match=r"two edges into each node.*node 5 of the reduce"):
        super_darts.to_darts(super_darts.without(arch, "reduce 5<-4"))
    with pytest.raises(ArchitectureError, match="at most one operation and no none"):
        super_darts.to_darts(super_darts.full())
    with pytest.raises(ArchitectureError, match="one operation on each edge, got skip_connect,"):
        super_nasbench201.to_nasbench201(super_nasbench201.full())


# --- the network -----------------------------------------------------------------------------

NAMES = {"super_nb201": super_nasbench201, "super_darts": super_darts}


def test_counts_equal_the_check_values(shared: Path) -> None:
    with (shared / "spaces_check.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["space"] in NAMES]
    assert len(rows) == 4
    for row in rows:
        options = dict(part.split("=") for part in row["architecture"].split(";"))
        space = NAMES[row["space"]]
        arch = space.full(none=True)
        if "depth" in options:
            arch = f"depth={options['depth']};stem={options['stem_mult']};" + arch
        counts = zeroshot.count(
            arch,
            space=space.NAME,
            input_size=int(row["input_size"]),
            num_classes=int(row["classes"]),
            channels=int(options["C"]),
            cells=int(options["N"]),
        )
        assert (counts.params, counts.macs) == (int(row["params"]), int(row["macs"])), row


@pytest.mark.parametrize(
    ("space", "prefix", "channels", "params"),
    [(super_nasbench201, "", 3, 14_173), (super_darts, "depth=2;", 1, 4_883)],
    ids=lambda value: getattr(value, "NAME", None),
)
def test_cells_without_gamma_and_beta(space: Any, prefix: str, channels: int, params: int) -> None:
    arch = f"{prefix}affine=0;{space.full()}"
    counts = zeroshot.count(
        arch, space=space.NAME, input_size=32, num_classes=10, channels=channels, cells=1
    )
    assert counts.params == params


@both
def test_weights_do_not_depend_on_the_sets(space: Any) -> None:
    full, empty = built(space, space.full(none=True)), built(space, space.full())
    assert full.tensors() == empty.tensors()


def test_one_operation_an_edge_is_the_cell() -> None:
    """With the same weights: supernets draw others, as they have more."""
    size_of = {"e01": "3x3", "e02": "1x1", "e23": "3x3"}
    cell = _core.space_build("nasbench201", nasbench201.parse(CELL), 4, 1, 3, (3, 8, 8))
    rng = np.random.default_rng(0)
    weights = {
        tensor["name"]: rng.standard_normal(tensor["shape"]) / 3
        for tensor in cell.tensors()
        if tensor["role"] in ("weight", "bias")
    }
    in_super = {
        re.sub(r"(e\d\d)\.conv", lambda m: f"{m[1]}.conv_{size_of[m[1]]}", name): w
        for name, w in weights.items()
    }
    options: dict[str, Any] = {"channels": 4, "cells": 1, "dtype": "float64", "num_classes": 3}
    scores = [XiGsnr(batch_size=4), Snip(batch_size=8)]
    ours = zeroshot.score(
        CELL, X, Y, scores=scores, space="super_nasbench201", weights=in_super, **options
    )
    theirs = zeroshot.score(CELL, X, Y, scores=scores, weights=weights, **options)
    assert ours.values == pytest.approx(theirs.values, rel=1e-9)


@both
def test_an_empty_edge_adds_nothing_and_empty_nodes_are_zero(space: Any) -> None:
    n = len(space.EDGES)
    empty = space.format([0] * n + list(space.parse(space.full())[n:]))
    result = zeroshot.score(
        empty, X, Y, scores=XiGsnr(batch_size=4), space=space.NAME, channels=2, cells=1,
        num_classes=3,
    )  # fmt: skip
    assert result.scores["xi_gsnr"].status == "no_signal"


@both
def test_scores_of_prunings(space: Any) -> None:
    """Each candidate of a step is scored as itself, and its weights are the parent's."""
    options: dict[str, Any] = {"space": space.NAME, "channels": 2, "cells": 1, "num_classes": 3}
    arch = space.full()
    values = [
        zeroshot.xi_gsnr(p.arch, X, Y, batch_size=4, **options) for p in space.prunings(arch)[:4]
    ]
    assert np.isfinite(values).all() and len(set(values)) > 1


@pytest.mark.parametrize(
    ("space", "arch", "options", "message"),
    [
        (super_darts, "depth=4;" + FULL, {}, "depth: expected at most the 3 cells .*got 4"),
        (super_darts, FULL, {"cells": 100}, "cells: expected 1 to 99, got 100"),
        (super_darts, FULL, {"input_size": 30}, "input size: expected multiples of 4"),
        (super_nasbench201, CELL, {"input_size": 30}, "input size: expected multiples of 4"),
        (super_nasbench201, CELL, {"builder": "zerocost"}, "builder: expected autodl"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(
    space: Any, arch: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        zeroshot.count(arch, space=space.NAME, **options)
