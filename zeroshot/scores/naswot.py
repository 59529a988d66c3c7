"""NASWOT: how differently a batch's images switch the ReLUs."""

from __future__ import annotations

__all__ = ["Naswot"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.scores.base import OneBatch, check_choice

_WHICH = ("all", "reached", "wrappers")  # in the core's numbering


@dataclass(frozen=True)
class Naswot(OneBatch):
    """Log-determinant of the agreement of ReLU patterns (Mellor et al., ICML 2021).

    ``log |det K|`` with ``K_ij`` the number of ReLU units on which images i and j of one batch
    agree, natural logarithm.

    Parameters
    ----------
    which : {"all", "reached", "wrappers"}
        ``all``: every ReLU on maps (ZenNAS, AZ-NAS). ``reached``: those with a path to the logits
        in the graph, which the released code's first backward marks, also where an operation on it
        multiplies by zero. ``wrappers``: these, and once more every one that feeds a convolution:
        the released code takes all modules with "ReLU" in the name of their type, such as
        ReLUConvBN of NAS-Bench-201. So does it take ReLU6, and no smooth activation.
    batch_size : int
        The released code has 128.
    label : str

    Notes
    -----
    Larger is better; no unit, grows with the number of units and images. Undefined where images
    have equal patterns (the released code: -inf or rounding noise) and without a ReLU, as in
    networks of smooth activations (the reason is "no_relu"). Batch norm takes the statistics of
    the batch.
    """

    name: ClassVar[str] = "naswot"
    formula: ClassVar[str] = (
        r"\log |\det K|, \quad K_{ij} = \#\{ u : \mathrm{on}_u(x_i) = \mathrm{on}_u(x_j) "
        r"\}"
    )
    reference: ClassVar[str] = "Mellor et al., ICML 2021"
    range: ClassVar[str] = "any real number"
    needs: ClassVar[str] = "signs of the ReLUs for one batch, forward only"
    uses_labels: ClassVar[bool] = False
    sees_dead: ClassVar[bool] = True

    _: KW_ONLY
    which: Literal["all", "reached", "wrappers"] = "all"
    label: str = "naswot"

    def __post_init__(self) -> None:
        check_choice("which", self.which, _WHICH)
        super().__post_init__()

    def parameters(self) -> dict[str, Any]:
        return {"which": self.which}

    def core_params(self) -> tuple[float, ...]:
        return (float(_WHICH.index(self.which)),)
