"""The scores and their parameters: one frozen dataclass each, in a file of its own.

A score is asked for by name, with its defaults, or by its dataclass::

    zeroshot.score(arch, x, y, scores=["gradsign", XiGsnr(accumulate=True, label="accumulated")])

All start at the first row of the data; how many rows each takes is among its parameters.

To add one: csrc/scores/<name>.c and its line in score_table.h, a file here and its line in `_ALL`.
"""

from __future__ import annotations

__all__ = [
    "LOSSES",
    "SCORES",
    "VARIANTS",
    "Activations",
    "AzExpressivity",
    "AzProgressivity",
    "AzTrainability",
    "EpeNas",
    "Fisher",
    "Flops",
    "GradNorm",
    "GradSign",
    "Grasp",
    "Grouping",
    "Input",
    "JacobCov",
    "Knas",
    "L2Norm",
    "LinearRegions",
    "LiveWeights",
    "Loss",
    "Meco",
    "Naswot",
    "NtkCondition",
    "Params",
    "Plain",
    "Score",
    "ScoreInfo",
    "ScoreLike",
    "Snip",
    "Swap",
    "Sweet",
    "SynFlow",
    "SyncFlow",
    "Variant",
    "XiGsnr",
    "Zen",
    "Zico",
    "list_scores",
    "make_scores",
]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from zeroshot.scores.activations import Activations
from zeroshot.scores.az_nas import AzExpressivity, AzProgressivity, AzTrainability
from zeroshot.scores.base import LOSSES, Grouping, Input, Loss, Score
from zeroshot.scores.epe_nas import EpeNas
from zeroshot.scores.fisher import Fisher
from zeroshot.scores.flops import Flops
from zeroshot.scores.grad_norm import GradNorm
from zeroshot.scores.gradsign import GradSign
from zeroshot.scores.grasp import Grasp
from zeroshot.scores.jacob_cov import JacobCov
from zeroshot.scores.knas import Knas
from zeroshot.scores.l2_norm import L2Norm
from zeroshot.scores.linear_regions import LinearRegions
from zeroshot.scores.live_weights import LiveWeights
from zeroshot.scores.meco import Meco
from zeroshot.scores.naswot import Naswot
from zeroshot.scores.ntk_condition import NtkCondition
from zeroshot.scores.params import Params
from zeroshot.scores.plain import Plain
from zeroshot.scores.snip import Snip
from zeroshot.scores.swap import Swap
from zeroshot.scores.sweet import Sweet
from zeroshot.scores.syncflow import SyncFlow
from zeroshot.scores.synflow import SynFlow
from zeroshot.scores.xi_gsnr import VARIANTS, Variant, XiGsnr
from zeroshot.scores.zen import Zen
from zeroshot.scores.zico import Zico

_ALL: tuple[type[Score], ...] = (
    XiGsnr,
    GradSign,
    Sweet,
    Snip,
    Naswot,
    AzExpressivity,
    AzProgressivity,
    AzTrainability,
    Plain,
    GradNorm,
    L2Norm,
    Zico,
    Knas,
    Fisher,
    SynFlow,
    SyncFlow,
    Flops,
    Params,
    LiveWeights,
    JacobCov,
    EpeNas,
    LinearRegions,
    Swap,
    Zen,
    Meco,
    NtkCondition,
    Grasp,
    Activations,
)

SCORES: dict[str, type[Score]] = {score.name: score for score in _ALL}

ScoreLike: TypeAlias = str | Score
"""A score by name, with its defaults, or as its dataclass."""


@dataclass(frozen=True)
class ScoreInfo:
    """What `list_scores` tells about a score."""

    name: str
    dataclass: type[Score]
    reference: str
    direction: str
    range: str
    needs: str
    defaults: dict[str, Any]


def list_scores() -> tuple[ScoreInfo, ...]:
    """All scores, with what they need and their defaults.

    Examples
    --------
    >>> [info.name for info in list_scores()][:3]
    ['xi_gsnr', 'gradsign', 'sweet']
    """
    return tuple(
        ScoreInfo(
            name=name,
            dataclass=cls,
            reference=cls.reference,
            direction=cls.direction,
            range=cls.range,
            needs=cls.needs,
            defaults={f.name: f.default for f in fields(cls) if f.name != "_"},  # type: ignore[arg-type]
        )
        for name, cls in SCORES.items()
    )


def make_scores(scores: ScoreLike | Sequence[ScoreLike]) -> tuple[Score, ...]:
    """Dataclasses of one or several scores; ValueError if two have the same label."""
    several = isinstance(scores, Iterable) and not isinstance(scores, str)
    items: list[Any] = list(scores) if several else [scores]  # type: ignore[arg-type]
    if not items:
        raise ValueError("scores: expected at least one score, got none")
    made: dict[str, Score] = {}
    for i, item in enumerate(items):
        if isinstance(item, str):
            if item not in SCORES:
                known = ", ".join(SCORES)
                raise ValueError(f"scores[{i}]: expected one of {known}; got {item!r}")
            item = SCORES[item]()
        elif not isinstance(item, Score):
            got = f"the class {item.__name__}" if isinstance(item, type) else type(item).__name__
            raise TypeError(
                f"scores[{i}]: expected a name or a score such as XiGsnr(...), got {got}"
            )
        if item.label in made:
            raise ValueError(
                f"scores[{i}]: the label {item.label!r} is used twice; pass label= to tell "
                "them apart"
            )
        made[item.label] = item
    return tuple(made.values())
