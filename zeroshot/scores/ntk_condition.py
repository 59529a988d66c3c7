"""NTK condition number: how unevenly the network would learn a batch's images."""

from __future__ import annotations

__all__ = ["NtkCondition"]

from dataclasses import dataclass
from typing import ClassVar

from zeroshot.scores.base import Grouping, OneBatch


@dataclass(frozen=True)
class NtkCondition(OneBatch):
    """Condition number of the neural tangent kernel (TE-NAS, Chen et al., ICLR 2021).

    ``lambda_max / lambda_min`` of ``rows rows^T``, with row i the gradient of the sum of the logits
    of image i by all weights of convolutions and linear layers and all scales of batch norms (what
    PyTorch names ``weight``), the images of the batch in one joint pass.

    Parameters
    ----------
    batch_size : int
    label : str

    Notes
    -----
    **Smaller** is better; at least 1. Backward runs once an image, more often where the rows of all
    images take more than 256 MiB.

    Undefined for a kernel of zeros ("all_zero"; the released codes say 100000 or 0) and a singular
    one ("singular"), such as equal images make: the released values are then rounding of either
    sign. The rule is ``lambda_min <= batch_size * eps * lambda_max``, eps = 2**-52; in float32,
    whose gradients are rounded, also ``lambda_min <= (16 eps)**2 * lambda_max`` with eps = 2**-23.

    As a search signal TE-NAS adds the rank of the negative value to that of `LinearRegions` over a
    pool of architectures: see `zeroshot.te_nas_rank`. ZenNAS and Sweetimator take ``-kappa`` alone
    or ``regions - kappa``.
    """

    name: ClassVar[str] = "ntk_condition"
    formula: ClassVar[str] = (
        r"\frac{\lambda_{\max}(\Theta)}{\lambda_{\min}(\Theta)}, \quad \Theta_{ij} = "
        r"\nabla_w f(x_i) \cdot \nabla_w f(x_j)"
    )
    reference: ClassVar[str] = "Chen et al., ICLR 2021"
    direction: ClassVar[str] = "smaller is better"
    range: ClassVar[str] = ">= 1"
    needs: ClassVar[str] = "gradients of the logits by weights, image by image, one batch"
    uses_labels: ClassVar[bool] = False

    label: str = "ntk_condition"

    def grouping(self, n_rows: int) -> Grouping:
        return super().grouping(n_rows)._replace(loss="sum_logits")
