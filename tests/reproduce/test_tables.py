"""Tables that are made: rows, forms, what is missing, and that a second run computes nothing."""

from __future__ import annotations

import csv
import gzip
import io
import math
from dataclasses import replace

import numpy as np
import pytest

import zeroshot
from zeroshot.reproduce import making
from zeroshot.reproduce.forms import Form, label_of, usual, without_dead
from zeroshot.reproduce.measures import Measured
from zeroshot.reproduce.recipes import RECIPES, find_recipe

pytest.importorskip("scipy", reason="SciPy is not installed: no statistics")

from zeroshot import stats

QUICK = {"channels": 2, "cells": 1, "n_resamples": 50}


def made(name, bench, **options):
    return zeroshot.reproduce_table(name, data=bench, **{"sample": 12, **QUICK, **options})


def columns(bench):
    rows = list(csv.DictReader((bench / "nasbench201.csv").open()))
    return {key: [row[key] for row in rows] for key in rows[0]}


def test_a_ranking_holds_what_scores_and_statistics_give(bench):
    table = made("xi-gsnr/table1", bench, sample=None, methods=["Parameters", "xi-GSNR"],
                 datasets="cifar10")  # fmt: skip
    file = columns(bench)
    accuracy = np.array(file["cifar10_test"], dtype=float)
    images = zeroshot.data.read_npz(
        bench / "cifar10.npz", images="train_images", labels="train_labels"
    )
    drawn = zeroshot.data.draw_batches(images, batch_size=512, n_batches=1, preset="cifar10")
    by_form = {}
    for form, accumulate in (("paper", False), ("released", True)):
        results = zeroshot.score_many(
            file["arch_str"], drawn.x, drawn.y, channels=2, cells=1, seeds=[1],
            scores=zeroshot.XiGsnr(n_batches=8, accumulate=accumulate),
        )  # fmt: skip
        by_form[form] = stats.spearman([r.value for r in results], accuracy).value
    rows = {(r.metric, r.method, r.form): r for r in table.rows}
    for form, rho in by_form.items():
        row = rows["spearman", "xi-GSNR", form]
        assert (row.ours, row.n, row.published) == (pytest.approx(rho, abs=1e-12), 60, 0.845)
        assert row.difference == pytest.approx(rho - 0.845)
        assert row.low < row.ours < row.high
        assert row.inside == (row.low <= 0.845 <= row.high)
    counts = [zeroshot.count(arch, channels=2, cells=1) for arch in file["arch_str"]]
    for name in ("weights", "live weights"):
        sizes = [getattr(count, name.replace(" ", "_")) for count in counts]
        assert rows["kendall", name, "trivial"].ours == stats.kendall(sizes, accuracy).value
    parameters = rows["spearman", "Parameters", "paper"]
    assert parameters.ours == rows["spearman", "weights", "trivial"].ours
    assert not table.missing


def test_images_that_are_missing_are_named_and_the_rest_is_made(bench):
    table = made("xi-gsnr/table1", bench, methods=["SynFlow", "SNIP"])
    synflow = {row.dataset for row in table.rows if row.method == "SynFlow"}
    assert synflow == {"cifar10", "cifar100", "ImageNet16-120"}  # looks at no image
    assert {row.dataset for row in table.rows if row.method == "SNIP"} == {"cifar10"}
    reasons = {why: rows for why, rows in table.missing.items()}
    assert len(reasons) == 2
    assert any("bring cifar-100-python.tar.gz" in why for why in reasons)
    assert set(reasons.values()) == {("SNIP on cifar100",), ("SNIP on ImageNet16-120",)}
    assert "600 images of cifar10 in place of 50,000" in table.notes
    assert any("2 channels, 1 cells" in note for note in table.notes)


def test_settings_that_need_more_images_are_named_and_the_others_are_made(bench):
    table = made("xi-gsnr/figure3", bench, methods=["batch=512", "n=2"], datasets=["cifar10"])
    assert table.missing == {
        "4,096 images of cifar10 are needed, 600 are there": ("batch=512 on cifar10",)
    }
    [paper, released] = [r for r in table.rows if (r.method, r.metric) == ("n=2", "kendall")]
    assert (paper.published, paper.difference, paper.inside) == (None, None, None)
    assert "2 batches of 64" in paper.computed
    assert "accumulate=True" in released.computed


def test_large_runs_of_a_selection_are_told(bench):
    table = made("gradsign/table5", bench, methods=["NASWOT (N=100)"], datasets=["cifar10"])
    assert "runs of NASWOT (N=100) draw from 12: nearly always the same best" in table.notes


def test_a_benchmark_that_is_missing_is_named(bench):
    table = made("xi-gsnr/table3", bench)
    assert table.rows == ()
    assert len(table.missing) == 5
    assert any("DARTS.json" in why and "facebookresearch" in why for why in table.missing)


def test_a_second_run_and_a_larger_sample_compute_only_what_is_new(bench, tmp_path, monkeypatch):
    from zeroshot import experiments

    summaries = []
    plain = experiments.run_experiment

    def counting(*args, **kwargs):
        summaries.append(plain(*args, **kwargs))
        return summaries[-1]

    monkeypatch.setattr(experiments, "run_experiment", counting)
    options = {"store": tmp_path / "scores.sqlite", "methods": "xi-GSNR", "datasets": "cifar10"}
    first = made("xi-gsnr/table1", bench, **options)
    assert sum(s.n_computed for s in summaries) == 12 * 2
    summaries.clear()
    assert made("xi-gsnr/table1", bench, **options) == first
    assert sum(s.n_computed for s in summaries) == 0
    made("xi-gsnr/table1", bench, **{**options, "sample": 15})
    assert sum(s.n_computed for s in summaries) == 3 * 2
    summaries.clear()
    made("xi-gsnr/figure4", bench, **options)  # the same numbers elsewhere in the paper
    assert sum(s.n_computed for s in summaries) == 0


def test_variants_are_those_of_the_score(bench):
    table = made("xi-gsnr/table12", bench, sample=50, datasets=["cifar10"])
    methods = {row.method for row in table.rows if row.form == "released"}
    assert methods == {"(1) mean2", "(2) inv_var", "(3) inv_var_xi", "(4) gsnr", "(5) xi_gsnr"}
    values = [r.ours for r in table.rows if r.form == "paper" and r.metric == "spearman"]
    assert len(set(values)) >= 4  # 4 and 5 rank alike where variances are far above xi
    recipe = find_recipe("xi-gsnr/table12")
    scores = [form.parts[0][1] for row in recipe.wanted() for form in recipe.forms_of(row)]
    assert {score.variant for score in scores} == set(zeroshot.scores.VARIANTS)
    assert {(score.batch_size, score.n_batches, score.xi) for score in scores} == {(64, 8, 1e-8)}


def test_of_the_third_variant_the_released_form_leaves_dead_weights_out():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 3, 8, 8)), rng.integers(0, 10, 12)
    arch = "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
    options = {"channels": 4, "cells": 1, "dtype": "float64"}
    recipe = find_recipe("xi-gsnr/table12")
    row = next(row for row in recipe.wanted() if row.method == "(3) inv_var_xi")
    paper, released = recipe.forms_of(row)
    assert [len(form.parts) for form in (paper, released)] == [1, 3]
    score = zeroshot.XiGsnr(batch_size=4, n_batches=3, variant="inv_var_xi")
    form = without_dead(Form("paper", ((1.0, score),)))
    values = zeroshot.score(arch, x, y, scores=[one for _, one in form.parts], **options)
    batches = [
        zeroshot.gradients(arch, x[i : i + 4], y[i : i + 4], batch_size=4, **options).gradients
        for i in (0, 4, 8)
    ]
    weights = [name for name in batches[0] if name.endswith("weight")]
    live = [name for name in weights if ".e12." not in name]  # nothing reaches that edge
    assert len(weights) == len(live) + 3
    v = np.var([np.concatenate([b[name].ravel() for name in live]) for b in batches], axis=0)
    ours = sum(factor * values[one.label] for factor, one in form.parts)
    assert ours == pytest.approx(np.sum(1 / (v + 1e-8)), rel=1e-6)
    with pytest.raises(ValueError, match="expected a sum over 1 / "):
        without_dead(Form("paper", ((1.0, zeroshot.XiGsnr()),)))


def test_seeds_and_initialisations_have_their_mean(bench):
    table = made("xi-gsnr/table11", bench, sample=50, datasets=["cifar10"])
    for mean, parts in find_recipe("xi-gsnr/table11").means.items():
        for form in ("paper", "released"):
            ours = [r.ours for r in table.rows if r.form == form and r.method in parts]
            [row] = [r for r in table.rows if r.form == form and r.method == mean]
            assert len(set(ours)) == 3
            assert (row.ours, row.std) == (np.mean(ours), np.std(ours))
            assert math.isnan(row.low)


def test_selection_draws_from_what_was_scored_and_optimal_from_the_file(bench):
    table = made("sweetimator/table3", bench, methods=["NASWOT", "Optimal", "Random"],
                 datasets=["cifar100"])  # fmt: skip
    file = columns(bench)
    test = np.array(file["cifar100_test"], dtype=float)
    rows = {(r.metric, r.method, r.form): r for r in table.rows}
    best = stats.best_of_n(test, {"t": test}, n=100, runs=500)
    optimal = rows["test_acc", "Optimal (N=100)", "optimal"]
    assert (optimal.ours, optimal.std, optimal.n) == (best.mean["t"], best.std["t"], 60)
    random = rows["test_acc", "Random", "random"]
    assert abs(random.ours - test.mean()) < 5 * random.std / 500**0.5
    assert rows["val_acc", "NASWOT (N=10)", "paper"].n <= 12
    assert rows["test_acc", "live weights (N=100)", "trivial"].n == 12
    assert any("in place of all 15,625" in note for note in table.notes)


def test_sweetimator_searches_its_interval_and_says_it(bench, monkeypatch):
    from zeroshot.reproduce import forms

    monkeypatch.setattr(forms.Search, "__post_init__", lambda self: None, raising=False)
    table = made("sweetimator/table5", bench, methods=["baseline", "split=3"], datasets=["cifar10"])
    notes = [r.note for r in table.rows if r.form == "paper"]
    assert all("interval found: [" in note for note in notes)
    assert len(set(notes)) == 2


def test_gradsign_is_compared_with_the_training_on_half_of_the_images(bench):
    table = made("gradsign/table3", bench, methods=["GradSign"], datasets=["cifar10"])
    assert "accuracy: cifar10-valid/test@200:mean of nasbench201.csv" in table.settings
    released = [r for r in table.rows if r.form == "released"]
    assert ["networks of zero-cost-nas" in r.note for r in released] == [True]


def test_files_are_written(bench, tmp_path):
    table = made("xi-gsnr/table10", bench, methods=["SNIP"], datasets=["cifar10"], sample=40)
    rows = list(csv.DictReader(io.StringIO(table.to_csv(tmp_path / "a.csv"))))
    assert (tmp_path / "a.csv").read_text() == table.to_csv()
    assert len(rows) == len(table.rows)
    assert float(rows[0]["ours"]) == table.rows[0].ours
    assert rows[0]["published"] == "0.064"
    text = table.to_markdown(tmp_path / "a.md")
    assert (tmp_path / "a.md").read_text() == text
    assert "| cifar10 | p_at_5 | SNIP | paper |" in text


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("xi-gsnr/table99", {}, "name: expected one of xi-gsnr/table1, "),
        ("xi-gsnr/table4", {}, "xi-gsnr/table4 is not made here: search: pruning search"),
        ("xi-gsnr/table1", {"methods": ["Zen"]}, "methods: expected some of SNIP, .*; got 'Zen'"),
        ("xi-gsnr/table1", {"datasets": ["mnist"]}, "datasets: expected some of cifar10, "),
        ("xi-gsnr/table1", {"sample": 1}, "sample: expected"),
        ("xi-gsnr/table1", {"images": {"mnist": "x"}}, "images: expected data sets of cifar10"),
    ],
)
def test_bad_arguments_are_named(bench, name, options, message):
    with pytest.raises(ValueError, match=message):
        made(name, bench, **options)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data: expected a folder, got .*nowhere"):
        made("xi-gsnr/table1", tmp_path / "nowhere")


def test_every_row_has_a_form_or_a_reason():
    without = {
        (row.paper, row.table, row.method)
        for recipe in RECIPES
        for row in recipe.wanted()
        if not recipe.forms_of(row) and row.method not in recipe.means
    }
    others = {("sweetimator", "6", m) for m in ("SPOS", "Neural Predictor", "NAO", "TNASP")}
    others |= {("gradsign", "7", m) for m in ("MLP", "LSTM", "GATES-1", "GATES-2")}
    others |= {
        ("sweetimator", "7", m) for m in ("SynFlow", "GradSign", "Parameters", "Sweetimator")
    }
    others |= {("sweetimator", "2", "Sweetimator")}  # networks of different depth
    others |= {("sweetimator", "3", f"Optimal (N={n})") for n in (10, 100, 1000)}
    others |= {("gradsign", "5", "Optimal (N=100)")}
    others |= {
        (paper, table, "Random") for paper, table in (("sweetimator", "3"), ("gradsign", "5"))
    }
    assert without == others


def test_labels_tell_settings_apart():
    assert label_of(zeroshot.XiGsnr()) == "xi_gsnr"
    assert label_of(zeroshot.XiGsnr(xi=1e-6)) != label_of(zeroshot.XiGsnr(xi=1e-7))
    forms = usual("naswot", 64, space="nasbench201")
    assert len({label_of(form.parts[0][1]) for form in forms}) == 2


def test_naswot_is_its_first_version_where_the_printed_values_are():
    def released(table, space="nasbench201"):
        [row, *_] = [
            row
            for row in find_recipe(table).wanted()
            if row.method.startswith("NASWOT") and row.space == space
        ]
        return [f for f in find_recipe(table).forms_of(row) if f.name == "released"]

    for table, space in (
        ("xi-gsnr/table1", "nasbench201"),
        ("xi-gsnr/table2", "nasbench101"),
        ("sweetimator/table1", "nasbench301"),
        ("gradsign/table3", "nasbench201"),
    ):
        [form] = released(table, space)
        assert form.parts[0][1].name == "jacob_cov"
        assert form.options.get("builder") == ("zerocost" if table == "gradsign/table3" else None)
    for table in ("xi-gsnr/table10", "sweetimator/table3", "gradsign/table5"):
        [form] = released(table)
        assert form.parts[0][1].which == "wrappers"
    assert released("xi-gsnr/table3", "nds_darts") == []


def test_the_first_version_of_naswot_has_the_printed_correlations(shared):
    data = shared / "data"
    if not (data / "nasbench201_naswot_v1_scores.csv.gz").exists():
        pytest.skip(f"no reference data: {data} has no nasbench201_naswot_v1_scores.csv.gz")
    with gzip.open(data / "nasbench201_naswot_v1_scores.csv.gz", "rt") as file:
        scores = {r["arch_str"]: float(r["naswot_v1_score"] or "nan") for r in csv.DictReader(file)}
    bench = zeroshot.read_benchmark(data / "nasbench201.csv.gz")
    rows = [bench.lookup(arch) for arch in scores]
    for column, paper, table in (
        ("cifar10_test", "xi-gsnr", 1),
        ("cifar10_valid_run_test", "gradsign", 3),
    ):
        found = stats.spearman(list(scores.values()), bench.accuracy(column)[rows])
        [printed] = [
            row.value
            for row in zeroshot.published(paper, table)
            if (row.method, row.dataset, row.metric) == ("NASWOT", "cifar10", "spearman")
        ]
        # half of the space, 7,645 cells with a score: a standard error is below 1 / sqrt(7645)
        assert abs(found.value - printed) < 2 / math.sqrt(found.n)


def test_correlations_on_nasbench101_are_printed_without_their_sign():
    maker = making._Maker(find_recipe("xi-gsnr/table2"), None, None, {}, None, 0, 10, 0.95)
    rows = {(r.method, r.metric): r for r in find_recipe("xi-gsnr/table2").wanted()}
    found = Measured(-0.2, None, -0.3, -0.1, 9, 0, 0)
    made = maker._made(rows["SNIP", "spearman"], "paper", found, "n")
    assert (made.published, made.difference, made.inside) == (0.191, -0.2 + 0.191, True)
    assert made.note == "n; printed without its sign; compared with the negative of it"
    positive = Measured(0.2, None, 0.1, 0.3, 9, 0, 0)
    made = maker._made(rows["SNIP", "spearman"], "paper", positive, "n")
    assert (made.difference, made.inside, made.note) == (0.2 - 0.191, True, "n")
    made = maker._made(rows["SNIP", "kendall"], "paper", found, "")
    assert (made.inside, made.difference) == (True, -0.2 + 0.131)
    elsewhere = replace(rows["SNIP", "kendall"], space="nds_darts")  # where signs are printed
    made = maker._made(elsewhere, "paper", found, "")
    assert (made.inside, made.note) == (False, "")


def test_rows_without_a_data_set_are_named_by_their_space(bench):
    table = made("gradsign/table7", bench, methods=["MLP"])
    assert list(table.missing.values()) == [("MLP on nasbench201",)]


def test_a_row_may_be_a_mean_over_data_sets(bench, tmp_path):
    for name in ("nasbench201.csv", "cifar10.npz"):
        (tmp_path / name).write_bytes((bench / name).read_bytes())
    table = made("gradsign/table7", tmp_path, methods=["GradSign"])
    assert not [row for row in table.rows if row.dataset == "mean of three"]
    assert sorted(table.missing.values()) == [
        ("GradSign on ImageNet16-120",), ("GradSign on cifar100",),
    ]  # fmt: skip
    rng = np.random.default_rng(1)
    for name, classes in (("cifar100", 100), ("imagenet16_120", 120)):
        np.savez(
            tmp_path / f"{name}.npz",
            train_images=rng.integers(0, 256, (240, 8, 8, 3), dtype=np.uint8),
            train_labels=np.arange(240) % classes,
        )
    table = made("gradsign/table7", tmp_path, methods=["GradSign"])
    rows = {(row.form, row.dataset): row for row in table.rows if row.method == "GradSign"}
    forms = {form for form, _ in rows}
    assert forms >= {"paper"}
    assert not table.missing
    for form in forms:
        parts = [rows[form, data] for data in ("cifar10", "cifar100", "ImageNet16-120")]
        assert [part.published for part in parts] == [None] * 3
        mean = rows[form, "mean of three"]
        assert mean.ours == pytest.approx(sum(part.ours for part in parts) / 3)
        assert (mean.published, mean.n) == (0.6016, 12)
        assert mean.difference == pytest.approx(mean.ours - 0.6016)


def test_published_sizes_lie_within_the_intervals_of_a_sample(shared):
    data = shared / "data"
    if not (data / "nasbench201.csv.gz").exists():
        pytest.skip(f"no reference data: {data} has no nasbench201.csv.gz")
    table = zeroshot.reproduce_table(
        "xi-gsnr/table1", data=data, sample=300, methods=["Parameters"], n_resamples=300
    )
    rows = [row for row in table.rows if row.published is not None]
    assert len(rows) == 6
    assert all(row.inside for row in rows)
