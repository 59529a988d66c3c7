"""Where architectures come from, and their order."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest

from zeroshot.spaces import nasbench201

from .common import BAD_LINE, Run, read_csv


def test_architectures_come_in_the_order_of_their_sources(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cells.txt"
    file.write_text(
        "# two cells\n\n 123  # the first\n"
        "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|\n"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("7\n8\n"))
    code, out, _ = run(
        "score", 5, "-", 6, "--arch-file", file, "--sample", 2, "--sample-seed", 4, "--csv"
    )
    assert code == 0
    sampled = [nasbench201.to_index(arch) for arch in nasbench201.sample(2, 4)]
    last = nasbench201.to_index((0, 0, 0, 0, 0, 1))
    assert [int(row["index"]) for row in read_csv(out)] == [5, 7, 8, 6, 123, last, *sampled]


def test_architectures_may_stand_between_options(run: Run) -> None:
    words = ["score", 5, "--csv", 6, "--scores", "gradsign", "--", 7, 8]
    code, out, _ = run(*words)
    assert code == 0
    assert [row["index"] for row in read_csv(out)] == ["5", "6", "7", "8"]


def test_malformed_lines_of_a_file_are_recorded(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "cells.txt"
    file.write_bytes(b"1462\n" + BAD_LINE.encode() + b"\n99999\n\xff\x1b[31m\n3,0,1\n9\n")
    code, out, err = run("score", "--arch-file", file, "--csv")
    rows = read_csv(out)
    assert code == 1
    assert [row["status"] for row in rows] == ["ok", *["failed"] * 4, "ok"]
    assert [row["arch"] for row in rows][1:5] == [BAD_LINE, "99999", r"\udcff\x1b[31m", "3,0,1"]
    assert all("ArchitectureError" in row["reason"] for row in rows[1:5])
    assert all(math.isnan(float(row["xi_gsnr"])) for row in rows[1:5])
    assert f"{file}, line 2: failed: expected an operation" in err
    assert "at position 48\n" in err
    json_code, json_out, _ = run("score", "--arch-file", file, "--json")
    assert json_code == 1
    assert json.loads(json_out)["results"][1]["values"] == {"xi_gsnr": None}


def test_empty_input_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("# nothing\n"))
    for argv in (["score"], ["score", "-"]):
        code, out, err = run(*argv)
        assert (code, out) == (2, "")
        assert "expected at least one architecture" in err


MODULE = "adj=011/001/000;ops=input,conv3x3-bn-relu,output"


def test_architectures_of_other_spaces(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "modules.txt"
    json_text = '[[[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "conv3x3-bn-relu", "output"]]'
    naslib = "0,1,1, 0,0,1, 0,0,0, 0,4,1"
    file.write_text(f"{MODULE}\n{json_text}  # the same\n{naslib}\n4\nadj=01/00;ops=input\n")
    code, out, err = run("score", "--space", "nasbench101", "--arch-file", file, "--csv")
    rows = read_csv(out)
    assert code == 1
    assert [row["arch"] for row in rows] == [MODULE] * 4 + ["adj=01/00;ops=input"]
    assert [row["index"] for row in rows] == ["4"] * 4 + [""]
    assert len({row["xi_gsnr"] for row in rows[:4]}) == 1
    assert "expected ',' and the operation of vertex 1 of 2" in err


def test_spaces_without_channels_say_so(run: Run) -> None:
    code, out, err = run("score", 11, "--space", "nats_sss", "--csv")
    assert read_csv(out)[0]["arch"] == "8:8:8:16:32"
    assert code == 1
    assert "channels: expected none, as architectures of nats_sss say their widths, got 4" in err


def test_genotypes_are_read_in_all_their_spellings(run: Run, tmp_path: Path) -> None:
    from zeroshot.spaces import darts

    text = darts.NAMED["DARTS_V2"]
    plain = text.replace("normal=", "").replace("reduce=", "").replace("normal_concat=", "")
    plain = plain.replace("reduce_concat=", "")
    tuples = plain.replace("[", "(").replace("]", ")")
    last = str(darts.SIZE - 1)  # of 19 digits
    file = tmp_path / "genotypes.txt"
    file.write_text("\n".join([text, plain, tuples, "DARTS_V2", last, f"{text[:-1]},", ""]))
    code, out, err = run("score", "--space", "darts", "--arch-file", file, "--csv")
    rows = read_csv(out)
    assert code == 1
    assert [row["arch"] for row in rows[:5]] == [*[text] * 4, darts.from_index(darts.SIZE - 1)]
    assert "expected ')' after two cells, got the end of the text" in err
