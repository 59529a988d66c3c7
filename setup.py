"""Builds the two extension modules; all metadata is in pyproject.toml.

`zeroshot._core` is the product and `zeroshot._testing` hands single kernels to the tests. Both link
the same objects of csrc, which are compiled once, each with the flags that its kind needs
(`source_flags`), and again only when a file that they include, or a flag, has changed.

Environment, read at build time:

ZEROSHOT_DEBUG=1          -O0 -g and assertions
ZEROSHOT_SANITIZE=LIST    e.g. address,undefined: sanitizers and assertions (Makefile, asan)
ZEROSHOT_COVERAGE=1       -O0 --coverage
ZEROSHOT_WERROR=1         the warnings that we hold ourselves to, as errors
ZEROSHOT_OPENMP=0         without OpenMP, even where the compiler has it
CC, CFLAGS, LDFLAGS       as everywhere; our flags come after CFLAGS
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, PlatformError

CSRC = Path("csrc")

# Python's own flags come first: -fwrapv among them would hide signed overflow from the sanitizer
# and keep int indices from vectorising.
ALWAYS = ["-std=gnu11", "-fvisibility=hidden", "-fno-wrapv", "-fno-math-errno"]
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes", "-Werror"]
AVX512 = ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma"]
ISA = {
    "avx2": ["-mavx2", "-mfma"],
    "avx512": [*AVX512, "-mprefer-vector-width=512"],
}
# Random draws and what is made of them are promised bit for bit.
ROUNDS_EACH_STEP = {CSRC / "core/rng.c", CSRC / "core/init.c"}

# One binary for NumPy 1.23 and all that follow.
API = "NPY_1_23_API_VERSION"
NUMPY = [f"-DNPY_NO_DEPRECATED_API={API}", f"-DNPY_TARGET_VERSION={API}"]


class Target(NamedTuple):
    """What the compiler is and compiles for, as its own macros say."""

    is_clang: bool
    is_x86_64: bool
    version: str


def env_flag(name: str, default: str = "0") -> bool:
    value = os.environ.get(name) or default
    if value not in ("0", "1"):
        raise SystemExit(f"{name} must be 0 or 1, got {value!r}")
    return value == "1"


def probe_target(compiler: list[str]) -> Target:
    ask = [*compiler, "-dM", "-E", "-x", "c", os.devnull]
    try:
        text = subprocess.run(ask, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise CompileError(f"zeroshot needs gcc or clang; {shlex.join(ask)}: {error}") from error
    lines = (line.split(maxsplit=2) for line in text.splitlines())  # #define NAME VALUE
    macros = {words[1]: words[-1] for words in lines}
    if "__GNUC__" not in macros:
        raise PlatformError(f"zeroshot needs gcc or clang, got {shlex.join(compiler)}")
    return Target("__clang__" in macros, "__x86_64__" in macros, macros["__VERSION__"])


def mode_flags() -> tuple[list[str], list[str]]:
    """Flags of the build mode, for the compiler and for the linker."""
    if sanitizers := os.environ.get("ZEROSHOT_SANITIZE"):
        link = [f"-fsanitize={sanitizers}"]
        stop = ["-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
        return ["-g", "-O1", "-U_FORTIFY_SOURCE", "-DZS_DEBUG", *link, *stop], link
    if env_flag("ZEROSHOT_COVERAGE"):
        link = ["--coverage"]
        return ["-g", "-O0", "-U_FORTIFY_SOURCE", "-fprofile-update=atomic", *link], link
    if env_flag("ZEROSHOT_DEBUG"):
        return ["-g", "-O0", "-U_FORTIFY_SOURCE", "-DZS_DEBUG"], []
    return ["-O3", "-g0"], []


def source_flags(source: Path, target: Target) -> list[str]:
    """What one file needs beyond the others: its ISA, its rounding."""
    flags = ["-ffp-contract=off" if source in ROUNDS_EACH_STEP else "-ffp-contract=fast"]
    if source.parent == CSRC / "cpu/simd":
        flags += ISA.get(source.stem.split("_")[1], [])
        if not target.is_clang:
            # the first carries vectors over iterations and spills accumulators; the second made
            # gcc 12 forget stores through vector types behind a call
            flags.append("-fno-predictive-commoning")
            if int(target.version.strip('"').split(".")[0]) >= 11:
                flags.append("-fno-ipa-modref")
            if os.environ.get("ZEROSHOT_SANITIZE"):  # gcc 12 stops at a comparison of doubles
                flags.append("-fno-tree-forwprop")
    return flags


def core_sources(target: Target) -> list[Path]:
    """Everything in csrc but the binding, without the ISAs that the target cannot have."""
    paths = [path for path in sorted(CSRC.rglob("*.c")) if CSRC / "py" not in path.parents]
    return [path for path in paths if target.is_x86_64 or not path.name.startswith("isa_avx")]


def is_stale(made: Path, command: str) -> bool:
    """Whether an object is missing, made by another command, or older than a file it read."""
    stamp, deps = made.with_suffix(".cmd"), made.with_suffix(".d")
    if not (made.exists() and deps.exists() and stamp.exists()) or stamp.read_text() != command:
        return True
    sources = map(Path, deps.read_text().replace("\\\n", " ").split(": ", 1)[1].split())
    age = made.stat().st_mtime_ns
    return any(not source.exists() or source.stat().st_mtime_ns > age for source in sources)


class BuildExt(build_ext):
    """Compiles csrc once, file by file and in parallel, then links each extension."""

    def build_extensions(self) -> None:
        if self.compiler.compiler_type != "unix":
            raise PlatformError("zeroshot needs gcc or clang")
        target = probe_target(self.compiler.compiler_so)
        compile_flags, link_flags = mode_flags()
        if self._has_openmp():
            compile_flags, link_flags = [*compile_flags, "-fopenmp"], [*link_flags, "-fopenmp"]
        else:  # serial, but loops are vectorised as they ask
            compile_flags = [*compile_flags, "-fopenmp-simd"]
        version = f'-DZS_VERSION="{self.distribution.get_version()}"'
        flags = [*ALWAYS, *compile_flags, *NUMPY, version]
        if env_flag("ZEROSHOT_WERROR"):
            flags += WARNINGS
        print(f"compiler {target.version}:", shlex.join(flags))

        shared = core_sources(target)
        own = {Path(source) for ext in self.extensions for source in ext.sources}
        with ThreadPoolExecutor(self.parallel or os.cpu_count()) as pool:
            jobs = {
                source: pool.submit(self._compile, source, [*flags, *source_flags(source, target)])
                for source in [*shared, *sorted(own)]
            }
        for ext in self.extensions:
            self.compiler.link_shared_object(
                [jobs[source].result() for source in [*map(Path, ext.sources), *shared]],
                self.get_ext_fullpath(ext.name),
                libraries=["m"],
                extra_postargs=link_flags,
                build_temp=self.build_temp,
            )

    def _compile(self, source: Path, flags: list[str]) -> str:
        made = Path(self.build_temp, source).with_suffix(".o")
        # NumPy's headers lie in a passing build environment: its version stands for their path.
        command = shlex.join([*self.compiler.compiler_so, *flags, numpy.__version__])
        if self.force or is_stale(made, command):
            made.parent.mkdir(parents=True, exist_ok=True)
            # Other people's headers are -isystem, so that our warnings are about our files.
            headers = [sysconfig.get_path("include"), numpy.get_include()]
            self.compiler.compile(
                [os.fspath(source)],
                output_dir=self.build_temp,
                include_dirs=[os.fspath(CSRC)],
                extra_preargs=[arg for path in headers for arg in ("-isystem", path)],
                extra_postargs=[*flags, "-MMD", "-MF", os.fspath(made.with_suffix(".d"))],
            )
            made.with_suffix(".cmd").write_text(command)
        return os.fspath(made)

    def _has_openmp(self) -> bool:
        if not env_flag("ZEROSHOT_OPENMP", "1"):
            return False
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder, "probe.c")
            probe.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads(); }\n")
            command = [*self.compiler.compiler_so, "-fopenmp", probe, "-o", probe.with_suffix("")]
            return subprocess.run(command, capture_output=True).returncode == 0


def extension(name: str, sources: Iterable[Path]) -> Extension:
    """Lists its own sources; the headers are there for the source distribution."""
    headers = [os.fspath(path) for path in sorted(CSRC.rglob("*.h"))]
    return Extension(name, [os.fspath(path) for path in sorted(sources)], depends=headers)


def main() -> None:
    binding = set(CSRC.glob("py/*.c"))
    testing = {*CSRC.glob("py/testing/*.c"), CSRC / "py/numpy_api.c"}
    setup(
        ext_modules=[
            extension("zeroshot._core", binding),
            extension("zeroshot._testing", testing),
        ],
        cmdclass={"build_ext": BuildExt},
    )


if __name__ == "__main__":  # tests read the flags above
    main()
