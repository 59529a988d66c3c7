"""Targets, tables, and what is the same for all formats: recognition, limits, hashes."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zeroshot
from zeroshot import Benchmark, BenchmarkFileError, Target, read_benchmark
from zeroshot.benchmarks import (
    nasbench101,
    naslib,
    nats,
    nds,
    source,
    streams,
    table,
    tables,
    tfrecord,
)
from zeroshot.spaces import get_space

from . import json_files, nasbench101_files, nats_files

MADE = Benchmark(None, (), {"b": np.ones(1)}, records=1, source="a.csv", sha256="")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


# --- targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["cifar10/test@200:mean", "a-b/valid+test@1:777", "c/valid@100:first:surrogate_accuracy"],
)
def test_target_is_written_as_it_is_read(text: str) -> None:
    assert str(Target.parse(text)) == text
    assert Target.parse(text) == Target.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "cifar10", "cifar10/test", "cifar10/test@200", "cifar10/test@200:median", "/test@1:mean",
     "cifar10/test@x:mean", "cifar10/test@200:mean:a:b", "cifar10/test@-1:mean", None, 5],
)  # fmt: skip
def test_target_that_is_none(text: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        Target.parse(text)


@pytest.mark.parametrize(
    "change",
    [{"dataset": ""}, {"split": "a b"}, {"epochs": -1}, {"epochs": True}, {"epochs": 1.0},
     {"trials": "min"}, {"trials": -1}, {"metric": 3}],
)  # fmt: skip
def test_target_of_wrong_parts(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        Target(**{"dataset": "cifar10", "split": "test", "epochs": 200, "trials": "mean", **change})


def test_target_of_numpy_integers() -> None:
    target = Target("cifar10", "test", np.int64(200), np.int32(777))
    assert target == Target.parse("cifar10/test@200:777")
    assert type(target.epochs) is type(target.trials) is int


def test_target_has_no_default() -> None:
    with pytest.raises(TypeError, match="trials"):
        Target("cifar10", "test", 200)


def test_unknown_target_lists_what_is_there(simple: Path) -> None:
    benchmark = read_benchmark(simple)
    for wrong in ("cifar10/test@200:mean", Target("cifar10", "valid", 9, "mean")):
        with pytest.raises(ValueError, match=r"cifar10/test@9:mean\|max\|first\|777\|888\|999"):
            benchmark.accuracy(wrong)
    with pytest.raises(ValueError, match=r"DATASET/SPLIT@EPOCHS:TRIALS .* got 'cifar10'"):
        benchmark.accuracy("cifar10")
    with pytest.raises(ValueError, match="no column 'x'"):
        benchmark.column("x")
    with pytest.raises(
        ValueError, match=r"no cifar10/valid@9:mean.*cifar10-valid/valid@9"
    ) as caught:
        benchmark.accuracy("cifar10/valid@9:mean")
    assert "ImageNet" not in str(caught.value).partition(" and the columns ")[0]


def test_columns_are_copies(simple: Path) -> None:
    benchmark = read_benchmark(simple)
    benchmark.column("index")[:] = -1
    assert benchmark.column("index").tolist() == [0, 5, 7]


# --- reference data ----------------------------------------------------------------------------


def test_known_values_of_nasbench201(shared: Path) -> None:
    benchmark = read_benchmark(shared / "data" / "nasbench201.csv.gz")
    assert len(benchmark) == benchmark.records == 15_625
    test = benchmark.accuracy("cifar10/test@200:mean")
    valid = benchmark.accuracy("cifar10-valid/valid@200:mean")
    assert (test.argmax(), test[6111]) == (6111, 94.3733)
    assert (valid.argmax(), valid[6111]) == (6111, 91.6067)
    for target, index, value in (
        ("cifar100/test@200:mean", 9930, 73.5133),
        ("ImageNet16-120/test@200:mean", 857, 47.3111),
    ):
        found = benchmark.accuracy(target)
        assert (found.argmax(), found[index]) == (index, value)
    assert (abs(test - 10) < 0.01).sum() == 341
    assert (test == benchmark.accuracy("cifar10_test")).all()
    short = benchmark.accuracy("cifar10/test@12:first")
    assert short.mean() == pytest.approx(75.98, abs=0.01)
    assert short.max() < 90
    assert benchmark.lookup(6111) == benchmark.lookup(benchmark.archs[6111]) == 6111


@pytest.mark.parametrize(
    ("name", "space", "rows"),
    [
        ("nasbench101", "nasbench101", 406),
        ("nasbench301", "nasbench301", 363),
        ("transnasbench101_micro", "transnas_micro", 2048),
        ("nasbench201_reference_scores", "nasbench201", None),
        ("xi_gsnr_official_curves", None, 105),
    ],
)
def test_tables_of_other_spaces(shared: Path, name: str, space: str, rows: int | None) -> None:
    benchmark = read_benchmark(shared / "data" / f"{name}.csv.gz")
    assert benchmark.space == space
    if rows is not None:
        assert len(benchmark) == rows
    else:
        assert "cifar10/val_accuracy" in benchmark.columns
        assert benchmark.records > len(benchmark)


def test_val_accuracy_of_naslib_is_of_test_images(shared: Path) -> None:
    """Why `naslib.ACCURACIES` says so; validation sets have 25,000, 5,000 and 3,000 images."""
    scores = read_benchmark(shared / "data" / "nasbench201_reference_scores.csv.gz")
    table = read_benchmark(shared / "data" / "nasbench201.csv.gz")
    rows = np.array([table.lookup(arch) for arch in scores.archs])

    def n_equal(target: str) -> int:
        of_naslib = scores.column("cifar10/val_accuracy")
        return int((abs(of_naslib - table.accuracy(target)[rows]) < 1e-4).sum())

    assert n_equal("cifar10-valid/test@200:mean") >= 60  # those that were trained once
    assert n_equal("cifar10-valid/valid@200:mean") == 0
    for dataset, name in (("cifar100", "cifar100"), ("ImageNet16-120", "imagenet16_120")):
        found = scores.column(f"{dataset}/val_accuracy")
        spread = {
            s: np.nanstd(found - table.column(f"{name}_{s}")[rows]) for s in ("valid", "test")
        }
        assert spread["test"] < 0.75 * spread["valid"]


# --- tables ------------------------------------------------------------------------------------


def put(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_what_is_saved_is_read(simple: Path, tmp_path: Path, ending: str) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is not installed: no Parquet")
    benchmark = read_benchmark(simple)
    path = tmp_path / f"out{ending}"
    benchmark.save(path)
    again = read_benchmark(path)
    assert (again.space, again.archs, again.columns, again.targets) == (
        benchmark.space, benchmark.archs, benchmark.columns, benchmark.targets,
    )  # fmt: skip
    for name in benchmark.columns:
        np.testing.assert_array_equal(again.column(name), benchmark.column(name))
    first = path.read_bytes()
    benchmark.save(path)
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_where_no_table_can_be_written(
    simple: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = read_benchmark(simple)
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(IsADirectoryError, match=r"expected a file.*a\.csv"):
        benchmark.save(tmp_path / "a.csv")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(PermissionError, match="no file can be written in this folder"):
        benchmark.save(tmp_path / "b.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_table_has_the_rights_of_other_files(simple: Path, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    read_benchmark(simple).save(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_table_of_a_data_set_per_row(tmp_path: Path) -> None:
    path = put(
        tmp_path / "a.csv",
        "dataset,arch,snip,note\ncifar10,8:8:8:8:8,1.5,a\ncifar100,8:8:8:8:8,2,\n"
        "cifar100,8:8:8:8:16,,b\n",
    )
    benchmark = read_benchmark(path)
    assert (len(benchmark), benchmark.records) == (2, 3)
    assert benchmark.columns == ("cifar10/snip", "cifar100/snip")
    np.testing.assert_array_equal(benchmark.column("cifar10/snip"), [1.5, np.nan])
    np.testing.assert_array_equal(benchmark.column("cifar100/snip"), [2, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("a,b\n", "expected rows"),
        ("arch,b\n8:8:8:8:8,x\n", "columns of numbers"),
        ("arch,b\n8:8:8:8:8,1\n8:8:8:8:8,2\n", "line 3: its architecture has a row already"),
        ("arch,b\n8:8:8:8:8,1\n9:8:8:8:8,2\n", "line 3"),
        ("arch,b\n8:8:8:8:8\n", "line 2: expected 2 cells, got 1"),
        ("arch,b,b\n8:8:8:8:8,1,2\n", "column names that differ"),
        ('arch,b\n"8:8:8:8:8,1\n', "line 2"),
        ("arch,b\nGenotype(x),1\n", "space: expected one of nasbench301, darts"),
        ("space,arch,b\nnowhere,8:8:8:8:8,1\n", "'nowhere' is no space"),
        ("space,arch,b\nnats_sss,8:8:8:8:8,1\nnasbench201,8:8:8:8:16,2\n",
         "line 3: space: expected nats_sss, got 'nasbench201'"),
        ("arch,b\nfoo,1\n", "line 2: space: expected it to be named, as column arch does not"),
        ("arch,b\n|none~0|+bad,1\n", "line 2: expected '|' before a term of node 2, got 'bad'"),
        ("arch;b\n8:8:8:8:8;1\n", "got none: arch;b has '8:8:8:8:8;1' in line 2"),
        ("normal,reduce,b\nsep_conv_3x3~9,sep_conv_3x3~0,1\n", "line 2"),
    ],
)  # fmt: skip
def test_table_that_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BenchmarkFileError, match=re.escape(message)):
        read_benchmark(put(tmp_path / "a.csv", text))


def test_space_and_column_space_agree(tmp_path: Path) -> None:
    genotype = zeroshot.convert("DARTS_V2", "text", space="darts")
    path = put(tmp_path / "a.csv", f'space,arch,b\nnasbench301,"{genotype}",1\n')
    with pytest.raises(BenchmarkFileError, match="space: expected darts, got 'nasbench301'"):
        read_benchmark(path, space="darts")
    assert read_benchmark(path).space == "nasbench301"


def test_columns_that_are_left_out_are_named(tmp_path: Path) -> None:
    """One text in a column of accuracies; a blank line before the header."""
    path = put(tmp_path / "a.csv", "\narch,acc,b\n8:8:8:8:8,81.5,1\n8:8:8:8:16,N/A,2\n")
    benchmark = read_benchmark(path)
    assert benchmark.columns == ("b",)
    assert benchmark.left_out == {"acc": "'N/A' in line 4"}
    for ask in (benchmark.accuracy, benchmark.column):
        with pytest.raises(
            ValueError, match="expected a column of numbers, got 'acc', which has 'N"
        ):
            ask("acc")


def test_column_named_by_a_target_is_before_a_known_one(tmp_path: Path) -> None:
    row = f"cifar10/test@200:mean,arch,cifar10_test\n90,{zeroshot.convert(1, 'text')},80\n"
    benchmark = read_benchmark(put(tmp_path / "a.csv", row))
    assert benchmark.accuracy(Target("cifar10", "test", 200, "mean")) == [90.0]
    assert benchmark.accuracy("cifar10_test") == [80.0]


@pytest.mark.parametrize("text", ["arch\tb\n8:8:8:8:8\t1\n", "\ufeffarch,b\n8:8:8:8:8,1\n"])
def test_tabs_and_byte_order_marks(tmp_path: Path, text: str) -> None:
    benchmark = read_benchmark(put(tmp_path / "a.tsv", text))
    assert (benchmark.archs, benchmark.columns) == (("8:8:8:8:8",), ("b",))


def test_first_of_equal_rows_is_found(tmp_path: Path) -> None:
    """Two numberings of one module, and a third."""
    ops = ("conv3x3-bn-relu", "maxpool3x3", "conv1x1-bn-relu")
    edges = "01110/00001/00001/00001/00000"
    archs = [f"adj={edges};ops=input,{','.join(ops[i:] + ops[:i])},output" for i in range(3)]
    path = put(tmp_path / "a.csv", f'arch,b\n"{archs[0]}",1\n"{archs[1]}",2\n')
    assert read_benchmark(path).lookup(archs[2]) == 0


def test_table_by_index(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "index,test\n17,1\n4811,2\n")
    benchmark = read_benchmark(path, space="nasbench201")
    assert benchmark.archs == (zeroshot.convert(17, "text"), zeroshot.convert(4811, "text"))
    assert read_benchmark(path).space is None
    with pytest.raises(BenchmarkFileError, match=r"an index, got '1\.5'"):
        read_benchmark(put(path, "index,test\n1.5,1\n"), space="nasbench201")


def test_parquet_needs_its_extra(simple: Path, tmp_path: Path, run_python: Run) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None; import zeroshot\n"
        f"zeroshot.read_benchmark({str(simple)!r}).save('a.parquet')"
    )
    done = run_python(code)
    assert "ImportError: a.parquet: Parquet needs pyarrow" in done.stderr
    assert "pip install 'zeroshot[experiments]'" in done.stderr


# --- all formats -------------------------------------------------------------------------------


def files() -> dict[str, tuple[str, bytes]]:
    dumps = json.dumps
    return {
        "nats": ("a.pickle", pickle.dumps(nats_files.networks(5), 4)),
        "pth": ("a.pth", nats_files.legacy_pth(nats_files.nasbench201((1,)))),
        "nasbench101": ("a.tfrecord", nasbench101_files.tfrecord()),
        "naslib": ("a.json", dumps(json_files.naslib()).encode()),
        "nds": ("DARTS.json", dumps(json_files.nds()).encode()),
        "nasbench301": ("a.json", dumps(json_files.nasbench301()).encode()),
        "csv": ("a.csv", b"name,arch,bbbb\nx,8:8:8:8:8,1\ny,8:8:8:8:16,2\n"),
    }


@pytest.mark.parametrize("kind", files())
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_format_is_seen_from_the_content(tmp_path: Path, kind: str, pack: Any) -> None:
    name, content = files()[kind]
    path = tmp_path / (name if kind == "nds" else "file")
    path.write_bytes(pack(content))
    benchmark = read_benchmark(path)
    assert benchmark.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert benchmark.source == str(path)


@pytest.mark.parametrize("kind", files())
def test_file_larger_than_allowed(tmp_path: Path, kind: str) -> None:
    name, content = files()[kind]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BenchmarkFileError, match="larger than 10 bytes"):
        read_benchmark(path, max_bytes=10)


LIMITS = [
    ("nats", table, "MAX_CELLS", 100, "more than 100 numbers"),
    ("csv", table, "MAX_CELLS", 8, "more than 8 numbers"),
    ("csv", table, "MAX_ARCH_BYTES", 100, "more than 100 bytes of architectures"),
    ("nats", table, "MAX_SEEDS", 2, "more than 2 trainings of an architecture on"),
    ("nats", nats, "MAX_TRIALS", 5, "expected a dict of at most 5 trials"),
    ("nats", nats, "MAX_EPOCHS", 8, "epochs: expected an integer from 1"),
    ("nats", streams, "MAX_TEXTS", 1000, "more than 1000 bytes of different texts"),
    ("nats", streams, "MAX_DEPTH", 3, "nested more than 3 deep"),
    ("nasbench101", nasbench101, "MAX_REPEATS", 2, "more than 2 trainings of its module"),
    ("nasbench101", tfrecord, "MAX_RECORD", 20, "bytes are declared, at most 20 are allowed"),
    ("naslib", source, "MAX_JSON", 20, "has more than 20 bytes"),
    ("naslib", naslib, "MAX_KEY", 5, "expected integers in brackets"),
    ("nds", nds, "MAX_EPOCHS", 4, "expected at most 4 epochs, got 5"),
    ("csv", tables, "MAX_COLUMNS", 1, "more than 1 columns"),
    ("csv", tables, "MAX_NAME", 3, "column names that differ, and are short"),
]


@pytest.mark.parametrize(("kind", "module", "name", "limit", "message"), LIMITS)
def test_every_limit_is_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    module: Any,
    name: str,
    limit: int,
    message: str,
) -> None:
    file, content = files()[kind]
    (tmp_path / file).write_bytes(content)
    read_benchmark(tmp_path / file)
    monkeypatch.setattr(module, name, limit)
    with pytest.raises(BenchmarkFileError, match=message):
        read_benchmark(tmp_path / file)


def test_long_values_between_results_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(nats_files.networks(5, weights={"w": bytes(1000)}), 4))
    read_benchmark(path)
    monkeypatch.setattr(streams, "MAX_WEIGHTS", 900)
    with pytest.raises(BenchmarkFileError, match="more than 900 bytes of long values"):
        read_benchmark(path)


@pytest.mark.parametrize("name", ["MAX_MEMO", "MAX_KEPT"])
def test_what_is_kept_of_a_pickle_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(nats_files.networks(5), 4))
    monkeypatch.setattr(streams, "WINDOW", 1000)
    read_benchmark(path)
    monkeypatch.setattr(streams, name, 5)
    with pytest.raises(BenchmarkFileError, match="more values are kept for later use"):
        read_benchmark(path)


def test_columns_with_few_numbers_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten columns have one number each, which forty rows make four hundred."""
    names = ",".join(f"c{i}" for i in range(10))
    rows = "".join(f"{8 * (i % 8 + 1)}:{8 * (i // 8 + 1)}:8:8:8{',' * 10}\n" for i in range(1, 40))
    path = put(tmp_path / "a.csv", f"arch,{names}\n8:8:8:8:8{',1' * 10}\n{rows}")
    assert len(read_benchmark(path)) == 40
    monkeypatch.setattr(table, "MAX_CELLS", 300)
    with pytest.raises(BenchmarkFileError, match="40 rows of 10 columns are more than 300"):
        read_benchmark(path)


def test_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LINE", 20)
    with pytest.raises(BenchmarkFileError, match="a line has more than 20 bytes"):
        read_benchmark(put(tmp_path / "a.csv", "arch,b\n8:8:8:8:8,1.00000000000000000000"))


def test_limit_of_a_folder_is_that_of_all_files(simple: Path) -> None:
    sizes = [len(bz2.decompress(p.read_bytes())) for p in simple.glob("0*")]
    assert len(read_benchmark(simple, max_bytes=sum(sizes))) == 3
    with pytest.raises(BenchmarkFileError, match="raise max_bytes"):
        read_benchmark(simple, max_bytes=max(sizes) + 1)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("start", [b"arch,b\n", b"[", b"\x80\x04", b"\x80\x04]"])
def test_bomb_is_refused_in_little_memory(tmp_path: Path, pack: Any, start: bytes) -> None:
    import tracemalloc

    path = tmp_path / "bomb"
    path.write_bytes(pack(start + bytes(2**27)))
    tracemalloc.start()
    try:
        with pytest.raises(BenchmarkFileError):
            read_benchmark(path, max_bytes=2**24)
        assert tracemalloc.get_traced_memory()[1] < 2**27
    finally:
        tracemalloc.stop()


def test_archives_have_to_be_unpacked(simple: Path, tmp_path: Path) -> None:
    for kind in ("tar", "gztar", "zip"):  # as NATS-Bench and NDS are distributed
        path = shutil.make_archive(str(tmp_path / "a"), kind, simple)
        with pytest.raises(BenchmarkFileError, match="to be unpacked"):
            read_benchmark(path)


@pytest.mark.parametrize("content", [b"", b"\0\1\2\3", b"{}", b"[1]", b"[" * 99_999])
def test_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(BenchmarkFileError):
        read_benchmark(path)


def test_wrong_arguments(tmp_path: Path) -> None:
    path = put(tmp_path / "a.csv", "arch,b\n8:8:8:8:8,1\n")
    with pytest.raises(ValueError, match="format: expected one of nats, nasbench101"):
        read_benchmark(path, format="hdf5")
    with pytest.raises(ValueError, match="space: expected one of"):
        read_benchmark(path, space="nasbench202")
    with pytest.raises(ValueError, match="max_bytes"):
        read_benchmark(path, max_bytes=0)
    with pytest.raises(FileNotFoundError):
        read_benchmark(tmp_path / "nothing")
    with pytest.raises(BenchmarkFileError, match="expected a folder"):
        read_benchmark(tmp_path)
    with pytest.raises(ValueError, match=r"ends in \.csv"):
        read_benchmark(path).save(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: read_benchmark(None), "path: expected a path, got NoneType"),
        (lambda: read_benchmark("a", progress=5), "progress: expected a function, got int"),
        (lambda: MADE.accuracy(None), "target: expected a Target or a text, got NoneType"),
        (lambda: MADE.column(["b"]), "name: expected a text, got list"),
    ],
)
def test_argument_of_a_wrong_type_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_pipe_is_refused(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BenchmarkFileError, match="regular file"):
        read_benchmark(tmp_path / "pipe")


def test_progress_is_told(tmp_path: Path, simple: Path) -> None:
    told: list[tuple[int, int]] = []
    path = tmp_path / "a.pickle"
    path.write_bytes(pickle.dumps(nats_files.single(range(30)), 4))
    read_benchmark(path, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (path.stat().st_size,) * 2
    assert told == sorted(told)
    told.clear()
    read_benchmark(simple, progress=lambda done, total: told.append((done, total)))
    assert len(told) == 3 and told[-1][0] == told[-1][1]


def test_lookup_takes_all_notations(simple: Path) -> None:
    benchmark = read_benchmark(simple)
    for notation in zeroshot.notations("nasbench201"):
        if notation.name in ("naslib", "genes"):  # which look the same
            continue
        arch = zeroshot.convert(7, notation.name)
        assert benchmark.lookup(arch) == 2, notation.name
        assert benchmark.lookup(zeroshot.convert(8, notation.name)) is None
    with pytest.raises(zeroshot.ArchitectureError):
        benchmark.lookup("|none~0|")
    assert isinstance(benchmark, Benchmark)
    assert "3 architectures" in repr(benchmark)


def test_mutated_files_are_read_or_refused() -> None:
    fuzz = Path(__file__).with_name("fuzz.py")
    done = subprocess.run(
        [sys.executable, str(fuzz), "--runs", "200"], capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = [int(line.split()[3]) for line in done.stdout.splitlines()]
    assert len(counts) >= 14 and min(counts) > 100, done.stdout


def test_space_of_saved_table_is_known(tmp_path: Path) -> None:
    """Genotypes are of two spaces, so that a table has to tell."""
    path = tmp_path / "results_0.json"
    path.write_text(json.dumps(json_files.nasbench301()))
    read_benchmark(path).save(tmp_path / "a.csv")
    assert read_benchmark(tmp_path / "a.csv").space == "nasbench301"
    assert get_space("nasbench301").NAME == "nasbench301"
