"""Folders of csrc see each other as csrc/README.md says; importing zeroshot loads only NumPy.

    core <- {ops, cpu, cuda, stats} <- scores, spaces <- py

The right may include the left; cpu and cuda never see each other; scores and spaces see neither.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[1] / "csrc"

SEES = {
    "core": {"core"},
    "ops": {"core", "ops"},
    "cpu": {"core", "cpu"},
    "cuda": {"core", "cuda"},
    "stats": {"core", "stats"},
    "scores": {"core", "ops", "stats", "scores"},
    "spaces": {"core", "ops", "stats", "spaces"},
    "py": {"core", "ops", "cpu", "cuda", "stats", "scores", "spaces", "py"},
}
# System headers with a home; all others are for everyone.
HOME = {
    r"Python\.h|numpy/.*|structmember\.h": "py/",
    r".*intrin\.h|arm_.*\.h|cpuid\.h": "cpu/",
    r"cuda.*|cooperative_groups.*": "cuda/",
    r"omp\.h": "core/engine.c",
    r"assert\.h": "nowhere: ZS_ASSERT",
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)


def sources() -> list[Path]:
    return sorted(p for p in CSRC.rglob("*") if p.suffix in {".c", ".h", ".cu", ".cuh"})


def fault(includer: str, ours: str, system: str) -> str | None:
    """What is wrong with one include, or None."""
    if system:
        homes = [home for pattern, home in HOME.items() if re.fullmatch(pattern, system)]
        if homes and not includer.startswith(homes[0]):
            return f"<{system}> belongs to {homes[0]}"
        return None
    if ".." in ours or "/" not in ours or not (CSRC / ours).is_file():
        return f'"{ours}" is not a path from csrc'
    if not ours.endswith((".h", ".cuh")):
        return f'"{ours}" is no header'
    layer = includer.split("/")[0]
    if ours.split("/")[0] not in SEES[layer]:
        return f'"{ours}" is not to be seen from {layer}'
    if ours.endswith(".inc.h") and Path(includer).parent != Path(ours).parent:
        return f'"{ours}" is a body for files of its own folder'
    if includer == "core/base.h":
        return "base.h includes nothing of ours"
    return None


def test_every_include_keeps_to_the_layers() -> None:
    faults = []
    for path in sources():
        name = path.relative_to(CSRC).as_posix()
        for ours, system in INCLUDE.findall(path.read_text()):
            if wrong := fault(name, ours, system):
                faults.append(f"{name}: {wrong}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("includer", "ours", "system"),
    [
        ("scores/score.c", "cpu/dispatch.h", ""),
        ("spaces/space.c", "scores/score.h", ""),
        ("core/engine.c", "cpu/dispatch.h", ""),
        ("ops/relu.c", "spaces/space.h", ""),
        ("cpu/dispatch.c", "dispatch.h", ""),
        ("cpu/dispatch.c", "cpu/../cuda/backend.h", ""),
        ("core/engine.c", "core/plan.c", ""),
        ("core/base.h", "core/status.h", ""),
        ("core/plan.c", "", "Python.h"),
        ("core/plan.c", "", "omp.h"),
        ("py/module.c", "", "immintrin.h"),
    ],
)
def test_layering_check_sees(includer: str, ours: str, system: str) -> None:
    assert fault(includer, ours, system)


def test_every_folder_is_a_layer() -> None:
    assert {path.relative_to(CSRC).parts[0] for path in sources()} <= SEES.keys()


def test_file_names_occur_once() -> None:
    counts = Counter(path.name for path in sources())
    assert [name for name, n in counts.items() if n > 1] == []


def test_import_loads_numpy_only(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    code = (
        "import numpy, sys; before = set(sys.modules); import zeroshot\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names) - {'numpy', 'zeroshot'}))"
    )
    child = run_python(code)
    assert child.returncode == 0, child.stderr
    assert child.stdout.split() == []
