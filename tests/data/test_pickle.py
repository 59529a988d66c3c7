"""The pickle interpreter against pickle, and against pickles that would do harm."""

from __future__ import annotations

import pickle
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zeroshot import data
from zeroshot.data import safe_pickle
from zeroshot.errors import BenchmarkFileError

from .common import batch, put, py2_pickle


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
