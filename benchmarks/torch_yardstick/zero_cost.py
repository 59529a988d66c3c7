"""Six scores one after another, each as its authors' script runs it on its own.

A script builds a network in NCHW, takes its batch and makes one score, so six scores are six
networks with the same weights and, of the gradient scores on the first batch, three equal passes.

==========  ========================================================================================
xi_gsnr     forward and backward of each batch, gradients copied to NumPy
gradsign    forward and backward of each image alone, all gradients kept
sweet       forward and backward of one batch
snip        the same, of masks of ones that multiply the weights
grad_norm   the same
naswot      forward and backward to mark ReLUs, another forward, two matrix products for each ReLU
            module and, once more, for each wrapper with the word in its name
==========  ========================================================================================

SNIP and GradNorm are those of zero-cost-nas, which scores a fresh copy of one network for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from .network import TinyNetwork, build
from .scores import (
    _tensors,
    grad_norm,
    released_gradsign,
    released_naswot,
    released_xi_gsnr,
    sweet_count,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["RELEASED", "SWEET", "released_score", "released_snip"]

SWEET = {"lo": 1e-4, "hi": 5e-4}  # the interval of the released NAS-Bench-201 script


def released_snip(net: TinyNetwork, x: NDArray[Any], y: NDArray[Any]) -> float:
    """SNIP through the gradient of a mask of ones, to which the weights themselves are constants.

    dL/dm = w dL/d(w m), and m is 1: the sum over weights of |weight gradient|.
    """
    images, labels = _tensors(net, x, y)
    weights = {
        f"{name}.weight": module.weight.detach()
        for name, module in net.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    masks = {name: torch.ones_like(w, requires_grad=True) for name, w in weights.items()}
    masked = {name: w * masks[name] for name, w in weights.items()}
    functional.cross_entropy(functional_call(net, masked, (images,)), labels).backward()
    return float(sum(float(m.grad.abs().sum()) for m in masks.values() if m.grad is not None))


RELEASED: dict[str, Callable[[TinyNetwork, NDArray[Any], NDArray[Any], int], float]] = {
    "xi_gsnr": lambda net, x, y, size: released_xi_gsnr(net, x, y, batch_size=size),
    "gradsign": lambda net, x, y, size: released_gradsign(net, x[:size], y[:size]),
    "sweet": lambda net, x, y, size: sweet_count(net, x[:size], y[:size], **SWEET),
    "snip": lambda net, x, y, size: released_snip(net, x[:size], y[:size]),
    "grad_norm": lambda net, x, y, size: grad_norm(net, x[:size], y[:size]),
    "naswot": lambda net, x, y, size: released_naswot(net, x[:size], y[:size]),
}
"""By name of the score: network, images, labels and batch size to the value."""


def released_score(
    score: str, arch: str, x: NDArray[Any], y: NDArray[Any], *, batch_size: int = 64, seed: int = 0
) -> float:
    """Build the network and score it: all batches of `x` for xi_gsnr, the first for the others.

    >>> import numpy as np
    >>> cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    >>> x = np.random.default_rng(0).standard_normal((2, 3, 32, 32))
    >>> released_score("snip", cell, x, np.array([1, 2]), batch_size=2) > 0
    True
    """
    return RELEASED[score](build(arch, seed), x, y, batch_size)
