"""Pages for everything public: the names of `zeroshot` by the module that they come from, and the
packages below it that have names of their own."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import zeroshot
from pages.text import Site, code, first_line, heading, module_text, table, toctree
from zeroshot.scores import SCORES

# Shown elsewhere (a page for each score and space), or behind what is public.
_ELSEWHERE = ("scores", "spaces", "cli", "interchange", "drawing")
_SMALL = {"_core": "runner"}  # where the few names of the extension belong


def write(site: Site) -> None:
    packages = public_packages()
    groups: dict[str, list[str]] = {}
    for name in zeroshot.__all__:
        value = getattr(zeroshot, name)
        if isinstance(value, ModuleType | str) or value in SCORES.values():
            continue
        if not any(shown(package, name) for package in packages.values()):
            groups.setdefault(_group(value), []).append(name)
    groups.pop("spaces", None)  # on the page of all spaces
    pages = {}
    for group, names in sorted(groups.items()):
        module = importlib.import_module(f"zeroshot.{group}")
        pages[group] = first_line(module)
        site.write(f"api/{group}.rst", _page(group, module, [f"zeroshot.{n}" for n in names]))
    for name, module in packages.items():
        pages[name] = first_line(module)
        names = [
            f"zeroshot.{n}" if shown(module, n) else f"{module.__name__}.{n}"
            for n in module.__all__
        ]
        site.write(f"api/{name}.rst", _page(name, module, names, package=True))
    site.write("api/index.rst", _index(groups, packages, pages))


def public_packages() -> dict[str, ModuleType]:
    """Packages and modules that users import from: those of `zeroshot.__all__`, and packages."""
    found = {}
    for info in pkgutil.iter_modules(zeroshot.__path__):
        name = info.name
        listed = name in zeroshot.__all__ and isinstance(getattr(zeroshot, name), ModuleType)
        if name.startswith("_") or name in _ELSEWHERE or not (info.ispkg or listed):
            continue
        module = importlib.import_module(f"zeroshot.{name}")
        if getattr(module, "__all__", None):
            found[name] = module
    return found


def shown(module: ModuleType, name: str) -> bool:
    """Whether a public name of `zeroshot` is on the page of a package."""
    return (
        name in module.__all__
        and name in zeroshot.__all__
        and getattr(module, name) is getattr(zeroshot, name)
    )


def _group(value: Any) -> str:
    parts = value.__module__.split(".")
    name = parts[1] if len(parts) > 1 else "_core"
    return _SMALL.get(name, name)


def _page(name: str, module: ModuleType, names: list[str], *, package: bool = False) -> str:
    title = f"zeroshot.{name}" if package else name
    parts = [heading(title), f".. py:module:: zeroshot.{name}\n", first_line(module) + "\n"]
    if package:
        parts.append(module_text(module.__doc__ or ""))
    constants = []
    for path in names:
        scope, _, last = path.rpartition(".")
        value = getattr(importlib.import_module(scope), last)
        if inspect.isclass(value):
            parts.append(
                f".. autoclass:: {path}\n   :members:\n   :exclude-members: {_hidden(value)}\n"
            )
        elif inspect.isroutine(value):
            parts.append(f".. autofunction:: {path}\n")
        elif isinstance(value, ModuleType):
            parts.append(f"`{path}`: {first_line(value)}\n")
        else:
            constants.append((code(last), code(_short(value))))
    if constants:
        parts.append(table(("constant", "value"), constants))
    return "\n".join(parts)


def _hidden(cls: type) -> str:
    """Fields of a dataclass, which its docstring explains."""
    return ", ".join(getattr(cls, "__dataclass_fields__", {})) or "__init__"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _index(
    groups: dict[str, list[str]], packages: dict[str, ModuleType], pages: dict[str, str]
) -> str:
    parts = [
        heading("API"),
        ".. py:module:: zeroshot\n",
        "Everything public, by what it is about. Scores have pages\n"
        ":doc:`of their own </scores/index>`, and so have :doc:`spaces </spaces/index>`. All\n"
        "functions that run a network take the keyword arguments of `zeroshot.Options`.\n",
    ]
    for name, about in sorted(pages.items()):
        parts.append(heading(f":doc:`{name}`", "-"))
        parts.append(about + "\n")
        members = (
            [(f"`zeroshot.{n}`", first_line(getattr(zeroshot, n))) for n in groups[name]]
            if name in groups
            else [
                (
                    f"`zeroshot.{n}`" if shown(packages[name], n) else f"`zeroshot.{name}.{n}`",
                    first_line(getattr(packages[name], n)),
                )
                for n in packages[name].__all__
                if callable(getattr(packages[name], n))
            ]
        )
        if members:
            parts.append(table(("name", "what"), members))
    return "\n".join([*parts, toctree(sorted(pages))])
