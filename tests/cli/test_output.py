"""Files, progress, columns, help and listings."""

from __future__ import annotations

import json
import math
import re
import shlex
from pathlib import Path

import pytest

import zeroshot
from zeroshot import cli
from zeroshot.cli.output import format_column

from .common import CELLS, COMMANDS, Run


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
