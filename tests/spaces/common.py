"""What tests of several spaces ask."""

from __future__ import annotations

from typing import Any

from zeroshot import ArchitectureError


def is_taken_or_refused(space: Any, text: str | bytes) -> None:
    """Any text is an architecture, written as one that reads the same, or an ArchitectureError.

    Hypothesis also draws texts that it finds in the sources, so that some are architectures.
    """
    try:
        genes = space.parse(text)
    except ArchitectureError:
        return
    assert space.parse(space.format(genes)) == genes
