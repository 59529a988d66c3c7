"""How large the values are that a network's layers put out."""

from __future__ import annotations

__all__ = ["Activations"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from zeroshot.scores.base import check_choice
from zeroshot.scores.intervals import Intervals


@dataclass(frozen=True)
class Activations(Intervals):
    """Number of activations whose size lies in an interval (Yang et al., Sweetimator, Fig. 11).

    ``#{y : lo <= |y| < hi}`` over what nodes put out for one batch. A statistic to look at beside
    the gradients of `zeroshot.Sweet`, not a score that the paper ranks by.

    Parameters
    ----------
    lo, hi : float, 0 <= lo < hi
        A float32 value meets them rounded to float32.
    splits : sequence of float
        Borders between `lo` and `hi` at which the count is split; the result then has a histogram,
        by name of the node. See `Activations.over`.
    which : {"relu", "conv"}
        "relu": outputs of activation functions, those without a reader, too. "conv": outputs of
        convolutions, bias included, before any batch norm. The paper does not say which it takes.
    batch_size : int
        Images in the one batch.
    label : str

    Notes
    -----
    A node that only ``none`` and zeros feed puts out zeros, which count in the interval that holds
    zero. Values that are not finite make the result ``nonfinite``.

    Examples
    --------
    >>> Activations.over([0, 1e-3, 1e-2, 1]).splits
    (0.001, 0.01)
    """

    name: ClassVar[str] = "activations"
    formula: ClassVar[str] = r"\#\{ y : \mathrm{lo} \le |y| < \mathrm{hi} \}"
    reference: ClassVar[str] = "Yang et al., Neural Networks 168, 2023, Fig. 11"
    direction: ClassVar[str] = "neither is better"
    range: ClassVar[str] = "0 to outputs"
    needs: ClassVar[str] = "outputs of layers for one batch, forward only"
    uses_labels: ClassVar[bool] = False
    sees_dead: ClassVar[bool] = True

    _: KW_ONLY
    which: Literal["relu", "conv"] = "relu"
    label: str = "activations"

    def __post_init__(self) -> None:
        check_choice("which", self.which, ("relu", "conv"))
        super().__post_init__()

    @classmethod
    def over(
        cls,
        edges: ArrayLike,
        *,
        which: Literal["relu", "conv"] = "relu",
        batch_size: int = 64,
        label: str = "activations",
    ) -> Activations:
        """The count over all intervals between increasing `edges`, with a histogram."""
        lo, *splits, hi = np.asarray(edges, dtype=np.float64).tolist()
        return cls(lo, hi, splits=tuple(splits), which=which, batch_size=batch_size, label=label)

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "which": self.which}

    def core_params(self) -> tuple[float, ...]:
        return (float(self.which == "conv"),)
