"""What is printed is what the API returns."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import zeroshot
from zeroshot.spaces import nasbench201

from .common import CELLS, THREE_SCORES, Run, api, read_csv, three_scores


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
