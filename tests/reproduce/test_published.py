"""The printed numbers: complete, well-formed, and equal to an independent typing of the papers."""

from __future__ import annotations

import csv
from collections import defaultdict

import pytest

import zeroshot
from zeroshot.reproduce.numbers import DATASETS, METRICS, PAPERS, published
from zeroshot.reproduce.recipes import RECIPES


def test_rows_are_well_formed():
    rows = published()
    assert len({(r.paper, r.table, r.method, r.space, r.dataset, r.metric) for r in rows}) == len(
        rows
    )
    for row in rows:
        assert row.paper in PAPERS
        assert row.metric in METRICS
        assert row.settings
        assert (row.std is not None) <= (row.metric.endswith("_acc") or "mean" in row.method)
        assert row.dataset in DATASETS or row.table == "7"
        assert row.value is not None
        assert -1 <= row.value <= 1 or row.metric.endswith("_acc")


def test_every_number_belongs_to_a_table_that_is_made():
    made = {id(row) for recipe in RECIPES for row in recipe.wanted()}
    assert all(id(row) in made for row in published())


def test_figures_without_numbers_have_rows_of_their_own():
    rows = next(recipe for recipe in RECIPES if recipe.name == "xi-gsnr/figure3").wanted()
    assert {row.value for row in rows} == {None}
    assert {row.method for row in rows} >= {"batch=512", "n=14", "xi=1e-8"}


def test_unknown_names_list_what_there_is():
    with pytest.raises(
        ValueError, match="expected one of xi-gsnr, sweetimator, gradsign; got 'zen'"
    ):
        zeroshot.published("zen")
    with pytest.raises(ValueError, match=r"table: expected one of 2, 3, .*; got 40"):
        zeroshot.published("gradsign", 40)
    assert zeroshot.published("gradsign", 2) == zeroshot.published("gradsign", "2")


# Names that the other typing has for the same rows; they stand in the same order.
_METHODS = {
    "seed=0": "xi-GSNR seed=0", "seed=1": "xi-GSNR seed=1", "seed=2": "xi-GSNR seed=2",
    "mean of seeds": "xi-GSNR seeds avg", "mean of initialisations": "xi-GSNR init avg",
    "orthogonal": "xi-GSNR orthogonal", "xavier": "xi-GSNR xavier", "kaiming": "xi-GSNR kaiming",
    "(1) mean2": "(1) mean squared", "(2) inv_var": "(2) 1/var",
    "(3) inv_var_xi": "(3) 1/(var+xi)", "(4) gsnr": "(4) GSNR", "(5) xi_gsnr": "(5) xi-GSNR",
}  # fmt: skip
_SPACES = {"nasbench_nlp": "nasbench-nlp", "nasbench_asr": "nasbench-asr"}


def test_numbers_equal_an_independent_typing(shared):
    path = shared / "paper_tables.csv"
    if not path.exists():
        pytest.skip(f"no reference data: {path} is missing")
    theirs = defaultdict(list)
    for row in csv.DictReader(path.open()):
        paper = row["source"].removesuffix("-supplement")
        space = "nasbench201" if row["space"] == "nats-bench-tss" else row["space"]
        key = paper, row["table"], row["method"].lower(), space, row["metric"]
        theirs[key].append((row["value"], row["std"]))
    rows = defaultdict(list)
    for row in published():
        method = _METHODS.get(row.method, row.method)
        table = row.table.replace("figure", "fig")
        if (row.paper, table) == ("sweetimator", "5"):
            method = "Sweetimator"
        if (row.paper, table) == ("gradsign", "8"):
            method = "GradSign"
        key = row.paper, table, method.lower(), _SPACES.get(row.space, row.space), row.metric
        rows[key].append((row.value, row.std))
    for key, numbers in rows.items():
        wanted = [(float(v), float(s) if s else None) for v, s in theirs[key]]
        if key[:2] == ("gradsign", "8"):  # one table has the two releases side by side
            wanted, numbers = sorted(wanted), sorted(numbers)
        assert sorted(numbers, key=str) == sorted(wanted, key=str), key
