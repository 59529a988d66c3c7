"""Full-width NAS-Bench-201 cells against PyTorch: weights, gradients, scores.

Run as a script with a number of cells, it does the same with 8 batches of 64 and prints the
differences: `python tests/test_torch_parity.py 10`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot.spaces import nasbench201

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no parity check")

CELLS = [
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
    "|avg_pool_3x3~0|+|none~0|nor_conv_3x3~1|+|nor_conv_1x1~0|skip_connect~1|none~2|",
]


def yardstick() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "torch_yardstick" / "__init__.py"
    spec = importlib.util.spec_from_file_location("torch_yardstick", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def compare(arch: str, batch_size: int, n_batches: int = 8) -> dict[str, float]:
    """Relative differences in float64, from one seed and nothing else in common."""
    ty = yardstick()
    rng = np.random.default_rng(7)
    n = batch_size * n_batches
    x, y = rng.standard_normal((n, 3, 32, 32)), rng.integers(0, 10, n)
    net = ty.build(arch, seed=3).double()
    ours: dict[str, Any] = {"seed": 3, "dtype": "float64"}
    size = {"batch_size": batch_size, "n_batches": n_batches}
    got = zeroshot.gradients(arch, x, y, **size, **ours).gradients

    worst = 0.0
    for j in range(n_batches):
        rows = slice(j * batch_size, (j + 1) * batch_size)
        net.zero_grad()
        out = net(torch.from_numpy(x[rows]))
        logits = out[1] if isinstance(out, tuple) else out
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(y[rows])).backward()
        want = {k: v for k, v in ty.grads_as_zeroshot(net).items() if k in got and v is not None}
        top = max(np.abs(v).max() for v in want.values())
        for name, value in want.items():
            # 1e-9 of the tensor's largest, and rounding of the network's: as tests/test_engine.py
            allowed = 1e-9 * np.abs(value).max() + 1e-13 * top
            worst = max(worst, float(np.abs(got[name][j] - value).max() / allowed))
    differences = {"gradient, in tolerances": worst}
    for accumulate in (False, True):
        value = ty.released_xi_gsnr(
            net,
            x,
            y,
            batch_size=batch_size,
            accumulate=accumulate,
        )
        mine = zeroshot.xi_gsnr(arch, x, y, **size, accumulate=accumulate, **ours)
        differences[f"xi_gsnr, accumulate={accumulate}"] = abs(mine / float(value) - 1)
    few = min(batch_size, 8)
    signs = ty.released_gradsign(net, x[:few], y[:few])
    mine = zeroshot.gradsign(arch, x, y, n_samples=few, **ours)
    differences["gradsign"] = abs(mine / float(signs) - 1)
    rows = slice(0, batch_size)
    count = ty.sweet_count(net, x[rows], y[rows], lo=1e-4, hi=5e-4)
    mine = zeroshot.sweet_count(arch, x, y, batch_size=batch_size, lo=1e-4, hi=5e-4, **ours)
    differences["sweet_count"] = abs(mine - float(count))
    return differences


@pytest.mark.parametrize("arch", CELLS)
def test_weights_are_those_of_pytorch_bit_for_bit(arch: str) -> None:
    ty = yardstick()
    state = ty.state_as_zeroshot(ty.build(arch, seed=11))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 3, 16, 16)), rng.integers(0, 10, 4)
    drawn, given = (
        zeroshot.gradients(arch, x, y, batch_size=4, seed=11, weights=weights).gradients
        for weights in (None, state)
    )
    assert set(zeroshot.weight_names(arch)) == set(state)
    assert all(np.array_equal(drawn[name], given[name]) for name in drawn)


@pytest.mark.parametrize("arch", CELLS)
def test_gradients_and_scores_are_those_of_pytorch_in_float64(arch: str) -> None:
    """Eight groups of eight. A sum of P ratios, each exact to some 1e-10, agrees to 1e-8."""
    differences = compare(arch, 8)
    assert differences["gradient, in tolerances"] <= 1
    assert differences["xi_gsnr, accumulate=False"] <= 1e-8
    assert differences["xi_gsnr, accumulate=True"] <= 1e-8
    assert differences["gradsign"] == 0
    assert differences["sweet_count"] == 0


if __name__ == "__main__":
    for cell in nasbench201.sample(int(sys.argv[1]), 5):
        print(cell, {k: f"{v:.2g}" for k, v in compare(cell, 64).items()}, flush=True)
