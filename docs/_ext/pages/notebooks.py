"""The notebooks as pages: texts, code, and the outputs that are stored with them."""

from __future__ import annotations

import base64
import json
from typing import Any

from pages.text import Site


def write(site: Site) -> None:
    names = []
    for path in sorted((site.root / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text())
        site.write(f"notebooks/{path.stem}.md", page(site, path.stem, notebook["cells"]))
        names.append(path.stem)
    names.sort(key=lambda name: (name != "quick_start", name))
    entries = "\n".join(names)
    site.write(
        "notebooks/index.md",
        "# Notebooks\n\nTexts, code and outputs of `notebooks/`, as they were run when they were "
        "committed. Each reads what it may change in its first cell and runs without any file; "
        "`pip install 'zeroshot[notebooks]'` brings what they need.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n",
    )


def page(site: Site, name: str, cells: list[dict[str, Any]]) -> str:
    parts = []
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace(".ipynb)", ".md)"))
            continue
        parts.append(f"```python\n{source}\n```")
        for i, output in enumerate(cell["outputs"]):
            parts.append(_output(site, f"notebooks/{name}-{number}-{i}.png", output))
    return "\n\n".join(part for part in parts if part) + "\n"


def _output(site: Site, picture: str, output: dict[str, Any]) -> str:
    if output["output_type"] == "error":
        raise ValueError(f"{picture}: the notebook was stored with an error: {output['ename']}")
    if output["output_type"] == "stream":
        return "" if output["name"] == "stderr" else _text("".join(output["text"]))
    data = output["data"]
    if "image/png" in data:
        site.write(picture, base64.b64decode(data["image/png"]))
        file = picture.rpartition("/")[2]
        return f"```{{image}} {file}\n:class: figure\n:alt: output of the cell above\n```"
    if "image/svg+xml" in data:
        svg = picture.replace(".png", ".svg")
        site.write(svg, "".join(data["image/svg+xml"]))
        file = svg.rpartition("/")[2]
        return f"```{{image}} {file}\n:class: drawing\n:alt: output of the cell above\n```"
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    return _text("".join(data.get("text/plain", "")))


def _text(text: str) -> str:
    return f"```{{code-block}} text\n:class: output\n\n{text.rstrip()}\n```" if text.strip() else ""
