"""The scores as PyTorch users run them today: yardstick for speed, second opinion for parity tests.

Three parts, every one with the same weights for the same seed:

* `TinyNetwork` and `build`, the NAS-Bench-201 network with the chosen op on each edge.
* `released_*`, what the authors' scripts do: NCHW, every edge runs, gradients copied to NumPy,
  GradSign image by image.
* `best_*`, what a careful PyTorch user can do: channels_last, only edges on a path from input to
  output, ReLU and pooling once per node, running moments in torch, GradSign in one pass.

`sweet_count`, `snip` and `grad_norm` are both, depending on the network they are given.

All of them take a network, images and labels as NumPy arrays, and work in the network's precision,
so ``build(...).double()`` gives float64 values. Left out: torch.compile, whose compilation of a new
graph takes longer than scoring it, and anything that needs a GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = [
    "TinyNetwork",
    "best_gradsign",
    "best_naswot",
    "best_xi_gsnr",
    "build",
    "grad_norm",
    "grads_as_zeroshot",
    "live_edges",
    "load_zeroshot",
    "parse_arch",
    "released_gradsign",
    "released_naswot",
    "released_xi_gsnr",
    "snip",
    "state_as_zeroshot",
    "sweet_count",
]

Edge = tuple[int, int]  # (from, to)
EDGES: tuple[Edge, ...] = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
KERNEL = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
OPS = ("none", "skip_connect", *KERNEL, "avg_pool_3x3")


# ---------------------------------------------------------------------------------------------
# Architectures


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
# One pass for all images, each with its own batch statistics and its own weight gradient.
# These layers do not return the gradient of a weight but the sum over images of its sign.


class _ImageNorm(torch.autograd.Function):
    """y = gamma (x - mean) / sqrt(var + eps) + beta over the pixels of each image and channel.

    On (N, pixels, C), with means as products by a row of 1/pixels: BLAS sums down a column many
    times faster than torch reduces over the leading axes of a channels_last image.
    Gamma and beta get no gradient: no score asks for one.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
        n, c, h, w = x.shape
        flat = x.permute(0, 2, 3, 1).reshape(n, h * w, c)
        row = flat.new_full((1, 1, h * w), 1 / (h * w)).expand(n, 1, -1)
        centred = flat - torch.bmm(row, flat)
        inv_std = torch.rsqrt(torch.bmm(row, centred * centred) + eps)
        ctx.save_for_backward(centred, inv_std, gamma, row)
        y = torch.addcmul(beta, centred, inv_std * gamma)
        return y.view(n, h, w, c).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        centred, inv_std, gamma, row = ctx.saved_tensors
        n, c, h, w = grads[0].shape
        dy = grads[0].permute(0, 2, 3, 1).reshape(n, h * w, c)
        slope = torch.bmm(row, dy * centred) * inv_std.square()
        dx = (dy - torch.bmm(row, dy)).addcmul_(centred, slope, value=-1).mul_(inv_std * gamma)
        return dx.view(n, h, w, c).permute(0, 3, 1, 2), None, None, None


def _weight_grads(x: Tensor, dy: Tensor, k: int, stride: int, pad: int) -> Tensor:
    """Gradients (N, R*S, K, C) of a k x k convolution weight, one for each image."""
    n, c, h, w = x.shape
    rows = dy.permute(0, 2, 3, 1)  # (N, P, Q, K)
    if stride != 1:
        cols = functional.unfold(x, k, padding=pad, stride=stride).transpose(1, 2)
        dw = torch.bmm(rows.reshape(n, -1, dy.shape[1]).transpose(1, 2), cols)  # (N, K, C*R*S)
        return dw.view(n, -1, c, k * k).permute(0, 3, 1, 2)
    # With both padded to the same row pitch, each tap is a product with x moved by a flat offset.
    pitch = w + 2 * pad
    size = (h - 1) * pitch + w
    x_flat = functional.pad(x.permute(0, 2, 3, 1), (0, 0, pad, pad, pad, pad)).reshape(n, -1, c)
    dy_flat = (
        functional.pad(rows, (0, 0, 0, 2 * pad)).reshape(n, h * pitch, -1)[:, :size].transpose(1, 2)
    )
    taps = (torch.bmm(dy_flat, x_flat[:, r * pitch + s :][:, :size])
            for r in range(k) for s in range(k))  # fmt: skip
    return torch.stack(list(taps), 1)


class _SignConv(torch.autograd.Function):
    """Convolution whose `weight.grad` is the sum over images of sign(gradient)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, pad: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.pad = stride, pad
        return functional.conv2d(x, weight, stride=stride, padding=pad)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dy = grads[0].contiguous(memory_format=torch.channels_last)
        dx = None
        if ctx.needs_input_grad[0]:
            dx, _, _ = torch.ops.aten.convolution_backward(
                dy, x, weight, None, [ctx.stride] * 2, [ctx.pad] * 2, [1, 1], False, [0, 0], 1,
                [True, False, False],
            )  # fmt: skip
        dw = _weight_grads(x, dy, weight.shape[-1], ctx.stride, ctx.pad)
        return dx, dw.sign_().sum(0).permute(1, 2, 0).reshape(weight.shape), None, None


class _SignLinear(torch.autograd.Function):
    """Linear layer whose `weight.grad` is the sum over images of sign(gradient)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        return grads[0] @ weight, (grads[0].sign().T @ x.sign()), None


def _apply(function: type[torch.autograd.Function], *args: Any) -> Tensor:
    out: Tensor = function.apply(*args)  # type: ignore[no-untyped-call]
    return out


class ImageNorm2d(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        return _apply(_ImageNorm, input, self.weight, self.bias, self.eps)


class SignConv2d(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return _apply(_SignConv, input, self.weight, self.stride[0], int(self.padding[0]))


class SignLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return _apply(_SignLinear, input, self.weight, self.bias)


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


# ---------------------------------------------------------------------------------------------
# Common parts


def _tensors(net: TinyNetwork, x: NDArray[Any], y: NDArray[Any]) -> tuple[Tensor, Tensor]:
    weight = next(net.parameters())
    layout = torch.channels_last if net.prune_dead else torch.contiguous_format
    images = torch.as_tensor(x, dtype=weight.dtype).contiguous(memory_format=layout)
    return images, torch.as_tensor(y, dtype=torch.int64)


def _weights(net: nn.Module) -> list[Tensor]:
    """The weights that count, in registration order: convolutions and the classifier."""
    return [m.weight for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def _grads(net: TinyNetwork, x: Tensor, y: Tensor) -> list[Tensor]:
    """Gradients of the mean loss of one batch; weights that were never used are left out."""
    functional.cross_entropy(net(x), y).backward()  # type: ignore[no-untyped-call]
    return [w.grad for w in _weights(net) if w.grad is not None]


def _batches(x: Tensor, y: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    if len(x) < 2 * size or len(x) % size:
        raise ValueError(f"x: expected two or more whole batches of {size}, got {len(x)} images")
    return zip(torch.split(x, size), torch.split(y, size), strict=True)


def _need(net: TinyNetwork, **wanted: bool) -> None:
    for option, value in wanted.items():
        if getattr(net, option) != value:
            raise ValueError(f"net: expected one built with {option}={value}, got {not value}")


# ---------------------------------------------------------------------------------------------
# As released. The first three have one form only: given a pruned network they are the best form.


def sweet_count(net: TinyNetwork, x: NDArray[Any], y: NDArray[Any], *, lo: float, hi: float) -> int:
    """Sweetimator, Eq. 1: number of weights with lo <= |gradient| < hi, one batch.

    Weights that a pruned network lacks are not counted, so there lo must be above 0.
    """
    if net.prune_dead and lo <= 0:
        raise ValueError(f"lo: expected more than 0 for a pruned network, got {lo}")
    net.zero_grad()
    count = 0
    for g in _grads(net, *_tensors(net, x, y)):
        size = g.abs()
        count += int((size >= lo).sum()) - int((size >= hi).sum())
    return count


def snip(net: TinyNetwork, x: NDArray[Any], y: NDArray[Any]) -> float:
    """SNIP: sum over weights of |weight gradient|, one batch."""
    net.zero_grad()
    _grads(net, *_tensors(net, x, y))
    products = [(w.detach() * w.grad).abs() for w in _weights(net) if w.grad is not None]
    return float(sum(float(p.sum()) for p in products))


def grad_norm(net: TinyNetwork, x: NDArray[Any], y: NDArray[Any]) -> float:
    """GradNorm as in zero-cost-nas: sum over layers of the gradient's 2-norm, one batch."""
    net.zero_grad()
    return float(sum(float(g.norm()) for g in _grads(net, *_tensors(net, x, y))))


def released_xi_gsnr(
    net: TinyNetwork,
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    batch_size: int = 64,
    xi: float = 1e-8,
    accumulate: bool = False,
) -> float:
    """xi-GSNR, Eq. 10: sum of mean^2 / (var + xi) over the gradients of N batches.

    Each weight tensor keeps its N gradients in NumPy; a tensor without any variance is skipped;
    sums in the precision of the network. `accumulate` is what the release does: gradients are
    not zeroed between batches. Unlike there they are copied, without which a CPU scores 0.
    """
    images, labels = _tensors(net, x, y)
    stacks: dict[int, list[NDArray[Any]]] = {}
    net.zero_grad()
    for xb, yb in _batches(images, labels, batch_size):
        if not accumulate:
            net.zero_grad()
        for i, g in enumerate(_grads(net, xb, yb)):
            stacks.setdefault(i, []).append(g.reshape(-1).numpy().copy())
    total = np.zeros((), images.numpy().dtype)
    for rows in stacks.values():
        stack = np.stack(rows)
        var = stack.var(axis=0)
        if var.any():
            total += np.sum(stack.mean(axis=0) ** 2 / (var + xi))
    return float(total)


def released_gradsign(net: TinyNetwork, x: NDArray[Any], y: NDArray[Any]) -> float:
    """GradSign, Eq. 3: sum over weights of |sum over images of sign(gradient)|.

    Each image goes through the network alone, and all its gradients are kept.
    """
    images, labels = _tensors(net, x, y)
    weights = _weights(net)
    per_image = []
    for i in range(len(images)):
        net.zero_grad()
        functional.cross_entropy(net(images[i : i + 1]), labels[i : i + 1]).backward()  # type: ignore[no-untyped-call]
        grads = (torch.zeros_like(w) if w.grad is None else w.grad for w in weights)
        per_image.append(torch.cat([g.reshape(-1) for g in grads]).numpy())
    signs = np.sign(np.stack(per_image))
    return float(np.nansum(np.abs(np.sum(signs, axis=0))))


def _relu_modules(net: nn.Module) -> list[nn.Module]:
    return [m for m in net.modules() if "ReLU" in type(m).__name__]


def released_naswot(net: TinyNetwork, x: NDArray[Any], y: NDArray[Any]) -> float:
    """NASWOT: log |det K|, K_ab = number of ReLU inputs on whose sign images a and b agree.

    A forward and backward pass marks the ReLUs that gradients reach; a second forward pass
    counts those. Modules are found by the word ReLU in their class name, so a ReLU inside
    `ReLUConvBN` counts twice. Labels are not used.
    """
    _need(net, prune_dead=False, per_image=False)
    images, _ = _tensors(net, x, y)
    kernel = np.zeros((len(images), len(images)))
    reached: set[nn.Module] = set()

    def mark(module: nn.Module, *_: object) -> None:
        reached.add(module)

    def count(module: nn.Module, inputs: tuple[Tensor, ...], _: object) -> None:
        if module in reached:
            on = (inputs[0].reshape(len(images), -1) > 0).to(inputs[0].dtype)
            kernel[:] += (on @ on.T).numpy() + ((1 - on) @ (1 - on).T).numpy()

    hooks = []
    for module in _relu_modules(net):
        hooks += [module.register_full_backward_hook(mark), module.register_forward_hook(count)]
    net.zero_grad()
    net(images).sum().backward()
    net(images.clone())
    for hook in hooks:
        hook.remove()
    return float(np.linalg.slogdet(kernel)[1])


# ---------------------------------------------------------------------------------------------
# The best PyTorch we know


def best_xi_gsnr(
    net: TinyNetwork,
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    batch_size: int = 64,
    xi: float = 1e-8,
    accumulate: bool = False,
) -> float:
    """`released_xi_gsnr` on a pruned channels_last network, with Welford's moments in torch."""
    _need(net, prune_dead=True, per_image=False)
    net.zero_grad()
    mean: list[Tensor] = []
    square: list[Tensor] = []  # sum of squared deviations
    for n, (xb, yb) in enumerate(_batches(*_tensors(net, x, y), batch_size), start=1):
        if not accumulate:
            net.zero_grad()
        grads = _grads(net, xb, yb)
        if n == 1:
            mean = [g.clone() for g in grads]
            square = [torch.zeros_like(g) for g in grads]
            continue
        old = torch._foreach_sub(grads, mean)
        torch._foreach_add_(mean, old, alpha=1 / n)
        torch._foreach_addcmul_(square, old, torch._foreach_sub(grads, mean))
    total = 0.0
    for m, s in zip(mean, square, strict=True):
        if s.any():
            total += float((m.square() / (s / n + xi)).sum(dtype=torch.float64))
    return total


def best_gradsign(net: TinyNetwork, x: NDArray[Any], y: NDArray[Any]) -> float:
    """`released_gradsign` in one forward and one backward pass over all images.

    Needs a network built with ``per_image=True``: normalisation over each image's own pixels is
    batch normalisation of a batch of one, and `weight.grad` holds sums of signs.
    """
    _need(net, prune_dead=True, per_image=True)
    images, labels = _tensors(net, x, y)
    net.zero_grad()
    functional.cross_entropy(net(images), labels, reduction="sum").backward()  # type: ignore[no-untyped-call]
    return float(sum(float(w.grad.abs().sum()) for w in _weights(net) if w.grad is not None))


def best_naswot(net: TinyNetwork, x: NDArray[Any], y: NDArray[Any]) -> float:
    """`released_naswot` in one forward pass, each agreement matrix by one product.

    Every ReLU of a full network is reached, by definition through `none` as well, so nothing
    needs marking, and nothing may be pruned. With +-1 for on and off, K = (units + S S') / 2.
    """
    _need(net, prune_dead=False, per_image=False)
    images, _ = _tensors(net, x, y)
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)
    wrapped = {m.relu for m in net.modules() if isinstance(m, ReLUConvBN)}

    def count(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        pixels = inputs[0].permute(0, 2, 3, 1).reshape(len(images), -1)
        sign = torch.where(pixels > 0, 1.0, -1.0)
        kernel.add_(sign.shape[1] + sign @ sign.T, alpha=1.0 if module in wrapped else 0.5)

    hooks = [m.register_forward_pre_hook(count) for m in net.modules() if type(m) is nn.ReLU]
    with torch.no_grad():
        net(images.contiguous(memory_format=torch.channels_last))
    for hook in hooks:
        hook.remove()
    return float(torch.linalg.slogdet(kernel)[1])
