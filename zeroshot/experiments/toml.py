"""The file of an experiment: TOML, in which every unknown key is an error."""

from __future__ import annotations

__all__ = ["read", "tables", "with_defaults", "write"]

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroshot.options import Options
from zeroshot.scores import SCORES, Score
from zeroshot.scores.base import PerSample

if TYPE_CHECKING:
    from zeroshot.experiments.experiment import Experiment

_SPACE = ("name", "channels", "cells", "classes", "builder")
_OPTIONS = ("seeds", "init", "dtype", "canonical", "algo", "kernels", "recompute", "max_bytes")
_RUN = ("store", "executor", "workers")
_TABLES = ("data", "space", "archs", "scores", "options", "run")


def parse_toml(text: str) -> dict[str, Any]:
    """TOML as dictionaries."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError:
            raise ImportError(
                "experiments in TOML need tomli before Python 3.11: "
                "pip install 'zeroshot[experiments]'"
            ) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"no TOML: {error}") from error


def read(text: str, data: type[Any], archs: type[Any]) -> dict[str, Any]:
    """Arguments of an `Experiment`; `data` and `archs` are the classes of these tables."""
    given = parse_toml(text)
    _known("the file", given, ("name", *_TABLES))
    for name in _TABLES:
        kind, wanted = (list, f"[[{name}]]") if name == "scores" else (dict, f"[{name}]")
        if not isinstance(given.get(name, kind()), kind):
            raise ValueError(f"{name}: expected a table, {wanted}, got {given[name]!r}")
    made: dict[str, Any] = {}
    if "name" in given:
        made["name"] = _typed("the file", "name", given["name"], str)
    made["data"] = _make("data", data, given.get("data", {}))
    made["archs"] = _make("archs", archs, given.get("archs", {}))
    space, options, run = (given.get(name, {}) for name in ("space", "options", "run"))
    _known("[space]", space, _SPACE)
    _known("[options]", options, _OPTIONS)
    _known("[run]", run, _RUN)
    asked = {("space" if key == "name" else key): value for key, value in space.items()}
    asked |= options
    if "classes" in asked:
        made["classes"] = asked.pop("classes")
    if "seeds" in asked:
        made["seeds"] = _typed("[options]", "seeds", asked.pop("seeds"), list)
    made["options"] = _at("[space], [options]", lambda: Options(**asked))
    for name in ("store", "executor"):
        if name in run:
            made[name] = _typed("[run]", name, run[name], str)
    if "workers" in run:
        made["workers"] = run["workers"]
    n_rows = made["data"].batch_size * made["data"].batches
    made["scores"] = [
        _score(i, table, made["data"].batch_size, n_rows)
        for i, table in enumerate(given.get("scores", []), start=1)
    ]
    if not made["scores"]:
        raise ValueError("scores: expected at least one table [[scores]], got none")
    return made


def _score(number: int, table: Any, batch_size: int, n_rows: int) -> Score:
    where = f"[[scores]] {number}"
    if not isinstance(table, dict):
        raise ValueError(f"{where}: expected a table, got {table!r}")
    name = table.get("name")
    if not isinstance(name, str) or name not in SCORES:
        raise ValueError(f"{where} name: expected one of {', '.join(SCORES)}; got {name!r}")
    own = _fields(SCORES[name])
    _known(where, table, ("name", *own))
    given = {key: value for key, value in table.items() if key != "name"}
    made: Score = _at(where, lambda: with_defaults(SCORES[name], given, batch_size, n_rows))
    return made


def with_defaults(
    score: type[Score], given: Mapping[str, Any], batch_size: int, n_rows: int
) -> Score:
    """A score that takes the batches of the data, and as many samples as there are."""
    own = _fields(score)
    general: dict[str, Any] = {"batch_size": batch_size}
    if issubclass(score, PerSample):
        general["n_samples"] = min(int(own["n_samples"].default or n_rows), n_rows)
    return score(**{key: value for key, value in general.items() if key in own} | dict(given))


def _fields(score: type[Score]) -> dict[str, Any]:
    return {f.name: f for f in fields(score) if f.name != "_"}  # type: ignore[arg-type]


def _make(name: str, cls: type[Any], table: Mapping[str, Any]) -> Any:
    _known(f"[{name}]", table, tuple(f.name for f in fields(cls) if f.name != "_"))
    for f in fields(cls):
        if f.name in table and isinstance(f.default, str):
            _typed(f"[{name}]", f.name, table[f.name], str)
    return _at(f"[{name}]", lambda: cls(**table))


def _at(where: str, make: Callable[[], Any]) -> Any:
    """What `make` gives; its complaints with the table in front."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} {error}") from error


def _known(where: str, table: Iterable[str], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise ValueError(f"{where}: unknown key {key!r}; expected {', '.join(known)}")


def _typed(where: str, name: str, value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind):
        wanted = "a string" if kind is str else "a list"
        raise ValueError(f"{where} {name}: expected {wanted}, got {value!r}")
    return value


# --- writing -----------------------------------------------------------------------------------


def tables(experiment: Experiment) -> dict[str, Any]:
    """What `read` makes the same experiment of."""
    options = experiment.options
    if options.weights is not None:
        raise ValueError("weights: expected none in an experiment that is written as TOML")
    default = {f.name: f.default for f in fields(Options)}
    said = {
        name: value
        for name in ("channels", "cells", "builder", *_OPTIONS[1:])
        if (value := getattr(options, name)) != default[name]
    }
    space = {"name": options.space, "classes": experiment.classes}
    space |= {name: said.pop(name) for name in ("channels", "cells", "builder") if name in said}
    made = {
        "name": experiment.name or None,
        "data": _plain(experiment.data),
        "space": space,
        "archs": _plain(experiment.archs),
        "scores": [{"name": one.name, **_score_fields(one)} for one in experiment.scores],
        "options": {"seeds": list(experiment.seeds), **said},
        "run": {name: getattr(experiment, name) for name in _RUN},
    }
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in made.items()
        if value not in (None, {})
    }


def _plain(source: Any) -> dict[str, Any]:
    """The fields of a table that are not what they are by default."""
    return {
        f.name: _written(value)
        for f in fields(source)
        if f.name != "_"
        if (value := getattr(source, f.name)) != f.default
        if value != () or f.default is MISSING
    }


def _written(value: Any) -> Any:
    """Without arrays, tuples and their like, as a file says it."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _written(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_written(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else repr(value)


def _score_fields(one: Score) -> dict[str, Any]:
    return _without_none({name: getattr(one, name) for name in _fields(type(one))})


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null; what is left out has its default, which is None wherever None is said."""
    return {key: value for key, value in table.items() if value is not None}


def write(given: Mapping[str, Any]) -> str:
    """TOML of `tables`."""
    lines: list[str] = []
    for key, value in given.items():
        if not isinstance(value, dict | list):
            lines.append(f"{key} = {_value(value)}")
    for name, value in given.items():
        for table in value if isinstance(value, list) else [value]:
            if isinstance(table, Mapping):
                lines.append(f"\n[[{name}]]" if isinstance(value, list) else f"\n[{name}]")
                lines += [f"{key} = {_value(item)}" for key, item in table.items()]
    return "\n".join(lines).lstrip("\n") + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{_value(key)} = {_value(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    return str(value)
