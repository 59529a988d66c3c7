"""Benchmarks as tables: CSV, also compressed, and Parquet. A file appears when it is complete."""

from __future__ import annotations

__all__ = ["ENDINGS", "check_path", "write"]

import csv
import errno
import gzip
import io
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from zeroshot.benchmarks.tables import import_pyarrow
from zeroshot.files import replacing

if TYPE_CHECKING:
    from zeroshot.benchmarks.table import Benchmark

ENDINGS: Final = (".csv", ".csv.gz", ".parquet")


def write(benchmark: Benchmark, path: str | os.PathLike[str]) -> None:
    """Write a table to `path`, whose ending says which kind."""
    where, ending = Path(path), check_path(path)
    with replacing(where) as part, part.open("xb") as file:
        if ending == ".parquet":
            _write_parquet(benchmark, file)
        elif ending == ".csv.gz":
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as compressed:
                _write_csv(benchmark, compressed)
        else:
            _write_csv(benchmark, file)


def check_path(path: str | os.PathLike[str]) -> str:
    """The ending of a file that can be written."""
    where = Path(path)
    ending = next((e for e in reversed(ENDINGS) if where.name.endswith(e)), None)
    if ending is None:
        raise ValueError(f"path: expected a name that ends in {', '.join(ENDINGS)}; got {path}")
    folder = where.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, "no file can be written in this folder", str(folder))
    if where.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected a file, this is a folder", str(path))
    if ending == ".parquet":
        import_pyarrow(f"{path}: Parquet")
    return ending


def _write_csv(benchmark: Benchmark, file: Any) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    has_archs = benchmark.space is not None
    writer.writerow([*(["space", "arch"] if has_archs else []), *benchmark.columns])
    for i, numbers in enumerate(_rows(benchmark)):
        before = [benchmark.space, benchmark.archs[i]] if has_archs else []
        writer.writerow([*before, *(_written(number) for number in numbers)])
    text.flush()
    text.detach()


def _rows(benchmark: Benchmark) -> Iterator[tuple[float, ...]]:
    columns = [benchmark.column(name) for name in benchmark.columns]
    for start in range(0, len(benchmark), 1000):
        yield from zip(*(column[start : start + 1000].tolist() for column in columns), strict=True)


def _written(number: float) -> str:
    """As short as reads back the same."""
    if math.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def _write_parquet(benchmark: Benchmark, file: IO[bytes]) -> None:
    pyarrow = import_pyarrow("Parquet")
    arrays: dict[str, Any] = {}
    if benchmark.space is not None:
        arrays["space"] = pyarrow.array([benchmark.space] * len(benchmark)).dictionary_encode()
        arrays["arch"] = pyarrow.array(benchmark.archs)
    for name in benchmark.columns:
        arrays[name] = pyarrow.array(benchmark.column(name), from_pandas=True)
    table = pyarrow.table(arrays).replace_schema_metadata(
        {"source": benchmark.source, "sha256": benchmark.sha256}
    )
    pyarrow.parquet.write_table(table, file, compression="zstd")
