"""The module that `zeroshot.to_torch_source` writes, and what a careful user makes of it.

`trim` does to the source of any space what `cells` and `network` do to theirs by hand: it leaves
out what no image reaches or what does not reach the logits, and makes one ReLU and one pooling of
a node, however many edges read it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

__all__ = ["add_noise", "compile_network", "gradients", "trim"]


def _names(value: ast.AST) -> set[str]:
    """Variables of `forward` that an expression reads."""
    names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    return names - {"self", "torch", "F", "matmul"}


def _is_zero(value: ast.AST) -> bool:
    """A node or a slice of one times 0.0, which is how ``none`` is written."""
    return (
        isinstance(value, ast.BinOp)
        and isinstance(value.op, ast.Mult)
        and isinstance(value.right, ast.Constant)
        and value.right.value == 0.0
    )


class _Sums(ast.NodeTransformer):
    """Takes terms that are cut off out of sums, and gives equal expressions one name."""

    def __init__(self, cut: set[str], same: dict[str, str]) -> None:
        self.cut, self.same = cut, same

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if isinstance(node.op, ast.Add):
            for gone, kept in ((node.left, node.right), (node.right, node.left)):
                if _names(gone) and _names(gone) <= self.cut:
                    return self.visit(kept)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.same.get(node.id, node.id), node.ctx)


def trim(source: str) -> str:
    """The source without dead and without doubled operations; layers keep their names."""
    tree = ast.parse(source)
    (network,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    forward = next(
        f for f in network.body if isinstance(f, ast.FunctionDef) and f.name != "__init__"
    )
    *lines, last = forward.body
    cut: set[str] = set()
    same: dict[str, str] = {}
    made: dict[str, str] = {}
    for line in lines:
        assert isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
        name, read = line.targets[0].id, _names(line.value)
        if _is_zero(line.value) or read <= cut:
            cut.add(name)
            continue
        line.value = _Sums(cut, same).visit(line.value)
        if isinstance(line.value, ast.Name):
            same[name] = line.value.id
        elif "self" not in ast.unparse(line.value):
            same[name] = made.setdefault(ast.dump(line.value), name)
    last = _Sums(set(), same).visit(last)
    wanted, kept = _names(last), [last]
    for line in reversed(lines):
        assert isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
        if line.targets[0].id in wanted:
            kept.append(line)
            wanted |= _names(line.value)
    forward.body = kept[::-1]
    used = {n.attr for line in kept for n in ast.walk(line) if isinstance(n, ast.Attribute)}
    start = next(f for f in network.body if isinstance(f, ast.FunctionDef) and f.name == "__init__")
    start.body = [
        line
        for line in start.body
        if not (isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Attribute))
        or line.targets[0].attr in used
    ]
    return ast.unparse(ast.fix_missing_locations(tree))


def compile_network(source: str) -> type[nn.Module]:
    """The class of a source."""
    space: dict[str, Any] = {"__name__": "exported"}
    exec(compile(source, "<exported network>", "exec"), space)
    network: type[nn.Module] = space["Network"]
    return network


def gradients(net: nn.Module, x: Any, y: Any) -> dict[str, NDArray[np.float64]]:
    """Of the mean cross-entropy of a batch by all parameters that it depends on."""
    weight = next(net.parameters())
    net.zero_grad()
    logits = net(torch.as_tensor(x, dtype=weight.dtype))
    functional.cross_entropy(logits, torch.as_tensor(y)).backward()  # type: ignore[no-untyped-call]
    zero = torch.zeros(())
    return {
        name: (zero.expand_as(p) if p.grad is None else p.grad).double().numpy().copy()
        for name, p in net.named_parameters()
    }


def add_noise(layers: Iterable[nn.Module], times_f4: float) -> list[Any]:
    """Let each layer put out what float32 might: sqrt(terms) 2^-24 of its root mean square.

    3x3 convolutions that Winograd's algorithm may compute have `times_f4` as much. Returns the
    hooks, whose `remove` ends it.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(layer: nn.Module, _: object, out: torch.Tensor) -> torch.Tensor:
        weight = layer.get_parameter("weight")
        size = weight[0].numel() ** 0.5 * 2.0**-24
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) and layer.groups == 1:
            size *= times_f4
        with torch.no_grad():
            size *= float(out.square().mean().sqrt())
        return out + size * torch.randn(out.shape, generator=generator, dtype=out.dtype)

    return [layer.register_forward_hook(noise) for layer in layers]
