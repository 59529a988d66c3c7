"""Files that appear when they are complete."""

from __future__ import annotations

__all__ = ["replacing", "write_text"]

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name beside `path` to write to: it becomes `path` in the end, or goes after an error.

    A full disk and Ctrl-C so leave what was there before, never half of a file. A link stays, and
    what is no plain file, as /dev/stdout, is written to itself.
    """
    whole = Path(os.path.realpath(path))
    if whole.exists() and not whole.is_file():
        yield whole
        return
    part = whole.with_name(f".{whole.name}.{secrets.token_hex(4)}")
    try:
        yield part
        os.replace(part, whole)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(part):
            error.filename = os.fspath(path)  # the name that the user knows
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file of UTF-8, lines as they end in `text`."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")
