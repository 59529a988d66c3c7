"""The benchmark of the spaces: runs, writes its columns, and times no network that differs."""

from __future__ import annotations

import csv
import importlib
import math
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import zeroshot

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
# The edge from 1 to 2 is dead: nothing reads it, or nothing reaches it
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|none~2|"
CUT = "|none~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|skip_connect~1|skip_connect~2|"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to time against")
    if not FOLDER.is_dir():
        pytest.skip("no folder of benchmarks here")
    monkeypatch.syspath_prepend(str(FOLDER))
    threads, before = torch.get_num_threads(), set(sys.modules)
    yield importlib.import_module("bench_spaces")
    torch.set_num_threads(threads)
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("bench_spaces", "record", "torch_yardstick"):
            del sys.modules[name]


def test_every_space_has_a_case(bench: Any) -> None:
    assert {case.space for case in bench.CASES} == set(zeroshot.list_spaces())
    for case in bench.CASES:
        assert len(set(case.archs(3))) == 3, case.space


def test_small_run_writes_its_columns(bench: Any, tmp_path: Path) -> None:
    argv = "--spaces nasbench101 mbconv --archs 1 --repeats 1 --batch-size 8 --input-size 16"
    assert bench.main([*argv.split(), "--out", str(tmp_path)]) == 0
    with (tmp_path / "bench_spaces.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["space"] for row in rows] == ["nasbench101", "mbconv"]
    for row in rows:
        assert list(row) == [field.name for field in fields(bench.Row)]
        assert (row["archs"], row["left_out"], row["batches"]) == ("1", "0", "2")
        assert float(row["off"]) <= float(row["allowed"])
        for ratio, theirs in (("ratio_released", "released_s"), ("released_cpu_ratio", None)):
            assert 0 < float(row[ratio]) < math.inf
            if theirs:
                assert float(row[ratio]) == pytest.approx(
                    float(row[theirs]) / float(row["ours_s"]), rel=1e-4
                )


def test_network_that_differs_is_left_out(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = zeroshot.to_torch_source

    def wrong(*args: Any, **options: Any) -> str:
        source = right(*args, **options)
        assert "F.max_pool2d(" in source
        return source.replace("F.max_pool2d(", "F.avg_pool2d(")

    monkeypatch.setattr(zeroshot, "to_torch_source", wrong)
    argv = "--spaces nasbench101 --archs 1 --repeats 1 --batch-size 4 --input-size 16"
    assert bench.main([*argv.split(), "--out", str(tmp_path)]) == 1
    assert "LEFT OUT, nasbench101 adj=" in capsys.readouterr().err
    with (tmp_path / "bench_spaces.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["archs"], row["left_out"], row["ours_s"]) == ("0", "1", "nan")


def test_other_weights_are_seen(bench: Any) -> None:
    case = replace(bench.CASES[0], input_size=16, batch_size=4, cells=1, channels=4)
    problem = bench.Problem(case, CELL)
    gap, allowed = bench.check(problem)
    assert 0 <= gap <= allowed
    problem.state["head_fc.weight"] = problem.state["head_fc.weight"] * 1.001
    with pytest.raises(bench.Mismatch, match="float64 gradients of"):
        bench.check(problem)


@pytest.mark.parametrize("cell", [CELL, CUT])
def test_trimmed_network_has_what_reaches_the_logits(bench: Any, cell: str) -> None:
    case = replace(bench.CASES[0], input_size=16, batch_size=4, cells=1)
    problem = bench.Problem(case, cell)
    names = {
        side: {name for name, _ in make().named_parameters()}
        for side, make in problem.classes.items()
    }
    assert names["best"] < names["released"]
    bench.check(problem)
    gone = {name.split(".")[0] for name in names["released"] - names["best"]}
    live = zeroshot.spaces.nasbench201.live_edges(cell)
    assert {name.split("_")[1] for name in gone} == {"e12"}
    assert (1, 2) not in live
