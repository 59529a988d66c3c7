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
    "tests/golden/README.md": "golden",
    "CHANGELOG.md": "changelog",
}


def write(site: Site) -> None:
    for document, name in DOCUMENTS.items():
        text = (site.root / document).read_text()
        site.write(f"project/{name}.md", _linked(site, document, text))


def _linked(site: Site, document: str, text: str) -> str:
    """Links to other documents lead to their pages, pictures come along, the rest is code."""
    folder = PurePosixPath(document).parent

    def image(found: re.Match[str]) -> str:
        path = folder / found[2]
        site.write(f"project/{path.name}", (site.root / path).read_bytes())
        return f"![{found[1]}]({path.name})"

    def link(found: re.Match[str]) -> str:
        target, _, anchor = found[2].partition("#")
        if not target or ":" in target:
            return found[0]
        path = os.path.normpath(folder / target)
        if path not in DOCUMENTS:
            return found[1] if found[1].startswith("`") else f"`{found[1]}`"
        return f"[{found[1]}]({DOCUMENTS[path]}.md{'#' * bool(anchor)}{anchor})"

    text = re.sub(r"!\[([^\]]*)\]\(([^)]+)\)", image, text)
    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)]+)\)", link, text)
