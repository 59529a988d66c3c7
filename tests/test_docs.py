"""Examples in docstrings and in the README run, with the build under test."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import zeroshot

ROOT = Path(__file__).resolve().parents[1]
SITE = [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/adding/*.md")]
DOCUMENTS = sorted(
    path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("csrc/*.md"), *SITE]
)
WRITTEN = re.compile(r"docs/(\.\./)?(scores|spaces|api|notebooks|project)/")  # by docs/_ext
OPTIONAL = {  # what stands in a document that needs it
    "import numpy as np, torch": "torch",
    "load_digits": "sklearn",
    '"digits"': "sklearn",
    "zeroshot import stats": "scipy",
}
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
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S))
    assert ">>>" in code or "```python" not in text, "a Python block without a prompt is not run"
    for sign, library in OPTIONAL.items():
        if sign in code:
            pytest.importorskip(library, reason=f"{document} needs {library}")
    run(doctest.DocTestParser().get_doctest(code, {}, str(document), str(document), 0))


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_experiments_of_document_are_read(document: Path) -> None:
    for text in re.findall(r"^```toml\n(.*?)^```$", (ROOT / document).read_text(), re.M | re.S):
        experiment = zeroshot.Experiment.parse(text)
        assert zeroshot.Experiment.parse(experiment.to_toml()) == experiment


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


def test_every_score_has_a_formula_of_its_own() -> None:
    formulas = {info.name: info.dataclass.formula for info in zeroshot.list_scores()}
    assert all(formulas.values())
    assert len(set(formulas.values())) == len(formulas)
