"""MeCo: how little the channels of each layer have in common."""

from __future__ import annotations

__all__ = ["Meco"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.inputs import check_int
from zeroshot.scores.base import Grouping, Input, OneBatch, check_choice


@dataclass(frozen=True)
class Meco(OneBatch):
    """Smallest eigenvalues of channel correlations (MeCo, Jiang et al., NeurIPS 2023).

    Of the first image of the batch: the Pearson correlation of the C channels of a layer's output
    over its pixels, entries that are not defined set to 0; its smallest eigenvalue, summed over the
    outputs of all convolutions, batch norms, activations and pools with a window.

    Parameters
    ----------
    input : {"data", "normal"}
        The first rows of x, or standard normal images drawn from the seed (the released correlation
        code: one image of 64x64).
    channels : int, optional
        Take so many random channels of each output that has more, drawn from the seed, and multiply
        by C over that number; 8 is MeCo_opt. Default: all.
    batch_size : int
        Images of the forward pass, over which batch norm takes its statistics; 1 in the released
        correlation code.
    label : str

    Notes
    -----
    Larger is better; at least 0 but for rounding. Where a layer has as many channels as pixels, or
    a channel without variance, the matrix is singular and adds 0; the released code adds
    the rounding of its eigenvalues. That code sums over every module that has a name, containers
    too, so outputs repeat as modules are nested; here each output counts once.
    """

    name: ClassVar[str] = "meco"
    formula: ClassVar[str] = r"\sum_l \lambda_{\min}(\operatorname{corr}(a_l))"
    reference: ClassVar[str] = "Jiang et al., NeurIPS 2023"
    range: ClassVar[str] = ">= 0, no unit"
    needs: ClassVar[str] = "outputs of all layers for one image, forward only"
    uses_labels: ClassVar[bool] = False
    sees_dead: ClassVar[bool] = True

    _: KW_ONLY
    input: Literal["data", "normal"] = "data"
    channels: int | None = None
    label: str = "meco"

    def __post_init__(self) -> None:
        check_choice("input", self.input, ("data", "normal"))
        if self.channels is not None:
            check_int("channels", self.channels, 1)
        super().__post_init__()

    def grouping(self, n_rows: int) -> Grouping:
        if self.input == "data":
            return super().grouping(n_rows)
        return Grouping(int(self.batch_size), 1, input=Input(self.input))

    def parameters(self) -> dict[str, Any]:
        return {
            "input": self.input,
            "channels": None if self.channels is None else int(self.channels),
        }

    def core_params(self) -> tuple[float, ...]:
        return (float(self.channels or 0),)
