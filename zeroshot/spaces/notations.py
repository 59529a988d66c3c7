"""Notations of architectures, and conversion between those that denote the same thing.

`NOTATIONS` has a row for each notation of each space: its name, whether a value looks like one, the
functions of the space's module that read and write it, what it looks like, and where it differs by
one or in order from what stands beside it. To add a notation, add a row; functions that the module
does not have belong there. `BRIDGES` has the pairs of spaces whose architectures may be the same.

>>> convert("|none~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|", "naslib")
(1, 1, 1, 0, 1, 4)
>>> convert((1, 1, 1, 0, 1, 4), "index", notation="naslib")
10008
"""

from __future__ import annotations

__all__ = ["BRIDGES", "NOTATIONS", "Notation", "convert", "notations"]

import dataclasses
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import Space, get_space
from zeroshot.spaces._protocol import ArchLike

# --- what a value looks like ------------------------------------------------------------------


def _is_json(arch: Any) -> bool:
    return isinstance(arch, str | bytes) and arch.lstrip()[:1] in ("[", "{", b"[", b"{")


def _is_text(arch: Any) -> bool:
    return isinstance(arch, str | bytes) and not _is_json(arch)


def _is_cell(arch: Any) -> bool:
    return isinstance(arch, str | bytes) and arch[:1] in ("|", b"|")


def _is_number(arch: Any) -> bool:
    return isinstance(arch, int | np.integer) and not isinstance(arch, bool)


def _is_list(arch: Any) -> bool:
    return isinstance(arch, Sequence | np.ndarray) and not isinstance(arch, str | bytes)


def _is_graph(arch: Any) -> bool:
    return hasattr(arch, "edges") and hasattr(arch, "nodes")


def _are_graphs(arch: Any) -> bool:
    return _is_list(arch) and len(arch) == 2 and all(map(_is_graph, arch))


def _integers(*lengths: int) -> Callable[[Any], bool]:
    return lambda arch: _is_list(arch) and len(arch) in lengths and all(map(_is_number, arch))


def _items(*lengths: int) -> Callable[[Any], bool]:
    """Lists, but not of integers alone and not of graphs."""
    return lambda arch: (
        _is_list(arch)
        and len(arch) in lengths
        and not all(map(_is_number, arch))
        and not any(map(_is_graph, arch))
    )


def _is_dict(*keys: str) -> Callable[[Any], bool]:
    return lambda arch: isinstance(arch, Mapping) and any(key in arch for key in keys)


def _is_bits(arch: Any) -> bool:
    return _is_list(arch) and len(arch) == 2 and _is_number(arch[0]) and _is_list(arch[1])


def _is_matrix(arch: Any) -> bool:
    return _is_list(arch) and len(arch) == 2 and all(map(_is_list, arch))


def _is_config(arch: Any) -> bool:
    return isinstance(arch, Mapping) and any(str(key).startswith("NetworkSelector") for key in arch)


_is_naslib_module = _integers(*(n * n + n for n in range(2, 33)))


# --- the table ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Notation:
    """A way to write the architectures of a space.

    Attributes
    ----------
    name : str
        As `convert` takes it.
    looks : str
        What it looks like.
    trap : str
        Where it differs by one, or in order, from others; empty if nowhere.
    exact : bool
        Whether it tells equal architectures apart. One that does not has one of each class, the one
        that the space's `canonical` gives.
    example : object
        An architecture. None where what is needed to write it is not installed.
    fits : callable
        Whether a value looks like this notation.
    read, write : str
        Functions of the space's module: from a value to text or genes, and from an architecture to
        a value. Nothing reads a notation without `read`.
    """

    name: str
    fits: Callable[[Any], bool] = field(repr=False)
    read: str = field(repr=False)
    write: str = field(repr=False)
    looks: str
    trap: str = ""
    exact: bool = True
    example: Any = None


_EDGES_201 = "edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3"
_NONE_FIRST = "DARTS' own list of operations begins with none and is one ahead"
_SORTED = "does not tell a node's pairs apart: they come back by source, ascending"
_OWN_ORDER = "its place in enumerate_all, nobody else's number"

_GENOTYPE: Final = (
    Notation("text", _is_text, "parse", "", "Genotype(normal=[('sep_conv_3x3', 0), ...], ...)"),
    Notation("genotype", _items(4), "parse", "to_genotype", "the named tuple of DARTS' code"),
    Notation("dict", _is_dict("normal"), "parse", "to_dict", "its four parts by name"),
    Notation("compact", _items(2), "from_compact", "to_compact",
        "((source, op), ...) of two cells: BANANAS, NASLib",
        f"the source comes first; {_NONE_FIRST}"),
    Notation("config", _is_config, "from_config", "to_config",
        "NAS-Bench-301's ConfigSpace entries",
        f"edge_normal_3 counts edges node by node, inputs_node_normal_3 nodes; {_SORTED}", False),
    Notation("networkx", _are_graphs, "from_networkx", "to_networkx",
        "two MultiDiGraph with op and pair on edges",
        "without pair a node's edges are sorted by source"),
    Notation("index", _is_number, "from_index", "to_index",
        "a number", f"{_OWN_ORDER}; {_SORTED}", False),
    Notation("genes", _integers(32), "parse", "parse",
        "32 integers, (op, source) 16 times", _NONE_FIRST),
)  # fmt: skip


def _nds(n_genes: int) -> tuple[Notation, ...]:
    return (
        Notation("text", _is_text, "parse", "",
            "w=32;d=20;Genotype(...)", "d counts cells, reduction cells, too"),
        Notation("record", _is_dict("genotype", "net"), "parse", "to_net",
            "the record of NDS, as its files have it",
            "the operation comes first; a job's own record is its net"),
        Notation("json", _is_json, "from_json", "to_json", "the record as JSON"),
        Notation("networkx", _are_graphs, "from_networkx", "to_networkx",
            "two MultiDiGraph, width and depth in graph.graph"),
        Notation("index", _is_number, "from_index", "to_index",
            "a number", f"{_OWN_ORDER}; of the usual widths, depths and concatenations alone"),
        Notation("genes", _integers(n_genes), "parse", "parse", f"{n_genes} integers"),
    )  # fmt: skip


NOTATIONS: Final[Mapping[str, tuple[Notation, ...]]] = {
    "nasbench201": (
        Notation("text", _is_text, "parse", "", "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"),
        Notation("index", _is_number, "from_index", "to_index",
            "the benchmark's number", "shuffled: not the place in enumerate_all"),
        Notation("names", _items(6), "parse", "to_names", f"six names, {_EDGES_201}"),
        Notation("genes", _integers(6), "parse", "parse",
            f"six positions in OPS (none 0), {_EDGES_201}", "looks like naslib: has to be named"),
        Notation("naslib", _integers(6), "from_naslib", "to_naslib",
            "six integers, edges 0-1, 0-2, 0-3, 1-2, 1-3, 2-3",
            "other edges than genes and other operations: skip 0, none 1, 3x3 2, 1x1 3, "
            "pool 4; has to be named"),
        Notation("nested", _items(3), "parse", "to_nested", "((op, 0),), ((op, 0), (op, 1)), ..."),
        Notation("networkx", _is_graph, "from_networkx", "to_networkx",
            "DiGraph with op on edges", "an edge that is not there is none"),
    ),
    "nats_sss": (
        Notation("text", _is_text, "parse", "", "8:16:24:32:40"),
        Notation("index", _is_number, "from_index", "to_index",
            "the benchmark's number", "in order, the last width fastest"),
        Notation("widths", _integers(5), "parse", "parse", "five widths"),
    ),
    "nasbench101": (
        Notation("text", _is_text, "parse", "", "adj=011/001/000;ops=input,conv3x3-bn-relu,output"),
        Notation("matrix", _is_matrix, "parse", "to_matrix",
            "(rows, names)", "vertices on no path are removed"),
        Notation("json", _is_json, "parse", "to_json",
            "[rows, integers] as JSON", "-1 input, 0 conv3x3, 1 conv1x1, 2 maxpool3x3, -2 output"),
        Notation("naslib", _is_naslib_module, "parse", "to_naslib",
            "rows, then operations, flat",
            "the other way round: 0 input, 1 output, 2 maxpool3x3, 3 conv1x1, 4 conv3x3"),
        Notation("bits", _is_bits, "from_bits", "to_bits",
            "(edges as a number, integers)",
            "bit x + y(y-1)/2 is edge x-y: column by column, the least first"),
        Notation("networkx", _is_graph, "from_networkx", "to_networkx",
            "DiGraph with op on vertices"),
        Notation("index", _is_number, "from_index", "to_index",
            "a number",
            f"{_OWN_ORDER}; of equal modules one: the numbering of vertices is lost", False),
        Notation("genes", _integers(27), "parse", "parse", "vertices, 5 operations, 21 edges"),
        Notation("hash", lambda arch: False, "", "module_hash",
            "the benchmark's hash", "equal modules share it; nothing is read from it", False),
    ),
    "darts": _GENOTYPE,
    "nasbench301": _GENOTYPE,
    "nds_darts": _nds(42),
    "nds_enas": _nds(52),
    "nds_pnas": _nds(52),
    "nds_nasnet": _nds(52),
    "nds_amoeba": _nds(52),
    "proxylessnas": (
        Notation("text", _is_text, "parse", "", "skeleton=19;act=relu6;se=none;k3e3 k5e6 ..."),
        Notation("choices", _items(19, 21), "parse", "to_choices",
            "(kernel, expansion) of each layer, None for skip",
            "the fixed block behind the stem has none: choice 0 is block 1 of a configuration; "
            "21 are skeleton 21, ReLU6, no se"),
        Notation("index", _is_number, "from_index", "to_index",
            "a number", f"{_OWN_ORDER}; of skeleton 19 with ReLU6 and without se alone"),
        Notation("genes", _integers(24), "parse", "parse",
            "skeleton, act, se, 21 choices", "choices count from 1, se in 1/10000"),
    ),
    "mbconv": (
        Notation("text", _is_text, "parse", "",
            "stem=32;last=1280;k3e1:16s1 ... or ...;act=swish;ds_r1_..."),
        Notation("config", _is_dict("blocks"), "parse", "to_config",
            "ProxylessNAS's configuration", "its first block is the fixed one"),
        Notation("json", _is_json, "parse", "to_json",
            "the configuration as JSON", "its first block is the fixed one"),
        Notation("timm", _is_dict("arch_def"), "from_timm", "to_timm",
            "timm's block strings, stage by stage",
            "r repeats, s is the stride of the first; batch norms have eps 1e-5, in "
            "configurations 1e-3"),
        Notation("index", _is_number, "from_index", "to_index",
            "a number", f"{_OWN_ORDER}; of skeleton 19 with Swish and se 0.25 alone"),
        Notation("genes", _integers(125), "parse", "parse",
            "125 integers", "expansion 0 is none, which texts write e1"),
    ),
    "burgerformer": (
        Notation("text", _is_text, "parse", "",
            "depth,width,ratio:micro/micro/micro:1,1,1:1,1,1 ; ..."),
        Notation("dict", _is_dict("stage-1"), "parse", "to_dict",
            "the dict of the release", "stages and sub-blocks count from 1, residuals from 0"),
        Notation("json", _is_json, "parse", "to_json", "the dict as JSON"),
        Notation("index", _is_number, "from_index", "to_index", "a number", _OWN_ORDER),
        Notation("genes", _integers(24), "parse", "parse",
            "depth, width, ratio and three positions in MICROS, four times",
            "micro strings count from 0, skip"),
    ),
    "transnas_micro": (
        Notation("text", lambda arch: _is_text(arch) and not _is_cell(arch), "parse", "",
            "64-41414-a_bc_def: base width, modules, operations of nodes 1, 2, 3"),
        Notation("cell", _is_cell, "parse", "to_nasbench201",
            "the string of NAS-Bench-201, of modules 64-41414", "has no avg_pool_3x3"),
        Notation("digits", _integers(6), "parse", "to_digits",
            f"six positions in OPS, {_EDGES_201}", "of modules 64-41414 alone"),
        Notation("index", _is_number, "from_index", "to_index",
            "0 to 4095, the digits in base 4", "the benchmark counts from 3256, where its macro "
            "space ends; of modules 64-41414 alone"),
        Notation("genes", _integers(13), "parse", "parse",
            "base width, six modules, six operations", "0 behind the last module"),
    ),
    "super_nasbench201": (
        Notation("text", _is_text, "parse", "", "|op,op~0|+|op~0|~1|+|..."),
        Notation("sets", _items(6), "parse", "to_lists",
            f"operations of each edge, {_EDGES_201}",
            "has batch norms with gamma and beta: affine=0 is in the text alone"),
    ),
    "super_darts": (
        Notation("text", _is_text, "parse", "", "normal=|op,op~0|~1|+...;reduce=|..."),
        Notation("sets", _items(28), "parse", "to_lists",
            "operations of each edge, the normal cell first, node by node",
            "options are in the text alone"),
    ),
}  # fmt: skip
"""Of each space its notations, the text first."""


# --- from space to space --------------------------------------------------------------------------


def _same(text: str) -> str:
    return text


def _sized(space: str, text: str) -> str:
    """A genotype of `space` with the width and depth that its networks have by default."""
    width, depth = _core.space_defaults(space)
    return f"w={width};d={depth};{text}"


def _unsized(space: str, text: str) -> str:
    """The genotype of an architecture of NDS that is a network of `space` by default."""
    prefix = _sized(space, "")
    if not text.startswith(prefix):
        raise ArchitectureError(
            f"arch: expected {prefix}..., the default of {space}, whose genotypes have no width "
            f"and depth; got {text[: text.index('Genotype')]}"
        )
    return text[len(prefix) :]


def _of(space: str, function: str) -> Callable[[str], str]:
    """A function of a space's module, which is imported when it is called."""
    return lambda text: str(getattr(get_space(space), function)(text))


BRIDGES: Final[Mapping[tuple[str, str], Callable[[str], str]]] = {
    ("nasbench201", "super_nasbench201"): _of("super_nasbench201", "from_nasbench201"),
    ("super_nasbench201", "nasbench201"): _of("super_nasbench201", "to_nasbench201"),
    ("darts", "nasbench301"): _same,
    ("nasbench301", "darts"): _same,
    ("darts", "nds_darts"): lambda text: _sized("darts", text),
    ("nds_darts", "darts"): lambda text: _unsized("darts", text),
    ("nasbench301", "nds_darts"): lambda text: _sized("nasbench301", text),
    ("nds_darts", "nasbench301"): lambda text: _unsized("nasbench301", text),
    ("darts", "super_darts"): _of("super_darts", "from_darts"),
    ("super_darts", "darts"): _of("super_darts", "to_darts"),
    ("proxylessnas", "mbconv"): _of("proxylessnas", "to_mbconv"),
    ("mbconv", "proxylessnas"): _of("proxylessnas", "from_mbconv"),
}
"""From a text of one space to that of another, both ways: what one cannot say does not cross."""


# --- conversion -----------------------------------------------------------------------------------


def notations(space: str = "nasbench201") -> tuple[Notation, ...]:
    """The notations of a space.

    Parameters
    ----------
    space : str
        One of `zeroshot.list_spaces`.

    Returns
    -------
    tuple of Notation
        Each with its name, what it looks like, an example, and its trap; the text first.

    Examples
    --------
    >>> for notation in notations("nats_sss"):
    ...     print(notation.name, notation.example)
    text 8:16:24:32:40
    index 668
    widths (8, 16, 24, 32, 40)
    """
    module, rows = get_space(space), _rows(space)
    return tuple(
        dataclasses.replace(row, example=_example(row, module, _EXAMPLES.get(space, ())))
        for row in rows
    )


_EXAMPLES: Final[Mapping[str, tuple[Any, ...]]] = {
    "nasbench201": (4811,),
    "nats_sss": ("8:16:24:32:40",),
    "nasbench101": ("adj=011/001/000;ops=input,conv3x3-bn-relu,output",),
    "darts": ("DARTS_V2",),
    "nasbench301": (0,),
    "mbconv": (0, "stem=32;last=1280;k3e1:16s1 k5e3:32s2 k3e3:32s1"),
    "super_nasbench201": (_core.space_format("super_nasbench201", (2, 4, 8, 24, 0, 3, 1)),),
}
"""Architectures that are written for `Notation.example`, the first that can be; else number 0."""


def _example(row: Notation, module: Space, archs: Sequence[Any]) -> Any:
    for arch in archs or (next(module.enumerate_all()),):
        try:
            return _written(row, module, module.format(module.parse(arch)))
        except (ArchitectureError, ImportError):
            continue
    return None


def convert(
    arch: ArchLike | Any, to: str, *, space: str = "nasbench201", notation: str | None = None
) -> Any:
    """An architecture in another notation.

    Parameters
    ----------
    arch : object
        In any notation of `space`.
    to : str
        A notation of `space`; or another space, for its text; or ``SPACE:NOTATION``.
    space : str
        One of `zeroshot.list_spaces`.
    notation : str, optional
        What `arch` is written in: see `notations`. Default: what it looks like. Six integers, which
        in NAS-Bench-201 are two things, have to be named.

    Returns
    -------
    object
        The same architecture. Notations that do not tell equal ones apart (`Notation.exact`) have
        one of each class.

    Raises
    ------
    ArchitectureError
        If `arch` is not written so, looks like several notations, or `to` cannot say all of it: a
        number that the space has for some, a genotype where width and depth belong to it.
    TypeError
        If `arch` is of a type that no notation has.
    ValueError
        If there is no such space or notation.
    ImportError
        Without the library that `to` is about.

    Examples
    --------
    >>> cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
    >>> convert(cell, "names")
    ('nor_conv_3x3', 'none', 'skip_connect', 'none', 'none', 'avg_pool_3x3')
    >>> convert(cell, "naslib"), convert(cell, "genes")
    ((2, 1, 1, 0, 1, 4), (3, 0, 1, 0, 0, 4))
    >>> convert((2, 1, 1, 0, 1, 4), "text", notation="naslib") == cell
    True
    >>> convert("DARTS_V2", "compact", space="darts")[0][:3]
    ((0, 3), (1, 3), (0, 3))
    >>> convert("DARTS_V2", "nds_darts", space="darts")[:40]
    "w=36;d=20;Genotype(normal=[('sep_conv_3x"
    """
    target, wanted = _target(to, space)
    source = get_space(space)
    text = _text_of(arch, source, space, notation)
    if target != space:
        text = _crossed(text, space, target)
    return _written(wanted, source if target == space else get_space(target), text)


def _rows(space: str) -> tuple[Notation, ...]:
    if space not in NOTATIONS:
        get_space(space)  # which says what spaces there are
    return NOTATIONS[space]


def _named(name: str, space: str) -> Notation | None:
    return next((row for row in _rows(space) if row.name == name), None)


def _target(to: str, space: str) -> tuple[str, Notation]:
    """The space and the notation that `to` means."""
    row = _named(to, space)
    if row is not None:
        return space, row
    others = [b for a, b in BRIDGES if a == space]
    target, colon, name = to.partition(":")
    if target in (*others, space):
        row = _named(name if colon else "text", target)
        if row is not None:
            return target, row
        names = ", ".join(row.name for row in _rows(target))
        raise ValueError(f"to: expected one of {names} behind '{target}:'; got {name!r}")
    names = ", ".join([row.name for row in _rows(space)] + [f"{b}:NOTATION" for b in others])
    raise ValueError(f"to: expected a notation of {space}, one of {names}; got {to!r}")


def _text_of(arch: Any, module: Space, space: str, notation: str | None) -> str:
    if notation is not None:
        row = _named(notation, space)
        readable = [row for row in _rows(space) if row.read]
        if row not in readable:
            names = ", ".join(row.name for row in readable)
            raise ValueError(f"notation: expected one of {names}; got {notation!r}")
        if not row.fits(arch):
            raise ArchitectureError(
                f"arch: expected {row.name}, {row.looks}; got {reprlib.repr(arch)}"
            )
        return _read(row, module, arch)
    fitting = [row for row in _rows(space) if row.fits(arch)]
    if len(fitting) > 1:
        names = " or ".join(f"notation={row.name!r}" for row in fitting)
        raise ArchitectureError(
            f"arch: expected its notation to be named, {names}, as it may be either; "
            f"got {reprlib.repr(arch)}"
        )
    if not fitting:  # parse may take it all the same, and says best what is wrong with it
        return module.format(module.parse(arch))
    return _read(fitting[0], module, arch)


def _read(row: Notation, module: Space, arch: Any) -> str:
    if isinstance(arch, np.ndarray):
        arch = arch.tolist()
    function = getattr(module, row.read)
    found = function(*arch) if row.fits is _are_graphs else function(arch)
    return found if isinstance(found, str) else module.format(found)


def _equal(module: Space, one: str, two: str, exact: bool) -> bool:
    return one == two or (not exact and module.canonical(one) == module.canonical(two))


def _written(row: Notation, module: Space, text: str) -> Any:
    """`text` in a notation, which is read again: nothing may be lost on the way."""
    if not row.write:
        return text
    value = getattr(module, row.write)(text)
    if row.read and not _equal(module, text, _read(row, module, value), row.exact):
        raise ArchitectureError(
            f"arch: expected what {row.name} can say ({row.looks}{'; ' * bool(row.trap)}"
            f"{row.trap}), got {text}"
        )
    return value


def _crossed(text: str, space: str, target: str) -> str:
    """The text of another space."""
    module, other = get_space(space), get_space(target)
    try:
        found = other.format(other.parse(BRIDGES[space, target](text)))
        back = BRIDGES[target, space](found)
    except ArchitectureError as error:  # a position would be in a text that nobody wrote
        raise ArchitectureError(f"arch: {target} has no such architecture: {error}") from None
    if not _equal(module, text, back, exact=False):
        raise ArchitectureError(f"arch: expected what {target} can say, got {text}")
    return found
