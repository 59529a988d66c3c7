"""SWAP: how many different patterns the ReLU units have over the images."""

from __future__ import annotations

__all__ = ["Swap"]

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from zeroshot.inputs import check_real
from zeroshot.scores.base import OneBatch, check_init


@dataclass(frozen=True)
class Swap(OneBatch):
    """Sample-wise activation patterns (SWAP, Peng et al., ICLR 2024).

    The pattern of a unit is on which of the batch's images it is on; the score is the number of
    distinct patterns over the units of all ReLUs on maps, ReLU6 included. With `mu` and `sigma` it
    is multiplied by ``exp(-(p - mu)**2 / sigma)``, p the number of parameters / 1000.

    Parameters
    ----------
    mu, sigma : float, optional
        Both or none; sigma > 0. p counts the biases, scales and shifts, too.
    init : str, optional
        Initialiser in place of the call's; None takes the call's weights. The released code draws
        from N(0, 1), which is "normal".
    batch_size : int
    label : str

    Notes
    -----
    Larger is better; at most ``2**batch_size``. The released score is the average of 32 draws of
    the weights: ``seeds=range(32)``. Without a ReLU, as in networks of smooth activations, 0 with
    the status "no_signal" and the reason "no_relu". Batch norm takes the statistics of the batch.
    The released code leaves an auxiliary head out of p.
    """

    name: ClassVar[str] = "swap"
    formula: ClassVar[str] = r"\#\left\{ \left( \mathrm{on}_u(x_i) \right)_{i=1}^{n} : u \right\}"
    reference: ClassVar[str] = "Peng et al., ICLR 2024"
    range: ClassVar[str] = "0 to 2**batch_size"
    needs: ClassVar[str] = "signs of the ReLUs for one batch, forward only, N(0, 1) weights"
    uses_labels: ClassVar[bool] = False
    sees_dead: ClassVar[bool] = True

    _: KW_ONLY
    mu: float | None = None
    sigma: float | None = None
    init: str | None = "normal"
    batch_size: int = 16
    label: str = "swap"

    def __post_init__(self) -> None:
        if (self.mu is None) != (self.sigma is None):
            raise ValueError(
                f"mu, sigma: expected both or none, got mu={self.mu!r}, sigma={self.sigma!r}"
            )
        if self.mu is not None and self.sigma is not None:
            if not math.isfinite(check_real("mu", self.mu, "a finite number")):
                raise ValueError(f"mu: expected a finite number, got {self.mu}")
            if not 0 < check_real("sigma", self.sigma, "a positive number") < math.inf:
                raise ValueError(f"sigma: expected a positive number, got {self.sigma}")
        check_init("init", self.init)
        super().__post_init__()

    def parameters(self) -> dict[str, Any]:
        return {
            "mu": None if self.mu is None else float(self.mu),
            "sigma": None if self.sigma is None else float(self.sigma),
            "init": self.init,
        }

    def core_params(self) -> tuple[float, ...]:
        return float(self.mu or 0), float(self.sigma or 0)

    @property
    def own_init(self) -> str | None:
        return self.init
