"""Mutated benchmark files: every one is read, or refused with `BenchmarkFileError`.

::

    python tests/benchmarks/fuzz.py                       20,000 files for each reader
    python tests/benchmarks/fuzz.py --runs 200            as tests do
    python tests/benchmarks/fuzz.py --only tfrecord --seed 7 --runs 1000

Of what is compressed or has checksums mostly the content is damaged and then packed again, so that
damage gets behind them. Any other exception, and memory of more than `MEMORY` bytes, end the run
with what is needed to see it again; the file that took longest is told behind each reader.
"""

from __future__ import annotations

import argparse
import base64
import bz2
import contextlib
import csv
import gzip
import io
import json
import pickle
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import json_files
import nasbench101_files
import nats_files

import zeroshot
from zeroshot.benchmarks.writing import write

MEMORY = 3 << 30
TOKENS = (
    b"null", b"true", b"-1", b"1e999", b"NaN", b"[]", b"{}", b'""', b"9" * 30, b"0", b"1" * 5000,
    b"-0.0", b"[[[[", b'"' + b"x" * 300 + b'"', b"\xff\xfe", b"\0", b",", b"\n", b"_", b"1e5",
)  # fmt: skip
NUMBERS = (b"\xff" * 4, b"\xff\xff\xff\x7f", bytes(4), b"\0\0\0\x80", b"\xff" * 8, b"\1\0\0\0")
OPCODES = b"(.0123FIJKLMNPQRSTUVXabcdeghijlopqrstu)]}" + bytes(range(0x80, 0x98))


def same(content: bytes) -> bytes:
    return content


@dataclass
class Kind:
    """Files of a reader: what is damaged, and how it is packed into a file of that name."""

    name: str
    content: bytes
    pack: Callable[[bytes], bytes] = same
    options: dict[str, Any] | None = None


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
    return file.getvalue()


def in_record(content: bytes) -> bytes:
    good = nasbench101_files.record(nasbench101_files.MODULES[1], 108, 0)
    return nasbench101_files.framed(good) + nasbench101_files.framed(content)


def in_metrics(content: bytes) -> bytes:
    row = json.loads(nasbench101_files.record(nasbench101_files.MODULES[0], 108, 0))
    row[4] = base64.b64encode(content).decode()
    return nasbench101_files.framed(json.dumps(row).encode())


def table() -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["index", "arch_str", "cifar10_test", "cifar10/test@12:first", "note"])
    for i in range(8):
        arch = zeroshot.convert(i, "text")
        writer.writerow([i, arch, 90 + i / 7, "" if i == 3 else 60 + i, "a" * i])
    return text.getvalue().encode()


def parquet() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "a.csv").write_bytes(table())
        write(zeroshot.read_benchmark(path / "a.csv"), path / "a.parquet")
        return (path / "a.parquet").read_bytes()


def kinds() -> dict[str, Kind]:
    # as small as files can be that have all parts
    nats_files.EVALUATIONS = {"cifar10": ("ori-test",), "cifar100": ("x-valid", "x-test")}
    one = {hp: nats_files.small(5, epochs) for hp, epochs in (("12", 1), ("200", 3))}
    two = {"meta_archs": [], "evaluated_indexes": {1, 2}}
    two["arch2infos"] = {i: {"less": nats_files.small(i, 2)} for i in (1, 2)}
    pth = nats_files.legacy_pth(two)
    dumps = json.dumps
    metrics = nasbench101_files.metrics(nasbench101_files.evaluations(0, 108), 1_000_000)
    module = nasbench101_files.record(nasbench101_files.MODULES[0], 108, 0)
    found = {
        "pbz2": Kind("000005.pickle.pbz2", pickle.dumps(one, 4), bz2.compress),
        "pickle0": Kind("a.pickle", pickle.dumps(one, 0)),
        "pickle5": Kind("a.pickle", pickle.dumps({**two, "total_archs": 2}, 5)),
        "pth": Kind("a.pth", pth),
        "pth_zip": Kind("a.pth", pickle.dumps(two, 2), zipped),
        "folder": Kind("folder/000005.pickle.pbz2", pickle.dumps(one, 4), bz2.compress),
        "tfrecord": Kind("a.tfrecord", module, in_record),
        "metrics": Kind("a.tfrecord", metrics, in_metrics),
        "naslib": Kind("zc_nasbench201.json", dumps(json_files.naslib(outer=False)).encode()),
        "naslib301": Kind("zc.json", dumps(json_files.naslib("nasbench301")).encode()),
        "nds": Kind("DARTS.json", dumps(json_files.nds()).encode()),
        "nasbench301": Kind("results_0.json", dumps(json_files.nasbench301()).encode()),
        "results": Kind("results/results_0.json", dumps(json_files.nasbench301()).encode()),
        "csv": Kind("a.csv", table()),
        "csv_gz": Kind("a.csv.gz", table(), gzip.compress),
    }
    with contextlib.suppress(ImportError):
        found["parquet"] = Kind("a.parquet", parquet())
    return found


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Flip, cut, repeat, splice, and change lengths; one to four times."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        n = len(damaged)
        if n == 0:
            return b""
        near_end = rng.randrange(min(n, 300))
        at = rng.choice((near_end, n - 1 - near_end, rng.randrange(n), rng.randrange(n)))
        match rng.randrange(10):
            case 0:
                damaged[at] ^= 1 << rng.randrange(8)
            case 1:
                damaged[at] = rng.randrange(256)
            case 2:
                del damaged[at : at + rng.randint(1, 8)]
            case 3:
                damaged[at:at] = damaged[at : at + rng.randint(1, 60)]
            case 4:
                number = rng.choice(NUMBERS)
                damaged[at : at + len(number)] = number
            case 5:
                other = rng.randrange(n)
                damaged[at:at] = damaged[other : other + rng.randint(1, 200)]
            case 6:
                damaged[at] = rng.choice(OPCODES)
            case 7:
                token = rng.choice(TOKENS)
                damaged[at : at + rng.choice((0, 1, len(token)))] = token
            case 8:
                _replace_number(damaged, at, rng)
            case _:
                if rng.random() < 0.3:
                    del damaged[max(at, 1) :]
    return bytes(damaged)


def _replace_number(damaged: bytearray, at: int, rng: random.Random) -> None:
    """A token in place of the digits at or behind `at`."""
    while at < len(damaged) and not 48 <= damaged[at] < 58:
        at += 1
    end = at
    while end < len(damaged) and (48 <= damaged[end] < 58 or damaged[end] == 46):
        end += 1
    damaged[at:end] = rng.choice(TOKENS)


def check(benchmark: zeroshot.Benchmark) -> None:
    """What is read can be used."""
    for name in benchmark.columns:
        assert benchmark.column(name).shape == (len(benchmark),)
    for target in benchmark.targets:
        values = benchmark.accuracy(target)
        assert values.dtype == np.float64
    if benchmark.space is not None:
        assert benchmark.lookup(benchmark.archs[0]) == 0
    assert len(benchmark.sha256) == 64


def run(name: str, kind: Kind, runs: int, seed: int, folder: Path) -> tuple[int, tuple[float, int]]:
    """How many files were refused, and the longest time that one took, and which."""
    n_refused, longest = 0, (0.0, 0)
    path = folder / kind.name
    path.parent.mkdir(exist_ok=True)
    opened = path.parent if "/" in kind.name else path
    for i in range(runs):
        rng = random.Random(f"{name} {seed} {i}")
        if rng.random() < 0.75:
            content = kind.pack(mutate(kind.content, rng))
        else:
            content = mutate(kind.pack(kind.content), rng)
        path.write_bytes(content)
        start = time.process_time()  # other work on the machine does not count
        try:
            check(zeroshot.read_benchmark(opened, max_bytes=10**8))
        except zeroshot.BenchmarkFileError as error:
            n_refused += 1
            assert len(str(error)) < 3000, f"{name}, run {i}: a message of {len(str(error))}"
        except BaseException:
            print(f"{name}, seed {seed}, run {i}: {content[:300]!r}", file=sys.stderr)
            raise
        longest = max(longest, (time.process_time() - start, i))
    return n_refused, longest


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    known = kinds()
    parser.add_argument("--runs", type=int, default=20_000, help="for each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=known, action="append", help="of these readers")
    args = parser.parse_args(argv)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only or known:
            start = time.perf_counter()
            n_refused, (seconds, slowest) = run(
                name, known[name], args.runs, args.seed, Path(folder)
            )
            print(
                f"{name:12} {args.runs} files, {n_refused} refused, "
                f"{time.perf_counter() - start:.0f} s, "
                f"at most {1000 * seconds:.0f} ms (run {slowest})",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
