"""GraSP: what removing a weight does to the norm of the gradient, to first order."""

from __future__ import annotations

__all__ = ["Grasp"]

from dataclasses import dataclass
from typing import ClassVar

from zeroshot.scores.base import OneBatch


@dataclass(frozen=True)
class Grasp(OneBatch):
    """Gradient signal preservation summed over weights (Wang, Zhang and Grosse, ICLR 2020).

    ``sum_j -w_j (H g)_j`` with the gradient g and the Hessian H of the mean cross-entropy of one
    batch. The product H g is exact: batch norm is differentiated twice, the second derivative of a
    ReLU is 0 and the place of a maximum is held.

    Parameters
    ----------
    batch_size : int
    label : str

    Notes
    -----
    Larger is taken as better; any sign, no unit. The paper scores a weight by ``-w (H g)`` and
    prunes where that is largest. zero-cost-nas keeps what is largest and therefore dropped the
    minus, but put it back because accuracy correlated negatively with the sum. The paper divides
    logits by a temperature of 200 and may take several batches; the released code of the zero-cost
    literature, followed here, has temperature 1 and one batch, the same for g and for H.

    Takes about four times as long as SNIP alone and two to three times its memory.
    """

    name: ClassVar[str] = "grasp"
    formula: ClassVar[str] = r"-\sum_j w_j (H g)_j"
    reference: ClassVar[str] = "Wang et al., ICLR 2020"
    range: ClassVar[str] = "any real number, no unit"
    needs: ClassVar[str] = "gradients of one batch and their product with the Hessian, weights"

    label: str = "grasp"
