"""KNAS: how well gradients of single images agree."""

from __future__ import annotations

__all__ = ["Knas"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.scores.base import PerSample, check_choice


@dataclass(frozen=True)
class Knas(PerSample):
    """Mean of the Gram matrix of gradients of single images (after Xu et al., ICML 2021).

    ``sum_l mean_ij g_i . g_j`` over weight tensors l and all pairs of images, i = j included, which
    is ``sum_l ||mean_i g_i||**2``. Every image goes through the network alone, so batch norm sees
    its height and width only.

    Parameters
    ----------
    n_samples : int or None
        Images to take; None for all.
    over : {"sum", "mean"}
        Over the tensors; the mean counts those of dead operations, too.
    loss : {"cross_entropy", "sum_logits"}
    label : str

    Raises
    ------
    ValueError
        When it is scored, if there are fewer images than `n_samples`.

    Notes
    -----
    Larger is better; at least 0, in the unit of a squared gradient. Ours, after the paper's idea:
    the released code runs 50 batches of one image, keeps up to 100 values of the first eleven
    parameter tensors of any kind, and adds up the covariance of the first 25 with the last 25; the
    values that it keeps share memory with the gradients, so that with PyTorch < 2 all are the last
    one.
    """

    name: ClassVar[str] = "knas"
    formula: ClassVar[str] = r"\sum_l \frac{1}{n^2} \sum_{i,j} g_{il} \cdot g_{jl}"
    reference: ClassVar[str] = "after Xu et al., ICML 2021"
    range: ClassVar[str] = ">= 0, in the unit of a squared gradient"
    needs: ClassVar[str] = "gradients of single samples"

    _: KW_ONLY
    over: Literal["sum", "mean"] = "sum"
    label: str = "knas"

    def __post_init__(self) -> None:
        check_choice("over", self.over, ("sum", "mean"))
        super().__post_init__()

    def parameters(self) -> dict[str, Any]:
        return {"over": self.over, "loss": self.loss}

    def core_params(self) -> tuple[float, ...]:
        return (float(self.over == "mean"),)

    def depends_on_dead(self, builder: str) -> bool:
        return self.over == "mean"
