"""L2 norm: the size of the weights."""

from __future__ import annotations

__all__ = ["L2Norm"]

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from zeroshot.scores.base import NoPass


@dataclass(frozen=True)
class L2Norm(NoPass):
    """Sum over layers of the norm of their weights (Abdelfattah et al., ICLR 2021, in the code).

    ``sum_l ||w_l||_2`` over weight tensors of convolutions and linear layers; no data, no pass.

    Parameters
    ----------
    label : str

    Notes
    -----
    Larger is better; at least 0, in the unit of a weight. A baseline: with random weights it counts
    layers and their widths. Dead weights count, as in the released code; with
    ``builder="zerocost"``, as there, all cells have the same weights and so the same value.
    zero-cost-nas does not load its l2_norm, which would fail; NASLib mended it.
    """

    name: ClassVar[str] = "l2_norm"
    formula: ClassVar[str] = r"\sum_l \| w_l \|_2"
    reference: ClassVar[str] = "Abdelfattah et al., ICLR 2021, code"
    range: ClassVar[str] = ">= 0, in the unit of a weight"
    needs: ClassVar[str] = "weights"
    sees_dead: ClassVar[bool] = True

    _: KW_ONLY
    label: str = "l2_norm"
