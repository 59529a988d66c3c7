"""`zeroshot.data`: readers against what other programs write, damage, presets and draws."""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeroshot import data, errors
from zeroshot.data import safe_npz, safe_pickle
from zeroshot.errors import BenchmarkFileError

SHARED = Path(os.environ.get("ZEROSHOT_SHARED", Path(__file__).parents[1].parent / "shared"))
N_MUTATIONS = int(os.environ.get("ZEROSHOT_MUTATIONS", "300"))  # per kind of file


def batch(n: int, n_columns: int, n_classes: int, seed: int = 0) -> tuple[Any, list[int]]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, n_columns), dtype=np.uint8)
    return pixels, rng.integers(0, n_classes, n).tolist()


def py2_pickle(value: object, numpy_core: str = "numpy.core") -> bytes:
    """`value` as Python 2's cPickle writes it with protocol 2, without the memo."""

    def string(s: bytes) -> bytes:
        return b"U" + bytes([len(s)]) + s if len(s) < 256 else b"T" + struct.pack("<i", len(s)) + s

    def write(v: Any) -> bytes:
        if isinstance(v, int):
            return b"K" + bytes([v]) if 0 <= v < 256 else b"J" + struct.pack("<i", v)
        if isinstance(v, bytes):
            return string(v)
        if isinstance(v, list):
            return b"](" + b"".join(map(write, v)) + b"e"
        if isinstance(v, dict):
            return b"}(" + b"".join(write(k) + write(x) for k, x in v.items()) + b"u"
        assert isinstance(v, np.ndarray)
        empty = (
            b"c"
            + numpy_core.encode()
            + b".multiarray\n_reconstruct\n"
            + (b"cnumpy\nndarray\nK\0\x85U\x01b\x87R")
        )
        order = v.dtype.str[:1].encode()
        dtype = (
            b"cnumpy\ndtype\n"
            + string(v.dtype.str[1:].encode())
            + b"K\0K\x01\x87R"
            + (b"(K\x03" + string(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb")
        )
        shape = b"(" + b"".join(map(write, v.shape)) + b"t"
        return empty + b"(K\x01" + shape + dtype + b"\x89" + string(v.tobytes()) + b"tb"

    return b"\x80\x02" + write(value) + b"."


def cifar10_python(n: int = 4, seed: int = 0) -> bytes:
    pixels, labels = batch(n, 3072, 10, seed)
    names = [b"a_%d.png" % i for i in range(n)]
    return py2_pickle({b"data": pixels, b"labels": labels, b"filenames": names})


def cifar100_python(n: int = 4) -> bytes:
    pixels, labels = batch(n, 3072, 100)
    content = {"data": pixels, "fine_labels": labels, "coarse_labels": [0] * n}
    return pickle.dumps(content, protocol=4)


def cifar_binary(n: int, n_labels: int, seed: int = 0) -> bytes:
    pixels, labels = batch(n, 3072, 10 if n_labels == 1 else 100, seed)
    coarse = [[19]] * n if n_labels == 2 else [[]] * n
    return b"".join(
        bytes([*c, y]) + x.tobytes() for c, y, x in zip(coarse, labels, pixels, strict=True)
    )


def imagenet16(n: int = 6, seed: int = 0, labels: list[int] | None = None) -> bytes:
    pixels, _ = batch(n, 768, 10, seed)
    return py2_pickle(
        {b"data": pixels, b"labels": labels or [1, 120, 121, 2, 1000, 3][:n],
         b"mean": np.zeros(768)}
    )  # fmt: skip


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def small_npz() -> bytes:
    pixels, labels = batch(4, 192, 3)
    return npz(images=pixels.reshape(4, 8, 8, 3), labels=np.array(labels))


def to_hwc(pixels: Any, side: int) -> Any:
    """Pixel [row, column, colour] from the flat layout, index by index."""
    planes = pixels.reshape(len(pixels), 3, side, side)
    return np.stack([planes[:, 0], planes[:, 1], planes[:, 2]], axis=3)


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.fixture
def some_images() -> data.Images:
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (40, 6, 7, 3), dtype=np.uint8)
    return data.Images(pixels, np.arange(40) % 10, "some")


# Errors.


def test_errors_keep_their_attributes_through_pickle() -> None:
    a = pickle.loads(pickle.dumps(errors.ArchitectureError("bad op", 7)))
    n = pickle.loads(pickle.dumps(errors.NonFiniteError("nan", {"status": "nonfinite"})))
    assert (str(a), a.position) == ("bad op", 7)
    assert (str(n), n.result) == ("nan", {"status": "nonfinite"})
    assert issubclass(errors.ArchitectureError, ValueError)
    assert issubclass(BenchmarkFileError, ValueError)


# The pickle interpreter against pickle.


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">i4", "<f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_pickle_arrays_equal_those_of_pickle(protocol: int, dtype: str, order: Any) -> None:
    array = np.arange(-3, 21).astype(dtype).reshape(2, 3, 4).copy(order)
    read = safe_pickle.loads(pickle.dumps({"a": array, "again": array}, protocol))
    assert isinstance(read["a"], np.ndarray)
    assert read["a"].dtype == array.dtype
    np.testing.assert_array_equal(read["a"], array)
    assert read["again"] is read["a"]
    assert not read["a"].flags.writeable


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_plain_values_equal_those_of_pickle(protocol: int) -> None:
    shared = ["x"]
    value = {
        "numbers": [0, 255, 256, -1, 2**31, -(2**63), 1.5, float("inf"), True, False, None],
        "texts": ["", "é\n'\\", "€" * 300, b"\x00\xff'\n" if protocol > 2 else ""],
        "nested": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {"k": [shared, shared]}),
        "scalar": [np.int64(7), np.float32(0.5)],
    }
    assert safe_pickle.loads(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_pickle_of_python_2_equals_that_of_pickle(core: str) -> None:
    value = {b"data": batch(2, 400, 10)[0], b"labels": [3, 300], b"name": b"testing \xff"}
    written = py2_pickle(value, core)
    expected = pickle.loads(written, encoding="bytes") if core == "numpy._core" else value
    read = safe_pickle.loads(written)
    np.testing.assert_array_equal(read["data"], expected[b"data"])
    assert (read["labels"], read["name"]) == (expected[b"labels"], expected[b"name"])


def test_pickle_reads_python_2_protocol_0() -> None:
    written = (
        b"(dp0\nS'na\\x00me\\n\\''\np1\nS\"it's\"\np2\nsS'n'\nL12L\nsS'b'\nI01\ns"
        b"S'l'\n(lp3\nI1\naF2.5\nasVu\\u20ac\nNs."
    )
    expected = pickle.loads(written, encoding="bytes")
    as_text = {k.decode() if isinstance(k, bytes) else k: v for k, v in expected.items()}
    assert safe_pickle.loads(written) == as_text


class Touch:
    """Creates a file when a real unpickler loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickle_runs_nothing(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    written = pickle.dumps({"data": Touch(target)})
    with pytest.raises(BenchmarkFileError, match="not allowed"):
        safe_pickle.loads(written)
    assert not target.exists()
    pickle.loads(written)
    assert target.exists(), "the pickle must be a working attack for the test to mean anything"


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n)U\x01b\x87R"
U1 = b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R"
# name: content, why it is refused
HOSTILE = {
    "empty": (b"", "the file is empty"),
    "no stop": (b"\x80\x02}", "1 more bytes are declared, 0 are there"),
    "stop alone": (b".", "the pickle does not end where its one value ends"),
    "not a dict": (b"].", "the pickle is a list, expected dict"),
    "two values": (b"}}.", "the pickle does not end where its one value ends"),
    "open mark": (b"}(}.", "the pickle does not end where its one value ends"),
    "bytes after the end": (b"}.}", "the pickle does not end where its one value ends"),
    "protocol 9": (b"\x80\x09}.", "pickle protocol 9 is not known"),
    "global os.system": (b"cos\nsystem\nU\x02ls\x85R.", "the global 'os' 'system' is not allowed"),
    "global builtins.eval": (
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.",
        "the global 'builtins' 'eval' is not allowed"),
    "numpy global that is not ours": (
        b"cnumpy\nload\nU\x01x\x85R.",
        "the global 'numpy' 'load' is not allowed"),
    "persistent id": (b"Pid\n.", "opcode b'P' is not allowed"),
    "extension code": (b"\x82\x01.", "opcode b'\\x82' is not allowed"),
    "instance": (b"(inumpy\nndarray\n.", "opcode b'i' is not allowed"),
    "new object": (b"cnumpy\nndarray\n)\x81.", "opcode b'\\x81' is not allowed"),
    "set": (b"\x8f.", "opcode b'\\x8f' is not allowed"),
    "buffer": (b"\x97.", "opcode b'\\x97' is not allowed"),
    "pop of nothing": (b"0.", "a value is taken from an empty stack"),
    "put of nothing": (b"q\x00.", "a value is looked for on an empty stack"),
    "duplicate of nothing": (b"2.", "a value is looked for on an empty stack"),
    "tuple of too few": (b"N\x87.", "3 values are taken from a stack of 1"),
    "no mark": (b"]e.", "no mark is set"),
    "append to None": (b"NNa.", "values are appended to a NoneType"),
    "item of a list": (b"]NNs.", "2 keys and values are set in a list"),
    "odd items": (b"}(Nu.", "1 keys and values are set in a dict"),
    "memo miss": (b"}h\x07.", "nothing is stored at memo index 7"),
    "tuple key nested a million deep": (
        b"})" + b"\x85" * 1_000_000 + b"Ns.",
        "a dict key is a tuple, expected str or bytes"),
    "list key": (b"}]Ns.", "a dict key is a list, expected str or bytes"),
    "long key": (
        b"}T" + struct.pack("<i", 500) + b"k" * 500 + b"Ns.",
        "a dict key has length 500, expected at most 256"),
    "memo index 2**31": (b"Nr\xff\xff\xff\x7f.", "the pickle is a NoneType, expected dict"),
    "bytes of 2**62 declared": (
        b"\x8e" + struct.pack("<Q", 2**62) + b"x.",
        "4611686018427387904 more bytes are declared, 2 are there"),
    "string of -1 declared": (
        b"T\xff\xff\xff\xff.",
        "4294967295 more bytes are declared, 1 are there"),
    "integer of 200 bytes": (
        b"\x8a\xc8" + b"\x7f" * 200 + b".",
        "an integer has 200 bytes, expected at most 8"),
    "integer of 2**31 bytes": (
        b"\x8b\xff\xff\xff\x7f.",
        "2147483647 more bytes are declared, 1 are there"),
    "integer of 100,000 digits": (
        b"I" + b"9" * 100_000 + b"\n.",
        "a number has more than 32 characters"),
    "integer of letters": (b"Ixyz\n.", "invalid literal for int()"),
    "float of letters": (b"Fxyz\n.", "could not convert string to float: b'xyz'"),
    "line without end": (b"I1", "a text line does not end"),
    "string without quotes": (b"Sabc\n.", "a string is not quoted"),
    "not UTF-8": (b"X\x01\0\0\0\xff.", "'utf-8' codec can't decode byte 0xff"),
    "broken escape": (b"V\\u12\n.", "'rawunicodeescape' codec can't decode bytes"),
    "frame cut": (b"\x95\0\0", "8 more bytes are declared, 2 are there"),
    "call of a list": (b"])R.", "a call of list with these arguments is not allowed"),
    "call with a list": (b"cnumpy\ndtype\n]R.", "arguments are a list, expected tuple"),
    "call of ndarray": (
        b"cnumpy\nndarray\nK\x09\x85\x85R.",
        "a call of ndarray with these arguments is not allowed"),
    "dtype O": (b"cnumpy\ndtype\nU\x02O8K\0K\x01\x87R.", "dtype 'O8'"),
    "dtype V": (b"cnumpy\ndtype\nU\x02V8K\0K\x01\x87R.", "dtype 'V8'"),
    "dtype b1": (b"cnumpy\ndtype\nU\x02b1K\0K\x01\x87R.", "dtype 'b1'"),
    "dtype list": (b"cnumpy\ndtype\n]K\0K\x01\x87R.", "a dtype is a list, expected str or bytes"),
    "dtype with fields": (
        U1 + b"(K\x03U\x01|N](U\x01aeNNK\0tb.",
        "a state for _Dtype is not allowed"),
    "dtype with order !": (
        U1 + b"(K\x03U\x01!NNNJ\0\0\0\0J\0\0\0\0K\0tb.",
        "a byte order is not one of | = < >"),
    "dtype with state None": (U1 + b"Nb.", "a state for _Dtype is not allowed"),
    "array of other class": (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\n)U\x01b\x87R.",
        "a call of _reconstruct with these arguments is not allowed"),
    "array without content": (b"}U\x01a" + ARRAY + b"s.", "an array has no content"),
    "array with state None": (b"}U\x01a" + ARRAY + b"Nbs.", "a state for _Array is not allowed"),
    "array built twice": (
        ARRAY + 2 * (b"(K\x01K\x01\x85" + U1 + b"\x89U\x01xtb") + b".",
        "a state for _Array is not allowed"),
    "array of None": (
        ARRAY + b"(K\x01K\x01\x85" + U1 + b"\x89Ntb.",
        "an array is made of NoneType and _Dtype"),
    "array of list": (
        ARRAY + b"(K\x01K\x01\x85" + U1 + b"\x89]tb.",
        "an array is made of list and _Dtype"),
    "array of dtype None": (
        ARRAY + b"(K\x01K\x01\x85N\x89U\x01xtb.",
        "an array is made of bytes and NoneType"),
    "array too long": (
        ARRAY + b"(K\x01J\xff\xff\xff\x7f\x85" + U1 + b"\x89U\x01xtb.",
        "an array of 2147483647 bytes is declared, 1 bytes are there"),
    "array of size -1": (
        ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + U1 + b"\x89U\x01xtb.",
        "an array shape has a size that is not a positive integer"),
    "array of size -1 x -1": (ARRAY + b"(K\x01" + b"J\xff\xff\xff\xff" * 2 + b"\x86" + U1
        + b"\x89U\x01xtb.", "an array shape has a size that is not a positive integer"),
    "array of size True": (
        ARRAY + b"(K\x01\x88\x85" + U1 + b"\x89U\x01xtb.",
        "an array shape has a size that is not a positive integer"),
    "array of size 0": (
        ARRAY + b"(K\x01K\0\x85" + U1 + b"\x89U\0tb.",
        "an array shape has a size that is not a positive integer"),
    "array of 9 dimensions": (
        ARRAY + b"(K\x01(" + b"K\x01" * 9 + b"t" + U1 + b"\x89U\x01xtb.",
        "an array shape is not a tuple of at most 8 sizes"),
    "array of shape list": (
        ARRAY + b"(K\x01](K\x01e" + U1 + b"\x89U\x01xtb.",
        "an array shape is not a tuple of at most 8 sizes"),
    "scalar cut": (b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02i8K\0K\x01\x87RU\x03abc"
        b"\x86R.", "an array of 8 bytes is declared, 3 bytes are there"),
    "frombuffer order X": (
        b"cnumpy.core.numeric\n_frombuffer\n(U\x01x" + U1 + b"K\x01\x85U\x01XtR.",
        "a call of _frombuffer with these arguments is not allowed"),
    "encode to other codec": (
        b"c_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0utf-8\x86R.",
        "a call of encode with these arguments is not allowed"),
    "encode beyond latin1": (
        b"c_codecs\nencode\nX\x03\0\0\0\xe2\x82\xacX\x06\0\0\0latin1\x86R.",
        "'latin-1' codec can't encode character '\\u20ac'"),
    "one text encoded 1,000 times": (
        b"]c_codecs\nencode\nq\x000X\xe8\x03\0\0" + b"a" * 1000
        + b"X\x06\0\0\0latin1\x86q\x010" + b"h\0h\x01Ra" * 1000 + b".",
        "texts are encoded more than once"),
    "list in itself, called": (
        b"]q\0h\0ah\0)R.",
        "a call of list with these arguments is not allowed"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickle_is_a_benchmark_file_error(name: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[name]
    with pytest.raises(BenchmarkFileError, match="data_batch_1: .*" + re.escape(reason)):
        data.read_cifar(put(tmp_path / "data_batch_1", content))


def test_pickle_number_of_opcodes_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    written = b"}" + b"N0" * 50 + b"."
    monkeypatch.setattr(safe_pickle, "MAX_OPCODES", 101)
    assert safe_pickle.loads(written) == {}
    monkeypatch.setattr(safe_pickle, "MAX_OPCODES", 100)
    with pytest.raises(BenchmarkFileError, match="more than 100 opcodes"):
        safe_pickle.loads(written)


# Readers.


@pytest.mark.parametrize(
    ("written", "name", "n_classes"),
    [
        (cifar10_python(), "cifar10", 10),
        (cifar_binary(4, 1), "cifar10", 10),
        (cifar100_python(), "cifar100", 100),
        (cifar_binary(4, 2), "cifar100", 100),
    ],
    ids=["python 10", "binary 10", "python 100", "binary 100"],
)
def test_read_cifar_file(written: bytes, name: str, n_classes: int, tmp_path: Path) -> None:
    pixels, labels = batch(4, 3072, n_classes)
    for read in (data.read_cifar, data.load):
        images = read(put(tmp_path / "file", written))
        np.testing.assert_array_equal(images.images, to_hwc(pixels, 32))
        assert images.images.dtype == np.uint8
        assert images.labels.tolist() == labels
        assert images.labels.dtype == np.int64
        assert (images.name, images.n_classes) == (name, n_classes)
    if name == "cifar10":
        assert images.class_names[3] == "cat"


@pytest.mark.parametrize("suffix", ["", ".bin"])
def test_read_cifar_directory_takes_batches_in_order_of_number(suffix: str, tmp_path: Path) -> None:
    write: Callable[[int], bytes] = (
        (lambda seed: cifar_binary(2, 1, seed))
        if suffix
        else (lambda seed: cifar10_python(2, seed))
    )
    for number in (10, 2, 1):
        put(tmp_path / f"data_batch_{number}{suffix}", write(number))
    put(tmp_path / f"test_batch{suffix}", write(99))
    names = [f"class {i}" for i in range(10)]
    if suffix:
        names = [name.replace(" ", "_") for name in names]
        (tmp_path / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    else:
        put(tmp_path / "batches.meta", py2_pickle({b"label_names": [n.encode() for n in names]}))
    expected = np.concatenate([to_hwc(batch(2, 3072, 10, seed)[0], 32) for seed in (1, 2, 10)])
    images = data.read_cifar(tmp_path)
    np.testing.assert_array_equal(images.images, expected)
    assert images.class_names == tuple(names)
    np.testing.assert_array_equal(data.load(tmp_path).images, expected)
    test = data.read_cifar(tmp_path, "test")
    np.testing.assert_array_equal(test.images, to_hwc(batch(2, 3072, 10, 99)[0], 32))


def test_read_cifar_prefers_one_version_of_the_same_images(tmp_path: Path) -> None:
    put(tmp_path / "data_batch_1", cifar10_python(2))
    put(tmp_path / "data_batch_1.bin", cifar_binary(2, 1))
    assert len(data.read_cifar(tmp_path)) == 2


def test_read_cifar_refuses_what_does_not_fit(tmp_path: Path) -> None:
    pixels, labels = batch(4, 3072, 10)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"labels": labels}, "expected an entry 'data'"),
        ({"data": pixels.astype(np.float32), "labels": labels}, "uint8"),
        ({"data": pixels[:, :3000], "labels": labels}, "3072 or 768 columns"),
        ({"data": pixels.reshape(4, 3, 32, 32), "labels": labels}, "uint8"),
        ({"data": pixels, "labels": labels[:3]}, "4 images but 3 labels"),
        ({"data": pixels}, "list of integer labels"),
        ({"data": pixels, "labels": [0.0, 1.0, 2.0, 3.0]}, "list of integer labels"),
        ({"data": pixels, "labels": [True] * 4}, "list of integer labels"),
        ({"data": pixels, "labels": [0, 1, 2, 10]}, "expected 0 to 9, got 0 to 10"),
        ({"data": pixels, "labels": [0, 1, 2, -1]}, "not in 0..1000"),
        ({"data": pixels, "labels": [0, 1, 2, 2**63 - 1]}, "not in 0..1000"),
    ]
    for content, message in cases:
        with pytest.raises(BenchmarkFileError, match=message):
            data.read_cifar(put(tmp_path / "file", pickle.dumps(content)))
    with pytest.raises(BenchmarkFileError, match="no whole number"):
        data.read_cifar(put(tmp_path / "file", cifar_binary(4, 1)[:-1]))
    with pytest.raises(BenchmarkFileError, match="valid labels"):
        data.read_cifar(put(tmp_path / "file", b"\x0b" + cifar_binary(4, 1)[1:]))
    with pytest.raises(BenchmarkFileError, match="read_imagenet16"):
        data.read_cifar(put(tmp_path / "file", imagenet16()))
    with pytest.raises(ValueError, match="split"):
        data.read_cifar(tmp_path / "file", "val")  # type: ignore[arg-type]


def test_read_cifar_refuses_mixed_batches_and_empty_directories(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFileError, match="found none"):
        data.read_cifar(tmp_path)
    put(tmp_path / "data_batch_1", cifar10_python())
    put(tmp_path / "data_batch_2", cifar100_python())
    with pytest.raises(BenchmarkFileError, match="data_batch_2: expected cifar10"):
        data.read_cifar(tmp_path)
    with pytest.raises(FileNotFoundError):
        data.read_cifar(tmp_path / "absent")


@pytest.mark.parametrize("meta", [["x"] * 9, ["x"] * 9 + [1], "x" * 10])
def test_read_cifar_refuses_wrong_class_names(meta: object, tmp_path: Path) -> None:
    put(tmp_path / "batches.meta", pickle.dumps({"label_names": meta}))
    with pytest.raises(BenchmarkFileError, match=r"batches\.meta: label_names"):
        data.read_cifar(put(tmp_path / "data_batch_1", cifar10_python()))


def test_max_bytes_limits_the_sum_of_the_files(tmp_path: Path) -> None:
    sizes = []
    for number in (1, 2):
        content = cifar10_python(2, number)
        put(tmp_path / f"data_batch_{number}", content)
        sizes.append(len(content))
    assert len(data.read_cifar(tmp_path, max_bytes=sum(sizes))) == 4
    with pytest.raises(BenchmarkFileError, match="raise max_bytes"):
        data.read_cifar(tmp_path, max_bytes=sum(sizes) - 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_read_of_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BenchmarkFileError, match="regular file"):
        data.read_cifar(tmp_path / "pipe")


def test_read_imagenet16_keeps_the_first_classes_and_starts_at_zero(tmp_path: Path) -> None:
    for number in (2, 1):
        put(tmp_path / f"train_data_batch_{number}", imagenet16(seed=number))
    put(tmp_path / "val_data", imagenet16(2, seed=7, labels=[120, 121]))
    kept = [0, 1, 3, 5]  # of the labels 1, 120, 121, 2, 1000, 3
    expected = np.concatenate([to_hwc(batch(6, 768, 10, s)[0], 16)[kept] for s in (1, 2)])
    for images in (data.read_imagenet16(tmp_path), data.load(tmp_path)):
        np.testing.assert_array_equal(images.images, expected)
        assert images.labels.tolist() == [0, 119, 1, 2] * 2
        assert (images.name, images.n_classes) == ("imagenet16-120", 120)
    assert data.read_imagenet16(tmp_path, 1000).labels.max() == 999
    assert data.read_imagenet16(tmp_path, 120, "test").labels.tolist() == [119]


def test_read_imagenet16_refuses_what_does_not_fit(tmp_path: Path) -> None:
    cases = [
        (imagenet16(2, labels=[0, 5]), "from 1 to 1000"),
        (imagenet16(2, labels=[500, 501]), "images: expected"),  # none of the first 120
        (cifar10_python(), "read_cifar"),
    ]
    for content, message in cases:
        with pytest.raises(BenchmarkFileError, match=message):
            data.read_imagenet16(put(tmp_path / "file", content))
    with pytest.raises(ValueError, match="num_classes"):
        data.read_imagenet16(tmp_path / "file", 0)


@pytest.mark.parametrize("pair", [("images", "labels"), ("train_images", "train_labels")])
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f8"])
def test_read_npz(pair: tuple[str, str], dtype: str, tmp_path: Path) -> None:
    pixels = np.asfortranarray(np.random.default_rng(0).random((5, 4, 6, 3)) * 200).astype(dtype)
    labels = np.array([[0], [1], [2], [1], [0]], dtype=">i2")
    content = npz(**dict(zip(pair, (pixels, labels), strict=True)), other=np.zeros(3))
    path = put(tmp_path / "mine.npz", content)
    for images in (data.read_npz(path), data.read_npz(path, *pair), data.load(path)):
        np.testing.assert_array_equal(images.images, pixels)
        assert images.images.dtype.isnative
        assert images.labels.tolist() == [0, 1, 2, 1, 0]
        assert (images.name, images.class_names) == ("mine", ("0", "1", "2"))


def test_read_npz_takes_class_names(tmp_path: Path) -> None:
    content = npz(
        images=np.zeros((2, 4, 4, 3), np.uint8), labels=np.arange(2), class_names=["a", "b", "c"]
    )
    assert data.read_npz(put(tmp_path / "f.npz", content)).class_names == ("a", "b", "c")


def test_read_npz_refuses_what_does_not_fit(tmp_path: Path) -> None:
    good, labels = np.zeros((2, 4, 4, 3), np.uint8), np.arange(2)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"a": good, "b": labels}, "expected arrays images, .* it has a, b"),
        ({"images": good[..., 0], "labels": labels}, "expected shape"),
        ({"images": good[:0], "labels": labels[:0]}, "none 0"),
        ({"images": good.astype(np.int16), "labels": labels}, "uint8 or float"),
        ({"images": good, "labels": labels.astype(float)}, "expected integers"),
        ({"images": good, "labels": labels - 1}, "got -1 to 0"),
        ({"images": good, "labels": labels + 10**12}, "got 1000000000000"),
        ({"images": good, "labels": np.array(["a", "b"])}, "expected integers"),
        ({"images": good, "labels": np.array([None, 1], dtype=object)}, "numbers or text"),
        ({"images": good, "labels": np.array(3)}, "len|shape"),
        ({"images": good, "labels": labels, "class_names": ["one"]}, "expected 0 to 0"),
    ]
    for arrays, message in cases:
        with pytest.raises(BenchmarkFileError, match=message):
            data.read_npz(put(tmp_path / "f.npz", npz(**arrays)))
    with pytest.raises(BenchmarkFileError, match="not a zip file"):
        data.read_npz(put(tmp_path / "f.npz", b"PK\x03\x04"))
    with pytest.raises(ValueError, match="both names or neither"):
        data.read_npz(tmp_path / "f.npz", "images")


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


def test_shared_cifar10_sample_is_readable() -> None:
    path = SHARED / "data" / "cifar10_sample.npz"
    if not path.is_file():
        pytest.skip(f"cifar10_sample.npz is not in {path.parent}; set ZEROSHOT_SHARED")
    images = data.read_npz(path, "train_images", "train_labels")
    assert repr(images) == "Images('cifar10_sample', 5120 images 32x32 uint8, 10 classes)"
    assert images.class_names[:3] == ("airplane", "automobile", "bird")
    assert np.bincount(images.labels).tolist() == [512] * 10
    mean = images.images.mean(axis=(0, 1, 2)) / 255
    # its README gives the means to four decimals
    np.testing.assert_allclose(mean, [0.4895, 0.4795, 0.4432], rtol=0, atol=0.5e-4)
    np.testing.assert_array_equal(data.load(path).images, images.images)


# Images and normalisation.


def test_images_refuse_wrong_arrays() -> None:
    good, labels = np.zeros((2, 4, 4, 3), np.uint8), np.arange(2)
    cases: list[tuple[Any, Any, str]] = [
        (
            good.transpose(0, 3, 1, 2),
            labels,
            r"images: expected shape \(M, H, W, 3\).*\(2, 3, 4, 4",
        ),
        (good.astype(object), labels, "images: expected uint8 or float, got object"),
        (good, labels[:1], r"labels: expected shape \(2,\), got \(1,\)"),
        (good, [0.0, 1.0], "labels: expected integers, got float64"),
        (good, labels - 5, "labels: .* got -5 to -4"),
    ]
    for images, targets, message in cases:
        with pytest.raises(ValueError, match=message):
            data.Images(images, targets)
    with pytest.raises(ValueError, match="expected 0 to 0, got 0 to 1"):
        data.Images(good, labels, class_names=("only",))


def test_images_are_read_only_and_leave_the_callers_arrays_alone() -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    labels: Any = np.arange(2, dtype=np.int32)
    images = data.Images(pixels, labels)
    with pytest.raises(ValueError, match="read-only"):
        images.images[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        images.labels[0] = 1
    pixels[0], labels[0] = 1, 1
    assert images.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("preset", "mean", "std"),
    [
        ("cifar10", (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        ("cifar100", (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
        ("imagenet16-120", (122.68, 116.66, 104.01), (63.22, 61.26, 65.09)),
        ("cifar10_zerocost", (125.307, 122.961, 113.8575), (51.5865, 50.847, 51.255)),
        ("cifar100_zerocost", (125.307, 122.961, 113.8575), (51.5865, 50.847, 51.255)),
        (None, (0, 0, 0), (255, 255, 255)),
    ],
)
def test_normalised_is_pixel_minus_mean_over_std(preset: Any, mean: Any, std: Any) -> None:
    pixels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, 16, 16, 3)
    images = data.Images(pixels, np.array([0]))
    x = images.normalised(preset)
    expected = (pixels.astype(float) - mean) / std
    assert x.shape == (1, 3, 16, 16)
    assert x.dtype == np.float32
    # five float32 roundings of numbers at most 1 (value, mean, difference) and 1/0.1994 (result)
    atol = 5 * float(np.finfo(np.float32).eps) / 0.1994
    np.testing.assert_allclose(x.transpose(0, 2, 3, 1), expected, rtol=0, atol=atol)
    as_float = data.Images(pixels.astype(np.float32) / np.float32(255), np.array([0]))
    np.testing.assert_array_equal(as_float.normalised(preset), x)


def test_normalised_has_the_bits_of_to_tensor_and_normalize(some_images: data.Images) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x = torch.from_numpy(some_images.images.copy()).permute(0, 3, 1, 2).contiguous()
    x = x.to(dtype=torch.float32).div(255)
    mean = torch.tensor([v / 255 for v in (125.3, 123.0, 113.9)]).view(-1, 1, 1)
    std = torch.tensor([v / 255 for v in (63.0, 62.1, 66.7)]).view(-1, 1, 1)
    expected = x.sub_(mean).div_(std).numpy()
    np.testing.assert_array_equal(some_images.normalised("cifar10"), expected)


def test_unknown_preset_lists_the_known(some_images: data.Images) -> None:
    with pytest.raises(ValueError, match=r"preset: expected one of cifar10, .* got 'cifar'"):
        some_images.normalised("cifar")


# Digits.


def test_load_digits_is_scikit_learns_set_enlarged() -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="load_digits needs scikit-learn")
    source = datasets.load_digits()
    images = data.load_digits()
    assert images.images.shape == (1797, 32, 32, 3)
    assert images.labels.tolist() == source.target.tolist()
    assert (images.images == images.images[..., :1]).all()
    assert repr(data.load("digits")) == repr(images)
    x = images.normalised("digits")
    # the preset has three decimals
    assert abs(x.mean(dtype=np.float64)) < 0.5e-3 / 0.324
    assert abs(x.std(dtype=np.float64) - 1) < 0.5e-3 / 0.324

    torch = pytest.importorskip("torch", reason="compares with PyTorch's interpolation")
    grey = torch.from_numpy(source.images[:, None] * (255 / 16))
    large = torch.nn.functional.interpolate(grey, size=(32, 32), mode="bilinear").numpy()
    difference = images.images[..., 0].astype(float) - large[:, 0]
    # rounding to uint8, and the same sums in another order
    assert abs(difference).max() <= 0.5 + 255 * 8 * np.finfo(float).eps


def test_load_digits_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"zeroshot\[demo\]"):
        data.load_digits()


# Draws.


@pytest.mark.parametrize("mode", ["disjoint", "independent"])
def test_draw_is_fixed_by_its_seed(mode: Any, some_images: data.Images) -> None:
    def draw(seed: Any) -> data.Batches:
        return data.draw_batches(
            some_images, batch_size=5, n_batches=4, seed=seed, mode=mode, crop=2, flip=True
        )

    first, second, other = draw(3), draw(np.random.default_rng(3)), draw(4)
    for a, b in ((first.x, second.x), (first.y, second.y), (first.indices, second.indices)):
        np.testing.assert_array_equal(a, b)
    assert (first.indices != other.indices).any()
    assert (first.batch_size, first.n_batches) == (5, 4)
    assert [a.dtype.name for a in (first.x, first.y, first.indices)] == [
        "float32",
        "int64",
        "int64",
    ]
    assert first.x.shape == (20, 3, 6, 7)
    assert first.x.flags.c_contiguous


def test_disjoint_batches_share_no_image(some_images: data.Images) -> None:
    batches = data.draw_batches(some_images, batch_size=10, n_batches=4)
    assert sorted(batches.indices) == list(range(40))


def test_independent_batches_repeat_only_between_batches(some_images: data.Images) -> None:
    batches = data.draw_batches(some_images, batch_size=30, n_batches=8, mode="independent")
    rows = batches.indices.reshape(8, 30)
    assert all(len(set(row)) == 30 for row in rows.tolist())
    assert len({tuple(row) for row in rows.tolist()}) == 8
    # 8 x 30 of 40 images: on average each occurs 6 times, so the batches overlap
    assert np.bincount(rows.ravel()).max() > 1


def test_independent_draws_are_uniform(some_images: data.Images) -> None:
    n = 4000
    rows = data.draw_batches(
        some_images, batch_size=10, n_batches=n, mode="independent", seed=0
    ).indices.reshape(n, 10)
    # each image is in a batch, and first in one, a binomial number of times: 6 deviations
    for p, counts in ((10 / 40, np.bincount(rows.ravel())), (1 / 40, np.bincount(rows[:, 0]))):
        assert abs(counts - n * p).max() < 6 * np.sqrt(n * p * (1 - p))


def test_draw_without_augmentation_takes_the_rows(some_images: data.Images) -> None:
    batches = data.draw_batches(some_images, batch_size=5, n_batches=2, preset="cifar10")
    expected = some_images.normalised("cifar10")[batches.indices]
    np.testing.assert_array_equal(batches.x, expected)
    np.testing.assert_array_equal(batches.y, some_images.labels[batches.indices])


def test_auto_preset_is_the_one_named_like_the_data_set(some_images: data.Images) -> None:
    named = data.Images(some_images.images, some_images.labels, "cifar100")
    for images, preset in ((some_images, None), (named, "cifar100")):
        auto = data.draw_batches(images, batch_size=5, n_batches=2)
        given = data.draw_batches(images, batch_size=5, n_batches=2, preset=preset)
        np.testing.assert_array_equal(auto.x, given.x)
        assert (images.normalised(preset)[auto.indices] == auto.x).all()


def test_crop_and_flip_are_a_window_of_the_image_padded_before_normalisation(
    some_images: data.Images,
) -> None:
    batches = data.draw_batches(
        some_images, batch_size=40, n_batches=50, mode="independent", crop=1, flip=True,
        preset="cifar10",
    )  # fmt: skip
    padded = np.zeros((40, 8, 9, 3), np.uint8)
    padded[:, 1:7, 1:8] = some_images.images
    windows = {}
    for top in range(3):
        for left in range(3):
            window = padded[:, top : top + 6, left : left + 7]
            for flip in (False, True):
                pixels = window[:, :, ::-1] if flip else window
                images = data.Images(pixels, some_images.labels)
                windows[top, left, flip] = images.normalised("cifar10")[batches.indices]
    is_window = {key: (x == batches.x).all(axis=(1, 2, 3)) for key, x in windows.items()}
    assert (np.sum(list(is_window.values()), axis=0) == 1).all()
    # 2,000 draws of 18 equally likely windows: 6 deviations of a binomial number
    n, p = len(batches.y), 1 / 18
    for key, hits in is_window.items():
        assert abs(hits.sum() - n * p) < 6 * np.sqrt(n * p * (1 - p)), key
    plain = data.draw_batches(some_images, batch_size=40, n_batches=50, mode="independent")
    np.testing.assert_array_equal(plain.indices, batches.indices)


def test_draw_refuses_wrong_arguments(some_images: data.Images) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"batch_size": 6, "n_batches": 7}, "7 disjoint batches of 6 need 42 images, got 40"),
        ({"batch_size": 41, "n_batches": 1, "mode": "independent"}, "need 41 images"),
        ({"batch_size": 0}, "batch_size"),
        ({"n_batches": 0}, "n_batches"),
        ({"batch_size": 2, "crop": -1}, "crop"),
        ({"batch_size": 2, "mode": "random"}, "mode: expected"),
        ({"batch_size": 2, "preset": "none"}, "preset: expected"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            data.draw_batches(some_images, **arguments)
