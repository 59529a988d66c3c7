"""Params: how many parameters there are."""

from __future__ import annotations

__all__ = ["Params"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.scores.base import NoPass, check_choice

_OVER = ("weights", "all")  # in the core's numbering


@dataclass(frozen=True)
class Params(NoPass):
    """Number of parameters, as a score; no data, no pass.

    Parameters
    ----------
    over : {"weights", "all"}
        ``weights``: those of convolutions and linear layers, which all scores count. ``all``:
        biases and scales and shifts of batch norms, too; running statistics are no parameters.
    label : str

    Notes
    -----
    Larger is better; an integer. On NAS-Bench-201 both rank the same, with 28 distinct values. Dead
    weights count; see `LiveWeights`.
    """

    name: ClassVar[str] = "params"
    formula: ClassVar[str] = r"\sum_l \dim w_l"
    reference: ClassVar[str] = "a baseline; Sun et al., ICCV 2023, Tables 1-3"
    range: ClassVar[str] = ">= 0, parameters"
    needs: ClassVar[str] = "sizes"
    sees_dead: ClassVar[bool] = True

    _: KW_ONLY
    over: Literal["weights", "all"] = "weights"
    label: str = "params"

    def __post_init__(self) -> None:
        check_choice("over", self.over, _OVER)
        super().__post_init__()

    def parameters(self) -> dict[str, Any]:
        return {"over": self.over}

    def core_params(self) -> tuple[float, ...]:
        return (float(_OVER.index(self.over)),)
