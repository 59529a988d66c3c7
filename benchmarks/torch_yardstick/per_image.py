"""One pass for all images, each with its own batch statistics and its own weight gradient.

These layers do not return the gradient of a weight but the sum over images of its sign.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


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
