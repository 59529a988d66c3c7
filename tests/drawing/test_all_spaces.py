"""Random architectures of every space: nothing overlaps, and every operation has its label."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import zeroshot
from zeroshot.spaces import get_space, list_spaces

from .common import faults, texts_of

pytest.importorskip("matplotlib", reason="Matplotlib is not installed: nothing is drawn")

from zeroshot.drawing.palette import look_of

GENOTYPES = ("darts", "nasbench301", *(name for name in list_spaces() if name.startswith("nds_")))


def label(op: str) -> str:
    return look_of(op).label


@pytest.mark.parametrize("hide_none", [False, True])
@pytest.mark.parametrize("space", list_spaces())
def test_samples_are_drawn_without_faults(space: str, hide_none: bool) -> None:
    for arch in get_space(space).sample(2 if hide_none else 5, 3):
        assert not faults(zeroshot.draw(arch, space=space, hide_none=hide_none)), arch


@pytest.mark.parametrize("space", GENOTYPES)
def test_cells_have_two_operations_at_each_node(space: str) -> None:
    module: Any = get_space(space)
    for arch in module.sample(4, 1):
        found, genotype = texts_of(zeroshot.draw(arch, space=space)), module.to_genotype(arch)
        ops = Counter(label(op) for op, _ in genotype.normal + genotype.reduce)
        assert {text: found[text] for text in ops} == ops
        nodes = [str(i) for i in range(len(genotype.normal) // 2)]
        states = ["cₖ₋₂", "cₖ₋₁", "cₖ", "normal cell", "reduction cell", *nodes]
        assert all(found[text] == (1 if "cell" in text else 2) for text in states)
        others = set(found) - set(ops) - set(states)
        assert len(others) == (1 if space.startswith("nds_") else 0)  # width and depth


def test_nasbench201_labels_six_edges() -> None:
    space: Any = get_space("nasbench201")
    for arch in space.sample(20, 0):
        found = texts_of(zeroshot.draw(arch))
        ops = Counter(label(space.OPS[op]) for op in space.parse(arch))
        assert {text: found[text] for text in ops} == ops
        note = "grey: on no path from 0 to 3"
        dead = any(
            op and not live
            for op, live in zip(space.parse(arch), space.live_edges(arch), strict=True)
        )
        assert set(found) - set(ops) == {"0", "1", "2", "3", *([note] if dead else [])}


def test_nasbench201_shows_live_edges_in_colour() -> None:
    space: Any = get_space("nasbench201")
    from zeroshot.drawing.palette import DEAD

    for arch in space.sample(30, 1):
        boxes = zeroshot.draw(arch).scene.boxes[:6]  # in the order of EDGES
        assert tuple(box.edge != DEAD for box in boxes) == space.live_edges(arch)


def test_nasbench201_hides_none() -> None:
    arch = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    assert texts_of(zeroshot.draw(arch))["none"] == 5
    assert texts_of(zeroshot.draw(arch, hide_none=True)) == Counter(["0", "1", "2", "3", "skip"])


def test_nasbench101_draws_the_pruned_module() -> None:
    space: Any = get_space("nasbench101")
    for arch in space.sample(20, 0):
        _, ops = space.to_matrix(arch)
        assert texts_of(zeroshot.draw(arch, space="nasbench101")) == Counter(map(label, ops))


def test_dense_modules_of_nasbench101_are_drawn_without_faults() -> None:
    space: Any = get_space("nasbench101")
    dense = [a for a in space.sample(400, 2) if sum(map(sum, space.to_matrix(a)[0])) == 9]
    assert len(dense) > 100
    for arch in dense[:12]:
        assert not faults(zeroshot.draw(arch, space="nasbench101")), arch


@pytest.mark.parametrize("space", ["super_nasbench201", "super_darts"])
def test_supernets_show_all_operations_of_all_edges(space: str) -> None:
    module: Any = get_space(space)
    for arch in (module.full(none=True), *module.sample(3, 0)):
        drawing = zeroshot.draw(arch, space=space)
        assert not faults(drawing)
        ops = Counter(label(op) for ops in module.sets(arch).values() for op in ops)
        found = texts_of(drawing)
        assert {text: found[text] for text in ops} == ops


@pytest.mark.parametrize("skeleton", ["19", "21", "21wide"])
@pytest.mark.parametrize("width", [100, 252, 2000])
def test_proxylessnas_has_a_box_for_each_layer(skeleton: str, width: float) -> None:
    space: Any = get_space("proxylessnas")
    n = space.SKELETONS[skeleton].n_layers
    words = [("k3e3", "k5e6", "k7e3", "k7e6")[i % 4] for i in range(n)]
    for i in space.skippable(skeleton)[::3]:
        words[i] = "skip"
    arch = f"skeleton={skeleton};act=swish;se=0.25;{' '.join(words)}"
    drawing = zeroshot.draw(arch, space="proxylessnas", width=width)
    assert not faults(drawing)
    found = texts_of(drawing)
    kept = Counter(word for word in words if word != "skip")
    assert found["MB"] == kept.total() + 1  # the first block is fixed
    assert found["skip"] == n - kept.total()
    for kernel in (3, 5, 7):
        wanted = sum(k for word, k in kept.items() if word[1] == str(kernel))
        assert found[f"K{kernel}"] == wanted + (kernel == 3)
    for expansion in (3, 6):
        assert found[f"E{expansion}"] == sum(k for w, k in kept.items() if w[3] == str(expansion))
    assert found["112×112"] >= 2 and found["7×7"] >= 1
    assert found["Swish in all blocks, squeeze and excitation 0.25"] == 1
    if width == 2000:  # in one row every stage has one heading
        assert found[f"{space.SKELETONS[skeleton].last} ch."] == 1
        assert max(box.y for box in drawing.scene.boxes) == min(b.y for b in drawing.scene.boxes)


def test_resolutions_follow_the_image_size() -> None:
    drawing = zeroshot.draw(0, space="proxylessnas", image_size=(192, 160))
    assert {"96×80", "48×40", "24×20", "12×10", "6×5"} <= set(texts_of(drawing))


def test_mbconv_is_drawn_like_the_same_proxylessnas() -> None:
    space: Any = get_space("proxylessnas")
    (arch,) = space.sample(1, 0)
    one = zeroshot.draw(arch, space="proxylessnas")
    two = zeroshot.draw(space.to_mbconv(arch), space="mbconv")
    assert one.scene == two.scene


def test_nats_sss_shows_five_widths() -> None:
    drawing = zeroshot.draw("8:64:24:32:40", space="nats_sss")
    found = texts_of(drawing)
    assert [found[str(c)] for c in (8, 64, 24, 32, 40)] == [2, 1, 1, 1, 1]  # the stem has the first
    assert (found["cell"], found["residual"], found["stem"]) == (3, 2, 1)
    assert {"32×32", "16×16", "8×8"} <= set(found)


def test_burgerformer_shows_what_sub_blocks_do() -> None:
    space: Any = get_space("burgerformer")
    shown = {"BN": "BN", "GN": "GN", "LN": "LN", "relu6": "ReLU6", "gelu": "GELU", "silu": "SiLU"}
    for arch in space.sample(5, 0):
        wanted: Counter[str] = Counter()
        for stage in space.to_dict(arch).values():
            for place in "123":
                parts = [p for p in stage["meso"][place].split("-") if p != "skip"]
                wanted.update(shown.get(p) or label(p) for p in parts or ["skip"])
        found = texts_of(zeroshot.draw(arch, space="burgerformer"))
        assert {text: found[text] for text in wanted} == wanted
        assert (found["bread"], sum(found[f"meat, ×{r}"] for r in (1, 2, 4, 6))) == (8, 4)


def test_what_the_output_does_not_hear_of_is_grey() -> None:
    """A cell whose last node is read by nobody, and one that reads a single input."""
    from zeroshot.drawing.palette import DEAD

    ops = ["skip_connect", "sep_conv_5x5"] * 5
    chain = list(zip(ops, [1, 1, 2, 1, 3, 2, 4, 1, 5, 1], strict=True))
    unread = list(zip(ops, [0, 1, 2, 0, 3, 0, 4, 0, 5, 1], strict=True))
    drawing = zeroshot.draw((16, 8, (chain, [6], unread, [5])), space="nds_enas")
    assert not faults(drawing)
    grey = [box for box in drawing.scene.boxes if box.edge == DEAD]
    texts = Counter(
        text.text
        for text in drawing.scene.texts
        for box in grey
        if (box.x, box.y) == (text.x, text.y)
    )
    assert texts == Counter(["cₖ₋₂", "4", label("skip_connect"), label("sep_conv_5x5")])


@pytest.mark.parametrize(
    ("arch", "wanted"),
    [
        ("stem=8;last=16;k1e1:16s1 k9e12:24s2 k3e2:24s1", {"K9": 1, "E12": 1, "K1": 1, "MB": 3}),
        ("stem=8;last=16;skip k3e1:16s2", {"skip": 1, "8 ch.": 1, "16 ch.": 2}),
        (
            "stem=32;last=64;act=swish;ds_r1_k3_s1_c16_se0.25 | ir_r3_k5_s2_e3_c24_se0.5",
            {"SE 0.25": 1, "SE 0.5": 3, "Swish in all blocks, SE: squeeze and excitation": 1},
        ),
    ],
)
def test_odd_chains_of_mbconv_are_drawn(arch: str, wanted: dict[str, int]) -> None:
    drawing = zeroshot.draw(arch, space="mbconv")
    assert not faults(drawing)
    found = texts_of(drawing)
    assert {text: found[text] for text in wanted} == wanted
