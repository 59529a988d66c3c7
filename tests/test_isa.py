"""Each kernel table is made of the instructions it is named after, by gcc and by clang.

A compiler may lose the ISA silently (clang does inside outlined OpenMP bodies), and results would
stay right. So every file isa_<isa>_<dtype>.c is compiled here with the flags of setup.py, and the
machine code of each slot, with all local functions that it calls, is searched.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SIMD = ROOT / "csrc" / "cpu" / "simd"
IS_X86 = platform.machine() in ("x86_64", "AMD64")

# What full vectors are busy with besides moves, and multiply-add on them, as objdump writes it.
X86 = {
    "baseline": (
        r"\b(?:add|sub|mul|div|min|max|and|or|cmp\w+|cvt\w+)p[sd]\b|\bp(?:add|sub|cmp|and|or)\w*\b.*%xmm",
        None,
    ),
    "avx2": (
        r"\bv(?!mov|p?xor|zero|broadcast)\w+\b.*%ymm",
        r"\bvfn?m(?:add|sub)\d+p[sd]\b.*%ymm",
    ),
    "avx512": (
        r"\bv(?!mov|p?xor|zero|broadcast)\w+\b.*%zmm",
        r"\bvfn?m(?:add|sub)\d+p[sd]\b.*%zmm",
    ),
}
ARM = {"baseline": (r"\bv\d+\.(?:4s|2d)", r"\bfml[as]\b.*v\d+\.(?:4s|2d)")}
ISAS = X86 if IS_X86 else ARM
WIDER = {"baseline": r"%[yz]mm|\bv\w+p[sd]\b", "avx2": r"%zmm"}  # what an older machine cannot run

MULTIPLIES_AND_ADDS = {
    *("conv2d_fwd", "conv2d_bwd_x", "conv2d_bwd_w", "conv2d_bwd"),
    *("bn_stats", "bn_fwd", "bn_bwd_sums", "bn_bwd_x", "sum_fwd", "moments", "dot"),
    *("matmul", "softmax_fwd", "softmax_bwd", "norm_fwd", "norm_project", "norm_curve"),
}
MOVES_OR_DECIDES = {
    *("conv2d_algo", "conv2d_packed_bytes", "conv2d_scratch_bytes", "conv2d_pack", "fill_zero"),
    *("load_images", "load_weight", "store_weight", "store_vector"),
    *("matmul_scratch_bytes", "spatial_bias_fwd"),
    "hamming",  # popcnt, where there is no vector instruction for it
    "positive_bits",  # compares, and packs the masks
}

Code = dict[str, list[str]]  # function -> instructions


def slots() -> list[str]:
    """What a vectorised table overwrites."""
    text = (SIMD / "table_simd.inc.h").read_text()
    return re.findall(r"SLOT\((\w+)\)", re.sub(r"#define.*", "", text))


def build_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("zeroshot_setup", ROOT / "setup.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def output_of(command: list[str]) -> str:
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # sanitizers
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def find(*names: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    pytest.skip(f"not installed: {' or '.join(names)}")


def parse(listing: str) -> Code:
    """Functions of a disassembly; the parts that a compiler cuts off one count as functions."""
    code: Code = {}
    for line in listing.splitlines():
        if head := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            body = code.setdefault(head[1], [])
        elif "\t" in line:
            body.append(line.split(":", 1)[1].strip())
    return code


@pytest.fixture(scope="module", params=["gcc", "clang"])
def disassembled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Code]:
    compiler = find("gcc") if request.param == "gcc" else find("clang", "clang-19", "clang-18")
    objdump = find("objdump", "llvm-objdump", "llvm-objdump-19")
    folder = tmp_path_factory.mktemp(request.param)
    setup = build_script()

    @cache
    def get(isa: str, dtype: str) -> Code:
        source = Path("csrc/cpu/simd", f"isa_{isa}_{dtype}.c")
        target = setup.probe_target([compiler])
        flags = [
            *setup.ALWAYS,
            "-O3",
            "-fPIC",
            "-fopenmp-simd",
            *setup.source_flags(source, target),
        ]
        made = folder / f"{source.stem}.so"  # linked, so that calls have names
        link = ["-shared", "-nostdlib", "-o", str(made)]
        output_of([compiler, *flags, "-Icsrc", str(source), *link])
        return parse(output_of([objdump, "-d", "--no-show-raw-insn", str(made)]))

    return get


def reached(code: Code, start: str) -> str:
    """Instructions of a function and of all that it calls in its file."""
    todo, seen = [start], set()
    while todo:
        name = todo.pop()
        if name not in seen and name in code:
            seen.add(name)
            todo += re.findall(r"<([^>+@]+)(?:\+0x[0-9a-f]+)?>", "\n".join(code[name]))
    return "\n".join(line for name in sorted(seen) for line in code[name])


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("isa", ISAS)
def test_slots_use_their_vectors(
    isa: str, dtype: str, disassembled: Callable[[str, str], Code]
) -> None:
    code = disassembled(isa, dtype)
    arithmetic, multiply_add = ISAS[isa]
    names = slots()
    assert names, "the table overwrites nothing"
    without = []
    for slot in names:
        text = reached(code, f"{slot}_{isa}_{dtype}")
        assert text, f"{slot}_{isa}_{dtype} is not in the object"
        if slot not in MOVES_OR_DECIDES and not re.search(arithmetic, text):
            without.append(f"{slot}: no vector arithmetic")
        if slot in MULTIPLIES_AND_ADDS and multiply_add and not re.search(multiply_add, text):
            without.append(f"{slot}: no vector multiply-add")
    assert not without


@pytest.mark.skipif(not IS_X86, reason="one ISA only: not x86-64")
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("isa", WIDER)
def test_table_runs_on_its_machines(
    isa: str, dtype: str, disassembled: Callable[[str, str], Code]
) -> None:
    code = disassembled(isa, dtype)
    found = {
        name: line for name, body in code.items() for line in body if re.search(WIDER[isa], line)
    }
    assert not found


def test_tables_hold_the_convolutions() -> None:
    assert {"conv2d_fwd", "conv2d_bwd_x", "conv2d_bwd_w"} <= set(slots())


def test_import_leaves_denormals_alone(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """An object linked for fast mathematics would flush them for the whole process."""
    code = (
        "import zeroshot, numpy, threading\n"
        "tiny = numpy.full(3, 1e-40, numpy.float32)\n"
        "halves = [tiny / 2]\n"
        "thread = threading.Thread(target=lambda: halves.append(tiny / 2))\n"
        "thread.start(); thread.join()\n"
        "assert all((half > 0).all() for half in halves)"
    )
    child = run_python(code)
    assert child.returncode == 0, child.stderr
