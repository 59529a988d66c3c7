"""``canonical``: equal cells are scored once, and each still has its own dead weights."""

from __future__ import annotations

import itertools
import threading
from functools import cache
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import GradSign, Sweet, XiGsnr, runner
from zeroshot.scores import (
    Fisher,
    Flops,
    GradNorm,
    Knas,
    L2Norm,
    LiveWeights,
    Naswot,
    Params,
    Plain,
    Score,
    Snip,
    SyncFlow,
    SynFlow,
    Zico,
)
from zeroshot.spaces import CANONICAL, Canonical
from zeroshot.spaces import nasbench201 as nb
from zeroshot.spaces._cell_forms import numbered_text

X = np.random.default_rng(0).standard_normal((8, 3, 8, 8), dtype=np.float32)
Y = np.arange(8)
TINY: dict[str, Any] = {"channels": 4, "cells": 1}
LIVE = [
    XiGsnr(batch_size=4),
    XiGsnr(batch_size=4, accumulate=True, label="accumulated"),
    XiGsnr(batch_size=4, variant="mean2", label="mean2"),
    GradSign(n_samples=3),
    Sweet(1e-3, 1e-1, batch_size=8),
]
WITH_DEAD = [
    Sweet(0, np.inf, batch_size=8, label="all"),
    Sweet(0, np.inf, splits=(1e-3,), batch_size=8, label="split"),
    XiGsnr(batch_size=4, variant="inv_var_xi", label="inv_var_xi"),
    GradSign(n_samples=3, reduction="mean", label="mean"),
]
NO_PATH = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
# one network: a convolution at a time is dead, in front of `none` or behind it
SKIP = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
DEAD = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|none~2|"
DEADER = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|"
# one form, two networks: a convolution that is added twice, two that are added, a dead one as well
TWICE = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|"
TWO = "|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_1x1~0|skip_connect~1|none~2|"
TWO_DEAD = "|nor_conv_1x1~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|skip_connect~1|none~2|"

ALL = list(itertools.product(range(5), repeat=6))
MODES = pytest.mark.parametrize("mode", CANONICAL)
Classes = dict[str, list[nb.Genes]]


@cache
def classes_of(mode: Canonical) -> Classes:
    """The members of each class, over the whole space, by their representative."""
    members: Classes = {}
    for genes in ALL:
        members.setdefault(nb.representative(genes, mode), []).append(genes)
    return members


@cache
def mixed_forms() -> list[list[nb.Genes]]:
    """The members of each form that holds more than one network."""
    return [
        members
        for members in classes_of("form").values()
        if len({nb.representative(genes, "network") for genes in members}) > 1
    ]


def sampled(classes: Classes, n: int, seed: int) -> list[list[nb.Genes]]:
    """Random classes with more than one member, and of each up to eight members."""
    rng = np.random.default_rng(seed)
    several = [members for members in classes.values() if len(members) > 1]
    return [several[i][:8] for i in rng.choice(len(several), n, replace=False)]


def bits(result: zeroshot.ScoreResult) -> Any:
    return {
        label: (s.value, s.values, s.layers, s.histogram, s.status)
        for label, s in result.scores.items()
    }


def keys(result: zeroshot.ScoreResult) -> dict[str, tuple[str, ...]]:
    return {label: score.keys for label, score in result.scores.items()}


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Grows by one with every network that is run."""
    calls: list[Any] = []
    real = runner.run_core

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(args[0])
        return real(*args, **kwargs)

    monkeypatch.setattr(runner, "run_core", counting)
    return calls


# ---- which cells are one -------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "n"), [("form", 4930), ("network", 5260)])
def test_classes_of_the_whole_space(mode: Canonical, n: int) -> None:
    form = {"form": nb.function_form, "network": nb.network_form}[mode]
    classes = classes_of(mode)
    assert len(classes) == n
    texts = [{form(genes) for genes in members} for members in classes.values()]
    assert all(len(of_class) == 1 for of_class in texts)
    assert len(set.union(*texts)) == n


def test_network_refines_form() -> None:
    for members in classes_of("network").values():
        assert len({nb.representative(genes, "form") for genes in members}) == 1


def live_convs(genes: nb.Genes) -> tuple[int, int]:
    """Live 1x1 and 3x3 convolutions of a cell."""
    live = [op for op, is_live in zip(genes, nb.live_edges(genes), strict=True) if is_live]
    return live.count(2), live.count(3)


def live_macs(genes: nb.Genes) -> int:
    """Live multiply-adds at the default size, as `test_nasbench201` finds them counted."""
    conv_1x1, conv_3x3 = live_convs(genes)
    in_cells = 5 * 3 * 16**2 * 32**2 * (conv_1x1 + 9 * conv_3x3)
    return (7_783_040 + in_cells) * nb.has_path(genes)


def test_members_of_a_network_have_the_same_live_weights_and_of_some_forms_not() -> None:
    for members in classes_of("network").values():
        assert len({live_convs(genes) for genes in members}) == 1
    assert (len(mixed_forms()), sum(map(len, mixed_forms()))) == (326, 2432)
    for members in mixed_forms():
        assert len({live_convs(genes) for genes in members}) > 1


@MODES
def test_representative_is_a_member_without_dead_operations_and_with_the_least_work(
    mode: Canonical,
) -> None:
    for scored, members in classes_of(mode).items():
        genes = nb.parse(scored)
        assert genes in members
        assert nb.representative(genes, mode) == scored
        assert [op != 0 for op in genes] == list(nb.live_edges(genes))
        assert live_macs(genes) == min(map(live_macs, members))


@pytest.mark.parametrize(("mode", "saved"), [("form", 2.28), ("network", 2.12)])
def test_live_multiply_adds_saved(mode: Canonical, saved: float) -> None:
    scored = sum(live_macs(nb.parse(text)) for text in classes_of(mode))
    assert round(sum(map(live_macs, ALL)) / scored, 2) == saved


def test_form_joins_one_convolution_twice_and_two_convolutions() -> None:
    archs = [TWICE, TWO, TWO_DEAD]
    assert [nb.representative(arch) for arch in archs] == [TWICE] * 3
    networks = [nb.representative(arch, "network") for arch in archs]
    assert networks[0] == TWICE != networks[1] == networks[2]
    with pytest.raises(ValueError, match="mode: expected one of form, network; got 'yes'"):
        nb.representative(TWO, "yes")  # type: ignore[arg-type]


def same_positions(member: nb.Genes, scored: nb.Genes) -> dict[int, int]:
    """Convolutions of a cell, and the one of `scored` in the place of each."""
    edges = [
        [e for e, live in enumerate(nb.live_edges(g)) if live and nb.OPS[g[e]][:3] == "nor"]
        for g in (member, scored)
    ]
    live = nb.live_edges(scored)
    want, _ = numbered_text(scored, live, {edge: edge for edge in edges[1]})
    for order in itertools.permutations(edges[1]):
        found = dict(zip(edges[0], order, strict=True))
        if numbered_text(member, nb.live_edges(member), found)[0] == want:
            return found
    raise AssertionError("no order of the convolutions makes them the same network")


def test_members_with_the_same_weights_have_the_same_scores() -> None:
    """Weights go by their position in the form; float64, so that the order of sums is seen last."""
    rng = np.random.default_rng(1)
    options: dict[str, Any] = {"scores": LIVE[:1], "dtype": "float64", **TINY}
    for members in sampled(classes_of("network"), 20, seed=2):
        scored = nb.parse(nb.representative(members[0], "network"))
        shapes = zeroshot.weight_names(scored, **TINY)
        weights = {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}
        want = zeroshot.score(scored, X, Y, weights=weights, **options)["xi_gsnr"]
        for member in members[1::3]:
            position = same_positions(member, scored)
            own = {}
            for name, shape in zeroshot.weight_names(member, **TINY).items():
                edge = next((e for e, (j, i) in enumerate(nb.EDGES) if f".e{j}{i}." in name), None)
                theirs = name
                if edge is not None:  # a dead one may be anything
                    j, i = nb.EDGES[position.get(edge, edge)]
                    theirs = f"{name.partition('.')[0]}.e{j}{i}.{name.split('.', 2)[2]}"
                    if edge not in position:
                        theirs = ""
                own[name] = weights[theirs] if theirs else rng.standard_normal(shape)
            found = zeroshot.score(member, X, Y, weights=own, **options)["xi_gsnr"]
            assert found == pytest.approx(want, rel=1e-9), (member, scored)


# ---- one value for all ---------------------------------------------------------------------------


@MODES
def test_members_have_the_bits_of_their_representative(
    mode: Canonical, computed: list[Any]
) -> None:
    groups = [*sampled(classes_of(mode), 12, seed=3), [nb.parse(NO_PATH), (3, 0, 0, 0, 0, 0)]]
    if mode == "form":
        groups += [members[::3] for members in mixed_forms()[::80]]
    todo = [genes for members in groups for genes in members]
    results = iter(zeroshot.score_many(todo, X, Y, scores=LIVE, canonical=mode, **TINY))
    assert len(computed) == len(groups)
    for members in groups:
        scored = nb.representative(members[0], mode)
        plain = zeroshot.score(scored, X, Y, scores=LIVE, **TINY)
        for genes in members:
            result = next(results)
            alone = zeroshot.score(genes, X, Y, scores=LIVE, canonical=mode, **TINY)
            assert (result.arch, result.scored_as) == (nb.format(genes), scored)
            assert bits(result) == bits(alone) == bits(plain)
            assert keys(result) == keys(alone)
            assert not set(keys(result).values()) & set(keys(plain).values())
            assert result.provenance is not None
            assert result.provenance.run["canonical"] == mode
            assert result.provenance.run["arch"] == scored
        assert plain.scored_as is None


def test_true_is_form_and_network_has_keys_of_its_own() -> None:
    for arch in (SKIP, TWO):  # SKIP stands for itself in both
        results = {
            value: zeroshot.score(arch, X, Y, scores=LIVE, canonical=value, **TINY)
            for value in (True, "form", "network", False)
        }
        assert bits(results[True]) == bits(results["form"])
        assert keys(results[True]) == keys(results["form"])
        of = [set(keys(results[value]).values()) for value in ("form", "network", False)]
        assert not (of[0] & of[1] or of[0] & of[2] or of[1] & of[2])
    assert results["form"]["xi_gsnr"] != results["network"]["xi_gsnr"]


@MODES
def test_score_functions_and_gradients_take_it(mode: Canonical) -> None:
    options: dict[str, Any] = {**TINY, "canonical": mode}
    assert zeroshot.xi_gsnr(DEAD, X, Y, batch_size=4, **options) == zeroshot.xi_gsnr(
        SKIP, X, Y, batch_size=4, **TINY
    )
    assert zeroshot.gradsign(DEAD, X, Y, n_samples=3, **options) == zeroshot.gradsign(
        SKIP, X, Y, n_samples=3, **TINY
    )
    found = zeroshot.gradients(DEAD, X, Y, batch_size=4, **options)
    assert (found.arch, found.scored_as) == (DEAD, SKIP)
    want = zeroshot.gradients(SKIP, X, Y, batch_size=4, **TINY)
    np.testing.assert_array_equal(found["head.fc.weight"], want["head.fc.weight"])


def test_plan_is_of_what_runs_and_counts_are_the_cell_s_own() -> None:
    plan = zeroshot.plan(DEAD, n_rows=128, canonical=True)
    assert (plan.arch, plan.scored_as) == (DEAD, SKIP)
    assert plan.peak_bytes == zeroshot.plan(SKIP, n_rows=128).peak_bytes
    assert plan.counts == zeroshot.count(DEAD)


# ---- dead weights --------------------------------------------------------------------------------


def test_dead_weights_are_each_cell_s_own() -> None:
    scores = [*WITH_DEAD, GradSign(n_samples=3)]
    archs = [SKIP, DEAD, DEADER]
    options: dict[str, Any] = {"scores": scores, "seeds": (0, 1), **TINY}
    results = zeroshot.score_many(archs, X, Y, canonical=True, **options)
    plain = zeroshot.score(SKIP, X, Y, **options)
    for arch, result in zip(archs, results, strict=True):
        weights = zeroshot.count(arch, input_size=8, **TINY).weights
        n_dead = weights - zeroshot.count(SKIP, input_size=8, **TINY).weights
        assert (n_dead > 0) == (arch != SKIP)
        assert result["all"] == result["split"] == weights
        assert result["inv_var_xi"] == pytest.approx(plain["inv_var_xi"] + n_dead / 1e-8, rel=1e-15)
        for i, total in enumerate(result.scores["gradsign"].values):
            assert result.scores["mean"].values[i] == total / weights
        assert [result.scores[s.label].dead_weights for s in scores] == [n_dead] * 4 + [0]
        assert result["gradsign"] == plain["gradsign"]
    for score in WITH_DEAD:  # another number has another key
        assert len({r.scores[score.label].keys for r in results}) == len(archs)
    assert len({r.scores["gradsign"].keys for r in results}) == 1


def test_dead_weights_of_a_form_are_those_of_the_member_and_live_ones_of_the_scored() -> None:
    n_live = zeroshot.count(TWICE, input_size=8, **TINY).weights
    own = zeroshot.count(TWO_DEAD, input_size=8, **TINY)
    archs = {TWICE: 0, TWO: 0, TWO_DEAD: own.weights - own.live_weights}
    assert archs[TWO_DEAD] > 0
    for arch, n_dead in archs.items():
        result = zeroshot.score(arch, X, Y, scores=WITH_DEAD, canonical="form", **TINY)
        assert result.scored_as == TWICE
        assert {score.dead_weights for score in result.scores.values()} == {n_dead}
        assert result["all"] == result["split"] == n_live + n_dead
        network = zeroshot.score(arch, X, Y, scores=WITH_DEAD, canonical="network", **TINY)
        assert {score.dead_weights for score in network.scores.values()} == {n_dead}
        assert network["all"] == zeroshot.count(arch, input_size=8, **TINY).weights


def test_dead_weights_add_what_they_add_to_a_cell_that_is_scored_alone() -> None:
    alone = zeroshot.score(DEADER, X, Y, scores=[*LIVE, *WITH_DEAD], **TINY)
    dead = [f"cell0{c}.e{e}.conv.weight" for c in range(3) for e in ("01", "02", "12")]
    both = [
        zeroshot.score(arch, X, Y, scores=WITH_DEAD, canonical=True, **TINY)
        for arch in (DEADER, SKIP)
    ]
    for label in ("all", "split", "inv_var_xi"):
        added = sum(alone.scores[label].layers[name] for name in dead)
        assert both[0][label] - both[1][label] == pytest.approx(added, rel=1e-12)
    for score in LIVE:
        assert [alone.scores[score.label].layers[name] for name in dead] == [0.0] * len(dead)


def test_cell_without_path_counts_all_its_weights() -> None:
    arch = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    result = zeroshot.score(arch, X, Y, scores=[*LIVE, *WITH_DEAD], canonical=True, **TINY)
    plain = zeroshot.score(arch, X, Y, scores=[*LIVE, *WITH_DEAD], **TINY)
    assert (result.status, result.scored_as) == (plain.status, NO_PATH)
    assert result.values == pytest.approx(plain.values)


@MODES
def test_interval_search_counts_each_cell_s_own_dead_weights(mode: Canonical) -> None:
    archs = [SKIP, DEAD, DEADER, 1462, NO_PATH, TWO, TWO_DEAD]
    options: dict[str, Any] = {"edges": [0, 1e-3, np.inf], "batch_size": 8, **TINY}
    found = zeroshot.find_sweet_interval(archs, X, Y, canonical=mode, **options)

    def in_cells(arch: Any) -> int:
        return sum(
            int(np.prod(shape))
            for name, shape in zeroshot.weight_names(arch, **TINY).items()
            if name.startswith("cell") and name.endswith("conv.weight")
        )

    only = [nb.representative(arch, mode) for arch in archs]
    dead = [in_cells(arch) - in_cells(nb.representative(arch, "network")) for arch in archs]
    assert dead[-1] == in_cells(TWO_DEAD) - in_cells(TWO) > dead[-2] == 0
    assert sum(found.counts) == sum(map(in_cells, only)) + sum(dead)
    live = zeroshot.find_sweet_interval(only, X, Y, **options)
    assert found.counts[1:] == live.counts[1:]


# ---- many ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_many_compute_each_network_once(n_threads: int, computed: list[Any]) -> None:
    archs: list[Any] = [DEAD, 123, SKIP, "|oops|", DEADER, 1462, nb.from_index(123), NO_PATH, SKIP]
    options: dict[str, Any] = {"scores": LIVE, "canonical": True, **TINY}
    results = zeroshot.score_many(archs, X, Y, n_threads=n_threads, **options)
    assert len(computed) == 4
    assert [r.status for r in results].count("failed") == 1
    spelt = [a if isinstance(a, str) else nb.from_index(a) for a in archs]
    assert [r.arch for r in results] == spelt
    assert bits(results[0]) == bits(results[2]) == bits(results[4]) == bits(results[8])
    computed.clear()
    found = dict(zeroshot.score_iter(iter(archs), X, Y, n_threads=n_threads, **options))
    assert len(computed) == 4
    assert [bits(found[i]) for i in range(len(archs)) if i != 3] == [
        bits(r) for i, r in enumerate(results) if i != 3
    ]


def test_network_in_flight_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    everything_read = threading.Event()
    calls: list[Any] = []
    real = runner.run_core

    def waiting(*args: Any, **kwargs: Any) -> Any:
        calls.append(args[0])
        assert everything_read.wait(60)
        return real(*args, **kwargs)

    def feed() -> Any:
        yield from [DEAD, SKIP, DEADER] * 3
        everything_read.set()

    monkeypatch.setattr(runner, "run_core", waiting)
    options: dict[str, Any] = {"scores": LIVE, "canonical": True, "n_threads": 2, **TINY}
    results = dict(zeroshot.score_iter(feed(), X, Y, **options))
    assert (len(calls), sorted(results)) == (1, list(range(9)))
    assert [results[i].arch for i in range(3)] == [DEAD, SKIP, DEADER]


def test_without_it_each_is_computed(computed: list[Any]) -> None:
    zeroshot.score_many([SKIP, SKIP, DEAD], X, Y, scores=LIVE, **TINY)
    assert len(computed) == 3


def test_endless_repeats_stay_lazy() -> None:
    read: list[Any] = []

    def endless() -> Any:
        for arch in itertools.cycle([SKIP, DEAD, 123]):
            read.append(arch)
            yield arch

    stream = zeroshot.score_iter(endless(), X, Y, scores=LIVE, canonical=True, n_threads=2, **TINY)
    found = [position for position, _ in itertools.islice(stream, 100)]
    assert len(set(found)) == 100
    assert len(read) <= 200


def test_failure_of_a_network_is_that_of_all_its_cells(computed: list[Any]) -> None:
    options: dict[str, Any] = {"scores": LIVE, "canonical": True, "max_bytes": 1, **TINY}
    results = zeroshot.score_many([SKIP, DEAD], X, Y, **options)
    assert [(r.arch, r.status) for r in results] == [(SKIP, "failed"), (DEAD, "failed")]
    assert len(computed) == 1
    with pytest.raises(MemoryError, match="max_bytes"):
        zeroshot.score_many([SKIP, DEAD], X, Y, on_error="raise", **options)


def test_rank_gives_equal_cells_equal_values() -> None:
    ranked = zeroshot.rank([SKIP, 1462, DEAD], X, Y, score=LIVE[3], canonical=True, **TINY)
    assert [r.arch for r in ranked if r.scored_as == SKIP] == [SKIP, DEAD]


# ---- what it does not take -----------------------------------------------------------------------


def test_given_weights_are_refused() -> None:
    weights = {"stem.bn.gamma": np.ones(4)}
    with pytest.raises(ValueError, match="canonical: expected False where weights are given"):
        zeroshot.score(SKIP, X, Y, scores=LIVE, weights=weights, canonical=True, **TINY)


def test_graph_is_refused() -> None:
    g = zeroshot.Graph((3, 8, 8))
    graph = g.output(g.linear(g.global_avg_pool(g.conv2d(g.input, 4, 3)), 10))
    with pytest.raises(ValueError, match="canonical: expected False for a Graph"):
        zeroshot.score(graph, X, Y, scores=LIVE, canonical=True)
    failed, good = zeroshot.score_many([graph, SKIP], X, Y, scores=LIVE, canonical=True, **TINY)
    assert (failed.status, good.status) == ("failed", "ok")


@pytest.mark.parametrize(
    ("value", "error"), [(1, TypeError), (None, TypeError), ("yes", ValueError), ("", ValueError)]
)
def test_other_values_are_refused(value: Any, error: type[Exception]) -> None:
    expected = f'canonical: expected False, True, "form" or "network"; got {value!r}'
    with pytest.raises(error, match=f"^{expected}$"):
        zeroshot.score(SKIP, X, Y, scores=LIVE, canonical=value, **TINY)


# ---- scores that cannot be canonical -------------------------------------------------------------

FORMULA: list[Score] = [
    Naswot(batch_size=4),
    L2Norm(),
    Flops(),
    Params(),
    GradNorm(batch_size=4, over="all"),
    Knas(n_samples=3, over="mean"),
]
ZEROCOST: list[Score] = [Fisher(batch_size=4), SynFlow(), SyncFlow()]
ALLOWED: list[Score] = [
    Snip(batch_size=4), Plain(batch_size=4), GradNorm(batch_size=4), Zico(batch_size=4),
    Knas(n_samples=3), LiveWeights(), *ZEROCOST,
]  # fmt: skip


@MODES
@pytest.mark.parametrize("one", FORMULA, ids=lambda one: one.name)
def test_scores_that_see_dead_operations_are_refused(one: Score, mode: Canonical) -> None:
    for builder in ("autodl", "zerocost") if mode == "network" else ("autodl",):
        with pytest.raises(ValueError, match=f"canonical: expected False with '{one.label}'"):
            zeroshot.score(DEAD, X, Y, scores=[*LIVE, one], canonical=mode, builder=builder, **TINY)
    assert zeroshot.score(DEAD, X, Y, scores=one, **TINY).status == "ok"


@pytest.mark.parametrize("one", ZEROCOST, ids=lambda one: one.name)
def test_biases_behind_none_are_refused(one: Score) -> None:
    """A convolution of zero-cost-nas that is fed zeros puts out its bias."""
    with pytest.raises(ValueError, match="canonical: expected False with"):
        zeroshot.score(
            DEAD, X, Y, scores=one, canonical="network", builder="zerocost", **TINY
        )  # fmt: skip


@MODES
@pytest.mark.parametrize("one", ALLOWED, ids=lambda one: one.name)
def test_other_scores_are_those_of_the_representative(one: Score, mode: Canonical) -> None:
    ours = zeroshot.score(DEADER, X, Y, scores=one, canonical=mode, **TINY)
    assert ours.scored_as is not None
    want = zeroshot.score(ours.scored_as, X, Y, scores=one, **TINY)
    assert (ours.value, ours.status) == (want.value, "ok")
