"""What benchmarks write down beside their numbers, and how they append to files in results/."""

from __future__ import annotations

import csv
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["append", "busy_seconds", "clock", "commit", "machine", "now", "starting_load"]


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def machine() -> str:
    """CPU model as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def commit() -> str:
    """Short hash of the checkout, with a + when tracked files differ from it."""

    def git(*args: str) -> str:
        return subprocess.run(
            ("git", *args), cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", ":/", ":!*.csv")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "none"


def starting_load() -> float:
    """Load over the last minute; above 0.5 with a warning, since others then take their time."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    if load > 0.5:
        print(f"warning: load {load:.1f} before the start, times will mislead", file=sys.stderr)
    return load


def clock(run: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def busy_seconds() -> float:
    """Seconds that all processors together have worked since the machine started; nan elsewhere."""
    try:
        cells = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]
        user, nice, system, _, _, irq, soft, steal = map(int, cells[:8])
        return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return float("nan")


def append(path: Path, row: DataclassInstance) -> None:
    """Add one line; a file with other columns is an error, not a mess."""
    names = [field.name for field in fields(row)]
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    if not new:
        with path.open(encoding="utf-8", newline="") as file:
            if next(csv.reader(file), None) != names:
                raise ValueError(f"{path}: expected the columns {names}; move the old file away")
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(names)
        cells = [getattr(row, name) for name in names]
        writer.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in cells])
