"""Another store's rows into this one."""

from __future__ import annotations

__all__ = ["MergeSummary", "merge_files"]

import json
import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True)
class MergeSummary:
    """What `Store.merge` did.

    Attributes
    ----------
    n_new : int
        Values that were not here.
    n_known : int
        Values that were here, bit for bit.
    n_different : int
        Values that were here with other bits, as other kernel tables round them; these stayed.
    n_retried : int
        Failures here that gave way to a value.
    """

    n_new: int
    n_known: int
    n_different: int
    n_retried: int


_FAILED = "('failed', 'crashed')"

_COUNTS = f"""
SELECT coalesce(sum(m.key IS NULL), 0),
       coalesce(sum(m.key IS NOT NULL AND m.status = o.status AND m.value IS o.value), 0),
       coalesce(sum(m.status IN {_FAILED} AND o.status NOT IN {_FAILED}), 0),
       count(*)
FROM other.value o LEFT JOIN main.value m ON m.key = o.key
"""

# `WHERE true` keeps SQLite from reading ON CONFLICT as the condition of a join.
_STEPS = (
    "INSERT OR IGNORE INTO main.arch (text, space) SELECT text, space FROM other.arch ORDER BY id",
    "INSERT OR IGNORE INTO main.setting (json, score) SELECT json, score FROM other.setting",
    "INSERT OR IGNORE INTO main.environment (json) SELECT json FROM other.environment",
    """
INSERT INTO main.experiment (hash, name, space, labels, n_archs, n_seeds, about)
SELECT hash, name, space, labels, n_archs, n_seeds, about FROM other.experiment WHERE true
ORDER BY id ON CONFLICT (hash) DO NOTHING
""",
    f"""
INSERT INTO main.value (key, arch, setting, seed, dead_weights, value, status, reason, seconds,
                        peak_bytes, histogram, environment)
SELECT o.key, ma.id, ms.id, o.seed, o.dead_weights, o.value, o.status, o.reason, o.seconds,
       o.peak_bytes, o.histogram, me.id
FROM other.value o
JOIN other.arch oa ON oa.id = o.arch
JOIN main.arch ma ON ma.text = oa.text AND ma.space = oa.space
JOIN other.setting os ON os.id = o.setting JOIN main.setting ms ON ms.json = os.json
JOIN other.environment oe ON oe.id = o.environment JOIN main.environment me ON me.json = oe.json
WHERE true ORDER BY o.id
ON CONFLICT (key) DO UPDATE SET
    value = excluded.value, status = excluded.status, reason = excluded.reason,
    seconds = excluded.seconds, peak_bytes = excluded.peak_bytes,
    histogram = excluded.histogram, environment = excluded.environment
WHERE value.status IN {_FAILED} AND excluded.status NOT IN {_FAILED}
""",
    """
INSERT OR IGNORE INTO main.asked (experiment, arch, label, seed, position, key)
SELECT me.id, ma.id, o.label, o.seed, o.position, o.key
FROM other.asked o
JOIN other.experiment oe ON oe.id = o.experiment JOIN main.experiment me ON me.hash = oe.hash
JOIN other.arch oa ON oa.id = o.arch
JOIN main.arch ma ON ma.text = oa.text AND ma.space = oa.space
""",
)


def merge_files(file: sqlite3.Connection) -> MergeSummary:
    """Take over what the attached database `other` has, inside a transaction."""
    n_new, n_known, n_retried, n_all = file.execute(_COUNTS).fetchone()
    for step in _STEPS:
        file.execute(step)
    _join_labels(file)
    return MergeSummary(n_new, n_known, n_all - n_new - n_known - n_retried, n_retried)


def _join_labels(file: sqlite3.Connection) -> None:
    """What is added by hand has one experiment of that name in both, with labels of its own."""
    for number, here, there in file.execute(
        "SELECT m.id, m.labels, o.labels FROM main.experiment m "
        "JOIN other.experiment o ON o.hash = m.hash WHERE m.labels != o.labels"
    ).fetchall():
        labels = list(dict.fromkeys([*json.loads(here), *json.loads(there)]))
        file.execute(
            "UPDATE main.experiment SET labels = ? WHERE id = ?", (json.dumps(labels), number)
        )
