"""GradNorm: the length of the gradient."""

from __future__ import annotations

__all__ = ["GradNorm"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.scores.base import Grouping, Input, OneBatch, check_choice, check_init

_OVER = ("layers", "all")  # in the core's numbering


@dataclass(frozen=True)
class GradNorm(OneBatch):
    """Norm of the gradient of one batch (Abdelfattah et al., ICLR 2021).

    With the gradient g of the mean cross-entropy::

        layers  sum_l ||g_l||_2   over weight tensors of convolutions and linear layers
        all     ||g||_2           of all parameters together, biases, gammas and betas, too

    Parameters
    ----------
    over : {"layers", "all"}
        ``layers`` is what zero-cost-nas computes, ``all`` what ZenNAS and ZiCo do.
    input : {"data", "normal"}
        ``normal``: standard normal images, drawn from the seed, in place of x. Labels are those of
        y all the same.
    init : str, optional
        Initialiser of the weights in place of the call's, one of those of `Options`.
    batch_size : int
    label : str

    Raises
    ------
    ValueError
        When it is scored, if there are fewer images than `batch_size`.

    Notes
    -----
    Larger is better; at least 0, in the unit of a gradient. ZenNAS's form is
    ``GradNorm(over="all", input="normal", init="normal")``, with labels at random there; AZ-NAS has
    ``init="kaiming_normal"``. With ``all`` a network without a path from images to logits still has
    the gradient of its classifier's bias, and batch norms behind dead operations have that of their
    betas: refused with ``canonical``.
    """

    name: ClassVar[str] = "grad_norm"
    formula: ClassVar[str] = r"\sum_l \| g_l \|_2"
    reference: ClassVar[str] = "Abdelfattah et al., ICLR 2021"
    range: ClassVar[str] = ">= 0, in the unit of a gradient"
    needs: ClassVar[str] = "gradients of one batch"

    _: KW_ONLY
    over: Literal["layers", "all"] = "layers"
    input: Literal["data", "normal"] = "data"
    init: str | None = None
    label: str = "grad_norm"

    def __post_init__(self) -> None:
        check_choice("over", self.over, _OVER)
        check_choice("input", self.input, ("data", "normal"))
        check_init("init", self.init)
        super().__post_init__()

    def grouping(self, n_rows: int) -> Grouping:
        return super().grouping(n_rows)._replace(input=Input(self.input))

    def parameters(self) -> dict[str, Any]:
        return {"over": self.over, "input": self.input, "init": self.init}

    def core_params(self) -> tuple[float, ...]:
        return (float(_OVER.index(self.over)),)

    @property
    def own_init(self) -> str | None:
        return self.init

    @property
    def has_layers(self) -> bool:
        return self.over == "layers"

    def depends_on_dead(self, builder: str) -> bool:
        return self.over == "all"
