"""``zeroshot run``, ``merge`` and ``store``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import zeroshot

from .common import BAD_LINE, TINY, Run, read_csv, three_scores

SMALL = ["--sample", "6", "--sample-seed", "4", *TINY, "--scores", "xi_gsnr", "gradsign", "sweet"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "a.sqlite"


def lines(run: Run, store: Path) -> list[dict[str, str]]:
    path = store.with_suffix(".csv")
    code, out, err = run("store", "export", store, path, "--no-timing")
    assert (code, out) == (0, "")
    rows = read_csv(path.read_text())
    assert err == f"{len(rows)} values in {path}\n"
    return rows


def test_flags_give_the_values_of_the_api_and_go_on(run: Run, images: Path, store: Path) -> None:
    argv = ["run", "--data", images, *SMALL, "--store", store]
    code, out, err = run(*argv)
    assert (code, out) == (0, "")
    assert f"18 values of 6 architectures in {store}: 0 were there, 18 computed" in err
    code, _, err = run(*argv)
    assert code == 0
    assert "18 were there, 0 computed" in err
    data = zeroshot.data.read_npz(images)
    batches = zeroshot.data.draw_batches(data, batch_size=8, n_batches=3)
    for row in lines(run, store):
        result = zeroshot.score(
            row["arch"], batches.x, batches.y, scores=three_scores(), channels=4, cells=1,
            num_classes=4,
        )  # fmt: skip
        assert float(row["value"]) == result[row["label"]]


def test_a_file_and_its_flags_are_one_experiment(
    run: Run, images: Path, store: Path, tmp_path: Path
) -> None:
    toml = tmp_path / "experiment.toml"
    toml.write_text(
        f'[data]\npath = "{images.name}"\nbatch_size = 8\nbatches = 3\n'
        "[space]\nchannels = 4\ncells = 1\n[archs]\nsample = 6\nseed = 4\n"
        '[[scores]]\nname = "xi_gsnr"\n[[scores]]\nname = "gradsign"\n[[scores]]\nname = "sweet"\n'
        '[run]\nstore = "a.sqlite"\nexecutor = "threads"\nworkers = 1\n'
    )
    (tmp_path / images.name).write_bytes(images.read_bytes())
    assert run("run", toml)[0] == 0
    code, _, err = run("run", "--data", images, *SMALL, "--store", store)
    assert code == 0
    assert "18 were there, 0 computed" in err
    code, out, _ = run("store", "status", store, "--json")
    assert code == 0
    (experiment,) = json.loads(out)["experiments"]
    assert (experiment["n_values"], experiment["n_archs"]) == (18, 6)
    for option in (["--channels", "8"], ["--space=nasbench201"], ["--seed", "0"]):  # or as it is
        code, _, err = run("run", toml, *option)
        assert code == 2
        assert f"argument {option[0].partition('=')[0]}: expected in {toml}, beside which" in err
    assert run("run", toml, "--workers", "1", "--no-progress", "--retry-failed")[0] == 0
    code, _, err = run("run", toml, "1462")
    assert code == 2
    assert f"EXPERIMENT.toml: expected nothing beside {toml}, got" in err


def test_shards_merge_into_the_whole(run: Run, images: Path, store: Path, tmp_path: Path) -> None:
    argv = ["run", "--data", images, *SMALL, "--store"]
    assert run(*argv, store)[0] == 0
    parts = [tmp_path / f"part{i}.sqlite" for i in range(3)]
    for i, part in enumerate(parts):
        assert run(*argv, part, "--shard", f"{i}/3")[0] == 0
    merged = tmp_path / "merged.sqlite"
    code, out, _ = run("merge", merged, *parts)
    assert code == 0
    assert sum(int(line.split(": ")[1].split()[0]) for line in out.splitlines()) == 18
    assert lines(run, merged) == lines(run, store)


def test_failures_are_counted_and_named(run: Run, images: Path, store: Path) -> None:
    cells = store.with_name("cells.txt")
    cells.write_text(f"1462\n{BAD_LINE}\n")
    argv = ["run", "--data", images, *TINY, "--arch-file", cells, "--store", store]
    code, _, err = run(*argv)
    assert code == 1
    assert "2 computed" in err and ", 1 failed" in err
    assert [row["status"] for row in lines(run, store)] == ["ok", "failed"]
    assert run(*argv)[0] == 1  # still so, though nothing was computed
    code, _, err = run(*argv, "--retry-failed")
    assert code == 1
    assert "1 were there, 1 computed" in err
    code, out, _ = run("store", "status", store)
    assert code == 0
    assert "2/2 values (1 failed, 1 ok)" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["run", "--sample", "3"], "argument --store: expected a file, got none"),
        (["run", "--store", "a"], "ARCH: expected architectures, got none; give EXPERIMENT.toml"),
        (["run", "9", "--store", "a", "--shard", "3/3"], "expected I/N with I from 0 to N - 1"),
        (["run", "9", "--store", "a", "--shard", "x"], "expected I/N with I from 0 to N - 1"),
        (["run", "9", "--store", "a", "--executor", "mpi"], "expected one of threads, processes"),
        (["run", "nowhere.toml"], "nowhere.toml: No such file or directory"),
        (["store", "status", "nowhere"], "store nowhere: there is no such file"),
        (["store", "export", "{store}", "a.xlsx"], "FILE: expected NAME.csv or NAME.parquet"),
        (["store", "export", "{store}", "a.csv", "--experiment", "x"], "none has the name or hash"),
        (["store", "export", "{store}", "no/a.csv"], "a folder that exists, got no/a.csv"),
        (["store", "export", "{store}.csv", "{store}.csv"], "there is no such file"),
        (["merge", "{store}", "nowhere"], "store nowhere: there is no such file"),
        (["merge", "{store}", "{store}"], "expected another store"),
    ],
)
def test_slips(run: Run, store: Path, argv: list[str], message: str) -> None:
    zeroshot.Store(store).close()
    code, _, err = run(*(word.format(store=store) for word in argv))
    assert code == 2
    assert err.startswith("zeroshot: error: ")
    assert message in err
    assert len(err.splitlines()) == 1
