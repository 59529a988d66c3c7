"""A closed interpreter for the pickles in which CIFAR and ImageNet16 are distributed.

``pickle.Unpickler`` with an allow-list is not enough. NumPy's own types accept crafted states that
crash later; and below any allow-list a memo index of 2**31 makes the C unpickler touch tens of GB,
and hashing a tuple nested a million deep overflows the C stack. So this module runs the stack
machine itself. It imports nothing, calls nothing, and knows only these values:

    None bool int float str bytes list tuple dict, and stand-ins for ndarray and dtype

Arrays are views that ``np.frombuffer`` makes of bytes in the file, after their size was checked.
Dict keys are str or bytes, integers have 64 bits, no value is ever hashed, compared or printed
deeply, and time and memory are linear in the size of the file. Protocols 0 to 5 are read,
Python 2's strings as bytes. Not read: object and structured arrays, persistent ids, extension
codes, sets, instances of any class, out-of-band buffers.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from zeroshot.errors import BenchmarkFileError

__all__ = ["loads"]

# One ImageNet16 file has about 130,000 labels, at most six opcodes each.
MAX_OPCODES = 4_000_000
MAX_NDIM = 8
MAX_KEY = 256
# No bool: a byte other than 0 and 1 makes a bool array that NumPy does not expect.
DTYPE_CODE = re.compile(r"[iu][1248]|f[248]")
LATIN1 = ("latin1", "latin-1", "iso-8859-1")
PY2_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([\\'\"nrt]))")
PY2_LETTER = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


class _Global(Enum):
    """The few importable names that occur in such files; they are names here, nothing more."""

    NDARRAY = "ndarray"
    DTYPE = "dtype"
    RECONSTRUCT = "_reconstruct"
    SCALAR = "scalar"
    FROMBUFFER = "_frombuffer"
    ENCODE = "encode"


_GLOBALS = {
    ("numpy", "ndarray"): _Global.NDARRAY,
    ("numpy", "dtype"): _Global.DTYPE,
    ("_codecs", "encode"): _Global.ENCODE,
} | {
    (f"numpy.{core}.{module}", name.value): name
    for core in ("core", "_core")
    for module, name in (
        ("multiarray", _Global.RECONSTRUCT),
        ("multiarray", _Global.SCALAR),
        ("numeric", _Global.FROMBUFFER),
    )
}


@dataclass(eq=False)
class _Dtype:
    code: str
    byte_order: str = "="


@dataclass(eq=False)
class _Array:
    value: NDArray[Any] | None = None


class _Machine:
    """The stack machine: `stack` above the last mark, `marks` the stacks below it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0
        self.stack: list[object] = []
        self.marks: list[list[object]] = []
        self.memo: dict[int, object] = {}
        # Every text of the file may be encoded once; a text that is encoded again and again
        # would make more bytes than the file has.
        self.encode_budget = len(data)

    def run(self) -> object:
        n_opcodes = 0
        while (opcode := self.take(1)) != b".":
            n_opcodes += 1
            if n_opcodes > MAX_OPCODES:
                fail(f"more than {MAX_OPCODES} opcodes")
            operation = _OPERATIONS.get(opcode)
            if operation is None:
                fail(f"opcode {opcode!r} is not allowed")
            operation(self)
        if self.marks or len(self.stack) != 1 or self.pos != len(self.data):
            fail("the pickle does not end where its one value ends")
        return self.stack[0]

    # Reading.

    def take(self, n: int) -> bytes:
        chunk = self.data[self.pos : self.pos + n]
        if len(chunk) != n:
            fail(f"{n} more bytes are declared, {len(chunk)} are there")
        self.pos += n
        return chunk

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.pos)
        if end < 0:
            fail("a text line does not end")
        chunk = self.data[self.pos : end]
        self.pos = end + 1
        return chunk

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def sized(self, layout: str) -> bytes:
        return self.take(self.number(layout))

    # Stack and memo.

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        if not self.stack:
            fail("a value is taken from an empty stack")
        return self.stack.pop()

    def pop_n(self, n: int) -> tuple[object, ...]:
        if len(self.stack) < n:
            fail(f"{n} values are taken from a stack of {len(self.stack)}")
        values = tuple(self.stack[len(self.stack) - n :])
        del self.stack[len(self.stack) - n :]
        return values

    def top(self) -> object:
        if not self.stack:
            fail("a value is looked for on an empty stack")
        return self.stack[-1]

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def pop_to_mark(self) -> list[object]:
        if not self.marks:
            fail("no mark is set")
        values, self.stack = self.stack, self.marks.pop()
        return values

    def put(self, index: int) -> None:
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            fail(f"nothing is stored at memo index {index}")
        self.push(self.memo[index])

    # Containers.

    def append(self, values: list[object]) -> None:
        target = self.top()
        if not isinstance(target, list):
            fail(f"values are appended to a {type(target).__name__}")
        target.extend(values)

    def set_items(self, values: list[object]) -> None:
        target = self.top()
        if not isinstance(target, dict) or len(values) % 2:
            fail(f"{len(values)} keys and values are set in a {type(target).__name__}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, (str, bytes)):
                fail(f"a dict key is a {type(key).__name__}, expected str or bytes")
            if len(key) > MAX_KEY:  # equal long keys would be compared byte by byte, each time
                fail(f"a dict key has length {len(key)}, expected at most {MAX_KEY}")
            target[key] = value

    def make_dict(self) -> None:
        items = self.pop_to_mark()
        self.push({})
        self.set_items(items)

    # What pickle would import and call.

    def find_global(self, module: object, name: object) -> None:
        module, name = text(module, "a module name"), text(name, "a global name")
        if (module, name) not in _GLOBALS:
            fail(f"the global {module[:60]!r} {name[:60]!r} is not allowed")
        self.push(_GLOBALS[module, name])

    def reduce(self) -> None:
        function, arguments = self.pop_n(2)
        if not isinstance(arguments, tuple):
            fail(f"arguments are a {type(arguments).__name__}, expected tuple")
        match function, arguments:
            case _Global.RECONSTRUCT, (_Global.NDARRAY, tuple(), _):
                self.push(_Array())
            case _Global.DTYPE, (code, int(), int()):
                code = text(code, "a dtype")
                if not DTYPE_CODE.fullmatch(code):
                    fail(f"dtype {code[:20]!r} is not allowed, expected integers or floats")
                self.push(_Dtype(code))
            case _Global.SCALAR, (dtype, raw):
                self.push(make_array(raw, dtype, (1,), False).item())
            case _Global.FROMBUFFER, (raw, dtype, shape, "C" | "F" as order):
                self.push(_Array(make_array(raw, dtype, shape, order == "F")))
            case _Global.ENCODE, (str(value), codec) if text(codec, "a codec") in LATIN1:
                self.encode_budget -= len(value)
                if self.encode_budget < 0:
                    fail("texts are encoded more than once")
                self.push(value.encode("latin1"))
            case _:
                name = function.value if isinstance(function, _Global) else type(function).__name__
                fail(f"a call of {name} with these arguments is not allowed")

    def build(self) -> None:
        state = self.pop()
        match self.top(), state:
            case _Dtype() as dtype, (3 | 4, order, None, None, None, *_):
                dtype.byte_order = text(order, "a byte order")
                if dtype.byte_order not in ("|", "=", "<", ">"):
                    fail("a byte order is not one of | = < >")
            case _Array(value=None) as array, (int(), shape, dtype, fortran, raw):
                array.value = make_array(raw, dtype, shape, bool(fortran))
            case target, _:
                fail(f"a state for {type(target).__name__} is not allowed")


def fail(message: str) -> NoReturn:
    raise BenchmarkFileError(message)


def text(value: object, what: str) -> str:
    """A short name that Python 2 wrote as bytes and Python 3 as str."""
    if isinstance(value, bytes):
        return value.decode("latin1")
    if not isinstance(value, str):
        fail(f"{what} is a {type(value).__name__}, expected str or bytes")
    return value


def make_array(raw: object, dtype: object, shape: object, fortran: bool) -> NDArray[Any]:
    if not isinstance(raw, bytes) or not isinstance(dtype, _Dtype):
        fail(f"an array is made of {type(raw).__name__} and {type(dtype).__name__}")
    if not isinstance(shape, tuple) or len(shape) > MAX_NDIM:
        fail(f"an array shape is not a tuple of at most {MAX_NDIM} sizes")
    if not all(type(size) is int and size > 0 for size in shape):
        fail("an array shape has a size that is not a positive integer")
    kind = np.dtype(dtype.byte_order + dtype.code)
    n_bytes = math.prod(shape) * kind.itemsize
    if n_bytes != len(raw):
        fail(f"an array of {n_bytes} bytes is declared, {len(raw)} bytes are there")
    return np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C")


def short(digits: bytes) -> bytes:
    """The digits of one number; Python takes quadratic time to read very long ones."""
    return digits if len(digits) <= 32 else fail("a number has more than 32 characters")


def integer(digits: bytes) -> int:
    return int(short(digits))


def int_or_bool(digits: bytes) -> int | bool:
    return digits == b"01" if digits in (b"00", b"01") else integer(digits)


def long_integer(raw: bytes) -> int:
    if len(raw) > 8:
        fail(f"an integer has {len(raw)} bytes, expected at most 8")
    return int.from_bytes(raw, "little", signed=True)


def py2_string(line: bytes) -> bytes:
    """Bytes of a Python 2 string literal as its ``repr`` writes them."""
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        fail("a string is not quoted")
    return PY2_ESCAPE.sub(
        lambda m: bytes.fromhex(m[1].decode()) if m[1] else PY2_LETTER.get(m[2], m[2]), line[1:-1]
    )


def utf8(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def check_protocol(machine: _Machine) -> None:
    if (version := machine.take(1)[0]) > 5:
        fail(f"pickle protocol {version} is not known")


_OPERATIONS: dict[bytes, Callable[[_Machine], object]] = {
    b"\x80": check_protocol,
    b"\x95": lambda m: m.take(8),  # a frame's length: only a hint for reading ahead
    # constants and numbers
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push(int_or_bool(m.line())),
    b"L": lambda m: m.push(integer(m.line().rstrip(b"L"))),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: m.push(long_integer(m.sized("<B"))),
    b"\x8b": lambda m: m.push(long_integer(m.sized("<I"))),
    b"F": lambda m: m.push(float(short(m.line()))),
    b"G": lambda m: m.push(m.number(">d")),
    # bytes (Python 2's str first) and text
    b"S": lambda m: m.push(py2_string(m.line())),
    b"U": lambda m: m.push(m.sized("<B")),
    b"T": lambda m: m.push(m.sized("<I")),
    b"C": lambda m: m.push(m.sized("<B")),
    b"B": lambda m: m.push(m.sized("<I")),
    b"\x8e": lambda m: m.push(m.sized("<Q")),
    b"\x96": lambda m: m.push(m.sized("<Q")),
    b"V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
    b"\x8c": lambda m: m.push(utf8(m.sized("<B"))),
    b"X": lambda m: m.push(utf8(m.sized("<I"))),
    b"\x8d": lambda m: m.push(utf8(m.sized("<Q"))),
    # containers
    b")": lambda m: m.push(()),
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b"\x85": lambda m: m.push(m.pop_n(1)),
    b"\x86": lambda m: m.push(m.pop_n(2)),
    b"\x87": lambda m: m.push(m.pop_n(3)),
    b"t": lambda m: m.push(tuple(m.pop_to_mark())),
    b"l": lambda m: m.push(m.pop_to_mark()),
    b"d": _Machine.make_dict,
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.pop_to_mark()),
    b"s": lambda m: m.set_items(list(m.pop_n(2))),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    # stack and memo
    b"(": _Machine.mark,
    b"0": _Machine.pop,
    b"1": _Machine.pop_to_mark,
    b"2": lambda m: m.push(m.top()),
    b"p": lambda m: m.put(integer(m.line())),
    b"q": lambda m: m.put(m.number("<B")),
    b"r": lambda m: m.put(m.number("<I")),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"g": lambda m: m.get(integer(m.line())),
    b"h": lambda m: m.get(m.number("<B")),
    b"j": lambda m: m.get(m.number("<I")),
    # names, calls, states
    b"c": lambda m: m.find_global(m.line(), m.line()),
    b"\x93": lambda m: m.find_global(*m.pop_n(2)),
    b"R": _Machine.reduce,
    b"b": _Machine.build,
}


def loads(data: bytes, source: str = "pickle") -> dict[str, object]:
    """Read a pickled dict of plain values and number arrays, and nothing else.

    Parameters
    ----------
    data : bytes
        The whole pickle, protocol 0 to 5. The caller limits its size; memory is a small multiple
        of it.
    source : str
        What the error message calls the data, usually the path.

    Returns
    -------
    dict of str to object
        Keys as text. Arrays directly among the values are `numpy.ndarray`, read-only.

    Raises
    ------
    BenchmarkFileError
        If the data are truncated, corrupted, or hold anything else.

    Examples
    --------
    >>> import pickle
    >>> loads(pickle.dumps({b"labels": [6, 9], b"data": np.arange(3, dtype=np.uint8)}))
    {'labels': [6, 9], 'data': array([0, 1, 2], dtype=uint8)}
    """
    machine = _Machine(data)
    try:
        content = machine.run()
        if not isinstance(content, dict):
            fail(f"the pickle is a {type(content).__name__}, expected dict")
        return {text(key, "a key"): plain(value) for key, value in content.items()}
    except ValueError as error:  # also a number or text that Python cannot read
        raise BenchmarkFileError(f"{source}: near byte {machine.pos}: {error}") from error


def plain(value: object) -> object:
    if not isinstance(value, _Array):
        return value
    return fail("an array has no content") if value.value is None else value.value
