"""A run that is killed with SIGKILL, again and again, and a disk that is full."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import zeroshot
from zeroshot import Store, StoreError, run_experiment
from zeroshot.experiments.experiment import Archs

from .common import exported, images, make

N_KILLS = int(os.environ.get("ZEROSHOT_KILLS", "3"))
N_ARCHS = 15625 if "ZEROSHOT_KILLS" in os.environ else 2000

# Counting alone: thousands of values in seconds, so that most kills hit a write.
CODE = """
import sys, numpy as np, zeroshot
from zeroshot.experiments import run
from zeroshot.experiments.experiment import Archs
run._COMMIT_SECONDS = float(sys.argv[3])
commit = run._Run._commit
def tell(self):
    n_rows = len(self.rows)
    commit(self)
    if n_rows:
        print("going", flush=True)
        run._Run._commit = commit
run._Run._commit = tell
x, y = np.zeros((4, 3, 8, 8), np.float32), np.arange(4)
experiment = zeroshot.Experiment(
    scores=["params", "flops", "live_weights"], archs=Archs(sample=int(sys.argv[4])),
    options=zeroshot.Options(channels=4, cells=1, num_classes=4))
print("begin", flush=True)
zeroshot.run_experiment(
    experiment, sys.argv[1], data=(x, y), executor=sys.argv[2], workers=2)
"""
N_VALUES = 3 * N_ARCHS


def start(path: Path, executor: str, commit_seconds: float) -> subprocess.Popen[str]:
    script = path.with_suffix(".py")
    script.write_text(f"if __name__ == '__main__':\n    exec({CODE!r})\n")
    return subprocess.Popen(
        [sys.executable, script, path, executor, str(commit_seconds), str(N_ARCHS)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def keys_of(path: Path) -> list[bytes]:
    file = sqlite3.connect(path)
    try:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [row[0] for row in file.execute("SELECT key FROM value")]
    finally:
        file.close()


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_kills_lose_and_double_nothing(tmp_path: Path, executor: str) -> None:
    path = tmp_path / "a.sqlite"
    rng = random.Random(executor)
    committed: set[bytes] = set()
    n_kills = n_writing = 0
    while n_kills < N_KILLS:
        child = start(path, executor, 0.02)
        assert child.stdout is not None
        child.stdout.readline()
        if rng.random() < 0.8:  # most while values are written, some before
            child.stdout.readline()
        time.sleep(rng.uniform(0, N_ARCHS / 10000))
        child.kill()
        child.communicate()
        n_kills += 1
        if not path.exists() or path.stat().st_size == 0:
            continue
        wal = path.with_name(path.name + "-wal")
        n_writing += wal.exists() and wal.stat().st_size > 0
        keys = keys_of(path) if has_tables(path) else []
        assert len(keys) == len(set(keys))
        assert committed <= set(keys)  # what was there once stays
        committed = set(keys)
        if len(keys) == N_VALUES:  # from the start again
            finish(path, executor, tmp_path)
            for file in tmp_path.glob("a.sqlite*"):
                file.unlink()
            committed = set()
    finish(path, executor, tmp_path)
    print(f"{n_kills} kills, {n_writing} with a log that was not written back")


def has_tables(path: Path) -> bool:
    file = sqlite3.connect(path)
    try:
        return file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
    finally:
        file.close()


def finish(path: Path, executor: str, folder: Path) -> None:
    """Run to the end and compare with a run that nobody killed."""
    assert start(path, executor, 1.0).wait(timeout=300) == 0
    whole = folder / "whole.sqlite"
    if not whole.exists():
        assert start(whole, "threads", 1.0).wait(timeout=300) == 0
    assert len(keys_of(path)) == N_VALUES
    assert exported(path, folder) == exported(whole, folder)


# --- a full disk -------------------------------------------------------------------------------

LIMITED = """
import os, resource, sys, zeroshot
sys.path.insert(0, sys.argv[2])
from common import images, make
from zeroshot.experiments import run
from zeroshot.experiments.experiment import Archs
run._COMMIT_SECONDS = 0.05
commit = run._Run._commit
def limit(self):  # 100 kB more than what the first values take
    n_rows = len(self.rows)
    commit(self)
    if n_rows:
        size = 100_000 + max(os.path.getsize(sys.argv[1] + end) for end in ("", "-wal"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        run._Run._commit = commit
run._Run._commit = limit
try:
    zeroshot.run_experiment(make(Archs(sample=2000), scores="params"), sys.argv[1], data=images())
except zeroshot.StoreError as error:
    print(error)
    raise SystemExit(3)
"""


def test_a_file_that_may_not_grow_is_told_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    folder = Path(__file__).parent
    child = subprocess.run(
        [sys.executable, "-c", LIMITED, path, folder], capture_output=True, text=True, timeout=120
    )
    assert child.returncode == 3, child.stderr
    assert child.stdout.startswith(f"store {path}: the disk is full or fails (")
    assert "what was committed before is kept; make room and run the same again" in child.stdout
    kept = set(keys_of(path))
    assert 0 < len(kept) < 2000
    summary = run_experiment(make(Archs(sample=2000), scores="params"), path, data=images())
    assert (summary.n_found, summary.n_computed) == (len(kept), 2000 - len(kept))
    with Store(tmp_path / "b.sqlite") as whole:
        run_experiment(make(Archs(sample=2000), scores="params"), whole, data=images())
        assert exported(path, tmp_path) == exported(whole, tmp_path)


def test_a_full_database_is_told_and_takes_all_of_a_result_or_nothing(tmp_path: Path) -> None:
    x, y = images()
    results = zeroshot.score_many(
        range(300), x, y, scores="params", channels=4, cells=1, num_classes=4
    )
    with Store(tmp_path / "a.sqlite") as store:
        store.add(results[:10])
        pages = store._open().execute("PRAGMA page_count").fetchone()[0]
        store._open().execute(f"PRAGMA max_page_count={pages + 4}")
        with pytest.raises(StoreError, match=r"the disk is full.*make room and run the same again"):
            store.add(results)
        assert len(store) == 10
        store._open().execute("PRAGMA max_page_count=1000000")
        assert store.add(results) == 290
        assert len(store) == 300


def test_a_mount_that_is_full(tmp_path: Path) -> None:
    """The real thing, where mounting is permitted."""
    place = tmp_path / "small"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "none", place], capture_output=True, text=True
    )
    if mount.returncode != 0:
        pytest.skip(f"no mount: {mount.stderr.strip()}")
    try:
        experiment = make(Archs(sample=3000), scores="params")
        with pytest.raises(StoreError, match="the disk is full"):
            run_experiment(experiment, place / "a.sqlite", data=images())
        with Store(place / "a.sqlite", create=False) as store:
            kept = len(store)
        assert 0 <= kept < 3000
        subprocess.run(["mount", "-o", "remount,size=20m", place], check=True)
        summary = run_experiment(experiment, place / "a.sqlite", data=images())
        assert (summary.n_found, summary.n_computed) == (kept, 3000 - kept)
    finally:
        subprocess.run(["umount", place], check=False)


# --- stops -------------------------------------------------------------------------------------


def test_signals_stop_at_once_and_keep_what_is_finished(tmp_path: Path) -> None:
    x, y = images(64, 32)
    experiment = make(
        Archs(sample=50), scores="gradsign", options=zeroshot.Options(num_classes=4, n_threads=2)
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        sent: list[int] = []

        def send(done: int, total: int, number: int = number, sent: list[int] = sent) -> None:
            if done and not sent:
                sent.append(done)
                os.kill(os.getpid(), number)

        before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
        path = tmp_path / f"{number}.sqlite"
        with pytest.raises(zeroshot.Interrupted) as stopped:
            run_experiment(experiment, path, data=(x, y), workers=2, progress=send)
        assert stopped.value.signal == number
        summary = stopped.value.summary
        assert isinstance(summary, zeroshot.RunSummary)
        with Store(path) as store:
            assert len(store) == summary.n_computed
        # beyond what was there, no more than each worker's chunk of 0.2 s, or one architecture
        assert 0 < sent[0] <= summary.n_computed < summary.n_values == 50
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
