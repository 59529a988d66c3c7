"""`Benchmark`, architectures and columns of numbers, and `Collector`, which makes one record by
record.

Columns that are accuracies are named by their `Target`; others are ``DATASET@EPOCHS/WHAT`` where
they belong to a training (``cifar10@12/train_seconds``), ``DATASET/WHAT`` where they belong to a
network on a data set (``cifar10/params_millions``), or as the file names them.
"""

from __future__ import annotations

__all__ = ["Benchmark", "Collector", "Training"]

import math
import os
import warnings
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from zeroshot.benchmarks.targets import RULES, Target, target_of
from zeroshot.errors import ArchitectureError, BenchmarkFileError
from zeroshot.spaces import get_space
from zeroshot.spaces.notations import convert

MAX_CELLS: Final = 200_000_000
"""Numbers that a benchmark holds at most: eight bytes each."""
MAX_NAME: Final = 200
MAX_SEEDS: Final = 100
MAX_TEXT: Final = 4000
MAX_ARCH_BYTES: Final = 2**31

# What a table of NAS-Bench-201 may call its accuracies: ``cifar10_test`` and so on, 200 epochs
# unless it says otherwise, and then the mean over trainings; of 12 epochs there is one.
_KNOWN_SPLITS: Final = {
    "cifar10_test": ("cifar10", "test"),
    "cifar10_valid": ("cifar10-valid", "valid"),
    "cifar10_valid_run_test": ("cifar10-valid", "test"),
    "cifar100_test": ("cifar100", "test"),
    "cifar100_valid": ("cifar100", "valid"),
    "imagenet16_120_test": ("ImageNet16-120", "test"),
    "imagenet16_120_valid": ("ImageNet16-120", "valid"),
}
KNOWN_COLUMNS: Final[Mapping[str, Mapping[str, Target]]] = {
    "nasbench201": {
        **{name: Target(*where, 200, "mean") for name, where in _KNOWN_SPLITS.items()},
        **{f"{name}_12ep": Target(*where, 12, "first") for name, where in _KNOWN_SPLITS.items()},
    },
    "nasbench301": {
        "val_accuracy_surrogate": Target("cifar10", "valid", 100, "first", "surrogate_accuracy")
    },
}
"""Targets that columns of a table stand for, by space."""


# --- what is handed out -----------------------------------------------------------------------


class Benchmark:
    """Architectures of a benchmark file and columns of numbers, a row for each architecture.

    `read_benchmark` makes it.

    Attributes
    ----------
    space : str or None
        Search space, as `zeroshot.list_spaces` has it; None for a table without architectures.
    archs : tuple of str
        As zeroshot writes them, in the order of the file.
    columns : tuple of str
        Names of all columns of numbers.
    targets : tuple of Target
        Accuracies that `accuracy` knows.
    records : int
        Records or rows of the file; more than architectures where each was trained repeatedly.
    source : str
        Path of the file.
    sha256 : str
        Of the file; of a folder, of the lines ``sha256 name`` of its files, sorted by name.
    left_out : dict of str to str
        Columns of a table that are no numbers, and the first text that was met in each.

    Examples
    --------
    >>> column = {"cifar10/test@90:mean": np.array([81.5])}
    >>> benchmark = Benchmark("nats_sss", ("8:8:8:8:8",), column, records=1, source="", sha256="")
    >>> benchmark.accuracy("cifar10/test@90:mean"), benchmark.lookup((8, 8, 8, 8, 8))
    (array([81.5]), 0)
    """

    def __init__(
        self,
        space: str | None,
        archs: tuple[str, ...],
        columns: Mapping[str, NDArray[np.float64]],
        *,
        records: int,
        source: str,
        sha256: str,
        keys: Mapping[str, int] | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        self.space = space
        self.archs = archs
        self.records = records
        self.source = source
        self.sha256 = sha256
        self.left_out = dict(left_out or {})
        self._columns = dict(columns)
        self._by_target = _targets(space, self._columns)
        self._rows = {arch: i for i, arch in enumerate(archs)}
        self._keys = keys
        self._groups: dict[str, list[int]] = {}
        self._group_keys: dict[str, dict[str, int]] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self._columns)

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(self._by_target)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()))) if not self.archs else len(self.archs)

    def __repr__(self) -> str:
        return (
            f"Benchmark({self.source!r}, {self.space}, {len(self)} architectures, "
            f"{len(self.columns)} columns, {len(self.targets)} targets)"
        )

    def accuracy(self, target: Target | str) -> NDArray[np.float64]:
        """An accuracy of every architecture.

        Parameters
        ----------
        target : Target or str
            Which; a text is that of a target or the name of a column. There is no default.

        Returns
        -------
        ndarray, shape (len(archs),), float64
            In percent, unless the target's metric or the column is something else; NaN where
            there is no number.

        Raises
        ------
        ValueError
            If the file has no such target; with all that it has.
        """
        if isinstance(target, str):
            if target in self._columns or target in self.left_out:
                return self.column(target)
            try:
                target = Target.parse(target)
            except ValueError:
                raise ValueError(
                    f"target: expected DATASET/SPLIT@EPOCHS:TRIALS or the name of a column, got "
                    f"{target!r}; {self._known()}"
                ) from None
        if not isinstance(target, Target):
            raise TypeError(f"target: expected a Target or a text, got {type(target).__name__}")
        if target not in self._by_target:
            raise ValueError(f"target: no {target}; {self._known(target.dataset)}")
        return self.column(self._by_target[target])

    def _known(self, dataset: str = "") -> str:
        """Targets, of a data set as cifar10 and cifar10-valid if one is named and there, and other
        columns, for a message."""
        word = dataset.lower().partition("-")[0]
        near = [t for t in self._by_target if t.dataset.lower().partition("-")[0] == word]
        groups: dict[str, list[str]] = {}
        for target in near or self._by_target:
            at, _, rule = str(target).partition(":")
            groups.setdefault(at, []).append(rule)
        targets = [f"{at}:{'|'.join(rules)}" for at, rules in groups.items()]
        others = [name for name in self._columns if target_of(name) is None]
        shown = others[:30] + ["..."] * (len(others) > 30)
        return (
            f"{self.source} has the targets {', '.join(targets) or 'none'} and the columns "
            f"{', '.join(shown) or 'none'}"
        )

    def column(self, name: str) -> NDArray[np.float64]:
        """A column of numbers, shape (len(archs),), as a copy; NaN where there is none."""
        if not isinstance(name, str):
            raise TypeError(f"name: expected a text, got {type(name).__name__}")
        if name in self.left_out:
            raise ValueError(
                f"name: expected a column of numbers, got {name!r}, which has {self.left_out[name]}"
            )
        if name not in self._columns:
            raise ValueError(f"name: no column {name!r}; {self._known()}")
        return self._columns[name].copy()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a table, which `read_benchmark` reads again.

        Parameters
        ----------
        path : path
            Ends in ``.csv``, ``.csv.gz``, or ``.parquet``, for which pyarrow is needed. The file
            appears when it is complete.
        """
        from zeroshot.benchmarks.writing import write

        write(self, path)

    def lookup(self, arch: Any) -> int | None:
        """The row of an architecture.

        Parameters
        ----------
        arch : object
            In any notation of the space, see `zeroshot.notations`. Modules of NAS-Bench-101 are
            found whatever the numbering of their vertices, genotypes of DARTS and NAS-Bench-301
            whatever the order of a node's two edges.

        Returns
        -------
        int or None
            None if the file does not have it.

        Raises
        ------
        ArchitectureError
            If `arch` is no architecture of the space.
        """
        if self.space is None:
            raise ValueError(f"arch: {self.source} has no architectures")
        if isinstance(arch, str) and arch in self._rows:
            return self._rows[arch]
        text = convert(arch, "text", space=self.space)
        row = self._rows.get(text)
        return self._equal_row(text) if row is None and self.space in _EQUAL else row

    def _equal_row(self, text: str) -> int | None:
        """The row of an architecture that the benchmark takes for the same one."""
        group, key = _EQUAL[str(self.space)]
        if self._keys is not None:
            return self._keys.get(key(text))
        if not self._groups:
            for row, arch in enumerate(self.archs):
                self._groups.setdefault(group(arch), []).append(row)
        name = group(text)
        if name not in self._group_keys:
            rows = self._groups.get(name, [])
            self._group_keys[name] = {key(self.archs[row]): row for row in reversed(rows)}
        return self._group_keys[name].get(key(text))


def _degrees(arch: str) -> str:
    """Operations and degrees of a module's vertices, which do not depend on their numbering."""
    matrix, _, ops = arch.removeprefix("adj=").partition(";ops=")
    rows = matrix.split("/")
    ways = (f"{row.count('1')}{column.count('1')}" for row, column in
            zip(rows, zip(*rows, strict=True), strict=True))  # fmt: skip
    return " ".join(sorted(map("".join, zip(ops.split(","), ways, strict=True))))


def _module_hash(arch: str) -> str:
    module: Any = get_space("nasbench101")
    return str(module.module_hash(arch))


def _sorted_pairs(arch: str) -> str:
    module: Any = get_space("nasbench301")
    return str(module.from_config(module.to_config(arch)))


def _all(arch: str) -> str:
    return ""


_EQUAL: Final[Mapping[str, tuple[Callable[[str], str], Callable[[str], str]]]] = {
    "nasbench101": (_degrees, _module_hash),
    "darts": (_all, _sorted_pairs),
    "nasbench301": (_all, _sorted_pairs),
}
"""What equal architectures share, where that is not the text: something quick, and all of it."""


def _targets(space: str | None, columns: Mapping[str, Any]) -> dict[Target, str]:
    """The column of each target: its own before one that is known to stand for it."""
    found = {target: name for name in columns if (target := target_of(name)) is not None}
    for name, target in KNOWN_COLUMNS.get(space or "", {}).items():
        if name in columns:
            found.setdefault(target, name)
    return found


# --- how it is collected ------------------------------------------------------------------------


@dataclass
class Training:
    """What was measured when one network was trained once.

    Attributes
    ----------
    dataset, epochs
        As in `Target`.
    seed : int
    accuracies : dict
        Percent by split.
    extras : dict
        Other numbers by name; columns ``DATASET@EPOCHS/NAME`` have the mean over trainings.
    """

    dataset: str
    epochs: int
    seed: int
    accuracies: dict[str, float] = field(default_factory=dict)
    extras: dict[str, float] = field(default_factory=dict)


class Collector:
    """Architectures and numbers, record by record, in memory that is bounded.

    Parameters
    ----------
    space : str or None
    where : str
        What error messages call the file.
    """

    def __init__(self, space: str | None, where: str) -> None:
        self.space = space
        self.where = where
        self.records = 0
        self.rows: dict[str, int] = {}
        self.left_out: dict[str, str] = {}
        self._columns: dict[str, array[float]] = {}
        self._sums: dict[str, array[float]] = {}  # of extras over trainings, and their number
        self._seeds: dict[tuple[str, str, int], list[int]] = {}
        self._texts: dict[str, str] = {}
        self._n_cells = 0
        self._n_bytes = 0

    def row(self, arch: Any, where: str, notation: str | None = None) -> tuple[int, bool]:
        """The row of an architecture, and whether it is new."""
        assert self.space is not None
        key = arch if isinstance(arch, str) else None
        if key is None or (text := self._texts.get(key)) is None:
            try:
                text = self._text(arch, notation)
            except (ArchitectureError, TypeError) as error:
                raise BenchmarkFileError(f"{where}: {error}") from None
            if key is not None and len(key) <= MAX_TEXT:
                self._remember(key, text)
        if (row := self.rows.get(text)) is not None:
            return row, False
        self._n_bytes += len(text) + 100
        if self._n_bytes > MAX_ARCH_BYTES:
            raise BenchmarkFileError(f"{where}: more than {MAX_ARCH_BYTES} bytes of architectures")
        return self.rows.setdefault(text, len(self.rows)), True

    def _text(self, arch: Any, notation: str | None) -> str:
        assert self.space is not None
        if notation is not None:
            return str(convert(arch, "text", space=self.space, notation=notation))
        space = get_space(self.space)
        return space.format(space.parse(arch))

    def _remember(self, key: str, text: str) -> None:
        """Texts that come again, as of repeated trainings, are parsed once."""
        if len(self._texts) >= 50_000:
            self._texts.clear()
        self._texts[key] = text

    def set(self, row: int, name: str, value: float) -> None:
        """A number of a row."""
        self._cell(self._columns, row, name, math.nan)[row] = value

    def get(self, row: int, name: str) -> float:
        """A number of a row; NaN if it has none."""
        column = self._columns.get(name)
        return math.nan if column is None or row >= len(column) else column[row]

    def add(self, row: int, training: Training, where: str) -> None:
        """What a training measured."""
        at = f"{training.dataset}@{training.epochs}"
        for split, value in training.accuracies.items():
            group = (training.dataset, split, training.epochs)
            seeds = self._seeds.setdefault(group, [])
            if training.seed not in seeds:
                if len(seeds) == MAX_SEEDS:
                    raise BenchmarkFileError(
                        f"{where}: more than {MAX_SEEDS} trainings of an architecture on "
                        f"{training.dataset!r}"
                    )
                seeds.append(training.seed)
            name = f"{training.dataset}/{split}@{training.epochs}:{training.seed}"
            if not math.isnan(self.get(row, name)):
                raise BenchmarkFileError(f"{where}: has {name} already; expected it once")
            self.set(row, name, value)
            first = f"{training.dataset}/{split}@{training.epochs}:first"
            if math.isnan(self.get(row, first)):
                self.set(row, first, value)
        for name, value in training.extras.items():
            if not math.isnan(value):
                self._add_to(row, f"{at}/{name}", value)
        self._add_to(row, f"{at}/trials", math.nan)

    def _add_to(self, row: int, name: str, value: float) -> None:
        """Sum and number of values, side by side; of NaN the number alone."""
        pair = self._cell(self._sums, 2 * row + 1, name, 0.0)
        pair[2 * row] += 0.0 if math.isnan(value) else value
        pair[2 * row + 1] += 1.0

    def _cell(
        self, columns: dict[str, array[float]], at: int, name: str, empty: float
    ) -> array[float]:
        """The column with a place for `at`."""
        column = columns.get(name)
        if column is None:
            if len(name) > MAX_NAME:
                raise BenchmarkFileError(
                    f"{self.where}: a column has a name of {len(name)} letters"
                )
            column = columns[name] = array("d")
        if (missing := at + 1 - len(column)) > 0:
            self._n_cells += missing + 8
            if self._n_cells > MAX_CELLS:
                raise BenchmarkFileError(f"{self.where}: more than {MAX_CELLS} numbers")
            column.extend([empty] * missing)
        return column

    def drop(self, name: str) -> None:
        """Forget a column."""
        column = self._columns.pop(name, None)
        self._n_cells -= len(column) if column is not None else 0

    def finish(self, sha256: str, keys: Mapping[str, int] | None = None) -> Benchmark:
        """The benchmark; nothing may be added afterwards."""
        n = len(self.rows) if self.space is not None else self.records
        if n == 0:
            raise BenchmarkFileError(f"{self.where}: expected records, got none")
        n_columns = len(self._columns) + 2 * len(self._seeds) + 2 * len(self._sums)
        if n * n_columns > MAX_CELLS:
            raise BenchmarkFileError(
                f"{self.where}: {n} rows of {n_columns} columns are more than {MAX_CELLS} numbers"
            )
        columns = {name: _padded(column, n) for name, column in self._columns.items()}
        for (dataset, split, epochs), seeds in self._seeds.items():
            at = f"{dataset}/{split}@{epochs}"
            trials = [columns[f"{at}:{seed}"] for seed in seeds]
            columns[f"{at}:mean"] = _reduced(np.nanmean, trials)
            columns[f"{at}:max"] = _reduced(np.nanmax, trials)
        for name, column in self._sums.items():
            total, number = _padded(column, 2 * n, 0.0).reshape(n, 2).T
            if name.endswith("/trials"):
                columns[name] = number.copy()
                continue
            with np.errstate(invalid="ignore", divide="ignore"):
                columns[name] = np.where(number > 0, total / number, np.nan)
        return Benchmark(
            self.space,
            tuple(self.rows),
            {name: columns[name] for name in sorted(columns, key=_place)},
            records=self.records,
            source=self.where,
            sha256=sha256,
            keys=keys,
            left_out=self.left_out,
        )


def _padded(column: array[float], n: int, empty: float = math.nan) -> NDArray[np.float64]:
    found = np.full(n, empty)
    found[: len(column)] = np.frombuffer(column, np.float64) if len(column) else 0.0
    return found


def _reduced(
    function: Callable[..., Any], trials: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Over trials that are there; NaN if none is."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # rows without any
        found: NDArray[np.float64] = function(np.stack(trials), axis=0)
    return found


def _place(name: str) -> tuple[int, str, str, int, str]:
    """Accuracies first: of a data set, split and number of epochs the rules, then the seeds."""
    target = target_of(name)
    if target is None:
        return (1, "", "", 0, "")
    rank = RULES.index(target.trials) if isinstance(target.trials, str) else 10
    text = f"{rank:02}{target.trials:020}" if rank == 10 else f"{rank:02}"
    return (0, target.dataset, target.split, target.epochs, text)
