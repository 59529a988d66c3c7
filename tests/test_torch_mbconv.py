"""Networks of MBConv blocks against PyTorch: initial weights, logits and gradients.

The modules are written here from the papers; layers are made in the order of the releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot.spaces import mbconv, proxylessnas

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no parity check")
nn = torch.nn
F = nn.functional


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small layers: threads of PyTorch's would wait for each other, and for other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Squeeze(nn.Module):  # type: ignore[name-defined, misc]
    def __init__(self, channels: int, squeezed: int, act: Any) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.act = act

    def forward(self, x: Any) -> Any:
        gate = self.expand(self.act(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(gate)


def conv_bn(cin: int, cout: int, size: int, stride: int, groups: int, eps: float) -> Any:
    conv = nn.Conv2d(cin, cout, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(cout, eps))


class Block(nn.Module):  # type: ignore[name-defined, misc]
    def __init__(self, block: mbconv.Block, cin: int, act: Any, eps: float) -> None:
        super().__init__()
        wide = cin * block.expansion
        if block.expansion > 1:
            self.expand = conv_bn(cin, wide, 1, 1, 1, eps)
        self.depthwise = conv_bn(wide, wide, block.kernel, block.stride, wide, eps)
        if block.squeeze:
            self.squeeze = Squeeze(wide, max(1, int(block.squeeze * cin)), act)
        self.project = conv_bn(wide, block.width, 1, 1, 1, eps)
        self.shortcut = block.stride == 1 and block.width == cin
        self.act = act

    def forward(self, x: Any) -> Any:
        y = self.act(self.expand(x)) if hasattr(self, "expand") else x
        y = self.act(self.depthwise(y))
        y = self.squeeze(y) if hasattr(self, "squeeze") else y
        y = self.project(y)
        return x + y if self.shortcut else y


class Network(nn.Module):  # type: ignore[name-defined, misc]
    def __init__(self, net: mbconv.Net) -> None:
        super().__init__()
        self.act = F.silu if net.act == "swish" else F.relu6
        self.stem = conv_bn(3, net.stem, 3, 2, 1, net.bn_eps)
        blocks, width = [], net.stem
        for block in net.blocks:
            if block.kernel:
                blocks.append(Block(block, width, self.act, net.bn_eps))
                width = block.width
        self.blocks = nn.Sequential(*blocks)
        self.last = conv_bn(width, net.last, 1, 1, 1, net.bn_eps)
        self.fc = nn.Linear(net.last, 10)

    def forward(self, x: Any) -> Any:
        x = self.blocks(self.act(self.stem(x)))
        return self.fc(self.act(self.last(x)).mean((2, 3)))

    def redraw(self, kind: str) -> None:
        """As the releases do, once all layers have been made."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                n = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
                layer.weight.data.normal_(0, (2.0 / n) ** 0.5)
            if isinstance(layer, nn.Linear) and kind == "fairnas":
                bound = 1.0 / layer.out_features**0.5
                layer.weight.data.uniform_(-bound, bound)
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                layer.bias.data.zero_()


def make(space: str, arch: str) -> Any:
    """Of proxylessnas, block by block: what its text means is written down a second time here."""
    if space == "mbconv":
        return Network(mbconv.to_net(arch))
    name, act, se = (field.split("=")[1] for field in arch.split(";")[:3])
    skeleton, ratio = proxylessnas.SKELETONS[name], 0.0 if se == "none" else float(se)
    words = iter(arch.split(";")[3].split(" "))
    blocks = [mbconv.Block(3, 1, skeleton.first, 1, ratio)]
    for width, n, stride in skeleton.stages:
        for i in range(n):
            word = next(words)
            if word != "skip":
                size = int(word[1]), int(word[3])
                blocks.append(mbconv.Block(*size, width, stride if i == 0 else 1, ratio))
    eps = 1e-5 if act == "swish" else 1e-3
    return Network(mbconv.Net(skeleton.stem, skeleton.last, act, eps, tuple(blocks)))


CASES = [
    (
        "proxylessnas",
        "skeleton=19;act=relu6;se=none;k7e3 k3e3 k7e3 k3e6 k7e6 k3e3 k3e3 k7e6 k7e6 k5e3 k3e6 k5e3 "
        "k5e3 k3e6 k3e6 k7e6 k3e6 k7e6 k5e6",
    ),
    (
        "proxylessnas",
        "skeleton=21;act=swish;se=0.25;k3e3 skip k5e6 k3e3 k7e3 k3e6 skip skip k3e3 k5e3 k3e3 k3e3 "
        "k7e6 k3e3 k5e6 skip k3e3 k5e3 k3e3 k3e6 k3e3",
    ),
    ("mbconv", "stem=12;last=40;k3e1:8s1 k5e3:12s2 skip k7e4:12s1 k3e6:16s1 k1e2:16s2"),
    (
        "mbconv",
        "stem=8;last=24;act=swish;ds_r2_k3_s1_c8_se0.0625 | ir_r1_k5_s2_e3_c12 | "
        "ir_r2_k3_s1_e6_c20_se1,ir_r1_k7_s1_e2_c20_se0.5",
    ),
]
every_case = pytest.mark.parametrize(("space", "arch"), CASES)


def ours_by_theirs(space: str, arch: str, net: Any) -> dict[str, Any]:
    """Parameters by our names: both stand in the order of construction, norms aside."""
    is_norm = {
        id(p) for m in net.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()
    }
    ours = zeroshot.weight_names(arch, space=space)
    norms = [name for name in ours if name.endswith((".gamma", ".beta"))]
    others = [name for name in ours if name not in set(norms)]
    theirs = list(net.parameters())
    return {
        **dict(zip(others, (p for p in theirs if id(p) not in is_norm), strict=True)),
        **dict(zip(norms, (p for p in theirs if id(p) in is_norm), strict=True)),
    }


@pytest.mark.parametrize("init", ["torch", "proxylessnas", "fairnas"])
@every_case
def test_weights_are_those_of_pytorch_bit_for_bit(space: str, arch: str, init: str) -> None:
    if init != "torch" and torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("PyTorch draws with AVX2 from here on; this CPU has none")
    torch.manual_seed(11)
    net = make(space, arch)
    if init != "torch":
        net.redraw(init)
    state = {n: p.detach().numpy().copy() for n, p in ours_by_theirs(space, arch, net).items()}
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3, 16, 16)), rng.integers(0, 10, 2)
    drawn, given = (
        zeroshot.gradients(
            arch, x, y, batch_size=2, space=space, seed=11, init=init, weights=weights
        ).gradients
        for weights in (None, state)
    )
    assert all(np.array_equal(drawn[name], given[name]) for name in drawn)


@every_case
def test_logits_and_gradients_are_those_of_pytorch_in_float64(space: str, arch: str) -> None:
    torch.manual_seed(3)
    net = make(space, arch)
    net.double()
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((8, 3, 40, 40)), rng.integers(0, 10, 8)
    got = zeroshot.gradients(
        arch, x, y, batch_size=4, space=space, seed=3, dtype="float64", all_params=True
    )
    for j in range(2):
        parameters = ours_by_theirs(space, arch, net)
        net.zero_grad()
        rows = slice(4 * j, 4 * j + 4)
        logits = net(torch.from_numpy(x[rows]))
        F.cross_entropy(logits, torch.from_numpy(y[rows])).backward()
        want_logits = logits.detach().numpy()
        found = np.asarray(got.logits).reshape(8, 10)[rows]
        assert np.abs(found - want_logits).max() <= 1e-10 * np.abs(want_logits).max()
        want = {name: p.grad.numpy() for name, p in parameters.items()}
        assert set(want) == set(got.gradients)
        top = max(np.abs(v).max() for v in want.values())
        for name, value in want.items():  # as tests/test_engine.py
            allowed = 1e-9 * np.abs(value).max() + 1e-13 * top
            assert np.abs(got.gradients[name][j] - value).max() <= allowed, name
