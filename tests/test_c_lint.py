"""What the compiler does not forbid and we do: a small lint over the text of csrc.

Rules look at code without comments, strings and preprocessor lines, so a rule's name in a comment
is no offence. Each rule is also shown code that it must reject.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

ROOT = Path(__file__).resolve().parents[1]
CSRC = ROOT / "csrc"
FILES = sorted(p for p in CSRC.rglob("*") if p.suffix in {".c", ".h"})
HEADERS = [p for p in FILES if p.suffix == ".h" and not p.name.endswith(".inc.h")]

Rule = Callable[[str, str], list[str]]  # file name, code -> offences

# The allocator counts and refuses for tests; it is the one place with state.
MUTABLE = {"core/arena.c": {"alloc_countdown", "alloc_persistent", "alloc_seen"}}
# CPython's tables, which its API takes without const; nobody writes to them.
CPYTHON_TABLE = re.compile(
    r"\b(PyMethodDef|PyGetSetDef|PyMemberDef|PyType_Slot|PyType_Spec|PyModuleDef|PyModuleDef_Slot)\b"
)


def blank(match: re.Match[str]) -> str:
    return '""' if match[0][0] in "\"'" else " " + "\n" * match[0].count("\n")


def strip(text: str) -> str:
    """Code alone: no comments, no contents of strings, no preprocessor lines."""
    text = re.sub(
        r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", blank, text, flags=re.S
    )
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)


def calls(names: str, code: str) -> list[str]:
    """Calls of these functions; members of structs may have their names."""
    return re.findall(rf"(?<![\w.>])(?:{names})(?=\s*\()", code)


def allocates(name: str, code: str) -> list[str]:
    if name == "core/arena.c":
        return []
    return calls(r"malloc|calloc|realloc|free|posix_memalign|aligned_alloc|strn?dup|alloca", code)


def prints_or_dies(name: str, code: str) -> list[str]:
    return calls(r"v?f?printf|puts|fputs|putchar|perror|_?exit|abort|assert", code)


def is_unbounded(name: str, code: str) -> list[str]:
    return calls(r"gets|v?sprintf|strcpy|stpcpy|sscanf|atoi|atol|atof", code)


def declarations(code: str) -> list[str]:
    """Statements at file scope, initialisers and bodies emptied."""
    n = 1
    while n:
        code, n = re.subn(r"\{[^{}]*\}", "\x01", code)
    code = re.sub(r"\btypedef\b[^;]*;", "", code)
    code = re.sub(r"\)\s*\x01", ");", code)  # the body of a function
    code = re.sub(r"^[ \t]*ZS_\w+\([^;]*?\)[ \t]*$", "", code, flags=re.M)  # a table's lines
    code = re.sub(r'extern\s*""\s*\x01', "", code)
    return [" ".join(part.split()) for part in code.split(";") if part.strip()]


def is_mutable(declaration: str) -> bool:
    """Whether a declaration makes a variable that can be written."""
    head = declaration.split("=")[0].strip()
    if head.startswith("extern ") or CPYTHON_TABLE.search(head):
        return False
    if re.fullmatch(r"(enum|struct|union)\b( \w+)?( ?\x01)?", head):
        return False
    if "=" not in declaration and re.search(r"^[^(]*\((?!\*)", head):  # a function
        return False
    qualifiers = head.rsplit("*", 1)[-1]  # those of the variable, not of what it points to
    return not re.search(r"\bconst\b", qualifiers)


def has_mutable_state(name: str, code: str) -> list[str]:
    found = [d for d in declarations(code) if is_mutable(d) and "_Static_assert" not in d]
    found += [  # the same inside functions
        line.strip()
        for line in code.splitlines()
        if re.match(r"\s+static\b", line) and is_mutable(line.split(";")[0].strip() or "x")
    ]
    variables = {re.sub(r"\[.*|=.*", "", d).split()[-1] for d in found}
    return sorted(variables - MUTABLE.get(name, set()))


def handles_gil_wrongly(name: str, code: str) -> list[str]:
    """Pairs are closed; between them no Python, and no way out."""
    parts = re.split(r"\b(Py_BEGIN_ALLOW_THREADS|Py_END_ALLOW_THREADS)\b", code)
    marks = parts[1::2]
    if marks != ["Py_BEGIN_ALLOW_THREADS", "Py_END_ALLOW_THREADS"] * (len(marks) // 2):
        return ["unpaired"]
    found = []
    for block in parts[2::4]:
        found += re.findall(r"\b(?:Py[A-Z]\w*|Py_\w+)(?=\s*\()|\b(?:return|goto)\b", block)
    return found


def opens_parallel_region(name: str, raw: str) -> list[str]:
    if name == "core/engine.c":
        return []
    return re.findall(r"#\s*pragma\s+omp\s+(?:parallel|task|sections)\b|\bomp_set_\w+", raw)


ON_CODE: list[Rule] = [
    allocates,
    prints_or_dies,
    is_unbounded,
    has_mutable_state,
    handles_gil_wrongly,
]
ON_TEXT: list[Rule] = [opens_parallel_region]


def offences(rule: Rule, name: str, text: str) -> list[str]:
    return rule(name, strip(text) if rule in ON_CODE else text)


@pytest.mark.parametrize("rule", ON_CODE + ON_TEXT, ids=lambda rule: rule.__name__)
def test_no_file(rule: Rule) -> None:
    found = {}
    for path in FILES:
        name = path.relative_to(CSRC).as_posix()
        if wrong := offences(rule, name, path.read_text()):
            found[name] = wrong
    assert not found


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (allocates, "void f(void) { free (p); }"),
        (allocates, "int *f(void) { return malloc(4); }"),
        (prints_or_dies, 'void f(void) { if (x) printf("%d", 1); }'),
        (prints_or_dies, "void f(void) { assert(x > 0); }"),
        (is_unbounded, 'void f(char *s) { sprintf(s, "x"); }'),
        (has_mutable_state, "static int n;"),
        (has_mutable_state, "int n = 3;"),
        (has_mutable_state, "static const char *NAMES[] = {0};"),
        (has_mutable_state, "static _Atomic int n = 3;"),
        (has_mutable_state, "static struct { int a; } x = {1};"),
        (has_mutable_state, "static int (*hook)(void) = NULL;"),
        (has_mutable_state, "int f(void) {\n    static int n;\n    return n++;\n}"),
        (has_mutable_state, "int f(void) { return 1; }\nstatic double cache[4];"),
        (handles_gil_wrongly, "Py_BEGIN_ALLOW_THREADS f();"),
        (handles_gil_wrongly, "Py_BEGIN_ALLOW_THREADS if (f()) return; Py_END_ALLOW_THREADS"),
        (handles_gil_wrongly, "Py_BEGIN_ALLOW_THREADS Py_DECREF(x); Py_END_ALLOW_THREADS"),
        (opens_parallel_region, "#pragma omp parallel for"),
        (opens_parallel_region, "omp_set_num_threads(2);"),
    ],
)
def test_lint_rejects(rule: Rule, text: str) -> None:
    assert offences(rule, "ops/example.c", text)


@pytest.mark.parametrize(
    "text",
    [
        "/* malloc(1) */ void f(void) { b->free(b, p); zs_free(p); }",
        'void f(zs_error *e) { zs_fail(e, "printf(1)"); snprintf(s, 9, "exit(1)"); }',
        'static const char *const NAMES[] = {"a", "b"};\nenum { N = 3 };\nint f(int x) { x++; }',
        "static const struct {\n    const char *s;\n} ROWS[] = {{0}};\nint g(int (*h)(void)) {}",
        "#define X static int n;\ntypedef struct t { int *p; } t;\nextern t T;\nconst t T = {0};",
        "void f(void) { Py_BEGIN_ALLOW_THREADS work(); Py_END_ALLOW_THREADS Py_RETURN_NONE; }",
        "static PyMethodDef METHODS[] = {{0}};\nvoid f(void) {\n    static const int A = 1;\n}",
    ],
)
def test_lint_accepts(text: str) -> None:
    assert [rule.__name__ for rule in ON_CODE + ON_TEXT if offences(rule, "ops/x.c", text)] == []


def test_allocator_state_is_what_the_lint_allows() -> None:
    for name, allowed in MUTABLE.items():
        code = strip((CSRC / name).read_text())
        assert set(has_mutable_state("other.c", code)) == allowed


def test_lines_have_at_most_120_columns() -> None:
    folders = [CSRC, ROOT / "benchmarks" / "kernels", ROOT / "tests" / "fuzz"]
    files = [p for folder in folders for p in folder.rglob("*.[ch]")]
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > 120
    ]
    assert long == []


def test_include_guards_close_and_differ() -> None:
    opened = re.compile(r"^#ifndef (ZS_\w+_H)\n(?:#define (\w+)$)?", re.M)
    guards = [match for p in HEADERS for match in opened.findall(p.read_text())]
    assert guards
    assert [guard for guard, defined in guards if guard != defined] == []
    assert len(guards) == len(set(guards))


def errors_of(compiler: list[str], header: Path) -> str:
    """Errors of a file that includes this header and nothing else; empty if there are none."""
    command = [*compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-I{CSRC}", "-"]
    code = f'#include "{header.relative_to(CSRC)}"\n'
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # sanitizers
    return subprocess.run(command, input=code, env=env, capture_output=True, text=True).stderr


@pytest.mark.parametrize("header", HEADERS, ids=lambda p: p.relative_to(CSRC).as_posix())
def test_header_stands_alone(header: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: cc not found")
    if CSRC / "py" in header.parents:
        include = ["-isystem", sysconfig.get_path("include"), "-isystem", numpy.get_include()]
    else:
        include = []
    assert errors_of(["cc", "-x", "c", "-std=gnu11", *include], header) == ""


@pytest.mark.parametrize("name", ["core/base.h", "core/graph.h", "core/kernels.h"])
def test_header_is_also_cxx(name: str) -> None:
    """A device's backend is compiled as C++ and fills the same table."""
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler: c++ not found")
    assert errors_of(["c++", "-x", "c++", "-std=c++17"], CSRC / name) == ""
