"""Many architectures: one per thread, results as they finish or in the order given.

Threads are Python's; the core releases the GIL, and inside each architecture it runs serially, so
the bits are those of a call alone. Every worker keeps its memory between architectures.
"""

from __future__ import annotations

__all__ = ["rank", "score_iter", "score_many"]

import math
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from operator import itemgetter
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from numpy.typing import ArrayLike

from zeroshot import _core
from zeroshot.errors import Cancelled
from zeroshot.network import AnyArch, build_network, count_graph
from zeroshot.options import Options, RunOptions, with_options
from zeroshot.results import ScoreResult
from zeroshot.runner import Job, keep_workspace, take_workspace
from zeroshot.scores import ScoreLike

if TYPE_CHECKING:
    from typing_extensions import Unpack

OnError = Literal["record", "raise"]
Progress: TypeAlias = "Literal[True] | Callable[[int, int | None], object] | None"

_IN_FLIGHT = 2  # architectures handed out per worker: one runs, one waits
_AHEAD = 16  # and read per worker, where some need not be scored
_WAKE_SECONDS = 0.1


@with_options
def score_iter(
    archs: Iterable[AnyArch],
    x: ArrayLike,
    y: ArrayLike,
    *,
    scores: ScoreLike | Sequence[ScoreLike] = "xi_gsnr",
    seeds: Sequence[int] | None = None,
    on_error: OnError = "record",
    progress: Progress = None,
    **options: Unpack[RunOptions],
) -> Iterator[tuple[int, ScoreResult]]:
    """Score many architectures and hand out each result as soon as it is there.

    `archs` is read lazily, a few architectures ahead, so it may be endless. With
    ``canonical`` what was scored in this call is not scored again. Leaving the loop early
    stops the work: at once, or, where the caller's own ``cancel`` is in use, after the
    architectures that are being scored. Ctrl-C sets ``cancel``.

    Parameters
    ----------
    archs : iterable
    x, y, scores, seeds
        As for `score`.
    on_error : {"record", "raise"}
        What to do with an architecture that cannot be scored: hand out a result with status
        "failed" and the error's text as its reason, or raise the error.
    progress : None, True or callable
        True draws a bar on standard error (tqdm's, where it is installed); a callable gets the
        number of results so far and in all (None if unknown).
    **options
        See `Options`; ``n_threads`` is the number of architectures at a time.

    Yields
    ------
    (int, ScoreResult)
        Position in `archs`, from 0, and the result.

    Raises
    ------
    Cancelled
        If ``cancel`` was set.
    """
    job = Job.make(x, y, scores, Options(**options), seeds)
    _check_archs(archs, on_error)
    total = len(archs) if isinstance(archs, Sequence) else None
    return _reported(_stream(job, enumerate(archs), total, on_error), total, progress)


@with_options
def score_many(
    archs: Iterable[AnyArch],
    x: ArrayLike,
    y: ArrayLike,
    *,
    scores: ScoreLike | Sequence[ScoreLike] = "xi_gsnr",
    seeds: Sequence[int] | None = None,
    on_error: OnError = "record",
    progress: Progress = None,
    **options: Unpack[RunOptions],
) -> list[ScoreResult]:
    """Score many architectures, the largest first, and return the results in their order.

    Parameters
    ----------
    archs : iterable
    x, y, scores, seeds, on_error, progress, **options
        As for `score_iter`.

    Returns
    -------
    list of ScoreResult
        One per architecture, in input order, bit for bit what `score` gives for it alone. With
        ``canonical`` equal architectures are scored once.

    Raises
    ------
    Cancelled
        If ``cancel`` was set; use `score_iter` to keep what was finished before.

    Examples
    --------
    >>> import numpy as np, zeroshot
    >>> x = np.random.default_rng(0).standard_normal((8, 3, 8, 8))
    >>> y = np.arange(8)
    >>> options = {"scores": zeroshot.XiGsnr(batch_size=4), "channels": 4, "cells": 1}
    >>> [r.status for r in score_many([1462, "|oops|", 0], x, y, **options)]
    ['ok', 'failed', 'ok']
    """
    job = Job.make(x, y, scores, Options(**options), seeds)
    _check_archs(archs, on_error)
    todo = list(archs)
    results: list[ScoreResult | None] = [None] * len(todo)
    order = _longest_first(job, todo)
    feed = ((position, todo[position]) for position in order)
    stream = _stream(job, feed, len(todo), on_error)
    try:
        for position, result in _reported(stream, len(todo), progress):
            results[position] = result
    except KeyboardInterrupt:  # it may have come between two results
        if job.options.cancel is not None:
            job.options.cancel.cancel()
        raise
    finally:
        stream.close()
    return [result for result in results if result is not None]


@with_options
def rank(
    archs: Iterable[AnyArch],
    x: ArrayLike,
    y: ArrayLike,
    *,
    score: ScoreLike = "xi_gsnr",
    seeds: Sequence[int] | None = None,
    on_error: OnError = "record",
    progress: Progress = None,
    **options: Unpack[RunOptions],
) -> list[ScoreResult]:
    """Score many architectures and sort them, best first.

    Parameters
    ----------
    archs : iterable
    x, y, seeds, on_error, progress, **options
        As for `score_iter`.
    score : str or dataclass
        The one score to sort by.

    Returns
    -------
    list of ScoreResult
        Largest value first; equal values in input order; those without a number last.
    """
    results = score_many(
        archs, x, y, scores=score, seeds=seeds, on_error=on_error, progress=progress, **options
    )

    def value(result: ScoreResult) -> float:
        return -math.inf if math.isnan(result.value) else result.value

    return sorted(results, key=value, reverse=True)


def _check_archs(archs: object, on_error: object) -> None:
    if isinstance(archs, str | bytes) or not isinstance(archs, Iterable):
        raise TypeError(
            f"archs: expected an iterable of architectures, got {type(archs).__name__}; "
            "for a single one use score"
        )
    if on_error not in ("record", "raise"):
        raise ValueError(f'on_error: expected "record" or "raise", got {on_error!r}')


def _longest_first(job: Job, archs: Sequence[AnyArch]) -> list[int]:
    """Positions by falling work, so that no worker is left with a large one at the end."""

    def macs(arch: AnyArch) -> int:
        try:
            network = build_network(arch, job.options, job.data.image_shape)
            return count_graph(network.graph).live_macs
        except Exception:  # comes up again where it is recorded
            return 0

    if len(archs) <= 2 or job.options.threads == 1:
        return list(range(len(archs)))
    first: dict[object, int] = {}
    for position, arch in enumerate(archs):
        first.setdefault(job.scored_as(arch) or position, position)
    # those that are scored; then the others, which have a result as soon as theirs is there
    scored = {position: macs(archs[position]) for position in first.values()}
    rest = [position for position in range(len(archs)) if position not in scored]
    return [*sorted(scored, key=scored.__getitem__, reverse=True), *rest]


def _stream(
    job: Job, feed: Iterator[tuple[int, AnyArch]], total: int | None, on_error: OnError
) -> Generator[tuple[int, ScoreResult], None, None]:
    threads = job.options.threads
    workers = threads if total is None else max(1, min(threads, total))
    own = job.options.cancel is None
    token = job.options.cancel or _core.CancelToken()
    job = replace(job, options=replace(job.options, cancel=token))
    for grouping in job.groupings:  # once, before the workers all want them
        job.data.hashes(grouping.size * grouping.n)
    workspaces: SimpleQueue[_core.Workspace] = SimpleQueue()
    for _ in range(workers):
        workspaces.put(take_workspace())

    def task(arch: AnyArch) -> ScoreResult:
        if token.cancelled:
            raise Cancelled("cancelled before it began")
        workspace = workspaces.get()
        try:
            # fewer architectures than threads: they share what is left over
            return job.run(arch, n_threads=threads // workers, workspace=workspace)
        except Cancelled:
            raise
        except Exception as error:
            if on_error == "raise":
                raise
            return job.failed(arch, error)
        finally:
            workspaces.put(workspace)

    known: dict[str, Future[ScoreResult]] = {}  # with canonical: what is scored or was
    pending: dict[Future[ScoreResult], list[tuple[int, AnyArch | None]]] = {}
    waiting = 0
    pool = ThreadPoolExecutor(workers, thread_name_prefix="zeroshot")
    try:
        while True:
            while len(pending) < _IN_FLIGHT * workers and waiting < _AHEAD * workers:
                item = next(feed, None)
                if item is None:
                    break
                position, arch = item
                waiting += 1
                scored = job.scored_as(arch)
                if scored is None:
                    pending[pool.submit(task, arch)] = [(position, None)]
                    continue
                if scored not in known:
                    known[scored] = pool.submit(task, scored)
                pending.setdefault(known[scored], []).append((position, arch))
            if not pending:
                return
            # a signal that comes just before the wait is seen when it ends
            done, _ = wait(pending, timeout=_WAKE_SECONDS, return_when=FIRST_COMPLETED)
            ready = [(*item, future) for future in done for item in pending.pop(future)]
            waiting -= len(ready)
            for position, member, future in sorted(ready, key=itemgetter(0)):
                result = future.result()
                yield position, result if member is None else job.of_member(member, result)
    except KeyboardInterrupt:
        token.cancel()
        raise
    except BaseException:  # the loop was left, or an architecture failed
        if own:
            token.cancel()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        while not workspaces.empty():
            keep_workspace(workspaces.get())


def _reported(
    stream: Generator[tuple[int, ScoreResult], None, None], total: int | None, progress: Progress
) -> Iterator[tuple[int, ScoreResult]]:
    if progress is None:
        return stream
    if progress is True:
        return _with_bar(stream, total)
    if not callable(progress):
        raise TypeError(f"progress: expected None, True or a callable, got {progress!r}")
    return _with_callable(stream, total, progress)


def _with_callable(
    stream: Generator[tuple[int, ScoreResult], None, None],
    total: int | None,
    tell: Callable[[int, int | None], object],
) -> Iterator[tuple[int, ScoreResult]]:
    try:
        for done, item in enumerate(stream, start=1):
            tell(done, total)
            yield item
    finally:
        stream.close()


def _with_bar(
    stream: Generator[tuple[int, ScoreResult], None, None], total: int | None
) -> Iterator[tuple[int, ScoreResult]]:
    try:
        from tqdm.auto import tqdm
    except ImportError:  # a plain line does as well
        of = "" if total is None else f"/{total}"

        def tell(done: int, total: int | None) -> None:
            end = "\n" if done == total else ""
            print(f"\rscored {done}{of}", end=end, file=sys.stderr, flush=True)

        yield from _with_callable(stream, total, tell)
        return
    bar: Any = tqdm(total=total, unit="arch")
    try:
        yield from _with_callable(stream, total, lambda done, total: bar.update())
    finally:
        bar.close()
