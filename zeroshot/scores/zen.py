"""Zen-Score: how far the features move when the images do."""

from __future__ import annotations

__all__ = ["Zen"]

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

from zeroshot.inputs import check_real
from zeroshot.scores.base import Grouping, Input, OneBatch, check_choice, check_init, too_few

_BN = ("train", "identity")  # in the core's numbering


@dataclass(frozen=True)
class Zen(OneBatch):
    """Zen-Score (Lin et al., ICCV 2021; as released by ZenNAS).

    ``log mean_n sum_chw |F(x) - F(x + alpha e)| + sum_BN log sqrt(mean_c running_var_c)``, with F
    the input of the last global average pooling, x and e images, and running_var what the two
    forwards leave of 1 with momentum 0.1: ``0.81 + 0.09 v1 + 0.1 v2`` of unbiased batch variances.

    Parameters
    ----------
    alpha : float > 0
    input : {"normal", "data"}
        ``normal``: x and e standard normal, drawn from the seed. ``data``: x the first `batch_size`
        rows, e the next ones.
    init : str, optional
        Initialiser in place of the call's; None takes the call's weights. The released code draws
        from N(0, 1), which is "normal".
    bn : {"train", "identity"}
        ``identity`` takes batch norm out (all that the network lets go), and with it its term: the
        ``zen_score`` of the Sweetimator experiments.
    batch_size : int
        The released search has 64, the stand-alone tool 16.
    label : str

    Notes
    -----
    Larger is better; any real number. The stand-alone tool averages 32 draws, ``seeds=range(32)``;
    its running variances carry over from one to the next, which is not done here. The paper has the
    Frobenius norm of a gradient in place of the difference. Running variances are tracked where the
    released NAS-Bench-201 cells do not.

    Undefined ("log_of_zero") where the features do not move, as in a network whose output is all 0
    (the released code: -inf, in its search -9999), and where a batch norm sees a single value per
    channel ("one_value"). Without batch norm features can overflow float32: the status is then
    "nonfinite". The Sweetimator code sets NaN to 0, infinity to 1 and the logarithm's argument to
    at least 1e-10.

    The difference of two close passes cancels: float32 is off by some 1e-4, absolutely.
    """

    name: ClassVar[str] = "zen"
    formula: ClassVar[str] = (
        r"\log \frac{1}{n} \sum_i \sum_{chw} |F(x_i) - F(x_i + \alpha e_i)| + "
        r"\sum_{\mathrm{BN}} \log \sqrt{\operatorname{mean}_c \sigma_c^2}"
    )
    reference: ClassVar[str] = "Lin et al., ICCV 2021"
    range: ClassVar[str] = "any real number"
    needs: ClassVar[str] = "features of two batches, N(0, 1) images and weights, forward only"
    uses_labels: ClassVar[bool] = False
    sees_dead: ClassVar[bool] = True

    _: KW_ONLY
    alpha: float = 0.01
    input: Literal["normal", "data"] = "normal"
    init: str | None = "normal"
    bn: Literal["train", "identity"] = "train"
    label: str = "zen"

    def __post_init__(self) -> None:
        if not 0 < check_real("alpha", self.alpha, "a positive number") < math.inf:
            raise ValueError(f"alpha: expected a positive number, got {self.alpha}")
        check_choice("input", self.input, ("normal", "data"))
        check_choice("bn", self.bn, _BN)
        check_init("init", self.init)
        super().__post_init__()

    def grouping(self, n_rows: int) -> Grouping:
        if self.input == "data" and 2 * self.batch_size > n_rows:
            what = f'{self.name} with input="data" and a batch of {self.batch_size}'
            raise too_few(what, 2 * self.batch_size, n_rows, "use a smaller batch")
        return Grouping(int(self.batch_size), 2, input=Input(self.input, mix=float(self.alpha)))

    def parameters(self) -> dict[str, Any]:
        return {"alpha": float(self.alpha), "input": self.input, "init": self.init, "bn": self.bn}

    def core_params(self) -> tuple[float, ...]:
        return (float(_BN.index(self.bn)),)

    @property
    def own_init(self) -> str | None:
        return self.init
