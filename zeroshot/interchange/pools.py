"""Windows of an `Assembler`: pooling, strides, and the padding that waits for them."""

from __future__ import annotations

__all__ = ["Pools"]

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zeroshot.graph import Handle
from zeroshot.interchange.builder import Builder
from zeroshot.interchange.values import NO_PADS, Pads, Unsupported, Value, letters_of
from zeroshot.interchange.windows import place_windows, window_count


class Pools(Builder):
    """A builder that knows windows."""

    def _image_of(self, x: Value) -> Value:
        if not x.is_image:
            raise Unsupported(f"expected (batch, channels, height, width), got {x.sizes}")
        return x if x.curve is None else self._plain(x)

    def _windows(
        self,
        x: Value,
        span: tuple[int, int],
        stride: tuple[int, int],
        pads: Pads,
        name: str,
    ) -> tuple[Handle, tuple[int, int], int]:
        """Input, even padding, and the shifts that have to follow."""
        x = self._image_of(x)
        if any(p < 0 < q for p, q in zip(x.pads, pads, strict=True)):
            x = self._plain(x)  # cut first, then pad
        total = tuple(p + q for p, q in zip(x.pads, pads, strict=True))
        size = (x.base.shape[1], x.base.shape[2])
        placing = place_windows(size, span, stride, total)  # type: ignore[arg-type]
        if placing is None:
            raise Unsupported(
                f"padding (top, left, bottom, right) = {total} of {size[0]} x {size[1]} pixels "
                f"with windows of {span} and stride {stride} has no counterpart with even padding"
            )
        handle = x.base
        for _ in range(placing.before):
            handle = self._op("shift", handle, name=f"{name}.before")
        return handle, placing.padding, placing.after

    def _shifted(self, handle: Handle, count: int, name: str) -> Value:
        for _ in range(count):
            handle = self._op("shift", handle, name=f"{name}.after")
        return self._value(handle, ("c", "h", "w"))

    def _hanging(
        self, x: Value, kernel: tuple[int, int], stride: tuple[int, int], pads: Pads, *, ceil: bool
    ) -> Pads:
        """`pads` with as much more at the end as a last window that hangs over it has."""
        if not ceil:
            return pads
        sizes, ends = self._image_of(x).sizes[1:], []
        for i in (0, 1):
            count = window_count(sizes[i], kernel[i], stride[i], pads[i], pads[i + 2])
            reach = (count - 1) * stride[i] + kernel[i] - sizes[i] - pads[i]
            ends.append(max(reach, pads[i + 2]))
        return pads[0], pads[1], ends[0], ends[1]

    def max_pool(
        self,
        x: Value,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        pads: Pads,
        *,
        ceil: bool = False,
        name: str,
    ) -> Value:
        if max(x.pads) > 0 and x.fill != -np.inf:
            raise Unsupported(f"reads padding of {x.fill}; its own would be minus infinity")
        pads = self._hanging(x, kernel, stride, pads, ceil=ceil)
        handle, padding, after = self._windows(x, kernel, stride, pads, name)
        if _is_wide(padding, kernel):  # every window, then those that are wanted
            y = self.max_pool(x, kernel, (1, 1), pads, name=f"{name}.all")
            return self.stride(y, stride, name)
        out = self._op("max_pool", handle, kernel, stride=stride, padding=padding, name=name)
        return self._shifted(out, after, name)

    def avg_pool(
        self,
        x: Value,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        pads: Pads,
        *,
        include_pad: bool,
        ceil: bool = False,
        name: str,
    ) -> Value:
        if max(x.pads) > 0:  # zeros that an op of its own has put there count as pixels
            if x.fill != 0.0 or (any(pads) and not include_pad):
                raise Unsupported("averages over two kinds of padding")
            include_pad = True
        own = pads
        pads = self._hanging(x, kernel, stride, pads, ceil=ceil)
        if pads != own and include_pad:  # a window counts what it has of the padding
            if any(own) or any(x.pads):
                raise Unsupported("rounds up with padding that counts")
            include_pad = False
        handle, padding, after = self._windows(x, kernel, stride, pads, name)
        if _is_wide(padding, kernel):
            y = self.avg_pool(x, kernel, (1, 1), pads, include_pad=include_pad, name=f"{name}.all")
            return self.stride(y, stride, name)
        out = self._op(
            "avg_pool", handle, kernel, stride=stride, padding=padding,
            count_include_pad=include_pad and any(padding), name=name,
        )  # fmt: skip
        return self._shifted(out, after, name)

    def adaptive_avg_pool(self, x: Value, size: tuple[int | None, int | None], name: str) -> Value:
        x = self._plain(self._image_of(x))
        height, width = x.base.shape[1:]
        out = (height if size[0] is None else size[0], width if size[1] is None else size[1])
        if out == (1, 1):
            return self.mean(x, (1, 2), keep=True, name=name)
        if out == (height, width):
            return x
        if height % out[0] or width % out[1]:
            raise Unsupported(f"makes {out} of {height} x {width} pixels in uneven windows")
        kernel = (height // out[0], width // out[1])
        return self.avg_pool(x, kernel, kernel, NO_PADS, include_pad=False, name=name)

    def mean(self, x: Value, axes: Sequence[int], *, keep: bool, name: str) -> Value:
        """Over axes counted after the batch: all pixels."""
        over = "".join(x.groups[i] for i in axes)
        if sorted(over) != sorted(letters_of(x.base, "hw")):
            raise Unsupported("is a mean over other axes than height and width together")
        left = [("" if i in axes else g) for i, g in enumerate(x.groups) if keep or i not in axes]
        if not over and x.base.shape[1:] == (1, 1):
            return replace(self._plain(x), groups=tuple(left))
        return self._value(self._op("global_avg_pool", self.force(x), name=name), left)

    def stride(self, x: Value, steps: tuple[int, int], name: str) -> Value:
        """``x[:, :, ::steps[0], ::steps[1]]``, by windows of one pixel."""
        return self.avg_pool(x, (1, 1), steps, NO_PADS, include_pad=False, name=name)

    def pad(self, x: Value, pads: Pads, channels: tuple[int, int], fill: float, name: str) -> Value:
        """Pixels wait for the window that reads them; channels of zeros are made at once."""
        x = self._image_of(x)
        if any(channels):
            if fill != 0.0 or min(channels) < 0:
                raise Unsupported(f"pads channels with {fill}")
            x = self._pad_channels(x, channels, name)
        if not any(pads):
            return x
        if fill not in (0.0, -np.inf) or (any(x.pads) and fill != x.fill):
            raise Unsupported(f"pads with {fill}")
        if any(p < 0 < q for p, q in zip(x.pads, pads, strict=True)):
            x = self._plain(x)  # cut first, then pad
        total = tuple(p + q for p, q in zip(x.pads, pads, strict=True))
        return replace(x, pads=total, fill=fill, done=[])  # type: ignore[arg-type]

    def _pad_channels(self, x: Value, channels: tuple[int, int], name: str) -> Value:
        x = self._plain(x)
        parts = []
        for count, at in ((channels[0], 0), (0, 1), (channels[1], 2)):
            if at == 1:
                parts.append(x.base)
            while count > 0:
                n = min(count, x.base.shape[0])
                cut = self._op("slice_channels", x.base, n, name=f"{name}.slice")
                parts.append(self._op("zero", cut, name=f"{name}.zero"))
                count -= n
        return self._value(self._op("concat", *parts, name=name), x.groups)


def _is_wide(padding: tuple[int, int], kernel: tuple[int, int]) -> bool:
    """Whether a pooling may not have that much: half its window is the most."""
    return any(2 * p > k for p, k in zip(padding, kernel, strict=True))
