"""NAS-Bench-101: ``nasbench_only108.tfrecord`` and ``nasbench_full.tfrecord``.

A record is JSON, one training of a module (google-research/nasbench ``nasbench/api.py``)::

    [hash, epochs, matrix as digits, operations with commas, metrics as base64]

and its metrics are a protobuf message (``nasbench/lib/model_metrics.proto``)::

    ModelMetrics    evaluation_data = 1, repeated; trainable_parameters = 2; total_time = 3
    EvaluationData  current_epoch = 1; training_time = 2; train_accuracy = 3;
                    validation_accuracy = 4; test_accuracy = 5, all double; checkpoint_path = 6

There are three evaluations: before training, half way, and after it. Accuracies of targets are the
last ones, in percent; what was measured half way is in columns ``cifar10@108/halfway_...``, as it
is no shorter training. Trainings have no seeds: 0, 1 and 2 are in the order of the file.
"""

from __future__ import annotations

__all__ = ["read_file"]

import base64
import json
import math
import struct
from typing import Any, Final

from zeroshot.benchmarks import tfrecord
from zeroshot.benchmarks.source import DAMAGE, Source, brief
from zeroshot.benchmarks.table import Benchmark, Collector, Training
from zeroshot.errors import BenchmarkFileError

SPLITS: Final = {3: "train", 4: "valid", 5: "test"}
DATASET: Final = "cifar10"
MAX_REPEATS: Final = 50


def read_file(source: Source, space: str | None = None) -> Benchmark:
    """Read a file of records."""
    if space not in (None, "nasbench101"):
        raise BenchmarkFileError(f"{source.where}: space: expected nasbench101, got {space}")
    collector = Collector("nasbench101", source.where)
    rows: dict[str, tuple[int, str]] = {}  # by hash, and the module that has it
    n_repeats: dict[tuple[int, int], int] = {}
    for number, record in enumerate(tfrecord.records(source)):
        where = f"{source.where}, record {number}"
        try:
            module_hash, epochs, matrix, ops, metrics = _parts(record)
            module = f"{matrix};{ops}"
            known = rows.get(module_hash)
            if known is None:
                row, is_new = collector.row(_text(matrix, ops), where)
                if not is_new:
                    raise ValueError("another hash has the same module")
                rows[module_hash] = known = row, module
            if known[1] != module:
                raise ValueError("another record with its hash has another module")
            row = known[0]
            repeat = n_repeats.get((row, epochs), 0)
            if repeat == MAX_REPEATS:
                raise ValueError(f"more than {MAX_REPEATS} trainings of its module")
            n_repeats[row, epochs] = repeat + 1
            _add(collector, row, Training(DATASET, epochs, repeat), metrics, where)
        except BenchmarkFileError:
            raise
        except DAMAGE as error:
            raise BenchmarkFileError(f"{where}: {brief(error)}") from error
        collector.records += 1
    keys = {module_hash: row for module_hash, (row, _) in rows.items()}
    return collector.finish(source.sha256(), keys)


def _parts(record: bytes) -> tuple[str, int, str, str, bytes]:
    match json.loads(record):
        case [str(name), int(epochs), str(matrix), str(ops), str(metrics)] if 0 < epochs < 10**6:
            return name[:64], epochs, matrix, ops, base64.b64decode(metrics, validate=False)
    raise ValueError("expected [hash, epochs, matrix, operations, metrics]")


def _text(matrix: str, ops: str) -> str:
    n = math.isqrt(len(matrix))
    if n * n != len(matrix) or not 2 <= n <= 7 or not set(matrix) <= {"0", "1"}:
        raise ValueError(f"expected a matrix as 4 to 49 digits 0 and 1, got {len(matrix)}")
    rows = "/".join(matrix[i : i + n] for i in range(0, n * n, n))
    return f"adj={rows};ops={ops}"


def _add(collector: Collector, row: int, training: Training, message: bytes, where: str) -> None:
    evaluations: list[dict[int, float]] = []
    for number, value in tfrecord.fields(message):
        if number == 1 and isinstance(value, bytes):
            evaluations.append(_evaluation(value))
        elif number == 2 and isinstance(value, int):
            collector.set(row, f"{DATASET}/params_millions", value / 1e6)
    if len(evaluations) != 3:
        raise ValueError(f"expected 3 evaluations, got {len(evaluations)}")
    _, halfway, final = evaluations
    for field, split in SPLITS.items():
        training.accuracies[split] = _percent(final.get(field, math.nan))
        training.extras[f"halfway_{split}_accuracy"] = _percent(halfway.get(field, math.nan))
    training.extras["train_seconds"] = final.get(2, math.nan)
    training.extras["train_seconds_per_epoch"] = final.get(2, math.nan) / training.epochs
    training.extras["halfway_train_seconds"] = halfway.get(2, math.nan)
    collector.add(row, training, where)


def _evaluation(message: bytes) -> dict[int, float]:
    found: dict[int, Any] = {}
    for number, value in tfrecord.fields(message):
        if isinstance(value, bytes) and len(value) == 8 and number != 6:
            (found[number],) = struct.unpack("<d", value)
    return found


def _percent(share: float) -> float:
    if not math.isnan(share) and not 0.0 <= share <= 1.000001:
        raise ValueError(f"expected an accuracy from 0 to 1, got {share}")
    return 100.0 * share
