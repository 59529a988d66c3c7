"""Bytes of a file: hashed as they are read, inflated within a limit, told of on the way.

``bz2`` and ``gzip`` are recognised by their first bytes. A few kB of either can inflate to any
size, so that what comes out is counted, and never more than a chunk of it is held here.
"""

from __future__ import annotations

__all__ = ["DAMAGE", "Progress", "Source", "read_json"]

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, TypeAlias

from zeroshot.errors import BenchmarkFileError

Progress: TypeAlias = Callable[[int, int], object]
"""Gets the bytes read so far, and of how many."""

CHUNK: Final = 1 << 20
MAX_JSON: Final = 1 << 30
"""Text that is read as a whole: its values take many times its bytes."""

DAMAGE: Final = (
    ValueError, KeyError, IndexError, OverflowError, EOFError, RecursionError, UnicodeError,
    NotImplementedError, RuntimeError, struct.error, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile,
)  # fmt: skip
"""What parsers of the standard library raise at damaged bytes."""


class _Hashed(io.RawIOBase):
    """A file that hashes what is read of it, from its first byte to its last."""

    def __init__(self, file: IO[bytes], tell: Callable[[int], object]) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()
        self.tell_bytes = tell

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self.file.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self.sha256.update(chunk)
        self.tell_bytes(len(chunk))
        return len(chunk)


class Source:
    """One file, opened for reading from its start to its end.

    Parameters
    ----------
    path : path
        A regular file.
    max_bytes : int
        Most bytes that are handed out, after inflating.
    progress : callable, optional

    Attributes
    ----------
    where : str
        What messages call it.
    size : int
        Bytes on disk.
    n_read : int
        Bytes handed out.
    """

    def __init__(
        self, path: str | os.PathLike[str], max_bytes: int, progress: Progress | None = None
    ) -> None:
        self.path = Path(path)
        self.where = str(path)
        self.max_bytes = max_bytes
        self.n_read = 0
        self._done = 0
        self._ahead = b""
        self._progress = progress
        status = self.path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device could block, or never end
            raise BenchmarkFileError(f"{path}: expected a regular file")
        self.size = status.st_size
        self._file = self.path.open("rb")
        self._raw = _Hashed(self._file, self._told)
        self._buffered = io.BufferedReader(self._raw, CHUNK)
        start = self._buffered.peek(4)[:4]
        self._stream: Any = self._buffered
        if start[:3] == b"BZh":
            self._stream = bz2.BZ2File(self._buffered)
        elif start[:2] == b"\x1f\x8b":
            self._stream = gzip.GzipFile(fileobj=self._buffered)
        self.inflates = self._stream is not self._buffered

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _told(self, n: int) -> None:
        self._done += n
        if self._progress is not None:
            self._progress(self._done, self.size)

    def peek(self, n: int) -> bytes:
        """The next `n` bytes, or fewer at the end; they are handed out again."""
        if len(self._ahead) < n:
            self._ahead += self._inflated(n - len(self._ahead))
        return self._ahead[:n]

    def read(self, n: int = CHUNK) -> bytes:
        """At most `n` bytes; fewer only at the end."""
        ahead, self._ahead = self._ahead[:n], self._ahead[n:]
        rest = self._inflated(min(n - len(ahead), self.max_bytes - self.n_read + 1))
        return self.counted(ahead + rest if ahead else rest)

    def counted(self, chunk: bytes) -> bytes:
        """`chunk`, if it is not one too many."""
        self.n_read += len(chunk)
        if self.n_read > self.max_bytes:
            raise BenchmarkFileError(
                f"{self.where}: larger than {self.max_bytes} bytes"
                f"{' when inflated' if self.inflates else ''}; raise max_bytes to read it"
            )
        return chunk

    def _inflated(self, n: int) -> bytes:
        parts = []
        while n > 0:
            try:
                part = self._stream.read(min(n, CHUNK))
            except OSError as error:
                if error.errno is not None:  # the disk, not the content
                    raise
                raise BenchmarkFileError(f"{self.where}: damaged: {error}") from error
            except DAMAGE as error:
                raise BenchmarkFileError(f"{self.where}: damaged: {error}") from error
            if not part:
                break
            parts.append(part)
            n -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_all(self, most: int) -> bytes:
        """All that is left, if it is at most `most` bytes."""
        self.max_bytes = min(self.max_bytes, self.n_read + most)
        return self.read(self.max_bytes + 1)

    def sha256(self) -> str:
        """Of the file on disk, the rest of which is read for it."""
        while self._buffered.read(CHUNK):
            pass
        return self._raw.sha256.hexdigest()


def read_json(source: Source) -> Any:
    """What a file of JSON holds; no number is longer than a double or 64 bits need."""
    try:
        return json.loads(source.read_all(MAX_JSON), parse_int=_integer, parse_float=_float)
    except BenchmarkFileError:
        raise
    except DAMAGE as error:
        raise BenchmarkFileError(f"{source.where}: expected JSON: {error}") from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 20 else _float(digits)


def _float(digits: str) -> float:
    if len(digits) > 400:
        raise ValueError(f"a number has {len(digits)} characters")
    return float(digits)
