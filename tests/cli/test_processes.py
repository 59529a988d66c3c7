"""The command line as a process: interrupts, pipes, imports."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import zeroshot

from .common import CELLS, TINY, Run, read_csv


def test_ctrl_c_prints_what_is_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def interrupted(*args: Any, **kwargs: Any) -> Iterator[tuple[int, zeroshot.ScoreResult]]:
        stream = zeroshot.score_iter(*args, **{**kwargs, "n_threads": 1})
        try:
            yield next(stream)
            yield next(stream)
            raise KeyboardInterrupt
        finally:
            stream.close()  # type: ignore[attr-defined]
            closed.append(True)

    _, whole, _ = run("score", *CELLS, "--csv")
    monkeypatch.setattr("zeroshot.cli.run.score_iter", interrupted)
    code, out, err = run("score", *CELLS, "--csv")
    assert code == 130
    assert out == "".join(whole.splitlines(keepends=True)[:3])
    assert err == "zeroshot: interrupted, 2 of 3 architectures are done\n"
    assert closed == [True]
    _, out, _ = run("score", *CELLS, "--json")
    assert json.loads(out)["complete"] is False


def child(*argv: object, code: str = "", **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    words = ["-c", code] if code else ["-m", "zeroshot"]
    return subprocess.Popen(
        [sys.executable, *words, *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,
    )


def test_interrupt_signal_ends_a_process_with_its_results(images: Path, tmp_path: Path) -> None:
    n = 5000
    # a shell that starts jobs in the background has them ignore the signal, which is inherited
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from zeroshot.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ("score", "--sample", n, "--data", images, *TINY, "--csv", "--progress")
    with child(*words, code=code, cwd=tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        seen = ""
        while not re.search(rf"\b[1-9]\d*/{n}", seen):
            letter = process.stderr.read(1)
            assert letter, f"ended early: {seen}"
            seen += letter
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    rows = read_csv(out)
    assert 1 <= len(rows) < n
    assert {row["status"] for row in rows} <= {"ok", "no_signal"}
    assert f"interrupted, {len(rows)} of {n} architectures are done" in err
    assert "Traceback" not in err


def test_module_runs_as_a_program(images: Path, tmp_path: Path) -> None:
    words = ("score", "-", "--data", images, *TINY, "--csv")
    with child(*words, stdin=subprocess.PIPE, cwd=tmp_path) as process:
        out, err = process.communicate("1462\noops\n", timeout=60)
    assert process.returncode == 1
    assert [row["status"] for row in read_csv(out)] == ["ok", "failed"]
    assert "standard input, line 2: failed: expected '|'" in err


def test_closed_pipe_is_no_error(images: Path, tmp_path: Path) -> None:
    with child("score", 9, "--data", images, *TINY, cwd=tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_import_of_the_package_leaves_the_command_line_out(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python(
        "import sys, zeroshot; print([m for m in sys.modules if 'cli' in m.split('.')])"
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    done = run_python(
        "import sys, zeroshot.cli; print('sklearn' in sys.modules, 'tqdm' in sys.modules)"
    )
    assert (done.returncode, done.stdout) == (0, "False False\n"), done.stderr
