"""The oracle as a package: examples in its docstrings, what it imports."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from zeroshot import reference


@pytest.mark.parametrize("module", ["", ".ops", ".network", ".scores"])
def test_docstring_examples_run(module: str) -> None:
    tried = doctest.testmod(sys.modules[f"zeroshot.reference{module}"])
    assert tried.attempted > 0
    assert tried.failed == 0


def test_reference_needs_numpy_only() -> None:
    """Its modules load below an empty parent package, so the compiled core is not needed either."""
    program = (
        "import sys, types; parent = types.ModuleType('zeroshot'); "
        f"parent.__path__ = [{str(Path(reference.__file__).parents[1])!r}]; "
        "sys.modules['zeroshot'] = parent; import zeroshot.reference; "
        "print({m.partition('.')[0] for m in sys.modules} & {'torch', 'scipy', 'sklearn'}, "
        "{m for m in sys.modules if m.startswith('zeroshot.') and m.split('.')[1] != 'reference'})"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "set() set()"
