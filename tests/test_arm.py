"""The core for 64-bit Arm, from any machine that has a cross compiler for it.

It compiles without a warning, its vector loops multiply and add in NEON registers, and, where qemu
can run it, every ladder of benchmarks/kernels finds its kernels right.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
LADDERS = sorted(path.stem for path in (ROOT / "benchmarks" / "kernels").glob("*.c"))
COMPILER, QEMU = "aarch64-linux-gnu-gcc", ("qemu-aarch64", "qemu-aarch64-static")


def output_of(command: list[str]) -> str:
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # sanitizers
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every file of the core, compiled with the warnings that we hold ourselves to."""
    if not shutil.which(COMPILER):
        pytest.skip(f"not installed: {COMPILER}")
    spec = importlib.util.spec_from_file_location("zeroshot_setup", ROOT / "setup.py")
    assert spec is not None and spec.loader is not None
    setup = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(setup)
    target = setup.probe_target([COMPILER])
    assert not target.is_x86_64
    folder = tmp_path_factory.mktemp("arm")

    def make(source: Path) -> Path:
        made: Path = folder / f"{source.stem}.o"
        flags = [*setup.ALWAYS, "-O3", "-fopenmp-simd", '-DZS_VERSION="0"', *setup.WARNINGS]
        flags += [*setup.source_flags(source, target), "-Icsrc"]
        output_of([COMPILER, *flags, "-c", os.fspath(source), "-o", os.fspath(made)])
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # setup.py names its sources from there
        sources = setup.core_sources(target)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip((source.stem for source in sources), pool.map(make, sources), strict=True))


@pytest.mark.parametrize("stem", ["isa_baseline_f32", "isa_baseline_f64"])
def test_tiles_multiply_and_add_in_registers(objects: dict[str, Path], stem: str) -> None:
    objdump = COMPILER.replace("gcc", "objdump")
    listing = output_of([objdump, "-d", "--no-show-raw-insn", os.fspath(objects[stem])])
    body = re.search(r"<conv_tile_8x2>:\n(.*?)\n\n", listing, re.DOTALL)
    assert body is not None
    assert len(re.findall(r"\bfmla\b.*\.(?:4s|2d)", body[1])) == 16
    assert not re.search(r"\bq\d+, \[sp", body[1]), "an accumulator was spilled"


@pytest.mark.parametrize("ladder", LADDERS)
def test_kernels_are_right(objects: dict[str, Path], tmp_path: Path, ladder: str) -> None:
    qemu = next(filter(None, map(shutil.which, QEMU)), None)
    if qemu is None:
        pytest.skip(f"not installed: {QEMU[0]}")
    names = ["arena", "dispatch", *(name for name in objects if re.match("isa_|ref_f", name))]
    made = os.fspath(tmp_path / ladder)
    source = os.fspath(ROOT / "benchmarks" / "kernels" / f"{ladder}.c")
    linked = [os.fspath(objects[name]) for name in names]
    output_of(
        [COMPILER, "-std=gnu11", "-O3", "-static", "-Icsrc", source, *linked, "-lm", "-o", made]
    )
    assert re.search(r"\b[1-9]\d* checks, 0 failed", output_of([qemu, made, "check"]))
