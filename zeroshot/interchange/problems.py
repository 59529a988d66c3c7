"""All that stands in the way of reading a network, told at once."""

from __future__ import annotations

__all__ = ["IN_OPERATOR", "Problems"]

from zeroshot.errors import InterchangeError

# What arguments of a wrong kind, arrays of a wrong shape raise in the reading of one operator.
IN_OPERATOR = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
_MAX_NAMES = 8  # of one operator


class Problems:
    """Operators without a counterpart, by operator and reason."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._labels: dict[str, str] = {}
        self._found: dict[tuple[str, str], list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def call(self, name: str, label: str) -> None:
        """Node `name` is an operator `label`."""
        self._labels[name] = label

    def add(self, label: str, name: str, reason: str) -> None:
        names = self._found.setdefault((self._labels.get(name, label), reason), [])
        if name not in names:
            names.append(name)

    def add_malformed(self, label: str, name: str, error: Exception) -> None:
        """One of `IN_OPERATOR` came out of the reading of node `name`."""
        self.add(label, name, f"malformed: {type(error).__name__}: {error}")

    def error(self) -> InterchangeError:
        """One error that names all."""
        lines = []
        for (label, reason), names in self._found.items():
            more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
            shown = f"{label} ({', '.join(names[:_MAX_NAMES])}{more})"
            lines.append(f"{shown}: {reason}" if reason else shown)
        unsupported = [
            f"{label} ({name})" for (label, _), names in self._found.items() for name in names
        ]
        return InterchangeError(
            f"{self._where}: no counterpart in zeroshot.Graph for " + "; ".join(lines), unsupported
        )
