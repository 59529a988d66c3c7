"""Many architectures: order, laziness, failures, stopping, and the bits of a call alone."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import ArchitectureError, GradSign, XiGsnr, runner

X = np.random.default_rng(0).standard_normal((8, 3, 8, 8), dtype=np.float32)
Y = np.arange(8)
NO_PATH = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
ARCHS: list[Any] = [9, 1462, NO_PATH, 0, (3, 3, 3, 3, 3, 3), 123, 5000]
TINY: dict[str, Any] = {"channels": 4, "cells": 1}
SCORES = [XiGsnr(batch_size=4), GradSign(n_samples=3)]


def bits(result: zeroshot.ScoreResult) -> Any:
    return result.arch, {label: (s.value, s.layers, s.keys) for label, s in result.scores.items()}


@pytest.mark.parametrize("n_threads", [1, 2, 3, 16])
def test_results_come_in_input_order_with_the_bits_of_a_call_alone(n_threads: int) -> None:
    options: dict[str, Any] = {"scores": SCORES, **TINY}
    many = zeroshot.score_many(ARCHS, X, Y, n_threads=n_threads, **options)
    alone = [zeroshot.score(arch, X, Y, n_threads=1, **options) for arch in ARCHS]
    assert [bits(r) for r in many] == [bits(r) for r in alone]


def test_iter_hands_out_every_position_once() -> None:
    stream = zeroshot.score_iter(iter(ARCHS), X, Y, scores=SCORES, n_threads=3, **TINY)
    found = dict(stream)
    many = zeroshot.score_many(ARCHS, X, Y, scores=SCORES, **TINY)
    assert [bits(found[i]) for i in range(len(ARCHS))] == [bits(r) for r in many]


def test_nothing_to_score_is_an_empty_list() -> None:
    assert zeroshot.score_many([], X, Y, scores=SCORES, **TINY) == []
    assert list(zeroshot.score_iter(iter(()), X, Y, scores=SCORES, **TINY)) == []


def test_seeds_are_all_in_one_result() -> None:
    one, other = zeroshot.score_many(ARCHS[:2], X, Y, scores=SCORES, seeds=[3, 4], **TINY)
    want = zeroshot.score(ARCHS[1], X, Y, scores=SCORES, seeds=[3, 4], **TINY)
    assert (bits(other), one.seeds) == (bits(want), (3, 4))


def test_iter_reads_only_a_few_architectures_ahead() -> None:
    drawn = 0

    def endless() -> Iterator[int]:
        nonlocal drawn
        for arch in itertools.cycle(range(100)):
            drawn += 1
            yield arch

    stream = zeroshot.score_iter(endless(), X, Y, scores=SCORES, n_threads=2, **TINY)
    assert drawn == 0
    for seen, (_position, result) in enumerate(stream, start=1):
        assert result.status in ("ok", "no_signal")
        assert drawn <= seen + 4  # two per thread in flight
        if seen == 10:
            break


def test_arguments_are_checked_before_the_first_result() -> None:
    with pytest.raises(TypeError, match="y: expected integer"):
        zeroshot.score_iter(ARCHS, X, Y / 2, scores=SCORES, **TINY)
    for archs in ("|none~0|", 5):
        with pytest.raises(TypeError, match="archs: expected an iterable"):
            zeroshot.score_iter(archs, X, Y, scores=SCORES, **TINY)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_error: expected"):
        zeroshot.score_many(ARCHS, X, Y, scores=SCORES, on_error="skip", **TINY)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="progress: expected None, True"):
        zeroshot.score_many(ARCHS, X, Y, scores=SCORES, progress=1, **TINY)  # type: ignore[arg-type]


# ---- failures ------------------------------------------------------------------------------------


def test_failed_architecture_is_recorded() -> None:
    archs: list[Any] = [9, "|oops|", None, 0]
    good, bad, none, after = zeroshot.score_many(archs, X, Y, scores=SCORES, **TINY)
    assert [r.status for r in (good, bad, none, after)] == ["ok", "failed", "failed", "ok"]
    assert bad.reason is not None and bad.reason.startswith("ArchitectureError: ")
    assert none.reason is not None and none.reason.startswith("TypeError: ")
    assert (bad.arch, none.arch) == ("|oops|", "None")
    assert all(np.isnan(value) for value in bad.values.values())
    assert set(bad.values) == set(good.values)


def test_failed_architecture_is_raised_on_request() -> None:
    with pytest.raises(ArchitectureError):
        zeroshot.score_many([9, "|oops|", 0], X, Y, scores=SCORES, on_error="raise", **TINY)


def test_memory_cap_fails_the_large_ones_only() -> None:
    small, large = 0, (3, 3, 3, 3, 3, 3)
    peak = zeroshot.score(small, X, Y, scores=SCORES, **TINY).peak_bytes
    results = zeroshot.score_many([large, small], X, Y, scores=SCORES, max_bytes=peak, **TINY)
    assert [r.status for r in results] == ["failed", "ok"]
    assert results[0].reason is not None and "max_bytes" in results[0].reason


# ---- stopping ------------------------------------------------------------------------------------


def test_cancelled_token_stops_an_endless_job() -> None:
    token = zeroshot.CancelToken()
    stream = zeroshot.score_iter(
        itertools.count(), X, Y, scores=SCORES, cancel=token, n_threads=2, **TINY
    )
    next(stream)
    token.cancel()
    with pytest.raises(zeroshot.Cancelled):
        list(itertools.islice(stream, 15625))


def test_leaving_the_loop_leaves_the_callers_token_alone() -> None:
    token = zeroshot.CancelToken()
    for _ in zeroshot.score_iter(itertools.count(), X, Y, scores=SCORES, cancel=token, **TINY):
        break
    assert not token.cancelled
    assert not [t for t in threading.enumerate() if t.name.startswith("zeroshot")]


@pytest.mark.parametrize("own_token", [False, True])
def test_ctrl_c_stops_and_is_raised(own_token: bool) -> None:
    """The images are large enough that one architecture would outlast the test's limit."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4096, 3, 32, 32), dtype=np.float32), rng.integers(0, 10, 4096)
    token = zeroshot.CancelToken()
    options: dict[str, Any] = {"cancel": token} if own_token else {}
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            zeroshot.score_many([1462] * 64, x, y, scores="xi_gsnr", n_threads=2, **options)
    finally:
        timer.cancel()
    assert token.cancelled == own_token
    assert not [t for t in threading.enumerate() if t.name.startswith("zeroshot")]


# ---- progress ------------------------------------------------------------------------------------


def test_progress_is_told_after_every_result() -> None:
    told: list[tuple[int, int | None]] = []
    zeroshot.score_many(ARCHS, X, Y, scores=SCORES, progress=lambda *now: told.append(now), **TINY)
    assert told == [(i + 1, len(ARCHS)) for i in range(len(ARCHS))]
    told.clear()
    stream = zeroshot.score_iter(
        iter(ARCHS), X, Y, scores=SCORES, progress=lambda *now: told.append(now), **TINY
    )
    assert len(list(stream)) == len(ARCHS)
    assert told == [(i + 1, None) for i in range(len(ARCHS))]


def test_progress_bar_does_without_tqdm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    zeroshot.score_many(ARCHS, X, Y, scores=SCORES, progress=True, **TINY)
    assert capsys.readouterr().err.endswith(f"scored {len(ARCHS)}/{len(ARCHS)}\n")


# ---- ranking -------------------------------------------------------------------------------------


def test_rank_sorts_best_first_and_failures_last() -> None:
    ranked = zeroshot.rank([*ARCHS, "|oops|"], X, Y, score=GradSign(n_samples=3), **TINY)
    values = [r.value for r in ranked]
    assert values[:-1] == sorted(values[:-1], reverse=True)
    assert (ranked[-1].status, ranked[-2].status) == ("failed", "no_signal")
    assert len(ranked) == len(ARCHS) + 1


def test_memory_is_kept_for_the_next_call_and_freed_on_request() -> None:
    zeroshot.free_memory()
    zeroshot.score_many(ARCHS[:2], X, Y, scores=SCORES, n_threads=2, **TINY)
    kept = sorted(workspace.capacity for workspace in runner._free)
    assert len(kept) == 2 and kept[0] > 0
    zeroshot.score(ARCHS[0], X, Y, scores=SCORES, **TINY)
    assert sorted(workspace.capacity for workspace in runner._free) == kept
    zeroshot.free_memory()
    assert not runner._free


def test_no_more_memory_is_kept_than_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    zeroshot.free_memory()
    monkeypatch.setattr(runner, "_KEPT_BYTES", 1)
    zeroshot.score(ARCHS[0], X, Y, scores=SCORES, **TINY)
    assert not runner._free
