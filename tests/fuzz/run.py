"""Fuzz the C parsers of all search spaces with libFuzzer.

::

    python tests/fuzz/run.py                      10,000,000 inputs for each space
    python tests/fuzz/run.py --runs 100000        as CI does
    python tests/fuzz/run.py --space nasbench101 --keep

Needs clang with its runtime (``libclang-rt-19-dev`` beside ``clang-19`` in Debian). Inputs that a
run starts from are the lines of ``corpus/<space>.txt``, as Python escapes bytes; ``--keep`` adds
some that reached new code, the smallest first. An input that fails is printed, and is the exit
status.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
CORPUS = HERE / "corpus"
COMPILERS = ("clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang")
SANITIZERS = "-fsanitize=address,undefined,fuzzer -fno-sanitize-recover=all"
LONGEST = 2048


def list_spaces() -> list[str]:
    """Names in the list of spaces of the C core."""
    return re.findall(r"^    SPACE\((\w+)\)", (CSRC / "spaces/space_table.h").read_text(), re.M)


def find_compiler() -> str | None:
    """A clang that links libFuzzer."""
    for name in COMPILERS:
        if not shutil.which(name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "f.c"
            source.write_text("int LLVMFuzzerTestOneInput(const char *d, long n)\n"
                              "{ return d[n] ? 0 : 0; }\n")  # fmt: skip
            command = [name, *SANITIZERS.split(), str(source), "-o", str(source.with_suffix(""))]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return name
    return None


def compile_harness(compiler: str, program: Path) -> None:
    """Link the harness with what building a graph needs; no kernels."""
    sources = [HERE / "fuzz_space.c"]
    for folder in ("core", "ops", "spaces"):
        sources += sorted((CSRC / folder).glob("*.c"))
    flags = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-I{CSRC}"]
    command = [compiler, *flags, *SANITIZERS.split(), *map(str, sources), "-lm", "-o", str(program)]
    subprocess.run(command, check=True)


def read_corpus(space: str) -> list[bytes]:
    """Inputs from the file of a space; a line is text unless it begins with the byte 0."""
    path = CORPUS / f"{space}.txt"
    if not path.exists():
        return []
    lines = path.read_text(encoding="ascii").splitlines()
    return [line.encode("ascii").decode("unicode_escape").encode("latin-1") for line in lines]


def write_corpus(space: str, inputs: Sequence[bytes]) -> None:
    CORPUS.mkdir(exist_ok=True)
    lines = [data.decode("latin-1").encode("unicode_escape").decode("ascii") for data in inputs]
    (CORPUS / f"{space}.txt").write_text("".join(line + "\n" for line in lines), encoding="ascii")


def call(program: Path, space: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "ZEROSHOT_FUZZ_SPACE": space}
    command = [str(program), f"-max_len={LONGEST}", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False)


def fuzz(program: Path, space: str, runs: int, seed: int, keep: int) -> bool:
    """One space; whether nothing was found."""
    with tempfile.TemporaryDirectory() as folder:
        found, merged = Path(folder) / "found", Path(folder) / "merged"
        found.mkdir()
        merged.mkdir()
        for i, data in enumerate(read_corpus(space)):
            (found / f"{i:05d}").write_bytes(data)
        begun = time.monotonic()
        done = call(
            program, space, f"-runs={runs}", f"-seed={seed}", "-timeout=10", "-rss_limit_mb=2048",
            "-print_final_stats=1", f"-artifact_prefix={folder}/", str(found),
        )  # fmt: skip
        seconds = time.monotonic() - begun
        text = done.stderr.decode(errors="replace")
        executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
        covered = re.findall(r"cov: (\d+)", text)
        print(
            f"{space}: {int(executed[1]) if executed else 0:,} inputs, {seconds:.0f} s, "
            f"{covered[-1] if covered else '?'} edges, {len(list(found.iterdir()))} kept, "
            f"{'nothing found' if done.returncode == 0 else 'FAILED'}",
            flush=True,
        )
        if done.returncode != 0:
            print(text[-4000:])
            for path in Path(folder).glob("*-*"):
                print(path.name.split("-")[0], path.read_bytes())
        elif keep:
            call(program, space, "-merge=1", str(merged), str(found)).check_returncode()
            held = read_corpus(space)
            new = {path.read_bytes() for path in merged.iterdir()} - set(held)
            write_corpus(space, held + sorted(new, key=lambda data: (len(data), data))[:keep])
        return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000_000, help="inputs for each space")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer")
    parser.add_argument("--space", action="append", choices=list_spaces(), help="only this one")
    parser.add_argument("--keep", type=int, nargs="?", const=100, default=0, metavar="N",
                        help="add up to N (100) inputs to the corpus")  # fmt: skip
    arguments = parser.parse_args()
    compiler = find_compiler()
    if compiler is None:
        print(f"fuzz: none of {', '.join(COMPILERS)} with libFuzzer is installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "fuzz_space"
        compile_harness(compiler, program)
        spaces = arguments.space or list_spaces()
        clean = [
            fuzz(program, space, arguments.runs, arguments.seed, arguments.keep) for space in spaces
        ]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
