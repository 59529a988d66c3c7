"""AZ-NAS: three components from the features of a network; the fourth is its FLOPs."""

from __future__ import annotations

__all__ = ["AzExpressivity", "AzProgressivity", "AzTrainability"]

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zeroshot.scores.base import Grouping, Input, OneBatch, check_choice, check_init


@dataclass(frozen=True)
class _AzNas(OneBatch):
    reference: ClassVar[str] = "Lee and Ham, CVPR 2024"
    uses_labels: ClassVar[bool] = False

    _: KW_ONLY
    input: Literal["normal", "data"] = "normal"
    init: str | None = "kaiming_normal"

    def __post_init__(self) -> None:
        check_choice("input", self.input, ("normal", "data"))
        check_init("init", self.init)
        super().__post_init__()

    def grouping(self, n_rows: int) -> Grouping:
        if self.input == "data":
            return super().grouping(n_rows)
        return Grouping(int(self.batch_size), 1, input=Input("normal"))

    def parameters(self) -> dict[str, Any]:
        return {"input": self.input, "init": self.init}

    @property
    def own_init(self) -> str | None:
        return self.init


@dataclass(frozen=True)
class AzExpressivity(_AzNas):
    """How isotropic the features are (AZ-NAS, Lee and Ham, CVPR 2024).

    The sum over the features F_0 (the stem's output) to F_M (the cells' and residual blocks') of
    ``E = -sum p log(p + 1e-8)``, where p are the eigenvalues of the covariance of a feature's
    channels over all places of all images, divided by their sum.

    Parameters
    ----------
    batch_size : int
    input : {"normal", "data"}
        Standard normal images, drawn from the seed, as in the released code, or the first rows of
        x.
    init : str or None
        Initialiser of the weights; None for the call's.
    label : str

    Notes
    -----
    Larger is better; 0 to the sum of the logarithms of the numbers of channels, without unit.
    Undefined where a feature is constant (the released code: -inf). A `zeroshot.Graph` has its
    features marked by `zeroshot.Graph.feature`. AZ-NAS combines its components over a pool of
    architectures: `zeroshot.az_nas_rank`.
    """

    name: ClassVar[str] = "az_expressivity"
    formula: ClassVar[str] = (
        r"\sum_{m=0}^{M} E_m, \quad E_m = -\sum_c p_{mc} \log(p_{mc} + "
        r"10^{-8})"
    )
    range: ClassVar[str] = "0 to the sum of log(channels)"
    needs: ClassVar[str] = "features of one batch, forward only"

    _: KW_ONLY
    label: str = "az_expressivity"


@dataclass(frozen=True)
class AzProgressivity(_AzNas):
    """Smallest step of expressivity from one feature to the next (AZ-NAS, CVPR 2024).

    ``min over m of E_{m+1} - E_m`` with E as in `AzExpressivity`.

    Parameters
    ----------
    batch_size, input, init, label
        As for `AzExpressivity`.

    Notes
    -----
    Larger is better; no unit. Undefined where a feature is constant.
    """

    name: ClassVar[str] = "az_progressivity"
    formula: ClassVar[str] = r"\min_m \, (E_{m+1} - E_m)"
    range: ClassVar[str] = "any real number"
    needs: ClassVar[str] = "features of one batch, forward only"

    _: KW_ONLY
    label: str = "az_progressivity"


@dataclass(frozen=True)
class AzTrainability(_AzNas):
    """How evenly gradients pass from one feature to the one before (AZ-NAS, CVPR 2024).

    A gradient of random signs G_out lies on each feature F_m, m = 1 to M; G_in is what comes of it
    at F_{m-1}. With s the largest singular value of ``G_in^T G_out / (B H W)``, places as rows and
    blocks of pixels made channels where F_{m-1} is larger::

        mean over m of 2 - s - 1 / (s + 1e-6)

    Parameters
    ----------
    batch_size, input, init, label
        As for `AzExpressivity`.
    signs : sequence of array_like, each of shape (batch_size, C, H, W), optional
        The signs on F_1 to F_M, in place of those drawn from the seed.

    Notes
    -----
    Larger is better, 0 at best; no unit. A cell that passes no gradient has s = 0 and the term
    2 - 1e6: status ``no_signal``. A cell whose G_in is G_out exactly makes the value -inf, status
    ``nonfinite``, as the released code has it.
    """

    name: ClassVar[str] = "az_trainability"
    formula: ClassVar[str] = (
        r"\frac{1}{M} \sum_{m=1}^{M} \left( 2 - s_m - \frac{1}{s_m + 10^{-6}} "
        r"\right)"
    )
    range: ClassVar[str] = "<= 0, no unit"
    needs: ClassVar[str] = "gradients from feature to feature of one batch"

    _: KW_ONLY
    signs: Sequence[ArrayLike] | None = field(default=None, repr=False, compare=False)
    label: str = "az_trainability"

    def core_signs(self) -> NDArray[np.int8] | None:
        if self.signs is None:
            return None
        return np.concatenate([np.sign(np.asarray(s)).ravel() for s in self.signs]).astype(np.int8)

    def parameters(self) -> dict[str, Any]:
        given = self.core_signs()
        if given is None:
            return super().parameters()
        from zeroshot.inputs import hash_array

        return {**super().parameters(), "signs": hash_array(given)}
