"""SynFlow: how much flows through each weight, without data."""

from __future__ import annotations

__all__ = ["SynFlow"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.scores.base import Ones, check_choice, check_init

_BN = ("identity", "batch")  # both in the core's numbering
_VARIANTS = ("sum", "log")


@dataclass(frozen=True)
class SynFlow(Ones):
    """Synaptic flow (Tanaka et al., NeurIPS 2020).

    Every parameter is made absolute, one image of ones goes through the network, and R is the sum
    of the logits::

        sum  sum_j |w_j dR/dw_j|
        log  sum_j |w_j log(dR/dw_j + 1)|   LogSynflow (Cavagnero et al., WACV 2023)

    over weights of convolutions and linear layers; no data, no labels.

    Parameters
    ----------
    bn : {"identity", "batch"}
        ``identity``: batch norms are taken out (zero-cost-nas's synflow). ``batch``: they stay as
        the network has them (its synflow_bn), which is the statistics of this one image.
    variant : {"sum", "log"}
        ``log`` is without batch norms only, as in the released code. Undefined where dR/dw is -1 or
        less, which takes a sum with a negative coefficient.
    init : str, optional
        Initialiser of the weights in place of the call's, one of those of `Options`. AZ-NAS takes
        ``kaiming_normal``.
    label : str

    Raises
    ------
    ValueError
        If ``variant="log"`` meets ``bn="batch"``.

    Notes
    -----
    Larger is better; at least 0, no unit. Always computed in float64: without batch norm the value
    grows like a product over layers, and float32 overflows where this does not; where float64 does,
    the status is "nonfinite". Without batch norms ReLU is the identity, as nothing is below 0;
    ReLU6 and sigmoids are not, and stay what they are, as in the released code: beyond 6, or far
    out, they pass nothing on. NASLib takes the logarithm of the total, which ranks the same; the
    log variant ranks differently, and is computed by ``log1p`` where the released code rounds
    ``dR/dw + 1``.

    With ``builder="zerocost"`` and ``bn="identity"`` the batch norms of the two residual blocks
    stay, as in the released code, which has no switch for them, and biases of the cells are part of
    the flow, also behind operations that are fed zeros: refused with ``canonical``. Sweetimator and
    AZ-NAS have networks without either, as ``builder="autodl"``.
    """

    name: ClassVar[str] = "synflow"
    formula: ClassVar[str] = r"\sum_j \left| w_j \frac{\partial R}{\partial w_j} \right|"
    reference: ClassVar[str] = "Tanaka et al., NeurIPS 2020"
    range: ClassVar[str] = ">= 0, no unit"
    needs: ClassVar[str] = "weights; gradients of one image of ones"

    _: KW_ONLY
    bn: Literal["identity", "batch"] = "identity"
    variant: Literal["sum", "log"] = "sum"
    init: str | None = None
    label: str = "synflow"

    def __post_init__(self) -> None:
        check_choice("bn", self.bn, _BN)
        check_choice("variant", self.variant, _VARIANTS)
        if self.variant == "log" and self.bn != "identity":
            raise ValueError(f'bn: expected "identity" with variant="log"; got {self.bn!r}')
        check_init("init", self.init)
        self._check_label()

    def parameters(self) -> dict[str, Any]:
        return {"bn": self.bn, "variant": self.variant, "init": self.init}

    def core_params(self) -> tuple[float, ...]:
        return float(_BN.index(self.bn)), float(_VARIANTS.index(self.variant))

    @property
    def own_init(self) -> str | None:
        return self.init

    def depends_on_dead(self, builder: str) -> bool:
        return builder == "zerocost"
