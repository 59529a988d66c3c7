"""Supernets against PyTorch: weights, logits and gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import zeroshot
from zeroshot.spaces import get_space, super_darts, super_nasbench201

pytest.importorskip("torch", reason="PyTorch is not installed: no parity check")

import torch

from .test_torch_parity import yardstick


class Case(NamedTuple):
    space: str
    arch: str
    channels: int
    cells: int
    depth: int = 0
    stem: int = 1

    @property
    def options(self) -> dict[str, Any]:
        return {"space": self.space, "channels": self.channels, "cells": self.cells}

    @property
    def text(self) -> str:
        stem = f"stem={self.stem};" if self.stem > 1 else ""
        return (f"depth={self.depth};" if self.depth else "") + stem + self.arch

    def net(self, seed: int) -> Any:
        module: Any = get_space(self.space)
        sets = list(module.sets(self.arch).values())
        torch.manual_seed(seed)
        if self.space == "super_nasbench201":
            return yardstick().Super201(module.OPS, sets, self.channels, self.cells)
        return yardstick().SuperDarts(
            module.OPS, sets, self.channels, self.cells, self.depth, self.stem
        )


CASES = [
    Case("super_nasbench201", super_nasbench201.full(), 3, 1),
    *(Case("super_nasbench201", arch, 5, 2) for arch in super_nasbench201.sample(2, 0)),
    Case("super_darts", super_darts.full(), 2, 1, 2),
    *(Case("super_darts", arch, 3, 1, 0, 3) for arch in super_darts.sample(2, 0)),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.space}-{c.arch}"[:100])


@every_case
def test_weights_are_those_of_pytorch_bit_for_bit(case: Case) -> None:
    names = list(zeroshot.weight_names(case.text, **case.options))
    state = dict(zip(names, case.net(11).parameters(), strict=True))
    drawn = zeroshot.draw_weights(case.text, seed=11, **case.options)
    for name, want in state.items():
        assert np.array_equal(drawn[name], want.detach().numpy()), name


@every_case
def test_logits_and_gradients_are_those_of_pytorch_in_float64(case: Case) -> None:
    net = case.net(3).double()
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((4, 3, 16, 16)), rng.integers(0, 10, 4)
    got = zeroshot.gradients(
        case.text, x, y, batch_size=4, seed=3, dtype="float64", all_params=True, **case.options
    )
    logits = net(torch.from_numpy(x))
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(y)).backward()
    expected = logits.detach().numpy()
    assert np.abs(got.logits - expected).max() <= 1e-9 * np.abs(expected).max()
    names = list(zeroshot.weight_names(case.text, **case.options))
    want = {
        name: np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        for name, p in zip(names, net.parameters(), strict=True)
    }
    assert set(want) == set(got.gradients)
    top = max(np.abs(v).max() for v in want.values())
    for name, value in want.items():  # as tests/test_engine.py
        allowed = 1e-9 * np.abs(value).max() + 1e-13 * top
        assert np.abs(got.gradients[name][0] - value).max() <= allowed, name
