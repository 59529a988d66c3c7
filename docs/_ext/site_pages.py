"""Writes the pages that nobody keeps by hand, before Sphinx reads its sources.

A new score, space, public function or notebook has its page by being there. What is written lies in
folders that git ignores; files whose text stays are not touched, so that a second build is quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pages import api, notebooks, project, scores, spaces
from pages.text import FOLDERS, Site


def generate(source: Path, root: Path) -> Site:
    """All pages, under `source`; what an earlier build left and none wrote now is removed."""
    site = Site(source, root)
    for part in (scores, spaces, api, notebooks, project):
        part.write(site)
    site.clean()
    return site


def link(app: Any, name: str, source: list[str]) -> None:
    """Pages that are kept by hand link to files of the repository, for readers who have no site."""
    path = Path(app.env.doc2path(name)).relative_to(app.srcdir)
    if path.suffix == ".md" and path.parts[0] not in FOLDERS:
        source[0] = project.linked(f"docs/{path.as_posix()}", source[0])


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", link)
    app.connect("builder-inited", lambda app: generate(Path(app.srcdir), Path(app.srcdir).parent))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
