"""Pools of workers as lanes: what breaks together when a worker dies.

A lane takes chunks of tasks and gives futures. Threads are one lane. Each process is a lane of its
own, so that it is known whose task killed it. Pools that others made are one lane.
"""

from __future__ import annotations

__all__ = ["Lane", "Lanes", "ThreadLanes", "make_lanes"]

from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Protocol

from zeroshot._core import CancelToken
from zeroshot.experiments.tasks import Chunk, Context, Task, score_chunk


class Lane(Protocol):
    """Workers that break together.

    Attributes
    ----------
    width : int
        Chunks that it works on at a time.
    """

    width: int

    def submit(self, tasks: Sequence[Task]) -> Future[Chunk]:
        """Have the tasks done."""

    def mend(self) -> None:
        """Make it work again after a worker died."""


class Lanes(Protocol):
    """All workers of a run.

    Attributes
    ----------
    lanes : sequence of Lane
    seconds : float
        Of work that a chunk should be.
    """

    lanes: Sequence[Lane]
    seconds: float

    def stop(self) -> None:
        """Have the tasks that are running end soon; finished ones of their chunks come back."""

    def close(self) -> None:
        """Let go of the workers."""


class _PoolLane:
    """A pool of `concurrent.futures` in this process."""

    def __init__(self, pool: Executor, width: int, context: Context) -> None:
        self.width = width
        self._pool, self._context = pool, context

    def submit(self, tasks: Sequence[Task]) -> Future[Chunk]:
        return self._pool.submit(score_chunk, self._context, tasks)

    def mend(self) -> None:
        raise RuntimeError("threads do not die one by one")


class ThreadLanes:
    """Threads of this process; the core releases the GIL, and one architecture runs on one."""

    seconds = 0.2  # nothing is shipped, so that chunks only spare the switch

    def __init__(self, context: Context, workers: int) -> None:
        self._token = CancelToken()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="zeroshot")
        lane = _PoolLane(self._pool, workers, context.with_token(self._token))
        self.lanes: Sequence[Lane] = [lane]

    def stop(self) -> None:
        self._token.cancel()

    def close(self) -> None:
        self._token.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)


def make_lanes(executor: object, context: Context, workers: int) -> Lanes:
    """The workers that `run_experiment` is asked for."""
    if executor is None or executor == "threads":
        return ThreadLanes(context, workers)
    raise ValueError(f"executor: expected threads, processes or dask; got {executor!r}")
