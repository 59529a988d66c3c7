"""The scores and their parameters: one frozen dataclass each.

A score is asked for by name, with its defaults, or by its dataclass::

    zeroshot.score(arch, x, y, scores=["gradsign", XiGsnr(accumulate=True, label="accumulated")])

All start at the first row of the data; how many rows each takes is among its parameters.
"""

from __future__ import annotations

__all__ = [
    "GradSign",
    "Score",
    "ScoreInfo",
    "ScoreLike",
    "Sweet",
    "XiGsnr",
    "list_scores",
    "make_scores",
]

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from itertools import pairwise
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.inputs import check_int, check_real

Loss = Literal["cross_entropy", "sum_logits"]
Variant = Literal["mean2", "inv_var", "inv_var_xi", "gsnr", "xi_gsnr"]

LOSSES = ("cross_entropy", "sum_logits")
VARIANTS = ("mean2", "inv_var", "inv_var_xi", "gsnr", "xi_gsnr")  # in the core's numbering


class Grouping(NamedTuple):
    """Group j is rows ``j * size`` to ``(j + 1) * size - 1``: one batch-norm and one mean loss."""

    size: int
    n: int
    loss: str


class Score(ABC):
    """What every score's dataclass offers.

    Attributes
    ----------
    name, reference, direction, range, needs : str
        As `list_scores` shows them.
    label : str
        Under which the value stands in a result; the name unless given.
    keeps_signs : bool
        Looks at signs: ``algo="auto"`` means ``f2``, which rounds like direct sums.
    """

    name: ClassVar[str]
    reference: ClassVar[str]
    direction: ClassVar[str] = "larger is better"
    range: ClassVar[str]
    needs: ClassVar[str]
    keeps_signs: ClassVar[bool] = False
    label: str

    @abstractmethod
    def grouping(self, n_rows: int) -> Grouping:
        """Groups that are taken from `n_rows` rows; ValueError if there are too few."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """What tells this score from another on the same groups, in plain types."""

    @abstractmethod
    def core_params(self) -> tuple[float, ...]:
        """Parameters as the core numbers them."""

    def core_edges(self) -> NDArray[np.float64] | None:
        """Interval borders, for scores that count."""
        return None

    @property
    def counts_dead(self) -> bool:
        """Whether weights that get no gradient change the value."""
        return False

    def add_dead(self, value: float, n_weights: int, n_dead: int) -> float:
        """The value of `n_weights` weights with `n_dead` more that get no gradient."""
        return value

    def _check_label(self) -> None:
        if not isinstance(self.label, str) or not self.label:
            raise TypeError(f"label: expected a non-empty string, got {self.label!r}")


def _check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}; got {value!r}")


def _too_few(what: str, needed: int, n_rows: int, remedy: str) -> ValueError:
    return ValueError(f"x: {what} needs {needed} images, got {n_rows}; {remedy}")


@dataclass(frozen=True)
class XiGsnr(Score):
    """Gradient signal-to-noise ratio summed over weights (Sun et al., ICCV 2023, Eq. 10).

    With m and v the mean and population variance of a weight's gradient over N batches::

        mean2       sum m**2
        inv_var     sum 1 / v            weights with v = 0 left out (our reading)
        inv_var_xi  sum 1 / (v + xi)     a dead weight counts 1 / xi
        gsnr        sum m**2 / v         weights with v = 0 left out (our reading)
        xi_gsnr     sum m**2 / (v + xi)  a tensor whose v is 0 everywhere adds nothing (released)

    Parameters
    ----------
    batch_size : int
        Images in a batch; each batch has its own batch-norm statistics and mean loss.
    n_batches : int, optional
        At least two. Default: all full batches that x has.
    xi : float > 0, in the unit of a squared gradient
    variant : str
        One of the five above (Tables 9 and 12).
    accumulate : bool
        Use the running sums g_1 + ... + g_i in place of the batch gradients g_i. The released code
        never zeroes gradients between batches on NAS-Bench-201 and NDS, and the published values
        very likely come from that; Eq. 10 is the default here.
    loss : {"cross_entropy", "sum_logits"}
        "sum_logits" gives the output gsnr (Eq. 3), which the paper defines for scalar outputs only;
        taking the sum of the logits is ours.
    label : str

    Notes
    -----
    Larger means better expected accuracy. At least 0, no unit, not comparable between data sets.
    The released code sums in float32 and draws every batch from a new iterator, so its batches may
    overlap: see ``mode="independent"`` of `zeroshot.data.draw_batches`.
    """

    name: ClassVar[str] = "xi_gsnr"
    reference: ClassVar[str] = "Sun et al., ICCV 2023, Eq. 10"
    range: ClassVar[str] = ">= 0, no unit"
    needs: ClassVar[str] = "gradients of two or more batches"

    _: KW_ONLY
    batch_size: int = 64
    n_batches: int | None = None
    xi: float = 1e-8
    variant: Variant = "xi_gsnr"
    accumulate: bool = False
    loss: Loss = "cross_entropy"
    label: str = "xi_gsnr"

    def __post_init__(self) -> None:
        check_int("batch_size", self.batch_size, 1)
        if self.n_batches is not None:
            check_int("n_batches", self.n_batches, 2)
        if not 0 < check_real("xi", self.xi, "a positive number") < math.inf:
            raise ValueError(f"xi: expected a positive number, got {self.xi}")
        _check_choice("variant", self.variant, VARIANTS)
        if not isinstance(self.accumulate, bool):
            raise TypeError(f"accumulate: expected True or False, got {self.accumulate!r}")
        _check_choice("loss", self.loss, LOSSES)
        self._check_label()

    def grouping(self, n_rows: int) -> Grouping:
        count = n_rows // self.batch_size if self.n_batches is None else self.n_batches
        if max(count, 2) * self.batch_size > n_rows:
            what = f"{self.name} with {max(count, 2)} batches of {self.batch_size}"
            remedy = "use smaller or fewer batches (at least 2)"
            raise _too_few(what, max(count, 2) * self.batch_size, n_rows, remedy)
        return Grouping(int(self.batch_size), int(count), self.loss)

    def parameters(self) -> dict[str, Any]:
        return {
            "xi": float(self.xi),
            "variant": self.variant,
            "accumulate": self.accumulate,
            "loss": self.loss,
        }

    def core_params(self) -> tuple[float, ...]:
        return float(self.xi), float(VARIANTS.index(self.variant)), float(self.accumulate)

    @property
    def counts_dead(self) -> bool:
        return self.variant == "inv_var_xi"

    def add_dead(self, value: float, n_weights: int, n_dead: int) -> float:
        return value + n_dead / float(self.xi) if self.counts_dead else value


@dataclass(frozen=True)
class GradSign(Score):
    """Agreement of the signs of per-sample gradients (Zhang and Jia, ICLR 2022, Eq. 3, Alg. 1).

    ``sum_j |sum_i sign(g_ij)|`` over weights j and samples i, with sign(0) = 0. Every image goes
    through the network alone, so batch norm sees its height and width only.

    Parameters
    ----------
    n_samples : int or None
        Images to take; None for all.
    reduction : {"sum", "mean"}
        The paper sums over weights; the released search scripts load the mean, which divides by
        the number of weights, dead ones included.
    zero_tol : float >= 0
        ``|g| <= zero_tol`` has sign 0. The paper and the code have 0.
    loss : {"cross_entropy", "sum_logits"}
    label : str

    Notes
    -----
    Larger is better; an integer up to ``n_samples`` times the number of weights for "sum".

    A network whose batch norm feeds the global pooling directly (no ReLU between) has gradients
    that are exactly zero in real arithmetic and rounding noise in practice, whose signs mean
    nothing: `ScoreValue.noise_share` tells the share of gradients below rounding noise, and
    `zero_tol` silences them. The released code drops NaN signs; here NaN makes the score NaN, with
    status "nonfinite". Its NAS-Bench-201 numbers come from a builder that makes all five operations
    on every edge; ours makes the chosen ones.
    """

    name: ClassVar[str] = "gradsign"
    reference: ClassVar[str] = "Zhang and Jia, ICLR 2022, Eq. 3"
    range: ClassVar[str] = "0 to n_samples x weights (sum), 0 to n_samples (mean)"
    needs: ClassVar[str] = "gradients of single samples"
    keeps_signs: ClassVar[bool] = True

    _: KW_ONLY
    n_samples: int | None = 64
    reduction: Literal["sum", "mean"] = "sum"
    zero_tol: float = 0.0
    loss: Loss = "cross_entropy"
    label: str = "gradsign"

    def __post_init__(self) -> None:
        if self.n_samples is not None:
            check_int("n_samples", self.n_samples, 1)
        _check_choice("reduction", self.reduction, ("sum", "mean"))
        if not 0 <= check_real("zero_tol", self.zero_tol, "a number >= 0") < math.inf:
            raise ValueError(f"zero_tol: expected a number >= 0, got {self.zero_tol}")
        _check_choice("loss", self.loss, LOSSES)
        self._check_label()

    def grouping(self, n_rows: int) -> Grouping:
        count = n_rows if self.n_samples is None else self.n_samples
        if count > n_rows:
            what, remedy = f"{self.name} of {count} samples", f"pass n_samples={n_rows} or None"
            raise _too_few(what, count, n_rows, remedy)
        return Grouping(1, int(count), self.loss)

    def parameters(self) -> dict[str, Any]:
        return {"reduction": self.reduction, "zero_tol": float(self.zero_tol), "loss": self.loss}

    def core_params(self) -> tuple[float, ...]:
        return float(self.zero_tol), float(self.reduction == "mean")

    @property
    def counts_dead(self) -> bool:
        return self.reduction == "mean"

    def add_dead(self, value: float, n_weights: int, n_dead: int) -> float:
        # the sum is an integer
        return round(value * n_weights) / (n_weights + n_dead) if self.counts_dead else value


@dataclass(frozen=True)
class Sweet(Score):
    """Number of weights whose gradient lies in an interval (Yang et al., Sweetimator, Eq. 1).

    ``#{j : lo <= |g_j| < hi}`` for the gradients g of the mean cross-entropy of one batch.

    Parameters
    ----------
    lo, hi : float, 0 <= lo < hi
        In the unit of a gradient; `hi` may be infinite. A float32 gradient meets them rounded to
        float32. The default is the interval of the released NAS-Bench-201 script on CIFAR-10; the
        paper prints none, and `zeroshot.find_sweet_interval` finds the one of a space and data set.
    splits : sequence of float
        Borders between `lo` and `hi` at which the count is split; the result then has a
        histogram. See `Sweet.over`.
    batch_size : int
        Images in the one batch.
    label : str

    Notes
    -----
    Larger is better; an integer up to the number of weights. The released scripts draw a new batch
    for every architecture; here all have the same.
    """

    name: ClassVar[str] = "sweet"
    reference: ClassVar[str] = "Yang et al., Neural Networks 168, 2023, Eq. 1"
    range: ClassVar[str] = "0 to weights"
    needs: ClassVar[str] = "gradients of one batch"

    lo: float = 1e-4
    hi: float = 5e-4
    _: KW_ONLY
    splits: tuple[float, ...] = ()
    batch_size: int = 64
    label: str = "sweet"

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", tuple(float(s) for s in self.splits))
        borders = [
            check_real(name, value, "a number >= 0")
            for name, value in (
                ("lo", self.lo),
                *((f"splits[{i}]", s) for i, s in enumerate(self.splits)),
                ("hi", self.hi),
            )
        ]
        if borders[0] < 0 or any(a >= b for a, b in pairwise(borders)):
            raise ValueError(f"lo, splits, hi: expected 0 <= lo < ... < hi, got {borders}")
        check_int("batch_size", self.batch_size, 1)
        self._check_label()

    @classmethod
    def over(cls, edges: ArrayLike, *, batch_size: int = 64, label: str = "sweet") -> Sweet:
        """The score over all intervals between increasing `edges`, with a histogram.

        Examples
        --------
        >>> Sweet.over([0, 1e-3, 1e-2, 1]).splits
        (0.001, 0.01)
        """
        lo, *splits, hi = np.asarray(edges, dtype=np.float64).tolist()
        return cls(lo, hi, splits=tuple(splits), batch_size=batch_size, label=label)

    def grouping(self, n_rows: int) -> Grouping:
        if self.batch_size > n_rows:
            what, remedy = f"{self.name} with a batch of {self.batch_size}", "use a smaller batch"
            raise _too_few(what, self.batch_size, n_rows, remedy)
        return Grouping(int(self.batch_size), 1, "cross_entropy")

    def parameters(self) -> dict[str, Any]:
        return {"lo": float(self.lo), "hi": float(self.hi), "splits": list(self.splits)}

    def core_params(self) -> tuple[float, ...]:
        return ()

    def core_edges(self) -> NDArray[np.float64]:
        return np.array([self.lo, *self.splits, self.hi], dtype=np.float64)

    @property
    def counts_dead(self) -> bool:
        return self.lo <= 0

    def add_dead(self, value: float, n_weights: int, n_dead: int) -> float:
        return value + n_dead if self.counts_dead else value


ScoreLike: TypeAlias = str | Score
"""A score by name, with its defaults, or as its dataclass."""

SCORES: dict[str, type[Score]] = {score.name: score for score in (XiGsnr, GradSign, Sweet)}


@dataclass(frozen=True)
class ScoreInfo:
    """What `list_scores` tells about a score."""

    name: str
    dataclass: type[Score]
    reference: str
    direction: str
    range: str
    needs: str
    defaults: dict[str, Any]


def list_scores() -> tuple[ScoreInfo, ...]:
    """All scores, with what they need and their defaults.

    Examples
    --------
    >>> [info.name for info in list_scores()]
    ['xi_gsnr', 'gradsign', 'sweet']
    """
    return tuple(
        ScoreInfo(
            name=name,
            dataclass=cls,
            reference=cls.reference,
            direction=cls.direction,
            range=cls.range,
            needs=cls.needs,
            defaults={f.name: f.default for f in fields(cls)},  # type: ignore[arg-type]
        )
        for name, cls in SCORES.items()
    )


def make_scores(scores: ScoreLike | Sequence[ScoreLike]) -> tuple[Score, ...]:
    """Dataclasses of one or several scores; ValueError if two have the same label."""
    items = [scores] if isinstance(scores, str | Score) else list(scores)
    if not items:
        raise ValueError("scores: expected at least one score, got none")
    made: dict[str, Score] = {}
    for i, item in enumerate(items):
        if isinstance(item, str):
            if item not in SCORES:
                known = ", ".join(SCORES)
                raise ValueError(f"scores[{i}]: expected one of {known}; got {item!r}")
            item = SCORES[item]()
        elif not isinstance(item, Score):
            raise TypeError(
                f"scores[{i}]: expected a name or one of XiGsnr(...), GradSign(...), Sweet(...), "
                f"got {type(item).__name__}"
            )
        if item.label in made:
            raise ValueError(
                f"scores[{i}]: the label {item.label!r} is used twice; pass label= to tell "
                "them apart"
            )
        made[item.label] = item
    return tuple(made.values())
