"""How far a run is: a line on standard error, with the rate of this run and what it leaves."""

from __future__ import annotations

__all__ = ["Line", "Progress", "clock", "tell_with"]

import sys
import time
from collections.abc import Callable
from typing import Literal, TypeAlias

Progress: TypeAlias = "Literal[True] | Callable[[int, int], object] | None"

_TERMINAL_SECONDS, _FILE_SECONDS = 0.2, 30.0


def clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    Examples
    --------
    >>> clock(59.6), clock(3725), clock(200000)
    ('0:01:00', '1:02:05', '2 d 07:33:20')
    """
    whole = round(seconds)
    days, rest = divmod(whole, 86400)
    hours, minutes, seconds_ = rest // 3600, rest // 60 % 60, rest % 60
    if days:
        return f"{days} d {hours:02}:{minutes:02}:{seconds_:02}"
    return f"{hours}:{minutes:02}:{seconds_:02}"


class Line:
    """``done/total``, rate and time left: rewritten on a terminal, now and then elsewhere."""

    def __init__(self) -> None:
        self._start = -1.0  # of the first that is told
        self._last = -1e9
        self._told = -1
        self._terminal = sys.stderr.isatty()

    def text(self, done: int, total: int, computed: int) -> str:
        """What it says; the rate is that of what this run has computed."""
        seconds = time.monotonic() - self._start
        rate = computed / seconds if seconds > 0 else 0.0
        left = clock((total - done) / rate) if rate > 0 else "0:00:00" if done == total else "?"
        share = 100 * done / total if total else 100.0
        return f"{done}/{total} values ({share:.1f} %), {rate:.3g}/s, {left} left"

    def tell(self, done: int, total: int, computed: int) -> None:
        now = time.monotonic()
        if self._start < 0:
            self._start = now
        wait = _TERMINAL_SECONDS if self._terminal else _FILE_SECONDS
        if done == self._told or (done < total and now - self._last < wait):
            return
        self._last, self._told = now, done
        text = self.text(done, total, computed)
        if self._terminal:
            print(f"\r{text:<79}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._terminal and self._last > 0:
            print(file=sys.stderr)


def tell_with(progress: Progress) -> Callable[[int, int, int], None]:
    """A function of what is done, of all, and of what this run did; it ends with all = -1."""
    if progress is None:
        return lambda done, total, computed: None
    if progress is True:
        line = Line()

        def tell(done: int, total: int, computed: int) -> None:
            line.close() if total < 0 else line.tell(done, total, computed)

        return tell
    if not callable(progress):
        raise TypeError(f"progress: expected None, True or a callable, got {progress!r}")
    call = progress

    def report(done: int, total: int, computed: int) -> None:
        if total >= 0:
            call(done, total)

    return report
