"""NDS: ``DARTS.json``, ``NASNet_in.json`` and so on; see `zeroshot.spaces.nds.read_nds`.

A file is a list of jobs, or lists ``top`` and ``mid``; a job has ``net``, the errors in percent of
each epoch ``test_ep_top1`` and ``train_ep_top1``, ``params``, ``flops``. Accuracies are 100 less
the last error. The data set is ImageNet if the file's name has ``_in``, else CIFAR-10. What else a
job has of single numbers are columns by their names; jobs of one network are its trainings 0, 1,
2.
"""

from __future__ import annotations

__all__ = ["is_nds", "read_content"]

import re
from pathlib import Path
from typing import Any, Final

from zeroshot.benchmarks.numbers import real
from zeroshot.benchmarks.source import Source
from zeroshot.benchmarks.table import Benchmark, Collector, Training
from zeroshot.errors import BenchmarkFileError
from zeroshot.spaces import get_space, nds

MAX_EPOCHS: Final = 100_000


def is_nds(content: Any) -> bool:
    """Whether JSON looks like a list of jobs."""
    if isinstance(content, dict):
        return isinstance(content.get("top"), list) and isinstance(content.get("mid"), list)
    return isinstance(content, list) and bool(content) and isinstance(content[0], dict)


def read_content(content: Any, source: Source, space: str | None) -> Benchmark:
    """Read the JSON of a file."""
    where = source.where
    name = Path(where).name
    if space is None:
        space = nds.SPACES.get(name.partition(".")[0].partition("_")[0])
    if space is None or space not in nds.SPACES.values():
        raise BenchmarkFileError(
            f"{where}: space: expected one of {', '.join(nds.SPACES.values())} to be named, or a "
            f"file whose name begins with one of {', '.join(nds.SPACES)}"
        )
    dataset = "ImageNet" if re.search(r"_in(_|\.|$)", name) else "cifar10"
    collector = Collector(space, where)
    module = get_space(space)
    n_trainings: dict[int, int] = {}
    for number, job in enumerate(nds._jobs(content, Path(where))):
        at = f"{where}, job {number}"
        record = nds._record(job, module, at)
        row, _ = collector.row(record.arch, at)
        collector.records += 1
        epochs = len(job["test_ep_top1"])
        if epochs > MAX_EPOCHS:
            raise BenchmarkFileError(f"{at}: expected at most {MAX_EPOCHS} epochs, got {epochs}")
        training = Training(dataset, epochs, n_trainings.get(row, 0))
        n_trainings[row] = training.seed + 1
        training.accuracies["test"] = _accuracy(record.accuracy, f"{at}, 'test_ep_top1'")
        errors = job.get("train_ep_top1")
        if isinstance(errors, list) and errors:
            training.accuracies["train"] = _accuracy(
                100.0 - real(errors[-1]), f"{at}, 'train_ep_top1'"
            )
        collector.add(row, training, at)
        for key in ("width", "depth"):
            collector.set(row, key, getattr(record, key))
        for key, value in job.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                collector.set(row, key, real(value))
    return collector.finish(source.sha256())


def _accuracy(value: float, where: str) -> float:
    if not -0.001 <= value <= 100.001:
        raise BenchmarkFileError(f"{where}: expected an error in percent")
    return value
