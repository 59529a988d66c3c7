"""What comes out: frozen dataclasses that print, pickle and turn into plain dictionaries."""

from __future__ import annotations

__all__ = [
    "Counts",
    "Gradients",
    "Plan",
    "ScoreResult",
    "ScoreValue",
    "Status",
    "mean",
    "worst_status",
]

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zeroshot.provenance import Provenance

Status = Literal["ok", "no_signal", "undefined", "nonfinite", "failed", "crashed"]

_SEVERITY: tuple[Status, ...] = ("ok", "no_signal", "undefined", "nonfinite", "failed", "crashed")


def worst_status(statuses: Iterable[Status]) -> Status:
    """The one that a caller should hear of: the last in the order of `Status`."""
    return max(statuses, key=_SEVERITY.index, default="ok")


def mean(values: Iterable[float]) -> float:
    """Their mean, rounded once."""
    items = tuple(values)
    return math.fsum(items) / len(items)


@dataclass(frozen=True)
class ScoreValue:
    """One score of one architecture.

    Attributes
    ----------
    label, name : str
        Name of the score, and what the caller called it.
    value : float
        The score; with several seeds their mean. NaN where NaN or infinity was met.
    status : str
        ``ok``; ``no_signal``: the value is defined but every gradient in it is zero;
        ``undefined``: `reason` says why; ``nonfinite``; ``failed``; ``crashed``, in a store: the
        process that scored it died, twice.
    reason : str or None
    values : tuple of float
        One per seed.
    layers : dict of str to float
        What each counted weight tensor adds to the value (to the sum, for a mean), dead ones
        included; with several seeds the mean. Empty for scores that are no such sum.
    histogram : dict of str to tuple of int, or None
        For a score with `splits`: of each tensor the count in each interval, added up over seeds.
        For `zeroshot.scores.Activations`: of each node that has any.
    noise_share : float or None
        GradSign: the share of gradients that are not zero but below rounding noise.
    parameters : dict
    group_size, n_groups, unused_rows : int
        Rows that share statistics and loss; how many of these; rows of x that were left over.
    algorithm : str
        How 3x3 convolutions were to be computed (`Options.algo`): ``direct``, ``f2`` or ``f4``
        where it applies; ``auto:f2`` and ``auto:f4`` leave layers of fewer than 16 channels or 4x4
        pixels direct.
    shares_with : tuple of str
        Labels of the scores that were made in the same pass through the network.
    dead_weights : int
        With ``canonical``, where the score counts weights without a gradient: the architecture's
        own dead weights, which the network that was scored does not have. They are in the value and
        in no layer.
    keys : tuple of str
        Provenance key of each of `values`: equal keys, equal values on one machine.
    """

    label: str
    name: str
    value: float
    status: Status
    reason: str | None = None
    values: tuple[float, ...] = ()
    layers: Mapping[str, float] = field(default_factory=dict, repr=False)
    histogram: Mapping[str, tuple[int, ...]] | None = field(default=None, repr=False)
    noise_share: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    group_size: int = 0
    n_groups: int = 0
    unused_rows: int = 0
    algorithm: str = ""
    shares_with: tuple[str, ...] = ()
    dead_weights: int = 0
    keys: tuple[str, ...] = field(default=(), repr=False)

    @property
    def mean(self) -> float:
        """`value` by the name that it has with several seeds."""
        return self.value

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds (divisor n - 1); NaN for one seed."""
        if len(self.values) < 2 or not all(map(math.isfinite, self.values)):
            return math.nan
        import statistics

        return statistics.stdev(self.values)

    @property
    def used_rows(self) -> int:
        """Rows of x that the score looked at."""
        return self.group_size * self.n_groups


@dataclass(frozen=True, repr=False)
class ScoreResult:
    """All scores of one architecture.

    ``result["label"]`` is the value of one score, ``result.value`` that of the only one.

    Attributes
    ----------
    arch : str
        The architecture in its one normal spelling; of a `zeroshot.Graph` a hash.
    scored_as : str or None
        With ``canonical`` the architecture whose network was scored for it. `seconds`,
        `peak_bytes`, `macs` and the names of layers are that one's.
    scores : dict of str to ScoreValue
        By label, in the order asked for.
    status : str
        The worst of all scores.
    reason : str or None
    seeds : tuple of int
    seconds : float
        From architecture to result.
    peak_bytes : int
        The one allocation of the run: weights, activations, gradients, score state.
    macs : int
        Multiply-accumulates of one image forward, of what was run.
    nonfinite : (str, int) or None
        First layer that saw NaN or infinity (``input`` for x), and how many.
    provenance : Provenance or None
        What the keys are made of, and what is recorded beside them.
    """

    arch: str
    scores: Mapping[str, ScoreValue]
    status: Status
    reason: str | None = None
    seeds: tuple[int, ...] = ()
    seconds: float = 0.0
    peak_bytes: int = 0
    macs: int = 0
    nonfinite: tuple[str, int] | None = None
    provenance: Provenance | None = None
    scored_as: str | None = None

    def __getitem__(self, label: str) -> float:
        if label not in self.scores:
            raise KeyError(f"{label!r}; the labels are {', '.join(self.scores)}")
        return self.scores[label].value

    @property
    def values(self) -> dict[str, float]:
        """Every score's value by label."""
        return {label: score.value for label, score in self.scores.items()}

    @property
    def value(self) -> float:
        """The value of the only score."""
        if len(self.scores) != 1:
            raise ValueError(f"value: there are several scores: {', '.join(self.scores)}")
        return next(iter(self.scores.values())).value

    def to_dict(self) -> dict[str, Any]:
        """Everything in dictionaries, lists, strings and numbers."""
        return _plain(asdict(self))  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        parts = [repr(self.arch)]
        for label, score in self.scores.items():
            spread = f"+-{score.std:.2g}" if len(score.values) > 1 else ""
            parts.append(f"{label}={score.value:.6g}{spread}")
        parts.append(self.status if self.reason is None else f"{self.status}: {self.reason}")
        parts.append(f"{self.seconds:.3g} s")
        return f"ScoreResult({', '.join(parts)})"


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of each group's loss.

    Attributes
    ----------
    arch : str
    gradients : dict of str to ndarray, shape (n_groups, ...), float64
        By weight name; exact zeros for dead weights.
    losses : ndarray, shape (n_groups,)
    logits : ndarray, shape (n_groups * group_size, K)
    group_size, n_groups, unused_rows : int
    nonfinite : (str, int) or None
    scored_as : str or None
        As in `ScoreResult`.
    """

    arch: str
    gradients: Mapping[str, NDArray[np.float64]] = field(repr=False)
    losses: NDArray[np.float64]
    logits: NDArray[np.float64] = field(repr=False)
    group_size: int
    n_groups: int
    unused_rows: int
    nonfinite: tuple[str, int] | None = None
    scored_as: str | None = None

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self.gradients:
            raise KeyError(f"{name!r}; the first names are {', '.join(list(self.gradients)[:3])}")
        return self.gradients[name]


@dataclass(frozen=True)
class Counts:
    """Sizes of a network, for one image.

    Attributes
    ----------
    params : int
        Elements of all trainable tensors.
    weights : int
        Of the weights of convolutions and linear layers: those that scores count.
    macs : int
        Multiply-accumulates of convolutions and linear layers, dead ones included; not of layers
        that nothing on the way to the logits reads.
    thop_flops : int
        `macs` and one for each output element of an average pool; the global pool counts nothing.
    live_weights, live_macs : int
        On a path from image to logits that crosses no ``none``; 0 without such a path.
    """

    params: int
    weights: int
    macs: int
    thop_flops: int
    live_weights: int
    live_macs: int


@dataclass(frozen=True)
class Plan:
    """What a run would take, known before anything is allocated.

    Attributes
    ----------
    arch : str
    peak_bytes : int
        Of the run's one allocation; x and y are the caller's and not in it.
    macs : int
        Multiply-accumulates of one image forward, of what would be run.
    n_passes : int
        Passes over the data: scores with the same groups and loss share one.
    images : int
        Images that go forward and backward, over all passes.
    kernels : str
        Kernel table that would be used.
    counts : Counts
        Of `arch` itself.
    scored_as : str or None
        As in `ScoreResult`.
    """

    arch: str
    peak_bytes: int
    macs: int
    n_passes: int
    images: int
    kernels: str
    counts: Counts
    scored_as: str | None = None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
