"""Files that lie, were cut or changed: refused with a message, at little cost."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zeroshot import data
from zeroshot.data import safe_npz, safe_pickle
from zeroshot.errors import BenchmarkFileError

from .common import cifar10_python, cifar100_python, cifar_binary, imagenet16, put, small_npz

N_MUTATIONS = int(os.environ.get("ZEROSHOT_MUTATIONS", "300"))  # per kind of file


def npy(header: str, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header.encode() + content


def zipped(member: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("images.npy", member)
        archive.writestr("labels.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': ()}"))
    return file.getvalue()


def test_zip_bomb_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    n = 2**28
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({n // 48}, 4, 4, 3), }}"
    content = zipped(npy(header, bytes(n // 48 * 48)))
    assert len(content) < n // 500, "not a bomb"
    path = put(tmp_path / "bomb.npz", content)
    tracemalloc.start()
    try:
        with pytest.raises(BenchmarkFileError, match="at most 100000000 are allowed"):
            data.read_npz(path, max_bytes=10**8)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(content) + 2**20


def test_npz_sizes_that_lie_are_refused() -> None:
    shape = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 4, 4, 3), }"
    true = zipped(npy(shape, bytes(48)))
    directory = true.index(safe_npz.DIRECTORY_ENTRY)
    size_at = directory + 24  # of the inflated member, in the central directory
    members = {
        "declared size too large": true[:size_at] + b"\xff\xff\xff\x0f" + true[size_at + 4 :],
        "declared size too small": true[:size_at] + b"\x20\0\0\0" + true[size_at + 4 :],
        "checksum": true[: directory + 16] + bytes(4) + true[directory + 20 :],
        "encrypted": true[: directory + 8] + b"\x01\0" + true[directory + 10 :],
        "bzip2": zipped(npy(shape, bytes(48)), zipfile.ZIP_BZIP2),
        "shape too large": zipped(npy(shape.replace("(1,", "(999999999999,"), bytes(48))),
        "shape negative": zipped(npy(shape.replace("(1,", "(-1,"), bytes(48))),
        "shape overflows": zipped(npy(shape.replace("(1,", "(4294967296, 4294967296, "))),
        "shape 0 x 10**17": zipped(npy(shape.replace("(1,", f"(0, {10**17}, {10**17},"))),
        "header is code": zipped(npy("__import__('os').getcwd()", bytes(48))),
        "header nested": zipped(npy("(" * 9000 + ")" * 9000)),
        "object": zipped(npy(shape.replace("|u1", "|O"), bytes(48))),
        "version 9": zipped(b"\x93NUMPY\x09" + npy(shape, bytes(48))[7:]),
        "empty member": zipped(b""),
    }
    assert safe_npz.loads(true, "f", [("images",)], max_bytes=1000)["images"].shape == (1, 4, 4, 3)
    for name, content in members.items():
        with pytest.raises(BenchmarkFileError) as caught:
            safe_npz.loads(content, "f", [("images",)], max_bytes=2**40)
        assert "f" in str(caught.value), name


def test_npz_number_of_members_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_npz, "MAX_MEMBERS", 1)
    with pytest.raises(BenchmarkFileError, match="more than 1 members"):
        safe_npz.loads(small_npz(), "f", [("images",)], max_bytes=10**6)


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage bytes, mostly near both ends where the structure is; or cut, or repeat a piece."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        n = len(damaged)
        near_end = rng.integers(0, min(n, 400))
        at = int(rng.choice([near_end, n - 1 - near_end, rng.integers(0, n)], p=[0.45, 0.45, 0.1]))
        match rng.integers(0, 6):
            case 0:
                damaged[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                damaged[at] = int(rng.integers(0, 256))
            case 2:
                del damaged[at : at + int(rng.integers(1, 5))]
            case 3:
                damaged[at:at] = damaged[at : at + int(rng.integers(1, 40))]
            case 4:
                damaged[at : at + 4] = rng.choice([b"\xff" * 4, b"\xff\xff\xff\x7f", bytes(4)])
            case _:
                del damaged[max(at, 1) :]
        if not damaged:
            return b""
    return bytes(damaged)


FILES: dict[str, tuple[Callable[[], bytes], Callable[[Path], data.Images]]] = {
    "cifar10 python": (lambda: cifar10_python(1), data.read_cifar),
    "cifar100 python": (lambda: cifar100_python(1), data.read_cifar),
    "cifar10 protocol 0": (
        lambda: pickle.dumps(safe_pickle.loads(cifar10_python(1)), 0), data.read_cifar),
    "cifar10 protocol 5": (
        lambda: pickle.dumps(safe_pickle.loads(cifar10_python(1)), 5), data.read_cifar),
    "cifar10 binary": (lambda: cifar_binary(2, 1), data.read_cifar),
    "imagenet16": (lambda: imagenet16(2), data.read_imagenet16),
    "npz": (small_npz, data.read_npz),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_mutated_file_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    write, read = FILES[kind]
    content = write()
    rng = np.random.default_rng(20)
    n_refused = 0
    for i in range(N_MUTATIONS):
        damaged = mutate(content, rng)
        path = put(tmp_path / "file", damaged)
        try:
            images = read(path)
        except BenchmarkFileError:
            n_refused += 1
        except Exception as error:
            pytest.fail(f"mutation {i} of {kind} ended in {error!r}: {damaged[:200]!r}")
        else:
            assert 0 <= images.labels.min() <= images.labels.max() < images.n_classes
            assert np.isfinite(images.normalised(None)).all()
    assert n_refused > N_MUTATIONS // 5


@pytest.mark.parametrize("kind", FILES)
def test_truncated_file_is_refused(kind: str, tmp_path: Path) -> None:
    write, read = FILES[kind]
    content = write()
    lengths = {*range(0, len(content), 37), *range(len(content) - 40, len(content))}
    if kind == "cifar10 binary":
        lengths.discard(3073)  # a shorter file, but a whole one
    for n in sorted(lengths):
        with pytest.raises(BenchmarkFileError):
            read(put(tmp_path / "file", content[:n]))
