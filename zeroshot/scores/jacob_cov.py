"""jacob_cov: how alike the images' input Jacobians are."""

from __future__ import annotations

__all__ = ["JacobCov"]

from dataclasses import dataclass
from typing import ClassVar

from zeroshot.scores.base import Grouping, OneBatch


@dataclass(frozen=True)
class JacobCov(OneBatch):
    """Correlation of input Jacobians (Mellor et al., first version of 2020; ``jacov`` in NASLib).

    ``-sum_i [log(v_i + k) + 1 / (v_i + k)]``, k = 1e-5, with v the eigenvalues of the correlation
    matrix of the images' rows of the gradient of the sum of all logits by the images.

    Parameters
    ----------
    batch_size : int
    label : str

    Notes
    -----
    Larger is better, ``-batch_size`` at best; no unit. Batch norm takes the statistics of the
    batch, so a logit also depends on the other images, which stays in. Undefined for one image and
    where an image's row is constant (all 0, say; the released code: NaN). Equal images leave it
    finite: each eigenvalue of 0 costs 1e5. The released code has a general eigenvalue solver, whose
    rounding can leave tiny negative or complex values; here it is a symmetric one, clamped at 0.

    Where max-pool windows hold equal values, as equal pixels make them, the gradient goes to the
    first; rounding that tells equal inputs apart would move the score (by 4e-4 in one of our tests,
    `EpeNas` by 2 %).
    """

    name: ClassVar[str] = "jacob_cov"
    formula: ClassVar[str] = (
        r"-\sum_i \left( \log(v_i + k) + \frac{1}{v_i + k} \right), \quad k = "
        r"10^{-5}"
    )
    reference: ClassVar[str] = "Mellor et al., 2020 (first version)"
    range: ClassVar[str] = "<= -batch_size"
    needs: ClassVar[str] = "gradient of the logits by the images, one batch"
    uses_labels: ClassVar[bool] = False

    label: str = "jacob_cov"

    def grouping(self, n_rows: int) -> Grouping:
        return super().grouping(n_rows)._replace(loss="sum_logits")
