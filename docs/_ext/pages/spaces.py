"""A page for each search space: how architectures are written, drawn, numbered and scored."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import reprlib
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import zeroshot
from pages.text import (
    Site,
    block,
    code,
    facts,
    first_line,
    heading,
    module_text,
    plain,
    table,
    toctree,
)
from zeroshot.spaces import get_space, list_spaces, notations


class _OnALine(reprlib.Repr):
    """Values cut to a line; objects without a repr of their own as what they say of themselves."""

    def repr_instance(self, x: Any, level: int) -> str:
        return str(x) if " object at 0x" in repr(x) else super().repr_instance(x, level)


_LONG = _OnALine()
_LONG.maxtuple = _LONG.maxlist = _LONG.maxdict = 6
_LONG.maxstring = _LONG.maxother = 90


def write(site: Site) -> None:
    names = list_spaces()
    shared = [
        info.name
        for info in pkgutil.iter_modules(zeroshot.spaces.__path__)
        if info.name not in names and not info.name.startswith("_")
    ]
    rows = []
    classes: dict[type, str] = {}
    for name in names:
        module: Any = get_space(name)
        example = example_of(name)
        drawn = draw(site, name, example)
        site.write(f"spaces/{name}.rst", page(name, module, example, drawn, classes))
        rows.append((f":doc:`{name} <{name}>`", size(module.SIZE), code(_cut(example, 60))))
    for name in shared:
        module = importlib.import_module(f"zeroshot.spaces.{name}")
        site.write(f"spaces/{name}.rst", shared_page(name, module, classes))
    site.write("spaces/index.rst", index(rows, [*names, *shared]))


def index(rows: list[tuple[str, str, str]], names: list[str]) -> str:
    return f"""{heading("Search spaces")}
Architectures are handed out as text, which prints, sorts and goes into files as it is, and taken in
any notation that others use; the pages show all of them, and where they differ by one or in order.
``zeroshot.convert`` writes one in another notation. Networks that are in no space are built with
`zeroshot.Graph`, or come from PyTorch (`zeroshot.from_torch`) and ONNX (`zeroshot.from_onnx`).

{table(("space", "architectures", "one of them"), rows)}
What every space offers:

.. py:module:: zeroshot.spaces

.. autofunction:: list_spaces

.. autofunction:: get_space

.. autoclass:: Space
   :members:

{toctree(names)}"""


def page(name: str, module: Any, example: str, drawn: bool, classes: dict[type, str]) -> str:
    doc = module.__doc__ or ""
    channels, cells = zeroshot.Options(space=name).network_size
    counts = zeroshot.count(example, space=name)
    picture = f".. image:: {name}.svg\n   :class: drawing\n   :alt: {_cut(example, 80)}\n"
    parts = [
        heading(name),
        f".. py:module:: zeroshot.spaces.{name}\n",
        first_line(module) + "\n",
        picture if drawn else "",
        f"{'Drawn and counted' if drawn else 'Counted'} here is\n\n{block(example, 'text')}",
        facts(
            [
                ("architectures", size(module.SIZE)),
                ("default channels", str(channels or "part of an architecture")),
                ("default cells", str(cells or "part of an architecture")),
                ("parameters", f"{counts.params:,} (10 classes)"),
                ("multiply-adds", f"{counts.macs:,} for an image of 32 x 32"),
                ("equal to it", _others(name, module, example)),
            ]
        ),
        heading("Notations", "-"),
        _notations(name),
        _neighbours(name),
        heading("Definition", "-"),
        module_text(doc),
        heading("Use", "-"),
        block(_use(name)),
        heading("Functions", "-"),
        _members(module, classes),
    ]
    return "\n".join(parts)


def shared_page(name: str, module: ModuleType, classes: dict[type, str]) -> str:
    return "\n".join(
        [
            heading(f"zeroshot.spaces.{name}"),
            f".. py:module:: zeroshot.spaces.{name}\n",
            first_line(module) + "\n",
            module_text(module.__doc__ or ""),
            _members(module, classes),
        ]
    )


def example_of(name: str) -> str:
    """One architecture: the one of its notations' examples, if that is more than the first."""
    module = get_space(name)
    shown = next(row.example for row in notations.notations(name) if row.name == "text")
    first = next(iter(module.enumerate_all()))
    return module.sample(1, 0)[0] if shown in (None, first) or len(shown) < 60 else str(shown)


def draw(site: Site, name: str, example: str) -> bool:
    """Write the picture of an architecture; False where the space has none."""
    path = f"spaces/{name}.svg"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "drawing.svg")
        try:
            zeroshot.draw(example, space=name, path=file)
        except KeyError:
            return False
        site.write(path, file.read_bytes())
    return True


def size(n: int) -> str:
    return f"{n:,}" if n < 10**9 else f"{float(n):.2e}"


def _cut(text: str, n: int) -> str:
    return text if len(text) <= n else f"{text[: n - 3]}..."


def _others(name: str, module: Any, example: str) -> str:
    same = module.representative(example, "form")
    return "" if same == example else f"scored as {code(_cut(same, 80))} with ``canonical=True``"


def _notations(name: str) -> str:
    rows = (
        (
            code(row.name),
            plain(row.looks),
            code(_cut(_LONG.repr(row.example), 140)) if row.example is not None else "",
            plain(row.trap),
        )
        for row in notations.notations(name)
    )
    return table(("notation", "looks like", "example", "look out for"), rows)


def _neighbours(name: str) -> str:
    others = [b for a, b in notations.BRIDGES if a == name]
    if not others:
        return ""
    links = ", ".join(f":doc:`{other}`" for other in others)
    return f"``zeroshot.convert`` also leads to {links}, where the same architectures exist.\n"


def _use(name: str) -> str:
    return f""">>> from zeroshot.spaces import {name}
>>> arch = {name}.sample(1, seed=0)[0]
>>> near = {name}.mutate(arch, np.random.default_rng(0))
>>> zeroshot.score_many([arch, near], x, y, scores="snip", space="{name}")
>>> zeroshot.draw(arch, space="{name}")"""


def _members(module: ModuleType, classes: dict[type, str]) -> str:
    """What the module offers: constants as a table, then its functions; a class that several
    modules have is shown with the first, which `classes` remembers."""
    constants, parts = [], []
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.isclass(value) and (first := classes.setdefault(value, module.__name__)) != (
            module.__name__
        ):
            parts.append(f"`{name}` is that of `{first}`.\n")
        elif inspect.isroutine(value) or inspect.isclass(value):
            kind = "class" if inspect.isclass(value) else "function"
            if inspect.getdoc(value):
                parts.append(f".. auto{kind}:: {name}\n")
        elif not isinstance(value, ModuleType):
            constants.append((code(name), code(_LONG.repr(value))))
    shown = table(("constant", "value"), constants) if constants else ""
    return "\n".join([shown, *parts])
