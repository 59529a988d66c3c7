"""Identity is looked through, in both directions: seen in networks only."""

from __future__ import annotations

from typing import Any

import pytest

from .oracle import check_network, conv, every_dtype, every_table, head


def same(name: str, source: int) -> Any:
    return ("identity", name, [source], {})


NETWORKS = {
    "between": [conv("a", 0, 4, 3), same("i", 1), conv("b", 2, 3)],
    "of the image": [same("i", 0), same("j", 1), conv("b", 2, 3)],
    "skip connection": [
        conv("a", 0, 4, 3),
        same("i", 1),
        conv("b", 1, 4, 3),
        ("add", "s", [2, 3], {"coef": [1.0, 1.0]}),
        same("j", 4),
        ("add", "t", [5, 2, 4], {"coef": [1.0, 0.5, 1.0]}),
    ],
    "around a ReLU": [
        conv("a", 0, 4, 3),
        same("i", 1),
        ("relu", "r", [2], {}),
        same("j", 3),
        conv("b", 4, 3, 3),
        conv("c", 3, 3),
        ("add", "s", [5, 6], {"coef": [1.0, 1.0]}),
    ],
    "into a concat": [conv("a", 0, 4, 3), same("i", 1), ("concat", "c", [2, 1, 2], {})],
    "of zeros": [
        conv("a", 0, 4, 3),
        ("zero", "z", [1], {"stride": 1}),
        same("i", 2),
        conv("b", 3, 4, bias=True),
        ("add", "s", [1, 3, 4], {"coef": [1.0, 1.0, 1.0]}),
    ],
}


@every_table
@every_dtype
@pytest.mark.parametrize("dead", [True, False], ids=["all", "live"])
@pytest.mark.parametrize("name", NETWORKS)
def test_identity_in_a_network(name: str, dead: bool, dtype: Any, table: str) -> None:
    nodes = NETWORKS[name]
    after = conv("after", len(nodes), 3, 3)
    check_network((3, 4, 4), [*nodes, after, *head(len(nodes) + 1)], table, dtype, dead=dead)


@every_table
@every_dtype
def test_identity_as_the_output(dtype: Any, table: str) -> None:
    nodes = [conv("a", 0, 4, 3), *head(1), same("last", 3), same("very_last", 4)]
    check_network((3, 4, 4), nodes, table, dtype)
