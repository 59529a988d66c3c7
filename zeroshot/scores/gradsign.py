"""GradSign: agreement of the signs of per-sample gradients."""

from __future__ import annotations

__all__ = ["GradSign"]

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.inputs import check_real
from zeroshot.scores.base import PerSample, check_choice


@dataclass(frozen=True)
class GradSign(PerSample):
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
    formula: ClassVar[str] = r"\sum_j \left| \sum_i \operatorname{sign}(g_{ij}) \right|"
    reference: ClassVar[str] = "Zhang and Jia, ICLR 2022, Eq. 3"
    range: ClassVar[str] = "0 to n_samples x weights (sum), 0 to n_samples (mean)"
    needs: ClassVar[str] = "gradients of single samples"

    _: KW_ONLY
    reduction: Literal["sum", "mean"] = "sum"
    zero_tol: float = 0.0
    label: str = "gradsign"

    def __post_init__(self) -> None:
        check_choice("reduction", self.reduction, ("sum", "mean"))
        if not 0 <= check_real("zero_tol", self.zero_tol, "a number >= 0") < math.inf:
            raise ValueError(f"zero_tol: expected a number >= 0, got {self.zero_tol}")
        super().__post_init__()

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
