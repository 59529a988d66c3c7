"""Tables: CSV, also compressed, and Parquet, with architectures in a column and numbers in others.

Architectures are in a column ``arch``, ``arch_str``, ``architecture``, ``genotype`` or ``code``; in
``matrix`` (rows separated by /) and ``ops`` (by a bar); in ``normal`` and ``reduce``
(``op~input|op~input+...``); or, if the space is named, in ``index``. A column ``space`` names their
space; otherwise the first one is looked at. With a column ``dataset`` an architecture may have a
row for each data set, and columns become ``DATASET/NAME``. Columns in which all that is there are
numbers are kept, the others named in `Benchmark.left_out`; an empty cell is NaN.

Columns that are named by a target, as `Benchmark.save` names them, are targets again; of
NAS-Bench-201 also those in `zeroshot.benchmarks.table.KNOWN_COLUMNS`.
"""

from __future__ import annotations

__all__ = ["read_csv", "read_parquet"]

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from zeroshot.benchmarks.source import Source, brief
from zeroshot.benchmarks.table import MAX_NAME, Benchmark, Collector
from zeroshot.errors import ArchitectureError, BenchmarkFileError
from zeroshot.spaces import list_spaces
from zeroshot.spaces.notations import convert

TEXT_COLUMNS: Final = ("arch", "code", "arch_str", "architecture", "genotype")
MAX_COLUMNS: Final = 10_000
MAX_LINE: Final = 1 << 20

_LOOKS: Final = (
    (re.compile(r"\d+-\d+-\d_\d\d_\d\d\d"), ("transnas_micro",)),
    (re.compile(r"\|[a-z0-9_]+~0\|\+.*"), ("nasbench201",)),
    (re.compile(r"\d+(:\d+){4}"), ("nats_sss",)),
    (re.compile(r"adj=.*"), ("nasbench101",)),
    (re.compile(r"Genotype\(.*"), ("nasbench301", "darts")),
    (re.compile(r"w=\d+;d=\d+;.*"), tuple(s for s in list_spaces() if s.startswith("nds_"))),
    (re.compile(r"skeleton=.*"), ("proxylessnas",)),
)
"""What an architecture looks like, and of which spaces it may be."""


class _Rows:
    """Takes rows of cells, texts or numbers."""

    def __init__(self, where: str, header: Sequence[str], space: str | None) -> None:
        if len(header) > MAX_COLUMNS:
            raise BenchmarkFileError(f"{where}: more than {MAX_COLUMNS} columns")
        repeated = {name for name in header if name and header.count(name) > 1}
        if repeated or any(len(name) > MAX_NAME for name in header):
            raise BenchmarkFileError(f"{where}: expected column names that differ, and are short")
        self.where = where
        self.header = list(header)
        self.at = {name: i for i, name in enumerate(header) if name}
        self.space = space
        self.arch: Callable[[Sequence[Any]], Any] | None = None
        self.notation: str | None = None
        self.refused = ""  # why a text of the first row is no architecture
        self.collector: Collector | None = None
        self.numeric: list[tuple[int, str]] = []
        self.seen: dict[str, bytearray] = {}

    def add(self, cells: Sequence[Any], line: int) -> None:
        where = f"{self.where}, line {line}"
        if len(cells) != len(self.header):
            raise BenchmarkFileError(
                f"{where}: expected {len(self.header)} cells, got {len(cells)}"
            )
        if self.collector is None:
            self.collector = self._collector(cells, where)
        collector = self.collector
        if "space" in self.at and cells[self.at["space"]] != self.space:
            raise BenchmarkFileError(
                f"{where}: space: expected {self.space}, got {str(cells[self.at['space']])[:60]!r}"
            )
        if self.arch is None:
            row = collector.records
        else:
            row, _ = collector.row(self.arch(cells), where, self.notation)
        collector.records += 1
        prefix = ""
        if "dataset" in self.at and self.arch is not None:
            prefix = f"{_text(cells[self.at['dataset']], where)}/"
        self._once(row, prefix, where)
        for i, name in [*self.numeric]:
            value = cells[i]
            if value is None or value == "":
                continue
            try:
                number = _number(value)
            except ValueError:  # a column of texts
                self.numeric.remove((i, name))
                collector.left_out[name] = f"{str(value)[:60]!r} in line {line}"
                for known in ("", *self.seen):
                    collector.drop(f"{known}{name}")
                continue
            if not math.isnan(number):
                collector.set(row, f"{prefix}{name}", number)

    def _once(self, row: int, prefix: str, where: str) -> None:
        seen = self.seen.setdefault(prefix, bytearray())
        if len(self.seen) > MAX_COLUMNS:
            raise BenchmarkFileError(f"{where}: more than {MAX_COLUMNS} data sets")
        if row >= len(seen):
            seen.extend(bytes(row + 1 - len(seen)))
        if seen[row]:
            raise BenchmarkFileError(
                f"{where}: its architecture has a row already"
                f"{'' if prefix else '; a column dataset would tell them apart'}"
            )
        seen[row] = 1

    def _collector(self, cells: Sequence[Any], where: str) -> Collector:
        """Where architectures are and of which space, by the first row."""
        used = {"space", "dataset"}
        if "space" in self.at and self.space is None:
            self.space = _text(cells[self.at["space"]], where)
            if self.space not in list_spaces():
                raise BenchmarkFileError(f"{where}: {self.space[:60]!r} is no space")
        for name in TEXT_COLUMNS:
            if name in self.at and self._takes(_text(cells[self.at[name]], where)):
                self.arch = self._column(name)
                used.add(name)
                break
        else:
            used |= self._in_parts(where)
        self.numeric = [(i, name) for name, i in self.at.items() if name not in used]
        return Collector(self.space if self.arch is not None else None, self.where)

    def _takes(self, text: str) -> bool:
        """Whether a text is an architecture, which may tell the space."""
        spaces = next((spaces for look, spaces in _LOOKS if look.fullmatch(text)), ())
        if self.space is None and len(spaces) == 1:
            self.space = spaces[0]
        if self.space is None and spaces:
            raise BenchmarkFileError(
                f"{self.where}: space: expected one of {', '.join(spaces)} to be named, as "
                f"{text[:40]!r} may be of any"
            )
        if self.space is None:
            return False
        try:
            convert(text, "text", space=self.space)
        except (ArchitectureError, TypeError) as error:
            self.refused = str(error)
            return False
        return True

    def _column(self, name: str) -> Callable[[Sequence[Any]], Any]:
        i = self.at[name]
        return lambda cells: _text(cells[i], self.where)

    def _in_parts(self, where: str) -> set[str]:
        """Architectures in two columns, or numbers."""
        for parts, spaces, joined in _PARTS:
            if parts <= set(self.at) and self.space in (None, *spaces):
                self.space = self.space or spaces[0]
                self.arch = self._joined(joined, *map(self._column, sorted(parts)))
                return set(parts)
        if self.space is not None and "index" in self.at:
            i = self.at["index"]
            self.arch = lambda cells: _index(cells[i], self.where)
            self.notation = "index"
            return set()
        if self.space is not None:
            if self.refused:
                raise BenchmarkFileError(f"{where}: {self.refused}")
            raise BenchmarkFileError(
                f"{where}: expected architectures of {self.space} in a column "
                f"{', '.join(TEXT_COLUMNS)} or index, got the columns {', '.join(self.at)[:300]}"
            )
        if texts := [name for name in TEXT_COLUMNS if name in self.at]:
            raise BenchmarkFileError(
                f"{where}: space: expected it to be named, as column {texts[0]} does not tell it"
            )
        return set()

    def _joined(
        self,
        join: Callable[[str, str], str],
        one: Callable[[Sequence[Any]], str],
        other: Callable[[Sequence[Any]], str],
    ) -> Callable[[Sequence[Any]], str]:
        def arch(cells: Sequence[Any]) -> str:
            try:
                return join(one(cells), other(cells))
            except ArchitectureError as error:
                raise BenchmarkFileError(f"{self.where}: {brief(error)}") from None

        return arch

    def finish(self, sha256: str) -> Benchmark:
        if self.collector is None:
            raise BenchmarkFileError(f"{self.where}: expected rows, got none")
        found = self.collector.finish(sha256)
        if not found.columns:
            texts = "; ".join(f"{name} has {cell}" for name, cell in found.left_out.items())
            raise BenchmarkFileError(
                f"{self.where}: expected columns of numbers, got none{texts and ': '}{texts[:300]}"
            )
        return found


def _module(matrix: str, ops: str) -> str:
    return f"adj={matrix};ops={ops.replace('|', ',')}"


def _genotype(normal: str, reduce: str) -> str:
    def cell(text: str) -> str:
        edges = [edge.partition("~")[::2] for node in text.split("+") for edge in node.split("|")]
        if not all(re.fullmatch(r"[a-z0-9_]{1,40}", op) and source.isdigit()
                   for op, source in edges):  # fmt: skip
            raise ArchitectureError(f"expected OP~INPUT|OP~INPUT+..., got {text[:60]!r}")
        return ", ".join(f"('{op}', {source})" for op, source in edges)

    return (
        f"Genotype(normal=[{cell(normal)}], normal_concat=[2, 3, 4, 5], "
        f"reduce=[{cell(reduce)}], reduce_concat=[2, 3, 4, 5])"
    )


_PARTS: Final[tuple[tuple[set[str], tuple[str, ...], Callable[[str, str], str]], ...]] = (
    ({"matrix", "ops"}, ("nasbench101",), _module),
    ({"normal", "reduce"}, ("nasbench301", "darts"), _genotype),
)
"""Columns that are one architecture together, their spaces, and how they are joined."""


def _text(cell: Any, where: str) -> str:
    if not isinstance(cell, str) or not cell:
        raise BenchmarkFileError(f"{where}: expected a text, got {str(cell)[:40]!r}")
    return cell


def _index(cell: Any, where: str) -> int:
    try:
        number = _number(cell)
    except ValueError:
        number = math.nan
    if not number.is_integer() or not 0 <= number < 2**53:
        raise BenchmarkFileError(f"{where}: expected an index, got {str(cell)[:40]!r}")
    return int(number)


def _number(cell: Any) -> float:
    if isinstance(cell, str):
        if len(cell) > 400 or "_" in cell:
            raise ValueError("no number")
        return float(cell)
    if isinstance(cell, int | float):  # bool, too
        try:
            return float(cell)
        except OverflowError:
            return math.nan
    raise ValueError("no number")


# --- files --------------------------------------------------------------------------------------


def read_csv(source: Source, space: str | None) -> Benchmark:
    """Read a CSV file, or one with tabs, with a header line."""
    where = source.where
    rows: _Rows | None = None
    reader: Any = None
    try:
        lines = _lines(source)
        first = next(lines, "")
        tabs = "\t" in first and "," not in first
        reader = csv.reader(
            _with(first, lines), dialect="excel-tab" if tabs else "excel", strict=True
        )
        for cells in reader:
            if not cells:
                continue
            if rows is None:
                rows = _Rows(where, [name.strip() for name in cells], space)
            else:
                rows.add(cells, reader.line_num)
    except BenchmarkFileError:
        raise
    except (csv.Error, ValueError, TypeError) as error:
        line = f", line {reader.line_num}" if reader is not None else ""
        raise BenchmarkFileError(f"{where}{line}: {brief(error)}") from error
    if rows is None:
        raise BenchmarkFileError(f"{where}: expected a header line and rows, got none")
    return rows.finish(source.sha256())


def _with(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _lines(source: Source) -> Iterator[str]:
    rest, encoding = b"", "utf-8-sig"
    while chunk := source.read():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode(encoding) + "\n"
            encoding = "utf-8"
        if len(rest) > MAX_LINE:
            raise BenchmarkFileError(f"{source.where}: a line has more than {MAX_LINE} bytes")
    if rest:
        yield rest.decode(encoding)


def import_pyarrow(what: str) -> Any:
    """pyarrow with its Parquet part, or an error that says how to get it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(f"{what} needs pyarrow: pip install 'zeroshot[experiments]'") from error
    return pyarrow


def read_parquet(source: Source, space: str | None) -> Benchmark:
    """Read a Parquet file, with pyarrow; sizes that its footer declares are compared first."""
    pyarrow = import_pyarrow(f"{source.where}: Parquet")
    where = source.where
    try:
        file = pyarrow.parquet.ParquetFile(
            source.path,
            memory_map=False,
            thrift_string_size_limit=1 << 24,
            thrift_container_size_limit=1 << 20,
        )
        about = file.metadata
        n_bytes = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
        if about.num_columns > MAX_COLUMNS or max(n_bytes, about.num_rows) > source.max_bytes:
            raise BenchmarkFileError(
                f"{where}: {n_bytes} bytes in {about.num_columns} columns are declared, at most "
                f"{source.max_bytes} in {MAX_COLUMNS} are allowed"
            )
        rows = _Rows(where, file.schema_arrow.names, space)
        line = 1
        for batch in file.iter_batches(batch_size=4096):
            columns = [column.to_pylist() for column in batch.columns]
            for cells in zip(*columns, strict=True):
                line += 1
                rows.add(cells, line)
    except BenchmarkFileError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError,
            MemoryError) as error:  # fmt: skip
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise
        raise BenchmarkFileError(f"{where}: {brief(error)}") from error
    return rows.finish(source.sha256())
