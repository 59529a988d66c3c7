"""A piece of work, what is shared by all of them, and the function that does some."""

from __future__ import annotations

__all__ = ["Chunk", "Context", "Task", "score_chunk"]

import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zeroshot import _core
from zeroshot.errors import Cancelled
from zeroshot.inputs import Data
from zeroshot.network import AnyArch
from zeroshot.results import ScoreResult
from zeroshot.runner import Job, keep_workspace, take_workspace


class Task(NamedTuple):
    """Some scores of one network with one seed.

    `members` have the same network (with ``canonical``; otherwise one): it runs once, and each of
    them gets a result.
    """

    members: tuple[AnyArch, ...]
    seed: int
    labels: tuple[str, ...]


class Chunk(NamedTuple):
    """What came of some tasks: of all of them unless the work was stopped."""

    results: list[ScoreResult]
    n_tasks: int
    seconds: float


@dataclass(eq=False)
class Context:
    """What all tasks of an experiment share."""

    job: Job
    n_threads: int = 1
    before: Callable[[Task], object] | None = None  # of each task; there for tests
    _jobs: dict[tuple[int, tuple[str, ...]], Job] = field(default_factory=dict)

    def job_of(self, task: Task) -> Job:
        """The job with the seed and the scores of `task`."""
        key = task.seed, task.labels
        if key not in self._jobs:
            labels = [one.label for one in self.job.scores]
            chosen = tuple(labels.index(label) for label in task.labels)
            self._jobs[key] = self.job.part(chosen, (task.seed,))
        return self._jobs[key]

    def with_token(self, token: _core.CancelToken | None) -> Context:
        """The same, stopped by `token`."""
        job = replace(self.job, options=replace(self.job.options, cancel=token))
        return Context(job, self.n_threads, self.before)

    def save(self, folder: Path) -> Path:
        """Write all of it to files that `load` maps into memory."""
        data = self.job.data
        np.save(folder / "x.npy", data.x)
        np.save(folder / "y.npy", data.y)
        bare = replace(self.with_token(None).job, data=None)  # type: ignore[arg-type]
        with open(folder / "job.pickle", "wb") as file:
            pickle.dump((bare, data._hashes, self.n_threads, self.before), file)
        return folder

    @classmethod
    def load(cls, folder: Path) -> Context:
        """What `save` wrote; the images are shared by all processes that read them."""
        with open(folder / "job.pickle", "rb") as file:
            bare, hashes, n_threads, before = pickle.load(file)
        x, y = (np.load(folder / name, mmap_mode="r") for name in ("x.npy", "y.npy"))
        data = Data(np.asarray(x), np.asarray(y), hashes)
        return cls(replace(bare, data=data), n_threads, before)


def score_chunk(context: Context, tasks: Sequence[Task]) -> Chunk:
    """Do the tasks one after the other; a stop ends it after the last that is complete."""
    start = time.perf_counter()
    results: list[ScoreResult] = []
    n_done = 0
    workspace = take_workspace()
    token = context.job.options.cancel
    try:
        for task in tasks:
            if token is not None and token.cancelled:
                break
            results += map(_bare, score_task(context, task, workspace))
            n_done += 1
    except Cancelled:
        pass
    finally:
        keep_workspace(workspace)
    return Chunk(results, n_done, time.perf_counter() - start)


def score_task(context: Context, task: Task, workspace: _core.Workspace) -> list[ScoreResult]:
    """A result for each member; what goes wrong is a result, too."""
    job = context.job_of(task)
    if context.before is not None:
        context.before(task)
    first = task.members[0]
    scored = job.scored_as(first)
    try:
        result = job.run(
            first if scored is None else scored, n_threads=context.n_threads, workspace=workspace
        )
        if scored is None:
            return [result]
        return [job.of_member(member, result) for member in task.members]
    except Cancelled:
        raise
    except Exception as error:
        return [job.failed(member, error) for member in task.members]


def _bare(result: ScoreResult) -> ScoreResult:
    """Without what no store keeps, which may be most of it."""
    scores = {label: replace(score, layers={}) for label, score in result.scores.items()}
    return replace(result, scores=scores)
