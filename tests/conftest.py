"""What all tests share: which build is tested, where outside data is, child processes.

Tests import `zeroshot` as a user does. After `pip install .` the folder `zeroshot/` beside this one
holds no extension module, so the root of the repository must not be on `sys.path` (`python -m
pytest` puts it there); after a build in place it must, unless an installed one is found.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ZEROSHOT_SHARED") or ROOT.parent / "shared")
CHILD_SECONDS = 300


def is_built_in_place() -> bool:
    return any((ROOT / "zeroshot" / f"_core{suffix}").exists() for suffix in EXTENSION_SUFFIXES)


def choose_package() -> Path:
    """Put the build to test within reach and return the folder that holds it."""
    if not is_built_in_place():
        sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    spec = importlib.util.find_spec("zeroshot")
    if spec is None and is_built_in_place():
        sys.path.insert(0, str(ROOT))
        spec = importlib.util.find_spec("zeroshot")
    if spec is None or spec.origin is None:
        raise pytest.UsageError("zeroshot is not built; run: pip install '.[test]'")
    return Path(spec.origin).resolve().parent


PACKAGE = choose_package()
# Children find the same build, wherever they are started (3.10 does not know the first variable).
os.environ["PYTHONSAFEPATH"] = "1"
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")])
)

hypothesis.settings.register_profile("zeroshot", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("zeroshot")


def pytest_report_header() -> list[str]:
    try:
        from zeroshot._core import build_config

        build = f"build: {build_config()}"
    except ImportError as error:
        build = f"build: {error}"  # which each test module will say again
    return [f"zeroshot: {PACKAGE}", build, f"reference data: {SHARED}"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data that is kept outside of the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"no reference data: {SHARED} is missing (set ZEROSHOT_SHARED)")
    return SHARED


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code in a fresh Python, in an empty folder; its exit code is the caller's to judge."""

    def run(code: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *args],
            cwd=tmp_path,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
        )

    return run
