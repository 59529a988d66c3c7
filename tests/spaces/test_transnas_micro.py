"""The micro space of TransNAS-Bench-101: codes, classes of equal cells, the network, scores."""

from __future__ import annotations

import csv
import gzip
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zeroshot
from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import nasbench201
from zeroshot.spaces import transnas_micro as space

CODE = "64-41414-3_12_230"
numbers = st.integers(0, space.SIZE - 1)


def build(arch: Any, num_classes: int = 10, size: int = 32, cells: int = 2) -> _core.Graph:
    return _core.space_build(space.NAME, space.parse(arch), 0, cells, num_classes, (3, size, size))


# --- notations -------------------------------------------------------------------------------


def test_every_code_round_trips_through_every_notation() -> None:
    found = list(space.enumerate_all())
    assert len(set(found)) == len(found) == space.SIZE == 4_096
    for index, text in enumerate(found):
        genes = space.parse(text)
        digits = genes[7:]
        assert text == "64-41414-{}_{}{}_{}{}{}".format(*digits)
        forms: list[Any] = [
            text.encode(), index, np.int64(index), digits, np.array(digits), list(genes),
            [space.OPS[op] for op in digits], space.to_nasbench201(text),
        ]  # fmt: skip
        assert all(space.parse(form) == genes for form in forms)
        assert (space.to_index(text), space.format(genes)) == (index, text)
        assert nasbench201.parse(space.to_nasbench201(text)) == digits == space.to_digits(text)


def test_numbers_and_cells_are_those_of_the_benchmark(shared: Path) -> None:
    path = shared / "data" / "transnasbench101_micro.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there: the benchmark's numbers are not compared")
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2_048
    for row in rows:
        assert space.to_index(row["code"]) + space.OFFSET == int(row["index"])
        assert space.to_nasbench201(row["code"]) == row["arch_str"]


MALFORMED = [
    ("", 0, "a base width (4, 8, 16, 32, 64 or 128), got the end of the text"),
    ("63-41414-3_33_333", 0, "a base width (4, 8, 16, 32, 64 or 128), got '63'"),
    ("64", 2, "'-' and the modules, got the end of the text"),
    ("64-", 3, "a module (1, 3 or 4), got the end of the text"),
    ("64--", 3, "a module (1, 3 or 4), got '-'"),
    ("64-42414-3_33_333", 4, "a module (1, 3 or 4) or '-' and the cell, got '2414'"),
    ("64-40414-3_33_333", 4, "a module (1, 3 or 4) or '-' and the cell"),
    ("64-4141414-3_33_333", 9, "'-' and the operations of node 1"),
    ("64-41414-basic", 9, "1 operation of node 1 (0 to 3), got 'basic'"),
    ("64-41414-4_33_333", 9, "1 operation of node 1 (0 to 3), got '4_33_333'"),
    ("64-41414-3-33_333", 10, "'_' and the operations of node 2, got '-'"),
    ("64-41414-3_3_333", 12, "2 operations of node 2 (0 to 3), got '_333'"),
    ("64-41414-3_33_33", 16, "3 operations of node 3 (0 to 3), got the end of the text"),
    ("64-41414-3_33_3333", 17, "the end of the text, got '3'"),
    (" 64-41414-3_33_333", 0, "got ' '"),
    (b"64-41414-3_33_33\xff", 16, "got byte 0xff"),
]


@pytest.mark.parametrize(("text", "position", "message"), MALFORMED)
def test_malformed_text_says_where_and_what(text: Any, position: int, message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)) as caught:
        space.parse(text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (space.SIZE, "index: expected 0 to 4095, got 4096"),
        (-1, "index: expected 0 to 4095, got -1"),
        ([0] * 5, "expected 6 operations or 13 integers, got 5 items"),
        ([0, 0, 0, 0, 0, 4], "expected one of none, .* node 2 to node 3, got avg_pool_3x3"),
        ("|avg_pool_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|", "node 0 to node 1, got avg"),
        ([64, 4, 1, 4, 1, 4, 0, 0, 0, 0, 0, 0, True], r"arch\[12\]: .*got True"),
        ([63, 4, 1, 4, 1, 4, 0, 0, 0, 0, 0, 0, 0], "base width: expected 4, .* got 63"),
        ([64, 0, 1, 4, 1, 4, 0, 0, 0, 0, 0, 0, 0], "module 0: expected 1, 3 or 4, got 0"),
        ([64, 4, 0, 4, 1, 4, 0, 0, 0, 0, 0, 0, 0], "module 2: expected 0, as the one before"),
        ([64, 4, 2, 4, 1, 4, 0, 0, 0, 0, 0, 0, 0], "module 1: expected 1, 3 or 4, or 0 .*got 2"),
        ([64, 4, 1, 4, 1, 4, 0, 0, 0, 0, 0, 0, 4], "operation 5: expected 0 to 3, got 4"),
    ],
)
def test_malformed_sequences_say_where_and_what(arch: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        space.parse(arch)


@pytest.mark.parametrize("arch", [None, 3.5, True, {}])
def test_other_types_are_type_errors(arch: Any) -> None:
    with pytest.raises(TypeError, match=f"arch: .*got {type(arch).__name__}"):
        space.parse(arch)


def test_only_the_micro_space_has_numbers() -> None:
    for function in (space.to_index, space.to_nasbench201, space.to_digits):
        with pytest.raises(ArchitectureError, match=r"arch: expected 64-41414-\.\.\., got 32-4-"):
            function("32-4-0_00_000")


def test_random_bytes_are_judged_as_by_the_grammar() -> None:
    grammar = re.compile(rb"(4|8|16|32|64|128)-[134]{1,6}-[0-3]_[0-3]{2}_[0-3]{3}")
    rng = random.Random(0)
    n_codes = 0
    for _ in range(20_000):
        text = bytearray(space.from_index(rng.randrange(space.SIZE)).encode())
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(text) + 1)
            text[at : at + rng.randrange(3)] = bytes(rng.choices(b"0123468-_\x00\xff ", k=2))
        if grammar.fullmatch(text):
            assert space.format(space.parse(bytes(text))).encode() == text
            n_codes += 1
            continue
        with pytest.raises(ArchitectureError) as caught:
            space.parse(bytes(text))
        assert caught.value.position is not None and 0 <= caught.value.position <= len(text)
    assert 1_000 < n_codes < 19_000


# --- samples and steps -----------------------------------------------------------------------


def test_sample_depends_on_the_seed_alone() -> None:
    assert sorted(map(space.to_index, space.sample(space.SIZE, 0))) == list(range(space.SIZE))
    assert space.sample(9, 7) == space.sample(9, np.random.default_rng(7)) != space.sample(9, 8)
    assert len(space.sample(space.SIZE + 1, 0, replace=True)) == space.SIZE + 1
    with pytest.raises(ValueError, match=r"n: expected 0 to 4096 .*got 4097"):
        space.sample(space.SIZE + 1, 0)


@given(numbers, st.integers(0, 2**32 - 1), st.sampled_from(["64-41414", "8-13"]))
def test_steps_change_one_operation_and_can_be_taken_back(
    index: int, seed: int, modules: str
) -> None:
    text = space.from_index(index).replace(space.MODULES, modules)
    near = space.neighbours(text)
    assert len(set(near)) == 18 and text not in near
    assert all(text in space.neighbours(other) for other in near[:5])
    assert all(other.startswith(f"{modules}-") for other in near)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        child = space.mutate(text, rng)
        assert child in space.neighbours(text)
        text = child


# --- which cells are the same ----------------------------------------------------------------


def live_weights(arch: str) -> int:
    return zeroshot.count(arch, space=space.NAME, input_size=32).live_weights


def test_classes_and_their_representatives() -> None:
    every = list(space.enumerate_all())
    forms = [space.canonical(text) for text in every]
    stand_ins = {
        mode: [space.representative(t, mode) for t in every] for mode in ("form", "network")
    }  # type: ignore[arg-type]
    assert len(set(forms)) == len(set(stand_ins["form"]))
    assert len(dict.fromkeys(zip(forms, stand_ins["form"], strict=True))) == len(set(forms))
    assert len(set(stand_ins["network"])) > len(set(forms))
    joined = dict(zip(stand_ins["network"], stand_ins["form"], strict=True))
    for text, form, network in zip(every, stand_ins["form"], stand_ins["network"], strict=True):
        assert joined[network] == form, text  # "network" never joins what "form" keeps apart
    for mode, found in stand_ins.items():
        for text in set(found):
            assert space.representative(text, mode) == text  # type: ignore[arg-type]
            cell = space.to_nasbench201(text)
            live = nasbench201.live_edges(cell)
            assert sum(live) == sum(op != 0 for op in space.to_digits(text))


@given(numbers)
def test_members_of_a_network_have_the_same_live_weights(index: int) -> None:
    text = space.from_index(index).replace(space.MODULES, "8-41")
    assert live_weights(text) == live_weights(space.representative(text, "network"))


def test_a_skip_from_the_input_is_no_identity() -> None:
    assert space.canonical("64-41414-1_03_030") != space.canonical("64-41414-1_03_003")
    assert space.canonical("64-41414-3_01_001") == space.canonical("64-41414-3_00_010")
    assert space.canonical("64-41414-1_00_010") == space.canonical("64-41414-0_00_100")
    assert space.canonical("8-41-1_00_010") != space.canonical("64-41414-1_00_010")
    with pytest.raises(ValueError, match="mode: expected one of form, network"):
        space.representative(0, "other")  # type: ignore[arg-type]


# --- the network -----------------------------------------------------------------------------


def test_parameters_are_those_of_the_published_scores(shared: Path) -> None:
    """`class_scene` with 63 outputs, as NASLib built it; in millions."""
    path = shared / "data" / "transnasbench101_micro.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there: parameters are not compared")
    with gzip.open(path, "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["class_scene_params"]]
    assert len(rows) == 369
    for row in rows:
        counts = zeroshot.count(row["code"], space=space.NAME, num_classes=63, input_size=32)
        assert counts.params == round(float(row["class_scene_params"]) * 1e6), row["code"]


def test_names_and_order_of_weights() -> None:
    nodes = build("8-43-3_12_230", cells=2).nodes()
    order = [node["name"] for node in nodes if "weight" in node["weights"]]
    edges = {
        "changed": ["e01.conv", "e02.conv_a", "e02.conv_b", "e12.conv", "e03.conv", "e13.conv"],
        "plain": ["e01.conv", "e12.conv", "e03.conv", "e13.conv"],
    }
    wanted = [
        f"m{m}.cell{i:02d}.{edge}"
        for m in (0, 1)
        for i, kind in enumerate(("changed", "plain"))
        for edge in edges[kind]
    ]
    assert order == ["stem.conv", "stem.conv2", *wanted, "head.fc"]
    shapes = {node["name"]: node["shape"] for node in nodes}
    assert shapes["stem.conv"] == (4, 16, 16)
    assert shapes["stem.conv2"] == (8, 8, 8)
    assert shapes["m0.cell00.n3"] == shapes["m0.cell01.n3"] == (16, 4, 4)
    assert shapes["m1.cell01.n3"] == (16, 2, 2)


def test_nothing_is_left_where_all_edges_are_zero() -> None:
    counts = zeroshot.count("8-41414-0_00_000", space=space.NAME, input_size=32)
    assert counts.params == 3 * 4 * 9 + 8 + 4 * 8 * 9 + 16 + 64 * 10 + 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 16}, "channels: expected none, as architectures of transnas_micro"),
        ({"cells": 0}, "cells: expected"),
        ({"builder": "zerocost"}, "builder: expected autodl, .*transnas_micro, got zerocost"),
        ({"input_size": 16}, "input size: expected multiples of 32, .*got 16 x 16"),
        ({"num_classes": 2**20 + 1}, "num_classes"),
    ],
)
def test_impossible_networks_are_value_errors(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zeroshot.count(CODE, space=space.NAME, **options)
