"""What workers of a test do before a task. They import this file: see `conftest.hook`."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class KillAt:
    """Die at some architectures; with a file, at the first of them and never again."""

    archs: tuple[str, ...]
    once: Path | None = None

    def __call__(self, task: Any) -> None:
        if not set(task.members) & set(self.archs):
            return
        if self.once is not None:
            try:
                self.once.touch(exist_ok=False)
            except FileExistsError:
                return
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Slow:
    """Take a while, and say by which process."""

    seconds: float
    folder: Path

    def __call__(self, task: Any) -> None:
        (self.folder / f"{os.getpid()}.pid").touch()
        time.sleep(self.seconds)
