"""x[:, :, 1:, 1:], a view in both directions: seen in networks only."""

from __future__ import annotations

from typing import Any

import pytest

from .oracle import check_network, conv, every_dtype, every_table, head

HALF = {"kernel": (1, 1), "stride": (2, 2), "padding": (0, 0)}
NETWORKS = {
    # FactorizedReduce: every other pixel from 0, and from 1
    "factorized reduce": [
        conv("a", 0, 4, 3),
        ("relu", "r", [1], {}),
        conv("even", 2, 3, stride=(2, 2)),
        ("shift", "h", [2], {}),
        conv("odd", 4, 2, stride=(2, 2)),
        ("concat", "c", [3, 5], {}),
    ],
    "of the image": [("shift", "h", [0], {}), conv("a", 1, 4, stride=(2, 2))],
    "twice": [
        conv("a", 0, 4, 3),
        ("shift", "h", [1], {}),
        ("shift", "g", [2], {}),
        conv("b", 3, 3, 3, padding=(2, 2), stride=(2, 2)),
    ],
    "of a concat, with other readers": [
        conv("a", 0, 2, 3),
        conv("b", 0, 3),
        ("concat", "c", [1, 2], {}),
        ("shift", "h", [3], {}),
        ("max_pool", "m", [4], {"kernel": (1, 1), "stride": (2, 2), "padding": (0, 0)}),
        ("avg_pool", "p", [3], {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}),
        ("add", "s", [5, 6], {"coef": [1.0, 1.0]}),
    ],
    "of a sum that shares its gradient": [
        conv("a", 0, 4, 3),
        conv("b", 0, 4),
        ("add", "s", [1, 2], {"coef": [1.0, 1.0]}),
        ("shift", "h", [3], {}),
        conv("c", 4, 4, stride=(2, 2)),
        conv("d", 1, 4, 3, stride=(2, 2)),
        ("add", "t", [5, 6], {"coef": [1.0, 1.0]}),
    ],
    "of zeros": [
        conv("a", 0, 4, 3),
        ("zero", "z", [1], {"stride": 1}),
        ("shift", "h", [2], {}),
        conv("b", 3, 3, bias=True, stride=(2, 2)),
        conv("c", 1, 3, stride=(2, 2)),
        ("add", "t", [4, 5], {"coef": [1.0, 1.0]}),
    ],
}


@every_table
@every_dtype
@pytest.mark.parametrize("dead", [True, False], ids=["all", "live"])
@pytest.mark.parametrize("name", NETWORKS)
def test_shift_in_a_network(name: str, dead: bool, dtype: Any, table: str) -> None:
    """8 x 8 pixels become 4 x 4, whose mean is exact."""
    nodes = NETWORKS[name]
    after = conv("after", len(nodes), 3, 3)
    check_network((3, 8, 8), [*nodes, after, *head(len(nodes) + 1)], table, dtype, dead=dead)
