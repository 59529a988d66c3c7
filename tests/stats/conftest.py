"""The whole of NAS-Bench-201 as a table of texts."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def nasbench201(shared: Path) -> dict[str, list[str]]:
    path = shared / "data" / "nasbench201.csv.gz"
    if not path.exists():
        pytest.skip(f"no reference data: {path} is missing")
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
    return {name: [row[name] for row in rows] for name in rows[0]}
