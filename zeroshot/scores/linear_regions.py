"""Linear regions: how many different ReLU patterns the images have."""

from __future__ import annotations

__all__ = ["LinearRegions"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.scores.base import Grouping, Input, OneBatch, check_choice


@dataclass(frozen=True)
class LinearRegions(OneBatch):
    """Number of linear regions that a batch falls in (TE-NAS, Chen et al., ICLR 2021).

    Distinct patterns of on and off units over all ReLUs on maps; ReLU6 counts as one.

    Parameters
    ----------
    input : {"data", "normal"}
        The first rows of x, or standard normal images drawn from the seed (AZ-NAS).
    batch_size : int
        TE-NAS has 1000 in each of three batches.
    label : str

    Notes
    -----
    Larger is better; 1 to `batch_size`, and 1 without a ReLU, but undefined ("no_relu") where a
    network has other activations instead: its regions are not linear. TE-NAS gives 3000 random 3x3
    crops of one channel of training images to a network of width 1 without a stem, and averages; a
    network of full size on full images tells nearly all images apart. The released code computes
    the number as ``sum_i 1 / #(images with the pattern of i)`` in half precision. Batch norm takes
    the statistics of the batch.

    TE-NAS adds the rank of this to that of the negative `NtkCondition` over a pool of
    architectures; see `zeroshot.te_nas_rank`.
    """

    name: ClassVar[str] = "linear_regions"
    formula: ClassVar[str] = (
        r"\#\left\{ \left( \mathrm{on}_u(x_i) \right)_u : i = 1, \ldots, n "
        r"\right\}"
    )
    reference: ClassVar[str] = "Chen et al., ICLR 2021"
    range: ClassVar[str] = "1 to batch_size"
    needs: ClassVar[str] = "signs of the ReLUs for one batch, forward only"
    uses_labels: ClassVar[bool] = False
    sees_dead: ClassVar[bool] = True

    _: KW_ONLY
    input: Literal["data", "normal"] = "data"
    label: str = "linear_regions"

    def __post_init__(self) -> None:
        check_choice("input", self.input, ("data", "normal"))
        super().__post_init__()

    def grouping(self, n_rows: int) -> Grouping:
        if self.input == "data":
            return super().grouping(n_rows)
        return Grouping(int(self.batch_size), 1, input=Input(self.input))

    def parameters(self) -> dict[str, Any]:
        return {"input": self.input}
