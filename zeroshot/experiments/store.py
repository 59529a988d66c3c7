"""`Store`: every value once, by its provenance key, in one SQLite file."""

from __future__ import annotations

__all__ = ["FAILURES", "AskedRow", "ExperimentInfo", "MergeSummary", "Store"]

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from zeroshot.errors import StoreError
from zeroshot.experiments import export, schema
from zeroshot.experiments.merge import MergeSummary, merge_files
from zeroshot.experiments.rows import ValueRow, value_rows
from zeroshot.experiments.table import ScoreTable, make_table
from zeroshot.provenance import canonical_json, key_of
from zeroshot.results import ScoreResult, Status

if TYPE_CHECKING:
    import pandas

FAILURES = ("failed", "crashed")

_AT_A_TIME = 500  # keys in one question

# A value that is there stays, unless it stands for a failure.
_ADD_VALUE = """
INSERT INTO value (key, arch, setting, seed, dead_weights, value, status, reason, seconds,
                   peak_bytes, histogram, environment)
VALUES (:key, (SELECT id FROM arch WHERE text = :arch AND space = :space),
        (SELECT id FROM setting WHERE json = :setting), :seed, :dead_weights, :value, :status,
        :reason, :seconds, :peak_bytes, :histogram,
        (SELECT id FROM environment WHERE json = :environment))
ON CONFLICT (key) DO UPDATE SET
    value = excluded.value, status = excluded.status, reason = excluded.reason,
    seconds = excluded.seconds, peak_bytes = excluded.peak_bytes,
    histogram = excluded.histogram, environment = excluded.environment
WHERE value.status IN ('failed', 'crashed')
"""
_ADD_ASKED = """
INSERT OR IGNORE INTO asked (experiment, arch, label, seed, position, key)
VALUES (?, (SELECT id FROM arch WHERE text = ? AND space = ?), ?, ?, ?, ?)
"""


class AskedRow(NamedTuple):
    """That an experiment wants the value of a key."""

    arch: str
    label: str
    seed: int
    position: int
    key: bytes


@dataclass(frozen=True)
class ExperimentInfo:
    """An experiment in a store.

    Attributes
    ----------
    number : int
        In this file.
    hash : str
        Of everything that its values depend on; its first eight digits name it as well as `name`.
    name, space : str
    labels : tuple of str
    n_archs, n_seeds : int
        Of the whole experiment, whatever shard of it is here.
    n_asked, n_values : int
        Values that were asked for here so far, and those of them that are here.
    statuses : dict of str to int
        Values by status.
    about : dict
        What was asked for.
    """

    number: int
    hash: str
    name: str
    space: str
    labels: tuple[str, ...]
    n_archs: int
    n_seeds: int
    n_asked: int
    n_values: int
    statuses: Mapping[str, int]
    about: Mapping[str, Any]


class Store:
    """Values of scores in a file, each once, keyed by its provenance.

    One SQLite file in WAL mode. Any number of processes may read; one at a time may write, from
    its first write until `close`. What is committed stays, whatever happens to the process or to
    the machine. The file belongs on a local disk: for many machines, one file each, and `merge`.

    Parameters
    ----------
    path : str or path
    create : bool
        Make the file if it is missing or empty.

    Raises
    ------
    StoreError
        If the file is missing (without `create`), foreign, damaged, or of a newer version.

    Examples
    --------
    >>> import tempfile, numpy as np, zeroshot
    >>> x, y = np.random.default_rng(0).standard_normal((8, 3, 8, 8)), np.arange(8)
    >>> results = zeroshot.score_many([9, 1462], x, y, scores="params", channels=4, cells=1)
    >>> with tempfile.TemporaryDirectory() as folder, Store(f"{folder}/cells.sqlite") as store:
    ...     added = store.add(results), store.add(results)
    ...     store.scores()["params"]
    array([ 7772., 22892.])
    >>> added
    (2, 0)
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"store: expected a path, got {path!r}")
        self.path = Path(path)
        self._lock: int | None = None
        self._file: sqlite3.Connection | None = None
        if create and schema.is_blank(self.path):
            self._lock = schema.lock(self.path)
            try:
                schema.create(self.path)
            except BaseException:
                self.close()
                raise
        if not self.path.exists():
            raise StoreError(f"store {self.path}: there is no such file")
        try:
            self._file = schema.connect(self.path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file and let others write; a second time does nothing."""
        if self._file is not None:
            with schema.store_errors(self.path):
                self._file.close()
            self._file = None
        if self._lock is not None:
            schema.unlock(self._lock)
            self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._file is None else f"{len(self)} values"
        return f"Store({str(self.path)!r}, {state})"

    def __len__(self) -> int:
        """Number of values."""
        return int(self._read("SELECT count(*) FROM value")[0][0])

    # --- writing -------------------------------------------------------------------------------

    def add(self, results: Iterable[ScoreResult], *, name: str = "added") -> int:
        """Add results of `zeroshot.score`, `zeroshot.score_many` or `zeroshot.score_iter`.

        Parameters
        ----------
        results : iterable of ScoreResult
            All or none of them are added. What is there already stays, unless it stands for a
            failure; results of custom graphs have the space ``""``.
        name : str
            Of the experiment that they are listed under, with those added before by that name.

        Returns
        -------
        int
            Values that are new.

        Raises
        ------
        ValueError
            If a result's keys are not made of what it says.
        StoreError
            If the file cannot be written, or another process does.
        """
        items = [results] if isinstance(results, ScoreResult) else list(results)
        rows = [row for result in items for row in value_rows(result)]
        if not isinstance(name, str):
            raise TypeError(f"name: expected a string, got {name!r}")
        if not rows:
            return 0
        by_space: dict[str, list[ValueRow]] = {}
        for row in rows:
            by_space.setdefault(row.space, []).append(row)
        before = len(self)
        with self.writing() as file:
            for space, some in by_space.items():
                experiment = self._add_group(file, name, space, some)
                start = file.execute(
                    "SELECT coalesce(max(position) + 1, 0) FROM asked WHERE experiment = ?",
                    (experiment,),
                ).fetchone()[0]
                positions = {arch: i for i, arch in enumerate(dict.fromkeys(r.asked for r in some))}
                asked = [
                    AskedRow(r.asked, r.label, r.seed, start + positions[r.asked], r.key)
                    for r in some
                ]
                insert(file, experiment, space, asked, some)
        return len(self) - before

    @staticmethod
    def _add_group(
        file: sqlite3.Connection, name: str, space: str, rows: Sequence[ValueRow]
    ) -> int:
        """The experiment of what is added by hand; its labels grow."""
        identity = key_of({"added": name, "space": space})
        experiment = add_experiment(file, identity, name, space, (), None, None, {"added": name})
        labels = json.loads(
            file.execute("SELECT labels FROM experiment WHERE id = ?", (experiment,)).fetchone()[0]
        )
        labels = list(dict.fromkeys([*labels, *(row.label for row in rows)]))
        file.execute(
            "UPDATE experiment SET labels = ? WHERE id = ?", (json.dumps(labels), experiment)
        )
        return experiment

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all that is written in it stays, or nothing."""
        file = self._open()
        if self._lock is None:
            self._lock = schema.lock(self.path)
        kept = "; what was committed before is kept"
        with schema.store_errors(self.path, kept):
            file.execute("BEGIN IMMEDIATE")
            try:
                yield file
                file.execute("COMMIT")
            except BaseException:
                if file.in_transaction:  # SQLite itself rolls back where the disk is full
                    file.execute("ROLLBACK")
                raise

    def merge(self, other: str | os.PathLike[str] | Store) -> MergeSummary:
        """Take over all that another store has: values, failures, experiments.

        A value that is in both stays as it is here; a failure gives way to a value. All of it is
        taken over, or nothing.

        Parameters
        ----------
        other : path or Store
            Is only read.

        Returns
        -------
        MergeSummary
            How many values were new, known, or known and different.
        """
        path = other.path if isinstance(other, Store) else Path(other)
        if path.exists() and path.samefile(self.path):
            raise ValueError(f"other: expected another store, got {path}, which is this one")
        with Store(path, create=False):  # that it is one
            pass
        file = self._open()
        with schema.store_errors(path):
            file.execute("ATTACH DATABASE ? AS other", (str(path),))
        try:
            with self.writing():
                return merge_files(file)
        finally:
            file.execute("DETACH DATABASE other")

    # --- reading -------------------------------------------------------------------------------

    def missing(self, keys: Iterable[str], *, retry_failed: bool = False) -> set[str]:
        """Those of `keys` that have no value here.

        Parameters
        ----------
        keys : iterable of str
            Provenance keys (`zeroshot.ScoreValue.keys`).
        retry_failed : bool
            Count what stands for a failure as missing.
        """
        wanted = list(keys)
        found = self.statuses(wanted)
        if retry_failed:
            found = {key: status for key, status in found.items() if status not in FAILURES}
        return {key for key in wanted if key not in found}

    def statuses(self, keys: Iterable[str]) -> dict[str, Status]:
        """Status of those of `keys` that have a value here."""
        wanted = iter(keys)
        found: dict[str, Status] = {}
        while some := list(islice(wanted, _AT_A_TIME)):
            marks = ",".join("?" * len(some))
            rows = self._read(
                f"SELECT key, status FROM value WHERE key IN ({marks})",
                [bytes.fromhex(key) for key in some],
            )
            found |= {key.hex(): status for key, status in rows}
        return found

    def experiments(self) -> tuple[ExperimentInfo, ...]:
        """What was asked for, in the order in which it came, and how much of it is here."""
        asked = dict(self._read("SELECT experiment, count(*) FROM asked GROUP BY experiment"))
        statuses: dict[int, dict[str, int]] = {}
        for experiment, status, count in self._read(
            "SELECT a.experiment, v.status, count(*) FROM asked a JOIN value v ON v.key = a.key "
            "GROUP BY 1, 2 ORDER BY 1, 2"
        ):
            statuses.setdefault(experiment, {})[status] = count
        return tuple(
            ExperimentInfo(
                number=number,
                hash=hash_,
                name=name,
                space=space,
                labels=tuple(json.loads(labels)),
                n_archs=n_archs or 0,
                n_seeds=n_seeds or 0,
                n_asked=asked.get(number, 0),
                n_values=sum(statuses.get(number, {}).values()),
                statuses=statuses.get(number, {}),
                about=json.loads(about),
            )
            for number, hash_, name, space, labels, n_archs, n_seeds, about in self._read(
                "SELECT id, hash, name, space, labels, n_archs, n_seeds, about FROM experiment "
                "ORDER BY id"
            )
        )

    def experiment(self, number: int) -> ExperimentInfo:
        """The one with that number in this file."""
        return next(info for info in self.experiments() if info.number == number)

    def scores(self, space: str | None = None, *, experiment: str | None = None) -> ScoreTable:
        """Values as columns, an architecture a row.

        Parameters
        ----------
        space : str, optional
            May be left out where the store has one.
        experiment : str, optional
            Name of an experiment, or the first digits of its hash. Default: all of the space.

        Returns
        -------
        ScoreTable

        Raises
        ------
        ValueError
            If there is no such experiment or space, or if a label has several meanings (another
            score, other parameters, data or sizes) or not the same seeds everywhere: name an
            experiment then.
        """
        chosen = self._select(experiment, space)
        infos = [info for info in self.experiments() if info.number in chosen]
        if space is None and len({info.space for info in infos}) > 1:
            spaces = ", ".join(sorted({info.space for info in infos}))
            raise ValueError(f"space: expected one of {spaces}, as the store has several")
        return make_table(self._open(), infos)

    def to_csv(
        self, path: str | os.PathLike[str], *, experiment: str | None = None, timing: bool = True
    ) -> int:
        """Write a line for each value that was asked for: architecture, label, seed, value, status.

        Parameters
        ----------
        path : str or path
            Replaced when all is written.
        experiment : str, optional
            Name or first digits of the hash; default: all.
        timing : bool
            Without, what depends on the run is left out (seconds, bytes, kernel table), and equal
            experiments give equal files.

        Returns
        -------
        int
            Number of lines below the heading.
        """
        file = self._open()
        return export.to_csv(file, self._select(experiment), self._beside(path), timing)

    def to_parquet(
        self, path: str | os.PathLike[str], *, experiment: str | None = None, timing: bool = True
    ) -> int:
        """As `to_csv`, as Parquet: ``pip install 'zeroshot[experiments]'``."""
        file = self._open()
        return export.to_parquet(file, self._select(experiment), self._beside(path), timing)

    def to_frame(self, *, experiment: str | None = None, timing: bool = True) -> pandas.DataFrame:
        """The lines of `to_csv` as a table of pandas: ``pip install 'zeroshot[experiments]'``."""
        return export.to_frame(self._open(), self._select(experiment), timing)

    def _beside(self, path: str | os.PathLike[str]) -> Path:
        """Where values are written to: anywhere but here."""
        path = Path(path)
        if path.is_dir():
            raise ValueError(f"path: expected a file, got the folder {path}")
        if not path.parent.is_dir():
            raise ValueError(f"path: expected a file in a folder that exists, got {path}")
        if path.exists() and path.samefile(self.path):
            raise ValueError(f"path: expected another file than the store itself, got {path}")
        return path

    def _select(self, experiment: str | None, space: str | None = None) -> list[int]:
        """Numbers of the experiments that are meant."""
        rows = self._read("SELECT id, hash, name, space FROM experiment ORDER BY id")
        known = ", ".join(f"{name or '(no name)'} ({hash_[:8]})" for _, hash_, name, _ in rows)
        if experiment is not None:
            named = [row for row in rows if row[2] == experiment]
            if experiment and not named:
                named = [row for row in rows if row[1].startswith(experiment)]
            if len(named) != 1:
                what = "several have" if named else "none has"
                raise ValueError(
                    f"experiment: {what} the name or hash {experiment!r}; the store has "
                    f"{known or 'none'}"
                )
            rows = named
        if space is not None:
            rows = [row for row in rows if row[3] == space]
            if not rows:
                raise ValueError(f"space: nothing of {space!r}; the store has {known or 'none'}")
        return [row[0] for row in rows]

    def _open(self) -> sqlite3.Connection:
        if self._file is None:
            raise StoreError(f"store {self.path}: it is closed")
        return self._file

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with schema.store_errors(self.path):
            return self._open().execute(sql, values).fetchall()


def add_experiment(
    file: sqlite3.Connection,
    identity: str,
    name: str,
    space: str,
    labels: Sequence[str],
    n_archs: int | None,
    n_seeds: int | None,
    about: Mapping[str, Any],
) -> int:
    """Number of the experiment with the hash `identity`, which is made where there is none."""
    file.execute(
        "INSERT INTO experiment (hash, name, space, labels, n_archs, n_seeds, about) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING",
        (identity, name, space, json.dumps(list(labels)), n_archs, n_seeds, canonical_json(about)),
    )
    row = file.execute("SELECT id FROM experiment WHERE hash = ?", (identity,)).fetchone()
    return int(row[0])


def insert(
    file: sqlite3.Connection,
    experiment: int,
    space: str,
    asked: Sequence[AskedRow],
    rows: Sequence[ValueRow],
) -> None:
    """Add rows inside a transaction."""
    archs = {(row.arch, space) for row in asked} | {(row.arch, row.space) for row in rows}
    file.executemany("INSERT OR IGNORE INTO arch (text, space) VALUES (?, ?)", sorted(archs))
    file.executemany(
        "INSERT OR IGNORE INTO setting (json, score) VALUES (?, ?)",
        sorted({(row.setting, row.score) for row in rows}),
    )
    file.executemany(
        "INSERT OR IGNORE INTO environment (json) VALUES (?)",
        sorted({(row.environment,) for row in rows}),
    )
    file.executemany(_ADD_VALUE, [row._asdict() for row in rows])
    file.executemany(
        _ADD_ASKED,
        [(experiment, r.arch, space, r.label, r.seed, r.position, r.key) for r in asked],
    )
