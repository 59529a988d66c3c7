"""Scores made of the gradients of the loss with respect to weights and layer outputs.

All take a network as a node list, its weights and a labelled batch, which goes through in one
group in whatever mode the batch-norm nodes say. The *weights that count*, W, are those of
`counted_weights`: of convolutions and linear layers, without biases. w is a weight, g = dL/dw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .hessian import hessian_vector_product
from .nodes import LAYERS, Array, Node, counted_weights
from .outcome import Scored, judge, undefined
from .passes import Loss, forward, loss_backward
from .scores import Gradients, _moments, _tensors

__all__ = [
    "fisher",
    "grad_norm",
    "grasp",
    "knas",
    "knas_of_gradients",
    "l2_norm",
    "plain",
    "snip",
    "zico",
    "zico_of_gradients",
]


def _pairs(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    gradients: Mapping[str, Array],
) -> list[tuple[Array, Array]]:
    """(w, g) of every tensor of W, in node order."""
    return [
        (np.asarray(weights[name], dtype=np.float64), gradients[name])
        for name in counted_weights(nodes)
    ]


def _loss_gradients(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None,
    loss: Loss,
) -> dict[str, Array]:
    return loss_backward(forward(nodes, weights, x), y, loss=loss).weights


# ---- weights times gradients ---------------------------------------------------------------------


def snip(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    loss: Loss = "cross_entropy",
) -> Scored:
    """Connection sensitivity ``sum_W |w g|`` (Lee et al., ICLR 2019; not normalised).

    Larger is better. zero-cost-nas gets the same number through a mask of ones; the paper divides
    each term by the total, which leaves no score.
    """
    pairs = _pairs(nodes, weights, _loss_gradients(nodes, weights, x, y, loss))
    value = sum(float(np.abs(w * g).sum()) for w, g in pairs)
    return judge(value, [g for _, g in pairs])


def plain(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    loss: Loss = "cross_entropy",
) -> Scored:
    """``sum_W w g``, signed (zero-cost-nas ``plain``). Larger is better, so it is said."""
    pairs = _pairs(nodes, weights, _loss_gradients(nodes, weights, x, y, loss))
    value = sum(float((w * g).sum()) for w, g in pairs)
    return judge(value, [g for _, g in pairs])


def grasp(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    loss: Loss = "cross_entropy",
) -> Scored:
    """Gradient signal preservation ``sum_W -w (H g)`` (Wang et al., ICLR 2020).

    H is the Hessian over W alone (biases and batch-norm scales neither move nor count), of the same
    batch as g. Larger is better in zero-cost-nas, which turned the sign round because it correlated
    negatively; the paper divides the logits by a temperature of 200, zero-cost-nas by 1.
    """
    g = _loss_gradients(nodes, weights, x, y, loss)
    direction = {name: g[name] for name in counted_weights(nodes)}
    pairs = _pairs(
        nodes, weights, hessian_vector_product(nodes, weights, x, y, direction, loss=loss)
    )
    value = sum(float((-w * h).sum()) for w, h in pairs)
    return judge(value, [h for _, h in pairs])


# ---- norms ---------------------------------------------------------------------------------------


def l2_norm(nodes: Sequence[Node], weights: Mapping[str, ArrayLike]) -> Scored:
    """Sum over the tensors of W of ``||w||_2``; no pass (zero-cost-nas ``l2_norm``).

    Larger is better. zero-cost-nas counts convolutions that its mask leaves unused, too.
    """
    tensors = [np.asarray(weights[name], dtype=np.float64) for name in counted_weights(nodes)]
    return judge(sum(float(np.sqrt((w**2).sum())) for w in tensors), tensors)


def grad_norm(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    over: Literal["layers", "all"] = "layers",
    loss: Loss = "cross_entropy",
) -> Scored:
    """Norm of the gradient. Larger is better.

    Parameters
    ----------
    over : {"layers", "all"}
        "layers": sum over the tensors of W of ``||g||_2`` (zero-cost-nas ``grad_norm``).
        "all": ``||g||_2`` of all parameters together, batch norm and biases too (ZenNAS, on random
        images and labels). A network whose features are all 0 still has the gradient of the
        classifier's bias there.
    """
    if over not in ("layers", "all"):
        raise ValueError(f"over: expected 'layers' or 'all', got {over!r}")
    g = _loss_gradients(nodes, weights, x, y, loss)
    if over == "all":
        return judge(float(np.sqrt(sum(float((t**2).sum()) for t in g.values()))), g.values())
    counted = [g[name] for name in counted_weights(nodes)]
    return judge(sum(float(np.sqrt((t**2).sum())) for t in counted), counted)


# ---- outputs times gradients ---------------------------------------------------------------------


def fisher(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    per_channel: bool = False,
    loss: Loss = "cross_entropy",
) -> Scored:
    """Fisher information of channels (Theis et al., 2018; Turner et al., ICLR 2020).

    For channel c of the output a of a convolution or linear layer (bias included, before batch
    norm), with d = dL/da and L the mean over n images, so that d holds 1 / n:
    ``F_c = 1/2 mean_n (sum_hw a d)^2``.

    Parameters
    ----------
    per_channel : bool
        The sum of all F_c, as in the papers. Otherwise each counts once for every weight of its
        channel (``C_in / groups k_h k_w``, or the inputs of a linear layer), as in zero-cost-nas.

    Returns
    -------
    Scored
        Larger is better. A network whose features are all 0 scores by its classifier's bias.
    """
    passed = forward(nodes, weights, x)
    back = loss_backward(passed, y, loss=loss)
    total, seen = 0.0, []
    for node in nodes:
        if node["op"] not in LAYERS:
            continue
        a, d = passed.outputs[node["id"]], back.outputs[node["id"]]
        per_image = (a * d).sum(axis=(2, 3))  # (n, C)
        f = 0.5 * (per_image**2).mean(axis=0)
        w = passed.weights[node["id"]]["weight"]
        total += float(f.sum()) * (1 if per_channel else w[0].size)
        seen.append(d)
    return judge(total, seen)


# ---- several gradients ---------------------------------------------------------------------------


def zico_of_gradients(grads: Gradients) -> Scored:
    """ZiCo of given gradients (Li et al., ICLR 2023).

    ``sum_l log sum_w mean_i |g_i| / std_i g_i``: the mean of the absolute gradient over the
    batches, the population standard deviation of the signed one, summed over the weights of tensor
    l whose standard deviation is not exactly 0; a tensor that adds up to 0 is left out.

    Parameters
    ----------
    grads : mapping or sequence of ndarray, each of shape (n_batches, ...)
        Gradients of the tensors of W, each batch from zero.

    Returns
    -------
    Scored
        Larger is better. Two batches make it ill-conditioned: a tiny standard deviation that is
        not 0 decides. Equal batches drop every weight: the value is the empty sum 0, the status
        "undefined" for the reason "no_variance". The released code takes the mean over equal
        batches with rounding, here equal gradients have a deviation of exactly 0.

    Examples
    --------
    >>> round(zico_of_gradients(np.array([[1.0], [3.0]])).value, 6)  # log of 2 / 1
    0.693147
    """
    tensors = [np.asarray(t, dtype=np.float64) for t in _tensors(grads)]
    for t in tensors:
        if t.ndim < 1 or len(t) < 2:
            raise ValueError(f"grads: expected at least two batches on axis 0, got shape {t.shape}")
    total, n_layers = 0.0, 0
    with np.errstate(all="ignore"):
        for t in tensors:
            _, var = _moments(t)
            some = var != 0  # not var > 0: a NaN has to reach the sum
            ratios = np.abs(t).mean(axis=0)[some] / np.sqrt(var[some])
            s = float(ratios.sum())
            if s != 0:
                total += float(np.log(s))
                n_layers += 1
    outcome = judge(total, tensors)
    if outcome.status == "ok" and not n_layers:
        return Scored(0.0, "undefined", "no_variance")
    return outcome


def zico(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    n_batches: int = 2,
    loss: Loss = "cross_entropy",
) -> Scored:
    """`zico_of_gradients` of a batch cut into `n_batches` equal parts, each a pass of its own.

    The paper speaks of the variance of ``|g|``, the released code (and this) takes that of g.
    Copies of the code that never zero the gradients have running sums for rows.
    """
    parts = _parts(x, y, n_batches)
    rows = [_loss_gradients(nodes, weights, part, labels, loss) for part, labels in parts]
    return zico_of_gradients([np.stack([g[n] for g in rows]) for n in counted_weights(nodes)])


def _parts(
    x: ArrayLike, y: ArrayLike | None, n_batches: int
) -> list[tuple[NDArray[np.float64], NDArray[np.int64] | None]]:
    images = np.asarray(x, dtype=np.float64)
    if n_batches < 1 or len(images) % n_batches:
        raise ValueError(
            f"n_batches: expected a divisor of the {len(images)} rows of x, got {n_batches}"
        )
    labels = [None] * n_batches if y is None else np.split(np.asarray(y), n_batches)
    return list(zip(np.split(images, n_batches), labels, strict=True))


def knas_of_gradients(grads: Gradients, *, over: Literal["sum", "mean"] = "sum") -> Scored:
    """Mean of the Gram matrix of per-image gradients, by tensors (after KNAS, Xu et al., 2021).

    ``sum_l mean_ij g_i . g_j`` over the tensors l, i = j included: ``sum_l |mean_i g_i|^2``.

    Parameters
    ----------
    grads : mapping or sequence of ndarray, each of shape (n_images, ...)
    over : {"sum", "mean"}
        Over the tensors.

    Returns
    -------
    Scored
        Larger is better. Ours, after the paper's idea: the released code takes the covariance of
        two runs of 25 batches of one image, on the first values of the first eleven tensors, and
        its stored gradients share memory.

    Examples
    --------
    >>> knas_of_gradients(np.array([[1.0, 0.0], [1.0, 2.0]])).value
    2.0
    """
    if over not in ("sum", "mean"):
        raise ValueError(f"over: expected 'sum' or 'mean', got {over!r}")
    tensors = [np.asarray(t, dtype=np.float64) for t in _tensors(grads)]
    grams = []
    for t in tensors:
        rows = t.reshape(len(t), -1)
        grams.append(float((rows @ rows.T).mean()))
    if not grams:
        return undefined("no_weights")
    return judge(sum(grams) / (1 if over == "sum" else len(grams)), tensors)


def knas(
    nodes: Sequence[Node],
    weights: Mapping[str, ArrayLike],
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    over: Literal["sum", "mean"] = "sum",
    loss: Loss = "cross_entropy",
) -> Scored:
    """`knas_of_gradients` of the tensors of W, every image alone through the network."""
    parts = _parts(x, y, len(np.asarray(x)))
    rows = [_loss_gradients(nodes, weights, part, labels, loss) for part, labels in parts]
    stacked = [np.stack([g[n] for g in rows]) for n in counted_weights(nodes)]
    return knas_of_gradients(stacked, over=over)
