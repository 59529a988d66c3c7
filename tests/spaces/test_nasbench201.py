"""NAS-Bench-201: notations, classes of equal cells, and the network that is built."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import Space, get_space, list_spaces
from zeroshot.spaces import nasbench201 as nb

from .common import is_taken_or_refused

SHARED = Path(os.environ.get("ZEROSHOT_SHARED", Path(__file__).parents[3] / "shared"))
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
ALL = list(itertools.product(range(5), repeat=6))


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent: nothing is compared with it (set ZEROSHOT_SHARED)")
    return path


def build(
    arch: Any, channels: int = 16, cells: int = 5, num_classes: int = 10, size: int = 32
) -> Any:
    args = (channels, cells, num_classes, (3, size, size))
    return _core.space_build(nb.NAME, nb.parse(arch), *args)


@pytest.fixture(scope="module")
def table() -> list[dict[str, str]]:
    with gzip.open(shared("data/nasbench201.csv.gz"), "rt") as file:
        return list(csv.DictReader(file))


# --- the list of spaces ----------------------------------------------------------------------


@pytest.mark.parametrize("name", list_spaces())
def test_every_space_has_a_module_with_the_functions_of_space(name: str) -> None:
    space = get_space(name)
    assert isinstance(space, Space)
    assert name == space.NAME


def test_unknown_space_lists_the_known() -> None:
    with pytest.raises(ValueError, match="nasbench201"):
        get_space("nasbench2O1")
    with pytest.raises(ValueError, match="nasbench201"):
        _core.space_parse("nasbench20", CELL)


# --- notations -------------------------------------------------------------------------------


def test_every_cell_round_trips_through_every_notation() -> None:
    for genes in ALL:
        text = nb.format(genes)
        assert nb.parse(text) == genes
        assert nb.parse(text.encode()) == genes
        assert nb.parse(genes) == genes
        assert nb.parse([nb.OPS[op] for op in genes]) == genes
        assert nb.parse(nb.to_nested(text)) == genes
        assert nb.from_naslib(nb.to_naslib(genes)) == text
        assert nb.parse(nb.to_index(genes)) == genes


def test_enumeration_has_each_cell_once_last_edge_fastest() -> None:
    cells = list(nb.enumerate_all())
    assert len(set(cells)) == len(cells) == nb.SIZE == 15_625
    assert cells[1] == "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"


def test_terms_of_a_node_come_in_any_order_and_go_out_sorted() -> None:
    shuffled = "|nor_conv_3x3~0|+|nor_conv_1x1~1|none~0|+|avg_pool_3x3~2|skip_connect~0|none~1|"
    assert nb.format(nb.parse(shuffled)) == CELL


def test_array_and_numpy_integers_are_read() -> None:
    assert nb.parse(np.array([3, 0, 2, 1, 0, 4])) == nb.parse(CELL)
    assert nb.parse(np.int64(123)) == nb.parse(123)


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (
            0,
            "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|"
            "+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        ),
        (9, "|avg_pool_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"),
        (
            123,
            "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|"
            "+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|",
        ),
    ],
)
def test_published_indices(index: int, text: str) -> None:
    assert nb.from_index(index) == text
    assert nb.to_index(text) == index


def test_index_order_is_the_benchmark_s(table: list[dict[str, str]]) -> None:
    assert [nb.from_index(i) for i in range(nb.SIZE)] == [row["arch_str"] for row in table]


def test_naslib_numbers() -> None:
    text = "|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_1x1~1|none~2|"
    assert nb.from_naslib((0, 2, 3, 2, 3, 1)) == text
    assert nb.to_naslib(text) == (0, 2, 3, 2, 3, 1)


# --- malformed text --------------------------------------------------------------------------

MALFORMED = [
    ("", 0, "'|' before a term of node 1, got the end of the text"),
    (" " + CELL, 0, "'|' before a term of node 1, got ' '"),
    ("nor_conv_3x3~0", 0, "got 'nor_conv_3x3'"),
    ("|", 1, "an operation (none, skip_connect, nor_conv_1x1, nor_conv_3x3 or avg_pool_3x3)"),
    ("|~0|", 1, "an operation"),
    ("|conv~0|", 1, "got 'conv'"),
    ("|None~0|", 1, "got 'None'"),
    ("|none0|", 1, "got 'none0'"),
    ("|none_~0|", 1, "got 'none_'"),
    ("|" + "n" * 65_536, 1, f"got '{'n' * 24}...'"),
    ("|none", 5, "'~' and a source, got the end of the text"),
    ("|none-0|", 5, "'~' and a source, got '-'"),
    ("|none~|", 6, "a source of node 1 (0 to 0), got '|'"),
    ("|none~1|", 6, "a source of node 1 (0 to 0), got '1'"),
    ("|none~-1|", 6, "got '-'"),
    ("|none~0", 7, "'|' after a source, got the end of the text"),
    ("|none~00|", 7, "'|' after a source, got '0'"),
    ("|none~0\x00|", 7, "got byte 0x00"),
    ("|none~0|", 8, "'+' and node 2 (node 1 has 1 input), got the end of the text"),
    ("|none~0|none~0|", 8, "'+' and node 2 (node 1 has 1 input), got 'none'"),
    ("|none~0|+", 9, "'|' before a term of node 2"),
    ("|none~0|+|none~2|", 15, "a source of node 2 (0 to 1), got '2'"),
    ("|none~0|+|none~0|+|", 17, "an operation"),
    ("|none~0|+|none~0|none~0|", 22, "each source of node 2 once, got '0'"),
    ("|none~0|+|none~1|none~1|", 22, "each source of node 2 once, got '1'"),
    ("|none~0|+|none~0|none~1||none~0|", 24, "'+' and node 3 (node 2 has 2 inputs), got '|'"),
    (CELL + "+|none~0|", len(CELL), "the end of the text, got '+'"),
    (CELL + "\n", len(CELL), "the end of the text, got byte 0x0a"),
    (CELL + "\x00", len(CELL), "the end of the text, got byte 0x00"),
    (CELL + "|" * 65_536, len(CELL), "the end of the text, got '|'"),
    ("|none~0|+|né", 10, "got 'n'"),
    ("|\ud800", 1, "got byte 0xed"),
    (b"|\xff\xfe", 1, "got byte 0xff"),
]


@pytest.mark.parametrize(("text", "position", "message"), MALFORMED)
def test_malformed_text_says_where_and_what(text: str | bytes, position: int, message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)) as caught:
        nb.parse(text)
    assert caught.value.position == position


def reference_accepts(text: bytes) -> bool:
    """The grammar again, by regular expression and sets."""
    op = b"(?:" + b"|".join(o.encode() for o in nb.OPS) + b")"
    nodes = [rb"\|" + (op + rb"~([0-9])\|") * node for node in (1, 2, 3)]
    match = re.fullmatch(rb"\+".join(nodes), text)
    if match is None:
        return False
    sources = [int(s) for s in match.groups()]
    return [sorted(s) for s in (sources[:1], sources[1:3], sources[3:])] == [[0], [0, 1], [0, 1, 2]]


def check_against_reference(text: bytes) -> None:
    if not reference_accepts(text):
        with pytest.raises(ArchitectureError) as caught:
            nb.parse(text)
        assert caught.value.position is not None
        assert 0 <= caught.value.position <= len(text)
        return
    terms = re.findall(rb"\w+~\d", text)
    normal = nb.format(nb.parse(text)).encode()
    assert sorted(re.findall(rb"\w+~\d", normal)) == sorted(terms)


def test_every_one_byte_change_is_judged_as_by_the_grammar() -> None:
    cell = CELL.encode()
    for at in range(len(cell)):
        check_against_reference(cell[:at])
        check_against_reference(cell[:at] + cell[at + 1 :])
        for byte in range(256):
            check_against_reference(cell[:at] + bytes([byte]) + cell[at + 1 :])


@given(st.text() | st.text(alphabet="|+~012none_") | st.binary())
def test_random_text_raises_nothing_but_architecture_error(text: str | bytes) -> None:
    is_taken_or_refused(nb, text)


TOKENS = st.sampled_from([b"|", b"+", b"~", b"0", b"1", b"2", b"3", *(o.encode() for o in nb.OPS)])


@given(st.integers(0, nb.SIZE - 1), st.lists(st.tuples(st.integers(0, 99), TOKENS), max_size=4))
def test_edited_cells_are_judged_as_by_the_grammar(
    index: int, edits: list[tuple[int, bytes]]
) -> None:
    parts = re.findall(rb"\w\w+|.", nb.from_index(index).encode())
    for at, token in edits:
        parts[at % len(parts)] = token
    check_against_reference(b"".join(parts))


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ([], "6 operations or 3 nested groups, got 0 items"),
        ([0] * 5, "got 5 items"),
        ([0, 1, 2, 3, 4, 5], r"arch\[5\]: .*got 5"),
        ([0, 1, 2, 3, 4, -1], r"arch\[5\]: .*got -1"),
        ([0, 1, 2, 3, 4, True], r"arch\[5\]: .*got True"),
        ([0, 1, 2, 3, 4, 1.0], r"arch\[5\]: .*got 1.0"),
        (["none"] * 5 + ["conv"], r"arch\[5\]: expected one of none, skip_connect, .*'conv'"),
        (["none"] * 3, r"arch\[0\]: expected 1 pair "),
        (np.zeros((6, 2), np.int64), r"arch\[0\]: .*got \[0, 0\]"),
        ((("none", 0), (), ()), r"arch\[0\]: expected 1 pair "),
        (((("none", 1),), (), ()), r"arch\[0\]\[0\]: expected each source 0 to 0 once, got 1"),
        (
            ((("none", 0),), (("none", 0), ("none", 0)), ()),
            r"arch\[1\]\[1\]: expected each source 0 to 1 once, got 0",
        ),
        (((("none", 0, 0),), (), ()), r"arch\[0\]\[0\]: expected a pair"),
        (nb.SIZE, "index: expected 0 to 15624, got 15625"),
        (-1, "index: expected 0 to 15624, got -1"),
    ],
)
def test_malformed_sequences_say_where_and_what(arch: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        nb.parse(arch)


@pytest.mark.parametrize("arch", [None, 3.5, True, {"op": 0}])
def test_other_types_are_type_errors(arch: Any) -> None:
    with pytest.raises(TypeError, match=f"arch: .*got {type(arch).__name__}"):
        nb.parse(arch)


@pytest.mark.parametrize(
    "ops", [(0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, "none"), (0, 1, 2, 3, 4, True)]
)
def test_malformed_naslib_numbers(ops: Any) -> None:
    with pytest.raises(ArchitectureError, match="ops: expected six numbers 0 to 4"):
        nb.from_naslib(ops)


def test_format_refuses_what_is_no_cell() -> None:
    with pytest.raises(ArchitectureError, match="operation 5: expected 0 to 4, got 5"):
        nb.format((0, 0, 0, 0, 0, 5))
    with pytest.raises(ArchitectureError, match="operation 0: expected 0 to 4, got -1"):
        nb.format((-1, 0, 0, 0, 0, 0))
    with pytest.raises(ValueError, match="genes: expected 6 integers, got 5"):
        nb.format((0, 0, 0, 0, 0))
    with pytest.raises(ArchitectureError, match="operation 0"):
        nb.format((2**80, 0, 0, 0, 0, 0))
    with pytest.raises(TypeError, match="genes: expected an integer, got str"):
        nb.format("000000")  # type: ignore[arg-type]


# --- samples and steps -----------------------------------------------------------------------


def test_sample_without_replacement_is_a_permutation_at_full_size() -> None:
    assert sorted(nb.sample(nb.SIZE, 0)) == sorted(nb.enumerate_all())


def test_sample_depends_on_the_seed_alone_and_advances_a_generator() -> None:
    assert nb.sample(50, 7) == nb.sample(50, 7)
    assert nb.sample(50, 7) != nb.sample(50, 8)
    rng = np.random.default_rng(7)
    assert nb.sample(50, rng) == nb.sample(50, 7)
    assert nb.sample(50, rng) != nb.sample(50, 7)


def test_sample_with_replacement_draws_each_edge() -> None:
    lines = shared("bench_archs.txt").read_text().splitlines()
    assert nb.sample(24, 0, replace=True) == [line for line in lines if line.startswith("|")]
    assert len(nb.sample(nb.SIZE + 1, 0, replace=True)) == nb.SIZE + 1


@pytest.mark.parametrize("n", [-1, nb.SIZE + 1])
def test_sample_refuses_impossible_sizes(n: int) -> None:
    with pytest.raises(ValueError, match=f"n: expected 0 to 15625 .*got {n}"):
        nb.sample(n, 0)


def test_neighbours_are_the_24_cells_one_operation_away() -> None:
    genes = nb.parse(CELL)
    near = nb.neighbours(CELL)
    assert len(set(near)) == 24
    for other in near:
        assert sum(a != b for a, b in zip(genes, nb.parse(other), strict=True)) == 1


def test_mutation_follows_the_rule_of_the_benchmark_s_searches() -> None:
    """Node, edge into it, other operation, each uniform; 5 sigma of a binomial count."""
    rng = np.random.default_rng(0)
    genes = nb.parse(CELL)
    n = 20_000
    counts: Counter[tuple[int, int]] = Counter()
    for _ in range(n):
        child = nb.parse(nb.mutate(genes, rng))
        (edge,) = (i for i in range(6) if child[i] != genes[i])
        counts[edge, child[edge]] += 1
    assert len(counts) == 24
    for (edge, _), count in counts.items():
        p = 1 / 3 / nb.EDGES[edge][1] / 4
        assert abs(count - n * p) < 5 * (n * p * (1 - p)) ** 0.5


# --- which cells are the same ----------------------------------------------------------------


def pruned(genes: tuple[int, ...]) -> tuple[int, ...]:
    live = nb.live_edges(genes)
    return tuple(op if alive else 0 for op, alive in zip(genes, live, strict=True))


def same_partition(a: Sequence[str], b: Sequence[str]) -> bool:
    return len(set(a)) == len(set(b)) == len(set(zip(a, b, strict=True)))


Forms = dict[tuple[int, ...], tuple[str, str, str]]


@pytest.fixture(scope="module")
def forms() -> Forms:
    """The three texts of every cell."""
    return {g: (nb.unique_string(g), nb.live_form(g), nb.function_form(g)) for g in ALL}


def test_number_of_classes(forms: Forms) -> None:
    assert [len(set(form)) for form in zip(*forms.values(), strict=True)] == [6_466, 5_390, 4_930]
    assert sum(nb.has_path(g) for g in ALL) == 15_284
    assert len({nb.format(pruned(g)) for g in ALL}) == 9_445


def test_classes_are_those_of_the_data(forms: Forms, table: list[dict[str, str]]) -> None:
    unique, _, function = zip(*(forms[nb.parse(row["arch_str"])] for row in table), strict=True)
    assert same_partition(unique, [row["topology_id"] for row in table])
    assert same_partition(function, [row["function_id"] for row in table])


def test_canonical_is_the_function_form() -> None:
    assert nb.canonical(CELL) == nb.function_form(CELL)


def test_live_form_refines_function_form_and_both_see_the_same_dead_cells(forms: Forms) -> None:
    for genes, (_, live, function) in forms.items():
        assert (not nb.has_path(genes)) == (live == "#") == (function == "#")
    assert len({(live, function) for _, live, function in forms.values()}) == 5_390


def test_dead_edges_do_not_matter(forms: Forms) -> None:
    for genes, (_, live, function) in forms.items():
        _, *rest = forms[pruned(genes)]
        assert rest == [live, function]


def test_live_edges_are_those_on_a_path_of_operations() -> None:
    paths = [[(0, 3)], [(0, 1), (1, 3)], [(0, 2), (2, 3)], [(0, 1), (1, 2), (2, 3)]]
    for genes in ALL:
        present = {e for e, op in zip(nb.EDGES, genes, strict=True) if op != 0}
        live = {e for path in paths if present.issuperset(path) for e in path}
        assert nb.live_edges(genes) == tuple(e in live for e in nb.EDGES)


# --- the network -----------------------------------------------------------------------------


def test_counts_equal_the_check_values() -> None:
    n = 0
    with shared("spaces_check.csv").open() as file:
        for row in csv.DictReader(file):
            if row["space"] != "nb201":
                continue
            channels, cells, arch = row["architecture"].split(";")
            net = build(
                arch,
                int(channels.removeprefix("C=")),
                int(cells.removeprefix("N=")),
                int(row["classes"]),
                int(row["input_size"]),
            )
            counts = _core.graph_count(net)
            assert (counts["params"], counts["macs"]) == (int(row["params"]), int(row["macs"])), row
            n += 1
    assert n == 16


def test_counts_of_every_cell_follow_from_its_convolutions() -> None:
    """N = 1; a 1x1 convolution costs 5,376 weights over the three stages, a 3x3 nine times that."""
    fixed_weights, fixed_macs = 72_112 + 64 * 10, 7_783_040
    macs = 3 * 16**2 * 32**2  # of a 1x1, the same in each stage
    for genes in ALL:
        counts = _core.graph_count(build(genes, cells=1))
        alive = [op for op, live in zip(genes, nb.live_edges(genes), strict=True) if live]
        units = 9 * genes.count(3) + genes.count(2)
        live_units = 9 * alive.count(3) + alive.count(2)
        assert counts == {
            "params": 73_306 + 48_608 * genes.count(3) + 5_600 * genes.count(2),
            "weights": fixed_weights + 5_376 * units,
            "macs": fixed_macs + macs * units,
            "thop_flops": fixed_macs + macs * units + 28_672 * genes.count(4) + 6_144,
            "live_weights": (fixed_weights + 5_376 * live_units) * bool(alive),
            "live_macs": (fixed_macs + macs * live_units) * bool(alive),
        }


def test_counts_grow_with_cells_and_classes() -> None:
    genes = nb.parse("|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|none~2|")
    counts = _core.graph_count(build(genes, cells=5, num_classes=100))
    assert counts["weights"] == 72_112 + 6_400 + 26_880 * (9 * 2 + 1)
    assert counts["live_weights"] == 72_112 + 6_400 + 26_880 * 9


GOLDEN = [
    "a_all_ops",
    "b_pool_heavy",
    "c_1x1_only",
    "d_dead_edges",
    "e_zero_output",
    "f_residual_3x3",
]


@pytest.mark.parametrize("name", GOLDEN)
def test_counts_equal_the_golden_counts(name: str) -> None:
    with np.load(shared(f"golden/nb201_{name}.npz")) as file:
        meta = json.loads(str(file["meta"]))
    golden = json.loads(shared(f"golden/scores/nb201_{name}.json").read_text())["scores"]
    counts = _core.graph_count(build(meta["arch"], meta["C"], meta["N"], size=16))
    assert counts == {
        "params": golden["params_all"],
        "weights": golden["params_weights"],
        "macs": golden["macs"],
        "thop_flops": golden["macs_pool1"],
        "live_weights": golden["live_weights"],
        "live_macs": counts["live_macs"],
    }


OPS_OF_PROGRAM = {
    "conv": "conv2d",
    "bn": "batch_norm",
    "avgpool": "avg_pool",
    "gap": "global_avg_pool",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_network_is_the_golden_program(name: str) -> None:
    """Node by node: operation, inputs, window; a skip is no step of the program."""
    with np.load(shared(f"golden/nb201_{name}.npz")) as file:
        meta, program = json.loads(str(file["meta"])), json.loads(str(file["program"]))
    nodes = build(meta["arch"], meta["C"], meta["N"], size=16).nodes()
    label = {0: "t0"}  # node id -> name in the program
    steps = iter(program)
    for node in nodes[1:]:
        inputs = [label[i] for i in node["inputs"]]
        if node["op"] == "identity":
            label[node["id"]] = inputs[0]
            continue
        step = next(steps)
        label[node["id"]] = step["out"]
        assert node["op"] == OPS_OF_PROGRAM.get(step["op"], step["op"]), node["name"]
        assert sorted(inputs) == sorted(step["in"]), node["name"]
        attrs = node["attrs"]
        if node["op"] == "conv2d":
            assert attrs["stride"] == (step["stride"],) * 2, node["name"]
            assert attrs["padding"] == (step["pad"],) * 2, node["name"]
        if node["op"] == "avg_pool":
            assert attrs["kernel"] == (step["k"],) * 2, node["name"]
            assert attrs["stride"] == (step["stride"],) * 2, node["name"]
            assert attrs["padding"] == (step["pad"],) * 2, node["name"]
            assert not attrs["count_include_pad"]
    assert next(steps, None) is None


def test_names_and_order_of_weights() -> None:
    """Construction order is the order in which weights are drawn."""
    nodes = build(CELL, channels=4, cells=2).nodes()
    convs = [node["name"] for node in nodes if "weight" in node["weights"]]
    cells = [[f"cell{i:02d}.e01.conv", f"cell{i:02d}.e12.conv"] for i in range(6)]
    blocks = [[f"res{i}.conv_a", f"res{i}.conv_b", f"res{i}.down"] for i in (1, 2)]
    order = [["stem.conv"], *cells[:2], blocks[0], *cells[2:4], blocks[1], *cells[4:], ["head.fc"]]
    assert convs == list(itertools.chain(*order))
    assert [node["name"] for node in nodes if node["name"].startswith("cell00.")] == [
        "cell00.e01.relu",
        "cell00.e01.conv",
        "cell00.e01.bn",
        "cell00.e02.none",
        "cell00.e12.relu",
        "cell00.e12.conv",
        "cell00.e12.bn",
        "cell00.n2",
        "cell00.e03.skip",
        "cell00.e13.none",
        "cell00.e23.pool",
        "cell00.n3",
    ]
    by_name = {node["name"]: node for node in nodes}
    assert by_name["stem.conv"]["weights"] == {"weight": "stem.conv.weight"}
    assert by_name["head.fc"]["weights"] == {"weight": "head.fc.weight", "bias": "head.fc.bias"}


def test_shapes_halve_and_double_with_any_rectangle() -> None:
    nodes = _core.space_build(nb.NAME, nb.parse(CELL), 5, 1, 7, (2, 12, 20)).nodes()
    shapes = {node["name"]: node["shape"] for node in nodes}
    assert shapes["cell00.n3"] == (5, 12, 20)
    assert shapes["cell01.n3"] == (10, 6, 10)
    assert shapes["cell02.n3"] == (20, 3, 5)
    assert nodes[-1]["shape"] == (7, 1, 1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((0, 1, 10, (3, 32, 32)), "channels: expected 1 to .*got 0"),
        ((2**18 + 1, 1, 10, (3, 32, 32)), "channels: expected 1 to 262144, got 262145"),
        ((2**80, 1, 10, (3, 32, 32)), "channels: expected 1 to"),
        ((2**18, 1, 10, (3, 32, 32)), "too large"),
        ((16, 0, 10, (3, 32, 32)), "cells: expected 1 to .*got 0"),
        ((16, -(2**80), 10, (3, 32, 32)), "cells: expected 1 to"),
        ((16, 65_536, 10, (3, 32, 32)), "more than 65536 nodes"),
        ((16, 1, 0, (3, 32, 32)), "num_classes: expected 1 to .*got 0"),
        ((16, 1, 10, (0, 32, 32)), "input channels: expected 1 to .*got 0"),
        ((16, 1, 10, (3, 0, 32)), "input height: expected 1 to .*got 0"),
        ((16, 1, 10, (3, 32, 2**40)), "input width: expected 1 to"),
        ((16, 1, 10, (3, 30, 32)), "input size: expected multiples of 4 .*got 30 x 32"),
        ((16, 1, 10, (3, 32, 2)), "input size: expected multiples of 4 .*got 32 x 2"),
        ((16, 1, 10, (3, 2**20, 2**20)), "too large"),
        ((16, 1, 10, (3, 32)), "input shape: expected 3 integers, got 2"),
    ],
)
def test_impossible_networks_are_value_errors(args: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.space_build(nb.NAME, nb.parse(CELL), *args)


def test_counts_past_63_bits_are_a_value_error() -> None:
    """18 convolutions of 9 * 2**16 * 2**16 weights over 2**24 pixels: 1.1 * 2**63."""
    net = _core.space_build(nb.NAME, (3,) * 6, 2**16, 1, 10, (3, 2**12, 2**12))
    with pytest.raises(ValueError, match="passes 2\\^63"):
        _core.graph_count(net)


def test_binding_names_the_argument_of_a_wrong_type() -> None:
    genes, args = nb.parse(CELL), (16, 1, 10, (3, 32, 32))
    wrong: list[tuple[Any, tuple[Any, ...], str]] = [
        (_core.space_parse, (nb.NAME, 3), "text: expected str or bytes, got int"),
        (_core.space_format, (nb.NAME, 3), "genes: expected a sequence of 6 integers, got int"),
        (_core.space_build, (nb.NAME, None, *args), "genes: expected a sequence of 6 integers"),
        (_core.space_build, (nb.NAME, genes, 16.0, *args[1:]), "channels: .*got float"),
        (_core.space_build, (nb.NAME, genes, 16, "1", *args[2:]), "cells: .*got str"),
        (_core.space_build, (nb.NAME, genes, *args[:3], None), "input shape: .*got NoneType"),
        (_core.graph_count, (3,), "[Gg]raph"),
    ]
    for function, values, message in wrong:
        with pytest.raises(TypeError, match=message):
            function(*values)
