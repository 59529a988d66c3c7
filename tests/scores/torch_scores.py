"""The scores once more, by PyTorch's autograd in float64, from their definitions alone.

Each function takes a `Case` and returns a `Value`: the number, and what the rounding of the
gradients and outputs it is made of may move it by. NaN where the definition has no value. Weights
that count are those of convolutions and linear layers. Torch is imported when it is needed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROUNDING", "Case", "Value"]

Array = NDArray[np.float64]

# A float64 gradient of these small networks, relative to the largest of its tensor: a few hundred
# roundings, grown by the division by a standard deviation in each batch norm.
ROUNDING = 1e-12
K = 1e-5  # of jacob_cov and epe_nas


class Value(NamedTuple):
    value: float
    spread: float = 0.0


@dataclass(frozen=True)
class Case:
    """A network, the images and labels of a score, and directions on its features."""

    net: Any
    x: Array
    y: NDArray[np.int64]
    signs: Sequence[Array] = ()

    def batch(self, start: int = 0, stop: int | None = None) -> tuple[Any, Any]:
        import torch

        return torch.from_numpy(self.x[start:stop]), torch.from_numpy(self.y[start:stop])


# ---- pieces --------------------------------------------------------------------------------------


def layers(net: Any) -> list[Any]:
    from torch import nn

    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def weights(net: Any) -> list[Any]:
    return [m.weight for m in layers(net)]


def pairs(net: Any, found: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Each weight tensor that counts with what was found for it."""
    return [(w.detach(), g.detach()) for w, g in zip(weights(net), found, strict=True)]


def loss(net: Any, x: Any, y: Any) -> Any:
    import torch

    return torch.nn.functional.cross_entropy(net(x), y)


def gradients(case: Case, start: int = 0, stop: int | None = None) -> list[Any]:
    """Of the mean loss of one batch, with respect to the weights that count."""
    import torch

    return list(torch.autograd.grad(loss(case.net, *case.batch(start, stop)), weights(case.net)))


class Call(NamedTuple):
    """A module, what it was given and what it gave."""

    module: Any
    x: Any
    y: Any


def watch(modules: Sequence[Any], run: Callable[[], Any]) -> list[Call]:
    """Calls of the modules while `run` runs, in their order."""
    calls: list[Call] = []
    hooks = [
        m.register_forward_hook(lambda m, given, out: calls.append(Call(m, given[0], out)))
        for m in modules
    ]
    run()
    for hook in hooks:
        hook.remove()
    return calls


def relus(net: Any) -> list[Any]:
    from torch import nn

    return [m for m in net.modules() if isinstance(m, nn.ReLU)]


def patterns(case: Case) -> Any:
    """Which units of all ReLUs are on, (images, units)."""
    import torch

    calls = watch(relus(case.net), lambda: case.net(case.batch()[0]))
    return torch.cat([(call.x > 0).flatten(1) for call in calls], dim=1)


# ---- weights and gradients -----------------------------------------------------------------------


def snip(case: Case) -> Value:
    return Value(float(sum((w * g).abs().sum() for w, g in pairs(case.net, gradients(case)))))


def plain(case: Case) -> Value:
    products = [w * g for w, g in pairs(case.net, gradients(case))]
    size = float(sum(p.abs().sum() for p in products))
    return Value(float(sum(p.sum() for p in products)), ROUNDING * size)


def l2_norm(case: Case) -> Value:
    return Value(float(sum(w.detach().norm() for w in weights(case.net))))


def grad_norm(case: Case, over: Literal["layers", "all"]) -> Value:
    import torch

    if over == "layers":
        return Value(float(sum(g.norm() for g in gradients(case))))
    every = torch.autograd.grad(loss(case.net, *case.batch()), list(case.net.parameters()))
    return Value(float(torch.cat([g.flatten() for g in every]).norm()))


def grasp(case: Case) -> Value:
    """-w . (H g), by differentiating g . dL/dw with g held."""
    import torch

    tensors = weights(case.net)
    first = torch.autograd.grad(loss(case.net, *case.batch()), tensors, create_graph=True)
    inner = sum((g * g.detach()).sum() for g in first)
    second = torch.autograd.grad(inner, tensors)
    products = [w * h for w, h in pairs(case.net, second)]
    size = float(sum(p.abs().sum() for p in products))
    return Value(-float(sum(p.sum() for p in products)), ROUNDING * size)


def fisher(case: Case, per_channel: bool) -> Value:
    import torch

    value: list[Any] = []
    calls = watch(layers(case.net), lambda: value.append(loss(case.net, *case.batch())))
    found = torch.autograd.grad(value[0], [call.y for call in calls])
    total = 0.0
    for (module, _, a), d in zip(calls, found, strict=True):
        per_image = (a * d).flatten(2).sum(2) if a.ndim == 4 else a * d
        channels = per_image.detach().square().mean(0) / 2
        total += float(channels.sum()) * (1 if per_channel else module.weight[0].numel())
    return Value(total)


# ---- one image of ones, absolute parameters ------------------------------------------------------


def _flow(case: Case, bn: Literal["identity", "batch"]) -> list[tuple[Any, Any]]:
    import torch
    from torch import nn

    net = copy.deepcopy(case.net)
    if bn == "identity":
        for module in list(net.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.BatchNorm2d):
                    setattr(module, name, nn.Identity())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    ones = torch.ones((1, *case.x.shape[1:]), dtype=torch.float64)
    return pairs(net, torch.autograd.grad(net(ones).sum(), weights(net)))


def synflow(case: Case, bn: Literal["identity", "batch"] = "identity") -> Value:
    flow = _flow(case, bn)
    return Value(float(sum((w * g).abs().sum() for w, g in flow)), _flow_spread(flow))


def _flow_spread(flow: list[tuple[Any, Any]]) -> float:
    """dR/dw behind a batch norm is a difference: rounding, beside that of other layers."""
    top = max(float(g.abs().max()) for _, g in flow)
    return ROUNDING * top * float(sum(w.sum() for w, _ in flow))


def logsynflow(case: Case) -> Value:
    import torch

    return Value(float(sum((w * torch.log1p(g)).abs().sum() for w, g in _flow(case, "identity"))))


def syncflow(case: Case) -> Value:
    flow = _flow(case, "batch")
    value = -float(sum((w * g).abs().flatten(1).sum(1).mean() for w, g in flow))
    return Value(value, _flow_spread(flow))


# ---- several gradients ---------------------------------------------------------------------------


def zico(case: Case, n_batches: int) -> Value:
    import torch

    size = len(case.x) // n_batches
    rows = [gradients(case, i * size, (i + 1) * size) for i in range(n_batches)]
    total, spread, n_layers = 0.0, 0.0, 0
    for tensor in zip(*rows, strict=True):
        g = torch.stack(tensor).flatten(1)
        some = (g != g[0]).any(0)
        if not some.any():
            continue
        g = g[:, some]
        # from the first row: rows that differ in their last bit have a deviation
        mean, std = g.abs().mean(0), (g - g[0]).std(0, correction=0)
        ratio = mean / std
        off = ROUNDING * float(g.abs().max())
        spread += float((ratio * (off / mean + off / std)).sum() / ratio.sum())
        total += math.log(float(ratio.sum()))
        n_layers += 1
    return Value(total if n_layers else math.nan, spread)


def knas(case: Case, over: Literal["sum", "mean"]) -> Value:
    import torch

    rows = [gradients(case, i, i + 1) for i in range(len(case.x))]
    grams = []
    for tensor in zip(*rows, strict=True):
        g = torch.stack(tensor).flatten(1)
        grams.append(float((g @ g.T).mean()))
    return Value(sum(grams) / (1 if over == "sum" else len(grams)))


# ---- gradients of the logits ---------------------------------------------------------------------


def _jacobian(case: Case) -> Any:
    import torch

    x, _ = case.batch()
    x = x.requires_grad_()
    return torch.autograd.grad(case.net(x).sum(), x)[0].flatten(1)


def jacob_cov(case: Case) -> Value:
    import torch

    corr = torch.corrcoef(_jacobian(case))
    if not corr.isfinite().all():
        return Value(math.nan)
    v = torch.linalg.eigvalsh(corr).clamp(min=0) + K
    slope = (1 / v - 1 / v**2).abs().sum()
    return Value(-float((v.log() + 1 / v).sum()), ROUNDING * len(v) * float(slope))


def epe_nas(case: Case, many: bool) -> Value:
    import torch

    jacobian, (_, y) = _jacobian(case), case.batch()
    scores, spread = [], 0.0
    for c in y.unique():
        rows = jacobian[y == c]
        if many and len(rows) < 2:
            continue
        corr = torch.corrcoef(rows).reshape(len(rows), len(rows)).abs() + K
        if not corr.isfinite().all():
            return Value(math.nan)
        s = float(corr.log().sum()) / (len(rows) if many else 1)
        spread += 10 * ROUNDING * float((1 / corr).sum())
        scores.append(s)
    if many:
        spread *= 2 * len(scores)
        return Value(sum(abs(a - b) for a in scores for b in scores) / len(scores), spread)
    return Value(sum(map(abs, scores)), spread)


def ntk_condition(case: Case) -> Value:
    """Of the Gram matrix of each image's summed logits, over all that is called weight."""
    import torch

    x, _ = case.batch()
    logits = case.net(x).sum(1)
    named = [p for name, p in case.net.named_parameters() if name.endswith("weight")]
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(one, named, retain_graph=True)])
        for one in logits
    ]
    gram = torch.stack(rows) @ torch.stack(rows).T
    values = torch.linalg.eigvalsh(gram)
    low, top = float(values[0]), float(values[-1])
    if low <= len(rows) * np.finfo(float).eps * top:
        return Value(math.nan)
    # every entry is right to some roundings of the largest, and so is the lowest eigenvalue
    return Value(top / low, 2 * len(rows) * ROUNDING * top / low * top / low)


# ---- ReLUs and features --------------------------------------------------------------------------


def naswot(case: Case, which: Literal["all", "reached", "wrappers"]) -> Value:
    import torch

    x, _ = case.batch()
    logits: list[Any] = []
    calls = watch(relus(case.net), lambda: logits.append(case.net(x)))
    reached = torch.autograd.grad(logits[0].sum(), [call.y for call in calls], allow_unused=True)
    wrapped = {m.relu for m in case.net.modules() if type(m).__name__ == "ReLUConvBN"}
    kernel = torch.zeros(len(x), len(x), dtype=torch.float64)
    for call, grad in zip(calls, reached, strict=True):
        if which != "all" and grad is None:
            continue
        on = (call.x > 0).flatten(1).double()
        times = 2 if which == "wrappers" and call.module in wrapped else 1
        kernel += times * (on @ on.T + (1 - on) @ (1 - on).T)
    low = float(torch.linalg.eigvalsh(kernel)[0])
    if low <= len(x) * np.finfo(float).eps * float(kernel.max()) * len(x):
        return Value(math.nan)
    return Value(float(torch.linalg.slogdet(kernel)[1]))


def linear_regions(case: Case) -> Value:
    return Value(float(len(patterns(case).unique(dim=0))))


def swap(case: Case) -> Value:
    return Value(float(len(patterns(case).unique(dim=1).T)))


def zen(case: Case, alpha: float = 0.01) -> Value:
    """The second half of the rows is what the first is moved by."""
    import torch
    from torch import nn

    net = copy.deepcopy(case.net)
    half = len(case.x) // 2
    x, e = case.batch(0, half)[0], case.batch(half)[0]
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for m in norms:
        m.reset_running_stats()
    with torch.no_grad():
        last = [net.head.relu]
        one, two = (watch(last, partial(net, images))[0].y for images in (x, x + alpha * e))
    distance = float((one - two).abs().flatten(1).sum(1).mean())
    value = sum(math.log(math.sqrt(float(m.running_var.mean()))) for m in norms)
    if distance == 0:
        return Value(math.nan)
    rounding = ROUNDING * float(one.abs().flatten(1).sum(1).mean())
    return Value(math.log(distance) + value, rounding / distance)


def meco(case: Case) -> Value:
    import torch
    from torch import nn

    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.AvgPool2d)
    found = [m for m in case.net.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        calls = watch(found, lambda: case.net(case.batch()[0]))
    total = 0.0
    for call in calls:
        corr = torch.corrcoef(call.y[0].flatten(1)).nan_to_num(0.0, 0.0, 0.0)
        total += float(torch.linalg.eigvalsh(corr)[0])
    return Value(total, ROUNDING * sum(len(call.y[0]) for call in calls))


def activations(case: Case, which: Literal["relu", "conv"], lo: float, hi: float) -> Value:
    """Outputs with ``lo <= |y| < hi``; none of these small networks has one on a border."""
    import torch
    from torch import nn

    kind = nn.ReLU if which == "relu" else nn.Conv2d
    found = [m for m in case.net.modules() if isinstance(m, kind)]
    with torch.no_grad():
        calls = watch(found, lambda: case.net(case.batch()[0]))
    sizes = [call.y.abs() for call in calls]
    return Value(float(sum(int(((y >= lo) & (y < hi)).sum()) for y in sizes)))


# ---- AZ-NAS --------------------------------------------------------------------------------------


def _features(case: Case) -> list[Any]:
    """Outputs of the stem, the cells and the residual blocks, joined by the graph."""
    found = [m for name, m in case.net.named_children() if name != "head"]
    return [call.y for call in watch(found, lambda: case.net(case.batch()[0]))]


def _entropies(case: Case) -> list[float]:
    import torch

    found = []
    for f in _features(case):
        columns = f.detach().transpose(0, 1).flatten(1)
        if (columns == columns[:, :1]).all():
            return [math.nan]
        s = torch.linalg.eigvalsh(torch.cov(columns, correction=0))
        p = s / s.sum()
        found.append(-float((p * (p + 1e-8).log()).sum()))
    return found


def az_expressivity(case: Case) -> Value:
    return Value(sum(_entropies(case)))


def az_progressivity(case: Case) -> Value:
    found = _entropies(case)
    if math.isnan(found[0]):
        return Value(math.nan)
    return Value(min(b - a for a, b in pairwise(found)), ROUNDING * max(map(abs, found)))


def az_trainability(case: Case) -> Value:
    import torch

    terms, spread = [], 0.0
    for (before, after), sign in zip(pairwise(_features(case)), case.signs, strict=True):
        g_out = torch.from_numpy(sign)
        (g_in,) = torch.autograd.grad(after, before, g_out, retain_graph=True)
        if g_in.shape == g_out.shape and bool((g_in == g_out).all()):
            return Value(-math.inf)
        if g_in.shape[2:] != g_out.shape[2:]:
            g_in = torch.nn.functional.pixel_unshuffle(g_in, g_in.shape[2] // g_out.shape[2])
        rows = [g.permute(0, 2, 3, 1).flatten(0, 2) for g in (g_in, g_out)]
        s = float(torch.linalg.matrix_norm(rows[0].T @ rows[1] / len(rows[1]), 2))
        spread += ROUNDING * s * (1 + 1 / (s + 1e-6) ** 2)
        terms.append(2 - s - 1 / (s + 1e-6))
    return Value(float(np.mean(terms)), spread / len(terms))
