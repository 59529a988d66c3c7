"""The NAS-Bench-201 network in PyTorch, as released and lean; names as `zeroshot` spells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .per_image import ImageNorm2d, SignConv2d, SignLinear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Edge = tuple[int, int]  # (from, to)
EDGES: tuple[Edge, ...] = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
KERNEL = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
OPS = ("none", "skip_connect", *KERNEL, "avg_pool_3x3")


def parse_arch(arch: str) -> dict[Edge, str]:
    """Op on each of the six edges, in the order of the string.

    >>> parse_arch("|none~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|none~2|")[1, 2]
    'nor_conv_1x1'
    """
    terms = [term.split("~") for group in arch.split("+") for term in group.strip("|").split("|")]
    ops = {edge: term[0] for edge, term in zip(EDGES, terms, strict=False)}
    text = "+".join("".join(f"|{ops.get((j, i))}~{j}" for j in range(i)) + "|" for i in range(1, 4))
    if text != arch or not set(ops.values()) <= set(OPS):
        raise ValueError(f"arch: expected a NAS-Bench-201 string with ops {OPS}, got {arch!r}")
    return ops


def live_edges(ops: dict[Edge, str]) -> list[Edge]:
    """Edges on a path from node 0 to node 3 that meets no `none`, in the order of the string."""
    edges = [edge for edge, op in ops.items() if op != "none"]
    fed, used = {0}, {3}
    for source, target in edges:  # sorted by target, so one sweep each way is enough
        fed |= {target} if source in fed else set()
    for source, target in reversed(edges):
        used |= {source} if target in used else set()
    return [(source, target) for source, target in edges if source in fed and target in used]


# ---------------------------------------------------------------------------------------------
# The network


class _Layers:
    """Makes the layers of one network: the usual ones, or those that treat images one by one."""

    def __init__(self, per_image: bool, running_stats: bool) -> None:
        self.per_image, self.running_stats = per_image, running_stats

    def conv(self, cin: int, cout: int, k: int, stride: int = 1) -> nn.Conv2d:
        make = SignConv2d if self.per_image else nn.Conv2d
        return make(cin, cout, k, stride, padding=k // 2, bias=False)

    def norm(self, c: int) -> nn.BatchNorm2d:
        make = ImageNorm2d if self.per_image else nn.BatchNorm2d
        return make(c, track_running_stats=self.running_stats)

    def linear(self, cin: int, cout: int) -> nn.Linear:
        return (SignLinear if self.per_image else nn.Linear)(cin, cout)


class ConvBN(nn.Module):
    def __init__(self, layers: _Layers, cin: int, cout: int, k: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = layers.conv(cin, cout, k, stride)
        self.bn = layers.norm(cout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.conv(x))
        return out


class ReLUConvBN(ConvBN):
    """The released NASWOT takes this wrapper for one more ReLU: its name holds the word."""

    def __init__(self, layers: _Layers, cin: int, cout: int, k: int, stride: int = 1) -> None:
        super().__init__(layers, cin, cout, k, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.relu(x))


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 0.0


def _avg_pool() -> nn.AvgPool2d:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


class Cell(nn.Module):
    """Node i is the sum of op(node j) over its edges; every edge runs, as released."""

    def __init__(self, layers: _Layers, ops: dict[Edge, str], c: int) -> None:
        super().__init__()
        plain: dict[str, Callable[[], nn.Module]] = {
            "none": Zero, "skip_connect": nn.Identity, "avg_pool_3x3": _avg_pool,
        }  # fmt: skip
        for (source, target), op in ops.items():
            conv = ReLUConvBN(layers, c, c, KERNEL[op]) if op in KERNEL else None
            self.add_module(f"e{source}{target}", conv or plain[op]())

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for target in range(1, 4):
            terms = [getattr(self, f"e{j}{target}")(nodes[j]) for j in range(target)]
            nodes.append(sum(terms[1:], terms[0]))
        return nodes[3]


class LiveCell(nn.Module):
    """The same with live edges only, and one ReLU and one pooling per node for all its readers."""

    def __init__(self, layers: _Layers, ops: dict[Edge, str], c: int) -> None:
        super().__init__()
        self.live = {edge: ops[edge] for edge in live_edges(ops)}
        for edge, op in ops.items():
            if op in KERNEL:  # dead ones too, so that all others draw the same weights
                conv = ConvBN(layers, c, c, KERNEL[op])
                if edge in self.live:
                    self.add_module(f"e{edge[0]}{edge[1]}", conv)
        self.pool = _avg_pool()

    def forward(self, x: Tensor) -> Tensor:
        nodes: dict[int, Tensor] = {0: x}
        made: dict[tuple[int, str], Tensor] = {}
        for (source, target), op in self.live.items():
            key = (source, "relu" if op in KERNEL else op)
            if key not in made:
                node = nodes[source]
                made[key] = (
                    functional.relu(node) if op in KERNEL
                    else self.pool(node) if op == "avg_pool_3x3"
                    else node
                )  # fmt: skip
            term = made[key]
            if op in KERNEL:
                term = getattr(self, f"e{source}{target}")(term)
            nodes[target] = nodes[target] + term if target in nodes else term
        return nodes[3] if 3 in nodes else torch.zeros_like(x)


class Residual(nn.Module):
    def __init__(self, layers: _Layers, cin: int, cout: int) -> None:
        super().__init__()
        self.a = ReLUConvBN(layers, cin, cout, 3, stride=2)
        self.b = ReLUConvBN(layers, cout, cout, 3)
        self.pool = nn.AvgPool2d(2, stride=2)
        self.down = layers.conv(cin, cout, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down(self.pool(x)) + self.b(self.a(x))
        return out


class Head(nn.Module):
    def __init__(self, layers: _Layers, c: int, num_classes: int) -> None:
        super().__init__()
        self.bn = layers.norm(c)
        self.relu = nn.ReLU()
        self.fc = layers.linear(c, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.relu(self.bn(x)).mean((2, 3)))
        return out


class TinyNetwork(nn.Module):
    """NAS-Bench-201 network with the chosen op on each edge and PyTorch's default weights.

    Parameters
    ----------
    arch_str : str
        ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.
    channels, cells, num_classes : int
        Width of the first stage, cells per stage, classes.
    prune_dead : bool
        Leave out edges without a path from input to output, share ReLU and pooling among the
        readers of a node, keep no running statistics. Weights are those of the full network.
    per_image : bool
        Normalise each image by its own statistics, and let ``weight.grad`` of convolutions and
        the classifier be the sum over images of the sign of the gradient (see `best_gradsign`).

    Examples
    --------
    >>> cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    >>> sum(p.numel() for p in TinyNetwork(cell).parameters())
    316346
    """

    def __init__(
        self,
        arch_str: str,
        channels: int = 16,
        cells: int = 5,
        *,
        num_classes: int = 10,
        prune_dead: bool = False,
        per_image: bool = False,
    ) -> None:
        super().__init__()
        self.prune_dead, self.per_image = prune_dead, per_image
        layers = _Layers(per_image, running_stats=not prune_dead)
        ops = parse_arch(arch_str)
        body: list[tuple[str, nn.Module]] = [("stem", ConvBN(layers, 3, channels, 3))]
        for stage in range(3):
            c = channels << stage
            if stage:
                body.append((f"res{stage}", Residual(layers, c // 2, c)))
            for number in range(stage * cells, (stage + 1) * cells):
                make = LiveCell if prune_dead else Cell
                body.append((f"cell{number:02d}", make(layers, ops, c)))
        body.append(("head", Head(layers, channels * 4, num_classes)))
        for name, module in body:
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.children():
            x = part(x)
        return x


def build(
    arch: str,
    seed: int = 0,
    *,
    channels: int = 16,
    cells: int = 5,
    num_classes: int = 10,
    prune_dead: bool = False,
    per_image: bool = False,
) -> TinyNetwork:
    """`TinyNetwork` in training mode, its weights drawn after ``torch.manual_seed(seed)``.

    The lean forms (`prune_dead`, `per_image`) come in channels_last.
    """
    torch.manual_seed(seed)
    net = TinyNetwork(arch, channels, cells, num_classes=num_classes,
                      prune_dead=prune_dead, per_image=per_image).train()  # fmt: skip
    if prune_dead or per_image:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


# ---------------------------------------------------------------------------------------------
# Names as `zeroshot` spells them


def _named_tensors(net: TinyNetwork) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters in registration order: cell07.e13.conv.weight, res1.bn_a.gamma, head.fc.bias."""
    for name, parameter in net.named_parameters():
        *path, layer, leaf = name.split(".")
        if layer == "bn":
            leaf = {"weight": "gamma", "bias": "beta"}[leaf]
        if path[0].startswith("res") and len(path) == 2:  # res1.a.conv -> res1.conv_a
            layer = f"{layer}_{path.pop()}"
        yield ".".join((*path, layer, leaf)), parameter


def state_as_zeroshot(net: TinyNetwork) -> dict[str, NDArray[Any]]:
    """Copies of all parameters under the names `zeroshot` gives them, in registration order.

    >>> net = build("|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|", cells=1)
    >>> list(state_as_zeroshot(net))[:4]
    ['stem.conv.weight', 'stem.bn.gamma', 'stem.bn.beta', 'cell00.e23.conv.weight']
    """
    return {name: p.detach().numpy().copy() for name, p in _named_tensors(net)}


def grads_as_zeroshot(net: TinyNetwork) -> dict[str, NDArray[Any]]:
    """Copies of all gradients under the same names; zeros where a parameter has none."""
    return {
        name: (torch.zeros_like(p) if p.grad is None else p.grad).numpy().copy()
        for name, p in _named_tensors(net)
    }


def load_zeroshot(net: TinyNetwork, state: dict[str, NDArray[Any]]) -> TinyNetwork:
    """Overwrite the parameters in place from a dict like that of `state_as_zeroshot`.

    Entries that a pruned network lacks are ignored; every parameter it has must be there.
    """
    with torch.no_grad():
        for name, parameter in _named_tensors(net):
            if name not in state:
                raise ValueError(f"state: expected an array named {name!r}, got none")
            parameter.copy_(torch.from_numpy(state[name]))
    return net
