"""``zeroshot figure`` and ``zeroshot report``: the functions' files, from flags and stores."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="Matplotlib is not installed: no figures and reports")
pytest.importorskip("scipy", reason="SciPy is not installed: no figures and reports")

import zeroshot
from zeroshot import figures
from zeroshot.cli import main

from .common import TINY

CELLS = [1462, 9, 13250, 77]
NETWORK: dict[str, Any] = {"channels": 4, "cells": 1, "num_classes": 4}
BATCH = 8


@pytest.fixture(scope="module")
def batches(images: Path) -> zeroshot.data.Batches:
    return zeroshot.data.draw_batches(zeroshot.data.read_npz(images), batch_size=8, n_batches=3)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Accuracies of all cells but one."""
    path = tmp_path_factory.mktemp("benchmark") / "table.csv.gz"
    rng = np.random.default_rng(0)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arch_str", "cifar10_test", "cifar100_test"])
        for index in sorted({*range(200), *CELLS} - {77}):
            cell = zeroshot.convert(index, "text")
            writer.writerow([cell, *rng.uniform(10, 90, 2).round(2)])
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, batches: zeroshot.data.Batches) -> Path:
    path = tmp_path_factory.mktemp("store") / "cells.sqlite"
    scores = [zeroshot.Snip(batch_size=8), "params", zeroshot.NtkCondition(batch_size=4)]
    with zeroshot.Store(path) as opened:
        found = zeroshot.score_many(CELLS, batches.x, batches.y, scores=scores, **NETWORK)
        opened.add(found, name="four <cells>")
    return path


def column(path: Path, name: str) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


# --- figures of networks --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gradients", "activations", "sweetness", "depth"])
def test_figure_of_networks_is_the_functions(
    name: str, images: Path, batches: zeroshot.data.Batches, tmp_path: Path
) -> None:
    path = tmp_path / "figure.svg"
    words = ["figure", name, *map(str, CELLS), "--data", str(images), *TINY, "-o", str(path)]
    assert main([*words, "--layers", "17", "--which", "conv", "--seed", "3"]) == 0
    options = {**NETWORK, "seed": 3, "batch_size": BATCH}
    counts = figures.count_gradients(CELLS, batches.x, batches.y, layers=17, **options)
    if name == "gradients":
        want = figures.gradient_histogram(counts.total)
    elif name == "activations":
        found = figures.count_activations(CELLS, batches.x, which="conv", **options)
        want = figures.activation_histogram(found, which="conv")
    elif name == "sweetness":
        values = zeroshot.sweetness(list(counts.counts), list(counts.sizes))
        want = figures.sweetness_bars(values, edges="released")
    else:
        want = figures.depth_proportion(counts.counts, counts.sizes)
    want.save(tmp_path / "want.svg")
    assert path.read_bytes() == (tmp_path / "want.svg").read_bytes()
    assert path.with_suffix(".csv").read_text() == want.csv()


def test_heatmap_and_ablation_take_accuracies(
    images: Path, benchmark: Path, tmp_path: Path
) -> None:
    path = tmp_path / "figure.png"
    words = [*map(str, CELLS[:3]), "--data", str(images), *TINY, "-o", str(path), "--dpi", "40"]
    words += ["--benchmark", str(benchmark), "--target", "cifar10/test@200:mean"]
    assert main(["figure", "heatmap", *words]) == 0
    assert set(column(path.with_suffix(".csv"), "panel")) == {"cifar10/test@200:mean"}
    assert len(column(path.with_suffix(".csv"), "spearman")) == 231
    assert main(["figure", "ablation", *words, "--no-data"]) == 0
    assert len(column(path.with_suffix(".csv"), "spearman")) == 231, "the old one is left"
    assert main(["figure", "ablation", *words]) == 0
    assert set(column(path.with_suffix(".csv"), "parameter")) == {
        "batch size", "number of batches", "ξ",
    }  # fmt: skip


# --- of a store -----------------------------------------------------------------------------------


def accuracies(benchmark: Path, name: str) -> list[float]:
    table = zeroshot.read_benchmark(benchmark)
    rows = [table.lookup(cell) for cell in CELLS]
    return [float("nan") if row is None else float(table.column(name)[row]) for row in rows]


def test_scatter_ranks_and_bars_of_a_store(store: Path, benchmark: Path, tmp_path: Path) -> None:
    path = tmp_path / "figure.svg"
    words = ["--store", str(store), "--benchmark", str(benchmark), "-o", str(path)]
    words += ["--target", "cifar10_test"]
    assert main(["figure", "scatter", *words, "--label", "snip"]) == 0
    want = accuracies(benchmark, "cifar10_test")
    shown = [
        float(v) if v else float("nan") for v in column(path.with_suffix(".csv"), "cifar10_test")
    ]
    np.testing.assert_array_equal(shown, want)
    assert main(["figure", "ranks", *words, "--label", "params"]) == 0
    assert len(column(path.with_suffix(".csv"), "rank by params")) == 3
    assert main(["figure", "ranks", *words, "--label", "ntk_condition"]) == 0
    data = path.with_suffix(".csv")
    ranks, values = column(data, "rank by ntk_condition"), map(float, column(data, "ntk_condition"))
    ordered = [value for _, value in sorted(zip(ranks, values, strict=True))]
    assert ordered == sorted(ordered), "smaller is better"
    assert main(["figure", "bars", *words, "--target", "cifar100_test"]) == 0
    data = path.with_suffix(".csv")
    assert set(column(data, "panel")) == {"cifar10_test", "cifar100_test"}
    of = dict(zip(zip(column(data, "panel"), column(data, "score"), strict=True),
                  column(data, "value"), strict=True))  # fmt: skip
    with zeroshot.Store(store) as opened:
        table = opened.scores()
    rho = zeroshot.stats.spearman(-table["ntk_condition"], want)  # smaller is better
    assert float(of["cifar10_test", "ntk_condition"]) == rho.value
    marked = dict(zip(column(data, "score"), column(data, "baseline"), strict=True))
    assert marked == {"snip": "False", "params": "True", "ntk_condition": "False"}


def test_report_of_a_store(store: Path, benchmark: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    words = ["report", str(store), "--benchmark", str(benchmark), "-o", str(path)]
    words += ["--target", "cifar10/test@200:mean", "--target", "cifar100_test", "--resamples", "20"]
    assert main(words) == 0
    html = path.read_text(encoding="utf-8")
    assert "<h1>four &lt;cells&gt;</h1>" in html
    assert "4 architectures, 3 scores, 2 targets" in html
    assert "Smaller is better for ntk_condition" in html
    assert '<tr class="trivial"><th scope=row data-key="params">' in html
    assert "1 architecture without cifar10/test@200:mean." in html  # cell 77 is in no file
    assert zeroshot.read_benchmark(benchmark).sha256 in html and str(benchmark.parent) not in html
    assert html.count('data-key="all scores.dtype"') == 1 and "snip.dtype" not in html
    assert main([*words, "--title", "Mine"]) == 0
    assert "<h1>Mine</h1>" in path.read_text(encoding="utf-8")


# --- slips ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["figure", "pie", "-o", "x.svg"], "argument NAME: expected one of gradients"),
        (["figure", "gradients", "-o", "x.pdf"], "path: expected a name that ends in .svg or .png"),
        (["figure", "heatmap", "9", "-o", "x.svg"], "argument --benchmark: heatmap needs"),
        (["figure", "bars", "9", "--store", "S", "-o", "x.svg"], "argument ARCH: bars is drawn"),
        (["figure", "depth", "--store", "S", "-o", "x.svg"], "argument --store: depth is drawn"),
        (["figure", "depth", "-o", "no/x.svg"], "argument --output: expected a file in a folder"),
        (["figure", "depth", "-o", "x.png", "--dpi", "1"], "argument --dpi: expected an integer"),
        (["report", "S", "--benchmark", "B", "-o", "."], "expected a file, got the folder ."),
        (["figure", "scatter", "-o", "x.svg"], "argument --store: scatter is drawn from a store"),
        (["figure", "depth", "--space", "darts", "-o", "x.svg"], "argument --space: depth knows"),
        (["figure", "gradients", "9", "--seed", "1,2", "-o", "x.svg"], "argument --seed: expected"),
        (["figure", "scatter", "--store", "S", "-o", "x.svg"], "argument --label: expected one of"),
        (
            ["figure", "scatter", "--store", "S", "--label", "snip", "--benchmark", "B",
             "-o", "x.svg"],
            "target: expected at least one of cifar10/test@200:mean",
        ),
        (
            ["report", "S", "--benchmark", "B", "--target", "svhn", "-o", "x.html"],
            "target: expected DATASET/SPLIT@EPOCHS:TRIALS or the name of a column, got 'svhn'",
        ),
        (["report", "no.sqlite", "--benchmark", "B", "--target", "cifar10_test"], "no.sqlite"),
    ],
)  # fmt: skip
def test_slips_get_one_line(
    words: list[str],
    message: str,
    store: Path,
    benchmark: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"S": str(store), "B": str(benchmark)}
    data = ["--data", str(images), *TINY] if words[0] == "figure" else []
    assert main([*(named.get(word, word) for word in words), *data]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("zeroshot: error: ") and err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.iterdir())
