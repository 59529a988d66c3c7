"""The file of an experiment: read, written, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot.cli.experiment import EXAMPLE
from zeroshot.experiments.experiment import Archs, DataSource, Experiment

from .common import BAD, images, three_scores

SCORE = '[[scores]]\nname = "params"\n'
SMALL = "[archs]\nlist = [9]\n" + SCORE


def test_the_example_says_what_it_seems_to() -> None:
    experiment = Experiment.parse(EXAMPLE)
    assert experiment.archs == Archs(sample=1000)
    assert experiment.data == DataSource()
    assert experiment.seeds == (0, 1, 2)
    assert experiment.scores == (
        zeroshot.XiGsnr(),
        zeroshot.GradSign(n_samples=64),
        zeroshot.Sweet(1e-4, 5e-4, label="sweet_cifar"),
    )
    assert experiment.options == zeroshot.Options(channels=16, cells=5)
    assert (experiment.store, experiment.executor, experiment.workers) == (
        "cells.sqlite", "threads", 2,
    )  # fmt: skip


@pytest.mark.parametrize(
    "experiment",
    [
        Experiment(scores="params", archs=[1462, "9"]),
        Experiment(
            name='a "name" \\ with é, \t and \x7f',
            scores=three_scores(),
            archs=Archs([[3, 0, 1, 0, 0, 4]], file=["a", "b"], sample=3, seed=5, all=True),
            data=DataSource(path="x y", preset="none", crop=2, flip=True, mode="independent"),
            seeds=[0, 2**32 - 1],
            classes=7,
            options=zeroshot.Options(
                space="darts", channels=8, cells=2, canonical="network", dtype="float64",
                init="orthogonal", max_bytes=10**12, recompute=True, builder="imagenet",
            ),
            store="s",
            executor="processes",
            workers=3,
        ),
        Experiment(
            scores=[zeroshot.Sweet(0, float("inf"), splits=(1e-300, 0.1)), "naswot"],
            archs=Archs(benchmark="b"),
        ),
    ],
)  # fmt: skip
def test_what_is_written_is_read_back(experiment: Experiment) -> None:
    assert Experiment.parse(experiment.to_toml()) == experiment


def test_architectures_of_arrays_are_written_as_lists(tmp_path: Path) -> None:
    archs = [np.int64(9), np.array([3, 0, 1, 0, 0, 4]), (3, 0, 1, 0, 0, np.int8(3)), {"a": [1]}]
    experiment = Experiment(scores="params", archs=archs)
    again = Experiment.parse(experiment.to_toml())
    assert again.archs.list == (9, [3, 0, 1, 0, 0, 4], [3, 0, 1, 0, 0, 3], {"a": [1]})
    assert again.archs.read("nasbench201")[:3] == experiment.archs.read("nasbench201")[:3]
    summary = zeroshot.run_experiment(
        Experiment(scores="params", archs=np.arange(3)), tmp_path / "a.sqlite", data=images()
    )
    assert (summary.n_computed, summary.n_failed) == (3, 0)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"archs": "1462"}, TypeError, "list: expected a list of architectures, got '1462'"),
        ({"archs": 3}, TypeError, "list: expected a list of architectures, got 3"),
        ({"archs": [zeroshot.Graph((3, 8, 8))]}, TypeError, r"list\[0\]: .* got a Graph; score gr"),
        ({"seeds": 3}, TypeError, "seeds: expected a list of integers, got 3"),
        ({"options": zeroshot.Options(seed=5)}, ValueError, r"options.seed: expected seeds=\[5\]"),
        ({"options": {"channels": 4}}, TypeError, "options: expected Options, got {'channels': 4}"),
        ({"data": images()}, TypeError, "data: expected DataSource, got "),
        ({"name": 3}, TypeError, "name: expected str, got 3"),
    ],
)
def test_slips_in_python_are_named(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Experiment(**{"scores": "params", "archs": [9], **changes})


def test_scores_take_the_batches_of_the_data() -> None:
    text = SMALL + '[[scores]]\nname = "sweet"\n[[scores]]\nname = "gradsign"\n'
    experiment = Experiment.parse("[data]\nbatch_size = 8\nbatches = 3\n" + text)
    assert experiment.scores[1:] == (zeroshot.Sweet(batch_size=8), zeroshot.GradSign(n_samples=24))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nam = 1\n" + SMALL, "the file: unknown key 'nam'; expected name, data, space, archs"),
        ("[data]\ncolour = 1\n" + SMALL, r"\[data\]: unknown key 'colour'; expected path, split"),
        ("[space]\nchanels = 1\n" + SMALL, r"\[space\]: unknown key 'chanels'; expected name, cha"),
        (SMALL + "[options]\nseed = 1\n", r"\[options\]: unknown key 'seed'; expected seeds, init"),
        (SMALL + "[run]\nthreads = 1\n", r"\[run\]: unknown key 'threads'; expected store, exec"),
        (SMALL + "xi = 1\n", r"\[\[scores\]\] 1: unknown key 'xi'; expected name"),
        (SMALL + "[[scores]]\nname = 'x'\n", r"\[\[scores\]\] 2 name: expected one of xi_gsnr, "),
        (SMALL + "[[scores]]\nlo = 1\n", r"\[\[scores\]\] 2 name: expected one of .*; got None"),
        (SMALL * 2, "no TOML: "),
        (SMALL + "[[scores]]\nname = 'params'\n", "scores.1.: the label 'params' is used twice"),
        (SMALL + "[[scores]]\nname = 'sweet'\nlo = 'x'\n", r"\[\[scores\]\] 2 lo: expected a num"),
        ("[archs]\nlist = [9]\n", r"scores: expected at least one table \[\[scores\]\], got none"),
        ("[[scores]]\nname = 'params'\n", r"\[archs\] archs: expected architectures, got none"),
        ("[data]\nbatches = 0\n" + SMALL, r"\[data\] batches: expected an integer >= 1, got 0"),
        ("[data]\npath = 3\n" + SMALL, r"\[data\] path: expected a string, got 3"),
        ("[data]\nflip = 'no'\n" + SMALL, r"\[data\] flip: expected true or false, got 'no'"),
        ("[data]\nmode = 'x'\n" + SMALL, r"\[data\] mode: expected disjoint or independent, got"),
        ("[archs]\nfile = 3\n" + SCORE, r"\[archs\] file: expected a path, got 3"),
        ("[archs]\nlist = 3\n" + SCORE, r"\[archs\] list: expected a list of architectures, got 3"),
        ("[archs]\nbenchmark = 3\n" + SCORE, r"\[archs\] benchmark: expected a path, got 3"),
        ("data = 3\n" + SMALL, r"data: expected a table, \[data\], got 3"),
        ("[space]\nname = 'x'\n" + SMALL, "space: expected one of nasbench201"),
        (SMALL + "[options]\nseeds = 3\n", r"\[options\] seeds: expected a list, got 3"),
        (SMALL + "[options]\nseeds = [3, 3]\n", r"seeds: expected one or more different seeds"),
        (SMALL + "[run]\nexecutor = 'x'\n", "executor: expected threads, processes or dask"),
        (SMALL + "[run]\nworkers = 0\n", "workers: expected an integer >= 1, got 0"),
    ],
)
def test_slips_are_named_with_their_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"experiment.toml: .*{message}"):
        Experiment.load(path)


def test_paths_are_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "cells.txt").write_text("1462 # best\n\n9\n")
    path = tmp_path / "experiment.toml"
    path.write_text(
        '[archs]\nfile = "cells.txt"\n[[scores]]\nname = "params"\n[run]\nstore = "a.sqlite"\n'
    )
    experiment = Experiment.load(path)
    assert experiment.store == str(tmp_path / "a.sqlite")
    assert experiment.data.path == "digits"
    assert len(experiment.archs.read("nasbench201")) == 2


def test_architectures_come_in_order_once_and_in_one_spelling() -> None:
    space = zeroshot.spaces.get_space("nasbench201")
    text = space.format(space.parse(1462))
    archs = Archs(["1462", 9, text, [3, 0, 1, 0, 0, 4], BAD], sample=2, seed=1)
    read = archs.read("nasbench201")
    assert read[0] == text
    assert len(read) == len(set(read)) == 6
    assert read[3] == BAD
    assert list(read[4:]) == space.sample(2, 1)
    assert len(Archs(all=True).read("nasbench201")) == 15625


def test_architectures_of_a_benchmark_file(tmp_path: Path) -> None:
    space = zeroshot.spaces.get_space("nasbench201")
    cells = [space.format(space.parse(index)) for index in (1462, 9, 0)]
    path = tmp_path / "accuracies.csv"
    path.write_text("arch,accuracy\n" + "".join(f"{cell},50\n" for cell in cells))
    assert Archs(benchmark=str(path)).read("nasbench201") == tuple(cells)
    with pytest.raises(ValueError):
        Archs(benchmark=str(path)).read("darts")


@pytest.mark.parametrize(
    ("archs", "space", "message"),
    [
        (Archs(sample=20000), "nasbench201", "sample: expected an integer from 1 to 15625"),
        (Archs(all=True), "darts", "all: darts has .* give sample, file or list"),
    ],
)
def test_too_many_are_refused(archs: Archs, space: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        archs.read(space)
