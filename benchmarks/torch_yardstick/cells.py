"""Networks of DARTS, NAS-Bench-301 and NDS in PyTorch, every operation a module of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence


def relu_conv_bn(cin: int, cout: int, k: int, stride: int = 1, affine: bool = True) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(cin, cout, k, stride, k // 2, bias=False),
        nn.BatchNorm2d(cout, affine=affine),
    )


class FactorizedReduce(nn.Module):
    def __init__(self, cin: int, cout: int, affine: bool = True) -> None:
        super().__init__()
        self.a = nn.Conv2d(cin, cout // 2, 1, 2, bias=False)
        self.b = nn.Conv2d(cin, cout - cout // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(cout, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(x)
        shifted = functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        out: Tensor = self.bn(torch.cat([self.a(x), self.b(shifted)], 1))
        return out


class Zero(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * 0.0


def separable(c: int, k: int, stride: int, dilation: int, times: int, affine: bool) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(times):
        pad = dilation * (k // 2)
        layers += [
            nn.ReLU(),
            nn.Conv2d(c, c, k, 1 if i else stride, pad, dilation, groups=c, bias=False),
            nn.Conv2d(c, c, 1, bias=False),
            nn.BatchNorm2d(c, affine=affine),
        ]
    return nn.Sequential(*layers)


def row_column(c: int, k: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(c, c, (1, k), (1, stride), (0, k // 2), bias=False),
        nn.Conv2d(c, c, (k, 1), (stride, 1), (k // 2, 0), bias=False),
        nn.BatchNorm2d(c, affine=affine),
    )


def make_op(name: str, c: int, stride: int, naslib: bool = False) -> nn.Module:
    """An operation at `c` channels; with `naslib` in that package's version."""
    affine, k = not naslib, int(name.rpartition("x")[2]) if "x" in name else 0
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c, affine)
    if "pool" in name:
        pool: nn.Module = nn.MaxPool2d(k, stride, k // 2)
        if name.startswith("avg"):
            pool = nn.AvgPool2d(k, stride, k // 2, count_include_pad=False)
        return nn.Sequential(pool, nn.BatchNorm2d(c, affine=False)) if naslib else pool
    if name in ("conv_7x1_1x7", "conv_3x1_1x3"):
        return row_column(c, k, stride, affine)
    if name.startswith("conv"):
        return relu_conv_bn(c, c, k, stride, affine)
    dilation = 2 if "dil" in name else 1
    return separable(c, k, stride, dilation, 2 if "sep" in name else 1, affine)


class GenotypeCell(nn.Module):
    def __init__(
        self, pairs: Sequence[tuple[str, int]], concat: Sequence[int], before: tuple[int, int],
        c: int, reduction: bool, after_reduction: bool, naslib: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.sources, self.concat = [source for _, source in pairs], list(concat)
        make = FactorizedReduce if after_reduction else lambda a, b: relu_conv_bn(a, b, 1)
        self.in0 = make(before[0], c)
        self.in1 = relu_conv_bn(before[1], c, 1)
        self.ops = nn.ModuleList(
            make_op(op, c, 2 if reduction and source < 2 else 1, naslib) for op, source in pairs
        )

    def forward(self, s0: Tensor, s1: Tensor) -> Tensor:
        states = [self.in0(s0), self.in1(s1)]
        for i in range(0, len(self.ops), 2):
            one, two = (self.ops[j](states[self.sources[j]]) for j in (i, i + 1))
            states.append(one + two)
        return torch.cat([states[node] for node in self.concat], 1)


class CellNetwork(nn.Module):
    """The network of a genotype: ``(normal, normal_concat, reduce, reduce_concat)``.

    Parameters
    ----------
    genotype : sequence
    channels, cells, num_classes : int
    builder : {"autodl", "imagenet", "naslib"}
        As `zeroshot` names them.
    """

    def __init__(
        self, genotype: Any, channels: int, cells: int, num_classes: int = 10,
        builder: str = "autodl",
    ) -> None:  # fmt: skip
        super().__init__()
        normal, normal_concat, reduce, reduce_concat = genotype
        self.imagenet = builder == "imagenet"
        c = channels
        if self.imagenet:
            self.stem0 = nn.Sequential(
                nn.Conv2d(3, c // 2, 3, 2, 1, bias=False), nn.BatchNorm2d(c // 2), nn.ReLU(),
                nn.Conv2d(c // 2, c, 3, 2, 1, bias=False), nn.BatchNorm2d(c),
            )  # fmt: skip
            self.stem1 = nn.Sequential(
                nn.ReLU(), nn.Conv2d(c, c, 3, 2, 1, bias=False), nn.BatchNorm2d(c)
            )
            before = (c, c)
        else:
            self.stem = nn.Sequential(
                nn.Conv2d(3, 3 * c, 3, 1, 1, bias=False), nn.BatchNorm2d(3 * c)
            )
            before = (3 * c, 3 * c)
        made, was_reduction = [], self.imagenet
        for i in range(cells):
            reduction = i in (cells // 3, 2 * cells // 3)
            c *= 2 if reduction else 1
            pairs, concat = (reduce, reduce_concat) if reduction else (normal, normal_concat)
            made.append(
                GenotypeCell(
                    pairs, concat, before, c, reduction, was_reduction, builder == "naslib"
                )
            )
            before, was_reduction = (before[1], c * len(concat)), reduction
        self.cells = nn.ModuleList(made)
        self.fc = nn.Linear(before[1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.imagenet:
            s0 = self.stem0(x)
            s1 = self.stem1(s0)
        else:
            s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        out: Tensor = self.fc(s1.mean((2, 3)))
        return out
