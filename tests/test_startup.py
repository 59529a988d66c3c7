"""What ``import zeroshot`` brings along, and what it leaves for when it is asked for."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import zeroshot

Run = Callable[..., "subprocess.CompletedProcess[str]"]
# slow to import, and of no use to the score of one architecture
HEAVY = [
    "argparse", "bz2", "concurrent.futures", "csv", "ctypes", "decimal", "difflib", "fractions",
    "json", "logging", "lzma", "matplotlib", "multiprocessing", "pathlib", "random", "scipy",
    "sklearn", "statistics", "subprocess", "torch", "tqdm", "unittest", "urllib.parse", "zipfile",
    "hashlib", "numpy.random", "zeroshot.cli", "zeroshot.data", "zeroshot.drawing",
    "zeroshot.experiments", "sqlite3", "zeroshot.pool", "zeroshot.reference", "zeroshot.sweet",
]  # fmt: skip
LATE = {"hashlib", "json"}  # what a result's keys are made with
SCORE = """
import sys, numpy as np, zeroshot
x = np.linspace(-1, 1, 8 * 3 * 8 * 8).reshape(8, 3, 8, 8)
cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
zeroshot.xi_gsnr(cell, x, np.arange(8), batch_size=4, channels=4, cells=1)
"""


def loaded(run_python: Run, code: str) -> set[str]:
    """Those of `HEAVY` that `code` imports and NumPy alone does not."""
    done = run_python(
        f"import sys, numpy\nbefore = set(sys.modules)\n{code}\n"
        f"print(*sorted(set({HEAVY!r}) & (set(sys.modules) - before)))"
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_import_leaves_heavy_modules_out(run_python: Run) -> None:
    assert not loaded(run_python, "import zeroshot")


def test_first_score_needs_no_more_than_its_keys(run_python: Run) -> None:
    assert loaded(run_python, SCORE) <= LATE


def test_many_are_scored_without_data_and_command_line(run_python: Run) -> None:
    found = loaded(run_python, "import zeroshot\nzeroshot.score_many")
    assert "zeroshot.pool" in found
    assert not found & {"zeroshot.cli", "zeroshot.data", "zeroshot.reference", "zeroshot.sweet"}


@pytest.mark.parametrize("name", [*zeroshot._MODULES, *zeroshot._NAMES])
def test_what_is_left_out_is_there_when_asked_for(name: str, run_python: Run) -> None:
    done = run_python(
        "import sys, zeroshot\n"
        "name, = sys.argv[1:]\n"
        "assert name in dir(zeroshot)\n"
        "assert getattr(zeroshot, name) is getattr(zeroshot, name)\n"
        "print(getattr(zeroshot, name).__name__)",
        name,
    )
    expected = f"zeroshot.{name}" if name in zeroshot._MODULES else name
    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr


def test_star_import_has_every_public_name(run_python: Run) -> None:
    done = run_python("from zeroshot import *; import zeroshot; print(*zeroshot.__all__)\nrank")
    assert (done.returncode, done.stdout.split()) == (0, zeroshot.__all__), done.stderr
    assert set(zeroshot.__all__) <= set(dir(zeroshot))


def test_type_checkers_see_the_names_that_come_late() -> None:
    """The imports under TYPE_CHECKING and the table that replaces them at run time agree."""
    tree = ast.parse(Path(zeroshot.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: (node.module or "").removeprefix("zeroshot").removeprefix(".")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {**zeroshot._NAMES, "data": ""}


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'zeroshot' has no attribute 'xi_gsnrr'"):
        zeroshot.xi_gsnrr  # type: ignore[attr-defined]  # noqa: B018
