"""zeroshot demo."""

from __future__ import annotations

import io
import math
import re
import shlex
from collections.abc import Iterator

import numpy as np
import pytest

import zeroshot
from zeroshot.cli import main
from zeroshot.cli.demo import average_ranks, spearman

from .common import TINY, Run

DEMO = ["demo", "--archs", "4", *TINY]


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: no demo")
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", out)
        assert main(DEMO) == 0
    yield out.getvalue()


def test_demo_ranks_the_cells_of_the_generator(demo: str) -> None:
    lines = demo.splitlines()
    head = lines[2].split()
    rows = [dict(zip(head, line.split(), strict=True)) for line in lines[3:7]]
    drawn = np.random.default_rng(0).integers(0, 5, (24, 6))[:4]
    assert {row["cell"] for row in rows} == {",".join(map(str, cell)) for cell in drawn}
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    data = zeroshot.data.draw_batches(zeroshot.data.load_digits(), batch_size=8, n_batches=3)
    for row in rows:
        scores = [
            zeroshot.XiGsnr(batch_size=8),
            zeroshot.XiGsnr(batch_size=8, accumulate=True, label="accumulated"),
            zeroshot.GradSign(n_samples=8),
            zeroshot.Sweet(batch_size=8),
        ]
        cell = [int(op) for op in row["cell"].split(",")]
        result = zeroshot.score(cell, data.x, data.y, scores=scores, channels=4, cells=1)
        for label, value in result.values.items():
            shown = row[label]
            decimals = len(shown.partition(".")[2])
            assert abs(float(shown) - value) <= 0.5000001 * 10.0**-decimals, label
        sizes = zeroshot.count(cell, channels=4, cells=1)
        assert (int(row["weights"]), int(row["live_weights"])) == (
            sizes.weights,
            sizes.live_weights,
        )
    values = [float(row["xi_gsnr"]) for row in rows]
    assert values == sorted(values, reverse=True)


def test_demo_names_commands_that_run(demo: str, run: Run) -> None:
    commands = re.findall(r"^(?:next: |      )zeroshot (.*)$", demo, re.M)
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command)
        code, out, _ = run(words[0], *(w if w != "100" else "5" for w in words[1:]))
        assert code == 0 and out


def test_demo_without_any_value_says_why(run: Run) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: no demo")
    code, out, err = run(*DEMO, "--max-bytes", 1000)
    assert code == 1
    assert err.count("failed: MemoryError") == 4
    assert "next:" not in out


def test_spearman_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")
    rng = np.random.default_rng(0)
    for n in (2, 5, 24, 100):
        a, b = rng.integers(0, n, n), rng.normal(size=n)
        if len(set(a.tolist())) == 1:
            a[0] += 1
        assert average_ranks(a).tolist() == stats.rankdata(a).tolist()
        # two sums of n products of ranks, each rounded
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b)[0], abs=4 * n * 2**-52)
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))
    assert math.isnan(spearman([], []))
