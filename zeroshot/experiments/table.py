"""`ScoreTable`: the values of a store, an architecture a row."""

from __future__ import annotations

__all__ = ["ScoreTable", "make_table"]

import json
import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zeroshot.results import mean, worst_status

if TYPE_CHECKING:
    from zeroshot.experiments.store import ExperimentInfo


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of many architectures, column by column.

    Attributes
    ----------
    archs : tuple of str
        In the order in which they were asked for.
    values : dict of str to ndarray, shape (n,), float64
        By label; the mean over seeds, NaN where a seed has no finite number or is missing.
    status : dict of str to tuple of str
        By label: the worst over seeds; ``missing`` where one has not been computed.
    seconds : dict of str to ndarray, shape (n,), float64
        By label: of the runs that made the values, added up over seeds. Scores that were made in
        one run share its seconds; NaN where missing.
    scored_as : tuple of str
        The architecture whose network was scored: another than in `archs` only with ``canonical``.
    meta : dict
        ``experiments`` (what was asked for), ``settings`` (by label), ``seeds``, ``space``.
    """

    archs: tuple[str, ...] = field(repr=False)
    values: Mapping[str, NDArray[np.float64]] = field(repr=False)
    status: Mapping[str, tuple[str, ...]] = field(repr=False)
    seconds: Mapping[str, NDArray[np.float64]] = field(repr=False)
    scored_as: tuple[str, ...] = field(repr=False)
    meta: Mapping[str, Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.archs)

    def __getitem__(self, label: str) -> NDArray[np.float64]:
        if label not in self.values:
            raise KeyError(f"{label!r}; the labels are {', '.join(self.values)}")
        return self.values[label]

    def __repr__(self) -> str:
        return f"ScoreTable({len(self)} architectures, {', '.join(self.values)})"


_MISSING = (math.nan, "missing", math.nan)

_VALUES = """
SELECT a.experiment, asked.text, a.label, a.seed, v.value, v.status, v.seconds, scored.text,
       v.setting
FROM asked a
JOIN arch asked ON asked.id = a.arch
LEFT JOIN value v ON v.key = a.key
LEFT JOIN arch scored ON scored.id = v.arch
WHERE a.experiment IN ({experiments})
ORDER BY a.experiment, a.position, asked.text, a.seed
"""


def make_table(file: sqlite3.Connection, infos: Sequence[ExperimentInfo]) -> ScoreTable:
    """See `Store.scores`."""
    rows: dict[str, int] = {}
    scored_as: list[str] = []
    cells: dict[str, dict[int, dict[int, tuple[float, str, float]]]] = {}
    settings: dict[str, int] = {}
    query = _VALUES.format(experiments=",".join(str(info.number) for info in infos))
    labels = [label for info in infos for label in info.labels]
    for _, arch, label, seed, value, status, seconds, scored, setting in file.execute(query):
        row = rows.setdefault(arch, len(rows))
        if row == len(scored_as):
            scored_as.append(scored or arch)
        elif scored is not None:
            scored_as[row] = scored
        if setting is not None and settings.setdefault(label, setting) != setting:
            raise _several(label, "several meanings (other parameters, data or sizes)", infos)
        one = _MISSING
        if status is not None:
            one = (math.nan if value is None else value, status, seconds)
        cells.setdefault(label, {}).setdefault(row, {})[seed] = one
    order = [label for label in dict.fromkeys(labels) if label in cells]
    values, statuses, times = {}, {}, {}
    for label in order:
        seeds_of = {seed for by_seed in cells[label].values() for seed in by_seed}
        if len(infos) > 1 and any(seeds_of != by_seed.keys() for by_seed in cells[label].values()):
            raise _several(label, "for some architectures more seeds than for others", infos)
        of = [
            tuple(cells[label].get(row, {}).get(seed, _MISSING) for seed in sorted(seeds_of))
            for row in range(len(rows))
        ]
        values[label] = np.array([_mean([v for v, _, _ in seeds]) for seeds in of], np.float64)
        statuses[label] = tuple(_worst([s for _, s, _ in seeds]) for seeds in of)
        times[label] = np.array([math.fsum(t for _, _, t in seeds) for seeds in of], np.float64)
    spaces = sorted({info.space for info in infos})
    meta = {
        "experiments": [dict(info.about) for info in infos],
        "settings": {
            label: json.loads(
                file.execute("SELECT json FROM setting WHERE id = ?", (number,)).fetchone()[0]
            )
            for label, number in settings.items()
        },
        "seeds": sorted({seed for of in cells.values() for seeds in of.values() for seed in seeds}),
        "space": spaces[0] if len(spaces) == 1 else None,
    }
    return ScoreTable(tuple(rows), values, statuses, times, tuple(scored_as), meta)


def _several(label: str, what: str, infos: Sequence[ExperimentInfo]) -> ValueError:
    names = ", ".join(f"{info.name or '(no name)'} ({info.hash[:8]})" for info in infos)
    return ValueError(f"label {label!r} has {what}; name an experiment: {names}")


def _mean(values: Sequence[float]) -> float:
    """NaN unless all are finite."""
    return mean(values) if all(map(math.isfinite, values)) else math.nan


def _worst(statuses: Sequence[str]) -> str:
    if "missing" in statuses:
        return "missing"
    return worst_status(statuses)  # type: ignore[arg-type]
