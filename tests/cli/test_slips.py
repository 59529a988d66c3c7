"""Every slip gets one clear line."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zeroshot
from zeroshot import cli
from zeroshot.cli import main
from zeroshot.cli.arguments import CliError

from .common import BAD_LINE, Run, read_csv


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
        (["score", "9", "--scores", "sweet:low=1"], "with fields batch_size, lo, hi, splits"),
        (["score", "9", "--scores", "xi_gsnr", "xi_gsnr"], "the label 'xi_gsnr' is used twice"),
        (["score", "9", "--xi", "much"], "argument --xi: expected a number, got 'much'"),
        (["score", "9", "--xi", "-1"], "xi: expected a positive number, got -1.0"),
        (["score", "9", "--lo", "1e-3"], "argument --lo: belongs to sweet, activations, but"),
        (["score", "9", "--samples", "2"], "argument --samples: belongs to gradsign, knas, but"),
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
