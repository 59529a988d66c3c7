"""The closed pickle interpreter of `zeroshot.data.safe_pickle` over a stream, for benchmark files.

Those are pickles of several GB of which a few numbers are wanted. So the interpreter reads a window
at a time and shows every dict to a `hook` once its items are set; what the hook says it has
taken is forgotten, and the memo with it, so that memory does not grow with the file: it takes a
pointer for each memo index (0.6 GB for the largest file known), each text once, and what
`MAX_HELD` bytes of pickle make between two dicts that are taken, at most some 100 times as much.

Beyond the values of `safe_pickle` it knows

    dict keys that are int, or tuples of str and int; set and frozenset, as lists; OrderedDict and
    defaultdict, as dicts; instances of `INSTANCES`, as dicts of their attributes
    what torch makes of its storages, as an `Opaque` that nothing is done with

and, as before, imports nothing and calls nothing.
"""

from __future__ import annotations

__all__ = ["Dict", "Gone", "Opaque", "StreamMachine"]

import struct
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from zeroshot.benchmarks.source import DAMAGE
from zeroshot.data.safe_pickle import _OPERATIONS, _Dtype, _Global, _Machine, fail, integer, text
from zeroshot.errors import BenchmarkFileError

MAX_HELD: Final = 16 << 20
MAX_VALUE: Final = 1 << 20
"""Bytes of a text or bytes value; longer bytes are weights, which are passed over."""
MAX_MEMO: Final = 120_000_000
MAX_KEPT: Final = 20_000_000
MAX_TEXTS: Final = 256 << 20
MAX_DEPTH: Final = 10_000
WINDOW: Final = 1 << 20
MARGIN: Final = 300
"""More than any of the frequent opcodes takes with its operand."""
SMALL: Final = 16

INSTANCES: Final = ("ArchResults", "ResultsCount")
_PLAIN: Final = frozenset({str, int, float, bool, type(None), bytes})


class _Name(Enum):
    """Importable names beyond those of `safe_pickle`; names, nothing more."""

    DICT = "dict"
    SET = "set"
    INSTANCE = "instance"
    RECONSTRUCTOR = "_reconstructor"
    OPAQUE = "opaque"


_NAMES: Final = (
    {("collections", "OrderedDict"): _Name.DICT, ("collections", "defaultdict"): _Name.DICT}
    | {
        (module, name): kind
        for module in ("builtins", "__builtin__")
        for name, kind in {
            "set": _Name.SET,
            "frozenset": _Name.SET,
            **dict.fromkeys(("object", "list", "dict", "tuple", "int", "float"), _Name.OPAQUE),
        }.items()
    }
    | {(module, "_reconstructor"): _Name.RECONSTRUCTOR for module in ("copyreg", "copy_reg")}
)


class Opaque:
    """A value that is not looked at."""

    __slots__ = ()


class Gone(Opaque):
    """A container that was let go of, where it is fetched again."""

    __slots__ = ()


OPAQUE: Final = Opaque()
GONE: Final = Gone()


class Dict(dict[Any, Any]):
    """A dict that knows where in the file it began."""

    __slots__ = ("credited", "memo_start", "shared", "start", "taken")

    start: int
    memo_start: int
    credited: int
    shared: bool
    taken: bool


class List(list[Any]):
    """A list that knows whether it was fetched from the memo."""

    __slots__ = ("shared",)

    shared: bool


_NOTHING: Final = object()


class StreamMachine(_Machine):
    """The interpreter.

    Parameters
    ----------
    read : callable
        ``read(n)`` gives at most n bytes, and none at the end.
    hook : callable
        Gets each dict whose items were set; returns whether it has taken what it wanted of it, and
        has emptied it of all else.
    """

    def __init__(self, read: Callable[[int], bytes], hook: Callable[[Dict], bool]) -> None:
        super().__init__(b"")
        self.read = read
        self.hook = hook
        self.before = 0  # bytes before the window
        self.at_end = False
        self.reset()

    def reset(self) -> None:
        """Begin the next pickle of the stream."""
        self.stack = []
        self.marks = []
        self.memo_list: list[Any] = []
        self.credited = 0
        self.first_byte = self.before + self.pos
        self.n_kept = 0
        self.texts: dict[bytes, str] = {}
        self.n_text_bytes = 0
        self.hint = WINDOW

    @property
    def position(self) -> int:
        return self.before + self.pos

    # --- the window

    def refill(self, n: int) -> None:
        """At least `n` bytes from here on, unless the stream ends."""
        rest = self.data[self.pos :]
        parts, missing = [rest], max(n, self.hint) - len(rest)
        while missing > 0 and not self.at_end:
            part = self.read(missing)
            self.at_end = not part
            parts.append(part)
            missing -= len(part)
        self.before += self.pos
        self.pos = 0
        self.data = b"".join(parts)
        self.encode_budget += len(self.data) - len(rest)
        self.check_held()

    def check_held(self) -> None:
        if self.position - self.first_byte - self.credited > MAX_HELD:
            fail(f"more than {MAX_HELD} bytes between two results")
        if len(self.memo_list) > MAX_MEMO or self.n_kept > MAX_KEPT:
            fail("more values are kept for later use than are allowed")

    def take(self, n: int) -> bytes:
        if self.pos + n > len(self.data):
            if n > MAX_VALUE:
                fail(f"a value of {n} bytes is declared, at most {MAX_VALUE} are allowed")
            self.refill(n)
        return super().take(n)

    def line(self) -> bytes:
        if self.data.find(b"\n", self.pos) < 0:
            self.refill(MAX_VALUE)
        return super().line()

    def sized(self, layout: str) -> bytes:
        n = self.number(layout)
        return self.take(n) if n <= MAX_VALUE else self.skip(n)

    def skip(self, n: int) -> bytes:
        """Pass over the bytes of a value, in whose place there are none."""
        self.credited += n
        while n > len(self.data) - self.pos:
            n -= len(self.data) - self.pos
            self.pos = len(self.data)
            self.refill(1)
            if not self.data:
                fail(f"{n} more bytes are declared, 0 are there")
        self.pos += n
        return b""

    # --- the frequent opcodes, in one loop

    def run(self) -> Any:
        """The value of the next pickle of the stream."""
        operations, texts = _STREAM_OPERATIONS, self.texts
        unpack_double = struct.Struct(">d").unpack_from
        unpack_uint = struct.Struct("<I").unpack_from
        stack, marks, memo = self.stack, self.marks, self.memo_list
        data, pos = self.data, self.pos
        last = len(data) - MARGIN
        while True:
            if pos > last and not self.at_end:
                self.pos = pos
                self.refill(2 * MARGIN)
                data, pos = self.data, 0
                last = len(data) - MARGIN
            if pos >= len(data):
                fail("the pickle does not end")
            opcode = data[pos]
            pos += 1
            if opcode == 0x47:  # G, a float
                stack.append(unpack_double(data, pos)[0])
                pos += 8
                continue
            if opcode == 0x8C or (opcode == 0x58 and unpack_uint(data, pos)[0] < 256):  # texts
                n = data[pos]
                pos += 1 if opcode == 0x8C else 4
                raw = data[pos : pos + n]
                if len(raw) != n:
                    fail(f"{n} more bytes are declared, {len(raw)} are there")
                pos += n
                known = texts.get(raw)
                stack.append(self.new_text(raw) if known is None else known)
                continue
            if opcode == 0x94:  # memoize
                memo.append(stack[-1])
                continue
            if opcode == 0x72:  # r, long_binput
                self.put_at(unpack_uint(data, pos)[0], stack[-1])
                pos += 4
                continue
            if opcode == 0x6A or opcode == 0x68:  # j, long_binget; h, binget
                index = unpack_uint(data, pos)[0] if opcode == 0x6A else data[pos]
                pos += 4 if opcode == 0x6A else 1
                value = memo[index] if index < len(memo) else _NOTHING
                if type(value) is str:
                    stack.append(value)
                else:
                    self.fetch(value, index)
                continue
            if opcode == 0x4B:  # K, a byte
                stack.append(data[pos])
                pos += 1
                continue
            if opcode == 0x71:  # q, binput
                self.put_at(data[pos], stack[-1])
                pos += 1
                continue
            self.pos = pos
            if opcode == 0x2E:  # stop
                break
            operation = operations.get(opcode)
            if operation is None:
                fail(f"opcode {bytes([opcode])!r} is not allowed")
            operation(self)
            stack, marks = self.stack, self.marks
            if len(marks) > MAX_DEPTH:
                fail(f"values are nested more than {MAX_DEPTH} deep")
            if self.data is not data:
                data = self.data
                last = len(data) - MARGIN
            pos = self.pos
        if marks or len(stack) != 1:
            fail("the pickle does not end where its one value ends")
        return stack[0]

    def guarded(self, where: str) -> Any:
        """As `run`, with the place of what is wrong in the message."""
        try:
            return self.run()
        except BenchmarkFileError as error:
            if str(error).startswith(where):
                raise
            raise BenchmarkFileError(f"{where}: near byte {self.position}: {error}") from error
        except (*DAMAGE, TypeError) as error:
            raise BenchmarkFileError(
                f"{where}: near byte {self.position}: {type(error).__name__}: {error}"
            ) from error

    def new_text(self, raw: bytes) -> str:
        """A text that was not met before."""
        value = raw.decode("utf-8", "surrogatepass")
        self.n_text_bytes += len(raw) + 100
        if self.n_text_bytes > MAX_TEXTS:
            fail(f"more than {MAX_TEXTS} bytes of different texts")
        self.texts[raw] = value
        return value

    # --- memo

    def put_at(self, index: int, value: object) -> None:
        """Indices count up, as picklers number them; that of Python 2 began with 1."""
        memo = self.memo_list
        if index == len(memo):
            memo.append(value)
        elif index < len(memo):
            memo[index] = value
        elif index - len(memo) <= SMALL:
            memo.extend([_NOTHING] * (index - len(memo)))
            memo.append(value)
        else:
            fail(f"memo index {index} follows {len(memo) - 1}")

    def put(self, index: int) -> None:
        self.put_at(index, self.top())

    def get(self, index: int) -> None:
        self.fetch(self.memo_list[index] if 0 <= index < len(self.memo_list) else _NOTHING, index)

    def fetch(self, value: object, index: int) -> None:
        if value is _NOTHING:
            fail(f"memo index {index} holds nothing")
        if isinstance(value, Dict | List):
            value.shared = True
        self.push(value)

    def forget(self, start: int) -> None:
        """Let go of containers that were put into the memo from `start` on."""
        memo = self.memo_list
        for i in range(start, len(memo)):
            value = memo[i]
            if type(value) in _PLAIN or isinstance(value, Enum | _Dtype | Opaque):
                continue
            if (
                isinstance(value, list | tuple)
                and len(value) <= SMALL
                and all(type(item) in _PLAIN for item in value)
            ):
                self.n_kept += 1  # small lists may be shared by several results
                continue
            memo[i] = GONE

    # --- containers

    def new_dict(self) -> Dict:
        found = Dict()
        found.start = self.position
        found.memo_start = len(self.memo_list)
        found.credited = self.credited
        found.shared = found.taken = False
        return found

    def append(self, values: list[object]) -> None:
        target = self.top()
        if isinstance(target, List) and target.shared:
            fail("a list is changed after it was used")
        super().append(values)

    def set_items(self, values: list[object]) -> None:
        target = self.top()
        if isinstance(target, Opaque):
            return
        if not isinstance(target, Dict) or len(values) % 2 or target.shared:
            fail(f"{len(values)} keys and values are set in a {type(target).__name__}")
        for i in range(0, len(values), 2):
            key = values[i]
            if type(key) is not str and type(key) is not int:
                self.check_key(key)
            target[key] = values[i + 1]
        # protocol 0 sets items one by one, others a single one
        if (len(values) > 2 or len(target) == 1 or target.taken) and self.hook(target):
            target.taken = True
            self.credited += self.position - target.start - (self.credited - target.credited)
            self.forget(target.memo_start)

    def check_key(self, key: object) -> None:
        flat = key if isinstance(key, tuple) else (key,)
        if len(flat) > 4 or not all(
            isinstance(item, int) or (isinstance(item, str | bytes) and len(item) <= MAX_VALUE)
            for item in flat
        ):
            fail(f"a dict key is a {type(key).__name__}, expected a text, an integer or a few")

    def make_dict(self) -> None:
        items = self.pop_to_mark()
        self.push(self.new_dict())
        self.set_items(items)

    def add_items(self) -> None:
        """Items of a set, which is a list here."""
        self.append(self.pop_to_mark())

    # --- what pickle would import and call

    def find_global(self, module: object, name: object) -> None:
        module, name = text(module, "a module name"), text(name, "a global name")
        found = _NAMES.get((module, name))
        if found is None and name in INSTANCES:
            found = _Name.INSTANCE
        if found is None and (module == "torch" or module.startswith("torch.")):
            found = _Name.OPAQUE
        if found is None:
            super().find_global(module, name)
        else:
            self.push(found)

    def reduce(self) -> None:
        function, arguments = self.pop_n(2)
        match function, arguments:
            case _Global.SCALAR, (_Dtype(code="f8", byte_order="<"), bytes(raw)) if len(raw) == 8:
                self.push(struct.unpack("<d", raw)[0])
            case _Name.OPAQUE | Opaque(), tuple():
                self.push(OPAQUE)
            case _Name.SET, ():
                self.push(new_list())
            case _Name.SET, (list(items),):
                self.push(new_list(items))
            case _Name.DICT, () | (_Name() | _Global(),):
                self.push(self.new_dict())
            case _Name.DICT, (list(items),):
                self.push(self.new_dict())
                for item in items:
                    if not isinstance(item, list | tuple) or len(item) != 2:
                        fail("an OrderedDict is made of something else than pairs")
                self.set_items([part for item in items for part in item])
            case _Name.RECONSTRUCTOR, (_Name.INSTANCE, _Name.OPAQUE, None):
                self.push(self.new_dict())
            case _:
                self.push(function)
                self.push(arguments)
                super().reduce()

    def new_object(self) -> None:
        kind, arguments = self.pop_n(2)
        if kind is _Name.INSTANCE and arguments == ():
            self.push(self.new_dict())
        elif kind is _Name.OPAQUE:
            self.push(OPAQUE)
        else:
            fail("an object of this class is not allowed")

    def build(self) -> None:
        if len(self.stack) < 2:
            fail("a state is set on an empty stack")
        target, state = self.stack[-2:]
        if isinstance(target, Opaque) or (isinstance(target, Dict) and target):
            self.pop()  # attributes of an OrderedDict of weights
        elif isinstance(target, Dict) and isinstance(state, dict):
            self.pop()
            target.update(state)
        else:
            super().build()

    def persistent(self) -> None:
        """A storage of torch, by its description."""
        self.pop()
        self.push(OPAQUE)


def new_list(items: list[Any] | None = None) -> List:
    found = List(items or ())
    found.shared = False
    return found


def _pushes_list(machine: _Machine) -> None:
    machine.push(new_list(machine.pop_to_mark()))


def _of(name: str) -> Callable[[_Machine], object]:
    return lambda machine: getattr(machine, name)()


_STREAM_OPERATIONS: Final[dict[int, Callable[[_Machine], object]]] = {
    **{opcode[0]: operation for opcode, operation in _OPERATIONS.items()},
    ord("d"): _of("make_dict"),
    ord("}"): lambda m: m.push(m.new_dict()),  # type: ignore[attr-defined]
    ord("]"): lambda m: m.push(new_list()),
    ord("l"): _pushes_list,
    ord("R"): _of("reduce"),
    ord("b"): _of("build"),
    0x94: lambda m: m.put(len(m.memo_list)),  # type: ignore[attr-defined]
    ord("p"): lambda m: m.put(integer(m.line())),
    0x81: _of("new_object"),
    0x8F: lambda m: m.push(new_list()),
    0x90: _of("add_items"),
    0x91: _pushes_list,
    ord("Q"): _of("persistent"),
}
