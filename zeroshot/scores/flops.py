"""FLOPs: operations of one image forward."""

from __future__ import annotations

__all__ = ["Flops"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.scores.base import NoPass, check_choice

_CONVENTIONS = ("macs", "pool1", "poolk2", "thop")  # in the core's numbering


@dataclass(frozen=True)
class Flops(NoPass):
    """Operations of one image forward, as a score; no data, no pass.

    ::

        macs    multiply-adds of convolutions and linear layers, biases left out; products of two
                maps, as in attention, count nothing
        pool1   and 1 for each output of an average pool
        poolk2  and its window's size for each output of an average pool, in place of 1
        thop    pool1, and 4 for each output of a batch norm, 2 without scale and shift

    Parameters
    ----------
    convention : {"macs", "pool1", "poolk2", "thop"}
        ``pool1`` is that of the tables of xi-GSNR and Sweetimator, as thop counted then; ``thop``
        is thop 0.1.1. The global pool counts nothing (thop 0.1.1: H W + 1 for each channel).
    label : str

    Notes
    -----
    Larger is better; an integer, exact up to 2**53. On NAS-Bench-201 ``macs`` ranks as `Params`.
    Dead operations count where a framework runs them, also where their output is multiplied by
    zero, but not where nothing on the way to the logits reads it.
    """

    name: ClassVar[str] = "flops"
    formula: ClassVar[str] = r"\sum_l P_l Q_l \cdot \dim w_l"
    reference: ClassVar[str] = "a baseline; Sun et al., ICCV 2023, Tables 1-3"
    range: ClassVar[str] = ">= 0, operations"
    needs: ClassVar[str] = "sizes"
    sees_dead: ClassVar[bool] = True

    _: KW_ONLY
    convention: Literal["macs", "pool1", "poolk2", "thop"] = "macs"
    label: str = "flops"

    def __post_init__(self) -> None:
        check_choice("convention", self.convention, _CONVENTIONS)
        super().__post_init__()

    def parameters(self) -> dict[str, Any]:
        return {"convention": self.convention}

    def core_params(self) -> tuple[float, ...]:
        return (float(_CONVENTIONS.index(self.convention)),)
