"""Runs by threads: the values of `score_many`, what is missing and no more, parts and stops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import zeroshot
from zeroshot import Store, run_experiment
from zeroshot.experiments.experiment import Archs

from .common import BAD, OPTIONS, exported, images, make, three_scores

SOME = Archs(sample=12, seed=3)


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "a.sqlite") as opened:
        yield opened


def run(experiment: zeroshot.Experiment, store: Any, **options: Any) -> zeroshot.RunSummary:
    return run_experiment(experiment, store, **{"data": images(), "workers": 2, **options})


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_values_are_those_of_score_many(store: Store, workers: int) -> None:
    summary = run(make(SOME), store, workers=workers)
    assert (summary.n_archs, summary.n_values, summary.n_computed) == (12, 36, 36)
    assert summary.complete
    table = store.scores()
    results = zeroshot.score_many(
        table.archs, *images(), scores=three_scores(), channels=4, cells=1, num_classes=4
    )
    for label in table.values:
        assert table[label].tolist() == [result[label] for result in results]
    assert store.missing(k for r in results for s in r.scores.values() for k in s.keys) == set()


@pytest.mark.parametrize("mode", ["form", "network"])
def test_canonical_scores_each_network_once(store: Store, mode: str) -> None:
    scores = [*three_scores(), zeroshot.Sweet(lo=0, hi=1, batch_size=8, label="dead")]
    options = {"channels": 4, "cells": 1, "num_classes": 4, "canonical": mode}
    archs = list(range(0, 600, 20))
    experiment = make(archs, scores=scores, options=zeroshot.Options(**options))
    summary = run(experiment, store)
    results = zeroshot.score_many(archs, *images(), scores=scores, **options)
    networks = {r.scored_as for r in results}
    assert len(networks) < len(archs)
    keys = {k for r in results for s in r.scores.values() for k in s.keys}
    assert summary.n_computed == summary.n_values == 4 * len(archs) > len(keys) == len(store)
    table = store.scores()
    for label in table.values:
        assert table[label].tolist() == [result[label] for result in results]
    again = run(experiment, store)
    assert (again.n_computed, again.n_found) == (0, again.n_values)


def test_only_what_is_missing_is_computed(store: Store, tmp_path: Path) -> None:
    first = run(make(SOME, scores=three_scores()[:2]), store)
    assert (first.n_found, first.n_computed) == (0, 24)
    more = make(SOME, seeds=[0, 1])
    second = run(more, store)
    assert (second.n_found, second.n_computed) == (24, 48)
    third = run(more, store)
    assert (third.n_found, third.n_computed, third.complete) == (72, 0, True)
    with Store(tmp_path / "b.sqlite") as other:
        run(more, other)
        name = second.experiment
        store.to_csv(tmp_path / "a.csv", experiment=name, timing=False)
        other.to_csv(tmp_path / "b.csv", experiment=name, timing=False)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_what_changes_no_value_is_the_same_experiment(store: Store) -> None:
    names = {
        run(make(**{"archs": SOME, **changes}), store, **how).experiment
        for changes, how in (
            ({}, {}),
            ({"name": "x", "workers": 3}, {"workers": 1}),
            ({"options": zeroshot.Options(channels=4, cells=1, num_classes=4, recompute=True)}, {}),
            ({"archs": [*SOME.read("nasbench201")]}, {}),
        )
    }
    assert len(names) == 1
    assert run(make(SOME, seeds=[1]), store).experiment not in names


def test_failures_are_recorded_and_tried_again_on_request(store: Store) -> None:
    experiment = make([1462, BAD, "99999"])
    first = run(experiment, store)
    assert (first.n_computed, first.n_failed, first.complete) == (9, 6, True)
    again = run(experiment, store)
    assert (again.n_computed, again.n_found) == (0, 9)
    retried = run(experiment, store, retry_failed=True)
    assert (retried.n_computed, retried.n_failed, retried.n_found) == (6, 6, 3)
    assert len(store) == 9
    frame = store.to_frame()
    reasons = frame[frame.arch == BAD]["reason"]
    assert all(reason.startswith("ArchitectureError: ") for reason in reasons)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_shards_are_disjoint_and_make_the_whole(tmp_path: Path, n: int) -> None:
    experiment = make(Archs([BAD], sample=20), scores="params")
    with Store(tmp_path / "whole.sqlite") as whole:
        run(experiment, whole)
        expected = exported(whole, tmp_path)
    with Store(tmp_path / "merged.sqlite") as merged:
        total = 0
        for i in range(n):
            path = tmp_path / f"part{i}.sqlite"
            total += run(experiment, path, shard=(i, n), workers=1 + i % 2).n_archs
            merged.merge(path)
        assert total == len(merged) == 21
        assert exported(merged, tmp_path) == expected


def test_equal_networks_are_in_one_shard(tmp_path: Path) -> None:
    options = zeroshot.Options(channels=4, cells=1, num_classes=4, canonical=True)
    experiment = make(list(range(0, 600, 20)), scores=three_scores()[1], options=options)
    keys = []
    for i in range(4):
        with Store(tmp_path / f"{i}.sqlite") as store:
            run(experiment, store, shard=(i, 4))
            keys += store.to_frame()["key"].unique().tolist()
    assert len(keys) == len(set(keys))


def test_progress_counts_up_to_all(store: Store) -> None:
    seen: list[tuple[int, int]] = []
    run(make(SOME), store, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (36, 36)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    with pytest.raises(TypeError, match="progress: expected None, True or a callable"):
        run(make(SOME), store, progress=3)


def test_a_token_stops_and_the_next_run_goes_on(store: Store, tmp_path: Path) -> None:
    token = zeroshot.CancelToken()

    def stop(done: int, total: int) -> None:
        if done >= 5:
            token.cancel()

    options = zeroshot.Options(channels=4, cells=1, num_classes=4, cancel=token)
    experiment = make(Archs(sample=100), options=options)
    with pytest.raises(zeroshot.Cancelled):
        run(experiment, store, progress=stop)
    n_kept = len(store)
    assert 5 <= n_kept < 300
    rest = run(make(Archs(sample=100)), store)
    assert (rest.n_found, rest.n_computed) == (n_kept, 300 - n_kept)
    with Store(tmp_path / "b.sqlite") as whole:
        run(make(Archs(sample=100)), whole)
        assert exported(store, tmp_path) == exported(whole, tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shard": (2, 2)}, ValueError, r"shard\[0\]: expected an integer from 0 to 1, got 2"),
        ({"shard": (0, 0)}, ValueError, r"shard\[1\]: expected an integer >= 1, got 0"),
        ({"workers": 0}, ValueError, "workers: expected an integer >= 1, got 0"),
        ({"executor": "magic"}, ValueError, "executor: expected threads, processes, dask, a p"),
        ({"shard": "0/4"}, TypeError, r"shard: expected \(i, n\), the part i of n; got '0/4'"),
        ({"shard": 3}, TypeError, r"shard: expected \(i, n\), the part i of n; got 3"),
        ({"data": images()[0]}, TypeError, r"data: expected \(x, y\), got array"),
        ({"data": (*images(), 3)}, TypeError, r"data: expected \(x, y\), got "),
    ],
)
def test_slips_are_told(
    store: Store, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(make(SOME), store, **options)
    with pytest.raises(TypeError, match="experiment: expected an Experiment, got str"):
        run_experiment("x", store)  # type: ignore[arg-type]


def test_labels_that_no_network_has_are_an_error_and_no_failures(store: Store) -> None:
    x, y = images()
    y[5] = 4
    with pytest.raises(ValueError, match="y: expected labels from 0 to 3, got 4 at position 5"):
        run(make(SOME), store, data=(x, y))
    assert len(store) == 0
    summary = run(make(SOME, classes=5), store, data=(x, y))
    assert summary.n_failed == 0


def test_values_under_other_keys_are_no_values_of_the_run(
    store: Store, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a worker with another version."""
    hook(lambda task: monkeypatch.setattr(zeroshot.runner, "NUMERICS", -1))
    with pytest.raises(RuntimeError, match="12 values came back under other keys than those asked"):
        run(make(SOME, scores="params"), store)  # whose keys are asked for before
    assert len(store) == 0


def test_a_store_that_another_writes_to_is_told_before_any_work(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(make(SOME), store)
    monkeypatch.setattr(zeroshot.experiments.run.Work, "make", None)
    with pytest.raises(zeroshot.StoreError, match="another process is writing to it"):
        run(make(SOME), store.path)


def test_data_come_from_the_experiment_where_none_are_given(store: Store) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: no digits")
    data = zeroshot.experiments.experiment.DataSource(batch_size=8, batches=3)
    options = replace(OPTIONS, num_classes=10)
    run_experiment(make([1462], data=data, options=options), store)
    images_ = zeroshot.data.load_digits()
    batches = zeroshot.data.draw_batches(images_, batch_size=8, n_batches=3)
    expected = zeroshot.score(
        1462, batches.x, batches.y, scores=three_scores(), channels=4, cells=1, num_classes=10
    )
    assert {label: store.scores()[label][0] for label in expected.scores} == expected.values
    with pytest.raises(ValueError, match=r"num_classes: expected classes=4 of .* the 10 outputs"):
        run_experiment(make([1462], data=data, options=OPTIONS), store)
