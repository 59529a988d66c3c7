"""What must not break: failing allocations, Ctrl-C, threads, forks, caps, other libraries."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import _core

ARCH = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
RNG = np.random.default_rng(0)
X = RNG.standard_normal((16, 3, 8, 8)).astype(np.float32)
Y = RNG.integers(0, 10, 16)
SMALL: dict[str, Any] = {"channels": 4, "cells": 1}


def small_score(**changes: Any) -> float:
    return zeroshot.xi_gsnr(ARCH, X, Y, batch_size=4, **(SMALL | changes))


def count_allocations(call: Callable[[], object]) -> int:
    _core._alloc_fail_after(-1, False)
    call()
    return _core._alloc_count()


@pytest.mark.parametrize("persistent", [False, True], ids=["once", "for good"])
def test_every_failing_allocation_is_a_memory_error(persistent: bool) -> None:
    """The k-th allocation fails, for every k: MemoryError, and the next call is right."""
    want = small_score()
    n = count_allocations(small_score)
    assert n > 20
    try:
        for k in range(n):
            _core._alloc_fail_after(k, persistent)
            with pytest.raises(MemoryError):
                small_score()
            _core._alloc_fail_after(-1, False)
        assert small_score() == want
    finally:
        _core._alloc_fail_after(-1, False)


def test_failing_allocations_while_building_a_graph() -> None:
    def build() -> object:
        g = zeroshot.Graph((3, 8, 8))
        h = g.relu(g.batch_norm(g.conv2d(g.input, 4, 3)))
        return g.output(g.linear(g.global_avg_pool(g.concat(h, g.identity(h))), 5))

    n = count_allocations(build)
    try:
        for k in range(n):
            _core._alloc_fail_after(k, False)
            with pytest.raises(MemoryError):
                build()
    finally:
        _core._alloc_fail_after(-1, False)
    build()


def test_failures_leak_no_python_objects() -> None:
    """Blocks of Python's allocator after many good and bad calls: no growth once warm."""

    def round_of_calls() -> None:
        for _ in range(40):
            small_score()
            for bad in (
                {"kernels": "sse9"},
                {"init": "zeros"},
                {"max_bytes": 1000},
                {"loss": "hinge"},
            ):
                with contextlib.suppress(ValueError, MemoryError):  # pytest.raises keeps frames
                    small_score(**bad)

    for _ in range(3):
        round_of_calls()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(4):
        round_of_calls()
    gc.collect()
    assert sys.getallocatedblocks() - before < 40  # of 160 good and 640 bad calls


def peak(**options: Any) -> int:
    xi = zeroshot.XiGsnr(batch_size=4)
    return zeroshot.plan(ARCH, scores=xi, n_rows=16, input_size=8, **SMALL, **options).peak_bytes


def test_max_bytes_is_held_before_anything_is_allocated() -> None:
    least = peak(recompute=True)
    assert small_score(max_bytes=least) == small_score()
    with pytest.raises(MemoryError, match="max_bytes"):
        small_score(max_bytes=least - 1)
    with pytest.raises(MemoryError, match="max_bytes"):
        peak(max_bytes=least - 1)


def test_recompute_takes_less_memory_for_the_same_bits() -> None:
    assert peak(recompute=True) < peak()
    assert small_score(recompute=True) == small_score()
    assert small_score(recompute=True, max_bytes=peak() - 1) == small_score()


def test_a_cap_has_made_again_no_more_than_it_must() -> None:
    plain, least = peak(), peak(recompute=True)
    assert peak(max_bytes=plain) == plain
    for cap in (plain - 1, (plain + least) // 2, least):
        assert least <= peak(max_bytes=cap) <= cap
        assert small_score(max_bytes=cap) == small_score()


def test_two_python_threads_give_the_same_bits() -> None:
    want = small_score()
    got: list[float] = []

    def work() -> None:
        for _ in range(10):
            got.append(small_score(n_threads=2))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == [want] * 20


def run_script(script: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PRELUDE = f"""
    import os, sys, signal, threading, time
    import numpy as np
    import zeroshot
    rng = np.random.default_rng(0)
    x = rng.standard_normal((16, 3, 8, 8)).astype(np.float32)
    y = rng.integers(0, 10, 16)
    def small(**k):
        return zeroshot.xi_gsnr({ARCH!r}, x, y, batch_size=4, channels=4, cells=1, **k)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forked_child_works_alone_and_gives_the_same_bits() -> None:
    """OpenMP's threads do not survive a fork: the child must not wait for them."""
    out = run_script(
        PRELUDE
        + """
    want = small(n_threads=3)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if small(n_threads=3) == want else 1)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status))
    """
    )
    assert out.strip() == "0"


def test_spawned_process_and_other_thread_settings_give_the_same_bits() -> None:
    script = PRELUDE + "\n    print(repr(small(n_threads=5)))"
    values = {
        run_script(script, OMP_NUM_THREADS=n, OMP_DYNAMIC=d)
        for n, d in (("1", "false"), ("7", "true"))
    }
    assert values == {repr(small_score()) + "\n"}


def test_ctrl_c_stops_a_long_call_early() -> None:
    """SIGINT a fifth into a call ends it with KeyboardInterrupt before half of it has passed."""
    out = run_script(
        PRELUDE
        + """
    big = rng.standard_normal((512, 3, 32, 32)).astype(np.float32)
    labels = rng.integers(0, 10, 512)
    def long():
        zeroshot.xi_gsnr(1462, big, labels, cells=2, n_threads=1)
    t = time.perf_counter(); long(); whole = time.perf_counter() - t
    threading.Timer(whole / 5, os.kill, (os.getpid(), signal.SIGINT)).start()
    t = time.perf_counter()
    try:
        long()
    except KeyboardInterrupt:
        print("stopped", (time.perf_counter() - t) / whole < 0.5)
    print(small() == small(n_threads=2))
    """
    )
    assert out.split() == ["stopped", "True", "True"]


def test_cancel_token_stops_and_the_next_call_is_right() -> None:
    token = zeroshot.CancelToken()
    token.cancel()
    with pytest.raises(zeroshot.Cancelled):
        zeroshot.score(ARCH, X, Y, scores=[zeroshot.GradSign(n_samples=4)], cancel=token, **SMALL)
    assert small_score() == small_score()


def test_floating_point_state_is_left_alone() -> None:
    tiny = np.float32(1e-40)
    small_score(n_threads=2)
    assert tiny * np.float32(0.5) != 0  # denormals are not flushed
    with np.errstate(all="raise"):
        small_score()


def test_torch_in_the_same_process() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed: no parity check")
    out = run_script(
        PRELUDE
        + """
    want = small(n_threads=2)
    import torch
    torch.nn.Conv2d(3, 8, 3)(torch.randn(4, 3, 16, 16)).sum().backward()
    print(small(n_threads=2) == want)
    """
    )
    assert out.strip() == "True"


def test_signals_reach_python_handlers_during_a_call() -> None:
    seen: list[float] = []
    old = signal.signal(signal.SIGALRM, lambda *_: seen.append(time.perf_counter()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        while not seen:
            small_score()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert seen
