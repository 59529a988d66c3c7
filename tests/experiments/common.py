"""What tests of experiments share: tiny networks on random images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import zeroshot
from zeroshot.experiments.experiment import Archs

CELLS = (1462, 9, 13250, 0)
BAD = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|bogus~2|"
OPTIONS = zeroshot.Options(channels=4, cells=1, num_classes=4)


def images(n: int = 24, size: int = 8) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 3, size, size)).astype(np.float32), np.arange(n) % 4


def three_scores() -> list[zeroshot.scores.Score]:
    return [
        zeroshot.XiGsnr(batch_size=8),
        zeroshot.GradSign(n_samples=8),
        zeroshot.Sweet(batch_size=8),
    ]


def make(archs: Any = CELLS, **changes: Any) -> zeroshot.Experiment:
    """An experiment of seconds; changes of `zeroshot.Experiment`."""
    given = archs if isinstance(archs, Archs) else Archs(archs)
    return zeroshot.Experiment(
        **{"scores": three_scores(), "archs": given, "options": OPTIONS, **changes}
    )


def exported(store: zeroshot.Store | Path, folder: Path) -> str:
    """All that no run changes."""
    if isinstance(store, Path):
        with zeroshot.Store(store, create=False) as opened:
            return exported(opened, folder)
    path = folder / "exported.csv"
    store.to_csv(path, timing=False)
    return path.read_text()
