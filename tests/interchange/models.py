"""Well-known networks in plain PyTorch, written from the papers and the sizes of their releases."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Act = type[nn.Module]


def conv_bn(cin: int, cout: int, k: int, s: int = 1, groups: int = 1, act: Act | None = nn.ReLU,
            eps: float = 1e-5) -> nn.Sequential:  # fmt: skip
    layers: list[nn.Module] = [
        nn.Conv2d(cin, cout, k, s, (k - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(cout, eps=eps),
    ]
    if act is not None:
        layers.append(act() if act in (nn.Sigmoid, nn.Tanh) else act(inplace=True))  # type: ignore[call-arg]
    return nn.Sequential(*layers)


# ---- ResNet-18 (He et al., CVPR 2016) ------------------------------------------------------------


class BasicBlock(nn.Module):
    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(cout)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(cout, cout, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(cout)
        self.downsample = (
            None if stride == 1 and cin == cout else conv_bn(cin, cout, 1, stride, act=None)
        )

    def forward(self, x: Any) -> Any:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet18(nn.Module):
    def __init__(self, classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages, cin = [], width
        for i in range(4):
            cout = width << i
            stages.append(
                nn.Sequential(BasicBlock(cin, cout, 1 if i == 0 else 2), BasicBlock(cout, cout, 1))
            )
            cin = cout
        self.stages = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(cin, classes)

    def forward(self, x: Any) -> Any:
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.stages(x)), 1))


# ---- MobileNetV2 (Sandler et al., CVPR 2018) -----------------------------------------------------


class InvertedResidual(nn.Module):
    def __init__(self, cin: int, cout: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = cin * expand
        layers = [conv_bn(cin, hidden, 1, act=nn.ReLU6)] if expand != 1 else []
        layers += [
            conv_bn(hidden, hidden, 3, stride, hidden, nn.ReLU6),
            conv_bn(hidden, cout, 1, act=None),
        ]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and cin == cout

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, 32, 3, 2, act=nn.ReLU6)]
        cin = 32
        for t, c, n, s in (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1),
        ):  # fmt: skip
            for i in range(n):
                layers.append(InvertedResidual(cin, c, s if i == 0 else 1, t))
                cin = c
        self.features = nn.Sequential(*layers, conv_bn(cin, 1280, 1, act=nn.ReLU6))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Any) -> Any:
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


# ---- MobileNetV3-small (Howard et al., ICCV 2019) ------------------------------------------------


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, squeezed: int, act: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.act, self.gate = act, gate

    def forward(self, x: Any) -> Any:
        return self.gate(self.fc2(self.act(self.fc1(F.adaptive_avg_pool2d(x, 1))))) * x


def eighth(x: float) -> int:
    """The nearest multiple of 8, not below nine tenths of `x`."""
    y = max(8, int(x + 4) // 8 * 8)
    return y + 8 if y < 0.9 * x else y


class MobileNetV3Block(nn.Module):
    def __init__(
        self, cin: int, k: int, hidden: int, cout: int, se: bool, act: Act, stride: int
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if hidden != cin:
            layers.append(conv_bn(cin, hidden, 1, act=act, eps=0.001))
        layers.append(conv_bn(hidden, hidden, k, stride, hidden, act, eps=0.001))
        if se:
            layers.append(
                SqueezeExcitation(hidden, eighth(hidden / 4), nn.ReLU(), nn.Hardsigmoid())
            )
        layers.append(conv_bn(hidden, cout, 1, act=None, eps=0.001))
        self.block = nn.Sequential(*layers)
        self.adds = stride == 1 and cin == cout

    def forward(self, x: Any) -> Any:
        y = self.block(x)
        if self.adds:
            y += x
        return y


class MobileNetV3Small(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        hs, re = nn.Hardswish, nn.ReLU
        layers: list[nn.Module] = [conv_bn(3, 16, 3, 2, act=hs, eps=0.001)]
        cin = 16
        for k, hidden, cout, se, act, s in (
            (3, 16, 16, True, re, 2), (3, 72, 24, False, re, 2), (3, 88, 24, False, re, 1),
            (5, 96, 40, True, hs, 2), (5, 240, 40, True, hs, 1), (5, 240, 40, True, hs, 1),
            (5, 120, 48, True, hs, 1), (5, 144, 48, True, hs, 1), (5, 288, 96, True, hs, 2),
            (5, 576, 96, True, hs, 1), (5, 576, 96, True, hs, 1),
        ):  # fmt: skip
            layers.append(MobileNetV3Block(cin, k, hidden, cout, se, act, s))
            cin = cout
        self.features = nn.Sequential(*layers, conv_bn(cin, 576, 1, act=hs, eps=0.001))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(576, 1024), hs(inplace=True), nn.Dropout(0.2, inplace=True),
            nn.Linear(1024, classes),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


# ---- EfficientNet-B0 (Tan and Le, ICML 2019) -----------------------------------------------------


class MBConv(nn.Module):
    def __init__(self, cin: int, cout: int, expand: int, k: int, stride: int) -> None:
        super().__init__()
        hidden = cin * expand
        layers: list[nn.Module] = [conv_bn(cin, hidden, 1, act=nn.SiLU)] if expand != 1 else []
        layers += [
            conv_bn(hidden, hidden, k, stride, hidden, nn.SiLU),
            SqueezeExcitation(hidden, max(1, cin // 4), nn.SiLU(inplace=True), nn.Sigmoid()),
            conv_bn(hidden, cout, 1, act=None),
        ]
        self.block = nn.Sequential(*layers)
        self.adds = stride == 1 and cin == cout

    def forward(self, x: Any) -> Any:
        y = self.block(x)
        if self.adds:
            y += x
        return y


class EfficientNetB0(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, 32, 3, 2, act=nn.SiLU)]
        cin = 32
        for t, k, s, c, n in (
            (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
            (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1),
        ):  # fmt: skip
            for i in range(n):
                layers.append(MBConv(cin, c, t, k, s if i == 0 else 1))
                cin = c
        self.features = nn.Sequential(*layers, conv_bn(cin, 1280, 1, act=nn.SiLU))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x).mean([2, 3]))


# ---- DARTS (Liu et al., ICLR 2019), its own cells ------------------------------------------------


class FactorizedReduce(nn.Module):
    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(cin, cout // 2, 1, 2, bias=False)
        self.conv_2 = nn.Conv2d(cin, cout // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(cout)

    def forward(self, x: Any) -> Any:
        x = F.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))


def depthwise(c: int, k: int, stride: int, dilation: int = 1) -> list[nn.Module]:
    pad = dilation * (k - 1) // 2
    return [
        nn.ReLU(inplace=False),
        nn.Conv2d(c, c, k, stride, pad, dilation, groups=c, bias=False),
        nn.Conv2d(c, c, 1, bias=False),
        nn.BatchNorm2d(c),
    ]


DARTS_OPS = {
    "max_pool_3x3": lambda c, s: nn.MaxPool2d(3, s, 1),
    "avg_pool_3x3": lambda c, s: nn.AvgPool2d(3, s, 1, count_include_pad=False),
    "skip_connect": lambda c, s: nn.Identity() if s == 1 else FactorizedReduce(c, c),
    "sep_conv_3x3": lambda c, s: nn.Sequential(*depthwise(c, 3, s), *depthwise(c, 3, 1)),
    "sep_conv_5x5": lambda c, s: nn.Sequential(*depthwise(c, 5, s), *depthwise(c, 5, 1)),
    "dil_conv_3x3": lambda c, s: nn.Sequential(*depthwise(c, 3, s, 2)),
    "dil_conv_5x5": lambda c, s: nn.Sequential(*depthwise(c, 5, s, 2)),
}
NORMAL = [
    [("sep_conv_3x3", 0), ("sep_conv_5x5", 1)], [("dil_conv_3x3", 0), ("skip_connect", 1)],
    [("avg_pool_3x3", 2), ("skip_connect", 0)], [("dil_conv_5x5", 2), ("max_pool_3x3", 3)],
]  # fmt: skip
REDUCE = [
    [("max_pool_3x3", 0), ("skip_connect", 1)], [("skip_connect", 2), ("max_pool_3x3", 1)],
    [("dil_conv_5x5", 0), ("skip_connect", 2)], [("avg_pool_3x3", 0), ("sep_conv_3x3", 1)],
]  # fmt: skip


class DartsCell(nn.Module):
    def __init__(self, before: int, cin: int, c: int, reduces: bool, reduced_before: bool) -> None:
        super().__init__()
        self.first = (
            FactorizedReduce(before, c)
            if reduced_before
            else nn.Sequential(nn.ReLU(), nn.Conv2d(before, c, 1, bias=False), nn.BatchNorm2d(c))
        )
        self.second = nn.Sequential(nn.ReLU(), nn.Conv2d(cin, c, 1, bias=False), nn.BatchNorm2d(c))
        self.wiring = REDUCE if reduces else NORMAL
        self.ops = nn.ModuleList(
            DARTS_OPS[op](c, 2 if reduces and i < 2 else 1)
            for pair in self.wiring
            for op, i in pair
        )

    def forward(self, s0: Any, s1: Any) -> Any:
        states = [self.first(s0), self.second(s1)]
        for n, pair in enumerate(self.wiring):
            a, b = (self.ops[2 * n + i](states[at]) for i, (_, at) in enumerate(pair))
            states.append(a + b)
        return torch.cat(states[2:], dim=1)


class Darts(nn.Module):
    def __init__(self, classes: int = 10, c: int = 8, layers: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 3 * c, 3, padding=1, bias=False), nn.BatchNorm2d(3 * c)
        )
        before, cin, reduced = 3 * c, 3 * c, False
        cells = []
        for i in range(layers):
            reduces = i in (layers // 3, 2 * layers // 3)
            c = 2 * c if reduces else c
            cells.append(DartsCell(before, cin, c, reduces, reduced))
            before, cin, reduced = cin, 4 * c, reduces
        self.cells = nn.ModuleList(cells)
        self.classifier = nn.Linear(cin, classes)

    def forward(self, x: Any) -> Any:
        s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        out = F.adaptive_avg_pool2d(s1, 1)
        return self.classifier(out.view(out.size(0), -1))


MODELS = {
    "resnet18": (ResNet18, 48),
    "mobilenet_v2": (MobileNetV2, 64),
    "mobilenet_v3_small": (MobileNetV3Small, 64),
    "efficientnet_b0": (EfficientNetB0, 64),
    "darts": (Darts, 16),
}
