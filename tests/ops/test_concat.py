"""Concatenation: copies into slices of channels, and views where the planner can place them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zeroshot import _testing
from zeroshot.reference import ops

from .oracle import (
    assert_bits,
    assert_same,
    check_network,
    conv,
    every_dtype,
    every_table,
    head,
    nchw,
    nhwc,
    normal,
)


@every_table
@every_dtype
@pytest.mark.parametrize("channels", [(1, 1), (3, 5, 1), (16, 16), (17, 7, 43), (64,)], ids=str)
def test_copies_into_slices_match_reference(
    channels: tuple[int, ...], dtype: Any, table: str
) -> None:
    """Forward copies into slices of y, backward out of slices of dy; nothing else is touched."""
    rng = np.random.default_rng(0)
    xs = [normal(rng, dtype, 2, 3, 4, c) for c in channels]
    whole = np.full((2, 3, 4, sum(channels) + 2), np.nan, dtype)
    for x, end in zip(xs, np.cumsum(channels), strict=True):
        _testing.scale(table, x, 1.0, whole[..., end - x.shape[3] : end])
    y = np.ascontiguousarray(whole[..., :-2])
    assert_same(y, nhwc(ops.concat([nchw(x) for x in xs])), "y")
    assert np.isnan(whole[..., -2:]).all()
    for x, dx in zip(xs, ops.concat_backward([nchw(x) for x in xs], nchw(y)), strict=True):
        back = np.zeros_like(x)
        end = np.cumsum(channels)[[a is x for a in xs].index(True)]
        _testing.scale(table, y[..., end - x.shape[3] : end], 1.0, back, add=True)
        assert_bits(back, nhwc(dx).astype(dtype), "dx")


NETWORKS = {
    "inputs inside": [conv("a", 0, 3, 3), conv("b", 0, 5), ("concat", "c", [1, 2], {})],
    "the image": [conv("a", 0, 3, 3), ("concat", "c", [0, 1, 0], {})],
    "one input twice": [conv("a", 0, 3, 3), ("concat", "c", [1, 1], {})],
    "one input alone": [conv("a", 0, 3, 3), ("concat", "c", [1], {})],
    "of a concat": [
        conv("a", 0, 3, 3),
        conv("b", 1, 2),
        ("concat", "c", [1, 2], {}),
        conv("d", 3, 2),
        ("concat", "e", [4, 3, 2], {}),
    ],
    "read elsewhere": [
        conv("a", 0, 4, 3),
        ("relu", "r", [1], {}),
        conv("b", 2, 4),
        ("add", "s", [1, 3], {"coef": [1.0, 1.0]}),
        ("concat", "c", [4, 1, 3, 2], {}),
    ],
    "shifted and pooled": [
        conv("a", 0, 4, 3, stride=(2, 2), padding=(0, 0)),
        ("shift", "h", [0], {}),
        conv("b", 2, 3, 3, stride=(2, 2), padding=(0, 0)),
        ("max_pool", "m", [3], {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1)}),
        ("concat", "c", [1, 4, 3], {}),
    ],
    "of zeros": [
        conv("a", 0, 3, 3),
        ("zero", "z", [0], {"stride": 1}),
        ("concat", "c", [2, 1, 2], {}),
        conv("b", 3, 3, bias=True),
        ("zero", "y", [4], {"stride": 1}),
        ("concat", "e", [5, 3], {}),
    ],
}


@every_table
@every_dtype
@pytest.mark.parametrize("dead", [True, False], ids=["all", "live"])
@pytest.mark.parametrize("name", NETWORKS)
def test_concat_in_a_network(name: str, dead: bool, dtype: Any, table: str) -> None:
    nodes = NETWORKS[name]
    after = conv("after", len(nodes), 3, 3)
    size = 10 if name == "shifted and pooled" else 4  # 4 x 4 pixels at the end
    check_network((2, size, size), [*nodes, after, *head(len(nodes) + 1)], table, dtype, dead=dead)
