"""The file of values: what goes in comes out, once, and only ours are opened."""

from __future__ import annotations

import csv
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import zeroshot
from zeroshot import Store, StoreError

from .common import BAD, CELLS, exported, images, make, three_scores


def scored(archs: object = CELLS, **changes: object) -> list[zeroshot.ScoreResult]:
    x, y = images()
    return zeroshot.score_many(
        archs, x, y,
        **{"scores": three_scores(), "channels": 4, "cells": 1, "num_classes": 4, **changes},
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "a.sqlite") as opened:
        yield opened


def test_values_come_back_bit_for_bit(store: Store) -> None:
    results = scored()
    assert store.add(results) == 12
    table = store.scores()
    assert table.archs == tuple(result.arch for result in results)
    assert list(table.values) == ["xi_gsnr", "gradsign", "sweet"]
    for label in table.values:
        assert table[label].tolist() == [result[label] for result in results]
        assert table.status[label] == tuple(r.scores[label].status for r in results)
        assert table.seconds[label].tolist() == [result.seconds for result in results]
    assert table.meta["settings"]["sweet"]["parameters"] == three_scores()[2].parameters()


def test_a_key_is_there_once(store: Store) -> None:
    results = scored()
    assert (store.add(results), store.add(results), store.add(results, name="b")) == (12, 0, 0)
    assert len(store) == 12
    assert [info.n_values for info in store.experiments()] == [12, 12]


def test_missing_tells_what_is_not_there(store: Store) -> None:
    some, others = scored(CELLS[:2]), scored(CELLS[2:])
    store.add(some)
    keys = {
        name: {key for r in results for s in r.scores.values() for key in s.keys}
        for name, results in (("some", some), ("others", others))
    }
    assert store.missing(keys["some"] | keys["others"]) == keys["others"]
    assert store.missing([]) == set()


def test_numbers_that_are_none_are_kept_as_what_they_are(store: Store) -> None:
    first = scored(CELLS[:1], scores="params")[0]
    score = first.scores["params"]
    values = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1 + 0.2, 2.0**53 + 2]
    for seed, value in enumerate(values):
        key = zeroshot.provenance.key_of({**fields_of(first), "seed": seed})
        changed = replace(score, values=(value,), value=value, keys=(key,))
        store.add([replace(first, seeds=(seed,), scores={"params": changed})])
    read = store.to_frame()["value"].tolist()
    assert len(read) == len(values)
    for seen, value in zip(read, values, strict=True):
        assert math.isnan(seen) if math.isnan(value) else seen == value


def fields_of(result: zeroshot.ScoreResult) -> dict[str, object]:
    assert result.provenance is not None
    (label, score), = result.scores.items()  # fmt: skip
    return {
        **result.provenance.run, **result.provenance.data[label], "score": score.name,
        "algorithm": score.algorithm, "parameters": score.parameters,
        "group_size": score.group_size, "n_groups": score.n_groups,
    }  # fmt: skip


def test_a_key_that_is_not_of_its_result_is_refused(store: Store) -> None:
    first = scored(CELLS[:1], scores="params")[0]
    lie = replace(first.scores["params"], n_groups=3)
    with pytest.raises(ValueError, match="the key does not fit"):
        store.add([replace(first, scores={"params": lie})])
    assert len(store) == 0


def test_failures_are_kept_and_give_way_to_values(store: Store) -> None:
    failed = scored([1462, BAD], max_bytes=1)
    assert [r.status for r in failed] == ["failed", "failed"]
    store.add(failed)
    keys = {key for r in failed for s in r.scores.values() for key in s.keys}
    assert store.missing(keys) == set()
    assert store.missing(keys, retry_failed=True) == keys
    fine = scored([1462])
    assert fine[0].scores["sweet"].keys == failed[0].scores["sweet"].keys
    store.add(fine)
    assert store.scores().status["sweet"] == ("ok", "failed")
    store.add(failed)  # and a failure replaces nothing
    assert store.scores().status["sweet"] == ("ok", "failed")


def test_seeds_are_values_of_their_own_and_a_mean_in_the_table(store: Store) -> None:
    results = scored(CELLS[:2], seeds=[3, 4])
    assert store.add(results) == 12
    assert store.scores()["xi_gsnr"].tolist() == [r["xi_gsnr"] for r in results]
    frame = store.to_frame()
    assert frame[frame.label == "xi_gsnr"]["value"].tolist() == [
        value for r in results for value in r.scores["xi_gsnr"].values
    ]


@pytest.mark.parametrize("mode", ["form", "network"])
def test_canonical_results_are_kept_under_their_own_names(store: Store, mode: str) -> None:
    scores = [*three_scores(), zeroshot.Sweet(lo=0, hi=1, batch_size=8, label="dead")]
    results = scored(range(0, 600, 40), scores=scores, canonical=mode)
    store.add(results)
    table = store.scores()
    assert table.archs == tuple(r.arch for r in results)
    assert table.scored_as == tuple(r.scored_as for r in results)
    assert any(a != b for a, b in zip(table.archs, table.scored_as, strict=True))
    for label in table.values:
        assert table[label].tolist() == [r[label] for r in results]


def test_histograms_are_kept(store: Store) -> None:
    edges = np.geomspace(1e-6, 1e-1, 4)
    result = scored(CELLS[:1], scores=zeroshot.Sweet.over(edges, batch_size=8))[0]
    store.add([result])
    import json

    (text,) = store.to_frame()["histogram"]
    assert json.loads(text) == {k: list(v) for k, v in result.scores["sweet"].histogram.items()}


def test_graphs_of_ones_own_are_kept_by_their_hash(store: Store) -> None:
    graph = zeroshot.Graph((3, 8, 8))
    h = graph.relu(graph.conv2d(graph.input, 4, 3, padding=1))
    graph.output(graph.linear(graph.global_avg_pool(h), 4))
    result = zeroshot.score(graph, *images(), scores=three_scores())
    store.add([result])
    table = store.scores(space="")
    assert table.archs == (result.arch,)
    assert table["gradsign"].tolist() == [result["gradsign"]]


def test_a_label_with_two_meanings_needs_an_experiment(store: Store) -> None:
    store.add(scored(), name="wide")
    store.add(scored(channels=8), name="wider")
    with pytest.raises(ValueError, match=r"several meanings.*wide \(\w+\), wider"):
        store.scores()
    assert len(store.scores(experiment="wide")) == 4
    with pytest.raises(ValueError, match="none has the name or hash 'widest'; the store has wide"):
        store.scores(experiment="widest")


def test_means_over_different_seeds_are_not_mixed(store: Store) -> None:
    def run(archs: object, seeds: list[int], name: str) -> None:
        experiment = make(archs, seeds=seeds, scores=zeroshot.Snip(batch_size=8), name=name)
        zeroshot.run_experiment(experiment, store, data=images())

    run(CELLS, [0], "one")
    run(CELLS[:2], [0, 1], "two")
    with pytest.raises(ValueError, match=r"'snip' has for some architectures more seeds.*two"):
        store.scores()
    assert store.scores(experiment="one").status["snip"] == ("ok",) * 4
    assert store.scores(experiment="two").meta["seeds"] == [0, 1]
    run(CELLS[2:], [0, 1], "rest")
    assert store.scores().status["snip"] == ("ok",) * 4
    store.add(scored(CELLS[:2], scores=zeroshot.Fisher(batch_size=8), seeds=[0, 1]), name="by hand")
    store.add(scored(CELLS[2:], scores=zeroshot.Fisher(batch_size=8)), name="by hand")
    assert store.scores(experiment="by hand").status["fisher"] == ("ok", "ok", "missing", "missing")


def test_seconds_of_several_seeds_add_up_to_those_of_the_run(store: Store) -> None:
    result = scored(CELLS[:1], scores="params", seeds=[0, 1, 2])[0]
    store.add(result)
    assert store.scores().seconds["params"][0] == pytest.approx(result.seconds, rel=1e-12)


# --- files -------------------------------------------------------------------------------------


def test_csv_reads_back_the_same_numbers(store: Store, tmp_path: Path) -> None:
    results = scored()
    store.add(results)
    assert store.to_csv(tmp_path / "a.csv") == 12
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        result = results[int(row["position"])]
        assert (row["arch"], row["status"]) == (result.arch, result.scores[row["label"]].status)
        assert float(row["value"]) == result[row["label"]]
        assert row["key"] == result.scores[row["label"]].keys[0]
        assert float(row["seconds"]) == result.seconds
    assert not list(tmp_path.glob("*.part"))


def test_parquet_and_pandas_have_what_csv_has(store: Store, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pip install 'zeroshot[experiments]'")
    pytest.importorskip("pyarrow", reason="pip install 'zeroshot[experiments]'")
    store.add(scored([*CELLS, BAD]))
    store.to_parquet(tmp_path / "a.parquet")
    store.to_csv(tmp_path / "a.csv")
    parquet = pandas.read_parquet(tmp_path / "a.parquet")
    text = pandas.read_csv(tmp_path / "a.csv")
    frame = store.to_frame()
    assert list(parquet) == list(text) == list(frame)
    for column in ("arch", "label", "value", "status", "key", "seed", "seconds"):
        for other in (text, frame):
            pandas.testing.assert_series_equal(
                parquet[column], other[column], check_dtype=False, check_exact=True
            )


def test_a_missing_library_is_named_with_its_extra(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pyarrow: pip install 'zeroshot\[experiments\]'"):
        store.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ImportError, match=r"pandas: pip install 'zeroshot\[experiments\]'"):
        store.to_frame()


# --- what is opened, and who writes --------------------------------------------------------------


def test_other_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("not a database at all, but longer than a header" * 30)
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as file:
        file.execute("CREATE TABLE t (a)")
    file.close()
    for path, what in ((text, "no zeroshot store"), (foreign, "of another program")):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=what):
            Store(path)
        assert path.read_bytes() == before


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    Store(path).close()
    file = sqlite3.connect(path)
    file.execute("PRAGMA user_version=99")
    file.close()
    with pytest.raises(StoreError, match="written by a newer zeroshot"):
        Store(path)


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected a file, got a folder"):
        Store(tmp_path)


def test_a_missing_store_is_not_made_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file"):
        Store(tmp_path / "a.sqlite", create=False)
    with pytest.raises(StoreError, match="No such file or directory"):
        Store(tmp_path / "nowhere" / "a.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    empty, killed = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    empty.touch()
    file = sqlite3.connect(killed)  # as far as somebody came who was killed while making it
    file.execute("PRAGMA journal_mode=WAL")
    file.close()
    assert killed.stat().st_size > 0
    for path in (empty, killed):
        with Store(path) as store:
            assert len(store) == 0


def test_what_cannot_be_written_leaves_no_part(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(scored())
    store.to_csv(tmp_path / "a.csv")
    before = (tmp_path / "a.csv").read_text()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zeroshot.experiments.export.lines", fail)
    with pytest.raises(OSError, match="No space left"):
        store.to_csv(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == before
    assert not list(tmp_path.glob("*.part"))


def test_a_store_is_not_written_over_by_its_values(store: Store, tmp_path: Path) -> None:
    store.add(scored())
    (tmp_path / "link.csv").symlink_to(store.path)
    for path in (store.path, tmp_path / "link.csv"):
        with pytest.raises(ValueError, match="path: expected another file than the store itself"):
            store.to_csv(path)
    with pytest.raises(ValueError, match="path: expected a file, got the folder"):
        store.to_csv(tmp_path)
    with Store(store.path, create=False) as again:
        assert len(again) == 12


def test_a_second_writer_is_refused_at_once_and_readers_are_not(store: Store) -> None:
    results = scored()
    store.add(results[:2])
    with Store(store.path) as second:
        with pytest.raises(StoreError, match="another process is writing to it"):
            second.add(results[2:])
        assert len(second) == 6
    store.close()
    with Store(store.path) as third:
        assert third.add(results[2:]) == 6


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="it is closed"):
        len(store)
    assert repr(store).endswith("closed)")


# --- merging -----------------------------------------------------------------------------------


def test_merge_takes_over_and_counts(store: Store, tmp_path: Path) -> None:
    store.add(scored([1462, 9]))
    store.add(scored([0], max_bytes=1))
    with Store(tmp_path / "b.sqlite") as other:
        other.add(scored([9, 0, 13250]))
        done = store.merge(other)
    assert done == zeroshot.MergeSummary(n_new=3, n_known=3, n_different=0, n_retried=3)
    assert store.merge(tmp_path / "b.sqlite") == zeroshot.MergeSummary(0, 9, 0, 0)
    assert len(store) == 12
    table = store.scores()
    by_arch = {r.arch: r for r in scored()}
    assert table["xi_gsnr"].tolist() == [by_arch[arch]["xi_gsnr"] for arch in table.archs]


def test_merge_keeps_its_own_bits(store: Store, tmp_path: Path) -> None:
    store.add(scored([1462]))
    path = tmp_path / "b.sqlite"
    with Store(path) as other:
        other.add(scored([1462]))
    file = sqlite3.connect(path)
    file.execute("UPDATE value SET value = value + 1 WHERE id = 1")
    file.commit()
    file.close()
    before = exported(store, tmp_path)
    assert store.merge(path) == zeroshot.MergeSummary(0, 2, 1, 0)
    assert exported(store, tmp_path) == before


def test_merge_keeps_its_own_failures(store: Store, tmp_path: Path) -> None:
    failed = scored([1462], max_bytes=1)[0]
    store.add(failed)
    with Store(tmp_path / "b.sqlite") as other:
        scores = {k: replace(s, reason="another") for k, s in failed.scores.items()}
        other.add(replace(failed, reason="another", scores=scores))
        assert store.merge(other) == zeroshot.MergeSummary(0, 3, 0, 0)
    assert "another" not in set(store.to_frame()["reason"])


def test_merge_joins_the_labels_of_what_was_added_by_hand(store: Store, tmp_path: Path) -> None:
    store.add(scored(CELLS, scores=["params"]))
    with Store(tmp_path / "b.sqlite") as other:
        other.add(scored(CELLS, scores=["flops", "live_weights"]))
        store.merge(other)
        assert list(store.scores().values) == ["params", "flops", "live_weights"]
        other.merge(store)
        assert sorted(other.scores().values) == ["flops", "live_weights", "params"]


def test_what_is_no_result_or_path_is_told(store: Store) -> None:
    with pytest.raises(TypeError, match="results: expected each a ScoreResult, got None"):
        store.add([None])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="store: expected a path, got 3"):
        Store(3)  # type: ignore[arg-type]


def test_merge_with_itself_or_with_no_store_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which is this one"):
        store.merge(store.path)
    with pytest.raises(StoreError, match="there is no such file"):
        store.merge(tmp_path / "b.sqlite")
