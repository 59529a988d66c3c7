"""Scores of one architecture: `score`, and one function for each score that returns its number."""

from __future__ import annotations

__all__ = ["gradients", "gradsign", "plan", "score", "sweet_count", "xi_gsnr"]

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.errors import NonFiniteError
from zeroshot.inputs import check_int, check_pair, make_data
from zeroshot.network import AnyArch, build_network, count_graph
from zeroshot.options import Options, RunOptions, with_options
from zeroshot.results import Gradients, Plan, ScoreResult
from zeroshot.runner import Job, keep_workspace, run_core, take_workspace
from zeroshot.scores import (
    LOSSES,
    GradSign,
    Loss,
    Score,
    ScoreLike,
    Sweet,
    Variant,
    XiGsnr,
    make_scores,
)
from zeroshot.weights import check_weights

if TYPE_CHECKING:
    from typing_extensions import Unpack


@with_options
def score(
    arch: AnyArch,
    x: ArrayLike,
    y: ArrayLike,
    *,
    scores: ScoreLike | Sequence[ScoreLike] = "xi_gsnr",
    seeds: Sequence[int] | None = None,
    **options: Unpack[RunOptions],
) -> ScoreResult:
    """Score one architecture by one or several scores, which share passes where they can.

    Parameters
    ----------
    arch : str, int, sequence or Graph
        In any notation of the space (for NAS-Bench-201 the string, the benchmark's index, six
        operations), or a `zeroshot.Graph`.
    x : array_like, shape (M, 3, H, W), float16, float32 or float64
        Normalised images; anything with ``__array__``, in any memory layout. Never written.
    y : array_like, shape (M,), integers
        Class labels from 0.
    scores : str, dataclass, or sequence of these
        Names of `list_scores`, or `XiGsnr`, `GradSign`, `Sweet` with parameters. Every score
        starts at the first row, and its parameters say how many rows it takes.
    seeds : sequence of int, optional
        Score once per seed in place of ``seed``: the value is the mean, and each score's result
        has ``std`` and all ``values``.
    **options
        See `Options`.

    Returns
    -------
    ScoreResult
        A cell without a path has its defined value and status ``no_signal``; NaN and infinity
        give status ``nonfinite`` with the layer that met them first.

    Raises
    ------
    ArchitectureError, TypeError, ValueError
        If an argument does not fit.
    MemoryError
        If there is not enough memory, or ``max_bytes`` does not allow it.
    Cancelled
        If ``cancel`` was set.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((16, 3, 8, 8))
    >>> y = np.arange(16) % 10
    >>> arch = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
    >>> scores = [GradSign(n_samples=4), XiGsnr(batch_size=8)]
    >>> result = score(arch, x, y, scores=scores, channels=4, cells=1)
    >>> result.status, list(result.values)
    ('no_signal', ['gradsign', 'xi_gsnr'])
    """
    job = Job.make(x, y, scores, Options(**options), seeds)
    workspace = take_workspace()
    try:
        return job.run(arch, n_threads=job.options.threads, workspace=workspace)
    finally:
        keep_workspace(workspace)


def _number(arch: AnyArch, x: ArrayLike, y: ArrayLike, wanted: Score, options: RunOptions) -> float:
    result = score(arch, x, y, scores=wanted, **options)
    if result.status == "nonfinite":
        raise NonFiniteError(f"{wanted.name} of {result.arch}: {result.reason}", result)
    return result.value


@with_options
def xi_gsnr(
    arch: AnyArch,
    x: ArrayLike,
    y: ArrayLike,
    *,
    batch_size: int = 64,
    n_batches: int | None = None,
    xi: float = 1e-8,
    variant: Variant = "xi_gsnr",
    accumulate: bool = False,
    loss: Loss = "cross_entropy",
    **options: Unpack[RunOptions],
) -> float:
    """Gradient signal-to-noise ratio of an untrained network (Sun et al., ICCV 2023, Eq. 10).

    Parameters
    ----------
    arch, x, y
        As for `score`.
    batch_size, n_batches, xi, variant, accumulate, loss
        See `XiGsnr`, also for the formulas and for where the released code differs.
    **options
        See `Options`.

    Returns
    -------
    float
        Larger means better expected accuracy; no unit, not comparable between data sets.

    Raises
    ------
    NonFiniteError
        If NaN or infinity was met; its `result` is what `score` would have returned.
    ArchitectureError, TypeError, ValueError, MemoryError, Cancelled
        As `score`.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((16, 3, 8, 8))
    >>> y = np.arange(16) % 10
    >>> xi_gsnr(1462, x, y, batch_size=8, channels=4, cells=1) > 0
    True
    """
    wanted = XiGsnr(
        batch_size=batch_size, n_batches=n_batches, xi=xi, variant=variant,
        accumulate=accumulate, loss=loss,
    )  # fmt: skip
    return _number(arch, x, y, wanted, options)


@with_options
def gradsign(
    arch: AnyArch,
    x: ArrayLike,
    y: ArrayLike,
    *,
    n_samples: int | None = 64,
    reduction: Literal["sum", "mean"] = "sum",
    zero_tol: float = 0.0,
    loss: Loss = "cross_entropy",
    **options: Unpack[RunOptions],
) -> float:
    """Agreement of the signs of per-sample gradients (Zhang and Jia, ICLR 2022, Eq. 3).

    Parameters
    ----------
    arch, x, y
        As for `score`.
    n_samples, reduction, zero_tol, loss
        See `GradSign`, also for where the released code differs.
    **options
        See `Options`.

    Returns
    -------
    float
        Larger is better; an integer for ``reduction="sum"``.

    Raises
    ------
    NonFiniteError, ArchitectureError, TypeError, ValueError, MemoryError, Cancelled
        As `xi_gsnr`.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((16, 3, 8, 8))
    >>> gradsign(1462, x, np.arange(16) % 10, n_samples=16, channels=4, cells=1).is_integer()
    True
    """
    wanted = GradSign(n_samples=n_samples, reduction=reduction, zero_tol=zero_tol, loss=loss)
    return _number(arch, x, y, wanted, options)


@with_options
def sweet_count(
    arch: AnyArch,
    x: ArrayLike,
    y: ArrayLike,
    *,
    lo: float,
    hi: float,
    batch_size: int = 64,
    **options: Unpack[RunOptions],
) -> float:
    """Number of weights with ``lo <= |gradient| < hi`` (Sweetimator, Yang et al., Eq. 1).

    Parameters
    ----------
    arch, x, y
        As for `score`.
    lo, hi, batch_size
        See `Sweet`, also for where the released code differs; `find_sweet_interval` finds `lo`
        and `hi`.
    **options
        See `Options`.

    Returns
    -------
    float
        An integer from 0 to the number of weights; larger is better.

    Raises
    ------
    NonFiniteError, ArchitectureError, TypeError, ValueError, MemoryError, Cancelled
        As `xi_gsnr`.

    Examples
    --------
    >>> import zeroshot
    >>> x = np.random.default_rng(0).standard_normal((8, 3, 8, 8))
    >>> sweet_count(1462, x, np.arange(8), lo=0, hi=np.inf, batch_size=8, channels=4, cells=1)
    22892.0
    >>> zeroshot.count(1462, channels=4, cells=1, input_size=8).weights
    22892
    """
    return _number(arch, x, y, Sweet(lo, hi, batch_size=batch_size), options)


@with_options
def gradients(
    arch: AnyArch,
    x: ArrayLike,
    y: ArrayLike,
    *,
    batch_size: int = 64,
    n_batches: int | None = None,
    loss: Loss = "cross_entropy",
    all_params: bool = False,
    **options: Unpack[RunOptions],
) -> Gradients:
    """Gradient of each batch's mean loss, by weight name.

    Parameters
    ----------
    arch, x, y
        As for `score`.
    batch_size : int
        1 for per-sample gradients.
    n_batches : int, optional
        Default: all full batches that x has.
    loss : {"cross_entropy", "sum_logits"}
    all_params : bool
        Also biases, scales and shifts of norms, and layer scales.
    **options
        See `Options`.

    Returns
    -------
    Gradients
        float64 arrays of shape (n_batches, ...); NaN is handed out as it is.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((16, 3, 8, 8))
    >>> found = gradients(1462, x, np.arange(16) % 10, batch_size=8, channels=4, cells=1)
    >>> found["stem.conv.weight"].shape
    (2, 4, 3, 3, 3)
    """
    opts = Options(**options)
    data = make_data(x, y, opts.dtype)
    size = check_int("batch_size", batch_size, 1)
    n = data.n_rows // size if n_batches is None else check_int("n_batches", n_batches, 1)
    if n < 1 or n * size > data.n_rows:
        n = max(n, 1)
        raise ValueError(f"x: {n} batches of {size} need {n * size} images, got {data.n_rows}")
    if loss not in LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(LOSSES)}; got {loss!r}")
    network = build_network(arch, opts, data.image_shape)
    data.check_fits(network.graph.input_shape, network.graph.num_classes)
    out = run_core(
        network.graph, data.x, data.y, opts, [], check_weights(network.graph, opts.weights),
        sink=(size, n, loss, bool(all_params)), n_threads=opts.threads,
    )  # fmt: skip
    return Gradients(
        arch=network.arch,
        gradients=out["gradients"],
        losses=out["losses"],
        logits=out["logits"],
        group_size=size,
        n_groups=n,
        unused_rows=data.n_rows - n * size,
        nonfinite=out["blame"],
        scored_as=network.scored_as,
    )


@with_options
def plan(
    arch: AnyArch,
    *,
    scores: ScoreLike | Sequence[ScoreLike] = "xi_gsnr",
    n_rows: int = 512,
    input_size: int | tuple[int, int] = 32,
    **options: Unpack[RunOptions],
) -> Plan:
    """What a call of `score` would take; nothing is run and nothing large is allocated.

    Parameters
    ----------
    arch, scores
        As for `score`.
    n_rows : int
        Images that x would have.
    input_size : int or (int, int)
        Their height and width; a `zeroshot.Graph` has its own.
    **options
        See `Options`.

    Returns
    -------
    Plan

    Examples
    --------
    >>> plan(1462, scores="gradsign").images
    64
    """
    opts = Options(**options)
    wanted = make_scores(scores)
    n_rows = check_int("n_rows", n_rows, 1)
    height, width = check_pair("input_size", input_size, 1)
    network = build_network(arch, opts, (3, height, width))
    groupings = [one.grouping(n_rows) for one in wanted]
    # the core looks at the shapes only: pages of these are never touched
    x = np.empty((n_rows, *network.graph.input_shape), np.float32)
    out = run_core(
        network.graph, x, np.zeros(n_rows, np.int64), opts, wanted,
        check_weights(network.graph, opts.weights), n_threads=opts.threads, measure=True,
    )  # fmt: skip
    own = network
    if opts.canonical:
        own = build_network(arch, replace(opts, canonical=False), (3, height, width))
    shared: dict[int, int] = {}
    for run, group in zip(out["runs"], groupings, strict=True):
        if run["pass_index"] >= 0:
            shared[run["pass_index"]] = max(group.n * group.size, shared.get(run["pass_index"], 0))
    return Plan(
        arch=network.arch,
        peak_bytes=out["peak_bytes"],
        macs=out["macs"],
        n_passes=out["n_passes"],
        images=sum(shared.values()),
        kernels=out["kernels"],
        counts=count_graph(own.graph),
        scored_as=network.scored_as,
    )
