"""NAS-Bench-101, NASLib, NDS and NAS-Bench-301."""

from __future__ import annotations

import json
import statistics
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import BenchmarkFileError, read_benchmark
from zeroshot.benchmarks import nasbench101, tfrecord
from zeroshot.spaces import get_space

from . import json_files, nasbench101_files
from .nasbench101_files import MODULES


def put(path: Path, content: Any) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


# --- NAS-Bench-101 ---------------------------------------------------------------------------


def final(module: str, epochs: int, repeat: int) -> dict[int, Any]:
    return nasbench101_files.evaluations((module, epochs, repeat), epochs)[2]


@pytest.mark.parametrize(("split", "field"), [("train", 3), ("valid", 4), ("test", 5)])
def test_nasbench101(tmp_path: Path, split: str, field: int) -> None:
    path = put(tmp_path / "nasbench_full.tfrecord", nasbench101_files.tfrecord(epochs=(4, 108)))
    benchmark = read_benchmark(path)
    assert (benchmark.space, len(benchmark), benchmark.records) == ("nasbench101", 3, 18)
    for epochs in (4, 108):
        for row, module in enumerate(MODULES):
            values = [100 * final(module, epochs, repeat)[field] for repeat in range(3)]
            for rule, value in {
                "mean": statistics.fmean(values), "max": max(values), "first": values[0],
                **dict(enumerate(values)),
            }.items():  # fmt: skip
                found = benchmark.accuracy(f"cifar10/{split}@{epochs}:{rule}")[row]
                assert found == pytest.approx(value, rel=1e-14)
    assert benchmark.column("cifar10/params_millions") == pytest.approx([1.234567] * 3)
    assert benchmark.column("cifar10@108/train_seconds") == pytest.approx([1801.0] * 3)
    halfway = [nasbench101_files.evaluations((MODULES[0], 4, r), 4)[1][4] for r in range(3)]
    found = benchmark.column("cifar10@4/halfway_valid_accuracy")[0]
    assert found == pytest.approx(100 * statistics.fmean(halfway))


def test_nasbench101_is_of_no_other_space(tmp_path: Path) -> None:
    path = put(tmp_path / "a.tfrecord", nasbench101_files.tfrecord())
    with pytest.raises(BenchmarkFileError, match="space: expected nasbench101, got nasbench201"):
        read_benchmark(path, space="nasbench201")
    assert read_benchmark(path, space="nasbench101").space == "nasbench101"


def test_modules_are_found_whatever_their_numbering(tmp_path: Path) -> None:
    benchmark = read_benchmark(put(tmp_path / "a.tfrecord", nasbench101_files.tfrecord()))
    matrix, ops = zeroshot.convert(MODULES[2], "matrix", space="nasbench101")
    renumbered = (matrix, (ops[0], ops[2], ops[1], *ops[3:]))
    assert benchmark.lookup(renumbered) == 2
    assert benchmark.lookup(zeroshot.convert(MODULES[1], "naslib", space="nasbench101")) == 1
    assert benchmark.lookup("adj=01/00;ops=input,output") is None
    table = tmp_path / "a.csv"
    benchmark.save(table)
    assert read_benchmark(table).lookup(renumbered) == 2


def test_masked_crcs_are_those_of_bits() -> None:
    rng = np.random.default_rng(0)
    contents = [rng.bytes(int(n)) for n in [*rng.integers(0, 300, 50), 0, 0, 1, 8, 8]]
    assert tfrecord.masked_crcs(contents) == [*map(nasbench101_files.masked_crc, contents)]


@pytest.mark.parametrize("at", [0, 8, 12, 40, -5, -1])
def test_every_flipped_bit_of_a_record_is_seen(tmp_path: Path, at: int) -> None:
    content = bytearray(nasbench101_files.tfrecord())
    content[at] ^= 4
    with pytest.raises(BenchmarkFileError, match=r"record \d: the (CRC of its|file ends)"):
        read_benchmark(put(tmp_path / "a.tfrecord", bytes(content)))


def test_records_are_read_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.tfrecord", nasbench101_files.tfrecord())
    whole = read_benchmark(path)
    monkeypatch.setattr(tfrecord, "BLOCK", 2)
    assert read_benchmark(path).accuracy("cifar10/test@108:mean").tolist() == (
        whole.accuracy("cifar10/test@108:mean").tolist()
    )


def with_metrics(message: bytes) -> bytes:
    import base64

    row = json.loads(nasbench101_files.record(MODULES[0], 108, 0))
    row[4] = base64.b64encode(message).decode()
    return nasbench101_files.framed(json.dumps(row).encode())


def test_damage_behind_a_right_crc_is_seen(tmp_path: Path) -> None:
    good = json.loads(nasbench101_files.record(MODULES[0], 108, 0))
    evaluations = nasbench101_files.evaluations(0, 108)
    huge = struct.pack("<Q", 1 << 40)
    files = {
        "expected 3 evaluations, got 2": with_metrics(
            nasbench101_files.metrics(evaluations[:2], 1)
        ),
        "an accuracy from 0 to 1": with_metrics(
            nasbench101_files.metrics([*evaluations[:2], {5: 93.0}], 1)
        ),
        "wire type 3": with_metrics(b"\x0b"),
        "field of 100 bytes": with_metrics(b"\x0a\x64ab"),
        "expected .hash": nasbench101_files.framed(json.dumps(good[:4]).encode()),
        "a matrix": nasbench101_files.framed(json.dumps([*good[:2], "0101", *good[3:]]).encode()),
        "another module": nasbench101_files.framed(json.dumps(good).encode())
        + nasbench101_files.framed(json.dumps([*good[:2], "0" * 16, *good[3:]]).encode()),
        "bytes are declared": huge
        + struct.pack("<I", nasbench101_files.masked_crc(huge)),
    }  # fmt: skip
    for message, content in files.items():
        path = put(tmp_path / "a.tfrecord", content)
        if message == "a matrix":  # 2 vertices, 4 operations
            message = "record 0"
        with pytest.raises(BenchmarkFileError, match=message):
            read_benchmark(path)
    assert nasbench101.SPLITS[5] == "test"


# --- NASLib ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", json_files.NASLIB)
@pytest.mark.parametrize(("old", "outer"), [(False, True), (True, False)])
def test_naslib(tmp_path: Path, name: str, old: bool, outer: bool) -> None:
    datasets = ("cifar10", "cifar100") if name == "nasbench201" else ("cifar10",)
    content = json_files.naslib(name, datasets, old=old, outer=outer)
    benchmark = read_benchmark(put(tmp_path / f"zc_{name}.json", content))
    space, write = json_files.NASLIB[name]
    module: Any = get_space(space)
    archs = module.sample(3, 1)
    assert benchmark.archs == tuple(archs)
    assert (benchmark.space, benchmark.records) == (space, 3 * len(datasets))
    networks = (content[name] if outer else content)[datasets[-1]]
    for row, values in enumerate(networks.values()):
        score = values["synflow"] if old else values["synflow"]["score"]
        assert benchmark.column(f"{datasets[-1]}/synflow")[row] == score
        notation = {"to_naslib": "naslib", "to_digits": "digits"}.get(write)
        if notation is None:
            assert benchmark.lookup(getattr(module, write)(archs[row])) == row


def test_naslib_accuracy_is_one_training(tmp_path: Path) -> None:
    content = json_files.naslib()
    benchmark = read_benchmark(put(tmp_path / "a.json", content))
    expected = [v["val_accuracy"] for v in content["nasbench201"]["cifar10"].values()]
    assert benchmark.accuracy("cifar10-valid/test@200:first").tolist() == expected
    for other in ("valid@200:first", "test@200:mean"):
        with pytest.raises(ValueError, match=f"no cifar10-valid/{other}"):
            benchmark.accuracy(f"cifar10-valid/{other}")
    surrogate = read_benchmark(
        put(tmp_path / "b.json", json_files.naslib("nasbench301", ["cifar10"]))
    )
    assert [*map(str, surrogate.targets)] == ["cifar10/valid@100:first:surrogate_accuracy"]


def test_naslib_records_of_one_network_are_one_row(tmp_path: Path) -> None:
    """Modules of NAS-Bench-101 that differ in unused vertices; the first record counts."""
    used = (0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 2, 1)
    more = (0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 1)
    networks = {str(used): {"val_accuracy": 90.0, "snip": 1.0}, str(more): {"val_accuracy": 91.0}}
    path = put(tmp_path / "zc.json", {"nasbench101": {"cifar10": networks}})
    benchmark = read_benchmark(path)
    assert (len(benchmark), benchmark.records) == (1, 2)
    assert benchmark.accuracy("cifar10/valid@108:first").tolist() == [90.0]


def test_naslib_accuracy_is_a_percentage(tmp_path: Path) -> None:
    content = json_files.naslib()
    next(iter(content["nasbench201"]["cifar10"].values()))["val_accuracy"] = 123.0
    with pytest.raises(BenchmarkFileError, match="val_accuracy: expected a percentage, got 123"):
        read_benchmark(put(tmp_path / "a.json", content))


def test_naslib_needs_a_space(tmp_path: Path) -> None:
    path = put(tmp_path / "scores.json", json_files.naslib(outer=False))
    with pytest.raises(BenchmarkFileError, match="space: expected one of nasbench101"):
        read_benchmark(path)
    assert read_benchmark(path, space="nasbench201").space == "nasbench201"


@pytest.mark.parametrize("arch", ["(1, 2)", "__import__('os')", "[[", "(9, 9, 9, 9, 9, 9)", ""])
def test_naslib_architecture_that_is_none(tmp_path: Path, arch: str) -> None:
    path = put(tmp_path / "a.json", {"nasbench201": {"cifar10": {arch: {"snip": 1.0}}}})
    with pytest.raises(BenchmarkFileError, match="cifar10"):
        read_benchmark(path)


# --- NDS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "dataset"), [("DARTS", "cifar10"), ("DARTS_in", "ImageNet")])
def test_nds(tmp_path: Path, file: str, dataset: str) -> None:
    jobs = json_files.nds()
    benchmark = read_benchmark(put(tmp_path / f"{file}.json", jobs))
    assert benchmark.archs == tuple(get_space("nds_darts").sample(3, 2))
    expected = [100 - job["test_ep_top1"][-1] for job in jobs]
    for rule in ("mean", "max", "first", "0"):
        assert benchmark.accuracy(f"{dataset}/test@5:{rule}") == pytest.approx(expected)
    train = [100 - job["train_ep_top1"][-1] for job in jobs]
    assert benchmark.accuracy(f"{dataset}/train@5:mean") == pytest.approx(train)
    assert benchmark.column("job_id").tolist() == [0, 1, 2]
    assert benchmark.column("epoch_time").tolist() == [33.5] * 3
    assert benchmark.lookup(jobs[1]) == benchmark.lookup(jobs[1]["net"]) == 1
    halves = {"top": jobs[:1], "mid": jobs[1:]}
    again = read_benchmark(put(tmp_path / "other.json", halves), space="nds_darts")
    assert again.archs == benchmark.archs


def test_nds_of_unknown_space(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFileError, match="space: expected one of nds_darts"):
        read_benchmark(put(tmp_path / "ResNet.json", json_files.nds()))


# --- NAS-Bench-301 -----------------------------------------------------------------------------


def test_nasbench301_folder(tmp_path: Path) -> None:
    results = [(1, 100, 32, 8), (1, 100, 32, 8), (2, 50, 32, 8), (2, 100, 50, 20)]
    for i, (seed, epochs, channels, layers) in enumerate(results):
        folder = tmp_path / f"run_{i}" / "results_fidelity_0"
        folder.mkdir(parents=True)
        content = json_files.nasbench301(seed, epochs, channels, layers)
        content["test_accuracy"] = 90.0 + i
        content["budget"] = 7  # which some searches counted in their own way
        put(folder / f"results_{i}.json", content)
    benchmark = read_benchmark(tmp_path)
    assert (benchmark.space, len(benchmark), benchmark.records) == ("nasbench301", 2, 4)
    assert benchmark.accuracy("cifar10/test@100:mean")[0] == 90.5
    assert benchmark.accuracy("cifar10/test@100:1")[0] == 91.0
    assert benchmark.accuracy("cifar10/test@50:first")[1] == 92.0
    assert benchmark.accuracy("cifar10-50x20/test@100:max")[1] == 93.0
    assert benchmark.column("cifar10@100/epochs_trained")[0] == 98
    assert benchmark.column("cifar10@100/params_millions")[0] == pytest.approx(1.204906)
    module: Any = get_space("nasbench301")
    arch = module.sample(1, 2)[0]
    normal, reduce = module.to_compact(arch)
    swapped = (*normal[:4], normal[5], normal[4], *normal[6:]), reduce
    assert benchmark.lookup(arch) == benchmark.lookup(swapped) == 1
    alone = tmp_path / "run_2" / "results_fidelity_0" / "results_2.json"
    assert read_benchmark(alone).archs == benchmark.archs[1:]


def test_nasbench301_folder_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Any) -> Any:
        raise PermissionError(13, "denied", str(path))

    put(tmp_path / "results_0.json", json_files.nasbench301())
    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(PermissionError, match="denied"):
        read_benchmark(tmp_path, format="nasbench301")


def test_nasbench301_limit_of_a_folder_is_that_of_all_files(tmp_path: Path) -> None:
    sizes = [
        put(tmp_path / f"results_{i}.json", json_files.nasbench301(i)).stat().st_size
        for i in range(3)
    ]
    assert len(read_benchmark(tmp_path, max_bytes=sum(sizes))) == 3
    with pytest.raises(BenchmarkFileError, match="raise max_bytes"):
        read_benchmark(tmp_path, max_bytes=max(sizes) + 1)


def test_json_of_long_numbers(tmp_path: Path) -> None:
    content = json.dumps(json_files.nasbench301()).encode()
    long = content.replace(b'"runtime": 5136', b'"runtime": ' + b"9" * 401)
    with pytest.raises(BenchmarkFileError, match="a number has 401 characters"):
        read_benchmark(put(tmp_path / "results_0.json", long))


def test_nasbench301_result_without_a_part(tmp_path: Path) -> None:
    for key in ("info", "optimized_hyperparamater_config"):
        content = {**json_files.nasbench301(), key: 1}
        with pytest.raises(BenchmarkFileError, match=key):
            read_benchmark(put(tmp_path / "results_0.json", content))
