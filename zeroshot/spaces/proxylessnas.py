"""The chain of ProxylessNAS: a kernel and an expansion for each block, 6**19 networks and more.

An architecture is a skeleton, which fixes depth and widths, and a choice for every layer that is
searched: an MBConv block of kernel 3, 5 or 7 and expansion 3 or 6::

    skeleton=19;act=relu6;se=none;k3e3 k5e6 k7e3 ...

Each of the three fields may be left out. Without ``skeleton``, 19 choices are skeleton 19 and 21
choices skeleton 21.

``19``
    FairNAS, and the only one that fits what the xi-GSNR paper says of its networks. Stages 32x2,
    40x4, 80x4, 96x4, 192x4 and 320x1 (width x layers), 6**19 networks: `SIZE`.
``21``
    The release's default: as above, but for the first stage, which is 24x4. Its published Mobile
    network is 32 wide there and so is not among these: see `zeroshot.spaces.mbconv`.
``21wide``
    Proxyless-GPU: stages 32x4, 56x4, 112x4, 128x4, 256x4 and 432x1.

The block behind the stem is fixed and has no choice. ``act`` is ``relu6`` or ``swish``; ``se``,
``none`` or the ratio of squeeze and excitation, as ``0.25``: the squeezed map's channels by those
of the block's *input*. With ``act=swish;se=0.25`` these are the networks of the retraining form.
The eps of batch norms is 1e-3 with ReLU6, as in the release, and 1e-5 with Swish.

Some versions have a seventh choice, ``skip``, which removes a layer that has a shortcut. It is read
and built; what numbers, draws and steps make has none unless it is asked for.

Every function that takes an architecture accepts

- that string,
- its number in `enumerate_all`, 0 to 6**19 - 1,
- a sequence of 19 or 21 choices, each ``"k3e3"`` or ``(3, 3)``, ``"skip"`` or None.

Published searches score 224 x 224 images of 1,000 classes; any size from 1 x 1 up gives a network.
At 32 x 32 the last maps are 1 x 1, where a batch norm over a group of one image puts out its beta.

References
----------
.. [1] H. Cai, L. Zhu and S. Han, "ProxylessNAS: Direct Neural Architecture Search on Target Task
   and Hardware", ICLR 2019.
.. [2] X. Chu, B. Zhang and R. Xu, "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural
   Architecture Search", ICCV 2021.
"""

from __future__ import annotations

__all__ = [
    "ACTS",
    "CHOICES",
    "NAME",
    "SIZE",
    "SKELETONS",
    "canonical",
    "enumerate_all",
    "format",
    "from_index",
    "from_mbconv",
    "mutate",
    "neighbours",
    "parse",
    "representative",
    "sample",
    "size",
    "skippable",
    "to_choices",
    "to_index",
    "to_mbconv",
]

import itertools
import reprlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces._protocol import (
    ArchLike,
    Canonical,
    Genes,
    as_genes,
    check_index,
    check_mode,
    draw_indices,
)
from zeroshot.spaces._skeletons import SKELETONS, Skeleton, find_skeleton

NAME: Final = "proxylessnas"
CHOICES: Final = ((3, 3), (3, 6), (5, 3), (5, 6), (7, 3), (7, 6))
"""Kernel and expansion, in the order of `enumerate_all`."""
ACTS: Final = ("relu6", "swish")


_NAMES = tuple(SKELETONS)
_FIELDS = 3  # genes before the choices
_SKIP = len(CHOICES) + 1
_MOST = max(skeleton.n_layers for skeleton in SKELETONS.values())
_UNIT = 10_000  # of squeeze ratios
SIZE: Final = len(CHOICES) ** SKELETONS["19"].n_layers


def size(skeleton: str = "19") -> int:
    """Number of networks of a skeleton, without those that skip layers.

    Examples
    --------
    >>> size() == 6**19 == SIZE, size("21")
    (True, 21936950640377856)
    """
    return int(len(CHOICES) ** find_skeleton(skeleton).n_layers)


def skippable(skeleton: str = "19") -> tuple[int, ...]:
    """The layers that have a shortcut, and so may be skipped: all but the first of each stage.

    Examples
    --------
    >>> skippable()[:4]
    (1, 3, 4, 5)
    """
    ends = itertools.accumulate((n for _, n, _ in find_skeleton(skeleton).stages), initial=0)
    starts = set(ends)
    return tuple(i for i in range(SKELETONS[skeleton].n_layers) if i not in starts)


# --- notations -------------------------------------------------------------------------------


def parse(arch: ArchLike) -> Genes:
    """The integers behind an architecture, in any notation.

    Parameters
    ----------
    arch : str, bytes, int or sequence
        See the top of this module.

    Returns
    -------
    tuple of 24 int
        Position in `SKELETONS`; position in `ACTS`; squeeze ratio in 1/10000, 0 for none; 21
        choices, 1 to 6 in the order of `CHOICES`, 7 for skip, 0 behind the last layer.

    Raises
    ------
    ArchitectureError
        If `arch` is no architecture; for a string with the position of the fault.
    TypeError
        If `arch` is of another type.

    Examples
    --------
    >>> parse("act=swish;se=0.25;" + " ".join(["k3e3"] * 18 + ["k7e6"]))[:4]
    (0, 1, 2500, 1)
    >>> format(parse([(3, 3)] * 18 + [(7, 6)]))[-14:]
    'k3e3 k3e3 k7e6'
    """
    if isinstance(arch, np.ndarray):
        arch = arch.tolist()
    if isinstance(arch, str | bytes):
        return _core.space_parse(NAME, arch)
    if isinstance(arch, int | np.integer) and not isinstance(arch, bool):
        return _genes_at(arch, "19", "relu6", 0.0)
    if not isinstance(arch, Sequence):
        raise TypeError(
            f"arch: expected a string, a number or a sequence of choices, got {type(arch).__name__}"
        )
    if len(arch) == _FIELDS + _MOST:
        return as_genes(NAME, arch)
    skeleton = next((name for name in _NAMES if SKELETONS[name].n_layers == len(arch)), None)
    if skeleton is None:
        raise ArchitectureError(f"arch: expected 19 or 21 choices, got {len(arch)} items")
    return _genes(skeleton, "relu6", 0.0, [_choice(c, f"arch[{i}]") for i, c in enumerate(arch)])


def _choice(value: object, where: str) -> int:
    if value is None or value == "skip":
        return _SKIP
    if isinstance(value, str):
        value = next((c for c in CHOICES if value == _word(c)), value)
    elif isinstance(value, Sequence | np.ndarray):
        value = tuple(value)
    for number, choice in enumerate(CHOICES, start=1):
        if value == choice:
            return number
    known = ", ".join(map(_word, CHOICES))
    raise ArchitectureError(
        f"{where}: expected one of {known}, skip, or (kernel, expansion); got {reprlib.repr(value)}"
    )


def _word(choice: tuple[int, int]) -> str:
    return f"k{choice[0]}e{choice[1]}"


def _genes(skeleton: str, act: str, se: float, choices: Sequence[int]) -> Genes:
    find_skeleton(skeleton)
    if act not in ACTS:
        raise ValueError(f"act: expected one of {', '.join(ACTS)}; got {act!r}")
    unit = round(se * _UNIT) if 0 <= se <= 1 else -1
    if unit < 0 or unit / _UNIT != se:
        raise ValueError(f"se: expected 0 to 1 with at most 4 decimals, got {se!r}")
    rest = [0] * (_MOST - len(choices))
    return as_genes(NAME, [_NAMES.index(skeleton), ACTS.index(act), unit, *choices, *rest])


def format(genes: Sequence[int]) -> str:
    """The string of an architecture's integers, with all its fields; see `parse`.

    Examples
    --------
    >>> format((0, 0, 2500, *[1] * 19, 0, 0))[:33]
    'skeleton=19;act=relu6;se=0.25;k3e'
    """
    return _core.space_format(NAME, genes)


def _choices(genes: Genes) -> Genes:
    return genes[_FIELDS : _FIELDS + SKELETONS[_NAMES[genes[0]]].n_layers]


def to_choices(arch: ArchLike) -> tuple[tuple[int, int] | None, ...]:
    """Kernel and expansion of each layer, None where it is skipped.

    Examples
    --------
    >>> to_choices(from_index(1))[-2:]
    ((3, 3), (3, 6))
    """
    return tuple(None if c == _SKIP else CHOICES[c - 1] for c in _choices(parse(arch)))


def _genes_at(index: int | np.integer[Any], skeleton: str, act: str, se: float) -> Genes:
    at = check_index(index, size(skeleton))
    digits = []
    for _ in range(SKELETONS[skeleton].n_layers):
        at, digit = divmod(at, len(CHOICES))
        digits.append(digit + 1)
    return _genes(skeleton, act, se, digits[::-1])


def from_index(
    index: int | np.integer[Any], skeleton: str = "19", *, act: str = "relu6", se: float = 0.0
) -> str:
    """The architecture with a number in `enumerate_all`.

    Parameters
    ----------
    index : int
        0 to ``size(skeleton) - 1``.
    skeleton : str
        One of `SKELETONS`.
    act : str
        One of `ACTS`.
    se : float
        Squeeze ratio, of at most four decimals; 0 for none.

    Returns
    -------
    str

    Raises
    ------
    ArchitectureError
        If there is no such number.
    ValueError
        If another argument is none of these.

    Examples
    --------
    >>> from_index(SIZE - 1)[30:44]
    'k7e6 k7e6 k7e6'
    """
    return format(_genes_at(index, skeleton, act, se))


def to_index(arch: ArchLike) -> int:
    """The number of an architecture among those of its skeleton, whatever its other fields.

    Raises
    ------
    ArchitectureError
        If it skips a layer.

    Examples
    --------
    >>> to_index(from_index(10**14, "21"))
    100000000000000
    """
    index = 0
    for layer, choice in enumerate(_choices(parse(arch))):
        if choice == _SKIP:
            raise ArchitectureError(
                f"arch: expected a block in layer {layer}, as is numbered; got skip"
            )
        index = index * len(CHOICES) + choice - 1
    return index


# --- as other programs write them ------------------------------------------------------------


def to_mbconv(arch: ArchLike) -> str:
    """The same network block by block, as `zeroshot.spaces.mbconv` writes it.

    With ``relu6`` and without ``se`` that is the notation of published configurations; else block
    strings, which have no removed layers and whose batch norms have eps 1e-5.

    Raises
    ------
    ArchitectureError
        If neither notation has such a network: ReLU6 with squeeze and excitation and eps 1e-3.

    Examples
    --------
    >>> to_mbconv(0)[:50]
    'stem=32;last=1280;k3e1:16s1 k3e3:32s2 k3e3:32s1 k3'
    >>> to_mbconv(from_index(0, act="swish", se=0.25))[17:77]
    ';act=swish;ds_r1_k3_s1_c16_se0.25 | ir_r2_k3_s2_e3_c32_se0.2'
    """
    genes = parse(arch)
    skeleton, act, ratio = SKELETONS[_NAMES[genes[0]]], ACTS[genes[1]], genes[2]
    if act == "relu6" and ratio:
        raise ArchitectureError(
            "arch: expected act=swish or se=none, as networks with ReLU6 and se have batch norms "
            "of eps 1e-3 here and 1e-5 as block strings"
        )
    widths = [(w, s if i == 0 else 1) for w, n, s in skeleton.stages for i in range(n)]
    blocks = [((3, 1), skeleton.first, 1)]
    blocks += [(c, w, s) for c, (w, s) in zip(to_choices(genes), widths, strict=True) if c]
    head = f"stem={skeleton.stem};last={skeleton.last};"
    if act == "relu6":
        words = iter(f"{_word(c)}:{w}s{s}" for c, w, s in blocks)
        kept = (next(words) if c else "skip" for c in ((3, 1), *to_choices(genes)))
        return head + " ".join(kept)
    squeeze = f"_se{ratio / _UNIT:g}" if ratio else ""
    strings = [
        f"ds_r1_k{k}_s{s}_c{w}{squeeze}" if e == 1 else f"ir_r1_k{k}_s{s}_e{e}_c{w}{squeeze}"
        for (k, e), w, s in blocks
    ]
    return _core.space_format(
        "mbconv", _core.space_parse("mbconv", f"{head}act={act};{','.join(strings)}")
    )


def from_mbconv(arch: ArchLike) -> str:
    """The architecture of this space that is the same network as one of `zeroshot.spaces.mbconv`.

    Parameters
    ----------
    arch : str or mapping
        Anything that its `parse` takes: a published configuration, block strings.

    Returns
    -------
    str

    Raises
    ------
    ArchitectureError
        If there is none.

    Examples
    --------
    >>> from_mbconv(to_mbconv(7)) == from_index(7)
    True
    """
    from zeroshot.spaces import mbconv

    wanted = mbconv.canonical(arch)
    net = mbconv.to_net(wanted)
    act, se = net.act, net.blocks[0].squeeze if net.blocks else 0.0
    for name, skeleton in SKELETONS.items():
        choices = _fill(skeleton, net.blocks[1:])
        if choices is None:
            continue
        found = format(_genes(name, act, se, choices))
        if (act == "swish" or not se) and mbconv.canonical(to_mbconv(found)) == wanted:
            return found
    raise ArchitectureError(
        f"arch: expected a network of a skeleton ({', '.join(SKELETONS)}), got {wanted}"
    )


def _fill(skeleton: Skeleton, blocks: Sequence[Any]) -> list[int] | None:
    """A choice for every layer, skips last in each stage; None if the blocks do not fit."""
    choices, left = [], list(blocks)
    for width, n, _ in skeleton.stages:
        for _ in range(n):
            fits = bool(left) and left[0].width == width
            block = left.pop(0) if fits else None
            key = (block.kernel, block.expansion) if block else None
            if key is not None and key not in CHOICES:
                return None
            choices.append(_SKIP if key is None else CHOICES.index(key) + 1)
        if choices[-n] == _SKIP:
            return None
    return None if left else choices


# --- the whole space, samples, steps ---------------------------------------------------------


def enumerate_all(skeleton: str = "19", *, act: str = "relu6", se: float = 0.0) -> Iterator[str]:
    """All architectures of a skeleton in the order of `CHOICES`, the last layer running fastest.

    Lazily: there are 609,359,740,010,496 of skeleton 19.

    Parameters
    ----------
    skeleton, act : str
        Of all of them.
    se : float
        Of all of them, 0 for none.

    Yields
    ------
    str

    Raises
    ------
    ValueError
        If `skeleton`, `act` or `se` is none of those that `from_index` takes.

    Examples
    --------
    >>> next(enumerate_all())[30:44]
    'k3e3 k3e3 k3e3'
    """
    _genes_at(0, skeleton, act, se)  # faults are said at once
    numbers = range(1, len(CHOICES) + 1)
    every = itertools.product(numbers, repeat=SKELETONS[skeleton].n_layers)
    return (format(_genes(skeleton, act, se, choices)) for choices in every)


def sample(
    n: int,
    seed: int | np.random.Generator,
    *,
    replace: bool = False,
    skeleton: str = "19",
    act: str = "relu6",
    se: float = 0.0,
) -> list[str]:
    """Random architectures of a skeleton, all equally likely.

    Parameters
    ----------
    n : int
        How many.
    seed : int or numpy.random.Generator
        A generator is advanced.
    replace : bool
        Whether one may come more than once.
    skeleton, act : str
        Of all of them.
    se : float
        Of all of them, 0 for none.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If `n` is negative or, without `replace`, above `size`.
    """
    found = draw_indices(n, size(skeleton), seed, replace)
    return [from_index(i, skeleton, act=act, se=se) for i in found]


def _choices_of(genes: Genes, layer: int, skip: bool) -> list[int]:
    """What the layer can be instead."""
    most = _SKIP if skip and layer in skippable(_NAMES[genes[0]]) else len(CHOICES)
    return [c for c in range(1, most + 1) if c != genes[_FIELDS + layer]]


def _changed(genes: Genes, layer: int, choice: int) -> str:
    at = _FIELDS + layer
    return format((*genes[:at], choice, *genes[at + 1 :]))


def mutate(arch: ArchLike, rng: np.random.Generator, *, skip: bool = False) -> str:
    """A random architecture that differs in one layer; its fields stay.

    Parameters
    ----------
    arch : str, int or sequence
        The parent.
    rng : numpy.random.Generator
        Advanced by two draws.
    skip : bool
        Whether a block may become a skip.

    Returns
    -------
    str
    """
    genes = parse(arch)
    layer = int(rng.integers(len(_choices(genes))))
    others = _choices_of(genes, layer, skip)
    return _changed(genes, layer, others[int(rng.integers(len(others)))])


def neighbours(arch: ArchLike, *, skip: bool = False) -> list[str]:
    """All architectures that differ in one layer, layer by layer in the order of `CHOICES`.

    These are 95 of skeleton 19.

    Parameters
    ----------
    arch : str, int or sequence
    skip : bool
        Whether to add those in which a block becomes a skip.

    Returns
    -------
    list of str
    """
    genes = parse(arch)
    return [
        _changed(genes, layer, choice)
        for layer in range(len(_choices(genes)))
        for choice in _choices_of(genes, layer, skip)
    ]


# --- which architectures are the same --------------------------------------------------------


def canonical(arch: ArchLike) -> str:
    """The architecture itself, skips moved behind the blocks of their stage: where they stand makes
    no difference, and no other two networks are equal."""
    genes = parse(arch)
    choices = list(_choices(genes))
    at = 0
    for _, n, _ in SKELETONS[_NAMES[genes[0]]].stages:
        choices[at : at + n] = sorted(choices[at : at + n], key=lambda choice: choice == _SKIP)
        at += n
    return format((*genes[:_FIELDS], *choices, *genes[_FIELDS + len(choices) :]))


def representative(arch: ArchLike, mode: Canonical = "form") -> str:
    """The `canonical` architecture: it has the same layers, and so the same weights.

    Parameters
    ----------
    arch : str, int or sequence
    mode : {"form", "network"}
        Both mean the same here; see `Space.representative`.

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
