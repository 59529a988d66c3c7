"""The size space of NATS-Bench: codes, the network that is built, scores."""

from __future__ import annotations

import csv
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import zeroshot
from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import nats_sss as sss

from .common import is_taken_or_refused

CODE = "8:16:24:32:40"
codes = st.integers(0, sss.SIZE - 1)


def build(arch: Any, num_classes: int = 10, size: int = 32) -> _core.Graph:
    return _core.space_build(sss.NAME, sss.parse(arch), 0, 1, num_classes, (3, size, size))


# --- notations -------------------------------------------------------------------------------


def test_every_code_round_trips_through_every_notation() -> None:
    found = list(sss.enumerate_all())
    assert len(set(found)) == len(found) == sss.SIZE == 32_768
    for index, text in enumerate(found):
        genes = sss.parse(text)
        assert sss.format(genes) == text
        assert sss.to_index(genes) == index
    for index in range(0, sss.SIZE, 97):
        text = found[index]
        genes = sss.parse(text)
        forms: list[Any] = [text.encode(), index, np.int64(index), list(genes), np.array(genes)]
        for form in forms:
            assert sss.parse(form) == genes


def test_index_is_the_order_of_the_product_last_fastest() -> None:
    texts = {0: "8:8:8:8:8", 11: "8:8:8:16:32", 284: "8:8:40:32:40", 32_767: "64:64:64:64:64"}
    for index, text in texts.items():
        assert (sss.from_index(index), sss.to_index(text)) == (text, index)


MALFORMED = [
    ("", 0, "a width (8, 16, 24, 32, 40, 48, 56 or 64), got the end of the text"),
    ("8", 1, "':' and the next of 5 widths, got the end of the text"),
    ("8:8:8:8", 7, "':' and the next of 5 widths"),
    ("8:8:8:8:8:8", 9, "the end of the text, got ':'"),
    ("8:8:8:8:12", 8, "a width (8, 16, 24, 32, 40, 48, 56 or 64), got '12'"),
    ("8:8:8:8:08", 8, "got '08'"),
    ("8:8:8:8:-8", 8, "got '-'"),
    (" 8:8:8:8:8", 0, "got ' '"),
    ("8:8:8:8:8\n", 9, "got byte 0x0a"),
    ("8;8;8;8;8", 1, "got ';'"),
    ("8" * 99, 0, "got '888888888888888888888888...'"),
    (b"8:\xff", 2, "got byte 0xff"),
]


@pytest.mark.parametrize(("text", "position", "message"), MALFORMED)
def test_malformed_text_says_where_and_what(text: Any, position: int, message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)) as caught:
        sss.parse(text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (sss.SIZE, "index: expected 0 to 32767, got 32768"),
        (-1, "index: expected 0 to 32767, got -1"),
        ([8, 8, 8, 8], "expected 5 widths, got 4 items"),
        ([8, 8, 8, 8, 9], r"arch\[4\]: expected one of 8, 16, .*got 9"),
        ([8, 8, 8, 8, True], r"arch\[4\]: .*got True"),
        ([8, 8, 8, 8, 8.0], r"arch\[4\]: .*got 8.0"),
    ],
)
def test_malformed_sequences_say_where_and_what(arch: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        sss.parse(arch)


@pytest.mark.parametrize("arch", [None, 3.5, True, {}])
def test_other_types_are_type_errors(arch: Any) -> None:
    with pytest.raises(TypeError, match=f"arch: .*got {type(arch).__name__}"):
        sss.parse(arch)


def test_random_bytes_are_judged_as_by_the_grammar() -> None:
    width = rb"(8|16|24|32|40|48|56|64)"
    grammar = re.compile(b":".join([width] * 5))
    rng = random.Random(0)
    n_codes = 0
    for _ in range(20_000):
        text = bytearray(sss.from_index(rng.randrange(sss.SIZE)).encode())
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(text) + 1)
            text[at : at + rng.randrange(3)] = bytes(rng.choices(b"0123468:\x00\xff ", k=2))
        if grammar.fullmatch(text):
            assert sss.format(sss.parse(bytes(text))).encode() == text
            n_codes += 1
            continue
        with pytest.raises(ArchitectureError) as caught:
            sss.parse(bytes(text))
        assert caught.value.position is not None and 0 <= caught.value.position <= len(text)
    assert 1_000 < n_codes < 19_000


@given(st.text() | st.binary() | st.text(alphabet="0123456789:"))
@example("8:16:24:32:40")
def test_random_text_raises_nothing_but_architecture_error(text: str | bytes) -> None:
    is_taken_or_refused(sss, text)


def test_format_refuses_what_is_no_code() -> None:
    for genes in ((8, 8, 8, 8, 7), (8, 8, 8, 8, 72), (0, 8, 8, 8, 8)):
        with pytest.raises(ArchitectureError, match=r"width \d: expected a multiple of 8"):
            sss.format(genes)


# --- samples and steps -----------------------------------------------------------------------


def test_sample_depends_on_the_seed_alone() -> None:
    assert sorted(map(sss.to_index, sss.sample(sss.SIZE, 0))) == list(range(sss.SIZE))
    assert sss.sample(9, 7) == sss.sample(9, np.random.default_rng(7)) != sss.sample(9, 8)
    assert len(sss.sample(sss.SIZE + 1, 0, replace=True)) == sss.SIZE + 1
    with pytest.raises(ValueError, match=r"n: expected 0 to 32768 .*got 32769"):
        sss.sample(sss.SIZE + 1, 0)


@given(codes, st.integers(0, 2**32 - 1))
def test_steps_change_one_width_and_can_be_taken_back(index: int, seed: int) -> None:
    text = sss.from_index(index)
    near = sss.neighbours(text)
    assert len(set(near)) == 35 and text not in near
    assert all(text in sss.neighbours(other) for other in near[:5])
    rng = np.random.default_rng(seed)
    for _ in range(20):
        child = sss.mutate(text, rng)
        assert child in sss.neighbours(text)
        text = child


@given(codes)
def test_every_code_stands_for_itself(index: int) -> None:
    text = sss.from_index(index)
    assert sss.canonical(index) == sss.representative(index) == text
    assert sss.representative(text, "network") == text
    with pytest.raises(ValueError, match="mode: expected one of form, network"):
        sss.representative(text, "other")  # type: ignore[arg-type]


# --- the network -----------------------------------------------------------------------------


def test_counts_equal_the_check_values(shared: Path) -> None:
    with (shared / "spaces_check.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["space"] == sss.NAME]
    assert len(rows) == 5
    for row in rows:
        size, classes = int(row["input_size"]), int(row["classes"])
        counts = zeroshot.count(
            row["architecture"], space=sss.NAME, input_size=size, num_classes=classes
        )
        assert (counts.params, counts.macs) == (int(row["params"]), int(row["macs"])), row


def test_names_and_order_of_weights() -> None:
    nodes = build(CODE).nodes()
    shapes = {node["name"]: node["shape"] for node in nodes}
    cells = [
        [f"cell0{i}.e{e}.conv" for e in ("01", "02", "12", "03", "13", "23")] for i in range(3)
    ]
    cells[0].remove("cell00.e03.conv")  # from 8 to 8 channels a skip is the identity
    blocks = [[f"res{i}.conv_a", f"res{i}.conv_b", f"res{i}.down"] for i in (1, 2)]
    order = ["stem.conv", *cells[0], *blocks[0], *cells[1], *blocks[1], *cells[2], "head.fc"]
    assert [node["name"] for node in nodes if "weight" in node["weights"]] == order
    assert shapes["cell00.e03.skip"] == (8, 32, 32)
    assert shapes["res1.sum"] == (16, 16, 16)
    assert shapes["cell01.n3"] == (24, 16, 16)
    assert shapes["res2.sum"] == (32, 8, 8)
    assert shapes["cell02.n3"] == (40, 8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 16}, "channels: expected none, as architectures of nats_sss .*got 16"),
        ({"cells": 5}, "cells: expected 1, as nats_sss has a width for each .*got 5"),
        ({"builder": "zerocost"}, "builder: expected autodl, .*nats_sss, got zerocost"),
        ({"input_size": 30}, "input size: expected multiples of 4 .*got 30 x 30"),
        ({"num_classes": 2**20 + 1}, "num_classes"),
    ],
)
def test_impossible_networks_are_value_errors(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zeroshot.count(CODE, space=sss.NAME, **options)
