"""The line that tells how far a run is, and the sizes of chunks."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zeroshot import run_experiment
from zeroshot.experiments import progress
from zeroshot.experiments.experiment import Archs
from zeroshot.experiments.lanes import ProcessLane

from .common import images, make


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    time = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def test_rate_and_time_left_are_those_of_this_run(
    monkeypatch: pytest.MonkeyPatch, now: list[float]
) -> None:
    monkeypatch.setattr(sys, "stderr", file := Terminal())
    tell = progress.tell_with(True)
    tell(500, 1000, 0)
    now[0] += 10
    tell(600, 1000, 100)  # 10 a second, those that were there not counted
    now[0] += 0.1
    tell(601, 1000, 101)  # too soon
    now[0] += 30
    tell(1000, 1000, 500)
    tell(0, -1, 0)
    lines = [line.strip() for line in file.getvalue().split("\r")[1:]]
    assert lines == [
        "500/1000 values (50.0 %), 0/s, ? left",
        "600/1000 values (60.0 %), 10/s, 0:00:40 left",
        "1000/1000 values (100.0 %), 12.5/s, 0:00:00 left",
    ]
    assert file.getvalue().endswith("\n")


def test_a_file_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, now: list[float]) -> None:
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    tell = progress.tell_with(True)
    for done in range(101):
        tell(done, 100, done)
        now[0] += 1
    tell(100, 100, 100)
    tell(0, -1, 0)
    assert [line.split("/")[0] for line in file.getvalue().splitlines()] == [
        "0", "30", "60", "90", "100",
    ]  # fmt: skip


def test_chunks_grow_to_a_second_or_so_and_few_are_in_flight(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hook: Callable[[Any], None],
    killers: Any,
) -> None:
    hook(killers.Slow(0.02, tmp_path))
    sizes: list[int] = []
    open_: list[Any] = []
    most = 0
    submit = ProcessLane.submit

    def watched(self: ProcessLane, tasks: Any) -> Any:
        nonlocal most
        sizes.append(len(tasks))
        open_.append(submit(self, tasks))
        most = max(most, sum(not future.done() for future in open_))
        return open_[-1]

    monkeypatch.setattr(ProcessLane, "submit", watched)
    run_experiment(
        make(Archs(sample=600), scores="params"), tmp_path / "a.sqlite", data=images(), workers=2,
        executor="processes",
    )  # fmt: skip
    assert sum(sizes) == 600
    assert sizes[0] == 1
    assert 25 <= max(sizes) <= 250  # 0.5 to 5 s of tasks of 0.02 s
    assert sizes[-1] < max(sizes)  # the last ones are shared out
    assert most <= 2 * 2
