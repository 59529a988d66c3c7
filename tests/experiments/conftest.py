"""Workers that can be told what to do before a task."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zeroshot.experiments import run as running
from zeroshot.experiments.tasks import Context


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Have the workers of the next runs call something; it must be of `killers`."""
    folder = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(folder)  # which spawned processes take over
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([folder, os.environ["PYTHONPATH"]]))
    monkeypatch.delitem(sys.modules, "killers", raising=False)

    def set_(before: Any) -> None:
        def make_context(job: Any, n_threads: int) -> Context:
            return Context(job, n_threads, before)

        monkeypatch.setattr(running, "make_context", make_context)

    return set_


@pytest.fixture
def killers(hook: Any) -> Any:
    """The module `killers`, by the name by which workers find it."""
    import killers

    return killers
