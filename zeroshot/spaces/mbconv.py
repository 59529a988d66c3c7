"""Chains of MBConv blocks whose text gives every block: published networks, and timm's strings.

Two notations, which differ in what stands behind them. Configurations of ProxylessNAS: ReLU6, batch
norms of eps 1e-3, no squeeze and excitation. A block is ``k<kernel>e<expansion>:<width>s<stride>``
or ``skip``, a layer that has been removed::

    stem=32;last=1280;k3e1:16s1 k5e3:32s2 k3e3:32s1 skip ... k7e6:320s1

The block strings of timm (EfficientNet, MnasNet), for networks with squeeze and excitation and
Swish: batch norms of eps 1e-5. ``ir`` is a block, ``ds`` one without the convolution that expands;
r repeats, k kernel, s stride of the first, e expansion, c width, se squeeze ratio, by the channels
of the block's *input*. Stages are split by ``" | "``::

    stem=32;last=1280;act=swish;ds_r1_k3_s1_c16_se0.25 | ir_r1_k5_s2_e3_c24_se0.25,ir_r2_... | ...

`format` splits stages where the width changes or the stride is 2, and writes equal blocks as one.
At most 24 blocks, repeats counted.

Every function that takes an architecture accepts

- either string,
- a published configuration: a mapping, or its JSON text (`to_config` writes one),
- the number of a network of `enumerate_all`.

There is no end to such networks. Those that are numbered, enumerated and drawn are 6**19: skeleton
19 of `zeroshot.spaces.proxylessnas` in the form in which its networks are trained anew (Swish,
squeeze ratio 0.25). Steps change the kernel or expansion of one block of any network.

References
----------
.. [1] M. Sandler, A. Howard, M. Zhu, A. Zhmoginov and L.-C. Chen, "MobileNetV2: Inverted Residuals
   and Linear Bottlenecks", CVPR 2018.
.. [2] H. Cai, L. Zhu and S. Han, "ProxylessNAS: Direct Neural Architecture Search on Target Task
   and Hardware", ICLR 2019.
"""

from __future__ import annotations

__all__ = [
    "NAME",
    "SIZE",
    "Block",
    "Net",
    "canonical",
    "enumerate_all",
    "format",
    "from_index",
    "from_timm",
    "mutate",
    "neighbours",
    "parse",
    "representative",
    "sample",
    "to_config",
    "to_index",
    "to_json",
    "to_net",
    "to_timm",
]

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from zeroshot import _core
from zeroshot.errors import ArchitectureError
from zeroshot.spaces import proxylessnas
from zeroshot.spaces._protocol import ArchLike, Canonical, Genes, as_genes, check_mode, load_json

NAME: Final = "mbconv"
SIZE: Final = proxylessnas.SIZE

_FIELDS = 5  # genes before the blocks: notation, stem, last, act, blocks
_PER_BLOCK = 5
_N_GENES = _FIELDS + _PER_BLOCK * 24
_UNIT = 10_000  # of squeeze ratios
_ACT, _SE = "swish", 0.25  # of the networks that are numbered


@dataclass(frozen=True)
class Block:
    """An MBConv block; expansion 1 stands for none. A removed layer has kernel 0."""

    kernel: int
    expansion: int
    width: int
    stride: int
    squeeze: float = 0.0


@dataclass(frozen=True)
class Net:
    """A chain of blocks."""

    stem: int
    last: int
    act: str
    bn_eps: float
    blocks: tuple[Block, ...]


# --- notations -------------------------------------------------------------------------------


def parse(arch: ArchLike) -> Genes:
    """The integers behind an architecture, in any notation.

    Parameters
    ----------
    arch : str, bytes, mapping, int or sequence
        See the top of this module.

    Returns
    -------
    tuple of 125 int
        0 for the first notation, 1 for the second; stem; last; 1 for Swish; number of blocks; of
        each of 24 blocks kernel, expansion (0 for none), width, stride and squeeze ratio in
        1/10000, all 0 for skip and behind the last.

    Raises
    ------
    ArchitectureError
        If `arch` is no architecture; for a string with the position of the fault.
    TypeError
        If `arch` is of another type.

    Examples
    --------
    >>> parse("stem=32;last=1280;k3e1:16s1 k5e3:32s2")[:11]
    (0, 32, 1280, 0, 2, 3, 0, 16, 1, 0, 5)
    >>> format(parse("stem=8;last=9;act=swish;ds_r1_k3_s1_c8,ir_r1_k3_s1_e6_c8,ir_r1_k3_s1_e6_c8"))
    'stem=8;last=9;act=swish;ds_r1_k3_s1_c8,ir_r2_k3_s1_e6_c8'
    """
    if isinstance(arch, np.ndarray):
        arch = arch.tolist()
    if isinstance(arch, str | bytes):
        if arch[:1] in ("{", b"{"):
            return _from_config(load_json(arch, "configuration"))
        return _core.space_parse(NAME, arch)
    if isinstance(arch, Mapping):
        return _from_config(arch)
    if isinstance(arch, int | np.integer) and not isinstance(arch, bool):
        return _core.space_parse(NAME, from_index(arch))
    if not isinstance(arch, Sequence):
        raise TypeError(
            f"arch: expected a string, a configuration or a number, got {type(arch).__name__}"
        )
    if len(arch) != _N_GENES:
        raise ArchitectureError(f"arch: expected {_N_GENES} integers, got {len(arch)} items")
    return as_genes(NAME, arch)


def format(genes: Sequence[int]) -> str:
    """The string of an architecture's integers; see `parse`."""
    return _core.space_format(NAME, genes)


def to_net(arch: ArchLike) -> Net:
    """The network block by block.

    Examples
    --------
    >>> to_net("stem=32;last=1280;k3e1:16s1 skip").blocks[0]
    Block(kernel=3, expansion=1, width=16, stride=1, squeeze=0.0)
    """
    genes = parse(arch)
    blocks = []
    for at in range(_FIELDS, _FIELDS + _PER_BLOCK * genes[4], _PER_BLOCK):
        kernel, expansion, width, stride, squeeze = genes[at : at + _PER_BLOCK]
        blocks.append(Block(kernel, expansion or int(kernel > 0), width, stride, squeeze / _UNIT))
    act = proxylessnas.ACTS[genes[3]]
    return Net(genes[1], genes[2], act, 1e-5 if genes[0] else 1e-3, tuple(blocks))


# --- published configurations ----------------------------------------------------------------


def _get(config: Any, key: str, where: str) -> Any:
    if isinstance(config, Mapping) and key in config:
        return config[key]
    raise ArchitectureError(f"arch: expected {where}[{key!r}], got {reprlib.repr(config)}")


def _number(config: Any, key: str, where: str) -> int:
    value = _get(config, key, where)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ArchitectureError(
        f"arch: expected a positive integer in {where}[{key!r}], got {reprlib.repr(value)}"
    )


def _from_config(config: Mapping[str, Any]) -> Genes:
    first, mix = (_get(config, key, "config") for key in ("first_conv", "feature_mix_layer"))
    stem = _number(first, "out_channels", "config['first_conv']")
    last = _number(mix, "out_channels", "config['feature_mix_layer']")
    blocks = _get(config, "blocks", "config")
    if not isinstance(blocks, Sequence) or isinstance(blocks, str):
        raise ArchitectureError(f"arch: expected a list of blocks, got {reprlib.repr(blocks)}")
    words = []
    for i, block in enumerate(blocks):
        conv = _get(block, "mobile_inverted_conv", f"config['blocks'][{i}]")
        where = f"config['blocks'][{i}]['mobile_inverted_conv']"
        if _get(conv, "name", where) == "ZeroLayer":
            words.append("skip")
            continue
        names = ("kernel_size", "expand_ratio", "out_channels", "stride")
        kernel, expansion, width, stride = (_number(conv, name, where) for name in names)
        words.append(f"k{kernel}e{expansion}:{width}s{stride}")
    text = f"stem={stem};last={last};{' '.join(words)}"
    try:
        genes = _core.space_parse(NAME, text)
    except ArchitectureError as error:  # its position is in a text that nobody wrote
        raise ArchitectureError(f"arch: {error} in {text}") from None
    _compare(config, to_config(genes), "config")
    return genes


# Left to the caller, or without a meaning in an untrained network.
_FREE = (
    "config['bn']['momentum']",
    "config['first_conv']['in_channels']",
    "config['classifier']['out_features']",
)
# What the release may add to a layer, and its value in these networks.
_ADDED: Final[Mapping[str, Mapping[str, Any]]] = {
    "ConvLayer": {"dilation": 1, "groups": 1, "has_shuffle": False},
    "MBInvertedConvLayer": {"act_func": "relu6", "use_se": False},
    "IdentityLayer": {"use_bn": False, "act_func": None},
    "LinearLayer": {"use_bn": False, "act_func": None},
}


def _compare(found: Any, wanted: Any, where: str) -> None:
    """That no entry of a configuration says another thing than `wanted`; any may be missing."""
    if isinstance(wanted, list):  # as long as `found`, of which it was made
        for i, value in enumerate(wanted):
            _compare(found[i], value, f"{where}[{i}]")
    elif isinstance(wanted, Mapping) and isinstance(found, Mapping):
        entries = {**wanted, **_ADDED.get(wanted.get("name", ""), {})}
        if wanted.get("name") == "MBInvertedConvLayer" and found.get("mid_channels") is not None:
            entries["mid_channels"] = wanted["in_channels"] * wanted["expand_ratio"]
        if _is_removed(wanted):
            del entries["shortcut"]  # the release passes the input on, whatever this is
        for key, value in entries.items():
            if key in found and (path := f"{where}[{key!r}]") not in _FREE:
                _compare(found[key], value, path)
    else:
        if isinstance(found, list) and len(found) == 1:  # so the release writes some widths
            found = found[0]
        if type(found) is not type(wanted) or found != wanted:
            raise ArchitectureError(
                f"arch: expected {wanted!r} in {where}, got {reprlib.repr(found)}"
            )


def _is_removed(block: Mapping[str, Any]) -> bool:
    conv = block.get("mobile_inverted_conv")
    return conv is not None and conv["name"] == "ZeroLayer"


def to_config(arch: ArchLike, *, in_channels: int = 3, num_classes: int = 1000) -> dict[str, Any]:
    """A configuration as ProxylessNAS publishes them.

    Parameters
    ----------
    arch : str, mapping, int or sequence
        In the notation of configurations.
    in_channels : int
        Of images.
    num_classes : int

    Returns
    -------
    dict
        ``bn``, ``first_conv``, ``blocks``, ``feature_mix_layer`` and ``classifier``, each with the
        entries that say something of these networks. `parse` takes configurations with others,
        too, and refuses those in which one of these has another value.

    Raises
    ------
    ArchitectureError
        If there is none: block strings have other batch norms, and perhaps other activations.

    Examples
    --------
    >>> config = to_config("stem=32;last=1280;k3e1:16s1 skip k5e6:24s2")
    >>> config["blocks"][2]["mobile_inverted_conv"]["in_channels"]
    16
    >>> format(parse(config))
    'stem=32;last=1280;k3e1:16s1 skip k5e6:24s2'
    """
    genes = parse(arch)
    if genes[0]:
        raise ArchitectureError(
            "arch: expected the notation of configurations (k3e1:16s1 ...), got block strings"
        )
    net = to_net(genes)
    width = net.stem
    blocks = []
    for block in net.blocks:
        stays = block.kernel == 0 or (block.stride == 1 and block.width == width)
        identity = {"name": "IdentityLayer", "in_channels": width, "out_channels": width}
        conv: dict[str, Any] = {"name": "ZeroLayer", "stride": 1}
        if block.kernel:
            conv = {
                "name": "MBInvertedConvLayer",
                "in_channels": width,
                "out_channels": block.width,
                "kernel_size": block.kernel,
                "stride": block.stride,
                "expand_ratio": block.expansion,
            }
            width = block.width
        blocks.append(
            {
                "name": "MobileInvertedResidualBlock",
                "mobile_inverted_conv": conv,
                "shortcut": identity if stays else None,
            }
        )
    return {
        "name": "ProxylessNASNets",
        "bn": {"momentum": 0.1, "eps": net.bn_eps},
        "first_conv": _conv_config(in_channels, net.stem, 3, 2),
        "feature_mix_layer": _conv_config(width, net.last, 1, 1),
        "classifier": {
            "name": "LinearLayer",
            "in_features": net.last,
            "out_features": num_classes,
            "bias": True,
        },
        "blocks": blocks,
    }


def to_json(arch: ArchLike) -> str:
    """`to_config` as JSON."""
    import json  # not before it is needed

    return json.dumps(to_config(arch))


def to_timm(arch: ArchLike) -> dict[str, Any]:
    """Block strings by stages, and what timm's ``EfficientNet`` is told beside them.

    Raises
    ------
    ArchitectureError
        If the architecture is not written as block strings: its batch norms have eps 1e-3.

    Examples
    --------
    >>> to_timm("stem=8;last=9;act=swish;ds_r1_k3_s1_c8,ir_r2_k3_s1_e6_c8 | ir_r1_k5_s2_e3_c16")
    ... # doctest: +NORMALIZE_WHITESPACE
    {'stem_size': 8, 'num_features': 9, 'act': 'swish',
     'arch_def': [['ds_r1_k3_s1_c8', 'ir_r2_k3_s1_e6_c8'], ['ir_r1_k5_s2_e3_c16']]}
    """
    genes = parse(arch)
    if not genes[0]:
        raise ArchitectureError(
            "arch: expected block strings (ds_r1_k3_s1_c16 | ...), got k3e1:16s1"
        )
    stages = format(genes).rpartition(";")[2].split(" | ")
    return {
        "stem_size": genes[1],
        "num_features": genes[2],
        "act": proxylessnas.ACTS[genes[3]],
        "arch_def": [stage.split(",") for stage in stages],
    }


def from_timm(timm: Mapping[str, Any]) -> str:
    """The string of what `to_timm` gives."""
    stem, last = (_number(timm, key, "timm") for key in ("stem_size", "num_features"))
    act, stages = (_get(timm, key, "timm") for key in ("act", "arch_def"))
    if (
        not isinstance(stages, Sequence)
        or isinstance(stages, str)
        or not all(isinstance(s, Sequence) and not isinstance(s, str) for s in stages)
    ):
        raise ArchitectureError(
            f"arch: expected lists of block strings in timm['arch_def'], got {reprlib.repr(stages)}"
        )
    blocks = " | ".join(",".join(map(str, stage)) for stage in stages)
    text = f"stem={stem};last={last};act={act};{blocks}"
    try:
        return format(_core.space_parse(NAME, text))
    except ArchitectureError as error:  # its position is in a text that nobody wrote
        raise ArchitectureError(f"arch: {error} in {text}") from None


def _conv_config(into: int, out: int, kernel: int, stride: int) -> dict[str, Any]:
    return {
        "name": "ConvLayer",
        "kernel_size": kernel,
        "stride": stride,
        "in_channels": into,
        "out_channels": out,
        "bias": False,
        "use_bn": True,
        "act_func": "relu6",
        "ops_order": "weight_bn_act",
    }


# --- the whole space, samples, steps ---------------------------------------------------------


def from_index(index: int | np.integer[Any]) -> str:
    """The network with a number in `enumerate_all`.

    Examples
    --------
    >>> from_index(0)[:58]
    'stem=32;last=1280;act=swish;ds_r1_k3_s1_c16_se0.25 | ir_r2'
    """
    return proxylessnas.to_mbconv(proxylessnas.from_index(index, act=_ACT, se=_SE))


def to_index(arch: ArchLike) -> int:
    """The number of a network of `enumerate_all`.

    Raises
    ------
    ArchitectureError
        If it is none of these.

    Examples
    --------
    >>> to_index(from_index(12_345_678_901))
    12345678901
    """
    found = proxylessnas.from_mbconv(arch)
    index = proxylessnas.to_index(found)
    if found != proxylessnas.from_index(index, act=_ACT, se=_SE):
        raise ArchitectureError(f"arch: expected skeleton 19 with act=swish;se=0.25, got {found}")
    return index


def enumerate_all() -> Iterator[str]:
    """The networks of skeleton 19 with Swish and squeeze ratio 0.25; see the top of this module."""
    return map(proxylessnas.to_mbconv, proxylessnas.enumerate_all(act=_ACT, se=_SE))


def sample(n: int, seed: int | np.random.Generator, *, replace: bool = False) -> list[str]:
    """Random networks of `enumerate_all`, all equally likely.

    Parameters
    ----------
    n : int
        How many.
    seed : int or numpy.random.Generator
        A generator is advanced.
    replace : bool
        Whether one may come more than once.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        If `n` is negative or, without `replace`, above `SIZE`.
    """
    found = proxylessnas.sample(n, seed, replace=replace, act=_ACT, se=_SE)
    return [proxylessnas.to_mbconv(arch) for arch in found]


def _steps(genes: Genes) -> list[tuple[int, int, int]]:
    """Block, kernel and expansion of every step. Blocks that do not expand stay as they are."""
    steps = []
    for i in range(genes[4]):
        at = _FIELDS + _PER_BLOCK * i
        if genes[at + 1]:
            own = tuple(genes[at : at + 2])
            steps += [(at, *choice) for choice in proxylessnas.CHOICES if choice != own]
    return steps


def _changed(genes: Genes, step: tuple[int, int, int]) -> str:
    at, kernel, expansion = step
    return format((*genes[:at], kernel, expansion, *genes[at + 2 :]))


def mutate(arch: ArchLike, rng: np.random.Generator) -> str:
    """A random one of `neighbours`.

    Parameters
    ----------
    arch : str, mapping, int or sequence
        The parent.
    rng : numpy.random.Generator
        Advanced by one draw.

    Returns
    -------
    str
    """
    genes = parse(arch)
    steps = _steps(genes)
    if not steps:
        raise ArchitectureError("arch: expected a block that expands, to be changed; got none")
    return _changed(genes, steps[int(rng.integers(len(steps)))])


def neighbours(arch: ArchLike) -> list[str]:
    """All networks in which one block has another kernel of 3, 5, 7 or expansion of 3, 6, block by
    block. Its width, stride and squeeze ratio stay; so do blocks that do not expand."""
    genes = parse(arch)
    return [_changed(genes, step) for step in _steps(genes)]


# --- which networks are the same -------------------------------------------------------------


def canonical(arch: ArchLike) -> str:
    """The network's text without its removed layers."""
    genes = parse(arch)
    blocks = [
        genes[at : at + _PER_BLOCK]
        for at in range(_FIELDS, _FIELDS + _PER_BLOCK * genes[4], _PER_BLOCK)
        if genes[at]
    ]
    if not blocks:  # there is no text without a block
        return format((*genes[:4], 1, *[0] * (_N_GENES - _FIELDS)))
    flat = [gene for block in blocks for gene in block]
    rest = [0] * (_N_GENES - _FIELDS - len(flat))
    return format((*genes[:4], len(blocks), *flat, *rest))


def representative(arch: ArchLike, mode: Canonical = "form") -> str:
    """The `canonical` network: it has the same layers, and so the same weights.

    Parameters
    ----------
    arch : str, mapping, int or sequence
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
