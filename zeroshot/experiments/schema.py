"""The file of a store: its tables, what makes it one of ours, and who may write.

SQLite in WAL mode with ``synchronous=FULL``: what is committed survives a crash of the process
and of the machine. There is one writer, who holds a lock on ``FILE.lock`` until it closes or
dies; readers need none. WAL needs shared memory and so one machine: no network file system.
"""

from __future__ import annotations

__all__ = ["VERSION", "connect", "create", "is_blank", "lock", "store_errors", "unlock"]

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zeroshot.errors import StoreError

APPLICATION_ID = 0x7A65726F  # "zero"
VERSION = 1
"""Of the tables below."""

# value.value is NULL for NaN, which SQLite cannot store; -0.0 is stored as 0.0.
# setting.json has all that a key is made of but architecture, seed and dead weights.
# asked.key may have no row in value yet.
_TABLES = """
CREATE TABLE arch (
    id INTEGER PRIMARY KEY, space TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (text, space));
CREATE TABLE setting (id INTEGER PRIMARY KEY, json TEXT NOT NULL UNIQUE, score TEXT NOT NULL);
CREATE TABLE environment (id INTEGER PRIMARY KEY, json TEXT NOT NULL UNIQUE);
CREATE TABLE value (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    arch INTEGER NOT NULL REFERENCES arch,
    setting INTEGER NOT NULL REFERENCES setting,
    seed INTEGER NOT NULL,
    dead_weights INTEGER,
    value REAL,
    status TEXT NOT NULL,
    reason TEXT,
    seconds REAL NOT NULL,
    peak_bytes INTEGER NOT NULL,
    histogram TEXT,
    environment INTEGER NOT NULL REFERENCES environment);
CREATE TABLE experiment (
    id INTEGER PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    space TEXT NOT NULL,
    labels TEXT NOT NULL,
    n_archs INTEGER,
    n_seeds INTEGER,
    about TEXT NOT NULL);
CREATE TABLE asked (
    experiment INTEGER NOT NULL REFERENCES experiment,
    arch INTEGER NOT NULL REFERENCES arch,
    label TEXT NOT NULL,
    seed INTEGER NOT NULL,
    position INTEGER NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (experiment, arch, label, seed)) WITHOUT ROWID;
"""


@contextmanager
def store_errors(path: Path, kept: str = "") -> Iterator[None]:
    """What SQLite says, as `StoreError` with the name of the file and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if "not a database" in text:
            text = "it is no zeroshot store, nor any other SQLite file"
        elif "full" in text or "disk I/O error" in text:
            text = f"the disk is full or fails ({text}){kept}; make room and run the same again"
        elif "locked" in text:
            text = f"another program is writing to it ({text})"
        elif "malformed" in text:
            text = f"the file is damaged ({text})"
        raise StoreError(f"store {path}: {text}") from error
    except OSError as error:
        raise StoreError(f"store {path}: {error.strerror or error}") from error


_held: set[int] = set()  # of this process; a forked child would keep the lock beyond its end


def _after_fork() -> None:
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_after_fork)


def unlock(file: int) -> None:
    """Give away what `lock` gave."""
    if file in _held:
        _held.remove(file)
        os.close(file)


def lock(path: Path) -> int:
    """The right to write; StoreError at once where another has it. `unlock`, or the end of the
    process, however it ends, gives it away."""
    name = path.with_name(path.name + ".lock")
    with store_errors(path):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if not isinstance(error, BlockingIOError):
            raise StoreError(
                f"store {path}: cannot be locked ({error.strerror}); a store lies on a disk of "
                "this machine, not on a network file system"
            ) from error
        raise StoreError(
            f"store {path}: another process is writing to it (it holds {name}); wait for it, or "
            "give each process a store of its own and merge them"
        ) from None
    _held.add(file)
    return file


def connect(path: Path) -> sqlite3.Connection:
    """A connection to an existing file that has been checked to be a store."""
    with store_errors(path):
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        try:
            _check(connection, path)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
        except BaseException:
            connection.close()
            raise
    return connection


def is_blank(path: Path) -> bool:
    """Whether there is nothing in the file: it is missing or empty, or whoever made it was killed
    before it had a table."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    if path.is_dir():
        raise StoreError(f"store {path}: expected a file, got a folder")
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    try:
        return _is_empty(connection)
    except sqlite3.Error:  # `connect` says what it is
        return False
    finally:
        connection.close()


def create(path: Path) -> None:
    """Make a blank `path` a store; the caller holds the lock."""
    with store_errors(path):
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        try:
            if _is_empty(connection):
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.executescript(
                    f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id={APPLICATION_ID};"
                    f"PRAGMA user_version={VERSION}; COMMIT;"
                )
        finally:
            connection.close()


def _is_empty(connection: sqlite3.Connection) -> bool:
    return not (
        _pragma(connection, "application_id")
        or _pragma(connection, "user_version")
        or connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        what = "empty" if _is_empty(connection) else "an SQLite file of another program"
        raise StoreError(f"store {path}: it is {what}, no zeroshot store")
    version = _pragma(connection, "user_version")
    if version != VERSION:
        age = "a newer" if version > VERSION else "an older"
        raise StoreError(
            f"store {path}: it was written by {age} zeroshot (its tables are of version {version}, "
            f"this one reads {VERSION})"
        )
