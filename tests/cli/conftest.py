"""A small data set, and the command line run on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zeroshot.cli import main

from .common import TINY, Run


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 30 images of 8x8 in four classes."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "small.npz"
    pixels = rng.integers(0, 256, (30, 8, 8, 3), np.uint8)
    np.savez(path, images=pixels, labels=np.arange(30) % 4)
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], images: Path) -> Run:
    """Run a command on the small data set: exit code, standard output, standard error."""

    def call(*argv: object) -> tuple[int, str, str]:
        words = [str(word) for word in argv]
        if words and words[0] in ("score", "rank") and "--data" not in words:
            words[1:1] = ["--data", str(images), *TINY]
        code = main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
