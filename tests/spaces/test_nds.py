"""The five spaces of cells in NDS: notations, records, numbers, steps, networks."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zeroshot
from zeroshot import _core, reference
from zeroshot.errors import ArchitectureError, BenchmarkFileError
from zeroshot.spaces import get_space, nds, nds_amoeba, nds_darts, nds_enas, nds_nasnet, nds_pnas

from .common import is_taken_or_refused
from .genotypes import Grammar, check_random_bytes, spellings

SPACES: list[Any] = [nds_darts, nds_enas, nds_pnas, nds_nasnet, nds_amoeba]
every_space = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.NAME)
ENAS = (
    "w=32;d=8;Genotype(normal=[('sep_conv_5x5', 0), ('max_pool_3x3', 0), ('max_pool_3x3', 1), "
    "('skip_connect', 2), ('sep_conv_5x5', 0), ('max_pool_3x3', 3), ('avg_pool_3x3', 1), "
    "('max_pool_3x3', 1), ('avg_pool_3x3', 4), ('sep_conv_3x3', 3)], normal_concat=[5, 6], "
    "reduce=[('max_pool_3x3', 0), ('avg_pool_3x3', 0), ('skip_connect', 2), ('sep_conv_3x3', 0), "
    "('skip_connect', 0), ('sep_conv_5x5', 2), ('avg_pool_3x3', 3), ('avg_pool_3x3', 4), "
    "('max_pool_3x3', 3), ('avg_pool_3x3', 5)], reduce_concat=[6])"
)
HEADER = r"w=(?:[1-9]\d{0,2}|[1-3]\d{3}|40[0-8]\d|409[0-6]);d=(?:[1-9]\d{0,2}|10[01]\d|102[0-4]);"


def nodes_of(space: Any) -> int:
    return 4 if space is nds_darts else 5


# --- notations -------------------------------------------------------------------------------


@every_space
def test_every_notation_of_10000_architectures_is_read(space: Any) -> None:
    for text in space.sample(10_000, 0):
        genes = space.parse(text)
        assert space.format(genes) == text
        genotype = space.to_genotype(genes)
        assert text == f"w={genes[0]};d={genes[1]};{genotype!r}"
        net = space.to_net(genes)
        assert (net["width"], net["depth"]) == genes[:2]
        assert space.parse(net) == genes
        assert space.parse((genes[0], genes[1], genotype)) == genes
        assert space.from_index(space.to_index(genes)) == text


@every_space
def test_other_forms_are_read(space: Any) -> None:
    for text in space.sample(20, 1):
        genes = space.parse(text)
        net = space.to_net(text)
        parts = tuple(net["genotype"].values())
        forms: list[Any] = [
            *(text[: text.index("G")] + s for s in spellings(text[text.index("G") :])),
            text.encode(),
            list(genes),
            np.array(genes),
            {"net": net, "job_id": 3},
            json.loads(json.dumps(net)),
            (genes[0], np.int64(genes[1]), net["genotype"]),
            [genes[0], genes[1], parts],
        ]
        for form in forms:
            assert space.parse(form) == genes, form


def test_records_of_other_sizes_and_concatenations_are_read() -> None:
    other = ENAS.replace("w=32;d=8", "w=34;d=14").replace("[5, 6]", "(2, 5, 6)")
    genes = nds_enas.parse(other)
    assert genes[:2] == (34, 14) and nds_enas.to_genotype(genes).normal_concat == [2, 5, 6]
    assert nds_enas.format(genes) == other.replace("(2, 5, 6)", "[2, 5, 6]")
    with pytest.raises(ArchitectureError, match=r"a width of \(16, 24, 32\).*got 34 and 14"):
        nds_enas.to_index(other)
    with pytest.raises(ArchitectureError, match=r"the concatenation of \[5, 6\].*got \[2, 5, 6\]"):
        nds_enas.to_index(other.replace("w=34;d=14", "w=32;d=8"))


AT = ENAS.index("Genotype")
MALFORMED = [
    ("", 0, "'w=' and a number from 1 to 4096, got the end of the text"),
    ("w=0;d=8;", 2, "'w=' and a number from 1 to 4096, got '0'"),
    ("w=016;d=8;", 2, "'w=' and a number from 1 to 4096, got '016'"),
    ("w=-1;d=8;", 2, "'w=' and a number from 1 to 4096, got '-'"),
    ("w=4097;d=8;", 2, "'w=' and a number from 1 to 4096, got '4097'"),
    ("w=99999999999999999999;d=8;", 2, "'w=' and a number from 1 to 4096, got '99999"),
    ("w=16", 4, "';' after a number, got the end of the text"),
    ("w=16 ;d=4;", 4, "';' after a number, got ' '"),
    ("w=16;d=1025;", 7, "'d=' and a number from 1 to 1024, got '1025'"),
    ("w=16;D=4;", 5, "'d=' and a number from 1 to 1024, got 'D'"),
    (ENAS[AT:], 0, "'w=' and a number from 1 to 4096, got 'Genotype'"),
    (ENAS.replace("[5, 6]", "[6, 5]"), ENAS.index("[5, 6]") + 4, "the end of the list, got '5'"),
    (ENAS.replace("[5, 6]", "[5, 5]"), ENAS.index("[5, 6]") + 4, "a node (6 to 6, ascending)"),
    (ENAS.replace("[5, 6]", "[5, 7]"), ENAS.index("[5, 6]") + 4, "a node (6 to 6, ascending)"),
    (ENAS.replace("[5, 6]", "[]"), ENAS.index("[5, 6]") + 1, "a node (2 to 6, ascending), got ']'"),
    (ENAS.replace("[5, 6]", "range(5, 5)"), ENAS.index("[5, 6]") + 9, "a node (6 to 7, ascending)"),
    (ENAS.replace("sep_conv_3x3", "none"), ENAS.index("sep_conv_3x3"), "an operation (skip_connec"),
]


@pytest.mark.parametrize(("text", "position", "message"), MALFORMED)
def test_malformed_text_says_where_and_what(text: Any, position: int, message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)) as caught:
        nds_enas.parse(text)
    assert caught.value.position == position


NET = nds_enas.to_net(ENAS)


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ([], r"arch: expected \(width, depth, genotype\) or 52 integers, got 0 items"),
        ({}, "arch: expected the key 'width', got {}"),
        ({**NET, "width": "32"}, "arch, its width: expected 1 to 4096, got '32'"),
        ({**NET, "depth": 0}, "arch, its depth: expected 1 to 1024, got 0"),
        ({**NET, "genotype": 3}, "genotype: expected its four parts or a mapping, got 3"),
        ({**NET, "genotype": {}}, "genotype: expected the key 'normal', got {}"),
        ({"net": None}, r"arch\['net'\]: expected a record, got None"),
        ((32, 8, [1, 2, 3]), "genotype: expected its four parts or a mapping, got 3 items"),
        ((32, 8, ([], [], [], [])), "genotype.normal: expected 10 pairs .*, got 0 items"),
        ([0] * 52, "width: expected 1 to 4096, got 0"),
        ([16, 0] + [0] * 50, "depth: expected 1 to 1024, got 0"),
        ([16, 4] + [0] * 50, "concatenation of the normal cell: expected at least one node"),
        (
            [16, 4] + [0] * 24 + [2] + [0] * 25,
            "concatenation of node 6 of the normal cell: .*got 2",
        ),
        (nds_enas.SIZE, "index: expected 0 to "),
    ],
)
def test_malformed_notations_say_where_and_what(arch: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message) as caught:
        nds_enas.parse(arch)
    assert caught.value.position is None


@every_space
def test_random_bytes_are_judged_as_by_the_grammar(space: Any) -> None:
    grammar = Grammar(space.OPS, nodes_of(space), False, False, HEADER)
    texts = space.sample(3, 0)
    n_valid = 0
    pattern = grammar.pattern()
    for text in texts:
        assert grammar.read(text.encode(), pattern) == text
    n_valid = check_random_bytes(grammar, space.parse, space.format, texts)
    assert 4_000 < n_valid < 16_000


@given(st.text() | st.binary())
def test_random_text_raises_nothing_but_architecture_error(text: str | bytes) -> None:
    for space in SPACES:
        is_taken_or_refused(space, text)


# --- numbers, samples, steps -----------------------------------------------------------------


def test_sizes_are_the_published_numbers_of_cells() -> None:
    """In billions of cells; two of them, three widths and five depths make an architecture."""
    billions = {
        "DARTS": 242,
        "ENAS": 5_063,
        "PNAS": 556_628,
        "NASNet": 71_465_842,
        "Amoeba": 556_628,
    }
    for name, published in billions.items():
        cells = math.isqrt(get_space(nds.SPACES[name]).SIZE // 15)
        assert cells**2 * 15 == get_space(nds.SPACES[name]).SIZE
        assert abs(cells / 1e9 - published) <= 0.5


@every_space
def test_samples_are_uniform_and_follow_the_rule_of_concatenation(space: Any) -> None:
    found = space.sample(3_000, 5)
    assert found[:20] == space.sample(20, 5) != space.sample(20, 6)
    genes = np.array([space.parse(text) for text in found])
    n_ops = len(space.OPS)
    for place, n in ((0, 3), (1, 5), (2, n_ops), (3, 2), (4 * nodes_of(space), n_ops)):
        counts = np.unique(genes[:, place], return_counts=True)[1]
        p = 1 / n
        assert len(counts) == n
        assert np.abs(counts - 3_000 * p).max() < 6 * math.sqrt(3_000 * p * (1 - p))
    for text in found[:300]:
        normal, concat, *_ = space.to_genotype(text)
        read = {source for _, source in normal}
        rule = [n for n in range(2, 2 + nodes_of(space)) if n not in read]
        everything = space in (nds_darts, nds_pnas)
        assert concat == (list(range(2, 2 + nodes_of(space))) if everything else rule)


@every_space
@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_steps_stay_in_the_space_and_can_be_taken_back(space: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    (text,) = space.sample(1, rng)
    for _ in range(5):
        near = space.neighbours(text)
        n = nodes_of(space)
        moves = 2 * 2 * sum(node - 1 for node in range(2, 2 + n))
        assert len(near) == len(set(near)) == 2 + 4 + 4 * n * (len(space.OPS) - 1) + moves
        child = space.mutate(text, rng)
        assert child in near and text in space.neighbours(child)
        assert space.from_index(space.to_index(child)) == child
        text = child


# --- which architectures are the same --------------------------------------------------------


def test_canonical_form_orders_pairs_and_makes_the_dead_plain() -> None:
    cell = [
        ("sep_conv_3x3", 1), ("skip_connect", 0),
        ("none", 1), ("dil_conv_3x3", 2),
        ("sep_conv_5x5", 1), ("none", 3),
        ("skip_connect", 0), ("avg_pool_3x3", 0),
    ]  # fmt: skip
    arch = (16, 4, (cell, [5], cell, [3, 4, 5]))
    genotype = nds_darts.to_genotype(nds_darts.canonical(arch))
    assert genotype.normal == [*[("max_pool_3x3", 0)] * 6, ("avg_pool_3x3", 0), ("skip_connect", 0)]
    assert genotype.reduce == [
        ("skip_connect", 0), ("sep_conv_3x3", 1),
        ("none", 0), ("dil_conv_3x3", 2),
        ("none", 0), ("sep_conv_5x5", 1),
        ("avg_pool_3x3", 0), ("skip_connect", 0),
    ]  # fmt: skip
    live = [
        zeroshot.count(a, space="nds_darts").live_weights for a in (arch, nds_darts.canonical(arch))
    ]
    assert live[0] == live[1] > 0


@every_space
def test_representatives_stand_for_themselves_and_have_the_same_live_weights(space: Any) -> None:
    for text in space.sample(30, 2):
        one = space.representative(text)
        assert space.representative(one) == space.representative(text, "network") == one
        own, other = (zeroshot.count(arch, space=space.NAME) for arch in (text, one))
        assert own.live_weights == other.live_weights


# --- the network -----------------------------------------------------------------------------


def test_counts_equal_the_check_values(shared: Path) -> None:
    with (shared / "spaces_check.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["space"].startswith("nds_")]
    assert len(rows) == 12 and len({row["space"] for row in rows}) == 6
    for row in rows:
        name = row["space"].removesuffix("_in")
        counts = zeroshot.count(
            row["architecture"],
            space=name,
            input_size=int(row["input_size"]),
            num_classes=int(row["classes"]),
            builder="imagenet" if row["space"].endswith("_in") else "autodl",
        )
        assert (counts.params, counts.macs) == (int(row["params"]), int(row["macs"])), row


@every_space
def test_what_nobody_reads_is_built_and_run(space: Any) -> None:
    """Nodes that are neither read nor concatenated, and a cell's first input."""
    op, n = ("sep_conv_3x3", 1), nodes_of(space)
    cell = [op] * (2 * n)
    arch = (4, 3, (cell, [n + 1], cell, [n + 1]))
    graph = _core.space_build(space.NAME, space.parse(arch), 0, 0, 10, (3, 8, 8))
    nodes = graph.nodes()
    weights = {t["name"]: np.zeros(t["shape"]) for t in graph.tensors()}
    counts = zeroshot.count(arch, space=space.NAME, input_size=8)
    assert counts.macs == reference.macs(nodes, weights).value
    assert sum(node["name"].endswith("depth_a") for node in nodes) == 3 * 2 * n
    assert "cell00.concat" not in {node["name"] for node in nodes}
    assert counts.live_macs < counts.macs / n + counts.macs / 2


def test_operations_are_what_their_names_say() -> None:
    ops = [(op, i % 2) for i, op in enumerate(("conv_3x1_1x3", "conv_7x1_1x7", "max_pool_5x5",
        "max_pool_7x7", "conv_1x1", "conv_3x3", "dil_conv_3x3", "sep_conv_7x7",
        "sep_conv_5x5", "skip_connect"))]  # fmt: skip
    arch = (4, 1, (ops, range(2, 7), ops, range(2, 7)))
    graph = _core.space_build("nds_nasnet", nds_nasnet.parse(arch), 0, 0, 10, (3, 8, 8))
    attrs = {node["name"].removeprefix("cell00."): node["attrs"] for node in graph.nodes()}
    windows = {
        name: tuple(a[key] for key in ("kernel", "stride", "padding"))
        for name, a in attrs.items()
        if "kernel" in a and name.startswith("n")
    }
    one, two, none = (1, 1), (2, 2), (0, 0)
    assert windows == {
        "n2a.row": ((1, 3), (1, 2), (0, 1)), "n2a.column": ((3, 1), (2, 1), (1, 0)),
        "n2b.row": ((1, 7), (1, 2), (0, 3)), "n2b.column": ((7, 1), (2, 1), (3, 0)),
        "n3a.pool": ((5, 5), two, two), "n3b.pool": ((7, 7), two, (3, 3)),
        "n4a.conv": (one, two, none), "n4b.conv": ((3, 3), two, one),
        "n5a.depth": ((3, 3), two, two), "n5a.point": (one, one, none),
        "n5b.depth_a": ((7, 7), two, (3, 3)), "n5b.point_a": (one, one, none),
        "n5b.depth_b": ((7, 7), one, (3, 3)), "n5b.point_b": (one, one, none),
        "n6a.depth_a": ((5, 5), two, two), "n6a.point_a": (one, one, none),
        "n6a.depth_b": ((5, 5), one, two), "n6a.point_b": (one, one, none),
        "n6b.conv_a": (one, two, none), "n6b.conv_b": (one, two, none),
    }  # fmt: skip
    assert attrs["n5a.depth"]["dilation"] == (2, 2) and attrs["n5a.depth"]["groups"] == 8


@pytest.mark.parametrize(
    ("arch", "options", "message"),
    [
        (ENAS, {"channels": 16}, "channels: expected none, as architectures of nds_enas .*got 16"),
        (ENAS, {"cells": 8}, "cells: expected none, as architectures of nds_enas .*depth, got 8"),
        (
            ENAS,
            {"builder": "naslib"},
            "builder: expected autodl or imagenet, .*nds_enas, got naslib",
        ),
        (ENAS, {"input_size": 34}, "input size: expected multiples of 4"),
        (ENAS.replace("w=32", "w=1"), {"builder": "imagenet"}, "channels: expected at least 2"),
    ],
)
def test_impossible_networks_are_value_errors(arch: str, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zeroshot.count(arch, space="nds_enas", **options)


# --- files -----------------------------------------------------------------------------------


def job_of(space: Any, text: str, job_id: int) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "net": space.to_net(text),
        "optim": {"base_lr": 0.1, "wd": 5e-4},
        "params": 1234.0,
        "flops": 5678,
        "test_ep_top1": [90.0, 50.5, 7.25],
    }


@every_space
@pytest.mark.parametrize("form", ["list", "top and mid"])
def test_files_are_read(space: Any, form: str, tmp_path: Path) -> None:
    texts = space.sample(7, 0)
    jobs = [job_of(space, text, i) for i, text in enumerate(texts)]
    (stem,) = (stem for stem, name in nds.SPACES.items() if name == space.NAME)
    path = tmp_path / f"{stem}_fix-w-d.json"
    path.write_text(json.dumps(jobs if form == "list" else {"top": jobs[:3], "mid": jobs[3:]}))
    records = nds.read_nds(path)
    assert [r.arch for r in records] == texts and [r.job_id for r in records] == list(range(7))
    genes = space.parse(texts[4])
    assert records[4] == nds.NdsRecord(texts[4], space.NAME, *genes[:2], 92.75, 1234.0, 5678.0, 4)
    (tmp_path / "other.json").write_bytes(path.read_bytes())
    assert nds.read_nds(tmp_path / "other.json", space.NAME) == records


JOB = job_of(nds_enas, ENAS, 0)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (b"", "expected JSON, Expecting value"),
        (b"\xff", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (3, "expected a list of jobs or an object with the lists 'top' and 'mid', got 3"),
        ({"top": []}, "expected a list of jobs or an object"),
        ([JOB, 3], "job 1: expected an object, got 3"),
        ([{k: v for k, v in JOB.items() if k != "net"}], "job 0: expected the key 'net'"),
        ([{**JOB, "net": {}}], "job 0: arch: expected the key 'width'"),
        ([{**JOB, "net": 3}], r"job 0: arch\['net'\]: expected a record, got 3"),
        (
            [{**JOB, "test_ep_top1": []}],
            "job 0, 'test_ep_top1': expected an error in percent .*got",
        ),
        ([{**JOB, "test_ep_top1": ["x"]}], "job 0, 'test_ep_top1': expected a number, got 'x'"),
        ([{**JOB, "params": None}], "job 0, 'params': expected a number, got None"),
        ([{**JOB, "flops": math.nan}], "job 0, 'flops': expected a number, got nan"),
    ],
)
def test_other_files_are_refused(found: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "ENAS.json"
    path.write_bytes(found if isinstance(found, bytes) else json.dumps(found).encode())
    with pytest.raises(BenchmarkFileError, match=f"ENAS.json.*{message}"):
        nds.read_nds(path)


def test_files_of_no_space_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"space: expected one of nds_darts, .*got 'Vanilla.json'"):
        nds.read_nds(tmp_path / "Vanilla.json")
    with pytest.raises(ValueError, match=r"space: expected one of nds_darts, .*got 'darts'"):
        nds.read_nds(tmp_path / "DARTS.json", "darts")
    with pytest.raises(FileNotFoundError):
        nds.read_nds(tmp_path / "DARTS.json")
