"""Architectures as people write them on a line: of a command, or of a file."""

from __future__ import annotations

__all__ = ["printable", "read_lines", "read_written"]

import re
from collections.abc import Iterable, Iterator
from typing import Any


def read_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that is not blank once its # comment is cut off.

    Examples
    --------
    >>> list(read_lines(["# cells", "", " 1462  # the best"]))
    [(3, '1462')]
    """
    for i, line in enumerate(lines, start=1):
        if text := line.partition("#")[0].strip():
            yield i, text


def printable(written: str) -> str:
    r"""The text in printable ASCII, other characters as Python escapes.

    Examples
    --------
    >>> printable("\u00e9 \t")
    '\\xe9'
    """
    return "".join(
        c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in written.strip()
    )


def read_written(text: str) -> Any:
    """What a space's `parse` takes for a text: an integer, a list of what is between commas, or
    the text itself.

    Examples
    --------
    >>> read_written("1462"), read_written("3,0,1,0,0,4"), read_written("|none~0|")
    (1462, [3, 0, 1, 0, 0, 4], '|none~0|')
    """
    if re.fullmatch(r"[+-]?\d{1,40}", text):
        return int(text)
    if "," in text and not re.search(r"[|=]|\[ *\[|Genotype", text):
        parts = [part.strip(" '\"") for part in text.strip("()[] ").split(",")]
        return [int(p) if re.fullmatch(r"-?\d{1,18}", p) else p for p in parts]
    return text
