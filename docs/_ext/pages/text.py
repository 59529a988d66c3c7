"""What the writers of pages share: reStructuredText by the piece, and files."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDERS = ("scores", "spaces", "api", "notebooks", "project")


@dataclass
class Site:
    """Where pages go, and where the repository is."""

    source: Path
    root: Path
    written: set[Path] = field(default_factory=set)

    def write(self, path: str, content: str | bytes) -> None:
        """A file below the source folder; left alone where it has this content already."""
        file = self.source / path
        raw = content.encode() if isinstance(content, str) else content
        self.written.add(file)
        if not file.exists() or file.read_bytes() != raw:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(raw)

    def clean(self) -> None:
        for folder in FOLDERS:
            for file in (self.source / folder).rglob("*"):
                if file.is_file() and file not in self.written:
                    file.unlink()


def heading(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A list-table: cells may be any text of one paragraph."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (columns, *rows):
        for i, cell in enumerate(row):
            text = " ".join(str(cell).split())
            lines.append(f"   {'* -' if i == 0 else '  -'} {text}".rstrip())
    return "\n".join(lines) + "\n"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A field list, without what is empty."""
    lines = [f":{name}: {' '.join(text.split())}" for name, text in pairs if text]
    return ".. rst-class:: facts\n\n" + "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Inline code, whatever characters it has."""
    return f"``{' '.join(text.split())}``" if text.strip() else ""


def plain(text: str) -> str:
    """Text without markup of its own."""
    return re.sub(r"([\\`*_|])", r"\\\1", text)


def block(text: str, language: str = "python") -> str:
    return f".. code-block:: {language}\n\n{textwrap.indent(text.rstrip(), '   ')}\n"


def toctree(entries: Iterable[str], *, hidden: bool = True) -> str:
    lines = [".. toctree::", "   :maxdepth: 1", *(["   :hidden:"] if hidden else []), ""]
    return "\n".join([*lines, *(f"   {entry}" for entry in entries)]) + "\n"


def first_line(obj: Any) -> str:
    return (inspect.getdoc(obj) or "").partition("\n")[0].strip()


def module_text(doc: str) -> str:
    """A module's docstring below its first line: sections become rubrics, footnotes a list."""
    body = inspect.cleandoc(doc).partition("\n")[2].strip("\n")
    body = re.sub(r"^(\w[\w ]*)\n-{3,}$", r".. rubric:: \1\n", body, flags=re.M)
    return re.sub(r"^\.\. \[(\d)\] ", r"\1. \\ ", body, flags=re.M) + "\n"  # X. is no item
