"""Live weights: how many weights there are that can matter."""

from __future__ import annotations

__all__ = ["LiveWeights"]

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from zeroshot.scores.base import NoPass


@dataclass(frozen=True)
class LiveWeights(NoPass):
    """Number of weights on a path from the image to the logits, as a score; no data, no pass.

    Of convolutions and linear layers; a path crosses no ``none``.

    Parameters
    ----------
    label : str

    Notes
    -----
    Larger is better; an integer, 0 without such a path, stem and classifier included. On
    NAS-Bench-201 a much stronger baseline than `Params`. With ``canonical="form"`` that of the
    member that is scored, which may have fewer than others of its form.
    """

    name: ClassVar[str] = "live_weights"
    formula: ClassVar[str] = r"\sum_{l \,\mathrm{live}} \dim w_l"
    reference: ClassVar[str] = "a baseline"
    range: ClassVar[str] = ">= 0, weights"
    needs: ClassVar[str] = "sizes"

    _: KW_ONLY
    label: str = "live_weights"
