"""Labels and colours of operations, the same in all spaces; the hues are those of Okabe and Ito."""

from __future__ import annotations

__all__ = ["DEAD", "INK", "KINDS", "LINE", "PAPER", "Look", "look_of"]

import re
from typing import Final, NamedTuple


class Look(NamedTuple):
    """What an operation looks like.

    Attributes
    ----------
    label : str
    kind : str
        One of `KINDS`.
    """

    label: str
    kind: str


INK: Final = "#1a1a1a"
LINE: Final = "#555555"
DEAD: Final = "#b8b8b8"
PAPER: Final = "#ffffff"

KINDS: Final = {
    "conv": ("#b5d5ea", "#0072b2"),
    "sep": ("#def1fb", "#3a8fc4"),
    "dil": ("#eed3e1", "#b0558a"),
    "pool": ("#fae0b0", "#c47f00"),
    "skip": ("#bfe5d8", "#00805c"),
    "none": (PAPER, DEAD),
    "attention": ("#f4c9ad", "#c04f00"),
    "mlp": ("#faf6bd", "#a89b00"),
    "norm": ("#ebebeb", "#8c8c8c"),
    "act": ("#ebebeb", "#8c8c8c"),
    "mb3": ("#e6f3fb", "#3a8fc4"),
    "mb5": ("#b9dcf2", "#3a8fc4"),
    "mb7": ("#82bce3", "#3a8fc4"),
    "state": ("#f5f5f5", "#444444"),
}
"""Fill and border of each kind of operation."""

_OPS: Final = {
    "none": Look("none", "none"),
    "skip_connect": Look("skip", "skip"),
    "skip": Look("skip", "skip"),
    **{name: Look(name, "norm") for name in ("BN", "GN", "LN")},
    **{name: Look(name, "act") for name in ("relu6", "gelu", "silu")},
    "input": Look("input", "state"),
    "output": Look("output", "state"),
    "avgpool": Look("avg 3×3", "pool"),
    "self_atten": Look("attention", "attention"),
    "spatial_mlp": Look("spatial MLP", "mlp"),
}

_SIZED: Final = (  # ending in a kernel, the first that fits
    (r"(?:nor_)?conv_?(\d+x\d+)(?:-bn-relu)?", "conv {}", "conv"),
    (r"conv_(\d+x\d+_\d+x\d+)", "{}", "conv"),
    (r"sep_conv_(\d+x\d+)", "sep {}", "sep"),
    (r"dil_conv_(\d+x\d+)", "dil {}", "dil"),
    (r"dil_sep_conv_(\d+x\d+)", "dil sep {}", "dil"),
    (r"dwise_(\d+x\d+)", "dw {}", "sep"),
    (r"max_?pool_?(\d+x\d+)", "max {}", "pool"),
    (r"avg_?pool_?(\d+x\d+)", "avg {}", "pool"),
)


def look_of(op: str) -> Look:
    """Label and kind of an operation by its name in a space; its own name where it is new.

    Examples
    --------
    >>> look_of("nor_conv_3x3"), look_of("conv_7x1_1x7").label
    (Look(label='conv 3×3', kind='conv'), '7×1·1×7')
    """
    if op in _OPS:
        return _OPS[op]
    for pattern, label, kind in _SIZED:
        if found := re.fullmatch(pattern, op):
            return Look(label.format(found[1].replace("x", "×").replace("_", "·")), kind)
    return Look(op.replace("_", " "), "norm")
