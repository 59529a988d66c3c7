"""Every script of tests/leaks in a process of its own: what it prints grows with no call."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parent / "leaks").glob("*.py"))


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or platform.libc_ver()[1] < "2.33",
    reason="counts bytes with glibc's mallinfo2, which this platform lacks",
)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_no_call_leaves_memory_behind(script: Path) -> None:
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    n_bytes, n_blocks = map(float, done.stdout.split())
    assert n_bytes <= 0
    assert n_blocks <= 0
