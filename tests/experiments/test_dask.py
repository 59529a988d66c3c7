"""Dask distributed: a cluster of processes on this machine, whose workers are killed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import zeroshot
from zeroshot import Store, run_experiment
from zeroshot.experiments.experiment import Archs

from .common import BAD, OPTIONS, exported, images, make

distributed = pytest.importorskip("distributed", reason="pip install 'zeroshot[dask]'")

ARCHS = Archs([BAD], sample=30, seed=2)

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.timeout(240),
]


def run(path: Path, **options: Any) -> zeroshot.RunSummary:
    return run_experiment(make(ARCHS), path, **{"data": images(), "workers": 2, **options})


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("threads")
    run(folder / "a.sqlite")
    return exported(folder / "a.sqlite", folder)


@pytest.fixture
def client(killers: Any) -> Iterator[Any]:
    """A client of two processes with nannies, which find `killers`."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        yield client


def test_a_client_gives_the_same_bits_and_stays_open(
    client: Any, tmp_path: Path, expected: str
) -> None:
    summary = run(tmp_path / "a.sqlite", executor=client)
    assert (summary.n_computed, summary.n_failed, summary.n_crashed) == (93, 3, 0)
    assert exported(tmp_path / "a.sqlite", tmp_path) == expected
    assert client.submit(int, "3").result() == 3
    plugins = client.run(lambda dask_worker: [name for name in dask_worker.plugins])
    assert not [name for names in plugins.values() for name in names if "zeroshot" in name]


def test_a_worker_killed_in_a_chunk(
    client: Any, tmp_path: Path, hook: Callable[[Any], None], killers: Any, expected: str
) -> None:
    hook(killers.Slow(0.05, tmp_path))

    def kill() -> None:
        while not (pids := list(tmp_path.glob("*.pid"))):
            time.sleep(0.01)
        os.kill(int(pids[0].stem), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    summary = run(tmp_path / "a.sqlite", executor=client)
    killer.join(timeout=30)
    assert not killer.is_alive()
    assert (summary.n_computed, summary.n_crashed, summary.complete) == (93, 0, True)
    assert exported(tmp_path / "a.sqlite", tmp_path) == expected


def test_what_kills_workers_of_our_own_cluster_is_marked(
    tmp_path: Path, hook: Callable[[Any], None], killers: Any, expected: str
) -> None:
    archs = ARCHS.read("nasbench201")
    deadly = {archs[3], archs[17]}
    hook(killers.KillAt(tuple(deadly)))
    path = tmp_path / "a.sqlite"
    summary = run(path, executor="dask")
    assert (summary.n_computed, summary.n_crashed, summary.complete) == (93, 6, True)
    with Store(path) as store:
        table = store.scores()
    for status in table.status.values():
        pairs = zip(table.archs, status, strict=True)
        assert {arch for arch, status in pairs if status == "crashed"} == deadly
    hook(None)
    run(path, retry_failed=True)
    assert exported(path, tmp_path) == expected


def test_a_token_stops_workers_of_a_cluster(client: Any, tmp_path: Path, expected: str) -> None:
    token = zeroshot.CancelToken()
    options = replace(OPTIONS, cancel=token)

    def stop(done: int, total: int) -> None:
        if done:
            token.cancel()

    path = tmp_path / "a.sqlite"
    with pytest.raises(zeroshot.Cancelled):
        run_experiment(
            make(ARCHS, options=options), path, executor=client, data=images(), progress=stop
        )
    with Store(path) as store:
        n_kept = len(store)
    assert 0 < n_kept < 93
    assert run(path, executor=client).n_computed == 93 - n_kept
    assert exported(path, tmp_path) == expected


def test_a_client_that_is_closed_is_told_and_the_rest_kept(
    client: Any, tmp_path: Path, hook: Callable[[Any], None], killers: Any, expected: str
) -> None:
    hook(killers.Slow(0.05, tmp_path))

    def close(done: int, total: int) -> None:
        if done:
            client.close()

    path = tmp_path / "a.sqlite"
    with pytest.raises(RuntimeError, match="the client of Dask was closed or lost its cluster"):
        run(path, executor=client, progress=close)
    with Store(path) as store:
        n_kept = len(store)
    assert 0 < n_kept < 93
    hook(None)
    assert run(path).n_computed == 93 - n_kept
    assert exported(path, tmp_path) == expected


def test_an_asynchronous_client_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with distributed.Client(processes=False, dashboard_address=None,
                                      asynchronous=True) as client:  # fmt: skip
            with pytest.raises(TypeError, match="of Dask distributed that is not asynchronous"):
                run(tmp_path / "a.sqlite", executor=client)

    asyncio.run(main())
