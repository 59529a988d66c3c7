"""Worker processes: the same bits, and what dies is done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import zeroshot
from zeroshot import Store, run_experiment
from zeroshot.experiments.experiment import Archs
from zeroshot.experiments.lanes import ProcessLane

from .common import BAD, exported, images, make

ARCHS = Archs([BAD], sample=30, seed=2)


def run(path: Path, experiment: Any = None, **options: Any) -> zeroshot.RunSummary:
    return run_experiment(
        experiment or make(ARCHS), path, **{"data": images(), "workers": 2, **options}
    )


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What threads make of it."""
    folder = tmp_path_factory.mktemp("threads")
    run(folder / "a.sqlite")
    return exported(folder / "a.sqlite", folder)


def test_processes_give_the_same_bits(tmp_path: Path, expected: str) -> None:
    summary = run(tmp_path / "a.sqlite", executor="processes")
    assert (summary.n_computed, summary.n_failed, summary.n_crashed) == (93, 3, 0)
    assert exported(tmp_path / "a.sqlite", tmp_path) == expected


def test_a_given_pool_gives_the_same_bits_and_stays_open(tmp_path: Path, expected: str) -> None:
    for name, pool in (
        ("threads", ThreadPoolExecutor(2)),
        ("processes", ProcessPoolExecutor(2, mp_context=get_context("spawn"))),
    ):
        with pool:
            run(tmp_path / f"{name}.sqlite", executor=pool)
            assert exported(tmp_path / f"{name}.sqlite", tmp_path) == expected
            assert pool.submit(os.getpid).result() > 0


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_workers_do_not_keep_the_store(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        run(tmp_path / "a.sqlite", executor=pool)
        assert run(tmp_path / "a.sqlite").n_found == 93  # while they live


class Odd(ThreadPoolExecutor):
    """The first chunk fails as none should, once the second is done."""

    def submit(self, function: Any, /, *args: Any, **named: Any) -> Future[Any]:
        if not hasattr(self, "first"):
            self.first: Future[Any] = Future()
            return self.first
        second = super().submit(function, *args, **named)
        second.add_done_callback(lambda _: self.first.done() or self.first.set_exception(OSError()))
        return second


def test_what_else_is_finished_is_kept_where_a_pool_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with Odd(1) as pool, pytest.raises(OSError):
        run(path, executor=pool)
    with Store(path) as store:
        assert len(store) >= 3


def test_a_broken_pool_that_was_given_is_told_and_the_rest_kept(
    tmp_path: Path, hook: Callable[[Any], None], killers: Any, expected: str
) -> None:
    archs = ARCHS.read("nasbench201")
    hook(killers.KillAt(archs[-1:]))
    path = tmp_path / "a.sqlite"
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(RuntimeError, match="a worker of the pool that was given has died"),
    ):
        run(path, executor=pool)
    hook(None)
    assert run(path).complete
    assert exported(path, tmp_path) == expected


def test_what_a_killed_worker_had_is_computed_again(
    tmp_path: Path, hook: Callable[[Any], None], killers: Any, expected: str
) -> None:
    archs = ARCHS.read("nasbench201")
    hook(killers.KillAt((archs[5], archs[20]), once=tmp_path / "killed"))
    summary = run(tmp_path / "a.sqlite", executor="processes")
    assert (tmp_path / "killed").exists()
    assert (summary.n_computed, summary.n_crashed, summary.complete) == (93, 0, True)
    assert exported(tmp_path / "a.sqlite", tmp_path) == expected


def test_what_kills_its_workers_is_marked_and_passed_over(
    tmp_path: Path, hook: Callable[[Any], None], killers: Any, expected: str
) -> None:
    archs = ARCHS.read("nasbench201")
    deadly = {archs[3], archs[4], archs[30]}
    hook(killers.KillAt(tuple(deadly)))
    path = tmp_path / "a.sqlite"
    summary = run(path, executor="processes")
    assert (summary.n_computed, summary.n_crashed, summary.complete) == (93, 9, True)
    with Store(path) as store:
        table = store.scores()
        frame = store.to_frame()
    for label in table.values:
        crashed = {
            a for a, s in zip(table.archs, table.status[label], strict=True) if s == "crashed"
        }
        assert crashed == deadly
    assert frame[frame.status == "crashed"]["reason"].str.contains("died, twice").all()
    hook(None)
    assert run(path).n_computed == 0  # it is not tried again
    retried = run(path, retry_failed=True)  # by threads, which live
    assert (retried.n_computed, retried.n_crashed) == (12, 0)
    assert exported(path, tmp_path) == expected


def test_workers_killed_from_outside_are_replaced(
    tmp_path: Path, hook: Callable[[Any], None], killers: Any, expected: str
) -> None:
    hook(killers.Slow(0.05, tmp_path))

    def kill() -> None:
        for _ in range(3):
            while not (pids := list(tmp_path.glob("*.pid"))):
                time.sleep(0.01)
            for path in pids:
                os.kill(int(path.stem), signal.SIGKILL)
                path.unlink()

    killer = threading.Thread(target=kill)
    killer.start()
    summary = run(tmp_path / "a.sqlite", executor="processes")
    killer.join(timeout=30)
    assert not killer.is_alive()
    assert summary.complete
    hook(None)
    # an architecture that was hit twice is marked, as if it had been its fault
    run(tmp_path / "a.sqlite", retry_failed=True)
    assert exported(tmp_path / "a.sqlite", tmp_path) == expected


SCRIPT = """
import sys, numpy as np, zeroshot
from zeroshot.experiments import run as running
from zeroshot.experiments.experiment import Archs
from zeroshot.experiments.tasks import Context
sys.path.insert(0, sys.argv[2])
import killers
from pathlib import Path
def main():
    slow = killers.Slow(0.2, Path(sys.argv[3]))
    running.make_context = lambda job, n: Context(job, n, slow)
    x, y = np.zeros((4, 3, 8, 8), np.float32), np.arange(4)
    experiment = zeroshot.Experiment(scores="params", archs=Archs(sample=2000))
    try:
        zeroshot.run_experiment(
            experiment, sys.argv[1], data=(x, y), executor="processes", workers=2)
    except KeyboardInterrupt as stopped:
        print(stopped)
        raise SystemExit(130)
if GUARD:
    main()
"""


def start(tmp_path: Path, guard: str = '__name__ == "__main__"') -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("GUARD", guard))
    folder = Path(__file__).parent
    return subprocess.Popen(
        [sys.executable, script, tmp_path / "a.sqlite", folder, tmp_path],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_workers(tmp_path: Path) -> list[int]:
    deadline = time.monotonic() + 60
    while len(pids := [int(path.stem) for path in tmp_path.glob("*.pid")]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return pids


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_end_when_their_run_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    child = start(tmp_path)
    pids = wait_for_workers(tmp_path)
    assert list(temporary.glob("zeroshot-*/x.npy"))
    child.kill()
    child.communicate()
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not list(temporary.iterdir())


def test_ctrl_c_stops_workers_and_keeps_what_is_finished(tmp_path: Path) -> None:
    child = start(tmp_path)
    pids = wait_for_workers(tmp_path)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130, err
    assert "of 2000 values are in the store; the same command goes on" in out
    assert not any(map(is_running, pids))
    with Store(tmp_path / "a.sqlite") as store:
        assert len(store) == int(out.split()[0]) > 0


def test_a_worker_may_die_while_it_starts_once_one_has_lived() -> None:
    class Pool:
        def __init__(self, lives: bool) -> None:
            self.lives = lives

        def submit(self, *_: object) -> Future[int]:
            future: Future[int] = Future()
            if self.lives:
                future.set_result(1)
            else:
                future.set_exception(BrokenProcessPool())
            return future

        def shutdown(self, **_: object) -> None:
            pass

    lives = iter([True, False, False, False])
    lane = ProcessLane(lambda: Pool(next(lives)))  # type: ignore[arg-type,return-value]
    lane.mend()
    lane.mend()
    with pytest.raises(RuntimeError, match="the worker processes end before they begin"):
        ProcessLane(lambda: Pool(next(lives))).mend()  # type: ignore[arg-type,return-value]


def test_a_script_without_a_guard_is_told(tmp_path: Path) -> None:
    child = start(tmp_path, guard="True")
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "__main__" in err.strip().splitlines()[-1]
