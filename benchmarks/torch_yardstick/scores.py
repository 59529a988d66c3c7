"""Scores in PyTorch, as released and as fast as we know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .network import ReLUConvBN, TinyNetwork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


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
