"""DARTS: notations, numbers, steps, and the network that is built."""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zeroshot
from zeroshot import _core, _testing
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import darts

from .common import is_taken_or_refused
from .genotypes import Grammar, check_random_bytes, spellings

V2 = darts.NAMED["DARTS_V2"]
numbers = st.integers(0, darts.SIZE - 1)
GRAMMAR = Grammar(darts.OPS, 4, all_concatenated=True, two_sources=True)


def build(
    arch: Any, channels: int = 16, cells: int = 8, builder: str = "autodl", size: int = 32
) -> _core.Graph:
    return _core.space_build(
        darts.NAME, darts.parse(arch), channels, cells, 10, (3, size, size), builder
    )


# --- notations -------------------------------------------------------------------------------


def test_every_notation_of_10000_genotypes_is_read() -> None:
    for text in darts.sample(10_000, 0):
        genes = darts.parse(text)
        genotype = darts.to_genotype(text)
        assert darts.format(genes) == repr(genotype) == text
        assert darts.parse(genotype) == genes
        compact = darts.to_compact(text)
        assert darts.from_compact(compact) == text and darts.parse(compact) == genes
        config = darts.to_config(text)
        assert darts.from_config(config) == darts.canonical(text)
        index = darts.to_index(text)
        assert darts.from_index(index) == text  # samples are canonical


@given(numbers, st.randoms())
def test_other_forms_of_a_genotype_are_read(number: int, random: Any) -> None:
    text = swapped(darts.from_index(number), random.getrandbits(8))
    genes = darts.parse(text)
    genotype = darts.to_genotype(text)
    normal, _, reduce, _ = genotype
    forms: list[Any] = [
        *spellings(text),
        text.encode(),
        list(genes),
        np.array(genes),
        tuple(genotype),
        (tuple(normal), range(2, 6), [list(pair) for pair in reduce], np.arange(2, 6)),
        genotype._asdict(),
        darts.to_compact(text),
        np.array(darts.to_compact(text)),
        [list(cell) for cell in darts.to_compact(text)],
    ]
    for form in forms:
        assert darts.parse(form) == genes, form
    other = {"SimpleLearningrateSchedulerSelector:lr_scheduler": "cosine"}
    dead = {  # no node reads these, and some programs leave them in
        f"NetworkSelectorDatasetInfo:darts:edge_{cell}_{edge}": "skip_connect"
        for cell in ("normal", "reduce")
        for edge in range(14)
    }
    config = other | dead | darts.to_config(text)
    assert darts.format(darts.parse(config)) == darts.from_config(config) == darts.canonical(text)


def swapped(text: str, nodes: int) -> str:
    """With the two pairs exchanged of the nodes that are bits of `nodes`."""
    genes = list(darts.parse(text))
    for node in range(8):
        if nodes >> node & 1:
            at = 4 * node
            genes[at : at + 4] = [*genes[at + 2 : at + 4], *genes[at : at + 2]]
    return darts.format(genes)


def test_compact_tuples_and_configurations_by_hand() -> None:
    compact = (
        ((0, 3), (1, 4), (2, 5), (0, 6), (3, 0), (1, 1), (2, 2), (4, 3)),
        ((1, 0), (0, 1), (1, 2), (2, 3), (0, 4), (3, 5), (4, 6), (0, 2)),
    )
    genotype = darts.to_genotype(darts.from_compact(compact))
    assert genotype.normal == [
        ("sep_conv_3x3", 0), ("sep_conv_5x5", 1), ("dil_conv_3x3", 2), ("dil_conv_5x5", 0),
        ("max_pool_3x3", 3), ("avg_pool_3x3", 1), ("skip_connect", 2), ("sep_conv_3x3", 4),
    ]  # fmt: skip
    config = darts.to_config(genotype)
    prefix = "NetworkSelectorDatasetInfo:darts:"
    assert len(config) == 2 * (8 + 3) and all(key.startswith(prefix) for key in config)
    normal = {key.removeprefix(prefix): value for key, value in config.items() if "normal" in key}
    assert normal == {
        "edge_normal_0": "sep_conv_3x3", "edge_normal_1": "sep_conv_5x5",
        "inputs_node_normal_3": "0_2",
        "edge_normal_2": "dil_conv_5x5", "edge_normal_4": "dil_conv_3x3",
        "inputs_node_normal_4": "1_3",
        "edge_normal_6": "avg_pool_3x3", "edge_normal_8": "max_pool_3x3",
        "inputs_node_normal_5": "2_4",
        "edge_normal_11": "skip_connect", "edge_normal_13": "sep_conv_3x3",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "first"), [("DARTS_V1", "2"), ("DARTS_V2", "1"), ("PC_DARTS", "5")]
)
def test_named_genotypes_are_those_of_the_papers(name: str, first: str, shared: Path) -> None:
    with (shared / "spaces_check.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["space"].startswith("darts")]
    place = {"1": 0, "2": 1, "5": 4}[first]
    assert darts.NAMED[name] == rows[place]["architecture"].split(";")[2]
    assert darts.format(darts.parse(name)) == darts.NAMED[name]


MALFORMED = [
    ("", 0, "'Genotype(' and two cells, got the end of the text"),
    ("DARTS_V3", 0, "'Genotype(' and two cells, got 'DARTS_V3'"),
    (" " + V2, 0, "'Genotype(' and two cells, got ' '"),
    (V2 + " ", len(V2), "the end of the text, got ' '"),
    ("Genotype", 8, "'Genotype(' and two cells, got the end of the text"),
    ("Genotype()", 9, "'normal=', got ')'"),
    ("Genotype(reduce=", 9, "'normal=', got 'reduce'"),
    ("Genotype(normal", 15, "'normal=', got the end of the text"),
    ("Genotype(normal=", 16, "'[' and 8 pairs of the normal cell, got the end of the text"),
    ("Genotype(normal=[", 17, "'(' and an operation with its source, got the end of the text"),
    ("Genotype([]", 10, "'(' and an operation with its source, got ']'"),
    ("Genotype([(sep", 11, "a quoted operation, got 'sep'"),
    ("Genotype([('sep_conv_3x3\", 0)", 24, "the quote that ends an operation, got '\"'"),
    ("Genotype([('none', 0)", 12, "an operation (max_pool_3x3, avg_pool_3x3, skip_connect, sep_co"),
    ("Genotype([('skip_connect' 0)", 26, "',' and a source, got '0'"),
    ("Genotype([('skip_connect', 2)", 27, "a source of node 2 (0 to 1), got '2'"),
    ("Genotype([('skip_connect', 01)", 28, "the end of a pair after its source, got '1'"),
    ("Genotype([('skip_connect', 0]", 28, "the end of a pair after its source, got ']'"),
    (V2.replace("('sep_conv_3x3', 1)", "('sep_conv_3x3', 0)", 1), 55, "other than 0, got '0'"),
    (V2.replace(", ('dil_conv_3x3', 2)", ""), V2.index(", ('dil"), "',' and pair 8 of 8, got ']'"),
    (
        V2.replace("2)]", "2), ('skip_connect', 0)]", 1),
        V2.index("], n") + 2,
        "the end of the list after 8 pairs",
    ),
    (
        V2.replace("[2, 3, 4, 5]", "[2, 3, 4]", 1),
        V2.index("[2"),
        "all nodes, 2 to 5, in the concatenation of",
    ),
    (
        V2.replace("[2, 3, 4, 5]", "range(2, 5)", 1),
        V2.index("[2"),
        "all nodes, 2 to 5, in the concatenatio",
    ),
    (
        V2.replace("[2, 3, 4, 5]", "[2, 3, 5, 4]", 1),
        V2.index("[2") + 10,
        "the end of the list, got '4'",
    ),
    (
        V2.replace("[2, 3, 4, 5]", "[2 3]", 1),
        V2.index("[2") + 3,
        "',' and a node, or the end of the list, got '3'",
    ),
    (
        V2.replace("[2, 3, 4, 5]", "[]", 1),
        V2.index("[2") + 1,
        "a node (2 to 5, ascending), got ']'",
    ),
    (
        V2.replace("[2, 3, 4, 5]", "[1, 2]", 1),
        V2.index("[2") + 1,
        "a node (2 to 5, ascending), got '1'",
    ),
    (
        V2.replace("[2, 3, 4, 5]", "None", 1),
        V2.index("[2"),
        "a list, a tuple or a range of nodes, got 'None'",
    ),
    (V2.replace("[2, 3, 4, 5]", "ranges(2, 6)", 1), V2.index("[2") + 5, "'(' after range, got 's'"),
    (V2.replace(", reduce=", ", "), V2.index("reduce="), "'reduce=', got '['"),
    (
        V2.replace("normal=", "", 1),
        V2.index("normal_c") - 7,
        "a list, a tuple or a range of nodes, got 'normal_concat'",
    ),
    (V2[:-1], len(V2) - 1, "')' after two cells, got the end of the text"),
    (V2.replace("normal=", "normal\x00="), 15, "'normal=', got byte 0x00"),
    (b"\xff", 0, "got byte 0xff"),
]


@pytest.mark.parametrize(("text", "position", "message"), MALFORMED)
def test_malformed_text_says_where_and_what(text: Any, position: int, message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)) as caught:
        darts.parse(text)
    assert caught.value.position == position


PAIR, CELL, ALL = ("skip_connect", 0), [("skip_connect", i % 2) for i in range(8)], [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ([], r"the 4 parts of a genotype, 2 compact cells or 32 integers, got 0 items"),
        (
            (CELL, ALL, CELL, [2, 3]),
            r"arch.reduce_concat: expected all nodes, 2 to 5, got \[2, 3\]",
        ),
        ((CELL, [3, 2], CELL, ALL), r"arch.normal_concat: expected ascending nodes, got \[3, 2\]"),
        ((CELL, [2, 6], CELL, ALL), r"arch.normal_concat\[1\]: expected 2 to 5, got 6"),
        ((CELL, 3, CELL, ALL), r"arch.normal_concat: expected a list of nodes, got 3"),
        ((CELL[:7], ALL, CELL, ALL), r"arch.normal: expected 8 pairs .*, got 7 items"),
        ((CELL, ALL, "abc", ALL), r"arch.reduce: expected 8 pairs .*, got 'abc'"),
        (([*CELL[:7], 3], ALL, CELL, ALL), r"arch.normal\[7\]: expected a pair .*got 3"),
        (([("none", 0), *CELL[1:]], ALL, CELL, ALL), r"normal\[0\]: expected one of max_.*'none'"),
        (([(0, "none"), *CELL[1:]], ALL, CELL, ALL), r"arch.normal\[0\]: expected one of .*got 0"),
        (([("skip_connect", 2), *CELL[1:]], ALL, CELL, ALL), r"normal\[0\], its source: .*got 2"),
        (
            ([PAIR, PAIR, *CELL[2:]], ALL, CELL, ALL),
            "sources of node 2 of the normal cell: .*0 twi",
        ),
        ({"normal": CELL}, r"arch: expected the key 'normal_concat'"),
        ({}, "arch: expected the key 'NetworkSelectorDatasetInfo:darts:edge_normal_0', got {}"),
        (([(0, 0)] * 8, [(0, 0)] * 8), "sources of node 2 of the normal cell"),
        (([(0, 0)] * 8, [(0, 0)] * 7), r"arch\[1\]: expected 8 pairs, got 7 items"),
        (([(0, 7)] * 8, CELL), r"arch\[0\]\[0\], its operation: expected 0 to 6, got 7"),
        (([(2, 0)] * 8, CELL), r"arch\[0\]\[0\], its source: expected 0 to 1, got 2"),
        (([(0, True)] * 8, CELL), r"arch\[0\]\[0\], its operation: expected 0 to 6, got True"),
        ([9] * 32, "operation 0 of the normal cell: expected 0 to 6, got 9"),
        ([0, 2] * 16, "source 0 of the normal cell: expected 0 to 1, as it feeds node 2, got 2"),
        ([0, 0, 0, 1] * 7 + [0, 0, 0, 0], "sources of node 5 of the reduction cell: .*got 0 twice"),
        ([2**40] * 32, r"arch\[0\]: expected -2147483648 to 2147483647, got 1099511627776"),
        (darts.SIZE, f"index: expected 0 to {darts.SIZE - 1}, got {darts.SIZE}"),
        (-1, "index: expected 0 to .*, got -1"),
    ],
)
def test_malformed_notations_say_where_and_what(arch: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message) as caught:
        darts.parse(arch)
    assert caught.value.position is None


def test_malformed_configurations_name_the_key() -> None:
    config = darts.to_config(V2)
    for key in config:
        with pytest.raises(ArchitectureError, match=f"arch: expected the key '{key}'"):
            darts.parse({k: v for k, v in config.items() if k != key})
        with pytest.raises(
            ArchitectureError, match=rf"arch\['{key}'\]: expected one of .*got '2_0'"
        ):
            darts.from_config(config | {key: "2_0"})
    with pytest.raises(TypeError, match="config: expected a mapping, got str"):
        darts.from_config(V2)  # type: ignore[arg-type]
    with pytest.raises(ArchitectureError, match="compact: expected 2 compact cells, got 3 items"):
        darts.from_compact([1, 2, 3])


@pytest.mark.parametrize("arch", [None, 3.5, True, {1, 2}])
def test_other_types_are_type_errors(arch: Any) -> None:
    with pytest.raises(TypeError, match=f"arch: .*got {type(arch).__name__}"):
        darts.parse(arch)


def test_random_bytes_are_judged_as_by_the_grammar() -> None:
    texts = [*darts.NAMED.values(), darts.from_index(darts.SIZE // 3)]
    assert 4_000 < check_random_bytes(GRAMMAR, darts.parse, darts.format, texts) < 16_000


def test_every_one_byte_change_is_judged_as_by_the_grammar() -> None:
    text, pattern = V2.encode(), GRAMMAR.pattern()
    for at in range(len(text)):
        for byte in (0, 9, 32, *b"'\"()[],=0123456_asr", 255, None):
            changed = text[:at] + (b"" if byte is None else bytes([byte])) + text[at + 1 :]
            wanted = GRAMMAR.read(changed, pattern)
            if wanted is None:
                with pytest.raises(ArchitectureError):
                    darts.parse(changed)
            else:
                assert darts.format(darts.parse(changed)) == wanted


@given(st.text() | st.binary())
def test_random_text_raises_nothing_but_architecture_error(text: str | bytes) -> None:
    is_taken_or_refused(darts, text)


# --- numbers, samples, steps -----------------------------------------------------------------


def test_size_is_that_of_two_cells() -> None:
    cell = 7**8 * 1 * 3 * 6 * 10
    assert cell == 1_037_664_180 and cell**2 == darts.SIZE


@given(numbers)
def test_numbers_round_trip_and_have_ascending_sources(number: int) -> None:
    text = darts.from_index(number)
    assert darts.to_index(text) == number
    assert darts.canonical(text) == text
    normal = darts.to_genotype(text).normal
    assert all(a[1] < b[1] for a, b in zip(normal[0::2], normal[1::2], strict=True))


def test_enumeration_is_lazy_and_in_the_order_of_numbers() -> None:
    found = list(itertools.islice(darts.enumerate_all(), 500))
    assert len(set(found)) == 500
    assert [darts.to_index(text) for text in found] == list(range(500))
    last = darts.to_genotype(darts.SIZE - 1)
    assert last.reduce[-2:] == [("dil_conv_5x5", 3), ("dil_conv_5x5", 4)]


def test_sample_depends_on_the_seed_alone_and_is_uniform() -> None:
    assert darts.sample(50, 7) == darts.sample(50, np.random.default_rng(7)) != darts.sample(50, 8)
    found = darts.sample(6_000, 0)
    assert len(set(found)) == 6_000
    genes = np.array([darts.parse(text) for text in found])
    for place in range(0, 32, 2):  # each operation with probability 1/7: deviation 27
        assert np.abs(np.bincount(genes[:, place], minlength=7) - 6_000 / 7).max() < 6 * 27
    pairs = genes[:, 13] * 5 + genes[:, 15]  # of the last node, ten pairs: deviation 23
    counts = np.bincount(pairs, minlength=25)
    assert (counts > 0).sum() == 10 and np.abs(counts[counts > 0] - 600).max() < 6 * 23
    with pytest.raises(ValueError, match=f"n: expected 0 to {darts.SIZE} "):
        darts.sample(-1, 0)


@given(numbers, st.integers(0, 255), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_steps_change_one_pair_and_can_be_taken_back(number: int, order: int, seed: int) -> None:
    text = swapped(darts.from_index(number), order)
    near = darts.neighbours(text)
    assert len(set(near)) == len(near) == 16 * 6 + 2 * 2 * (0 + 1 + 2 + 3) and text not in near
    genes = np.array(darts.parse(text))
    for other in near:
        assert (np.array(darts.parse(other)) != genes).sum() == 1
    rng = np.random.default_rng(seed)
    for _ in range(5):
        child = darts.mutate(text, rng)
        assert child in darts.neighbours(text) and text in darts.neighbours(child)
        text = child


# --- which genotypes are the same ------------------------------------------------------------


@given(numbers, st.integers(0, 255))
def test_order_of_pairs_changes_neither_canonical_form_nor_number(number: int, order: int) -> None:
    text = darts.from_index(number)
    other = swapped(text, order)
    assert darts.canonical(other) == text and darts.to_index(other) == number
    for mode in ("form", "network"):
        assert darts.representative(other, mode) == text
    with pytest.raises(ValueError, match="mode: expected one of form, network"):
        darts.representative(text, "other")  # type: ignore[arg-type]


# --- the network -----------------------------------------------------------------------------


def test_counts_equal_the_check_values(shared: Path) -> None:
    with (shared / "spaces_check.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["space"].startswith("darts_")]
    assert len(rows) == 10
    for row in rows:
        channels, cells, arch = row["architecture"].split(";")
        counts = zeroshot.count(
            arch,
            space=darts.NAME,
            channels=int(channels[2:]),
            cells=int(cells[2:]),
            input_size=int(row["input_size"]),
            num_classes=int(row["classes"]),
            builder="imagenet" if row["space"] == "darts_imagenet" else "autodl",
        )
        assert (counts.params, counts.macs) == (int(row["params"]), int(row["macs"])), row


def test_default_size_is_that_of_training_on_cifar() -> None:
    assert zeroshot.count("DARTS_V2", space=darts.NAME).params == 3_349_342


def test_names_and_order_of_weights() -> None:
    names = list(zeroshot.weight_names("DARTS_V2", space=darts.NAME, channels=4, cells=3))
    drawn = [name.removesuffix(".weight") for name in names if name.endswith(".weight")]
    sep = ["depth_a", "point_a", "depth_b", "point_b"]
    inputs = ["cell00.in0.conv", "cell00.in1.conv"]
    cell = [f"cell00.n{node}.{part}" for node in ("2a", "2b", "3a", "3b", "4a") for part in sep] + [
        "cell00.n5b.depth",
        "cell00.n5b.point",
    ]
    assert drawn[:3] == ["stem.conv", *inputs] and drawn[3 : 3 + len(cell)] == cell
    at = 3 + len(cell)
    assert drawn[at : at + 4] == [
        "cell01.in0.conv", "cell01.in1.conv", "cell02.in0.conv_a", "cell02.in0.conv_b",
    ]  # fmt: skip
    assert drawn[-1] == "head.fc"
    shapes = {node["name"]: node["shape"] for node in build("DARTS_V2", 4, 3).nodes()}
    assert shapes["cell00.concat"] == (16, 32, 32)
    assert shapes["cell01.concat"] == (32, 16, 16) and shapes["cell02.concat"] == (64, 8, 8)


def test_imagenet_network_halves_the_image_before_its_cells() -> None:
    graph = build("DARTS_V1", 6, 3, "imagenet", 64)
    shapes = {node["name"]: node["shape"] for node in graph.nodes()}
    assert shapes["stem0.bn_a"] == (3, 32, 32) and shapes["stem0.bn_b"] == (6, 16, 16)
    assert shapes["stem1.bn"] == shapes["cell00.in0.bn"] == (6, 8, 8)
    assert shapes["cell00.in0.conv_a"] == shapes["cell00.in0.conv_b"] == (3, 8, 8)


# tensor: first two weights, sum of absolute values; of DARTS_V2 with 16 channels and 8 cells
SAMPLES = {
    "stem.conv": (-0.0014408, 0.1032386, 127.824857),
    "cell00.in0.conv": (0.0542781, -0.0616599, 54.072836),
    "cell00.n2a.depth_a": (0.1495204, 0.3083876, 22.369923),
    "head.fc": (0.0459342, -0.0382169, 80.050485),
}


def test_network_starts_from_the_published_weights() -> None:
    graph_tensors = build("DARTS_V2").tensors()
    tensors: list[tuple[str, tuple[int, ...], int]] = []
    for t in graph_tensors:
        shape = t["shape"]
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else tensors[-1][2] if tensors else 1
        tensors.append((t["role"], shape, fan_in))
    drawn = dict(
        zip(
            (t["name"].removesuffix(".weight") for t in graph_tensors),
            _testing.init_all(tensors, "torch", 0),
            strict=True,
        )
    )
    for name, (first, second, total) in SAMPLES.items():
        w = drawn[name].reshape(-1).astype(np.float64)
        assert w[:2] == pytest.approx([first, second], abs=0.6e-7)
        assert abs(w).sum() == pytest.approx(total, abs=0.6e-6 + 2**-23 * total)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"builder": "zerocost"}, "builder: expected autodl or imagenet, .*darts, got zerocost"),
        ({"builder": "naslib"}, "builder: expected autodl or imagenet, .*darts, got naslib"),
        ({"input_size": 30}, "input size: expected multiples of 4 .*halved 2 times.*got 30 x 30"),
        ({"builder": "imagenet", "input_size": 48}, "expected multiples of 32 .*got 48 x 48"),
        ({"builder": "imagenet", "channels": 1}, "channels: expected at least 2, .*got 1"),
        ({"channels": 2**20}, "out_channels: expected 1 to 1048576, got 3145728"),
        ({"cells": 60_000}, "more than 65536 nodes"),
        ({"cells": 2**20}, "cells: expected 1 to 65536, got 1048576"),
    ],
)
def test_impossible_networks_are_value_errors(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zeroshot.count("DARTS_V2", space=darts.NAME, **options)


@pytest.mark.parametrize("cells", [1, 2, 3, 4])
def test_shallow_networks_are_built(cells: int) -> None:
    """With few cells reductions stand first, or next to each other."""
    for arch in darts.sample(20, cells):
        counts = zeroshot.count(arch, space=darts.NAME, channels=1, cells=cells, input_size=8)
        assert counts.live_weights > 0
        counts = zeroshot.count(
            arch, space=darts.NAME, channels=2, cells=cells, input_size=32, builder="imagenet"
        )
        assert counts.live_weights > 0
