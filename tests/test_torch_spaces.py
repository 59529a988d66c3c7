"""Networks of NAS-Bench-101 and of NATS-Bench's size space against PyTorch: weights and gradients.

The networks are written here from the papers; layers are made in the order of the releases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot.spaces import nasbench101, nats_sss

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no parity check")
nn = torch.nn
F = nn.functional


class Net:
    """Layers by name, in the order in which they are made, and a function of them."""

    def __init__(self) -> None:
        self.layers: dict[str, Any] = {}
        self.run: Callable[[Any], Any] = lambda x: x

    def conv(self, name: str, cin: int, cout: int, size: int, stride: int = 1) -> None:
        self.layers[name] = nn.Conv2d(cin, cout, size, stride, size // 2, bias=False)

    def norm(self, name: str, channels: int) -> None:
        self.layers[name] = nn.BatchNorm2d(channels)

    def linear(self, name: str, cin: int, cout: int) -> None:
        self.layers[name] = nn.Linear(cin, cout)

    def parameters(self) -> dict[str, Any]:
        """By our names."""
        ours = {"weight": "gamma", "bias": "beta"}
        return {
            f"{name}.{ours[leaf] if isinstance(layer, nn.BatchNorm2d) else leaf}": p
            for name, layer in self.layers.items()
            for leaf, p in layer.named_parameters()
        }

    def redraw(self) -> None:
        """As the papers' code does for NAS-Bench-101."""
        for layer in self.layers.values():
            if isinstance(layer, nn.Conv2d):
                n = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
                layer.weight.data.normal_(0, (2.0 / n) ** 0.5)
            elif isinstance(layer, nn.Linear):
                layer.weight.data.normal_(0, 0.01)
                layer.bias.data.zero_()


def widths_of(matrix: Any, cin: int, cout: int) -> list[int]:
    n = len(matrix)
    widths = [cin, *[0] * (n - 2), cout]
    feeders = [v for v in range(1, n - 1) if matrix[v][n - 1]]
    for i, v in enumerate(feeders):
        widths[v] = cout // len(feeders) + (i < cout % len(feeders))
    for v in range(n - 2, 0, -1):
        if not matrix[v][n - 1]:
            widths[v] = max(widths[d] for d in range(v + 1, n - 1) if matrix[v][d])
    return widths


def nasbench101_net(arch: str, channels: int, cells: int) -> Net:
    matrix, ops = nasbench101.to_matrix(arch)
    n, net = len(ops), Net()

    def conv_bn(name: str, cin: int, cout: int, size: int) -> None:
        net.conv(f"{name}.conv", cin, cout, size)
        net.norm(f"{name}.bn", cout)

    conv_bn("stem", 3, channels, 3)
    cin, plan = channels, []
    for cell in range(3 * cells):
        cout = channels << cell // cells
        widths = widths_of(matrix, cin, cout)
        plan.append(widths)
        for v in range(1, n - 1):
            if ops[v] != "maxpool3x3":
                conv_bn(f"cell{cell:02d}.v{v}", widths[v], widths[v], int(ops[v][4]))
        for v in range(1, n):
            if matrix[0][v]:
                conv_bn(f"cell{cell:02d}.p{v}", cin, widths[v], 1)
        cin = cout
    net.linear("head.fc", cin, 10)

    def layer(name: str, x: Any) -> Any:
        return F.relu(net.layers[f"{name}.bn"](net.layers[f"{name}.conv"](x)))

    def module(cell: int, x: Any) -> Any:
        name, widths, out = f"cell{cell:02d}", plan[cell], [x]
        for v in range(1, n - 1):
            terms = [out[u][:, : widths[v]] for u in range(1, v) if matrix[u][v]]
            if matrix[0][v]:
                terms.append(layer(f"{name}.p{v}", x))
            total = sum(terms[1:], terms[0])
            pool = ops[v] == "maxpool3x3"
            out.append(F.max_pool2d(total, 3, 1, 1) if pool else layer(f"{name}.v{v}", total))
        parts = [out[v] for v in range(1, n - 1) if matrix[v][n - 1]]
        both = [torch.cat(parts, 1)] if parts else []
        if matrix[0][n - 1]:
            both.append(layer(f"{name}.p{n - 1}", x))
        return sum(both[1:], both[0])

    def run(x: Any) -> Any:
        x = layer("stem", x)
        for cell in range(3 * cells):
            if cell and cell % cells == 0:
                x = F.max_pool2d(x, 2, 2)
            x = module(cell, x)
        return net.layers["head.fc"](x.mean((2, 3)))

    net.run = run
    return net


def nats_sss_net(arch: str) -> Net:
    c1, c2, c3, c4, c5 = nats_sss.parse(arch)
    net = Net()

    def conv_bn(prefix: str, suffix: str, cin: int, cout: int, size: int, stride: int = 1) -> None:
        net.conv(f"{prefix}conv{suffix}", cin, cout, size, stride)
        net.norm(f"{prefix}bn{suffix}", cout)

    def cell(number: int, cin: int, cout: int) -> None:
        for edge in ("01", "02", "12", "03", "13", "23"):
            if edge != "03" or cin != cout:
                start = cin if edge[0] == "0" else cout
                conv_bn(f"cell0{number}.e{edge}.", "", start, cout, 1 if edge == "03" else 3)

    conv_bn("stem.", "", 3, c1, 3)
    for number, (before, cin, cout) in enumerate([(3, c1, c1), (c1, c2, c3), (c3, c4, c5)]):
        if number:
            conv_bn(f"res{number}.", "_a", before, cin, 3, 2)
            conv_bn(f"res{number}.", "_b", cin, cin, 3)
            net.conv(f"res{number}.down", before, cin, 1)
        cell(number, cin, cout)
    net.norm("head.bn", c5)
    net.linear("head.fc", c5, 10)
    layers = net.layers

    def edge(number: int, name: str, x: Any) -> Any:
        return layers[f"cell0{number}.e{name}.bn"](layers[f"cell0{number}.e{name}.conv"](x))

    def run(x: Any) -> Any:
        x = layers["stem.bn"](layers["stem.conv"](x))
        for i in range(3):
            if i:
                half = layers[f"res{i}.bn_a"](layers[f"res{i}.conv_a"](F.relu(x)))
                body = layers[f"res{i}.bn_b"](layers[f"res{i}.conv_b"](F.relu(half)))
                x = layers[f"res{i}.down"](F.avg_pool2d(x, 2, 2)) + body
            n1 = edge(i, "01", F.relu(x))
            n2 = edge(i, "02", F.relu(x)) + edge(i, "12", F.relu(n1))
            skip = edge(i, "03", x) if f"cell0{i}.e03.conv" in layers else x
            x = skip + edge(i, "13", F.relu(n1)) + edge(i, "23", F.relu(n2))
        return layers["head.fc"](F.relu(layers["head.bn"](x)).mean((2, 3)))

    net.run = run
    return net


Case = tuple[str, str, dict[str, Any], Callable[..., Net]]
CASES: list[Case] = [
    (
        "nasbench101",  # 16 channels over three vertices, one is cut; the input feeds the output
        "adj=010101/001001/000100/000011/000001/000000;"
        "ops=input,conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3,conv3x3-bn-relu,output",
        {"channels": 16, "cells": 2},
        nasbench101_net,
    ),
    ("nasbench101", "adj=01/00;ops=input,output", {"channels": 16, "cells": 3}, nasbench101_net),
    ("nats_sss", "8:16:24:32:40", {}, nats_sss_net),
    ("nats_sss", "16:8:8:24:24", {}, nats_sss_net),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case[1])


@pytest.mark.parametrize("init", ["torch", "nasbench101"])
@every_case
def test_weights_are_those_of_pytorch_bit_for_bit(case: Case, init: str) -> None:
    if init != "torch" and torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("PyTorch draws with AVX2 from here on; this CPU has none")
    space, arch, size, make = case
    torch.manual_seed(11)
    net = make(arch, **size)
    if init == "nasbench101":
        net.redraw()
    state = {name: p.detach().numpy().copy() for name, p in net.parameters().items()}
    assert list(zeroshot.weight_names(arch, space=space, **size)) == list(state)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 3, 16, 16)), rng.integers(0, 10, 4)
    drawn, given = (
        zeroshot.gradients(
            arch, x, y, batch_size=4, space=space, seed=11, init=init, weights=weights, **size
        ).gradients
        for weights in (None, state)
    )
    assert all(np.array_equal(drawn[name], given[name]) for name in drawn)


@every_case
def test_gradients_are_those_of_pytorch_in_float64(case: Case) -> None:
    space, arch, size, make = case
    torch.manual_seed(3)
    net = make(arch, **size)
    for layer in net.layers.values():
        layer.double()
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((8, 3, 32, 32)), rng.integers(0, 10, 8)
    got = zeroshot.gradients(
        arch, x, y, batch_size=4, space=space, seed=3, dtype="float64", all_params=True, **size
    ).gradients
    for j in range(2):
        parameters = net.parameters()
        for p in parameters.values():
            p.grad = None
        rows = slice(4 * j, 4 * j + 4)
        logits = net.run(torch.from_numpy(x[rows]))
        F.cross_entropy(logits, torch.from_numpy(y[rows])).backward()
        want = {name: p.grad.numpy() for name, p in parameters.items()}
        assert set(want) == set(got)
        top = max(np.abs(v).max() for v in want.values())
        for name, value in want.items():  # as tests/test_engine.py
            allowed = 1e-9 * np.abs(value).max() + 1e-13 * top
            assert np.abs(got[name][j] - value).max() <= allowed, name
