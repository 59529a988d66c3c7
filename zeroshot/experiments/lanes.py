"""Pools of workers as lanes: a lane is what breaks together when a worker dies.

A lane takes chunks of tasks and gives futures. Threads are one lane. Each process is a lane of its
own, so that it is known whose task killed it. A pool that somebody else made is one lane.
"""

from __future__ import annotations

__all__ = ["Lane", "Lanes", "make_lanes"]

import functools
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from zeroshot._core import CancelToken
from zeroshot.experiments.tasks import Chunk, Context, Task, score_chunk

_WATCH_SECONDS = 0.03


class Lane(Protocol):
    """Workers that break together.

    Attributes
    ----------
    deaths : tuple of exception classes
        What futures raise whose worker has died.
    in_order : bool
        Whether it does one chunk at a time, the oldest first.
    """

    deaths: tuple[type[BaseException], ...]
    in_order: bool

    @property
    def width(self) -> int:
        """Chunks that it works on at a time."""

    def submit(self, tasks: Sequence[Task]) -> Future[Chunk]:
        """Have the tasks done."""

    def mend(self) -> None:
        """Make it work again after a worker died; RuntimeError where that is for others to do."""


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


def make_lanes(executor: object, context: Context, workers: int) -> Lanes:
    """The workers that `run_experiment` is asked for."""
    if executor is None or executor == "threads":
        return ThreadLanes(context, workers)
    if executor == "processes":
        return ProcessLanes(context, workers)
    if isinstance(executor, Executor):
        return GivenLanes(executor, context, workers)
    if executor == "dask" or type(executor).__module__.partition(".")[0] == "distributed":
        from zeroshot.experiments.dask_lanes import DaskLanes

        return DaskLanes(None if executor == "dask" else executor, context, workers)
    raise ValueError(
        "executor: expected threads, processes, dask, a pool of concurrent.futures or a client of "
        f"Dask distributed; got {executor!r}"
    )


# --- threads -----------------------------------------------------------------------------------


class ThreadLanes:
    """Threads of this process; the core releases the GIL."""

    seconds = 0.2  # nothing is shipped: chunks only spare the switch
    deaths: tuple[type[BaseException], ...] = ()
    in_order = False

    def __init__(self, context: Context, workers: int) -> None:
        self._token = CancelToken()
        self._context = context.with_token(self._token)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="zeroshot")
        self.width = workers
        self.lanes: Sequence[Lane] = [self]

    def submit(self, tasks: Sequence[Task]) -> Future[Chunk]:
        return self._pool.submit(score_chunk, self._context, tasks)

    def mend(self) -> None:
        raise RuntimeError("threads do not die one by one")

    def stop(self) -> None:
        self._token.cancel()

    def close(self) -> None:
        self.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)


# --- processes ---------------------------------------------------------------------------------

_NO_START = (
    "executor: the worker processes end before they begin; a script that starts them needs "
    "'if __name__ == \"__main__\":' around what it does, as they import it"
)

_mine: list[Context] = []  # of a worker process: its context, set once


class ProcessLanes:
    """Spawned processes, one to a lane; images lie in a file that all of them map.

    They end when the other end of a pipe closes: when the run stops, or its process dies.
    """

    seconds = 1.5

    def __init__(self, context: Context, workers: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="zeroshot-"))
        context.save(self._folder)
        self._spawn = multiprocessing.get_context("spawn")
        self._ear, self._mouth = self._spawn.Pipe(duplex=False)
        self.lanes: Sequence[Lane] = [ProcessLane(self._new_pool) for _ in range(workers)]

    def _new_pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            1, mp_context=self._spawn, initializer=_begin, initargs=(self._folder, self._ear)
        )

    def stop(self) -> None:
        self._mouth.close()

    def close(self) -> None:
        self.stop()
        for lane in self.lanes:
            assert isinstance(lane, ProcessLane)
            lane.close()
        self._ear.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class ProcessLane:
    """A pool of one process."""

    deaths: tuple[type[BaseException], ...] = (BrokenExecutor,)
    in_order = True
    width = 1

    def __init__(self, new_pool: Callable[[], ProcessPoolExecutor]) -> None:
        self._new_pool = new_pool
        self._lived = False
        self._start()

    def _start(self) -> None:
        self._pool = self._new_pool()
        self._alive = self._pool.submit(os.getpid)

    def submit(self, tasks: Sequence[Task]) -> Future[Chunk]:
        return self._pool.submit(_do, tasks)

    def mend(self) -> None:
        self._lived = self._lived or self._alive.exception() is None
        if not self._lived:
            raise RuntimeError(_NO_START)
        self.close()
        self._start()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _begin(folder: Path, ear: Connection) -> None:
    """First thing in a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # is for the run, which then closes the pipe
    token = CancelToken()
    _mine[:] = [Context.load(folder).with_token(token)]

    def listen() -> None:
        with suppress(EOFError, OSError):
            ear.recv()
        token.cancel()
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
        shutil.rmtree(folder, ignore_errors=True)  # which it no longer can
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()


def _do(tasks: Sequence[Task]) -> Chunk:
    return score_chunk(_mine[0], tasks)


# --- any pool ----------------------------------------------------------------------------------


class GivenLanes:
    """A pool of `concurrent.futures` that stays its owner's; its workers read the folder of
    temporary files of this machine, or of the one that all of them share."""

    seconds = 1.5
    deaths: tuple[type[BaseException], ...] = (BrokenExecutor,)
    in_order = False

    def __init__(self, pool: Executor, context: Context, workers: int) -> None:
        self._pool = pool
        self._folder = Path(tempfile.mkdtemp(prefix="zeroshot-"))
        context.save(self._folder)
        self.width = workers
        self.lanes: Sequence[Lane] = [self]
        self._running: set[Future[Chunk]] = set()

    def submit(self, tasks: Sequence[Task]) -> Future[Chunk]:
        future = self._pool.submit(_do_in_folder, self._folder, tasks)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def mend(self) -> None:
        raise RuntimeError(
            "executor: a worker of the pool that was given has died and broken it; what was "
            "finished is in the store. executor='processes' goes on where a worker dies"
        )

    def stop(self) -> None:
        (self._folder / "stop").touch()

    def close(self) -> None:
        self.stop()
        for future in list(self._running):
            future.cancel()
        wait(list(self._running))  # they read the folder
        _load.cache_clear()
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.lru_cache(maxsize=1)
def _load(folder: Path) -> Context:
    return Context.load(folder)


def _do_in_folder(folder: Path, tasks: Sequence[Task]) -> Chunk:
    token, done = CancelToken(), threading.Event()

    def watch() -> None:
        while not done.wait(_WATCH_SECONDS):
            if (folder / "stop").exists():
                token.cancel()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        return score_chunk(_load(folder).with_token(token), tasks)
    finally:
        done.set()
        watcher.join()
