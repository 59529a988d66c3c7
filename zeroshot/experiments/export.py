"""A store as CSV, Parquet and a table of pandas: a line for each value that was asked for."""

from __future__ import annotations

__all__ = ["COLUMNS", "TIMING", "lines", "to_csv", "to_frame", "to_parquet"]

import csv
import json
import math
import os
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from zeroshot.files import replacing
from zeroshot.provenance import canonical_json

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    "experiment", "position", "space", "arch", "scored_as", "label", "score", "parameters", "seed",
    "value", "status", "reason", "dead_weights", "histogram", "key",
)  # fmt: skip
TIMING = ("seconds", "peak_bytes", "kernels")
"""Columns of what depends on the run, and on the scores that were made in it."""

_BATCH = 50_000

_LINES = """
SELECT e.name, e.hash, a.position, asked.space, asked.text, scored.text, a.label, s.score, s.json,
       a.seed, v.value, v.status, v.reason, v.dead_weights, v.peak_bytes, v.histogram, v.key,
       v.seconds, env.json
FROM asked a
JOIN experiment e ON e.id = a.experiment
JOIN arch asked ON asked.id = a.arch
JOIN value v ON v.key = a.key
JOIN arch scored ON scored.id = v.arch
JOIN setting s ON s.id = v.setting
JOIN environment env ON env.id = v.environment
WHERE e.id IN ({experiments})
ORDER BY e.hash, a.position, asked.text, a.label, a.seed
"""


def lines(
    file: sqlite3.Connection, experiments: Sequence[int], timing: bool
) -> Iterator[tuple[Any, ...]]:
    """Values in the order of `COLUMNS` (and `TIMING`), in an order that no run changes."""
    parameters: dict[str, str] = {}
    kernels: dict[str, str | None] = {}
    rows = file.execute(_LINES.format(experiments=",".join(map(str, experiments))))
    for (
        name, hash_, position, space, arch, scored, label, score, setting, seed, value, status,
        reason, dead, peak, histogram, key, seconds, environment,
    ) in rows:  # fmt: skip
        if setting not in parameters:
            parameters[setting] = canonical_json(json.loads(setting)["parameters"])
        line: tuple[Any, ...] = (
            name or hash_[:8], position, space, arch, scored, label, score, parameters[setting],
            seed, math.nan if value is None else value, status, reason, dead, histogram, key.hex(),
        )  # fmt: skip
        if timing:
            if environment not in kernels:
                kernels[environment] = json.loads(environment).get("kernels")
            line = (*line, seconds, peak, kernels[environment])
        yield line


def _columns(timing: bool) -> tuple[str, ...]:
    return (*COLUMNS, *TIMING) if timing else COLUMNS


def to_csv(
    file: sqlite3.Connection,
    experiments: Sequence[int],
    path: str | os.PathLike[str],
    timing: bool,
) -> int:
    """See `Store.to_csv`. Numbers are the shortest texts that read back as the same."""
    count = 0
    with replacing(path) as part, open(part, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_columns(timing))
        for line in lines(file, experiments, timing):
            writer.writerow(line)
            count += 1
    return count


def to_parquet(
    file: sqlite3.Connection,
    experiments: Sequence[int],
    path: str | os.PathLike[str],
    timing: bool,
) -> int:
    """See `Store.to_parquet`."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ImportError("to_parquet needs pyarrow: pip install 'zeroshot[experiments]'") from None
    names = _columns(timing)
    integers = ("position", "seed", "dead_weights", "peak_bytes")
    schema = pyarrow.schema(
        [
            (
                name,
                pyarrow.int64()
                if name in integers
                else pyarrow.float64()
                if name in ("value", "seconds")
                else pyarrow.string(),
            )
            for name in names
        ]
    )
    count = 0
    source = lines(file, experiments, timing)
    with replacing(path) as part, parquet.ParquetWriter(part, schema) as writer:
        while some := list(islice(source, _BATCH)):
            columns = list(zip(*some, strict=True))
            writer.write_table(
                pyarrow.table(dict(zip(names, map(list, columns), strict=True)), schema=schema)
            )
            count += len(some)
    return count


def to_frame(
    file: sqlite3.Connection, experiments: Sequence[int], timing: bool
) -> pandas.DataFrame:
    """See `Store.to_frame`."""
    try:
        import pandas
    except ImportError:
        raise ImportError("to_frame needs pandas: pip install 'zeroshot[experiments]'") from None
    frame = pandas.DataFrame.from_records(
        list(lines(file, experiments, timing)), columns=list(_columns(timing))
    )
    return frame.astype({"dead_weights": "Int64"})
