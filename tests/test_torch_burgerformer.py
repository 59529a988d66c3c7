"""Networks of BurgerFormer against PyTorch: weights, logits and gradients.

The network is written here from its description, with layers made in the order of the release.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import _core
from zeroshot.spaces import burgerformer

from .test_engine import run

torch = pytest.importorskip("torch", reason="PyTorch is not installed: no parity check")
nn = torch.nn
F = nn.functional


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These networks are small: threads of PyTorch wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


HEADS = (0, 0, 4, 8)
ACTS = {"relu6": F.relu6, "gelu": F.gelu, "silu": F.silu, "skip": lambda x: x}


class Net:
    """Layers by our names, in the order in which they are made, and a function of them."""

    def __init__(self, arch: str, size: tuple[int, int], num_classes: int = 10) -> None:
        self.layers: dict[str, Any] = {}
        self.stages = [burgerformer.to_dict(arch)[f"stage-{i}"] for i in range(1, 5)]
        widths = [stage["macro"]["width"] for stage in self.stages]
        for i in (1, 2, 3):
            self.conv(f"stem.conv{i}", 3 if i == 1 else 24, 24, 3, 2 if i == 1 else 1, bias=False)
            self.layers[f"stem.bn{i}"] = nn.BatchNorm2d(24)
        self.conv("stem.proj", 24, widths[0], 3, 2)
        pixels = [-(-side // 4) for side in size]
        for i, stage in enumerate(self.stages):
            if i:
                self.conv(f"down{i}.conv", widths[i - 1], widths[i], 3, 2)
                self.layers[f"down{i}.norm"] = nn.GroupNorm(1, widths[i])
                pixels = [-(-side // 2) for side in pixels]
            for block in range(stage["macro"]["depth"]):
                self.block(f"stage{i + 1}.block{block + 1}", stage, math.prod(pixels))
        self.layers["head.norm"] = nn.GroupNorm(1, widths[-1])
        self.layers["head.fc"] = nn.Linear(widths[-1], num_classes)

    def conv(
        self, name: str, cin: int, cout: int, size: int, stride: int = 1, bias: bool = True,
        groups: int = 1,
    ) -> None:  # fmt: skip
        self.layers[name] = nn.Conv2d(cin, cout, size, stride, size // 2, bias=bias, groups=groups)

    def block(self, name: str, stage: dict[str, Any], pixels: int) -> None:
        width, ratio = stage["macro"]["width"], stage["macro"]["ratio"]
        for sub in ("1", "2", "3"):
            prefix = f"{name}.sub{sub}"
            inner = width
            if sub == "2":
                inner = ratio * width
                self.layers[f"{prefix}.norm"] = nn.GroupNorm(1, width)
                self.conv(f"{prefix}.expand", width, inner, 1)
                self.conv(f"{prefix}.shrink", inner, width, 1)
            self.micro(prefix, stage["meso"][sub], inner, pixels)
            if sub == "2" or not stage["meso"][sub].startswith("skip-skip-skip"):
                self.layers[f"{prefix}.scale"] = nn.Parameter(torch.full((width,), 1e-5))

    def micro(self, prefix: str, text: str, width: int, pixels: int) -> None:
        _, norm1, op, norm3, _ = text.split("-")
        norms = {
            "BN": lambda: nn.BatchNorm2d(width),
            "GN": lambda: nn.GroupNorm(1, width),
            "LN": lambda: nn.LayerNorm(width, eps=1e-6),
        }
        if norm1 != "skip":
            self.layers[f"{prefix}.norm1"] = norms[norm1]()
        if op in ("conv_1x1", "dwise_3x3"):
            depthwise = op == "dwise_3x3"
            self.conv(
                f"{prefix}.op2", width, width, 3 if depthwise else 1,
                groups=width if depthwise else 1,
            )  # fmt: skip
        elif op == "self_atten":
            self.layers[f"{prefix}.op2.qkv"] = nn.Linear(width, 3 * width, bias=False)
            self.layers[f"{prefix}.op2.proj"] = nn.Linear(width, width)
        elif op == "spatial_mlp":
            self.layers[f"{prefix}.op2"] = nn.Linear(pixels, pixels)
        if norm3 != "skip":
            self.layers[f"{prefix}.norm3"] = norms[norm3]()

    def parameters(self) -> dict[str, Any]:
        norms = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
        ours = {"weight": "gamma", "bias": "beta"}
        found = {}
        for name, layer in self.layers.items():
            if isinstance(layer, nn.Parameter):
                found[f"{name}.scale"] = layer
                continue
            for leaf, p in layer.named_parameters():
                found[f"{name}.{ours[leaf] if isinstance(layer, norms) else leaf}"] = p
        return found

    # ---- forward ------------------------------------------------------------------------------

    def norm(self, name: str, x: Any) -> Any:
        layer = self.layers.get(name)
        if isinstance(layer, nn.LayerNorm):
            return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return x if layer is None else layer(x)

    def attention(self, prefix: str, x: Any, heads: int) -> Any:
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        qkv = self.layers[f"{prefix}.qkv"](tokens).reshape(n, h * w, 3, heads, c // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        shares = ((q @ k.transpose(-2, -1)) * (c // heads) ** -0.5).softmax(-1)
        mixed = (shares @ v).transpose(1, 2).reshape(n, h * w, c)
        return self.layers[f"{prefix}.proj"](mixed).transpose(1, 2).reshape(n, c, h, w)

    def run_micro(self, prefix: str, text: str, x: Any, heads: int) -> Any:
        _, _, op, _, act = text.split("-")
        x = self.norm(f"{prefix}.norm1", x)
        if op in ("conv_1x1", "dwise_3x3"):
            x = self.layers[f"{prefix}.op2"](x)
        elif op == "avgpool":
            x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False) - x
        elif op == "self_atten":
            x = self.attention(f"{prefix}.op2", x, heads)
        elif op == "spatial_mlp":
            x = self.layers[f"{prefix}.op2"](x.flatten(2)).reshape(x.shape)
        return ACTS[act](self.norm(f"{prefix}.norm3", x))

    def run_block(self, name: str, stage: dict[str, Any], x: Any, heads: int) -> Any:
        for sub in ("1", "2", "3"):
            prefix, text = f"{name}.sub{sub}", stage["meso"][sub]
            if f"{prefix}.scale" not in self.layers:
                continue
            y = x
            if sub == "2":
                y = F.gelu(self.layers[f"{prefix}.expand"](self.layers[f"{prefix}.norm"](y)))
            y = self.run_micro(prefix, text, y, heads)
            if sub == "2":
                y = self.layers[f"{prefix}.shrink"](y)
            x = y * self.layers[f"{prefix}.scale"][:, None, None] + x
        return x

    def run(self, x: Any) -> Any:
        kept = []
        for i in (1, 2, 3):
            x = F.relu(self.layers[f"stem.bn{i}"](self.layers[f"stem.conv{i}"](x)))
            kept.append(x)
        x = self.layers["stem.proj"](kept[2] + kept[0])
        for i, stage in enumerate(self.stages):
            if i:
                x = self.layers[f"down{i}.norm"](self.layers[f"down{i}.conv"](x))
            for block in range(stage["macro"]["depth"]):
                x = self.run_block(f"stage{i + 1}.block{block + 1}", stage, x, HEADS[i])
        return self.layers["head.fc"](self.layers["head.norm"](x).mean((2, 3)))


SKIP = "skip-skip-skip-skip-skip"
CASES = [
    (
        " ; ".join([
            "2,32,2:skip-skip-conv_1x1-BN-relu6/skip-GN-dwise_3x3-skip-gelu/skip-skip-avgpool-LN-silu:1,1,1:1,1,1",
            f"1,64,1:{SKIP}/{SKIP}/skip-LN-dwise_3x3-skip-skip:0,1,1:0,1,1",
            f"1,128,1:skip-GN-self_atten-skip-skip/{SKIP}/skip-skip-spatial_mlp-BN-gelu:1,1,1:1,1,1",
            f"2,128,1:skip-skip-self_atten-LN-silu/skip-skip-dwise_3x3-BN-relu6/{SKIP}:1,1,0:1,1,0",
        ]),
        (64, 64),
    ),
    (
        " ; ".join([
            "1,32,4:skip-BN-dwise_3x3-skip-silu/skip-skip-dwise_3x3-LN-skip/skip-GN-conv_1x1-skip-gelu:1,1,1:1,1,1",
            f"1,64,2:skip-LN-avgpool-skip-relu6/{SKIP}/{SKIP}:1,1,0:1,1,0",
            "2,128,1:skip-BN-spatial_mlp-skip-relu6/skip-LN-dwise_3x3-skip-silu/skip-LN-self_atten-skip-gelu:1,1,1:1,1,1",
            "1,128,2:skip-skip-spatial_mlp-GN-skip/skip-BN-dwise_3x3-skip-skip/skip-skip-conv_1x1-GN-skip:1,1,1:1,1,1",
        ]),
        (64, 64),
    ),
]  # fmt: skip
CASES.append((CASES[0][0], (33, 50)))
every_case = pytest.mark.parametrize("case", CASES, ids=["a", "b", "a, 33 x 50"])
SPACE: dict[str, Any] = {"space": "burgerformer", "n_threads": 1}


def test_cases_have_every_choice() -> None:
    found: set[str] = set()
    for arch, _ in CASES:
        for text in arch.replace(" ; ", ":").replace("/", ":").split(":"):
            if text.startswith("skip-"):
                _, norm1, op, norm3, act = text.split("-")
                found |= {f"{norm1}-", op, f"-{norm3}", act}
    assert found == {
        "skip", "dwise_3x3", "conv_1x1", "avgpool", "self_atten", "spatial_mlp",
        "relu6", "gelu", "silu", "skip-", "BN-", "GN-", "LN-", "-skip", "-BN", "-GN", "-LN",
    }  # fmt: skip


@every_case
def test_weights_are_those_of_pytorch_bit_for_bit(case: Any) -> None:
    arch, size = case
    torch.manual_seed(11)
    net = Net(arch, size)
    state = {name: p.detach().numpy().copy() for name, p in net.parameters().items()}
    graph = _core.space_build("burgerformer", burgerformer.parse(arch), 0, 0, 10, (3, *size))
    assert {t["name"]: t["shape"] for t in graph.tensors()} == {
        n: w.shape for n, w in state.items()
    }
    counted = [t["name"] for t in graph.tensors() if t["counted"]]
    assert counted == [n for n in state if n.endswith(".weight")]
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 3, *size)), rng.integers(0, 10, 4)
    drawn, given = (
        zeroshot.gradients(arch, x, y, batch_size=4, seed=11, weights=weights, **SPACE).gradients
        for weights in (None, state)
    )
    assert all(np.array_equal(drawn[name], given[name]) for name in drawn)


@every_case
def test_logits_and_gradients_are_those_of_pytorch_in_float64(case: Any) -> None:
    """With scales near 1: at 1e-5 a block would hardly be seen in the logits."""
    arch, size = case
    torch.manual_seed(3)
    net = Net(arch, size)
    rng = np.random.default_rng(7)
    for name, layer in net.layers.items():
        if isinstance(layer, nn.Parameter):
            net.layers[name] = nn.Parameter(layer.detach().double())
        else:
            layer.double()
    for name, p in net.parameters().items():
        if name.endswith((".scale", ".gamma")):
            p.data = torch.from_numpy(1 + 0.2 * rng.standard_normal(p.shape))
        elif name.endswith(".beta"):
            p.data = torch.from_numpy(0.2 * rng.standard_normal(p.shape))
    weights = {name: p.detach().numpy().copy() for name, p in net.parameters().items()}
    x, y = rng.standard_normal((8, 3, *size)), rng.integers(0, 10, 8)
    graph = _core.space_build("burgerformer", burgerformer.parse(arch), 0, 0, 10, (3, *size))
    got = zeroshot.gradients(
        arch, x, y, batch_size=4, weights=weights, dtype="float64", all_params=True, **SPACE
    ).gradients
    for j in range(2):
        parameters = net.parameters()
        for p in parameters.values():
            p.grad = None
        rows = slice(4 * j, 4 * j + 4)
        logits = net.run(torch.from_numpy(x[rows]))
        ours = run(graph, x[rows], y[rows], weights, sink=(4, 1, "cross_entropy", False))["logits"]
        assert np.abs(ours - logits.detach().numpy()).max() <= 1e-12 * np.abs(ours).max()
        F.cross_entropy(logits, torch.from_numpy(y[rows])).backward()
        want = {name: p.grad.numpy() for name, p in parameters.items()}
        assert set(want) == set(got)
        top = max(np.abs(v).max() for v in want.values())
        for name, value in want.items():  # as tests/test_engine.py
            allowed = 1e-9 * np.abs(value).max() + 1e-13 * top
            assert np.abs(got[name][j] - value).max() <= allowed, name
