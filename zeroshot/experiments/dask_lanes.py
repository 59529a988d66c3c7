"""Dask distributed as a lane: many machines, or processes of this one."""

from __future__ import annotations

__all__ = ["DaskLanes"]

import asyncio
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any

from zeroshot._core import CancelToken
from zeroshot.experiments.lanes import Lane
from zeroshot.experiments.tasks import Chunk, Context, Task, score_chunk

try:
    import dask
    from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin, get_worker
    from distributed.comm import CommClosedError
except ImportError:
    raise ImportError("executor: Dask is missing: pip install 'zeroshot[dask]'") from None

_COUNT_SECONDS = 2.0
_GONE = (
    "executor: the client of Dask was closed or lost its cluster; what was finished is in the store"
)
_CANCELLED = (asyncio.CancelledError, CancelledError, CommClosedError)


class _Bring(WorkerPlugin):  # type: ignore[misc]
    """Images and options, on every worker: those that are there, and those that come later."""

    def __init__(self, name: str, context: Context) -> None:
        self.name = name
        self.given = context

    def setup(self, worker: Any) -> None:
        self.token = CancelToken()
        self.context = self.given.with_token(self.token)


class DaskLanes:
    """A client's cluster as one lane; without a client, a cluster of processes of this machine.

    There, a task whose worker dies comes back at once; another cluster has it tried as often as
    its ``distributed.scheduler.allowed-failures`` says, before it comes back.
    """

    seconds = 1.5
    deaths: tuple[type[BaseException], ...] = (KilledWorker,)
    in_order = False

    def __init__(self, client: Any, context: Context, workers: int) -> None:
        self._own: list[Any] = []
        if client is None:
            with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=None,
                )
            client = Client(cluster)
            self._own = [client, cluster]
        elif not isinstance(client, Client) or client.asynchronous:
            raise TypeError(
                "executor: expected a Client of Dask distributed that is not asynchronous, got "
                f"{client!r}"
            )
        self._client = client
        self._name = f"zeroshot-{uuid.uuid4().hex[:12]}"
        client.register_plugin(_Bring(self._name, context.with_token(None)))
        self._width, self._counted = 1, -1e9
        self._stopped = False
        self.lanes: Sequence[Lane] = [self]

    @property
    def width(self) -> int:
        """Threads of all workers, which come and go."""
        if time.monotonic() - self._counted > _COUNT_SECONDS:
            self._width = max(1, sum(self._client.nthreads().values()))
            self._counted = time.monotonic()
        return self._width

    def submit(self, tasks: Sequence[Task]) -> Future[Chunk]:
        # Client.get_executor would do, but its futures never end where a result is lost with its
        # worker and the task then kills the next one (2026.8)
        future: Future[Chunk] = Future()
        future.set_running_or_notify_cancel()
        if self._client.status != "running":
            raise RuntimeError(_GONE)
        remote = self._client.submit(_do, self._name, tasks, pure=False)

        async def follow() -> None:
            try:
                future.set_result(await self._client.gather(remote, asynchronous=True))
            except _CANCELLED as error:  # by no one here
                (gone := RuntimeError(_GONE)).__cause__ = error
                future.set_exception(gone)
            except Exception as error:
                future.set_exception(error)

        asyncio.run_coroutine_threadsafe(follow(), self._client.loop.asyncio_loop)
        return future

    def mend(self) -> None:
        """Nothing to do: nannies start new workers, which the plugin goes to."""

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            with suppress(Exception):  # there may be no cluster any more, which `submit` tells
                self._client.run(_stop, self._name, on_error="ignore", wait=False)

    def close(self) -> None:
        if self._own:
            for one in self._own:
                one.close()
            return
        self.stop()
        with suppress(Exception):
            self._client.unregister_worker_plugin(self._name)


def _do(name: str, tasks: Sequence[Task]) -> Chunk:
    return score_chunk(get_worker().plugins[name].context, tasks)


def _stop(name: str, dask_worker: Any) -> None:
    dask_worker.plugins[name].token.cancel()
