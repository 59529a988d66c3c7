"""ZiCo: mean against deviation of gradients over batches."""

from __future__ import annotations

__all__ = ["Zico"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from zeroshot.inputs import check_int
from zeroshot.scores.base import LOSSES, Grouping, Loss, Score, check_choice, too_few


@dataclass(frozen=True)
class Zico(Score):
    """Inverse coefficient of variation of gradients (Li et al., ICLR 2023).

    ``sum_l log sum_w mean_i |g_i| / std_i(g_i)`` over weight tensors l, their weights w and the
    gradients g_i of the mean loss of N batches, with the population deviation of the signed
    gradient.

    Parameters
    ----------
    batch_size : int
        Images in a batch; the released search has 128.
    n_batches : int
        At least two, as in the released search.
    loss : {"cross_entropy", "sum_logits"}
    label : str

    Raises
    ------
    ValueError
        When it is scored, if there are fewer images than the batches take.

    Notes
    -----
    Larger is better; any real number, no unit. Weights whose deviation is exactly 0 are left out,
    and so is a tensor that has no others. Undefined with reason "no_variance" and value 0 where
    nothing is left, as with equal batches: the released code's value there is that of rounding
    (up to 342 on small networks), as its mean of three equal numbers is not exact. There is no
    floor under a deviation: with two batches a tiny one decides, and float32 is off by up to 1 % on
    small networks, with three by 1e-7. The paper speaks of the deviation of the absolute gradient,
    the code takes the signed one. Copies of the code (Sweetimator, MeCo) never zero their
    gradients, so that their second one is g_1 + g_2.
    """

    name: ClassVar[str] = "zico"
    formula: ClassVar[str] = (
        r"\sum_l \log \sum_{w \in l} \frac{\frac{1}{N} \sum_i "
        r"|g_{iw}|}{\operatorname{std}_i(g_{iw})}"
    )
    reference: ClassVar[str] = "Li et al., ICLR 2023"
    range: ClassVar[str] = "any real number"
    needs: ClassVar[str] = "gradients of two or more batches"

    _: KW_ONLY
    batch_size: int = 64
    n_batches: int = 2
    loss: Loss = "cross_entropy"
    label: str = "zico"

    def __post_init__(self) -> None:
        check_int("batch_size", self.batch_size, 1)
        check_int("n_batches", self.n_batches, 2)
        check_choice("loss", self.loss, LOSSES)
        self._check_label()

    def grouping(self, n_rows: int) -> Grouping:
        needed = self.n_batches * self.batch_size
        if needed > n_rows:
            what = f"{self.name} with {self.n_batches} batches of {self.batch_size}"
            raise too_few(what, needed, n_rows, "use smaller or fewer batches (at least 2)")
        return Grouping(int(self.batch_size), int(self.n_batches), self.loss)

    def parameters(self) -> dict[str, Any]:
        return {"loss": self.loss}

    def core_params(self) -> tuple[float, ...]:
        return ()
