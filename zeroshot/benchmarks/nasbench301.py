"""NAS-Bench-301: results of trainings, ``results_*.json``, a file or a folder of any depth.

A file is one training (automl/nasbench301 ``surrogate_models/utils.py`` and its test's results)::

    {"optimized_hyperparamater_config": {"NetworkSelectorDatasetInfo:darts:edge_normal_0": ...},
     "info": [{"val_accuracy": 93.1, "model_parameters": ..., "epochs": ...}],
     "test_accuracy": 93.0, "budget": 100, "runtime": ...}

Accuracies are in percent, of CIFAR-10. A target's epochs are the cosine schedule's ``T_max``, the
length of training that the benchmark names; ``epochs`` of the file, a few less, is a column.
Networks of the space have 32 channels and 8 cells. Of others, which were trained as well, the
data set is named ``cifar10-50x20``, channels and cells. Trainings of one genotype are 0, 1, 2.
"""

from __future__ import annotations

__all__ = ["FILE_NAME", "is_result", "read_content", "read_folder"]

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Final

from zeroshot.benchmarks.numbers import real
from zeroshot.benchmarks.source import Progress, Source, read_json
from zeroshot.benchmarks.table import Benchmark, Collector, Training
from zeroshot.errors import BenchmarkFileError

FILE_NAME: Final = re.compile(r"results?(_[0-9]{1,9})?\.json")
CONFIG: Final = "optimized_hyperparamater_config"  # as the files spell it
T_MAX: Final = "SimpleLearningrateSchedulerSelector:cosine_annealing:T_max"
CHANNELS: Final = "NetworkSelectorDatasetInfo:darts:init_channels"
CELLS: Final = "NetworkSelectorDatasetInfo:darts:layers"
USUAL: Final = (32, 8)
MAX_FILE: Final = 1 << 24


def is_result(content: Any) -> bool:
    """Whether JSON is such a result."""
    return isinstance(content, dict) and CONFIG in content


class _Results:
    def __init__(self, where: str, space: str | None) -> None:
        if space not in (None, "darts", "nasbench301"):
            raise BenchmarkFileError(f"{where}: space: expected nasbench301 or darts, got {space}")
        self.collector = Collector(space or "nasbench301", where)
        self.n_trainings: dict[tuple[int, str, int], int] = {}

    def add(self, content: Any, where: str) -> None:
        config, info = content.get(CONFIG), content.get("info")
        if not isinstance(config, dict):
            raise BenchmarkFileError(f"{where}, {CONFIG}: expected an object")
        if not isinstance(info, list) or not info or not isinstance(info[0], dict):
            raise BenchmarkFileError(f"{where}, info: expected a list of one object")
        epochs = _integer(config.get(T_MAX, content.get("budget")), f"{where}, T_max")
        size = _integer(config.get(CHANNELS, 32), where), _integer(config.get(CELLS, 8), where)
        dataset = "cifar10" if size == USUAL else f"cifar10-{size[0]}x{size[1]}"
        row, _ = self.collector.row(config, where, "config")
        self.collector.records += 1
        key = row, dataset, epochs
        training = Training(dataset, epochs, self.n_trainings.get(key, 0))
        self.n_trainings[key] = training.seed + 1
        training.accuracies["valid"] = _percent(info[0].get("val_accuracy"), where)
        for name, value in (
            ("test", content.get("test_accuracy")),
            ("train", info[0].get("train_accuracy")),
        ):
            if value is not None:
                training.accuracies[name] = _percent(value, where)
        training.extras = {
            "runtime_seconds": real(content.get("runtime")),
            "epochs_trained": real(info[0].get("epochs")),
            "params_millions": real(info[0].get("model_parameters")) / 1e6,
        }
        self.collector.add(row, training, where)


def read_content(content: Any, source: Source, space: str | None) -> Benchmark:
    """Read the JSON of one file."""
    results = _Results(source.where, space)
    results.add(content, source.where)
    return results.collector.finish(source.sha256())


def read_folder(
    path: Path, space: str | None, max_bytes: int, progress: Progress | None = None
) -> Benchmark:
    """Read all results in a folder and below, in the order of their paths."""
    results, hashes = _Results(str(path), space), []
    files = sorted(found_files(path))
    for done, file in enumerate(files, start=1):
        with Source(file, min(max_bytes, MAX_FILE)) as source:
            content = read_json(source)
            if not is_result(content):
                raise BenchmarkFileError(f"{file}: expected an object with {CONFIG}")
            results.add(content, str(file))
            max_bytes -= source.n_read
            hashes.append(f"{source.sha256()} {file.relative_to(path).as_posix()}\n")
        if progress is not None:
            progress(done, len(files))
    digest = hashlib.sha256("".join(hashes).encode("utf-8", "surrogateescape")).hexdigest()
    return results.collector.finish(digest)


def found_files(path: Path) -> list[Path]:
    """Results in a folder and below; links to folders are not followed."""
    return [
        Path(folder, name)
        for folder, _, names in os.walk(path, onerror=_refuse)
        for name in names
        if FILE_NAME.fullmatch(name)
    ]


def _refuse(error: OSError) -> None:
    raise error  # a folder that cannot be read is no folder without results


def _integer(value: Any, where: str) -> int:
    if type(value) is not int or not 0 < value < 10**6:
        raise BenchmarkFileError(f"{where}: expected a positive integer, got {str(value)[:40]}")
    return value


def _percent(value: Any, where: str) -> float:
    number = real(value)
    if not 0.0 <= number <= 100.001:
        raise BenchmarkFileError(f"{where}: expected an accuracy in percent")
    return number
