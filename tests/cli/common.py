"""What tests of the command line share: a small network, and the API's answer for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zeroshot

CELLS = (1462, 9, 13250)
TINY = ["--channels", "4", "--cells", "1", "--batch-size", "8", "--batches", "3"]
COMMANDS = (
    "demo", "score", "rank", "reproduce", "export", "convert", "spaces", "scores", "config",
)  # fmt: skip
BAD_LINE = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|bogus~2|"

Run = Callable[..., tuple[int, str, str]]


def api(images: Path, cell: Any, **changes: Any) -> zeroshot.ScoreResult:
    """What `score` returns for the data and network of `run`."""
    data = zeroshot.data.read_npz(images)
    batches = zeroshot.data.draw_batches(data, batch_size=8, n_batches=3)
    options = {"channels": 4, "cells": 1, "num_classes": 4, **changes}
    options.setdefault("scores", zeroshot.XiGsnr(batch_size=8))
    return zeroshot.score(cell, batches.x, batches.y, **options)


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


THREE_SCORES = ["--scores", "xi_gsnr", "gradsign", "sweet"]


def three_scores() -> list[zeroshot.scores.Score]:
    return [
        zeroshot.XiGsnr(batch_size=8),
        zeroshot.GradSign(n_samples=24),
        zeroshot.Sweet(batch_size=8),
    ]
