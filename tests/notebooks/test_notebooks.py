"""Notebooks run top to bottom on cut-down input, use the public API alone, and show what they made.

Each is run as it is, without any file, on scikit-learn's digits; where there are images of CIFAR-10
and a table of accuracies (see conftest.py), on these, too.
"""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import zeroshot

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
SHARED = Path(os.environ.get("ZEROSHOT_SHARED", NOTEBOOKS.parents[1] / "shared"))
FILES = {
    "ZEROSHOT_IMAGES": SHARED / "data" / "cifar10_sample.npz",
    "ZEROSHOT_NASBENCH201": SHARED / "data" / "nasbench201.csv.gz",
}
PICTURES = {"image/png", "image/svg+xml"}
every_notebook = pytest.mark.parametrize("name", NAMES)


def cells(name: str, kind: str) -> list[dict[str, Any]]:
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text())
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(name: str) -> str:
    code = ["".join(cell["source"]) for cell in cells(name, "code")]
    return "\n".join(code)


def run(name: str, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Any:
    nbclient = pytest.importorskip("nbclient", reason="extra notebooks: no notebook is run")
    pytest.importorskip("ipykernel", reason="extra notebooks: no notebook is run")
    for library in ("sklearn", "matplotlib", "scipy"):
        pytest.importorskip(library, reason=f"notebooks need {library}")
    import nbformat

    for key in FILES:
        monkeypatch.delenv(key, raising=False)
    for key, value in {"ZEROSHOT_NOTEBOOK_SMALL": "1", **variables}.items():
        monkeypatch.setenv(key, value)
    # the build under test, in the kernel's process, too
    monkeypatch.setenv("PYTHONPATH", str(Path(zeroshot.__file__).resolve().parents[1]), prepend=":")
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    return nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()


@pytest.mark.slow
@every_notebook
def test_runs_without_any_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = run(name, monkeypatch)
    shown = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    assert any(PICTURES & set(out.get("data", {})) for out in shown), "it draws nothing"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if "ZEROSHOT_IMAGES" in source(name)])
def test_runs_on_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [str(path) for path in FILES.values() if not path.exists()]
    if missing:
        pytest.skip(f"no {' and '.join(missing)}: set ZEROSHOT_SHARED")
    notebook = run(name, monkeypatch, **{key: str(path) for key, path in FILES.items()})
    text = "".join(out.get("text", "") for c in notebook.cells for out in c.get("outputs", ()))
    assert "digits" not in text


@every_notebook
def test_uses_the_public_api_alone(name: str) -> None:
    for node in ast.walk(ast.parse(source(name))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        else:
            continue
        private = [n for n in names if re.search(r"(^|\.)_(?!_)", n)]
        assert not private


@every_notebook
def test_is_stored_as_it_was_run(name: str) -> None:
    """Every code cell has run, in order and without an error, and nothing tells where."""
    code = cells(name, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [out for cell in code for out in cell["outputs"]]
    assert all(out["output_type"] != "error" for out in outputs)
    assert not any(out.get("name") == "stderr" for out in outputs)
    assert not re.search(r"/(home|work|tmp|root|usr)/", json.dumps(outputs))
    assert any(PICTURES & set(out.get("data", {})) for out in outputs)


@every_notebook
def test_says_in_the_first_cell_what_may_be_changed(name: str) -> None:
    first = "".join(cells(name, "code")[0]["source"])
    assert "ZEROSHOT_NOTEBOOK_SMALL" in first
    assert source(name).count("os.environ") == first.count("os.environ")
