"""Scores on networks of every space, against the reference in float64."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import zeroshot
from zeroshot import _core, reference
from zeroshot.scores import GradSign, Naswot, Snip, Sweet, XiGsnr
from zeroshot.spaces import get_space


class Case(NamedTuple):
    """A small network of a space."""

    space: str
    arch: str
    channels: int | None = None
    cells: int | None = None


CASES = [
    Case("nats_sss", "8:16:8:16:24"),
    # three vertices share 8 channels: 3, 3 and 2
    Case(
        "nasbench101",
        "adj=01101/00101/00011/00001/00000;ops=input,conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3,output",
        channels=8,
        cells=1,
    ),
    Case("nasbench101", "adj=01/00;ops=input,output", channels=4, cells=2),
]
RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((8, 3, 8, 8)), RNG.integers(0, 10, 8)
LO, HI = 1e-3, 1e-1
TOL = 1e-9  # what is zero in real arithmetic has the sign of rounding noise


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.arch)
def test_scores_match_the_reference(case: Case) -> None:
    channels, cells = _core.space_defaults(case.space)
    graph = _core.space_build(
        case.space, get_space(case.space).parse(case.arch),
        case.channels or channels, case.cells or cells, 10, X.shape[1:],
    )  # fmt: skip
    nodes = graph.nodes()
    weights = {
        t["name"]: np.ones(t["shape"])
        if t["role"] == "gamma"
        else RNG.standard_normal(t["shape"]) * np.sqrt(2 / max(np.prod(t["shape"][1:]), 1))
        for t in graph.tensors()
    }
    options: dict[str, Any] = {"space": case.space, "channels": case.channels, "cells": case.cells}
    found = zeroshot.score(
        case.arch, X, Y, weights=weights, dtype="float64", n_threads=1, **options,
        scores=[
            XiGsnr(batch_size=4), GradSign(n_samples=4, zero_tol=TOL), Sweet(LO, HI, batch_size=8),
            Snip(batch_size=8), Naswot(batch_size=8),
        ],
    )  # fmt: skip
    names = {t["name"] for t in graph.tensors() if t["counted"]}

    def gradients(n: int, size: int) -> dict[str, Any]:
        made = reference.run(nodes, weights, X[:n], Y[:n], group_size=size).gradients
        return {name: made[name] for name in names}

    value = {name: score.value for name, score in found.scores.items()}
    assert value["xi_gsnr"] == pytest.approx(reference.xi_gsnr(gradients(8, 4)), rel=1e-8)
    assert value["gradsign"] == reference.gradsign(gradients(4, 1), zero_tol=TOL)
    assert value["sweet"] == reference.sweet_count(gradients(8, 8), LO, HI)
    snip = reference.snip(nodes, weights, X, Y).value
    assert value["snip"] == pytest.approx(snip, rel=1e-9)
    naswot = reference.naswot(nodes, weights, X).value
    assert value["naswot"] == pytest.approx(naswot, rel=1e-9)
