"""`run_experiment`: what is missing in a store, computed by any pool and committed as it comes."""

from __future__ import annotations

__all__ = ["RunSummary", "run_experiment"]

import math
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from zeroshot.errors import Cancelled, Interrupted, StoreError
from zeroshot.experiments.experiment import Experiment
from zeroshot.experiments.lanes import Lane, Lanes, make_lanes
from zeroshot.experiments.progress import Progress, tell_with
from zeroshot.experiments.rows import ValueRow, value_rows
from zeroshot.experiments.store import FAILURES, AskedRow, Store, add_experiment, insert
from zeroshot.experiments.tasks import Chunk, Context, Task
from zeroshot.experiments.work import Work
from zeroshot.inputs import check_int
from zeroshot.options import usable_cpus
from zeroshot.results import ScoreResult
from zeroshot.runner import Job

_AHEAD = 64  # architectures that are looked up together
_WAKE_SECONDS = 0.05
_COMMIT_SECONDS = 1.0
_GROWTH = 4  # of a chunk, from one to the next
_MAX_CHUNK = 1024
_STOP_SECONDS = 5.0
_MAX_DEATHS = 50


@dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes
    ----------
    experiment : str
        Hash of the experiment in the store.
    n_archs : int
        Of this shard.
    n_values : int
        Values that were asked for: architectures, labels and seeds.
    n_found : int
        Those that were in the store before.
    n_computed : int
        Those that came with this run; with ``canonical`` equal architectures share them.
    n_failed, n_crashed : int
        Of both: those that stand for a failure.
    seconds : float
    complete : bool
        Whether all values are in the store.
    """

    experiment: str
    n_archs: int
    n_values: int
    n_found: int
    n_computed: int
    n_failed: int
    n_crashed: int
    seconds: float
    complete: bool


def run_experiment(
    experiment: Experiment,
    store: Store | str | os.PathLike[str],
    *,
    executor: str | Executor | Any = None,
    workers: int | None = None,
    shard: tuple[int, int] = (0, 1),
    data: tuple[ArrayLike, ArrayLike] | None = None,
    retry_failed: bool = False,
    progress: Progress = None,
) -> RunSummary:
    """Compute those values of an experiment that a store does not have.

    Values are committed about once a second, so a run that dies loses no more than that, and the
    same call goes on where it ended. Which pool does the work changes no value.

    Parameters
    ----------
    experiment : Experiment
    store : Store or path
        A path is opened, and closed again.
    executor : str, Executor or dask.distributed.Client, optional
        ``"threads"`` of this process (default), ``"processes"`` (spawned), ``"dask"`` (a cluster
        of processes on this machine: ``pip install 'zeroshot[dask]'``), any pool of
        `concurrent.futures`, or a client of Dask distributed, for many machines. A pool that is
        given stays open.
    workers : int, optional
        Architectures at a time. Default: the experiment's, or as many as there are processors.
    shard : (int, int)
        ``(i, n)`` does the part i, from 0 to n - 1, of n parts that have no value in common; an
        architecture's part depends on nothing but its text.
    data : (x, y), optional
        In place of the experiment's images, as for `zeroshot.score`.
    retry_failed : bool
        Compute what has failed or crashed before again.
    progress : None, True or callable
        True writes a line with rate and time left on standard error; a callable gets the number of
        values that are there and of all.

    Returns
    -------
    RunSummary

    Raises
    ------
    Interrupted
        After Ctrl-C or SIGTERM; what was finished is committed. It is a KeyboardInterrupt.
    Cancelled
        If the token in the experiment's options was set.
    StoreError
        If the store cannot be written; what was committed stays.
    ValueError
        If data, scores and options do not fit together, of whichever architecture. What is wrong
        with one architecture alone is recorded as its failure.

    Examples
    --------
    >>> import tempfile, zeroshot
    >>> experiment = zeroshot.Experiment(scores="params", archs=[1462, 9, 0])
    >>> with tempfile.TemporaryDirectory() as folder, zeroshot.Store(f"{folder}/a.sqlite") as store:
    ...     summaries = [zeroshot.run_experiment(experiment, store) for _ in range(2)]
    >>> [(summary.n_computed, summary.n_found) for summary in summaries]
    [(3, 0), (0, 3)]
    """
    if not isinstance(experiment, Experiment):
        raise TypeError(f"experiment: expected an Experiment, got {type(experiment).__name__}")
    if not isinstance(store, Store):
        with Store(store) as opened:
            return run_experiment(
                experiment, opened, executor=executor, workers=workers, shard=shard, data=data,
                retry_failed=retry_failed, progress=progress,
            )  # fmt: skip
    if not isinstance(shard, tuple | list) or len(shard) != 2:
        raise TypeError(f"shard: expected (i, n), the part i of n; got {shard!r}")
    part, n_parts = shard
    check_int("shard[1]", n_parts, 1)
    check_int("shard[0]", part, 0, n_parts - 1)
    tell = tell_with(progress)
    if workers is None:
        workers = experiment.workers or usable_cpus()
    check_int("workers", workers, 1)
    with store.writing():  # or say at once that another process does
        pass
    work = Work.make(experiment, data, (part, n_parts))
    n_tasks = max(1, len(work.groups) * len(experiment.seeds))
    # fewer architectures than workers: they share what is left over
    context = make_context(work.job, max(1, workers // n_tasks))
    if executor is None:
        executor = experiment.executor
    lanes = make_lanes(executor, context, min(workers, n_tasks))
    try:
        return _Run(work, store, lanes, retry_failed, tell).run()
    finally:
        lanes.close()
        tell(0, -1, 0)


def make_context(job: Job, n_threads: int) -> Context:
    """What the tasks of a run share."""
    return Context(job, n_threads)


# --- doing it ----------------------------------------------------------------------------------


@dataclass(eq=False)
class _State:
    """A lane, what it has to do, and what it has to do alone since a worker died over it."""

    lane: Lane
    n_pending: int = 0
    suspects: deque[Task] = field(default_factory=deque)
    broken: bool = False


class _Handed(NamedTuple):
    """Tasks that a lane was given."""

    state: _State
    tasks: list[Task]
    alone: bool


class _Run:
    """Plans ahead, keeps the lanes busy, commits; all in the thread that called."""

    def __init__(
        self,
        work: Work,
        store: Store,
        lanes: Lanes,
        retry_failed: bool,
        tell: Callable[[int, int, int], None],
    ) -> None:
        self.work, self.store, self.lanes = work, store, lanes
        self.retry_failed, self.tell = retry_failed, tell
        self.start = time.monotonic()
        self.plan = self._plan()
        self.ready: deque[Task] = deque()
        self.planned = False  # to the end
        self.states = [_State(lane) for lane in lanes.lanes]
        self.pending: dict[Future[Chunk], _Handed] = {}  # in the order of their submission
        self.n_deaths = 0  # of workers, one after the other
        self.seconds_of_task = 0.0
        self.chunk = 1
        self.asked: list[AskedRow] = []
        self.rows: list[ValueRow] = []
        self.waiting: Counter[bytes] = Counter()  # how many want the value of a key
        self.committed = self.start
        self.n_found = self.n_computed = self.n_failed = self.n_crashed = 0
        self.signal: int | None = None
        self.number = -1

    def run(self) -> RunSummary:
        with self._signals():
            self._begin()
            try:
                while True:
                    self._fill()
                    if self._is_complete():
                        break
                    self._wait()
                    self._stop_if_asked()
                    if time.monotonic() - self.committed > _COMMIT_SECONDS:
                        self._commit()
            except StoreError:
                raise
            except (Interrupted, Cancelled):
                pass
            except BaseException:
                try:
                    self._collect(0)
                finally:
                    self._commit()
                raise
            self._commit()
            summary = self._summary()
            if self.signal is not None and not summary.complete:
                raise Interrupted(self._how_far(), summary, self.signal)
            if not self._is_complete():
                raise Cancelled("cancelled; what was finished is in the store")
            if self.waiting:
                raise RuntimeError(
                    f"{self.waiting.total()} values came back under other keys than those asked "
                    "for, and were dropped; do all workers have the same version of zeroshot?"
                )
            return summary

    def _begin(self) -> None:
        work, experiment = self.work, self.work.experiment
        with self.store.writing() as file:
            self.number = add_experiment(
                file,
                work.identity,
                experiment.name,
                work.job.options.space,
                [one.label for one in work.job.scores],
                work.n_all,
                len(work.job.seeds),
                experiment.about(),
            )

    def _plan(self) -> Iterator[list[Task]]:
        """Tasks for what is missing, some at a time."""
        job = self.work.job
        labels = [one.label for one in job.scores]
        groups = iter(self.work.groups)
        while some := list(islice(groups, _AHEAD)):
            keys = {arch: job.keys(arch) for group in some for _, arch in group}
            for group in some:
                self.asked += [
                    AskedRow(arch, label, seed, position, bytes.fromhex(key))
                    for position, arch in group
                    for label in labels
                    for seed, key in zip(job.seeds, keys[arch][label], strict=True)
                ]
            every = [key for of in keys.values() for some_ in of.values() for key in some_]
            found = self.store.statuses(every)
            if self.retry_failed:
                found = {key: status for key, status in found.items() if status not in FAILURES}
            statuses = [found[key] for key in every if key in found]
            self.n_found += len(statuses)
            self.n_failed += statuses.count("failed")
            self.n_crashed += statuses.count("crashed")
            missing = set(every) - found.keys()
            self.waiting.update(bytes.fromhex(key) for key in every if key in missing)
            tasks = []
            for group in some:
                for i, seed in enumerate(job.seeds):
                    members = {
                        tuple(keys[arch][label][i] for label in labels): arch for _, arch in group
                    }
                    needed = tuple(
                        label
                        for j, label in enumerate(labels)
                        if any(of[j] in missing for of in members)
                    )
                    if needed:
                        tasks.append(Task(tuple(members.values()), seed, needed))
            yield tasks

    def _fill(self) -> None:
        for state in self.states:
            if state.broken:
                continue
            while state.suspects or state.n_pending < 2 * state.lane.width:
                alone = bool(state.suspects)
                if alone and state.n_pending:
                    break
                tasks = [state.suspects.popleft()] if alone else self._next()
                if not tasks:
                    break
                try:
                    future = state.lane.submit(tasks)
                except state.lane.deaths as error:  # between two chunks
                    (state.suspects if alone else self.ready).extendleft(reversed(tasks))
                    self._count_death(error)
                    state.broken = True
                    self._mend(state)
                    break
                self.pending[future] = _Handed(state, tasks, alone)
                state.n_pending += 1

    def _next(self) -> list[Task]:
        """Tasks for a chunk; fewer near the end, so that all workers end together."""
        if not self.ready and not self.planned:
            self._look_ahead()
        size = self.chunk
        if self.planned:
            width = sum(state.lane.width for state in self.states)
            size = min(size, max(1, math.ceil(len(self.ready) / (2 * width))))
        while len(self.ready) < size and not self.planned:
            self._look_ahead()
        return [self.ready.popleft() for _ in range(min(size, len(self.ready)))]

    def _look_ahead(self) -> None:
        tasks = next(self.plan, None)
        self.planned = tasks is None
        self.ready.extend(tasks or ())
        self._tell()
        self._stop_if_asked()
        if time.monotonic() - self.committed > _COMMIT_SECONDS:
            self._commit()

    def _wait(self) -> None:
        done, _ = wait(self.pending, timeout=_WAKE_SECONDS, return_when=FIRST_COMPLETED)
        if not done:
            return
        for future in [future for future in self.pending if future in done]:
            handed = self.pending.pop(future)
            state = handed.state
            state.n_pending -= 1
            try:
                chunk = future.result()
            except state.lane.deaths as error:
                self._died(handed, error)
            else:
                self.n_deaths = 0
                self._take(chunk.results)
                self._measure(chunk)
                self.ready.extendleft(reversed(handed.tasks[chunk.n_tasks :]))
            self._mend(state)
        self._tell()

    def _died(self, handed: _Handed, error: BaseException) -> None:
        """A worker died over some tasks: each is tried once more, alone; the second time it is
        given up."""
        state = handed.state
        if handed.alone:
            (task,) = handed.tasks
            reason = f"the worker that scored it died, twice ({type(error).__name__})"
            job = self.work.job
            for member in task.members:
                for i, one in enumerate(job.scores):
                    if one.label in task.labels:
                        alone = job.part((i,), (task.seed,))
                        self._take([alone.failed(member, reason, "crashed")])
        elif state.broken and state.lane.in_order:  # it was waiting for another that died
            self.ready.extendleft(reversed(handed.tasks))
        else:
            state.suspects.extend(handed.tasks)
        if not state.broken:
            self._count_death(error)
        state.broken = True

    def _count_death(self, error: BaseException) -> None:
        self.n_deaths += 1
        if self.n_deaths > _MAX_DEATHS:
            raise RuntimeError(
                f"{self.n_deaths} workers died one after the other, the last with {error!r}; what "
                "was finished is in the store"
            ) from error

    @staticmethod
    def _mend(state: _State) -> None:
        """Once nothing is left of what broke with a lane."""
        if state.broken and state.n_pending == 0:
            state.lane.mend()
            state.broken = False

    def _take(self, results: Sequence[ScoreResult]) -> None:
        for result in results:
            for row in value_rows(result):
                if count := self.waiting.pop(row.key, 0):  # not there yet, and not twice
                    self.rows.append(row)
                    self.n_computed += count
                    self.n_failed += count * (row.status == "failed")
                    self.n_crashed += count * (row.status == "crashed")

    def _measure(self, chunk: Chunk) -> None:
        """The size of the next chunks, by the time of a task."""
        if chunk.n_tasks == 0:
            return
        one = chunk.seconds / chunk.n_tasks
        self.seconds_of_task = one if not self.seconds_of_task else (self.seconds_of_task + one) / 2
        fitting = round(self.lanes.seconds / max(self.seconds_of_task, 1e-6))
        self.chunk = max(1, min(fitting, _GROWTH * self.chunk, _MAX_CHUNK))

    def _commit(self) -> None:
        if self.rows or self.asked:
            with self.store.writing() as file:
                insert(file, self.number, self.work.job.options.space, self.asked, self.rows)
            self.rows, self.asked = [], []
        self.committed = time.monotonic()

    def _tell(self) -> None:
        self.tell(self.n_found + self.n_computed, self._n_values(), self.n_computed)

    def _n_values(self) -> int:
        return self.work.n_archs * len(self.work.job.scores) * len(self.work.job.seeds)

    def _summary(self) -> RunSummary:
        return RunSummary(
            experiment=self.work.identity,
            n_archs=self.work.n_archs,
            n_values=self._n_values(),
            n_found=self.n_found,
            n_computed=self.n_computed,
            n_failed=self.n_failed,
            n_crashed=self.n_crashed,
            seconds=time.monotonic() - self.start,
            complete=self._is_complete() and not self.waiting,
        )

    def _how_far(self) -> str:
        """Also of what has not been looked up yet."""
        n_there = self.store.experiment(self.number).n_values
        return f"{n_there} of {self._n_values()} values are in the store; the same command goes on"

    def _is_complete(self) -> bool:
        suspects = any(state.suspects for state in self.states)
        return self.planned and not (self.ready or self.pending or suspects)

    # --- being stopped -------------------------------------------------------------------------

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM stop the workers; a second one does what it did before."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Any] = {}

        def stop(number: int, frame: object) -> None:
            self.signal = number
            self.lanes.stop()
            restore()

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, stop)
        try:
            yield
        finally:
            restore()

    def _stop_if_asked(self) -> None:
        token = self.work.experiment.options.cancel
        if self.signal is None and (token is None or not token.cancelled):
            return
        self._collect(_STOP_SECONDS)
        raise Interrupted("stopped") if self.signal is not None else Cancelled("stopped")

    def _collect(self, seconds: float) -> None:
        """Stop the workers, and take what they have finished, or finish within some time."""
        self.lanes.stop()
        for future in [future for future in self.pending if future.cancel()]:
            self.ready.extend(self.pending.pop(future).tasks)
        done, _ = wait(self.pending, timeout=seconds)
        for future in done:
            tasks = self.pending.pop(future).tasks
            try:
                chunk = future.result()
            except (Exception, CancelledError):
                self.ready.extend(tasks)
                continue
            self._take(chunk.results)
            self.ready.extend(tasks[chunk.n_tasks :])
