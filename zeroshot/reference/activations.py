"""Scores made of what a forward pass leaves behind: signs of ReLUs, features, correlations.

A *4-D ReLU* is one whose input has a height and a width in PyTorch: none behind global pooling or a
linear layer. Batch norm works in the mode that its nodes say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .jacobians import EPS, correlation
from .nodes import Array, Node
from .outcome import NOT_FINITE, Scored, undefined
from .passes import Forward, batch_statistics, forward
from .pointwise import ACTIVATIONS

__all__ = [
    "activation_count",
    "activation_sizes",
    "agreement",
    "linear_regions",
    "meco",
    "meco_of_output",
    "naswot",
    "naswot_of_agreement",
    "relu_bits",
    "relu_nodes",
    "swap",
    "zen",
]

WhichRelus = Literal["all", "reached", "wrappers"]
Bits = NDArray[np.bool_]


# ---- signs of ReLUs ------------------------------------------------------------------------------


def relu_nodes(nodes: Sequence[Node]) -> list[Node]:
    """The 4-D ReLUs, ReLU6 too, in node order."""
    flat: set[int] = set()
    found = []
    for node in nodes:
        # a factor by channel leaves maps what they are
        sources = node["inputs"][:1] if node["op"] == "multiply" else node["inputs"]
        pooled = node["op"] in ("global_avg_pool", "flatten")
        pixel = node["op"] == "linear" and tuple(node["shape"][1:]) == (1, 1)
        if pooled or pixel or flat & set(sources):
            flat.add(node["id"])
        elif node["op"] in ("relu", "relu6"):
            found.append(node)
    return found


def _bends_otherwise(nodes: Sequence[Node]) -> bool:
    """Whether a network has activations without a kink at 0, whose signs say nothing."""
    return any(node["op"] in ACTIVATIONS and node["op"] != "relu6" for node in nodes)


def relu_bits(passed: Forward, node: Node) -> Bits:
    """Which units of a ReLU are on, shape (M, C H W); a NaN is off, as ``x > 0`` says."""
    (x,) = passed.inputs_of(node)
    return (x > 0).reshape(len(x), -1)


def _not_a_number(passed: Forward, relus: Sequence[Node]) -> bool:
    """Whether a sign is that of a NaN, which has none."""
    return any(bool(np.isnan(x).any()) for node in relus for x in passed.inputs_of(node))


def agreement(bits: Bits) -> Array:
    """On how many units two images agree: ``X X^T + (1 - X)(1 - X)^T`` for X (M, n) of 0 and 1.

    >>> agreement(np.array([[True, False, True], [True, True, False]]))
    array([[3., 1.],
           [1., 3.]])
    """
    x = bits.astype(np.float64)
    return x @ x.T + (1.0 - x) @ (1.0 - x).T


def naswot_of_agreement(kernel: ArrayLike) -> Scored:
    """``log |det K|`` of a given kernel.

    >>> round(naswot_of_agreement([[3.0, 1.0], [1.0, 3.0]]).value, 6)  # log 8
    2.079442
    """
    k = np.asarray(kernel, dtype=np.float64)
    if not k.any():
        return undefined("no_relu")
    values = np.linalg.eigvalsh(k)
    if values[0] <= len(k) * EPS * values[-1]:
        return undefined("singular")
    return Scored(float(np.linalg.slogdet(k)[1]))


def _reached(nodes: Sequence[Node]) -> set[int]:
    """Ids of the nodes with a path to the logits; one through a ``zero`` counts."""
    reached = {nodes[-1]["id"]}
    for node in reversed(nodes):
        if node["id"] in reached:
            reached.update(node["inputs"])
    return reached


def naswot(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    *,
    which: WhichRelus = "all",
) -> Scored:
    """Log-determinant of the agreement of ReLU patterns (NASWOT, Mellor et al., ICML 2021).

    Parameters
    ----------
    which : {"all", "reached", "wrappers"}
        "all": every 4-D ReLU. "reached": those with a path to the logits, as the released code's
        first backward marks them (a factor 0 on the path hides none). "wrappers": these, and the
        ones that a convolution reads twice: the released code picks modules with 'ReLU' in the
        type's name, which ``ReLUConvBN`` of NAS-Bench-201 has, too.

    Returns
    -------
    Scored
        Larger is better. Undefined where K is singular (equal patterns, as of equal images;
        released code: -inf or noise), by the rule ``lambda_min <= M eps lambda_max``, and without
        a ReLU.
    """
    if which not in ("all", "reached", "wrappers"):
        raise ValueError(f"which: expected 'all', 'reached' or 'wrappers', got {which!r}")
    passed = forward(nodes, weights, x)
    reached = _reached(nodes)
    before_conv = {s for node in nodes if node["op"] == "conv2d" for s in node["inputs"]}
    relus = [n for n in relu_nodes(nodes) if which == "all" or n["id"] in reached]
    if _not_a_number(passed, relus):
        return NOT_FINITE
    m = len(passed.logits)
    kernel = np.zeros((m, m))
    for node in relus:
        times = 2 if which == "wrappers" and node["id"] in before_conv else 1
        kernel += times * agreement(relu_bits(passed, node))
    return naswot_of_agreement(kernel)


def _patterns(passed: Forward) -> Bits | None:
    """Signs of the outputs of all 4-D ReLUs, one row per image; None if one has no sign."""
    relus = relu_nodes(passed.nodes)
    if _not_a_number(passed, relus):
        return None
    bits = [relu_bits(passed, node) for node in relus]
    return np.concatenate(bits, axis=1) if bits else np.zeros((len(passed.logits), 0), dtype=bool)


def linear_regions(nodes: Sequence[Node], weights: Mapping[str, ArrayLike], x: ArrayLike) -> Scored:
    """Number of linear regions that the images fall in (TE-NAS, Chen et al., ICLR 2021).

    Distinct patterns of on and off over all 4-D ReLUs: 1 to M, and 1 without a ReLU, but undefined
    if the network has other activations instead. Larger is better. TE-NAS gives 3000 random 3x3
    crops of one channel to a thin network without a stem.
    """
    rows = _patterns(forward(nodes, weights, x))
    if rows is None:
        return NOT_FINITE
    if not rows.size and _bends_otherwise(nodes):
        return undefined("no_relu")
    return Scored(float(len({row.tobytes() for row in rows})))


def swap(nodes: Sequence[Node], weights: Mapping[str, ArrayLike], x: ArrayLike) -> Scored:
    """Sample-wise activation patterns (SWAP, Peng et al., ICLR 2024).

    The pattern of a unit is where it is on, over the images; the score is the number of distinct
    ones over the units of all 4-D ReLUs, at most 2**M. Larger is better. Without a ReLU 0, and no
    signal. The released score is the average over 32 draws of N(0, 1) weights.
    """
    rows = _patterns(forward(nodes, weights, x))
    if rows is None:
        return NOT_FINITE
    if not rows.size:
        return Scored(0.0, "no_signal", "no_relu")
    return Scored(float(len({unit.tobytes() for unit in rows.T})))


# ---- features ------------------------------------------------------------------------------------


def zen(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    noise: ArrayLike,
    *,
    alpha: float = 0.01,
    momentum: float = 0.1,
) -> Scored:
    """Zen-Score (Lin et al., ICCV 2021; as released).

    ``log mean_n sum_chw |F(x) - F(x + alpha noise)| + sum_BN log sqrt(mean_c running_var_c)``, with
    F the input of the global average pooling and running_var what two forwards leave of 1:
    ``(1 - momentum)^2 + (1 - momentum) momentum v1 + momentum v2`` of unbiased variances.

    Parameters
    ----------
    x, noise : array_like, shape (M, C, H, W)
        Both from N(0, 1) in the paper, and so are the weights.

    Returns
    -------
    Scored
        Larger is better. Undefined ("log_of_zero") where the features do not move, as in a network
        whose output is all 0 (released code: -inf), and where a batch norm sees a single value per
        channel, which has no unbiased variance. The paper has the norm of a gradient in place of
        the difference; later repeats of the released code carry the running variance over.
    """
    images, moved = np.asarray(x, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    if images.shape != moved.shape:
        raise ValueError(f"noise: expected the shape of x, {images.shape}, got {moved.shape}")
    first = forward(nodes, weights, images)
    second = forward(nodes, weights, images + alpha * moved)
    pools = [node for node in nodes if node["op"] == "global_avg_pool"]
    if not pools:
        raise ValueError("nodes: expected a global_avg_pool, whose input are the features")
    features = pools[-1]["inputs"][0]
    difference = np.abs(first.outputs[features] - second.outputs[features])
    distance = float(difference.sum(axis=(1, 2, 3)).mean())
    norms = 0.0
    statistics = zip(
        batch_statistics(first).items(), batch_statistics(second).values(), strict=True
    )
    for (i, one), two in statistics:
        n = first.outputs[i][:, 0].size  # what the mean of a channel goes over
        if n < 2:
            return undefined("one_value")
        unbiased = n / (n - 1)
        after_one = (1 - momentum) * 1.0 + momentum * unbiased * one.var
        var = (1 - momentum) * after_one + momentum * unbiased * two.var
        norms += float(np.log(np.sqrt(var.mean())))
    if not (np.isfinite(difference).all() and np.isfinite(norms)):
        return NOT_FINITE
    if distance == 0:
        return undefined("log_of_zero")
    return Scored(float(np.log(distance)) + norms)


# ---- correlations --------------------------------------------------------------------------------


def meco_of_output(image: ArrayLike) -> float:
    """Smallest eigenvalue of the correlation of the channels of one output (C, H, W).

    Entries that are not finite (of a constant channel, or of a single pixel) are 0.

    >>> round(meco_of_output([[[1.0, 2.0]], [[2.0, 4.0]]]), 12)
    0.0
    """
    rows = np.asarray(image, dtype=np.float64)
    corr = correlation(rows.reshape(len(rows), -1))
    return float(np.linalg.eigvalsh(np.where(np.isfinite(corr), corr, 0.0))[0])


def meco(nodes: Sequence[Node], weights: Mapping[str, ArrayLike], x: ArrayLike) -> Scored:
    """Smallest eigenvalues of channel correlations (MeCo, Jiang et al., NeurIPS 2023).

    `meco_of_output` of the first image of the batch, summed over the outputs of all convolutions,
    batch norms, activations and pools with a window. Larger is better. The released code sums over
    every module that has a name, containers too, which repeats some outputs.
    """
    passed = forward(nodes, weights, x)
    counted = ("conv2d", "batch_norm", "relu", *ACTIVATIONS, "max_pool", "avg_pool")
    images = [passed.outputs[node["id"]][0] for node in nodes if node["op"] in counted]
    if not all(np.isfinite(image).all() for image in images):
        return NOT_FINITE
    return Scored(float(sum(meco_of_output(image) for image in images)))


# ---- sizes ---------------------------------------------------------------------------------------


def activation_sizes(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    edges: ArrayLike,
    *,
    which: Literal["relu", "conv"] = "relu",
) -> dict[str, NDArray[np.int64]]:
    """Number of values of each size that nodes put out (Sweetimator, Yang et al., 2023, Fig. 11).

    For every interval ``edges[i] <= |y| < edges[i + 1]``, by name of the node: outputs of all
    activation functions ("relu") or of all convolutions before their batch norm ("conv").
    """
    if which not in ("relu", "conv"):
        raise ValueError(f"which: expected 'relu' or 'conv', got {which!r}")
    ops = ("conv2d",) if which == "conv" else ("relu", *ACTIVATIONS)
    passed = forward(nodes, weights, x)
    borders = np.asarray(edges, dtype=np.float64)
    found = {}
    for node in nodes:
        if node["op"] in ops:
            size = np.abs(passed.outputs[node["id"]])
            at_least = np.array([np.count_nonzero(size >= edge) for edge in borders], np.int64)
            found[node["name"]] = at_least[:-1] - at_least[1:]
    return found


def activation_count(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    lo: float = 0.0,
    hi: float = np.inf,
    *,
    which: Literal["relu", "conv"] = "relu",
) -> Scored:
    """`activation_sizes` of one interval, over all nodes; with a value not finite, no count."""
    counts = activation_sizes(nodes, weights, x, [lo, hi], which=which)
    passed = forward(nodes, weights, x)
    looked_at = [passed.outputs[node["id"]] for node in nodes if node["name"] in counts]
    if not all(np.isfinite(y).all() for y in [*looked_at, passed.logits]):
        return NOT_FINITE
    return Scored(float(sum(int(c[0]) for c in counts.values())))
