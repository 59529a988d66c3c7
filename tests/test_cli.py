"""The command line: what it prints is what the API returns, and every slip gets one clear line."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zeroshot
from zeroshot import cli
from zeroshot.cli import main
from zeroshot.cli.archs import Entry
from zeroshot.cli.arguments import CliError
from zeroshot.cli.demo import average_ranks, spearman
from zeroshot.cli.output import Row, format_column
from zeroshot.cli.rank import number_rows
from zeroshot.spaces import nasbench201

CELLS = (1462, 9, 13250)
TINY = ["--channels", "4", "--cells", "1", "--batch-size", "8", "--batches", "3"]
COMMANDS = ("demo", "score", "rank", "spaces", "scores", "config")
BAD_LINE = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|bogus~2|"

Run = Callable[..., tuple[int, str, str]]


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


# --- values ------------------------------------------------------------------------------------


def test_csv_reads_back_as_the_values_of_the_api(run: Run, images: Path) -> None:
    code, out, err = run("score", *CELLS, *THREE_SCORES, "--csv")
    assert (code, err) == (0, "")
    rows = read_csv(out)
    assert [int(row["index"]) for row in rows] == list(CELLS)
    for row, cell in zip(rows, CELLS, strict=True):
        expected = api(images, cell, scores=three_scores())
        assert row["arch"] == expected.arch
        assert row["status"] == "ok"
        assert {label: float(row[label]) for label in expected.values} == expected.values


def test_json_reads_back_as_the_result_of_the_api(run: Run, images: Path) -> None:
    code, out, _ = run("score", CELLS[0], *THREE_SCORES, "--json", "--layers")
    assert code == 0
    document = json.loads(out)
    assert document["complete"] is True
    assert document["data"]["batch_size"] == 8
    (result,) = document["results"]
    expected = api(images, CELLS[0], scores=three_scores()).to_dict()
    assert result["values"] == {k: v["value"] for k, v in expected["scores"].items()}
    for label, score in expected["scores"].items():
        del result["scores"][label]["std"]
        assert result["scores"][label] == score
    assert result["provenance"]["run"] == expected["provenance"]["run"]
    assert result["provenance"]["data"] == expected["provenance"]["data"]
    sizes = zeroshot.count(CELLS[0], channels=4, cells=1, num_classes=4, input_size=8)
    assert result["counts"] == {k: getattr(sizes, k) for k in result["counts"]}
    assert {"params", "macs", "live_weights"} <= result["counts"].keys()


def test_canonical_scores_equal_cells_once_and_says_by_which(run: Run, images: Path) -> None:
    scored = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    cells = [scored, "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"]
    code, out, err = run("score", *cells, "--canonical", "--counts", "--csv")
    rows = read_csv(out)
    assert (code, err, [row["arch"] for row in rows]) == (0, "", cells)
    assert [row["scored_as"] for row in rows] == [scored, scored]
    assert [float(row["xi_gsnr"]) for row in rows] == [api(images, scored).value] * 2
    assert int(rows[0]["weights"]) < int(rows[1]["weights"])
    _, out, _ = run("score", *cells, "--canonical", "--json")
    assert [result["scored_as"] for result in json.loads(out)["results"]] == [scored, scored]
    _, out, _ = run("score", cells[1], "--csv")
    assert "scored_as" not in read_csv(out)[0]


def test_canonical_takes_what_equal_means(run: Run) -> None:
    two = "|nor_conv_1x1~0|+|none~0|none~1|+|nor_conv_1x1~0|skip_connect~1|none~2|"
    found = {}
    for value in ([], ["form"], ["network"]):
        _, out, _ = run("score", two, "--canonical", *value, "--json")
        (result,) = json.loads(out)["results"]
        found[" ".join(value)] = result["scored_as"], result["provenance"]["run"]["canonical"]
    assert found[""] == found["form"] == (nasbench201.representative(two, "form"), "form")
    assert found["network"] == (nasbench201.representative(two, "network"), "network")
    code, _, err = run("score", "--canonical", two)
    assert code == 2
    assert "--canonical: expected one of form, network; got" in err
    assert "put ARCH before --canonical" in err


def test_json_has_layers_only_if_asked_for(run: Run) -> None:
    _, out, _ = run("score", CELLS[0], "--json")
    assert "layers" not in json.loads(out)["results"][0]["scores"]["xi_gsnr"]


@pytest.mark.parametrize("notation", ["string", "index", "numbers", "names", "parentheses"])
def test_every_notation_is_the_same_cell(run: Run, notation: str) -> None:
    text, genes = nasbench201.from_index(9), nasbench201.parse(9)
    written = {
        "string": text,
        "index": "9",
        "numbers": ",".join(map(str, genes)),
        "names": ", ".join(nasbench201.OPS[gene] for gene in genes),
        "parentheses": str(genes),
    }[notation]
    _, out, _ = run("score", written, "--csv")
    assert [(row["arch"], row["index"]) for row in read_csv(out)] == [(text, "9")]


def test_table_has_a_line_for_each_cell_in_order(run: Run) -> None:
    code, out, _ = run("score", *CELLS, "--counts")
    head, *lines = out.splitlines()
    assert code == 0
    assert [line.split()[1] for line in lines] == [str(cell) for cell in CELLS]
    column = head.split().index("live_weights")
    assert [int(line.split()[column]) for line in lines] == [
        zeroshot.count(cell, channels=4, cells=1, num_classes=4).live_weights for cell in CELLS
    ]
    end = head.index("live_weights") + len("live_weights")
    assert all(line[end - 1].isdigit() and line[end] == " " for line in lines)


def test_options_reach_the_scores(run: Run, images: Path) -> None:
    _, out, _ = run(
        "score", 9, "--xi", "1e-6", "--variant", "inv_var_xi", "--loss", "sum_logits",
        "--samples", "5", "--reduction", "mean", "--zero-tol", "1e-3",
        "--lo", "1e-3", "--hi", "inf", "--init", "kaiming_normal",
        "--dtype", "float64", *THREE_SCORES, "--csv",
    )  # fmt: skip
    scores = [
        zeroshot.XiGsnr(batch_size=8, xi=1e-6, variant="inv_var_xi", loss="sum_logits"),
        zeroshot.GradSign(n_samples=5, reduction="mean", zero_tol=1e-3, loss="sum_logits"),
        zeroshot.Sweet(1e-3, math.inf, batch_size=8),
    ]
    expected = api(images, 9, scores=scores, init="kaiming_normal", dtype="float64").values
    (row,) = read_csv(out)
    assert {label: float(row[label]) for label in expected} == expected


def test_one_score_twice_with_values_of_its_own(run: Run, images: Path) -> None:
    _, out, _ = run(
        "score", 9, "--csv", "--scores",
        "xi_gsnr", "xi_gsnr:accumulate=true", "sweet:lo=0,hi=1,splits=1e-3/1e-2,label=s",
    )  # fmt: skip
    (row,) = read_csv(out)
    accumulated = api(images, 9, scores=zeroshot.XiGsnr(batch_size=8, accumulate=True))
    assert float(row["xi_gsnr:accumulate=true"]) == accumulated.value
    assert float(row["xi_gsnr"]) == api(images, 9).value != accumulated.value
    sweet = zeroshot.Sweet(0, 1, splits=(1e-3, 1e-2), batch_size=8)
    assert float(row["s"]) == api(images, 9, scores=sweet).value
    _, flag, _ = run("score", 9, "--csv", "--accumulate")
    assert float(read_csv(flag)[0]["xi_gsnr"]) == accumulated.value


def test_several_seeds_give_mean_and_deviation(run: Run, images: Path) -> None:
    _, out, _ = run("score", 9, "--seed", "0,1,5", "--csv")
    expected = api(images, 9, seeds=[0, 1, 5]).scores["xi_gsnr"]
    (row,) = read_csv(out)
    assert (float(row["xi_gsnr"]), float(row["xi_gsnr_std"])) == (expected.mean, expected.std)


def test_output_does_not_depend_on_run_or_threads(run: Run) -> None:
    texts = {
        run("score", "--sample", 6, *THREE_SCORES, "--csv", "--threads", threads)[1]
        for threads in (1, 2, 3, 1)
    }
    assert len(texts) == 1
    assert len(read_csv(texts.pop())) == 6


def test_cell_without_path_is_recorded_and_no_failure(run: Run) -> None:
    code, out, _ = run("score", "0,0,0,0,0,0", "--csv")
    (row,) = read_csv(out)
    assert (code, row["status"], float(row["xi_gsnr"])) == (0, "no_signal", 0.0)


# --- where architectures come from -------------------------------------------------------------


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


# --- rank --------------------------------------------------------------------------------------


def test_rank_sorts_by_value(run: Run, images: Path) -> None:
    code, out, _ = run("rank", *CELLS, "0,0,0,0,0,0", "--csv")
    rows = read_csv(out)
    values = sorted((api(images, cell).value for cell in CELLS), reverse=True)
    assert code == 0
    assert [float(row["xi_gsnr"]) for row in rows] == [*values, 0.0]
    assert [int(row["rank"]) for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize("by", ["gradsign", "live_weights", "macs"])
def test_rank_by_another_column(run: Run, by: str) -> None:
    _, out, _ = run("rank", "--sample", 8, *THREE_SCORES, "--by", by, "--counts", "--csv")
    rows = read_csv(out)
    values = [float(row[by]) for row in rows]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 1
    assert [int(row["rank"]) for row in rows] == [1 + sum(w > v for w in values) for v in values]


def test_rank_keeps_the_best(run: Run) -> None:
    _, everything, _ = run("rank", "--sample", 6, "--csv")
    _, best, _ = run("rank", "--sample", 6, "--top", 2, "--csv")
    assert best == "".join(everything.splitlines(keepends=True)[:3])


def test_equal_values_share_a_rank_and_missing_ones_have_none() -> None:
    def row(position: int, value: float) -> Row:
        score = zeroshot.ScoreValue("a", "a", value, "ok")
        result = zeroshot.ScoreResult("arch", {"a": score}, "ok")
        return Row(position, Entry("arch", "ARCH", "arch"), result, None)

    values = [2.0, math.nan, 3.0, 2.0, -math.inf, 3.0, 1.0]
    ranked = number_rows([row(i, v) for i, v in enumerate(values)], "a")
    assert [(r.position, r.rank) for r in ranked] == [
        (2, 1), (5, 1), (0, 3), (3, 3), (6, 5), (4, 6), (1, None),
    ]  # fmt: skip


# --- slips -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nonsense"], "argument COMMAND: invalid choice: 'nonsense'"),
        (["score", "9", "--channels", "0"], "--channels: expected an integer >= 1, got '0'"),
        (["score", "9", "--channels", "wide"], "--channels: expected an integer >= 1, got 'wide'"),
        (["score", "9", "--seed", "0;1"], "argument --seed: expected integers with commas"),
        (["score", "9", "--init", "he"], "argument --init: expected one of torch, "),
        (["score", "9", "--space", "darts?"], "argument --space: expected one of nasbench201"),
        (["score", "9", "--scores", "foo"], "--scores: expected one of xi_gsnr, gradsign, sweet"),
        (["score", "--scores", "gradsign", "9"], "put ARCH before --scores"),
        (["score", "9", "--scores", "sweet:low=1"], "with fields lo, hi, splits"),
        (["score", "9", "--scores", "xi_gsnr", "xi_gsnr"], "the label 'xi_gsnr' is used twice"),
        (["score", "9", "--xi", "much"], "argument --xi: expected a number, got 'much'"),
        (["score", "9", "--xi", "-1"], "xi: expected a positive number, got -1.0"),
        (["score", "9", "--lo", "1e-3"], "argument --lo: belongs to sweet, but"),
        (["score", "9", "--samples", "2"], "argument --samples: belongs to gradsign, but"),
        (["score", "9", "--classes", "3"], "argument --classes: expected at least 4"),
        (["score", "9", "--batches", "4"], "4 batches of 8 need 32 images, small has 30"),
        (["score", "9", "--batches", "1"], "xi_gsnr with 2 batches of 8 needs 16 images, got 8"),
        (["score", "9", "--data", "/no/data"], "--data: expected digits or the path of a data set"),
        (["score", "--arch-file", "/no/file"], "--arch-file: /no/file: No such file"),
        (["score", "9", "--out", "/no/folder/x"], "--out: /no/folder/x: No such file"),
        (["score", "9", "--layers"], "argument --layers: expected together with --json"),
        (["score", "9", "--json", "--csv"], "argument --csv: not allowed with argument --json"),
        (["score", "--sample", "15626"], "--sample: expected an integer from 1 to 15625"),
        (["score", "-1"], "ARCH 1: index: expected 0 to 15624, got -1"),
        (["score", "9", "15625"], "ARCH 2: index: expected 0 to 15624, got 15625"),
        (["score", "3,0,1,0,0,5"], "ARCH 1: arch[5]: expected one of none, skip_connect"),
        (["rank", "9", "--by", "gradsign"], "argument --by: expected one of xi_gsnr, params"),
        (["rank", "9", "--top", "0"], "argument --top: expected an integer >= 1, got '0'"),
        (["rank", "9", "--chan", "4"], "unrecognized arguments: --chan"),
    ],
)  # fmt: skip
def test_slip_gets_one_line_and_exit_code_2(run: Run, argv: list[str], message: str) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert err.startswith("zeroshot: error: ")
    assert err.count("\n") == 1 and err.endswith("\n")
    assert message in err


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("abc", 0),
        ("|none~0|", 8),
        (BAD_LINE, BAD_LINE.index("bogus")),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|x", 47),
        ("|" * 300, 1),
    ],
)
def test_malformed_string_gets_a_caret_below_the_fault(run: Run, text: str, position: int) -> None:
    code, out, err = run("score", "9", text)
    assert (code, out) == (2, "")
    message, shown, caret = err.splitlines()
    assert message.startswith("zeroshot: error: ARCH 2: expected ")
    assert message.endswith(f", at position {position}")
    assert caret.strip() == "^"
    at = caret.index("^")
    assert at == 2 + position
    assert shown[2:at] == text[:position]
    assert shown[at : at + 1] == text[position : position + 1]


def test_caret_of_a_long_text_stays_near_the_fault() -> None:
    text = "".join(chr(ord("a") + i % 26) for i in range(1000))
    for position in (0, 35, 36, 500, 999, 1000):
        error = zeroshot.ArchitectureError("wrong", position)
        message, shown, caret = cli.archs.explain(error, text).splitlines()
        assert message == f"wrong, at position {position}"
        assert len(shown) <= 80
        assert shown[caret.index("^") :][:1] == text[position : position + 1]


@given(st.text())
def test_no_text_ends_in_a_traceback(text: str) -> None:
    if text in ("-", ""):
        return
    assert main(["score", "--data", "/no/data", "--", text]) == 2


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(CliError, match="--channels"):
        main(["score", "--debug", "--channels", "0"])


def test_bug_is_named_and_not_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("zeroshot.cli.score.collect", fail)
    code, _, err = run("score", "9")
    assert (code, err) == (2, "zeroshot: error: KeyError: 'lost' (--debug shows where)\n")


def test_without_scikit_learn_the_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    for argv in (["demo"], ["score", "9", "--data", "digits"]):
        code, out, err = run(*argv)
        assert (code, out) == (2, "")
        assert "pip install 'zeroshot[demo]'" in err and err.count("\n") == 1


def test_too_little_memory_is_recorded(run: Run) -> None:
    code, out, err = run("score", "9", "--max-bytes", "1000", "--csv")
    (row,) = read_csv(out)
    assert (code, row["status"]) == (1, "failed")
    assert "MemoryError" in row["reason"]
    assert err.startswith("zeroshot: ARCH 1: failed: MemoryError")


# --- output ------------------------------------------------------------------------------------


def test_out_replaces_the_file_only_when_there_is_something(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    file.write_text("old\n" * 1000)
    assert run("score", "oops", "--csv", "--out", file)[0] == 2
    assert file.read_text() == "old\n" * 1000
    _, expected, _ = run("score", 9, "--csv")
    assert run("score", 9, "--csv", "--out", file) == (0, "", "")
    assert file.read_text() == expected


def test_progress_is_told_on_standard_error_when_asked_for(run: Run) -> None:
    _, quiet, nothing = run("score", *CELLS, "--csv")
    _, out, err = run("score", *CELLS, "--csv", "--progress")
    assert nothing == ""
    assert "3/3" in err
    assert out == quiet
    assert run("score", 9, "--no-progress")[2] == ""


def test_columns_are_readable() -> None:
    assert format_column([0.0, 1234.5678, 3.5]) == ["0.00", "1234.57", "3.50"]
    assert format_column([98849.25, 25322210.5]) == ["98849", "25322210"]
    assert format_column([0.0, 123456.7, 3.5]) == ["0.00000e+00", "1.23457e+05", "3.50000e+00"]
    assert format_column([2.5e-4, 1.25e-3]) == ["0.00025000", "0.00125000"]
    assert format_column([1e-3, 1e5, math.inf]) == ["1.00000e-03", "1.00000e+05", "inf"]
    assert format_column([7, None, "x"]) == ["7", "", "x"]
    assert format_column([]) == []


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_examples_are_commands(command: list[str], run: Run) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert ("zeroshot", *command) == tuple(out.split()[1 : 2 + len(command)])
    examples = re.findall(r"^ +(?:cat \S+ \| )?(zeroshot .*?)(?:  +\S.*)?$", out, re.M)
    assert examples or command[:1] in (["spaces"], ["scores"], ["config"])
    for example in examples:
        args = cli.parse_arguments(shlex.split(example)[1:])
        assert callable(args.run)


def test_without_a_command_help_is_shown(run: Run) -> None:
    assert run() == run("--help")


def test_version(run: Run) -> None:
    assert run("--version")[:2] == (0, f"zeroshot {zeroshot.__version__}\n")


@pytest.mark.parametrize("command", ["spaces", "scores", "config"])
def test_listings_tell_the_same_as_the_api(run: Run, command: str) -> None:
    code, text, _ = run(command)
    json_code, out, _ = run(command, "--json")
    assert (code, json_code) == (0, 0)
    listing = json.loads(out)
    if command == "config":
        assert listing == json.loads(json.dumps(zeroshot.show_config("dicts")))
        assert zeroshot.__version__ in text
        return
    wanted = (
        zeroshot.list_spaces() if command == "spaces" else [s.name for s in zeroshot.list_scores()]
    )
    assert [item["name"] for item in listing] == list(wanted)
    assert all(name in text for name in wanted)


# --- demo --------------------------------------------------------------------------------------

DEMO = ["demo", "--archs", "4", *TINY]


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    pytest.importorskip("sklearn", reason="the demo needs scikit-learn")
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
    pytest.importorskip("sklearn", reason="the demo needs scikit-learn")
    code, out, err = run(*DEMO, "--max-bytes", 1000)
    assert code == 1
    assert err.count("failed: MemoryError") == 4
    assert "next:" not in out


def test_spearman_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats", reason="the yardstick is SciPy")
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


# --- processes ---------------------------------------------------------------------------------


def test_ctrl_c_prints_what_is_done(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def interrupted(*args: Any, **kwargs: Any) -> Iterator[tuple[int, zeroshot.ScoreResult]]:
        stream = zeroshot.score_iter(*args, **{**kwargs, "n_threads": 1})
        try:
            yield next(stream)
            yield next(stream)
            raise KeyboardInterrupt
        finally:
            stream.close()  # type: ignore[attr-defined]
            closed.append(True)

    _, whole, _ = run("score", *CELLS, "--csv")
    monkeypatch.setattr("zeroshot.cli.run.score_iter", interrupted)
    code, out, err = run("score", *CELLS, "--csv")
    assert code == 130
    assert out == "".join(whole.splitlines(keepends=True)[:3])
    assert err == "zeroshot: interrupted, 2 of 3 architectures are done\n"
    assert closed == [True]
    _, out, _ = run("score", *CELLS, "--json")
    assert json.loads(out)["complete"] is False


def child(*argv: object, code: str = "", **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    words = ["-c", code] if code else ["-m", "zeroshot"]
    return subprocess.Popen(
        [sys.executable, *words, *map(str, argv)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,
    )


def test_interrupt_signal_ends_a_process_with_its_results(images: Path, tmp_path: Path) -> None:
    n = 5000
    # a shell that starts jobs in the background has them ignore the signal, which is inherited
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from zeroshot.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ("score", "--sample", n, "--data", images, *TINY, "--csv", "--progress")
    with child(*words, code=code, cwd=tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        seen = ""
        while not re.search(rf"\b[1-9]\d*/{n}", seen):
            letter = process.stderr.read(1)
            assert letter, f"ended early: {seen}"
            seen += letter
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    rows = read_csv(out)
    assert 1 <= len(rows) < n
    assert {row["status"] for row in rows} <= {"ok", "no_signal"}
    assert f"interrupted, {len(rows)} of {n} architectures are done" in err
    assert "Traceback" not in err


def test_module_runs_as_a_program(images: Path, tmp_path: Path) -> None:
    words = ("score", "-", "--data", images, *TINY, "--csv")
    with child(*words, stdin=subprocess.PIPE, cwd=tmp_path) as process:
        out, err = process.communicate("1462\noops\n", timeout=60)
    assert process.returncode == 1
    assert [row["status"] for row in read_csv(out)] == ["ok", "failed"]
    assert "standard input, line 2: failed: expected '|'" in err


def test_closed_pipe_is_no_error(images: Path, tmp_path: Path) -> None:
    with child("score", 9, "--data", images, *TINY, cwd=tmp_path) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_import_of_the_package_leaves_the_command_line_out(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_python(
        "import sys, zeroshot; print([m for m in sys.modules if 'cli' in m.split('.')])"
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    done = run_python(
        "import sys, zeroshot.cli; print('sklearn' in sys.modules, 'tqdm' in sys.modules)"
    )
    assert (done.returncode, done.stdout) == (0, "False False\n"), done.stderr
