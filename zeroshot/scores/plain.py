"""Plain: weights times gradients, signed."""

from __future__ import annotations

__all__ = ["Plain"]

from dataclasses import dataclass
from typing import ClassVar

from zeroshot.scores.base import OneBatch


@dataclass(frozen=True)
class Plain(OneBatch):
    """Weights times gradients, signed (Abdelfattah et al., ICLR 2021, ``plain`` in the code).

    ``sum_j w_j g_j`` with the gradient g of the mean cross-entropy of one batch: to first order
    what the loss would lose if all weights were zero.

    Parameters
    ----------
    batch_size : int
    label : str

    Raises
    ------
    ValueError
        When it is scored, if there are fewer images than `batch_size`.

    Notes
    -----
    Larger is taken as better; any real number, no unit. Terms cancel: behind batch norm, which
    does not see the scale of a weight tensor, a tensor's sum is zero up to the ``eps`` of the norm
    and rounding, so that the sign and the digits of a small value mean little.
    """

    name: ClassVar[str] = "plain"
    formula: ClassVar[str] = r"\sum_j w_j g_j"
    reference: ClassVar[str] = "Abdelfattah et al., ICLR 2021, code"
    range: ClassVar[str] = "any real number"
    needs: ClassVar[str] = "gradients of one batch, weights"

    label: str = "plain"
