"""BurgerFormer: about 4.5e28 hybrids of convolutions, attention and pooling in four stages.

A stage is ``depth`` blocks of ``width`` channels, all with the same three sub-blocks, bread, meat
and bread, written as micro strings ``act0-norm1-op2-norm3-act4``::

    2,32,4:skip-GN-dwise_3x3-skip-gelu/skip-skip-skip-skip-skip/skip-skip-avgpool-LN-silu:1,1,1:1,1,1

depth, width, ratio of meat; the sub-blocks; which of the residuals 0->1, 1->2, 2->3 there are, and
which layer scales. Stages are joined by ``" ; "``. `STAGES` and `MICROS` have what each of these
may be: ``act0`` is always skip; where ``op2`` is skip, so is the whole string; else one of the
norms is, and the other is not. Attention (4 and 8 heads) and the spatial MLP are for bread of the
last two stages. Residuals and layer scales follow from that: all are 1 but those of a bread whose
``op2`` is skip, which passes what it gets, so that residuals lead through every block.

Every function that takes an architecture accepts

- that string,
- the dict of the release, also as JSON: ``{"stage-1": {"macro": {"depth": 2, ...}, "meso": {"1":
  "skip-...", "0->1": "skip", "0->2": "none", ..., "use_layer_scale": [...]}}, ...}``, as `to_dict`
  gives it,
- its number in `enumerate_all`, 0 to ``SIZE - 1``,
- 24 integers, see `parse`.

No two of these networks are equal. They take images of any size, usually 224; a spatial MLP has a
weight for each pair of positions, and so more of them for larger images. ``init="burgerformer"``
draws linear layers as the release does: normal, deviation 0.02, biases 0.

References
----------
.. [1] L. Yang, Y. Hu, S. Lu, Z. Sun, J. Mei, Y. Han and X. Li, "Searching for BurgerFormer with
   Micro-Meso-Macro Space Design", ICML 2022.
"""

from __future__ import annotations

__all__ = [
    "ACTS",
    "MICROS",
    "NAME",
    "NORMS",
    "SIZE",
    "STAGES",
    "Stage",
    "canonical",
    "enumerate_all",
    "format",
    "from_index",
    "mutate",
    "neighbours",
    "parse",
    "representative",
    "sample",
    "to_dict",
    "to_index",
    "to_json",
]

import itertools
import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces._protocol import (
    ArchLike,
    Canonical,
    Genes,
    as_genes,
    check_count,
    check_index,
    check_mode,
    load_json,
)

NAME: Final = "burgerformer"
NORMS: Final = ("BN", "GN", "LN")
ACTS: Final = ("skip", "relu6", "gelu", "silu")


class Stage(NamedTuple):
    """What a stage may have; ops are bread's and meat's, both beside ``skip``."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    ratios: tuple[int, ...]
    bread: tuple[str, ...]
    meat: tuple[str, ...]


_RATIOS = (1, 2, 4, 6)
_MEAT = ("dwise_3x3",)
_EARLY = ("dwise_3x3", "conv_1x1", "avgpool")
_LATE = (*_EARLY, "self_atten", "spatial_mlp")

STAGES: Final = (
    Stage((1, 2, 3, 4), (32, 64, 96), _RATIOS, _EARLY, _MEAT),
    Stage((1, 2, 3, 4), (64, 96, 128), _RATIOS, _EARLY, _MEAT),
    Stage((1, 2, 3, 4, 5, 6, 7, 8), (128, 192, 256, 320), _RATIOS, _LATE, _MEAT),
    Stage((1, 2, 3, 4), (128, 256, 384, 512), _RATIOS, _LATE, _MEAT),
)


def _micros(ops: Sequence[str]) -> Iterator[str]:
    yield "skip-skip-skip-skip-skip"
    for op, before, norm, act in itertools.product(ops, (True, False), NORMS, ACTS):
        norm1, norm3 = (norm, "skip") if before else ("skip", norm)
        yield f"skip-{norm1}-{op}-{norm3}-{act}"


MICROS: Final = tuple(_micros(_LATE))  # those of fewer ops come first

_PER_OP = len(NORMS) * 2 * len(ACTS)
_N_STAGE = 6  # genes of a stage
_MACRO = ("depth", "width", "ratio")
_EDGES = ("0->1", "1->2", "2->3")
_NO_EDGES = ("0->2", "0->3", "1->3")


def _choices(stage: Stage) -> tuple[Sequence[int], ...]:
    bread, meat = (range(1 + _PER_OP * len(ops)) for ops in (stage.bread, stage.meat))
    return (stage.depths, stage.widths, stage.ratios, bread, meat, bread)


_CHOICES = tuple(itertools.chain.from_iterable(map(_choices, STAGES)))  # by gene
SIZE: Final = math.prod(map(len, _CHOICES))


# --- notations -------------------------------------------------------------------------------


def parse(arch: ArchLike) -> Genes:
    """The integers behind an architecture, in any notation.

    Parameters
    ----------
    arch : str, bytes, int, mapping or sequence
        See the top of this module.

    Returns
    -------
    tuple of 24 int
        For each stage depth, width, ratio, and the sub-blocks as positions in `MICROS`.

    Raises
    ------
    ArchitectureError
        If `arch` is no architecture; for a string with the position of the fault.
    TypeError
        If `arch` is of another type.

    Examples
    --------
    >>> parse(0)
    (1, 32, 1, 0, 0, 0, 1, 64, 1, 0, 0, 0, 1, 128, 1, 0, 0, 0, 1, 128, 1, 0, 0, 0)
    >>> parse(SIZE - 1)[:6]
    (4, 96, 6, 72, 24, 72)
    """
    if isinstance(arch, np.ndarray):
        arch = arch.tolist()
    if isinstance(arch, str | bytes):
        if arch[:1] in ("{", b"{"):
            return _from_dict(load_json(arch, "of stages"))
        return _core.space_parse(NAME, arch)
    if isinstance(arch, int | np.integer) and not isinstance(arch, bool):
        return _genes_at(arch)
    if isinstance(arch, Mapping):
        return _from_dict(arch)
    if not isinstance(arch, Sequence):
        raise TypeError(
            "arch: expected a string, a number, a dict of stages or 24 integers, "
            f"got {type(arch).__name__}"
        )
    if len(arch) != len(_CHOICES):
        raise ArchitectureError(f"arch: expected {len(_CHOICES)} integers, got {len(arch)} items")
    return as_genes(NAME, arch)


def _integer(value: object, where: str) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise ArchitectureError(f"{where}: expected an integer, got {reprlib.repr(value)}")
    return int(value)


def _fields(value: object, known: Sequence[str], free: Sequence[str], where: str) -> dict[str, Any]:
    """A dict with all of `known`, maybe some of `free`, and no others."""
    if not isinstance(value, Mapping):
        raise ArchitectureError(f"{where}: expected a dict, got {reprlib.repr(value)}")
    if missing := [key for key in known if key not in value]:
        raise ArchitectureError(f"{where}: expected {missing[0]!r}, which is missing")
    if extra := [key for key in value if key not in known and key not in free]:
        raise ArchitectureError(
            f"{where}: expected {', '.join((*known, *free))}; got {reprlib.repr(extra[0])}"
        )
    return dict(value)


def _flags(value: object, where: str) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) != 3:
        raise ArchitectureError(f"{where}: expected three booleans, got {reprlib.repr(value)}")
    for i, flag in enumerate(value):
        if not isinstance(flag, int | np.bool_) or flag not in (0, 1):
            raise ArchitectureError(f"{where}[{i}]: expected a boolean, got {reprlib.repr(flag)}")
    return ",".join("1" if flag else "0" for flag in value)


def _stage_text(found: object, where: str) -> str:
    stage = _fields(found, ("macro", "meso"), (), where)
    macro = _fields(stage["macro"], _MACRO, (), f"{where}['macro']")
    meso = _fields(
        stage["meso"],
        ("1", "2", "3", *_EDGES, "use_layer_scale"),
        (*_NO_EDGES, "is_drop"),
        f"{where}['meso']",
    )
    numbers = [str(_integer(macro[key], f"{where}['macro'][{key!r}]")) for key in _MACRO]
    where = f"{where}['meso']"
    for sub in ("1", "2", "3"):
        if not isinstance(meso[sub], str):
            raise ArchitectureError(
                f"{where}[{sub!r}]: expected a micro string, got {reprlib.repr(meso[sub])}"
            )
    for edge in (*_EDGES, *_NO_EDGES):
        wanted = ("skip", "none") if edge in _EDGES else ("none",)
        if meso.get(edge, "none") not in wanted:
            raise ArchitectureError(
                f"{where}[{edge!r}]: expected {' or '.join(wanted)}, got {reprlib.repr(meso[edge])}"
            )
    _flags(meso.get("is_drop", (False,) * 3), f"{where}['is_drop']")
    residuals = ",".join("1" if meso[edge] == "skip" else "0" for edge in _EDGES)
    scales = _flags(meso["use_layer_scale"], f"{where}['use_layer_scale']")
    subs = "/".join(meso[sub] for sub in ("1", "2", "3"))
    return f"{','.join(numbers)}:{subs}:{residuals}:{scales}"


def _from_dict(arch: object) -> Genes:
    names = [f"stage-{i}" for i in range(1, 1 + len(STAGES))]
    stages = _fields(arch, names, (), "arch")
    text = " ; ".join(_stage_text(stages[name], f"arch[{name!r}]") for name in names)
    try:
        return _core.space_parse(NAME, text)
    except ArchitectureError as error:  # its position is in a text that nobody wrote
        raise ArchitectureError(f"arch: {error}") from None


def to_dict(arch: ArchLike) -> dict[str, Any]:
    """The dict of the release.

    Parameters
    ----------
    arch : str, int, mapping or sequence

    Returns
    -------
    dict
        ``stage-1`` to ``stage-4``, each with ``macro`` and ``meso``. ``is_drop`` is False: networks
        here have no drop path.

    Examples
    --------
    >>> stage = to_dict(SIZE - 1)["stage-1"]
    >>> stage["macro"], stage["meso"]["1"]
    ({'depth': 4, 'width': 96, 'ratio': 6}, 'skip-skip-avgpool-LN-silu')
    >>> parse(to_dict(12345)) == parse(12345)
    True
    """
    found: dict[str, Any] = {}
    for i, text in enumerate(format(parse(arch)).split(" ; "), start=1):
        macro, subs, residuals, scales = text.split(":")
        edges = dict(zip(_EDGES, residuals.split(","), strict=True))
        meso: dict[str, Any] = dict(zip(("1", "2", "3"), subs.split("/"), strict=True))
        for edge in sorted((*_EDGES, *_NO_EDGES)):
            meso[edge] = "skip" if edges.get(edge) == "1" else "none"
        meso["use_layer_scale"] = [scale == "1" for scale in scales.split(",")]
        meso["is_drop"] = [False] * 3
        numbers = zip(_MACRO, map(int, macro.split(",")), strict=True)
        found[f"stage-{i}"] = {"macro": dict(numbers), "meso": meso}
    return found


def to_json(arch: ArchLike) -> str:
    """The dict of the release as JSON; see `to_dict`."""
    import json  # not before it is needed

    return json.dumps(to_dict(arch))


def format(genes: Sequence[int]) -> str:
    """The string of an architecture's integers; see `parse`.

    Examples
    --------
    >>> format(parse(0)).split(" ; ")[3]
    '1,128,1:skip-skip-skip-skip-skip/skip-skip-skip-skip-skip/skip-skip-skip-skip-skip:0,1,0:0,1,0'
    """
    return _core.space_format(NAME, genes)


def _genes_at(index: int | np.integer[Any]) -> Genes:
    at, genes = check_index(index, SIZE), []
    for choices in reversed(_CHOICES):
        at, place = divmod(at, len(choices))
        genes.append(choices[place])
    return tuple(reversed(genes))


def from_index(index: int | np.integer[Any]) -> str:
    """The architecture with a number in `enumerate_all`.

    ``from_index(random.randrange(SIZE))`` is any of them, all equally likely; `sample` is not.

    Examples
    --------
    >>> from_index(SIZE // 2).split(":")[0]
    '3,32,1'
    """
    return format(_genes_at(index))


def to_index(arch: ArchLike) -> int:
    """The number of an architecture in `enumerate_all`.

    Examples
    --------
    >>> to_index(from_index(123_456_789))
    123456789
    """
    index = 0
    for choices, gene in zip(_CHOICES, parse(arch), strict=True):
        index = index * len(choices) + choices.index(gene)
    return index


# --- the whole space, samples, steps ---------------------------------------------------------


def enumerate_all() -> Iterator[str]:
    """All architectures in the order of their genes, the last sub-block of stage 4 fastest.

    Examples
    --------
    >>> first = enumerate_all()
    >>> next(first) == from_index(0), next(first) == from_index(1)
    (True, True)
    """
    return map(format, itertools.product(*_CHOICES))


def _drawn(place: int, rng: np.random.Generator) -> int:
    """A gene by the rules of `sample`."""
    choices = _CHOICES[place]
    if place % _N_STAGE < 3:
        return choices[int(rng.integers(len(choices)))]
    op = int(rng.integers(1 + len(choices) // _PER_OP))
    return 0 if op == 0 else 1 + (op - 1) * _PER_OP + int(rng.integers(_PER_OP))


def sample(n: int, seed: int | np.random.Generator, *, replace: bool = False) -> list[str]:
    """Random architectures, drawn field by field.

    Depths, widths and ratios of what their stage may have, all equally likely; the same for the op
    of each sub-block, skip being one of them; with any other op, norm, place of the norm and
    activation. So a skipped sub-block is as likely as all 24 with the same op together.

    Parameters
    ----------
    n : int
        How many.
    seed : int or numpy.random.Generator
        A generator is advanced.
    replace : bool
        Whether an architecture may come more than once.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If `n` is negative or, without `replace`, above `SIZE`.
    """
    check_count(n, SIZE, replace)
    rng = np.random.default_rng(seed)
    found: list[str] = []
    seen: set[str] = set()
    while len(found) < n:
        text = format([_drawn(place, rng) for place in range(len(_CHOICES))])
        if replace or text not in seen:
            found.append(text)
            seen.add(text)
    return found


def mutate(arch: ArchLike, rng: np.random.Generator) -> str:
    """A random one of `neighbours`: one gene, any of them equally likely, drawn again.

    By the rules of `sample`, until it is another one.

    Parameters
    ----------
    arch : str, int, mapping or sequence
        The parent.
    rng : numpy.random.Generator
        Advanced.

    Returns
    -------
    str
    """
    genes = list(parse(arch))
    place = int(rng.integers(len(genes)))
    old = genes[place]
    while genes[place] == old:
        genes[place] = _drawn(place, rng)
    return format(genes)


def neighbours(arch: ArchLike) -> list[str]:
    """The 902 architectures that differ in one gene, gene by gene.

    That is another depth, width or ratio of a stage, or another micro string for one of its
    sub-blocks.
    """
    genes = parse(arch)
    return [
        format((*genes[:place], other, *genes[place + 1 :]))
        for place, choices in enumerate(_CHOICES)
        for other in choices
        if other != genes[place]
    ]


# --- which architectures are the same --------------------------------------------------------


def canonical(arch: ArchLike) -> str:
    """The architecture itself: no two networks are equal."""
    return format(parse(arch))


def representative(arch: ArchLike, mode: Canonical = "form") -> str:
    """The architecture itself, whatever `mode` is; see `Space.representative`.

    Parameters
    ----------
    arch : str, int, mapping or sequence
    mode : {"form", "network"}

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If `mode` is neither.
    """
    check_mode(mode)
    return canonical(arch)
