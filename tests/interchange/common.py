"""Comparisons that the tests of both ways in and out share."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

import zeroshot

RTOL = 1e-9  # float64 on both sides, other orders of summation


def batch(shape: tuple[int, ...], classes: int, n: int = 4) -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    return rng.standard_normal((n, *shape)), rng.integers(0, classes, n)


def exact(module: Any) -> Any:
    """A copy that shares the parameters; PyTorch's own hard swish and hard sigmoid take 1/6 in
    float32, in float64 too."""
    import torch

    class Exact(torch.nn.Module):
        def __init__(self, is_swish: bool) -> None:
            super().__init__()
            self.is_swish = is_swish

        def forward(self, x: Any) -> Any:
            gate = torch.clamp(x + 3, 0, 6) / 6
            return x * gate if self.is_swish else gate

    memo = {id(p): p for p in module.parameters()}
    module = copy.deepcopy(module, memo)
    for part in list(module.modules()):
        for name, child in part.named_children():
            if isinstance(child, torch.nn.Hardswish | torch.nn.Hardsigmoid):
                setattr(part, name, Exact(isinstance(child, torch.nn.Hardswish)))
    return module


def torch_gradients(module: Any, x: Any, y: Any) -> tuple[Any, dict[str, Any]]:
    """Logits and gradients of the mean cross-entropy, by the module's names."""
    import torch

    logits = module(torch.tensor(x))
    torch.nn.functional.cross_entropy(logits, torch.tensor(y)).backward()
    found = {
        name: np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        for name, p in module.named_parameters()
    }
    return logits.detach().numpy(), found


def our_gradients(arch: Any, weights: Mapping[str, Any], x: Any, y: Any, **options: Any) -> Any:
    return zeroshot.gradients(
        arch, x, y, batch_size=len(x), all_params=True, weights=weights, dtype="float64", **options
    )


def our_name(module: Any, name: str) -> str:
    """What a parameter of a PyTorch module is called here."""

    owner, _, leaf = name.rpartition(".")
    if "Norm" in type(module.get_submodule(owner)).__name__:
        leaf = {"weight": "gamma", "bias": "beta"}[leaf]
    return f"{owner}.{leaf}"


def assert_same(got: Any, want: Any, name: str, scale: float | None = None) -> None:
    """Relative to the largest element; `scale` is that of the noise where all should be zero."""
    atol = RTOL * float(np.abs(want).max()) + (0.0 if scale is None else 1e-13 * scale)
    np.testing.assert_allclose(got, want, rtol=0, atol=atol, err_msg=name)


def assert_same_gradients(got: Mapping[str, Any], want: Mapping[str, Any]) -> None:
    assert set(got) == set(want)
    largest = max(float(np.abs(g).max()) for g in want.values())
    for name, g in want.items():
        assert_same(got[name], g, name, largest)


def assert_is_module(graph: Any, weights: Mapping[str, Any], module: Any, n: int = 4) -> None:
    """Logits and all gradients are those of the module, which is float64 and in training mode."""
    x, y = batch(graph.core.input_shape, graph.core.num_classes, n)
    logits, gradients = torch_gradients(exact(module), x, y)
    ours = our_gradients(graph, weights, x, y)
    assert_same(ours.logits, logits, "logits")
    assert_same_gradients(
        {name: g[0] for name, g in ours.gradients.items()},
        {our_name(module, name): g for name, g in gradients.items()},
    )
