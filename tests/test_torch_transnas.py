"""Networks of TransNAS-Bench-101's micro space against PyTorch: weights, gradients, initialiser.

The network is written here as the benchmark's paper and release describe it; layers are made in the
order of the release.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot.spaces import transnas_micro

pytest.importorskip("torch", reason="PyTorch is not installed: no parity check")

import torch

from .test_torch_spaces import Net

nn = torch.nn
F = nn.functional

EDGES = [(source, node) for node in (1, 2, 3) for source in range(node)]


def network(code: str, cells: int) -> Net:
    """A zero is a tensor of zeros here, and the map is padded before it is shifted."""
    base_text, modules, micro = code.split("-")
    base, ops = int(base_text), [int(digit) for digit in micro.replace("_", "")]
    net = Net()

    def edge(name: str, op: int, cin: int, cout: int, stride: int) -> None:
        if op == 1 and (stride, cin) != (1, cout):
            net.conv(f"{name}.conv_a", cin, cout // 2, 1, stride)
            net.conv(f"{name}.conv_b", cin, cout - cout // 2, 1, stride)
            net.norm(f"{name}.bn", cout)
        elif op >= 2:
            net.conv(f"{name}.conv", cin, cout, 2 * op - 3, stride)
            net.norm(f"{name}.bn", cout)

    net.conv("stem.conv", 3, base // 2, 3, 2)
    net.norm("stem.bn", base // 2)
    net.conv("stem.conv2", base // 2, base, 3, 2)
    net.norm("stem.bn2", base)
    plan, cin = [], base
    for m, kind in enumerate(modules):
        cout, stride = cin * (1 + (kind in "24")), 1 + (kind in "34")
        for i in range(cells):
            plan.append((f"m{m}.cell{i:02d}", cout, 1 if i else stride))
            for op, (source, node) in zip(ops, EDGES, strict=True):
                first = source == 0
                edge(f"{plan[-1][0]}.e{source}{node}", op, cin if first else cout, cout,
                     plan[-1][2] if first else 1)  # fmt: skip
            cin = cout
    net.linear("head.fc", cin, 10)
    layers = net.layers

    def run_edge(name: str, op: int, x: Any, cout: int, stride: int) -> Any:
        if op == 0:
            return x.new_zeros(len(x), cout, x.shape[2] // stride, x.shape[3] // stride)
        if op == 1 and f"{name}.bn" not in layers:
            return x
        x = F.relu(x)
        if op > 1:
            return layers[f"{name}.bn"](layers[f"{name}.conv"](x))
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        both = [layers[f"{name}.conv_a"](x), layers[f"{name}.conv_b"](shifted)]
        return layers[f"{name}.bn"](torch.cat(both, 1))

    def run(x: Any) -> Any:
        x = layers["stem.bn"](layers["stem.conv"](x))
        x = layers["stem.bn2"](layers["stem.conv2"](F.relu(x)))
        for cell, cout, stride in plan:
            nodes: list[Any] = [x, 0.0, 0.0, 0.0]
            for op, (source, node) in zip(ops, EDGES, strict=True):
                term = run_edge(
                    f"{cell}.e{source}{node}", op, nodes[source], cout, 1 if source else stride
                )
                nodes[node] = nodes[node] + term
            x = nodes[3]
        return layers["head.fc"](x.mean((2, 3)))

    net.run = run
    return net


CODES = [
    "8-41414-3_12_230",
    "8-43-1_11_111",  # factorized reductions with and without twice the channels
    "4-4-0_30_021",  # zeros beside what changes the width
    "4-314-2_01_103",
    "8-41-0_02_010",  # nothing is on a path to the output
    "4-4-0_00_000",
    *(code.replace(transnas_micro.MODULES, "4-414") for code in transnas_micro.sample(4, 0)),
]
CELLS = 2
every_code = pytest.mark.parametrize("code", CODES)


@every_code
def test_weights_are_those_of_pytorch_bit_for_bit(code: str) -> None:
    torch.manual_seed(11)
    net = network(code, CELLS)
    state = {name: p.detach().numpy().copy() for name, p in net.parameters().items()}
    names = zeroshot.weight_names(code, space=transnas_micro.NAME)
    assert list(names) == list(state)
    drawn = zeroshot.draw_weights(code, space=transnas_micro.NAME, seed=11)
    assert all(np.array_equal(drawn[name], state[name]) for name in state)


def test_initialiser_of_the_benchmark_but_for_the_bias_of_the_head() -> None:
    code = CODES[0]
    torch.manual_seed(5)
    net = network(code, CELLS)
    for layer in net.layers.values():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    drawn = zeroshot.draw_weights(code, space=transnas_micro.NAME, seed=5, init="proxylessnas")
    for name, p in net.parameters().items():
        want = 0.0 if name == "head.fc.bias" else p.detach().numpy()
        # sqrt(2) / sqrt(n) and sqrt(2 / n) may round apart, and so may what they scale
        np.testing.assert_allclose(drawn[name], want, rtol=2.0**-22, err_msg=name)


@every_code
def test_logits_and_gradients_are_those_of_pytorch_in_float64(code: str) -> None:
    torch.manual_seed(3)
    net = network(code, CELLS)
    for layer in net.layers.values():
        layer.double()
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((8, 3, 64, 32)), rng.integers(0, 10, 8)
    got = zeroshot.gradients(
        code, x, y, batch_size=4, space=transnas_micro.NAME, seed=3, dtype="float64",
        all_params=True,
    ).gradients  # fmt: skip
    for j in range(2):
        parameters = net.parameters()
        for p in parameters.values():
            p.grad = None
        rows = slice(4 * j, 4 * j + 4)
        F.cross_entropy(net.run(torch.from_numpy(x[rows])), torch.from_numpy(y[rows])).backward()
        want = {
            name: np.zeros(p.shape) if p.grad is None else p.grad.numpy()
            for name, p in parameters.items()
        }
        assert set(want) == set(got)
        top = max(np.abs(v).max() for v in want.values())
        for name, value in want.items():  # as tests/test_engine.py
            allowed = 1e-9 * np.abs(value).max() + 1e-13 * top
            assert np.abs(got[name][j] - value).max() <= allowed, name
