"""NATS-Bench and NAS-Bench-201: folders ``-simple`` and ``-full``, single files, ``.pth``.

All hold, in pickles, dicts of the attributes of the classes of these projects' code, read here for
their layout (D-X-Y/NATS-Bench ``nats_bench/api_utils.py``, D-X-Y/NAS-Bench-201 ``nas_201_api``)::

    single file   {"meta_archs": [text], "arch2infos": {index: networks}, "evaluated_indexes": ...}
    folder        meta.pickle.pbz2, and networks in 000000.pickle.pbz2, ... (or 000000-FULL.pth)
    networks      {hp: results}, hp "12" and "200", "01", "12" and "90", or "less" and "full"
    results       arch_index, arch_str, dataset_seed {data set: [seed]},
                  all_results {(data set, seed): trial}
    trial         epochs, params, flop, latency; train_acc1es and train_times {epoch: number};
                  eval_names; eval_acc1es and eval_times {"NAME@EPOCH": number}; curves of losses

Accuracies are those after the last epoch of a training, in percent, and ``epochs`` is what a target
names: "12" and "200" are trainings of their own, each with its learning rate down to 0.

The evaluation sets mean, by data set::

    cifar10-valid             x-valid: valid     ori-test: test
    cifar10                                      ori-test: test
    cifar100, ImageNet16-120  x-valid: valid     x-test: test      ori-test: valid+test

Memory does not grow with curves: a trial is reduced as soon as it is read.
"""

from __future__ import annotations

__all__ = ["read_file", "read_folder"]

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from zeroshot.benchmarks import torch_file
from zeroshot.benchmarks.numbers import mean, real
from zeroshot.benchmarks.source import Progress, Source
from zeroshot.benchmarks.streams import Dict, Gone, StreamMachine
from zeroshot.benchmarks.table import Benchmark, Collector, Training
from zeroshot.errors import BenchmarkFileError

FILE_NAME: Final = re.compile(r"([0-9]{1,6})(-FULL)?\.(pickle\.pbz2|pickle|pth)")
MAX_EPOCHS: Final = 10_000

MAX_TRIALS: Final = 1000
MAX_CHOICES: Final = 8

_TAKEN: Final = object()  # a key that no file has
_READ: Final = (
    "eval_names", "eval_acc1es", "eval_times", "train_acc1es", "train_times", "latency",
)  # fmt: skip
_EVALUATION: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")
_DATASET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,40}")


# --- one training -----------------------------------------------------------------------------


@dataclass
class _Trial:
    """What is kept of a training; accuracies and seconds an epoch by evaluation set."""

    epochs: int
    accuracies: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    extras: dict[str, float] = field(default_factory=dict)


def split_of(dataset: str, evaluation: str) -> str:
    """What an evaluation set is called in a `Target`.

    Examples
    --------
    >>> split_of("cifar10", "ori-test"), split_of("cifar100", "ori-test")
    ('test', 'valid+test')
    """
    if evaluation == "ori-test":
        return "test" if dataset in ("cifar10", "cifar10-valid") else "valid+test"
    return {"x-valid": "valid", "x-test": "test"}.get(evaluation, evaluation)


def _trial_of(found: dict[Any, Any]) -> _Trial:
    epochs = found.get("epochs")
    if type(epochs) is not int or not 1 <= epochs <= MAX_EPOCHS:
        raise BenchmarkFileError(f"epochs: expected an integer from 1, got {_show(epochs)}")
    for name in _READ:
        if isinstance(found.get(name), Gone):
            raise BenchmarkFileError(f"{name}: it is shared with a trial that was let go of")
    trial = _Trial(epochs)
    accuracies, times = found.get("eval_acc1es"), found.get("eval_times")
    names = found.get("eval_names")
    if not isinstance(accuracies, dict) or not isinstance(names, list) or len(names) > 10:
        raise BenchmarkFileError("eval_acc1es, eval_names: expected a dict and a list of names")
    for name in names:
        if not isinstance(name, str) or not _EVALUATION.fullmatch(name):
            raise BenchmarkFileError(f"eval_names: expected names, got {_show(name)}")
        last = f"{name}@{epochs - 1}"
        if last not in accuracies:
            raise BenchmarkFileError(f"eval_acc1es: expected {last}, which is the last epoch")
        trial.accuracies[name] = _percent(accuracies[last], last)
        if isinstance(times, dict):
            trial.seconds[name] = mean(real(times.get(f"{name}@{i}")) for i in range(epochs))
    train = _percent(_at(found.get("train_acc1es"), epochs - 1), "train_acc1es")
    if not math.isnan(train):
        trial.accuracies["train"] = train
    seconds = sum(_at(found.get("train_times"), epoch) for epoch in range(epochs))
    latency = found.get("latency")
    trial.extras = {
        "train_seconds": seconds,
        "train_seconds_per_epoch": seconds / epochs,
        "latency_seconds": mean(map(real, latency)) if isinstance(latency, list) else math.nan,
        "params_millions": real(found.get("params")),
        "flops_millions": real(found.get("flop")),
    }
    return trial


def _percent(value: Any, name: str) -> float:
    number = real(value)
    if math.isnan(number) and not isinstance(value, float):
        raise BenchmarkFileError(f"{name}: expected a number, got {_show(value)}")
    if not math.isnan(number) and not 0.0 <= number <= 100.001:
        raise BenchmarkFileError(f"{name}: expected a percentage, got {number}")
    return number


def _at(curve: Any, epoch: int) -> float:
    """A number of a curve, which is a dict by epoch, or a list."""
    if isinstance(curve, dict):
        return real(curve.get(epoch))
    if isinstance(curve, list) and epoch < len(curve):
        return real(curve[epoch])
    return math.nan


def _show(value: Any) -> str:
    """A value of any depth, in few words."""
    return repr(value)[:40] if isinstance(value, str | int | float) else type(value).__name__


# --- the networks of a file ---------------------------------------------------------------------


@dataclass
class _Results:
    """All trainings of an architecture with one choice of hyper-parameters."""

    index: int
    arch: str
    trainings: list[Training]


class _Networks:
    """Takes trials, results and networks as `StreamMachine` completes them.

    What it has taken of a dict is the one item left in it.
    """

    def __init__(self, where: str, space: str | None) -> None:
        self.where = where
        self.space = space
        self.collector: Collector | None = None

    def hook(self, found: Dict) -> bool:
        taken: Any
        if "eval_acc1es" in found and "epochs" in found and "eval_names" in found:
            taken = _trial_of(found)
        elif "all_results" in found and "arch_str" in found:
            taken = self._results_of(found)
        elif len(found) > MAX_CHOICES:
            return False
        else:
            # protocol 0 sets items one by one, so that some may have been taken before
            values = [value for key, value in found.items() if key is not _TAKEN]
            if not values or not all(map(_is_results, values)):
                return False
            for value in values:
                self._add(self._results_of(value))
            taken = True
        found.clear()
        found[_TAKEN] = taken
        return True

    def _results_of(self, found: dict[Any, Any]) -> _Results:
        if isinstance(results := found.get(_TAKEN), _Results):
            return results
        index, arch, trials = (found.get(k) for k in ("arch_index", "arch_str", "all_results"))
        if type(index) is not int or not 0 <= index < 10**6 or not isinstance(arch, str):
            raise BenchmarkFileError("arch_index, arch_str: expected an integer and a text")
        if not isinstance(trials, dict) or len(trials) > MAX_TRIALS:
            raise BenchmarkFileError(f"all_results: expected a dict of at most {MAX_TRIALS} trials")
        where = f"architecture {index}"
        trainings = [self._training_of(key, trials[key], where) for key in trials]
        trainings.sort(key=lambda training: (training.dataset, training.seed))
        return _Results(index, arch, trainings)

    def _training_of(self, key: Any, found: Any, where: str) -> Training:
        match key:
            case (str(dataset), int(seed)) if _DATASET.fullmatch(dataset) and 0 <= seed < 2**31:
                pass
            case _:
                raise BenchmarkFileError(f"{where}: a trial is not stored under (data set, seed)")
        if not isinstance(found, dict):
            raise BenchmarkFileError(f"{where}: {dataset}: a trial is a {type(found).__name__}")
        trial = found.get(_TAKEN)
        if not isinstance(trial, _Trial):
            trial = _trial_of(found)
        training = Training(dataset, trial.epochs, seed, extras=trial.extras)
        for name, value in trial.accuracies.items():
            training.accuracies[split_of(dataset, name)] = value
        for name, value in trial.seconds.items():
            training.extras[f"{split_of(dataset, name)}_seconds_per_epoch"] = value
        return training

    def _add(self, results: _Results) -> None:
        where = f"{self.where}, architecture {results.index}"
        if self.collector is None:
            if self.space is None:
                self.space = "nasbench201" if results.arch.startswith("|") else "nats_sss"
            self.collector = Collector(self.space, self.where)
        row, is_new = self.collector.row(results.arch, where)
        self.collector.records += is_new
        known = self.collector.get(row, "index")
        if not math.isnan(known) and known != results.index:
            raise BenchmarkFileError(f"{where}: its architecture is that of {int(known)}")
        self.collector.set(row, "index", results.index)
        for training in results.trainings:
            self.collector.add(row, training, where)

    def finish(self, sha256: str) -> Benchmark:
        if self.collector is None:
            raise BenchmarkFileError(f"{self.where}: expected results of networks, found none")
        return self.collector.finish(sha256)


def _is_results(value: Any) -> bool:
    return isinstance(value, dict) and (
        isinstance(value.get(_TAKEN), _Results) or "all_results" in value
    )


# --- files --------------------------------------------------------------------------------------


def _load(source: Source, networks: _Networks) -> None:
    """Show all dicts of a file to `networks`."""
    if source.peek(2) == b"PK" or source.peek(len(torch_file.MAGIC)) == torch_file.MAGIC:
        torch_file.load(source, networks.hook)
        return
    machine = StreamMachine(source.read, networks.hook)
    machine.guarded(source.where)


def read_file(source: Source, space: str | None) -> Benchmark:
    """Read a single file: of all architectures, or of one."""
    networks = _Networks(source.where, space)
    _load(source, networks)
    return networks.finish(source.sha256())


def read_folder(
    path: Path, space: str | None, max_bytes: int, progress: Progress | None = None
) -> Benchmark:
    """Read a folder of files, each of one architecture."""
    files = sorted(found for found in path.iterdir() if FILE_NAME.fullmatch(found.name))
    if not files:
        raise BenchmarkFileError(f"{path}: expected files as 000000.pickle.pbz2, found none")
    networks, hashes = _Networks(str(path), space), []
    total = sum(file.stat().st_size for file in files)
    done = 0
    for file in files:
        with Source(file, max_bytes) as source:
            networks.where = source.where
            _load(source, networks)
            max_bytes -= source.n_read
            hashes.append(f"{source.sha256()} {file.name}\n")
            done += source.size
        if progress is not None:
            progress(done, total)
    networks.where = str(path)
    if networks.collector is not None:
        networks.collector.where = str(path)
    return networks.finish(hashlib.sha256("".join(hashes).encode()).hexdigest())
