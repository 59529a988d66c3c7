"""``zeroshot reproduce``: its list, a small table, errors in one line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import zeroshot
from zeroshot.cli import main
from zeroshot.spaces import nasbench201

pytest.importorskip("scipy", reason="SciPy is not installed: no statistics")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with (tmp_path / "nasbench201.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arch_str", "cifar10_test"])
        for i, arch in enumerate(nasbench201.sample(12, seed=0)):
            writer.writerow([arch, 50 + i])
    return tmp_path


def test_list_names_every_table_and_what_is_not_made(capsys):
    assert main(["reproduce", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(zeroshot.list_tables())
    assert any("xi-gsnr/table4" in line and "not made: search" in line for line in lines)


def test_a_table_is_printed_and_written_and_names_what_is_missing(folder, capsys):
    arguments = ["xi-gsnr/table1", "--data", str(folder), "--out", str(folder / "out")]
    few = ["--methods", "Parameters", "SNIP", "--datasets", "cifar10", "--resamples", "20"]
    assert main(["reproduce", *arguments, *few]) == 0
    out = capsys.readouterr().out
    assert "12 architectures, all" in out
    assert "live weights" in out
    assert "no images of cifar10; bring cifar-10-python.tar.gz" in out
    rows = list(csv.DictReader((folder / "out" / "xi-gsnr-table1.csv").open()))
    assert {row["method"] for row in rows} == {"Parameters", "weights", "live weights"}
    assert (folder / "out" / "xi-gsnr-table1.md").read_text().startswith("# xi-gsnr/table1")
    assert (folder / "out" / "scores.sqlite").exists()


def test_without_any_file_the_exit_code_is_1(tmp_path, capsys):
    arguments = ["reproduce", "xi-gsnr/table2", "--data", str(tmp_path), "--out", str(tmp_path)]
    assert main(arguments) == 1
    assert "bring nasbench_only108.tfrecord" in capsys.readouterr().out


def test_numbers_of_samples_must_be_possible_and_images_have_a_name(capsys):
    for arguments, message in (
        (["reproduce"], "PAPER/TABLE: expected a table"),
        (["reproduce", "xi-gsnr/table1"], "--data: expected a folder"),
        (
            ["reproduce", "xi-gsnr/table1", "--data", "nowhere"],
            "error: argument --data: expected a folder, got nowhere, which is missing",
        ),
        (["reproduce", "x", "--data", "."], "name: expected one of xi-gsnr/table1"),
        (["reproduce", "--images", "cifar10", "--list"], "expected DATASET=PATH, got 'cifar10'"),
        (["reproduce", "--sample", "5", "--all"], "not allowed with"),
    ):
        assert main([*arguments]) == 2
        assert message in capsys.readouterr().err
