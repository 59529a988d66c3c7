"""NASLib's ``zc_*.json``, the files of NAS-Bench-Suite-Zero: zero-cost scores and accuracies.

Layout (automl/NASLib ``naslib/data``), the outermost level not in all files::

    {"nasbench201": {"cifar10": {"(4, 0, 3, 1, 4, 3)": {"snip": {"score": 1.5, "time": 0.2},
                                                         "val_accuracy": 91.5, ...}}}}

A score is an object, or, in older files, a number. Columns are ``DATASET/NAME`` and
``DATASET/NAME_seconds``. Architectures are NASLib's operations or tuples, see `zeroshot.notations`.

``val_accuracy`` is an accuracy of one training that NASLib drew at random: a target with ``first``,
where it is known of what. Of NAS-Bench-201 it is one of test images: NASLib asks for the last of a
training's evaluations, for validation and test alike (``search_spaces/nasbench201/graph.py``), and
that is the test set. Values of CIFAR-10 are of the training on half of the images. Of NAS-Bench-301
it is a model's prediction.

Records of one network, as NAS-Bench-101's modules are with and without unused vertices, are one row
of what the first record says.
"""

from __future__ import annotations

__all__ = ["is_naslib", "read_content"]

import json
import math
import re
from pathlib import Path
from typing import Any, Final

from zeroshot.benchmarks.numbers import real
from zeroshot.benchmarks.source import Source
from zeroshot.benchmarks.table import Benchmark, Collector
from zeroshot.benchmarks.targets import Target
from zeroshot.errors import BenchmarkFileError

SPACES: Final = {
    "nasbench101": ("nasbench101", "naslib"),
    "nasbench201": ("nasbench201", "naslib"),
    "nasbench301": ("nasbench301", "compact"),
    "darts": ("nasbench301", "compact"),
    "transbench101_micro": ("transnas_micro", "digits"),
}
"""Of NASLib's name the space and the notation."""
NOTATIONS: Final = dict(SPACES.values())

ACCURACIES: Final = {
    ("nasbench101", "cifar10"): Target("cifar10", "valid", 108, "first"),
    ("nasbench201", "cifar10"): Target("cifar10-valid", "test", 200, "first"),
    ("nasbench201", "cifar100"): Target("cifar100", "test", 200, "first"),
    ("nasbench201", "ImageNet16-120"): Target("ImageNet16-120", "test", 200, "first"),
    ("nasbench301", "cifar10"): Target("cifar10", "valid", 100, "first", "surrogate_accuracy"),
}
"""What ``val_accuracy`` is, where it is known."""

MAX_KEY: Final = 4000
_TUPLE: Final = re.compile(r"[0-9\[\](), ]+")


def is_naslib(content: Any) -> bool:
    """Whether JSON is nested as such a file."""
    for _ in range(3):
        if not isinstance(content, dict) or not content:
            return False
        content = next(iter(content.values()))
    return isinstance(content, dict | int | float)


def read_content(content: Any, source: Source, space: str | None) -> Benchmark:
    """Read the JSON of a file."""
    where = source.where
    if not isinstance(content, dict) or not content:
        raise BenchmarkFileError(f"{where}: expected an object with data sets")
    outer = next(iter(content))
    if len(content) == 1 and outer in SPACES:
        content = content[outer]
        if space is None:
            space = SPACES[outer][0]
    if space is None:
        space = _space_of(Path(where).name, where)
    if space not in NOTATIONS:
        raise BenchmarkFileError(
            f"{where}: space: expected one of {', '.join(NOTATIONS)}, got {space!r}"
        )
    collector = Collector(space, where)
    for dataset, networks in _items(content, where, "of data sets"):
        seen: set[int] = set()
        for arch, values in _items(networks, f"{where}, {dataset[:60]}", "of architectures"):
            _add(collector, dataset, arch, values, seen)
    return collector.finish(source.sha256())


def _space_of(name: str, where: str) -> str:
    for known, (space, _) in SPACES.items():
        if known in name:
            return space
    raise BenchmarkFileError(
        f"{where}: space: expected one of {', '.join(NOTATIONS)} to be named, as neither the file "
        f"nor its name tells one of {', '.join(SPACES)}"
    )


def _items(value: Any, where: str, what: str) -> Any:
    if not isinstance(value, dict):
        raise BenchmarkFileError(f"{where}: expected an object {what}")
    return value.items()


def _add(collector: Collector, dataset: str, arch: str, values: Any, seen: set[int]) -> None:
    space = str(collector.space)
    where = f"{collector.where}, {dataset[:60]}, {arch[:100]}"
    notation = NOTATIONS[space]
    row, _ = collector.row(_parsed(arch, where), where, notation)
    collector.records += 1
    if row in seen:
        return
    seen.add(row)
    accuracy = ACCURACIES.get((space, dataset))
    for name, value in _items(values, where, "of scores"):
        column = f"{dataset}/{name}"
        if isinstance(value, dict):
            collector.set(row, column, real(value.get("score")))
            if "time" in value:
                collector.set(row, f"{column}_seconds", real(value["time"]))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if name == "val_accuracy" and accuracy is not None:
                column = str(accuracy)
                if not (math.isnan(value) or 0.0 <= value <= 100.001):
                    raise BenchmarkFileError(f"{where}, {name}: expected a percentage, got {value}")
            collector.set(row, column, real(value))


def _parsed(arch: str, where: str) -> Any:
    """A Python tuple of integers, as JSON reads it."""
    if len(arch) > MAX_KEY or not _TUPLE.fullmatch(arch):
        raise BenchmarkFileError(f"{where}: expected integers in brackets as the architecture")
    try:
        return json.loads(arch.replace("(", "[").replace(")", "]"))
    except (ValueError, RecursionError):
        raise BenchmarkFileError(f"{where}: expected a tuple as the architecture") from None
