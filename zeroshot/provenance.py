"""The key of a score: a hash of everything that its value depends on, and of nothing else.

Two results with one key are the same number, up to rounding between kernel tables; threads, table,
machine and versions are recorded beside the key. When a change of the package changes values,
`NUMERICS` goes up, and old keys are met no more.
"""

from __future__ import annotations

__all__ = ["NUMERICS", "Provenance", "canonical_json", "key_of"]

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import json

NUMERICS = 3
"""Version of the arithmetic."""


@dataclass(frozen=True)
class Provenance:
    """Where a `ScoreResult` comes from.

    Attributes
    ----------
    run : dict
        Part of every key: architecture, space and its arguments, initialiser, dtype, hash of
        given weights, version of the arithmetic. The seed, score, grouping, algorithm and the
        hashes of the rows used come to it for each key. With ``canonical`` the architecture is the
        one that was scored, and ``canonical`` ("form" or "network") is part of it; for scores that
        count dead weights their number comes to it, too.
    data : dict of str to dict
        Of each label the hashes of the rows of x and y that it used.
    environment : dict
        Not part of any key: threads, kernel table, machine, versions.
    """

    run: Mapping[str, Any]
    data: Mapping[str, Mapping[str, str]] = field(repr=False)
    environment: Mapping[str, Any] = field(repr=False)


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, ASCII, shortest floats that read back.

    Examples
    --------
    >>> canonical_json({"b": 1e-8, "a": (1, None)})
    '{"a":[1,null],"b":1e-08}'
    """
    encode = _encoder().encode
    try:
        return encode(value)
    except (TypeError, ValueError):  # rare, and costs as much as all the rest
        return encode(_finite(value))


@functools.cache
def _encoder() -> json.JSONEncoder:
    import json

    return json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    """JSON has no infinity: it becomes the string ``inf``; mappings become dictionaries."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def key_of(fields: Mapping[str, Any]) -> str:
    """SHA-256 of `canonical_json`, in hexadecimal.

    Examples
    --------
    >>> key_of({"seed": 0})[:16]
    'bd0488843468e63c'
    """
    import hashlib  # loads OpenSSL: not before it is needed

    return hashlib.sha256(canonical_json(fields).encode("ascii")).hexdigest()
