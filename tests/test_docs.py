"""Examples in docstrings and documents run, commands are commands, numbers are those of results."""

from __future__ import annotations

import csv
import doctest
import importlib
import inspect
import math
import pkgutil
import re
import shlex
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import zeroshot
from zeroshot.cli import parse_arguments

ROOT = Path(__file__).resolve().parents[1]
SITE = [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/adding/*.md")]
BESIDE = [
    ROOT / name
    for name in (
        "csrc",
        "benchmarks",
        "results/nasbench201",
        "results/reproduce",
        "results/robustness",
        "tests/golden",
    )
]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for path in [*ROOT.glob("*.md"), *(folder / "README.md" for folder in BESIDE), *SITE]
)
WRITTEN = re.compile(r"docs/(\.\./)?(scores|spaces|api|notebooks|project)/")  # by docs/_ext
OPTIONAL = {  # what stands in a document that needs it
    "import numpy as np, torch": "torch",
    "load_digits": "sklearn",
    '"digits"': "sklearn",
    "zeroshot import stats": "scipy",
}
PACKAGES = ("data", "stats", "figures", "reproduce", "sweet", "errors")
OPTION_NAMES = {field.name for field in fields(zeroshot.Options)}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def fail(name: str) -> None:
    raise ImportError(f"cannot import {name}")


def modules() -> list[str]:
    found = pkgutil.walk_packages(zeroshot.__path__, "zeroshot.", onerror=fail)
    return ["zeroshot", *(m.name for m in found if not m.name.endswith("__main__"))]


def run(test: doctest.DocTest) -> None:
    report: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("name", modules())
def test_examples_of_module_run(name: str) -> None:
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder().find(module, name):
        run(test)


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_examples_of_document_run(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / document).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert all(">>>" in block for block in blocks), "a Python block without a prompt is not run"
    code = "\n".join(blocks)
    for sign, library in OPTIONAL.items():
        if sign in code:
            pytest.importorskip(library, reason=f"{document} needs {library}")
    run(doctest.DocTestParser().get_doctest(code, {}, str(document), str(document), 0))


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_experiments_of_document_are_read(document: Path) -> None:
    for text in re.findall(r"^```toml\n(.*?)^```$", (ROOT / document).read_text(), re.M | re.S):
        experiment = zeroshot.Experiment.parse(text)
        assert zeroshot.Experiment.parse(experiment.to_toml()) == experiment


def commands(text: str) -> list[str]:
    """Calls of ``zeroshot`` in indented blocks, after a prompt, in blocks of shell."""
    text = text.replace("\\\n", "")
    shell = "\n".join(re.findall(r"^```(?:bash|console)\n(.*?)^```$", text, re.M | re.S))
    lines = [*re.findall(r"^    (.*)", text, re.M), *re.findall(r"^(?:\$ )?(.*)", shell, re.M)]
    parts = (part.strip() for line in lines for part in re.split(r"&&|;", line))
    found = (re.fullmatch(r"(?:do )?(zeroshot [a-z].*?)(?:\s+#.*)?(?:\s+&)?", p) for p in parts)
    return [match[1] for match in found if match]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_commands_of_document_are_accepted(document: Path) -> None:
    for command in commands((ROOT / document).read_text()):
        words = shlex.split(re.sub(r"\$\w+", "1", command))
        parse_arguments(words[1:])  # exits, or raises, if it is wrong


def test_readme_has_the_commands_that_ci_runs() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert "    pip install '.[demo]' && zeroshot demo" in lines
    assert "    pip install '.[test]' && pytest -n auto" in lines


def test_commands_are_found_and_wrong_ones_are_seen() -> None:
    found = commands((ROOT / "README.md").read_text())
    assert "zeroshot demo" in found and len(found) >= 5
    with pytest.raises(Exception, match="shar"):
        parse_arguments(["run", "x.toml", "--shar", "0/2"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_of_document_lead_to_files(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text())
    links = [link for link in links if not WRITTEN.match(f"{document.parent}/{link}")]
    missing = [link for link in links if not (ROOT / document.parent / link).exists()]
    assert not missing


def test_package_lists_what_it_exports() -> None:
    missing = [name for name in zeroshot.__all__ if not hasattr(zeroshot, name)]
    assert not missing
    undocumented = [name for name in zeroshot.__all__ if not getattr(zeroshot, name).__doc__]
    assert not undocumented


def public() -> dict[str, object]:
    """Functions and classes of `zeroshot` and of what users import from it, each once."""
    owners = [zeroshot, *(importlib.import_module(f"zeroshot.{name}") for name in PACKAGES)]
    found = {
        id(v): (f"{m.__name__}.{n}", v) for m in owners for n in m.__all__ for v in [getattr(m, n)]
    }
    return {name: value for name, value in found.values() if callable(value)}


def test_docstrings_name_every_parameter() -> None:
    """Of functions all but those of `Options`, of dataclasses all fields."""
    missing = []
    for name, value in public().items():
        if isinstance(value, type):
            asked = [f.name for f in fields(value)] if is_dataclass(value) else []
        else:
            asked = [p for p in inspect.signature(value).parameters if p not in OPTION_NAMES]
        words = set(re.findall(r"\w+", inspect.getdoc(value) or ""))
        missing += [f"{name}: {p}" for p in asked if p not in words and not p.startswith("_")]
    assert not missing


def test_every_score_has_a_formula_of_its_own() -> None:
    formulas = {info.name: info.dataclass.formula for info in zeroshot.list_scores()}
    assert all(formulas.values())
    assert len(set(formulas.values())) == len(formulas)


# --- numbers of documents are those of stored results -------------------------------------------

RESULTS = ROOT / "benchmarks" / "results"


def rows_of(document: str, header: str) -> dict[str, list[str]]:
    """Cells of the first table of a document whose header starts so, by what the first cell has."""
    text = (ROOT / document).read_text()
    lines = text[text.index(f"\n{header}") + 1 :].split("\n\n")[0].splitlines()[2:]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {first: rest for first, *rest in cells}


def results(name: str) -> list[dict[str, str]]:
    with (RESULTS / name).open(newline="") as file:
        return list(csv.DictReader(file))


def mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def assert_says(cell: str, *values: float) -> None:
    """Each number of a cell is the value, rounded to the digits that it has."""
    numbers = re.findall(r"-?[\d.]+", cell)
    assert len(numbers) == len(values), cell
    for text, value in zip(numbers, values, strict=True):
        half = 0.5 * 10 ** -len(text.partition(".")[2])
        assert abs(float(text) - value) < 1.001 * half, (cell, values)


def test_readme_has_the_table_of_the_stored_scores() -> None:
    table = (ROOT / "results" / "nasbench201" / "table.md").read_text().strip()
    assert f"\n\n{table}\n\n" in (ROOT / "README.md").read_text()


def test_table_of_all_scores_is_the_measured_one() -> None:
    table = rows_of("docs/correlations.md", "| score | paper |")
    measured = results("validate_scores_accuracy.csv")
    assert len(table) == len(measured)
    for cells, row in zip(
        table.values(), sorted(measured, key=lambda row: -float(row["spearman"])), strict=True
    ):
        assert_says(cells[3], *(float(row[key]) for key in ("spearman", "low", "high")))
        for cell, key in ((cells[4], "published"), (cells[5], "given_live_weights")):
            assert_says(cell, *(float(row[key]) for _ in "1" if row[key] not in ("", "nan")))


SPEED = {"xi-GSNR": "xi_gsnr", "GradSign": "gradsign", "Sweetimator": "sweet"}


@pytest.mark.parametrize("score", SPEED)
def test_readme_says_the_speed_of_the_last_full_run(score: str) -> None:
    rows = [r for r in results("bench_scores.csv") if r["score"] == SPEED[score]]
    rows = [r for r in rows if r["threads"] == "1"][-24:]
    assert len({row["arch"] for row in rows}) == 24
    table = rows_of("README.md", "| score | as released |")
    (name,) = (n for n in table if n.startswith(f"{score}, ") and "in one call" not in n)
    cells = table[name]
    assert cells[2] == "24"
    for cell, key in zip(cells, ("ratio_released", "ratio_best"), strict=False):
        values = [float(row[key]) for row in rows]
        assert_says(cell, mean(values), min(values), max(values))
        assert f"| {cell} |" in (ROOT / "benchmarks" / "README.md").read_text()


def test_readme_says_the_speed_of_six_scores_in_one_call() -> None:
    key = ("joint", "1")
    row = [r for r in results("bench_joint.csv") if (r["score"], r["threads"]) == key][-1]
    table = rows_of("README.md", "| score | as released |")
    (cells,) = (cells for name, cells in table.items() if "in one call" in name)
    assert_says(cells[0], *(float(row[key]) for key in ("ratio", "ratio_low", "ratio_high")))
    assert cells[2:] == [str(len(row["archs"].split())), row["commit"]]
    told = f"by processor time it is {float(row['cpu_ratio']):.1f}"
    assert told in (ROOT / "README.md").read_text()


def test_readme_says_the_speed_of_every_space() -> None:
    table = rows_of("README.md", "| space | architectures |")
    assert [name.strip("`") for name in table] == list(zeroshot.spaces.list_spaces())
    measured: dict[str, dict[str, str]] = {}
    for row in results("bench_spaces.csv"):
        if row["input_size"] != "224":
            measured[row["space"]] = row
    for name, cells in table.items():
        row = measured[name.strip("`")]
        assert_says(cells[3], float(row["ratio_released"]))
        assert_says(cells[4], float(row["ratio_best"]))
