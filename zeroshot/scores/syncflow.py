"""ZenNAS's form of SynFlow."""

from __future__ import annotations

__all__ = ["SyncFlow"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from zeroshot.scores.base import Ones, check_init


@dataclass(frozen=True)
class SyncFlow(Ones):
    """SynFlow by channels, with batch norms and negated (Lin et al., ICCV 2021, ``syncflow``).

    As `SynFlow`, all parameters absolute and R the sum of the logits of one image of ones, with
    batch norms as the network has them::

        -sum_l mean_c sum |w dR/dw|

    the mean over the output channels c of layer l, the inner sum over a channel's weights.

    Parameters
    ----------
    init : str or None
        Initialiser of the weights; ZenNAS draws all from N(0, 1). None: the call's, or the weights
        that it is given.
    label : str

    Notes
    -----
    Larger is better by the sign that the released code gives it; at most 0, no unit. Always
    computed in float64.
    """

    name: ClassVar[str] = "syncflow"
    formula: ClassVar[str] = (
        r"-\sum_l \frac{1}{C_l} \sum_c \sum_{w \in c} \left| w \frac{\partial R}{\partial "
        r"w} \right|"
    )
    reference: ClassVar[str] = "Lin et al., ICCV 2021, code"
    range: ClassVar[str] = "<= 0, no unit"
    needs: ClassVar[str] = "weights; gradients of one image of ones"

    _: KW_ONLY
    init: str | None = "normal"
    label: str = "syncflow"

    def __post_init__(self) -> None:
        check_init("init", self.init)
        self._check_label()

    def parameters(self) -> dict[str, Any]:
        return {"init": self.init}

    @property
    def own_init(self) -> str | None:
        return self.init

    def depends_on_dead(self, builder: str) -> bool:
        return builder == "zerocost"
