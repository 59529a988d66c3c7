"""What figures draw of networks, by the engine: counts of gradients and activations, settings."""

from __future__ import annotations

__all__ = ["GradientCounts", "count_activations", "count_gradients", "sweep_xi_gsnr"]

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.errors import NonFiniteError
from zeroshot.figures.ablation_curves import Sweep
from zeroshot.figures.figure import as_values, by_title
from zeroshot.network import AnyArch
from zeroshot.options import RunOptions, with_options
from zeroshot.pool import score_iter
from zeroshot.scores import Activations, XiGsnr
from zeroshot.sweet import Edges, LayerCounts, count_layers, sweet_edges

if TYPE_CHECKING:
    from typing_extensions import Unpack

GradientCounts = LayerCounts


@with_options
def count_gradients(
    archs: Iterable[AnyArch],
    x: ArrayLike,
    y: ArrayLike,
    *,
    edges: Edges | ArrayLike = "released",
    layers: int | Sequence[str] = (),
    batch_size: int = 64,
    progress: Any = None,
    **options: Unpack[RunOptions],
) -> GradientCounts:
    """Gradients of some architectures by size, for the figures of Sweetimator.

    Parameters
    ----------
    archs, x, y
        As for `zeroshot.score_many`; all see the first `batch_size` rows.
    edges : {"released", "paper"} or array_like
    layers : int or sequence of str
        For `depth_proportion`, as for `zeroshot.find_sweet_interval`: 15 or 17 on NAS-Bench-201.
    batch_size : int
        128 in the paper's heatmaps.
    progress : None, True or callable
    **options
        See `zeroshot.Options`.

    Returns
    -------
    GradientCounts
        ``total`` for `sweet_heatmap` and `gradient_histogram`; ``counts`` and ``sizes`` for
        `depth_proportion`.
    """
    return count_layers(
        archs, x, y, edges=edges, layers=layers, batch_size=batch_size, progress=progress,
        **options,
    )  # fmt: skip


@with_options
def count_activations(
    archs: Iterable[AnyArch],
    x: ArrayLike,
    *,
    edges: Edges | ArrayLike = "released",
    which: Literal["relu", "conv"] = "relu",
    batch_size: int = 64,
    progress: Any = None,
    **options: Unpack[RunOptions],
) -> NDArray[np.int64]:
    """Activations of some architectures by size, for `activation_histogram`.

    Parameters
    ----------
    archs, x
        As for `zeroshot.score_many`; all see the first `batch_size` rows.
    edges : {"released", "paper"} or array_like
    which : {"relu", "conv"}
        As in `zeroshot.Activations`.
    batch_size : int
    progress : None, True or callable
    **options
        See `zeroshot.Options`.

    Returns
    -------
    ndarray of int64, shape (n_archs, n_intervals)

    Raises
    ------
    NonFiniteError
        If an architecture meets NaN or infinity.
    """
    borders = sweet_edges(edges) if isinstance(edges, str) else np.asarray(edges)  # type: ignore[arg-type]
    todo = list(archs)
    counts = np.zeros((len(todo), len(borders) - 1), np.int64)
    wanted = Activations.over(borders, which=which, batch_size=batch_size)
    labels = np.zeros(len(np.asarray(x)), np.int64)  # which nothing reads
    stream = score_iter(
        todo, x, labels, scores=wanted, on_error="raise", progress=progress, **options
    )
    for position, result in stream:
        if result.status == "nonfinite":
            raise NonFiniteError(f"archs[{position}]: {result.reason}", result)
        found = result.scores["activations"]
        rows = list((found.histogram or {"": (int(found.value),)}).values())
        if rows:
            counts[position] = np.sum(rows, axis=0)
    return counts


@with_options
def sweep_xi_gsnr(
    archs: Iterable[AnyArch],
    x: ArrayLike,
    y: ArrayLike,
    accuracy: ArrayLike | Mapping[str, ArrayLike],
    *,
    batch_sizes: Sequence[int] = (8, 16, 32, 64, 128),
    n_batches: Sequence[int] = (2, 4, 6, 8),
    xis: Sequence[float] = (0, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4),
    accumulate: Sequence[bool] = (True, False),
    batch_size: int = 64,
    n: int = 8,
    xi: float = 1e-8,
    method: Literal["spearman", "kendall"] = "spearman",
    progress: Any = None,
    **options: Unpack[RunOptions],
) -> list[Sweep]:
    """The ablations of xi-GSNR (Fig. 3): one of batch size, number of batches and xi at a time.

    Parameters
    ----------
    archs, x, y
        As for `zeroshot.score_many`.
    accuracy : array_like, shape (n_archs,), or mapping of data set to such
    batch_sizes, n_batches, xis : sequence
        Values of each setting; those that x has too few rows for are left out, and an empty
        sequence leaves its panel out. 0 among `xis` is GSNR without xi, over weights whose variance
        is not 0.
    accumulate : sequence of bool
        Running sums of gradients, as the released code has it, or separate ones, or both.
    batch_size, n, xi
        Of the other two settings while one changes.
    method : {"spearman", "kendall"}
        The text does not say which the figure shows.
    progress : None, True or callable
    **options
        See `zeroshot.Options`.

    Returns
    -------
    list of Sweep
        For `ablation_curves`.
    """
    from zeroshot import stats

    correlation = {"spearman": stats.spearman, "kendall": stats.kendall}.get(method)
    if correlation is None:
        raise ValueError(f"method: expected spearman or kendall; got {method!r}")
    accuracies = {title: as_values("accuracy", a) for title, a in by_title(accuracy).items()}
    n_rows = len(np.asarray(x))
    settings = {
        "batch size": [(b, n, xi) for b in batch_sizes if b * n <= n_rows],
        "number of batches": [(batch_size, k, xi) for k in n_batches if batch_size * k <= n_rows],
        "ξ": [(batch_size, n, float(one)) for one in xis if batch_size * n <= n_rows],
    }
    scores = {
        (*one, bool(acc)): XiGsnr(
            batch_size=one[0], n_batches=one[1], accumulate=bool(acc),
            xi=one[2] or 1e-8, variant="xi_gsnr" if one[2] else "gsnr",
            label=f"{one[0]} {one[1]} {one[2]!r} {bool(acc)}",
        )
        for group in settings.values() for one in group for acc in accumulate
    }  # fmt: skip
    if not scores:
        raise ValueError(f"x: too few rows for any of the settings, got {n_rows}")
    todo = list(archs)
    if any(len(a) != len(todo) for a in accuracies.values()):
        raise ValueError(f"accuracy: expected {len(todo)} values, one per architecture")
    values = {key: np.full(len(todo), np.nan) for key in scores}
    stream = score_iter(
        todo, x, y, scores=list(scores.values()), on_error="raise", progress=progress, **options
    )
    for position, result in stream:
        for key, score in scores.items():
            values[key][position] = result.scores[score.label].value
    kinds = {True: "accumulated", False: "separate"}
    sweeps = []
    for (parameter, group), at in zip(settings.items(), (0, 1, 2), strict=True):
        if not group:
            continue
        lines = {
            ", ".join(filter(None, (title, kinds[bool(acc)] if len(accumulate) > 1 else ""))): [
                correlation(values[(*one, bool(acc))], a).value for one in group
            ]
            for title, a in accuracies.items()
            for acc in accumulate
        }
        scale: Literal["log2", "linear", "log10"] = ("log2", "linear", "log10")[at]
        sweeps.append(Sweep(parameter, [one[at] for one in group], lines, scale))
    return sweeps
