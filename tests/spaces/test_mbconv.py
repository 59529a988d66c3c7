"""Chains of MBConv blocks: both notations, published configurations, the networks."""

from __future__ import annotations

import copy
import csv
import json
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
from zeroshot.spaces import mbconv as mb
from zeroshot.spaces import proxylessnas

from .common import is_taken_or_refused

MOBILE = (
    "stem=32;last=1280;k3e1:16s1 k5e3:32s2 k3e3:32s1 skip skip k7e3:40s2 k3e3:40s1 k5e3:40s1 "
    "k5e3:40s1 k7e6:80s2 k5e3:80s1 k5e3:80s1 k5e3:80s1 k5e6:96s1 k5e3:96s1 k5e3:96s1 k5e3:96s1 "
    "k7e6:192s2 k7e6:192s1 k7e3:192s1 k7e3:192s1 k7e6:320s1"
)
SMALL = "stem=8;last=16;act=swish;ds_r1_k3_s1_c8_se0.25 | ir_r1_k5_s2_e3_c12,ir_r2_k3_s1_e6_c12_se1"


@st.composite
def published(draw: Any) -> str:
    def block() -> str:
        if draw(st.integers(0, 4)) == 0:
            return "skip"
        k, e = draw(st.integers(0, 7)) * 2 + 1, draw(st.integers(1, 16))
        return f"k{k}e{e}:{draw(st.integers(1, 10_000))}s{draw(st.integers(1, 2))}"

    blocks = [block() for _ in range(draw(st.integers(1, 24)))]
    stem, last = draw(st.integers(1, 10_000)), draw(st.integers(1, 10_000))
    return f"stem={stem};last={last};{' '.join(blocks)}"


def string_of(block: mb.Block, repeats: int = 1) -> str:
    se = np.format_float_positional(block.squeeze, trim="-")
    head = f"_r{repeats}_k{block.kernel}_s{block.stride}"
    tail = f"_c{block.width}" + (f"_se{se}" if block.squeeze else "")
    return f"ds{head}{tail}" if block.expansion == 1 else f"ir{head}_e{block.expansion}{tail}"


blocks_of_strings = st.lists(
    st.builds(
        mb.Block,
        kernel=st.sampled_from((3, 5)),
        expansion=st.sampled_from((1, 3)),
        width=st.sampled_from((8, 16)),
        stride=st.sampled_from((1, 1, 2)),
        squeeze=st.sampled_from((0.0, 0.25, 0.0625)),
    ),
    min_size=1,
    max_size=24,
)


def build(arch: Any, num_classes: int = 10, size: int = 32) -> _core.Graph:
    return _core.space_build(mb.NAME, mb.parse(arch), 0, 0, num_classes, (3, size, size))


# --- notations -------------------------------------------------------------------------------


@given(published())
def test_published_notation_round_trips(text: str) -> None:
    genes = mb.parse(text)
    assert mb.format(genes) == text == mb.format(mb.parse(text.encode()))
    assert mb.parse(genes) == mb.parse(np.array(genes)) == genes
    words = ["skip" if not b.kernel else f"k{b.kernel}e{b.expansion}:{b.width}s{b.stride}"
             for b in mb.to_net(text).blocks]  # fmt: skip
    assert " ".join(words) == text.split(";")[-1]
    config = mb.to_config(text)
    assert mb.parse(config) == mb.parse(json.dumps(config)) == genes
    assert mb.parse(json.dumps(config).encode()) == genes


@given(blocks_of_strings, st.randoms(use_true_random=False))
def test_block_strings_mean_their_blocks_however_they_are_split(
    blocks: list[mb.Block], rng: random.Random
) -> None:
    head = "stem=8;last=16;act=relu6;"
    plain = head + string_of(blocks[0]) + "".join(
        rng.choice((",", " | ")) + string_of(block) for block in blocks[1:]
    )  # fmt: skip
    net = mb.to_net(plain)
    assert net == mb.Net(8, 16, "relu6", 1e-5, tuple(blocks))
    normal = mb.format(mb.parse(plain))
    assert mb.parse(normal) == mb.parse(plain) and mb.format(mb.parse(normal)) == normal
    stages = [stage.split(",") for stage in normal.split(";")[-1].split(" | ")]
    for number, stage in enumerate(stages):  # as the top of the module says
        assert len({re.search(r"_c(\d+)", string)[1] for string in stage}) == 1  # type: ignore[index]
        assert all("_s1" in string for string in stage[1:])
        before = stages[number - 1][-1] if number else "_c0_"
        width = re.search(r"_c\d+", stage[0])[0]  # type: ignore[index]
        assert "_s2" in stage[0] or re.search(r"_c\d+", before)[0] != width  # type: ignore[index]


def test_repeats_have_the_stride_once() -> None:
    blocks = mb.to_net("stem=8;last=8;act=swish;ir_r3_k5_s2_e6_c24_se0.25").blocks
    assert [b.stride for b in blocks] == [2, 1, 1]
    assert {(b.kernel, b.expansion, b.width, b.squeeze) for b in blocks} == {(5, 6, 24, 0.25)}
    assert mb.parse("stem=8;last=8;act=swish;ds_r1_k3_s1_e1_c16") == mb.parse(
        "stem=8;last=8;act=swish;ds_r1_k3_s1_c16"
    )


HEAD = "stem=8;last=8;"
STRINGS = HEAD + "act=swish;"
MALFORMED = [
    ("", 0, "'stem=' and a width, got the end of the text"),
    ("stem=0;", 5, "a width, 1 to 10000, got '0'"),
    ("stem=08;", 5, "a width, 1 to 10000, got '08'"),
    ("stem=10001;", 5, "a width, 1 to 10000, got '10001'"),
    ("stem=99999999999999999999;", 5, "a width, 1 to 10000, got '99999999999999999999'"),
    ("stem=8;k", 7, "';last=' and a width, got 'k'"),
    (HEAD, 14, "'k' and an odd kernel, got the end of the text"),
    (HEAD + "act=", 18, "an activation (relu6 or swish), got the end of the text"),
    (HEAD + "act=swish", 23, "';' and the blocks, got the end of the text"),
    (STRINGS, 24, "a block string (ir_... or ds_...), got the end of the text"),
    (STRINGS + "k3e3:8s1", 24, "a block string (ir_... or ds_...), got 'k3e3'"),
    (STRINGS + "ir_k3_s1_e3_c8", 27, "'_r' and a number of repeats"),
    (STRINGS + "ir_r25_k3_s1_e3_c8", 28, "a number of repeats, 1 to 24"),
    (STRINGS + "ir_r1_k4_s1_e3_c8", 31, "an odd kernel, 1 to 15"),
    (STRINGS + "ir_r1_k3_s1_e1_c8", 37, "an expansion, 2 to 16"),
    (STRINGS + "ds_r1_k3_s1_e2_c8", 37, "an expansion, which ds has not, 1 to 1"),
    (STRINGS + "ir_r1_k3_s3_e3_c8", 34, "a stride, 1 to 2"),
    (STRINGS + "ds_r1_k3_s1_c8_se0", 41, "a ratio above 0"),
    (STRINGS + "ds_r1_k3_s1_c8_nre", 38, "',' and the next block, or ' | ' and the next stage"),
    (STRINGS + "ds_r1_k3_s1_c8 |ds_r1_k3_s1_c8", 40, "' | ' and the next stage"),
    (STRINGS + "ds_r1_k3_s1_c8,", 39, "a block string"),
    (STRINGS + "ds_r20_k3_s1_c8,ds_r5_k3_s1_c8", 40, "at most 24 blocks"),
    (HEAD + "k3e3:8s1 " * 24 + "skip", 14 + 9 * 24, "at most 24 blocks, got 'skip'"),
    (HEAD + "k4e3:8s1", 15, "an odd kernel, 1 to 15"),
    (HEAD + "k3e0:8s1", 17, "an expansion, 1 to 16"),
    (HEAD + "k3e3:8s1,", 22, "' ' and the next block, got ','"),
    (HEAD + "k3e3:8s1 ", 23, "'k' and an odd kernel, got the end of the text"),
    (b"stem=8;last=8;skip\xff", 18, "' ' and the next block, got byte 0xff"),
    ('{"blocks": ', 11, "arch: expected JSON, Expecting value"),
    (b'{"\xff', 2, "arch: expected JSON in UTF-8"),
]


@pytest.mark.parametrize(("text", "position", "message"), MALFORMED)
def test_malformed_text_says_where_and_what(text: Any, position: int, message: str) -> None:
    with pytest.raises(ArchitectureError, match=re.escape(message)) as caught:
        mb.parse(text)
    assert caught.value.position == position


@given(st.text() | st.binary() | st.text(alphabet="stemla=08;k3e:x |_irdcw"))
def test_random_text_raises_nothing_but_architecture_error(text: str | bytes) -> None:
    is_taken_or_refused(mb, text)


def test_damaged_text_is_an_architecture_or_an_architecture_error() -> None:
    rng = random.Random(0)
    n_valid = 0
    for _ in range(5_000):
        text = bytearray(rng.choice((MOBILE, SMALL)).encode())
        for _ in range(rng.randrange(1, 3)):
            at = rng.randrange(len(text) + 1)
            text[at : at + rng.randrange(2)] = bytes(rng.choices(b"0123ke:s ;_,|\x00\xff", k=1))
        try:
            genes = mb.parse(bytes(text))
        except ArchitectureError as error:
            assert error.position is not None and 0 <= error.position <= len(text)
            continue
        assert mb.parse(mb.format(genes)) == genes
        n_valid += 1
    assert 100 < n_valid < 4_900


def changed(**changes: Any) -> Any:
    """MOBILE's configuration with other values by path."""
    config = copy.deepcopy(mb.to_config(MOBILE))
    for path, value in changes.items():
        at: Any = config
        *keys, last = [int(key) if key.isdigit() else key for key in path.split("__")]
        for key in keys:
            at = at[key]
        if value is KeyError:
            del at[last]
        else:
            at[last] = value
    return config


CONV = "blocks__1__mobile_inverted_conv"
AT = r"config\['blocks'\]\[1\]\['mobile_inverted_conv'\]"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first_conv": KeyError}, r"expected config\['first_conv'\]"),
        ({"feature_mix_layer": None}, r"config\['feature_mix_layer'\]\['out_channels'\], got None"),
        ({"bn": {"eps": 1e-5}}, r"expected 0.001 in config\['bn'\]\['eps'\], got 1e-05"),
        ({"bn": 3}, r"expected \{.*\} in config\['bn'\], got 3"),
        ({"name": "MobileNetV3"}, r"'ProxylessNASNets' in config\['name'\], got 'MobileNetV3'"),
        ({"blocks": "k3e3"}, "expected a list of blocks, got 'k3e3'"),
        ({"blocks": [3]}, r"expected config\['blocks'\]\[0\]\['mobile_inverted_conv'\], got 3"),
        ({f"{CONV}__name": KeyError}, rf"expected {AT}\['name'\]"),
        ({f"{CONV}__name": "ConvLayer"}, rf"'MBInvertedConvLayer' in {AT}\['name'\], got 'Conv"),
        ({f"{CONV}__stride": 2.0}, rf"positive integer in {AT}\['stride'\], got 2.0"),
        ({f"{CONV}__kernel_size": 4}, "an odd kernel, 1 to 15"),
        ({f"{CONV}__in_channels": 24}, rf"expected 16 in {AT}\['in_channels'\], got 24"),
        ({f"{CONV}__mid_channels": 50}, rf"expected 48 in {AT}\['mid_channels'\], got 50"),
        ({f"{CONV}__act_func": "h_swish"}, rf"'relu6' in {AT}\['act_func'\], got 'h_swish'"),
        ({f"{CONV}__use_se": True}, rf"expected False in {AT}\['use_se'\], got True"),
        ({"blocks__3__mobile_inverted_conv__stride": 2}, r"expected 1 in .*\['stride'\], got 2"),
        ({"blocks__1__name": "ResidualBlock"}, r"\['blocks'\]\[1\]\['name'\], got 'ResidualBlock'"),
        (
            {"blocks__1__shortcut": {"name": "IdentityLayer"}},
            r"expected None in config\['blocks'\]\[1\]\['shortcut'\], got \{",
        ),
        ({"blocks__2__shortcut": None}, r"expected \{.*\} in .*\[2\]\['shortcut'\], got None"),
        ({"blocks__2__shortcut__in_channels": [8]}, r"expected 32 in .*\['in_channels'\], got 8"),
        ({"blocks__2__shortcut__act_func": "relu"}, r"expected None in .*'act_func'\], got 'relu'"),
        ({"first_conv__act_func": "swish"}, r"'first_conv'\]\['act_func'\], got 'swish'"),
        ({"first_conv__kernel_size": 7}, r"3 in config\['first_conv'\]\['kernel_size'\], got 7"),
        ({"first_conv__stride": 1}, r"2 in config\['first_conv'\]\['stride'\], got 1"),
        ({"first_conv__use_bn": False}, r"True in config\['first_conv'\]\['use_bn'\], got False"),
        ({"first_conv__use_bn": 1}, r"True in config\['first_conv'\]\['use_bn'\], got 1"),
        ({"first_conv__ops_order": "bn_act_weight"}, r"\['ops_order'\], got 'bn_act_weight'"),
        ({"first_conv__bias": True}, r"False in config\['first_conv'\]\['bias'\], got True"),
        ({"first_conv__dilation": 2}, r"1 in config\['first_conv'\]\['dilation'\], got 2"),
        ({"first_conv__has_shuffle": True}, r"False in .*\['has_shuffle'\], got True"),
        ({"feature_mix_layer__in_channels": 8}, r"320 in .*\['in_channels'\], got 8"),
        ({"feature_mix_layer__kernel_size": 3}, r"1 in .*\['kernel_size'\], got 3"),
        ({"classifier__in_features": 1}, r"1280 in config\['classifier'\]\['in_features'\], got 1"),
        ({"classifier__bias": False}, r"True in config\['classifier'\]\['bias'\], got False"),
        ({"classifier": "LinearLayer"}, r"in config\['classifier'\], got 'LinearLayer'"),
    ],
)
def test_faulty_configurations_say_what_is_wrong(changes: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        mb.parse(changed(**changes))
    with pytest.raises(ArchitectureError, match=message):
        mb.parse(json.dumps(changed(**changes)))


def test_configurations_may_say_more_or_less() -> None:
    """What the release writes beside all that, other images and classes; and what it may leave."""
    config = mb.to_config(MOBILE, in_channels=1, num_classes=100)
    conv = {"dilation": 1, "groups": 1, "has_shuffle": False, "dropout_rate": 0}
    plain = {"use_bn": False, "act_func": None, "dropout_rate": 0, "ops_order": "weight_bn_act"}
    config["first_conv"] |= conv
    config["feature_mix_layer"] |= conv
    config["classifier"] |= plain
    config["bn"] = {"momentum": 0.01, "eps": 0.001, "ws_eps": None}
    for block in config["blocks"]:
        layer, shortcut = block["mobile_inverted_conv"], block["shortcut"]
        if layer["name"] == "ZeroLayer":
            block["shortcut"] = None
            continue
        layer |= {"mid_channels": None, "act_func": "relu6", "use_se": False}
        if shortcut:
            widths = {key: [shortcut[key]] for key in ("in_channels", "out_channels")}
            block["shortcut"] = {**shortcut, **widths, **plain}
    assert mb.format(mb.parse(config)) == mb.format(mb.parse(json.dumps(config))) == MOBILE
    config["blocks"][1]["mobile_inverted_conv"]["mid_channels"] = 48
    assert mb.format(mb.parse(config)) == MOBILE

    keys = ("kernel_size", "expand_ratio", "out_channels", "stride", "name")
    convs = [block["mobile_inverted_conv"] for block in config["blocks"]]
    least = {
        "first_conv": {"out_channels": 32},
        "feature_mix_layer": {"out_channels": 1280},
        "blocks": [{"mobile_inverted_conv": {k: c[k] for k in keys if k in c}} for c in convs],
    }
    assert mb.format(mb.parse(least)) == MOBILE


def test_configurations_have_what_the_release_reads() -> None:
    config = mb.to_config(MOBILE, num_classes=100)
    convs = [block["mobile_inverted_conv"] for block in config["blocks"]]
    assert [c["name"] for c in convs].count("ZeroLayer") == 2
    assert convs[5] == {
        "name": "MBInvertedConvLayer", "in_channels": 32, "out_channels": 40, "kernel_size": 7,
        "stride": 2, "expand_ratio": 3,
    }  # fmt: skip
    assert config["feature_mix_layer"]["in_channels"] == 320
    assert config["classifier"]["out_features"] == 100
    with pytest.raises(ArchitectureError, match="expected the notation of configurations"):
        mb.to_config(SMALL)


@pytest.mark.parametrize("arch", [None, 3.5, True])
def test_other_types_are_type_errors(arch: Any) -> None:
    with pytest.raises(TypeError, match=f"arch: .*got {type(arch).__name__}"):
        mb.parse(arch)


# --- samples, steps, equal networks ----------------------------------------------------------


def test_numbers_are_those_of_skeleton_19_as_it_is_trained_anew() -> None:
    for arch in mb.sample(1_000, 5):
        index = mb.to_index(arch)
        assert mb.from_index(index) == arch == mb.format(mb.parse(index))
        retrained = proxylessnas.from_index(index, act="swish", se=0.25)
        assert proxylessnas.to_mbconv(retrained) == arch
    assert next(mb.enumerate_all()) == mb.from_index(0)
    with pytest.raises(ArchitectureError, match="expected a network of a skeleton"):
        mb.to_index(SMALL)
    with pytest.raises(ArchitectureError, match=r"expected skeleton 19 with act=swish;se=0\.25"):
        mb.to_index(proxylessnas.to_mbconv(0))


@pytest.mark.parametrize("arch", [MOBILE, SMALL])
def test_steps_change_kernel_or_expansion_of_one_block(arch: str) -> None:
    near = mb.neighbours(arch)
    own = mb.to_net(arch).blocks
    changeable = [i for i, b in enumerate(own) if b.kernel and b.expansion > 1]
    assert len(set(near)) == len(near) == 5 * len(changeable) and arch not in near
    for other in near:
        blocks = mb.to_net(other).blocks
        (at,) = [i for i, (a, b) in enumerate(zip(own, blocks, strict=True)) if a != b]
        a, b = own[at], blocks[at]
        assert at in changeable and (a.width, a.stride, a.squeeze) == (b.width, b.stride, b.squeeze)
        assert arch in mb.neighbours(other)
    rng = np.random.default_rng(0)
    assert {mb.mutate(arch, rng) for _ in range(1_500)} == set(near)
    with pytest.raises(ArchitectureError, match="expected a block that expands"):
        mb.mutate("stem=8;last=8;k3e1:8s1", rng)


def test_removed_layers_make_no_difference() -> None:
    key = mb.canonical(MOBILE)
    assert key == MOBILE.replace(" skip", "") == mb.representative(MOBILE)
    assert mb.canonical("stem=8;last=8;skip skip") == "stem=8;last=8;skip"
    shapes = [[t["shape"] for t in build(arch).tensors()] for arch in (MOBILE, key)]
    assert shapes[0] == shapes[1]
    with pytest.raises(ValueError, match="mode: expected one of form, network"):
        mb.representative(MOBILE, "other")  # type: ignore[arg-type]


# --- the network -----------------------------------------------------------------------------


def test_counts_equal_the_check_values(shared: Path) -> None:
    with (shared / "spaces_check.csv").open() as file:
        wanted = ("proxyless_official", "mbconv_se_swish")
        rows = [row for row in csv.DictReader(file) if row["space"] in wanted]
    assert len(rows) == 5
    for row in rows:
        counts = zeroshot.count(
            row["architecture"], space=mb.NAME, input_size=224, num_classes=1000
        )
        assert (counts.params, counts.macs) == (int(row["params"]), int(row["macs"])), row


def test_a_skeleton_is_the_same_network_block_by_block() -> None:
    for arch in ("skeleton=21;" + " ".join(["k5e3"] * 21), proxylessnas.from_index(9, act="swish")):
        ours, theirs = (
            [(n["op"], n["shape"], n["attrs"], n["inputs"]) for n in graph.nodes()]
            for graph in (
                _core.space_build("proxylessnas", proxylessnas.parse(arch), 0, 0, 10, (3, 32, 32)),
                build(proxylessnas.to_mbconv(arch)),
            )
        )
        assert ours == theirs


def test_shortcuts_stand_where_stride_is_one_and_the_width_stays() -> None:
    nodes = {node["name"] for node in build(SMALL).nodes()}
    assert {name for name in nodes if name.endswith(".sum")} == {
        "block00.sum", "block02.sum", "block03.sum"
    }  # fmt: skip
    assert "block00.expand.conv" not in nodes and "block01.se.pool" not in nodes


def test_blocks_of_a_chain_are_made_again_one_by_one() -> None:
    """Outputs of blocks are kept, not what lies in them: memory grows with depth as those do."""

    def peak(n_blocks: int, **options: Any) -> int:
        arch = f"stem=16;last=16;{' '.join(['k3e6:16s1'] * n_blocks)}"
        return zeroshot.plan(arch, space=mb.NAME, input_size=64, **options).peak_bytes

    step = (peak(24) - peak(6)) / 18
    step_again = (peak(24, recompute=True) - peak(6, recompute=True)) / 18
    output = 64 * 16 * 32 * 32 * 4
    assert step > 6 * output  # of 6 times as many channels
    assert step_again < 1.5 * output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 16}, "channels: expected none, as architectures of mbconv"),
        ({"cells": 5}, r"cells: expected none, as architectures of .* say their depth, got 5"),
        ({"builder": "zerocost"}, "builder: expected autodl, .*mbconv, got zerocost"),
    ],
)
def test_impossible_networks_are_value_errors(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zeroshot.count(SMALL, space=mb.NAME, **options)
