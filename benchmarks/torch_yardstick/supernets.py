"""Supernets of NAS-Bench-201 and DARTS in PyTorch: every operation of every edge is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from .cells import FactorizedReduce, make_op, relu_conv_bn

if TYPE_CHECKING:
    from collections.abc import Sequence

NB201_NAMES = {"nor_conv_1x1": "conv_1x1", "nor_conv_3x3": "conv_3x3"}


class Mean(nn.Module):
    """An edge: the mean of those of its operations that are in a set, 0 where it is empty."""

    def __init__(self, ops: Sequence[str], keep: Sequence[str], c: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.keep = [ops.index(op) for op in keep]
        self.ops = nn.ModuleList(make_op(NB201_NAMES.get(op, op), c, stride) for op in ops)

    def forward(self, x: Tensor) -> Tensor:
        kept = [self.ops[i](x) for i in self.keep]
        zero = x[:, :, :: self.stride, :: self.stride] * 0.0
        return torch.stack(kept).mean(0) if kept else zero


class SuperCell201(nn.Module):
    def __init__(self, ops: Sequence[str], sets: Sequence[Sequence[str]], c: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(Mean(ops, keep, c, 1) for keep in sets)

    def forward(self, x: Tensor) -> Tensor:
        nodes, edge = [x], 0
        for node in range(1, 4):
            terms = [self.edges[edge + source](nodes[source]) for source in range(node)]
            nodes.append(torch.stack(terms).sum(0))
            edge += node
        return nodes[-1]


class Residual(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.body = nn.Sequential(relu_conv_bn(c, 2 * c, 3, 2), relu_conv_bn(2 * c, 2 * c, 3))
        self.down = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(c, 2 * c, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(x) + self.body(x)
        return out


class Super201(nn.Module):
    """The supernet of NAS-Bench-201 with `sets` of `ops`, edge by edge."""

    def __init__(
        self, ops: Sequence[str], sets: Sequence[Sequence[str]], channels: int, cells: int
    ) -> None:
        super().__init__()
        c = channels
        steps: list[nn.Module] = [nn.Conv2d(3, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c)]
        for stage in range(3):
            if stage:
                steps.append(Residual(c))
                c *= 2
            steps += [SuperCell201(ops, sets, c) for _ in range(cells)]
        self.steps = nn.Sequential(*steps, nn.BatchNorm2d(c), nn.ReLU())
        self.fc = nn.Linear(c, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.steps(x).mean((2, 3)))
        return out


class SuperDartsCell(nn.Module):
    def __init__(
        self, ops: Sequence[str], sets: Sequence[Sequence[str]], before: tuple[int, int], c: int,
        reduction: bool, after_reduction: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        make = FactorizedReduce if after_reduction else lambda a, b: relu_conv_bn(a, b, 1)
        self.in0 = make(before[0], c)
        self.in1 = relu_conv_bn(before[1], c, 1)
        sources = [source for node in range(2, 6) for source in range(node)]
        self.edges = nn.ModuleList(
            Mean(ops, keep, c, 2 if reduction and source < 2 else 1)
            for keep, source in zip(sets, sources, strict=True)
        )

    def forward(self, s0: Tensor, s1: Tensor) -> Tensor:
        states, edge = [self.in0(s0), self.in1(s1)], 0
        for node in range(2, 6):
            terms = [self.edges[edge + source](states[source]) for source in range(node)]
            states.append(torch.stack(terms).sum(0))
            edge += node
        return torch.cat(states[2:], 1)


class SuperDarts(nn.Module):
    """The supernet of DARTS; `depth` 0: all cells."""

    def __init__(
        self, ops: Sequence[str], sets: Sequence[Sequence[str]], channels: int, cells: int,
        depth: int, stem: int,
    ) -> None:  # fmt: skip
        super().__init__()
        c, wide = channels, stem * channels
        self.stem = nn.Sequential(nn.Conv2d(3, wide, 3, 1, 1, bias=False), nn.BatchNorm2d(wide))
        before, was_reduction = (wide, wide), False
        self.cells = nn.ModuleList()
        for i in range(depth or 3 * cells):
            reduction = i in (cells, 2 * cells)
            c *= 2 if reduction else 1
            of_cell = sets[14:] if reduction else sets[:14]
            self.cells.append(SuperDartsCell(ops, of_cell, before, c, reduction, was_reduction))
            before, was_reduction = (before[1], 4 * c), reduction
        self.bn = nn.BatchNorm2d(before[1])
        self.fc = nn.Linear(before[1], 10)

    def forward(self, x: Tensor) -> Tensor:
        s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        out: Tensor = self.fc(functional.relu(self.bn(s1)).mean((2, 3)))
        return out
