"""Fisher: what the loss would change without each channel, to second order."""

from __future__ import annotations

__all__ = ["Fisher"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from zeroshot.scores.base import OneBatch, check_bool


@dataclass(frozen=True)
class Fisher(OneBatch):
    """Fisher information of channels (Theis et al., 2018; Turner et al., ICLR 2020).

    For channel c of the output a of a convolution or linear layer, bias included and before any
    batch norm, with the gradient d of the mean cross-entropy of one batch of n images::

        F_c = 1/2 mean_n (sum_hw a d)**2

    squared image by image; d holds the 1/n of the mean loss. The score is their sum.

    Parameters
    ----------
    per_channel : bool
        Each F_c counts once, as in the papers. Otherwise it counts once for every weight of its
        channel, inputs / groups x height x width, as in zero-cost-nas.
    batch_size : int
    label : str

    Raises
    ------
    ValueError
        When it is scored, if there are fewer images than `batch_size`.

    Notes
    -----
    Larger is better; at least 0, in the unit of a squared loss. A network without a path from
    images to logits does not score 0 where its classifier has a bias, which is the output there.
    With ``builder="zerocost"`` a convolution that is fed zeros puts out its bias, which counts:
    refused with ``canonical``.
    """

    name: ClassVar[str] = "fisher"
    formula: ClassVar[str] = (
        r"\sum_c k_c F_c, \quad F_c = \frac{1}{2n} \sum_i \left( \sum_{hw} a_{ichw} "
        r"d_{ichw} \right)^2"
    )
    reference: ClassVar[str] = "Turner et al., ICLR 2020"
    range: ClassVar[str] = ">= 0, in the unit of a squared loss"
    needs: ClassVar[str] = "outputs and their gradients of one batch"

    _: KW_ONLY
    per_channel: bool = False
    label: str = "fisher"

    def __post_init__(self) -> None:
        check_bool("per_channel", self.per_channel)
        super().__post_init__()

    def parameters(self) -> dict[str, Any]:
        return {"per_channel": self.per_channel}

    def core_params(self) -> tuple[float, ...]:
        return (float(self.per_channel),)

    def depends_on_dead(self, builder: str) -> bool:
        return builder == "zerocost"
