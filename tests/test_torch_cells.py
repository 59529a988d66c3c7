"""Networks of DARTS, NAS-Bench-301 and NDS against PyTorch: weights, logits and gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import zeroshot
from zeroshot.spaces import get_space

pytest.importorskip("torch", reason="PyTorch is not installed: no parity check")

import torch

from .test_torch_parity import yardstick


class Case(NamedTuple):
    space: str
    arch: str
    channels: int
    cells: int
    builder: Any = "autodl"
    size: int = 16

    @property
    def options(self) -> dict[str, Any]:
        size = (
            {} if self.space.startswith("nds") else {"channels": self.channels, "cells": self.cells}
        )
        return {"space": self.space, "builder": self.builder, **size}

    def net(self, seed: int) -> Any:
        genotype = get_space(self.space).to_genotype(self.arch)  # type: ignore[attr-defined]
        torch.manual_seed(seed)
        return yardstick().CellNetwork(genotype, self.channels, self.cells, 10, self.builder)


def nds_case(space: str, seed: int, channels: int, cells: int, builder: str = "autodl") -> Case:
    """A random genotype at a small size."""
    text = get_space(space).sample(1, seed)[0]
    arch = f"w={channels};d={cells};{text[text.index('Genotype') :]}"
    return Case(space, arch, channels, cells, builder, 32 if builder == "imagenet" else 16)


DEAD = [("sep_conv_3x3", 1), ("dil_sep_conv_3x3", 0)] * 5
CASES = [
    Case("darts", "DARTS_V2", 4, 6),
    Case("darts", "PC_DARTS", 5, 3),
    Case("darts", "DARTS_V1", 6, 5, "imagenet", 64),
    *(Case("nasbench301", a, 4, 4) for a in get_space("nasbench301").sample(2, 0)),
    *(Case("nasbench301", a, 4, 3, "naslib") for a in get_space("nasbench301").sample(2, 1)),
    *(
        nds_case(space, seed, 4 + seed, 4)
        for space in ("nds_darts", "nds_enas", "nds_pnas", "nds_nasnet", "nds_amoeba")
        for seed in (0, 1)
    ),
    nds_case("nds_amoeba", 2, 4, 4, "imagenet"),
    Case(  # nobody reads the first three nodes
        "nds_amoeba", f"w=4;d=3;Genotype({DEAD}, [5, 6], {DEAD}, [6])", 4, 3
    ),
]
every_case = pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c.space}-{c.arch}-{c.builder}"[:120]
)


@every_case
def test_weights_are_those_of_pytorch_bit_for_bit(case: Case) -> None:
    state = {
        ours: p.detach().numpy()
        for ours, p in zip(
            zeroshot.weight_names(case.arch, **case.options), case.net(11).parameters(), strict=True
        )
    }
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 3, case.size, case.size)), rng.integers(0, 10, 4)
    drawn, given = (
        zeroshot.gradients(
            case.arch, x, y, batch_size=4, seed=11, weights=weights, **case.options
        ).gradients
        for weights in (None, state)
    )
    assert all(np.array_equal(drawn[name], given[name]) for name in drawn)


@every_case
def test_logits_and_gradients_are_those_of_pytorch_in_float64(case: Case) -> None:
    net = case.net(3).double()
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((8, 3, case.size, case.size)), rng.integers(0, 10, 8)
    got = zeroshot.gradients(
        case.arch, x, y, batch_size=4, seed=3, dtype="float64", all_params=True, **case.options
    )
    names = list(zeroshot.weight_names(case.arch, **case.options))
    for j in range(2):
        net.zero_grad()
        rows = slice(4 * j, 4 * j + 4)
        logits = net(torch.from_numpy(x[rows]))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(y[rows])).backward()
        expected = logits.detach().numpy()
        assert np.abs(got.logits[rows] - expected).max() <= 1e-9 * np.abs(expected).max()
        want = {
            name: np.zeros(p.shape) if p.grad is None else p.grad.numpy()
            for name, p in zip(names, net.parameters(), strict=True)
        }
        assert set(want) == set(got.gradients)
        top = max(np.abs(v).max() for v in want.values())
        for name, value in want.items():  # as tests/test_engine.py
            allowed = 1e-9 * np.abs(value).max() + 1e-13 * top
            assert np.abs(got.gradients[name][j] - value).max() <= allowed, name
