"""Modules of NAS-Bench-101 as others write them: matrices with operations, JSON, NASLib's tuple."""

from __future__ import annotations

__all__ = [
    "LABELS",
    "MOST_ROWS",
    "NAME",
    "NASLIB",
    "OPS",
    "from_json",
    "from_naslib",
    "from_pair",
    "integer",
    "sequence",
]

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces._protocol import Genes, load_json

NAME: Final = "nasbench101"
OPS: Final = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
LABELS: Final[Mapping[int, str]] = {-1: "input", **dict(enumerate(OPS)), -2: "output"}
NASLIB: Final[Mapping[int, str]] = dict(enumerate(("input", "output", OPS[2], OPS[1], OPS[0])))
MOST_ROWS: Final = 32  # of a matrix before vertices are removed, as the parser


def integer(value: object, where: str) -> int:
    """`value` as an int."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise ArchitectureError(f"{where}: expected an integer, got {reprlib.repr(value)}")
    return int(value)


def from_json(text: str | bytes) -> Genes:
    """Genes of ``[matrix, operations]`` as JSON."""
    found = load_json(text, "[matrix, operations]")
    if len(found) != 2:
        raise ArchitectureError(
            f"arch: expected JSON [matrix, operations], got {len(found)} items", 0
        )
    return from_pair(found[0], found[1])


def sequence(value: object, what: str, where: str) -> Sequence[Any]:
    """`value`, if it is a sequence of items."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return value
    raise ArchitectureError(f"{where}: expected {what}, got {reprlib.repr(value)}")


def from_pair(matrix: object, labels: object) -> Genes:
    """Genes of a matrix and its operations, names or the benchmark's numbers."""
    rows = sequence(matrix, "a matrix", "arch[0]")
    n = len(rows)
    if not 2 <= n <= MOST_ROWS:
        raise ArchitectureError(f"arch[0]: expected 2 to {MOST_ROWS} rows, got {n}")
    text = []
    for x, row in enumerate(rows):
        entries = sequence(row, f"a row of {n} entries", f"arch[0][{x}]")
        if len(entries) != n:
            raise ArchitectureError(
                f"arch[0][{x}]: expected {n} entries, as there are {n} rows, got {len(entries)}"
            )
        text.append("".join(_entry(e, f"arch[0][{x}][{y}]") for y, e in enumerate(entries)))
    names = sequence(labels, f"{n} operations", "arch[1]")
    if len(names) != n:
        raise ArchitectureError(
            f"arch[1]: expected {n} operations, as there are {n} rows, got {len(names)}"
        )
    ops = [_label(op, x, n, LABELS, f"arch[1][{x}]") for x, op in enumerate(names)]
    return _from_parts(text, ops)


def from_naslib(arch: Sequence[Any]) -> Genes:
    """Genes of all entries of a matrix, then the operations in NASLib's numbers."""
    n = next((n for n in range(2, MOST_ROWS + 1) if n * n + n == len(arch)), None)
    if n is None:
        raise ArchitectureError(
            "arch: expected a pair (matrix, operations) or the n * n + n numbers of NASLib for n "
            f"vertices, got {len(arch)} items"
        )
    entries = [_entry(e, f"arch[{i}]") for i, e in enumerate(arch[: n * n])]
    rows = ["".join(entries[x * n : (x + 1) * n]) for x in range(n)]
    ops = [_label(op, x, n, NASLIB, f"arch[{n * n + x}]") for x, op in enumerate(arch[n * n :])]
    return _from_parts(rows, ops)


def _entry(value: object, where: str) -> str:
    if isinstance(value, int | np.integer | np.bool_) and value in (0, 1):
        return "1" if value else "0"
    raise ArchitectureError(f"{where}: expected 0 or 1, got {reprlib.repr(value)}")


def _label(op: object, x: int, n: int, numbers: Mapping[int, str], where: str) -> str:
    """The name of an operation, and that it may stand at vertex x of n."""
    is_number = isinstance(op, int | np.integer) and not isinstance(op, bool)
    name = numbers.get(int(op)) if is_number else op  # type: ignore[call-overload]
    allowed = ("input",) if x == 0 else ("output",) if x == n - 1 else OPS
    if isinstance(name, str) and name in allowed:
        return name
    known = ", ".join(f"{text} ({number})" for number, text in numbers.items() if text in allowed)
    raise ArchitectureError(f"{where}: expected {known}, got {reprlib.repr(op)}")


def _from_parts(rows: Sequence[str], ops: Sequence[str]) -> Genes:
    try:
        return _core.space_parse(NAME, f"adj={'/'.join(rows)};ops={','.join(ops)}")
    except ArchitectureError as error:  # its position is in a text that nobody wrote
        raise ArchitectureError(f"arch: {error}") from None
