"""Files of every format, in a folder that tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import nats_files


@pytest.fixture(scope="session")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of NATS-Bench's topology space: architectures 0, 5 and 7."""
    return nats_files.folder(tmp_path_factory.mktemp("nats") / "simple", (0, 5, 7))
