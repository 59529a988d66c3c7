"""Architectures from arguments, files and standard input, with the place of a fault in each."""

from __future__ import annotations

__all__ = ["Entry", "explain", "read_archs"]

import argparse
import io
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from zeroshot.cli.arguments import CliError
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import get_space
from zeroshot.spaces.written import printable, read_lines, read_written

_WINDOW = 72  # characters of a long text that are shown around a fault


@dataclass(frozen=True)
class Entry:
    """One architecture that was asked for.

    Attributes
    ----------
    text : str
        Its normal spelling; for a malformed one what was written, in printable ASCII.
    where : str
        ``ARCH 1`` or ``cells.txt, line 3``.
    arch : str or what was read
        To hand to `zeroshot.score_iter`.
    fault : str or None
        Why it is no architecture.
    """

    text: str
    where: str
    arch: Any
    fault: str | None = None


def read_archs(args: argparse.Namespace) -> list[Entry]:
    """All architectures of a command; CliError for a malformed one on the command line."""
    entries: list[Entry] = []
    for i, text in enumerate(args.archs, start=1):
        if text == "-":
            entries += _read_stdin(args.space)
            continue
        entry = _read_one(text, f"ARCH {i}", args.space)
        if entry.fault is not None:  # a slip of the hand: nothing has been computed yet
            raise CliError(f"{entry.where}: {entry.fault}")
        entries.append(entry)
    for path in args.arch_file:
        if path == "-":
            entries += _read_stdin(args.space)
            continue
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                entries += _read_lines(file, path, args.space)
        except OSError as error:
            raise CliError(f"argument --arch-file: {path}: {error.strerror}") from error
    if args.sample is not None:
        space = get_space(args.space)
        if args.sample > space.SIZE:
            raise CliError(
                f"argument --sample: expected an integer from 1 to {space.SIZE}, got {args.sample}"
            )
        drawn = space.sample(args.sample, args.sample_seed)
        entries += [Entry(arch, f"sample {i}", arch) for i, arch in enumerate(drawn, start=1)]
    if not entries:
        raise CliError(
            "ARCH: expected at least one architecture, got none; "
            "give ARCH, --arch-file FILE, --sample N, or - for standard input"
        )
    return entries


def _read_stdin(space: str) -> list[Entry]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    return _read_lines(sys.stdin, "standard input", space)


def _read_lines(lines: Iterable[str], source: str, space: str) -> list[Entry]:
    return [_read_one(text, f"{source}, line {i}", space) for i, text in read_lines(lines)]


def _read_one(written: str, where: str, space_name: str) -> Entry:
    space = get_space(space_name)
    text = printable(written)
    arch = read_written(text)
    try:
        spelling = space.format(space.parse(arch))
    except ArchitectureError as error:
        return Entry(text, where, arch, explain(error, text))
    return Entry(spelling, where, spelling)


def explain(error: ArchitectureError, text: str) -> str:
    """The message of `error`, and, where it has a position in `text`, the place below it.

    Examples
    --------
    >>> print(explain(ArchitectureError("expected '+', got 'x'", 9), "|none~0|xyz"))
    expected '+', got 'x', at position 9
      |none~0|xyz
               ^
    """
    if error.position is None:
        return str(error)
    at = error.position
    start = max(0, at - _WINDOW // 2) if len(text) > _WINDOW else 0
    shown = text[start : start + _WINDOW]
    before, after = "..." * (start > 0), "..." * (start + _WINDOW < len(text))
    return (
        f"{error}, at position {at}\n"
        f"  {before}{shown}{after}\n"
        f"  {' ' * (len(before) + at - start)}^"
    )
