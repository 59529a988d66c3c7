"""A `ScoreResult` as rows of a store: one for each provenance key."""

from __future__ import annotations

__all__ = ["ValueRow", "value_rows"]

import math
from collections.abc import Iterator
from typing import NamedTuple

from zeroshot.provenance import canonical_json, key_of
from zeroshot.results import ScoreResult, ScoreValue, Status


class ValueRow(NamedTuple):
    """One value and all that is stored beside it.

    `arch` is the one whose network was scored (`ScoreResult.scored_as`, or itself), as in the key;
    `asked` the one that the result is for.
    """

    label: str
    asked: str
    key: bytes
    space: str
    arch: str
    score: str
    setting: str
    seed: int
    dead_weights: int | None
    value: float | None
    status: Status
    reason: str | None
    seconds: float
    peak_bytes: int
    histogram: str | None
    environment: str


def value_rows(result: ScoreResult) -> Iterator[ValueRow]:
    """Rows of a result; ValueError if a key is not that of what the result says."""
    if not isinstance(result, ScoreResult):
        raise TypeError(f"results: expected each a ScoreResult, got {result!r}")
    provenance = result.provenance
    if provenance is None:
        raise ValueError(f"results: {result.arch!r} has no provenance, and so no key")
    run = dict(provenance.run)
    arch = run.pop("arch")
    environment = canonical_json(provenance.environment)
    for label, score in result.scores.items():
        fields = {
            **run,
            **provenance.data[label],
            "score": score.name,
            "algorithm": score.algorithm,
            "parameters": score.parameters,
            "group_size": score.group_size,
            "n_groups": score.n_groups,
        }
        setting = canonical_json(fields)
        histogram = None
        if score.histogram is not None and len(result.seeds) == 1:
            histogram = canonical_json(score.histogram)
        for seed, value, key in zip(result.seeds, score.values, score.keys, strict=True):
            one = {**fields, "arch": arch, "seed": seed}
            dead = None
            if key_of(one) != key:
                dead = score.dead_weights
                if key_of({**one, "dead_weights": dead}) != key:
                    raise ValueError(f"results: {result.arch!r}, {label!r}: the key does not fit")
            status, reason = _of_seed(score, value)
            yield ValueRow(
                label,
                result.arch,
                bytes.fromhex(key),
                run["space"] or "",
                arch,
                score.name,
                setting,
                seed,
                dead,
                None if math.isnan(value) else value + 0.0,
                status,
                reason,
                result.seconds / len(result.seeds),
                result.peak_bytes,
                histogram,
                environment,
            )


def _of_seed(score: ScoreValue, value: float) -> tuple[Status, str | None]:
    """Status of one seed's value; of several, a result tells the worst alone."""
    one_of_several = len(score.values) > 1 and score.status in ("undefined", "nonfinite")
    if one_of_several and math.isfinite(value):
        return "ok", None
    return score.status, score.reason
