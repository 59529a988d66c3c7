"""Weights that the caller brings: checked, converted, and found in PyTorch's state_dict."""

from __future__ import annotations

__all__ = [
    "check_weights",
    "draw_weights",
    "from_state_dict",
    "hash_weights",
    "state_dict_map",
    "weight_names",
]

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot import _core
from zeroshot.inputs import as_array, check_int, check_pair, hash_array
from zeroshot.network import AnyArch, build_network
from zeroshot.options import Builder, Options
from zeroshot.spaces import nasbench201

_FLOATS = (np.float16, np.float32, np.float64)


def check_weights(
    graph: _core.Graph, weights: Mapping[str, ArrayLike] | None
) -> dict[str, NDArray[Any]] | None:
    """The caller's weights as the core takes them; errors name the tensor."""
    if weights is None:
        return None
    shapes = {tensor["name"]: tensor["shape"] for tensor in graph.tensors()}
    checked = {}
    for name, value in weights.items():
        if name not in shapes:
            import difflib

            close = difflib.get_close_matches(str(name), shapes, n=1) or list(shapes)[:1]
            raise ValueError(
                f"weights: the network has no tensor {name!r}; did you mean {close[0]!r}? "
                "(weight_names lists all, from_state_dict converts PyTorch's names)"
                if close
                else f"weights: the network has no tensors, got {name!r}"
            )
        array = as_array(value)
        if array.dtype.type not in _FLOATS:
            raise TypeError(
                f"weights[{name!r}]: expected float16, float32 or float64, got {array.dtype}"
            )
        if array.shape != shapes[name]:
            raise ValueError(f"weights[{name!r}]: expected shape {shapes[name]}, got {array.shape}")
        dtype = np.float64 if array.dtype.type is np.float64 else np.float32
        checked[name] = np.require(array, dtype, ["C", "A", "E"])
    return checked


def hash_weights(weights: Mapping[str, NDArray[Any]] | None) -> str | None:
    """SHA-256 over names and arrays, in the order of names."""
    if weights is None:
        return None
    import hashlib  # loads OpenSSL: not before it is needed

    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}:{hash_array(weights[name])};".encode())
    return digest.hexdigest()


def weight_names(
    arch: AnyArch,
    *,
    space: str = "nasbench201",
    channels: int | None = None,
    cells: int | None = None,
    input_size: int | tuple[int, int] = 32,
    num_classes: int = 10,
    builder: Builder = "autodl",
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of a network, in the order in which they are drawn.

    Parameters
    ----------
    arch, space, channels, cells, num_classes, builder
        As for `zeroshot.score`.
    input_size : int or (int, int)
        Height and width of an image; layers over positions depend on it.

    Returns
    -------
    dict of str to tuple of int
        Convolutions O x I x R x S, linear layers O x I.

    Examples
    --------
    >>> names = weight_names(0)
    >>> names["stem.conv.weight"], names["head.fc.weight"]
    ((16, 3, 3, 3), (10, 64))
    """
    options = Options(
        space=space, channels=channels, cells=cells, num_classes=num_classes, builder=builder
    )
    height, width = check_pair("input_size", input_size, 1)
    graph = build_network(arch, options, (3, height, width)).graph
    return {tensor["name"]: tensor["shape"] for tensor in graph.tensors()}


def draw_weights(
    arch: AnyArch,
    *,
    space: str = "nasbench201",
    channels: int | None = None,
    cells: int | None = None,
    input_size: int | tuple[int, int] = 32,
    num_classes: int = 10,
    builder: Builder = "autodl",
    init: str = "torch",
    seed: int = 0,
) -> dict[str, NDArray[np.float32]]:
    """The initial weights of a network, as a score draws them.

    Parameters
    ----------
    arch, space, channels, cells, num_classes, builder, init, seed
        As for `zeroshot.score`.
    input_size : int or (int, int)
        Height and width of an image; layers over positions depend on it.

    Returns
    -------
    dict of str to ndarray
        In the order of `weight_names`.

    Examples
    --------
    >>> draw_weights(0, seed=1)["head.fc.bias"].shape
    (10,)
    """
    options = Options(
        space=space, channels=channels, cells=cells, num_classes=num_classes, builder=builder,
        init=init, seed=seed,
    )  # fmt: skip
    height, width = check_pair("input_size", input_size, 1)
    graph = build_network(arch, options, (3, height, width)).graph
    return _core.draw_weights(graph, options.init, options.seed)


# AutoDL's TinyNetwork: `op` of a cell's layer, `conv_a` and `conv_b` of a residual block are
# Sequential(ReLU, Conv2d, BatchNorm2d), `downsample` is Sequential(AvgPool2d, Conv2d).
_NORM = {"weight": "gamma", "bias": "beta"}


def state_dict_map(arch: AnyArch, *, space: str = "nasbench201", cells: int = 5) -> dict[str, str]:
    """PyTorch's name of each tensor, and ours, for AutoDL's ``TinyNetwork`` with one cell chosen.

    Parameters
    ----------
    arch : str, int or sequence
    space : str
        Only ``nasbench201`` has such a network.
    cells : int
        In a stage (N).

    Returns
    -------
    dict of str to str
        In the order in which the network registers its parameters.

    Examples
    --------
    >>> arch = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    >>> names = state_dict_map(arch)
    >>> names["cells.0.layers.0.op.1.weight"], names["lastact.0.bias"]
    ('cell00.e01.conv.weight', 'head.bn.beta')
    """
    if space != "nasbench201":
        raise ValueError(f"space: only nasbench201 has a map of PyTorch names, got {space!r}")
    n = check_int("cells", cells, 1)
    genes = nasbench201.parse(arch)  # type: ignore[arg-type]
    names = {"stem.0.weight": "stem.conv.weight"} | _norm("stem.1", "stem.bn")
    for at in range(3 * n + 2):
        stage, within = divmod(at, n + 1)
        theirs = f"cells.{at}"
        if within == n:  # the residual block that ends a stage
            ours = f"res{stage + 1}"
            for half in ("a", "b"):
                names[f"{theirs}.conv_{half}.op.1.weight"] = f"{ours}.conv_{half}.weight"
                names |= _norm(f"{theirs}.conv_{half}.op.2", f"{ours}.bn_{half}")
            names[f"{theirs}.downsample.1.weight"] = f"{ours}.down.weight"
            continue
        for layer, (op, (j, i)) in enumerate(zip(genes, nasbench201.EDGES, strict=True)):
            if nasbench201.OPS[op].startswith("nor_conv"):
                ours = f"cell{stage * n + within:02d}.e{j}{i}"
                names[f"{theirs}.layers.{layer}.op.1.weight"] = f"{ours}.conv.weight"
                names |= _norm(f"{theirs}.layers.{layer}.op.2", f"{ours}.bn")
    names |= _norm("lastact.0", "head.bn")
    return names | {f"classifier.{role}": f"head.fc.{role}" for role in ("weight", "bias")}


def _norm(theirs: str, ours: str) -> dict[str, str]:
    return {f"{theirs}.{role}": f"{ours}.{name}" for role, name in _NORM.items()}


def from_state_dict(
    arch: AnyArch,
    state_dict: Mapping[str, ArrayLike],
    *,
    space: str = "nasbench201",
    cells: int = 5,
) -> dict[str, ArrayLike]:
    """The entries of a ``TinyNetwork.state_dict()`` under our names, for ``weights=``.

    Running statistics are left out: scores use those of the batch. ``module.`` in front, as a
    parallel wrapper leaves it, is ignored.

    Parameters
    ----------
    arch, space, cells
        As for `state_dict_map`.
    state_dict : mapping of str to array_like

    Returns
    -------
    dict of str to array_like

    Raises
    ------
    ValueError
        If an entry is missing, or is of another network.
    """
    names = state_dict_map(arch, space=space, cells=cells)
    found = {}
    for theirs, value in state_dict.items():
        plain = theirs.removeprefix("module.")
        if re.search(r"\.(running_mean|running_var|num_batches_tracked)$", plain):
            continue
        if plain not in names:
            raise ValueError(f"state_dict: {theirs!r} is no tensor of this network")
        found[names[plain]] = value
    if missing := [name for name, ours in names.items() if ours not in found]:
        raise ValueError(f"state_dict: expected {len(names)} tensors, {missing[0]!r} is missing")
    return found
