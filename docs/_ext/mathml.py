"""Formulas as MathML, which browsers show by themselves: no script, no network, now or later."""

from __future__ import annotations

from typing import Any

import latex2mathml.converter
from docutils import nodes


def convert(source: str, display: str) -> str:
    mathml: str = latex2mathml.converter.convert(source, display=display)
    if "\\" in mathml:  # a command that the converter does not know comes out as text
        raise ValueError(f"cannot typeset {source!r}")
    return mathml


def visit_math(self: Any, node: nodes.math) -> None:
    self.body.append(convert(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_displaymath(self: Any, node: nodes.math_block) -> None:
    self.body.append(convert(node.astext(), "block"))
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
