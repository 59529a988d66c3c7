"""A folder as a user has it: a small table of NAS-Bench-201 and some images of CIFAR-10."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import zeroshot
from zeroshot.spaces import nasbench201

pytest.importorskip("scipy", reason="SciPy is not installed: no statistics")

COLUMNS = ("cifar10_test", "cifar10_valid", "cifar10_valid_run_test", "cifar100_test",
           "cifar100_valid", "imagenet16_120_test", "imagenet16_120_valid")  # fmt: skip


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    rng = np.random.default_rng(0)
    archs = nasbench201.sample(60, seed=3)
    weights = np.array([zeroshot.count(arch).live_weights for arch in archs], dtype=float)
    with (folder / "nasbench201.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arch_str", *COLUMNS])
        for arch, weight in zip(archs, weights, strict=True):
            noisy = 50 + 30 * weight / weights.max() + rng.normal(0, 3, len(COLUMNS))
            writer.writerow([arch, *noisy.round(4)])
    np.savez(
        folder / "cifar10.npz",
        train_images=rng.integers(0, 256, (600, 8, 8, 3), dtype=np.uint8),
        train_labels=np.arange(600) % 10,
    )
    return folder
