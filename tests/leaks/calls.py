"""Leaks of the C core, run in a process of its own by test_leaks.py: bytes in use after many calls.

glibc's mallinfo2 counts what malloc has handed out and not got back; Python's small objects come
from arenas that are counted as blocks. Both must stand still once the calls are warm, for calls
that succeed, fail early, fail late and are cancelled.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

import numpy as np

import zeroshot
from zeroshot import _core


class MallInfo(ctypes.Structure):
    _fields_ = [
        *((f"unused{i}", ctypes.c_size_t) for i in range(4)),
        ("mapped", ctypes.c_size_t),  # hblkhd
        *((f"unused{i}", ctypes.c_size_t) for i in range(5, 7)),
        ("allocated", ctypes.c_size_t),  # uordblks
        *((f"unused{i}", ctypes.c_size_t) for i in range(8, 10)),
    ]


def in_use() -> tuple[int, int]:
    """Bytes from malloc and from mmap, blocks of Python."""
    gc.collect()
    info = ctypes.CDLL(None).mallinfo2
    info.restype = MallInfo
    now = info()
    return now.allocated + now.mapped, sys.getallocatedblocks()


def calls() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 3, 8, 8)), rng.integers(0, 10, 8)
    small = {"channels": 4, "cells": 1}
    scores = [
        zeroshot.XiGsnr(batch_size=4),
        zeroshot.GradSign(n_samples=4),
        zeroshot.Sweet(batch_size=8),
        zeroshot.scores.Grasp(batch_size=4),
    ]
    zeroshot.score(1462, x, y, scores=scores, **small)
    zeroshot.score(1462, x, y, scores=scores, n_threads=2, init="orthogonal", **small)
    zeroshot.gradients(9, x, y, batch_size=4, **small)
    zeroshot.count(123)
    for bad in ({"max_bytes": 1000}, {"kernels": "none"}, {"weights": {"nothing": x}}):
        with contextlib.suppress(ValueError, MemoryError):
            zeroshot.score(1462, x, y, scores=scores, **small, **bad)
    with contextlib.suppress(zeroshot.ArchitectureError):
        zeroshot.count("|nor_conv_3x3~0|+|none~0|")
    with contextlib.suppress(ValueError):
        zeroshot.score(1462, x, np.full(8, 10), scores=scores, **small)
    token = zeroshot.CancelToken()
    token.cancel()
    with contextlib.suppress(zeroshot.Cancelled):
        zeroshot.score(1462, x, y, scores=scores, cancel=token, **small)
    for k in (3, 30, 60):
        _core._alloc_fail_after(k, False)
        with contextlib.suppress(MemoryError):
            zeroshot.score(1462, x, y, scores=scores, **small)
        _core._alloc_fail_after(-1, False)
    g = zeroshot.Graph((3, 8, 8))
    with contextlib.suppress(ValueError):
        g.conv2d(g.input, 4, 9)
    g.output(g.linear(g.global_avg_pool(g.conv2d(g.input, 4, 3)), 10))
    zeroshot.gradsign(g, x, y, n_samples=4)


def main() -> None:
    for _ in range(10):
        calls()
    growth = []
    for _ in range(15):
        before = in_use()
        for _ in range(20):
            calls()
        after = in_use()
        growth.append((after[0] - before[0], after[1] - before[1]))
    # a leak grows in every round; caches of Python and the C library fill up in the first ones
    print(min(n for n, _ in growth), min(n for _, n in growth))


if __name__ == "__main__":
    main()
