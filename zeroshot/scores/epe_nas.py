"""EPE-NAS: how alike the input Jacobians of each class's images are."""

from __future__ import annotations

__all__ = ["EpeNas"]

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from zeroshot.scores.base import Grouping, OneBatch, check_bool


@dataclass(frozen=True)
class EpeNas(OneBatch):
    """Correlation of input Jacobians within classes (EPE-NAS, Lopes et al., 2021).

    For each class c, ``s_c = sum log(|corr| + k)``, k = 1e-5, over all entries of the correlation
    matrix of its images' rows of the gradient of the sum of all logits by the images (see
    `JacobCov`). Up to 100 classes: ``sum_c |s_c|``. More: each s_c is divided by the class's number
    of images, classes of one image are left out, and the score is ``sum_cd |s_c - s_d| / number of
    classes``, each pair twice.

    Parameters
    ----------
    many : bool, optional
        Take the form for more than 100 classes. Default: where the network has more.
    batch_size : int
        The released code has 256.
    label : str

    Notes
    -----
    Larger is better; at least 0, no unit. Labels only group the images. As in the released code, a
    class of one image adds ``log(1 + k)`` in the first form. Undefined where an image's row is
    constant, and for `many` where no class has two images.
    """

    name: ClassVar[str] = "epe_nas"
    formula: ClassVar[str] = (
        r"\sum_c |s_c|, \quad s_c = \sum_{i, j \in c} \log(|\operatorname{corr}_{ij}| + "
        r"10^{-5})"
    )
    reference: ClassVar[str] = "Lopes et al., 2021"
    range: ClassVar[str] = ">= 0, no unit"
    needs: ClassVar[str] = "gradient of the logits by the images, one batch with labels"

    _: KW_ONLY
    many: bool | None = None
    label: str = "epe_nas"

    def __post_init__(self) -> None:
        if self.many is not None:
            check_bool("many", self.many)
        super().__post_init__()

    def grouping(self, n_rows: int) -> Grouping:
        return super().grouping(n_rows)._replace(loss="sum_logits")

    def parameters(self) -> dict[str, Any]:
        return {"many": self.many}

    def core_params(self) -> tuple[float, ...]:
        return (-1.0 if self.many is None else float(self.many),)
