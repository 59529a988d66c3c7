"""xi-GSNR: gradient signal-to-noise ratio over batches."""

from __future__ import annotations

__all__ = ["VARIANTS", "Variant", "XiGsnr"]

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.inputs import check_int, check_real
from zeroshot.scores.base import (
    LOSSES,
    Grouping,
    Loss,
    Score,
    check_bool,
    check_choice,
    too_few,
)

Variant = Literal["mean2", "inv_var", "inv_var_xi", "gsnr", "xi_gsnr"]

VARIANTS = ("mean2", "inv_var", "inv_var_xi", "gsnr", "xi_gsnr")  # in the core's numbering


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
    formula: ClassVar[str] = r"\sum_j \frac{\bar g_j^2}{\operatorname{Var}_i(g_{ij}) + \xi}"
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
        check_choice("variant", self.variant, VARIANTS)
        check_bool("accumulate", self.accumulate)
        check_choice("loss", self.loss, LOSSES)
        self._check_label()

    def grouping(self, n_rows: int) -> Grouping:
        count = n_rows // self.batch_size if self.n_batches is None else self.n_batches
        if max(count, 2) * self.batch_size > n_rows:
            what = f"{self.name} with {max(count, 2)} batches of {self.batch_size}"
            remedy = "use smaller or fewer batches (at least 2)"
            raise too_few(what, max(count, 2) * self.batch_size, n_rows, remedy)
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
