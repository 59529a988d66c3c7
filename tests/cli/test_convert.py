"""zeroshot convert: what is written, what is read, what is refused."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

import zeroshot
from zeroshot.cli.convert import read_value
from zeroshot.spaces import get_space
from zeroshot.spaces.notations import NOTATIONS

from .common import Run

CELL = "|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_1x1~1|none~2|"


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("4811",), CELL),
        ((CELL, "--to", "index"), "4811"),
        (("0,2,3,2,3,1", "--from", "naslib", "--to", "index"), "4811"),
        (("(0, 2, 3, 2, 3, 1)", "--from", "naslib", "--to", "index"), "4811"),
        ((CELL, "--to", "naslib"), "[0, 2, 3, 2, 3, 1]"),
        ((CELL, "--to", "super_nasbench201"), CELL),
        (("none,none,none,none,none,none", "--to", "genes"), "[0, 0, 0, 0, 0, 0]"),
        (("--space", "darts", "PC_DARTS", "--to", "index"), None),
        (("9", "4811", "--to", "index"), "9\n4811"),
    ],
)
def test_an_architecture_is_written(run: Run, words: Any, out: str | None) -> None:
    if out is None:
        out = str(zeroshot.convert("PC_DARTS", "index", space="darts"))
    assert run("convert", *words) == (0, f"{out}\n", "")


@pytest.mark.parametrize("space", NOTATIONS)
def test_what_is_written_is_read(run: Run, space: str) -> None:
    text = get_space(space).sample(1, 3)[0]
    text = zeroshot.convert(text, "text", space=space)
    for row in NOTATIONS[space]:
        code, out, _ = run("convert", "--space", space, text, "--to", row.name)
        if code == 0 and row.read:
            wanted = text if row.exact else get_space(space).canonical(text)
            back = run("convert", "--space", space, out.strip(), "--from", row.name)
            assert back == (0, f"{wanted}\n", "")


@pytest.mark.parametrize("space", NOTATIONS)
def test_without_an_architecture_notations_are_listed(run: Run, space: str) -> None:
    code, out, err = run("convert", "--space", space)
    assert (code, err) == (0, "")
    listed = [line.split()[0] for line in out.splitlines() if line and line[0] != " "]
    assert listed[: len(NOTATIONS[space])] == [row.name for row in NOTATIONS[space]]


def test_lines_of_standard_input_are_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"4811\n\n{CELL}\n"))
    assert run("convert", "-", "--to", "index") == (0, "4811\n4811\n", "")
    monkeypatch.setattr("sys.stdin", io.StringIO("4811\nbogus\n"))
    code, out, err = run("convert", "-", "--to", "index")
    assert (code, out) == (2, "4811\n")
    assert err.startswith("zeroshot: error: standard input, line 2: expected '|'")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("0,2,3,2,3,1",), "ARCH 1: arch: expected its notation to be named, notation='genes' or"),
        ((CELL[:-2],), "ARCH 1: expected "),
        ((CELL, "--to", "bogus"), "to: expected a notation of nasbench201, one of text, index"),
        ((CELL, "--from", "bogus"), "notation: expected one of text, index"),
        ((CELL, "--to", "networkx"), "--to: expected a notation that can be printed, got networkx"),
        (("--to", "index"), "ARCH: expected at least one architecture, got none"),
        (("[" * 5000,), "ARCH 1: "),
        (('{"a"', "--space", "burgerformer"), "ARCH 1: arch: expected JSON"),
    ],
)
def test_slips_are_one_message(run: Run, words: Any, message: str) -> None:
    if "networkx" in words:
        pytest.importorskip("networkx", reason="networkx is not installed: no graphs")
    code, out, err = run("convert", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"zeroshot: error: {message}"), err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-3", -3),
        ("[1, [2, null]]", [1, [2, None]]),
        ("((1, 2), None)", ((1, 2), None)),
        ('{"a": 1}', {"a": 1}),
        ("{'a': 1}", {"a": 1}),
        ("k3e3, k5e6", ["k3e3", "k5e6"]),
        ("8:8:8:8:8", "8:8:8:8:8"),
        ("(oops", "(oops"),
        (json.dumps("x"), '"x"'),
    ],
)
def test_values_are_what_their_text_says(text: str, value: Any) -> None:
    assert read_value(text) == value


# --- benchmark files ----------------------------------------------------------------------------

TABLE = "dataset,arch,snip\ncifar10,8:8:8:8:8,1.5\ncifar100,8:8:8:8:8,2\n"


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_benchmark_file_is_written_as_a_table(run: Run, tmp_path: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed: no Parquet")
    source, out = tmp_path / "source.csv", tmp_path / f"out.{ending}"
    source.write_text(TABLE)
    code, printed, told = run("convert", str(source), str(out))
    assert (code, printed) == (0, "")
    assert told.startswith(f"Benchmark({str(source)!r}, nats_sss, 1 architectures, 2 columns")
    benchmark = zeroshot.read_benchmark(out)
    assert benchmark.archs == ("8:8:8:8:8",)
    assert benchmark.column("cifar100/snip").tolist() == [2.0]


def test_columns_that_are_left_out_are_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("arch,acc,note\n8:8:8:8:8,1.5,x\n")
    _, _, told = run("convert", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"))
    assert told.endswith("\nleft out, as no numbers: note\n")


def test_progress_of_a_benchmark_file_is_told(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_text(TABLE)
    _, _, told = run("convert", str(source), str(tmp_path / "out.csv"), "--progress")
    assert told.startswith("\rread 100.0 %\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("source.csv", "missing/out.csv"), "no such folder"),
        (("missing.csv", "out.csv"), "No such file"),
        (("source.csv", "out.csv", "--to", "text"), "expected architectures, got a benchmark"),
        (("source.csv", "out.csv", "--format", "hdf5"), "format: expected one of nats"),
        (("source.csv", "out.csv", "--max-bytes", "5"), "larger than 5 bytes"),
        (("source.csv", "out.csv", "--space", "nasbench201"), "line 2"),
        (("4811", "--max-bytes", "5"), "expected FILE OUT"),
        (("source.csv",), "ARCH 1: source.csv is a file or folder; expected FILE OUT"),
        (("source.csv", "out.xlsx"), "where OUT ends in .csv, .csv.gz, .parquet"),
        (("source.csv", "source.csv"), "OUT: expected another file than FILE, got source.csv"),
        (("source.csv", "./source.csv"), "OUT: expected another file than FILE"),
    ],
)
def test_a_benchmark_file_that_cannot_be_converted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("source.csv").write_text(TABLE)
    code, out, err = run("convert", *words)
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["source.csv"]
    assert Path("source.csv").read_text() == TABLE


def test_ctrl_c_leaves_no_half_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zeroshot.benchmarks import writing

    def interrupted(_: Any) -> Any:
        yield (1.0, 2.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "_rows", interrupted)
    source, out = tmp_path / "source.csv", tmp_path / "out.csv"
    source.write_text(TABLE)
    out.write_text("before")
    code, _, _ = run("convert", str(source), str(out))
    assert code == 130
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "source.csv"]
