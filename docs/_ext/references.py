"""Names in docstrings: found wherever they are documented, and shown as code where they are not."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.nodes import make_refnode

from zeroshot.options import Options

_MISSING = object()
_PLAIN = (int, float, str, tuple)  # equal ones may be one object


def find(name: str) -> Any:
    """The object of a dotted name, or `_MISSING`."""
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        return _MISSING
    for cut in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            value = (
                inspect.getattr_static(value, part, _MISSING)
                if inspect.isclass(value)
                else (getattr(value, part, _MISSING))
            )
            if value is _MISSING:
                return _MISSING
        return value
    return _MISSING


def documented(env: Any) -> dict[int, str]:
    """The name under which each object is documented, by identity."""
    if not hasattr(env, "zeroshot_documented"):
        found = {}
        for name, entry in env.get_domain("py").objects.items():
            if not entry.aliased and (value := find(name)) is not _MISSING:
                found.setdefault(id(value), name)
        env.zeroshot_documented = found
    return env.zeroshot_documented  # type: ignore[no-any-return]


def resolve(app: Any, env: Any, node: pending_xref, contnode: nodes.Element) -> Any:
    """A reference that Sphinx did not find: by what the name means where it stands."""
    if node.get("refdomain") != "py":
        return None
    target = str(node["reftarget"]).lstrip("~.")
    if not target.replace(".", "").replace("_", "").isalnum():
        return None
    for scope in (node.get("py:module"), "zeroshot", "zeroshot.spaces", "zeroshot.scores", None):
        path = f"{scope}.{target}" if scope else target
        name = _place(env, path)
        if name is not None:
            entry = env.get_domain("py").objects[name]
            return make_refnode(
                app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, name
            )
    return None


def _place(env: Any, path: str) -> str | None:
    """The documented name that shows what `path` is; else that of the class or module it is in."""
    value = find(path)
    if value is not _MISSING and not (value is None or isinstance(value, _PLAIN)):
        name = documented(env).get(id(value))
        if name is not None:
            return name
    scope, _, last = path.rpartition(".")
    owner = find(scope) if scope else _MISSING
    if inspect.isclass(owner) and last in _attributes(owner):
        return documented(env).get(id(owner))
    if inspect.ismodule(owner) and value is not _MISSING and path.startswith("zeroshot."):
        return documented(env).get(id(owner))
    return None


def _attributes(cls: type) -> set[str]:
    return set(dir(cls)).union(*(vars(c).get("__annotations__", {}) for c in cls.__mro__))


def shorten(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Functions that take all of `Options` are shown with ``**options``."""
    if what not in ("function", "method") or not hasattr(obj, "__signature__"):
        return None
    full = inspect.signature(obj)
    common = set(Options.__dataclass_fields__)
    if not common <= set(full.parameters):
        return None
    own = [p.replace(annotation=p.empty) for p in full.parameters.values() if p.name not in common]
    rest = inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)
    return str(inspect.Signature([*own, rest])), returns


def setup(app: Any) -> dict[str, bool]:
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
