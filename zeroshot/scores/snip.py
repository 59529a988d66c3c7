"""SNIP: how much the loss would change without each weight, to first order."""

from __future__ import annotations

__all__ = ["Snip"]

from dataclasses import dataclass
from typing import ClassVar

from zeroshot.scores.base import OneBatch


@dataclass(frozen=True)
class Snip(OneBatch):
    """Connection sensitivity summed over weights (Lee, Ajanthan and Torr, ICLR 2019).

    ``sum_j |w_j g_j|`` with the gradient g of the mean cross-entropy of one batch.

    Parameters
    ----------
    batch_size : int
    label : str

    Notes
    -----
    Larger is better; at least 0, no unit. The paper divides each term by their sum, which would
    leave a score of 1; the zero-cost literature, followed here, does not. The released code takes
    the gradient of a mask of ones, which is the same.
    """

    name: ClassVar[str] = "snip"
    formula: ClassVar[str] = r"\sum_j |w_j g_j|"
    reference: ClassVar[str] = "Lee et al., ICLR 2019"
    range: ClassVar[str] = ">= 0, no unit"
    needs: ClassVar[str] = "gradients of one batch, weights"

    label: str = "snip"
