"""NATS-Bench and NAS-Bench-201: which number of a file is which accuracy, in every container."""

from __future__ import annotations

import pickle
import statistics
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeroshot import BenchmarkFileError, Target, read_benchmark
from zeroshot.benchmarks import streams
from zeroshot.spaces import nasbench201

from . import nats_files

INDICES = (0, 5, 7)
# The name of a target, and where ResultsCount keeps it.
MEANING = {
    "cifar10/test": ("cifar10", "ori-test"),
    "cifar10-valid/valid": ("cifar10-valid", "x-valid"),
    "cifar10-valid/test": ("cifar10-valid", "ori-test"),
    "cifar100/valid": ("cifar100", "x-valid"),
    "cifar100/test": ("cifar100", "x-test"),
    "cifar100/valid+test": ("cifar100", "ori-test"),
    "ImageNet16-120/valid": ("ImageNet16-120", "x-valid"),
    "ImageNet16-120/test": ("ImageNet16-120", "x-test"),
    "ImageNet16-120/valid+test": ("ImageNet16-120", "ori-test"),
}


def trials(index: int, hp: str, dataset: str, space: str = "nasbench201") -> dict[int, Any]:
    found = nats_files.networks(index, space)[hp]["all_results"]
    return {seed: trial for (name, seed), trial in found.items() if name == dataset}


@pytest.mark.parametrize(("name", "where"), MEANING.items())
@pytest.mark.parametrize(("hp", "epochs"), [("12", 4), ("200", 9)])
def test_accuracy_is_that_of_the_last_epoch(
    simple: Path, name: str, where: tuple[str, str], hp: str, epochs: int
) -> None:
    benchmark = read_benchmark(simple)
    dataset, evaluation = where
    for row, index in enumerate(INDICES):
        values = {
            seed: trial["eval_acc1es"][f"{evaluation}@{epochs - 1}"]
            for seed, trial in trials(index, hp, dataset).items()
        }
        expected = {
            "mean": statistics.fmean(values.values()),
            "max": max(values.values()),
            "first": values[777],
            **values,
        }
        for rule, value in expected.items():
            found = benchmark.accuracy(f"{name}@{epochs}:{rule}")[row]
            assert found == pytest.approx(value, rel=1e-14)


def test_training_accuracy_and_costs(simple: Path) -> None:
    benchmark = read_benchmark(simple)
    seeds = trials(5, "200", "cifar10")
    expected = statistics.fmean(trial["train_acc1es"][8] for trial in seeds.values())
    assert benchmark.accuracy("cifar10/train@9:mean")[1] == pytest.approx(expected)
    columns = {
        "cifar10@9/train_seconds": 13.5,
        "cifar10@4/train_seconds": 6.0,
        "cifar10@4/train_seconds_per_epoch": 1.5,
        "cifar10-valid@4/valid_seconds_per_epoch": 0.25,
        "cifar100@9/latency_seconds": 0.02,
        "cifar100@9/params_millions": 0.8,
        "cifar100@9/flops_millions": 100.25,
    }
    for name, value in columns.items():
        assert benchmark.column(name) == pytest.approx([value] * 3)
    assert benchmark.column("cifar10@9/trials").tolist() == [1, 3, 2]
    assert benchmark.column("index").tolist() == list(INDICES)


def test_a_seed_that_an_architecture_lacks_is_nan(simple: Path) -> None:
    found = read_benchmark(simple).accuracy(Target("cifar10", "test", 9, 999))
    assert np.isnan(found).tolist() == [True, False, True]


def test_first_is_the_smallest_seed(tmp_path: Path) -> None:
    content = nats_files.networks(5)
    trials = content["200"]["all_results"]
    content["200"]["all_results"] = {key: trials[key] for key in reversed(trials)}
    (tmp_path / "5.pickle.pbz2").write_bytes(nats_files.pbz2(content))
    benchmark = read_benchmark(tmp_path / "5.pickle.pbz2")
    first, seed = (benchmark.accuracy(f"cifar10/test@9:{rule}") for rule in ("first", 777))
    assert first == seed


def same(one: Any, other: Any) -> bool:
    return (
        one.archs == other.archs
        and one.columns == other.columns
        and all(np.array_equal(one.column(n), other.column(n), equal_nan=True) for n in one.columns)
    )


@pytest.mark.parametrize("protocol", range(6))
def test_single_file_is_the_folder(simple: Path, tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "NATS.pickle.pbz2"
    path.write_bytes(nats_files.pbz2(nats_files.single(INDICES), protocol))
    found = read_benchmark(path)
    assert same(found, read_benchmark(simple))
    assert found.space == "nasbench201" and found.records == 3
    path.with_suffix("").write_bytes(pickle.dumps(nats_files.single(INDICES), protocol))
    assert same(found, read_benchmark(path.with_suffix("")))


@pytest.mark.parametrize("protocol", range(6))
def test_instances_are_read_as_their_attributes(tmp_path: Path, protocol: int) -> None:
    arch = nasbench201.from_index(3)
    found = {hp: nats_files.results(3, arch, n, [777]) for hp, n in (("12", 4), ("200", 9))}
    path = tmp_path / "3.pickle.pbz2"
    path.write_bytes(nats_files.pbz2(found, protocol))
    as_dicts = {hp: results.state_dict() for hp, results in found.items()}
    (tmp_path / "dicts.pickle.pbz2").write_bytes(nats_files.pbz2(as_dicts))
    assert same(read_benchmark(path), read_benchmark(tmp_path / "dicts.pickle.pbz2"))


def test_size_space(tmp_path: Path) -> None:
    benchmark = read_benchmark(nats_files.folder(tmp_path / "sss", (3, 668), "nats_sss"))
    assert benchmark.space == "nats_sss"
    assert benchmark.lookup("8:16:24:32:40") == benchmark.lookup(668) == 1
    trial = trials(668, "90", "cifar100", "nats_sss")[888]
    expected = trial["eval_acc1es"]["x-test@8"]
    assert benchmark.accuracy("cifar100/test@9:888")[1] == expected
    assert benchmark.accuracy("cifar100/test@1:mean").shape == (2,)


@pytest.mark.parametrize("write", [nats_files.legacy_pth, nats_files.zipped_pth])
def test_pth_of_nasbench201(tmp_path: Path, write: Any) -> None:
    path = tmp_path / "NAS-Bench-201-v1_0-e61699.pth"
    path.write_bytes(write(nats_files.nasbench201(INDICES)))
    benchmark = read_benchmark(path)
    found = nats_files.nasbench201((7,))["arch2infos"][7]["full"]["all_results"]
    for dataset, name in (("cifar10", "ori-test"), ("cifar100", "x-test")):
        value = found[dataset, 777]["eval_acc1es"][f"{name}@8"]
        assert benchmark.accuracy(f"{dataset}/test@9:777")[2] == value
    assert "cifar10@9/train_seconds" not in benchmark.columns  # this release has no times


@pytest.mark.parametrize("new", [True, False])
def test_pth_with_weights_that_torch_wrote(tmp_path: Path, new: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: no files of torch.save")
    content = nats_files.single((1, 2), weights=None)
    for networks in content["arch2infos"].values():
        for results in networks.values():
            for trial in results["all_results"].values():
                trial["net_state_dict"] = torch.nn.Linear(30, 40).state_dict()
    path = tmp_path / "a.pth"
    torch.save(content, path, _use_new_zipfile_serialization=new)
    benchmark = read_benchmark(path)
    plain = tmp_path / "a.pickle"
    plain.write_bytes(pickle.dumps(nats_files.single((1, 2))))
    assert same(benchmark, read_benchmark(plain))
    plain.write_bytes(pickle.dumps(content, 4))  # as the -full folders have them
    assert same(benchmark, read_benchmark(plain))


def test_what_trials_share(simple: Path, tmp_path: Path) -> None:
    """Weights are not looked at; a curve that was let go of is missed, not taken for empty."""
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(nats_files.single(INDICES, weights={"w": [*range(100)]}), 4))
    assert same(read_benchmark(path), read_benchmark(simple))
    content = nats_files.networks(5)
    times = {i: 1.0 for i in range(9)}
    for trial in content["200"]["all_results"].values():
        trial["train_times"] = times
    path.write_bytes(pickle.dumps(content, 4))
    with pytest.raises(BenchmarkFileError, match="train_times: it is shared"):
        read_benchmark(path)


def test_a_container_is_not_changed_from_afar(tmp_path: Path) -> None:
    """Pickles of a list and a dict that fetch themselves and grow."""
    path = tmp_path / "a.pickle"
    for content in (b"\x80\x04]\x94h\0K\1a.", b"\x80\x04}\x94h\0(K\1K\2K\3K\4u."):
        path.write_bytes(content)
        with pytest.raises(
            BenchmarkFileError, match=r"changed after it was used|are set in a Dict"
        ):
            read_benchmark(path)


def test_memo_index_far_away_is_refused(tmp_path: Path) -> None:
    """Two billion places would be made for it."""
    path = tmp_path / "a.pickle"
    path.write_bytes(b"\x80\x02Nr\xff\xff\xff\x7f.")
    with pytest.raises(BenchmarkFileError, match="memo index 2147483647 follows"):
        read_benchmark(path)


def test_files_of_torch_that_are_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    content = nats_files.nasbench201((1,))
    old = nats_files.legacy_pth(content)
    path.write_bytes(old.replace(pickle.dumps(1001, 2), pickle.dumps(1002, 2), 1))
    with pytest.raises(BenchmarkFileError, match="expected torch's protocol 1001"):
        read_benchmark(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, 2) + b"more")
    with pytest.raises(BenchmarkFileError, match="does not end where its value ends"):
        read_benchmark(path)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Four times the architectures, and twice the memory at most."""
    peaks = []
    for n in (10, 40):
        path = tmp_path / f"{n}.pickle"
        path.write_bytes(pickle.dumps(nats_files.single(range(n)), 4))
        tracemalloc.start()
        assert len(read_benchmark(path)) == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_what_a_hook_never_takes_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_HELD", 1 << 16)
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps({i: [float(i)] for i in range(1_000_000)}, 4))
    with pytest.raises(BenchmarkFileError, match="65536 bytes between two results"):
        read_benchmark(path)


def test_message_does_not_quote_the_file(tmp_path: Path) -> None:
    """zipfile does, where a name in the directory has another length than in the header."""
    path = tmp_path / "a.pth"
    content = nats_files.zipped_pth(nats_files.nasbench201((1,)))
    at = content.index(b"PK\3\4") + 26
    path.write_bytes(content[:at] + b"\0\x20" + content[at + 2 :])
    with pytest.raises(BenchmarkFileError, match=r"differ|header") as caught:
        read_benchmark(path)
    assert len(str(caught.value)) < 1000


class Evil:
    def __reduce__(self) -> Any:
        return print, ("executed",)


def test_nothing_is_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for protocol in range(6):
        path = tmp_path / "a.pickle"
        path.write_bytes(pickle.dumps({"a": Evil()}, protocol))
        with pytest.raises(BenchmarkFileError, match="'print' is not allowed"):
            read_benchmark(path, format="nats")
    assert capsys.readouterr().out == ""


def changed(change: Any) -> bytes:
    content = nats_files.networks(5)
    change(content["200"])
    return nats_files.pbz2(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(arch_str="|none~0|"), "architecture 5"),
        (lambda r: r.update(arch_index="5"), "arch_index"),
        (lambda r: r["all_results"]["cifar10", 777].update(epochs=10), "ori-test@9"),
        (lambda r: r["all_results"]["cifar10", 777].update(eval_names=[5]), "eval_names"),
        (
            lambda r: r["all_results"]["cifar10", 777]["eval_acc1es"].update({"ori-test@8": 940}),
            "percentage",
        ),
        (
            lambda r: r["all_results"]["cifar10", 777]["eval_acc1es"].update({"ori-test@8": "94"}),
            "ori-test@8: expected a number, got '94'",
        ),
        (lambda r: r["all_results"].update({"cifar10": {}}), "data set, seed"),
        (lambda r: r["all_results"].update({("cifar10", 1): 5}), "a trial is a int"),
    ],
)
def test_contents_that_cannot_be_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "5.pickle.pbz2"
    path.write_bytes(changed(change))
    with pytest.raises(BenchmarkFileError, match=message) as caught:
        read_benchmark(path)
    assert str(path) in str(caught.value)


def test_two_files_of_one_architecture_are_refused(tmp_path: Path) -> None:
    path = nats_files.folder(tmp_path / "a", (5,))
    copy = path / "000005.pickle"
    copy.write_bytes(pickle.dumps(nats_files.networks(5)))
    with pytest.raises(BenchmarkFileError, match=r"architecture 5: has \S+@4:777 already"):
        read_benchmark(path)
    copy.unlink()
    content = nats_files.networks(5)
    for results in content.values():
        results["arch_index"] = 6
    (path / "000006.pickle.pbz2").write_bytes(nats_files.pbz2(content))
    with pytest.raises(BenchmarkFileError, match="its architecture is that of 5"):
        read_benchmark(path)
