"""Conversion: every notation of every space into every other, and from space to space."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import darts, get_space, list_spaces, mbconv, nasbench201, proxylessnas
from zeroshot.spaces.notations import BRIDGES, NOTATIONS, Notation, convert, notations

WHOLE = "nasbench201"  # small enough for all of it
EXAMPLE = "|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_1x1~1|none~2|"


def plain(value: Any) -> Any:
    """Something to compare: a graph as what it consists of."""
    if hasattr(value, "edges"):
        edges = [(str(a), str(b), sorted(data.items())) for a, b, data in value.edges(data=True)]
        nodes = [(str(v), sorted(data.items())) for v, data in value.nodes(data=True)]
        return type(value).__name__, value.graph, sorted(nodes), sorted(edges)
    if isinstance(value, tuple) and value and hasattr(value[0], "edges"):
        return tuple(map(plain, value))
    return value


def samples(space: str, n: int) -> list[str]:
    """Random architectures, also of those that no number draws."""
    if space == "nasbench201" and n >= nasbench201.SIZE:
        return list(nasbench201.enumerate_all())
    module = get_space(space)
    if space == "nasbench101":  # numbered at random, not as enumerate_all does
        rng = np.random.default_rng(1)
        return [module.mutate(text, rng) for text in module.sample(n, 0)]
    if space not in ("proxylessnas", "mbconv", "super_nasbench201"):
        return module.sample(min(n, module.SIZE), 0)
    if space == "super_nasbench201":
        plain_ones = module.sample(n - n // 3, 0)
        return plain_ones + [f"affine=0;{text}" for text in module.sample(n // 3, 1)]
    kinds: list[dict[str, Any]] = [
        {}, {"skeleton": "21"}, {"skeleton": "21wide"}, {"act": "swish"}, {"se": 0.25},
        {"act": "swish", "se": 0.25},
    ]  # fmt: skip
    found: list[str] = []
    rng = np.random.default_rng(2)
    for i, kind in enumerate(kinds):
        drawn = proxylessnas.sample(1 + n // len(kinds), i, **kind)
        found += [proxylessnas.mutate(text, rng, skip=True) for text in drawn]
    if space == "proxylessnas":
        return found
    return [proxylessnas.to_mbconv(text) for text in found if "relu6;se=0.25" not in text]


def written(text: str, rows: Iterable[Notation], space: str) -> dict[str, Any]:
    """An architecture in all the notations that it has."""
    values = {}
    for row in rows:
        try:
            values[row.name] = convert(text, row.name, space=space)
        except ArchitectureError:
            continue
    return values


def check_all_pairs(
    space: str, texts: Sequence[str], rows: Sequence[Notation], *, turns: bool = False
) -> None:
    """Every text from each notation to each; by `turns`, from one that is the next text's next."""
    module, seen = get_space(space), set()
    for i, text in enumerate(texts):
        values = written(text, rows, space)
        seen |= set(values)
        canonical: dict[str, Any] = {}
        if not all(row.exact for row in rows):
            canonical = written(module.canonical(text), rows, space)
        for source in [rows[i % len(rows)]] if turns else rows:
            if not source.read or source.name not in values:
                continue
            wanted = values if source.exact else canonical
            for target in rows:
                if target.name in wanted:
                    got = convert(
                        values[source.name], target.name, space=space, notation=source.name
                    )
                    assert plain(got) == plain(wanted[target.name]), (text, source, target)
    assert seen == {row.name for row in rows}


def rows_of(space: str, *, graphs: bool) -> list[Notation]:
    return [row for row in NOTATIONS[space] if graphs or row.name != "networkx"]


# --- round trips ---------------------------------------------------------------------------------


MANY = 1_000 if os.environ.get("CI") else 10_000  # CI takes a tenth


@pytest.mark.slow
def test_every_cell_of_nasbench201_goes_from_every_notation_to_every_other() -> None:
    check_all_pairs(WHOLE, samples(WHOLE, nasbench201.SIZE), rows_of(WHOLE, graphs=False))


@pytest.mark.parametrize("space", NOTATIONS)
def test_samples_go_from_every_notation_to_every_other(space: str) -> None:
    check_all_pairs(space, samples(space, 60), rows_of(space, graphs=False))


@pytest.mark.slow
@pytest.mark.parametrize("space", [space for space in NOTATIONS if space != WHOLE])
def test_many_samples_go_from_every_notation_to_every_other(space: str) -> None:
    check_all_pairs(space, samples(space, MANY), rows_of(space, graphs=False), turns=True)


@pytest.mark.parametrize(
    "space", [s for s, rows in NOTATIONS.items() if any(row.name == "networkx" for row in rows)]
)
def test_graphs_go_from_every_notation_to_every_other(space: str) -> None:
    pytest.importorskip("networkx", reason="networkx is not installed: no graphs")
    check_all_pairs(space, samples(space, 100), rows_of(space, graphs=True))


@pytest.mark.parametrize("space", NOTATIONS)
def test_what_a_value_looks_like_is_what_it_is(space: str) -> None:
    pytest.importorskip("networkx", reason="networkx is not installed: no graphs")
    for text in samples(space, 30):
        for name, value in written(text, NOTATIONS[space], space).items():
            fitting = [row.name for row in NOTATIONS[space] if row.fits(value)]
            if name == "hash":
                continue
            assert name in fitting
            if len(fitting) > 1:
                assert space == WHOLE and fitting == ["genes", "naslib"]
                with pytest.raises(ArchitectureError, match="notation='genes' or notation='nas"):
                    convert(value, "text", space=space)
                continue
            named = convert(value, "text", space=space, notation=name)
            assert convert(value, "text", space=space) == named


def test_what_parse_takes_is_taken() -> None:
    mixed: list[Any] = ["none", 3, "skip_connect", 0, 0, 4]
    assert convert(mixed, "genes") == nasbench201.parse(mixed)
    assert convert(np.array([0, 2, 3, 2, 3, 1]), "text", notation="naslib") == EXAMPLE
    assert convert(np.int64(4811), "text") == EXAMPLE == convert(EXAMPLE.encode(), "text")
    assert convert("DARTS_V2", "text", space="darts") == darts.NAMED["DARTS_V2"]


# --- from space to space -------------------------------------------------------------------------


def crossing(space: str, target: str) -> Iterator[str]:
    if target == "super_nasbench201":
        yield from samples(space, 300)
    elif space == "super_nasbench201":
        yield from map(str, nasbench201.sample(300, 0))  # whose texts are its texts
    elif space == "super_darts":
        yield from (convert(text, "super_darts", space="darts") for text in darts.sample(100, 0))
    elif space == "nds_darts":
        yield from (convert(text, space, space=target) for text in darts.sample(100, 0))
    elif {space, target} == {"mbconv", "proxylessnas"}:
        texts = samples(space, 300)
        yield from (text for text in texts if "relu6;se=0.25" not in text)
    else:
        yield from samples(space, 100)


@pytest.mark.parametrize(("space", "target"), BRIDGES)
def test_spaces_that_denote_the_same_convert_there_and_back(space: str, target: str) -> None:
    module, n = get_space(space), 0
    assert (target, space) in BRIDGES
    for text in crossing(space, target):
        there = convert(text, target, space=space)
        assert there == get_space(target).format(get_space(target).parse(there))
        back = convert(there, space, space=target)
        assert module.canonical(back) == module.canonical(text)
        for row in rows_of(target, graphs=False):
            try:
                value = convert(text, f"{target}:{row.name}", space=space)
            except ArchitectureError:
                assert "index" in row.name or target == "mbconv" or row.name == "choices"
                continue
            assert value == convert(there, row.name, space=target)
        n += 1
    assert n >= 100


@pytest.mark.parametrize(
    ("space", "target", "size"),
    [("darts", "nds_darts", (36, 20)), ("nasbench301", "nds_darts", (32, 8))],
)
def test_genotypes_cross_to_the_record_of_their_default_network(
    space: str, target: str, size: tuple[int, int]
) -> None:
    text = darts.NAMED["DARTS_V2"]
    record = convert(text, "nds_darts:record", space=space)
    assert (record["width"], record["depth"]) == size
    one = zeroshot.count(text, space=space)
    assert one == zeroshot.count(record, space=target)


@pytest.mark.parametrize(
    ("arch", "to", "space"),
    [
        ("w=16;d=4;" + darts.NAMED["DARTS_V1"], "darts", "nds_darts"),  # another width
        ("w=36;d=20;" + darts.NAMED["DARTS_V1"], "nasbench301", "nds_darts"),
        (0, "darts", "nds_darts"),  # with none
        (
            "|none,skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|",
            "nasbench201",
            "super_nasbench201",
        ),
        ("|~0|+|none~0|none~1|+|none~0|none~1|none~2|", "nasbench201", "super_nasbench201"),
        ("affine=0;" + EXAMPLE, "nasbench201", "super_nasbench201"),
        ("affine=0;" + EXAMPLE, "sets", "super_nasbench201"),
        (proxylessnas.from_index(0, "21wide"), "choices", "proxylessnas"),
        (proxylessnas.from_index(0, act="swish"), "index", "proxylessnas"),
        (proxylessnas.from_index(0, se=0.25), "mbconv", "proxylessnas"),
        ("stem=32;last=1280;k3e1:16s1 k5e3:32s2", "proxylessnas", "mbconv"),
        ("stem=32;last=1280;k3e1:16s1 k5e3:32s2", "timm", "mbconv"),
        (mbconv.from_index(0), "config", "mbconv"),
    ],
)
def test_what_a_notation_cannot_say_is_refused(arch: Any, to: str, space: str) -> None:
    with pytest.raises(ArchitectureError, match="arch: ") as caught:
        convert(arch, to, space=space)
    assert caught.value.position is None  # it would be in a text that nobody wrote


# --- the listing, and bad input ------------------------------------------------------------------


def test_every_space_has_notations_with_functions_and_examples() -> None:
    pytest.importorskip("networkx", reason="networkx is not installed: no graphs")
    assert set(NOTATIONS) == set(list_spaces())
    for space in NOTATIONS:
        listed = notations(space)
        assert listed[0].name == "text" and len({row.name for row in listed}) == len(listed)
        for row in listed:
            assert row.looks and row.example is not None, (space, row)
            if row.read:
                module = get_space(space)
                want = module.canonical(notations(space)[0].example)
                got = convert(row.example, "text", space=space, notation=row.name)
                assert module.canonical(got) == want or space == "mbconv"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: convert(EXAMPLE, "bogus"), ValueError, "to: expected a notation of nasbench201, "),
        (lambda: convert(EXAMPLE, "darts"), ValueError, "to: expected a notation of nasbench201, "),
        (
            lambda: convert(EXAMPLE, "super_nasbench201:bogus"),
            ValueError,
            "to: expected one of text, sets behind 'super_nasbench201:'; got 'bogus'",
        ),
        (lambda: convert(EXAMPLE, "text", space="bogus"), ValueError, "space: expected one of"),
        (lambda: notations("bogus"), ValueError, "space: expected one of"),
        (
            lambda: convert(EXAMPLE, "text", notation="bogus"),
            ValueError,
            "notation: expected one of text, index, ",
        ),
        (
            lambda: convert("0" * 32, "text", space="nasbench101", notation="hash"),
            ValueError,
            "notation: expected one of text, .* genes; got 'hash'",
        ),
        (
            lambda: convert(EXAMPLE, "text", notation="naslib"),
            ArchitectureError,
            "arch: expected naslib, six integers",
        ),
        (lambda: convert((9,) * 6, "text", notation="naslib"), ArchitectureError, "six numbers 0"),
        (lambda: convert((9,) * 6, "text", notation="genes"), ArchitectureError, r"arch\[0\]"),
        (lambda: convert("|none~0|x", "index"), ArchitectureError, "expected '\\+'"),
        (lambda: convert(None, "index"), TypeError, "arch: expected a string, an index"),
        (lambda: convert(15_625, "text"), ArchitectureError, "index: expected 0 to 15624"),
        (
            lambda: convert((8, (-1, 0, -2)), "text", space="nasbench101"),
            ArchitectureError,
            "pair: expected 2 to 32 operations and a bit for each edge",
        ),
        (
            lambda: convert('{"width": 16', "text", space="nds_enas"),
            ArchitectureError,
            "arch: expected JSON",
        ),
        (
            lambda: convert({"arch_def": "x"}, "text", space="mbconv"),
            ArchitectureError,
            "stem_size",
        ),
    ],
)
def test_bad_arguments_say_what_was_expected(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_graphs_that_are_no_cells_are_refused() -> None:
    networkx = pytest.importorskip("networkx", reason="networkx is not installed: no graphs")
    graph = networkx.DiGraph([(0, 1, {"op": "skip_connect"}), (1, 3, {"op": "nor_conv_1x1"})])
    assert nasbench201.from_networkx(graph) == (
        "|skip_connect~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"
    )
    for edge in ((3, 1), (0, 0), (0, 4), ("a", "b")):
        wrong = networkx.DiGraph([(*edge, {"op": "none"})])
        with pytest.raises(ArchitectureError, match=r"graph, edge .*: expected each of"):
            nasbench201.from_networkx(wrong)
    twice = networkx.MultiDiGraph([(0, 1, {"op": "none"}), (0, 1, {"op": "none"})])
    with pytest.raises(ArchitectureError, match="once at the most"):
        nasbench201.from_networkx(twice)
    with pytest.raises(ArchitectureError, match="graph, edge 0 to 1: expected one of none"):
        nasbench201.from_networkx(networkx.DiGraph([(0, 1)]))

    module = get_space("nasbench101")
    for nodes in ([1, 2], ["a", "b"], [0, 2]):
        wrong = networkx.DiGraph()
        wrong.add_nodes_from(nodes)
        with pytest.raises(ArchitectureError, match="graph: expected vertices 0 to 1"):
            module.from_networkx(wrong)  # type: ignore[attr-defined]


def test_bits_of_nasbench101_are_those_of_the_enumeration() -> None:
    """Edge (x, y) at bit x + y(y-1)/2: of the four in a diamond 0-1, 0-2, 1-3, 2-3."""
    bits, labels = convert(
        "adj=0110/0001/0001/0000;ops=input,maxpool3x3,conv3x3-bn-relu,output",
        "bits",
        space="nasbench101",
    )
    assert (bits, labels) == (1 << 0 | 1 << 1 | 1 << 4 | 1 << 5, (-1, 2, 0, -2))


def test_documentation_says_of_every_notation_what_the_table_says() -> None:
    text = (Path(__file__).parents[2] / "docs" / "notations.md").read_text(encoding="utf-8")
    lines = text[text.index("| space | notation |") :].splitlines()[2:]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    told = {
        (space, name.strip("`"), *(re.sub(r"\\(.)", r"\1", cell) for cell in rest))
        for spaces, name, *rest in cells
        for space in re.findall(r"`(\w+)`", spaces)
    }
    rows = {(s, row.name, row.looks, row.trap) for s, found in NOTATIONS.items() for row in found}
    assert told == rows
