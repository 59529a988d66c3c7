"""BurgerFormer: strings, dicts, numbers, steps, the network that is built, scores."""

from __future__ import annotations

import csv
import json
import math
import random
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zeroshot
from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import burgerformer as burger

from .common import is_taken_or_refused

SKIP = "skip-skip-skip-skip-skip"
PLAIN = f"{SKIP}/{SKIP}/{SKIP}:0,1,0:0,1,0"
# every op, norms in both places, every activation
ARCH = " ; ".join([
    "2,32,2:skip-skip-conv_1x1-BN-relu6/skip-GN-dwise_3x3-skip-gelu/skip-skip-avgpool-LN-silu:1,1,1:1,1,1",
    f"1,64,1:{SKIP}/{SKIP}/skip-LN-dwise_3x3-skip-skip:0,1,1:0,1,1",
    f"1,128,1:skip-GN-self_atten-skip-skip/{SKIP}/skip-skip-spatial_mlp-BN-gelu:1,1,1:1,1,1",
    f"1,128,1:skip-skip-self_atten-LN-silu/skip-skip-dwise_3x3-BN-relu6/{SKIP}:1,1,0:1,1,0",
])  # fmt: skip
numbers = st.integers(0, burger.SIZE - 1)


def stage(number: int, text: str) -> str:
    """`ARCH` with another stage."""
    stages = ARCH.split(" ; ")
    return " ; ".join([*stages[: number - 1], text, *stages[number:]])


def build(arch: Any, num_classes: int = 10, size: tuple[int, int] = (64, 64)) -> _core.Graph:
    return _core.space_build(burger.NAME, burger.parse(arch), 0, 0, num_classes, (3, *size))


# --- notations -------------------------------------------------------------------------------


def test_size_is_that_of_the_paper() -> None:
    early, late, meat = 1 + 24 * 3, 1 + 24 * 5, 25
    size = (48 * early * meat * early) ** 2 * (128 * late * meat * late) * (64 * late * meat * late)
    assert burger.SIZE == size == 44_881_294_514_712_485_068_800_000_000


def test_samples_round_trip_through_every_notation() -> None:
    for text in burger.sample(10_000, 3):
        genes = burger.parse(text)
        assert burger.format(genes) == text
        found = burger.to_dict(text)
        assert burger.parse(found) == genes
        assert burger.from_index(burger.to_index(genes)) == text


@given(numbers)
def test_every_notation_is_read(number: int) -> None:
    text = burger.from_index(number)
    genes = burger.parse(text)
    assert burger.to_index(text) == number and burger.format(genes) == text
    found = burger.to_dict(text)
    forms: list[Any] = [
        text.encode(), number, list(genes), np.array(genes), found, json.dumps(found),
        json.dumps(found).encode(),
    ]  # fmt: skip
    for form in forms:
        assert burger.parse(form) == genes, form


def test_dict_is_that_of_the_release() -> None:
    found = burger.to_dict(ARCH)
    assert list(found) == ["stage-1", "stage-2", "stage-3", "stage-4"]
    assert found["stage-2"] == {
        "macro": {"depth": 1, "width": 64, "ratio": 1},
        "meso": {
            "1": SKIP, "2": SKIP, "3": "skip-LN-dwise_3x3-skip-skip",
            "0->1": "none", "0->2": "none", "0->3": "none",
            "1->2": "skip", "1->3": "none", "2->3": "skip",
            "use_layer_scale": [False, True, True],
            "is_drop": [False, False, False],
        },
    }  # fmt: skip
    for meso in (part["meso"] for part in found.values()):  # what may be left out
        del meso["is_drop"], meso["0->2"], meso["0->3"], meso["1->3"]
        meso["use_layer_scale"] = np.array(meso["use_layer_scale"], int)
    assert burger.format(burger.parse(found)) == ARCH


def shuffled(value: Any, rng: random.Random) -> Any:
    """A dict with its keys, and those of dicts in it, in another order."""
    if not isinstance(value, dict):
        return value
    return {key: shuffled(value[key], rng) for key in rng.sample(list(value), len(value))}


@given(numbers, st.randoms(use_true_random=False))
def test_order_of_keys_makes_no_difference(number: int, rng: random.Random) -> None:
    found = burger.to_dict(number)
    genes = burger.parse(found)
    mixed = shuffled(found, rng)
    assert burger.parse(mixed) == burger.parse(json.dumps(mixed)) == genes


def test_macro_is_read_by_name() -> None:
    """2 and 4 are depths as well as ratios: only names tell them apart."""
    found = burger.to_dict(ARCH)
    found["stage-1"]["macro"] = {"ratio": 4, "width": 64, "depth": 2}
    assert burger.parse(found)[:3] == (2, 64, 4)
    found["stage-1"]["meso"] = dict(reversed(found["stage-1"]["meso"].items()))
    assert burger.format(burger.parse(found)).split(":")[:4] == [
        "2,64,4", *ARCH.split(":")[1:4]
    ]  # fmt: skip


def test_numbers_follow_the_choices() -> None:
    assert burger.from_index(0) == " ; ".join(f"1,{w},1:{PLAIN}" for w in (32, 64, 128, 128))
    assert burger.parse(121)[-3:] == (0, 1, 0)
    last = burger.parse(burger.SIZE - 1)
    assert last == (4, 96, 6, 72, 24, 72, 4, 128, 6, 72, 24, 72, 8, 320, 6, 120, 24, 120,
                    4, 512, 6, 120, 24, 120)  # fmt: skip
    assert list(islice(burger.enumerate_all(), 300)) == [burger.from_index(i) for i in range(300)]


def test_micro_strings_stand_at_their_numbers() -> None:
    assert len(set(burger.MICROS)) == len(burger.MICROS) == 121
    for number, micro in enumerate(burger.MICROS):
        genes = [*burger.parse(ARCH)]
        genes[15] = number  # first bread of stage 3
        text = burger.format(genes)
        assert text.split(" ; ")[2].split(":")[1].split("/")[0] == micro
        assert burger.parse(text) == tuple(genes)


BREAD = "skip-GN-avgpool-skip-skip"
MALFORMED = [
    ("", 0, "the depth of stage 1 (1, 2, 3 or 4), got the end of the text"),
    ("5,32,1:", 0, "the depth of stage 1 (1, 2, 3 or 4), got '5'"),
    ("2 ,32", 1, "',' and the width of stage 1, got ' '"),
    ("2,128,1:", 2, "the width of stage 1 (32, 64 or 96), got '128'"),
    ("2,32,3:", 5, "the ratio of stage 1 (1, 2, 4 or 6), got '3'"),
    ("2,32,1", 6, "':' and sub-block 1 of stage 1, got the end of the text"),
    ("2,32,1:gelu-", 7, "the act0 of sub-block 1 of stage 1 (skip), got 'gelu'"),
    ("2,32,1:skip-IN", 12, "the norm1 of sub-block 1 of stage 1 (skip, BN, GN or LN), got 'IN'"),
    (
        "2,32,1:skip-GN-self_atten-skip-skip", 15,
        "op2 of sub-block 1 of stage 1 (skip, dwise_3x3, conv_1x1 or avgpool), got 'self_atten'",
    ),
    (
        f"2,32,1:{SKIP}/skip-GN-conv_1x1-skip-skip", 40,
        "the op2 of sub-block 2 of stage 1 (skip or dwise_3x3), got 'conv_1x1'",
    ),
    (
        f"2,32,1:{SKIP}/{SKIP}/skip-GN-skip-skip-skip", 62,
        "skip as the norm1 of sub-block 3 of stage 1, whose op2 is skip, got 'GN'",
    ),
    ("2,32,1:skip-skip-skip-skip-gelu", 27, "skip as the act4 of sub-block 1 of stage 1, whose"),
    (
        "2,32,1:skip-skip-avgpool-skip-gelu", 25,
        "BN, GN or LN as the norm3 of sub-block 1 of stage 1, whose norm1 is skip, got 'skip'",
    ),
    (
        "2,32,1:skip-BN-avgpool-LN-gelu", 23,
        "skip as the norm3 of sub-block 1 of stage 1, whose norm1 is BN, got 'LN'",
    ),
    (f"2,32,1:{SKIP}:", 31, "'/' and sub-block 2 of stage 1, got ':'"),
    (
        f"2,32,1:{BREAD}/{SKIP}/{SKIP}:0,1,0:", 83,
        "1 as the residual of sub-block 1 of stage 1, which has an op2, got '0'",
    ),
    (
        f"2,32,1:{SKIP}/{SKIP}/{SKIP}:0,0,0:", 84,
        "1 as the residual of sub-block 2 of stage 1, which is meat, got '0'",
    ),
    (
        f"2,32,1:{SKIP}/{SKIP}/{SKIP}:0,1,1:", 86,
        "0 as the residual of sub-block 3 of stage 1, whose op2 is skip, got '1'",
    ),
    (
        f"2,32,1:{SKIP}/{SKIP}/{SKIP}:0,1,0:1", 88,
        "0 as the layer scale of sub-block 1 of stage 1, whose op2 is skip, got '1'",
    ),
    (f"2,32,1:{PLAIN}", 93, "' ; ' and stage 2 of 4, got the end of the text"),
    (f"2,32,1:{PLAIN};", 93, "' ; ' and stage 2 of 4, got ';'"),
    (stage(3, f"9,128,1:{PLAIN}"), 202, "the depth of stage 3 (1 to 8), got '9'"),
    (stage(3, f"8,64,1:{PLAIN}"), 204, "the width of stage 3 (128, 192, 256 or 320), got '64'"),
    (
        stage(3, f"8,320,1:skip-GN-conv3x3-skip-skip/{SKIP}"), 218,
        "(skip, dwise_3x3, conv_1x1, avgpool, self_atten or spatial_mlp), got 'conv3x3'",
    ),
    (ARCH + " ", len(ARCH), "the end of the text, got ' '"),
    (ARCH + " ; ", len(ARCH), "the end of the text, got ' '"),
    (b"2,32,\xff", 5, "got byte 0xff"),
    ("{", 1, "arch: expected JSON, Expecting property name"),
    ('{"stage-1": ' * 100_000, 0, "arch: expected JSON of stages"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "position", "message"), MALFORMED)
def test_malformed_text_says_where_and_what(text: Any, position: int, message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)) as caught:
        burger.parse(text)
    assert caught.value.position == position


GENES = burger.parse(ARCH)


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (burger.SIZE, "index: expected 0 to 4488"),
        (-1, "index: expected 0 to 4488.*got -1"),
        (GENES[:-1], "expected 24 integers, got 23 items"),
        ((*GENES[:-1], 0.0), r"arch\[23\]: expected an integer, got 0.0"),
        ((*GENES[:-1], 121), "sub-block 3 of stage 4: expected 0 to 120, got 121"),
        ((*GENES[:-2], 25, 0), "sub-block 2 of stage 4: expected 0 to 24, got 25"),
        ((0, *GENES[1:]), "depth of stage 1: expected 1, 2, 3 or 4, got 0"),
        ((*GENES[:3], 73, *GENES[4:]), "sub-block 1 of stage 1: expected 0 to 72, got 73"),
        ((*GENES[:7], 32, *GENES[8:]), "width of stage 2: expected 64, 96 or 128, got 32"),
    ],
)
def test_malformed_numbers_say_where_and_what(arch: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message) as caught:
        burger.parse(arch)
    assert caught.value.position is None


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["stage-2"], None, r"arch: expected 'stage-2', which is missing"),
        (["stage-2"], 3, r"arch\['stage-2'\]: expected a dict, got 3"),
        (["stage-5"], {}, r"arch: expected stage-1, stage-2, stage-3, stage-4; got 'stage-5'"),
        (["stage-1", "macro", "depth"], None, r"\['macro'\]: expected 'depth', which is missing"),
        (["stage-1", "macro", "depth"], "2", r"\['macro'\]\['depth'\]: expected an integer"),
        (["stage-1", "macro", "heads"], 4, r"expected depth, width, ratio; got 'heads'"),
        (["stage-1", "meso", "2"], None, r"\['meso'\]: expected '2', which is missing"),
        (["stage-1", "meso", "1->2"], None, r"\['meso'\]: expected '1->2', which is missing"),
        (["stage-1", "macro", "width"], 128, r"expected the width of stage 1 .*, got '128'"),
        (["stage-1", "meso", "2"], 7, r"\['meso'\]\['2'\]: expected a micro string, got 7"),
        (["stage-1", "meso", "2"], f"{SKIP}/{SKIP}", "stage 1, got '/'"),
        (["stage-1", "meso", "1->2"], "add", r"\['1->2'\]: expected skip or none, got 'add'"),
        (["stage-1", "meso", "1->2"], "none", "1 as the residual of sub-block 2 of stage 1"),
        (["stage-1", "meso", "0->3"], "skip", r"\['0->3'\]: expected none, got 'skip'"),
        (["stage-1", "meso", "use_layer_scale"], [1, 1], r"expected three booleans, got \[1, 1\]"),
        (
            ["stage-1", "meso", "use_layer_scale"], [1, 1, 2],
            r"\['use_layer_scale'\]\[2\]: expected a boolean, got 2",
        ),
        (
            ["stage-1", "meso", "use_layer_scale"], [1, 0, 1],
            "1 as the layer scale of sub-block 2 of stage 1, which is meat",
        ),
        (["stage-1", "meso", "is_drop"], "no", r"\['is_drop'\]: expected three booleans"),
        (["stage-1", "meso", "heads"], 4, r"\['meso'\]: expected 1, 2, 3, .*; got 'heads'"),
    ],
)  # fmt: skip
def test_malformed_dicts_name_the_entry(path: list[str], value: Any, message: str) -> None:
    arch = burger.to_dict(ARCH)
    inner = arch
    for key in path[:-1]:
        inner = inner[key]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    with pytest.raises(ArchitectureError, match=message) as caught:
        burger.parse(arch)
    assert caught.value.position is None


@pytest.mark.parametrize("arch", [None, 3.5, True])
def test_other_types_are_type_errors(arch: Any) -> None:
    with pytest.raises(TypeError, match=f"arch: .*got {type(arch).__name__}"):
        burger.parse(arch)


def reference_parse(text: bytes) -> bool:
    """The grammar again: regular expressions, then the rules between fields."""
    stages = text.split(b" ; ")
    if len(stages) != 4:
        return False
    for found, choice in zip(stages, burger.STAGES, strict=True):
        fields = re.fullmatch(
            rb"(\d+),(\d+),(\d+):([^:/]*)/([^:/]*)/([^:/]*):([^:]*):([^:]*)", found
        )
        if fields is None:
            return False
        allowed = (choice.depths, choice.widths, choice.ratios)
        if any(
            value not in [str(c).encode() for c in choices]
            for value, choices in zip(fields.groups()[:3], allowed, strict=True)
        ):
            return False
        flags = []
        for i, ops in enumerate((choice.bread, choice.meat, choice.bread)):
            micro = fields[4 + i].decode("latin1").split("-")
            if len(micro) != 5 or micro[0] != "skip":
                return False
            _, norm1, op, norm3, act = micro
            if op == "skip" and micro != ["skip"] * 5:
                return False
            if op != "skip":
                norms = {norm1, norm3} - {"skip"}
                if op not in ops or act not in burger.ACTS or "skip" not in (norm1, norm3):
                    return False
                if len(norms) != 1 or not norms <= set(burger.NORMS):
                    return False
            flags.append(b"0" if op == "skip" and i != 1 else b"1")
        if fields[7] != b",".join(flags) or fields[8] != b",".join(flags):
            return False
    return True


def test_random_bytes_are_judged_as_by_the_grammar() -> None:
    rng = random.Random(0)
    words = b"skip GN LN BN - / : , ; 0 1 2 4 32 128 dwise_3x3 self_atten spatial_mlp gelu skip-GN-"
    tokens = [*words.split(), b" ; ", b" ", b"\x00", b"\xff"]
    texts = [text.encode() for text in (*burger.sample(200, 0), ARCH, burger.from_index(0))]
    n_found = 0
    for _ in range(20_000):
        text = rng.choice(texts)
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(text) + 1)
            cut = rng.choice([0, 1, 4])
            text = text[:at] + rng.choice(tokens) + text[at + cut :]
        if reference_parse(text):
            assert burger.format(burger.parse(text)).encode() == text
            n_found += 1
            continue
        with pytest.raises(ArchitectureError) as caught:
            burger.parse(text)
        assert caught.value.position is not None and 0 <= caught.value.position <= len(text)
    assert 5_000 < n_found < 15_000


def test_every_one_byte_change_is_judged_as_by_the_grammar() -> None:
    text = ARCH.split(" ; ")
    whole = ARCH.encode()
    start = len(" ; ".join(text[:2])) + 3
    for at in range(start, start + len(text[2])):
        for byte in (b"", *(bytes([b]) for b in b"0123456789,:/-;_ GNBLskipgelu")):
            changed = whole[:at] + byte + whole[at + 1 :]
            try:
                burger.parse(changed)
            except ArchitectureError:
                assert not reference_parse(changed), changed
            else:
                assert reference_parse(changed), changed


@given(st.text() | st.binary() | st.text(alphabet="skip-GN/:,;0123 "))
def test_random_text_raises_nothing_but_architecture_error(text: str | bytes) -> None:
    is_taken_or_refused(burger, text)


# --- samples and steps -----------------------------------------------------------------------


def test_sample_depends_on_the_seed_alone() -> None:
    assert burger.sample(50, 7) == burger.sample(50, np.random.default_rng(7))
    assert burger.sample(50, 7) != burger.sample(50, 8)
    assert burger.sample(20, 7, replace=True)[:10] == burger.sample(10, 7)
    assert len(set(burger.sample(2_000, 0))) == 2_000
    with pytest.raises(ValueError, match="n: expected 0 to 4488"):
        burger.sample(-1, 0)


def test_sample_draws_each_field_evenly() -> None:
    """Within five standard deviations of a binomial."""
    n = 6_000
    drawn = [burger.parse(text) for text in burger.sample(n, 1)]

    def even(found: list[Any], k: int) -> None:
        counts = Counter(found)
        assert len(counts) == k
        for value, count in counts.items():
            p = 1 / k
            assert abs(count - len(found) * p) < 5 * math.sqrt(len(found) * p * (1 - p)), value

    for i, choice in enumerate(burger.STAGES):
        at = 6 * i
        for j, choices in enumerate((choice.depths, choice.widths, choice.ratios)):
            even([genes[at + j] for genes in drawn], len(choices))
        for j, ops in enumerate((choice.bread, choice.meat, choice.bread)):
            micros = [burger.MICROS[genes[at + 3 + j]].split("-") for genes in drawn]
            even([micro[2] for micro in micros], 1 + len(ops))
            real = [micro for micro in micros if micro[2] != "skip"]
            even([tuple(micro[i] for i in (1, 3, 4)) for micro in real], 24)


@given(numbers, st.integers(0, 2**32 - 1))
def test_mutation_changes_one_gene(number: int, seed: int) -> None:
    parent = burger.parse(number)
    rng = np.random.default_rng(seed)
    child = burger.parse(burger.mutate(number, rng))
    assert sum(a != b for a, b in zip(parent, child, strict=True)) == 1


@pytest.mark.parametrize("number", [0, burger.SIZE // 3, burger.SIZE - 1])
def test_neighbours_are_all_that_differ_in_one_gene(number: int) -> None:
    own = np.array(burger.parse(number))
    near = burger.neighbours(number)
    genes = np.array([burger.parse(text) for text in near])
    assert ((genes != own).sum(axis=1) == 1).all()
    early, late = 2 * 72 + 24 + 3, 2 * 120 + 24 + 3  # sub-blocks and ratios
    wanted = (early + 3 + 2) + (early + 3 + 2) + (late + 7 + 3) + (late + 3 + 3)
    assert len(set(near)) == len(near) == wanted == 902


def test_mutation_reaches_every_gene_and_may_drop_an_op() -> None:
    own, rng = burger.parse(ARCH), np.random.default_rng(0)
    near = set(burger.neighbours(ARCH))
    changed, skipped = set(), 0
    for _ in range(600):
        text = burger.mutate(ARCH, rng)
        assert text in near
        genes = burger.parse(text)
        at = next(i for i in range(24) if genes[i] != own[i])
        changed.add(at)
        skipped += at % 6 >= 3 and genes[at] == 0
    assert changed == set(range(24)) and skipped > 30


@given(numbers)
def test_no_two_are_equal(number: int) -> None:
    text = burger.from_index(number)
    assert burger.canonical(number) == burger.representative(number) == text
    assert burger.representative(text, "network") == text
    with pytest.raises(ValueError, match="mode: expected one of form, network"):
        burger.representative(text, "other")  # type: ignore[arg-type]


# --- the network -----------------------------------------------------------------------------


def test_counts_equal_the_check_values(shared: Path) -> None:
    with (shared / "spaces_check.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["space"] == burger.NAME]
    assert len(rows) == 3
    for row in rows:
        arch = row["architecture"]
        assert burger.format(burger.parse(arch)) == arch
        size, classes = int(row["input_size"]), int(row["classes"])
        counts = zeroshot.count(arch, space=burger.NAME, input_size=size, num_classes=classes)
        assert (counts.params, counts.macs) == (int(row["params"]), int(row["macs"])), row


def test_names_and_order_of_weights() -> None:
    """A meat's convolutions are drawn before the ops between them, though the last runs after."""
    drawn = [t["name"].removesuffix(".weight") for t in build(ARCH).tensors() if t["counted"]]
    first = [
        f"stage1.block{i}.{name}"
        for i in (1, 2)
        for name in ("sub1.op2", "sub2.expand", "sub2.shrink", "sub2.op2")
    ]
    assert drawn == [
        "stem.conv1", "stem.conv2", "stem.conv3", "stem.proj", *first,
        "down1.conv", "stage2.block1.sub2.expand", "stage2.block1.sub2.shrink",
        "stage2.block1.sub3.op2",
        "down2.conv", "stage3.block1.sub1.op2.qkv", "stage3.block1.sub1.op2.proj",
        "stage3.block1.sub2.expand", "stage3.block1.sub2.shrink", "stage3.block1.sub3.op2",
        "down3.conv", "stage4.block1.sub1.op2.qkv", "stage4.block1.sub1.op2.proj",
        "stage4.block1.sub2.expand", "stage4.block1.sub2.shrink", "stage4.block1.sub2.op2",
        "head.fc",
    ]  # fmt: skip


def test_shapes_heads_and_constants() -> None:
    nodes = {node["name"]: node for node in build(ARCH).nodes()}
    for i, shape in enumerate([(32, 16, 16), (64, 8, 8), (128, 4, 4), (128, 2, 2)], start=1):
        assert nodes[f"stage{i}.block1.sub2.sum"]["shape"] == shape
    assert nodes["stage1.block2.sub2.expand"]["shape"] == (64, 16, 16)
    assert "stage2.block1.sub1.sum" not in nodes  # a bread without op passes what it gets
    for i, heads, pixels in ((3, 4, 16), (4, 8, 4)):
        scores = nodes[f"stage{i}.block1.sub1.op2.scores"]
        assert scores["shape"][0] == heads * pixels
        assert scores["attrs"]["heads"] == heads
        assert scores["attrs"]["scale"] == pytest.approx((128 / heads) ** -0.5, rel=1e-15)
    assert nodes["stage1.block1.sub3.op2"]["attrs"]["coef"] == [1.0, -1.0]
    eps = {node["op"]: node["attrs"]["eps"] for node in nodes.values() if "eps" in node["attrs"]}
    assert eps == {"batch_norm": 1e-5, "group_norm": 1e-5, "layer_norm": 1e-6}


def test_spatial_mlp_has_a_weight_for_each_pair_of_positions() -> None:
    for size in ((64, 64), (96, 64), (33, 50)):
        shapes = {t["name"]: t["shape"] for t in build(ARCH, size=size).tensors()}
        pixels = -(-size[0] // 16) * -(-size[1] // 16)
        assert shapes["stage3.block1.sub3.op2.weight"] == (pixels, pixels)
        assert shapes["stage3.block1.sub3.op2.bias"] == (pixels,)


@pytest.mark.parametrize("size", [1, 2, 31, 32, (17, 64), 224])
def test_any_size_of_image_works(size: Any) -> None:
    """Also where maps are single pixels, of which average pools see nothing else."""
    counts = zeroshot.count(ARCH, space=burger.NAME, input_size=size)
    assert counts.params > 0 and counts.live_weights == counts.weights


def test_initial_weights() -> None:
    """Layer scales start at 1e-5; with its own initialiser linear layers alone are redrawn."""
    x, y = np.random.default_rng(0).standard_normal((4, 3, 32, 32)), np.arange(4)
    names = zeroshot.weight_names(ARCH, space=burger.NAME)
    assert sum(name.endswith(".scale") for name in names) == 6 + 2 + 3 + 2
    options: dict[str, Any] = {"space": burger.NAME, "dtype": "float64"}

    def gradients(**more: Any) -> Any:
        return zeroshot.gradients(ARCH, x, y, batch_size=4, **options, **more).gradients

    ones = {name: np.full(names[name], 1e-5) for name in names if name.endswith(".scale")}
    given = gradients(weights=ones)
    for name, value in gradients().items():  # 1e-5 in float32 and in float64
        assert np.abs(value - given[name]).max() <= 1e-6 * np.abs(value).max() + 1e-12, name


def test_own_initialiser_redraws_linear_layers_alone() -> None:
    """Weights of the rest are those of PyTorch's default, bit for bit: they give the same sum."""
    x, y = np.zeros((2, 3, 32, 32)), np.zeros(2, int)
    norms = {
        init: zeroshot.score(
            ARCH, x, y, scores="l2_norm", space=burger.NAME, init=init
        ).scores["l2_norm"].layers
        for init in ("torch", "burgerformer")
    }  # fmt: skip
    shapes = zeroshot.weight_names(ARCH, space=burger.NAME)
    for name, norm in norms["burgerformer"].items():
        linear = len(shapes[name]) == 2
        assert (norm != norms["torch"][name]) == linear, name
        if linear and math.prod(shapes[name]) > 1_000:  # the norm of n normals of deviation 0.02
            assert norm == pytest.approx(0.02 * math.prod(shapes[name]) ** 0.5, rel=0.1), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 16}, "channels: expected none, as architectures of burgerformer .*got 16"),
        ({"cells": 5}, "cells: expected none, as architectures of burgerformer .*got 5"),
        ({"builder": "zerocost"}, "builder: expected autodl, .*burgerformer, got zerocost"),
        ({"num_classes": 2**20 + 1}, "num_classes"),
    ],
)
def test_impossible_networks_are_value_errors(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zeroshot.count(ARCH, space=burger.NAME, **options)


# --- scores ----------------------------------------------------------------------------------


def test_every_score_has_a_value() -> None:
    """All in one call, which is what each of them gives alone."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((16, 3, 32, 32)), rng.integers(0, 10, 16)
    scores = []
    for info in zeroshot.scores.list_scores():
        small = {name: 8 for name in ("batch_size", "n_samples") if name in info.defaults}
        scores.append(info.dataclass(**small))
    options: dict[str, Any] = {"space": burger.NAME, "init": "burgerformer", "n_threads": 1}
    together = zeroshot.score(ARCH, x, y, scores=scores, **options).scores
    assert len(together) == len(scores)
    for score in scores:
        alone = zeroshot.score(ARCH, x, y, scores=score, **options).scores[score.label]
        assert alone.status == "ok" and math.isfinite(alone.value), alone
        assert together[score.label].value == alone.value, score
