"""Exceptions of the package; the C core raises them through its binding.

Each derives from the built-in class that a caller would catch without knowing this
package, so ``except ValueError`` around user input keeps working.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "ArchitectureError",
    "BenchmarkFileError",
    "Cancelled",
    "EngineError",
    "InterchangeError",
    "Interrupted",
    "NonFiniteError",
    "StoreError",
]


class ArchitectureError(ValueError):
    """An architecture string, matrix or genotype is malformed.

    Parameters
    ----------
    message : str
        What was expected and what came.
    position : int, optional
        Where in the input the fault was seen, counted from 0; None where there is no such place.

    Examples
    --------
    >>> ArchitectureError("unknown op 'conv'", 3).position
    3
    """

    position: int | None

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class BenchmarkFileError(ValueError):
    """A data or benchmark file is truncated, corrupted, too large or not what it says it is."""


class InterchangeError(ValueError):
    """A network of another program cannot be read: it is malformed, or has what no graph can say.

    Parameters
    ----------
    message : str
        What is in the way, all of it.
    unsupported : sequence of str, optional
        ``OPERATOR (node)`` of everything that has no counterpart, in the order of the network.
    """

    unsupported: tuple[str, ...]

    def __init__(self, message: str, unsupported: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.unsupported = tuple(unsupported)


class NonFiniteError(ArithmeticError):
    """A score met NaN or infinity and the caller had asked for an exception.

    Parameters
    ----------
    message : str
        What was not finite.
    result : object, optional
        The result as it would have been returned, with its status and count.
    """

    result: object

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class EngineError(RuntimeError):
    """The engine failed for a reason that is not the caller's: a broken invariant or backend."""


class Cancelled(RuntimeError):
    """The work was stopped by its cancel token before it was complete."""


class StoreError(RuntimeError):
    """A store cannot be opened or written: it is foreign, newer, in use, or its disk is full."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM, stopped an experiment; what was finished is in the store.

    Parameters
    ----------
    message : str
        What is done, and how to go on.
    summary : object, optional
        The `zeroshot.RunSummary` so far.
    signal : int, optional
        Number of the signal that came.
    """

    summary: object
    signal: int

    def __init__(self, message: str, summary: object = None, signal: int = 2) -> None:
        super().__init__(message)
        self.summary = summary
        self.signal = signal
