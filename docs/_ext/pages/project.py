"""Documents that live beside what they describe, as pages: included, never copied by hand."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

from pages.text import Site

# Where each is in the repository, and the name of its page.
DOCUMENTS = {
    "CONTRIBUTING.md": "contributing",
    "csrc/README.md": "core",
    "benchmarks/README.md": "benchmarks",
    "results/nasbench201/README.md": "results",
    "results/reproduce/README.md": "reproduced",
    "results/robustness/README.md": "robustness",
    "tests/golden/README.md": "golden",
    "CHANGELOG.md": "changelog",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)]+)\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.M | re.S)
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def write(site: Site) -> None:
    for document, name in DOCUMENTS.items():
        text = (site.root / document).read_text()
        site.write(f"project/{name}.md", _with_images(site, document, linked(document, text, name)))


def linked(document: str, text: str, name: str | None = None) -> str:
    """Links to other files of the repository lead to their pages; where there is none, to nothing.

    `document` is a path in the repository, `name` that of its page if it is one of `DOCUMENTS`.
    """
    here = PurePosixPath("project" if name else PurePosixPath(document).relative_to("docs").parent)

    def link(found: re.Match[str]) -> str:
        target, _, anchor = found[2].partition("#")
        if not target or ":" in target:
            return found[0]
        page = _page_of(os.path.normpath(PurePosixPath(document).parent / target))
        if page is None:
            return found[1] if found[1].startswith("`") else f"`{found[1]}`"
        return f"[{found[1]}]({os.path.relpath(page, here)}{'#' * bool(anchor)}{anchor})"

    parts = _FENCED.split(text)  # every other one is code
    parts[::2] = [_LINK.sub(link, part) for part in parts[::2]]
    return "".join(parts)


def _page_of(path: str) -> str | None:
    """The page of a file of the repository, from the site's root."""
    if path in DOCUMENTS:
        return f"project/{DOCUMENTS[path]}.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("notebooks/") and path.endswith(".ipynb"):
        return path.removesuffix(".ipynb") + ".md"
    return None


def _with_images(site: Site, document: str, text: str) -> str:
    """Pictures come along."""

    def image(found: re.Match[str]) -> str:
        path = PurePosixPath(document).parent / found[2]
        site.write(f"project/{path.name}", (site.root / path).read_bytes())
        return f"![{found[1]}]({path.name})"

    return _IMAGE.sub(image, text)
