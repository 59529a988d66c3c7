"""The pages of the site that are written from the package: nothing public is without one.

Sphinx builds them, with warnings as errors, in `make docs` and in CI.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import zeroshot
from zeroshot.scores import SCORES

pytest.importorskip("matplotlib", reason="pages of spaces have drawings, which need matplotlib")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = str(ROOT / "docs" / "_ext")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("site_pages").generate(tmp_path_factory.mktemp("docs"), ROOT)
    finally:
        sys.path.remove(folder)


def text(site: Any, path: str) -> str:
    return str((site.source / path).read_text())


@pytest.mark.parametrize("name", SCORES)
def test_score_has_a_page(site: Any, name: str) -> None:
    page = text(site, f"scores/{name}.rst")
    assert f".. autoclass:: {SCORES[name].__name__}\n" in page
    assert SCORES[name].formula in page
    assert f"csrc/scores/{name}.c" in page


@pytest.mark.parametrize("name", zeroshot.list_spaces())
def test_space_has_a_page_with_its_notations(site: Any, name: str) -> None:
    page = text(site, f"spaces/{name}.rst")
    assert all(f"``{row.name}``" in page for row in zeroshot.notations(name))
    assert (site.source / "spaces" / f"{name}.svg").stat().st_size > 1000
    assert " object at 0x" not in page, "a page that differs from build to build"


def test_everything_public_is_on_one_page(site: Any) -> None:
    pages = "\n".join(path.read_text() for path in site.source.rglob("*.rst"))
    shown = Counter(re.findall(r"\.\. auto(?:class|function):: (?:zeroshot\.)?(\w+)\n", pages))
    for name in zeroshot.__all__:
        value = getattr(zeroshot, name)
        if callable(value):
            assert shown[name] >= 1, f"{name} is on no page"
        else:
            assert isinstance(value, ModuleType | str)


def test_pages_of_an_earlier_build_go(site: Any, tmp_path: Path) -> None:
    module = importlib.import_module(type(site).__module__)
    again = module.Site(tmp_path, ROOT)
    again.write("scores/gone.rst", "text")
    again.written.clear()
    again.write("scores/here.rst", "text")
    again.clean()
    assert [path.name for path in tmp_path.rglob("*.rst")] == ["here.rst"]
